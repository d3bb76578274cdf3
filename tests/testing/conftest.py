import sys
from pathlib import Path

import pytest

import clinidistill as cd
from clinidistill import Document, Span

for folder in ("datasets/corpora", "llm", "teachers", "terminologies"):  # what writes releases and serves answers there
    sys.path.append(str(Path(__file__).parents[1] / folder))

KINDS = {"aspirin": "medication", "metformin": "medication", "pain": "symptom", "rash": "symptom"}
NOTES = [
    "started aspirin for pain daily",
    "pain and rash after metformin",
    "no rash reported on metformin",
    "she denied pain at once",
    "aspirin was stopped",
]


def gold(text):
    words = [(text.index(word), word) for word in text.split()]
    return Document(text, text, [Span(at, at + len(word), KINDS[word]) for at, word in words if word in KINDS])


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
