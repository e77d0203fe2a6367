"""Changes of known size in what should stand still: fixed bodies that move, vanish or change, and cameras that do.

A change takes a clip and gives its future (T, H, W, 3) u8 in which one fixed body, or the camera, is not what it was
from `SINCE` on; the motion of all other bodies is that of ground truth. A camera moves from the hand-over on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Image
from physbench.validity.lawful_alternatives import filmed
from physbench.validity.violations import Inapplicable
from physbench.world.camera import PLANE_AXES
from physbench.world.drawing import apparent_radius
from physbench.world.geometry import rotate
from physbench.world.scene import Body
from physbench.world.styles.catalogue import draw

Change = Callable[[Clip], Image]

SINCE = 1.0  # s after the hand-over
FADE_TIME = 0.5  # s
TINT = np.array([1.4, 0.8, 0.8])  # of the three colours of a grey body whose hue changes


def fixed_body(clip: Clip) -> int:
    """The fixed body that is changed: a star, or the last one that shows an edge. Raises Inapplicable without any."""
    front = clip.scene.camera.view == "front"
    shown = [
        i
        for i, body in enumerate(clip.scene.bodies)
        if body.role == "fixed" and body.drawn and (body.shape != "plane" or front)
    ]
    if not shown:
        raise Inapplicable("no fixed body shows an edge")
    return next((i for i in shown if clip.scene.bodies[i].hue is not None), shown[-1])


def _late(clip: Clip) -> NDArray[np.bool_]:
    return np.asarray(clip.times[clip.handover + 1 :] > SINCE + 1e-9)


def _with(clip: Clip, index: int, body: Body, shift: Array) -> Image:
    """The future with another body from SINCE on, shifted by (T, 3) m."""
    times, late = clip.times[clip.handover + 1 :], _late(clip)
    states = clip.states[clip.handover + 1 :].copy()
    states[:, index, :3] += shift
    drawn = replace(body, role="kinematic")  # by its states: fixed bodies are drawn once, where the scene has them
    bodies = tuple(drawn if i == index else other for i, other in enumerate(clip.scene.bodies))
    frames = clip.future().copy()
    frames[late] = draw(replace(clip.scene, bodies=bodies), times[late], states[late], clip.spec).frames
    return frames


def moved(clip: Clip, *, diameters: float, drift: bool = False) -> Image:
    """A fixed body jumps, or drifts evenly to the end, by some diameters: its own, if it has a hue, or a moving body's.

    A floor moves downwards, a box along its shorter side, a star to the right.
    """
    index = fixed_body(clip)
    body = clip.scene.bodies[index]
    measured = body if body.hue is not None else next(b for b in clip.scene.bodies if b.role == "moving")
    size = 2 * diameters * apparent_radius(measured, clip.scene.camera)
    times = clip.times[clip.handover + 1 :]
    share = np.clip((times - SINCE) / (times[-1] - SINCE), 0.0, 1.0) if drift else np.ones(len(times))
    return _with(clip, index, body, size * share[:, None] * _direction(body, PLANE_AXES[clip.scene.camera.view]))


def _direction(body: Body, axes: tuple[int, int]) -> Array:
    """Unit vector (3,) in which a fixed body is moved, in the plane of motion."""
    way = np.zeros(3)
    if body.shape == "plane":
        way[axes[1]] = -1.0
        return way
    way[min(axes, key=lambda axis: body.size[axis]) if body.shape == "box" else axes[0]] = 1.0
    way = rotate(np.asarray(body.orientation, dtype=np.float64), way)
    return np.asarray(way / np.linalg.norm(way))


def vanished(clip: Clip, *, fading: bool = False, index: int | None = None) -> Image:
    """A fixed body (`index`; else `fixed_body`) is gone at once, or fades over FADE_TIME."""
    index = fixed_body(clip) if index is None else index
    frames = clip.future()
    without = _with(clip, index, replace(clip.scene.bodies[index], drawn=False), np.zeros((len(frames), 3)))
    if not fading:
        return without
    left = np.clip(1 - (clip.times[clip.handover + 1 :] - SINCE) / FADE_TIME, 0.0, 1.0)[:, None, None, None]
    return np.rint(left * frames + (1 - left) * without).astype(np.uint8)


def floor_vanished(clip: Clip) -> Image:
    """The floor is gone, and what stands on it stays."""
    planes = [i for i, body in enumerate(clip.scene.bodies) if body.shape == "plane" and body.drawn]
    if not planes or clip.scene.camera.view != "front":
        raise Inapplicable("no floor shows an edge")
    return vanished(clip, index=planes[0])


def half_vanished(clip: Clip) -> Image:
    """The right half of the picture shows a fixed body no more, the left half does."""
    frames, gone = clip.future().copy(), vanished(clip)
    middle = frames.shape[2] // 2
    frames[:, :, middle:] = gone[:, :, middle:]
    return frames


def resized(clip: Clip, *, factor: float) -> Image:
    """A fixed body grows or shrinks about its middle."""
    index = fixed_body(clip)
    body = clip.scene.bodies[index]
    if body.shape == "plane":
        raise Inapplicable("a floor has no size")
    larger = replace(body, size=tuple(factor * part for part in body.size))
    return _with(clip, index, larger, np.zeros((clip.horizon, 3)))


def tinted(clip: Clip) -> Image:
    """A fixed body that is grey becomes red."""
    index = fixed_body(clip)
    if clip.scene.bodies[index].hue is not None:
        raise Inapplicable("it has a hue")
    frames = clip.future().copy()
    without = _with(clip, index, replace(clip.scene.bodies[index], drawn=False), np.zeros((len(frames), 3)))
    own = (np.abs(without.astype(np.int16) - frames).max(axis=-1) > 0) & (np.ptp(frames, axis=-1) == 0)
    red = np.clip(np.rint(frames * TINT), 0, 255).astype(np.uint8)
    return np.where(own[..., None], red, frames)


def camera(clip: Clip, *, pan: float = 0.0, zoom: float = 0.0, roll: float = 0.0) -> Image:
    """The whole picture pans to the left (px/s), grows (share/s) and turns (deg/s) from the hand-over on."""
    return filmed(clip.future(), clip.times[clip.handover + 1 :], pan=pan, zoom=zoom, roll=roll)


SCENERY_CHANGES: dict[str, Change] = {
    **{f"jump-{d:g}": partial(moved, diameters=d) for d in (0.1, 0.3, 1.0)},
    "drift-1": partial(moved, diameters=1.0, drift=True),
    "vanish": vanished,
    "vanish-floor": floor_vanished,
    "vanish-half": half_vanished,
    "fade": partial(vanished, fading=True),
    "grow": partial(resized, factor=1.25),
    "shrink": partial(resized, factor=0.8),
    "tint": tinted,
    **{f"pan-{p:g}": partial(camera, pan=p) for p in (2.0, 5.0, 10.0)},
    **{f"zoom-{z:g}": partial(camera, zoom=z / 100) for z in (1.0, 3.0, 10.0)},
    **{f"roll-{r:g}": partial(camera, roll=r) for r in (1.0, 3.0)},
}
