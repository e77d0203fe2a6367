"""Draw the figure of the page on tolerances from what tolerances.py measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from methodology_draw import AMBER, BLUE, GREEN, GREY, INK, RED, SOFT, STYLE

FAMILIES = ("collisions", "falling", "occlusion", "orbits")
OTHERS = {  # source: its name, colour, line
    "truth": ("ground truth", INK, "-"),
    "stranger-far-waived": ("lawful alternative", GREEN, "-"),
    "freeze": ("frozen picture", GREY, "-"),
    "gravity:0.9": ("gravity or central mass x 0.9", AMBER, "--"),
    "central-mass:0.9": ("gravity or central mass x 0.9", AMBER, "--"),
    "gravity:0.8": ("gravity or central mass x 0.8", RED, "--"),
    "central-mass:0.8": ("gravity or central mass x 0.8", RED, "--"),
}
SHADES = ("#a9c4ee", "#5b8fdd", BLUE)  # of the runs, in order of training
JOIN = 0.2  # s behind the hand-over
END = 4.0  # s shown
LEAST, MOST = 0.008, 2.4  # diameters
TOP = 0.5  # diameters shown of jitter and offset; what is larger stands at the edge
FLOOR = 1e-4


def draw(document: dict[str, Any], path: Path) -> None:
    """Strength, time of the first break, jitter and offset, by family."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(3, len(FAMILIES), figsize=(9.6, 7.4), sharey="row", layout="constrained")
        for column, family in zip(axes.T, FAMILIES, strict=True):
            strength(column[0], document, family)
            first_break(column[1], document, family)
            small(column[2], document, family)
            column[0].set_title(family, fontweight="bold")
        axes[0, 0].set_ylabel("clips without a break, share")
        axes[1, 0].set_ylabel(f"clips not yet broken\nat {document['tolerances'][1]:g} diameters, share")
        axes[2, 0].set_ylabel("diameters")
        for marker, fill, what in (("o", SOFT, "jitter"), ("D", "white", "off in the first predicted frame")):
            axes[2, 0].plot([], [], marker, ms=4, ls="", color=SOFT, mfc=fill, label=what)
        axes[2, 0].legend(loc="lower left", frameon=False, fontsize=7, borderpad=0, handletextpad=0.1)
        known = {}
        for axis in axes[0]:
            known |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        figure.legend(known.values(), known.keys(), loc="outside upper center", ncols=4, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    path.write_text(
        "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()) + "\n", encoding="utf-8"
    )


def strength(axis: Any, document: dict[str, Any], family: str) -> None:
    """Share of clips whose strength is at most a tolerance."""
    for level in document["tolerances"]:
        axis.axvline(level, color=SOFT, lw=0.7, ls=(0, (1, 2)), zorder=0)
    for rows, look in shown(document, family):
        at = np.sort([row["strength"] for row in rows])
        share = np.arange(1, len(at) + 1) / len(at)
        inside = at < 2  # at 2 there is a break or a loss whatever the tolerance
        share = np.concatenate([[0], share[inside]])
        axis.step([LEAST, *at[inside], MOST], [*share, share[-1]], where="post", **look)
    axis.set(xscale="log", xlim=(LEAST, MOST), ylim=(-0.02, 1.03), xlabel="tolerance, diameters")
    axis.set_xticks(
        [0.01, *document["tolerances"], 1], ["0.01", *(f"{level:g}" for level in document["tolerances"]), "1"]
    )
    axis.minorticks_off()
    axis.tick_params("x", labelsize=7)


def first_break(axis: Any, document: dict[str, Any], family: str) -> None:
    """Share of clips that have not broken yet, over the time from the hand-over, at the middle level."""
    axis.axvspan(0, JOIN, color=AMBER, alpha=0.22, lw=0, zorder=0)
    for rows, look in shown(document, family):
        times = np.sort([np.inf if row["first"][1] is None else row["first"][1] for row in rows])
        at = times[np.isfinite(times)]
        share = 1 - np.arange(len(at) + 1) / len(times)
        axis.step([0, *at, 99], [*share, share[-1]], where="post", **look)
    axis.text(0.22, 1.01, "hand-over", fontsize=6.5, color=AMBER, va="bottom")
    axis.set(xlim=(0, END), ylim=(-0.02, 1.03), xlabel="seconds from the hand-over")


def small(axis: Any, document: dict[str, Any], family: str) -> None:
    """Jitter (left of each pair) and distance from ground truth in the first predicted frame (right), a dot a clip."""
    sources = ["truth", *document["runs"]]
    for x, (source, colour) in enumerate(zip(sources, colours(document), strict=True)):
        rows = choose(document, source, family)
        for shift, what, marker in ((-0.2, "jitter", "o"), (0.2, "off", "D")):
            values = [row["off"][0] if what == "off" else row[what] for row in rows]
            values = np.array([value for value in values if value is not None])
            values = np.clip(values, FLOOR, TOP)
            spread = np.random.default_rng(x).uniform(-0.13, 0.13, len(values))
            full = {"color": colour} if what == "jitter" else {"color": colour, "mfc": "white"}
            axis.plot(x + shift + spread, values, marker, ms=3, mew=0.7, alpha=0.75, ls="", **full)
            if len(values):
                axis.plot([x + shift - 0.17, x + shift + 0.17], [np.median(values)] * 2, color=INK, lw=1.6)
    for level in document["tolerances"]:
        axis.axhline(level, color=SOFT, lw=0.7, ls=(0, (1, 2)), zorder=0)
    axis.set(yscale="log", ylim=(FLOOR * 0.8, TOP * 1.3), xlim=(-0.6, len(sources) - 0.4))
    axis.set_xticks(range(len(sources)), [name.replace(" ", "\n") for name in sources], fontsize=7.5)


def shown(document: dict[str, Any], family: str) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Rows and look of each source that a family has."""
    looks = {s: {"label": label, "color": colour, "ls": line, "lw": 1.1} for s, (label, colour, line) in OTHERS.items()}
    for source, colour in zip(document["runs"], colours(document)[1:], strict=True):
        looks[source] = {"label": f"trained, {source}", "color": colour, "lw": 2.0}
    rows = {source: choose(document, source, family) for source in looks}
    return [(rows[source], look) for source, look in looks.items() if rows[source]]


def choose(document: dict[str, Any], source: str, family: str) -> list[dict[str, Any]]:
    """Rows of a source in a family, but those in which nobody would see it."""
    rows = [row for row in document["rows"] if row["source"] == source and row["clip"].startswith(f"{family}.")]
    return [row for row in rows if not row["unseen"]]


def colours(document: dict[str, Any]) -> Sequence[str]:
    """Of ground truth and the runs."""
    return (INK, *SHADES[-len(document["runs"]) :])
