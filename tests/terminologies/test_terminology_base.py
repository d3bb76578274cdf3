from pathlib import Path

import pytest

from clinidistill.errors import OptionError, UnknownComponentError
from clinidistill.terminologies import Concept, MemoryTerminology, Terminology
from clinidistill.terminologies.icd10cm import Icd10Cm
from clinidistill.terminologies.obo import Obo
from clinidistill.terminologies.table import Table


@pytest.mark.parametrize(
    ("path", "format_"),
    [
        ("a/x.obo", Obo),
        ("x.OBO.gz", Obo),
        (Path("x.csv"), Table),
        ("x.tsv", Table),
        ("x.txt.gz", Table),
        ("x.xml", Icd10Cm),
    ],
)
def test_the_ending_of_a_path_tells_the_format(path, format_):
    assert type(Terminology.of(path)) is format_


def test_a_mapping_gives_format_and_options_as_a_recipe_does():
    terminology = Terminology.of({"format": "obo", "path": "x.dat", "under": ["X:1"], "name": "mine"})
    assert type(terminology) is Obo
    assert terminology.name == "mine"
    assert terminology.options["under"] == ["X:1"]


def test_terms_and_concepts_at_hand_are_a_terminology():
    concept = Concept("1", "fever")
    assert list(Terminology.of(iter(["cough", concept]))) == [Concept("cough", "cough"), concept]
    memory = MemoryTerminology([concept])
    assert Terminology.of(memory) is memory


@pytest.mark.parametrize("value", ["terms.doc", {"path": "terms"}, {}, [1, 2]])
def test_what_is_no_terminology_is_refused(value):
    with pytest.raises(OptionError):
        Terminology.of(value)
    with pytest.raises(UnknownComponentError):
        Terminology.of({"format": "nope", "path": "x.obo"})


def test_it_is_called_by_its_file_unless_told_otherwise():
    assert Table("some/drug list.csv.gz", name="term").name == "drug list"
    assert Obo("some/doid.obo").name == "doid"
    assert MemoryTerminology([]).name == "terminology"


def test_the_content_tells_terminologies_apart_not_the_place(tmp_path):
    for name, text in (
        ("a.csv", "code,name\n1,fever\n"),
        ("b.tsv", "name\tcode\nfever\t1\n"),
        ("c.csv", "code,name\n1,cold\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    a, b, c = (Terminology.of(tmp_path / name) for name in ("a.csv", "b.tsv", "c.csv"))
    assert a.fingerprint == b.fingerprint == MemoryTerminology([Concept("1", "fever")]).fingerprint != c.fingerprint
