"""Reading concepts from XML, in pieces, without what XML can do beyond holding data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat  # entities are refused, and nothing is ever fetched

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept
from clinidistill.terminologies.files import open_bytes

__all__ = ["ConceptReader"]


class ConceptReader(ABC):
    """Makes concepts of an XML file's elements as they come; a subclass says what each element means.

    A DOCTYPE may name a DTD, which is not fetched. One that declares entities is refused, since these can expand
    without end, and so is an entity that nothing here declares, since text would be missing without it.

    Args:
        path: the XML file, ``.gz`` too.

    Attributes:
        open: names of the elements that are open, the outermost first.
        done: the concepts read so far, to be added to.
    """

    def __init__(self, path: Path):
        self.path = path
        self.open: list[str] = []
        self.done: list[Concept] = []
        self._text: list[str] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.EntityDeclHandler = self._entity_declared
        parser.SkippedEntityHandler = self._entity_unknown
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append

    @abstractmethod
    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins; it is the last of :attr:`open`, alone there if it is the root."""

    @abstractmethod
    def end(self, tag: str, text: str) -> None:
        """An element has ended; the last of :attr:`open` is its parent. `text` is what came after any child of it."""

    def read(self) -> Iterator[Concept]:
        """The file's concepts.

        Raises:
            DataError: with file and line, where it is not well-formed or not what it should be.
        """
        with open_bytes(self.path) as file:
            while chunk := file.read(1 << 16):
                self._feed(chunk)
                yield from self.done
                self.done.clear()
            self._feed(b"", last=True)
        yield from self.done

    @property
    def line(self) -> int:
        """The line that is being read, from 1."""
        return self._parser.CurrentLineNumber

    def fail(self, reason: str, line: int | None = None) -> NoReturn:
        """Raises the DataError that names file and line, by default the present one."""
        raise DataError(reason, path=self.path, line=line or self.line)

    def _feed(self, data: bytes, last: bool = False) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            reason = f"not well-formed XML ({expat.ErrorString(error.code)}); is it whole?"
            raise DataError(reason, path=self.path, line=error.lineno) from None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.open.append(tag)
        self._text.clear()
        self.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self.open.pop()
        text = " ".join("".join(self._text).split())
        self._text.clear()
        self.end(tag, text)

    def _entity_declared(self, name: str, *_: object) -> NoReturn:
        self.fail(f"its DOCTYPE declares an entity ({name!r}), which could expand without end; remove the DOCTYPE")

    def _entity_unknown(self, name: str, *_: object) -> NoReturn:
        self.fail(f"the entity {name!r} is declared nowhere in the file; take the file as it was published")
