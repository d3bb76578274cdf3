"""Notes in patients' records as XML event streams, such as MedAlign's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clinidistill.datasets.corpora.marks import MarkedNotes, Marks
from clinidistill.datasets.files import Block
from clinidistill.datasets.xml_files import XmlReader, chunks
from clinidistill.errors import DataError
from clinidistill.types import Document

__all__ = ["EhrNotes"]

_TIMES = ("timestamp", "start")
_NAMES = ("name", "code", "type")


@dataclass(frozen=True, slots=True)
class _Event(Block):
    text: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)


class EhrNotes(MarkedNotes):
    """The notes of records, a patient a file, streamed; empty ones are passed over.

    A note is an ``<event type="note">`` or a ``<note>``. Its time is its own or that of what it stands in.

    Args:
        path: where the release lies, for messages.
        records: the files; their names are the patients'.
        marks: mentions for the notes; see :class:`MarkedNotes`.
    """

    suffixes = (".xml", ".xml.gz")

    def __init__(self, path: Path, records: list[Path], marks: Marks | None = None):
        super().__init__(path, marks)
        self.records = records

    def blocks(self) -> Iterator[Block]:
        for path in self.records:
            patient = path.name.removesuffix(".gz").removesuffix(".xml")
            seen: set[str] = set()
            for number, event in enumerate(_events(path), 1):
                line, attributes, text = event
                name = attributes.get("note_id") or str(number)
                if name in seen:  # one note given in several events
                    name = f"{name}.{number}"
                seen.add(name)
                meta = {"timestamp": next(filter(None, map(attributes.get, _TIMES)), "")}
                meta["name"] = next((each for each in map(attributes.get, _NAMES) if each and each != "note"), "")
                found = {key: value for key, value in meta.items() if value}
                yield _Event(path, f"{patient}/{name}", number, ((line, b""),), text, found)

    def parse(self, block: Block) -> Document:
        assert isinstance(block, _Event)
        return Document(block.name, block.text, covers=frozenset(), meta=block.meta)


def _events(path: Path) -> Iterator[tuple[int, dict[str, str], str]]:
    """The line, attributes and text of each note."""
    found: list[tuple[int, dict[str, str], str]] = []
    times: list[str] = []
    opened: list[tuple[int, dict[str, str]] | None] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        times.append(next(filter(None, map(attributes.get, _TIMES)), times[-1] if times else ""))
        note = tag == "note" or (tag == "event" and attributes.get("type", "").lower() == "note")
        opened.append((reader.line, {"timestamp": times[-1], **attributes}) if note else None)

    def end(_: str, text: str) -> None:
        times.pop()
        note = opened.pop()
        if note is not None and text.strip():
            found.append((*note, text.strip()))

    reader = XmlReader(path, start, end)
    something = False
    for piece in chunks(path):
        something = True
        reader.feed(piece)
        yield from found
        found.clear()
    if not something:
        raise DataError("the record is empty; download it again", path=path)
    reader.feed(b"", last=True)
    yield from found
