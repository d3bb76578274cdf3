"""i2b2 2009 and 2010, on made-up notes in the files and formats that they are given out in."""

import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.datasets.corpora.line_tokens import LineTokens
from clinidistill.errors import DataError, OptionError, SpanError

NOTE = (
    "018636330 DH\n"
    "\n"
    "1. Aspirin   81 MG PO QD.\r\n"
    "He took  ibuprofen,\tβ-Blocker XL and PCA\n"
    "analgesia  for pain.  No allergies.\n"
)
ENTRIES = (
    'm="aspirin" 3:1 3:1||do="81 mg" 3:2 3:3||mo="po" 3:4 3:4||f="qd." 3:5 3:5||du="nm"||r="nm"||ln="list"\n'
    'm="β-blocker xl" 4:3 4:4||do="nm"||mo="nm"||f="nm"||du="nm"||r="pain." 5:2 5:2||e="start"||t="past"||c="factual"\n'
)


def tape(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as packed:
        for name, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def load(name, path, **options):
    return cd.load_dataset(name, path=path, **options)


def mentions(document):
    return [(document.mention(span), span.label) for span in document.spans]


# Places


@pytest.mark.parametrize(
    ("first", "last", "quote", "mention"),
    [
        ((3, 1), (3, 1), "aspirin", "Aspirin"),
        ((3, 2), (3, 3), "81 mg", "81 MG"),
        ((3, 5), (3, 5), "qd.", "QD."),
        ((4, 2), (4, 2), "ibuprofen", "ibuprofen"),  # less than its token, which has a comma
        ((4, 3), (4, 4), "β-blocker xl", "β-Blocker XL"),  # tabs part tokens
        ((4, 6), (5, 0), "pca analgesia", "PCA\nanalgesia"),  # goes on in the next line
        ((4, 6), (4, 7), "pca analgesia", "PCA\nanalgesia"),  # the same, and its place does not say so
        ((3, 2), (3, 2), "pain", "pain"),  # a line or two away
        ((5, 9), (5, 9), "no allergies", "No allergies"),
    ],
)
def test_a_place_by_line_and_token_is_the_code_points_of_its_words(first, last, quote, mention):
    if quote == "pain":
        first = last = (4, 0)
    start, end = LineTokens(NOTE).locate(first, last, quote)
    assert NOTE[start:end] == mention


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab.β🙂ßİ\xa0\x85\u2028 \t\r\n\x0b\x0c"), max_size=40))
def test_lines_and_tokens_are_those_of_bytes_cut_at_white_space(text):
    tokens, at = LineTokens(text), 0
    for number, line in enumerate(text.encode().split(b"\n"), 1):
        for n, word in enumerate(word.decode() for word in line.split()):
            at = text.index(word, at)
            assert tokens.locate((number, n), (number, n), word) == (at, at + len(word))
            at += len(word)


def test_the_nearest_of_several_is_meant():
    text = "aspirin and aspirin\nx aspirin,\n"
    assert LineTokens(text).locate((2, 1), (2, 1), "aspirin") == (22, 29)
    assert LineTokens(text).locate((1, 2), (1, 2), "aspirin") == (12, 19)


@pytest.mark.parametrize("quote", ["spirin", "warfarin", ""])
def test_words_that_do_not_stand_there_are_an_error_without_the_words(quote):
    with pytest.raises(SpanError, match=r"neither at 3:1 3:1 nor a line from it; .* misplaced='drop'") as error:
        LineTokens(NOTE).locate((3, 1), (3, 1), quote)
    assert "spirin" not in str(error.value)
    assert "warfarin" not in str(error.value)


def test_escapes_of_xml_in_notes_do_not_matter():
    assert LineTokens("BP &gt; 90\n").locate((1, 0), (1, 2), "bp > 90") == (0, 10)


# 2009

NUMBERS = [*range(100, 110), *range(200, 451)]


def medication(folder):
    """As downloaded: notes without ending, ten with the organisers' labels, 251 with the participants'."""
    everyone = {f"train.test.released.8.17.09/{number}": NOTE for number in [*NUMBERS, 900, 901]}
    tape(folder / "train.test.released.8.17.09.tar.gz", everyone)
    tape(folder / "training.sets.released.tar.gz", {f"{number % 10 + 1}/{number}": NOTE for number in NUMBERS[:10]})
    gold = {f"annotations_ground_truth/converted.noduplicates.sorted/{number}.m": ENTRIES for number in NUMBERS[10:]}
    gold |= {f"annotations_ground_truth/pool/{number}.m": "not converted" for number in NUMBERS[10:]}
    tape(folder / "annotations_ground_truth.tar.gz", gold)
    with zipfile.ZipFile(folder / "training.ground.truth.01.06.11.2009.zip", "w") as packed:
        for number in NUMBERS[:10]:
            packed.writestr(f"training.ground.truth/{number}_gold.entries", ENTRIES)
    return folder


def test_i2b2_2009_reads_the_archives_as_downloaded(tmp_path):
    parts = {
        split: list(load("i2b2-2009-medication", medication(tmp_path), split=split)) for split in ("train", "test")
    }
    assert {split: len(part) for split, part in parts.items()} == {"train": 10, "test": 251}
    first = parts["train"][0]
    assert (first.id, first.text, first.covers) == ("100", NOTE, {"medication"})
    assert mentions(first) == [("Aspirin", "medication"), ("β-Blocker XL", "medication")]
    pool = list(load("i2b2-2009-medication", tmp_path, split="unlabelled"))
    assert [(each.id, each.covers) for each in pool] == [("900", frozenset()), ("901", frozenset())]


def test_all_fields_of_an_entry_can_be_had(tmp_path):
    labels = {"m": "medication", "do": "dosage", "mo": "mode", "f": "frequency", "r": "reason"}
    (first, *_) = load("i2b2-2009-medication", medication(tmp_path), split="train", labels=labels)
    assert mentions(first) == [
        ("Aspirin", "medication"),
        ("81 MG", "dosage"),
        ("PO", "mode"),
        ("QD.", "frequency"),
        ("β-Blocker XL", "medication"),
        ("pain", "reason"),  # the full stop is the sentence's
    ]


def one(folder, entries, note=NOTE, **options):
    write(folder, {"train.test.released.8.17.09/7": note, "training.ground.truth/7_gold.entries": entries})
    options = {"labels": dict.fromkeys(("m", "do", "mo", "f", "du", "r"), "x"), **options}
    return list(load("i2b2-2009-medication", folder, split="train", complete=False, **options))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('m="aspirin...ibuprofen" 3:1 3:1,4:2 4:2', "Aspirin ibuprofen"),
        ('m="aspirin...ibuprofen" 3:1 3:1 4:2 4:2', "Aspirin ibuprofen"),  # without the comma, as in 984424
        ('m="pca...analgesia" 4:6 4:6,5:0 5:0', "PCA\nanalgesia"),  # nothing stands between
        ('m="aspirin" 3:1 3:1||| du="nm"', "Aspirin"),  # three bars, as in 18563
        ('m="ibuprofen," 4:2 4:2', "ibuprofen"),
    ],
)
def test_oddities_of_the_published_entries_are_read(field, expected, tmp_path):
    (document,) = one(tmp_path, f'{field}||ln="narrative"\n')
    assert [document.mention(span) for span in document.spans] == [expected]


