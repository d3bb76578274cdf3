"""Files that hold note text."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from clinidistill.errors import DataError

__all__ = ["private_file"]


@contextmanager
def private_file(path: str | Path) -> Iterator[TextIO]:
    """A new UTF-8 file that only its owner may read (mode 0600); it takes `path`'s place when all went well.

    Raises:
        DataError: if its folder is absent, or it cannot be written.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    if not target.parent.is_dir():
        raise DataError("cannot be written: its folder does not exist; make the folder first", path=path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".tmp")
        draft = Path(name)
        try:
            # A lone surrogate, which a text may hold and UTF-8 cannot, becomes a question mark.
            with open(handle, "w", encoding="utf-8", errors="replace", newline="") as file:
                yield file
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", path=path) from None
