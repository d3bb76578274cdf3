"""Words and numbers as bytes and back, the same on every machine."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

__all__ = ["packed_numbers", "packed_words", "unpacked_numbers", "unpacked_words"]


def packed_words(words: Iterable[str]) -> bytes:
    """Strings without line ends as UTF-8, one a line."""
    return "\n".join(words).encode("utf-8", "surrogatepass")


def unpacked_words(data: bytes) -> list[str]:
    """Inverse of :func:`packed_words`.

    Raises:
        ValueError: if it is not UTF-8.
    """
    return data.decode("utf-8", "surrogatepass").split("\n") if data else []


def packed_numbers(values: array[int]) -> bytes:
    """Numbers in little-endian order."""
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def unpacked_numbers(kind: str, data: bytes) -> array[int]:
    """Inverse of :func:`packed_numbers`, for an array of type code `kind`.

    Raises:
        ValueError: if the last number is cut off.
    """
    values: array[int] = array(kind)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
