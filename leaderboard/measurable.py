"""Whether a size and a rate are measured well enough to be ranked: ground truth itself has to read as lawful there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

EXPLAINED = "consistency/shadowing.explained"  # share of due time on lawful segments, mean of the tolerances
FIRST_BREAK = "consistency/shadowing.first-break"  # at the smallest tolerance; its reason names the body that breaks
LEAST_EXPLAINED = 0.98  # of ground truth, mean over its clips
MOST_BROKEN = 0.05  # of its clips


def why_not_ranked(truth: pd.DataFrame) -> str | None:
    """Why nobody is ranked at the size, rate and context of these scores of ground truth; None where all are."""
    read = truth[truth["status"] == "ok"]
    explained = read.loc[read["reading"] == EXPLAINED, "value"]
    named = read.loc[read["reading"] == FIRST_BREAK, "reason"]
    if explained.empty or named.empty:
        return f"ground truth has no {EXPLAINED} and {FIRST_BREAK}, which tell whether it reads as lawful"
    if explained.mean() < LEAST_EXPLAINED:
        return f"of ground truth {explained.mean():.1%} is explained as lawful, and {LEAST_EXPLAINED:.0%} is asked for"
    broken = (named != "").mean()
    if broken > MOST_BROKEN:
        return f"{broken:.0%} of the clips of ground truth read as broken, and at most {MOST_BROKEN:.0%} may"
    return None
