import logging

import pytest
from opinions import DRUG, labels_of, said, scored
from simulated_teachers import PARTIAL, UNEQUAL, Quality, labelled_by, notes, strict_f1

from clinidistill.aggregation import load_aggregator
from clinidistill.aggregation.auto import Auto, cross_validated, label_model
from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.mentions import Candidates
from clinidistill.errors import ConfigError, OptionError, RegistryError


@pytest.mark.parametrize("teachers", [UNEQUAL, PARTIAL], ids=["unequal", "partial"])
def test_it_is_what_it_picked_and_says_why(teachers, caplog):
    gold = notes(80)
    labels, (dev, rest) = labelled_by(gold, teachers), (gold[:40], gold[40:])
    for people, models, what in (
        (None, {"majority", "dawid-skene", "hmm"}, "log-likelihood of held-out votes"),
        (dev, {"majority", "weighted", "dawid-skene", "hmm", "stacked"}, "strict F1 in 5-fold cross-validation on dev"),
    ):
        with caplog.at_level(logging.INFO, "clinidistill"):
            auto = Auto().fit(labels, people)
        assert set(auto.scores) == models
        assert auto.scores[auto.picked] == max(auto.scores.values())
        assert auto.reason.startswith(f"{auto.picked} has the best {what}: {auto.picked} ")
        assert all(f"{name} {score:.4f}" in auto.reason for name, score in auto.scores.items())
        assert auto.reason in caplog.text
        alone = load_aggregator(auto.picked).fit(labels, people)
        assert scored(auto.combine(labels)) == scored(alone.combine(labels))
        assert strict_f1(rest, auto.combine(labels)) > strict_f1(rest, load_aggregator("majority").combine(labels))


def test_its_scores_are_strict_f1_on_documents_that_each_model_did_not_learn_from():
    gold = notes(30)
    labels = labelled_by(gold, UNEQUAL)
    opinions = list(labels)
    candidates = Candidates.of(opinions, labels.teachers)
    people = Gold.of(candidates, opinions, {d.id: d for d in gold}, "auto")
    auto = Auto(among=["weighted"], folds=3).fit(labels, gold)
    found = []
    for part in people.parts(3, seed=0):
        inside = [note for note, held_out in zip(gold, part, strict=True) if held_out]
        model = load_aggregator("weighted").fit(labels, [note for note in gold if note not in inside])
        silver = {document.id: document for document in model.combine(labels)}
        found += [silver[note.id] for note in inside]
    assert auto.scores["weighted"] == pytest.approx(strict_f1(gold, found))


def test_what_people_marked_and_no_teacher_found_counts_as_missed():
    gold = notes(10)
    labels = labelled_by(gold, {"a": Quality(0.5, 0.0, 0.0, 0.0)})
    auto = Auto(among=["majority"]).fit(labels, gold)
    assert auto.scores["majority"] == pytest.approx(strict_f1(gold, labels.predictions("a")))


@pytest.mark.parametrize("people", [False, True])
def test_a_plain_majority_wins_ties(people):
    """Teachers that all say the truth: no model is better than another."""
    gold = notes(20)
    same = labels_of(
        *(said(t, *(s.key for s in note.spans), document=note.id) for note in gold for t in "abc"), notes=gold
    )
    auto = Auto(among=None if people else ["majority", "union"]).fit(same, gold if people else None)
    assert auto.picked == "majority"


def test_majority_is_what_it_picks_where_teachers_are_alike_and_nobody_can_tell_more():
    gold = notes(40)
    labels = labelled_by(gold, {name: Quality(0.8, 1.0, 0.0, 0.0) for name in "abc"})
    auto = Auto().fit(labels)
    best = max(auto.scores, key=auto.scores.get)
    assert auto.picked == best
    plain = strict_f1(gold, load_aggregator("majority").combine(labels))
    assert strict_f1(gold, auto.combine(labels)) >= plain - 0.05


def test_folds_are_drawn_by_the_seed():
    gold = notes(30)
    labels = labelled_by(gold, UNEQUAL)
    one, again, other = (Auto(seed=seed).fit(labels, gold).scores for seed in (0, 0, 1))
    assert one == again != other


def test_cross_validation_fits_each_model_on_the_other_parts_alone():
    gold = notes(12)
    labels = labelled_by(gold, UNEQUAL)
    opinions = list(labels)
    candidates = Candidates.of(opinions, labels.teachers)
    people = Gold.of(candidates, opinions, {d.id: d for d in gold[:9]}, "auto")
    for name in ("majority", "weighted", "hmm"):
        kept = cross_validated(label_model(name), candidates, people, 3, seed=0)
        assert (people.truth[kept] >= 0).all()
        assert kept.tolist() == sorted(set(kept.tolist()))


def test_fewer_than_two_dev_documents_are_refused_with_the_cure():
    gold = notes(3)
    with pytest.raises(ConfigError, match=r"at least two dev documents .*; label more, or do without dev"):
        Auto().fit(labelled_by(gold, UNEQUAL), gold[:1])
    unknown = [note.with_spans([], {"procedure"}) for note in gold]
    with pytest.raises(ConfigError, match="looked for labels that the teachers know"):
        Auto().fit(labelled_by(gold, UNEQUAL), unknown)


def test_models_that_cannot_be_chosen_among_are_refused():
    with pytest.raises(OptionError, match="auto: folds 1 must be at least 2"):
        Auto(folds=1)
    with pytest.raises(ConfigError, match="'auto' is no label model"):
        Auto(among=["auto"])
    with pytest.raises(RegistryError, match="majorty"):
        Auto(among=["majorty"])


def test_of_one_document_it_makes_what_it_can():
    auto = Auto().fit(labels_of(said("a", DRUG), said("b", DRUG)))
    assert set(scored(auto.combine(labels_of(said("a", DRUG), said("b", DRUG))))["n1"]) == {DRUG}
