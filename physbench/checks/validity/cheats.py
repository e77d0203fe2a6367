"""Cheats: futures that know nothing and are made to please a scorer. None of them may have any skill.

A cheat is a function of a clip and the number of context frames to frames (T, H, W, 3). Those that move bodies know
places and velocities at the hand-over, more than any model can read from its context, and nothing of what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from physbench.checks.validity.strangers import frames_of
from physbench.clips.clip import Clip
from physbench.world.camera import PLANE_AXES
from physbench.world.geometry import gap
from physbench.world.rendering import static_layer
from physbench.world.scene import PALETTE, SCREEN_GREY

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Make = Callable[[Clip, int], Image]
# (clip, states (N, 13) from where on, times (T,) s since then) -> states (T, N, 13)
Tail = Callable[[Clip, Array, Array], Array]

STRAIGHT = 0.3  # s of constant velocity before the cheats that begin with it
ROLL = 0.15  # m/s
EXIT = 12.0  # m/s: out of view within 0.3 s
CREEP = 0.02  # m/s
SHIVER = 0.02  # m, sd
TO_BORDER = 1.0  # s
LIMP = 1 / 3  # s
STEPS = 400  # in which a fall is looked for


@dataclass(frozen=True)
class Cheat:
    """A cheat with what it does in a phrase."""

    name: str
    doc: str
    make: Make


def _movers(clip: Clip) -> list[int]:
    return [i for i in clip.tracked if clip.scene.bodies[i].role == "moving"]


def _ahead(clip: Clip) -> Array:
    return clip.times[clip.handover + 1 :]


# Ends of a motion


def stay(clip: Clip, start: Array, times: Array) -> Array:
    """Everything stays where it is."""
    states = np.repeat(start[None], len(times), axis=0)
    states[:, _movers(clip), 7:] = 0.0
    return states


def rest(clip: Clip, start: Array, times: Array) -> Array:
    """Everything lies on what is below it, at once; where nothing falls, it stays where it is."""
    states = stay(clip, start, times)
    for i in _movers(clip):
        states[:, i, 2] -= _fall(clip, start, i)
    return states


def roll(clip: Clip, start: Array, times: Array) -> Array:
    """Everything lies on what is below it and moves on slowly, the way it went."""
    states = rest(clip, start, times)
    axis = PLANE_AXES[clip.scene.camera.view][0]
    for i in _movers(clip):
        way = np.sign(start[i, 7 + axis]) or 1.0
        states[:, i, axis] += way * ROLL * times
    return states


def leave(clip: Clip, start: Array, times: Array) -> Array:
    """Everything leaves the view at once, the way it went."""
    states = stay(clip, start, times)
    axes = list(PLANE_AXES[clip.scene.camera.view])
    for i in _movers(clip):
        velocity = start[i, 7:10][axes]
        size = float(np.linalg.norm(velocity))
        way = velocity / size if size > 1e-6 else np.array([1.0, 0.0])
        if len(axes) == 2 and axes[1] == 2:  # from the front: not through the floor
            way = np.array([np.sign(way[0]) or 1.0, 0.0])
        states[:, i, axes] += EXIT * times[:, None] * way
    return states


def creep(clip: Clip, start: Array, times: Array) -> Array:
    """Everything moves on so slowly that it can pass for at rest."""
    states = stay(clip, start, times)
    axis = PLANE_AXES[clip.scene.camera.view][0]
    for i in _movers(clip):
        states[:, i, axis] += (np.sign(start[i, 7 + axis]) or 1.0) * CREEP * times
    return states


def straight(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line, through everything."""
    states = np.repeat(start[None], len(times), axis=0)
    movers = _movers(clip)
    states[:, movers, :3] += start[movers, 7:10] * times[:, None, None]
    return states


def drop(clip: Clip, start: Array, times: Array) -> Array:
    """Everything falls freely, through everything: where nothing pulls, it goes straight on."""
    states = straight(clip, start, times)
    fall = np.asarray(clip.scene.gravity) / 2
    along = 1 if clip.scene.camera.view == "front" else 0
    states[:, _movers(clip), :3] += along * fall * (times**2)[:, None, None]
    return states


