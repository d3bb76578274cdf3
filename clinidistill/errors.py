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
    └── CheckpointError      a checkpoint that does not belong to this training

Messages name the place and the cure. They never hold note text: offsets, labels and document ids only.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BrokenPluginError",
    "CheckpointError",
    "ClinidistillError",
    "ConfigError",
    "DataError",
    "DuplicateComponentError",
    "OptionError",
    "RegistryError",
    "SpanError",
    "StoreError",
    "UnknownComponentError",
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
        reason: what is wrong and how to mend it, without note text.
    """

    def __init__(self, reason: str, *, path: str | Path | None = None, line: int | None = None):
        self.reason = reason
        self.path = None if path is None else Path(path)
        self.line = line
        where = ":".join(str(part) for part in (path, line) if part is not None)
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
