"""Gaming baselines: futures that know nothing of physics and are made to score well. None of them may have any skill.

Each is a function of a clip and the number of context frames to frames (T, H, W, 3). Those that move bodies know
positions and velocities at the hand-over, more than any model can read from its context, and nothing of what follows.
`straight-NAME` goes on at constant velocity for STRAIGHT s and then does what NAME does. `truth-straight` alone shows
ground truth, for TRUE_LEAD s: what a model that simulates nothing beyond that earns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.looks.known_looks import draw_still
from physbench.validation.extrapolations import (
    EXTRAPOLATIONS,
    Extrapolation,
    moving_bodies,
    scene_at_handover,
    stay,
    straight,
)
from physbench.validation.lawful_alternatives import ahead, frames_of
from physbench.validation.scenery_changes import filmed
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PALETTE, SCREEN_GREY

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Make = Callable[..., Image]  # of a clip and the number of context frames
# (clip, frames up to now (h, H, W, 3), how many of them are context, times (T,) s since then) -> frames (T, H, W, 3)
Picture = Callable[[Clip, Image, int, Array], Image]

STRAIGHT = 0.3  # s of constant velocity at the start of those that begin with it
TRUE_LEAD = 1.0  # s of ground truth
SHIVER = 0.02  # m, sd
PAN = 0.03  # of the picture's width a second
PALE = 0.5  # of its colour that is left


@dataclass(frozen=True)
class GamingBaseline:
    """A future with what it shows in a phrase."""

    name: str
    doc: str
    make: Make


# Pictures


def _background(clip: Clip) -> Image:
    return draw_still(scene_at_handover(clip.scene), clip.spec)


def loop(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The context frames, again and again."""
    seen = past[-context:]
    return np.asarray(seen[np.arange(len(times)) % len(seen)])


