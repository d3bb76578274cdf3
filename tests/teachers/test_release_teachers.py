import inspect

import pytest

import clinidistill as cd
from clinidistill.errors import DataError, OptionError
from clinidistill.teachers.releases import RxNormTeacher, SnomedTeacher

CORE, US = 900000000000207008, 900000000000509007
TERMS = {  # SCTID: tag, parent, name
    138875005: ("SNOMED RT+CTV3", None, "SNOMED CT Concept"),
    404684003: ("finding", 138875005, "Clinical finding"),
    64572001: ("disorder", 404684003, "Disease"),
    22298006: ("disorder", 64572001, "Myocardial infarction"),
    49727002: ("finding", 404684003, "Cough"),
    372687004: ("substance", 138875005, "Amoxicillin"),
}


@pytest.fixture
def rxnorm(tmp_path):
    def row(rxcui, tty, text):
        return f"{rxcui}|ENG||||||1|2|{rxcui}||RXNORM|{tty}|{rxcui}|{text}||N|4096|\n"

    path = tmp_path / "RXNCONSO.RRF"
    path.write_text(row(6809, "IN", "metformin") + row(151827, "BN", "Glucophage") + row(1, "SCD", "metformin 500 MG"))
    relation = "6809||CUI|RN|151827||CUI|tradename_of|1||RXNORM||||N||\n"
    (tmp_path / "RXNREL.RRF").write_text(relation)
    return path


@pytest.fixture
def snomed(tmp_path):
    def table(name, header, rows):
        lines = ["\t".join(header.split()), *("\t".join(map(str, row)) for row in rows)]
        path = tmp_path / "Snapshot" / f"{name}_INT_20240901.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())

    time = "20240901"
    concepts = [(code, time, 1, CORE, 900000000000074008) for code in TERMS]
    table("sct2_Concept_Snapshot", "id effectiveTime active moduleId definitionStatusId", concepts)
    names, members, links = [], [], []
    for number, (code, (tag, parent, name)) in enumerate(TERMS.items(), 1):
        for offset, type_, term in ((0, 900000000000003001, f"{name} ({tag})"), (500, 900000000000013009, name)):
            id_ = f"{number + offset}018"
            names.append((id_, time, 1, CORE, code, "en", type_, term, 900000000000448009))
            members.append((f"{id_}", time, 1, CORE, US, id_, 900000000000548007))
        if parent:
            kind = (116680003, 900000000000011006, 900000000000451002)
            links.append((f"{number}020", time, 1, CORE, code, parent, 0, *kind))
    columns = "id effectiveTime active moduleId "
    table(
        "sct2_Description_Snapshot-en",
        columns + "conceptId languageCode typeId term caseSignificanceId",
        names,
    )
    table(
        "sct2_Relationship_Snapshot",
        columns + "sourceId destinationId relationshipGroup typeId characteristicTypeId modifierId",
        links,
    )
    table("der2_cRefset_LanguageSnapshot-en", columns + "refsetId referencedComponentId acceptabilityId", members)
    return tmp_path


NOTE = cd.Document("n1", "Glucophage for a cough after myocardial infarction; amoxicillin and metformin 500 mg.")


def codes(teacher):
    (annotation,) = teacher.annotate([NOTE])
    return {NOTE.mention(span): span.code for span in annotation.spans}


def test_rxnorm_marks_medications_with_rxcuis(rxnorm):
    teacher = cd.load_teacher("rxnorm", path=rxnorm)
    assert codes(teacher) == {"Glucophage": "151827", "metformin": "6809"}
    assert (teacher.name, teacher.labels) == ("rxnorm", {"medication"})


def test_rxnorm_takes_the_options_of_the_release_and_of_the_teacher(rxnorm):
    teacher = cd.load_teacher(
        "rxnorm", path=rxnorm, code="ingredient", stop_terms=["metformin"], label="drug", name="rx"
    )
    assert codes(teacher) == {"Glucophage": "6809"}
    assert (teacher.name, teacher.labels) == ("rx", {"drug"})
    by_type = cd.load_teacher("rxnorm", path=rxnorm, term_types=["IN", "SCD"])
    assert codes(by_type) == {"metformin 500 mg": "1"}


def test_snomeds_label_chooses_the_part_that_is_marked(snomed):
    disease = cd.load_teacher("snomed", path=snomed, label="disease")
    assert codes(disease) == {"myocardial infarction": "22298006"}
    assert disease.name == "snomed-disease"
    assert codes(cd.load_teacher("snomed", path=snomed, label="symptom")) == {"cough": "49727002"}
    tagged = cd.load_teacher("snomed", path=snomed, label="symptom", tags=["substance"])
    assert codes(tagged) == {"amoxicillin": "372687004"}
    assert len(codes(cd.load_teacher("snomed", path=snomed, label="concept"))) == 3


def test_both_kinds_of_options_are_told_and_checked(rxnorm, snomed):
    for cls, own in ((RxNormTeacher, "term_types"), (SnomedTeacher, "dialect")):
        parameters = inspect.signature(cls).parameters
        assert {own, "path", "label", "stop_terms", "nested"} <= parameters.keys()
        assert "terminology" not in parameters
    with pytest.raises(OptionError, match=r"term_typ'.*did you mean 'term_types'"):
        cd.load_teacher("rxnorm", path=rxnorm, term_typ=["IN"])
    with pytest.raises(OptionError, match="'label' is required"):
        cd.load_teacher("snomed", path=snomed)


def test_what_is_missing_is_told_before_the_first_document(tmp_path):
    with pytest.raises(DataError, match="RXNCONSO"):
        cd.load_teacher("rxnorm", path=tmp_path).annotate([NOTE])
