"""Made-up notes whose mentions a tiny student can learn, and a base without dropout."""

import json
import random
import shutil

import pytest

from clinidistill import Document, Span

DRUGS = ["aspirin", "codeine", "insulin", "metformin", "warfarin"]
SIGNS = ["chest pain", "fever", "headache", "rash", "nausea"]


@pytest.fixture(scope="session")
def notes():
    """20 notes of one to three sentences, each with a drug and a symptom."""
    draw = random.Random(0)
    return [_note(f"n{n}", draw) for n in range(20)]


def _note(name, draw):
    text, spans = "", []
    for _ in range(draw.randint(1, 3)):
        for plain, mention, label in (
            (draw.choice(["started", "the patient took", "he was given"]), draw.choice(DRUGS), "medication"),
            (draw.choice(["for", "because of"]), draw.choice(SIGNS), "symptom"),
        ):
            start = len(text) + len(plain) + 1
            spans.append(Span(start, start + len(mention), label))
            text += f"{plain} {mention} "
        text = text[:-1] + ". "
    return Document(name, text, spans)


@pytest.fixture(scope="session")
def still_base(tiny_base, tmp_path_factory):
    """The tiny base without dropout."""
    folder = shutil.copytree(tiny_base, tmp_path_factory.mktemp("still") / "base")
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
