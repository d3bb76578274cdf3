"""The GPU benchmark runs: on a CPU, with a tiny model and few notes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clinidistill.settings import Settings

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_it_measures_training_and_predicting(tiny_base):
    if not (Settings().data / "maccrobat2020").is_dir():
        pytest.skip("the case reports are absent; see docs/data.md")
    told = run("--device", "cpu", "--base", tiny_base, "--notes", 2, "--rounds", 1, "--dollars-per-hour", 36)
    rows = dict(line.strip("| ").split(" | ", 1) for line in told.splitlines() if line.startswith("| "))
    assert {"Distiller", "Trainer, defaults", "student.predict", "pipeline, batches of 1"} <= set(rows)
    notes, _, dollars, ratio = (float(cell.replace(",", "")) for cell in rows["student.predict"].split(" | "))
    assert dollars == pytest.approx(36 / 3600 / notes * 1e6, rel=0.01)
    assert ratio == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    assert run().startswith("No GPU here")
