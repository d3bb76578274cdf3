import gzip
import logging

import pytest

import clinidistill as cd
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document, Span

GOOD = (
    '{"id": "a", "text": "On ramipril, no cough.", "spans": '
    '[{"start": 3, "end": 11, "label": "drug"}, {"start": 16, "end": 21, "label": "sign"}]}\n'
)


def jsonl(path, **options):
    return cd.load_dataset("jsonl", path=path, **options)


def numbered(n):
    return GOOD.replace('"a"', f'"{n}"')


def test_labels_rename_and_select_and_become_what_the_document_covers(tmp_path):
    (tmp_path / "x.jsonl").write_text(GOOD)
    (document,) = jsonl(tmp_path / "x.jsonl", labels={"drug": "medication", "disease": "disease"})
    assert document.spans == (Span(3, 11, "medication"),)
    assert document.covers == {"medication", "disease"}


def test_a_files_own_covers_limits_what_the_labels_can_claim(tmp_path):
    (tmp_path / "x.jsonl").write_text(GOOD[:-2] + ', "covers": ["drug", "sign"]}\n')
    (document,) = jsonl(tmp_path / "x.jsonl", labels={"drug": "medication", "disease": "disease"})
    assert document.covers == {"medication"}


def test_without_labels_spans_and_covers_stay_as_they_are(tmp_path):
    (tmp_path / "x.jsonl").write_text(GOOD)
    (document,) = jsonl(tmp_path / "x.jsonl")
    assert document.labels == {"drug", "sign"}
    assert document.covers is None


def test_skip_leaves_the_faulty_document_out_counts_it_and_warns_once(tmp_path, caplog):
    (tmp_path / "x.jsonl").write_text(numbered(1) + "{\n" + '{"id": "2"}\n' + numbered(3))
    dataset = jsonl(tmp_path / "x.jsonl", on_error="skip")
    for _ in range(2):  # each iteration counts afresh
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert [document.id for document in dataset] == ["1", "3"]
        assert [error.line for error in dataset.skipped] == [2, 3]
        assert len(caplog.records) == 1
        assert "faults: 2; the first: " in caplog.text
        assert "x.jsonl:2:" in caplog.text


def test_raise_names_file_and_line(tmp_path):
    (tmp_path / "x.jsonl").write_text(numbered(1) + "\n{\n")
    with pytest.raises(DataError, match=r"x\.jsonl:3: no JSON at column") as caught:
        list(jsonl(tmp_path / "x.jsonl"))
    assert (caught.value.path, caught.value.line) == (tmp_path / "x.jsonl", 3)


def test_documents_stream_before_a_later_fault_is_reached(tmp_path):
    (tmp_path / "x.jsonl").write_text(numbered(1) + "{\n")
    documents = iter(jsonl(tmp_path / "x.jsonl"))
    assert next(documents).id == "1"
    with pytest.raises(DataError):
        next(documents)


