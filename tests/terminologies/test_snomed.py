"""Releases are written here, in RF2 with real SCTIDs: SNOMED CT's own files may not be passed on."""

import random
import shutil
from itertools import count

import pytest

from clinidistill.errors import DataError, OptionError
from clinidistill.terminologies import Concept, Terminology, load_terminology

FSN, SYNONYM, DEFINITION = "900000000000003001", "900000000000013009", "900000000000550004"
US, GB, PREFERRED, ACCEPTABLE = "900000000000509007", "900000000000508004", "900000000000548007", "900000000000549004"
CORE, PRIMITIVE, ANY_CASE, SOME = "900000000000207008", "900000000000074008", "900000000000448009", "900000000000451002"
IS_A, FINDING_SITE, INFERRED, STATED = "116680003", "363698007", "900000000000011006", "900000000000010007"

DISEASE, FINDING, INFARCTION, ACUTE, ASTHMA = "64572001", "404684003", "22298006", "57054005", "195967001"
EDEMA, COUGH, PROPENSITY, ALLERGY, AMOXICILLIN = "267038008", "49727002", "420134006", "91936005", "372687004"
RETIRED = "301235001"

CONCEPTS = [(DISEASE, 1), (FINDING, 1), (INFARCTION, 1), (ACUTE, 1), (ASTHMA, 1), (EDEMA, 1), (RETIRED, 0)]
CONCEPTS += [(COUGH, 1), (PROPENSITY, 1), (ALLERGY, 1), (AMOXICILLIN, 1)]

# concept, active, type, term, acceptability in the US, in GB (- before it: the member is inactive)
DESCRIPTIONS = [
    (DISEASE, 1, FSN, "Disease (disorder)", "P", "P"),
    (DISEASE, 1, SYNONYM, "Disease", "P", "P"),
    (FINDING, 1, FSN, "Clinical finding (finding)", "P", "P"),
    (FINDING, 1, SYNONYM, "Clinical finding", "P", "P"),
    (INFARCTION, 0, SYNONYM, "Infarction of heart", "-A", "-A"),
    (INFARCTION, 1, SYNONYM, "Heart attack", "A", "A"),
    (INFARCTION, 1, SYNONYM, "Myocardial infarction", "P", "P"),
    (INFARCTION, 1, FSN, "Myocardial infarction (disorder)", "P", "P"),
    (INFARCTION, 1, SYNONYM, "Heart attack", "A", "A"),
    (ACUTE, 1, FSN, "Acute myocardial infarction (disorder)", "P", "P"),
    (ACUTE, 1, SYNONYM, "Acute myocardial infarction", "P", "P"),
    (ASTHMA, 1, FSN, "Asthma (disorder)", "P", "P"),
    (ASTHMA, 1, SYNONYM, "Bronchial asthma", "", ""),
    (EDEMA, 1, FSN, "Edema (finding)", "P", "P"),
    (EDEMA, 1, SYNONYM, "Edema", "P", "A"),
    (EDEMA, 1, SYNONYM, "Oedema", "", "P"),
    (EDEMA, 1, SYNONYM, "Dropsy", "-A", "A"),
    (RETIRED, 1, FSN, "Finding of cough (finding)", "P", "P"),
    (RETIRED, 1, SYNONYM, "Finding of cough", "P", "P"),
    (COUGH, 1, FSN, "Cough (finding)", "P", "P"),
    (COUGH, 1, SYNONYM, "Cough", "P", "P"),
    (COUGH, 1, SYNONYM, 'Observation of "cough', "A", "A"),
    (PROPENSITY, 1, FSN, "Propensity to adverse reaction (finding)", "P", "P"),
    (PROPENSITY, 1, SYNONYM, "Propensity to adverse reaction", "P", "P"),
    (ALLERGY, 1, FSN, "Allergy to penicillin (finding)", "P", "P"),
    (ALLERGY, 1, SYNONYM, "Penicillin allergy", "P", "P"),
    (AMOXICILLIN, 1, FSN, "Amoxicillin (substance)", "P", "P"),
    (AMOXICILLIN, 1, SYNONYM, "Amoxicillin", "P", "A"),
    (AMOXICILLIN, 1, SYNONYM, "Amoxycillin", "A", "A"),
]

