"""Draw what is left of skill by the severity of a violation: the curves of the validity page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from published_tables import Published, place

from physbench.validation.source_skill import SKILL
from physbench.validation.violations import REGISTRY, Violation

AXES = {"consistency": "#1f55b5", "permanence": "#b06a10", "drift": "#5b7f3b"}
FEWEST = 3  # severities of a curve
COLUMNS = 4
DASHES = ("-", "--", ":")
# The severity at which nothing is wrong, where skill is 1 by definition.
NEUTRAL = {
    **dict.fromkeys(("gravity", "central-mass", "mass-ratio", "friction"), 1.0),
    **dict.fromkeys(("slow-time", "fast-time", "size", "return-size"), 1.0),
    **dict.fromkeys(("gravity-tilt", "teleport", "kick", "speed-gain", "freeze", "momentum", "stutter", "blink"), 0.0),
    **dict.fromkeys(("hue", "return-late", "blur", "noise", "flicker", "colour-drift", "fade"), 0.0),
    "force-exponent": 2.0,
}
SHOWN = {"drift": "stability"}  # as reports call it


@dataclass(frozen=True)
class Curve:
    """Skill of one violation; NaN where an axis has none."""

    violation: Violation
    severities: tuple[float, ...]  # ascending
    skill: dict[str, tuple[float, ...]]  # by axis


def curves(table: Published) -> list[Curve]:
    """Curves of the violations that have several severities, in the order of the registry."""
    readings = [f"{SKILL}{axis}" for axis in AXES]
    skill = table.rows("skill", readings).pivot(index="source", columns="reading", values="value")
    skill = skill.reindex(columns=readings).set_axis(list(AXES), axis="columns")
    found: dict[str, list[str]] = {}
    for source in sorted((each for each in skill.index if "+" not in each), key=place):
        found.setdefault(source.partition(":")[0], []).append(source)
    return [
        Curve(
            REGISTRY[name],
            tuple(float(source.partition(":")[2]) for source in members),
            {axis: tuple(values) for axis, values in skill.loc[members].items()},
        )
        for name, members in found.items()
        if len(members) >= FEWEST
    ]


def sides(curve: Curve, axis: str) -> list[tuple[list[float], list[float]]]:
    """Severities and skill on each side of the severity at which nothing is wrong, that included; or all in one."""
    points = [(x, y) for x, y in zip(curve.severities, curve.skill[axis], strict=True) if not math.isnan(y)]
    middle = NEUTRAL.get(curve.violation.name)
    if middle is None:  # as a coefficient of restitution, of which every pair has another
        lines = [points]
    else:
        halves = ([p for p in points if p[0] < middle], [p for p in points if p[0] > middle])
        lines = [sorted([*half, (middle, 1.0)]) for half in halves if half]
    return [([x for x, _ in line], [y for _, y in line]) for line in lines]


def draw(found: Sequence[Curve], target: Path) -> None:
    """Write an SVG, a panel a violation."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    rows = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(2.4 * COLUMNS, 1.75 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for panel, curve in zip(panels.flat, found, strict=False):
        for (axis, colour), dash in zip(AXES.items(), DASHES, strict=True):
            for severities, skill in sides(curve, axis):
                panel.plot(severities, skill, dash, marker="o", color=colour, ms=3, lw=1.3)
        if curve.violation.name in NEUTRAL:
            panel.plot(NEUTRAL[curve.violation.name], 1, "o", color="white", mec="0.3", ms=5, zorder=5)
        panel.axhline(1, color="0.8", lw=0.8, zorder=0)
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
        panel.set_title(curve.violation.name, fontsize=9)
        panel.set_xlabel(curve.violation.unit, fontsize=7, labelpad=1)
        panel.tick_params(labelsize=7)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(found) :]:
        panel.axis("off")
    for row in panels:
        row[0].set_ylabel("skill", fontsize=8)
    styles = zip(AXES.items(), DASHES, strict=True)
    lines = [Line2D([], [], color=c, ls=dash, marker="o", ms=3, label=SHOWN.get(a, a)) for (a, c), dash in styles]
    nothing = Line2D([], [], ls="", marker="o", ms=5, color="white", mec="0.3", label="nothing is wrong")
    figure.legend(handles=[*lines, nothing], loc="outside lower right", ncols=4, fontsize=8, frameon=False)
    figure.savefig(target)
