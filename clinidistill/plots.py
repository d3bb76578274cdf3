"""Figures of matplotlib (extra ``plots``): scores, agreement, training, learning curves, dollars and seconds.

Each takes what our functions return, or the JSON-ready form of it. In a notebook a figure shows itself; ``savefig``
writes it to a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from clinidistill.errors import ConfigError
from clinidistill.types import Scores

__all__ = [
    "INK",
    "plot_agreement",
    "plot_break_even",
    "plot_costs",
    "plot_history",
    "plot_learning_curve",
    "plot_scores",
]

INK = "#010203"
"""The colour of text that stands for the page's."""
_COLORS = ("#0969da", "#bf5b04", "#2f8f46", "#8250df", "#cf222e", "#0b8b8b", "#9a6700", "#bf3989")


class _Figures(Protocol):
    """What has a JSON-ready form."""

    def to_dict(self) -> dict[str, Any]: ...


Data = _Figures | Mapping[str, Any]


def _data(value: Data) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else value.to_dict()


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("plots need matplotlib: pip install 'clinidistill[plots]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def plot_scores(systems: Mapping[str, Scores] | Scores) -> Any:
    """Strict and lenient F1, with intervals where there are some.

    Args:
        systems: scores by the system's name, whose micro averages are drawn; or one system's, drawn by label.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ConfigError: if matplotlib is absent.
    """
    if isinstance(systems, Scores):
        strict, lenient = systems.strict, systems.lenient
        rows = [(label, strict.per_label[label], lenient.per_label[label]) for label in strict.per_label]
        rows.append(("micro", strict.micro, lenient.micro))
    else:
        rows = [(name, scores.strict.micro, scores.lenient.micro) for name, scores in systems.items()]
    figure = _figure(7.5, 0.9 + 0.42 * len(rows))
    axes = figure.add_subplot()
    for row, (_, *both) in enumerate(rows):
        for shift, scheme, color, found in zip((-0.13, 0.13), ("strict", "lenient"), _COLORS, both, strict=False):
            label = scheme if not row else None
            axes.plot([found.f1], [row + shift], marker="o", color=color, linestyle="none", label=label)
            if found.f1_interval is not None:
                axes.plot(found.f1_interval, [row + shift] * 2, color=color)
    axes.set(xlim=(0, 1), xlabel="F1 with 95% interval", yticks=range(len(rows)))
    axes.set_yticklabels([name for name, *_ in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best")
    return figure


def plot_agreement(agreement: Data) -> Any:
    """F1 between teachers: strict above the diagonal, lenient below.

    Args:
        agreement: of :func:`clinidistill.agreement`.
    """
    import numpy as np

    agreement = _data(agreement)
    teachers = agreement["teachers"]
    table = np.full((len(teachers), len(teachers)), np.nan)
    for pair in agreement["pairs"]:
        one, other = sorted(teachers.index(name) for name in pair["teachers"])
        for place, value in (((one, other), pair["strict"]), ((other, one), pair["lenient"])):
            table[place] = np.nan if value is None else value
    size = 2.2 + 0.62 * len(teachers)
    figure = _figure(size + 1, size)
    axes = figure.add_subplot()
    axes.pcolormesh(np.ma.masked_invalid(table), vmin=0, vmax=1, cmap="Blues")  # in vectors, unlike imshow
    axes.invert_yaxis()
    for row, column in np.argwhere(~np.isnan(table)):
        value = table[row, column]
        color = "#ffffff" if value > 0.55 else "#0b2239"
        axes.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", color=color, fontsize=8)
    places = np.arange(len(teachers)) + 0.5
    axes.set(xticks=places, yticks=places, aspect="equal")
    axes.set_xticklabels(teachers, rotation=40, ha="right")
    axes.set_yticklabels(teachers)
    return figure


def plot_history(histories: Mapping[str, Data] | _Figures) -> Any:
    """Loss by step, and dev F1 by epoch where it was measured.

    Args:
        histories: a training's :class:`~clinidistill.History`, or several by name.
    """
    named = histories if isinstance(histories, Mapping) else {"": histories}
    figure = _figure(8.5, 3)
    records = {name: _data(record) for name, record in named.items()}
    with_dev = any("dev_f1" in epoch for record in records.values() for epoch in record["epochs"])
    drawn = figure.subplots(1, 1 + with_dev, squeeze=False)[0]
    loss = drawn[0]
    for color, (name, record) in zip(_COLORS, records.items(), strict=False):
        steps = [step["step"] for step in record["steps"]]
        loss.plot(steps, [step["loss"] for step in record["steps"]], color=color, linewidth=1, label=name)
        scored = [epoch for epoch in record["epochs"] if "dev_f1" in epoch]
        if scored:
            places = [epoch["epoch"] for epoch in scored]
            drawn[1].plot(places, [epoch["dev_f1"] for epoch in scored], marker="o", color=color, label=name)
    loss.set(xlabel="step", ylabel="loss per token", yscale="log")
    if with_dev:
        drawn[1].set(xlabel="epoch", ylabel="dev F1 (strict, micro)", ylim=(0, 1))
    for axes in drawn:
        axes.grid(alpha=0.3)
        if len(named) > 1 and axes.lines:
            axes.legend()
    return figure


def plot_learning_curve(curves: Mapping[str, Data] | _Figures, *, usd_per_note: float | None = None) -> Any:
    """F1 by number of documents learnt from, or by what their labels cost; bands are standard deviations.

    Args:
        curves: of :func:`clinidistill.learning_curve`, or several by name.
        usd_per_note: dollars a labelled note; None draws numbers of documents.
    """
    named = curves if isinstance(curves, Mapping) else {"": curves}
    figure = _figure(6, 3.4)
    axes = figure.add_subplot()
    for color, (name, curve) in zip(_COLORS, named.items(), strict=False):
        points = _data(curve)["points"]
        places = [point["documents"] * (usd_per_note or 1) for point in points]
        f1, spread = ([point[key] for point in points] for key in ("f1", "spread"))
        axes.plot(places, f1, marker="o", color=color, label=name)
        low, high = ([value + sign * wide for value, wide in zip(f1, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(places, low, high, color=color, alpha=0.15)
    axes.set(xlabel="documents" if usd_per_note is None else "dollars", ylabel="strict micro F1")
    axes.grid(alpha=0.3)
    if len(named) > 1:
        axes.legend()
    return figure


def plot_costs(economics: Data) -> Any:
    """F1 against dollars and against seconds a note, of systems whose figures are known.

    Args:
        economics: of :func:`clinidistill.economics`.
    """
    systems: Sequence[Mapping[str, Any]] = _data(economics)["systems"]
    figure = _figure(8.5, 3.4)
    drawn = figure.subplots(1, 2, sharey=True)
    for axes, (key, label) in zip(
        drawn, (("usd_per_1k_notes", "dollars per 1,000 notes"), ("seconds_per_note", "seconds a note")), strict=True
    ):
        known = [(n, s) for n, s in enumerate(systems) if s["f1"] is not None and s[key]]
        for number, system in known:
            color = _COLORS[number % len(_COLORS)]
            marker = "s" if system["kind"] == "student" else "o"
            axes.plot([system[key]], [system["f1"]], marker, color=color, label=system["name"])
        if known:
            axes.set_xscale("log")
        axes.set(xlabel=label, ylim=(0, 1))
        axes.margins(x=0.25)
        axes.grid(alpha=0.3)
    drawn[0].set_ylabel("strict micro F1")
    named = {handle.get_label(): handle for axes in drawn for handle in axes.lines}
    if named:
        figure.legend(handles=list(named.values()), loc="outside right upper")
    return figure


def plot_break_even(economics: Data) -> Any | None:
    """Dollars spent by number of notes: each teacher, and the student with what it cost to make.

    Args:
        economics: of :func:`clinidistill.economics`.

    Returns:
        A ``matplotlib.figure.Figure``; None where prices are unknown, or the student is never cheaper.
    """
    import numpy as np

    economics = _data(economics)
    student = next(system for system in economics["systems"] if system["kind"] == "student")
    start, mine = economics["upfront_usd"], student["usd_per_1k_notes"]
    earned = [s["break_even_notes"] for s in economics["systems"] if s["break_even_notes"]]
    if start is None or mine is None or not earned:
        return None
    notes = np.linspace(0, 2.5 * max(earned), 50)
    figure = _figure(7, 3.2)
    axes = figure.add_subplot()
    axes.plot(notes, start + notes * mine / 1000, color=_COLORS[0], linewidth=2, label=student["name"])
    priced = [s for s in economics["systems"] if s["kind"] == "teacher" and s["usd_per_1k_notes"] is not None]
    for color, system in zip(_COLORS[1:] * 9, priced, strict=False):
        axes.plot(notes, notes * system["usd_per_1k_notes"] / 1000, color=color, label=system["name"])
        if system["break_even_notes"]:
            even = system["break_even_notes"]
            axes.plot([even], [start + even * mine / 1000], "o", color=color)
    axes.set(xlabel="notes", ylabel="dollars spent", xlim=(0, notes[-1]), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
