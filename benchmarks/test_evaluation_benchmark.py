"""Scoring 10,000 documents of 200 tokens and six mentions: clinidistill against nervaluate, in one process.

Ours counts seven schemes, with and without 1,000 bootstrap resamples; nervaluate counts strict, exact, partial and
entity type. Turning documents into nervaluate's dictionaries is not timed; reading ours is.
"""

import random
from time import perf_counter

import numpy as np
import pytest
from nervaluate import Evaluator

import clinidistill as cd
from clinidistill import Document, Span
from clinidistill.evaluation.counting import mention_counts
from clinidistill.evaluation.tables import SpanTable

LABELS = ("disease", "medication", "symptom")


@pytest.fixture(scope="module")
def notes():
    """Gold and predicted notes of flat mentions; a predicted one is right, shifted or mislabelled."""
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 9))) for _ in range(5000)]
    gold, predicted = [], []
    for n in range(10_000):
        words = draw.choices(vocabulary, k=200)
        starts = np.cumsum([0, *(len(word) + 1 for word in words)]).tolist()
        wanted, found = [], []
        for k in range(0, 180, 33):
            first, last = k + draw.randrange(5), k + 5 + draw.randrange(5)
            span = Span(starts[first], starts[last] - 1, draw.choice(LABELS))
            shifted = Span(starts[first + 1], starts[last + 1] - 1, span.label)
            wanted.append(span)
            found.append(draw.choice([span, span, shifted, Span(span.start, span.end, draw.choice(LABELS))]))
        gold.append(Document(f"n{n:05}", " ".join(words), wanted))
        predicted.append(gold[-1].with_spans(found))
    return gold, predicted


@pytest.fixture(scope="module")
def peer(notes):
    """Seconds that nervaluate takes, the better of two runs, and its strict F1."""
    sides = [
        [[{"label": s.label, "start": s.start, "end": s.end - 1} for s in d.spans] for d in side] for side in notes
    ]
    seconds = []
    for _ in range(2):
        started = perf_counter()
        theirs = Evaluator(*sides, tags=list(LABELS), loader="dict").evaluate()
        seconds.append(perf_counter() - started)
    return min(seconds), theirs["overall"]["strict"].f1


@pytest.mark.parametrize("resamples", [0, 1000])
def test_evaluate_against_nervaluate(benchmark, notes, peer, capsys, resamples):
    scores = benchmark.pedantic(cd.evaluate, notes, {"bootstrap": resamples}, rounds=5, warmup_rounds=1)
    ours, (seconds, f1) = benchmark.stats.stats.min, peer
    assert scores.strict.micro.f1 == pytest.approx(f1)
    benchmark.extra_info["nervaluate_seconds"] = seconds
    with capsys.disabled():
        print(
            f"\nevaluate, 10,000 documents of 6 mentions, {resamples} resamples: clinidistill {ours:.3f} s, "
            f"nervaluate, without intervals, {seconds:.3f} s, {seconds / ours:.1f} times as fast"
        )


def test_ten_thousand_resamples_and_shuffles_of_two_systems(benchmark, notes):
    gold, predicted = notes
    weaker = [note.with_spans(note.spans[: 5 if n % 20 else 6]) for n, note in enumerate(predicted)]
    result = benchmark.pedantic(cd.compare, (gold, predicted, weaker), rounds=1)
    assert result.interval[0] < result.difference < result.interval[1]


def test_mention_counts_of_two_thousand_documents_of_twenty_mentions(benchmark):
    random = np.random.default_rng(0)
    document = np.repeat(np.arange(2000), 20)
    start = np.tile(np.arange(20) * 250, 2000) + random.integers(200, size=40_000)
    end, label = start + random.integers(3, 25, size=40_000), random.integers(3, size=40_000)
    kept = random.random(40_000) < 0.9
    moved = start + (random.random(40_000) < 0.2) * 2
    gold = SpanTable(document, start, end, label, documents=2000, labels=LABELS)
    found = SpanTable(document[kept], moved[kept], end[kept], label[kept], documents=2000, labels=LABELS)
    counts = benchmark(mention_counts, gold, found)
    assert counts[..., 1, 0].sum() == len(found)
