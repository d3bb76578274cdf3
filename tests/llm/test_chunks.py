import random
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clinidistill.errors import ConfigError
from clinidistill.llm.chunks import halve, split

NOTEY = st.lists(
    st.sampled_from(
        ["word ", "Dr. ", "A.", " ", "\n", "\n\n", "HPI:\n", "Fever. ", "2.5", "...", "\r\n", "x" * 40, "é", "\ud800"]
    ),
    max_size=60,
).map("".join)


def _parts(text, size):
    return [text[start:end] for start, end in split(text, size)]


@given(text=st.one_of(st.text(max_size=200), NOTEY), size=st.integers(1, 80))
@example(text="", size=1)
@example(text="\n" * 100, size=7)
@settings(max_examples=60, deadline=None)
def test_parts_are_the_text_and_none_is_too_long_or_a_tiny_tail(text, size):
    parts = _parts(text, size)
    assert "".join(parts) == text
    assert all(0 < len(part) <= size for part in parts)
    if len(parts) > 1:
        assert min(map(len, parts)) >= size // 4


@given(text=st.one_of(st.text(max_size=300), NOTEY), data=st.data())
@settings(max_examples=60, deadline=None)
def test_halves_are_the_part_and_neither_is_tiny(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    halves = halve(text, start, end)
    if halves is None:
        assert end - start < 64 or not re.search(r"\s", text[start + (end - start) // 4 : end - (end - start) // 4 - 1])
    else:
        (a, b), (c, d) = halves
        assert (a, b, d) == (start, c, end)
        assert min(b - a, d - c) >= (end - start) // 4


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("Alpha beta gamma. Delta.\n\nEpsilon zeta eta. Theta iota kappa.", "Delta.\n\n"),
        ("Alpha beta gamma. Delta.\nALLERGIES: none. Epsilon zeta eta th.", "Delta.\n"),
        ("Alpha beta gamma. Delta.\nPast history:\nEpsilon zeta eta theta.", "Delta.\n"),
        ("Alpha beta gamma delta\n- epsilon zeta. Eta theta iota kappa la", "delta\n"),
        ("Alpha beta gamma delta eps. Zeta eta theta\niota kappa lambda mu.", "eps. "),
        ("alpha beta gamma delta eps zeta\neta theta iota kappa lambda mu", "zeta\n"),
        ("alpha beta gamma delta eps zeta eta theta iota kappa lambda mu", "zeta "),
    ],
)
def test_a_text_is_cut_at_the_best_boundary_near_its_middle(text, ends):
    first, _ = _parts(text, 50)
    assert first.endswith(ends)
    padded = f"Lorem ipsum {text} dolor sit"
    (start, cut), _ = halve(padded, 0, len(padded))
    assert padded[start:cut].endswith(ends)


@pytest.mark.parametrize(
    "inside",
    ["seen by Dr. Smith", "aspirin q.d. Then", "given b.i.d. After", "left vs. Right", "room No. 3 in",
     "dose of 2.5 mg", "and then... Later", "by J. Smith", "as e.g. Tylenol"],
)  # fmt: skip
def test_a_period_that_ends_no_sentence_is_no_place_to_cut(inside):
    text = f"The patient came in early. He was {inside} the hall and stayed. He left"
    assert all(not part.rstrip().endswith(inside.rsplit(" ", 1)[0]) for part in _parts(text, 40))
    assert "early. " in "|".join(_parts(text, 48))


def test_no_may_be_a_whole_sentence():
    assert _parts("Any fever? No. Denies cough, too", 20)[0] == "Any fever? No. "


def test_a_word_is_cut_only_where_there_is_nothing_else():
    assert _parts("x" * 10, 4) == ["xxxx", "xxx", "xxx"]
    assert halve("x" * 1000, 0, 1000) is None


def test_parts_that_are_small_are_not_halved():
    assert halve("word " * 100, 10, 73) is None
    assert halve("word " * 100, 10, 74) is not None


def test_a_part_needs_a_character():
    with pytest.raises(ConfigError, match="at least one character, not 0"):
        split("text", 0)


@pytest.mark.alone
@pytest.mark.parametrize(
    "unit",
    ["Pain in the chest since 2 days. Denies fever.\n", "\n", " ", "A", "A.", "\n ", ". ", "A ", "\nA"],
    ids=repr,
)
def test_the_time_grows_with_the_text_whatever_it_is(unit):
    text = unit * (1_000_000 // len(unit))
    begin = time.perf_counter()
    parts = split(text, 4000)
    assert time.perf_counter() - begin < 5  # some 0.3 s
    assert len(parts) < 1_000
    assert parts[-1][1] == len(text)


def test_mixed_text_keeps_its_sentences_whole():
    rng = random.Random(3)
    sentences = [
        f"{rng.choice(['He', 'She'])} took {rng.randint(1, 9)}.5 mg of drug b.i.d. for pain." for _ in range(300)
    ]
    parts = _parts(" ".join(sentences), 700)
    assert [line for part in parts for line in re.findall(r"(?:He|She) took .*? pain\.", part)] == sentences
    assert len(parts) < 1.5 * len(" ".join(sentences)) / 700