def reverse(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The past backwards, then still."""
    back = past[:-1][::-1]
    return np.asarray(back[np.minimum(np.arange(len(times)), len(back) - 1)])


def pingpong(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The context frames backwards, forwards, backwards ..."""
    seen = past[-context:]
    if len(seen) < 2:
        return loop(clip, past, context, times)
    order = np.concatenate([np.arange(len(seen))[::-1], np.arange(1, len(seen) - 1)])
    return np.asarray(seen[order[(np.arange(len(times)) + 1) % len(order)]])


def empty(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The background without any object."""
    return np.repeat(_background(clip)[None], len(times), axis=0)


def fade(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The last frame fades into the empty background within a second."""
    share = np.clip(times, 0, 1)[:, None, None, None]
    last, behind = past[-1].astype(np.float64), _background(clip).astype(np.float64)
    return np.asarray(np.rint((1 - share) * last + share * behind), dtype=np.uint8)


def flicker(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The last frame and the empty background in turn."""
    frames = np.repeat(past[-1:], len(times), axis=0)
    frames[1::2] = _background(clip)
    return frames


def ghost(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The mean of the context frames."""
    mean = np.rint(past[-context:].astype(np.float64).mean(axis=0)).astype(np.uint8)
    return np.repeat(mean[None], len(times), axis=0)


def black(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """Nothing at all."""
    return np.zeros((len(times), *past.shape[1:]), dtype=np.uint8)


def noise(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """Every value at random."""
    random = np.random.default_rng(clip.row.seed)
    return random.integers(0, 256, (len(times), *past.shape[1:]), dtype=np.uint8)


def one_hue(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """Every pixel in the hue of the first object."""
    colour = np.rint(np.array(PALETTE[clip.tracked_bodies[0].hue or 0]) * 255).astype(np.uint8)
    return np.broadcast_to(colour, (len(times), *past.shape[1:])).copy()


def curtain(clip: Clip, past: Image, context: int, times: Array) -> Image:
    """The last frame behind a dark screen that covers all but a rim."""
    frame = past[-1].copy()
    rim = max(1, min(frame.shape[:2]) // 10)
    frame[rim:-rim, rim:-rim] = round(SCREEN_GREY * 255)
    return np.repeat(frame[None], len(times), axis=0)


PICTURES: dict[str, Picture] = {
    each.__name__.replace("_", "-"): each
    for each in (loop, reverse, pingpong, empty, fade, flicker, ghost, black, noise, one_hue, curtain)
}


# Answers


def _drawn(clip: Clip, states: Array) -> Image:
    return frames_of(clip, states, scene_at_handover(clip.scene))


def _lead(clip: Clip, seconds: float) -> tuple[Array, Array, Array]:
    """States (F, N, 13) of the first seconds at constant velocity, the last (N, 13), and times (T - F,) s then.

    Where no frame lies in that time, there is no lead.
    """
    times, start = ahead(clip), clip.states[clip.handover]
    first = int((times <= seconds + 1e-9).sum())
    if not first:
        return np.empty((0, *start.shape)), start, times
    lead = straight(clip, start, times[:first])
    return lead, lead[-1], times[first:] - times[first - 1]


def _moved(tail: Extrapolation, clip: Clip, context: int, seconds: float = 0.0) -> Image:
    """An extrapolation after so many seconds of constant velocity."""
    lead, start, times = _lead(clip, seconds)
    return _drawn(clip, np.concatenate([lead, tail(clip, start, times)]))


def _shown(picture: Picture, clip: Clip, context: int, seconds: float = 0.0) -> Image:
    """A picture after so many seconds of constant velocity."""
    lead, _, times = _lead(clip, seconds)
    frames = _drawn(clip, lead) if len(lead) else clip.frames[:0]
    past = np.concatenate([clip.frames[: clip.handover + 1], frames])
    return np.concatenate([frames, picture(clip, past, context, times)])


def truth_straight(clip: Clip, context: int) -> Image:
    """Ground truth for a second, then everything goes straight on."""
    times = ahead(clip)
    first = int((times <= TRUE_LEAD + 1e-9).sum())
    if not first:
        return _moved(straight, clip, context)
    known = clip.states[clip.handover + 1 : clip.handover + 1 + first]
    later = straight(clip, known[-1], times[first:] - times[first - 1])
    return np.concatenate([clip.future()[:first], _drawn(clip, later)])


def pale(clip: Clip, context: int) -> Image:
    """Everything goes straight on and is half as colourful as it should be."""
    frames = _moved(straight, clip, context).astype(np.float64)
    grey = frames.mean(axis=-1, keepdims=True)
    return np.asarray(np.rint(grey + (frames - grey) * PALE), dtype=np.uint8)


def shiver(clip: Clip, context: int) -> Image:
    """Everything shivers where it is."""
    states = stay(clip, clip.states[clip.handover], ahead(clip))
    random = np.random.default_rng(clip.row.seed)
    for axis in PLANE_AXES[clip.scene.camera.view]:
        states[:, moving_bodies(clip), axis] += random.normal(0, SHIVER, (len(states), len(moving_bodies(clip))))
    return _drawn(clip, states)


def pan(clip: Clip, context: int) -> Image:
    """Everything goes straight on before a camera that pans slowly, which is no physics."""
    return filmed(_moved(straight, clip, context), ahead(clip), pan=PAN * clip.spec.width)


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").splitlines()[0]


def _each(
    make: Callable[..., Image], functions: Mapping[str, Extrapolation | Picture], without: tuple[str, ...] = ()
) -> list[GamingBaseline]:
    """A baseline of each function."""
    chosen = {name: function for name, function in functions.items() if name not in without}
    return [GamingBaseline(name, _first_line(each), partial(make, each)) for name, each in chosen.items()]


def _straight_first(tail: GamingBaseline) -> GamingBaseline:
    """A baseline after STRAIGHT s of constant velocity."""
    words = f"Constant velocity for {STRAIGHT:g} s, then {tail.doc[:1].lower()}{tail.doc[1:]}"
    return GamingBaseline(f"straight-{tail.name}", words, partial(tail.make, seconds=STRAIGHT))


def _all() -> dict[str, GamingBaseline]:
    pictures = _each(_shown, PICTURES)
    others = [
        GamingBaseline(each.__name__.replace("_", "-"), _first_line(each), each)
        for each in (pale, shiver, pan, truth_straight)
    ]
    moved = _each(_moved, EXTRAPOLATIONS, without=("stay",))  # a freeze
    tails = [*_each(_moved, EXTRAPOLATIONS, without=("straight", "accelerate", "turn", "limp", "hide")), *pictures]
    return {each.name: each for each in (*pictures, *others, *moved, *map(_straight_first, tails))}


GAMING_BASELINES = _all()
