"""n2c2 2018 track 2, n2c2 2022 and CORAL, on made-up notes in the files and formats that they are given out in."""

import csv
import io
import zipfile
from pathlib import Path

import pytest

import clinidistill as cd
from clinidistill.datasets.corpora.base import hashed_split
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Span

# Line ends of DOS count, as they do in the release; T2 is cut where a line ends; T4 is discontinuous.
NOTE = (
    "Admission: 1/2\r\nStarted aspirin 81 mg for atrial\r\n"
    "fibrillation; β-blocker (metoprolol) stopped.\r\nRash, itching."
)
ANN = (
    "T1\tDrug 24 31\taspirin\n"
    "T2\tReason 42 48;50 62\tatrial fibrillation\n"
    "R1\tStrength-Drug Arg1:T3 Arg2:T1\n"
    "T3\tStrength 32 37\t81 mg \n"
    "T4\tDrug 64 65;75 85\tβ metoprolol\n"
    "T5\tADE 97 101\tRash\n"
)


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text.encode())
    return path


def pairs(folder, numbers, note=NOTE, ann=ANN):
    return {f"{folder}{number}{ending}": text for number in numbers for ending, text in ((".txt", note), (".ann", ann))}


@pytest.fixture(scope="module")
def n2c2_2018(tmp_path_factory):
    """As downloaded: two archives, one of them with a folder inside, and what macOS leaves in such."""
    folder = tmp_path_factory.mktemp("n2c2") / "2018"
    train = pairs("training_20180910/", range(100035, 100035 + 303))
    train["__MACOSX/training_20180910/._100035.txt"] = "\0"
    archive(folder / "training_20180910.zip", train)
    archive(folder / "gold-standard-test-data.zip", pairs("test/", range(200000, 200202)))
    return folder


def load(name, path, **options):
    return cd.load_dataset(name, path=path, **options)


def mentions(document):
    return [(document.mention(span), span.label) for span in document.spans]


def test_n2c2_2018_reads_the_archives_as_downloaded(n2c2_2018):
    documents = list(load("n2c2-2018-track2", n2c2_2018))
    assert [sum(each.meta["split"] == split for each in documents) for split in ("train", "test")] == [303, 202]
    first = documents[0]
    assert (first.id, first.text, first.covers) == ("100035", NOTE, {"medication"})
    assert mentions(first) == [("aspirin", "medication"), ("β metoprolol", "medication")]
    assert len(load("n2c2-2018-track2", n2c2_2018, split="test")) == 202


def test_all_labels_of_n2c2_2018_can_be_had_and_a_mention_cut_by_a_line_end_is_one(n2c2_2018):
    labels = {name: name.lower() for name in ("Drug", "Strength", "Reason", "ADE")}
    (first, *_) = load("n2c2-2018-track2", n2c2_2018, split="test", labels=labels)
    assert mentions(first) == [
        ("aspirin", "drug"),
        ("81 mg", "strength"),
        ("atrial\r\nfibrillation", "reason"),
        ("β metoprolol", "drug"),
        ("Rash", "ade"),
    ]
    assert first.spans[2] == Span(42, 62, "reason")
    assert first.spans[3].fragments == ((64, 65), (75, 85))
    assert first.covers == {"drug", "strength", "reason", "ade"}


def test_the_training_set_in_two_archives_as_the_portal_gives_it_now_is_the_same(n2c2_2018, tmp_path):
    archive(tmp_path / "track2-training_data_2.zip", pairs("", range(100035, 100300)))
    archive(tmp_path / "track2-training_data_3.zip", pairs("data/", range(100300, 100338)))
    theirs = list(load("n2c2-2018-track2", tmp_path, split="train"))
    assert theirs == list(load("n2c2-2018-track2", n2c2_2018, split="train"))


def test_what_is_missing_of_a_release_is_told_with_where_to_get_it(n2c2_2018, tmp_path):
    with pytest.raises(DataError, match=r"missing:? training_20180910/\*\.txt of train \(0 of 303\).*portal\.dbmi"):
        load("n2c2-2018-track2", tmp_path).check()
    write(tmp_path / "a/training_20180910", pairs("", range(300)))
    with pytest.raises(DataError, match=r"\(300 of 303\); .*\.ann of train \(300 of 303\).*gold-standard-test-data"):
        next(iter(load("n2c2-2018-track2", tmp_path)))
    assert len(list(load("n2c2-2018-track2", tmp_path, complete=False))) == 300
    load("n2c2-2018-track2", n2c2_2018).check()


def test_the_folder_of_a_split_itself_may_be_given(tmp_path):
    write(tmp_path / "Training_20180910", pairs("", range(2)))
    assert len(list(load("n2c2-2018-track2", tmp_path / "Training_20180910", split="train", complete=False))) == 2


def one(folder, note=NOTE, ann=ANN, **options):
    write(folder / "training_20180910", {"7.txt": note} | ({} if ann is None else {"7.ann": ann}))
    return list(load("n2c2-2018-track2", folder, split="train", complete=False, **options))


