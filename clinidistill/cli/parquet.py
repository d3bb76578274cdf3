"""Notes in Parquet files: a note a row, and the same rows back with a column of spans."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.files import encode
from clinidistill.errors import ConfigError, DataError
from clinidistill.types import Document, Span

__all__ = ["ParquetNotes", "write_parquet"]

_ROWS = 1024  # read, and written, together
_SPANS = "spans"


class ParquetNotes:
    """The notes of a Parquet file, a row each, read some rows at a time; a null is an empty note.

    Args:
        path: the file.
        text_column: the column with the notes.
        id_column: the column with their ids, text or whole numbers; None takes ``id`` if there is such a column, else
            ids are the file's name and the row's number, from 1.

    Raises:
        ConfigError: if pyarrow is not installed.
        DataError: when it is read, with the row, where there is one: if it is no Parquet file, has no such column, or
            holds something else there.
    """

    def __init__(self, path: Path, text_column: str = "text", id_column: str | None = None):
        _pyarrow()
        self.path, self.text_column, self.id_column = path, text_column, id_column

    @property
    def rows(self) -> int:
        """How many there are."""
        with self._open() as file:
            return int(file.metadata.num_rows)

    def __iter__(self) -> Iterator[Document]:
        return chain.from_iterable(map(self.documents, self.batches(all_columns=False)))

    def batches(self, all_columns: bool = True) -> Iterator[Any]:
        """Its rows as record batches, none of them empty, with the number of the first of each."""
        with self._open() as file:
            names = file.schema_arrow.names
            id_column = self.id_column or ("id" if "id" in names else None)
            for column in (self.text_column, id_column):
                if column is not None and column not in names:
                    raise DataError(
                        f"has no column {column!r}; choose among {', '.join(map(repr, names))}", path=self.path
                    )
            wanted = [name for name in (self.text_column, id_column) if name is not None]
            first = 1
            for batch in file.iter_batches(_ROWS, columns=None if all_columns else list(dict.fromkeys(wanted))):
                if batch.num_rows:
                    yield first, batch
                first += batch.num_rows

    def documents(self, rows: tuple[int, Any]) -> Iterator[Document]:
        """The notes of a record batch."""
        first, batch = rows
        texts = batch.column(self.text_column).to_pylist()
        id_column = self.id_column or ("id" if "id" in batch.schema.names else None)
        ids = [None] * len(texts) if id_column is None else batch.column(id_column).to_pylist()
        for row, (name, text) in enumerate(zip(ids, texts, strict=True), first):
            if not isinstance(text, str | None):
                raise DataError(
                    f"{self.text_column!r} holds no text but {type(text).__name__}", path=self.path, line=row
                )
            if id_column is not None and (isinstance(name, bool) or not isinstance(name, str | int) or name == ""):
                raise DataError(f"{id_column!r} holds no id, which is text or a whole number", path=self.path, line=row)
            yield Document(f"{self.path.stem}-{row}" if id_column is None else str(name), text or "")

    @contextmanager
    def _open(self) -> Iterator[Any]:
        pyarrow, parquet = _pyarrow()
        try:
            with self.path.open("rb") as source, parquet.ParquetFile(source) as file:
                yield file
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise DataError(f"no whole Parquet file of UTF-8 text ({type(error).__name__})", path=self.path) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or type(error).__name__}", path=self.path) from None


def write_parquet(
    sources: Sequence[ParquetNotes],
    notes: Iterable[Document],
    mark: Callable[[Iterable[Document]], Iterator[Document]],
    output: Path,
) -> None:
    """Write marked notes as Parquet: the rows of `sources` with a column ``spans``, or what JSON lines would hold.

    Spans are lists of ``start`` and ``end`` (in code points), ``label``, ``score`` and ``source``. The file appears
    whole or not at all.

    Args:
        sources: Parquet files of one schema whose rows are to be kept.
        notes: the notes, where `sources` is empty.
        mark: from notes to marked notes, in order; some rows are held until it hands them out.
        output: the file.

    Raises:
        ConfigError: if pyarrow is not installed, or the files have a column ``spans`` already.
        DataError: if a file cannot be read or written, or has another schema than the first.
    """
    pyarrow, parquet = _pyarrow()
    try:
        with replacing_file(output) as file, ExitStack() as stack:
            writer: Any = None
            for rows in _kept(sources, mark) if sources else _plain(mark(notes)):
                if writer is None:
                    writer = stack.enter_context(parquet.ParquetWriter(file, rows.schema))
                if rows.schema != writer.schema:
                    raise ConfigError("the Parquet files differ in their columns; mark them apart, or as JSON lines")
                writer.write_batch(rows)
            if writer is None:
                stack.enter_context(parquet.ParquetWriter(file, _schema()))
    except pyarrow.ArrowException as error:
        raise DataError(f"cannot be written: {type(error).__name__}", path=output) from error


def _kept(sources: Sequence[ParquetNotes], mark: Callable[[Iterable[Document]], Iterator[Document]]) -> Iterator[Any]:
    """The rows as they were read, with their spans."""
    waiting: deque[Any] = deque()

    def notes() -> Iterator[Document]:
        for source in sources:
            for first, batch in source.batches():
                if _SPANS in batch.schema.names:
                    raise ConfigError(f"{source.path} has a column 'spans' already; rename it, or write JSON lines")
                waiting.append(batch)
                yield from source.documents((first, batch))

    spans: list[tuple[Span, ...]] = []
    for document in mark(notes()):
        spans.append(document.spans)
        if len(spans) == waiting[0].num_rows:
            yield waiting.popleft().append_column(_SPANS, _column(spans))
            spans = []


def _plain(documents: Iterator[Document]) -> Iterator[Any]:
    pyarrow, _ = _pyarrow()
    while chunk := list(islice(documents, _ROWS)):
        columns = [
            pyarrow.array([encode(document.id, document) for document in chunk], pyarrow.string()),
            pyarrow.array([encode(document.text, document) for document in chunk], pyarrow.string()),
            _column([document.spans for document in chunk]),
            pyarrow.array([json.dumps(dict(d.meta)) if d.meta else None for d in chunk], pyarrow.string()),
        ]
        yield pyarrow.RecordBatch.from_arrays(columns, schema=_schema())


def _column(spans: Sequence[tuple[Span, ...]]) -> Any:
    pyarrow, _ = _pyarrow()
    names = ("start", "end", "label", "score", "source")
    rows = [[{name: getattr(span, name) for name in names} for span in each] for each in spans]
    return pyarrow.array(rows, _schema().field(_SPANS).type)


def _schema() -> Any:
    pyarrow, _ = _pyarrow()
    text, offset = pyarrow.string(), pyarrow.int64()
    span = {"start": offset, "end": offset, "label": text, "score": pyarrow.float64(), "source": text}
    return pyarrow.schema({"id": text, "text": text, _SPANS: pyarrow.list_(pyarrow.struct(span)), "meta": text})


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError("Parquet needs pyarrow: pip install 'clinidistill[parquet]'") from None
    return pyarrow, parquet
