"""Draw the figures of the methodology page from what methodology.py measured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

INK, SOFT, LINE, BLUE, RED, AMBER, GREEN, GREY = (
    "#1b1d20",
    "#5c6168",
    "#d9d9d2",
    "#1f57b0",
    "#a3302a",
    "#a8630a",
    "#2f7a4d",
    "#8a8f96",
)
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "physbench",
    "font.size": 9,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "savefig.facecolor": "white",
}
TOLERANCES = (0.03, 0.08, 0.2, 0.5)
NAMES = {
    "truth": "recorded\nfuture",
    "stranger-far": "far lawful\nalternative",
    "gravity:0.9": "gravity\nx 0.9",
}
COLOURS = {"truth": GREY, "stranger-far": BLUE, "gravity:0.9": RED}


def draw(document: dict[str, Any], folder: Path) -> None:
    """Write every figure as SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"compared": compared, "chain": chain, "permanence": permanence, "horizon": horizon}
    for name in [name for name in made if name in document]:
        figure = made[name](document[name])
        with plt.rc_context(STYLE):
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
        path = folder / f"{name}.svg"
        path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def figure(width: float, height: float, **more: Any) -> tuple[Any, Any]:
    with plt.rc_context(STYLE):
        return plt.subplots(figsize=(width, height), layout="constrained", **more)


def compared(found: dict[str, Any]) -> Any:
    """The lawful alternative and the wrong gravity under three kinds of measure, a dot a clip."""
    panels = (
        ("distance", "(a) distance to the recorded\nfuture, diameters", "log"),
        ("spatial", "(b) overlap of motion masks\n(spatial IoU of Physics-IQ)", "linear"),
        ("strength", "(c) shadowing: strength\nof violation, diameters", "log"),
        ("quality", "(c) shadowing: quality\n", "linear"),
    )
    with plt.rc_context(STYLE):
        fig, axes = figure(9.6, 3.0, ncols=len(panels))
        for ax, (key, title, scale) in zip(axes, panels, strict=True):
            for x, source in enumerate(NAMES):
                values = [row[key] for row in found["rows"] if row["source"] == source]
                values = [20.0 if value is None else value for value in values]
                if scale == "log":
                    values = np.clip(values, 0.004 if key == "distance" else 0.009, 20.0)
                spread = np.random.default_rng(x).uniform(-0.24, 0.24, len(values))
                ax.plot(x + spread, values, ".", ms=4.5, color=COLOURS[source], alpha=0.65, mew=0)
                ax.plot([x - 0.3, x + 0.3], [np.median(values)] * 2, color=COLOURS[source], lw=2.2)
            ax.set_yscale(scale)
            if scale == "linear":
                ax.set_ylim(-0.04, 1.04)
            if key == "strength":
                for tolerance in TOLERANCES:
                    ax.axhline(tolerance, color=GREY, lw=0.7, ls=(0, (4, 3)), zorder=0)
                ax.set_ylim(0.008, 2.4)
            ax.set_title(title)
            ax.set_xticks(range(len(NAMES)), list(NAMES.values()), fontsize=7.5)
    return fig


def chain(found: dict[str, Any]) -> Any:
    """A track that falls too slowly, its lawful segments, and how far it is from them."""
    times = np.array(found["times"])
    level = found["tolerances"][1]
    with plt.rc_context(STYLE):
        fig, (top, below) = figure(7.2, 4.6, nrows=2, sharex=True, height_ratios=(2.2, 1))
        top.plot(times, numbers(found["height"]), ".", color=INK, ms=3.5, label="track (gravity x 0.8)")
        lawful = numbers(level["height"])
        edges = [0, *[int(np.searchsorted(times, t)) for t in level["breaks"]], len(times)]
        for k, (a, b) in enumerate(pairwise(edges)):
            label = f"lawful segments at {level['tolerance']:g} diameters" if k == 0 else None
            top.plot(times[a:b], lawful[a:b], color=(BLUE, AMBER, GREEN)[k % 3], lw=5, alpha=0.45, label=label)
        for ax in (top, below):
            ax.axvline(0, color=GREY, lw=0.8)
            for time in level["breaks"]:
                ax.axvline(time, color=RED, lw=1.2, ls=(0, (3, 2)))
        top.text(0, 1.01, " hand-over", transform=top.get_xaxis_transform(), fontsize=7.5, color=SOFT)
        top.set_ylabel("height, m")
        top.legend(frameon=False, fontsize=8)
        for each, colour in zip(found["tolerances"], (GREEN, BLUE, AMBER, RED), strict=True):
            below.plot(times, numbers(each["off"]), color=colour, lw=1.2, label=f"{each['tolerance']:g}")
            below.axhline(each["tolerance"], color=colour, lw=0.7, ls=(0, (4, 3)))
        below.set_ylim(0, 0.82)
        below.set_ylabel("diameters off")
        below.set_xlabel("seconds from the hand-over")
        below.legend(frameon=False, fontsize=7.5, ncols=4, title="tolerance", title_fontsize=7.5, loc="upper right")
    return fig


def permanence(found: dict[str, Any]) -> Any:
    """How much is to be seen of an object that passes behind a screen, in truth and in two violations."""
    times, whole = np.array(found["times"]), np.array(found["whole"], dtype=float)
    titles = {"truth": "ground truth", "return-late:0.4": "comes out 0.4 s late", "return-never:1": "never comes out"}
    with plt.rc_context(STYLE):
        fig, axes = figure(9.6, 2.5, ncols=len(found["sources"]), sharey=True)
        for ax, source in zip(axes, found["sources"], strict=True):
            ax.fill_between(times, 0, numbers(found["share"]), color=LINE, lw=0, step="mid", label="ground truth shows")
            ax.axhline(0.25, color=GREY, lw=0.7, ls=(0, (4, 3)))
            ax.plot(times, numbers(source["area"]) / whole, color=BLUE, lw=1.4, label="the prediction shows")
            back = "" if source.get("reemergence") is None else f", return {source['reemergence']:.0f}"
            ax.set_title(
                f"{titles[source['source']]}: {source['quality']:.2f}\n(survival {source['survival']:.2f}{back})"
            )
            ax.set_xlabel("seconds")
        axes[0].set_ylabel("share of the object")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return fig


def horizon(found: Sequence[dict[str, Any]]) -> Any:
    """How the members of three ensembles part, and the time up to which accuracy is asked."""
    with plt.rc_context(STYLE):
        fig, axes = figure(9.6, 2.6, ncols=len(found), sharey=True)
        for ax, each in zip(axes, found, strict=True):
            times = np.array(each["times"])
            ax.plot(times, np.clip(numbers(each["spread"]), 1e-3, 30), color=BLUE, lw=1.6)
            ax.axhline(1, color=GREY, lw=0.8, ls=(0, (4, 3)))
            ax.axvspan(each["seconds"], times[-1], color=LINE, alpha=0.5, lw=0)
            frames = f"{each['context']} context frames" if each["context"] > 1 else "an image"
            task = each["clip"].split(".")[1].rpartition("-v")[0]
            ax.set_title(f"{task}, {frames}:\n$T_p$ = {each['seconds']:.1f} s")
            ax.set_yscale("log")
            ax.set_ylim(1e-3, 30)
            ax.set_xlim(0, times[-1])
            ax.set_xlabel("seconds from the hand-over")
        axes[0].set_ylabel("spread, diameters")
    return fig


def numbers(values: Sequence[float | None]) -> Any:
    """With NaN for null."""
    return np.array([np.nan if value is None else float(value) for value in values])
