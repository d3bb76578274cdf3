"""Progress on the terminal: one line, or nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

__all__ = ["Bar", "track"]


class Bar:
    """What :func:`track` hands out; silent where there is no display."""

    def __init__(self, display: Progress | None = None, description: str = "", total: int | None = None):
        self._display, self._total = display, total
        self._notes: dict[str, object] = {}
        self._task = None if display is None else display.add_task(description, total=total, notes="")

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""
        if self._display is not None and self._task is not None:
            self._display.advance(self._task, steps)

    def skip(self, steps: int) -> None:
        """Take steps that need not be done out of the total, so that rate and remaining time stay true."""
        if self._display is not None and self._task is not None and self._total is not None:
            self._total -= steps
            self._display.update(self._task, total=self._total)

    def note(self, **values: object) -> None:
        """Show values at the end of the line, e.g. ``failures=3``; numbers keep four significant digits."""
        if self._display is not None and self._task is not None:
            self._notes.update(values)
            shown = ", ".join(f"{name} {_brief(value)}" for name, value in self._notes.items())
            self._display.update(self._task, notes=shown)


@contextmanager
def track(description: str, total: int | None = None, show: bool | None = None) -> Iterator[Bar]:
    """A progress bar on stderr: description, done and total, rate, remaining time, notes.

    Args:
        description: what is going on.
        total: number of steps; None when unknown.
        show: whether to show it; None shows it when stderr is a terminal.

    >>> with track("labelling", total=2, show=False) as bar:
    ...     bar.advance()
    ...     bar.note(failures=1)
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{_brief(speed)}/s")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[notes]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        yield Bar(display, description, total)


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
