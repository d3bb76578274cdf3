import gc
import os
import signal
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clinidistill import Distiller, Document, Span
from clinidistill.datasets.base import Dataset
from clinidistill.distiller.corpus import Corpus
from clinidistill.errors import ConfigError, DataError
from clinidistill.students.token_classifier import TokenClassifier
from clinidistill.students.trainable import Example


@st.composite
def examples(draw):
    size, tags = draw(st.integers(0, 9)), draw(st.integers(1, 4))
    ids = draw(arrays.arrays(np.int64, size, elements=st.integers(0, 2**31 - 1)))
    targets = draw(arrays.arrays(np.int64, size, elements=st.integers(-100, 2**15 - 1)))
    allowed = draw(st.none() | arrays.arrays(bool, tags))
    soft = draw(st.none() | arrays.arrays(np.float16, (size, tags), elements=st.floats(0, 1, width=16)))
    return Example(ids, targets, allowed, soft)


def same(one, other):
    pairs = [(one.input_ids, other.input_ids), (one.targets, other.targets)]
    pairs += [(one.allowed, other.allowed), (one.soft, other.soft)]
    return all(
        (a is None) == (b is None) and (a is None or (a.dtype == b.dtype and np.array_equal(a, b))) for a, b in pairs
    )


def plain(number, tokens=512):
    rng = np.random.default_rng(number)
    return Example(rng.integers(0, 30_000, tokens), rng.integers(-1, 7, tokens))


@given(st.lists(examples(), max_size=6), st.sampled_from([0, 40, 2**20]))
def test_examples_come_back_as_they_were_given_from_memory_and_from_a_file(given_examples, memory):
    corpus = Corpus(iter(given_examples), memory=memory)
    assert len(corpus) == len(given_examples)
    assert all(same(*pair) for pair in zip(corpus, given_examples, strict=True))
    assert corpus.lengths.tolist() == [len(example) for example in given_examples]
    assert corpus.learnt.tolist() == [int((example.targets >= 0).sum()) for example in given_examples]
    assert corpus.fingerprint == Corpus(given_examples).fingerprint


@given(st.lists(examples(), min_size=1, max_size=4), st.data())
def test_any_change_of_an_example_changes_the_fingerprint(given_examples, data):
    n = data.draw(st.integers(0, len(given_examples) - 1))
    other = [*given_examples[:n], data.draw(examples()), *given_examples[n + 1 :]]
    assert (Corpus(other).fingerprint == Corpus(given_examples).fingerprint) == same(other[n], given_examples[n])


@given(st.lists(examples(), max_size=6))
def test_a_view_of_the_learnable_leaves_out_what_has_no_target(given_examples):
    corpus = Corpus(given_examples)
    view = corpus.learnable()
    wanted = [example for example in given_examples if (example.targets >= 0).any()]
    assert all(same(*pair) for pair in zip(view, wanted, strict=True))
    assert view.lengths.tolist() == [len(example) for example in wanted]
    assert (view.learnt > 0).all()
    assert (view.fingerprint == corpus.fingerprint) == (len(wanted) == len(given_examples))


def test_a_view_outlives_its_corpus():
    views = [Corpus([plain(0), Example(np.array([1]), np.array([-1]))], memory=0).learnable()]
    assert same(views[0][0], plain(0))


def test_positions_count_from_both_ends_and_end():
    corpus = Corpus([plain(0), plain(1)])
    assert same(corpus[-1], plain(1))
    with pytest.raises(IndexError):
        corpus[2]


def test_much_is_written_and_read_in_little_memory():
    number = 4000
    tracemalloc.start()
    try:
        corpus = Corpus((plain(n) for n in range(number)), memory=2**16)
        for n in np.random.default_rng(0).permutation(number)[:500].tolist():
            assert same(corpus[n], plain(n))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert corpus.lengths.sum() * 6 > 12e6
    assert peak < 1e6


def test_threads_read_at_once():
    corpus = Corpus([plain(n, 64) for n in range(200)], memory=0)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(corpus.__getitem__, list(range(200)) * 10))
    assert all(same(example, plain(n % 200, 64)) for n, example in enumerate(read))


