"""Strength beside skill: the median over clips of the smallest tolerance without a break, by family and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from physbench.results.estimates import rounded
from physbench.results.read_run import REFERENCE_MODELS
from physbench.results.schema_parts import StrengthResult, StrengthValue
from physbench.scoring.reading_roles import reading_of

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 2.0  # diameters, of what breaks at every tolerance that is tried


def strength_of_run(tables: Mapping[str, pd.DataFrame]) -> StrengthResult | None:
    """Strength of the model and of its references on the same clips; None where none was read."""
    truth, model = (_by_clip(tables[name]) for name in ("truth", "model"))
    if truth.empty or model.empty:
        return None
    own = model.reindex(truth.index).dropna()
    tasks = own.index.get_level_values("task")
    families = tasks.str.split("/").str[0]
    return StrengthResult(
        all=_value(own),
        families={str(name): _value(own[families == name]) for name in dict.fromkeys(families)},
        tasks={str(name): _value(own[tasks == name]) for name in dict.fromkeys(tasks)},
        references={
            name: _value(_by_clip(tables[name]).reindex(own.index).dropna()).median
            for name in REFERENCE_MODELS
            if name in tables
        },
    )


def strength_text(found: Mapping[str, object] | None) -> str:
    """ "0.23": a median; a dash for none, and "2 or more" where most clips break at every tolerance."""
    median = None if found is None else found["median"]
    if not isinstance(median, float | int):
        return "–"
    return "2 or more" if median >= LARGEST else f"{median:.2f}"


def _by_clip(table: pd.DataFrame) -> pd.Series[float]:
    """Strength of each clip, mean over its samples, LARGEST for one that failed, indexed by (task, clip)."""
    rows = table[
        (table["reading"] == reading_of("strength")) & (table["value"].notna() | (table["status"] == "failed"))
    ]
    return rows["value"].astype(float).fillna(LARGEST).groupby([rows["task"], rows["clip"]]).mean()


def _value(values: pd.Series[float]) -> StrengthValue:
    if values.empty:
        return StrengthValue(median=None, quartiles=None, clips=0)
    low, high = (rounded(values.quantile(share)) for share in (0.25, 0.75))
    quartiles = None if low is None or high is None else (low, high)
    return StrengthValue(median=rounded(values.median()), quartiles=quartiles, clips=len(values))
