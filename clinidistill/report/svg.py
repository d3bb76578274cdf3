"""Figures as SVG that stands in a page and takes its colours, in light and in dark."""

from __future__ import annotations

import io
import re
import zlib
from html import escape
from typing import Any

from clinidistill.plots import INK

__all__ = ["svg"]


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
        axes.tick_params(colors=INK, which="both")
        for part in (axes.xaxis.label, axes.yaxis.label, axes.title):
            part.set_color(INK)
        for spine in axes.spines.values():
            spine.set_color(INK)
        if (legend := axes.get_legend()) is not None:
            legend.set_frame_on(False)
            for text in legend.get_texts():
                text.set_color(INK)
    for legend in figure.legends:
        legend.set_frame_on(False)
        for text in legend.get_texts():
            text.set_color(INK)
    salt = f"{zlib.crc32(says.encode()):x}"
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": says, "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(\bid="|#)(?=[A-Za-z])(?![0-9a-f]{6}\b)', rf"\1s{salt}-", drawn)  # no id twice on a page
    drawn = drawn.replace(INK, "currentColor")
    return drawn.replace("<svg", f'<svg role="img" aria-label="{escape(says)}" class="plot"', 1)
