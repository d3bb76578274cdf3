"""The objects in a large JSON file, one at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn

from clinidistill.datasets.files import decode, read_lines
from clinidistill.errors import DataError

__all__ = ["json_objects"]

_WHITE = re.compile(r"[ \t\r\n]*")


def json_objects(path: Path, within: Collection[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with the lines they begin on; the text is in memory, and one object at a time.

    The file is an object, a list of them, or several one after another (JSON lines). An object with a list under one
    of the keys `within` is not given out itself, but what is in the list.

    Raises:
        DataError: with line and column, where the file is no JSON or holds no objects where it should.
    """
    text = "".join(decode(raw, path, number) for number, raw in read_lines(path))
    return _Reader(text, path, frozenset(within)).values()


class _Reader:
    def __init__(self, text: str, path: Path, within: frozenset[str]):
        self.text = text
        self.path = path
        self.within = within
        self.at = 0
        self._line = 1
        self._counted = 0
        self._decoder = json.JSONDecoder()

    @property
    def line(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def values(self) -> Iterator[tuple[int, dict[str, Any]]]:
        while self._peek():
            yield from self._value("[{", depth=0)

    def _peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        self.at = _WHITE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches everywhere
        return self.text[self.at : self.at + 1]

    def _take(self, expected: str) -> str:
        found = self._peek()
        if not found or found not in expected:
            self._fail(f"want {' or '.join(expected)} here")
        self.at += 1
        return found

    def _fail(self, reason: str) -> NoReturn:
        column = self.at - self.text.rfind("\n", 0, self.at)
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
        try:
            value, self.at = self._decoder.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            self._fail(error.msg)
        except (ValueError, RecursionError):
            self._fail("a number too long or nesting too deep to read")
        return value
