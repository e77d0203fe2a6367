"""The report's charts: quality by task, error over time, skill of families; inline SVG."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physbench.result.bootstrap import BAND_RESAMPLES, FEWEST
from physbench.result.document import ResultDocument
from physbench.result.formats import AXIS_NAMES, short
from physbench.result.readings import BINS, MOST_TIMES, GroupShares
from physbench.support.arrays import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Charts as inline SVG with the colours of the page, light or dark, and with text as text. Lengths are points.

SOFT, LINE, MODEL, FREEZE, CONSTANT_VELOCITY, TRUTH, BAND, PHYSICIST = (
    f"var(--{name})" for name in ("soft", "line", "model", "freeze", "cv", "truth", "band", "physicist")
)

INCH = 72.0
FONT = 8.0  # size of text, if nothing else is said
TICK = 3.0  # length of a tick
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
        """Places of values between the ends of an axis, 0 to 1."""
        low, high = self._ends[axis]
        shares = np.asarray(values, dtype=np.float64)
        if axis in self._log:
            shares, low, high = np.log10(shares), math.log10(low), math.log10(high)
        return (shares - low) / (high - low)

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
        """Area between two curves."""
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
            self._write(x, bottom + 12.6, label)  # baseline of its labels, below the axis of x
        if shows:
            self._write(self.left + self.width / 2, bottom + 24.6, shows)  # below the labels

    def axis_y(self, ticks: Sequence[float], labels: Sequence[str]) -> None:
        """The axis of y with ticks and their labels."""
        down = [self.at(self._ends["x"][0], tick)[1] for tick in ticks]
        ends = f"M{_number(self.left)} {_number(self.top)}v{_number(self.height)}"
        self._axis(ends, (f"M{_number(self.left)} {_number(y)}h-{TICK:g}" for y in down))
        for y, label in zip(down, labels, strict=True):
            # The baseline of a text is 0.38 of its size below its middle
            self._write(self.left - 2 * TICK, y + 0.38 * FONT, label, "end")

    def _axis(self, line: str, ticks: Iterable[str]) -> None:
        drawn = "".join((line, *ticks))
        self.around.append(f'<path d="{drawn}" fill="none" stroke="{LINE}" stroke-width="0.8"/>')


def inline(width: float, height: float, panels: Sequence[Plot], name: str, title: str, hatched: bool = False) -> str:
    """Panels as an <svg> of so many inches.

    Args:
        width: Of the picture.
        height: Of the picture.
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
    label = escape(title)
    return f'{head} aria-label="{label}"><title>{label}</title>\n' + "\n".join(parts) + "\n</svg>"


def hatching(name: str) -> str:
    """A fill of slanting lines; `inline` of the same name draws them."""
    return f"url(#{_as_id(name)}-hatch)"


