"""What cannot work is refused before Ray is started and anything is written."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from helpers import DRUGS, notes

import clinidistill as cd
from clinidistill.errors import ConfigError
from clinidistill.scale import evaluate_dataset, label_dataset, predict_dataset
from clinidistill.scale.storage import Place

DICTIONARY = {"use": "terminology", "terminology": DRUGS, "label": "drug"}


@pytest.fixture
def ward(tmp_path):
    """A folder of notes, some in a folder of their own."""
    (tmp_path / "ward" / "a").mkdir(parents=True)
    cd.MemoryDataset(notes(3)).save(tmp_path / "ward" / "a.jsonl")
    cd.MemoryDataset(notes(3)).save(tmp_path / "ward" / "a" / "a.jsonl")
    return tmp_path / "ward"


@pytest.mark.parametrize("workers", [0, -1])
def test_without_workers_nothing_is_begun(ward, tmp_path, spread_student, workers):
    out, said = tmp_path / "out", f"workers={workers}: at least one"
    with pytest.raises(ConfigError, match=said):
        label_dataset(DICTIONARY, ward, out, workers=workers)
    with pytest.raises(ConfigError, match=said):
        predict_dataset(spread_student, ward, out, workers=workers)
    with pytest.raises(ConfigError, match=said):
        evaluate_dataset(ward, out, workers=workers)
    assert not out.exists()


@pytest.mark.parametrize("input", [".", "**", "**/*.jsonl", "*/*.jsonl", "sp[a-z]ns/part-*"])
def test_an_output_that_its_input_would_take_in_is_refused(ward, input):
    before = sorted(ward.rglob("*"))
    with pytest.raises(ConfigError, match="ward/spans lies in the input"):
        label_dataset(DICTIONARY, ward if input == "." else ward / input, ward / "spans")
    assert sorted(ward.rglob("*")) == before


@pytest.mark.parametrize(
    ("input", "output"),
    [
        ("notes/*.jsonl", "notes/spans"),
        ("notes/*/a.jsonl", "notes/spans"),
        ("notes/**/*.jsonl.gz", "notes/spans"),
        ("notes/**/*.jsonl", "notes2"),
        ("notes", "notes2"),
        ("notes/a.jsonl", "notes/spans"),
        ("notes/a**", "notes/spans"),
        ("s3://ward/**/*.jsonl", "ward"),
        ("zip://**/*.jsonl::notes.zip", "notes/spans"),
    ],
)
def test_an_output_beside_what_is_read_is_none_that_its_input_would_take_in(input, output):
    part = Place.of(output) / "part-000000-0.jsonl"
    assert not (Place(input) if "::" in input or "s3:" in input else Place.of(input)).takes_in(part)