# active, source, type, destination, characteristic type
RELATIONSHIPS = [
    (1, DISEASE, IS_A, FINDING, INFERRED),
    (1, INFARCTION, IS_A, DISEASE, INFERRED),
    (1, ACUTE, IS_A, INFARCTION, INFERRED),
    (1, ASTHMA, IS_A, DISEASE, INFERRED),
    (1, EDEMA, IS_A, FINDING, INFERRED),
    (1, EDEMA, IS_A, DISEASE, STATED),
    (0, COUGH, IS_A, DISEASE, INFERRED),
    (1, COUGH, IS_A, FINDING, INFERRED),
    (1, PROPENSITY, IS_A, FINDING, INFERRED),
    (1, ALLERGY, IS_A, PROPENSITY, INFERRED),
    (1, AMOXICILLIN, FINDING_SITE, DISEASE, INFERRED),
]

HEADERS = {
    "Concept": "id effectiveTime active moduleId definitionStatusId",
    "Description": "id effectiveTime active moduleId conceptId languageCode typeId term caseSignificanceId",
    "Relationship": "id effectiveTime active moduleId sourceId destinationId relationshipGroup typeId "
    "characteristicTypeId modifierId",
    "Language": "id effectiveTime active moduleId refsetId referencedComponentId acceptabilityId",
}


def write(path, table, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(HEADERS[table].split()), *("\t".join(map(str, row)) for row in rows)]
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())


def write_release(
    root,
    *,
    concepts=CONCEPTS,
    descriptions=DESCRIPTIONS,
    relationships=RELATIONSHIPS,
    status="",
    edition="INT",
    time="20240901",
    language="en",
    dialects=(US, GB),
    numbers=None,
):
    """A release with these rows."""
    numbers = numbers or count(100)
    terms, members = [], []
    for concept, active, type_, term, *acceptabilities in descriptions:
        description = f"{next(numbers)}018"
        terms.append((description, time, active, CORE, concept, language, type_, term, ANY_CASE))
        for dialect, word in zip(dialects, acceptabilities, strict=True):
            if word:
                id_ = f"00000000-0000-4000-8000-{next(numbers):012}"
                grade = PREFERRED if word[-1] == "P" else ACCEPTABLE
                members.append((id_, time, int(word[0] != "-"), CORE, dialect, description, grade))
    links = (
        (f"{next(numbers)}020", time, active, CORE, source, destination, 0, type_, characteristic, SOME)
        for active, source, type_, destination, characteristic in relationships
    )
    terminology, refsets, rest = (
        root / "Snapshot/Terminology",
        root / "Snapshot/Refset/Language",
        f"{edition}_{time}.txt",
    )
    write(
        terminology / f"{status}sct2_Concept_Snapshot_{rest}",
        "Concept",
        [(concept, time, active, CORE, PRIMITIVE) for concept, active in concepts],
    )
    write(terminology / f"{status}sct2_Description_Snapshot-{language}_{rest}", "Description", terms)
    write(terminology / f"{status}sct2_Relationship_Snapshot_{rest}", "Relationship", links)
    write(refsets / f"{status}der2_cRefset_LanguageSnapshot-{language}_{rest}", "Language", members)
    return root


