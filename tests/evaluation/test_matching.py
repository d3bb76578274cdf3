import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from clinidistill.evaluation.matching import count_overlap_matches

extents = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)).map(lambda pair: (pair[0], sum(pair))), max_size=9)


@settings(max_examples=60, deadline=None)
@given(extents, extents)
def test_matches_are_as_many_as_in_scipys_maximum_bipartite_matching(gold, predicted):
    overlaps = [[int(a < d and c < b) for c, d in predicted] for a, b in gold]
    graph = csr_array(np.array(overlaps, dtype=int).reshape(len(gold), len(predicted)))
    oracle = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum()) if gold and predicted else 0
    assert count_overlap_matches(gold, predicted) == oracle


@pytest.mark.parametrize(
    ("gold", "predicted", "matches"),
    [
        ([], [(0, 1)], 0),
        ([(0, 5)], [(5, 9)], 0),  # touching
        ([(0, 5)], [(4, 9)], 1),
        ([(0, 10), (5, 8)], [(0, 6), (9, 10)], 2),  # the inner one must leave the last to the outer one
        ([(0, 10), (0, 2)], [(0, 10), (8, 10)], 2),  # identical extents need not be each other's match
        ([(0, 3), (3, 6), (6, 9)], [(2, 7)], 1),
    ],
)
def test_worked_examples(gold, predicted, matches):
    assert count_overlap_matches(gold, predicted) == count_overlap_matches(predicted, gold) == matches
