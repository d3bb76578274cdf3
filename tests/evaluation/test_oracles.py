"""Scores against other people's code: seqeval, nervaluate, scikit-learn."""

import random
import re

import pytest
from nervaluate import Evaluator
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from sklearn.metrics import precision_recall_fscore_support

import clinidistill as cd
from clinidistill import Document, Span

LABELS = ("disease", "drug", "symptom")
SEEDS = range(8)


def tags(draw, length):
    """A random sequence of valid IOB2 tags."""
    out = []
    while len(out) < length:
        if draw.random() < 0.6:
            out.append("O")
            continue
        label, size = draw.choice(LABELS), draw.randint(1, 4)
        out += [f"B-{label}", *[f"I-{label}"] * (size - 1)]
    return out[:length]


def spans_of(sequence):
    """Spans of IOB2 tags over the text ``"w w w ..."``, in which token n is at ``[2n, 2n + 1)``."""
    spans, begun = [], None
    for n, tag in enumerate([*sequence, "O"]):
        if begun is not None and not tag.startswith("I-"):
            spans.append(Span(2 * begun, 2 * n - 1, sequence[begun][2:]))
            begun = None
        if tag.startswith("B-"):
            begun = n
    return spans


def tagged_notes(seed, documents=15):
    """Random gold and predicted tags, the predicted ones half copied from gold, and both as documents."""
    draw = random.Random(seed)
    gold, predicted = [], []
    for _ in range(documents):
        length = draw.randint(1, 30)
        one, other = tags(draw, length), tags(draw, length)
        gold.append(one)
        predicted.append(one if draw.random() < 0.4 else other)
    notes = [Document(f"n{n}", " ".join("w" * len(one))) for n, one in enumerate(gold)]
    return (gold, predicted), [
        [note.with_spans(spans_of(one)) for note, one in zip(notes, side, strict=True)] for side in (gold, predicted)
    ]


def flat_notes(seed, documents=10):
    """Gold and predicted spans that do not overlap on their own side, at any place."""
    draw = random.Random(seed)

    def spans():
        at, out = draw.randrange(8), []
        while at < 80:
            end = at + draw.randint(1, 12)
            out.append(Span(at, end, draw.choice(LABELS)))
            at = end + draw.randrange(10)
        return out

    notes = [Document(f"n{n}", "lorem ipsum " * 8) for n in range(documents)]
    return [note.with_spans(spans()) for note in notes], [note.with_spans(spans()) for note in notes]


def slotted_notes(seed, documents=10):
    """Flat notes in which a gold span overlaps at most one predicted span, and the other way round."""
    draw = random.Random(seed)

    def spans():
        out = []
        for slot in range(0, 90, 10):
            if draw.random() < 0.8:
                start = slot + draw.randrange(9)
                out.append(Span(start, draw.randint(start + 1, slot + 10), draw.choice(LABELS)))
        return out

    notes = [Document(f"n{n}", "lorem ipsum " * 8) for n in range(documents)]
    return [note.with_spans(spans()) for note in notes], [note.with_spans(spans()) for note in notes]


def nervaluate(gold, predicted):
    """nervaluate's results; its ends are inclusive."""
    sides = [
        [[{"label": s.label, "start": s.start, "end": s.end - 1} for s in document.spans] for document in side]
        for side in (gold, predicted)
    ]
    return Evaluator(*sides, tags=list(LABELS), loader="dict").evaluate()