def even_ticks(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """Round numbers between two at even distances, in at most so many steps, and their labels."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = power * next(step for step in (1, 2, 2.5, 5, 10) if step * power >= least * (1 - 1e-9))
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


# Error over time: how far off and how complete a prediction is at each moment, pooled over the objects of some clips.
#
# The band of a curve is its 95 % interval over clips, by resampling them; fewer than 8 clips have none.

Band = tuple[Array, Array]  # low, high (G,)


@dataclass(frozen=True, eq=False)
class Curve:
    """One source over some clips, at G times after the hand-over."""

    median: Array  # (G,) diameters; inf where half of the due objects are absent, NaN where none is due
    present: Array  # (G,) share of due objects that are seen
    median_band: Band | None  # 95 % over clips
    present_band: Band | None


@dataclass(frozen=True, eq=False)
class GroupCurves:
    """Error over time of the model and its references in one family or task."""

    name: str
    times: Array  # (G,) s from the hand-over
    curves: Mapping[str, Curve]  # by source: model, truth, freeze, constant-velocity
    predictability: float | None  # s, median T_p of the clips
    hidden: Array | None = None  # (G,) share of the objects that are hidden or out of view


@dataclass
class CurvePool:
    """Collects clips one by one, so that a core run needs no memory for its clips."""

    name: str
    times: Array = field(default_factory=lambda: np.zeros(0))
    errors: dict[str, list[Array]] = field(default_factory=dict)
    predictability: list[float] = field(default_factory=list)
    hidden: list[Array] = field(default_factory=list)  # (G_i,) of each clip

    def add(self, times: Array, errors: Mapping[str, Array], predictability: float | None) -> None:
        """Add one clip: times (G,) s, and by source errors (G, K) in diameters (`motion.error_curve`)."""
        if len(times) > len(self.times):
            self.times = times
        seen = errors.get("truth", next(iter(errors.values()), None))
        if seen is not None and seen.shape[1]:
            self.hidden.append(np.isnan(seen).mean(axis=1))
        for source, error in errors.items():
            self.errors.setdefault(source, []).append(error)
        if predictability is not None:
            self.predictability.append(predictability)

    def result(self, banded: Sequence[str] = ("model",)) -> GroupCurves:
        """Pool everything that was added at MOST_TIMES times at most, with bands for the sources in `banded`."""
        length = len(self.times)
        chosen = np.unique(np.round(np.linspace(0, length - 1, min(length, MOST_TIMES))).astype(int))
        curves = {
            source: pool(errors, length, chosen, bands=source in banded) for source, errors in self.errors.items()
        }
        limit = float(np.median(self.predictability)) if self.predictability else None
        return GroupCurves(self.name, self.times[chosen], curves, limit, self._hidden(length, chosen))

    def _hidden(self, length: int, chosen: NDArray[np.intp]) -> Array | None:
        """Share of the objects that no camera would show, mean over the clips that last as long; None for no clip."""
        if not self.hidden:
            return None
        padded = np.stack([np.pad(one, (0, length - len(one)), constant_values=np.nan) for one in self.hidden])
        return np.asarray(np.nanmean(padded[:, chosen], axis=0), dtype=np.float64)


def pool(errors: Sequence[Array], length: int, chosen: NDArray[np.intp] | None = None, *, bands: bool = True) -> Curve:
    """Pool the objects of n clips, errors (G_i, K_i) with NaN (not due) and inf (absent), onto those of `length` times
    that are `chosen` (all by default)."""
    columns = [np.pad(e, ((0, length - len(e)), (0, 0)), constant_values=np.nan) for e in errors]
    clips = np.concatenate([np.full(e.shape[1], i) for i, e in enumerate(errors)]).astype(int)  # (N,) of each column
    table = np.concatenate(columns, axis=1)  # (G, N)
    if chosen is not None:
        table = table[chosen]
    once = np.ones((1, len(errors)))
    median, present = (value[:, 0] for value in _weighted(table, clips, once))
    if not bands or len(errors) < FEWEST:
        return Curve(median, present, None, None)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(errors), np.full(len(errors), 1 / len(errors)), size=BAND_RESAMPLES).astype(np.float64)
    medians, shares = _weighted(table, clips, drawn)
    return Curve(median, present, _band(medians), _band(shares))


def _weighted(table: Array, clips: NDArray[np.intp], weights: Array) -> tuple[Array, Array]:
    """Lower weighted median, and share that is present, of each row of a table (G, N) under clip weights (R, n).

    Both are (G, R), NaN where nothing is due; what is absent counts as the largest value.
    """
    medians, shares = (np.full((len(table), len(weights)), np.nan) for _ in range(2))
    every = weights[:, clips]  # (R, N)
    for g, row in enumerate(table):
        valid = np.flatnonzero(~np.isnan(row))
        if not len(valid):
            continue
        order = valid[np.argsort(row[valid], kind="stable")]
        values = row[order]
        reached = np.cumsum(every[:, order], axis=1)  # (R, due)
        total = reached[:, -1]
        middle = np.argmax(reached >= 0.5 * total[:, None] - 1e-9, axis=1)
        medians[g] = np.where(total > 0, values[middle], np.nan)
        seen = every[:, order] @ np.isfinite(values).astype(np.float64)
        shares[g] = np.where(total > 0, seen / np.maximum(total, 1), np.nan)
    return medians, shares


def _band(draws: Array) -> Band:
    """95 % interval of draws (G, R) that may be infinite, without those that are NaN."""
    ordered = np.sort(draws, axis=1)  # NaN goes to the end
    count = (~np.isnan(draws)).sum(axis=1)
    rows = np.arange(len(draws))

    def quantile(share: float) -> Array:
        return np.where(count > 0, ordered[rows, np.floor(share * np.maximum(count - 1, 0)).astype(int)], np.nan)

    return quantile(0.025), quantile(0.975)


def first_off(times: Array, error: Array) -> float | None:
    """Time in s at which an object with errors (G,) is first off by more than a diameter; None where never."""
    off = np.isfinite(error) & (error > 1)
    return float(times[int(np.argmax(off))]) if off.any() else None


LEAST_ERROR, MOST_ERROR = 0.003, 20.0  # diameters, the scale of errors
NAMES = {"truth": "truth", "freeze": "freeze", "constant-velocity": "constant velocity", "model": "model"}  # as drawn
LAWFUL_NAMES = {**NAMES, "physicist": "physicist"}
COLOUR = {"truth": TRUTH, "model": MODEL, "freeze": FREEZE, "constant-velocity": CONSTANT_VELOCITY}
COLOUR["physicist"] = PHYSICIST
LINE_WIDTH = {True: 1.8, False: 1.1}  # of a line: that of the model, others


def axis_chart(result: ResultDocument, axis: str) -> str:
    """Quality of every task on one axis: the model with its interval between freeze and truth."""
    tasks = list(result.tasks)
    words = [f"Quality by task, {axis}."]
    width, height, margin = 3.3, 0.42 + 0.38 * len(tasks), 0.22
    panel = Plot((0, 0.03 * INCH, (width - 0.02) * INCH, (height - margin - 0.03) * INCH), (-0.02, 1.02),
                  (-0.45, len(tasks) - 0.35))  # fmt: skip
    for y, task in enumerate(reversed(tasks)):
        skill = result.tasks[task][axis]
        opacity = 0.4 if skill.kind in ("unscored", "absent") else 1.0
        references = skill.references
        truth, freeze, constant = (references[name] for name in ("truth", "freeze", "constant-velocity"))
        panel.text(0, y + 0.24, short(task))
        if skill.kind != "informative":
            panel.text(1, y + 0.24, skill.kind, size=7, anchor="end", italic=True)
        panel.line([0, 1], [y, y], LINE, 0.8)
        if truth is not None and freeze is not None:
            panel.line([freeze, truth], [y, y], BAND, 5, cap="butt")
            panel.mark(truth, y, "|", 9, TRUTH)
            panel.mark(freeze, y, "|", 9, FREEZE)
        if constant is not None:
            panel.mark(constant, y, "D", 4.6, CONSTANT_VELOCITY)
        if skill.quality is not None:
            if skill.interval:
                panel.line(skill.interval, [y, y], MODEL, 1.8, opacity=opacity)
            panel.mark(skill.quality, y, "o", 7, MODEL, opacity)
            words.append(f"{short(task)}: model {skill.quality:.2f}, {skill.why}.")
    panel.axis_x([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    return inline(width, height, [panel], f"axis-{axis}", " ".join(words))


class TwoPanels:
    """Two panels over the same time; the upper one is `ratio` times as high."""

    def __init__(self, times: Array, small: bool, ratio: float, above: str, below: str) -> None:
        # The last: steps of its axis of time, at most
        self.width, self.height, self._steps = (3.0, 1.9, 5) if small else (4.0, 2.7, 9)
        self.end = float(times[-1]) if len(times) else 1.0  # s
        left, right, top, bottom, gap = (INCH * share for share in (0.36, 0.08, 0.16, 0.36, 0.24))
        self._across = (left, INCH * self.width - left - right)
        share = (INCH * self.height - top - bottom - gap) / (ratio + 1)
        self._down = {"top": (top, ratio * share), "below": (top + ratio * share + gap, share)}
        self._titles = {"top": above, "below": below}

    def panel(self, which: str, ends: tuple[float, float], log: str = "") -> Plot:
        """The upper one, "top", or the one below, "below", between these ends of its axis, with its title."""
        (left, width), (top, height) = self._across, self._down[which]
        panel = Plot((left, top, width, height), (0, self.end), ends, log)
        panel.heading(self._titles[which])
        return panel

    def inline(self, top: Plot, below: Plot, name: str, title: str, hatched: bool = False) -> str:
        """Both with their axis of time."""
        ticks, labels = even_ticks(0, self.end, self._steps)
        top.axis_x(ticks)
        below.axis_x(ticks, labels, "seconds from the hand-over")
        return inline(self.width, self.height, [top, below], name, title, hatched)


def error_chart(group: GroupCurves, *, small: bool = False) -> str:
    """Median error of the objects of a family or task over time, and the share of them that is seen, with bands."""
    words, name = [f"Error over time, {short(group.name)}."], f"error-{group.name}"
    both = TwoPanels(group.times, small, 3.4, "error in diameters", "share still there")
    top, below = both.panel("top", (LEAST_ERROR, MOST_ERROR), "y"), both.panel("below", (-0.06, 1.06))
    hidden = hidden_spans(group)
    for panel, ends in ((top, (LEAST_ERROR, MOST_ERROR)), (below, (-0.06, 1.06))):
        if group.predictability is not None:
            limit = min(group.predictability, both.end)
            panel.span(limit, both.end, BAND, 0.55)
            panel.line([limit, limit], ends, SOFT, 0.8, dash="0.8,1.6")
        for start, stop in hidden:
            panel.span(max(start, 0), min(stop, both.end), hatching(name), 0.2)
    if group.predictability is not None:
        words.append(f"Predictable for {group.predictability:.1f} s.")
    for start, stop in hidden:
        if stop - start > 0.12 * both.end:  # of the width, for the word in a hidden time
            top.text((start + stop) / 2, MOST_ERROR * 0.6, "hidden", size=7, anchor="middle", down=5.4)
        words.append(f"Hidden from {start:.1f} to {stop:.1f} s.")
    top.line([0, both.end], [1, 1], SOFT, 0.8, dash="3.2,2.4")
    known = [source for source in NAMES if source in group.curves and np.isfinite(group.curves[source].present).any()]
    for source in known:
        curve = group.curves[source]
        for panel, band in ((top, curve.median_band), (below, curve.present_band)):
            if band is not None:
                low, high = (_outside(_shown(end, panel is top), group) for end in band)
                panel.band(group.times, low, high, COLOUR[source], 0.2)
    for source in known:
        curve, width = group.curves[source], LINE_WIDTH[source == "model"]
        top.line(group.times, _outside(_shown(curve.median, True), group), COLOUR[source], width)
        below.line(group.times, _outside(curve.present, group), COLOUR[source], width)
        words.append(f"{NAMES[source]}: {_described(group, source)}.")
    top.axis_y([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    below.axis_y([0, 1], ["0", "1"])
    return both.inline(top, below, name, " ".join(words), bool(hidden))


def hidden_spans(group: GroupCurves) -> list[tuple[float, float]]:
    """Times in s during which at least half of the objects are hidden or out of view."""
    if group.hidden is None or len(group.times) < 2:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], _mostly_hidden(group), [0]]).astype(int)))
    dt = float(group.times[1] - group.times[0])
    return [(float(group.times[a]) - dt / 2, float(group.times[b - 1]) + dt / 2) for a, b in edges.reshape(-1, 2)]


def _mostly_hidden(group: GroupCurves) -> NDArray[np.bool_]:
    shares = np.zeros(len(group.times)) if group.hidden is None else group.hidden
    return np.asarray(shares >= 0.5)  # share of the objects that are hidden, from which a time is drawn as hidden


def _outside(values: Array, group: GroupCurves) -> Array:
    """Values with a gap for the hidden time, in which the few objects that are left make a median jump."""
    return np.where(_mostly_hidden(group), np.nan, values)


def _shown(values: Array, error: bool) -> Array:
    """Shares as they are; errors clipped to the scale: an absent object leaves the chart at its upper edge."""
    if not error:
        return values
    return np.asarray(
        np.clip(np.nan_to_num(values, nan=np.nan, posinf=MOST_ERROR * 2), LEAST_ERROR, MOST_ERROR * 2), dtype=np.float64
    )


def _described(group: GroupCurves, source: str) -> str:
    """Time at which the median error exceeds one diameter, in words."""
    median = group.curves[source].median
    with np.errstate(invalid="ignore"):
        over = np.flatnonzero(median > 1)
    return f"median off by a diameter at {group.times[over[0]]:.1f} s" if len(over) else "median within a diameter"


def share_chart(group: GroupShares, *, small: bool = False) -> str:
    """Share of the expected objects that the laws explain over time, and breaks per second below."""
    words = [f"Lawfulness over time, {short(group.name)}."]
    shares = {source: group.shares[source] for source in LAWFUL_NAMES if source in group.shares}
    shares = {source: share for source, share in shares.items() if np.isfinite(share.explained).any()}
    most = max([0.5, *(float(np.nanmax(share.breaks, initial=0.0)) for share in shares.values())])
    both = TwoPanels(group.times, small, 2.2, "share explained", "breaks per second")
    top, below = both.panel("top", (-0.04, 1.04)), both.panel("below", (-0.06 * most, 1.1 * most))
    edges = np.repeat(np.linspace(0, both.end, BINS + 1), 2)[1:-1]
    for source, share in shares.items():
        if share.band is not None:
            top.band(group.times, *share.band, COLOUR[source], 0.2)
    for source, share in shares.items():
        top.line(group.times, share.explained, COLOUR[source], LINE_WIDTH[source == "model"])
        below.line(edges, np.repeat(share.breaks, 2), COLOUR[source], LINE_WIDTH[source == "model"], cap="butt")
        words.append(f"{LAWFUL_NAMES[source]}: {100 * float(np.nanmean(share.explained)):.0f} % explained.")
    top.axis_y([0, 0.5, 1], ["0", "0.5", "1"])
    below.axis_y(*even_ticks(0, 1.1 * most, 2))
    return both.inline(top, below, f"lawful-{group.name}", " ".join(words))


# Skill of families on each axis, as a figure of matplotlib for notebooks and papers.

BLUE, ORANGE = "#1f57b0", "#a8630a"


def skill_plot(result: ResultDocument) -> Figure:
    """One panel an axis, one row a family and one for all of them: skill with its 95 % interval, and constant velocity.

    A diamond is what a family takes from the axis by what it loses where a frozen frame does nearly as well as ground
    truth (guards): 0 where all is kept. A family that has neither on an axis has an empty row there. Drawn outside of
    pyplot's windows, so that a notebook shows it once.
    """
    import matplotlib.pyplot as plt

    axes, families = list(result.axes), list(result.families)
    rows = ["all families", *families]
    figure, panels = plt.subplots(
        1,
        len(axes),
        sharey=True,
        squeeze=False,
        figsize=(3.0 * len(axes), 0.36 * len(rows) + 1.1),  # inches of a panel, of a row in it
        layout="constrained",
    )
    plt.close(figure)
    has_costs = False
    for panel, axis in zip(panels[0], axes, strict=True):
        whole, parts = result.axes[axis], [result.families[family][axis] for family in families]
        skills = [(whole.skill, whole.interval), *((each.skill, each.skill_interval) for each in parts)]
        losses = [None, *(each.guard for each in parts)]
        for row, ((skill, interval), loss) in enumerate(zip(skills, losses, strict=True)):
            if skill is not None:
                panel.plot(interval or (skill, skill), [row, row], color=BLUE, linewidth=4, alpha=0.35,
                           solid_capstyle="butt")  # fmt: skip
                panel.plot(skill, row, "o", color=BLUE, markersize=6)
            if loss is not None:
                panel.plot(loss, row, "D", color=BLUE, markerfacecolor="white", markersize=5)
                has_costs = True
        for name, reference in result.references.items():
            if (skill := reference.axes[axis].skill) is not None:
                panel.axvline(skill, color=ORANGE, linewidth=1, linestyle="--")
                panel.text(skill, -0.6, name.replace("-", " "), color=ORANGE, fontsize=8, ha="center", va="bottom")
        panel.axvline(0, color="0.6", linewidth=0.8)
        panel.axvline(1, color="0.6", linewidth=0.8)
        lowest = min((value for value in (*losses, *(skill for skill, _ in skills)) if value is not None), default=0.0)
        panel.set_xlim(min(-0.3, lowest - 0.05), 1.05)
        panel.set_title(AXIS_NAMES[axis], fontsize=10, pad=16)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(axis="y", length=0)
    panels[0][0].set_yticks(range(len(rows)), rows)
    panels[0][0].set_ylim(len(rows) - 0.4, -0.6)
    meaning = "skill: 0 is the frozen last frame, 1 is ground truth"
    figure.supxlabel(
        f"{meaning}\n◇ what is lost where a frozen frame does as well" if has_costs else meaning, fontsize=9
    )
    name = result.model.name.replace("$", r"\$")  # which begins a formula
    figure.suptitle(f"{name}, {result.suite_label}", fontsize=11)
    return figure
