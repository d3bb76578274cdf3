"""Notes, teachers and what comes back, for tests whose workers are other processes."""

import json
import os
import random
import re
from pathlib import Path

from clinidistill import Document, Span, Teacher
from clinidistill.datasets.jsonl import JsonLines
from clinidistill.datasets.parquet import Parquet
from clinidistill.terminologies import Concept, Terminology

DRUGS = ["aspirin", "codeine", "insulin", "lisinopril", "metformin", "naproxen", "prednisone", "warfarin"]


def notes(count, seed=0):
    draw = random.Random(seed)
    for number in range(count):
        drug, other = draw.sample(DRUGS, 2)
        text = f"took {drug} {draw.randrange(900)} mg twice for pain and {other if number % 3 else 'rest'}"
        yield Document(f"n{number}", text)


def documents(folder):
    """What is in an output, by id."""
    found = {}
    for path in sorted(Path(folder).glob("part-*")):
        for document in (Parquet if path.suffix == ".parquet" else JsonLines)(path):
            assert document.id not in found
            found[document.id] = document
    return found


def manifests(folder):
    return [json.loads(path.read_text()) for path in sorted(Path(folder, "_manifests").glob("*.json"))]


def bad(folder):
    paths = sorted(Path(folder, "_bad").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


class Moody(Teacher):
    """Marks drugs; fails on some notes, and dies of others, process and all."""

    def __init__(self, fails_on="\0", dies_of="\0"):
        self.fails_on, self.dies_of = fails_on, dies_of

    def label_document(self, document):
        if self.fails_on in document.text:
            raise RuntimeError(f"cannot read {document.text}")
        if self.dies_of in document.text:
            os._exit(1)
        return [Span(m.start(), m.end(), "drug") for m in re.finditer("|".join(DRUGS), document.text)]


class Logged(Terminology):
    """Writes down which process reads it."""

    def __init__(self, log):
        self.log = log

    def __iter__(self):
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()}\n")
        return iter([Concept(str(number), drug) for number, drug in enumerate(DRUGS)])
