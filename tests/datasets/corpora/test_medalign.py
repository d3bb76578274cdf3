"""MedAlign, on made-up records in the formats that it is given out in."""

import csv
import json
import tracemalloc
import zipfile

import pytest

import clinidistill as cd
from clinidistill.datasets.corpora.ehr_notes import EhrNotes
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Span

RECORD = """<?xml version='1.0' encoding='utf-8'?>
<eventstream>
  <encounter>
    <person><birthdate>1950-01-01</birthdate></person>
    <events>
      <entry timestamp="2018-10-08 20:00">
        <event type="measurement" code="LOINC/8867-4" name="Heart rate" unit="bpm">85</event>
        <event type="note" code="Note" name="emergency note" note_id="31">
 Chest pain &amp; β-blocker &lt;5 mg.
Denies fever.
</event>
        <event type="note" name="empty" note_id="32">   </event>
      </entry>
      <entry timestamp="2018-10-09 08:00">
        <event type="note" name="addendum" note_id="31">Started aspirin.</event>
        <event type="note">No fever.</event>
      </entry>
    </events>
  </encounter>
</eventstream>
"""
FIRST = "Chest pain & β-blocker <5 mg.\nDenies fever."
SAMPLE = """<record>
    <visit type="Emergency Room Visit" start="10/08/2018 20:00">
        <day start="10/08/2018 20:00">
            <drug_exposure start="10/08/2018 08:20 PM"><code>[RxNorm/1] alteplase</code></drug_exposure>
            <note type="emergency department note" start="10/08/2018 08:10 PM">
                Chest pain.
            </note>
            <note type="NULL">No infarct.</note>
        </day>
    </visit>
</record>
"""


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def record(folder, text=RECORD, name="124"):
    return write(folder, {f"medalign_instructions_v1_3/ehrs/{name}.xml": text})


def load(path, **options):
    return cd.load_dataset("medalign", path=path, **options)


def some(path, **options):
    return list(load(path, complete=False, **options))


def test_the_notes_of_a_record_are_read_and_cover_nothing(tmp_path):
    first, second, third = some(record(tmp_path))
    assert (first.id, first.text, first.covers) == ("124/31", FIRST, frozenset())
    assert first.meta == {"timestamp": "2018-10-08 20:00", "name": "emergency note", "split": "test"}
    assert (second.id, second.text, second.meta["timestamp"]) == ("124/31.2", "Started aspirin.", "2018-10-09 08:00")
    assert (third.id, third.text) == ("124/3", "No fever.")


def test_the_published_sample_is_read_as_well(tmp_path):
    first, second = some(record(tmp_path, SAMPLE))
    assert (first.text, second.text) == ("Chest pain.", "No infarct.")
    assert first.meta == {"timestamp": "10/08/2018 08:10 PM", "name": "emergency department note", "split": "test"}
    assert second.meta["timestamp"] == "10/08/2018 20:00"


def test_the_release_is_read_from_its_zip_and_is_complete_with_275_records(tmp_path):
    with zipfile.ZipFile(tmp_path / "MedAlign_files.zip", "w") as packed:
        for number in range(275):
            packed.writestr(f"medalign_instructions_v1_3/ehrs/{number}.xml", SAMPLE)
        packed.writestr("medalign_instructions_v1_3/clinician-instruction-responses.tsv", "filename\tquestion\n")
    assert len(list(load(tmp_path))) == 550
    with pytest.raises(DataError, match=r"\*\.xml of test \(1 of 275\).*MedAlign data use agreement"):
        load(record(tmp_path / "less")).check()
    with pytest.raises(OptionError, match="there is no split 'train'; this corpus has test"):
        load(tmp_path, split="train")


def test_a_record_is_streamed(tmp_path):
    note = f'<event type="note">{"Fine. " * 2_000}</event>'
    path = tmp_path / "1.xml"
    with path.open("w") as file:
        file.write("<eventstream><encounter><events><entry>")
        file.writelines(note for _ in range(1_000))  # 12 MB
        file.write("</entry></events></encounter></eventstream>")
    tracemalloc.start()
    try:
        assert sum(1 for _ in EhrNotes(tmp_path, [path])) == 1_000
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RECORD[:-40], r"124\.xml:18: not well-formed XML .*; is it whole\?"),
        ("", r"124\.xml: the record is empty; download it again"),
        ('<!DOCTYPE r [<!ENTITY x "y">]>\n<r><note>&x;</note></r>', r"124\.xml:1: its DOCTYPE declares an entity"),
    ],
)
def test_a_faulty_record_is_told_with_file_and_line(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        some(record(tmp_path, text))


# The table of notes


def table(folder, rows, header=("note_id", "person_id", "note_date", "note_datetime", "note_title", "note_text")):
    path = folder / "tables/note.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return folder


def test_the_omop_table_of_notes_is_read_where_there_are_no_records(tmp_path):
    long = "Fine. " * 40_000  # longer than csv allows by itself
    rows = [
        (31, 124, "2018-10-08", "2018-10-08 20:00", "ED note", f"\n{FIRST}\n"),
        (32, 124, "2018-10-09", "", "", long),
        (33, 125, "2018-10-09", "", "", " "),
    ]
    first, second = list(load(table(tmp_path, rows)))
    assert (first.id, first.text, first.covers) == ("124/31", FIRST, frozenset())
    assert first.meta == {"timestamp": "2018-10-08 20:00", "name": "ED note", "split": "test"}
    assert (second.id, second.text, second.meta["timestamp"]) == ("124/32", long.strip(), "2018-10-09")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("note_id,note\n1,x\n", r"note\.csv:1: no column 'note_text'; take the file as it was published"),
        ('note_id,note_text\n1,"two\nlines"\n2,"open\n', r"note\.csv:4: not a table: .*are its quotes in pairs\?"),
        ("note_id,note_text\n1,x\n2,x,y\n", r"note\.csv:3: a row of 3 cells under a header of 2"),
        ("note_id,note_text\n1,x\n,y\n", r"note\.csv:3: no number in any column of 'note_id'"),
        ("", r"note\.csv:1: no column 'note_text'"),
    ],
)
def test_a_fault_in_the_table_is_told_with_file_and_line(content, message, tmp_path):
    write(tmp_path, {"note.csv": content})
    with pytest.raises(DataError, match=message):
        list(load(tmp_path))


