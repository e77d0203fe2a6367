"""The published validity tables, and their cells as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from physbench.validity.lawful_alternatives import FRAME_SHIFTS, is_frame_shift
from physbench.validity.sources import LOW_RATE
from physbench.validity.table import TableHeader, read_table, records
from physbench.validity.text import between
from physbench.validity.thresholds import measure_of
from physbench.validity.violations import REGISTRY
from physbench.world.scene import FAR, PLAIN, VIEWS

MAIN = "128px"  # the table that bars are about
IMAGE = "image"  # the one for a context of one frame
OF_VIEWS = "256px_"  # what the names of tables of views and looks begin with
ORDER = (MAIN, "64px", "h264", "natural", IMAGE)  # others come after them
VIOLATIONS = ("violation", "timing", "picture")
GROUPS = {
    "forces": "Forces",
    "motion": "Inertia",
    "contacts": "Contacts",
    "time": "Time",
    "looks": "Permanence and identity in view",
    "return": "Behind a screen",
    "timing": "Frames at wrong times (no law is broken)",
    "picture": "Pictures (no law is broken)",
    "several": "Several at once",
}
MARKS = {"": "", "met": " ✓", "too few clips": " ?", "**not met**": " ✗"}

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Published:
    """A table: `NAME.parquet`, and what `NAME-*.parquet` add to it."""

    name: str
    headers: tuple[TableHeader, ...]
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """Size, rate, look, view and codec, and whether the context is a single frame."""
        head = self.headers[0]
        size, _, rate = head.spec.partition("-")[0].partition("@")
        look = "" if self.look == PLAIN else f", {self.look} look"
        view = "" if self.view == FAR else f", {self.view} view"
        codec = "" if head.crf is None else f", H.264 crf {head.crf}"
        image = ", one context frame" if head.context == 1 else ""
        return f"{size.partition('x')[0]} px, {rate} frames/s{look}{view}{codec}{image}"

    @property
    def look(self) -> str:
        """How videos are drawn."""
        return next((word for word in self._words if word not in VIEWS), PLAIN)

    @property
    def view(self) -> str:
        """From where clips are seen."""
        return next((word for word in self._words if word in VIEWS), FAR)

    @property
    def _words(self) -> list[str]:
        return self.headers[0].spec.split("-")[1:]

    def rows(self, level: str, readings: Iterable[str] | str, kinds: Sequence[str] = VIOLATIONS) -> pd.DataFrame:
        """Cells of readings on sources of these kinds, without those at a low rate."""
        chosen = self.table["reading"].isin([readings] if isinstance(readings, str) else list(readings))
        chosen &= self.table["kind"].isin(kinds) & ~self.table["source"].str.endswith(LOW_RATE)
        return self.table[chosen & (self.table["level"] == level)]


def published(folder: Path) -> dict[str, Published]:
    """Tables by name. Where several files hold a cell, the one over most tasks counts, then that over most clips."""
    paths = sorted(folder.glob("*.parquet"), key=lambda path: path.stem)
    names = {path.stem.partition("-")[0] for path in paths}
    found = {}
    for name in sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        mine = [read_table(path) for path in paths if path.stem.partition("-")[0] == name]
        whole = pd.concat([table.assign(file=k) for k, (table, _) in enumerate(mine)], ignore_index=True)
        found[name] = Published(name, tuple(header for _, header in mine), _without_lesser_cells(whole))
    return found


def _without_lesser_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of several files, in `file`, without those of fewer tasks or clips than the same cell of another."""
    by_task = table[(table["level"] == "task") & (table["clips"] > 0)]
    tasks = pd.Series(0, index=table.index)
    for level, group in (("family", ["file", "source", "reading", "family"]), ("all", ["file", "source", "reading"])):
        rows = table["level"] == level
        counts = by_task.groupby(group).size().rename("tasks").reset_index()
        tasks[rows] = table.loc[rows, group].merge(counts, how="left")["tasks"].fillna(0).to_numpy(dtype=int)
    best = table.assign(tasks=tasks).sort_values(["tasks", "clips", "file"], ascending=[False, False, True])
    cells = best.drop_duplicates(["source", "level", "family", "task", "reading"]).sort_index()
    return cells.drop(columns=["file", "tasks"])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table; the columns `left` to the left, the others to the right. "" where there are no rows."""
    rule = [":---" if k in left else "---:" for k in range(len(head))]
    lines = ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def matrix(
    rows: pd.DataFrame, column: str, heads: Mapping[str, str], value: str, cell: Callable[[Row], str], least: int = 1
) -> str:
    """A table of violations under the names of their groups.

    Args:
        rows: Cells of a published table.
        column: Name of the column whose values stand side by side.
        heads: These values with the words above them.
        value: Name of the column with the figures; rows without one are left out.
        cell: Text of a row.
        least: Violations with fewer cells than this are left out.
    """
    known = rows[rows[value].notna()]
    texts = known.assign(text=[cell(row) for row in records(known)]).pivot(
        index="source", columns=column, values="text"
    )
    texts = texts[texts.notna().sum(axis=1) >= least].reindex(columns=list(heads), fill_value="").fillna("")
    lines: list[tuple[str, ...]] = []
    names = (source for source in known["source"].unique() if source in texts.index)
    for group, sources in groupby(sorted(names, key=place), key=group_of):
        lines.append((f"**{GROUPS[group]}**", *[""] * len(heads)))
        lines += [(f"`{source}`", *texts.loc[source]) for source in sources]
    return markdown(("", *heads.values()), lines)


def group_of(source: str) -> str:
    """The group of a violation, of GROUPS."""
    if is_frame_shift(source):
        return "timing"
    return "several" if "+" in source else REGISTRY[source.partition(":")[0]].group


def place(source: str) -> tuple[int, int, float]:
    """Where a violation stands among others: by group, name and severity; several at once stand after all."""
    group = list(GROUPS).index(group_of(source))
    if "+" in source:
        return group, 0, 0.0
    name, _, severity = source.partition(":")
    return group, [*REGISTRY, *FRAME_SHIFTS].index(name), float(severity)


def short(task: str) -> str:
    """The name of a task without its family and version."""
    return task.partition("/")[2].rpartition("-v")[0] or task


def verdict(row: Row) -> str:
    """What became of the bar of a row; "" where it has none."""
    return "" if pd.isna(row["bar"]) else {1.0: "met", 0.0: "**not met**"}.get(row["met"], "too few clips")


def mark(row: Row, measure: str | None = None) -> str:
    """A sign for what became of the bar of a row; "" where it has none, or none on that measure."""
    return "" if measure not in (None, measure_of(row)) else MARKS[verdict(row)]


def two_lines(first: str, second: str) -> str:
    """Two lines of a cell, the second one small; one line where that is empty."""
    return f"{first}<br><small>{second.strip()}</small>" if second else first


def auroc(row: Row) -> str:
    """Chance and whether the bar is met; in a second line the interval, and of how many clips."""
    second = f"{between(row, 'z.3f')} of {row['clips']:.0f}"
    return two_lines(f"{row['auroc']:.3f}{mark(row, 'auroc')}", second)


def broken(row: Row) -> str:
    """Share of the clips that break a law at every tolerance, and what became of the bar."""
    sign = mark(row, "broken")
    return two_lines(f"{row['broken']:.0%}{sign}", f"at least {row['bar']:.0%}" if sign else "")


def number(value: float, places: int = 2) -> str:
    """A number with so many places, and no minus before nought; "" for none."""
    return "" if pd.isna(value) else f"{value:z.{places}f}"


def skill(row: Row | None, bars: bool = False, places: int = 2) -> str:
    """Skill with its interval, and what became of the bar."""
    if row is None or pd.isna(row["value"]):
        return ""
    asked = f" (at most {row['bar']:.2f})" if bars and verdict(row) else ""
    return two_lines(
        f"{number(row['value'], places)}{mark(row) if asked else ''}", f"{between(row, f'z.{places}f')}{asked}"
    )
