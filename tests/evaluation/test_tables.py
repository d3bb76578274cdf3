import random

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from clinidistill import Document, Span
from clinidistill.errors import ConfigError
from clinidistill.evaluation.counting import mention_counts
from clinidistill.evaluation.tables import SpanTable, overlapping_pairs

LABELS = ("a", "b")


def some_spans(draw, most=12):
    """Mentions that nest, cross and repeat, some of them thick enough to need more than peeling of leaves."""
    starts = [draw.randrange(30) for _ in range(draw.randrange(most))]
    return [Span(start, start + draw.randint(1, 12), draw.choice("ab")) for start in starts]


def some_notes(seed, documents=40):
    draw = random.Random(seed)
    return [[Document(f"n{n}", "w" * 50, some_spans(draw)) for n in range(documents)] for _ in range(2)]


def most_pairs(one, other):
    """scipy's maximum bipartite matching of the overlaps of two sets of spans."""
    if not one or not other:
        return 0
    graph = csr_array(np.array([[int(a.overlaps(b)) for b in other] for a in one]))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


@pytest.mark.parametrize("seed", range(4))
def test_counts_equal_sets_and_scipys_matching_in_every_document_and_label(seed):
    gold, predicted = some_notes(seed)
    counts = mention_counts(SpanTable.of(gold, LABELS), SpanTable.of(predicted, LABELS))
    assert counts.shape == (40, 2, 2, 3)
    for n, label in np.ndindex(40, 2):
        one, other = ({s for s in side[n].spans if s.label == LABELS[label]} for side in (gold, predicted))
        for scheme, matched in enumerate((len(one & other), most_pairs(list(one), list(other)))):
            assert counts[n, label, scheme].tolist() == [matched, len(other) - matched, len(one) - matched]


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_all_that_overlap_each_once(seed):
    gold, predicted = (SpanTable.of(side, LABELS) for side in some_notes(seed, documents=10))
    pairs = sorted(zip(*(rows.tolist() for rows in overlapping_pairs(gold, predicted)), strict=True))
    assert pairs == [
        (i, j)
        for i in range(len(gold))
        for j in range(len(predicted))
        if gold.document[i] == predicted.document[j]
        and gold.start[i] < predicted.end[j]
        and predicted.start[j] < gold.end[i]
    ]


def test_tables_of_bare_arrays_in_any_order_are_those_of_documents():
    gold, _ = some_notes(5)
    rows = [(n, s.start, s.end, LABELS.index(s.label)) for n, note in enumerate(gold) for s in note.spans]
    random.Random(0).shuffle(rows)
    bare, table = SpanTable(*zip(*rows, strict=True), documents=40, labels=LABELS), SpanTable.of(gold, LABELS)
    for column in ("document", "start", "end", "label"):
        assert (getattr(bare, column) == getattr(table, column)).all()
    assert len(table) == sum(len(set(note.spans)) for note in gold)


def test_labels_that_were_not_looked_for_and_others_are_left_out():
    gold = [Document("n1", "w" * 9, [Span(0, 1, "a")], {"a"}), Document("n2", "w" * 9, [Span(1, 2, "b")])]
    found = [note.with_spans([Span(3, 4, "a"), Span(5, 6, "b"), Span(7, 8, "c")]) for note in gold]
    table = SpanTable.of(found, LABELS, gold=gold)
    assert list(zip(table.document.tolist(), table.label.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1)]
    assert len(SpanTable.of(found, LABELS)) == 4


def test_nothing_on_a_side_is_no_error():
    gold, _ = some_notes(6, documents=3)
    nothing = SpanTable([], [], [], [], documents=3, labels=LABELS)
    missed = mention_counts(SpanTable.of(gold, LABELS), nothing)
    assert missed[..., 0, 2].sum() == sum(len(set(note.spans)) for note in gold)
    assert not missed[..., :2].any()
    assert mention_counts(nothing, nothing).shape == (3, 2, 2, 3)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0], [1, 2], [3, 4], [0, 0]), "arrays of one length"),
        (([3], [1], [2], [0]), "3 documents numbers them from 0 to 2"),
        (([0], [1], [2], [-1]), "2 labels numbers them from 0 to 1"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, message):
    with pytest.raises(ConfigError, match=message):
        SpanTable(*columns, documents=3, labels=LABELS)