def test_a_note_whose_line_ends_were_changed_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"7\.txt: 5 of 5 mentions are not what the note has .* unpack both again"):
        one(tmp_path, note=NOTE.replace("\r\n", "\n"))


def test_a_copy_that_differs_from_its_note_counts_for_less_than_the_offsets(tmp_path):
    (document,) = one(tmp_path, ann="T1\tDrug 24 31\tASPIRIN\nT2\tDrug 64 73\tXX-blocker\nT3\tDrug 75 85\tmetoprolol\n")
    assert [document.mention(span) for span in document.spans] == ["aspirin", "β-blocker", "metoprolol"]


def test_a_copy_with_a_line_end_in_it_goes_on_in_the_next_line(tmp_path):
    ann = "T1\tReason 42 62\tatrial\n\nfibrillation\nT2\tDrug 24 31\taspirin\n"
    (document,) = one(tmp_path, ann=ann.replace("\n\n", "\n"), labels={"Reason": "reason", "Drug": "drug"})
    assert mentions(document) == [("aspirin", "drug"), ("atrial\r\nfibrillation", "reason")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T6\tDrug 24 31\taspirin\nnonsense", r"7\.ann:1: the mention at \[24, 31\) is not what the text has"),
        ("T6\tDrug 24\taspirin", r"7\.ann:1: no BRAT annotation"),
        ("T6\tDrug 31 24\taspirin", r"7\.ann:1: span \[31, 24\) is reversed"),
        ("T6\tDrug 24 9999\taspirin", r"7\.ann:1: span \[24, 9999\) reaches outside the text"),
        ("R1\tx Arg1:T1\nT6\tDrug 24 31\taspirin\nT6\tDrug 24 31\taspirin", r"7\.ann:3: a second T6"),
    ],
)
def test_a_malformed_line_is_told_with_its_file_and_number(line, message, tmp_path):
    with pytest.raises(DataError, match=message) as error:
        one(tmp_path, ann=line)
    assert "aspirin" not in str(error.value)
    assert one(tmp_path, ann=line, on_error="skip") == []


def test_a_fault_in_an_archive_is_told_with_the_archives_name(tmp_path):
    archive(tmp_path / "training_20180910.zip", pairs("x/", [7], ann="T1 Drug\n"))
    with pytest.raises(DataError, match=r"training_20180910\.zip/x/7\.ann:1: no BRAT annotation"):
        list(load("n2c2-2018-track2", tmp_path, split="train", complete=False))


def test_annotations_without_their_note_are_a_fault_and_a_note_without_annotations_covers_nothing(tmp_path):
    write(tmp_path / "training_20180910", pairs("", [1]) | {"8.txt": NOTE})
    (_, bare) = load("n2c2-2018-track2", tmp_path, split="train", complete=False)
    assert (bare.id, bare.covers) == ("8", frozenset())
    (tmp_path / "training_20180910/1.txt").unlink()
    with pytest.raises(DataError, match=r"1\.ann: there is no \.txt beside these annotations"):
        list(load("n2c2-2018-track2", tmp_path, split="train", complete=False))


def test_two_folders_with_one_note_are_told_apart_by_the_path_only(tmp_path):
    write(tmp_path / "training_20180910", pairs("a/", [7]) | pairs("b/", [7]))
    with pytest.raises(DataError, match="two notes are called '7'; give the path of one release"):
        list(load("n2c2-2018-track2", tmp_path, split="train", complete=False))


def test_a_wrong_split_is_told_the_splits():
    with pytest.raises(OptionError, match="there is no split 'dev'; this corpus has train, test"):
        load("n2c2-2018-track2", ".", split="dev")


CMED_NOTE = 'Increase lisinopril to 10 mg; continue "ASA" & statin.\n'
CMED_ANN = (
    "T1\tDisposition 9 19\tlisinopril\n"
    "E1\tDisposition:T1 \n"
    "A1\tAction E1 Increase\n"
    "T2\tDisposition 9 19\tlisinopril\n"
    "E2\tDisposition:T2 \n"
    "T3\tNoDisposition 39 44\t&quot;ASA&quot;\n"
    "T4\tUndetermined 47 53\tstatin\n"
    "E3\tNoDisposition:T3 \n"
)


def test_n2c2_2022_reads_its_newest_training_data_and_the_gold_test_set(tmp_path):
    cmed = {"note": CMED_NOTE, "ann": CMED_ANN}
    train = [f"{number}-01" for number in range(101, 451)]
    write(tmp_path, pairs("trainingdata_v2/train/", train, ann="T1\tDisposition 0 8\tIncrease\n"))
    archive(tmp_path / "trainingdata_v3.zip", pairs("train/", train, **cmed) | pairs("dev/", range(50), **cmed))
    write(tmp_path / "test", {f"release1/{number}-02.txt": CMED_NOTE for number in range(100)})
    write(tmp_path / "test", pairs("release3/", [f"{number}-02" for number in range(100)], **cmed))
    documents = list(load("n2c2-2022", tmp_path))
    assert [sum(each.meta["split"] == split for each in documents) for split in ("train", "dev", "test")] == [
        350,
        50,
        100,
    ]
    assert {each.text for each in documents} == {CMED_NOTE}
    assert mentions(documents[0]) == [("lisinopril", "medication"), ('"ASA"', "medication"), ("statin", "medication")]
    assert {each.covers for each in documents} == {frozenset({"medication"})}
    with pytest.raises(
        DataError, match=r"\*test\*gold\*/\*\.txt of test \(0 of 100\)"
    ):  # though the folder's name has it
        load("n2c2-2022", write(tmp_path / "test_it", pairs("train/", train, **cmed)), split="test").check()
    labels = {"Disposition": "changed"}
    assert {span.label for each in load("n2c2-2022", tmp_path, split="dev", labels=labels) for span in each.spans} == {
        "changed"
    }


