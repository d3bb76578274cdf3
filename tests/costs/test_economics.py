"""Dollars, seconds and break-even, by hand-made answers whose figures are known."""

import json
import math

import pytest

import clinidistill as cd
from clinidistill import Annotation, Document, Labels, Span
from clinidistill.costs import InferenceBenchmark, Machine
from clinidistill.costs.inference import SystemSpeed
from clinidistill.errors import ConfigError

NOTES = [Document(f"n{n}", "On aspirin.", [Span(3, 10, "drug")]) for n in range(10)]
HERE = Machine("a processor", 2, 8.0, (), "Linux x86_64", "3.11", "2")


class Student:
    name = "small"

    def predict(self, documents):
        return (document.with_spans([Span(3, 10, "drug")]) for document in documents)


def speed(seconds=1.0):
    """Ten notes in a second, three times over."""
    return InferenceBenchmark(HERE, (SystemSpeed("small", (seconds,) * 3, (0.1,), 10, 100, 10),))


def labels(cost=0.01, seconds=2.0, usage=None, pace=lambda _: None, spans=((3, 10, "drug"),)):
    said = {
        note.id: Annotation(
            note.id, "big", tuple(Span(*each) for each in spans), None, None, usage or {}, cost, seconds
        )
        for note in NOTES
    }
    return Labels(NOTES, ["big"], lambda _, documents: {d.id: said[d.id] for d in documents}, pace=pace)


def figures(answers=None, **options):
    options = {"speed": speed(), "hardware": 3.6, **options}
    return cd.economics(answers or labels(), Student(), **options)


def test_a_notes_price_is_what_was_billed_and_the_students_what_the_machine_costs():
    found = figures()
    big, small = found.systems
    assert big.usd_per_1k_notes == pytest.approx(10)
    assert big.usd_per_1m_notes == pytest.approx(10_000)
    assert small.usd_per_note == pytest.approx(3.6 / 3600 * 0.1)
    assert (big.seconds_per_note, small.seconds_per_note) == (2.0, pytest.approx(0.1))
    assert big.times_cheaper[0] == pytest.approx(100)
    assert big.times_faster[0] == pytest.approx(20)
    assert found.labeling_usd == pytest.approx(0.1)


def test_the_student_pays_once_labels_and_training_are_earned():
    found = figures(training_seconds=100)
    assert found.training_usd == pytest.approx(0.1)
    assert found.upfront_usd == pytest.approx(0.2)
    even = found.systems[0].break_even_notes
    assert even == math.ceil(0.2 / (0.01 - 0.0001))
    dearer, cheaper = (
        found.upfront_usd + notes * found.student.usd_per_note - notes * found.systems[0].usd_per_note
        for notes in (even - 1, even)
    )
    assert cheaper <= 0 < dearer
    assert f"from note {even} on" in found.recommendation()


def test_a_student_that_is_dearer_never_pays():
    found = figures(hardware=36000)
    assert found.systems[0].break_even_notes is None
    assert "never be cheaper than big" in found.recommendation()


def test_an_unknown_price_stays_unknown():
    found = figures(labels(cost=None, usage={"input_tokens": 10, "output_tokens": 2}))
    big = found.systems[0]
    assert (big.usd_per_note, big.break_even_notes, big.times_cheaper, found.labeling_usd) == (None,) * 4
    assert big.times_faster[0] == pytest.approx(20)
    assert "unknown" in found.recommendation()


def test_what_runs_here_costs_the_machines_time():
    assert figures(labels(cost=None)).systems[0].usd_per_note == pytest.approx(2 * 3.6 / 3600)


def test_a_price_can_be_told():
    found = figures(labels(cost=0.0), usd_per_note={"big": 0.5})
    assert found.systems[0].usd_per_1k_notes == pytest.approx(500)
    with pytest.raises(ConfigError, match="'bgi'; the teachers are big"):
        figures(usd_per_note={"bgi": 1})


def test_wall_time_is_that_of_the_run_where_it_was_timed():
    found = figures(labels(pace=lambda _: 0.5))
    assert found.systems[0].seconds_per_note == 0.5
    assert found.systems[0].p50_seconds == 2.0
    assert found.systems[0].times_faster[0] == pytest.approx(5)


def test_the_label_step_times_its_runs(tmp_path):
    class Slow(cd.Teacher):
        def label_document(self, document):
            return []

        def annotate(self, documents):
            import time

            waiting = [self._annotate_one(document) for document in documents]
            time.sleep(0.5)  # all of them at once
            yield from waiting

    (cost,) = cd.label(NOTES, Slow(), tmp_path / "s.sqlite", progress=False).costs()
    assert 0.05 <= cost.wall_seconds_per_document < 0.2
    assert cost.p95_seconds < 0.01
    (again,) = cd.label(NOTES, Slow(), tmp_path / "s.sqlite", progress=False).costs()
    assert again.wall_seconds_per_document == cost.wall_seconds_per_document


def test_ratios_have_intervals_that_hold_them():
    costs = {note.id: 0.001 * (n + 1) for n, note in enumerate(NOTES)}
    uneven = Labels(
        NOTES,
        ["big"],
        lambda _, documents: {d.id: Annotation(d.id, "big", cost_usd=costs[d.id], seconds=1.0) for d in documents},
    )
    ratio, (low, high) = figures(uneven).systems[0].times_cheaper
    assert low < ratio < high
    assert ratio == pytest.approx(0.0055 / 0.0001)
    assert figures(uneven).systems[0].times_cheaper == figures(uneven).systems[0].times_cheaper


def test_f1_comes_from_gold_and_the_front_holds_what_nothing_beats():
    wrong = figures(labels(spans=[(0, 2, "drug")]), gold=NOTES)
    assert [system.f1 for system in wrong.systems] == [0.0, 1.0]
    assert [system.best for system in wrong.systems] == [False, True]
    assert "use it" in wrong.recommendation()
    known = figures(scores={"big": 0.9, "small": 0.8})
    assert [system.best for system in known.systems] == [True, True]
    assert "0.100 more F1" in known.recommendation()


def test_a_learning_curve_has_its_price():
    class Once:
        def predict(self, documents):
            return Student().predict(documents)

    test = [Document("t", "Aspirin on.", [])]
    curve = cd.learning_curve(lambda _: Once(), NOTES, test, sizes=[5, 10], progress=False)
    points = figures(curve=curve).curve
    assert [(point.documents, point.usd) for point in points] == [(5, pytest.approx(0.05)), (10, pytest.approx(0.1))]


def test_it_is_json_and_prints_a_table():
    found = figures(gold=NOTES)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["break_even_notes"] == {"big": found.systems[0].break_even_notes}
    assert told["usd_per_1k_notes"]["small"] == found.student.usd_per_1k_notes
    assert set(told["seconds_per_note"]) == {"big", "small"}
    assert "break-even" in str(found)
    assert "a processor" in str(found)


def test_a_student_is_timed_where_nobody_did():
    found = cd.economics(labels(), Student(), hardware=1.0)
    assert 0 < found.student.seconds_per_note < 1
    with pytest.raises(ConfigError, match="no labelled notes"):
        cd.economics(Labels([], ["big"], lambda *_: {}), Student())
