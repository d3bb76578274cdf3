import pytest

from clinidistill.errors import DataError, OptionError
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, load_terminology

FILE = r"""format-version: 1.4
! a comment
ontology: test

[Term]
id: X:1
name: disease {source="me"} ! the root

[Term]
id: X:2
name: heart\: failure\, acute
namespace: things
subset: slim ! small
synonym: "a \"weak\" heart" EXACT []
synonym: "cor" EXACT OMO:0003012 [src:1, src:2] {a="b"} ! latin
synonym: "left heart failure" NARROW []
synonym: "illness" BROAD []
synonym: "scopeless" []
exact_synonym: "old style" []
is_a: X:1 ! disease

[Term]
id: X:3
name: sudden failure
is_a: X:2 {source="me"} ! heart

[Term]
id: X:4
name: obsolete thing
is_obsolete: true
is_a: X:1

[Term]
id: Y:9

[Typedef]
id: part_of
name: part of
"""


def read(tmp_path, text=FILE, **options):
    path = tmp_path / "x.obo"
    path.write_text(text, encoding="utf-8")
    return list(load_terminology("obo", path=path, **options))


def test_terms_have_names_exact_synonyms_and_types(tmp_path):
    assert read(tmp_path) == [
        Concept("X:1", "disease"),
        Concept("X:2", "heart: failure, acute", ('a "weak" heart', "cor", "old style"), frozenset({"things", "slim"})),
        Concept("X:3", "sudden failure"),
    ]


def test_scopes_choose_the_synonyms(tmp_path):
    assert read(tmp_path, scopes=["NARROW", "RELATED"])[1].synonyms == ("left heart failure", "scopeless")
    with pytest.raises(OptionError, match="scopes"):
        read(tmp_path, scopes=["CLOSE"])


def test_obsolete_terms_come_when_asked_for(tmp_path):
    assert [concept.code for concept in read(tmp_path, obsolete=True)] == ["X:1", "X:2", "X:3", "X:4"]


def test_under_takes_what_lies_below_and_not_the_term_itself(tmp_path):
    assert [concept.code for concept in read(tmp_path, under=["X:1"])] == ["X:2", "X:3"]
    assert [concept.code for concept in read(tmp_path, under=["X:2"])] == ["X:3"]


def test_a_circle_of_terms_ends(tmp_path):
    text = FILE.replace("name: disease", "is_a: X:3\nname: disease")
    assert [concept.code for concept in read(tmp_path, text, under=["X:1"])] == ["X:2", "X:3"]


def test_an_unknown_root_is_refused(tmp_path):
    with pytest.raises(DataError, match="no terms Z:1"):
        read(tmp_path, under=["Z:1"])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[Term]\nid: X:1\nsynonym: bare EXACT []\n", 3, "quotes"),
        ("[Term]\nid: X:1\nnonsense\n", 3, "tag: value"),
        ("ontology: x\n[Term]\nname: fever\n\n[Term]\nid: X:2\n", 2, "without an id"),
        ("ontology: x\n", None, "is it an OBO file"),
    ],
)
def test_a_malformed_line_names_file_and_line(tmp_path, text, line, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, text)
    assert (caught.value.path, caught.value.line) == (tmp_path / "x.obo", line)


def test_the_symptom_ontology_has_as_many_terms_as_its_file_has_living_ones():
    path = Settings().data / "symp/src/ontology/symp.obo"
    if not path.exists():
        pytest.skip("symp is not in $CLINIDISTILL_DATA")
    stanzas = path.read_text(encoding="utf-8").split("\n[")[1:]
    living = [s for s in stanzas if s.startswith("Term]") and "\nis_obsolete: true" not in s and "\nname:" in s]
    concepts = list(load_terminology("obo", path=path))
    assert len(concepts) == len(living)
    assert "SYMP:0000461" in {concept.code for concept in concepts}
    below = list(load_terminology("obo", path=path, under=["SYMP:0000461"]))
    assert {"abdominal cramp"} < {concept.name for concept in below} < {concept.name for concept in concepts}
