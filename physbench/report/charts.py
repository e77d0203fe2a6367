"""The report's charts: quality by task on each axis, error over time in each family and task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.report.error_curves import Array, GroupCurves
from physbench.report.svg import (
    BAND,
    CONSTANT_VELOCITY,
    FREEZE,
    INCH,
    LINE,
    MODEL,
    PHYSICIST,
    SOFT,
    TRUTH,
    Plot,
    even_ticks,
    hatching,
    inline,
)
from physbench.report.table_view import KIND_WORDS
from physbench.results.lawful_fraction import BINS, GroupShares
from physbench.results.number_format import short

LEAST_ERROR, MOST_ERROR = 0.003, 20.0  # diameters, the scale of errors
WIDE_ENOUGH = 0.12  # of the width, for the word in a hidden time
HIDDEN_FROM = 0.5  # share of the objects that are hidden, from which a time is drawn as hidden
NAMES = {"truth": "truth", "freeze": "freeze", "constant-velocity": "constant velocity", "model": "model"}  # as drawn
LAWFUL_NAMES = {**NAMES, "physicist": "physicist"}
COLOUR = {"truth": TRUTH, "model": MODEL, "freeze": FREEZE, "constant-velocity": CONSTANT_VELOCITY}
COLOUR["physicist"] = PHYSICIST
MOST_STEPS, FEW_STEPS = 9, 5  # of an axis of time, in a large and in a small chart
LINE_WIDTH = {True: 1.8, False: 1.1}  # of a line: that of the model, others


def axis_chart(result: dict[str, Any], axis: str) -> str:
    """Quality of every task on one axis: the model with its interval between freeze and truth."""
    tasks = list(result["tasks"])
    words = [f"Quality by task, {axis}."]
    width, height, margin = 3.3, 0.42 + 0.38 * len(tasks), 0.22
    panel = Plot((0, 0.03 * INCH, (width - 0.02) * INCH, (height - margin - 0.03) * INCH), (-0.02, 1.02),
                  (-0.45, len(tasks) - 0.35))  # fmt: skip
    for y, task in enumerate(reversed(tasks)):
        found = result["tasks"][task][axis]
        opacity = 0.4 if found["kind"] in ("unscored", "absent") else 1.0
        references = found["references"]
        truth, freeze, constant = (references[name] for name in ("truth", "freeze", "constant-velocity"))
        panel.text(0, y + 0.24, short(task))
        if found["kind"] != "informative":
            panel.text(1, y + 0.24, KIND_WORDS[found["kind"]], size=7, anchor="end", italic=True)
        panel.line([0, 1], [y, y], LINE, 0.8)
        if truth is not None and freeze is not None:
            panel.line([freeze, truth], [y, y], BAND, 5, cap="butt")
            panel.mark(truth, y, "|", 9, TRUTH)
            panel.mark(freeze, y, "|", 9, FREEZE)
        if constant is not None:
            panel.mark(constant, y, "D", 4.6, CONSTANT_VELOCITY)
        if found["quality"] is not None:
            if found["interval"]:
                panel.line(found["interval"], [y, y], MODEL, 1.8, opacity=opacity)
            panel.mark(found["quality"], y, "o", 7, MODEL, opacity)
            words.append(f"{short(task)}: model {found['quality']:.2f}, {found['why']}.")
    panel.axis_x([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    return inline(width, height, [panel], f"axis-{axis}", " ".join(words))


class TwoPanels:
    """Two panels over the same time; the upper one is `ratio` times as high."""

    def __init__(self, times: Array, small: bool, ratio: float, above: str, below: str) -> None:
        self.width, self.height, self._steps = (3.0, 1.9, FEW_STEPS) if small else (4.0, 2.7, MOST_STEPS)
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
        if stop - start > WIDE_ENOUGH * both.end:
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
    return np.asarray(shares >= HIDDEN_FROM)


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
    """When the median error exceeds one diameter, in words."""
    median = group.curves[source].median
    with np.errstate(invalid="ignore"):
        over = np.flatnonzero(median > 1)
    return f"median off by a diameter at {group.times[over[0]]:.1f} s" if len(over) else "median within a diameter"


def share_chart(group: GroupShares, *, small: bool = False) -> str:
    """Which share of the due objects the laws explain over time, and breaks per second below."""
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
