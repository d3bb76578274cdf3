from itertools import pairwise

import numpy as np
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from clinidistill import Document, Span
from clinidistill.errors import ConfigError
from clinidistill.students.decoding import WORD, decode
from clinidistill.students.encoding import IGNORE, Encoder, iob2_tags, tag_window, token_batches

LABELS = ("disease", "medication")
CORPUS = ["Started metformin 500 mg daily, naïve to β-blockers. 😀 Größe 你好"]
TEXTS = st.text(
    st.one_of(st.sampled_from("ab1 é\u0301\u200dβ😀你.,-\n\r\t\u00a0\x00\ufb01½\ud800"), st.characters()), max_size=80
)


def byte_level(trim):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim, False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def metaspace():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


@pytest.fixture(scope="module", params=["wordpiece", "byte-level", "byte-level untrimmed", "metaspace"])
def tokenizer(request):
    if request.param == "wordpiece":
        return transformers.AutoTokenizer.from_pretrained(request.getfixturevalue("tiny_base"))
    return metaspace() if request.param == "metaspace" else byte_level(trim=request.param == "byte-level")


def well_formed(text):
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


@given(text=TEXTS, size=st.integers(5, 20))
def test_every_token_is_in_a_window_with_its_offsets(tokenizer, text, size):
    whole = tokenizer(well_formed(text), return_offsets_mapping=True, add_special_tokens=False)
    expected = list(zip(whole["input_ids"], whole["offset_mapping"], strict=True))
    left = tokenizer.num_special_tokens_to_add() // 2
    windows = Encoder(tokenizer, size, 2).windows([text])
    at, found = 0, []
    for n, window in enumerate(windows):
        assert len(window) <= size
        offsets = np.stack([window.starts, window.ends], axis=1).tolist()
        rows = [(token, tuple(pair)) for token, pair in zip(window.input_ids.tolist(), offsets, strict=True)]
        rows = rows[left : len(rows) - left]
        at -= 2 if n else 0
        assert rows[:2] == expected[at : at + 2]
        found[at:] = rows
        at += len(rows)
    assert found == expected


@given(text=TEXTS, size=st.integers(6, 24), data=st.data())
def test_tags_as_perfect_probabilities_decode_to_the_spans(tokenizer, text, size, data):
    whole = tokenizer(well_formed(text), return_offsets_mapping=True, add_special_tokens=False)
    pieces = [(a, b) for a, b in whole["offset_mapping"] if b > a]
    words = [match.span() for match in WORD.finditer(text)]
    spans, at = [], 0
    while at < len(words):
        length = data.draw(st.integers(0, 3))
        if length:
            span = Span(words[at][0], words[min(at + length, len(words)) - 1][1], data.draw(st.sampled_from(LABELS)))
            if expressible(span, words, pieces):
                spans.append(span)
        at += max(1, length)
    encoder = Encoder(tokenizer, size, 3)
    document = Document("n", text, spans)
    windows = encoder.windows([text])
    tags = np.concatenate([tag_window(window, document, spans, LABELS) for window in windows])
    starts, ends = (np.concatenate([getattr(window, name) for window in windows]) for name in ("starts", "ends"))
    real = ends > starts
    assert ((tags == IGNORE) == ~real).all()
    said = {}
    for place, tag in zip(zip(starts[real], ends[real], strict=True), tags[real], strict=True):
        said.setdefault(place, tag)  # the bytes of a character have one place, and the first opens a mention
    [tokens] = encoder.tokens([text])
    probabilities = np.zeros((len(tokens), 5), dtype=np.float32)
    for n, place in enumerate(zip(tokens.starts, tokens.ends, strict=True)):
        probabilities[n, said.get(place, 0)] = 1
    assert [span.key for span in decode([text], [tokens], probabilities, LABELS)[0]] == [s.key for s in spans]


def expressible(span, words, pieces):
    """Whether tokens can say the span: its first and last word have one, and none is shared with what is outside."""
    inside = [word for word in words if span.start <= word[0] and word[1] <= span.end]
    outside = [word for word in words if word[1] <= span.start or span.end <= word[0]]

    def touch(word):
        return [piece for piece in pieces if piece[0] < word[1] and word[0] < piece[1]]

    own = {piece for word in inside for piece in touch(word)}
    return bool(touch(inside[0]) and touch(inside[-1]) and not own & {p for word in outside for p in touch(word)})


def test_tags_agree_where_windows_overlap(tiny_base):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    text = "had lung cancer, then diabetes mellitus; took metformin and zidovudine 300 mg twice " * 3
    spans = [Span(*match.span(), "medication") for match in WORD.finditer(text) if len(match[0]) > 6]
    tags = {}
    windows = Encoder(tokenizer, 16, 9).windows([text])
    for window in windows:
        here = tag_window(window, Document("n", text), spans, LABELS)
        for place in np.flatnonzero(window.ends > window.starts):
            assert tags.setdefault(int(window.starts[place]), here[place]) == here[place]
    assert sum(len(window) - 2 for window in windows) > len(tags) * 1.5
    assert set(tags.values()) == {0, 3, 4}


def test_only_the_first_token_of_a_mention_begins_it(tiny_base):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    text = "took zinc, aspirin"
    document = Document("n", text, [Span(5, 9, "medication"), Span(11, 18, "medication"), Span(0, 4, "verb")])
    [window] = Encoder(tokenizer, 64, 0).windows([text])
    tags = iob2_tags(LABELS)
    found = [None if t == IGNORE else tags[t] for t in tag_window(window, document, document.spans, LABELS)]
    begin, inside = "B-medication", "I-medication"
    assert found == [None, "O", begin, inside, inside, inside, "O", begin, None]


def test_a_mention_goes_on_in_the_next_window(tiny_base):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    text = "pain fever rash cough"
    spans = [Span(0, len(text), "disease")]
    first, second = Encoder(tokenizer, 4, 0).windows([text])
    document = Document("n", text, spans)
    assert tag_window(first, document, spans, LABELS).tolist() == [IGNORE, 1, 2, IGNORE]
    assert tag_window(second, document, spans, LABELS).tolist() == [IGNORE, 2, 2, IGNORE]


def test_a_mention_begins_though_its_first_character_is_dropped(tiny_base):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    text = "took \x00aspirin"
    [window] = Encoder(tokenizer, 64, 0).windows([text])
    spans = [Span(5, 13, "medication")]
    assert tag_window(window, Document("n", text), spans, LABELS).tolist() == [IGNORE, 0, 3, IGNORE]


def test_windows_tell_their_documents_apart(tiny_base):
    encoder = Encoder(transformers.AutoTokenizer.from_pretrained(tiny_base), 10, 2)
    assert encoder.windows([]) == []
    assert [window.document for window in encoder.windows(["aspirin", "", "pain " * 20])] == [0, 1, 2, 2, 2]


@pytest.mark.parametrize(("size", "stride"), [(64, 62), (64, -1), (2, 0)])
def test_windows_without_progress_are_refused(tiny_base, size, stride):
    with pytest.raises(ConfigError, match="stride"):
        Encoder(transformers.AutoTokenizer.from_pretrained(tiny_base), size, stride)


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 120))
def test_token_batches_hold_the_budget_and_everything_once(lengths, budget):
    batches = list(token_batches(lengths, budget))
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[n] for n in batch) * len(batch) <= budget
    widest = [max(lengths[n] for n in batch) for batch in batches]
    assert all(left >= right for left, right in pairwise(widest))
    for batch, following in pairwise(batches):  # none could have taken the next item, too
        assert lengths[batch[0]] * (len(batch) + 1) > budget
        assert following
