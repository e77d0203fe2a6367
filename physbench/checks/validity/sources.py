"""Where frames come from that scorers are tested with: ground truth, strangers, cheats and violated worlds, by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from physbench.checks.validity.cheats import CHEATS
from physbench.checks.validity.strangers import far, frames_of, near
from physbench.clips.clip import Clip
from physbench.errors import UsageError, nearest
from physbench.world.violations import REGISTRY, Event, find_acts, violate

Image = NDArray[np.uint8]
Kind = Literal["reference", "stranger", "violation", "picture", "cheat"]

NEAR, FAR = ("stranger-near", "stranger-near-2"), ("stranger-far",)
REFERENCES = ("truth", "freeze")


@dataclass(frozen=True, eq=False)
class Shown:
    """A continuation of a clip."""

    frames: Image  # (T, H, W, 3)
    events: tuple[Event, ...] = ()  # of violations
    distance: float | None = None  # diameters from ground truth, of a stranger


def show(clip: Clip, context: int, source: str) -> Shown:
    """The continuation of a clip by a source. Raises Inapplicable where it has nothing to do there."""
    if source == "truth":
        return Shown(clip.future())
    if source == "freeze":
        return Shown(np.repeat(clip.frames[clip.handover][None], clip.horizon, axis=0))
    if source in NEAR or source in FAR:
        stranger = near(clip, context, NEAR.index(source)) if source in NEAR else far(clip, context)
        return Shown(frames_of(clip, stranger.states), distance=stranger.distance)
    if source.startswith("cheat-"):
        return Shown(CHEATS[source.removeprefix("cheat-")].make(clip, context))
    world = violate(clip.scene, find_acts(source), clip.id)
    world.refuse_unseen(clip.times, clip.states)
    # Frames up to the first event are lawful: they are the clip's own.
    first = min(event.time for event in world.events)
    frames, late = clip.frames.copy(), clip.times > first + 1e-9
    if late.any():
        frames[late] = world.frames(clip.times[late], clip.spec)
    return Shown(frames[clip.handover + 1 :], world.events)


def kind(source: str) -> Kind:
    """What a source is: pictures are violations of no law."""
    if source in REFERENCES:
        return "reference"
    if source.startswith("stranger-"):
        return "stranger"
    if source.startswith("cheat-"):
        return "cheat"
    return "picture" if all(act.violation.lawful for act in find_acts(source)) else "violation"


def all_sources(*, severities: bool = True) -> tuple[str, ...]:
    """Names of all violations (every severity, or the main one), strangers and cheats."""
    acts = [act for violation in REGISTRY.values() for act in violation.acts]
    chosen = [act.id for act in acts if severities or act.severity == act.violation.main]
    return (*chosen, *FAR, *(f"cheat-{name}" for name in CHEATS))


def find_sources(text: str) -> tuple[str, ...]:
    """Sources that names or globs, separated by commas, select.

    "gravity" and "grav*" are violations at their main severity, "gravity:*" at all, "gravity:0.97" at any, "a+b" two at
    once; "cheat-*" and "stranger-far" are those. Raises UsageError with the nearest names.
    """
    found: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        main = {name.partition(":")[0]: name for name in all_sources(severities=False)}
        hits = [name for name in all_sources() if fnmatchcase(name, part)] if ":" in part else []
        hits = hits or [name for short, name in main.items() if fnmatchcase(short, part)]
        if not hits and part.split("+")[0].partition(":")[0] in REGISTRY and not any(sign in part for sign in "*?["):
            hits = ["+".join(act.id for act in find_acts(part))]
        if not hits:
            close = difflib.get_close_matches(part.partition(":")[0], main, n=3)
            raise UsageError(f"No violation, stranger or cheat matches '{part}'.{nearest(part, close or main)}")
        found += hits
    return tuple(dict.fromkeys(found))