def test_a_system_without_pread_reads_the_same(monkeypatch):
    corpus = Corpus([plain(n) for n in range(3)], memory=0)
    monkeypatch.delattr(os, "pread")
    assert [same(corpus[n], plain(n)) for n in (2, 0, 1)] == [True] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a temporary file may have a name while it is open")
def test_a_temporary_file_of_examples_has_no_name_that_a_kill_could_leave(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    def watched():
        for n in range(10):
            seen.append(list(tmp_path.iterdir()))
            yield plain(n)

    corpus = Corpus(watched(), memory=100)
    assert same(corpus[9], plain(9))
    assert seen == [[]] * 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "example",
    [
        Example(np.array([1, 2]), np.array([0])),
        Example(np.array([1]), np.array([2**15])),
        Example(np.array([1]), np.array([0]), None, np.ones((2, 3), np.float16)),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(example):
    with pytest.raises(ConfigError, match="example 1 cannot be kept"):
        Corpus([plain(0), example])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("w+b", 0))  # noqa: SIM115
    with pytest.raises(DataError, match="No space left.*TMPDIR"):
        Corpus([plain(0)], memory=0)


def test_trouble_in_reading_documents_is_not_taken_for_trouble_in_writing():
    def broken():
        yield plain(0)
        raise OSError("the network share is gone")

    with pytest.raises(OSError, match="share is gone"):
        Corpus(broken(), memory=0)


class Counting(TokenClassifier):
    """Counts the documents that it encodes."""

    encoded = 0

    def encode(self, documents):
        for document in documents:
            Counting.encoded += 1
            yield from super().encode([document])


@pytest.fixture
def student(tiny_base):
    Counting.encoded = 0
    student = Counting(tiny_base, ["medication", "symptom"])
    student.prepare(student.labels)
    return student


def test_examples_are_made_once_and_cached_for_their_owner_alone(student, notes, tmp_path):
    folder = tmp_path / "cache"
    first = Corpus.cached(student, notes, folder)
    again = Corpus.cached(student, iter_twice(notes), folder)
    assert Counting.encoded == len(notes)
    assert first.fingerprint == again.fingerprint == Corpus(student.encode(notes)).fingerprint
    assert all(same(*pair) for pair in zip(again, first, strict=True))
    [file] = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


def iter_twice(notes):
    """Notes in other objects, that take no part in a training."""
    return [Document(n.id, n.text, n.spans, n.covers, {"read": object()}) for n in notes]


def test_whatever_changes_examples_makes_others(tiny_base, still_base, student, notes, tmp_path):
    relabelled = notes[0].with_spans([Span(s.start, s.end, "symptom") for s in notes[0].spans])
    sure = notes[0].with_spans([Span(s.start, s.end, s.label, 0.5) for s in notes[0].spans])
    covering = notes[0].with_spans(notes[0].spans, {"medication"})
    alike = TokenClassifier(tiny_base, student.labels)
    others = [(student, [note, *notes[1:]]) for note in (relabelled, sure, covering)]
    others += [(student, notes[1:]), (student, notes)]
    others += [
        (TokenClassifier(base, student.labels, **options), notes)
        for base, options in [(still_base, {}), (tiny_base, {"max_length": 32}), (tiny_base, {"stride": 7})]
    ]
    others += [(TokenClassifier(tiny_base, student.labels[::-1]), notes), (alike, notes)]
    for other, documents in others:
        Corpus.cached(other, documents, tmp_path)
    assert len(list(tmp_path.iterdir())) == len(others)
    Corpus.cached(TokenClassifier(tiny_base, student.labels, name="other"), notes, tmp_path)
    assert len(list(tmp_path.iterdir())) == len(others)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[1:],
        lambda data: flipped(data, 0),
        lambda data: flipped(data, len(data) // 2),
        lambda data: flipped(data, -1),
        lambda data: flipped(data, -60),
        lambda data: data + data,
        lambda data: b"\x80\x04K\x01." + data,
        lambda data: b"not a corpus at all" * 99,
    ],
)
def test_a_damaged_file_is_made_anew_and_never_trusted(student, notes, tmp_path, damage, caplog):
    first = Corpus.cached(student, notes, tmp_path)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.raises(DataError, match=f"{file.name}.*delete"):
        Corpus.load(file)
    assert Corpus.cached(student, notes, tmp_path).fingerprint == first.fingerprint
    assert "made anew" in caplog.text
    assert file.read_bytes() == whole
    assert Corpus.load(file).fingerprint == first.fingerprint


