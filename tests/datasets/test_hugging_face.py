import socket
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
from document_strategies import LABELS, documents, texts
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.types import Document, Span

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import datasets

TAGS = ["O", "B-drug", "I-drug"]
SPAN = {"start": 3, "end": 10, "label": "drug"}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("asks a server")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@st.composite
def whole(draw):
    """Documents with all that they can hold."""
    document = draw(documents())
    score, source, status = draw(st.sampled_from([(1.0, None, None), (0.3, "gpt-4", "fuzzy")]))
    spans = {
        Span(each.start, each.end, each.label, score, source, each.code, each.fragments, status)
        for each in document.spans
    }
    meta = draw(st.dictionaries(texts(), st.integers() | st.none() | texts(), max_size=2))
    covers = draw(st.none() | st.frozensets(st.sampled_from(LABELS)))
    return Document(document.id, document.text, tuple(spans), covers, meta)


def read(path, **options):
    return list(cd.load_dataset("hugging-face", path=path, **options))


def tagged():
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=TAGS)),
        }
    )
    rows = {"tokens": [["On", "beta", "blockers", "."], ["None"], []], "ner_tags": [[0, 1, 2, 0], [0], []]}
    return datasets.Dataset.from_dict(rows, features)


MARKED = [(3, 16, "drug")]


@settings(max_examples=20, deadline=None)
@given(st.lists(whole(), max_size=3, unique_by=lambda document: document.id))
def test_documents_come_back_whole_from_disk_and_as_objects(some):
    data = cd.MemoryDataset(some)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notes"
        assert data.save(path, format="hugging-face") == len(some)
        assert read(path) == some
        theirs = datasets.load_from_disk(str(path))
        assert theirs["text"][:] == [each.text for each in some]
        assert theirs.features == data.to_hugging_face().features
        assert theirs.to_list() == data.to_hugging_face().to_list()
        data.save(path, format="hugging-face")  # what a save left may be replaced
        del theirs
    assert read(data.to_hugging_face()) == some
    assert read(data.to_hugging_face(streaming=True)) == some


@settings(max_examples=20, deadline=None)
@given(documents(overlapping=False, fragments=False, codes=False))
def test_tokens_and_tags_are_those_of_conll(document):
    document = document.with_spans(span for span in document.spans if not document.mention(span).isspace())
    made = cd.MemoryDataset([document]).to_hugging_face(tokens=True)
    (row,) = made
    names = made.features["ner_tags"].feature.names
    (found,) = read(made)
    assert row["tokens"] == (found.text.split(" ") if row["tokens"] else [])
    assert [found.mention(span).replace(" ", "") for span in found.spans] == [
        "".join(token for token in document.mention(span) if not token.isspace()) for span in document.spans
    ]
    assert [span.label for span in found.spans] == [span.label for span in document.spans]
    assert {names[tag] for tag in row["ner_tags"]} <= set(names)


def test_token_classification_gets_class_labels_of_every_label_that_was_looked_for():
    notes = cd.MemoryDataset(
        [
            Document("n1", "On beta blockers.", (Span(3, 16, "drug"),), {"drug", "symptom"}),
            Document("n2", "Nobody looked.", covers=()),
        ]
    )
    for streaming in (False, True):
        made = notes.to_hugging_face(tokens=True, streaming=streaming)
        assert made.features["ner_tags"].feature.names == ["O", "B-drug", "I-drug", "B-symptom", "I-symptom"]
        assert list(made) == [{"id": "n1", "tokens": ["On", "beta", "blockers", "."], "ner_tags": [0, 1, 2, 0]}]


