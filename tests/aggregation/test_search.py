import random
from itertools import combinations

import pytest

import clinidistill as cd
from clinidistill.aggregation.label_model import Beliefs, LabelModel
from clinidistill.aggregation.search import out_of_fold
from clinidistill.errors import ConfigError

LABELS = ("disease", "medication", "symptom")


def corpus(documents=40, seed=0, covers=None):
    """Notes of made-up words, gold mentions in them, and four teachers of unequal quality; the last knows one label."""
    draw = random.Random(seed)
    notes, said = [], {f"t{n}": {} for n in range(4)}
    for number in range(documents):
        words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 9))) for _ in range(60)]
        starts = [sum(len(word) + 1 for word in words[:k]) for k in range(61)]

        def span(first, size, label, starts=starts):
            return cd.Span(starts[first], starts[first + size] - 1, label)

        places = [(k, draw.choice((1, 2)), draw.choice(LABELS)) for k in range(0, 55, 6)]
        note = cd.Document(f"n{number}", " ".join(words), [span(*place) for place in places[::2]], covers)
        for teacher, right in enumerate((0.95, 0.7, 0.5, 0.9)):
            spans = []
            for n, (first, size, label) in enumerate(places):
                if (draw.random() < right) == (n % 2 == 0):
                    wider = draw.random() > right and size == 1
                    spans.append(span(first, size + wider, label))
            known = spans if teacher < 3 else [each for each in spans if each.label == "medication"]
            said[f"t{teacher}"][note.id] = known
        notes.append(note)
    known = dict.fromkeys(said, LABELS) | {"t3": ("medication",)}
    return notes, cd.Labels.from_annotations([note.without_spans() for note in notes], said, covers=known)


def test_every_subset_is_scored_with_every_aggregator_the_best_first():
    notes, labels = corpus()
    found = cd.search_teachers(labels, notes, aggregators=["majority", "union"])
    subsets = [subset for size in range(1, 5) for subset in combinations(labels.teachers, size)]
    assert {(row.teachers, row.aggregator) for row in found} == {
        (subset, name) for subset in subsets for name in ("majority", "union")
    }
    assert len(found) == 2 * 15
    f1 = [row.scores.strict.micro.f1 for row in found]
    assert f1 == sorted(f1, reverse=True)
    lenient = cd.search_teachers(labels, notes, aggregators=["majority"], scheme="lenient", bootstrap=0)
    f1 = [row.scores.lenient.micro.f1 for row in lenient]
    assert f1 == sorted(f1, reverse=True)
    assert lenient[0].scores.lenient.micro.f1_interval is None


@pytest.mark.parametrize("covers", [None, {"medication", "symptom"}])
@pytest.mark.parametrize("name", ["union", "intersection", "majority", "hmm"])
def test_scores_and_intervals_are_those_of_evaluate(name, covers):
    notes, labels = corpus(covers=covers)
    for row in cd.search_teachers(labels, notes, aggregators=[name], bootstrap=200, seed=3):
        some = labels.select(*row.teachers)
        silver = cd.load_aggregator(name).fit(some).combine(some)
        expected = cd.evaluate(notes, silver, bootstrap=200, seed=3)
        for scheme in ("strict", "lenient", "token"):
            ours, theirs = getattr(row.scores, scheme), getattr(expected, scheme)
            assert (ours.micro.tp, ours.micro.fp, ours.micro.fn) == (theirs.micro.tp, theirs.micro.fp, theirs.micro.fn)
            assert ours.micro.f1_interval == pytest.approx(theirs.micro.f1_interval)
            assert ours.macro.f1 == pytest.approx(theirs.macro.f1)
            assert {label: each.tp for label, each in ours.per_label.items()} == {
                label: each.tp for label, each in theirs.per_label.items()
            }


def test_only_dev_documents_are_scored_though_all_are_learned_from():
    notes, labels = corpus()
    found = cd.search_teachers(labels, notes[:10], aggregators=["dawid-skene", "majority"], smallest=4)
    assert {row.scores.documents for row in found} == {10}
    majority = next(row for row in found if row.aggregator == "majority")
    silver = [note for note in cd.load_aggregator("majority").combine(labels) if note.id in {n.id for n in notes[:10]}]
    assert majority.scores.strict.micro.f1 == cd.evaluate(notes[:10], silver).strict.micro.f1


