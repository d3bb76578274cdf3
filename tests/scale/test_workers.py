"""Workers by themselves, without Ray."""

import sys
from dataclasses import asdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from helpers import Moody, notes

import clinidistill as cd
from clinidistill.errors import ClinidistillError
from clinidistill.scale.blocks import cut
from clinidistill.scale.output import Output
from clinidistill.scale.shipping import taken_apart
from clinidistill.scale.storage import Place
from clinidistill.scale.workers import TeacherMarker, Teaching


def test_a_worker_leaves_out_blocks_in_which_every_note_fails_and_ends_at_the_third_in_a_row(tmp_path):
    good = notes(20)
    failing = (cd.Document(f"f{number}", "moody all day") for number in range(100))
    cd.MemoryDataset([next(failing if fails else good) for fails in (1, 1, 0, 1, 1, 1) for _ in range(20)]).save(
        tmp_path / "in.parquet"
    )
    teaching = Teaching(taken_apart(Moody(fails_on="moody")), (), ":memory:", allow_remote=False, budget=None)
    output = Output(Place.of(tmp_path / "out"), "jsonl")
    worker = TeacherMarker(output, "m", teaching)
    *blocks, last = cut(Place.of(tmp_path / "in.parquet"), 20).blocks
    told = [worker(asdict(block)) for block in blocks]
    assert ["left_out" in each for each in told] == [True, True, False, True, True]
    assert told[0]["left_out"].startswith(f"all 20 notes of {blocks[0].name} failed, the last of RuntimeError")
    assert output.manifests() == {blocks[2].name: told[2]}
    with pytest.raises(ClinidistillError, match=f"all 20 notes of {last.name} failed"):
        worker(asdict(last))
