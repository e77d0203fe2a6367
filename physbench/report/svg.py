"""Charts as inline SVG with the colours of the page, light or dark, and with text as text. Lengths are points."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

INK, SOFT, LINE, MODEL, FREEZE, CONSTANT_VELOCITY, TRUTH, BAND, PHYSICIST = (
    f"var(--{name})" for name in ("ink", "soft", "line", "model", "freeze", "cv", "truth", "band", "physicist")
)

INCH = 72.0
FONT = 8.0  # size of text, if nothing else is said
TICK, THIN = 3.0, 0.8  # length of a tick; width of axes and ticks
CENTRE = 0.38  # of the size of a text: its baseline below its middle
LABELS_BELOW, NAME_BELOW = 12.6, 24.6  # of the axis of x: baselines of its labels and of what it shows, below it
ROUND_STEPS = (1, 2, 2.5, 5, 10)
HATCH = 3.0  # distance of its lines across


class Plot:
    """A pair of axes with what is drawn over them, in the order of the calls. NaN leaves a gap.

    Args:
        place: Left, top, width and height.
        x: What lies at its left and right edge.
        y: What lies at its lower and upper edge.
        log: Axes with a logarithmic scale: "", "x" or "y".
    """

    def __init__(
        self,
        place: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
        log: str = "",
    ) -> None:
        self.left, self.top, self.width, self.height = place
        self._ends, self._log = {"x": x, "y": y}, log
        self.shapes: list[str] = []  # within the axes
        self.around: list[str] = []  # ticks and texts, which may lie outside

    def _share(self, axis: str, values: ArrayLike) -> np.ndarray:
        """Where values lie between the ends of an axis."""
        low, high = self._ends[axis]
        found = np.asarray(values, dtype=np.float64)
        if axis in self._log:
            found, low, high = np.log10(found), math.log10(low), math.log10(high)
        return (found - low) / (high - low)

    def at(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Points (N, 2) of the picture."""
        across = self.left + self.width * self._share("x", x)
        return np.stack(np.broadcast_arrays(across, self.top + self.height * (1 - self._share("y", y))), axis=-1)

    def line(
        self, x: ArrayLike, y: ArrayLike, colour: str, width: float, *, dash: str = "", cap: str = "round",
        opacity: float = 1.0,
    ) -> None:  # fmt: skip
        """Lines from point to point."""
        parts = _unbroken(self.at(x, y))
        look = f'fill="none" stroke="{colour}" stroke-width="{width:g}"'
        look += f' stroke-dasharray="{dash}"' if dash else f' stroke-linecap="{cap}"'
        if parts:
            self.shapes.append(f'<path d="{" ".join(map(_path, parts))}" {look}{_opacity(opacity)}/>')

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str, opacity: float) -> None:
        """What lies between two curves."""
        both = np.concatenate([self.at(x, low), self.at(x, high)], axis=-1)
        parts = [_path(np.concatenate([part[:, :2], part[::-1, 2:]])) + "Z" for part in _unbroken(both)]
        if parts:
            self.shapes.append(f'<path d="{" ".join(parts)}" fill="{colour}" fill-opacity="{opacity:g}"/>')

    def span(self, start: float, stop: float, fill: str, opacity: float) -> None:
        """A range of x over the whole height."""
        (left, right), edge = self.at([start, stop], self._ends["y"][0])[:, 0], f'y="{_number(self.top)}"'
        size = f'width="{_number(right - left)}" height="{_number(self.height)}"'
        self.shapes.append(f'<rect x="{_number(left)}" {edge} {size} fill="{fill}"{_opacity(opacity)}/>')

    def mark(self, x: float, y: float, kind: str, size: float, colour: str, opacity: float = 1.0) -> None:
        """A circle "o", a diamond "D", or an upright line "|". size: its width or length."""
        (across, down), half = self.at(x, y), size / 2
        if kind == "o":
            place = f'cx="{_number(across)}" cy="{_number(down)}"'
            self.shapes.append(f'<circle {place} r="{half:g}" fill="{colour}"{_opacity(opacity)}/>')
        elif kind == "D":
            half *= math.sqrt(2)
            corners = np.array([(across, down - half), (across + half, down), (across, down + half)])
            left = np.array([(across - half, down)])
            self.shapes.append(f'<path d="{_path(np.concatenate([corners, left]))}Z" fill="{colour}"/>')
        else:
            ends = np.array([(across, down - half), (across, down + half)])
            self.shapes.append(f'<path d="{_path(ends)}" stroke="{colour}" stroke-width="1.6"/>')

    def text(
        self, x: float, y: float, words: str, *, size: float = FONT, anchor: str = "start", down: float = 0.0,
        italic: bool = False,
    ) -> None:  # fmt: skip
        """Words whose baseline lies `down` below a point."""
        across, height = self.at(x, y)
        self._write(across, height + down, words, anchor, size, italic)

    def heading(self, words: str) -> None:
        """Words above the upper left corner."""
        self._write(self.left, self.top - TICK, words, "start")

    def _write(
        self, across: float, down: float, words: str, anchor: str = "middle", size: float = FONT, italic: bool = False
    ) -> None:
        look = f'font-size="{size:g}"' + (' font-style="italic"' if italic else "")
        look += "" if anchor == "start" else f' text-anchor="{anchor}"'
        place = f'x="{_number(across)}" y="{_number(down)}"'
        self.around.append(f'<text {place} fill="{SOFT}" {look}>{escape(words)}</text>')

    def axis_x(self, ticks: Sequence[float], labels: Sequence[str] = (), shows: str = "") -> None:
        """The axis of x with ticks, their labels, and what it shows."""
        bottom, low = self.top + self.height, self._ends["y"][0]
        across = [self.at(tick, low)[0] for tick in ticks]
        ends = f"M{_number(self.left)} {_number(bottom)}h{_number(self.width)}"
        self._axis(ends, (f"M{_number(x)} {_number(bottom)}v{TICK:g}" for x in across))
        for x, label in zip(across, labels, strict=False):
            self._write(x, bottom + LABELS_BELOW, label)
        if shows:
            self._write(self.left + self.width / 2, bottom + NAME_BELOW, shows)

    def axis_y(self, ticks: Sequence[float], labels: Sequence[str]) -> None:
        """The axis of y with ticks and their labels."""
        down = [self.at(self._ends["x"][0], tick)[1] for tick in ticks]
        ends = f"M{_number(self.left)} {_number(self.top)}v{_number(self.height)}"
        self._axis(ends, (f"M{_number(self.left)} {_number(y)}h-{TICK:g}" for y in down))
        for y, label in zip(down, labels, strict=True):
            self._write(self.left - 2 * TICK, y + CENTRE * FONT, label, "end")

    def _axis(self, line: str, ticks: Iterable[str]) -> None:
        drawn = "".join((line, *ticks))
        self.around.append(f'<path d="{drawn}" fill="none" stroke="{LINE}" stroke-width="{THIN:g}"/>')


