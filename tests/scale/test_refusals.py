"""What cannot work is refused before Ray is started and anything is written."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from helpers import DRUGS, notes

import clinidistill as cd
from clinidistill.errors import ConfigError
from clinidistill.scale import evaluate_dataset, label_dataset, predict_dataset

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
