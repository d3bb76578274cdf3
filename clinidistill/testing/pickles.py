"""Files that hold pickled objects."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path

__all__ = ["pickled"]

_SUFFIXES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".dill"}
_LARGEST = 1 << 20


def pickled(file: Path) -> bool:
    """Whether a file is, or holds, a pickle, by its name or by what is in it; nothing is unpickled."""
    if not file.is_file():
        return False
    if file.suffix in _SUFFIXES or file.name == "pytorch_model.bin":
        return True
    with file.open("rb") as content:
        start = content.read(_LARGEST)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return any(Path(name).suffix in {".pkl", ".pickle"} for name in archive.namelist())
    if start.startswith(b"\x93NUMPY"):
        return b"'|O'" in start[:256]
    return _begins_a_pickle(start)


def _begins_a_pickle(data: bytes) -> bool:
    if not (data[:1] == b"\x80" and data[1:2] <= b"\x05"):
        return False
    try:
        for number, _ in enumerate(pickletools.genops(data)):
            if number > 10:
                return True
    except ValueError:
        return False
    return True
