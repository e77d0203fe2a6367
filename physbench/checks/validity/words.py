"""What `physbench scorers check` prints of a validity table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SEEN, LIKELY = 0.95, 0.75  # AUROC from which a violation counts as seen, and as more than guessed
GROUPS = ("violation", "picture", "stranger", "cheat")
TITLES = {
    "violation": "Violations: chance that a reading finds one worse than a lawful clip (0.5 is blind)",
    "picture": "Pictures that suffer: no law is broken, 0.5 is right for readings of physics",
    "stranger": "Lawful strangers: 0.5 is right; a far one makes one declared jump at the hand-over",
    "cheat": "Cheats: skill on each axis, which should be at most 0.05",
}


def sentences(table: pd.DataFrame, readings: list[str]) -> list[str]:
    """What the table says in words: which violations no headline reading sees, and which cheats have skill."""
    cells = table[(table["level"] == "all") & (table["kind"] == "violation") & table["reading"].isin(readings)]
    best = cells.groupby("source")["auroc"].max()
    blind = [f"{source} ({value:.2f})" for source, value in best.items() if value < LIKELY]
    said = [f"{len(best)} violations; {int((best >= SEEN).sum())} are seen (AUROC {SEEN:g}) by one of the headlines."]
    if blind:
        said.append(f"Hardly seen by any of them (below {LIKELY:g}): {', '.join(blind)}.")
    skill = table[(table["level"] == "skill") & (table["kind"] == "cheat") & (table["value"] > 0.05)]
    for row in skill.sort_values("value", ascending=False).itertuples():
        axis = str(row.reading).partition("/")[2]
        said.append(f"{row.source} has skill {row.value:.2f} [{row.low:.2f}, {row.high:.2f}] on {axis}.")
    return said


def printed(table: pd.DataFrame, readings: list[str], extra: list[str], level: str) -> list[Table]:
    """One table for each kind of source: columns are the headline readings, and the best of all others.

    level: all, family or task. extra: ids of readings that get a column of their own.
    """
    from rich.table import Table

    found = []
    for kind in GROUPS:
        cells = table[(table["kind"] == kind) & (table["level"] == level)]
        skill = table[(table["kind"] == kind) & (table["level"] == "skill")]
        if cells.empty and skill.empty:
            continue
        view = Table(title=TITLES[kind], box=None, pad_edge=False, header_style="bold", title_justify="left")
        view.add_column("", no_wrap=True)
        if level != "all":
            view.add_column(level, no_wrap=True)
        view.add_column("clips", justify="right")
        axes = [str(name).partition("/")[2] for name in dict.fromkeys(skill["reading"])]
        for name in (*readings, *extra):
            view.add_column(name.partition("/")[2], justify="right")
        view.add_column("best other (of half the clips or more)")
        for axis in axes:
            view.add_column(f"skill {axis}", justify="right")
        view.add_column("located", justify="right")
        for keys, group in cells.groupby(["source", level] if level != "all" else ["source"], sort=False):
            source, *where = keys
            own = group.set_index("reading")
            most = int(group["clips"].max())
            wide = own[own["clips"] >= most / 2]
            wide = wide.loc[[name for name in wide.index if "." not in str(name)]]
            others = wide.drop(index=[*readings, *extra], errors="ignore")["auroc"].dropna()
            best = f"{others.max():.2f} {others.idxmax()}" if len(others) else ""
            points = skill[skill["source"] == source].set_index("reading")["value"]
            view.add_row(
                str(source),
                *(str(each) for each in where),
                f"{most}",
                *(_number(own["auroc"].get(name)) for name in (*readings, *extra)),
                best,
                *(_number(points.get(f"skill/{axis}")) for axis in axes),
                _number(own["located"].max(), percent=True),
            )
        found.append(view)
    return found


def _number(value: object, *, percent: bool = False) -> str:
    if not isinstance(value, float | np.floating) or not np.isfinite(value):
        return ""
    return f"{value:.0%}" if percent else f"{value:.2f}"