def test_every_flipped_byte_is_noticed(student, notes, tmp_path):
    Corpus.cached(student, notes[:1], tmp_path)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    for at in range(0, len(whole), 3):
        file.write_bytes(flipped(whole, at))
        with pytest.raises(DataError):
            Corpus.load(file)


def test_a_file_that_is_cut_off_while_it_is_in_use_is_an_error(student, notes, tmp_path, monkeypatch):
    monkeypatch.setattr("clinidistill.distiller.corpus._MEMORY", 0)
    corpus = Corpus.cached(student, notes, tmp_path)
    [file] = tmp_path.iterdir()
    os.truncate(file, 100)
    with pytest.raises(DataError, match="cut off"):
        corpus[len(corpus) - 1]


DYING = """
import os, signal, sys
import numpy as np
from clinidistill.distiller.corpus import _keep
from clinidistill.students.trainable import Example
from pathlib import Path

def examples():
    for n in range(10_000):
        if n == 5_000:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Example(np.arange(100), np.zeros(100))

_keep(examples(), Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_in_the_midst_of_writing_leaves_nothing_that_is_trusted(student, notes, tmp_path):
    Corpus.cached(student, notes, tmp_path)
    [file] = tmp_path.iterdir()
    file.unlink()
    died = subprocess.run([sys.executable, "-c", DYING, file], check=False)
    assert died.returncode == -signal.SIGKILL
    [draft] = tmp_path.iterdir()
    assert draft != file
    assert draft.stat().st_size > 0
    with pytest.raises(DataError):
        Corpus.load(draft)
    Corpus.cached(student, notes, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([draft, file])  # for all we know, its writer is alive

    os.utime(draft, (0, 0))
    Corpus.cached(student, notes[1:], tmp_path)
    assert draft not in tmp_path.iterdir()


def test_an_error_in_the_midst_of_writing_leaves_nothing(student, notes, tmp_path):
    def broken():
        yield from notes
        if Counting.encoded:
            raise OSError("the network share is gone")

    class Again:
        __iter__ = staticmethod(broken)

    with pytest.raises(OSError, match="share"):
        Corpus.cached(student, Again(), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(student, notes, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file.*cannot take the training examples"):
        Corpus.cached(student, notes, tmp_path / "file")


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(DataError, match=r"absent\.corpus: cannot be read"):
        Corpus.load(tmp_path / "absent.corpus")


class Streamed(Dataset):
    """Notes made anew in every pass."""

    passes = 0

    def __init__(self, notes):
        self.notes = notes

    def __iter__(self):
        self.passes += 1
        return (Document(f"streamed {note.id}", note.text, note.spans) for note in self.notes)


class Watching(TokenClassifier):
    """Sees at every batch how many streamed notes there are."""

    alive = 0

    def loss(self, *args):
        notes = [each for each in gc.get_objects() if type(each) is Document and each.id.startswith("streamed")]
        Watching.alive = max(Watching.alive, len(notes))
        return super().loss(*args)


def test_a_training_streams_its_documents_and_holds_none(tiny_base, notes):
    streamed = Streamed(notes)
    settings = Distiller(1, 5e-3, 256, precision="fp32", device="cpu", show=False)
    history = settings.fit(Watching(tiny_base), streamed)
    assert (streamed.passes, Watching.alive) == (2, 0)  # for labels, and for examples
    assert settings.fit(Watching(tiny_base), list(streamed)).losses == history.losses
    assert Watching.alive == len(notes)  # a list is the caller's


def test_a_training_from_the_cache_is_the_same(student, tiny_base, notes, tmp_path):
    settings = Distiller(2, 5e-3, 256, precision="fp32", device="cpu", show=False)
    losses = [settings.fit(Counting(tiny_base, student.labels), notes, cache=tmp_path).losses for _ in range(2)]
    assert Counting.encoded == len(notes)
    assert losses == [settings.fit(TokenClassifier(tiny_base, student.labels), notes).losses] * 2
