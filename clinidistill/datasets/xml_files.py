"""XML, read in pieces and without what it can do beyond holding data; and text written as XML 1.0."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat  # entities are refused, and nothing is ever fetched

from clinidistill.errors import DataError

__all__ = ["XmlReader", "chunks", "xml_attribute", "xml_text"]

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE = str.maketrans({"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"})


class XmlReader:
    """Calls back for each element of an XML file, as its bytes come.

    A DOCTYPE may name a DTD, which is not fetched. One that declares entities is refused, since these can expand
    without end, and so is an entity that nothing here declares, since text would be missing without it.

    Args:
        path: the file's name, for errors.
        start: called with an element's name and attributes.
        end: called with an element's name and what text came after any child of it.
        namespaces: whether names are given as ``"uri name"``.
    """

    def __init__(
        self,
        path: Path,
        start: Callable[[str, dict[str, str]], object],
        end: Callable[[str, str], object],
        *,
        namespaces: bool = False,
    ):
        self.path = path
        self._text: list[str] = []
        self._parser = parser = expat.ParserCreate(namespace_separator=" " if namespaces else None)

        def started(tag: str, attributes: dict[str, str]) -> None:
            self._text.clear()
            start(tag, attributes)

        def ended(tag: str) -> None:
            text = "".join(self._text)
            self._text.clear()
            end(tag, text)

        parser.buffer_text = True
        parser.StartElementHandler = started
        parser.EndElementHandler = ended
        parser.CharacterDataHandler = self._text.append
        parser.EntityDeclHandler = self._entity_declared
        parser.SkippedEntityHandler = self._entity_unknown

    @property
    def line(self) -> int:
        """The line that is being read, from 1."""
        return self._parser.CurrentLineNumber

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Read on.

        Raises:
            DataError: with file and line, where it is not well-formed or declares entities.
        """
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            reason = f"not well-formed XML ({expat.ErrorString(error.code)}); is it whole?"
            raise DataError(reason, path=self.path, line=error.lineno) from None

    def fail(self, reason: str) -> NoReturn:
        """Raises the DataError that names file and line."""
        raise DataError(reason, path=self.path, line=self.line)

    def _entity_declared(self, name: str, *_: object) -> NoReturn:
        self.fail(f"its DOCTYPE declares an entity ({name!r}), which could expand without end; remove the DOCTYPE")

    def _entity_unknown(self, name: str, *_: object) -> NoReturn:
        self.fail(f"the entity {name!r} is declared nowhere in the file; take the file as it was published")


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces, unpacked where its name ends in ``.gz``.

    Raises:
        DataError: if the file cannot be read, or its compression is damaged.
    """
    try:
        with gzip.GzipFile(path) if path.name.endswith(".gz") else path.open("rb") as file:
            while piece := file.read(1 << 16):
                yield piece
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError("the gzip stream is damaged or cut short", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None


def xml_text(text: str, document_id: str) -> str:
    """Text as it stands between tags.

    Raises:
        DataError: if it holds a character that XML 1.0 cannot.

    >>> xml_text("BP < 90 & falling", "n1")
    'BP &lt; 90 &amp; falling'
    """
    _refuse_illegal(text, document_id)
    return text.translate(_TEXT)


def xml_attribute(text: str, document_id: str) -> str:
    """Text as an attribute's value, in quotation marks, with every line break and tab kept.

    Raises:
        DataError: if it holds a character that XML 1.0 cannot.

    >>> xml_attribute('5" & more', "n1")
    '"5&quot; &amp; more"'
    """
    _refuse_illegal(text, document_id)
    return f'"{text.translate(_ATTRIBUTE)}"'


def _refuse_illegal(text: str, document_id: str) -> None:
    if match := _ILLEGAL.search(text):
        raise DataError(
            f"document {document_id!r} holds U+{ord(match[0]):04X}, which XML 1.0 cannot; replace it, or save as jsonl"
        )
