"""The objects in a large JSON file, one at a time."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn

from clinidistill.datasets.xml_files import chunks
from clinidistill.errors import DataError

__all__ = ["json_objects"]

_WHITE = re.compile(r"[ \t\r\n]*")
_LONGEST_TOKEN = 16
"""Characters that a token other than a string or a number may need before it is known to be none."""


def json_objects(path: Path, within: Collection[str] = (), begins: str = "[{") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with the lines they begin on, read as they are asked for: one is in memory, not the file.

    The file is an object, a list of them, or several one after another (JSON lines). An object with a list under one
    of the keys `within` is not given out itself, but what is in the list.

    Args:
        path: the file; gzip where its name ends in ``.gz``.
        within: see above.
        begins: what the file may begin with.

    Raises:
        DataError: with line and column, where the file is no JSON or holds no objects where it should.
    """
    return _Reader(path, frozenset(within)).values(begins)


class _Reader:
    def __init__(self, path: Path, within: frozenset[str]):
        self.path = path
        self.within = within
        self.text = ""  # what is read, and not behind us
        self.at = 0
        self._line, self._counted = 1, 0  # the line of the character at _counted
        self._column = 1  # of the text's first character
        self._pieces = self._decoded()
        self._decoder = json.JSONDecoder()

    def _decoded(self) -> Iterator[str]:
        decoder, lines = codecs.getincrementaldecoder("utf-8-sig")(), 1
        try:
            for piece in chunks(self.path):
                text = decoder.decode(piece)
                lines += text.count("\n")
                yield text
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line = lines + error.object.count(b"\n", 0, error.start)
            raise DataError("this line is not UTF-8; convert the file to UTF-8", path=self.path, line=line) from None

    def _more(self) -> bool:
        """Read on, at least as much as there is, and forget what is behind us; whether there was more."""
        added = list[str]()
        size, wanted = 0, max(1, len(self.text) - self.at)
        while size < wanted and (piece := next(self._pieces, None)) is not None:
            added.append(piece)
            size += len(piece)
        if size:
            self._line, self._column = self.line, self._column_at(self.at)
            self.text, self.at, self._counted = "".join([self.text[self.at :], *added]), 0, 0
        return size > 0

    @property
    def line(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def _column_at(self, at: int) -> int:
        newline = self.text.rfind("\n", 0, at)
        return at - newline if newline >= 0 else self._column + at

    def values(self, begins: str) -> Iterator[tuple[int, dict[str, Any]]]:
        if begins == "[" or self._peek():  # several objects may be none
            yield from self._value(begins, depth=0)
        while self._peek():
            yield from self._value(begins, depth=0)

    def _peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            self.at = _WHITE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches everywhere
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def _take(self, expected: str) -> str:
        found = self._peek()
        if not found or found not in expected:
            self._fail(f"want {' or '.join(expected)} here")
        self.at += 1
        return found

    def _fail(self, reason: str) -> NoReturn:
        column = self._column_at(self.at)
        raise DataError(f"no JSON of this format: {reason}", path=self.path, line=self.line, column=column)

    def _value(self, expected: str, depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
        if self._take(expected) == "{":
            yield from self._object(depth)
        elif self._peek() == "]":
            self.at += 1
        else:
            follows = ","
            while follows == ",":
                yield from self._value("{", depth + 1)
                follows = self._take(",]")

    def _object(self, depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
        line, data, opened = self.line, dict[str, Any](), False
        follows = ","
        if self._peek() == "}":
            self.at, follows = self.at + 1, "}"
        while follows == ",":
            if self._peek() != '"':
                self._fail("want a key here")
            key = self._any()
            self._take(":")
            if key in self.within and self._peek() == "[" and depth < 3:
                opened = True
                yield from self._value("[", depth + 1)
            else:
                data[key] = self._any()
            follows = self._take(",}")
        if not opened:
            yield line, data

    def _any(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self.text) - _LONGEST_TOKEN
                if not cut or not self._more():
                    self.at = error.pos
                    self._fail(error.msg)
            except (ValueError, RecursionError):
                self._fail("a number too long or nesting too deep to read")
            else:
                if end < len(self.text) or not self._more():  # else a number may go on
                    self.at = end
                    return value
