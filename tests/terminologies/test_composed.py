import random

import pytest

from clinidistill.errors import OptionError
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, MemoryTerminology, Terminology, load_terminology
from clinidistill.terminologies.obo import Obo
from clinidistill.terminologies.table import Table

FEVER = Concept("1", "fever", ("pyrexia",), frozenset({"sign"}))
HEAT = Concept("1", "febrile", ("pyrexia", "heat"), frozenset({"finding"}))
COUGH, RASH = Concept("2", "cough"), Concept("3", "rash", types=frozenset({"sign", "skin"}))
A = MemoryTerminology([FEVER, COUGH], name="a")
B = MemoryTerminology([RASH, HEAT], name="b")


class Counted(MemoryTerminology):
    """Counts how often it is read."""

    def __iter__(self):
        self.passes = getattr(self, "passes", 0) + 1
        return super().__iter__()


def test_a_union_has_one_concept_a_code_with_names_and_types_of_both_and_the_first_ones_name():
    both = Concept("1", "fever", ("pyrexia", "febrile", "heat"), frozenset({"sign", "finding"}))
    assert list(A | B) == list(A | B) == [both, COUGH, RASH]
    assert len(A | B) == 3
    assert next(iter(B | A)) == RASH
    assert (A | B).name == "a+b"


def test_a_union_is_repeatable_and_joins_repeated_codes_of_one_part_too():
    union = A | MemoryTerminology([RASH, COUGH, RASH])
    assert list(union) == list(union) == [FEVER, COUGH, RASH]


def test_a_chain_of_unions_reads_each_part_twice_not_more():
    parts = [Counted([Concept(str(i), "x"), Concept(str(i + 1), "y")]) for i in range(6)]
    union = parts[0]
    for part in parts[1:]:
        union = union | part
    assert [concept.code for concept in union] == [str(i) for i in range(7)]
    assert {part.passes for part in parts} == {2}


def test_a_union_equals_the_plain_join_of_all_concepts_by_code():
    draw = random.Random(4)
    parts = [
        [
            Concept.named(
                str(draw.randrange(20)), [f"n{draw.randrange(30)}" for _ in range(3)], [str(draw.randrange(3))]
            )
            for _ in range(draw.randrange(1, 25))
        ]
        for _ in range(3)
    ]
    terms, types = {}, {}
    for concept in sum(parts, []):
        terms.setdefault(concept.code, {}).update(dict.fromkeys(concept.terms))
        types.setdefault(concept.code, set()).update(concept.types)
    a, b, c = map(MemoryTerminology, parts)
    found = list(a | b | c)
    assert [(each.code, each.terms, each.types) for each in found] == [
        (code, tuple(terms[code]), types[code]) for code in terms
    ]
    assert found == list(a | (b | c)) == list((a | b) | c)
    assert len(a | b | c) == len(found)


def test_only_a_terminology_joins_a_terminology():
    with pytest.raises(TypeError):
        A | ["fever"]


def test_a_difference_leaves_out_codes_of_another_or_of_a_list():
    assert list(A - B) == list(A - ["1"]) == list(A - iter(["1", "9"])) == [COUGH]
    difference = A - iter(["1"])
    assert list(difference) == list(difference) == [COUGH]
    assert difference.name == "a"
    with pytest.raises(OptionError, match="not str"):
        A - "1"


def test_a_filter_takes_what_passes_all_that_is_given():
    both = A | B
    assert [concept.code for concept in both.filter(types=["sign"])] == ["1", "3"]
    assert [concept.code for concept in both.filter(types={"skin", "none"}, codes=["1", "3"])] == ["3"]
    assert [concept.code for concept in both.filter(lambda concept: "e" in concept.name, types=["sign"])] == ["1"]
    assert list(A.filter(codes=B)) == [FEVER]
    assert list(both.filter(codes=[])) == []


@pytest.mark.parametrize("options", [{}, {"codes": "1"}, {"types": "sign"}])
def test_a_filter_by_nothing_or_by_one_string_is_refused(options):
    with pytest.raises(OptionError):
        A.filter(**options)


