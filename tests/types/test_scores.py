import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinidistill.types import Metrics, SchemeScores, Scores

COUNTS = st.integers(0, 1000)


@given(COUNTS, COUNTS, COUNTS)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(tp, fp, fn):
    metrics = Metrics.from_counts(tp, fp, fn)
    total = metrics.precision + metrics.recall
    assert metrics.f1 == pytest.approx(2 * metrics.precision * metrics.recall / total if total else 0.0)
    assert metrics.precision * (tp + fp) == pytest.approx(tp)
    assert metrics.recall * metrics.support == pytest.approx(tp)


def test_nothing_predicted_and_nothing_to_find_are_zero_not_an_error():
    assert Metrics.from_counts(0, 0, 0).to_dict() == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "tp": 0,
        "fp": 0,
        "fn": 0,
        "support": 0,
    }


@pytest.fixture
def scores() -> Scores:
    drug, disease = Metrics.from_counts(3, 1, 2, (0.25, 0.75)), Metrics.from_counts(1, 0, 0)
    scheme = SchemeScores(Metrics.from_counts(4, 1, 2), Metrics(0.875, 0.8, 5 / 6), {"drug": drug, "disease": disease})
    return Scores(scheme, scheme, scheme, documents=7)


def test_the_json_form_holds_every_scheme_and_label(scores):
    data = json.loads(json.dumps(scores.to_dict()))
    assert set(data) == {"strict", "lenient", "token", "documents"}
    assert data["documents"] == 7
    assert data["token"]["per_label"]["drug"]["f1_interval"] == [0.25, 0.75]
    assert data["strict"]["per_label"]["drug"]["support"] == 5
    assert data["lenient"]["macro"]["precision"] == 0.875


def test_printed_scores_are_a_table_with_a_row_for_each_label(scores):
    rows = [line.split() for line in str(scores).splitlines()]
    assert ["disease", *["1.000"] * 9, "1"] in rows
    assert ["drug", *["0.750", "0.600", "0.667"] * 3, "5"] in rows
    assert ["micro", *["0.800", "0.667", "0.727"] * 3, "6"] in rows
    assert ["macro", *["0.875", "0.800", "0.833"] * 3] in rows


def test_scores_are_hashable(scores):
    assert hash(scores) == hash(scores)


def test_scores_survive_json(scores):
    assert Scores.from_dict(json.loads(json.dumps(scores.to_dict()))) == scores


def test_scores_written_before_a_scheme_existed_are_read_without_it(scores):
    old = Scores.from_dict(scores.to_dict())
    assert (old.type, old.boundary, old.partial, old.unique) == (None,) * 4
    assert set(old.to_dict()) == {"strict", "lenient", "token", "documents"}


def test_half_counts_survive_json(scores):
    halves = Metrics.from_counts(1.5, 0.5, 1.5)
    assert halves.support == 3
    with_partial = replace(scores, partial=SchemeScores(halves, halves, {"drug": halves}))
    assert Scores.from_dict(json.loads(json.dumps(with_partial.to_dict()))) == with_partial
