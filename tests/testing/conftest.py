import sys
from pathlib import Path

import pytest
from learnt_notes import NOTES, gold

import clinidistill as cd

for folder in ("datasets/corpora", "llm", "teachers", "terminologies"):  # what writes releases and serves answers there
    sys.path.append(str(Path(__file__).parents[1] / folder))


@pytest.fixture(scope="session")
def learnt(tiny_base):
    """A tiny token classifier that has learnt four words."""
    student = cd.load_student("token-classifier", base=tiny_base, name="tiny", stride=8)
    cd.Distiller(40, 5e-3, 256, precision="fp32", device="cpu", show=False).fit(student, map(gold, NOTES))
    return student


@pytest.fixture(scope="session")
def learnt_folder(learnt, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learnt") / "student"
    learnt.save(folder)
    return folder