@pytest.fixture
def release(tmp_path):
    """A release with files that are not to be read, too."""
    root = write_release(tmp_path / "SnomedCT_InternationalRF2_PRODUCTION_20240901T120000Z")
    term = ("7018", "20240901", 1, CORE, INFARCTION, "en", DEFINITION, "Necrosis of the myocardium.", ANY_CASE)
    write(root / "Snapshot/Terminology/sct2_TextDefinition_Snapshot-en_INT_20240901.txt", "Description", [term])
    stated = ("7020", "20240901", 1, CORE, AMOXICILLIN, DISEASE, 0, IS_A, INFERRED, SOME)
    write(root / "Snapshot/Terminology/sct2_StatedRelationship_Snapshot_INT_20240901.txt", "Relationship", [stated])
    concept = (RETIRED, "20020131", 1, CORE, PRIMITIVE)
    write(root / "Full/Terminology/sct2_Concept_Full_INT_20240901.txt", "Concept", [concept])
    write(root / "Delta/Terminology/sct2_Concept_Delta_INT_20240901.txt", "Concept", [concept])
    write(root / "Snapshot/Terminology/zsct2_Concept_Snapshot_INT_20240901.txt", "Concept", [concept])
    return root


def read(path, **options):
    return list(load_terminology("snomed", path=path, **options))


def codes(path, **options):
    return [concept.code for concept in read(path, **options)]


def names(path, code, **options):
    return next(concept.terms for concept in read(path, **options) if concept.code == code)


def test_concepts_have_their_preferred_name_acceptable_synonyms_and_semantic_tag_in_the_files_order(release):
    disorder, finding, substance = (frozenset({tag}) for tag in ("disorder", "finding", "substance"))
    assert read(release) == [
        Concept(DISEASE, "Disease", (), disorder),
        Concept(FINDING, "Clinical finding", (), finding),
        Concept(INFARCTION, "Myocardial infarction", ("Heart attack",), disorder),
        Concept(ACUTE, "Acute myocardial infarction", (), disorder),
        Concept(ASTHMA, "Asthma", (), disorder),
        Concept(EDEMA, "Edema", (), finding),
        Concept(COUGH, "Cough", ('Observation of "cough',), finding),
        Concept(PROPENSITY, "Propensity to adverse reaction", (), finding),
        Concept(ALLERGY, "Penicillin allergy", (), finding),
        Concept(AMOXICILLIN, "Amoxicillin", ("Amoxycillin",), substance),
    ]


@pytest.mark.parametrize("dialect", ["gb", "GB", GB, int(GB), [GB]])
def test_another_dialect_prefers_other_terms(release, dialect):
    assert names(release, EDEMA, dialect=dialect) == ("Oedema", "Edema", "Dropsy")


def test_of_several_dialects_the_first_gives_the_name(release):
    assert names(release, EDEMA, dialect=["us", "gb"]) == ("Edema", "Oedema", "Dropsy")
    assert names(release, EDEMA, dialect=["gb", "us"]) == ("Oedema", "Edema", "Dropsy")


def test_acceptable_terms_may_be_left_out(release):
    assert names(release, INFARCTION, acceptable=False) == ("Myocardial infarction",)


def test_fully_specified_names_may_be_taken_after_all_other_terms(release):
    terms = names(release, INFARCTION, fully_specified=True)
    assert terms == ("Myocardial infarction", "Heart attack", "Myocardial infarction (disorder)")
    assert names(release, ASTHMA, fully_specified=True) == ("Asthma (disorder)",)


def test_what_is_retired_may_be_taken(release):
    assert names(release, RETIRED, inactive=True) == ("Finding of cough",)
    assert names(release, EDEMA, inactive=True) == ("Edema", "Dropsy")
    assert "Infarction of heart" in names(release, INFARCTION, inactive=True)
    assert RETIRED not in codes(release, inactive=True, under=[FINDING])


def test_under_takes_what_is_below_by_active_inferred_is_a_without_the_roots(release):
    assert codes(release, under=[DISEASE]) == [INFARCTION, ACUTE, ASTHMA]
    assert codes(release, under=[int(INFARCTION), PROPENSITY]) == [ACUTE, ALLERGY]


