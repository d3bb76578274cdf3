"""Predicting in several processes, each with its share of the cores.

A worker is a Python of its own that loads the saved student, reads a line of JSON with notes, and answers with a line
of JSON with spans. So nothing is pickled or forked, scripts need no ``if __name__ == "__main__"``, and a worker ends
with whoever started it: its input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from clinidistill.errors import ClinidistillError, describe
from clinidistill.students.base import Student
from clinidistill.students.streaming import chunks
from clinidistill.types import Document, Span

__all__ = ["predict_in_processes"]

_CHUNK = 128  # documents in a line
_AHEAD = 2  # lines for each worker: the one that it works on, and the next


def predict_in_processes(
    student: Student, documents: Iterable[Document], workers: int, options: Mapping[str, Any]
) -> Iterator[Document]:
    """The documents with the student's spans, lazily and in order.

    Args:
        student: it is saved to a temporary folder, from where each worker loads it.
        documents: read 256 ahead for each worker.
        workers: how many processes; they start when there is work for them.
        options: what the workers' ``predict`` is called with; JSON-ready.

    Raises:
        ClinidistillError: if a worker fails or dies.
    """
    with tempfile.TemporaryDirectory(prefix="clinidistill-") as folder:
        student.save(folder)
        crew = _Crew(folder, workers, options)
        waiting: deque[tuple[list[Document], Future[list[list[list[Any]]]]]] = deque()
        try:
            for chunk in chunks(documents, _CHUNK):
                waiting.append((chunk, crew.submit([document.text for document in chunk])))
                if len(waiting) == workers * _AHEAD:
                    yield from _marked(student, *waiting.popleft())
            while waiting:
                yield from _marked(student, *waiting.popleft())
        finally:  # also at Ctrl-C, or where nobody asks for the rest
            crew.dismiss()


def _marked(student: Student, chunk: list[Document], future: Future[list[list[list[Any]]]]) -> Iterator[Document]:
    covers = frozenset(student.labels)
    for document, spans in zip(chunk, future.result(), strict=True):
        yield document.with_spans((Span(*span) for span in spans), covers)


class _Crew:
    """The workers, and a thread for each that waits for its answers."""

    def __init__(self, folder: str, workers: int, options: Mapping[str, Any]):
        share = str(max(1, _cores() // workers))
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": share,
            "RAYON_NUM_THREADS": share,  # the tokenizer's
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        self._start_line = _line({"folder": folder, "options": dict(options)})
        self._threads = ThreadPoolExecutor(workers, "clinidistill-worker")
        self._idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        self._all: list[subprocess.Popen[str]] = []

    def submit(self, texts: list[str]) -> Future[list[list[list[Any]]]]:
        return self._threads.submit(self._ask, texts)

    def dismiss(self) -> None:
        for worker in list(self._all):
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.kill()  # one that was being started
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # of what a dead worker never read
                        pipe.close()

    def _ask(self, texts: list[str]) -> list[list[list[Any]]]:
        worker = self._worker()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(_line(texts))
            worker.stdin.flush()
            answer = worker.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer.endswith("\n"):
            raise ClinidistillError(
                f"a worker of predict died (exit status {worker.wait()}); if memory ran out, take fewer workers= or "
                "lower batch_tokens="
            )
        self._idle.put(worker)
        said = json.loads(answer)
        if "error" in said:
            raise ClinidistillError(f"a worker of predict failed: {said['error']}")
        found: list[list[list[Any]]] = said["spans"]
        return found

    def _worker(self) -> subprocess.Popen[str]:
        """One that has nothing to do, or a new one; there are no more than threads, since each has one at a time."""
        try:
            return self._idle.get_nowait()
        except Empty:
            worker = subprocess.Popen(  # noqa: S603 - this very Python
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="ascii",
                env=self._environment,
            )
            self._all.append(worker)
            assert worker.stdin is not None
            worker.stdin.write(self._start_line)
            return worker


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line(value: Any) -> str:
    return json.dumps(value) + "\n"


def _serve() -> None:
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of them; who started it ends it
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print is no answer
    start = json.loads(sys.stdin.readline())
    student: Student | None = None
    for line in sys.stdin:
        try:
            if student is None:
                from clinidistill.students import load_student

                student = load_student(Path(start["folder"]))
            spans = [
                [[span.start, span.end, span.label, span.score, span.source] for span in document.spans]
                for document in student.predict(json.loads(line), **start["options"])
            ]
            answers.write(_line({"spans": spans}))
        except Exception as error:
            answers.write(_line({"error": describe(error)}))
        answers.flush()


if __name__ == "__main__":
    _serve()