def test_the_same_medication_in_two_entries_is_one_mention(tmp_path):
    (document,) = one(tmp_path, 'm="aspirin" 3:1 3:1||do="nm"\r\n\r\nm="aspirin" 3:1 3:1||do="81 mg" 3:2 3:3\r\n')
    assert mentions(document) == [("Aspirin", "x"), ("81 MG", "x")]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("aspirin 3:1 3:1", "no i2b2 entry: want m="),
        ('m="aspirin" 3:1 3:1||zz="1"', "no i2b2 entry"),
        ('m="aspirin"', "want a place after each mention"),
        ('m="aspirin" 3:1', "want a place after each mention"),
        ('m="warfarin" 3:1 3:1', r"neither at 3:1 3:1 nor a line from it; .*misplaced='drop'"),
        ('m="aspirin...po...qd." 3:1 3:1,3:4 3:4', "2 places for 3 quotes"),
    ],
)
def test_a_fault_in_an_entry_is_told_with_file_and_line_and_without_text(entry, message, tmp_path):
    entries = f'm="aspirin" 3:1 3:1\n{entry}\n'
    with pytest.raises(DataError, match=rf"7_gold\.entries:2: .*{message}") as error:
        one(tmp_path, entries)
    assert not any(word in str(error.value) for word in ("aspirin", "warfarin"))
    assert one(tmp_path, entries, on_error="skip") == []


