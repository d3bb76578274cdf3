from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinidistill.students.decoding import WORD
from clinidistill.students.decoding import decode as decode_all
from clinidistill.students.encoding import Tokens, iob2_tags
from clinidistill.types import Span

LABELS = ("disease", "medication")
TAGS = iob2_tags(LABELS)
HOSTILE = st.one_of(st.sampled_from("ab1 é\u0301\u200d\u200bβ😀你.,-\n\r\t\u00a0\u202e\x00\ud800"), st.characters())


def tokens(*rows):
    """Starts, ends and one-hot probabilities from rows of ``(start, end, tag)``."""
    starts, ends, tags = zip(*rows, strict=True)
    return np.array(starts), np.array(ends), np.eye(len(TAGS), dtype=np.float32)[[TAGS.index(tag) for tag in tags]]


def decode(text, starts, ends, probabilities, labels, **options):
    """The spans of one text."""
    [spans] = decode_all([text], [Tokens(starts, starts, ends)], probabilities, labels, **options)
    return spans


def keys(spans):
    return [span.key for span in spans]


DECODERS = pytest.mark.parametrize("decoder", ["greedy", "viterbi"])


@st.composite
def tagged_texts(draw):
    """A text, flat word-aligned spans, and its tokens: words split at random."""
    text = draw(st.text(HOSTILE, max_size=50))
    words = [match.span() for match in WORD.finditer(text)]
    random = Random(draw(st.integers(0, 2**32)))
    marks = [(random.choice([None, *LABELS]), random.random() < 0.3) for _ in words]
    runs: list[list[int]] = []
    for n, (label, opens) in enumerate(marks):
        if label is None:
            continue
        if runs and runs[-1][-1] == n - 1 and marks[n - 1][0] == label and not opens:
            runs[-1].append(n)
        else:
            runs.append([n])
    firsts = {run[0] for run in runs}
    edges = firsts | {run[-1] for run in runs}
    rows = []
    for n, (start, end) in enumerate(words):
        if n not in edges and random.random() < 0.1:
            continue  # the tokenizer drops this word
        cuts = sorted({start, end, *(random.randint(start, end) for _ in range(random.randint(0, 3)))})
        for left, right in pairwise(cuts):
            for copy in range(random.choice([1, 1, 3])):  # tokens of one byte each share the offsets
                label = marks[n][0]
                begins = n in firsts and left == start and not copy
                space = int(left == start and start > 0 and text[start - 1] == " " and random.random() < 0.5)
                rows.append((left - space, right, "O" if label is None else f"{'B' if begins else 'I'}-{label}"))
    return text, [Span(words[run[0]][0], words[run[-1]][1], marks[run[0]][0]) for run in runs], rows


@DECODERS
@given(tagged_texts())
def test_perfect_probabilities_give_the_spans_back(decoder, case):
    text, spans, rows = case
    assert keys(decode(text, *tokens(*rows), LABELS, decoder=decoder) if rows else []) == keys(spans)


@DECODERS
@given(st.lists(tagged_texts(), min_size=1, max_size=4))
def test_texts_decoded_together_have_the_spans_that_each_has_alone(decoder, cases):
    random = np.random.default_rng(len(cases))
    texts = [text for text, _, _ in cases]
    tokens = [Tokens(*(np.array([r[n] for r in rows], dtype=np.int64) for n in (0, 0, 1))) for _, _, rows in cases]
    probabilities = [random.dirichlet(np.ones(5) / 3, len(own)).astype(np.float32) for own in tokens]
    stacked = np.concatenate([np.zeros((0, 5), dtype=np.float32), *probabilities])
    together = decode_all(texts, tokens, stacked, LABELS, decoder=decoder, source="s")
    each = zip(texts, tokens, probabilities, strict=True)
    assert together == [decode_all([t], [own], p, LABELS, decoder=decoder, source="s")[0] for t, own, p in each]


def test_adjacent_mentions_of_one_label_stay_apart():
    rows = (0, 7, "B-medication"), (8, 10, "B-medication"), (10, 15, "I-medication")
    assert keys(decode("aspirin codeine", *tokens(*rows), LABELS)) == [(0, 7, "medication"), (8, 15, "medication")]


