"""Schemes across labels and of unique strings: worked examples, nervaluate, and what its users miss."""

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator

import clinidistill as cd
from clinidistill import Document, Metrics, Span
from clinidistill.evaluation.alignment import align
from clinidistill.evaluation.tokens import overlapped_tokens
from clinidistill.types import SCHEMES

LABELS = ("a", "b", "c")
TEXT = "lorem ipsum " * 8
THEIRS = {"strict": "strict", "type": "ent_type", "boundary": "exact", "partial": "partial"}


def note(*spans, id="n1", text=TEXT):
    return Document(id, text, [Span(*span) for span in spans])


def outcome(metrics):
    return metrics.tp, metrics.fp, metrics.fn


def random_notes(seed, documents=15):
    """Gold and predicted mentions that nest, cross and touch."""
    draw = random.Random(seed)

    def spans():
        starts = [draw.randrange(80) for _ in range(draw.randrange(12))]
        return [Span(start, start + draw.randint(1, 15), draw.choice(LABELS)) for start in starts]

    gold = [Document(f"n{n}", TEXT, spans()) for n in range(documents)]
    return gold, [one.with_spans(spans()) for one in gold]


def slotted_notes(seed, documents=30):
    """Flat notes in which a mention overlaps at most one of the other side, half of the time at the same offsets."""
    draw = random.Random(seed)
    gold, predicted = [], []
    for n in range(documents):
        sides = [], []
        for slot in range(0, 90, 10):
            start = slot + draw.randrange(9)
            place = start, draw.randint(start + 1, slot + 10)
            for spans in sides:
                if draw.random() < 0.8:
                    other = slot + draw.randrange(9)
                    at = place if draw.random() < 0.7 else (other, draw.randint(other + 1, slot + 10))
                    spans.append(Span(*at, draw.choice(LABELS)))
        gold.append(Document(f"n{n}", TEXT, sides[0]))
        predicted.append(Document(f"n{n}", TEXT, sides[1]))
    return gold, predicted


def nervaluate(gold, predicted):
    sides = [
        [[{"label": s.label, "start": s.start, "end": s.end - 1} for s in document.spans] for document in side]
        for side in (gold, predicted)
    ]
    return Evaluator(*sides, tags=list(LABELS), loader="dict").evaluate()


def test_the_four_schemes_of_semeval_on_a_worked_example():
    gold = note((0, 5, "a"), (10, 20, "a"), (30, 40, "b"), (50, 60, "b"), (70, 80, "a"))
    found = note((0, 5, "a"), (10, 20, "b"), (32, 40, "b"), (55, 65, "c"), (90, 95, "a"))
    scores = cd.evaluate([gold], [found])
    # equal; wrong label; wrong offsets; both wrong; one missed and one spurious
    assert outcome(scores.strict.micro) == (1, 4, 4)
    assert outcome(scores.type.micro) == (2, 3, 3)
    assert outcome(scores.boundary.micro) == (2, 3, 3)
    assert outcome(scores.partial.micro) == (3, 2, 2)


def test_a_label_row_counts_pairs_of_that_label_and_micro_those_across_labels_as_well():
    gold, found = note((0, 5, "a"), (10, 20, "a")), note((0, 5, "a"), (10, 20, "b"))
    boundary = cd.evaluate([gold], [found]).boundary
    assert {label: outcome(metrics) for label, metrics in boundary.per_label.items()} == {
        "a": (1, 0, 1),
        "b": (0, 1, 0),
    }
    assert outcome(boundary.micro) == (2, 0, 0)
    assert boundary.macro == Metrics(0.5, 0.25, 1 / 3)


