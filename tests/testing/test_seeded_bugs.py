"""Every rule can fail: components with one fault each are caught, by the rule that they break."""

import faulty_aggregators
import faulty_datasets
import faulty_providers
import faulty_students
import faulty_teachers
import faulty_terminologies
import pytest
from pydantic import SecretStr

import clinidistill as cd
from clinidistill.testing import (
    ConformanceError,
    check_aggregator,
    check_dataset,
    check_provider,
    check_student,
    check_teacher,
    check_terminology,
)
from clinidistill.testing.kinds import KINDS, rules_of

NOTES = faulty_teachers.NOTES
WORDS = {"metformin": "medication", "aspirin": "medication", "rash": "symptom"}


def each(faults):
    return pytest.mark.parametrize(
        ("cls", "rule"), [pytest.param(*pair, id=pair[0].__name__) for pair in faults.items()]
    )


def broken_rule(check, *args, **options):
    with pytest.raises(ConformanceError) as caught:
        check(*args, **options)
    assert caught.value.rule in str(caught.value)
    assert f"docs/conformance.md#{caught.value.rule.replace('/', '')}" in str(caught.value)
    return caught.value.rule


def test_good_ones_break_no_rule(tmp_path):
    assert "teacher/offsets" not in check_teacher(faulty_teachers.Drugs(), NOTES)
    assert not {"teacher/offsets", "component/recipe"} & check_teacher(faulty_teachers.Locked(), NOTES).keys()
    check_student(faulty_students.Words(WORDS), NOTES)
    check_dataset(faulty_datasets.Lines(lines(tmp_path)))
    check_aggregator(faulty_aggregators.Either())
    check_provider(faulty_providers.Acme("a", api_key=SecretStr("k")), faulty_providers.answer)
    check_terminology(faulty_terminologies.Bars(bars(tmp_path)))


@each(faulty_teachers.FAULTS)
def test_a_faulty_teacher_is_caught_by_the_rule_that_it_breaks(cls, rule):
    assert broken_rule(check_teacher, cls(), NOTES) == rule


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: faulty_teachers.Converting("metformin"), "component/recipe"),
        (lambda: faulty_teachers.Spent(iter(["metformin"])), "component/fingerprint-stable"),
        (lambda: faulty_teachers.ForgettingWords(["metformin", "aspirin"]), "component/fingerprint-options"),
        (lambda: faulty_teachers.Sorting(["metformin", "aspirin"]), "component/options-kept"),
    ],
)
def test_a_teacher_that_minds_its_options_badly_is_caught(make, rule):
    assert broken_rule(check_teacher, make(), NOTES) == rule


@each(faulty_students.FAULTS)
def test_a_faulty_student_is_caught_by_the_rule_that_it_breaks(cls, rule):
    assert broken_rule(check_student, cls(WORDS), NOTES) == rule


def lines(folder):
    path = folder / "notes.lines"
    notes = [
        cd.Document(f"n{number}", f"Patient number {number} was given metformin every morning.\nFine.", spans=())
        for number in range(5)
    ]
    faulty_datasets.Lines.write(notes, path)
    return path


@each(faulty_datasets.FAULTS)
def test_a_faulty_dataset_is_caught_by_the_rule_that_it_breaks(cls, rule, tmp_path):
    assert broken_rule(check_dataset, cls(lines(tmp_path))) == rule


@each(faulty_aggregators.FAULTS)
def test_a_faulty_aggregator_is_caught_by_the_rule_that_it_breaks(cls, rule):
    assert broken_rule(check_aggregator, cls()) == rule


@each(faulty_providers.FAULTS)
def test_a_faulty_provider_is_caught_by_the_rule_that_it_breaks(cls, rule):
    assert broken_rule(check_provider, cls("a-1", api_key=SecretStr("k")), faulty_providers.answer) == rule


def bars(folder):
    path = folder / "drugs.bars"
    path.write_text("6809|metformin|Glucophage\n1191|aspirin|acetylsalicylic acid\n161|acetaminophen\n")
    return path


@each(faulty_terminologies.FAULTS)
def test_a_faulty_terminology_is_caught_by_the_rule_that_it_breaks(cls, rule, tmp_path):
    assert broken_rule(check_terminology, cls(bars(tmp_path))) == rule


def test_every_rule_is_broken_by_some_component_here():
    faults = {
        *faulty_teachers.FAULTS.values(),
        *faulty_students.FAULTS.values(),
        *faulty_datasets.FAULTS.values(),
        *faulty_aggregators.FAULTS.values(),
        *faulty_providers.FAULTS.values(),
        *faulty_terminologies.FAULTS.values(),
        "component/recipe",
        "component/options-kept",
    }
    # What students are checked for as teachers are is broken by teachers.
    faults |= {rule.replace("teacher/", "student/") for rule in faults if rule.startswith("teacher/")}
    assert {rule.id for kind in KINDS for rule in rules_of(kind)} <= faults
