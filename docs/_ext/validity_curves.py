"""Draw what is left of skill by the severity of a violation: the curves of the validity page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from published_tables import Published, place

from physbench.result.formats import AXIS_NAMES
from physbench.validity.table import SKILL
from physbench.validity.violations import REGISTRY

CURVES = "validity-curves.svg"
AXES = {"consistency": ("#1f55b5", "-"), "permanence": ("#b06a10", "--"), "drift": ("#5b7f3b", ":")}
FEWEST = 3  # severities of a curve
COLUMNS = 4
# The severity at which nothing is wrong, where skill is 1 by definition.
NEUTRAL = {
    **dict.fromkeys(("gravity", "central-mass", "mass-ratio", "friction"), 1.0),
    **dict.fromkeys(("slow-time", "fast-time", "size", "return-size"), 1.0),
    **dict.fromkeys(("gravity-tilt", "teleport", "kick", "speed-gain", "freeze", "momentum", "stutter", "blink"), 0.0),
    **dict.fromkeys(("hue", "return-late", "blur", "noise", "flicker", "colour-drift", "fade"), 0.0),
    "force-exponent": 2.0,
}


def curves(table: Published) -> dict[str, pd.DataFrame]:
    """Skill by severity and axis, NaN for none, of violations that have several severities, in their usual order."""
    rows = table.rows("skill", [f"{SKILL}{axis}" for axis in AXES])
    rows = rows[~rows["source"].str.contains("+", regex=False)]
    rows = rows.assign(axis=rows["reading"].str.removeprefix(SKILL))
    skill = rows.pivot(index="source", columns="axis", values="value")
    skill = skill.reindex(index=sorted(skill.index, key=place), columns=list(AXES))
    found = skill.groupby(skill.index.str.partition(":").get_level_values(0), sort=False)
    return {
        str(name): own.set_axis([float(source.partition(":")[2]) for source in own.index])
        for name, own in found
        if len(own) >= FEWEST
    }


def sides(skill: pd.Series[float], neutral: float | None) -> list[pd.Series[float]]:
    """Skill by severity on each side of the severity at which nothing is wrong, that included; or all in one."""
    known = skill.dropna()
    if neutral is None:  # as a coefficient of restitution, of which every pair has another
        return [known]
    halves = (known[known.index < neutral], known[known.index > neutral])
    return [pd.concat([half, pd.Series({neutral: 1.0})]).sort_index() for half in halves if len(half)]


def draw(found: Mapping[str, pd.DataFrame], target: Path) -> None:
    """Write an SVG, a panel a violation."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    rows = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(2.4 * COLUMNS, 1.75 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for panel, (name, skill) in zip(panels.flat, found.items(), strict=False):
        for axis, (colour, dash) in AXES.items():
            for side in sides(skill[axis], NEUTRAL.get(name)):
                panel.plot(side.index, side, dash, marker="o", color=colour, ms=3, lw=1.3)
        if name in NEUTRAL:
            panel.plot(NEUTRAL[name], 1, "o", color="white", mec="0.3", ms=5, zorder=5)
        for level in (1, 0):
            panel.axhline(level, color="0.8", lw=0.8, zorder=0)
        panel.set_title(name, fontsize=9)
        panel.set_xlabel(REGISTRY[name].unit, fontsize=7, labelpad=1)
        panel.tick_params(labelsize=7)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(found) :]:
        panel.axis("off")
    for row in panels:
        row[0].set_ylabel("skill", fontsize=8)
    marks = [(AXIS_NAMES[axis], colour, dash) for axis, (colour, dash) in AXES.items()]
    lines = [Line2D([], [], color=colour, ls=dash, marker="o", ms=3, label=text) for text, colour, dash in marks]
    nothing = Line2D([], [], ls="", marker="o", ms=5, color="white", mec="0.3", label="nothing is wrong")
    figure.legend(handles=[*lines, nothing], loc="outside lower right", ncols=4, fontsize=8, frameon=False)
    figure.savefig(target)
