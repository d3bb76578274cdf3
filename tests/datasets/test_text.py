import gzip

import pytest

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.types import Document

NOTES = {"b.txt": "\ufeffFirst\r\nsecond µ.", "ward/a.b.txt": "", ".hidden/c.txt": "x", "d.csv": "x"}


@pytest.fixture
def folder(tmp_path):
    for name, text in NOTES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def read(path, **options):
    return list(cd.load_dataset("text", path=path, **options))


def test_notes_are_named_by_their_place_and_cover_nothing(folder):
    assert read(folder) == [
        Document("b", "First\r\nsecond µ.", covers=frozenset()),
        Document("ward/a.b", "", covers=frozenset()),
    ]
    assert len(cd.load_dataset("text", path=folder)) == 2
    with pytest.raises(TypeError, match="length"):
        len(cd.load_dataset("text", path=folder, on_error="skip"))


def test_a_file_may_have_any_ending_and_be_packed(folder):
    assert [each.id for each in read(folder / "d.csv")] == ["d"]
    (folder / "e.txt.gz").write_bytes(gzip.compress(b"packed"))
    assert read(folder / "*.gz") == [Document("e", "packed", covers=frozenset())]


def test_a_note_that_is_not_utf_8_and_two_of_one_name_are_faults(folder):
    (folder / "a.txt").write_bytes(b"first\nsecret \xff")
    with pytest.raises(DataError, match=r"a\.txt:2: this line is not UTF-8") as caught:
        read(folder)
    assert "secret" not in str(caught.value)
    assert [each.id for each in read(folder, on_error="skip")] == ["b", "ward/a.b"]
    (folder / "b.md").write_bytes(b"x")
    with pytest.raises(DataError, match="a second document has the id 'b'"):
        read(folder / "b.*")


def test_it_is_not_written(tmp_path):
    with pytest.raises(ConfigError, match="TextFiles can only read; save in"):
        cd.MemoryDataset([Document("a", "x")]).save(tmp_path / "a.txt", format="text")
