"""Whether a size and a rate are measured well enough to be ranked: ground truth itself has to read as lawful there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from physbench.results.time_to_first_break import FIRST_BREAK  # its reason names the body that breaks

if TYPE_CHECKING:
    import pandas as pd

PARENT = "consistency/shadowing"  # has a row where its further readings have none: it failed
EXPLAINED = "consistency/shadowing.explained"  # share of due time on lawful segments, mean of the tolerances
LEAST_EXPLAINED = 0.98  # of ground truth, mean over its clips
MOST_BROKEN = 0.05  # of its clips


def why_not_ranked(truth: pd.DataFrame) -> str | None:
    """Why nobody is ranked at the size, rate and context of these scores of ground truth; None where all are.

    A clip of ground truth that could not be read is unexplained, and broken.
    """
    read = truth[truth["status"] != "not applicable"]
    clips, known = read.loc[read["reading"] == PARENT, "clip"], read[read["status"] == "ok"].set_index("clip")
    if clips.empty or not (known["reading"] == EXPLAINED).any():
        return f"ground truth has no {EXPLAINED}, which tells whether it reads as lawful"
    shares = known.loc[known["reading"] == EXPLAINED, "value"].reindex(clips).fillna(0.0)
    breaks = known.loc[known["reading"] == FIRST_BREAK, "reason"].reindex(clips).fillna("unread")
    broken = (breaks != "").mean()
    if shares.mean() < LEAST_EXPLAINED:
        return f"of ground truth {shares.mean():.1%} is explained as lawful, and {LEAST_EXPLAINED:.0%} is asked for"
    if broken > MOST_BROKEN:
        return f"{broken:.0%} of the clips of ground truth read as broken, and at most {MOST_BROKEN:.0%} may"
    return None