def test_mentions_that_stand_nowhere_near_their_place_can_be_left_out(tmp_path, caplog):
    entries = 'm="warfarin" 3:1 3:1||r="pain" 5:2 5:2\n'
    (document,) = one(tmp_path, entries, misplaced="drop")
    assert mentions(document) == [("pain", "x")]
    assert "7: mentions left out because their words do not stand there: 1" in caplog.text
    with pytest.raises(DataError, match="no i2b2 entry"):
        one(tmp_path, "nonsense\n", misplaced="drop")
    with pytest.raises(OptionError, match="'misplaced': Input should be 'raise' or 'drop'"):
        load("i2b2-2009-medication", tmp_path, misplaced="keep")


def test_labels_without_their_note_are_a_fault(tmp_path):
    write(tmp_path, {"train.test.released.8.17.09/8": NOTE, "training.ground.truth/7_gold.entries": ENTRIES})
    with pytest.raises(DataError, match=r"7_gold\.entries: there is no note 7 for these annotations"):
        list(load("i2b2-2009-medication", tmp_path, split="train", complete=False))


def test_the_pool_of_2009_asks_for_all_labels_lest_test_notes_come_into_it(tmp_path):
    (medication(tmp_path) / "annotations_ground_truth.tar.gz").unlink()
    with pytest.raises(DataError, match=r"converted\.noduplicates\.sorted/\[0-9\]\* of unlabelled \(0 of 250\)"):
        list(load("i2b2-2009-medication", tmp_path, split="unlabelled"))
    assert len(list(load("i2b2-2009-medication", tmp_path, split="train"))) == 10


# 2010

TEXT = 'Admission Date :\r\n2014-01-02\r\nChest pain , treated with  β-blockers and CABG .\r\nAn EKG was "normal" .\r\n'
CONCEPTS = (
    'c="chest pain" 3:0 3:1||t="problem"\r\n'
    'c="\u03b2-blockers" 3:5 3:5||t="treatment"\r\n'
    'c="cabg" 3:7 3:7||t="treatment"\r\n'
    'c="an ekg" 4:0 4:1||t="test"\r\n'
)


def relations(folder):
    """As downloaded: three archives, the test set's notes apart from its concepts."""
    root = "concept_assertion_relation_training_data"
    train = {}
    for place, count in (("beth", 73), ("partners", 97)):
        for number in range(count):
            train[f"{root}/{place}/txt/{place}-{number}.txt"] = TEXT
            train[f"{root}/{place}/concept/{place}-{number}.con"] = CONCEPTS
            train[f"{root}/{place}/ast/{place}-{number}.ast"] = 'c="chest pain" 3:0 3:1||t="problem"||a="present"\n'
    train |= {f"{root}/partners/unannotated/extra-{number}.txt": TEXT for number in range(3)}
    train[f"{root}/Documentation/guide.pdf"] = "%PDF"
    tape(folder / f"{root}.tar.gz", train)
    tape(folder / "test_data.tar.gz", {f"test_data/{number:04}.txt": TEXT for number in range(256)})
    gold = {f"reference_standard_for_test_data/concepts/{number:04}.con": CONCEPTS for number in range(256)}
    tape(folder / "reference_standard_for_test_data.tar.gz", gold)
    return folder


