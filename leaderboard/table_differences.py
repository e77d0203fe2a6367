"""Two score tables beside each other: which rows only one of them has, and which differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from physbench.results.read_run import ROW_KEY

if TYPE_CHECKING:
    import pandas as pd

CLOSE = 1e-6  # of a reading or a quality: absolute, and relative where it is larger than 1
COMPARED_WORDS = ("task", "split", "seed", "axis", "unit", "status", "reason")
COMPARED_NUMBERS = ("value", "quality")


@dataclass(frozen=True)
class TableDifference:
    """What is not the same in two tables of the same clips."""

    rows: int  # that are compared
    different: int  # rows that one of them lacks, or that differ
    first: str  # in words; "" where there is none
    largest: float  # difference of numbers in rows that agree


def compare_tables(sent: pd.DataFrame, made: pd.DataFrame, whose: str = "") -> TableDifference:
    """Compare a table that was sent with one that was made here. Both have the fields of ScoreRow, each row once."""
    a, b = (table.set_index(ROW_KEY).sort_index() for table in (sent, made))
    missing, extra = b.index.difference(a.index), a.index.difference(b.index)
    both = a.index.intersection(b.index)
    a, b = a.loc[both], b.loc[both]
    wrong, largest = np.zeros(len(both), dtype=bool), 0.0
    first_field = np.full(len(both), "", dtype=object)
    for name in (*COMPARED_WORDS, *COMPARED_NUMBERS):
        if name in COMPARED_NUMBERS:
            x, y = (table[name].to_numpy(dtype=np.float64) for table in (a, b))
            with np.errstate(invalid="ignore"):
                gap = np.abs(x - y)
                off = (gap > CLOSE * np.maximum(1.0, np.abs(y))) | (np.isnan(x) != np.isnan(y))
            largest = max(largest, float(np.nanmax(np.where(off, 0.0, gap), initial=0.0)))
        else:
            x, y = (table[name].astype(object).where(table[name].notna(), None).to_numpy() for table in (a, b))
            off = np.array([p != q for p, q in zip(x, y, strict=True)], dtype=bool)
        first_field[off & ~wrong] = name
        wrong |= off
    first = ""
    if len(extra):
        first = f"{_name(extra[0], whose)} should not be there"
    elif len(missing):
        first = f"{_name(missing[0], whose)} is missing"
    elif wrong.any():
        at = int(wrong.argmax())
        field = str(first_field[at])
        said, found = a[field].iloc[at], b[field].iloc[at]
        first = f"{_name(both[at], whose)}: {field} {_text(said)} was sent, and {_text(found)} is right"
    return TableDifference(len(both), len(extra) + len(missing) + int(wrong.sum()), first, largest)


def _name(key: tuple[object, ...], whose: str) -> str:
    clip, sample, reading = key
    of = f" of {whose}" if whose else ""
    return f"{reading}{of} on {clip}" + (f", sample {sample}" if sample else "")


def _text(value: object) -> str:
    if isinstance(value, float):
        return "none" if np.isnan(value) else f"{value:.9g}"
    return "none" if value is None else repr(str(value)[:120])
