"""Skill of the best of K samples: reported beside the score, never in its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from physbench.results.estimates import ANCHORS, Fixed, rounded
from physbench.results.schema import BestOf
from physbench.results.skill import clip_qualities, kinds, skills, task_means

if TYPE_CHECKING:
    import pandas as pd


def best_of(
    tables: Mapping[str, pd.DataFrame], incomplete: str, fixed: Fixed | None = None, unasked: Collection[str] = ()
) -> BestOf | None:
    """Skill of the best sample of each clip and axis; None for one sample a clip.

    incomplete: why there is no overall skill; "" where there is one. unasked: axes that are no part of it.
    """
    import pandas as pd

    model = tables["model"]
    samples = int(model["sample"].nunique())
    if samples < 2:
        return None
    rows = model[model["axis"].notna()].sort_values(["quality", "sample"], ascending=[False, True], na_position="last")
    best = rows.drop_duplicates(["clip", "axis"])
    # Other readings, such as events, are those of all samples: a chosen one may be right because nothing happens in it.
    sources = {
        "model": pd.concat([best, model[model["axis"].isna()]]),
        "constant-velocity": tables["constant-velocity"],
    }
    qualities = clip_qualities(sources, tables["truth"], tables["freeze"])
    asked = [a for a, axis in enumerate(qualities.axes) if axis not in unasked] if unasked else None
    found = skills(task_means(qualities.means(), qualities.counts()), kinds(qualities, fixed), 0, ANCHORS, asked)
    return BestOf(
        samples=samples,
        overall=None if incomplete else rounded(found.overall),
        axes={axis: rounded(found.axis[a]) for a, axis in enumerate(qualities.axes)},
    )
