"""ModernBERT-class students: windows of 8,192 tokens, local attention, rotary positions."""

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import clinidistill as cd
from clinidistill import Distiller, Document, Span
from clinidistill.errors import ConfigError
from clinidistill.students.token_classifier import TokenClassifier

WORDS = ["he", "took", "aspirin", "codeine", "for", "pain", "and", "then", "slept"]
LONGEST = 8192


@pytest.fixture(scope="module")
def long_base(tmp_path_factory):
    """An untrained ModernBERT of three layers, whose windows may have 8,192 tokens."""
    folder = tmp_path_factory.mktemp("long-base")
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LONGEST, **names).save_pretrained(
        folder
    )
    config = transformers.ModernBertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=LONGEST,
        local_attention=32,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
    )
    torch.manual_seed(0)
    transformers.ModernBertModel(config).save_pretrained(folder)
    return folder


def note(words, seed):
    draw = np.random.default_rng(seed)
    text, spans = [], []
    for word in draw.choice(WORDS, words):
        if word in {"aspirin", "codeine"}:
            at = sum(map(len, text)) + len(text)
            spans.append(Span(at, at + len(word), "drug"))
        text.append(str(word))
    return Document(f"n{seed}", " ".join(text), spans)


def keys(documents):
    return [[span.key for span in document.spans] for document in documents]


@pytest.fixture(scope="module")
def learnt(long_base):
    student = TokenClassifier(long_base, max_length=LONGEST)
    train = [note(40, seed) for seed in range(30)] + [note(1000, 99)]
    Distiller(6, 2e-2, 1024, precision="fp32", device="cpu", show=False).fit(student, train)
    return student


@pytest.fixture(scope="module")
def long_note():
    return note(6000, 7)


def test_a_window_holds_512_tokens_unless_told_otherwise_and_never_more_than_the_base_allows(long_base):
    assert TokenClassifier(long_base).max_length == 512
    assert TokenClassifier(long_base, max_length=LONGEST).max_length == LONGEST
    with pytest.raises(ConfigError, match=r"\(8192\)"):
        TokenClassifier(long_base, max_length=LONGEST + 1).encoder  # noqa: B018 - read to be refused


def test_a_note_of_6000_tokens_is_one_window_and_read_to_its_end(learnt, long_note):
    assert [len(window) for window in learnt.encoder.windows([long_note.text])] == [6002]
    [found] = learnt.predict([long_note], precision="fp32")
    assert cd.evaluate([long_note], [found]).strict.micro.f1 > 0.99


def test_it_computes_attention_in_torch_kernels(learnt):
    assert learnt.model.config._attn_implementation == "sdpa"


def test_a_saved_student_keeps_its_long_windows(learnt, long_note, tmp_path):
    learnt.save(tmp_path / "student")
    again = cd.load_student(tmp_path / "student")
    assert again.max_length == LONGEST
    assert keys(again.predict([long_note], precision="fp32")) == keys(learnt.predict([long_note], precision="fp32"))


def test_an_exported_student_reads_long_windows_alike(learnt, tmp_path):
    pytest.importorskip("onnxscript")
    exported = learnt.export("onnx", tmp_path / "onnx")
    documents = [note(2000, 8), note(30, 9)]
    assert keys(exported.predict(documents)) == keys(learnt.predict(documents, precision="fp32"))


def test_dropout_of_attention_goes_by_the_name_that_the_base_has_for_it(long_base):
    student = TokenClassifier(long_base, ["drug"], attention_dropout=0.3)
    student.prepare(["drug"])
    assert student.model.config.attention_dropout == 0.3
    assert {layer.attn.attention_dropout for layer in student.model.model.layers} == {0.3}


@pytest.mark.parametrize("settings", [{"gradient_checkpointing": True}, {"ema": 0.9}])
def test_long_windows_are_learnt_with_less_memory_or_on_average(long_base, settings):
    student = TokenClassifier(long_base, max_length=LONGEST, attention_dropout=0.1)
    history = Distiller(2, 1e-2, LONGEST, device="cpu", show=False, **settings).fit(student, [note(2500, 1)])
    assert len(student.encoder.windows([note(2500, 1).text])) == 1
    assert history.losses[-1] < history.losses[0]
