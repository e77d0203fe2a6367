"""Worlds in which one thing is wrong, by a stated amount: what scorers are tested with.

    acts = find_acts("teleport:0.25")
    wrong = violate(clip.scene, acts, clip.id)
    wrong.events                       # when, and with which body
    wrong.frames(clip.times, clip.spec)

Until the event, states and frames are bit-identical to the clip's. See docs/design/violations.md.
"""

from __future__ import annotations

from importlib import import_module

from physbench.validity.violations.violation_apply import LEAST_EFFECT, Violated, find_acts, violate
from physbench.validity.violations.violation_plan import (
    REGISTRY,
    Act,
    CandidateEvents,
    Inapplicable,
    Unseen,
    Violation,
    ViolationEvent,
    ViolationPlan,
    candidate_events,
    violation,
)

for _catalogue in ("motion", "looks"):  # the order in which they are listed
    import_module(f"{__name__}.violation_{_catalogue}")

__all__ = [
    "LEAST_EFFECT",
    "REGISTRY",
    "Act",
    "CandidateEvents",
    "Inapplicable",
    "Unseen",
    "Violated",
    "Violation",
    "ViolationEvent",
    "ViolationPlan",
    "candidate_events",
    "find_acts",
    "violate",
    "violation",
]
