"""The published validity tables: what lies in docs/validity, and looking up what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physbench.validation.sources import LOW_RATE
from physbench.validation.table_file import TableHeader, read_table
from physbench.validation.violations import REGISTRY

MAIN = "128px"  # the table that bars are about
IMAGE = "image"  # the one behind a single frame
ORDER = (MAIN, "64px", "h264", IMAGE)  # others behind them
GROUPS = {
    "forces": "Forces",
    "motion": "Inertia",
    "contacts": "Contacts",
    "time": "Time",
    "looks": "Permanence and identity in view",
    "return": "Behind a screen",
    "picture": "Pictures (no law is broken)",
}

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Published:
    """A table: `NAME.parquet`, and what `NAME-*.parquet` have beside it."""

    name: str
    headers: tuple[TableHeader, ...]
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Size, rate and codec, and whether it is behind a single frame."""
        head = self.headers[0]
        size, rate = head.spec.split("@")
        codec = "" if head.crf is None else f", H.264 crf {head.crf}"
        behind = ", behind an image" if head.context == 1 else ""
        return f"{size.partition('x')[0]} px, {rate} frames/s{codec}{behind}"

    @property
    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)

    def sources(self, *kinds: str) -> list[str]:
        """Names, violations by group, name and severity, others as they come; none at a low rate."""
        names = dict.fromkeys(row["source"] for row in self.rows if row["kind"] in kinds)
        usual = [name for name in names if not name.endswith(LOW_RATE)]
        return sorted(usual, key=_place) if set(kinds) <= {"violation", "picture"} else usual

    def families(self) -> list[str]:
        return sorted({row["family"] for row in self.rows} - {"*"})

    def find(self, level: str, source: str, reading: str, where: str = "*") -> Row | None:
        """The row of a cell. where: a family or a task, if the level has them."""
        return self._index.get((level, source, reading, where))

    @cached_property
    def _index(self) -> dict[tuple[str, str, str, str], Row]:
        place = {"family": "family", "task": "task", "false breaks": "task"}
        return {
            (r["level"], r["source"], r["reading"], r[place[r["level"]]] if r["level"] in place else "*"): r
            for r in self.rows
        }


def published(folder: Path) -> dict[str, Published]:
    """Tables by name. What several files of a table have is taken from the first of them."""
    names: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.parquet"), key=lambda path: path.stem):
        names.setdefault(path.stem.partition("-")[0], []).append(path)
    order = sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return {name: _together(name, names[name]) for name in order}


def _together(name: str, paths: Sequence[Path]) -> Published:
    read = [read_table(path) for path in paths]
    known: set[str] = set()
    rows: list[Row] = []
    for table, _ in read:
        rows += [row for row in table.to_dict("records") if row["source"] not in known]
        known |= set(table["source"])
    return Published(name, tuple(header for _, header in read), tuple(rows))


def grouped(sources: Iterable[str]) -> dict[str, list[str]]:
    """Violations under the titles of their groups; those that are several at once under one of their own."""
    found: dict[str, list[str]] = {}
    for source in sources:
        name = source.partition(":")[0]
        title = "Several at once" if "+" in source else GROUPS[REGISTRY[name].group]
        found.setdefault(title, []).append(source)
    return found


def _place(source: str) -> tuple[int, int, float]:
    """Where a violation stands among others; several at once stand behind all."""
    if "+" in source:
        return len(GROUPS), 0, 0.0
    name, _, severity = source.partition(":")
    return list(GROUPS).index(REGISTRY[name].group), list(REGISTRY).index(name), float(severity)


def known(value: object) -> bool:
    """Whether a cell of a row holds a number."""
    return isinstance(value, int | float) and bool(np.isfinite(value))
