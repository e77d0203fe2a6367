"""Sources of frames that scorers are tested with: ground truth, lawful alternatives, gaming
baselines, violated worlds and frames at wrong times, by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from physbench.clips.clip import Clip
from physbench.support.arrays import Image
from physbench.support.errors import UsageError, nearest
from physbench.validity.gaming_baselines import GAMING_BASELINES
from physbench.validity.lawful_alternatives import (
    FRAME_SHIFTS,
    far,
    find_frame_shift,
    frames_of,
    is_frame_shift,
    near,
    timed_frames,
)
from physbench.validity.thresholds import BARS
from physbench.validity.violations import REGISTRY, Inapplicable, Unseen, ViolationEvent, find_acts, violate

Kind = Literal["reference", "stranger", "violation", "timing", "picture", "cheat"]

WAIVED = "stranger-far-waived"  # its context is one frame, unlike that of ground truth: only its quality counts
NEAR_ALTERNATIVES, FAR_ALTERNATIVES = ("stranger-near", "stranger-near-2"), ("stranger-far", WAIVED)
REFERENCES = ("truth", "freeze")
LOW_RATE, LOW_FPS = "@4", 4.0  # after the name of what is shown at so few frames a second
LASTING = ("gravity:0.9", "central-mass:0.95", "force-exponent:1.8", "speed-gain:0.5", "slow-time:0.8")  # that are


@dataclass(frozen=True, eq=False)
class SourceFrames:
    """A continuation of a clip."""

    frames: Image  # (T, H, W, 3)
    events: tuple[ViolationEvent, ...] = ()  # of violations
    distance: float | None = None  # diameters from ground truth, of a lawful alternative
    unseen: str = ""  # why it cannot be seen
    context: int | None = None  # frames of context that it is read with, where they are not those that it was made for


def at_rate(source: str, fps: float, context: int) -> tuple[float, int]:
    """Frames a second and context frames at which a source is shown: about the same time at a low rate, two at least.

    Two show a speed.
    """
    return (LOW_FPS, max(2, round(context * LOW_FPS / fps))) if source.endswith(LOW_RATE) else (fps, context)


def show(clip: Clip, context: int, source: str) -> SourceFrames:
    """The continuation of a clip by a source. Raises Inapplicable where it has nothing to do there."""
    source = source.removesuffix(LOW_RATE)
    if source == "truth":
        return SourceFrames(clip.future())
    if source == "freeze":
        return SourceFrames(np.repeat(clip.frames[clip.handover][None], clip.horizon, axis=0))
    if source in NEAR_ALTERNATIVES or source in FAR_ALTERNATIVES:
        # One frame shows no velocity, so that the declared jump is none.
        frames_seen = 1 if source == WAIVED else context
        alternative = (
            near(clip, frames_seen, NEAR_ALTERNATIVES.index(source))
            if source in NEAR_ALTERNATIVES
            else far(clip, frames_seen)
        )
        frames = frames_of(clip, alternative.states, alternative.scene)
        return SourceFrames(frames, distance=alternative.distance, context=frames_seen if source == WAIVED else None)
    if source.startswith("cheat-"):
        return SourceFrames(GAMING_BASELINES[source.removeprefix("cheat-")].make(clip, context))
    if is_frame_shift(source):
        return SourceFrames(timed_frames(clip, source))
    world = violate(clip.scene, find_acts(source), clip.id)
    unseen = ""
    try:
        world.refuse_unseen(clip.times, clip.states)
    except Unseen as reason:
        unseen = str(reason)
    # Frames up to the first event are lawful: they are the clip's own.
    first = min(event.time for event in world.events)
    frames, late = clip.frames.copy(), clip.times > first + 1e-9
    if late.any():
        frames[late] = world.frames(clip.times[late], clip.spec)
    if not unseen and np.array_equal(frames, clip.frames):  # size:1, hue:360
        raise Inapplicable("it changes no pixel here")
    return SourceFrames(frames[clip.handover + 1 :], world.events, unseen=unseen)


def kind(source: str) -> Kind:
    """Kind of a source: pictures are violations of no law."""
    source = source.removesuffix(LOW_RATE)
    if source in REFERENCES:
        return "reference"
    if source.startswith("stranger-"):
        return "stranger"
    if source.startswith("cheat-"):
        return "cheat"
    if is_frame_shift(source):
        return "timing"
    return "picture" if all(act.violation.lawful for act in find_acts(source)) else "violation"


def sets_in(source: str) -> bool:
    """True if a violation happens at a moment at which a break can be: other forces and surfaces tell later."""
    names = [act.partition(":")[0] for act in source.removesuffix(LOW_RATE).split("+")]
    if is_frame_shift(source):
        return False
    return all(REGISTRY[name].group != "forces" and name not in ("friction", "restitution") for name in names)


def all_sources(*, severities: bool = True) -> tuple[str, ...]:
    """Names of all violations and of all that is wrong with the timing of frames (every severity, or the main one),
    lasting violations at a low rate, lawful alternatives and gaming baselines."""
    acts = [act for violation in REGISTRY.values() for act in violation.acts]
    chosen = [act.id for act in acts if severities or act.severity == act.violation.main]
    timed = [(id, shift) for shift in FRAME_SHIFTS.values() for id in shift.ids()]
    return (
        *chosen,
        *(id for id, shift in timed if severities or id == f"{shift.name}:{shift.main:g}"),
        *(name + LOW_RATE for name in LASTING),
        *FAR_ALTERNATIVES,
        *(f"cheat-{name}" for name in GAMING_BASELINES),
    )


def find_sources(text: str) -> tuple[str, ...]:
    """Sources that names or globs, separated by commas, select.

    "gravity" and "grav*" are violations at their main severity, "gravity:*" at all, "gravity:0.97" at any, "a+b" two at
    once; "gravity@4" is shown at 4 frames a second, "cheat-*" and "stranger-far" are those, "bars" are all that a bar
    is declared for. Raises UsageError with the nearest names.
    """
    parts = [part for part in (part.strip() for part in text.split(",")) if part]
    if not parts:
        raise UsageError("Expected names of violations or other sources: gravity, teleport:0.3, cheat-*, or *.")
    return tuple(dict.fromkeys(source for part in parts for source in _matching(part)))


def _matching(part: str) -> tuple[str, ...]:
    """Sources that one name or glob selects."""
    every = all_sources()
    if part == "bars":
        lasting = [each.removesuffix(LOW_RATE) for each in every if each.endswith(LOW_RATE)]
        held = [s for s in every if s.endswith(LOW_RATE) or s.startswith("cheat-")]  # against other sources
        return tuple(s for s in every if s in lasting or s in held or any(bar.names(s) for bar in BARS))
    name, low = part.removesuffix(LOW_RATE), part.endswith(LOW_RATE)
    full = [source for source in every if source.endswith(LOW_RATE) == low]
    plain = [source.removesuffix(LOW_RATE) for source in full]
    hits = [source for source in plain if fnmatchcase(source, name)] if ":" in name else []
    main = {s.removesuffix(LOW_RATE).partition(":")[0]: s for s in all_sources(severities=False) if s in full}
    hits = hits or [main[short].removesuffix(LOW_RATE) for short in main if fnmatchcase(short, name)]
    if part == "*":
        hits = list(all_sources(severities=False))
    words = [word.partition(":")[0] for word in name.split("+")]
    alone = [word for word in words if word in FRAME_SHIFTS or word.startswith(("cheat-", "stranger-"))]
    if alone and len(words) > 1:
        why = ": it shows frames of ground truth at wrong times" if alone[0] in FRAME_SHIFTS else ""
        raise UsageError(f"'{part}': only violations go together, as in hue+kick, and {alone[0]} is none{why}.")
    if not hits and is_frame_shift(name):
        find_frame_shift(name)
        hits = [name]
    if not hits and not any(sign in name for sign in "*?[") and words[0] in REGISTRY:
        hits = ["+".join(act.id for act in find_acts(name))]
    if not hits:
        close = difflib.get_close_matches(name.partition(":")[0], main, n=3)
        raise UsageError(
            f"No violation, lawful alternative or gaming baseline matches '{part}'.{nearest(part, close or main)}"
        )
    return tuple(hit + LOW_RATE if low else hit for hit in hits)