def test_tags_are_read_by_the_names_of_their_classes_or_as_names(tmp_path):
    (first, second, third) = read(tagged())
    assert (first.id, first.text, [span.key for span in first.spans]) == (
        "datasets.Dataset-1",
        "On beta blockers .",
        MARKED,
    )
    assert (second.text, third.text) == ("None", "")
    named = datasets.Dataset.from_dict({"id": [7], "tokens": [["On", "ASA"]], "tags": [["O", "S-drug"]]})
    assert read(named)[0] == Document("7", "On ASA", (Span(3, 6, "drug"),), meta={"tokens": "whitespace"})
    with pytest.raises(DataError, match="no tag of the scheme 'iob'"):
        read(named, scheme="iob")
    assert read(tagged().with_format("numpy"))[0] == first


@pytest.mark.parametrize("kind", ["disk", "parquet", "arrow", "json", "split-folder", "file"])
def test_what_the_library_saves_is_read_where_it_lies(kind, tmp_path):
    path = tmp_path / "notes"
    options = {"split": "train"}
    if kind == "disk":
        datasets.DatasetDict({"train": tagged(), "test": tagged().select([1])}).save_to_disk(path)
    elif kind == "split-folder":
        (path / "data").mkdir(parents=True)
        tagged().to_parquet(path / "data" / "train-00000-of-00001.parquet")
        tagged().select([1]).to_parquet(path / "data" / "test-00000-of-00001.parquet")
    elif kind == "arrow":
        tagged().save_to_disk(tmp_path / "saved")
        path.mkdir()
        (tmp_path / "saved" / "data-00000-of-00001.arrow").rename(path / "train.arrow")
    elif kind == "json":
        path.mkdir()
        named = [{"tokens": row["tokens"], "ner_tags": [TAGS[tag] for tag in row["ner_tags"]]} for row in tagged()]
        datasets.Dataset.from_list(named).to_json(path / "train.jsonl")
    else:
        path = path / "train.parquet"
        path.parent.mkdir()
        tagged().to_parquet(path)
        options = {"split": "train"} if kind == "parquet" else {}
    found = read(path, **options)
    assert [[span.key for span in each.spans] for each in found] == [MARKED, [], []]
    assert [each.id.rpartition("-")[2] for each in found] == ["1", "2", "3"]
    if kind in ("disk", "split-folder"):
        assert [each.id for each in read(path, split="test")] == ["test-1"]
        for wrong in (None, "dev"):
            with pytest.raises(ConfigError, match="has the splits .*; choose one by the option split"):
                read(path, split=wrong)


def test_spans_may_have_class_labels_other_columns_and_be_a_struct_of_lists():
    struct = {
        "start": datasets.Value("int32"),
        "end": datasets.Value("int32"),
        "label": datasets.ClassLabel(names=["drug"]),
    }
    rows = {"note": ["On aspirin.", None], "gold": [[{"start": 3, "end": 10, "label": 0}], None]}
    listed = datasets.Dataset.from_dict(
        rows, datasets.Features({"note": datasets.Value("string"), "gold": datasets.List(struct)})
    )
    lists = {name: datasets.List(kind) for name, kind in struct.items()}
    rows = {"note": ["On aspirin.", None], "gold": [{"start": [3], "end": [10], "label": [0]}, None]}
    columnar = datasets.Dataset.from_dict(rows, datasets.Features({"note": datasets.Value("string"), "gold": lists}))
    for made in (listed, columnar, listed.to_iterable_dataset()):
        found = read(made, text_column="note", spans_column="gold", labels={"drug": "medication"}, split="dev")
        assert found[0] == Document("dev-1", "On aspirin.", (Span(3, 10, "medication"),), {"medication"})
        assert found[1] == Document("dev-2", "", covers=())