def test_mapped_codes_that_fall_together_make_one_concept():
    mapped = MemoryTerminology([FEVER, COUGH, RASH]).map_codes({"1": "x", "3": "x"})
    assert list(mapped) == [Concept("x", "fever", ("pyrexia", "rash"), frozenset({"sign", "skin"})), COUGH]
    assert len(mapped) == 2
    assert list(A.map_codes({"2": "1"})) == [Concept("1", "fever", ("pyrexia", "cough"), frozenset({"sign"}))]


def test_concepts_without_another_code_keep_theirs_or_are_dropped():
    assert [concept.code for concept in A.map_codes({"1": "x"})] == ["x", "2"]
    assert [concept.code for concept in A.map_codes({"1": "x"}, drop_missing=True)] == ["x"]
    assert [concept.code for concept in A.map_codes(lambda code: f"A:{code}" if code == "2" else None)] == ["1", "A:2"]


def test_what_is_the_same_has_the_same_content_hash_however_it_was_made():
    assert (A | B).content_hash == MemoryTerminology(A | B).content_hash
    assert (A - B).fingerprint == A.filter(codes=["2"]).fingerprint == A.filter(lambda c: c is COUGH).fingerprint


def test_the_source_hash_comes_from_parts_and_operation_without_parsing(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"not,known\n{name}\n", encoding="utf-8")  # which no Table can parse
    a, b = Table(tmp_path / "a.csv"), Table(tmp_path / "b.csv")
    made = [
        *(a | b, b | a, a - b, a - ["1"], a - ["1", "2"], a.filter(codes=["1"]), a.filter(types=["1"])),
        *(
            a.filter(codes=b),
            a.map_codes({"1": "2"}),
            a.map_codes({"1": "3"}),
            a.map_codes({"1": "2"}, drop_missing=True),
        ),
    ]
    assert len({each.source_hash for each in made}) == len(made)
    assert (a | b).source_hash == (Table(tmp_path / "a.csv") | Table(tmp_path / "b.csv")).source_hash
    assert (a - ["1", "2"]).source_hash == (a - ["2", "1"]).source_hash
    assert (a | b).source_files() == [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert (a | A).source_files() is None
    before = (a | b).source_hash
    (tmp_path / "b.csv").write_text("more", encoding="utf-8")
    assert (Table(tmp_path / "a.csv") | Table(tmp_path / "b.csv")).source_hash != before


def test_a_function_is_known_by_what_it_makes():
    for made in (A.filter(lambda concept: True), A.map_codes(str.upper)):
        assert made.source_hash == made.content_hash == A.content_hash


def test_several_terminologies_are_joined_as_by_a_bar(tmp_path):
    (tmp_path / "t.csv").write_text("code,name\n9,itch\n", encoding="utf-8")
    for third in (
        tmp_path / "t.csv",
        {"path": tmp_path / "t.csv"},
        {"format": "table", "path": str(tmp_path / "t.csv")},
    ):
        assert list(Terminology.of([A, B, third])) == [*(A | B), Concept("9", "itch")]
    with pytest.raises(OptionError, match="MemoryTerminology"):
        Terminology.of([A, "fever"])


def test_real_ontologies_are_joined_and_parted():
    doid, symp = Settings().data / "doid/DOreports/HumanDO.tsv", Settings().data / "symp/src/ontology/symp.obo"
    if not (doid.exists() and symp.exists()):
        pytest.skip("doid and symp are not in $CLINIDISTILL_DATA")
    diseases, symptoms = load_terminology("table", path=doid), Obo(symp)
    both = diseases | symptoms
    ids = {c.code for c in diseases} | {c.code for c in symptoms}
    assert len(both) == len(list(both)) == len(ids) == len(diseases) + len(symptoms)
    assert (both - symptoms).content_hash == diseases.content_hash
    assert both.name == "HumanDO+symp"
