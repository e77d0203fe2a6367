"""The readings of a clip whose motion shadowing cannot judge."""

from __future__ import annotations

from physbench.clips.clip import Clip
from physbench.scoring.scorer_protocol import Reading
from physbench.shadowing import Shadowing, why_not


def not_modelled(clip: Clip) -> Reading:
    """The reading of a clip that cannot be shadowed, with the reason."""
    return Reading(None, "not applicable", f"cannot be shadowed: {why_not(clip)}")


def nothing_due(shadowing: Shadowing) -> Reading:
    """The reading of a clip in which no moving object is visible for long enough to be judged."""
    brief = "the context shows no velocity, and ground truth shows moving objects too briefly to fit a segment"
    return Reading(
        None, "not applicable", brief if shadowing.problem.seen.too_brief else "no moving object should be visible"
    )
