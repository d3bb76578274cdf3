from concurrent.futures import ThreadPoolExecutor

import pytest

from clinidistill.errors import DataError, OptionError
from clinidistill.teachers import load_teacher
from clinidistill.teachers import terminology as module
from clinidistill.terminologies import Concept, MemoryTerminology
from clinidistill.types import Document


def teach(terms, label="disease", **options):
    return load_teacher("terminology", terminology=terms, label=label, **options)


def mentions(teacher, text):
    document = next(teacher.predict([Document("n", text)]))
    return [document.mention(span) for span in document.spans]


def test_spans_carry_code_label_and_source_at_exact_offsets(tmp_path):
    path = tmp_path / "drug list.csv"
    path.write_text("code,name,synonyms\n6809,metformin,Glucophage\n", encoding="utf-8")
    teacher = load_teacher("terminology", path=path, label="medication")
    text = "İ\u0301  Glu\u00adcophage®, Métformin."
    (annotation,) = teacher.annotate([Document("n", text)])
    assert [(s.start, s.end, text[s.start : s.end]) for s in annotation.spans] == [
        (4, 15, "Glu\u00adcophage"),
        (18, 27, "Métformin"),
    ]
    assert {(s.label, s.code, s.source, s.score) for s in annotation.spans} == {
        ("medication", "6809", "drug list", 1.0)
    }
    assert annotation.covers == teacher.labels == {"medication"}


def test_it_is_called_as_it_is_told_or_as_its_terminology_is():
    assert teach(["fever"]).name == "terminology"
    assert teach(MemoryTerminology([Concept("1", "fever")], name="symp")).name == "symp"
    assert teach({"format": "obo", "path": "x/doid.obo"}).name == "doid"
    assert teach(["fever"], name="mine").name == "mine"


@pytest.mark.parametrize("options", [{}, {"path": "x.csv", "terminology": ["fever"]}, {"path": "x.nothing"}])
def test_exactly_one_source_is_wanted(options):
    with pytest.raises(OptionError):
        load_teacher("terminology", label="disease", **options)


@pytest.mark.parametrize(
    ("option", "terms", "text", "found"),
    [
        ("plurals", ["heart attack"], "two heart attacks", ["heart attacks"]),
        ("spellings", ["anaemia"], "has anemia", ["anemia"]),
        ("unqualified", ["Cough, unspecified"], "a cough", ["cough"]),
    ],
)
def test_a_rule_finds_more_and_can_be_switched_off(option, terms, text, found):
    assert mentions(teach(terms), text) == found
    with pytest.raises(AssertionError):
        assert mentions(teach(terms, **{option: False}), text) == found


def test_case_does_not_count_unless_abbreviations_are_to_be_found_in_capitals_only():
    assert mentions(teach(["PEG", "COPD"]), "peg PEG copd") == ["peg", "PEG", "copd"]
    strict = teach(["PEG", "UTI"], match_abbreviation_case=True)
    assert mentions(strict, "peg PEG utis UTIs") == ["PEG", "UTIs"]


def test_stop_terms_and_stop_lists_are_not_looked_for_in_singular_or_plural():
    terms = ["migraine", "can", "creatinine", "symptoms"]
    text = "can migraines raise creatinine? symptom"
    assert mentions(teach(terms), text) == ["migraines"]
    assert mentions(teach(terms, stop_lists=["everyday"]), text) == ["migraines", "creatinine"]
    assert mentions(teach(terms, stop_terms=["Migraine"], stop_lists=[]), text) == ["can", "creatinine", "symptom"]
    with pytest.raises(OptionError, match="stop_lists"):
        teach(terms, stop_lists=["everything"])
    with pytest.raises(OptionError, match="no stop list"):
        module.TerminologyTeacher(terms, label="x", stop_lists=["everything"])


def test_short_names_need_evidence():
    assert mentions(teach(["flu", "UC", "fever"]), "UC. Had fever and flu.") == ["fever", "flu"]
    assert mentions(teach(["flu", "UC", "fever"]), "UC, flu, fever") == ["UC", "flu", "fever"]
    assert mentions(teach(["flu", "UC", "fever"], min_length=2), "UC. Had fever and flu.") == ["UC", "fever", "flu"]


def test_a_name_of_its_own_goes_before_the_plural_of_another():
    teacher = teach([Concept("1", "shake"), Concept("2", "shakes")])
    assert [span.code for span in teacher.label_document(Document("n", "shakes"))] == ["2"]


def test_the_fingerprint_follows_content_rules_and_label_not_path_or_name(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("fever\n", encoding="utf-8")
    same = {
        load_teacher("terminology", path=tmp_path / "a.txt", label="x").fingerprint,
        load_teacher("terminology", path=tmp_path / "b.txt", label="x", name="other").fingerprint,
        teach(["fever"], "x").fingerprint,
    }
    assert len(same) == 1
    others = {
        teach(["cough"], "x").fingerprint,
        teach(["fever"], "y").fingerprint,
        teach(["fever"], "x", plurals=False).fingerprint,
        teach(["fever"], "x", stop_lists=[]).fingerprint,
        teach(["fever"], "x", stop_terms=["a"]).fingerprint,
    }
    assert len(others | same) == 6


def test_a_file_that_cannot_be_read_is_one_error_and_not_one_for_each_document(tmp_path):
    teacher = load_teacher("terminology", path=tmp_path / "none.csv", label="x")
    with pytest.raises(DataError, match="no such file"):
        teacher.annotate([Document("n", "text")])
    with pytest.raises(DataError, match="no such file"):
        next(teacher.predict([Document("n", "text")]))


@pytest.mark.parametrize("fuzzy", [False, True])
def test_several_processes_predict_the_same_in_the_same_order(fuzzy):
    notes = [Document(str(number), f"{number} days of metforimn and fever") for number in range(300)]
    predicted = list(teach(["metformin", "fever"], fuzzy=fuzzy, workers=2).predict(notes))
    assert predicted == list(teach(["metformin", "fever"], fuzzy=fuzzy).predict(notes))
    assert [len(document.spans) for document in predicted] == [1 + fuzzy] * 300


@pytest.mark.parametrize("mark", "'`´’ ")
def test_any_kind_of_apostrophe_will_do(mark):
    assert mentions(teach(["Crohn's disease"]), f"Known Crohn{mark}s disease.") == [f"Crohn{mark}s disease"]


def test_a_terminology_without_usable_names_is_an_error():
    with pytest.raises(DataError, match="no names"):
        teach(["x", "42"]).matcher  # noqa: B018


def test_threads_share_one_automaton_built_once(monkeypatch):
    built = []
    monkeypatch.setattr(module, "Matcher", lambda *_, **__: built.append(1) or object())
    teacher = teach(["fever"])
    with ThreadPoolExecutor(8) as pool:
        matchers = {id(each) for each in pool.map(lambda _: teacher.matcher, range(32))}
    assert len(built) == len(matchers) == 1
