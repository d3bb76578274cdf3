"""Reading the files that terminologies are published in."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from clinidistill.errors import DataError

__all__ = ["open_bytes", "read_lines", "stem"]


def stem(path: str | Path) -> str:
    """The file's name without its ending, nor ``.gz``.

    >>> stem("terms/drugs.csv.gz")
    'drugs'
    """
    return Path(Path(path).name.removesuffix(".gz")).stem


@contextmanager
def open_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked where its name ends in ``.gz``.

    Raises:
        DataError: if it cannot be opened or unpacked, also halfway.
    """
    try:
        with gzip.open(path) if Path(path).suffix.lower() == ".gz" else open(path, "rb") as file:
            yield cast(BinaryIO, file)
    except FileNotFoundError:
        raise DataError("no such file; check the path, or download the terminology first", path=path) from None
    except PermissionError:
        raise DataError("may not be read; ask its owner for permission (chmod +r)", path=path) from None
    except IsADirectoryError:
        raise DataError("a folder; give the path of the file in it", path=path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read ({type(error).__name__}); is it whole?", path=path) from error


def read_lines(path: str | Path) -> Iterator[str]:
    """The lines of a UTF-8 file with their line ends, without a byte order mark.

    Raises:
        DataError: as :func:`open_bytes`, or if a line is not UTF-8.
    """
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError("not UTF-8 text; save the file as UTF-8", path=path, line=number) from error
