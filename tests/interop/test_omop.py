import csv
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.interop.omop import COLUMNS, OmopConcepts, note_nlp, write_note_nlp

WHEN = datetime(2026, 11, 30, 12, tzinfo=UTC)
TEXT = "💊 On metformin and Glucophage; no angina."
NOTE = cd.Document(
    "17",
    TEXT,
    [
        cd.Span(5, 14, "medication", 0.5, code="6809"),
        cd.Span(19, 29, "medication", code="RxNorm:151827"),
        cd.Span(34, 40, "disease", code="194828000"),
    ],
)
CONCEPT = """\
concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason
1503297\tmetformin\tDrug\tRxNorm\tIngredient\tS\t6809\t19700101\t20991231\t
40163924\t"Glucophage\tDrug\tRxNorm\tBrand Name\t\t151827\t19700101\t20991231\t
77670\tChest pain\tCondition\tSNOMED\tDisorder\tS\t6809\t19700101\t20991231\t
"""
RELATIONSHIP = """\
concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason
40163924\t99\tMaps to\t19700101\t20200101\tD
40163924\t1503297\tMaps to\t19700101\t20991231\t
40163924\t98\tIs a\t19700101\t20991231\t
"""


@pytest.fixture
def athena(tmp_path):
    (tmp_path / "CONCEPT.csv").write_text(CONCEPT, encoding="utf-8")
    (tmp_path / "CONCEPT_RELATIONSHIP.csv").write_text(RELATIONSHIP, encoding="utf-8")
    return tmp_path


def rows(**options):
    return list(note_nlp([NOTE], system="drug-ner 1", when=WHEN, **options))


def test_each_mention_is_a_row_with_its_place_and_words():
    found = rows(vocabularies={"medication": "RxNorm"}, context=4)
    assert [tuple(row) for row in found] == [COLUMNS] * 3
    assert [row["note_nlp_id"] for row in found] == [1, 2, 3]
    assert {row["note_id"] for row in found} == {17}
    for row, mention in zip(found, ["metformin", "Glucophage", "angina"], strict=True):
        assert row["lexical_variant"] == mention == TEXT[int(row["offset"]) :][: len(mention)]
        assert mention in row["snippet"]
    assert found[0]["snippet"] == " On metformin and"
    assert found[0]["term_modifiers"] == "label=medication;score=0.5;code=RxNorm:6809"
    assert found[2]["term_modifiers"] == "label=disease;score=1"
    assert all(row["term_exists"] is None for row in found)


def test_snippets_are_left_out_unless_they_are_asked_for():
    assert {row["snippet"] for row in rows()} == {None}


def test_codes_become_standard_concepts_by_way_of_what_they_map_to(athena):
    concepts = OmopConcepts(athena, ["RxNorm"])
    assert len(concepts) == 2
    found = rows(vocabularies={"medication": "RxNorm", "disease": "SNOMED"}, concepts=concepts)
    ids = [(row["note_nlp_concept_id"], row["note_nlp_source_concept_id"]) for row in found]
    assert ids == [(1503297, 1503297), (1503297, 40163924), (0, 0)]


def test_a_download_without_relationships_knows_standard_concepts_only(athena):
    (athena / "CONCEPT_RELATIONSHIP.csv").unlink()
    assert OmopConcepts(athena, ["RxNorm"]).ids("RxNorm", "151827") == (0, 40163924)


def test_what_is_no_download_is_refused_with_the_file(athena):
    (athena / "CONCEPT.csv").write_text("concept_id,concept_name\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"CONCEPT\.csv:1: no table of Athena's: it lacks .*'vocabulary_id'"):
        OmopConcepts(athena, ["RxNorm"])
    (athena / "CONCEPT.csv").write_text(
        "concept_id\tvocabulary_id\tconcept_code\tstandard_concept\n1x\tRxNorm\t1\tS\n", encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"CONCEPT\.csv: a concept without a number as its concept_id"):
        OmopConcepts(athena, ["RxNorm"])
    with pytest.raises(DataError, match="cannot be read"):
        OmopConcepts(athena / "absent", ["RxNorm"])


def test_unknown_vocabularies_are_refused_before_the_first_row():
    with pytest.raises(ConfigError, match="unknown vocabularies: RXN; known: RxNorm, SNOMED"):
        note_nlp([NOTE], system="x", vocabularies={"medication": "RXN"})


def test_the_key_of_the_note_comes_from_meta_or_the_id_or_the_caller():
    span = [cd.Span(0, 1, "x")]
    named = cd.Document("a", "x", span, meta={"note_id": 5})
    assert [row["note_id"] for row in note_nlp([named], system="x")] == [5]
    bare = cd.Document("a", "x", span)
    assert [row["note_id"] for row in note_nlp([bare], system="x", note_id=lambda document: 9)] == [9]
    with pytest.raises(DataError, match="document 'a' has no NOTE key"):
        list(note_nlp([bare], system="x"))


@pytest.mark.parametrize("name", ["note_nlp.csv", "note_nlp.parquet"])
def test_the_table_is_written_whole(name, tmp_path):
    path = tmp_path / name
    assert write_note_nlp([NOTE], path, system="drug-ner 1", when=WHEN) == 3
    assert path.stat().st_mode & 0o777 == 0o600
    if name.endswith("csv"):
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        assert [row["nlp_date"] for row in found] == ["2026-11-30"] * 3
        assert [row["lexical_variant"] for row in found] == [row["lexical_variant"] for row in rows()]
    else:
        assert pq.read_table(path).to_pylist() == rows()
