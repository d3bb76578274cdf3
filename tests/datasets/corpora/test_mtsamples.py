"""MTSamples, on made-up notes in the file that Kaggle gives out."""

import csv
import zipfile

import pytest

import clinidistill as cd
from clinidistill.datasets.corpora.base import hashed_split
from clinidistill.errors import DataError

HEADER = ["", "description", "medical_specialty", "sample_name", "transcription", "keywords"]
NOTE = 'SUBJECTIVE:,  This 23-year-old "white" female has allergies.,MEDICATIONS: , Zyrtec\u2122.'


def row(number, note=NOTE, specialty=" Allergy / Immunology"):
    return [number, "A 23-year-old female.", specialty, " Allergic Rhinitis ", note, "allergy, rhinitis,"]


def table(folder, *rows, header=HEADER):
    with (folder / "mtsamples.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return folder / "mtsamples.csv"


def load(path, **options):
    return list(cd.load_dataset("mtsamples", path=path, **options))


def test_notes_are_read_once_as_they_stand_and_cover_nothing(tmp_path):
    path = table(tmp_path, row(0), row(1, ""), row(2, NOTE, " General Medicine"), row(3, "Other."))
    first, other = sorted(load(path), key=lambda each: each.id)
    assert (first.id, first.text, first.covers) == ("0", NOTE, frozenset())
    assert first.meta == {
        "medical_specialty": "Allergy / Immunology",
        "sample_name": "Allergic Rhinitis",
        "description": "A 23-year-old female.",
        "keywords": "allergy, rhinitis,",
        "split": hashed_split("0"),
    }
    assert (other.id, other.text) == ("3", "Other.")


@pytest.mark.parametrize("name", ["index", "Unnamed: 0"])
def test_the_index_goes_by_what_programs_call_it(name, tmp_path):
    (document,) = load(table(tmp_path, row(7), header=[name, *HEADER[1:]]))
    assert document.id == "7"


def test_the_splits_share_out_the_notes(tmp_path):
    path = table(tmp_path, *(row(number, f"Note {number}.") for number in range(200)))
    parts = {split: load(path, split=split) for split in ("train", "dev", "test")}
    assert {split: len(part) for split, part in parts.items()} == {
        split: [hashed_split(str(number)) for number in range(200)].count(split) for split in parts
    }
    assert [each.id for each in load(path)] == [each.id for part in parts.values() for each in part]


def test_the_zip_as_downloaded_and_a_folder_with_it_read_alike(tmp_path):
    path = table(tmp_path, row(0), row(1, "Other."))
    (tmp_path / "download").mkdir()
    with zipfile.ZipFile(tmp_path / "download/archive.zip", "w") as packed:
        packed.write(path, "mtsamples.csv")
    assert load(path) == load(tmp_path / "download/archive.zip") == load(tmp_path / "download")


def test_what_is_not_there_or_not_such_a_table_is_told(tmp_path):
    with pytest.raises(DataError, match=r"mtsamples\.csv of train.*kaggle\.com"):
        load(tmp_path)
    path = table(tmp_path, ["0", "x"], header=["", "text"])
    with pytest.raises(DataError, match=r"mtsamples\.csv:1: no column 'transcription'"):
        load(path)
    path = table(tmp_path, row(0), row(0, "Other."))
    with pytest.raises(DataError, match=r"mtsamples\.csv:3: a second document has the id '0'"):
        load(path)