def test_without_leaves_out_a_concept_and_all_below_it(release):
    assert codes(release, under=[FINDING], without=[INFARCTION, PROPENSITY]) == [DISEASE, ASTHMA, EDEMA, COUGH]
    assert codes(release, without=[FINDING]) == [AMOXICILLIN]


def test_what_is_below_agrees_with_networkx_on_a_tangled_hierarchy(tmp_path):
    networkx = pytest.importorskip("networkx")
    rng = random.Random(4)
    sctids = [f"{number}00{number % 10}" for number in range(1000, 1200)]
    edges = {(sctids[child], sctids[rng.randrange(child)]) for child in range(1, 200) for _ in range(2)}
    release = write_release(
        tmp_path,
        concepts=[(sctid, 1) for sctid in sctids],
        descriptions=[(sctid, 1, SYNONYM, f"term {sctid}", "P", "P") for sctid in sctids],
        relationships=[(1, child, IS_A, parent, INFERRED) for child, parent in edges],
    )
    graph = networkx.DiGraph(edges)
    for roots in (sctids[:1], sctids[5:8], [sctids[40], *sctids[60:70]]):
        below = set().union(*(networkx.ancestors(graph, root) for root in roots)) - set(roots)
        assert set(codes(release, under=roots)) == below
        assert below


def test_tags_choose_by_the_last_parentheses_of_the_fully_specified_name(release):
    assert codes(release, tags=["substance", "Finding"]) == [
        *(FINDING, EDEMA, COUGH, PROPENSITY, ALLERGY, AMOXICILLIN),
    ]
    assert codes(release, tags=["disorder"], under=[FINDING]) == [DISEASE, INFARCTION, ACUTE, ASTHMA]


def test_presets_for_disease_and_symptom(release):
    assert codes(release, preset="disease") == [INFARCTION, ACUTE, ASTHMA]
    assert codes(release, preset="symptom") == [EDEMA, COUGH]


def test_what_is_given_takes_the_place_of_a_part_of_the_preset(release):
    assert codes(release, preset="disease", under=[INFARCTION]) == [ACUTE]
    assert codes(release, preset="symptom", without=[EDEMA]) == [COUGH, PROPENSITY, ALLERGY]


def test_a_zip_and_any_of_its_tables_give_what_the_folder_gives(release, tmp_path):
    packed = shutil.make_archive(tmp_path / "packed", "zip", tmp_path, release.name)
    table = release / "Snapshot/Terminology/sct2_Relationship_Snapshot_INT_20240901.txt"
    assert read(packed) == read(table) == read(release)
    assert codes(packed, preset="disease") == codes(table, preset="disease") == codes(release, preset="disease")


def test_its_sources_are_the_tables_that_it_reads_or_the_zip(release, tmp_path):
    packed = shutil.make_archive(tmp_path / "packed", "zip", tmp_path, release.name)
    plain, filtered = (
        load_terminology("snomed", path=release),
        load_terminology("snomed", path=release, under=[DISEASE]),
    )
    tables = ["der2_cRefset_LanguageSnapshot-en", "sct2_Concept_Snapshot", "sct2_Description_Snapshot-en"]
    assert [path.name.removesuffix("_INT_20240901.txt") for path in plain.source_files()] == tables
    assert {path.name for path in filtered.source_files()} - {path.name for path in plain.source_files()} == {
        "sct2_Relationship_Snapshot_INT_20240901.txt"
    }
    assert [str(path) for path in load_terminology("snomed", path=packed).source_files()] == [packed]


@pytest.mark.parametrize(("status", "edition"), [("x", "INT"), ("", "US1000124"), ("", "GB")])
def test_beta_releases_and_other_editions_are_known_by_their_names(tmp_path, status, edition):
    assert len(read(write_release(tmp_path, status=status, edition=edition))) == 10


