"""The stages of a run folder: each done once, from inputs that are written down."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clinidistill import __version__
from clinidistill.component import digest
from clinidistill.datasets.atomic import replacing_file
from clinidistill.errors import ConfigError

__all__ = ["Stages", "environment", "read_json", "write_json"]


class Stages:
    """What of a run is done, in ``stages.json`` of its folder.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path):
        self.folder, self._file = folder, folder / "stages.json"

    def begin(self) -> None:
        """Make the folder, if need be, for its owner alone: it will hold the text of notes.

        Raises:
            ConfigError: if it cannot be.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be a run folder: {error.strerror}; name another") from None

    def do(self, name: str, inputs: Any, output: Path, work: Callable[[], object], *, also: Path | None = None) -> None:
        """Do `work` unless it was done from the same inputs and its outputs are still there."""
        done = read_json(self._file)
        fingerprint = digest([__version__, inputs])
        there = output.exists() and (also is None or also.exists())
        if done.get(name, {}).get("inputs") == fingerprint and there:
            return
        done.pop(name, None)
        write_json(self._file, done)
        began = time.perf_counter()
        work()
        done[name] = {"inputs": fingerprint, "seconds": round(time.perf_counter() - began, 3)}
        write_json(self._file, done)

    def inputs(self, name: str) -> str:
        """What a finished stage was done from, as one hash."""
        return str(read_json(self._file)[name]["inputs"])

    def seconds(self, name: str) -> float:
        """How long a finished stage took."""
        return float(read_json(self._file)[name]["seconds"])


def environment(seed: int) -> dict[str, Any]:
    """What else decides the outcome: versions, seed, platform."""
    packages = ("torch", "transformers", "tokenizers", "accelerate", "numpy", "pyahocorasick")
    return {
        "clinidistill": __version__,
        "seed": seed,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file of a run folder; an empty one where there is no file.

    Raises:
        ConfigError: if it is damaged.
    """
    if not file.exists():
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError(f"{file} is damaged; delete it, and the run does its stages again (labels are kept)")
    return value


def write_json(file: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    with replacing_file(file) as out:
        out.write(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode())
