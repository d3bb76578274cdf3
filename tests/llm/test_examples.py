import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill.llm.examples import ExamplePool
from clinidistill.types import CLINICAL, SYMPTOM, Document, Span

WORDS = st.lists(st.sampled_from(["pain", "chest", "knee", "fever", "no", "took", "aspirin", "May"]), max_size=12).map(
    " ".join
)


def _pool(*texts):
    return ExamplePool([Document(str(number), text) for number, text in enumerate(texts)])


def _ids(documents):
    return [document.id for document in documents]


def _bm25(query, texts, k1=1.2, b=0.75):
    """The formula as it stands in the paper, word by word."""
    notes = [text.casefold().split() for text in texts]
    mean = sum(map(len, notes)) / len(notes)
    scores = []
    for note in notes:
        score = 0.0
        for word in set(query.casefold().split()):
            holders = sum(word in other for other in notes)
            idf = math.log(1 + (len(notes) - holders + 0.5) / (holders + 0.5))
            times = note.count(word)
            score += idf * times / (times + k1 * (1 - b + b * len(note) / max(mean, 1)))
        scores.append(score)
    return scores


@given(texts=st.lists(WORDS, min_size=1, max_size=8, unique_by=str.casefold), query=WORDS)
@settings(max_examples=60, deadline=None)
def test_the_likest_by_the_published_formula_are_chosen_the_likest_last(texts, query):
    scores = _bm25(query, texts)
    rest = [place for place in range(len(texts)) if texts[place].casefold() != query.casefold()]
    chosen = [int(name) for name in _ids(_pool(*texts).choose(query, 3))]
    assert len(chosen) == min(3, len(rest))
    assert [scores[place] for place in chosen] == pytest.approx(sorted(scores[place] for place in rest)[-3:])


def test_the_note_itself_is_never_its_example_also_when_only_a_part_of_it_is_asked():
    note = "Chest pain since May. Knee surgery planned."
    pool = _pool(note, "Knee pain.", note.upper().replace(" ", "\n"))
    assert len(pool) == 2
    assert _ids(pool.choose(note, 5)) == ["1"]
    assert _ids(pool.choose("Chest pain since May.", 5)) == ["1", "0"]
    assert _ids(pool.choose("Chest pain since May.", 5, note=note)) == ["1"]


def test_of_equals_the_earlier_is_taken():
    pool = _pool("knee pain", "pain knee", "pain, knee!", "fever")
    assert _ids(pool.choose("knee pain today", 2)) == ["1", "0"]
    assert _ids(pool.choose("nothing shared", 2)) == ["1", "0"]


@pytest.mark.parametrize("count", [0, -1])
def test_none_are_chosen_where_none_are_asked_for(count):
    assert _pool("a b").choose("a", count) == []


def test_an_empty_pool_has_no_examples():
    assert ExamplePool([]).choose("pain", 3) == []
    assert _pool("", "!?").choose("pain", 3) == [*_pool("", "!?").documents][:1]


def test_only_notes_that_cover_the_task_are_its_examples_and_show_its_labels_alone():
    spans = (Span(0, 4, "symptom"), Span(5, 8, "disease"))
    full = Document("full", "Pain DM2 a", spans)
    part = Document("part", "Pain DM2 b", spans, frozenset({"symptom"}))
    drug = Document("drug", "Pain DM2 c", (), frozenset({"medication"}))
    pool = ExamplePool([full, part, drug])
    assert _ids(pool.for_task(CLINICAL).documents) == ["full"]
    for_symptom = pool.for_task(SYMPTOM)
    assert _ids(for_symptom.documents) == ["full", "part"]
    assert all(document.spans == spans[:1] and document.covers == {"symptom"} for document in for_symptom.documents)


def test_the_fingerprint_is_of_texts_spans_and_weights():
    note = Document("1", "Pain.", (Span(0, 4, "symptom"),))
    one = ExamplePool([note]).fingerprint
    assert ExamplePool([Document("other id", note.text, note.spans)]).fingerprint == one
    others = [ExamplePool([note.without_spans()]), ExamplePool([note], k1=2.0), ExamplePool([note, Document("2", "x")])]
    assert len({one, *(other.fingerprint for other in others)}) == 4


@pytest.mark.alone
def test_a_choice_among_thousands_takes_about_a_millisecond():
    rng = random.Random(1)
    vocabulary = [f"w{number}" for number in range(20_000)]
    weights = [1 / (rank + 10) for rank in range(20_000)]
    texts = [" ".join(rng.choices(vocabulary, weights, k=120)) for _ in range(5_000)]
    pool = _pool(*texts)
    pool.choose("w1", 1)
    begin = time.perf_counter()
    for text in texts[:50]:
        assert len(pool.choose(text, 5)) == 5
    assert (time.perf_counter() - begin) / 50 < 0.02  # some 0.5 ms; the limit leaves room for a busy machine
