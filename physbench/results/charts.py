"""The report's charts: quality by task on each axis, error over time in each family."""

from __future__ import annotations

from typing import Any

import numpy as np

from physbench.results.curves import FamilyCurves
from physbench.results.svg import BAND, CONSTANT_VELOCITY, FREEZE, LINE, MODEL, SOFT, TRUTH, drawing, inline
from physbench.results.words import short

LEAST, MOST = 0.01, 20.0  # diameters, the scale of errors
NAMES = {"model": "model", "freeze": "freeze", "constant-velocity": "constant velocity"}
COLOUR = {"model": MODEL, "freeze": FREEZE, "constant-velocity": CONSTANT_VELOCITY}


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
                ax.text(1, y + 0.24, found["kind"], fontsize=7, color=SOFT, ha="right", va="baseline", style="italic")
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


def error_chart(family: FamilyCurves) -> str:
    """Median error of a family's objects over time, with the middle half, and the share that is still there."""
    words = [f"Error over time, {family.family}."]
    margins = (0.3, 0.08, 0.16, 0.36)
    with drawing(4.0, 2.7, margins, 0.24, nrows=2, sharex=True, height_ratios=(3.4, 1)) as (figure, (top, below)):
        end = float(family.times[-1]) if len(family.times) else 1.0
        if family.predictability is not None:
            for ax in (top, below):
                ax.axvspan(min(family.predictability, end), end, color=BAND, lw=0, alpha=0.55, zorder=0)
                ax.axvline(min(family.predictability, end), color=SOFT, lw=0.8, ls=(0, (1, 2)), zorder=1)
            words.append(f"Predictable for {family.predictability:.1f} s.")
        top.axhline(1, color=SOFT, lw=0.8, ls=(0, (4, 3)), zorder=1)
        for source in ("freeze", "constant-velocity", "model"):
            curve = family.curves.get(source)
            if curve is None or not np.isfinite(curve.present).any():
                continue
            width = 1.8 if source == "model" else 1.2
            # What is absent leaves the chart at its upper edge.
            median, low, high = (
                np.clip(np.nan_to_num(v, nan=np.nan, posinf=MOST * 2), LEAST, MOST * 2)
                for v in (curve.median, curve.low, curve.high)
            )
            if source == "model":
                top.fill_between(family.times, low, high, color=COLOUR[source], alpha=0.16, lw=0, zorder=2)
            top.plot(family.times, median, color=COLOUR[source], lw=width, zorder=3)
            below.plot(family.times, curve.present, color=COLOUR[source], lw=width, zorder=3)
            words.append(f"{NAMES[source]}: {_described(family, source)}.")
        top.set_yscale("log")
        top.set_ylim(LEAST, MOST)
        top.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        top.set_title("error in diameters", loc="left", fontsize=8, color=SOFT, pad=3)
        below.set_title("share still there", loc="left", fontsize=8, color=SOFT, pad=3)
        below.set_ylim(-0.06, 1.06)
        below.set_yticks([0, 1])
        below.set_xlim(0, end)
        below.set_xlabel("seconds from the hand-over")
        return inline(figure, f"error-{family.family}", " ".join(words))


def _described(family: FamilyCurves, source: str) -> str:
    """When the median error exceeds one diameter, in words."""
    median = family.curves[source].median
    with np.errstate(invalid="ignore"):
        over = np.flatnonzero(median > 1)
    return f"median off by a diameter at {family.times[over[0]]:.1f} s" if len(over) else "median within a diameter"
