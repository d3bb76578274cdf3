import numpy as np
import pytest
from opinions import DISEASE, DRUG, labels_of, said, scored
from simulated_teachers import DRUGS, PARTIAL, UNEQUAL, Quality, labelled_by, notes, strict_f1

from clinidistill.aggregation import load_aggregator
from clinidistill.aggregation.dawid_skene import DawidSkene, dawid_skene
from clinidistill.aggregation.majority import Majority
from clinidistill.aggregation.mentions import ABSTAINS
from clinidistill.errors import OptionError
from clinidistill.types import Document

pytestmark = pytest.mark.filterwarnings(
    "ignore:The inplace keyword", "ignore:The copy keyword"
)  # crowd-kit's, of pandas


def simulated_votes(seed, items, teachers, classes, missing):
    """Votes of teachers that are right with probabilities of their own, and the truth."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, classes, items)
    skill = draw.uniform(0.4, 0.95, teachers)
    votes = np.where(
        draw.random((items, teachers)) < skill, truth[:, None], draw.integers(0, classes, (items, teachers))
    )
    votes[draw.random(votes.shape) < missing] = ABSTAINS
    votes[:, 0] = np.where((votes < 0).all(axis=1), truth, votes[:, 0])  # crowd-kit knows only items with a vote
    return votes, truth, skill


@pytest.mark.parametrize(("classes", "teachers", "missing"), [(2, 5, 0.0), (4, 7, 0.0), (3, 8, 0.4), (2, 12, 0.7)])
def test_posteriors_are_crowd_kits(classes, teachers, missing):
    pandas, aggregation = pytest.importorskip("pandas"), pytest.importorskip("crowdkit.aggregation")
    votes, _, _ = simulated_votes(classes, 300, teachers, classes, missing)
    item, teacher = np.nonzero(votes >= 0)
    table = pandas.DataFrame({"task": item, "worker": teacher, "label": votes[item, teacher]})
    theirs = aggregation.DawidSkene(n_iter=30, tol=-1).fit_predict_proba(table).sort_index()[list(range(classes))]
    model = dawid_skene(votes, classes, prior=1e-10, iterations=30, tolerance=-1)
    posterior, _ = model.posterior(votes)
    np.testing.assert_allclose(posterior, theirs, atol=1e-3)


def test_confusions_come_near_the_truth():
    votes, truth, skill = simulated_votes(0, 4000, 8, 3, 0.2)
    model = dawid_skene(votes, 3)
    right = np.diagonal(model.confusion, axis1=1, axis2=2).mean(axis=1)
    np.testing.assert_allclose(right, skill + (1 - skill) / 3, atol=0.05)
    assert (model.posterior(votes)[0].argmax(axis=1) == truth).mean() > 0.9


def test_equal_items_can_be_given_once_with_a_weight():
    votes, _, _ = simulated_votes(1, 400, 4, 3, 0.3)
    kinds, count = np.unique(votes, axis=0, return_counts=True)
    one, other = dawid_skene(votes, 3), dawid_skene(kinds, 3, weights=count.astype(float))
    np.testing.assert_allclose(one.confusion, other.confusion, atol=1e-9)
    np.testing.assert_allclose(one.prior, other.prior, atol=1e-9)


def test_known_classes_teach_what_votes_alone_cannot():
    """Two teachers of three are wrong in the same way: only people can tell."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 400)
    votes = np.stack([truth, 1 - truth, 1 - truth], axis=1)
    known = np.where(np.arange(400) < 40, truth, ABSTAINS)
    blind, told = dawid_skene(votes, 2), dawid_skene(votes, 2, known=known, weights=np.where(known < 0, 1.0, 50.0))
    assert (blind.posterior(votes)[0].argmax(axis=1) == truth).mean() < 0.1
    assert (told.posterior(votes)[0].argmax(axis=1) == truth).mean() > 0.9


def test_a_teacher_that_cannot_tell_a_class_says_nothing_about_it():
    votes, knows = np.array([[1, 0], [1, 0]]), np.ones((2, 2, 2), dtype=bool)
    knows[1, 1, 1] = False
    model = dawid_skene(np.array([[1, 1]] * 20 + [[0, 0]] * 20 + [[1, 0]] * 5), 2, prior=0.5)
    posterior, _ = model.posterior(votes, knows)
    alone, _ = model.posterior(np.array([[1, ABSTAINS]]))
    assert posterior[1, 1] > posterior[0, 1]
    assert posterior[1, 1] == pytest.approx(alone[0, 1])


def test_only_labels_that_someone_voted_for_are_possible():
    votes, _, _ = simulated_votes(2, 100, 3, 4, 0.3)
    posterior, _ = dawid_skene(votes, 4, voted_only=True).posterior(votes, voted_only=True)
    unvoted = ~(votes[:, :, None] == np.arange(4)).any(axis=1)
    unvoted[:, 0] = False
    assert (posterior[unvoted] == 0).all()
    np.testing.assert_allclose(posterior.sum(axis=1), 1)


@pytest.mark.parametrize("teachers", [UNEQUAL, PARTIAL], ids=["unequal", "partial"])
def test_it_beats_the_majority_of_unequal_and_of_partial_teachers(teachers):
    gold = notes(150)
    labels = labelled_by(gold, teachers)
    ours, theirs = (strict_f1(gold, a.fit(labels).combine(labels)) for a in (DawidSkene(), Majority()))
    assert ours > theirs + 0.05


@pytest.mark.parametrize("seed", range(3))
def test_teachers_of_other_labels_do_not_drag_a_label_down(seed):
    """Three teachers know drugs, six others do not: the six have no say about them."""
    gold = notes(100, seed)
    some = {f"drugs {recall}": Quality(recall, 0.5, covers=(DRUGS,)) for recall in (0.9, 0.7, 0.5)}
    others = {f"other {n}": Quality(0.7, covers=("disease", "symptom")) for n in range(6)}
    labels = labelled_by(gold, some | others, seed)

    def drugs(documents):
        return [document.with_spans([span for span in document.spans if span.label == DRUGS]) for document in documents]

    ours, theirs = (strict_f1(drugs(gold), drugs(a.fit(labels).combine(labels))) for a in (DawidSkene(), Majority()))
    assert ours >= theirs
    assert ours > 0.75


def test_documents_that_people_labelled_help():
    gold = notes(150)
    labels, (dev, rest) = labelled_by(gold, UNEQUAL), (gold[:75], gold[75:])
    blind, told = (strict_f1(rest, DawidSkene().fit(labels, each).combine(labels)) for each in (None, dev))
    assert told > blind


def test_a_teacher_that_none_of_five_agrees_with_is_not_believed():
    documents = [Document(f"n{n}", "On metformin for diabetes.") for n in range(30)]
    lonely = [said("c", DISEASE, document=each.id) for each in documents]
    agreed = [said(name, DRUG, document=each.id) for each in documents for name in "abdef"]
    labels = labels_of(*lonely, *agreed, notes=documents)
    assert set(scored(DawidSkene().fit(labels).combine(labels))["n0"]) == {DRUG}


@pytest.mark.parametrize(
    "options", [{"threshold": 1}, {"threshold": -0.1}, {"dev_weight": 0}, {"dev_weight": float("nan")}]
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(OptionError, match=f"dawid-skene: {next(iter(options))} .* must be at least"):
        load_aggregator("dawid-skene", **options)
