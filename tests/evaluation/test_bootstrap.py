import random
from dataclasses import replace

import numpy as np
import pytest

import clinidistill as cd
from clinidistill import Document, Span
from clinidistill.evaluation import bootstrap
from clinidistill.evaluation.bootstrap import draw_weights
from clinidistill.types import SCHEMES

ROWS = ("micro", "macro")


def notes(documents, seed=0, recall=0.7):
    """Notes of ten words; each of the first five is marked by gold, and found with a chance of `recall`."""
    draw = random.Random(seed)
    gold, predicted = [], []
    for n in range(documents):
        spans = [Span(2 * k, 2 * k + 1, draw.choice("ab")) for k in range(5)]
        gold.append(Document(f"n{n:04}", "a b c d e f g h i j ", spans))
        found = [s if draw.random() < recall else Span(s.start + 10, s.end + 10, s.label) for s in spans]
        predicted.append(gold[-1].with_spans(found))
    return gold, predicted


def intervals(scores):
    for name in SCHEMES:
        scheme = getattr(scores, name)
        for metrics in (scheme.micro, scheme.macro, *scheme.per_label.values()):
            yield metrics.f1, metrics.f1_interval


def test_without_bootstrap_there_are_no_intervals():
    assert all(interval is None for _, interval in intervals(cd.evaluate(*notes(5))))


def test_an_interval_contains_its_point_estimate():
    for f1, (low, high) in intervals(cd.evaluate(*notes(40), bootstrap=300)):
        assert 0 < low < f1 < high < 1


def test_a_seed_fixes_the_intervals_and_another_gives_others():
    gold, predicted = notes(20)
    assert cd.evaluate(gold, predicted, bootstrap=100) == cd.evaluate(gold, predicted, bootstrap=100, seed=0)
    assert cd.evaluate(gold, predicted, bootstrap=100) != cd.evaluate(gold, predicted, bootstrap=100, seed=1)


def test_more_documents_narrow_the_interval_as_the_square_root():
    widths = []
    for documents in (40, 640):
        low, high = cd.evaluate(*notes(documents), bootstrap=400).strict.micro.f1_interval
        widths.append(high - low)
    assert 2.5 < widths[0] / widths[1] < 6.5  # sixteen times the documents: about a quarter of the width


def test_a_lower_confidence_narrows_the_interval():
    wide, narrow = (
        cd.evaluate(*notes(30), bootstrap=300, confidence=level).strict.micro.f1_interval for level in (0.95, 0.5)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_intervals_equal_those_of_resampling_the_documents_in_a_loop():
    gold, predicted = notes(6, recall=0.5)
    gold[0] = gold[0].with_spans([Span(0, 1, "rare")])  # absent from many resamples
    predicted[0] = gold[0].with_spans([Span(0, 3, "rare")])
    gold[1], predicted[1] = gold[1].without_spans(), predicted[1].without_spans()
    scores = cd.evaluate(gold, predicted, bootstrap=60, seed=5)

    seen = {}
    for weights in np.concatenate(list(draw_weights(6, 60, seed=5))):
        drawn = [n for n, weight in enumerate(weights) for _ in range(int(weight))]
        sides = [[replace(side[n], id=str(k)) for k, n in enumerate(drawn)] for side in (gold, predicted)]
        resampled = cd.evaluate(*sides)
        for name in SCHEMES:
            scheme = getattr(resampled, name)
            for row, metrics in [("micro", scheme.micro), ("macro", scheme.macro), *scheme.per_label.items()]:
                seen.setdefault((name, row), []).append(metrics.f1)

    assert len(seen) == len(SCHEMES) * 5
    assert len(seen["strict", "rare"]) < 60
    for (name, row), values in seen.items():
        scheme = getattr(scores, name)
        metrics = getattr(scheme, row) if row in ROWS else scheme.per_label[row]
        assert metrics.f1_interval == pytest.approx(tuple(np.quantile(values, (0.025, 0.975))), abs=1e-12)


def test_intervals_cover_the_true_f1_about_as_often_as_they_claim():
    # Each mention is found with a chance of 0.7 or replaced by a wrong one, so the true strict micro F1 is 0.7.
    covered = 0
    for seed in range(60):
        low, high = cd.evaluate(*notes(50, seed=seed), bootstrap=200, confidence=0.9).strict.micro.f1_interval
        covered += low <= 0.7 <= high
    assert 45 <= covered <= 60


def test_each_resample_draws_as_many_documents_as_there_are_uniformly(monkeypatch):
    monkeypatch.setattr(bootstrap, "BLOCK", 1000)  # 100 resamples a block
    blocks = list(draw_weights(10, 1050, seed=0))
    assert [len(block) for block in blocks] == [100] * 10 + [50]
    weights = np.concatenate(blocks)
    assert (weights.sum(axis=1) == 10).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.15)  # multinomial: mean 1, variance 0.9
    assert weights.var() == pytest.approx(0.9, abs=0.1)
    assert len(np.unique(weights, axis=0)) > 1000
