"""Shared by all tests: no model hub is asked, and hypothesis is quick and the same each time."""

import io
import os
import shutil
import signal
import string
import sys
import uuid

import pytest
from hypothesis import settings

# Started in the background, a shell's children ignore Ctrl-C, and theirs do too; tests that interrupt programs need it.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
if "PYTEST_XDIST_WORKER" in os.environ:  # before anything imports torch: a core for each of the processes side by side
    os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("quick")

WORDS = """\
a after and at because began by chest continued daily denied dose each for from given had has he her history
in is it mg no of on once or past patient reported she started stopped the then to took twice was were with
without aspirin codeine insulin lisinopril metformin naproxen prednisone warfarin anaemia asthma cancer
diabetes gout hypertension migraine pneumonia cough dizziness fatigue fever headache nausea pain rash
""".split()  # noqa: SIM905 - prose, not a table


LONGEST = """\
scale/test_jobs students/test_onnx test_docs distiller/test_processes testing/test_built_ins scale/test_spark
examples/test_spacy_student llm/test_batch_asker scaffold/test_new_plugin recipe/test_recipe_run test_gpu_benchmark
""".split()  # noqa: SIM905 - prose, not a table


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that no process is left with one when the others have ended."""
    places = {f"tests/{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """The user's cache folder is left alone."""
    os.environ["CLINIDISTILL_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of our own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'clinidistill[postgres]'")
    from postgres_server import PostgresServer, find_binaries

    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with PostgresServer(binaries) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a label store can be made: a file, or a schema on a server."""
    if request.param == "sqlite":
        return tmp_path / "s.sqlite"
    return request.getfixturevalue("postgres").url(f"s{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """Folder of an untrained BERT (2 layers of 32, 64 positions) that knows WORDS and spells out all other words."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.set_num_threads(1)  # such a model gains nothing from more
    letters = string.ascii_lowercase + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *letters]
    tokens += [f"##{letter}" for letter in letters] + [word for word in WORDS if len(word) > 1]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ends)
    tokenizer.decoder = decoders.WordPiece()
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    folder = tmp_path_factory.mktemp("tiny-base")
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=64).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")  # its event loop must not outlive these tests
def chromium():
    """A headless browser, where there is one."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    there = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with api.sync_playwright() as playwright:
        if not (there or os.path.exists(playwright.chromium.executable_path)):
            pytest.skip("needs a Chromium: `playwright install chromium`, or CHROMIUM=path")
        browser = playwright.chromium.launch(executable_path=there, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run the command line in this process; returns (exit code, stdout, stderr)."""
    from clinidistill.cli import main

    def call(*args, stdin=""):
        monkeypatch.setattr(sys, "argv", ["clinidistill", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = 0
        try:
            main()
        except SystemExit as done:
            code = done.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
