"""Copies of the files that a component reads, and what can be wrong with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, cast

from clinidistill.component import Component
from clinidistill.testing.options import rebuilt

__all__ = ["copied", "damaged"]

C = TypeVar("C", bound=Component)

_LARGEST = 2_000_000  # bytes; each is read some dozens of times


def copied(component: C, folder: str | Path) -> C | None:
    """The same component over a copy of its `path`; None if it has none, or a large one."""
    path = component.options.get("path")
    if not isinstance(path, (str, Path)) or not Path(path).exists():
        return None
    source, target = Path(path), Path(folder) / Path(path).name
    files = [source] if source.is_file() else [file for file in source.rglob("*") if file.is_file()]
    if sum(file.stat().st_size for file in files) > _LARGEST:
        return None
    if source.is_file():
        # Formats of several files find the others beside the one that is named.
        shutil.copyfile(source, target)
        for beside in source.parent.iterdir():
            if beside.is_file() and beside != source and beside.stat().st_size < _LARGEST:
                shutil.copyfile(beside, target.parent / beside.name)
    else:
        shutil.copytree(source, target)
    return cast(C, rebuilt(component, {"path": type(path)(target)}))


def damaged(path: str | Path) -> Iterator[str]:
    """Damages a file, or each of the first few files of a folder, in one way after another; tells how.

    In the end it is as it was.
    """
    root = Path(path)
    files = [root] if root.is_file() else sorted(file for file in root.rglob("*") if file.is_file())
    for file in files[:3]:
        whole = file.read_bytes()
        middle = len(whole) // 2
        ways = {
            "that is empty": b"",
            "that is cut short": whole[:middle],
            "with bytes that are no UTF-8": whole[:middle] + b"\xff\xfe\xc3\x28" + whole[middle:],
            "with NULs": whole[:middle] + b"\x00\x00" + whole[middle:],
            "of brackets": b"[" * 20_000,
            "of random bytes": bytes((7 * n * n + 13 * n) % 256 for n in range(2000)),
            "that has its middle twice": whole[:middle] + whole[middle // 2 :],
            "without its first line": whole.partition(b"\n")[2],
        }
        for what, content in ways.items():
            file.write_bytes(content)
            yield what
        file.write_bytes(whole)
