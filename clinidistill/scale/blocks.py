"""The input cut into blocks: the same ones each time, so that a run can be taken up where it stopped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinidistill.component import digest
from clinidistill.datasets.columns import pyarrow
from clinidistill.datasets.parquet import Parquet
from clinidistill.errors import ConfigError
from clinidistill.scale.storage import Place, Source

__all__ = ["ENDINGS", "Block", "Plan", "cut"]

_LINES, _PACKED, _PARQUET = (".jsonl", ".ndjson"), (".jsonl.gz", ".ndjson.gz"), (".parquet",)
ENDINGS = _LINES + _PACKED + _PARQUET
"""Of the files that are read."""
_SAMPLE = 1 << 20  # bytes of a file by which the length of its lines is told


@dataclass(frozen=True, slots=True)
class Block:
    """Some notes of one file.

    Args:
        number: its place in the input, from 0.
        id: hash of the file's name, size and stamp, and the range.
        url: the file.
        begin: first row of a Parquet file, or first byte; a line belongs to the block in which it begins.
        end: row or byte after the last; None for a gzipped file, which is one block.
    """

    number: int
    id: str
    url: str
    begin: int
    end: int | None

    @property
    def name(self) -> str:
        """What its files are called; they sort as the input does."""
        return f"{self.number:06d}-{self.id}"

    @property
    def is_parquet(self) -> bool:
        """Whether it counts rows."""
        return self.url.endswith(_PARQUET)


@dataclass(frozen=True, slots=True)
class Plan:
    """All blocks of an input.

    Args:
        blocks: in order.
        fingerprint: hash of all of them; that of another input, or of other blocks, differs.
        format: that of the first file, ``"jsonl"`` or ``"parquet"``.
    """

    blocks: tuple[Block, ...]
    fingerprint: str
    format: str


def cut(place: Place, block_notes: int) -> Plan:
    """The input as blocks of about `block_notes` notes; exactly so many where rows are counted.

    JSON lines are cut by bytes, at a length that the first mebibyte of each file tells, so that nothing is read twice.

    Raises:
        ConfigError: if `block_notes` is not positive, or pyarrow is needed and not installed.
        DataError: if there is no file, one cannot be read, or a Parquet file has no column ``text``.
    """
    if block_notes < 1:
        raise ConfigError(f"block_notes={block_notes}: a block has at least one note")
    sources = place.sources(ENDINGS)
    blocks: list[Block] = []
    for source in sources:
        for begin, end in _ranges(source, Place(source.url, place.options), block_notes):
            key = digest([source.name, source.size, source.stamp, begin, end])[:16]
            blocks.append(Block(len(blocks), key, source.url, begin, end))
    format = "parquet" if sources[0].name.endswith(_PARQUET) else "jsonl"
    return Plan(tuple(blocks), digest([block.id for block in blocks]), format)


def _ranges(source: Source, place: Place, block_notes: int) -> list[tuple[int, int | None]]:
    if source.name.endswith(_PACKED):
        return [(0, None)]
    if source.name.endswith(_PARQUET):
        rows = _count_rows(place)
        return [(begin, min(begin + block_notes, rows)) for begin in range(0, rows, block_notes)]
    with place.open() as file:
        sample = file.read(_SAMPLE)
    lines = sum(1 for line in sample.splitlines() if line.strip()) or 1
    pieces = max(1, round(source.size * lines / (max(1, len(sample)) * block_notes))) if source.size else 0
    ends = [math.floor(source.size * n / pieces) for n in range(1, pieces + 1)]
    return list(zip([0, *ends], ends, strict=False))


def _count_rows(place: Place) -> int:
    with place.open() as file, parquet_module().ParquetFile(file) as table:
        Parquet("-").columns(table.schema_arrow, Path(place.url))  # refuses one without text
        return int(table.metadata.num_rows)


def parquet_module() -> Any:
    """``pyarrow.parquet``.

    Raises:
        ConfigError: if it is not installed.
    """
    pyarrow()
    from pyarrow import parquet

    return parquet