def inline(width: float, height: float, panels: Sequence[Plot], name: str, title: str, hatched: bool = False) -> str:
    """Panels as an <svg> of so many inches.

    Args:
        width: Of the picture.
        height: Of the picture.
        panels: What it holds.
        name: Makes its ids unique on the page.
        title: Its alternative text.
        hatched: Whether a span of it is filled with `hatching(name)`.
    """
    name, parts = _as_id(name), []
    if hatched:
        tile = f'width="{HATCH:g}" height="{HATCH:g}" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"'
        stroke = f'<path d="M0 0V{HATCH:g}" stroke="{SOFT}" stroke-width="1.4"/>'
        parts.append(f'<defs><pattern id="{name}-hatch" {tile}>{stroke}</pattern></defs>')
    for number, panel in enumerate(panels):
        box = f'x="{_number(panel.left)}" y="{_number(panel.top)}"'
        box += f' width="{_number(panel.width)}" height="{_number(panel.height)}"'
        clip = f"{name}-{number}"
        parts.append(f'<clipPath id="{clip}"><rect {box}/></clipPath>')
        parts += [f'<g clip-path="url(#{clip})">', *panel.shapes, "</g>", *panel.around]
    head = f'<svg class="chart" viewBox="0 0 {_number(INCH * width)} {_number(INCH * height)}" role="img"'
    said = escape(title)
    return f'{head} aria-label="{said}"><title>{said}</title>\n' + "\n".join(parts) + "\n</svg>"


def hatching(name: str) -> str:
    """A fill of slanting lines; `inline` of the same name draws them."""
    return f"url(#{_as_id(name)}-hatch)"


def even_ticks(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """Round numbers between two at even distances, in at most so many steps, and their labels."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = power * next(step for step in ROUND_STEPS if step * power >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [number * step for number in range(first, last + 1)]
    digits = next(n for n in range(20) if all(abs(round(tick, n) - tick) < step / 1000 for tick in ticks))
    return ticks, [f"{tick:.{digits}f}" for tick in ticks]


def _as_id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", name)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _opacity(opacity: float) -> str:
    return f' opacity="{opacity:g}"' if opacity < 1 else ""


def _path(points: np.ndarray) -> str:
    return "M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in points.tolist())


def _unbroken(points: np.ndarray) -> list[np.ndarray]:
    """The parts of a row of points (N, X) in which none is unknown."""
    known = np.concatenate([[0], np.isfinite(points).all(axis=-1), [0]]).astype(int)
    edges = np.flatnonzero(np.diff(known)).reshape(-1, 2)
    return [points[start:stop] for start, stop in edges]
