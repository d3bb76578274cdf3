import tempfile
from pathlib import Path

import pytest
from document_strategies import documents
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.errors import DataError
from clinidistill.types import Document, Span

TEXT = "Severe pain in chest\nand arm; metformin."


def read(path, **options):
    return list(cd.load_dataset("brat", path=path, **options))


def pair(folder, ann, text=TEXT, name="n1"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text.encode())
    if ann is not None:
        (folder / f"{name}.ann").write_bytes(ann.encode())
    return folder


@settings(max_examples=60, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=3, unique_by=lambda document: document.id.casefold()))
def test_any_documents_come_back_as_they_were_and_none_leaves_its_folder(some):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deep" / "corpus"
        assert cd.MemoryDataset(some).save(path, format="brat") == len(some)
        assert sorted(read(path), key=lambda document: document.id) == sorted(some, key=lambda document: document.id)
        assert [each.name for each in Path(folder).iterdir()] == ["deep"]
        assert [each.name for each in path.parent.iterdir()] == ["corpus"]


def test_a_folders_name_never_takes_the_place_of_a_file(tmp_path):
    some = [Document(key, "Fine.") for key in ("a", "a.ann/c", "a.txt/b", "a/b")]
    cd.MemoryDataset(some).save(tmp_path / "out", format="brat")
    assert sorted(document.id for document in read(tmp_path / "out")) == [document.id for document in some]


def test_an_id_too_long_for_a_file_name_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be written: File name too long"):
        cd.MemoryDataset([Document("n" * 300, "Fine.")]).save(tmp_path / "out", format="brat")
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_reads_as_the_standoff_page_says(tmp_path):
    spans = (
        Span(7, 20, "symptom"),
        Span(7, 28, "symptom", fragments=((7, 14), (25, 28))),
        Span(30, 39, "medication", code="RxNorm:6809"),
    )
    cd.MemoryDataset([Document("ward 3/n1", TEXT, spans)]).save(tmp_path / "out", format="brat")
    assert (tmp_path / "out/ward%203/n1.txt").read_bytes() == TEXT.encode()
    assert (tmp_path / "out/ward%203/n1.ann").read_text() == (
        "T1\tsymptom 7 20\tpain in chest\n"
        "T2\tsymptom 7 14;25 28\tpain in arm\n"
        "T3\tmedication 30 39\tmetformin\n"
        "N1\tReference T3 RxNorm:6809\tmetformin\n"
    )


def test_the_text_is_written_byte_for_byte_and_annotations_always(tmp_path):
    text = "\ufeffa\r\nb\r\x85c\n"
    cd.MemoryDataset([Document("n1", text)]).save(tmp_path / "out", format="brat")
    assert (tmp_path / "out/n1.txt").read_bytes() == b"\xef\xbb\xbf" + text.encode()
    assert (tmp_path / "out/n1.ann").read_bytes() == b""
    assert read(tmp_path / "out") == [Document("n1", text)]


def test_all_kinds_of_lines_are_read_or_passed_over(tmp_path):
    ann = (
        "T1\tSign 7 14;25 28\tpain in arm\n"
        "E1\tSign:T1 Where:T2\nR1\tCause Arg1:T1 Arg2:T2\t\nA1\tNegation E1\nM1\tOld E1\n*\tEquiv T1 T2\n"
        "#1\tAnnotatorNotes T1\tsee below\n\n"
        "T2\tDrug 30 39\tmetformin\r\n"
        "N1\tReference T2 RxNorm:6809\tmetformin\nN2\tReference T2 ATC:A10BA02\nN3\tReference E1 X:1\tpain\n"
    )
    (document,) = read(pair(tmp_path, ann))
    assert document.spans == (
        Span(7, 28, "Sign", fragments=((7, 14), (25, 28))),
        Span(30, 39, "Drug", code="RxNorm:6809|ATC:A10BA02"),
    )
    assert [document.mention(span) for span in document.spans] == ["pain in arm", "metformin"]


def test_fragments_can_be_joined(tmp_path):
    (document,) = read(pair(tmp_path, "T1\tSign 7 14;25 28\tpain in arm\n"), fragments="join")
    assert document.spans == (Span(7, 28, "Sign"),)


def test_a_mention_may_have_spaces_for_line_breaks_and_white_space_at_its_ends(tmp_path):
    (document,) = read(pair(tmp_path, "T1\tSign 15 24\tchest and\t\u2005\n"))
    assert document.mention(document.spans[0]) == "chest\nand"


def test_a_note_without_annotations_is_unlabelled(tmp_path):
    pair(tmp_path, None)
    pair(tmp_path, "", name="sub/empty")
    bare, empty = read(tmp_path, labels={"Sign": "symptom"})
    assert bare == Document("n1", TEXT, covers=frozenset())
    assert empty == Document("sub/empty", TEXT, covers=frozenset({"symptom"}))