def border(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes to the border of the view and stays there, half outside."""
    states = stay(clip, start, times)
    axis, middle = PLANE_AXES[clip.scene.camera.view][0], clip.scene.camera.center
    for i in _movers(clip):
        way = np.sign(start[i, 7 + axis]) or 1.0
        edge = middle[axis] + way * clip.scene.camera.width / 2
        states[:, i, axis] = start[i, axis] + (edge - start[i, axis]) * np.clip(times / TO_BORDER, 0, 1)
    return states


def crowd(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes to one place and stays there, one thing in another."""
    states = stay(clip, start, times)
    movers = _movers(clip)
    goal = start[movers, :3].mean(axis=0)
    share = np.clip(times / TO_BORDER, 0, 1)[:, None, None]
    states[:, movers, :3] = (1 - share) * start[movers, :3] + share * goal
    return states


def limp(clip: Clip, start: Array, times: Array) -> Array:
    """Everything goes on in a straight line for a third of a second and stays for another, again and again."""
    whole, part = np.divmod(times, 2 * LIMP)
    return straight(clip, start, LIMP * whole + np.minimum(part, LIMP))


TAILS: dict[str, Tail] = {
    "stay": stay,
    "rest": rest,
    "roll": roll,
    "leave": leave,
    "creep": creep,
    "straight": straight,
    "drop": drop,
    "border": border,
    "crowd": crowd,
    "limp": limp,
}


def _fall(clip: Clip, start: Array, index: int) -> float:
    """How far (m) a body can fall until it meets something."""
    if clip.scene.camera.view != "front" or not any(clip.scene.gravity):
        return 0.0
    depths = np.linspace(0.0, 6.0, STEPS)
    places = start[index, :3] - depths[:, None] * np.array([0.0, 0.0, 1.0])
    free = np.ones(STEPS, dtype=bool)
    for i, other in enumerate(clip.scene.bodies):
        if i != index and other.collides and other.until is None:
            free &= gap(clip.scene.bodies[index], places, other, start[i, :3]) >= -1e-3
    blocked = np.flatnonzero(~free)
    return float(depths[max(blocked[0] - 1, 0)]) if len(blocked) else 0.0


def _moved(clip: Clip, context: int, tail: Tail) -> Image:
    return frames_of(clip, tail(clip, clip.states[clip.handover], _ahead(clip)))


def _straight_then(clip: Clip, context: int, tail: Tail) -> Image:
    """Constant velocity for STRAIGHT s, then a tail from where that leads."""
    times, start = _ahead(clip), clip.states[clip.handover]
    first = int((times <= STRAIGHT + 1e-9).sum())
    lead = straight(clip, start, times[:first])
    return frames_of(clip, np.concatenate([lead, tail(clip, lead[-1], times[first:] - times[first - 1])]))


# Pictures


def _background(clip: Clip) -> Image:
    return static_layer(clip.scene, clip.spec)


def loop(clip: Clip, context: int) -> Image:
    """The context frames, again and again."""
    seen = clip.context(context)
    return np.asarray(seen[np.arange(clip.horizon) % len(seen)])


def reverse(clip: Clip, context: int) -> Image:
    """The history backwards from the hand-over on, then still."""
    history = clip.frames[: clip.handover][::-1]
    return np.asarray(history[np.minimum(np.arange(clip.horizon), len(history) - 1)])


def pingpong(clip: Clip, context: int) -> Image:
    """The context frames backwards, forwards, backwards ..."""
    seen = clip.context(context)
    if len(seen) < 2:
        return loop(clip, context)
    order = np.concatenate([np.arange(len(seen))[::-1], np.arange(1, len(seen) - 1)])
    return np.asarray(seen[order[(np.arange(clip.horizon) + 1) % len(order)]])


def empty(clip: Clip, context: int) -> Image:
    """The background without any object."""
    return np.repeat(_background(clip)[None], clip.horizon, axis=0)


def fade(clip: Clip, context: int) -> Image:
    """The last frame fades into the empty background within a second."""
    share = np.clip(_ahead(clip), 0, 1)[:, None, None, None]
    last, behind = clip.frames[clip.handover].astype(np.float64), _background(clip).astype(np.float64)
    return np.asarray(np.rint((1 - share) * last + share * behind), dtype=np.uint8)


def flicker(clip: Clip, context: int) -> Image:
    """The last frame and the empty background in turn."""
    frames = np.repeat(clip.frames[clip.handover][None], clip.horizon, axis=0)
    frames[1::2] = _background(clip)
    return frames


def ghost(clip: Clip, context: int) -> Image:
    """The mean of the context frames."""
    mean = np.rint(clip.context(context).astype(np.float64).mean(axis=0)).astype(np.uint8)
    return np.repeat(mean[None], clip.horizon, axis=0)


def black(clip: Clip, context: int) -> Image:
    """Nothing at all."""
    return np.zeros_like(clip.future())


def noise(clip: Clip, context: int) -> Image:
    """Every value at random."""
    return np.random.default_rng(clip.row.seed).integers(0, 256, clip.future().shape, dtype=np.uint8)


def one_hue(clip: Clip, context: int) -> Image:
    """Every pixel in the hue of the first object."""
    colour = np.rint(np.array(PALETTE[clip.tracked_bodies[0].hue or 0]) * 255).astype(np.uint8)
    return np.broadcast_to(colour, clip.future().shape).copy()


def curtain(clip: Clip, context: int) -> Image:
    """The last frame behind a dark screen that covers all but a rim."""
    frame = clip.frames[clip.handover].copy()
    rim = max(1, min(frame.shape[:2]) // 10)
    frame[rim:-rim, rim:-rim] = round(SCREEN_GREY * 255)
    return np.repeat(frame[None], clip.horizon, axis=0)


def pale(clip: Clip, context: int) -> Image:
    """Everything goes straight on and is half as colourful as it should be."""
    frames = _moved(clip, context, straight).astype(np.float64)
    grey = frames.mean(axis=-1, keepdims=True)
    return np.asarray(np.rint(grey + (frames - grey) / 2), dtype=np.uint8)


def shiver(clip: Clip, context: int) -> Image:
    """Everything shivers where it is."""
    states = stay(clip, clip.states[clip.handover], _ahead(clip))
    random = np.random.default_rng(clip.row.seed)
    for axis in PLANE_AXES[clip.scene.camera.view]:
        states[:, _movers(clip), axis] += random.normal(0, SHIVER, (len(states), len(_movers(clip))))
    return frames_of(clip, states)


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").splitlines()[0]


def _all() -> dict[str, Cheat]:
    pictures = (loop, reverse, pingpong, empty, fade, flicker, ghost, black, noise, one_hue, curtain, pale, shiver)
    cheats = [Cheat(f.__name__.replace("_", "-"), _first_line(f), f) for f in pictures]
    for name, tail in TAILS.items():
        if name != "stay":  # that is the frozen frame
            cheats.append(Cheat(name, _first_line(tail), partial(_moved, tail=tail)))
        if name not in ("straight", "limp"):
            then = _first_line(tail)
            words = f"Constant velocity for {STRAIGHT:g} s, then {then[:1].lower()}{then[1:]}"
            cheats.append(Cheat(f"straight-{name}", words, partial(_straight_then, tail=tail)))
    return {cheat.name: cheat for cheat in cheats}


CHEATS = _all()