@pytest.mark.parametrize(
    ("rows", "options", "row", "reason"),
    [
        ({"body": ["x"]}, {}, None, "has no column 'text'; choose among 'body'"),
        ({"text": ["x"]}, {"tags_column": "t"}, None, "has no column 't'"),
        ({"text": ["x", "y"], "id": ["a", None]}, {}, 2, "'id' holds no id"),
        ({"text": ["x", "secret"], "spans": [[], [SPAN]]}, {}, 2, r"\[3, 10\) reaches outside"),
        ({"text": ["secret"], "spans": [[{**SPAN, "label": 3}]]}, {}, 1, "3 stands for no class"),
        ({"text": ["secret"], "spans": ["secret"]}, {}, 1, "holds no lists of structs"),
        ({"text": [3]}, {}, 1, "'text' holds no text but int"),
        ({"tokens": [["x"], ["secret"]], "tags": [["O"], ["M-x"]]}, {}, 2, "no tag of the scheme"),
        ({"tokens": [["secret"]], "tags": [["O", "O"]]}, {}, 1, "must be lists of one length"),
        ({"tokens": [["secret"]], "tags": [[1]]}, {}, 1, "1 stands for no class"),
        ({"tokens": [["x"]], "tags": [[["secret"]]]}, {}, 1, "a list stands for no class"),
        ({"tokens": [[1]], "tags": [["O"]]}, {}, 1, "'tokens' holds no text but int"),
    ],
)
def test_a_fault_names_the_row_and_shows_no_text(rows, options, row, reason):
    made = datasets.Dataset.from_dict(rows)
    with pytest.raises(DataError, match=reason) as caught:
        read(made, **options)
    assert caught.value.line == row
    assert "secret" not in str(caught.value)
    if row is not None:
        assert len(read(made, on_error="skip", **options)) == row - 1


def test_what_is_no_dataset_is_refused_and_no_code_is_run(tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        read(tmp_path / "absent")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(DataError, match="no dataset that can be read"):
        read(tmp_path / "code")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"no dataset that can be read|cannot be read on"):
        read(tmp_path / "x.parquet")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(DataError, match="holds more than .arrow files"):
        cd.MemoryDataset([]).save(tmp_path / "notes", format="hugging-face")


def test_a_fingerprint_goes_by_contents(tmp_path):
    for name in ("a", "b"):
        cd.MemoryDataset([Document("n1", "x")]).save(tmp_path / name, format="hugging-face")
    first, second = (cd.load_dataset("hugging-face", path=tmp_path / name) for name in ("a", "b"))
    assert first.fingerprint == second.fingerprint
    cd.MemoryDataset([Document("n1", "y")]).save(tmp_path / "b", format="hugging-face")
    assert first.fingerprint != cd.load_dataset("hugging-face", path=tmp_path / "b").fingerprint


def test_no_more_is_made_than_is_asked_for(monkeypatch):
    monkeypatch.setattr("clinidistill.datasets.columns.ROWS", 10)
    made = []

    class Many(cd.Dataset):
        def __iter__(self):
            for number in range(100):
                made.append(number)
                yield Document(str(number), "On aspirin.")

    stream = Many().to_hugging_face(streaming=True)
    assert made == []
    assert next(iter(stream))["id"] == "0"
    assert len(made) == 10
    assert next(iter(cd.load_dataset("hugging-face", path=stream))).id == "0"
    assert sum(1 for _ in stream) == 100


def test_it_is_a_dataset_like_any_other():
    notes = cd.MemoryDataset([Document(str(number), "x") for number in range(4)])
    made = notes.to_hugging_face()
    first, rest = cd.load_dataset("hugging-face", path=made).split(1, 3)
    assert [len(list(first)), len(list(rest))] == [1, 3]
    assert made._fingerprint == notes.to_hugging_face()._fingerprint != first.to_hugging_face()._fingerprint
    assert made.map(lambda row: {"size": len(row["text"])})["size"][:] == [1] * 4


def test_without_datasets_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    some = cd.MemoryDataset([])
    for does in (lambda: read(tmp_path), some.to_hugging_face, lambda: some.save(tmp_path / "y", "hugging-face")):
        with pytest.raises(ConfigError, match=r"pip install 'clinidistill\[datasets\]'"):
            does()