def test_either_file_of_a_pair_or_a_glob_finds_the_pair(tmp_path):
    pair(tmp_path, "T1\tSign 7 11\tpain\n")
    pair(tmp_path, "", name="x2")
    (tmp_path / "annotation.conf").write_text("[entities]\n")
    for path in ("n1.txt", "n1.ann", "n*.txt", "n*"):
        (document,) = read(tmp_path / path)
        assert (document.id, len(document.spans)) == ("n1", 1)
    assert [document.id for document in read(str(tmp_path / "*"))] == ["n1", "x2"]
    with pytest.raises(DataError, match="this is neither"):
        read(tmp_path / "annotation.conf")


def test_ids_are_decoded_and_names_that_only_look_encoded_are_left(tmp_path):
    pair(tmp_path, "", name="a%20b")
    pair(tmp_path, "", name="b%FF")
    assert [document.id for document in read(tmp_path)] == ["a b", "b%FF"]


@pytest.mark.parametrize(
    ("ann", "reason"),
    [
        ("T1\tSign 7 11\tPain\n", r"mention at \[7, 11\) is not what the text has"),
        ("T1\tSign 8 12\tpain\n", r"mention at \[8, 12\)"),
        ("T1\tSign 7 14;25 28\tpain inarm\n", r"mention at \[7, 28\)"),
        ("T1\tSign 30 99\tmetformin.\n", "reaches outside the text of 40 characters"),
        ("T1\tSign 11 7\tpain\n", "is reversed"),
        ("T1\tSign 7 7\t\n", "is empty"),
        ("T1\tSign 25 28;7 14\tarm pain in\n", "is reversed"),
        ("T1\tSign 7 11\n", "no BRAT annotation"),
        ("T1 Sign 7 11 pain\n", "no BRAT annotation"),
        ("T1\tSign 7 x\tpain\n", "no BRAT annotation"),
        ("T1\tSign 7 " + "9" * 5000 + "\tpain\n", "no BRAT annotation"),
        ("T1\tSign -1 2\tpain\n", "no BRAT annotation"),
        ("N1\tReference T1\tpain\n", "no BRAT annotation"),
        ("X1\tSign 7 11\tpain\n", "no BRAT annotation"),
        ("some prose\n", "no BRAT annotation"),
        ("N1\tReference T9 X:1\tpain\n", "normalises T9, which is not in the file"),
    ],
)
def test_a_malformed_line_names_the_annotation_file_and_line_and_shows_no_text(ann, reason, tmp_path):
    pair(tmp_path, "T7\tSign 7 11\tpain\n" + ann)
    pair(tmp_path, "", name="ok")
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path)
    assert (caught.value.path, caught.value.line) == (tmp_path / "n1.ann", 2)
    assert "pain" not in str(caught.value).lower()
    assert [document.id for document in read(tmp_path, on_error="skip")] == ["ok"]


def test_an_annotation_id_used_twice_is_a_fault(tmp_path):
    with pytest.raises(DataError, match=r"n1\.ann:2: a second T1"):
        read(pair(tmp_path, "T1\tSign 7 11\tpain\nT1\tSign 7 11\tpain\n"))


def test_annotations_without_a_note_are_a_fault(tmp_path):
    (tmp_path / "n1.ann").write_text("")
    with pytest.raises(DataError, match=r"n1\.ann: there is no \.txt"):
        read(tmp_path)


def test_text_that_is_not_utf8_names_file_and_line(tmp_path):
    pair(tmp_path, "")
    (tmp_path / "n1.txt").write_bytes(b"one\ntw\xe9\n")
    with pytest.raises(DataError, match=r"n1\.txt:2: this line is not UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize("span", [Span(0, 1, "a b"), Span(0, 1, "a", code="x\ty")])
def test_labels_and_codes_with_white_space_are_refused(span, tmp_path):
    with pytest.raises(DataError, match="document 'n1': (label|code) .* has white space"):
        cd.MemoryDataset([Document("n1", "x", (span,))]).save(tmp_path / "out", format="brat")


def test_a_former_save_is_replaced_but_never_a_folder_of_other_files(tmp_path):
    for key in ("n1", "n2"):
        cd.MemoryDataset([Document(key, "Fine.")]).save(tmp_path / "out", format="brat")
    assert [document.id for document in read(tmp_path / "out")] == ["n2"]
    (tmp_path / "out/only-copy.txt").write_text("a note without annotations")
    with pytest.raises(DataError, match="will not replace this folder"):
        cd.MemoryDataset([Document("n3", "Fine.")]).save(tmp_path / "out", format="brat")
    assert (tmp_path / "out/only-copy.txt").exists()
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
