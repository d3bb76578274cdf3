import json
import sys
import tempfile
from pathlib import Path

import pandas
import pyarrow
import pytest
from document_strategies import LABELS, documents, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.types import Document, Span

SPAN = {"start": 3, "end": 10, "label": "drug"}


@st.composite
def whole(draw):
    """Documents with all that they can hold."""
    document = draw(documents())
    score, source, status = draw(st.sampled_from([(1.0, None, None), (0.3, "gpt-4", "fuzzy")]))
    spans = {
        Span(each.start, each.end, each.label, score, source, each.code, each.fragments, status)
        for each in document.spans
    }
    meta = draw(st.dictionaries(texts(), st.integers() | st.none() | texts() | st.lists(st.floats(0, 1)), max_size=2))
    covers = draw(st.none() | st.frozensets(st.sampled_from(LABELS)))
    return Document(document.id, document.text, tuple(spans), covers, meta)


def read(path, **options):
    return list(cd.load_dataset("parquet", path=path, **options))


def written(folder, columns, name="x.parquet", **options):
    parquet.write_table(pyarrow.table(columns), folder / name, **options)
    return folder / name


@settings(max_examples=30, deadline=None)
@given(st.lists(whole(), max_size=4, unique_by=lambda document: document.id))
def test_documents_come_back_whole_and_pandas_reads_them(some):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        assert cd.MemoryDataset(some).save(path) == len(some)
        found = cd.load_dataset("parquet", path=path)
        assert list(found) == some
        assert len(found) == len(some)
        frame = pandas.read_parquet(path)
    assert [*zip(frame["id"], frame["text"], strict=True)] == [(each.id, each.text) for each in some]
    for row, document in zip(frame["spans"], some, strict=True):
        assert [document.text[span["start"] : span["end"]] for span in row] == [
            document.text[span.start : span.end] for span in document.spans
        ]


def test_what_pandas_writes_is_read_and_rows_without_ids_are_numbered(tmp_path):
    spans = [[{**SPAN, "text": "aspirin", "more": 1}], [], None]
    frame = pandas.DataFrame({"note": ["On aspirin.", "None.", None], "spans": spans, "page": [1, 2, 3]})
    frame.to_parquet(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", text_column="note", labels={"drug": "medication"}) == [
        Document("x-1", "On aspirin.", (Span(3, 10, "medication"),), {"medication"}),
        Document("x-2", "None.", (), {"medication"}),
        Document("x-3", "", (), frozenset()),
    ]


def test_notes_without_spans_cover_nothing_and_other_columns_may_name_id_and_spans(tmp_path):
    path = written(tmp_path, {"text": ["a", "b"], "n": [7, 8], "spans": ["no", "spans"]})
    assert read(path, id_column="n") == [Document("7", "a", covers=()), Document("8", "b", covers=())]
    path = written(tmp_path, {"text": ["On aspirin."], "gold": [[SPAN]], "meta": [{"page": 3}]})
    assert read(path, spans_column="gold") == [Document("x-1", "On aspirin.", (Span(3, 10, "drug"),), meta={"page": 3})]
    path = written(tmp_path, {"text": ["a", "b"], "meta": ["ward 3", '{"page": 3}']})
    assert [each.meta for each in read(path)] == [{"meta": "ward 3"}, {"page": 3}]


@pytest.mark.parametrize(
    ("columns", "options", "row", "reason"),
    [
        ({"body": ["x"]}, {}, None, "has no column 'text'; choose among 'body'"),
        ({"text": ["x"]}, {"id_column": "n"}, None, "has no column 'n'"),
        ({"text": ["x"]}, {"spans_column": "text"}, None, "'text' holds no lists of structs with start, end and label"),
        ({"text": ["x", "y"], "id": ["a", None]}, {}, 2, "'id' holds no id"),
        ({"text": ["x", "y"], "id": ["a", "a"]}, {}, 2, "a second document has the id 'a'"),
        ({"text": [3]}, {}, 1, "'text' holds no text but int"),
        ({"text": ["x", "secret"], "spans": [[], [{**SPAN, "start": 0}]]}, {}, 2, r"\[0, 10\) reaches outside"),
        ({"text": ["x", "secret"], "spans": [[], [{**SPAN, "start": None}]]}, {}, 2, r"lacks \['start'\]"),
        ({"text": ["is secret"], "spans": [[{"start": 3, "end": 9, "label": None}]]}, {}, 1, r"lacks \['label'\]"),
        (
            {"text": ["is secret"], "spans": [[{"start": 2, "end": 8, "label": "x", "text": "secret"}]]},
            {},
            1,
            r"the mention at \[2, 8\) is not what the text has there",
        ),
    ],
)
def test_a_fault_names_file_and_row_and_shows_no_text(columns, options, row, reason, tmp_path):
    path = written(tmp_path, columns)
    with pytest.raises(DataError, match=reason) as caught:
        read(path, **options)
    assert (caught.value.path, caught.value.line) == (path, row)
    assert "secret" not in str(caught.value)
    if row is not None:
        assert len(read(path, on_error="skip", **options)) == row - 1


def test_what_is_no_parquet_file_or_no_utf_8_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="no whole Parquet file"):
        read(tmp_path)
    broken = pyarrow.array([b"\xff"], pyarrow.binary()).view(pyarrow.string())
    with pytest.raises(DataError, match="no whole Parquet file of UTF-8"):
        read(written(tmp_path, {"text": broken}))


def test_rows_are_read_and_written_some_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("clinidistill.datasets.columns.ROWS", 10)
    monkeypatch.setattr("clinidistill.datasets.parquet.ROWS", 10)
    made = []

    def many():
        for number in range(1000):
            made.append(number)
            yield Document(str(number), "On aspirin. " * 50)

    first = next(cd.datasets.columns.record_batches(many()))
    assert (first.num_rows, len(made)) == (10, 10)
    from clinidistill.datasets.parquet import Parquet

    assert Parquet.write(many(), tmp_path / "x.parquet") == 1000
    assert parquet.ParquetFile(tmp_path / "x.parquet").num_row_groups == 100
    before = pyarrow.total_allocated_bytes()
    stream = iter(cd.load_dataset("parquet", path=tmp_path / "x.parquet"))
    most = max(pyarrow.total_allocated_bytes() - before for _ in stream)
    assert most < 1000 * 600 / 4  # the texts are 600 kB


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    for document, reason in [
        (Document("n1", "\ud800"), "document 'n1' holds lone surrogates"),
        (Document("n1", "x", meta={"a": {1}}), "meta that is not JSON"),
    ]:
        with pytest.raises(DataError, match=reason):
            cd.MemoryDataset([document]).save(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="two documents have the id 'n1'"):
        cd.MemoryDataset([Document("n1", "x")] * 2).save(tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = written(tmp_path, {"text": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for does in (lambda: read(path), lambda: cd.MemoryDataset([]).save(tmp_path / "y.parquet")):
        with pytest.raises(ConfigError, match=r"pip install 'clinidistill\[parquet\]'"):
            does()


def test_meta_is_json_that_others_read(tmp_path):
    cd.MemoryDataset([Document("n1", "x", meta={"Größe": [1, None]})]).save(tmp_path / "x.parquet")
    (value,) = parquet.read_table(tmp_path / "x.parquet").column("meta").to_pylist()
    assert json.loads(value) == {"Größe": [1, None]}
