"""Hugging Face datasets: text with spans, or tokens with tags, streamed; and ours made into theirs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from clinidistill.datasets.atomic import replacing_folder
from clinidistill.datasets.base import Dataset
from clinidistill.datasets.columns import ROWS, named, pyarrow, record_batches, row_document, row_id, schema
from clinidistill.datasets.files import Block, FileDataset, OnError, each_once, encode
from clinidistill.datasets.tags import TOKENS, Scheme, TagReader, tagged
from clinidistill.errors import ConfigError, DataError
from clinidistill.types import Document

__all__ = ["HuggingFace", "to_hugging_face"]

_STATE, _INFO, _DICT = "state.json", "dataset_info.json", "dataset_dict.json"
_TAGS = ("ner_tags", "tags", "labels")


@dataclass(frozen=True, slots=True)
class _Row(Block):
    """A row; errors give its number as the line."""

    row: Any = None
    columns: Any = None


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which columns hold what; names are the classes, of tags or labels, that a number stands for."""

    text: str | None
    tokens: str | None
    tags: str | None
    others: Mapping[str, str | None]
    names: tuple[str, ...]


class HuggingFace(FileDataset):
    """A Hugging Face dataset, streamed: a note a row, as text with spans or as tokens with tags.

    Text and spans are read as :class:`~clinidistill.datasets.parquet.Parquet` reads them. Tokens are joined by
    spaces, and their tags, names or numbers of a ``ClassLabel``, read as CoNLL's are. Where there are both texts and
    tags but no spans, tokens and tags are read.

    No code of a dataset is ever run. A path that is there is read where it lies; any other is a name on the hub, of
    which the library then asks the hub.

    Args:
        path: a folder that ``save_to_disk`` wrote, a folder or file that ``load_dataset`` reads (Parquet, Arrow,
            JSON, CSV), a name on the hub, or an object: a ``datasets.Dataset`` or ``IterableDataset``.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        split: which split; None takes the only one.
        config: which configuration, where there are several.
        text_column: the column with texts.
        id_column: the column with ids, text or whole numbers; None takes ``id`` if there is such a column, else ids
            are the split's name (without one the path's last part) and the row's number, from 1.
        spans_column: the column with spans; None takes ``spans`` if there is such a column.
        tokens_column: the column with tokens.
        tags_column: the column with their tags; None takes ``ner_tags``, ``tags`` or ``labels``.
        scheme: the tags' prefixes, see :class:`~clinidistill.datasets.conll.Conll`.

    Raises:
        ConfigError: when it is read, if ``datasets`` is not installed, or split or configuration are none of those
            that there are.

    The formats: https://huggingface.co/docs/datasets
    """

    def __init__(
        self,
        path: Any,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        *,
        split: str | None = None,
        config: str | None = None,
        text_column: str = "text",
        id_column: str | None = None,
        spans_column: str | None = None,
        tokens_column: str = "tokens",
        tags_column: str | None = None,
        scheme: Scheme = "auto",
    ):
        self._given = None if isinstance(path, str | Path) else path
        super().__init__("datasets.Dataset" if self._given is not None else path, labels, on_error)
        self._split, self.config, self.scheme = split, config, scheme
        self.text_column, self.id_column, self.spans_column = text_column, id_column, spans_column
        self.tokens_column, self.tags_column = tokens_column, tags_column

    def blocks(self) -> Iterator[Block]:
        library = _datasets()
        # The library has no one class of errors; those of reading are these, or pyarrow's.
        faults = (OSError, ValueError, LookupError, RuntimeError, library.exceptions.DatasetsError)
        try:
            rows = self._rows(library)
            columns = self._columns(rows)
            stream = iter(rows)
        except (ConfigError, DataError):
            raise
        except (*faults, pyarrow().ArrowException) as error:
            raise DataError(f"no dataset that can be read ({type(error).__name__})", path=self.path) from error
        name, number = self._split or self.path.name, 0
        while True:
            number += 1
            try:
                row = next(stream, None)
            except (*faults, pyarrow().ArrowException) as error:
                raise DataError(f"cannot be read on ({type(error).__name__})", path=self.path, line=number) from error
            if row is None:
                return
            yield _Row(self.path, name, number, ((number, b""),), row, columns)

    def _rows(self, library: Any) -> Any:
        """The split, as the library's object, its rows plain Python values."""
        found = self._given
        if found is not None:
            pass
        elif (self.path / _STATE).is_file() or (self.path / _DICT).is_file():
            found = library.load_from_disk(str(self.path))
        elif self.path.is_file():  # named as a file in a folder, for which the library asks no server
            found = library.load_dataset(str(self.path.parent), data_files=self.path.name, streaming=True)
        elif not self.path.is_dir() and (self.path.is_absolute() or len(self.path.parts) > 2):
            raise DataError("there is no such file or folder", path=self.path)
        else:
            found = library.load_dataset(self.path.as_posix(), self.config, streaming=True)
        if isinstance(found, dict):
            if self._split is None and len(found) == 1:
                (found,) = found.values()
            elif self._split in found:
                found = found[self._split]
            else:
                raise ConfigError(f"{self.path} has the splits {', '.join(found)}; choose one by the option split")
        return found.with_format(None)

    def _columns(self, rows: Any) -> _Columns:
        features = rows.features or dict.fromkeys(next(iter(rows), {}))
        for column in (self.id_column, self.spans_column, self.tags_column):
            if column is not None and column not in features:
                raise self._missing(column, features)
        tags = self.tags_column or next((each for each in _TAGS if each in features), None)
        spans = self.spans_column or ("spans" if "spans" in features else None)
        others = {name: name if name in features else None for name in ("covers", "meta")}
        others |= {"id": self.id_column or ("id" if "id" in features else None), "spans": spans}
        if spans is None and tags is not None and self.tokens_column in features:
            return _Columns(None, self.tokens_column, tags, others, _names(features[tags]))
        if self.text_column not in features:
            raise self._missing(self.text_column, features)
        kind = None if spans is None else getattr(features[spans], "feature", features[spans])
        names = _names(kind.get("label")) if isinstance(kind, dict) else ()
        return _Columns(self.text_column, None, None, others | {"text": self.text_column}, names)

    def _missing(self, column: str, features: Iterable[str]) -> DataError:
        choice = ", ".join(map(repr, features))
        return DataError(f"has no column {column!r}; choose among {choice}", path=self.path)

    def parse(self, block: Block) -> Document:
        assert isinstance(block, _Row)
        row, columns = block.row, block.columns
        own = columns.others["id"]
        key = f"{block.name}-{block.number}" if own is None else row_id(row[own], own)
        if columns.text is not None:
            return self.select(row_document(key, row[columns.text], row, columns.others, columns.names))
        tokens, tags = row[columns.tokens], row[columns.tags]
        if not isinstance(tokens, list) or not isinstance(tags, list) or len(tokens) != len(tags):
            raise DataError(f"{columns.tokens!r} and {columns.tags!r} must be lists of one length")
        reader, end = TagReader(self.scheme), -1
        for token, tag in zip(tokens, tags, strict=True):
            if not isinstance(token, str):
                raise DataError(f"{columns.tokens!r} holds no text but {type(token).__name__}")
            reader.read(named(tag, columns.names), end + 1, end + 1 + len(token))
            end += 1 + len(token)
        return self.select(Document(key, " ".join(tokens), reader.spans, meta=TOKENS))

    def fingerprint_data(self) -> Mapping[str, Any]:
        """Options, and contents where they lie here."""
        data: dict[str, Any] = dict(Dataset.fingerprint_data(self))
        if self._given is not None:
            data["path"] = getattr(self._given, "_fingerprint", None) or self._given
        elif self.path.exists():
            files = sorted(each for each in [self.path, *self.path.rglob("*")] if each.is_file())
            data["path"] = [[each.relative_to(self.path).as_posix(), _digest(each)] for each in files]
        return data

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write a folder as ``save_to_disk`` does, streaming; it appears whole or not at all. Returns how many.

        ``datasets.load_from_disk`` brings it back, and so does this format.

        Raises:
            ConfigError: if ``datasets`` is not installed.
            DataError: if two documents have one id, a string is not UTF-8, ``meta`` is not JSON, or the folder cannot
                be written or holds other files than these.
        """
        library, arrow, count = _datasets(), pyarrow(), 0
        with replacing_folder(path, (".arrow",), (_STATE, _INFO)) as folder:
            data = folder / "data-00000-of-00001.arrow"
            with data.open("xb") as file, arrow.ipc.new_stream(file, schema()) as writer:
                for rows in record_batches(documents):
                    writer.write_batch(rows)
                    count += rows.num_rows
            features = library.Features.from_arrow_schema(schema())
            library.DatasetInfo(features=features).write_to_directory(str(folder))
            state: dict[str, Any] = {
                "_data_files": [{"filename": data.name}],
                "_fingerprint": _digest(data)[:16],
                "_format_columns": None,
                "_format_kwargs": {},
                "_format_type": None,
                "_output_all_columns": False,
                "_split": None,
            }
            (folder / _STATE).write_text(json.dumps(state, indent=2), encoding="utf-8")
        return count


def to_hugging_face(dataset: Dataset, *, tokens: bool = False, streaming: bool = False) -> Any:
    """A dataset as Hugging Face's ``datasets`` has it; see :meth:`Dataset.to_hugging_face`."""
    library = _datasets()
    if tokens:
        text, names = library.Value("string"), _tags(dataset)
        tags = library.List(library.ClassLabel(names=names))
        features = library.Features({"id": text, "tokens": library.List(text), "ner_tags": tags})
    else:
        features, names = library.Features.from_arrow_schema(schema()), []

    def batches() -> Iterator[Any]:
        return _token_batches(dataset, names, features.arrow_schema) if tokens else record_batches(dataset)

    def examples() -> Iterator[tuple[int, dict[str, Any]]]:
        return enumerate(row for rows in batches() for row in rows.to_pylist())

    info = library.DatasetInfo(features=features)
    if streaming:
        from datasets.iterable_dataset import ExamplesIterable

        return library.IterableDataset(ExamplesIterable(examples, {}), info)
    contents, parts = hashlib.sha256(repr(names).encode()), []
    for rows in batches():
        contents.update(rows.serialize())
        parts.append(rows)
    table = pyarrow().Table.from_batches(parts, features.arrow_schema if tokens else schema())
    return library.Dataset(table, info, fingerprint=contents.hexdigest()[:16])  # else it pickles all to hash it


def _tags(dataset: Dataset) -> list[str]:
    """The IOB2 tags of all labels that occur or were looked for."""
    labels = {label for document in dataset for label in document.labels | (document.covers or set())}
    return ["O", *(f"{prefix}-{label}" for label in sorted(labels) for prefix in "BI")]


def _token_batches(dataset: Dataset, names: list[str], kinds: Any) -> Iterator[Any]:
    numbers = {name: number for number, name in enumerate(names)}
    unique = each_once(document for document in dataset if document.covers != frozenset())
    while chunk := list(islice(unique, ROWS)):
        rows = []
        for document in chunk:
            encode(document.id + document.text, document)  # refuses lone surrogates
            found = list(tagged(document))
            tags = [numbers[tag] for _, _, tag, _ in found]
            rows.append({"id": document.id, "tokens": [token for _, token, _, _ in found], "ner_tags": tags})
        yield pyarrow().RecordBatch.from_pylist(rows, kinds)


def _names(feature: Any) -> tuple[str, ...]:
    """The names of a ``ClassLabel``, or of a list of them."""
    return tuple(getattr(getattr(feature, "feature", feature), "names", None) or ())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise ConfigError("Hugging Face datasets need a package: pip install 'clinidistill[datasets]'") from None
    return datasets