@pytest.mark.parametrize("name", ["jsonl", "brat", "pubtator", "conll"])
def test_a_missing_path_says_so(name, tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        list(cd.load_dataset(name, path=tmp_path / "absent"))
    with pytest.raises(DataError, match="no file matches"):
        list(cd.load_dataset(name, path=tmp_path / "*.absent"))
    with pytest.raises(DataError, match="the folder holds no file ending in"):
        list(cd.load_dataset(name, path=tmp_path))


def test_a_folder_is_read_sorted_with_sub_folders_and_without_hidden_or_foreign_files(tmp_path):
    for n, name in enumerate(["b.jsonl", "a.ndjson", "c/d.jsonl", ".hidden.jsonl", ".git/e.jsonl", "notes.txt"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(numbered(n))
    (tmp_path / "folder.jsonl").mkdir()
    assert [document.id for document in jsonl(tmp_path)] == ["1", "0", "2"]


def test_a_glob_takes_the_files_it_matches_and_the_folders_with_what_is_in_them(tmp_path):
    for n, name in enumerate(["b.json", "a.json", "c.txt", "dir.json/x.jsonl"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(numbered(n))
    assert [document.id for document in jsonl(str(tmp_path / "*.json"))] == ["1", "0", "3"]


def test_a_file_whose_name_looks_like_a_glob_is_read(tmp_path):
    (tmp_path / "notes[1].jsonl").write_text(GOOD)
    assert len(list(jsonl(tmp_path / "notes[1].jsonl"))) == 1


def test_a_second_document_of_one_id_is_a_fault_across_files_too(tmp_path):
    (tmp_path / "a.jsonl").write_text(GOOD)
    (tmp_path / "b.jsonl").write_text("\n" + GOOD)
    with pytest.raises(DataError, match=r"b\.jsonl:2: a second document has the id 'a'"):
        list(jsonl(tmp_path))


def test_bytes_that_are_not_utf8_name_file_and_line(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(GOOD.encode() + b'{"id": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"x\.jsonl:2: this line is not UTF-8"):
        list(jsonl(tmp_path / "x.jsonl"))


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert next(iter(jsonl(tmp_path / "x.jsonl"))).id == "a"


def test_gzip_is_read_and_written_and_the_same_documents_give_the_same_bytes(tmp_path):
    document = Document("n1", "On ramipril.", (Span(3, 11, "drug"),))
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        assert cd.MemoryDataset([document]).save(tmp_path / name) == 1
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).startswith(b'{"id": "n1"')
    assert list(jsonl(tmp_path / "a.jsonl.gz")) == [document]


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-12], lambda raw: b"no gzip", lambda raw: raw[:20] + b"\xff\xff" + raw[22:]]
)
def test_damaged_gzip_is_an_error_even_when_faults_are_skipped(damage, tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(damage(gzip.compress(GOOD.encode())))
    with pytest.raises(DataError, match="damaged or cut short"):
        list(jsonl(tmp_path / "x.jsonl.gz", on_error="skip"))


def test_an_unknown_on_error_is_refused_with_and_without_the_registry(tmp_path):
    from clinidistill.datasets.jsonl import JsonLines

    with pytest.raises(OptionError, match="on_error"):
        jsonl(tmp_path, on_error="ignore")
    with pytest.raises(OptionError, match="'raise' or 'skip'"):
        JsonLines(tmp_path, on_error="ignore")


def test_the_fingerprint_is_of_contents_not_of_the_place(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.jsonl").write_text(GOOD)
    before = jsonl(tmp_path / "one").fingerprint
    assert jsonl(tmp_path / "two").fingerprint == before
    (tmp_path / "one" / "x.jsonl").write_text(numbered(2))
    assert jsonl(tmp_path / "one").fingerprint != before


@pytest.mark.parametrize(
    ("name", "target"), [("jsonl", "x.jsonl"), ("brat", "x"), ("pubtator", "x.pubtator"), ("conll", "x.conll")]
)
def test_writing_is_all_or_nothing_and_makes_parent_folders(name, target, tmp_path):
    def documents():
        yield Document("n2", "Fine.")
        raise RuntimeError("the source broke")

    path = tmp_path / "new" / "folder" / target
    assert cd.MemoryDataset([Document("n1", "Well.")]).save(path, format=name) == 1
    cls = type(cd.load_dataset(name, path=path))
    with pytest.raises(RuntimeError):
        cls.write(documents(), path)
    with pytest.raises(DataError, match="two documents have the id 'n3'"):
        cls.write([Document("n3", "a"), Document("n3", "b")], path)
    assert [document.id for document in cd.load_dataset(name, path=path)] == ["n1"]
    assert [each.name for each in path.parent.iterdir()] == [target]


@pytest.mark.parametrize(("name", "target"), [("brat", "x"), ("pubtator", "x.pubtator"), ("conll", "x.conll")])
def test_lone_surrogates_are_refused_by_utf8_formats_without_showing_text(name, target, tmp_path):
    with pytest.raises(DataError, match="document 'n1' holds lone surrogates, no UTF-8; save it as jsonl"):
        cd.MemoryDataset([Document("n1", "secret \ud800")]).save(tmp_path / target, format=name)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_can_be_saved_over_the_file_it_is_read_from(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(numbered(1) + numbered(2))
    assert jsonl(path).filter(lambda document: document.id == "2").save(path) == 1
    assert [document.id for document in jsonl(path)] == ["2"]


def test_a_file_is_written_through_a_symbolic_link(tmp_path):
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    cd.MemoryDataset([Document("n1", "Well.")]).save(tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").is_file()


def test_a_path_that_cannot_be_written_is_a_data_error(tmp_path):
    (tmp_path / "x.jsonl").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "x.jsonl", tmp_path / "file" / "y.jsonl"):
        with pytest.raises(DataError, match="cannot be written"):
            cd.MemoryDataset([Document("n1", "Well.")]).save(path)


def test_labels_merged_into_one_do_not_mark_a_mention_twice(tmp_path):
    spans = (Span(0, 4, "sign"), Span(0, 4, "symptom"), Span(5, 9, "sign"))
    cd.MemoryDataset([Document("n1", "pain, ache", spans)]).save(tmp_path / "x.jsonl")
    (document,) = jsonl(tmp_path / "x.jsonl", labels={"sign": "symptom", "symptom": "symptom"})
    assert document.spans == (Span(0, 4, "symptom"), Span(5, 9, "symptom"))


def test_a_former_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "out"
    cd.MemoryDataset([Document("n1", "Well.")]).save(target, format="brat")
    rename = type(target).rename

    def failing(self, new):
        if self.suffix == ".tmp":
            raise OSError(5, "Input/output error")
        return rename(self, new)

    monkeypatch.setattr(type(target), "rename", failing)
    with pytest.raises(DataError, match="cannot be written: Input/output error"):
        cd.MemoryDataset([Document("n2", "Well.")]).save(target, format="brat")
    assert [document.id for document in cd.load_dataset("brat", path=target)] == ["n1"]
    assert list(tmp_path.iterdir()) == [target]
