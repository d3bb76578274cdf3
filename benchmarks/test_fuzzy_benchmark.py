"""Misspelled drug names: what is found, what is found wrongly, and what it costs, in one process.

One typo (a letter less, more or other, or two neighbours swapped, at any letter, in names of any length) is planted in
2,000 mentions of real notes: all Medication mentions of MACCROBAT that the teacher without `fuzzy` finds exactly, and a
sample (with repeats) of what it finds in the E3C pool from its 4,001st note on, of names that are Medication somewhere
in MACCROBAT (a drug vocabulary names "blood" and "light", too). The first 4,000 were for tuning. Clean text is the
latter as it is: every span that `fuzzy` adds there is printed, to be judged by eye, since notes have misspellings of
their own.
"""

import gzip
import json
import random
import re
import string
from collections import Counter
from time import process_time

import pytest

import clinidistill as cd
from clinidistill.settings import Settings

DATA = Settings().data
DRUGS = DATA / "drugbank_vocabulary/data/drug_names_terminology/drugbank vocabulary.csv"
PLANTED, WORDS_JUDGED, ROUNDS = 2_000, 2_000, 5


def load(fuzzy):
    return cd.load_teacher("terminology", path=DRUGS, label="Medication", fuzzy=fuzzy)


@pytest.fixture(scope="module")
def pool():
    """Notes of the E3C pool that nothing was tuned on."""
    path = DATA / "e3c_pool/notes.jsonl.gz"
    if not path.exists() or not DRUGS.exists():
        pytest.skip("e3c_pool or drugbank_vocabulary is not in $CLINIDISTILL_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [cd.Document(note["id"], note["text"]) for note in map(json.loads, lines)][4_000:]


@pytest.fixture(scope="module")
def mentions(pool):
    """(corpus, note, span) of drugs that are spelled right."""
    folder, teacher, draw = DATA / "maccrobat2020", load(False), random.Random(11)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; see docs/data.md")
    chosen, drugs = [], set()
    for document in cd.load_dataset("brat", path=folder, labels={"Medication": "Medication"}):
        gold = {span.key for span in document.spans}
        drugs.update(document.mention(span).lower() for span in document.spans)
        chosen += [("MACCROBAT", document, span) for span in teacher.label_document(document) if span.key in gold]
    found = ((document, span) for document in pool for span in teacher.label_document(document))
    others = [("E3C", document, span) for document, span in found if document.mention(span).lower() in drugs]
    return chosen + draw.choices(others, k=PLANTED - len(chosen))  # with other typos where drawn again


def misspelled(mention, draw):
    """One typo at any letter."""
    letters = [match.start() for match in re.finditer(r"[^\W\d_]", mention)]
    while True:
        at, kind, letter = draw.choice(letters), draw.randrange(4), draw.choice(string.ascii_lowercase)
        after = mention[at + 1 : at + 2]
        if kind == 0 and len(letters) > 1:
            return mention[:at] + mention[at + 1 :]
        if kind == 1 and letter != mention[at].lower():
            return mention[:at] + letter + mention[at + 1 :]
        if kind == 2:
            return mention[:at] + letter + mention[at:]
        if kind == 3 and after.isalpha() and after.lower() != mention[at].lower():
            return mention[:at] + after + mention[at] + mention[at + 2 :]


def test_planted_typos_are_found_with_the_right_code(mentions, capsys):
    teacher, draw, counts = load(True), random.Random(12), Counter()
    for corpus, document, span in mentions:
        typo = misspelled(document.mention(span), draw)
        text = document.text[: span.start] + typo + document.text[span.end :]
        end = span.start + len(typo)
        there = [s for s in teacher.label_document(cd.Document("n", text)) if s.start < end and s.end > span.start]
        right = any((s.start, s.end, s.code) == (span.start, end, span.code) for s in there)
        misspelled_code = {s.code for s in there if s.score < 1}
        for group in (corpus, "all", f"{min(len(span), 8)} characters" + " or more" * (len(span) >= 8)):
            counts[group, "n"] += 1
            counts[group, "right"] += right
            counts[group, "another"] += bool(misspelled_code - {span.code})
            counts[group, "exact"] += any(s.score == 1 and s.code != span.code for s in there)
    with capsys.disabled():
        print(f"\none typo in each of {PLANTED:,} drug mentions:")
        for group in sorted({group for group, _ in counts}, key=lambda group: (group[0].isdigit(), group)):
            n, right, another, exact = (counts[group, key] for key in ("n", "right", "another", "exact"))
            print(
                f"  {group:22} {n:5} mentions, {right / n:6.1%} found with place and code; taken for another "
                f"misspelled drug {another / n:5.1%}, exactly another name {exact / n:5.1%}"
            )
    assert counts["all", "right"] / counts["all", "n"] >= 0.85


def test_clean_text_gains_few_spans(pool, capsys):
    plain, fuzzy, added, words = load(False), load(True), Counter(), 0
    for document in pool:
        words += len(document.text.split())
        terms = fuzzy.matcher
        places = {span.key for span in plain.label_document(document)}
        for match in terms.find(document.text):
            if match.score < 1 and (match.start, match.end, "Medication") not in places:
                added[document.text[match.start : match.end], terms.automaton.term(match.entry).text] += 1
    rate = added.total() * WORDS_JUDGED / words
    with capsys.disabled():
        print(f"\n{added.total()} spans more in {words:,} words of clean text, {rate:.2f} in {WORDS_JUDGED:,}:")
        print("  " + "; ".join(f"{found} = {name} ({n})" for (found, name), n in added.most_common()))
    assert rate <= 1


def test_the_whole_note_rate(pool, capsys):
    notes, times = pool[:1_000], {"without": [], "with fuzzy": [], "with fuzzy, words met before": []}
    size = sum(len(document.text) for document in notes)
    sides = {"without": load(False)}
    sides["without"].matcher  # noqa: B018
    warm_up = pool[1_000:1_010]  # indexes and word lists are read at first use
    for _ in range(ROUNDS):
        sides["with fuzzy"] = load(True)  # so that every word is new again
        for document in warm_up:
            list(sides["with fuzzy"].label_document(document))
        for name, teacher in [*sides.items(), ("with fuzzy, words met before", sides["with fuzzy"])]:
            started = process_time()
            for document in notes:
                list(teacher.label_document(document))
            times[name].append(process_time() - started)
    best = {name: min(each) for name, each in times.items()}
    with capsys.disabled():
        print(f"\n{len(notes):,} notes of {size:,} characters, CPU time, best of {ROUNDS}:")
        for name, taken in best.items():
            print(
                f"  {name:30} {size / taken / 1e6:6.2f} million characters/s, {best['without'] / taken:4.0%} of without"
            )
    assert best["without"] / best["with fuzzy"] > 0.25
