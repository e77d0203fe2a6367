"""matplotlib figures as inline SVG with the colours of the page, light or dark, and with text as text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Placeholders that matplotlib draws with; the page replaces them by its colours.
COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#040404": "var(--model)",
    "#050505": "var(--freeze)",
    "#060606": "var(--cv)",
    "#070707": "var(--truth)",
    "#080808": "var(--band)",
    "#090909": "var(--physicist)",
}
INK, SOFT, LINE, MODEL, FREEZE, CONSTANT_VELOCITY, TRUTH, BAND, PHYSICIST = COLOURS

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "physbench",
    "text.parse_math": False,  # a task may be named with a dollar
    "font.size": 8,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
}


@contextmanager
def drawing(
    width: float, height: float, margins: tuple[float, float, float, float], gap: float = 0.0, **subplots: Any
) -> Iterator[tuple[Any, Any]]:
    """A figure of `width` x `height` inches and its axes in the page's style, without any state of pyplot.

    margins: left, right, top, bottom in inches; gap between rows likewise. (A layout engine would draw it twice.)
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        left, right, top, bottom = margins
        rows = int(subplots.get("nrows", 1))
        inner = (height - top - bottom - (rows - 1) * gap) / rows
        figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, hspace=gap / inner)
        axes = figure.subplots(**subplots)
        yield figure, axes


def inline(figure: Any, name: str, title: str) -> str:
    """The figure as an <svg>; `name` makes its ids unique on the page, `title` is its alternative text."""
    from html import escape

    from matplotlib import rc_context

    with rc_context(STYLE):
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    name = re.sub(r"[^A-Za-z0-9-]", "-", name)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", text)
    text = re.sub(r"font-family: [^;\"]+;?", "", text)
    for stand_in, colour in COLOURS.items():
        text = text.replace(stand_in, colour)
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    assert box is not None
    return (
        f'<svg class="chart" {box.group(0)} xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{rest}'
    )
