from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

import clinidistill.demo
from clinidistill.datasets import load_dataset
from clinidistill.demo import SIZES
from clinidistill.demo.dataset import DemoNotes
from clinidistill.demo.generator import generate
from clinidistill.demo.lexicon import load_lexicon
from clinidistill.demo.vocabularies import VOCABULARIES, write_vocabularies
from clinidistill.errors import OptionError
from clinidistill.types import CLINICAL, Document

HOME = Path(clinidistill.demo.__file__).parent
LABELS = ("medication", "disease", "symptom")


@pytest.fixture(scope="module")
def notes() -> dict[str, list[Document]]:
    return {split: list(DemoNotes(split)) for split in SIZES}


@pytest.fixture(scope="module")
def terms() -> dict[str, set[str]]:
    found = {}
    for vocabulary in VOCABULARIES:
        with (HOME / "terminologies" / f"{vocabulary.name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found[vocabulary.name] = {
            term.casefold() for row in rows for term in (row["name"], *row["synonyms"].split("|")) if term
        }
    return found


def forms(documents: list[Document], label: str | None = None) -> list[str]:
    return [d.mention(s).casefold() for d in documents for s in d.spans if label in (None, s.label)]


def templates(documents: list[Document]) -> set[str]:
    return {name for document in documents for name in document.meta["templates"]}


@pytest.mark.parametrize("split", SIZES)
def test_the_bundled_notes_are_what_the_generator_makes(split, notes):
    made = list(generate(split))
    assert made == notes[split]
    assert [document.meta for document in made] == [document.meta for document in notes[split]]


def test_the_bundled_vocabularies_are_what_the_generator_makes(tmp_path):
    write_vocabularies(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in (HOME / "terminologies").iterdir()}


@pytest.mark.parametrize("split", SIZES)
def test_the_dataset_knows_its_length_and_is_registered(split, notes):
    dataset = load_dataset("demo", split=split)
    assert len(dataset) == len(notes[split]) == SIZES[split]
    assert list(dataset) == list(dataset)


def test_an_unknown_split_is_refused():
    with pytest.raises(OptionError, match="split"):
        load_dataset("demo", split="validation")


def test_every_mention_is_whole_words_without_space_around_it(notes):
    for document in (d for split in notes.values() for d in split):
        for span in document.spans:
            mention = document.mention(span)
            assert span.label in CLINICAL.labels
            assert mention == mention.strip(), document.id
            assert len(mention) < 60, document.id
            assert not re.search(r"[\r\n{}<>~]|[.,;:]$", mention), document.id
            around = document.text[: span.start][-1:], document.text[span.end :][:1]
            assert not any(character.isalnum() for character in around), (document.id, span.start)


def test_mentions_do_not_overlap(notes):
    for document in (d for split in notes.values() for d in split):
        assert all(left.end <= right.start for left, right in pairwise(document.spans))


def test_no_slot_is_left_open(notes):
    assert not [d.id for split in notes.values() for d in split if re.search(r"[{}~]|<[a-z]", d.text)]


def test_a_word_of_the_lexicon_is_marked_wherever_it_names_what_it_says_there(notes):
    measured = {
        "albumin",
        "iron",
        "magnesium",
        "digoxin",
        "vanc",
        "b12",
        "vitamin d",
        "lithium",
        "tacrolimus",
        "calcium",
        "insulin",
    }
    other_meanings = {
        "stroke",
        "pcp",
        "inh",
        "o2",
        "cap",
        "pe",
        "ra",
        "hi",
        "ed",
        "ns",
        "lr",
        "ah",
        "si",
        "cp",
        "af",
        "tb",
    }
    names = {
        n.casefold()
        for roles in load_lexicon().values()
        for entries in roles.values()
        for e in entries
        for n in e.names
    }
    names -= measured | other_meanings
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})(?!\w)", re.I)
    for document in (d for split in notes.values() for d in split):
        marked = {n for span in document.spans for n in range(span.start, span.end)}
        missed = [match.start() for match in pattern.finditer(document.text) if match.start() not in marked]
        assert not missed, (document.id, [document.text[at : at + 20] for at in missed])


def test_ids_and_texts_occur_once(notes):
    documents = [d for split in notes.values() for d in split]
    assert len({d.id for d in documents}) == len({d.text for d in documents}) == sum(SIZES.values())


