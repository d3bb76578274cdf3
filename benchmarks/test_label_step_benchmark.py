"""Labelling 2,000 notes with a drug dictionary into a file: clinidistill against spaCy's PhraseMatcher and a DocBin.

Both look for the same DrugBank names and end with every annotation on disk. Building the dictionaries is not timed. The
bare teacher shows what the store costs; the second run, what it saves.
"""

import gzip
import json
import random
from itertools import islice
from time import perf_counter

import pytest
import spacy
from spacy.matcher import PhraseMatcher
from spacy.tokens import DocBin
from spacy.util import filter_spans

import clinidistill as cd
from clinidistill import Document
from clinidistill.settings import Settings

SIZE = 2000


@pytest.fixture(scope="module")
def names():
    folder = Settings().data / "drugbank_vocabulary"
    if not folder.is_dir():
        pytest.skip("needs drugbank_vocabulary in $CLINIDISTILL_DATA")
    path = next(folder.rglob("*.csv"))
    terminology = cd.load_terminology("table", path=path)
    return sorted({term for concept in terminology for term in concept.terms if len(term) > 2})


@pytest.fixture(scope="module")
def notes(names):
    """Real case texts where they are at hand, else sentences with drug names, made up."""
    path = Settings().data / "e3c_pool" / "notes.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [Document(note["id"], note["text"]) for note in map(json.loads, islice(lines, SIZE))]
    draw = random.Random(0)
    words = [*draw.sample(names, 200), *("".join(draw.choices("abcdefgh", k=6)) for _ in range(2000))]
    return [Document(f"n{n}", " ".join(draw.choices(words, k=120))) for n in range(SIZE)]


def clocked(work, rounds=3):
    """The best of some rounds, in seconds."""
    seconds = []
    for n in range(rounds):
        started = perf_counter()
        work(n)
        seconds.append(perf_counter() - started)
    return min(seconds)


def test_the_label_step_against_spacy_and_a_docbin(benchmark, names, notes, tmp_path, capsys):
    teacher = cd.load_teacher("terminology", terminology=names, label="medication", stop_lists=())
    marked = sum(len(annotation.spans) for annotation in teacher.annotate(notes))  # compiles the dictionary
    files = (tmp_path / f"ours-{n}.sqlite" for n in range(100))
    benchmark.pedantic(lambda: cd.label(notes, teacher, next(files)), rounds=5)
    ours = benchmark.stats.stats.min
    bare = clocked(lambda n: list(teacher.annotate(notes)))
    again = clocked(lambda n: cd.label(notes, teacher, tmp_path / "ours-0.sqlite"))
    labels = cd.label(notes, teacher, tmp_path / "ours-0.sqlite")
    read = clocked(lambda n: list(labels))
    assert sum(len(o.annotations[labels.teachers[0]].spans) for o in labels) == marked

    nlp = spacy.blank("en")
    matcher = PhraseMatcher(nlp.vocab, attr="LOWER")
    matcher.add("medication", list(nlp.tokenizer.pipe(names)))

    def peer(n):
        annotated = DocBin(attrs=["ENT_IOB", "ENT_TYPE"])
        for doc in nlp.pipe(note.text for note in notes):
            doc.ents = filter_spans(matcher(doc, as_spans=True))
            annotated.add(doc)
        annotated.to_disk(tmp_path / f"peer-{n}.spacy")

    theirs = clocked(peer)
    stored = DocBin().from_disk(tmp_path / "peer-0.spacy")
    found = sum(len(doc.ents) for doc in stored.get_docs(nlp.vocab))
    rate = {
        "label, into SQLite": ours,
        "the bare teacher": bare,
        "label again, all stored": again,
        "reading the labels": read,
        "spaCy, into a DocBin": theirs,
    }
    with capsys.disabled():
        print(f"\n{len(notes):,} notes, {sum(len(n.text) for n in notes):,} characters, {len(names):,} names; ", end="")
        print(f"spans: clinidistill {marked:,}, spaCy {found:,}")
        for what, seconds in rate.items():
            print(f"{what:25}{len(notes) / seconds:10,.0f} notes/s  {theirs / seconds:6.2f} times spaCy")
    benchmark.extra_info.update(spacy_seconds=theirs, bare_seconds=bare)
