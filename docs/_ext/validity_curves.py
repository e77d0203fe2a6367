"""Draw what is left of skill by the severity of a violation: the curves of the validity page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from validity_files import Published, known

from physbench.world.violations import REGISTRY, Violation

AXES = {"consistency": "#1f55b5", "permanence": "#b06a10", "drift": "#5b7f3b"}
FEWEST = 3  # severities of a curve
COLUMNS = 4


@dataclass(frozen=True)
class Curve:
    """Skill of one violation; NaN where an axis has none."""

    violation: Violation
    severities: tuple[float, ...]  # ascending
    skill: dict[str, tuple[float, ...]]  # by axis


def curves(table: Published) -> list[Curve]:
    """Curves of the violations that have several severities, in the order of the registry."""
    found: dict[str, list[tuple[float, str]]] = {}
    for source in table.sources("violation", "picture"):
        name, _, severity = source.partition(":")
        if "+" not in source:
            found.setdefault(name, []).append((float(severity), source))
    made = []
    for name, members in found.items():
        members.sort()
        skill = {axis: tuple(_skill(table, source, axis) for _, source in members) for axis in AXES}
        if len(members) >= FEWEST:
            made.append(Curve(REGISTRY[name], tuple(severity for severity, _ in members), skill))
    return made


def _skill(table: Published, source: str, axis: str) -> float:
    row = table.find("skill", source, f"skill/{axis}")
    return float(row["value"]) if row is not None and known(row["value"]) else float("nan")


def draw(found: Sequence[Curve], target: Path) -> None:
    """Write an SVG, a panel a violation."""
    from matplotlib.figure import Figure

    rows = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(2.4 * COLUMNS, 1.75 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for panel, curve in zip(panels.flat, found, strict=False):
        for axis, colour in AXES.items():
            panel.plot(curve.severities, curve.skill[axis], "o-", color=colour, ms=3, lw=1.2, label=axis)
        panel.axhline(1, color="0.8", lw=0.8, zorder=0)
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
        panel.set_title(curve.violation.name, fontsize=9)
        panel.set_xlabel(curve.violation.unit, fontsize=7, labelpad=1)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(found) :]:
        panel.axis("off")
    panels[0, 0].set_ylabel("skill", fontsize=8)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize=8, frameon=False
    )
    figure.savefig(target)