def test_an_aggregator_that_learns_from_people_does_not_see_the_gold_that_it_is_scored_on():
    class Memory(LabelModel):
        """Repeats the gold that it has seen."""

        learns_from_dev = True

        def learn(self, candidates, gold):
            self.score = (gold.truth == 1).astype(float)

        def believe(self, candidates):
            return Beliefs(self.score, self.score, candidates.mentions)

    notes, labels = corpus(documents=30)
    assert (
        cd.evaluate(notes, Memory().fit(labels, notes).combine(labels.select(*labels.teachers))).strict.micro.f1 > 0.9
    )
    (row,) = cd.search_teachers(labels, notes, aggregators=[Memory()], smallest=4)
    assert row.scores.strict.micro.tp == 0


def test_an_aggregator_of_ones_own_takes_part_and_is_cross_validated_if_it_learns_from_people():
    seen = []

    class First(cd.Aggregator):
        """Believes the first teacher."""

        learns_from_dev = True

        def fit(self, labels, dev=None):
            seen.append({document.id for document in dev})
            return self

        def combine_document(self, opinions):
            return next(iter(opinions.annotations.values())).spans

    notes, labels = corpus(documents=12)
    (row,) = cd.search_teachers(labels.select("t0"), notes, aggregators=[First()], folds=4)
    assert (row.aggregator, row.scores.strict.micro.f1) == (
        "First",
        cd.evaluate(notes, labels.predictions("t0")).strict.micro.f1,
    )
    assert [len(ids) for ids in seen] == [9, 9, 9, 9]


def test_a_search_prints_a_table_and_gives_a_dictionary():
    notes, labels = corpus(documents=10)
    found = cd.search_teachers(labels, notes, aggregators=["majority", "union"])
    lines = str(found).splitlines()
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "… and 10 more"
    assert found.to_dict()["rows"][0]["teachers"] == list(found[0].teachers)
    assert len(found[:3]) == 3


def test_what_cannot_be_searched_says_why():
    notes, labels = corpus(documents=4)
    with pytest.raises(ConfigError, match="1 of 5 dev documents are not among the labels, 'x' for one"):
        cd.search_teachers(labels, [*notes, cd.Document("x", "secret")])
    with pytest.raises(ConfigError, match="'f1' is none of strict, lenient, token"):
        cd.search_teachers(labels, notes, scheme="f1")
    with pytest.raises(ConfigError, match="0 subsets of 4 teachers"):
        cd.search_teachers(labels, notes, smallest=5)
    with pytest.raises(cd.errors.UnknownComponentError):
        cd.search_teachers(labels, notes, aggregators=["nobody"])
    many = cd.Labels(labels.documents, [f"t{n}" for n in range(13)], lambda name, documents: {})
    with pytest.raises(ConfigError, match="8,191 subsets of 13 teachers"):
        cd.search_teachers(many, notes)


@pytest.mark.parametrize("name", ["weighted", "dawid-skene"])
def test_unsupervised_no_aggregator_learns_from_the_people_who_score_it(name):
    notes, labels = corpus()
    (row,) = cd.search_teachers(labels, notes, aggregators=[name], smallest=4, supervised=False)
    alone = cd.evaluate(notes, cd.load_aggregator(name).fit(labels).combine(labels))
    assert row.scores.strict.micro.f1 == alone.strict.micro.f1
    assert [note.spans for note in out_of_fold(cd.load_aggregator(name), labels, notes, supervised=False)] == [
        note.spans for note in cd.load_aggregator(name).fit(labels).combine(labels)
    ]


def test_out_of_fold_no_document_is_combined_by_a_model_that_has_seen_its_gold():
    notes, labels = corpus()
    seen = []

    class Memory(cd.Aggregator):
        learns_from_dev = True

        def fit(self, labels, dev=None):
            seen.append({note.id for note in dev})
            return self

        def combine_document(self, opinions):
            assert opinions.document.id not in seen[-1] or len(seen[-1]) < len(notes)
            return []

    found = out_of_fold(Memory(), labels, notes, folds=4)
    assert sorted(note.id for note in found) == sorted(note.id for note in notes)
    assert [len(each) for each in seen] == [30] * 4


def test_a_mapping_names_aggregators_that_differ_in_their_options_alone():
    notes, labels = corpus()
    low, high = cd.load_aggregator("majority", threshold=0.2), cd.load_aggregator("majority", threshold=0.8)
    found = cd.search_teachers(labels, notes, aggregators={"low": low, "high": high}, smallest=4)
    recall = {row.aggregator: row.scores.strict.micro.recall for row in found}
    assert recall["low"] > recall["high"]
