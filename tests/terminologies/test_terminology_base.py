import re
from pathlib import Path

import pytest

from clinidistill.errors import DataError, OptionError, UnknownComponentError
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


def test_the_source_hash_tells_files_and_options_apart_not_places_and_is_told_without_parsing(tmp_path):
    for name in ("a.csv", "b.csv", "c.txt"):
        (tmp_path / name).write_text("not,known\n1,fever\n", encoding="utf-8")
    a, b, c = (Table(tmp_path / name, code="not", name="known") for name in ("a.csv", "b.csv", "c.txt"))
    assert re.fullmatch("[0-9a-f]{32}", a.source_hash)
    assert a.source_hash == b.source_hash == Table(tmp_path / "a.csv", code="not", name="known").source_hash
    others = [c, Table(tmp_path / "a.csv"), Table(tmp_path / "a.csv", code="not", name="not"), Obo(tmp_path / "a.csv")]
    assert len({each.source_hash for each in (a, *others)}) == 5
    (tmp_path / "a.csv").write_text("not,known\n1,cold\n", encoding="utf-8")
    assert Table(tmp_path / "a.csv", code="not", name="known").source_hash != a.source_hash
    assert Obo(tmp_path / "b.csv", name="x").source_hash == Obo(tmp_path / "b.csv", name="y").source_hash


def test_a_higher_version_of_a_format_is_another_source(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("name\nfever\n", encoding="utf-8")
    before = Table(path).source_hash
    monkeypatch.setattr(Table, "version", "next")
    assert Table(path).source_hash != before


def test_what_is_not_made_of_files_has_its_content_hash_as_source_hash():
    memory = MemoryTerminology([Concept("1", "fever")])
    assert memory.source_files() is None
    assert memory.source_hash == memory.content_hash


@pytest.mark.parametrize("file", ["none.obo", "none.obo.gz"])
def test_a_missing_file_has_no_source_hash(tmp_path, file):
    with pytest.raises(DataError, match="no such file"):
        Obo(tmp_path / file).source_hash  # noqa: B018


@pytest.mark.parametrize("value", [None, 7])
def test_what_is_no_terminology_is_an_option_error(value):
    with pytest.raises(OptionError, match=f"{type(value).__name__} is no terminology"):
        Terminology.of(value)