def test_half_counts_are_kept_by_partial_alone():
    scores = cd.evaluate([note((0, 5, "a"))], [note((3, 9, "a"))])
    assert scores.partial.per_label["a"] == scores.partial.micro == Metrics(0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert scores.partial.micro.support == 1
    for name in set(SCHEMES) - {"partial"}:
        assert all(isinstance(number, int) for number in outcome(getattr(scores, name).micro))


def test_unique_strings_count_once_a_document_case_and_spacing_aside():
    text = "Chest pain. CHEST\n pain again, no chest  pain. Fever, Fieber."
    marks = {
        part: [(m.start(), m.end(), "a") for m in re.finditer(part, text, re.IGNORECASE)]
        for part in (r"chest\s+pain", "fever", "fieber")
    }
    gold = note(*marks[r"chest\s+pain"], *marks["fever"], text=text)
    found = note(marks[r"chest\s+pain"][1], *marks["fieber"], text=text)
    scores = cd.evaluate([gold, note(id="n2")], [found, note((0, 5, "a"), id="n2")])
    assert outcome(scores.unique.micro) == (1, 2, 1)
    assert outcome(scores.strict.micro) == (1, 2, 3)


def test_the_string_of_a_discontinuous_mention_leaves_out_its_gap():
    text = "low back pain, low pain"
    gold = Document("n1", text, [Span(0, 13, "a", fragments=((0, 3), (9, 13)))])
    assert cd.evaluate([gold], [gold.with_spans([Span(15, 23, "a")])]).unique.micro.f1 == 1


def test_equal_strings_of_different_labels_or_documents_are_different():
    gold = [note((0, 5, "a")), note(id="n2")]
    found = [note((0, 5, "b")), note((0, 5, "a"), id="n2")]
    assert outcome(cd.evaluate(gold, found).unique.micro) == (0, 2, 1)


def test_covers_holds_in_every_scheme():
    gold, found = random_notes(9)
    covered = [Document(one.id, one.text, one.spans, {"a", "c"}) for one in gold]
    without = [[one.with_spans(s for s in one.spans if s.label != "b") for one in side] for side in (gold, found)]
    assert cd.evaluate(covered, found) == cd.evaluate(*without) == cd.evaluate(gold, found, labels=["c", "a"])


@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_nervaluates_where_overlaps_are_one_to_one(seed):
    gold, found = slotted_notes(seed)
    scores, theirs = cd.evaluate(gold, found), nervaluate(gold, found)
    for name, their_name in THEIRS.items():
        scheme = getattr(scores, name)
        rows = [(scheme.micro, theirs["overall"][their_name])]
        rows += [(scheme.per_label[label], theirs["entities"][label][their_name]) for label in LABELS]
        for ours, other in rows:
            assert ours.tp
            assert (ours.tp, ours.tp + ours.fp) == (other.correct + other.partial / 2, other.actual)
            assert ours.support == other.possible
            assert (ours.precision, ours.recall, ours.f1) == pytest.approx((other.precision, other.recall, other.f1))


@pytest.mark.parametrize("seed", range(6))
def test_schemes_across_labels_count_the_pairs_that_align_finds(seed):
    gold, found = random_notes(seed)
    scores = cd.evaluate(gold, found)
    pairs = [
        pair for one, other in zip(gold, found, strict=True) for pair in align(one.spans, other.spans) if all(pair)
    ]
    placed = [(one, other) for one, other in pairs if one.key[:2] == other.key[:2]]
    same = [(one, other) for one, other in pairs if one.label == other.label]
    assert scores.type.micro.tp == len(same)
    assert scores.boundary.micro.tp == len(placed)
    assert scores.partial.micro.tp == (len(pairs) + len(placed)) / 2
    for label in LABELS:
        of_label = [pair for pair in same if pair[0].label == label]
        assert scores.type.per_label[label].tp == len(of_label)
        exact = [pair for pair in of_label if pair in placed]
        assert scores.boundary.per_label[label].tp == len(exact)
        assert scores.partial.per_label[label].tp == (len(of_label) + len(exact)) / 2


@pytest.mark.parametrize("seed", range(3))
def test_perfect_predictions_are_perfect_in_every_scheme_however_they_nest(seed):
    gold, _ = random_notes(seed)
    scores = cd.evaluate(gold, gold)
    assert all(getattr(scores, name).micro.f1 == getattr(scores, name).macro.f1 == 1 for name in SCHEMES)


@pytest.mark.parametrize("seed", range(3))
def test_no_scheme_depends_on_the_order_of_spans_documents_or_labels(seed):
    gold, found = random_notes(seed)
    renamed = {"a": "z", "b": "y", "c": "x"}
    turned = [
        [
            Document(d.id, d.text, [Span(s.start, s.end, renamed[s.label]) for s in reversed(d.spans)])
            for d in side[::-1]
        ]
        for side in (gold, found)
    ]
    one, other = cd.evaluate(gold, found), cd.evaluate(*turned)
    for name in SCHEMES:
        ours, theirs = getattr(one, name), getattr(other, name)
        if name in ("strict", "lenient", "token", "boundary", "unique"):
            assert ours.micro == theirs.micro
            assert {renamed[label]: metrics for label, metrics in ours.per_label.items()} == theirs.per_label
    shuffled = [one.with_spans(random.Random(seed).sample(one.spans, len(one.spans))) for one in found]
    assert cd.evaluate(gold[::-1], shuffled[::-1]) == cd.evaluate(gold, found)


# https://github.com/MantisAI/nervaluate/issues/40
def test_one_prediction_over_two_gold_mentions_gives_the_same_in_either_order_of_gold():
    for order in (1, -1):
        gold = note(*[(0, 13, "a"), (14, 18, "b")][::order])
        scores = cd.evaluate([gold], [note((0, 18, "a"))])
        assert outcome(scores.type.micro) == (1, 0, 1)
        assert outcome(scores.partial.micro) == (0.5, 0.5, 1.5)
        assert outcome(scores.boundary.micro) == outcome(scores.strict.micro) == (0, 1, 2)


# https://github.com/MantisAI/nervaluate/issues/29
def test_a_gold_mention_that_two_predictions_share_is_one_to_find():
    gold, found = note((1, 3, "a"), (3, 11, "a")), note((1, 3, "a"), (3, 6, "a"), (6, 11, "a"))
    scores = cd.evaluate([gold], [found])
    assert scores.boundary.micro.recall == scores.strict.micro.recall == 1 / 2
    assert scores.type.micro.recall == 1
    assert scores.partial.micro.recall == 3 / 4


# https://github.com/MantisAI/nervaluate/issues/57
def test_nested_mentions_and_two_labels_at_one_place_are_told_apart_in_every_scheme():
    text = "Joe Smith, president of the United States, went to Toronto, Canada."
    gold = note((0, 9, "person"), (0, 3, "first"), (4, 9, "last"), (28, 41, "place"), (28, 41, "country"), text=text)
    perfect = cd.evaluate([gold], [gold])
    assert all(getattr(perfect, name).micro.f1 == 1 for name in SCHEMES)
    for left_out in gold.spans:
        missing = cd.evaluate([gold], [gold.with_spans(span for span in gold.spans if span != left_out)])
        for name in set(SCHEMES) - {"token"}:
            scheme = getattr(missing, name)
            assert outcome(scheme.micro) == (4, 0, 1)
            assert [label for label, each in scheme.per_label.items() if each.fn] == [left_out.label]


# https://github.com/MantisAI/nervaluate/issues/84
def test_a_prediction_of_another_label_does_not_use_up_the_gold_mention():
    gold, found = note((0, 2, "a")), note((0, 3, "b"), (0, 3, "a"))
    scores = cd.evaluate([gold], [found])
    assert scores.type.per_label["a"] == cd.evaluate([gold], [found], labels=["a"]).type.per_label["a"]
    assert outcome(scores.type.per_label["a"]) == outcome(scores.lenient.per_label["a"]) == (1, 0, 0)
    assert outcome(scores.type.per_label["b"]) == (0, 1, 0)


@settings(max_examples=60, deadline=None)
@given(st.text("aB1_-. \n\u00e9\u4e2d\ud800\U0001f600", min_size=1, max_size=30), st.data())
def test_tokens_are_those_of_the_regular_expression(text, data):
    spans = []
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text) - 1))
        spans.append((start, data.draw(st.integers(start + 1, len(text)))))
    starts, ends = np.array(spans).T
    found = overlapped_tokens([text] * len(spans), starts, ends)
    tokens = [(m.start(), m.end()) for m in re.finditer(r"\w+|[^\w\s]", text)]
    expected = [(n, a) for n, (start, end) in enumerate(spans) for a, b in tokens if a < end and start < b]
    assert list(zip(*(numbers.tolist() for numbers in found), strict=True)) == expected
