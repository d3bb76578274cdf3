import numpy as np
import pytest
from opinions import DISEASE, DRUG, labels_of, said, scored
from simulated_teachers import LABELS, UNEQUAL, Quality, labelled_by, notes, strict_f1

from clinidistill.aggregation.majority import Majority
from clinidistill.aggregation.weighted import Weighted
from clinidistill.types import Document, Span


def test_weights_follow_what_teachers_are_worth_and_beat_a_plain_majority():
    gold = notes(150)
    labels, (dev, rest) = labelled_by(gold, UNEQUAL), (gold[:75], gold[75:])
    model = Weighted().fit(labels, dev)
    means = dict(zip(labels.teachers, model.weights.mean(axis=1), strict=True))
    assert sorted(means, key=means.get, reverse=True) == ["best", "good", "fair", "poor", "bad"]
    ours, theirs = (strict_f1(rest, each.combine(labels)) for each in (model, Majority()))
    assert ours > theirs + 0.1


def test_a_teacher_is_weighed_label_by_label():
    """It is good at drugs alone, and no worse than the other there."""
    gold = notes(100)
    labels = labelled_by(gold, {"a": Quality(0.9, 0.3, 0.0, 0.0), "b": Quality(0.5, 3.0, 0.4, 0.3)})
    table = {name: {o.document.id: o.annotations[name].spans for o in labels} for name in "ab"}
    for note in gold:
        drugs = [span for span in note.spans if span.label == "medication"]
        table["b"][note.id] = [span for span in table["b"][note.id] if span.label != "medication"] + drugs
    mixed = type(labels).from_annotations(gold, table)
    weights = Weighted().fit(mixed, gold).weights
    drug = LABELS.index("medication")
    assert weights[1, drug] > weights[0, drug]
    assert (np.delete(weights[0] - weights[1], drug) > 0).all()


def test_without_people_agreement_with_the_majority_stands_in():
    gold = notes(150)
    labels = labelled_by(gold, UNEQUAL)
    model = Weighted().fit(labels)
    assert model.threshold == 0.5
    assert strict_f1(gold, model.combine(labels)) > strict_f1(gold, Majority().combine(labels))


def test_labels_that_people_did_not_look_for_say_nothing_of_a_teacher():
    notes_read = [Document(f"n{n}", "On metformin for diabetes.", [Span(*DRUG)], {"medication"}) for n in range(20)]
    annotations = [
        said(name, *spans, document=each.id)
        for each in notes_read
        for name, spans in {"a": [DRUG], "b": [DRUG, DISEASE], "c": [DISEASE]}.items()
    ]
    labels = labels_of(*annotations, notes=notes_read)
    a, b, c = Weighted().fit(labels, notes_read).weights[:, ["disease", "medication"].index("medication")]
    assert a == b > c


def test_a_threshold_that_is_asked_for_is_kept():
    gold = notes(30)
    model = Weighted(threshold=0.3).fit(labelled_by(gold, UNEQUAL), gold)
    assert model.threshold == 0.3


def test_a_teacher_that_was_not_there_counts_like_the_others_on_average():
    gold = notes(60)
    model = Weighted(threshold=0.5).fit(labelled_by(gold, UNEQUAL), gold)
    found = scored(model.combine(labels_of(said("new", DRUG), said("best"), said("newer", DRUG))))["n1"]
    mean = model.weights.mean(axis=0)[LABELS.index("medication")]
    best = model.weights[0, LABELS.index("medication")]
    assert found == ({DRUG: pytest.approx(2 * mean / (2 * mean + best))} if 2 * mean > best else {})
