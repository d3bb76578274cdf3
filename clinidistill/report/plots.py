"""The report's plots, as SVG that takes the page's colours, in light and in dark."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from clinidistill.errors import ConfigError
from clinidistill.recipe.results import System

__all__ = ["agreement_plot", "break_even_plot", "f1_plot", "front_plot", "history_plot", "svg"]

_INK = "#010203"  # stands for the colour of text
_COLORS = ("#0969da", "#bf5b04", "#2f8f46", "#8250df", "#cf222e", "#0b8b8b", "#9a6700", "#bf3989")


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("plots need matplotlib: pip install 'clinidistill[plots]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Any, says: str) -> str:
    """A figure as an SVG element that can stand in a page.

    Args:
        figure: of matplotlib.
        says: what it shows, for those who don't see it.
    """
    import matplotlib as mpl

    out = io.StringIO()
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.tick_params(colors=_INK, which="both")
        for part in (axes.xaxis.label, axes.yaxis.label, axes.title):
            part.set_color(_INK)
        for spine in axes.spines.values():
            spine.set_color(_INK)
        if (legend := axes.get_legend()) is not None:
            legend.set_frame_on(False)
            for text in legend.get_texts():
                text.set_color(_INK)
    salt = f"{zlib.crc32(says.encode()):x}"
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": says, "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'\b(id="|#)(?=[A-Za-z])(?![0-9a-f]{6}\b)', rf"\1s{salt}-", drawn)  # no id twice on a page
    drawn = drawn.replace(_INK, "currentColor")
    return drawn.replace("<svg", f'<svg role="img" aria-label="{escape(says)}" class="plot"', 1)


def f1_plot(systems: Sequence[System]) -> Any:
    """Strict and lenient micro F1 with intervals, a system a row."""
    figure = _figure(7.5, 0.9 + 0.42 * len(systems))
    axes = figure.add_subplot()
    for shift, scheme, color in ((-0.13, "strict", _COLORS[0]), (0.13, "lenient", _COLORS[1])):
        for row, system in enumerate(systems):
            micro = getattr(system.scores, scheme).micro
            label = scheme if not row else None
            axes.plot([micro.f1], [row + shift], marker="o", color=color, linestyle="none", label=label)
            if micro.f1_interval is not None:
                axes.plot(micro.f1_interval, [row + shift] * 2, color=color)
    axes.set(xlim=(0, 1), xlabel="micro F1 with 95% interval", yticks=range(len(systems)))
    axes.set_yticklabels([system.name for system in systems])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best")
    return figure


def agreement_plot(agreement: Mapping[str, Any]) -> Any:
    """F1 between teachers: strict above the diagonal, lenient below."""
    import numpy as np

    teachers = agreement["teachers"]
    table = np.full((len(teachers), len(teachers)), np.nan)
    for pair in agreement["pairs"]:
        one, other = sorted(teachers.index(name) for name in pair["teachers"])
        for place, value in (((one, other), pair["strict"]), ((other, one), pair["lenient"])):
            table[place] = np.nan if value is None else value
    size = 2.2 + 0.62 * len(teachers)
    figure = _figure(size + 1, size)
    axes = figure.add_subplot()
    axes.imshow(table, vmin=0, vmax=1, cmap="Blues", alpha=0.85)
    for row, column in np.argwhere(~np.isnan(table)):
        value = table[row, column]
        color = "#ffffff" if value > 0.55 else "#0b2239"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=8)
    axes.set(xticks=range(len(teachers)), yticks=range(len(teachers)))
    axes.set_xticklabels(teachers, rotation=40, ha="right")
    axes.set_yticklabels(teachers)
    return figure


def history_plot(histories: Mapping[str, Mapping[str, Any]]) -> Any:
    """Loss by step, and dev F1 by epoch where it was measured, of each training."""
    figure = _figure(8.5, 3)
    loss, f1 = figure.subplots(1, 2)
    for color, (name, history) in zip(_COLORS, histories.items(), strict=False):
        steps = [step["step"] for step in history["steps"]]
        loss.plot(steps, [step["loss"] for step in history["steps"]], color=color, linewidth=1, label=name)
        scored = [epoch for epoch in history["epochs"] if "dev_f1" in epoch]
        if scored:
            f1.plot([e["epoch"] for e in scored], [e["dev_f1"] for e in scored], marker="o", color=color, label=name)
    loss.set(xlabel="step", ylabel="loss per token", yscale="log")
    f1.set(xlabel="epoch", ylabel="dev F1 (strict, micro)", ylim=(0, 1))
    for axes in (loss, f1):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    return figure


def front_plot(systems: Sequence[Mapping[str, Any]]) -> Any:
    """F1 against dollars and against seconds a note, of systems whose figures are known."""
    figure = _figure(8.5, 3.4)
    drawn = figure.subplots(1, 2, sharey=True)
    for axes, (key, label) in zip(
        drawn, (("usd_per_1k_notes", "dollars per 1,000 notes"), ("seconds_per_note", "seconds a note")), strict=True
    ):
        known = [s for s in systems if s["f1"] is not None and s[key]]
        for number, system in enumerate(known):
            color = _COLORS[number % len(_COLORS)]
            marker = "s" if system["kind"] == "student" else "o"
            axes.plot([system[key]], [system["f1"]], marker, color=color)
            axes.annotate(
                system["name"], (system[key], system["f1"]), (5, 4), textcoords="offset points", fontsize=8, color=_INK
            )
        if known:
            axes.set_xscale("log")
        axes.set(xlabel=label, ylim=(0, 1))
        axes.margins(x=0.25)
        axes.grid(alpha=0.3)
    drawn[0].set_ylabel("strict micro F1")
    return figure


def break_even_plot(economics: Mapping[str, Any]) -> Any | None:
    """Dollars spent by number of notes: each teacher, and the student with what it cost to make; None if unknown."""
    import numpy as np

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
