"""Another process, in which strings have other hashes: a component made there alike has to be known as alike."""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import operator
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["fingerprint_elsewhere"]


def fingerprint_elsewhere(cls: type[Any], options: Mapping[str, Any]) -> str | None:
    """The fingerprint that a component made of JSON-ready options has in another process; None if it cannot be told.

    It cannot of a class that is not found by its name, as one of a function's or of a notebook's.
    """
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        return None
    return _other_process().ask(
        {"path": sys.path, "module": cls.__module__, "name": cls.__qualname__, "options": dict(options)}
    )


class _OtherProcess:
    """One for all questions, since starting it and importing libraries there takes seconds."""

    def __init__(self) -> None:
        seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
        self._process = subprocess.Popen(  # noqa: S603 - this module itself
            [sys.executable, "-W", "ignore", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
            encoding="utf-8",
        )
        atexit.register(self.close)

    def ask(self, question: Mapping[str, Any]) -> str | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or "null")
        except OSError:
            answer = None
        if self._process.poll() is not None:
            _other_process.cache_clear()
        return answer if isinstance(answer, str) else None

    def close(self) -> None:
        with self._process:
            self._process.kill()


@functools.cache
def _other_process() -> _OtherProcess:
    return _OtherProcess()


def _serve() -> None:
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a plugin prints is no answer
    for line in sys.stdin:
        try:
            answer = _fingerprint(json.loads(line))
        except BaseException:  # whatever a plugin's import raises
            answer = None
        channel.write(json.dumps(answer) + "\n")
        channel.flush()


def _fingerprint(question: Mapping[str, Any]) -> str:
    from clinidistill.registry import check_options

    sys.path[:] = question["path"]
    cls = operator.attrgetter(question["name"])(importlib.import_module(question["module"]))
    return str(cls(**check_options(cls, question["options"], question["name"])).fingerprint)


if __name__ == "__main__":
    _serve()
