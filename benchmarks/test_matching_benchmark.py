"""Drug names in real notes: clinidistill against bare pyahocorasick and spaCy's PhraseMatcher, in one process.

CPU time, sides in turn, medians. The bare automaton only lower-cases: it finds names inside words too, chooses nothing,
and misses every other spelling. PhraseMatcher (attr="LOWER") is timed with its tokenizer, which it can't do without.
"""

import gzip
import json
import statistics
from collections.abc import Callable
from time import process_time

import ahocorasick
import pytest

from clinidistill.matching import Automaton, Term, normalize
from clinidistill.settings import Settings
from clinidistill.teachers import load_teacher
from clinidistill.terminologies import load_terminology
from clinidistill.types import Document

DATA = Settings().data
DRUGS = DATA / "drugbank_vocabulary/data/drug_names_terminology/drugbank vocabulary.csv"
ROUNDS = 5


@pytest.fixture(scope="module")
def texts():
    """All MACCROBAT notes, and the first 1,000 of the E3C pool where it is there."""
    notes = sorted((DATA / "maccrobat2020/MACCROBAT2020").glob("*.txt"))
    if not notes or not DRUGS.exists():
        pytest.skip("maccrobat2020 or drugbank_vocabulary is not in $CLINIDISTILL_DATA")
    read = [path.read_text(encoding="utf-8") for path in notes]
    pool = DATA / "e3c_pool/notes.jsonl.gz"
    if pool.exists():
        with gzip.open(pool, "rt", encoding="utf-8") as lines:
            read += [json.loads(line)["text"] for line, _ in zip(lines, range(1000), strict=False)]
    return read


def seconds(sides: dict[str, Callable[[str], object]], texts: list[str]) -> dict[str, float]:
    """Median CPU seconds of each side over all texts."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, find in sides.items():
            started = process_time()
            for text in texts:
                find(text)
            times[name].append(process_time() - started)
    return {name: statistics.median(each) for name, each in times.items()}


def test_matching_against_pyahocorasick_and_spacy(texts, capsys):
    spacy = pytest.importorskip("spacy")
    from spacy.matcher import PhraseMatcher
    from spacy.util import filter_spans

    terms = [Term(text, concept.code) for concept in load_terminology("table", path=DRUGS) for text in concept.terms]
    started = process_time()
    ours = Automaton(terms)
    building = {"clinidistill": process_time() - started}

    started = process_time()
    bare = ahocorasick.Automaton()
    for term in terms:
        if len(term.text) > 1:
            bare.add_word(term.text.lower(), term.code)
    bare.make_automaton()
    building["pyahocorasick"] = process_time() - started

    started = process_time()
    nlp = spacy.blank("en")
    nlp.max_length = 10**9
    phrases = PhraseMatcher(nlp.vocab, attr="LOWER")
    phrases.add("DRUG", [nlp.make_doc(term.text) for term in terms if len(term.text) > 1])
    building["PhraseMatcher"] = process_time() - started

    teacher = load_teacher("terminology", path=DRUGS, label="medication")
    assert len(teacher.automaton) > len(ours)
    sides = {
        "clinidistill": ours.find,
        "clinidistill's normalize alone": normalize,
        "clinidistill's teacher": lambda text: list(teacher.label_document(Document("n", text))),
        "pyahocorasick": lambda text: list(bare.iter(text.lower())),
        "PhraseMatcher": lambda text: filter_spans(phrases(nlp.make_doc(text), as_spans=True)),
    }
    times = seconds(sides, texts)
    size = sum(map(len, texts))
    with capsys.disabled():
        print(f"\n{len(ours):,} names in {len(texts):,} notes of {size:,} characters, CPU time, median of {ROUNDS}:")
        for name, taken in times.items():
            rate, ratio = size / taken / 1e6, taken / times["clinidistill"]
            built = f", built in {building[name]:.2f} s" if name in building else ""
            print(f"  {name:31} {rate:6.2f} million characters/s, {ratio:5.2f} times clinidistill's time{built}")
    assert times["clinidistill"] < times["PhraseMatcher"]
