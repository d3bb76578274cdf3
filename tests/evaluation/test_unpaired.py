import numpy as np
import pytest

from clinidistill.errors import ConfigError
from clinidistill.evaluation import compare_unpaired
from clinidistill.evaluation.multiplicity import holm
from clinidistill.types import Document, Span

SPAN = Span(3, 12, "medication")


def side(letter, found, missed):
    """Gold documents of a name, and a system that finds the mention in so many of them."""
    gold = [Document(f"{letter}{n}", "On metformin.", [SPAN]) for n in range(found + missed)]
    return gold, [note if n < found else note.without_spans() for n, note in enumerate(gold)]


def test_the_interval_is_that_of_two_independent_bootstraps():
    found = compare_unpaired(side("a", 60, 20), side("b", 30, 30), resamples=4000)
    random = np.random.default_rng(7)

    def f1(hits, notes):
        share = random.binomial(notes, hits / notes, 200_000) / notes
        return 2 * share / (1 + share)

    low, high = np.quantile(f1(60, 80) - f1(30, 60), (0.025, 0.975))
    assert found.interval == pytest.approx((low, high), abs=0.02)
    assert found.difference == pytest.approx(2 * 0.75 / 1.75 - 2 * 0.5 / 1.5)
    assert (found.paired, found.documents) == (False, 80)


def test_alike_systems_do_not_differ_and_unlike_ones_do():
    assert compare_unpaired(side("a", 40, 20), side("b", 40, 20), resamples=2000).p > 0.5
    assert compare_unpaired(side("a", 58, 2), side("b", 20, 40), resamples=2000).p < 0.002


def test_both_sides_need_documents():
    with pytest.raises(ConfigError, match="no documents"):
        compare_unpaired(side("a", 1, 1), ([], []))


def test_holm_adjusts_as_a_worked_example_says():
    # https://en.wikipedia.org/wiki/Holm–Bonferroni_method, "Example": .005 and .01 are rejected at .05, .03 and .04 not
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]