@pytest.mark.parametrize("seed", SEEDS)
def test_strict_scores_equal_seqevals(seed):
    sequences, notes = tagged_notes(seed)
    strict = cd.evaluate(*notes).strict
    report = classification_report(*sequences, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    rows = {**strict.per_label, "micro avg": strict.micro, "macro avg": strict.macro}
    assert rows.keys() == report.keys() - {"weighted avg"}
    for name, metrics in rows.items():
        expected = [report[name][field] for field in ("precision", "recall", "f1-score")]
        assert [metrics.precision, metrics.recall, metrics.f1] == pytest.approx(expected, abs=1e-12)
        if name != "macro avg":
            assert metrics.support == report[name]["support"]


@pytest.mark.parametrize("seed", SEEDS)
def test_strict_scores_equal_nervaluates_where_no_side_overlaps_itself(seed):
    gold, predicted = flat_notes(seed)
    strict, theirs = cd.evaluate(gold, predicted).strict, nervaluate(gold, predicted)
    for label, metrics in strict.per_label.items():
        same(metrics, theirs["entities"][label]["strict"])
    same(strict.micro, theirs["overall"]["strict"])


# The two part where a span overlaps several: nervaluate pairs greedily in the order in which predictions come, and lets
# a prediction with the wrong label use up a gold span; ours is the largest one-to-one matching within each label.
@pytest.mark.parametrize("seed", SEEDS)
def test_lenient_scores_equal_nervaluates_ent_type_where_overlaps_are_one_to_one(seed):
    gold, predicted = slotted_notes(seed)
    lenient, theirs = cd.evaluate(gold, predicted).lenient, nervaluate(gold, predicted)
    assert lenient.micro.tp
    for label, metrics in lenient.per_label.items():
        same(metrics, theirs["entities"][label]["ent_type"])
    same(lenient.micro, theirs["overall"]["ent_type"])


@pytest.mark.parametrize("seed", SEEDS)
def test_lenient_finds_at_least_as_many_matches_as_nervaluate(seed):
    gold, predicted = flat_notes(seed)
    lenient, theirs = cd.evaluate(gold, predicted).lenient, nervaluate(gold, predicted)
    for label, metrics in lenient.per_label.items():
        assert metrics.tp >= theirs["entities"][label]["ent_type"].correct


def test_lenient_does_not_depend_on_the_order_of_predictions_as_nervaluate_does():
    note = Document("n1", "w" * 20)
    gold = [note.with_spans([Span(0, 6, "drug"), Span(6, 12, "drug")])]
    predicted = [{"label": "drug", "start": 4, "end": 6}, {"label": "drug", "start": 0, "end": 5}]  # ends inclusive
    truth = [[{"label": "drug", "start": s.start, "end": s.end - 1} for s in gold[0].spans]]
    greedy = [
        Evaluator(truth, [order], tags=["drug"], loader="dict").evaluate()["overall"]["ent_type"].correct
        for order in (predicted, predicted[::-1])
    ]
    assert greedy == [1, 2]
    found = [note.with_spans([Span(4, 7, "drug"), Span(0, 6, "drug")])]
    assert cd.evaluate(gold, found).lenient.micro.tp == 2


@pytest.mark.parametrize("make", [lambda seed: tagged_notes(seed)[1], flat_notes, slotted_notes])
@pytest.mark.parametrize("seed", SEEDS)
def test_token_scores_equal_scikit_learns_over_an_indicator_for_each_token_and_label(make, seed):
    gold, predicted = make(seed)
    indicators = []
    for side in (gold, predicted):
        indicators.append([])
        for document in side:
            for token in re.finditer(r"\w+|[^\w\s]", document.text):
                covering = {s.label for s in document.spans if s.start < token.end() and token.start() < s.end}
                indicators[-1].append([int(label in covering) for label in LABELS])
    scores = cd.evaluate(gold, predicted).token
    each = precision_recall_fscore_support(*indicators, average=None, zero_division=0)
    for n, label in enumerate(LABELS):
        metrics = scores.per_label[label]
        assert (metrics.precision, metrics.recall, metrics.f1) == pytest.approx(tuple(each[k][n] for k in range(3)))
        assert metrics.support == each[3][n]
    for average in ("micro", "macro"):
        metrics = getattr(scores, average)
        expected = precision_recall_fscore_support(*indicators, average=average, zero_division=0)[:3]
        assert (metrics.precision, metrics.recall, metrics.f1) == pytest.approx(expected)


def same(ours, theirs):
    assert (ours.tp, ours.tp + ours.fp, ours.support) == (theirs.correct, theirs.actual, theirs.possible)
    assert (ours.precision, ours.recall, ours.f1) == pytest.approx((theirs.precision, theirs.recall, theirs.f1))
