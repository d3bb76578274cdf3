"""Every error clinidistill raises on purpose.

    ClinidistillError
    ├── SpanError            a span that cannot stand where it was put          (also a ValueError)
    ├── ConfigError          an option, recipe or setting that cannot work      (also a ValueError)
    │   └── OptionError      options of a component that are unknown or invalid
    ├── DataError            a file that does not hold what it should           (also a ValueError)
    ├── RegistryError        a component that cannot be loaded                  (also a LookupError)
    │   ├── UnknownComponentError
    │   ├── DuplicateComponentError
    │   └── BrokenPluginError
    ├── StoreError           a label store that cannot be used
    ├── CheckpointError      a checkpoint that does not belong to this training
    ├── ProviderError        a language model's API gave no answer that can be read
    │   ├── RateLimitError       it asks to slow down; asked again later
    │   ├── ServerError          it, or the way to it, broke; asked again later
    │   ├── RequestError         it refuses this request; others may go through
    │   └── AuthenticationError  it refuses every request; the run ends
    ├── ServerDownError      a server gives nothing but faults; the run ends
    └── LabelingStopped      the budget or the time of a run is used up; it ends with what was done

Messages name the place and the cure. They never hold note text: offsets, labels and document ids only.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AuthenticationError",
    "BrokenPluginError",
    "CheckpointError",
    "ClinidistillError",
    "ConfigError",
    "DataError",
    "DuplicateComponentError",
    "LabelingStopped",
    "OptionError",
    "ProviderError",
    "RateLimitError",
    "RegistryError",
    "RequestError",
    "ServerDownError",
    "ServerError",
    "SpanError",
    "StoreError",
    "UnknownComponentError",
    "describe",
]


class ClinidistillError(Exception):
    """Base of all errors raised by clinidistill."""


class SpanError(ClinidistillError, ValueError):
    """A span is empty, reversed, or outside its document."""


class ConfigError(ClinidistillError, ValueError):
    """An option, recipe or setting cannot work; the message says which and what would."""


class OptionError(ConfigError):
    """A component got options that it does not know or that do not fit."""


class DataError(ClinidistillError, ValueError):
    """A file does not hold what its format asks for.

    Attributes:
        path: the file, or None when the data did not come from one.
        line: the 1-based line, or None when the fault is not on one line.
        column: the 1-based character of that line, or None when the fault is not at one.
        reason: what is wrong and how to mend it, without note text.
    """

    def __init__(
        self, reason: str, *, path: str | Path | None = None, line: int | None = None, column: int | None = None
    ):
        self.reason = reason
        self.path = None if path is None else Path(path)
        self.line = line
        self.column = column
        where = ":".join(str(part) for part in (path, line, column) if part is not None)
        super().__init__(f"{where}: {reason}" if where else reason)


class RegistryError(ClinidistillError, LookupError):
    """A component cannot be loaded by that name."""


class UnknownComponentError(RegistryError):
    """No component has that name; the message lists the nearest."""


class DuplicateComponentError(RegistryError):
    """Two packages register one name; the message names both."""


class BrokenPluginError(RegistryError):
    """The component's package failed to import; the message says how."""


class StoreError(ClinidistillError):
    """A label store cannot be opened or written."""


class CheckpointError(ClinidistillError):
    """A checkpoint belongs to another training, or is damaged."""


class ProviderError(ClinidistillError):
    """A language model's API gave no answer that can be read.

    Attributes:
        status: the HTTP status, or None when there was no response.
        delay: seconds that the server asks to wait before another try, or None.
        billed: whether the request may have cost money all the same (it was sent, and died on the way back).
    """

    def __init__(self, reason: str, *, status: int | None = None, delay: float | None = None, billed: bool = False):
        self.status, self.delay, self.billed = status, delay, billed
        super().__init__(reason)


class RateLimitError(ProviderError):
    """The API asks to slow down (429); worth another try after `delay`."""


class ServerError(ProviderError):
    """The server, or the way to it, broke (5xx, 408, time-out, reset, unreadable body); worth another try."""


class RequestError(ProviderError):
    """The API refuses this request (400, 413, 422, …); asking again would not help."""


class AuthenticationError(ProviderError):
    """The API refuses every request (no or wrong key, no such model or address); the run ends."""


class ServerDownError(ClinidistillError):
    """A server gave nothing but faults for so long that the run ends; what was answered is kept."""


class LabelingStopped(ClinidistillError):
    """The budget or the time of a run is used up; the run ends with what was done, and asks for the rest next time."""


def describe(error: BaseException) -> str:
    """An error in one line that holds no note text: our own errors whole, of others the class and place only."""
    if isinstance(error, ClinidistillError):
        return f"{type(error).__name__}: {error}"
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = "" if frame is None else f" at {frame.tb_frame.f_code.co_name}, line {frame.tb_lineno}"
    return f"{type(error).__name__}{where}"