@pytest.mark.parametrize(("old", "new"), [("Snapshot", "UKCLSnapshot"), ("Snapshot-en", "Snapshot-en-AU")])
def test_edition_and_dialect_may_stand_beside_snapshot_as_in_britain_and_australia(release, old, new):
    for file in release.glob(f"Snapshot/**/*{old}*.txt"):
        file.rename(file.with_name(file.name.replace(old, new)))
    assert len(read(release)) == 10


def test_an_extension_beside_the_international_release_adds_to_it_and_the_latest_row_of_a_component_holds(tmp_path):
    numbers = count(100)
    new, dialect = "1234561000220107", "21000220103"
    write_release(tmp_path / "international", numbers=numbers)
    write_release(
        tmp_path / "extension",
        concepts=[(new, 1), (COUGH, 0)],
        descriptions=[
            (new, 1, FSN, "Smoker's cough (finding)", "P"),
            (new, 1, SYNONYM, "Smoker's cough", "P"),
            (EDEMA, 1, SYNONYM, "Œdema", "P"),
        ],
        relationships=[(1, new, IS_A, FINDING, INFERRED)],
        edition="IE1000220",
        time="20241021",
        dialects=[dialect],
        numbers=numbers,
    )
    stale = (COUGH, "20010131", 1, CORE, PRIMITIVE), (EDEMA, "20010131", 0, CORE, PRIMITIVE)
    write(tmp_path / "older/sct2_Concept_Snapshot_IE1000220_20200421.txt", "Concept", stale)
    both = {concept.code: concept for concept in read(tmp_path, dialect=[dialect, "gb"])}
    assert list(both)[-1] == new
    assert both[new] == Concept(new, "Smoker's cough", (), frozenset({"finding"}))
    assert both[EDEMA].terms == ("Œdema", "Oedema", "Edema", "Dropsy")
    assert COUGH not in both
    assert codes(tmp_path, preset="symptom", dialect=dialect) == [EDEMA, new]


def test_another_language_keeps_the_english_semantic_tags_and_leaves_out_what_it_has_no_name_for(release):
    write_release(
        release / "Spanish",
        concepts=[],
        descriptions=[
            (INFARCTION, 1, FSN, "infarto de miocardio (trastorno)", "P"),
            (INFARCTION, 1, SYNONYM, "infarto de miocardio", "P"),
            (INFARCTION, 1, SYNONYM, "ataque cardíaco", "A"),
            (COUGH, 1, FSN, "tos (hallazgo)", "P"),
        ],
        relationships=[],
        language="es",
        dialects=["450828004"],
        numbers=count(5000),
    )
    assert read(release, language="es", dialect="450828004") == [
        Concept(INFARCTION, "infarto de miocardio", ("ataque cardíaco",), frozenset({"disorder"})),
        Concept(COUGH, "tos", (), frozenset({"finding"})),
    ]
    assert len(read(release)) == 10


@pytest.mark.parametrize(
    ("table", "old", "new", "line", "column", "reason"),
    [
        ("sct2_Concept", f"\r\n{ACUTE}\t", "\r\n5705x005\t", 5, 1, "id is not a SNOMED CT identifier"),
        ("sct2_Concept", f"\r\n{ACUTE}\t20240901\t1", f"\r\n{ACUTE}\t20240901\ttrue", 5, 19, "neither 0 nor 1"),
        ("sct2_Description", "\tAsthma (disorder)\t", "\tAsthma\t(disorder)\t", 13, 88, "10 columns"),
        ("sct2_Description", f"\t{ASTHMA}\ten", "\t\ten", 13, 38, "conceptId is not"),
        ("sct2_Relationship", f"\t{SOME}\r\n", "\r\n", 2, 87, "9 columns"),
        ("sct2_Relationship", f"\t{INFARCTION}\t{DISEASE}\t", f"\t{INFARCTION}\tdisease\t", 3, 47, "destinationId is"),
        ("der2_cRefset", "100018", "", 2, 87, "referencedComponentId is not"),
        ("der2_cRefset", "moduleId\trefsetId", "refsetId\tmoduleId", 1, None, "first line is not the header"),
    ],
)
def test_a_row_that_is_not_as_specified_is_told_with_file_line_and_column(
    release, table, old, new, line, column, reason
):
    (file,) = release.glob(f"Snapshot/**/{table}_*.txt")
    text = file.read_bytes().decode()
    assert old in text
    file.write_bytes(text.replace(old, new, 1).encode())
    with pytest.raises(DataError, match=reason) as caught:
        read(release, under=[FINDING])
    assert (caught.value.path, caught.value.line, caught.value.column) == (file, line, column)