# Annotations of one's own


def marks(folder, *lines):
    path = folder / "marks.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def span(start, end, label):
    return {"start": start, "end": end, "label": label}


def test_annotations_by_offsets_alone_bring_their_mentions_to_the_notes_they_are_of(tmp_path):
    path = marks(
        tmp_path,
        {"id": "124/31", "spans": [span(0, 10, "symptom"), span(13, 22, "medication")]},
        {"id": "124/3", "spans": [], "covers": ["symptom"]},
    )
    first, third = some(record(tmp_path), annotations=path)
    assert [(first.mention(each), each.label) for each in first.spans] == [
        ("Chest pain", "symptom"),
        ("β-blocker", "medication"),
    ]
    assert first.covers == {"symptom", "medication"}
    assert (third.id, third.covers) == ("124/3", {"symptom"})
    (renamed, _) = some(tmp_path, annotations=path, labels={"medication": "drug"})
    assert (renamed.spans, renamed.covers) == ((Span(13, 22, "drug"),), {"drug"})


def test_annotations_in_brat_are_read_beside_the_notes_they_repeat(tmp_path):
    record(tmp_path)
    write(tmp_path, {"brat/124/31.txt": FIRST, "brat/124/31.ann": "T1\tsymptom 0 10\tChest pain\n"})
    write(tmp_path, {"brat/124/3.txt": "No fever."})  # nobody looked
    (document,) = some(tmp_path / "medalign_instructions_v1_3", annotations=tmp_path / "brat")
    assert (document.id, document.spans) == ("124/31", (Span(0, 10, "symptom"),))
    write(tmp_path, {"brat/124/31.txt": FIRST.replace("\n", "\r\n")})
    with pytest.raises(DataError, match="the text marked as '124/31' is not the release's note"):
        some(tmp_path / "medalign_instructions_v1_3", annotations=tmp_path / "brat")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "9/9", "spans": []}, r"marks\.jsonl:2: there is no note '9/9' in the release \(1 such\)"),
        ({"id": "124/31", "spans": []}, r"marks\.jsonl:2: a second line for the document '124/31'"),
        ({"id": "124/3", "spans": [span(0, 99, "x")]}, r"marks\.jsonl:2: span \[0, 99\) 'x' reaches outside"),
        ({"id": "124/3", "spans": [span(3, 3, "x")]}, r"marks\.jsonl:2: span \[3, 3\) is empty"),
        ({"id": "124/3", "spans": ["x"]}, r"marks\.jsonl:2: a span must be an object"),
        ({"id": "124/3"}, r"marks\.jsonl:2: want an object with id, spans"),
        ({"id": "124/3", "spans": [], "covers": "x"}, r"marks\.jsonl:2: covers must be a list"),
        ({"id": "124/3", "spans": [], "text": "No pain."}, r"marks\.jsonl:2: the text marked as '124/3'"),
    ],
)
def test_a_fault_in_the_annotations_is_told_with_file_and_line(line, message, tmp_path):
    path = marks(tmp_path, {"id": "124/31", "spans": []}, line)
    with pytest.raises(DataError, match=message):
        some(record(tmp_path), annotations=path)


def test_annotations_are_part_of_the_fingerprint_and_where_they_lie_is_not(tmp_path):
    record(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    lines = [{"id": "124/31", "spans": []}]
    ours, moved = (load(tmp_path, annotations=marks(place, *lines)) for place in (tmp_path, tmp_path / "elsewhere"))
    assert ours.fingerprint == moved.fingerprint != load(tmp_path).fingerprint
    other = load(tmp_path, annotations=marks(tmp_path, {"id": "124/3", "spans": []}))
    assert other.fingerprint != moved.fingerprint