def test_i2b2_2010_reads_the_archives_as_downloaded(tmp_path):
    parts = {
        split: list(load("i2b2-2010", relations(tmp_path), split=split)) for split in ("train", "test", "unlabelled")
    }
    assert {split: len(part) for split, part in parts.items()} == {"train": 170, "test": 256, "unlabelled": 3}
    first = parts["test"][0]
    assert (first.id, first.text, first.covers) == ("0000", TEXT, {"problem", "treatment", "test"})
    assert mentions(first) == [
        ("Chest pain", "problem"),
        ("β-blockers", "treatment"),
        ("CABG", "treatment"),
        ("An EKG", "test"),
    ]
    assert parts["unlabelled"][0].covers == frozenset()
    assert len(list(load("i2b2-2010", tmp_path))) == 170 + 256 + 3


def test_i2b2_2010_unpacked_with_the_notes_of_upmc_reads_them_too(tmp_path):
    (relations(tmp_path) / "test_data.tar.gz").unlink()
    with tarfile.open(tmp_path / "concept_assertion_relation_training_data.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    (tmp_path / "concept_assertion_relation_training_data.tar.gz").unlink()
    more = {"upmcd/txt/9.txt": TEXT, "upmcd/concept/9.con": CONCEPTS}
    write(tmp_path / "concept_assertion_relation_training_data", more)
    assert len(list(load("i2b2-2010", tmp_path, split="train"))) == 171
    with pytest.raises(DataError, match=r"test_data/\*\.txt of test \(0 of 256\)"):
        list(load("i2b2-2010", tmp_path, split="test"))


def small(folder, concepts, **options):
    write(folder, {"beth/txt/record-1.txt": TEXT, "beth/concept/record-1.con": concepts})
    return list(load("i2b2-2010", folder, split="train", complete=False, **options))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('c="chest pain" 3:0 3:1', r"record-1\.con:2: no i2b2 concept: want c="),
        ('c="chest pain" 3:0||t="problem"', r"record-1\.con:2: want a place after each mention"),
        ('c="bun" 99:6 99:6||t="test"', r"record-1\.con:2: the words of the mention stand neither at 99:6"),
    ],
)
def test_a_fault_in_a_concept_is_told_with_file_and_line(line, message, tmp_path):
    concepts = f'c="cabg" 3:7 3:7||t="treatment"\n{line}\n'
    with pytest.raises(DataError, match=message) as error:
        small(tmp_path, concepts)
    assert not any(word in str(error.value) for word in ("chest", "bun"))


def test_a_concept_may_hold_quotation_marks_and_misplaced_ones_be_left_out(tmp_path):
    concepts = 'c=""normal"" 4:3 4:3||t="problem"\nc="bun" 3:6 3:6||t="test"\n'
    (document,) = small(tmp_path, concepts, misplaced="drop")
    assert mentions(document) == [('"normal"', "problem")]


def test_a_note_without_concepts_and_concepts_without_a_note_are_faults(tmp_path):
    write(tmp_path, {"beth/txt/record-1.txt": TEXT})
    with pytest.raises(DataError, match=r"record-1\.txt: there is no record-1\.con for this note"):
        list(load("i2b2-2010", tmp_path, split="train", complete=False))
    write(tmp_path, {"beth/concept/record-1.con": CONCEPTS, "beth/concept/record-2.con": CONCEPTS})
    with pytest.raises(DataError, match=r"record-2\.con: there is no record-2\.txt for these concepts"):
        list(load("i2b2-2010", tmp_path, split="train", complete=False))


def test_a_note_that_is_not_utf8_is_told_with_its_line(tmp_path):
    write(tmp_path, {"beth/concept/record-1.con": CONCEPTS, "beth/txt/record-1.txt": ""})
    (tmp_path / "beth/txt/record-1.txt").write_bytes(b"Fine .\nTemp 38\xb0 .\n")
    with pytest.raises(DataError, match=r"record-1\.txt:2: this line is not UTF-8"):
        list(load("i2b2-2010", tmp_path, split="train", complete=False))