CORAL_NOTE = "HPI: 50 y.o. with nausea and pain\nin the left breast.\nExam: no rash. Takes *****.\n"
CORAL_ANN = (
    "T1\tSymptom 18 24\tnausea\n"
    "T2\tSymptom 29 33;46 52\tpain breast\n"
    "T3\tSectionSkip 54 68\tExam: no rash.\n"
    "T4\tMedicationName 75 80\tTaxol\n"
    "T5\tPROBLEM 18 24\tnausea\n"
    "A1\tNegationModalityVal T1 affirmed\n"
    "A2\tChronicVal T1\n"
    "E1\tDatetime:T1\n"
)


def coral(folder):
    root = "coral-expert-curated-medical-oncology-reports-1.0/coral/"
    files = pairs(f"{root}annotated/breastca/", range(20), CORAL_NOTE, CORAL_ANN)
    files |= pairs(f"{root}annotated/pdac/", range(20, 40), CORAL_NOTE, CORAL_ANN)
    files |= {f"{root}annotated/subject-info.csv": "coral_idx\n1\n", f"{root}annotated/annotation.conf": "[entities]\n"}
    for kind in ("breastca", "pdac"):
        table = io.StringIO(newline="")
        rows = csv.writer(table)
        rows.writerow(["coral_idx", "Sex", "UCSFDerivedRaceEthnicity_X", "BirthDate", "note_text"])
        rows.writerows([[n, "F", "", "1/1/1950", f'Line, one of\n"{kind}"\n{n}'] for n in range(140, 240)])
        files[f"{root}unannotated/data/{kind}_unannotated.csv"] = table.getvalue()
        files[f"{root}unannotated/gpt-4/{kind}_answers.csv"] = "coral_idx,note_text\n1,not a note\n"
    return archive(folder / "coral.zip", files)


def test_coral_shares_out_its_annotated_notes_and_keeps_the_others_as_a_pool(tmp_path):
    path = coral(tmp_path)
    parts = {split: list(load("coral", path, split=split)) for split in ("train", "dev", "test", "unlabelled")}
    assert [len(part) for part in parts.values()] == [29, 3, 8, 200]
    assert all(hashed_split(each.id) == split for split in ("train", "dev", "test") for each in parts[split])
    assert {each.covers for split in ("train", "dev", "test") for each in parts[split]} == {frozenset({"symptom"})}
    note = parts["train"][0]
    assert mentions(note) == [("nausea", "symptom"), ("pain breast", "symptom")]
    assert note.spans[1].fragments == ((29, 33), (46, 52))
    bare = parts["unlabelled"][0]
    assert (bare.id, bare.text, bare.covers) == (
        "breastca/unlabelled/140",
        'Line, one of\n"breastca"\n140',
        frozenset(),
    )
    assert [each.id for each in load("coral", path)] == [each.id for part in parts.values() for each in part]


def test_corals_other_labels_and_copies_from_before_it_was_redacted_are_read(tmp_path):
    (note, *_) = load("coral", coral(tmp_path), split="test", labels={"MedicationName": "medication"})
    assert mentions(note) == [("*****", "medication")]


def test_coral_without_one_cancer_is_not_complete(tmp_path):
    write(tmp_path / "annotated/breastca", pairs("", range(20), CORAL_NOTE, CORAL_ANN))
    with pytest.raises(DataError, match=r"\(20 of 40\).*PhysioNet Credentialed Health Data Use Agreement"):
        load("coral", tmp_path, split="train").check()
    assert {len(list(load("coral", tmp_path / place, complete=False))) for place in ("", "annotated")} == {20}


def test_where_a_release_lies_and_whether_it_is_packed_leaves_its_fingerprint(n2c2_2018, tmp_path):
    for name in ("training_20180910.zip", "gold-standard-test-data.zip"):
        with zipfile.ZipFile(n2c2_2018 / name) as packed:
            packed.extractall(tmp_path / Path(name).stem)
    ours, theirs = (load("n2c2-2018-track2", path, split="test") for path in (n2c2_2018, tmp_path))
    assert ours.fingerprint == theirs.fingerprint
    path = tmp_path / "gold-standard-test-data/test/200000.ann"
    path.write_text(path.read_text() + "T9\tDrug 24 31\taspirin\n")
    assert ours.fingerprint != load("n2c2-2018-track2", tmp_path, split="test").fingerprint
