"""What `physbench scorers check` prints of a validity table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from physbench.validation.false_breaks import LEVEL, SOURCE
from physbench.validation.source_skill import SKILL
from physbench.validation.sources import LOW_RATE, sets_in
from physbench.validation.table_file import records
from physbench.validation.task_cells import LOCATING
from physbench.validation.thresholds import BARS, last_part

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SEEN, LIKELY = 0.95, 0.75  # AUROC from which a violation counts as seen, and as more than guessed
MOST_SKILL = 0.05  # that a gaming baseline may have
GROUPS = ("violation", "picture", "stranger", "cheat")
TITLES = {
    "violation": "Violations: chance that a reading finds one worse than a lawful clip (0.5 is blind), 95 % interval",
    "picture": "Pictures that suffer: no law is broken, 0.5 is right for readings of physics",
    "stranger": "Lawful alternatives: 0.5 is right. A far one makes one declared jump at the hand-over; waived: its "
    "context is one frame, which shows no velocity, and only its quality (Q) is given",
    "cheat": "Gaming baselines: skill on each axis, which should be at most 0.05",
}


def sentences(table: pd.DataFrame, readings: list[str]) -> list[str]:
    """What the table says in words: what no headline reading sees, gaming baselines with skill, alternatives, bars."""
    said = seen(table, readings)
    skill = table[(table["level"] == "skill") & (table["kind"] == "cheat") & (table["value"] > MOST_SKILL)]
    for row in records(skill.sort_values("value", ascending=False)):
        between = _between(row["low"], row["high"])
        said.append(f"{row['source']} has skill {row['value']:.2f}{between} on {_axis(row['reading'])}.")
    said += _low_rate(table)
    alternatives = table[(table["level"] == "family") & (table["kind"] == "stranger")]
    where = {(r["source"], r["family"]): r["distance"] for r in records(alternatives)}
    near = [f"{source} in {family} ({distance:.1f})" for (source, family), distance in where.items() if distance < 1]
    if near:
        said.append(f"Near only, less than a diameter from ground truth: {', '.join(near)}.")
    return said + list(_bars(table))


def seen(table: pd.DataFrame, readings: list[str]) -> list[str]:
    """How many violations one of these readings sees, and which none of them does."""
    cells = table[(table["level"] == "all") & (table["kind"] == "violation") & table["reading"].isin(readings)]
    best = cells.groupby("source")["auroc"].max()
    blind = [f"{source} ({value:.2f})" for source, value in best.items() if value < LIKELY]
    count = int((best >= SEEN).sum())
    many = f"{len(best)} violation{'' if len(best) == 1 else 's'}"
    few = " These are point values: fewer than 8 clips a task give no interval." if cells["low"].isna().all() else ""
    are = "is" if count == 1 else "are"
    said = [f"{many}; {count} {are} seen (AUROC {SEEN:g}) by a headline reading or strength.{few}"]
    if blind:
        said.append(f"Hardly seen by any of them (below {LIKELY:g}): {', '.join(blind)}.")
    return said


def _low_rate(table: pd.DataFrame) -> Iterator[str]:
    """What lasting violations gain where few frames are shown."""
    skill = {(r["source"], _axis(r["reading"])): r["value"] for r in records(table[table["level"] == "skill"])}
    for (source, axis), value in skill.items():
        usual = skill.get((source.removesuffix(LOW_RATE), axis))
        if source.endswith(LOW_RATE) and usual is not None:
            yield f"{source}: skill {value:.2f} on {axis}, {value - usual:+.2f} against the rate of the table."


def _bars(table: pd.DataFrame) -> Iterator[str]:
    """How many of the declared bars are met, and those that are not."""
    barred = table[table["bar"].notna()]
    if barred.empty:
        return
    met, unknown = (barred["met"] == 1.0), barred["met"].isna()
    yield f"Bars: {int(met.sum())} of {len(barred)} are met; {int(unknown.sum())} have too few clips to tell."
    for row in records(barred[~met & ~unknown]):
        where = row["family"] if row["task"] == "*" else row["task"]
        yield f"  not met: {row['source']}, {row['reading']} in {where}: {figures(row)}"


def figures(row: dict[str, Any]) -> str:
    """The estimate that a bar is about, with its interval, and the bar."""
    name = last_part(row["reading"])
    if row["level"] == LEVEL:
        return f"{row['value']:.2%} of {row['clips']:.0f} clips (at most {row['high']:.2%}), bar {row['bar']:.2%}."
    if row["level"] == "skill":
        return f"{row['value']:.3f}{_between(row['low'], row['high'])}, at most {row['bar']:.2f}."
    if name == LOCATING:
        return f"{row['located']:.0%} located (at least {row['located_low']:.0%}), bar {row['bar']:.0%}."
    if any(bar.measure == "broken" and bar.reading == name and bar.names(row["source"]) for bar in BARS):
        return f"{row['broken']:.0%} broken at every tolerance, bar {row['bar']:.0%}."
    if row["kind"] == "stranger":
        return f"quality {row['quality']:.2f}, bar {row['bar']:.2f}."
    return f"{row['auroc']:.3f}{_between(row['low'], row['high'])}, bar {row['bar']:.2f}."


def _axis(reading: object) -> str:
    return str(reading).removeprefix(SKILL)


def printed(table: pd.DataFrame, readings: list[str], extra: list[str], level: str) -> list[Table]:
    """One table for each kind of source, and one of false breaks.

    Columns are the headline readings, and the best of all others. level: all, family or task. extra: ids of readings
    that get a column of their own.
    """
    found = [_group(table, kind, [*readings, *extra], level) for kind in GROUPS]
    return [view for view in (*found, _false_breaks(table)) if view is not None]


def _group(table: pd.DataFrame, kind: str, readings: list[str], level: str) -> Table | None:
    from rich.table import Table

    cells = table[(table["kind"] == kind) & (table["level"] == level)]
    skill = table[(table["kind"] == kind) & (table["level"] == "skill")]
    if cells.empty and skill.empty:
        return None
    view = Table(title=TITLES[kind], box=None, pad_edge=False, header_style="bold", title_justify="left")
    view.add_column("", no_wrap=True)
    if level != "all":
        view.add_column(level, no_wrap=True)
    view.add_column("clips", justify="right")
    axes = [_axis(name) for name in dict.fromkeys(skill["reading"])]
    for name in readings:
        view.add_column(name.partition("/")[2], justify="right")
    view.add_column("best other (of half the clips or more)")
    for axis in axes:
        view.add_column(f"skill {axis}", justify="right")
    view.add_column("diameters" if kind == "stranger" else "located", justify="right")
    for keys, group in cells.groupby(["source", level] if level != "all" else ["source"], sort=False):
        source, *where = keys
        own = group.set_index("reading")
        most = int(group["clips"].max())
        points = skill[skill["source"] == source].set_index("reading")
        breaks = own.loc[[name for name in own.index if last_part(str(name)) == LOCATING]]
        distance = own["distance"].max()
        last = f"{distance:.1f}{' near only' if distance < 1 else ''}" if np.isfinite(distance) else ""
        if kind == "violation":
            last = _located(breaks) if sets_in(str(source)) else ""
        view.add_row(
            str(source),
            *(str(each) for each in where),
            f"{most}",
            *(_auroc(own, name) for name in readings),
            _best(own, most, readings),
            *(_skill(points, f"{SKILL}{axis}") for axis in axes),
            last,
        )
    return view


def _best(own: pd.DataFrame, most: int, readings: list[str]) -> str:
    wide = own[own["clips"] >= most / 2]
    wide = wide.loc[[name for name in wide.index if "." not in str(name)]]
    others = wide.drop(index=readings, errors="ignore")["auroc"].dropna()
    return f"{others.max():.2f} {others.idxmax()}" if len(others) else ""


def _auroc(own: pd.DataFrame, name: str) -> str:
    if name not in own.index:
        return ""
    value, low, high = (float(own[column][name]) for column in ("auroc", "low", "high"))
    if not np.isfinite(value) and own["negatives"][name] == 0 and np.isfinite(own["quality"][name]):
        return f"Q {own['quality'][name]:.2f}"  # it is compared with nothing
    return f"{value:.2f}{_between(low, high)}" if np.isfinite(value) else ""


def _skill(points: pd.DataFrame, name: str) -> str:
    return f"{float(points['value'][name]):.2f}" if name in points.index else ""


def _located(breaks: pd.DataFrame) -> str:
    known = breaks["located"].dropna()
    return f"{known.iloc[0]:.0%}" if len(known) else ""


def _between(low: float, high: float) -> str:
    return f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) and np.isfinite(high) else ""


def _false_breaks(table: pd.DataFrame) -> Table | None:
    from rich.table import Table

    rows = table[(table["level"] == LEVEL)]
    if rows.empty:
        return None
    title = "False breaks: clips whose ground truth or near alternatives have a larger strength, with upper 95 % bound"
    view = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("reading", "diameters", "task", "clips", "share", "at most", "bar", ""):
        view.add_column(name, justify="left" if name in ("reading", "task") else "right")
    for row in records(rows):
        met = {1.0: "met", 0.0: "not met"}.get(row["met"], "too few")
        values = (f"{row['value']:.2%}", f"{row['high']:.2%}", f"{row['bar']:.2%}")
        diameters = row["source"].removeprefix(SOURCE)
        view.add_row(row["reading"], diameters, row["task"], f"{row['clips']:.0f}", *values, met)
    return view
