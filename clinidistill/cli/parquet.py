"""The rows of Parquet files back with a column of spans."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.columns import pyarrow, schema, span_column
from clinidistill.datasets.parquet import Parquet
from clinidistill.errors import ConfigError, DataError
from clinidistill.types import Document, Span

__all__ = ["write_marked"]

_SPANS = "spans"


def write_marked(
    sources: Sequence[Parquet], mark: Callable[[Iterable[Document]], Iterator[Document]], output: Path
) -> None:
    """Write the rows of Parquet files, as they are, with a column ``spans`` as :class:`Parquet` reads it.

    The file appears whole or not at all.

    Args:
        sources: Parquet files of one schema.
        mark: from notes to marked notes, in order; some rows are held until it hands them out.
        output: the file.

    Raises:
        ConfigError: if pyarrow is not installed, or the files have a column ``spans`` already.
        DataError: if a file cannot be read or written, or has another schema than the first.
    """
    arrow = pyarrow()
    from pyarrow.parquet import ParquetWriter

    try:
        with replacing_file(output) as file, ExitStack() as stack:
            writer: Any = None
            for rows in _kept(sources, mark):
                if writer is None:
                    writer = stack.enter_context(ParquetWriter(file, rows.schema))
                if rows.schema != writer.schema:
                    raise ConfigError("the Parquet files differ in their columns; mark them apart, or as JSON lines")
                writer.write_batch(rows)
            if writer is None:
                stack.enter_context(ParquetWriter(file, schema()))
    except arrow.ArrowException as error:
        raise DataError(f"cannot be written: {type(error).__name__}", path=output) from error


def _kept(sources: Sequence[Parquet], mark: Callable[[Iterable[Document]], Iterator[Document]]) -> Iterator[Any]:
    """The rows as they were read, with their spans."""
    waiting: deque[Any] = deque()

    def notes() -> Iterator[Document]:
        for source in sources:
            for batch in source.batches(all_columns=True):
                if _SPANS in batch.rows.schema.names:
                    raise ConfigError(f"{source.path} has a column 'spans' already; rename it, or write JSON lines")
                waiting.append(batch.rows)
                yield from source.documents(batch)

    spans: list[tuple[Span, ...]] = []
    for document in mark(notes()):
        spans.append(document.spans)
        if len(spans) == waiting[0].num_rows:
            yield waiting.popleft().append_column(_SPANS, span_column(spans))
            spans = []
