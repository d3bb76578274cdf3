"""What a component says aloud: logs, warnings, and what it prints."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["listening"]


class _Ear(logging.Handler):
    def __init__(self, heard: list[str]):
        super().__init__(logging.NOTSET)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


@contextmanager
def listening() -> Iterator[list[str]]:
    """Gives the list of what is logged at any level, warned and printed meanwhile; it is whole at the end."""
    heard: list[str] = []
    ear, root = _Ear(heard), logging.getLogger()
    level, out = root.level, io.StringIO()
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        with (
            warnings.catch_warnings(record=True) as warned,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            warnings.simplefilter("always")
            yield heard
    finally:
        root.setLevel(level)
        root.removeHandler(ear)
        heard += [str(warning.message) for warning in warned]
        heard += out.getvalue().splitlines()
