"""The same work in several threads at a time, which take turns as often as they can."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from clinidistill.errors import describe
from clinidistill.testing.rules import broken

__all__ = ["in_threads"]

T = TypeVar("T")

_THREADS = 4


def in_threads(work: Callable[[], T]) -> list[T]:
    """The results of doing `work` in four threads at a time; that it raises there breaks the rule."""
    results: list[T] = []
    errors: list[Exception] = []
    together = threading.Barrier(_THREADS)

    def one() -> None:
        together.wait()
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that races show
    try:
        threads = [threading.Thread(target=one) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        broken(f"with {_THREADS} threads at a time it raised {describe(errors[0])}; keep no state on self, or lock it")
    return results
