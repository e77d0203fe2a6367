"""Whether a size and a rate are measured well enough to be ranked: ground truth itself has to read as lawful there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PARENT = "consistency/shadowing"  # has a row where its further readings have none: it failed
EXPLAINED = "consistency/shadowing.explained"  # share of due time on lawful segments, mean of the tolerances
FIRST_BREAK = "consistency/shadowing.first-break"  # at the smallest tolerance; its reason names the body that breaks
LEAST_EXPLAINED = 0.98  # of ground truth, mean over its clips
MOST_BROKEN = 0.05  # of its clips


def why_not_ranked(truth: pd.DataFrame) -> str | None:
    """Why nobody is ranked at the size, rate and context of these scores of ground truth; None where all are.

    A clip of ground truth that could not be read is unexplained, and broken.
    """
    read = truth[truth["status"] != "not applicable"]
    explained = read.loc[read["reading"].isin((EXPLAINED, PARENT)), ["clip", "reading", "value"]]
    wide = explained.pivot_table(index="clip", columns="reading", values="value", aggfunc="first", dropna=False)
    if wide.empty or EXPLAINED not in wide:
        return f"ground truth has no {EXPLAINED}, which tells whether it reads as lawful"
    shares = wide[EXPLAINED].fillna(0.0)
    breaks = read[(read["reading"] == FIRST_BREAK) & (read["status"] == "ok")].set_index("clip")["reason"]
    broken = (breaks.reindex(shares.index).fillna("unread") != "").mean()
    if shares.mean() < LEAST_EXPLAINED:
        return f"of ground truth {shares.mean():.1%} is explained as lawful, and {LEAST_EXPLAINED:.0%} is asked for"
    if broken > MOST_BROKEN:
        return f"{broken:.0%} of the clips of ground truth read as broken, and at most {MOST_BROKEN:.0%} may"
    return None