def test_a_mention_that_only_continues_is_still_a_mention():
    assert keys(decode("aspirin", *tokens((0, 7, "I-medication")), LABELS)) == [(0, 7, "medication")]


def test_a_token_over_several_words_opens_one_mention():
    assert keys(decode("met\u200bformin", *tokens((0, 10, "B-medication")), LABELS)) == [(0, 10, "medication")]


def test_the_bytes_of_a_character_open_one_mention():
    rows = [(0, 1, "B-disease"), (2, 3, "B-disease"), (2, 3, "I-disease"), (2, 3, "I-disease")]
    assert keys(decode("a β", *tokens(*rows), LABELS)) == [(0, 1, "disease"), (2, 3, "disease")]


def test_pieces_of_a_word_vote_with_their_mean():
    start, end = np.array([0, 3]), np.array([3, 7])
    probabilities = np.zeros((2, 5), dtype=np.float32)
    probabilities[0, [0, 3]] = 0.9, 0.1  # O, B-medication
    probabilities[1, [0, 4]] = 0.2, 0.8  # O, I-medication
    assert decode("aspirin", start, end, probabilities, LABELS) == []
    probabilities[0, [0, 3]] = 0.5, 0.5
    [span] = decode("aspirin", start, end, probabilities, LABELS)
    assert span.key == (0, 7, "medication")
    assert span.score == pytest.approx((0.5 + 0.8) / 2)


def test_viterbi_lets_a_sure_end_decide_how_a_mention_begins():
    probabilities = np.array([[0.6, 0.4, 0, 0, 0], [0.1, 0, 0.9, 0, 0]], dtype=np.float32)
    at = np.array([0, 5]), np.array([4, 11])
    assert keys(decode("lung cancer", *at, probabilities, LABELS)) == [(5, 11, "disease")]
    [span] = decode("lung cancer", *at, probabilities, LABELS, decoder="viterbi")
    assert (span.key, span.score) == ((0, 11, "disease"), pytest.approx(0.65))


def test_b_and_i_of_a_label_count_together():
    probabilities = np.array([[0.4, 0.0, 0.0, 0.3, 0.3]], dtype=np.float32)
    [span] = decode("aspirin", np.array([0]), np.array([7]), probabilities, LABELS)
    assert (span.label, span.score) == ("medication", pytest.approx(0.6))


def test_the_score_of_a_mention_is_the_mean_over_its_words():
    probabilities = np.array([[0.0, 1.0, 0.0, 0.0, 0.0], [0.3, 0.0, 0.7, 0.0, 0.0]], dtype=np.float32)
    [span] = decode("lung cancer", np.array([0, 5]), np.array([4, 11]), probabilities, LABELS)
    assert (span.key, span.score) == ((0, 11, "disease"), pytest.approx(0.85))


@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0"])
def test_a_text_without_words_has_no_spans(text):
    assert decode(text, *tokens((0, 1, "B-disease")), LABELS) == []


def test_words_without_tokens_have_no_spans():
    none = np.array([], dtype=np.int64)
    assert decode("aspirin", none, none, np.zeros((0, 5), dtype=np.float32), LABELS) == []


@DECODERS
@given(st.text(HOSTILE, max_size=40), st.randoms(use_true_random=False))
def test_any_probabilities_give_flat_spans_on_word_edges(decoder, text, random):
    cuts = sorted({0, len(text), *(random.randint(0, len(text)) for _ in range(8))})
    rows = list(pairwise(cuts))
    probabilities = np.random.default_rng(random.randint(0, 2**31)).dirichlet(np.ones(5), len(rows)).astype(np.float32)
    offsets = np.array(rows, dtype=np.int64).reshape(-1, 2)
    spans = decode(text, offsets[:, 0], offsets[:, 1], probabilities, LABELS, decoder=decoder)
    starts, ends = {match.start() for match in WORD.finditer(text)}, {match.end() for match in WORD.finditer(text)}
    assert all(span.start in starts and span.end in ends for span in spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