@pytest.mark.parametrize(
    ("table", "holds"),
    [
        ("sct2_Concept", "the concepts"),
        ("sct2_Description", "names"),
        ("sct2_Relationship", "hierarchy"),
        ("der2_cRefset", "dialect"),
    ],
)
def test_a_missing_table_is_named_with_what_it_is_for(release, table, holds):
    for file in release.glob(f"Snapshot/**/{table}_*.txt"):
        file.unlink()
    with pytest.raises(DataError, match=rf"no {table}_\*.*Snapshot.*{holds}"):
        read(release, under=[FINDING])


def test_the_hierarchy_is_read_only_for_a_filter_that_asks_for_it(release):
    for file in release.glob("Snapshot/**/sct2_Relationship_*.txt"):
        file.unlink()
    assert len(read(release, tags=["disorder"])) == 4


def test_a_dialect_without_names_tells_which_there_are(release):
    with pytest.raises(DataError, match=f"no names in the dialect 32570271000036106.*are {GB}, {US}.*dialect="):
        read(release, dialect="32570271000036106")


def test_filters_that_leave_nothing_are_named_with_the_tags_that_there_are(release):
    with pytest.raises(DataError, match=r"under=22298006; tags=procedure;.*language=en \(.*found: disorder\)"):
        read(release, under=[INFARCTION], tags=["procedure"])
    with pytest.raises(DataError, match="no concept is left by language=nl"):
        read(release, language="nl")


def test_roots_that_are_missing_or_retired_are_named(release, tmp_path):
    with pytest.raises(DataError, match="no concepts 301235001, 999; the option under= takes SCTIDs"):
        read(release, under=[FINDING, RETIRED, "999"])
    with pytest.raises(DataError, match="no concepts 999; the option without= takes SCTIDs"):
        read(release, preset="disease", without=["999"])
    extension = write_release(tmp_path / "extension", concepts=[(COUGH, 1)])
    with pytest.raises(
        DataError, match="no concepts 64572001; the preset 'disease' goes by them: is the international"
    ):
        read(extension, preset="disease")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"preset": "drug"}, "'disease' or 'symptom'"),
        ({"dialect": "australian"}, "dialect takes 'us', 'gb' or SCTIDs"),
        ({"under": ["disease"]}, "under takes SCTIDs"),
        ({"under": DISEASE}, "'under': 'str' instances are not allowed"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(tmp_path, options, reason):
    with pytest.raises(OptionError, match=reason):
        load_terminology("snomed", path=tmp_path, **options)


def test_a_release_is_known_by_the_publishers_name_for_it(release):
    assert [concept.code for concept in Terminology.of(release)] == codes(release)
    table = next(release.glob("Snapshot/**/sct2_Concept_Snapshot_*.txt"))
    assert [concept.code for concept in Terminology.of(table)] == codes(release)


def test_a_teacher_marks_notes_with_sctids(release):
    import clinidistill as cd

    teacher = cd.load_teacher(
        "terminology", terminology=load_terminology("snomed", path=release, preset="disease"), label="disease"
    )
    (annotation,) = teacher.predict([cd.Document("n1", "Had a heart attack; coughs.")])
    assert [(span.start, span.end, span.code) for span in annotation.spans] == [(6, 18, INFARCTION)]
