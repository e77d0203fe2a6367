"""Gaming baselines: futures that know nothing of physics and are made to score well. None may have any skill.

Each is a function of a clip and the number of context frames to frames (T, H, W, 3). Those that move bodies know
positions and velocities at the hand-over, more than any model can read from its context, and nothing of what follows.
`straight-NAME` goes on at constant velocity for 0.3 s and then does what NAME does. `truth-straight` alone shows
ground truth, for 1 s: what a model that simulates nothing beyond that earns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from physbench.clips.clip import Clip
from physbench.shadowing.observed_motion import (
    NaiveExtrapolation,
    constant_acceleration,
    constant_turn,
    motion_at_handover,
)
from physbench.support.arrays import Array, Image
from physbench.validity.lawful_alternatives import ahead, filmed, frames_of
from physbench.validity.violations import Inapplicable
from physbench.world.camera import PLANE_AXES
from physbench.world.geometry import gap
from physbench.world.scene import PALETTE, SCREEN_GREY, Scene
from physbench.world.styles.catalogue import draw_still

# Extrapolations that know nothing of physics: how gaming baselines go on from the hand-over.
#
# An extrapolation is a function of a clip, states (N, 13) from where on and times (T,) s since then to states (T, N,
# 13).

Extrapolation = Callable[[Clip, Array, Array], Array]


@dataclass(frozen=True)
class CheatSizes:
    """Sizes of what gaming baselines do."""

    exit: float = 12.0  # m/s: out of view within 0.3 s
    to_border: float = 1.0  # s
    limp: float = 1 / 3  # s
    steps: int = 400  # in which a fall is looked for
    straight: float = 0.3  # s of constant velocity at the start of those that begin with it
    true_lead: float = 1.0  # s of ground truth
    pan: float = 0.03  # of the picture's width a second


CHEAT = CheatSizes()


def scene_at_handover(scene: Scene) -> Scene:
    """A scene as it is at the hand-over: what will vanish later is there."""
    bodies = tuple(replace(b, until=None) if b.until is not None and b.until > 0 else b for b in scene.bodies)
    return replace(scene, bodies=bodies)


def moving_bodies(clip: Clip) -> list[int]:
    """Indices of the tracked bodies that move by themselves."""
    return [i for i in clip.tracked if clip.scene.bodies[i].role == "moving"]


def _falls(clip: Clip) -> bool:
    """True if gravity is seen to pull."""
    return clip.scene.camera.view == "front" and bool(np.any(clip.scene.gravity))


def stay(clip: Clip, start: Array, times: Array) -> Array:
    """Everything stays where it is."""
    states = np.repeat(start[None], len(times), axis=0)
    states[:, moving_bodies(clip), 7:] = 0.0
    return states


def rest(clip: Clip, start: Array, times: Array) -> Array:
    """Everything lies on what is below it, at once; where nothing falls, it stays where it is."""
    states = stay(clip, start, times)
    for i in moving_bodies(clip):
        states[:, i, 2] -= _fall(clip, start, i)
    return states


def _slide(clip: Clip, states: Array, start: Array, speed: float, times: Array) -> Array:
    """States (T, N, 13) with everything moved on at a speed in m/s, in the direction in which it moved."""
    bodies, axis, sign = _heading(clip, start)
    states[:, bodies, axis] += sign * speed * times[:, None]
    return states


def _heading(clip: Clip, start: Array) -> tuple[list[int], int, Array]:
    """Indices (B,) of the moving bodies, the first axis of the plane, and the sign (B,) of their motion along it."""
    bodies, axis = moving_bodies(clip), PLANE_AXES[clip.scene.camera.view][0]
    return bodies, axis, np.where(start[bodies, 7 + axis] < 0, -1.0, 1.0)


def roll(clip: Clip, start: Array, times: Array) -> Array:
    """Everything lies on what is below it and moves on slowly, in the direction in which it moved."""
    return _slide(clip, rest(clip, start, times), start, 0.15, times)  # m/s


def leave(clip: Clip, start: Array, times: Array) -> Array:
    """Everything leaves the view at once, in the direction in which it moved."""
    states = stay(clip, start, times)
    axes = list(PLANE_AXES[clip.scene.camera.view])
    for i in moving_bodies(clip):
        velocity = start[i, 7:10][axes]
        size = float(np.linalg.norm(velocity))
        way = velocity / size if size > 1e-6 else np.array([1.0, 0.0])
        if len(axes) == 2 and axes[1] == 2:  # from the front: not through the floor
            way = np.array([np.sign(way[0]) or 1.0, 0.0])
        states[:, i, axes] += CHEAT.exit * times[:, None] * way
    return states


def creep(clip: Clip, start: Array, times: Array) -> Array:
    """Everything moves on so slowly that it can pass for at rest."""
    return _slide(clip, stay(clip, start, times), start, 0.02, times)  # m/s


def straight(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line, through everything."""
    states = np.repeat(start[None], len(times), axis=0)
    bodies = moving_bodies(clip)
    states[:, bodies, :3] += start[bodies, 7:10] * times[:, None, None]
    return states


