"""Skill of families on each axis, as a figure of matplotlib for notebooks and papers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from physbench.results.number_format import AXIS_NAMES, suite_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_WIDTH, ROW_HEIGHT = 3.0, 0.36  # inches of a panel, of a row in it
BLUE, ORANGE = "#1f57b0", "#a8630a"


def skill_plot(result: Mapping[str, Any]) -> Figure:
    """One panel an axis, one row a family and one for all of them: skill with its 95 % interval, and constant velocity.

    A diamond is what a family takes from the axis by what it loses where a frozen frame does nearly as well as ground
    truth (guards): 0 where all is kept. A family that has neither on an axis has an empty row there. Drawn outside of
    pyplot's windows, so that a notebook shows it once.
    """
    import matplotlib.pyplot as plt

    axes, families = list(result["axes"]), list(result["families"])
    rows = ["all families", *families]
    figure, panels = plt.subplots(
        1,
        len(axes),
        sharey=True,
        squeeze=False,
        figsize=(PANEL_WIDTH * len(axes), ROW_HEIGHT * len(rows) + 1.1),
        layout="constrained",
    )
    plt.close(figure)
    guarded = False
    for panel, axis in zip(panels[0], axes, strict=True):
        found = [result["axes"][axis] | {"skill_interval": result["axes"][axis]["interval"]}]
        found += [result["families"][family][axis] for family in families]
        for row, each in enumerate(found):
            if each["skill"] is not None:
                low, high = each["skill_interval"] or (each["skill"], each["skill"])
                panel.plot([low, high], [row, row], color=BLUE, linewidth=4, alpha=0.35, solid_capstyle="butt")
                panel.plot(each["skill"], row, "o", color=BLUE, markersize=6)
            if (loss := each.get("guard")) is not None:
                panel.plot(loss, row, "D", color=BLUE, markerfacecolor="white", markersize=5)
                guarded = True
        for name, reference in result["references"].items():
            if (skill := reference["axes"][axis]["skill"]) is not None:
                panel.axvline(skill, color=ORANGE, linewidth=1, linestyle="--")
                panel.text(skill, -0.6, name.replace("-", " "), color=ORANGE, fontsize=8, ha="center", va="bottom")
        panel.axvline(0, color="0.6", linewidth=0.8)
        panel.axvline(1, color="0.6", linewidth=0.8)
        drawn = [each[name] for each in found for name in ("skill", "guard") if each.get(name) is not None]
        lowest = min(drawn, default=0.0)
        panel.set_xlim(min(-0.3, lowest - 0.05), 1.05)
        panel.set_title(AXIS_NAMES[axis], fontsize=10, pad=16)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(axis="y", length=0)
    panels[0][0].set_yticks(range(len(rows)), rows)
    panels[0][0].set_ylim(len(rows) - 0.4, -0.6)
    meaning = "skill: 0 is the frozen last frame, 1 is ground truth"
    figure.supxlabel(f"{meaning}\n◇ what is lost where a frozen frame does as well" if guarded else meaning, fontsize=9)
    name = str(result["model"]["name"]).replace("$", r"\$")  # which begins a formula
    figure.suptitle(f"{name}, {suite_name(result)}", fontsize=11)
    return figure
