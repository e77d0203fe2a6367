"""The published validity tables, and their cells as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physbench.validation.sources import LOW_RATE
from physbench.validation.table_file import TableHeader, read_table, records
from physbench.validation.violations import REGISTRY

MAIN = "128px"  # the table that bars are about
IMAGE = "image"  # the one for a context of one frame
ORDER = (MAIN, "64px", "h264", IMAGE)  # others come after them
VIOLATIONS = ("violation", "picture")
GROUPS = {
    "forces": "Forces",
    "motion": "Inertia",
    "contacts": "Contacts",
    "time": "Time",
    "looks": "Permanence and identity in view",
    "return": "Behind a screen",
    "picture": "Pictures (no law is broken)",
}
SEVERAL = "Several at once"

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Published:
    """A table: `NAME.parquet`, and what `NAME-*.parquet` add to it."""

    name: str
    headers: tuple[TableHeader, ...]
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """Size, rate and codec, and whether the context is a single frame."""
        head = self.headers[0]
        size, rate = head.spec.split("@")
        codec = "" if head.crf is None else f", H.264 crf {head.crf}"
        image = ", one context frame" if head.context == 1 else ""
        return f"{size.partition('x')[0]} px, {rate} frames/s{codec}{image}"

    def families(self) -> list[str]:
        return sorted({*self.table["family"]} - {"*"})

    def rows(self, level: str, readings: Iterable[str] | str, kinds: Sequence[str] = VIOLATIONS) -> pd.DataFrame:
        """Cells of readings on sources of these kinds, without those at a low rate."""
        chosen = self.table["reading"].isin([readings] if isinstance(readings, str) else list(readings))
        chosen &= self.table["kind"].isin(kinds) & ~self.table["source"].str.endswith(LOW_RATE)
        return self.table[chosen & (self.table["level"] == level)]


def published(folder: Path) -> dict[str, Published]:
    """Tables by name. Of sources that several files of a table hold, the first of them counts."""
    names: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.parquet"), key=lambda path: path.stem):
        names.setdefault(path.stem.partition("-")[0], []).append(path)
    order = sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return {name: _together(name, names[name]) for name in order}


def _together(name: str, paths: Sequence[Path]) -> Published:
    tables, headers = zip(*map(read_table, paths), strict=True)
    whole = pd.concat([table.assign(file=k) for k, table in enumerate(tables)], ignore_index=True)
    first = whole.groupby("source")["file"].transform("min")
    return Published(name, headers, whole[whole["file"] == first].drop(columns="file"))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table; the columns `left` to the left, the others to the right. "" where there are no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    rule = "|" + "".join(" :--- |" if k in left else " ---: |" for k in range(len(head)))
    return "\n".join(["| " + " | ".join(head) + " |", rule, *lines]) + "\n"


def matrix(
    rows: pd.DataFrame, column: str, heads: Mapping[str, str], cell: Callable[[Row], str], least: int = 1
) -> str:
    """A table of violations under the names of their groups.

    Args:
        rows: Cells of a published table.
        column: Name of the column whose values stand side by side.
        heads: These values with the words above them.
        cell: Text of a cell, "" for none.
        least: Violations with fewer cells than this are left out.
    """
    texts: dict[str, dict[str, str]] = {}
    for row in records(rows):
        if text := cell(row):
            texts.setdefault(row["source"], {})[row[column]] = text
    sources = sorted((source for source, mine in texts.items() if len(mine) >= least), key=place)
    lines: list[tuple[str, ...]] = []
    for title, members in groupby(sources, key=_group):
        lines.append((f"**{title}**", *[""] * len(heads)))
        lines += [(f"`{source}`", *(texts[source].get(value, "") for value in heads)) for source in members]
    return markdown(("", *heads.values()), lines)


def _group(source: str) -> str:
    return SEVERAL if "+" in source else GROUPS[REGISTRY[source.partition(":")[0]].group]


def place(source: str) -> tuple[int, int, float]:
    """Where a violation stands among others: by group, name and severity; several at once stand after all."""
    if "+" in source:
        return len(GROUPS), 0, 0.0
    name, _, severity = source.partition(":")
    return list(GROUPS).index(REGISTRY[name].group), list(REGISTRY).index(name), float(severity)


def known(value: object) -> bool:
    """Whether a cell of a row holds a number."""
    return isinstance(value, int | float) and bool(np.isfinite(value))


def folded(title: str, text: str) -> str:
    """Text that is shown when its title is clicked."""
    return f"<details><summary>{title}</summary>\n\n{text}\n</details>\n" if text else ""


def short(task: str) -> str:
    """The name of a task without its family and version."""
    return task.partition("/")[2].rpartition("-v")[0] or task


def verdict(row: Row) -> str:
    """What became of the bar of a row; "" where it has none."""
    if not known(row["bar"]):
        return ""
    return {1.0: "met", 0.0: "**not met**"}.get(row["met"], "too few clips")


def mark(row: Row) -> str:
    """A sign for what became of the bar of a row; "" where it has none."""
    return {"": "", "met": " ✓", "too few clips": " ?"}.get(verdict(row), " ✗")


def two_lines(first: str, second: str) -> str:
    """Two lines of a cell, the second one small."""
    return f"{first}<br><small>{second.strip()}</small>"


def auroc(row: Row, bars: bool = False) -> str:
    """Chance and whether the bar is met; in a second line the interval, and of how many clips."""
    if not known(row["auroc"]):
        return ""
    return two_lines(f"{row['auroc']:.3f}{mark(row) if bars else ''}", f"{interval(row, 3)} of {row['clips']:.0f}")


def plain_auroc(row: Row) -> str:
    """Chance and number of clips in one line."""
    return f"{row['auroc']:.3f} ({row['clips']:.0f})" if known(row["auroc"]) else ""


def located(row: Row) -> str:
    """Share of located events with its lower bound."""
    if not known(row["located"]):
        return ""
    return two_lines(f"{row['located']:.0%}{mark(row)}", f"at least {row['located_low']:.0%}")


def broken(row: Row, bars: bool = False) -> str:
    """Share of the clips that break a law at every tolerance, and what became of the bar."""
    if not known(row["broken"]):
        return ""
    share = f"{row['broken']:.0%}"
    return two_lines(f"{share}{mark(row)}", f"at least {row['bar']:.0%}") if bars and verdict(row) else share


def number(value: float, places: int = 2) -> str:
    """A number with so many places, and no minus before nought; "" for none."""
    return f"{round(value, places) + 0.0:.{places}f}" if known(value) else ""


def skill(row: Row | None, bars: bool = False, places: int = 2) -> str:
    """Skill with its interval, and what became of the bar."""
    if row is None or not known(row["value"]):
        return ""
    asked = f" (at most {row['bar']:.2f})" if bars and known(row["bar"]) else ""
    value, between = f"{number(row['value'], places)}{mark(row) if asked else ''}", f"{interval(row, places)}{asked}"
    return two_lines(value, between) if between else value


def interval(row: Row, places: int) -> str:
    """The 95 % interval of a row in brackets."""
    low, high = number(row["low"], places), number(row["high"], places)
    return f" [{low}, {high}]" if low and high else ""