def drop(clip: Clip, start: Array, times: Array) -> Array:
    """Everything falls freely, through everything. Raises Inapplicable where nothing is seen to pull."""
    if not _falls(clip):
        raise Inapplicable("nothing falls in the plane of motion: it would go straight on")
    states = straight(clip, start, times)
    states[:, moving_bodies(clip), :3] += np.asarray(clip.scene.gravity) / 2 * (times**2)[:, None, None]
    return states


def accelerate(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on with the acceleration that it had in the last tenth of a second, through everything."""
    return _extrapolated(constant_acceleration, clip, start, times)


def turn(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on at its speed along the circle on which it was in the last tenth of a second."""
    return _extrapolated(constant_turn, clip, start, times)


def _extrapolated(extrapolation: NaiveExtrapolation, clip: Clip, start: Array, times: Array) -> Array:
    """States (T, N, 13) of everything that moves as a simple motion that was seen before the hand-over."""
    states, bodies = np.repeat(start[None], len(times), axis=0), moving_bodies(clip)
    velocity, before, span = motion_at_handover(clip)
    moved = extrapolation(velocity[bodies], before[bodies], span, times)
    for k, axis in enumerate(PLANE_AXES[clip.scene.camera.view]):
        states[:, bodies, axis] += moved[..., k]
    return states


def border(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes to the border of the view and stays there, half outside."""
    states, camera = stay(clip, start, times), clip.scene.camera
    bodies, axis, sign = _heading(clip, start)
    way = camera.center[axis] + sign * camera.width / 2 - start[bodies, axis]
    states[:, bodies, axis] = start[bodies, axis] + way * np.clip(times / CHEAT.to_border, 0, 1)[:, None]
    return states


def crowd(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes to one place and stays there, one thing in another."""
    states = stay(clip, start, times)
    bodies = moving_bodies(clip)
    goal = start[bodies, :3].mean(axis=0)
    share = np.clip(times / CHEAT.to_border, 0, 1)[:, None, None]
    states[:, bodies, :3] = (1 - share) * start[bodies, :3] + share * goal
    return states


def limp(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line for a third of a second and stays for another, again and again."""
    whole, part = np.divmod(times, 2 * CHEAT.limp)
    return straight(clip, start, CHEAT.limp * whole + np.minimum(part, CHEAT.limp))


def hide(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line, and stays once it is behind the middle of a screen."""
    states, axes = straight(clip, start, times), list(PLANE_AXES[clip.scene.camera.view])
    for screen in clip.scene.bodies:
        if screen.collides or screen.shape != "box" or screen.role != "fixed":
            continue
        away = np.abs(states[..., axes] - np.asarray(screen.position)[axes])  # (T, N, 2)
        for i in moving_bodies(clip):
            nearest = int(away[:, i, 0].argmin())
            if (away[nearest, i] < np.asarray(screen.size)[axes]).all():
                states[nearest:, i] = states[nearest, i]
    return states


EXTRAPOLATIONS: dict[str, Extrapolation] = {
    each.__name__: each
    for each in (stay, rest, roll, leave, creep, straight, accelerate, turn, drop, border, crowd, limp, hide)
}


def _fall(clip: Clip, start: Array, index: int) -> float:
    """Distance (m) that a body can fall until it meets something."""
    if not _falls(clip):
        return 0.0
    depths = np.linspace(0.0, 6.0, CHEAT.steps)
    places = start[index, :3] - depths[:, None] * np.array([0.0, 0.0, 1.0])
    free = np.ones(CHEAT.steps, dtype=bool)
    for i, other in enumerate(clip.scene.bodies):
        if i != index and other.collides and (other.until is None or other.until > 0):
            free &= gap(clip.scene.bodies[index], places, other, start[i, :3]) >= -1e-3
    blocked = np.flatnonzero(~free)
    return float(depths[max(blocked[0] - 1, 0)]) if len(blocked) else 0.0


Make = Callable[..., Image]  # of a clip and the number of context frames
# (clip, frames up to now (h, H, W, 3), how many of them are context, times (T,) s since then) -> frames (T, H, W, 3)
Picture = Callable[[Clip, Image, int, Array], Image]


@dataclass(frozen=True)
class GamingBaseline:
    """A future with what it shows in a phrase."""

    name: str
    doc: str
    make: Make


# Pictures


def _background(clip: Clip) -> Image:
    if clip.scene.camera.path:
        raise Inapplicable("the background without objects is that of a camera at rest")
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
    first = int((times <= CHEAT.true_lead + 1e-9).sum())
    if not first:
        return _moved(straight, clip, context)
    known = clip.states[clip.handover + 1 : clip.handover + 1 + first]
    later = straight(clip, known[-1], times[first:] - times[first - 1])
    return np.concatenate([clip.future()[:first], _drawn(clip, later)])


def pale(clip: Clip, context: int) -> Image:
    """Everything goes straight on and is half as colourful as it should be."""
    frames = _moved(straight, clip, context).astype(np.float64)
    grey = frames.mean(axis=-1, keepdims=True)
    return np.asarray(np.rint(grey + (frames - grey) * 0.5), dtype=np.uint8)  # of its colour that is left


def shiver(clip: Clip, context: int) -> Image:
    """Everything shivers where it is."""
    states = stay(clip, clip.states[clip.handover], ahead(clip))
    random = np.random.default_rng(clip.row.seed)
    for axis in PLANE_AXES[clip.scene.camera.view]:
        states[:, moving_bodies(clip), axis] += random.normal(0, 0.02, (len(states), len(moving_bodies(clip))))  # m, sd
    return _drawn(clip, states)


def pan(clip: Clip, context: int) -> Image:
    """Everything goes straight on before a camera that pans slowly, which is no physics."""
    return filmed(_moved(straight, clip, context), ahead(clip), pan=CHEAT.pan * clip.spec.width)


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").splitlines()[0]


def _each(
    make: Callable[..., Image], functions: Mapping[str, Extrapolation | Picture], without: tuple[str, ...] = ()
) -> list[GamingBaseline]:
    """A baseline of each function."""
    chosen = {name: function for name, function in functions.items() if name not in without}
    return [GamingBaseline(name, _first_line(each), partial(make, each)) for name, each in chosen.items()]


def _straight_first(tail: GamingBaseline) -> GamingBaseline:
    """A baseline after 0.3 s of constant velocity."""
    words = f"Constant velocity for {CHEAT.straight:g} s, then {tail.doc[:1].lower()}{tail.doc[1:]}"
    return GamingBaseline(f"straight-{tail.name}", words, partial(tail.make, seconds=CHEAT.straight))


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
