"""Matching in many notes, in one process or several."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from clinidistill.errors import ClinidistillError, describe
from clinidistill.matching.automaton import Match
from clinidistill.matching.matcher import Matcher
from clinidistill.types import Document

__all__ = ["find_all", "find_in_parallel"]

Outcome = tuple[list[Match] | str, float]


def find_all(matcher: Matcher, documents: Iterable[Document]) -> Iterator[tuple[Document, list[Match] | str, float]]:
    """Each document in turn, with its matches, or what their search died of, and the seconds it took."""
    for document in documents:
        yield document, *_find_one(matcher, document.text)


def find_in_parallel(
    matcher: Matcher, documents: Iterable[Document], workers: int
) -> Iterator[tuple[Document, list[Match] | str, float]]:
    """As :func:`find_all`, in several processes.

    Documents are read a few batches ahead. On Linux the processes are forked and share the automaton's memory;
    elsewhere each has a copy, and a script that starts them needs its ``if __name__ == "__main__":``.

    Raises:
        ClinidistillError: if a process dies.
    """
    documents = iter(documents)
    waiting: deque[tuple[list[Document], Future[list[Outcome]]]] = deque()
    gc.freeze()  # or else the garbage collector would write to the shared pages, and they would be copied
    pool = ProcessPoolExecutor(workers, _CONTEXT, _start, (matcher,))
    try:
        while True:
            while len(waiting) < workers * _AHEAD and (batch := list(islice(documents, _BATCH))):
                waiting.append((batch, pool.submit(_find, [document.text for document in batch])))
            if not waiting:
                return
            batch, future = waiting.popleft()
            for document, (found, seconds) in zip(batch, future.result(), strict=True):
                yield document, found, seconds
    except BrokenProcessPool:
        raise ClinidistillError(
            "a process that searches for terms died; if memory ran out, take fewer workers="
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
        gc.unfreeze()


_MATCHERS: list[Matcher] = []
"""The one that this process uses."""


def _start(matcher: Matcher) -> None:
    _MATCHERS[:] = [matcher]


def _find(texts: list[str]) -> list[Outcome]:
    (matcher,) = _MATCHERS
    return [_find_one(matcher, text) for text in texts]


def _find_one(matcher: Matcher, text: str) -> Outcome:
    started = time.perf_counter()
    try:
        found: list[Match] | str = matcher.find(text)
    except Exception as error:  # one document must not end a run over thousands
        found = describe(error)
    return found, time.perf_counter() - started


_BATCH = 128  # documents; small ones cost more in the handing over than in the search
_AHEAD = 4  # batches for each process
# What runs in the forked processes takes no lock that a thread of this one could hold.
_CONTEXT = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