def test_test_notes_use_no_sentence_of_the_training_notes(notes):
    seen = templates(notes["train"]) | templates(notes["dev"])
    assert seen.isdisjoint(templates(notes["test"]))
    assert len(seen) > 200
    assert len(templates(notes["test"])) > 120


def test_template_texts_are_worded_differently_in_the_test_notes():
    def sentences(name: str) -> list[str]:
        lines = (HOME / "templates" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith(("#", "@", "=="))]

    wordy = [line for line in sentences("test") if len(re.sub(r"\{[^}]*\}|\W", "", line)) > 8]
    assert len(wordy) > 120
    assert set(wordy).isdisjoint(sentences("train"))


def test_almost_half_of_the_test_mentions_occur_in_no_other_note(notes):
    seen = set(forms(notes["train"] + notes["dev"]))
    for label in (None, *LABELS):
        found = forms(notes["test"], label)
        assert 0.4 <= sum(form not in seen for form in found) / len(found) <= 0.56, label


def test_the_notes_are_short_enough_to_train_on_two_cores(notes):
    words = {split: [len(d.text.split()) for d in documents] for split, documents in notes.items()}
    assert sum(words["train"]) <= 28_000
    assert all(55 <= count <= 250 for counts in words.values() for count in counts)


def test_the_vocabulary_is_large(notes):
    everything = [d for split in notes.values() for d in split]
    assert {label: len(set(forms(everything, label))) >= 350 for label in LABELS} == dict.fromkeys(LABELS, True)
    counts = Counter(d.meta["kind"] for d in everything)
    assert len(counts) >= 10
    assert min(counts.values()) >= 5


def test_the_notes_show_what_real_text_does_to_offsets(notes):
    text = "".join(d.text for split in notes.values() for d in split)
    assert all(character in text for character in ("\r\n", "\u00a0", "µ", "é", "–", "½", "[**"))


@pytest.mark.parametrize("label", LABELS)
def test_two_vocabularies_know_a_part_of_each_label_and_overlap(label, notes, terms):
    first, second = (terms[v.name] for v in VOCABULARIES if v.label == label)
    assert 0.3 <= len(first & second) / min(len(first), len(second)) <= 0.6
    known = {split: set(forms(notes[split], label)) for split in ("train", "test")}
    share = {split: len(found & (first | second)) / len(found) for split, found in known.items()}
    assert 0.6 <= share["train"] <= 0.75
    assert 0.45 <= share["test"] <= 0.63
    assert share["test"] < share["train"]


@pytest.mark.parametrize("label", LABELS)
def test_matching_both_vocabularies_leaves_room_for_a_student(label, notes, terms):
    known = set().union(*(terms[v.name] for v in VOCABULARIES if v.label == label))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(known, key=len, reverse=True)))})(?!\w)", re.I)
    hits = misses = extra = 0
    for document in notes["test"]:
        gold = {(s.start, s.end) for s in document.spans if s.label == label}
        said = {match.span() for match in pattern.finditer(document.text)}
        hits, misses, extra = hits + len(gold & said), misses + len(gold - said), extra + len(said - gold)
    assert 0.58 <= 2 * hits / (2 * hits + misses + extra) <= 0.76


def test_codes_are_unique_and_prefixed():
    for vocabulary in VOCABULARIES:
        codes = [code for code, _, _ in vocabulary.rows()]
        assert len(set(codes)) == len(codes)
        assert all(re.fullmatch(rf"{vocabulary.prefix}:\d{{4}}", code) for code in codes)


def test_misspelt_mentions_are_in_the_notes_but_in_no_vocabulary(notes, terms):
    names = {
        n.casefold()
        for roles in load_lexicon().values()
        for entries in roles.values()
        for e in entries
        for n in e.names
    }
    written = {t.casefold() for name in ("train", "test") for t in re.findall(r"<\w:([^>]+)>", _template_text(name))}
    pronouns = {
        form for form in forms([d for split in notes.values() for d in split]) if re.search(r"\b(his|her)\b", form)
    }
    slips = set(forms(notes["train"] + notes["test"])) - names - written - pronouns
    assert len(slips) > 40
    assert slips.isdisjoint(set().union(*terms.values()))


def _template_text(name: str) -> str:
    return (HOME / "templates" / f"{name}.txt").read_text(encoding="utf-8")


def test_importing_the_demo_loads_no_torch():
    code = "import clinidistill.demo.dataset, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
