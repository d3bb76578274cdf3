"""Words and numbers as bytes and back, the same on every machine."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

__all__ = ["Buffer", "packed_numbers", "packed_words", "unpacked_numbers", "unpacked_words"]

Buffer = bytes | memoryview


def packed_words(words: Iterable[str]) -> bytes:
    """Strings without line ends as UTF-8, one a line."""
    return "\n".join(words).encode("utf-8", "surrogatepass")


def unpacked_words(data: Buffer) -> list[str]:
    """Inverse of :func:`packed_words`.

    Raises:
        ValueError: if it is not UTF-8.
    """
    text = str(data, "utf-8", "surrogatepass")
    return text.split("\n") if text else []


def packed_numbers(values: array[int]) -> bytes:
    """Numbers in little-endian order."""
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def unpacked_numbers(kind: str, data: Buffer) -> array[int]:
    """Inverse of :func:`packed_numbers`, for an array of type code `kind`.

    Raises:
        ValueError: if the last number is cut off.
    """
    values: array[int] = array(kind)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
