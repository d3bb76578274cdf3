import numpy as np
import pytest
from opinions import TEXT, said
from simulated_teachers import PARTIAL, UNEQUAL, labelled_by, notes, strict_f1

from clinidistill.aggregation import load_aggregator
from clinidistill.aggregation.contexts import Contexts
from clinidistill.aggregation.mentions import Candidates
from clinidistill.aggregation.stacked import logistic_regression
from clinidistill.labels import Opinions
from clinidistill.types import Document


@pytest.mark.parametrize("teachers", [UNEQUAL, PARTIAL], ids=["unequal", "partial"])
def test_it_beats_all_others_where_words_tell_mentions_apart(teachers):
    gold = notes(150)
    labels, (dev, rest) = labelled_by(gold, teachers), (gold[:75], gold[75:])
    found = {
        name: strict_f1(rest, load_aggregator(name).fit(labels, dev).combine(labels))
        for name in ("majority", "weighted", "dawid-skene", "hmm", "stacked")
    }
    assert max(found, key=found.get) == "stacked"


def test_few_documents_and_even_one_are_enough_to_learn_from():
    gold = notes(40)
    labels = labelled_by(gold, UNEQUAL)
    plain = strict_f1(gold[5:], load_aggregator("majority").combine(labels))
    few = strict_f1(gold[5:], load_aggregator("stacked").fit(labels, gold[:5]).combine(labels))
    one = strict_f1(gold[5:], load_aggregator("stacked").fit(labels, gold[:1]).combine(labels))
    assert few > plain
    assert one > 0.3


def test_the_logistic_regression_is_scikit_learns():
    linear = pytest.importorskip("sklearn.linear_model")
    draw = np.random.default_rng(0)
    features = draw.normal(size=(300, 4)) * [1, 5, 0.2, 1]
    truth = (draw.random(300) < 1 / (1 + np.exp(-features @ [1, -0.3, 2, 0]))).astype(float)
    theirs = linear.LogisticRegression(C=1 / 10, fit_intercept=False, tol=1e-10, max_iter=1000).fit(features, truth)
    np.testing.assert_allclose(logistic_regression(features, truth), theirs.coef_[0], atol=1e-4)


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_the_logistic_regression_of_one_class_or_of_nothing_is_finite(truth):
    assert np.isfinite(logistic_regression(np.ones((20, 2)), np.full(20, truth))).all()
    assert (logistic_regression(np.zeros((0, 3)), np.zeros(0)) == 0).all()


def candidates_of(*texts):
    """In each text the second word is marked by one teacher."""
    opinions = []
    for n, text in enumerate(texts):
        start = text.index(" ") + 1
        opinions.append(Opinions(Document(f"n{n}", text), {"a": said("a", (start, text.index(" ", start), "x"))}))
    return Candidates.of(opinions, ["a"])


def test_words_and_neighbours_of_true_mentions_speak_for_a_span():
    c = candidates_of(
        *["took aspirin daily", "the table near"] * 10, "the aspirin near", "took Aspirin daily", "the chair near"
    )
    contexts = Contexts()
    contexts.learn(c, np.arange(20), np.tile([1.0, 0.0], 10))
    mixed, true, false = contexts.evidence(c)[20:]
    assert true > mixed > false
    assert true > 0 > false


def test_the_evidence_of_a_span_leaves_its_own_document_out():
    c = candidates_of("took aspirin daily", "the table near", "a chair beside", "check ferritin again")
    evidence = Contexts().learn(c, np.arange(4), np.array([1.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(evidence, 0, atol=1e-9)  # no word occurs in another document


def test_nothing_to_learn_from_is_no_evidence():
    contexts, c = Contexts(), candidates_of(TEXT)
    contexts.learn(c, np.arange(0), np.zeros(0))
    assert contexts.evidence(c).tolist() == [0.0]
