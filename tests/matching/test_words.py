from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill.matching import Words, normalize, word_key

HOSTILE = "abXtc19ßİµéαβ×½…ﬁⅡ中\u0301\u0308 \t\n\u00a0\u2009\u200b\u00ad\x0e\x1f_–’.,(-'"
texts = st.text(alphabet=HOSTILE, max_size=30) | st.text(max_size=15)


@given(texts)
@settings(max_examples=300)
def test_words_are_the_runs_of_letters_and_digits_of_the_normalised_text(text):
    folded = "".join(c if c.isalnum() else " " for c in normalize(text).text)
    assert Words(text).words == folded.split()


@given(texts)
@settings(max_examples=300)
def test_every_word_is_found_where_it_stands_in_any_order(text):
    words = Words(text)
    orders = [range(len(words.words)), reversed(range(len(words.words)))]
    for order in orders:
        for index in order:
            start, end = words.place(index, index + 1)
            assert "".join(normalize(words.folded[start:end]).text.split()) == words.words[index]
            offsets = words.original(start, end)
            if offsets is not None:
                assert normalize(text[slice(*offsets)]).text == words.words[index]


@given(texts)
def test_words_do_not_overlap_and_a_run_of_them_reaches_from_the_first_to_the_last(text):
    words = Words(text)
    places = [words.place(index, index + 1) for index in range(len(words.words))]
    assert all(left[1] <= right[0] for left, right in pairwise(places))
    for first in range(len(places)):
        for stop in range(first + 1, len(places) + 1):
            assert words.place(first, stop) == (places[first][0], places[stop - 1][1])


@given(texts)
def test_a_key_is_its_own_key(text):
    assert word_key(word_key(text)) == word_key(text)
