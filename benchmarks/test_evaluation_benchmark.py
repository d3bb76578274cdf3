"""Scoring 1,000 documents of 20 mentions: clinidistill against nervaluate, in one process.

Ours counts strict, lenient and token; nervaluate counts strict, exact, partial and entity type. Turning documents into
nervaluate's dictionaries is not timed.
"""

import random
from time import perf_counter

import pytest
from nervaluate import Evaluator

import clinidistill as cd
from clinidistill import Document, Span

LABELS = ("disease", "medication", "symptom")


@pytest.fixture(scope="module")
def notes():
    """Gold and predicted notes of 300 words with 20 flat mentions; a predicted one is right, shifted or mislabelled."""
    draw = random.Random(0)
    gold, predicted = [], []
    for n in range(1000):
        words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 9))) for _ in range(300)]
        starts = [sum(len(word) + 1 for word in words[:k]) for k in range(len(words))]
        wanted, found = [], []
        for k in range(0, 300, 15):
            first, last = k + draw.randrange(5), k + 5 + draw.randrange(5)
            span = Span(starts[first], starts[last] - 1, draw.choice(LABELS))
            shifted = Span(starts[first + 1], starts[last + 1] - 1, span.label)
            wanted.append(span)
            found.append(draw.choice([span, span, shifted, Span(span.start, span.end, draw.choice(LABELS))]))
        gold.append(Document(f"n{n}", " ".join(words), wanted))
        predicted.append(gold[-1].with_spans(found))
    return gold, predicted


def test_evaluate_against_nervaluate(benchmark, notes, capsys):
    scores = benchmark.pedantic(cd.evaluate, notes, rounds=5, warmup_rounds=1)
    ours = benchmark.stats.stats.min
    sides = [
        [[{"label": s.label, "start": s.start, "end": s.end - 1} for s in d.spans] for d in side] for side in notes
    ]
    seconds = []
    for _ in range(2):
        started = perf_counter()
        theirs = Evaluator(*sides, tags=list(LABELS), loader="dict").evaluate()
        seconds.append(perf_counter() - started)
    assert scores.strict.micro.f1 == pytest.approx(theirs["overall"]["strict"].f1)
    benchmark.extra_info["nervaluate_seconds"] = min(seconds)
    with capsys.disabled():
        print(
            f"\nevaluate, 1,000 documents of 20 mentions: clinidistill {ours:.3f} s, nervaluate {min(seconds):.3f} s, "
            f"{min(seconds) / ours:.1f} times as fast"
        )


def test_a_thousand_bootstrap_resamples(benchmark, notes):
    scores = benchmark.pedantic(cd.evaluate, notes, {"bootstrap": 1000}, rounds=3, warmup_rounds=1)
    low, high = scores.strict.micro.f1_interval
    assert low < scores.strict.micro.f1 < high
