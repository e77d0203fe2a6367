"""Worlds in which one thing is wrong, by a stated amount: what scorers are tested with.

    acts = find_acts("teleport:0.25")
    wrong = violate(clip.scene, acts, clip.id)
    wrong.events                       # when, and with which body
    wrong.frames(clip.times, clip.spec)

Until the event, states and frames are bit-identical to the clip's. See docs/design/violations.md.
"""

from __future__ import annotations

from physbench.world.violations import (  # noqa: F401 - each declares its violations
    clocks,
    contacts,
    forces,
    looks,
    motion,
    pictures,
    returning,
)
from physbench.world.violations.plot import REGISTRY, Act, Event, Inapplicable, Plot, Unseen, Violation, violation
from physbench.world.violations.staging import LEAST_EFFECT, Violated, find_acts, violate
from physbench.world.violations.truth import Truth, truth_of

__all__ = [
    "LEAST_EFFECT",
    "REGISTRY",
    "Act",
    "Event",
    "Inapplicable",
    "Plot",
    "Truth",
    "Unseen",
    "Violated",
    "Violation",
    "find_acts",
    "truth_of",
    "violate",
    "violation",
]
