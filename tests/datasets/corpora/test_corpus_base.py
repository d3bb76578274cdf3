import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from clinidistill.datasets.corpora.base import Corpus, hashed_split
from clinidistill.datasets.pubtator import PubTator
from clinidistill.errors import DataError, OptionError

NOTE = "{0}|t|On metformin.\n{0}|a|\n{0}\t3\t12\tmetformin\tChemical\t-1\n\n"


class Letters(Corpus):
    """A corpus of two files."""

    splits = ("train", "test")
    homepage = "https://example.org"
    agreement = "CC0"
    names = {"Chemical": "medication"}
    needs = {"train": {"train/*.txt": 1}, "test": {"test/*.txt": 1}}
    sizes = {"train": 2, "test": 1}

    def readers(self, split, files):
        return [PubTator(path) for path in files.paths(f"{split}/*.txt")]


def make(folder: Path) -> Path:
    for split, ids in {"train": "ab", "test": "c"}.items():
        (folder / "v1" / split).mkdir(parents=True)
        (folder / "v1" / split / f"{split}.txt").write_text("".join(map(NOTE.format, ids)))
    return folder


def pack(folder: Path, ending: str) -> Path:
    archive = folder.parent / f"release{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for path in sorted(folder.rglob("*.txt")):
                packed.write(path, path.relative_to(folder))
    else:
        with tarfile.open(archive, "w" + (":gz" if ending.endswith("gz") else "")) as tape:
            tape.add(folder, "letters")
    return archive


def ids(corpus):
    return [document.id for document in corpus]


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tgz"])
def test_an_archive_reads_as_its_folder_does(tmp_path, ending):
    folder = make(tmp_path / "letters")
    archive = pack(folder, ending)
    assert list(Letters(archive)) == list(Letters(folder))
    assert ids(Letters(archive)) == ["a", "b", "c"]
    assert Letters(archive).fingerprint_data()["path"] == Letters(folder).fingerprint_data()["path"]


def test_archives_within_a_folder_and_within_archives_are_read(tmp_path):
    archive = pack(make(tmp_path / "letters"), ".zip")
    outer = tmp_path / "download" / "all.zip"
    outer.parent.mkdir()
    with zipfile.ZipFile(outer, "w") as packed:
        packed.write(archive, "inner/release.zip")
    assert ids(Letters(outer)) == ids(Letters(outer.parent)) == ["a", "b", "c"]


def test_what_lies_packed_and_unpacked_is_read_once(tmp_path):
    folder = make(tmp_path / "letters")
    pack(folder, ".zip")
    assert ids(Letters(tmp_path)) == ["a", "b", "c"]


def test_a_folder_above_will_do_and_hidden_files_are_not_seen(tmp_path):
    folder = make(tmp_path / "deep" / "letters")
    (folder / "v1" / "test" / "._test.txt").write_bytes(b"\x00\x05\x16\x07")
    assert ids(Letters(tmp_path, "test")) == ["c"]


def test_splits_go_by_their_usual_other_names_and_a_wrong_one_is_told_the_right_ones(tmp_path):
    folder = make(tmp_path / "letters")
    assert Letters(folder, "training").chosen == ("train",)
    assert Letters(folder, "training").fingerprint == Letters(folder, "train").fingerprint
    with pytest.raises(OptionError, match="no split 'dev'; this corpus has train, test"):
        Letters(folder, "dev")


def test_labels_are_ours_documents_cover_them_and_name_their_split(tmp_path):
    (document,) = Letters(make(tmp_path / "letters"), "test")
    assert (document.labels, document.covers, document.meta) == ({"medication"}, {"medication"}, {"split": "test"})
    (document,) = Letters(tmp_path / "letters", "test", labels={"Chemical": "drug", "Other": "rest"})
    assert (document.labels, document.covers) == ({"drug"}, {"drug", "rest"})


def test_what_is_missing_is_listed_with_where_to_get_it(tmp_path):
    folder = make(tmp_path / "letters")
    (folder / "v1/test/test.txt").unlink()
    for act in (Letters(folder).check, lambda: list(Letters(folder))):
        with pytest.raises(DataError, match=r"missing: test/\*.txt of test.*example\.org \(CC0\)"):
            act()
    assert ids(Letters(folder, "train")) == ids(Letters(folder, complete=False)) == ["a", "b"]


def test_a_file_cut_short_between_documents_is_an_error(tmp_path):
    folder = make(tmp_path / "letters")
    (folder / "v1/train/train.txt").write_text(NOTE.format("a"))
    with pytest.raises(DataError, match="1 documents in train, where the publisher has 2"):
        list(Letters(folder))
    assert ids(Letters(folder, complete=False)) == ["a", "c"]


def test_a_folder_that_holds_nothing_of_a_corpus_is_an_error_even_where_it_need_not_be_complete(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(DataError, match="missing"):
        ids(Letters(tmp_path, complete=False))


def test_faults_name_file_and_line_in_the_archive_and_can_be_left_out(tmp_path):
    folder = make(tmp_path / "letters")
    (folder / "v1/train/train.txt").write_text(NOTE.format("a").replace("12", "11") + NOTE.format("b"))
    archive = pack(folder, ".zip")
    with pytest.raises(DataError) as caught:
        list(Letters(archive))
    assert (caught.value.path, caught.value.line) == (archive / "v1/train/train.txt", 3)
    corpus = Letters(archive, on_error="skip")
    assert ids(corpus) == ["b", "c"]
    assert [fault.path for fault in corpus.skipped] == [archive / "v1/train/train.txt"]


def test_an_archive_that_reaches_outside_itself_is_refused(tmp_path):
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../../train/train.txt", NOTE.format("a"))
    with pytest.raises(DataError, match="names files outside itself"):
        list(Letters(archive))


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_a_damaged_archive_is_named(tmp_path, ending):
    archive = pack(make(tmp_path / "letters"), ending)
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read") as caught:
        list(Letters(archive))
    assert caught.value.path == archive


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(NOTE.format("z"))
    folder = make(tmp_path / "letters")
    (folder / "v1/train/more.txt").symlink_to(secret)
    archive = pack(folder, ".tar")
    assert ids(Letters(archive)) == ["a", "b", "c"]


def test_nothing_stays_in_the_temporary_folder(tmp_path, monkeypatch):
    archive = pack(make(tmp_path / "letters"), ".zip")
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    list(Letters(archive))
    documents = iter(Letters(archive))
    next(documents)
    assert len(list(place.iterdir())) == 1
    documents.close()
    assert not list(place.iterdir())


def test_hashed_splits_hold_the_shares_they_say():
    counts = Counter(hashed_split(f"note-{number}") for number in range(20_000))
    for name, share in {"train": 0.7, "dev": 0.1, "test": 0.2}.items():
        assert abs(counts[name] / 20_000 - share) < 0.01
