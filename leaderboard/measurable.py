"""Whether a size and a rate are measured well enough to be ranked: ground truth itself must be lawful there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from physbench.errors import UsageError
from physbench.scoring.reading_roles import reading_of

if TYPE_CHECKING:
    import pandas as pd

LEAST_EXPLAINED = 0.98  # of ground truth, mean over its clips
MOST_BROKEN = 0.05  # of its clips


def refuse_unmeasurable(source: Path, spec: object, context: int, truth: pd.DataFrame) -> None:
    """Raise UsageError where no model is ranked at this size and rate. source: for the message."""
    reason = why_not_ranked(truth)
    if reason:
        raise UsageError(
            f"{source}: {spec} with {context} context frames is not ranked: {reason}. Use larger frames, or a higher "
            "rate."
        )


def why_not_ranked(truth: pd.DataFrame) -> str | None:
    """Why no model is ranked at the size, rate and context of these scores of ground truth; None where models are.

    A clip of ground truth that could not be read counts as unexplained and as broken.
    """
    read = truth[truth["status"] != "not applicable"]
    explained = reading_of("explained-share")
    # The scorer's own reading has a row where its further ones have none: it failed.
    clips = read.loc[read["reading"] == reading_of("lawfulness"), "clip"]
    known = read[read["status"] == "ok"].set_index("clip")
    if clips.empty or not (known["reading"] == explained).any():
        return f"ground truth has no {explained}, which shows whether it is lawful"
    shares = known.loc[known["reading"] == explained, "value"].reindex(clips).fillna(0.0)
    breaks = known.loc[known["reading"] == reading_of("first-break"), "reason"].reindex(clips).fillna("unread")
    broken = (breaks != "").mean()
    if shares.mean() < LEAST_EXPLAINED:
        return f"of ground truth {shares.mean():.1%} is explained as lawful, and {LEAST_EXPLAINED:.0%} is required"
    if broken > MOST_BROKEN:
        return f"{broken:.0%} of the clips of ground truth have a break, and at most {MOST_BROKEN:.0%} may"
    return None
