import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.errors import ConfigError
from clinidistill.students.base import Doubts, Student


class Unsure(Student):
    """Doubts, one bit each, wherever a word of its list stands."""

    def __init__(self, *words):
        self.words, self.name = words, "unsure"

    @property
    def labels(self):
        return ("x",)

    def predict(self, documents, **options):
        yield from documents

    def doubts(self, documents):
        for document in documents:
            starts = [document.text.index(word) for word in self.words if word in document.text]
            yield Doubts(np.array(starts, dtype=np.int64), np.ones(len(starts)))

    def save(self, path, *, card=None): ...

    @classmethod
    def load(cls, path): ...


def documents(*texts):
    return [cd.Document(f"n{n}", text) for n, text in enumerate(texts)]


def chosen(*args, **options):
    return [note.id for note in cd.select(*args, **options)]


def test_notes_about_which_the_student_is_unsure_come_first():
    pool = documents("took aspirin today", "took zzz today", "took codeine today", "took qqq today")
    assert set(chosen(pool, Unsure("zzz", "qqq"), n=2)) == {"n1", "n3"}


def test_what_was_chosen_makes_like_notes_worth_less():
    pool = documents("took zzz today", "took zzz again", "took qqq today")
    assert set(chosen(pool, Unsure("zzz", "qqq"), n=2)) != {"n0", "n1"}


def test_disagreement_of_free_teachers_counts():
    pool = documents("took aspirin today", "took codeine today", "took insulin today")
    span = cd.Span(5, 12, "medication")
    said = {"a": {note.id: [span] for note in pool}, "b": {note.id: [span] for note in pool}}
    said["b"]["n1"] = []
    assert chosen(pool, None, cd.Labels.from_annotations(pool, said), n=1) == ["n1"]


def test_without_student_and_teachers_new_words_are_worth_most():
    first, *_ = chosen(documents("fever fever fever", "cough and fever", "fever"), n=1)
    assert first == "n1"


def test_long_notes_are_dearer():
    pool = documents("zzz", "zzz " + "word " * 5000)
    assert chosen(pool, Unsure("zzz"), n=1) == ["n0"]


def test_the_budget_is_kept_and_the_price_told():
    pool = documents(*(f"zzz{n} and more" for n in range(10)))
    picked = cd.select(pool, budget_usd=0.35, price=lambda note: 0.1)
    assert len(picked) == 3
    assert picked.usd == pytest.approx(0.3)
    assert len(picked.gains) == 3
    assert "0.3" in repr(picked)


def test_a_dear_note_is_not_missed_for_ever():
    # By gain a dollar the cheap one is taken first, and leaves no money for the one that is worth more.
    pool = documents("one", "two three four five six seven eight nine ten")
    price = {"n0": 0.01, "n1": 1.0}
    assert chosen(pool, budget_usd=1.0, price=lambda note: price[note.id]) == ["n1"]


def test_a_teachers_estimate_is_its_price():
    teacher = cd.load_teacher("openai", model="gpt-4o-mini", api_key="none")
    pool = documents("On aspirin.", "On codeine. " * 200)
    picked = cd.select(pool, n=2, price=teacher)
    assert picked.usd == pytest.approx(sum(teacher.estimate([note]).cost_usd for note in pool))


def test_spans_are_taken_off_and_deidentified_notes_stay_so():
    pool = cd.MemoryDataset([cd.Document("n", "On aspirin.", [cd.Span(3, 10, "medication")])]).deidentified()
    picked = cd.select(pool, n=1)
    assert picked.is_deidentified
    assert picked[0].spans == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "n="),
        ({"n": -1}, "below 0"),
        ({"budget_usd": 1.0}, "price="),
        ({"n": 1, "price": lambda _: float("nan")}, "price must give"),
        ({"n": 1, "price": lambda _: -1.0}, "price must give"),
    ],
)
def test_what_cannot_work_is_refused(options, says):
    with pytest.raises(ConfigError, match=says):
        cd.select(documents("On aspirin."), **options)


def test_nothing_to_choose_from_is_no_error():
    assert list(cd.select([], n=3)) == []
    assert list(cd.select(documents("", ""), n=3)) != [None]


def value(notes):
    count = {}
    for note in notes:
        for word in note.text.split():
            count[word] = count.get(word, 0) + 1
    return sum(np.sqrt(number) for number in count.values())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5), min_size=1, max_size=7), st.integers(1, 4)
)
def test_lazy_greedy_is_greedy_and_near_the_best(texts, n):
    pool = documents(*(" ".join(words) for words in texts))
    picked = list(cd.select(pool, n=n, price=lambda _: 1.0))
    plain, left = [], list(pool)
    while left and len(plain) < n:
        best = max(left, key=lambda note: value([*plain, note]) - value(plain))
        plain.append(best)
        left.remove(best)
    assert value(picked) == pytest.approx(value(plain), rel=0.1)
    best = max(value(some) for some in itertools.combinations(pool, min(n, len(pool))))
    assert value(picked) >= (1 - 1 / np.e) * best - 1e-9


def test_a_tagger_doubts_each_token(tiny_base):
    student = cd.load_student("token-classifier", base=str(tiny_base), labels=["medication"])
    notes = documents("On aspirin since May.", "", "On codeine.")
    student.prepare(["medication"])
    found = list(student.doubts(notes))
    assert len(found) == 3
    assert len(found[0].starts) == len(found[0].bits) > len(found[2].bits) > 0
    assert len(found[1].bits) == 0
    assert (found[0].bits > 0).all()
    assert (found[0].bits <= np.log2(3) + 1e-6).all()
    assert [note.id for note in cd.select(notes, student, n=1)] != ["n1"]


def test_other_students_doubt_by_their_scores():
    class Scored(Unsure):
        doubts = Student.doubts

        def predict(self, documents, **options):
            for document in documents:
                yield document.with_spans([cd.Span(0, 2, "x", score=0.5), cd.Span(3, 5, "x", score=1.0)])

    (found,) = Scored().doubts(documents("ab cd"))
    assert found.starts.tolist() == [0, 3]
    assert found.bits.tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
