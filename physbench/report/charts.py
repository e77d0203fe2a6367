"""The report's charts: quality by task on each axis, error over time in each family and task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from physbench.report.error_curves import Array, GroupCurves
from physbench.report.svg import (
    BAND,
    CONSTANT_VELOCITY,
    FREEZE,
    LINE,
    MODEL,
    PHYSICIST,
    SOFT,
    TRUTH,
    drawing,
    inline,
)
from physbench.report.table_view import KIND_WORDS
from physbench.results.lawful_fraction import BINS, GroupShares
from physbench.results.number_format import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_ERROR, MOST_ERROR = 0.003, 20.0  # diameters, the scale of errors
WIDE_ENOUGH = 0.12  # of the width, for the word in a hidden time
HIDDEN_FROM = 0.5  # share of the objects that are hidden, from which a time is drawn as hidden
NAMES = {"truth": "truth", "freeze": "freeze", "constant-velocity": "constant velocity", "model": "model"}  # as drawn
LAWFUL_NAMES = {**NAMES, "physicist": "physicist"}
COLOUR = {"truth": TRUTH, "model": MODEL, "freeze": FREEZE, "constant-velocity": CONSTANT_VELOCITY}
COLOUR["physicist"] = PHYSICIST


def axis_chart(result: dict[str, Any], axis: str) -> str:
    """Quality of every task on one axis: the model with its interval between freeze and truth."""
    tasks = list(result["tasks"])
    words = [f"Quality by task, {axis}."]
    with drawing(3.3, 0.42 + 0.38 * len(tasks), (0.0, 0.03, 0.02, 0.22)) as (figure, ax):
        for y, task in enumerate(reversed(tasks)):
            found = result["tasks"][task][axis]
            dim = found["kind"] in ("unscored", "absent")
            references = found["references"]
            truth, freeze = references["truth"], references["freeze"]
            ax.text(0, y + 0.24, short(task), fontsize=8, color=SOFT, va="baseline")
            if found["kind"] != "informative":
                ax.text(
                    1,
                    y + 0.24,
                    KIND_WORDS[found["kind"]],
                    fontsize=7,
                    color=SOFT,
                    ha="right",
                    va="baseline",
                    style="italic",
                )
            ax.plot([0, 1], [y, y], color=LINE, lw=0.8, zorder=0)
            if truth is not None and freeze is not None:
                ax.plot([freeze, truth], [y, y], color=BAND, lw=5, solid_capstyle="butt", zorder=1)
                ax.plot(truth, y, marker="|", ms=9, mew=1.6, color=TRUTH, ls="", zorder=3)
                ax.plot(freeze, y, marker="|", ms=9, mew=1.6, color=FREEZE, ls="", zorder=3)
            if references["constant-velocity"] is not None:
                ax.plot(
                    references["constant-velocity"], y, marker="D", ms=3.6, color=CONSTANT_VELOCITY, ls="", zorder=4
                )
            if found["quality"] is not None:
                if found["interval"]:
                    ax.plot(found["interval"], [y, y], color=MODEL, lw=1.8, zorder=5, alpha=0.4 if dim else 1)
                ax.plot(found["quality"], y, marker="o", ms=6, color=MODEL, ls="", zorder=6, alpha=0.4 if dim else 1)
                words.append(f"{short(task)}: model {found['quality']:.2f}, {found['why']}.")
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(-0.45, len(tasks) - 0.35)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        return inline(figure, f"axis-{axis}", " ".join(words))


@contextmanager
def _two_panels(
    times: Array, small: bool, ratio: float, above: str, below: str
) -> Iterator[tuple[Figure, Axes, Axes, float]]:
    """A figure with two panels over the same time; the upper one is `ratio` times as high. The last is its end, s."""
    width, height = (3.0, 1.9) if small else (4.0, 2.7)
    margins, end = (0.36, 0.08, 0.16, 0.36), float(times[-1]) if len(times) else 1.0
    with drawing(width, height, margins, 0.24, nrows=2, sharex=True, height_ratios=(ratio, 1)) as (figure, panels):
        for panel, title in zip(panels, (above, below), strict=True):
            # At a given height, as to find one that hides no tick would take a third of the time of a chart.
            panel.set_title(title, loc="left", y=1.0, fontsize=8, color=SOFT, pad=3)
        panels[1].set_xlim(0, end)
        panels[1].set_xlabel("seconds from the hand-over")
        yield figure, *panels, end


def error_chart(group: GroupCurves, *, small: bool = False) -> str:
    """Median error of the objects of a family or task over time, and the share of them that is seen, with bands."""
    words = [f"Error over time, {short(group.name)}."]
    with _two_panels(group.times, small, 3.4, "error in diameters", "share still there") as (figure, top, below, end):
        if group.predictability is not None:
            for ax in (top, below):
                ax.axvspan(min(group.predictability, end), end, color=BAND, lw=0, alpha=0.55, zorder=0)
                ax.axvline(min(group.predictability, end), color=SOFT, lw=0.8, ls=(0, (1, 2)), zorder=1)
            words.append(f"Predictable for {group.predictability:.1f} s.")
        for start, stop in hidden_spans(group):
            for ax in (top, below):
                ax.axvspan(start, stop, facecolor="none", edgecolor=SOFT, hatch="////", lw=0, alpha=0.35, zorder=0)
            if stop - start > WIDE_ENOUGH * end:
                top.text((start + stop) / 2, MOST_ERROR * 0.6, "hidden", fontsize=7, color=SOFT, ha="center", va="top")
            words.append(f"Hidden from {start:.1f} to {stop:.1f} s.")
        top.axhline(1, color=SOFT, lw=0.8, ls=(0, (4, 3)), zorder=1)
        for source in NAMES:
            curve = group.curves.get(source)
            if curve is None or not np.isfinite(curve.present).any():
                continue
            style: dict[str, Any] = {"color": COLOUR[source], "lw": 1.8 if source == "model" else 1.1, "zorder": 4}
            for ax, band in ((top, curve.median_band), (below, curve.present_band)):
                if band is not None:
                    low, high = (_outside(_shown(end, ax is top), group) for end in band)
                    ax.fill_between(group.times, low, high, color=COLOUR[source], alpha=0.2, lw=0, zorder=2)
            top.plot(group.times, _outside(_shown(curve.median, True), group), **style)
            below.plot(group.times, _outside(curve.present, group), **style)
            words.append(f"{NAMES[source]}: {_described(group, source)}.")
        top.set_yscale("log")
        top.set_ylim(LEAST_ERROR, MOST_ERROR)
        top.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        below.set_ylim(-0.06, 1.06)
        below.set_yticks([0, 1])
        return inline(figure, f"error-{group.name}", " ".join(words))


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
    with _two_panels(group.times, small, 2.2, "share explained", "breaks per second") as (figure, top, below, end):
        edges = np.linspace(0, end, BINS + 1)
        most = 0.0
        for source in LAWFUL_NAMES:
            share = group.shares.get(source)
            if share is None or not np.isfinite(share.explained).any():
                continue
            style: dict[str, Any] = {"color": COLOUR[source], "lw": 1.8 if source == "model" else 1.1, "zorder": 4}
            if share.band is not None:
                top.fill_between(group.times, *share.band, color=COLOUR[source], alpha=0.2, lw=0, zorder=2)
            top.plot(group.times, share.explained, **style)
            below.stairs(share.breaks, edges, baseline=None, **style)
            most = max(most, float(np.nanmax(share.breaks, initial=0.0)))
            words.append(f"{LAWFUL_NAMES[source]}: {100 * float(np.nanmean(share.explained)):.0f} % explained.")
        top.set_ylim(-0.04, 1.04)
        top.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        below.set_ylim(-0.06 * max(most, 0.5), 1.1 * max(most, 0.5))
        return inline(figure, f"lawful-{group.name}", " ".join(words))
