"""Pictures of a scene with 2x supersampling.

What never moves is drawn once per clip. What moves is drawn several frames at a time (see `render_batching`), and the
nearer of the two is taken pixel by pixel. The pixels are those of a picture of everything; visible areas cost nothing
more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.world.render_batching import Box, RenderItem, batch, copies_needed, items
from physbench.world.scene import BACKGROUND_GREY, Body, RenderSpec, Scene
from physbench.world.silhouettes import boxes, full_area, shown
from physbench.world.tiny_renderer import AMBIENT, DIFFUSE, SUPERSAMPLING, Image, Layer, TinyRenderer

__all__ = ["AMBIENT", "DIFFUSE", "SUPERSAMPLING", "Rendered", "render", "static_layer"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rendered:
    """Frames with what is seen of each body, and what would be seen of it alone in an endless image."""

    frames: Image  # (T, H, W, 3)
    visible_area: NDArray[np.float32]  # (T, N) px
    full_area: NDArray[np.float32]  # (T, N) px


def render(scene: Scene, times: Sequence[float] | Array, states: Array, spec: RenderSpec) -> Rendered:
    """Draw a simulated scene.

    times: (T,) s; states: (T, N, 13). Visible areas are counted in the supersampled masks, full ones are geometry; that
    of a plane is its visible one.
    """
    times = np.asarray(times, dtype=np.float64)
    moving = [i for i, body in enumerate(scene.bodies) if body.drawn and not _is_static(body)]
    behind = _static_picture(scene, [i for i, body in enumerate(scene.bodies) if body.drawn and _is_static(body)], spec)
    frames, area = _compose_all(scene, times, states, spec, behind, moving)
    full = np.stack([full_area(scene, i, times, states[:, i], spec) for i in range(len(scene.bodies))], axis=1)
    full = np.where(np.isnan(full), area, full)
    return Rendered(frames, area.astype(np.float32), full.astype(np.float32))


def static_layer(scene: Scene, spec: RenderSpec, hueless: bool = True) -> Image:
    """The known background (H, W, 3): what never moves; bodies with a hue only if hueless=False."""
    keep = [
        i
        for i, body in enumerate(scene.bodies)
        if _is_static(body) and body.drawn and not (hueless and body.hue is not None)
    ]
    return downsample(_static_picture(scene, keep, spec).rgb)


def _static_picture(scene: Scene, bodies: Sequence[int], spec: RenderSpec) -> Layer:
    """The picture of bodies where the scene puts them, its numbers the indices of the bodies."""
    with TinyRenderer(scene, dict.fromkeys(bodies, 1), spec) as renderer:
        layer = renderer.picture()
        number = np.full_like(layer.number, -1)
        for index, (name,) in renderer.numbers.items():
            number[layer.number == name] = index
    return Layer(paint_background(layer), layer.depth, number)


def paint_background(layer: Layer) -> Image:
    """The picture of a layer (h, w, 3) with the background grey where there is no body."""
    rgb = layer.rgb[..., :3].copy()
    rgb[layer.number < 0] = round(BACKGROUND_GREY * 255)
    return rgb


def downsample(rgb: Image) -> Image:
    """Average 2 x 2 pixels (2 h, 2 w, 3) -> (h, w, 3), rounded to nearest."""
    total = rgb[0::2, 0::2].astype(np.uint16)
    total += rgb[0::2, 1::2]
    total += rgb[1::2, 0::2]
    total += rgb[1::2, 1::2]
    total += 2
    total >>= 2
    return total.astype(np.uint8)


def _is_static(body: Body) -> bool:
    return body.role == "fixed" and body.until is None


def _compose_all(
    scene: Scene, times: Array, states: Array, spec: RenderSpec, behind: Layer, moving: list[int]
) -> tuple[Image, Array]:
    """Frames (T, H, W, 3) and visible areas (T, N) px. behind: its numbers are indices of bodies."""
    count = len(scene.bodies)
    frames = np.empty((len(times), spec.height, spec.width, 3), dtype=np.uint8)
    frames[:] = downsample(behind.rgb)
    area = np.empty((len(times), count))
    area[:] = np.bincount(behind.number.ravel() + 1, minlength=count + 1)[1:]
    where = np.zeros((len(times), len(moving), 4), dtype=np.int64)
    for m, i in enumerate(moving):
        there = [shown(scene.bodies[i], float(time)) for time in times]
        where[there, m] = boxes(scene, i, states[there, i], spec)
    first = _first_alike(scene, states, where, moving)
    fresh = np.flatnonzero(first == np.arange(len(times)))
    alike = _alike(scene, states, (item for t in fresh.tolist() for item in items(t, where[t], moving)))
    pictures = batch(alike, spec)
    needed = copies_needed(pictures)
    if pictures:
        with TinyRenderer(scene, needed[0], spec) as renderer:
            for picture, copies in zip(pictures, needed, strict=True):
                renderer.keep(copies)
                cast = _cast(renderer, picture, states)
                layer = renderer.picture()
                for item, numbers in zip(picture, cast, strict=True):
                    _compose(numbers, item.box, layer, behind, frames, area, alike[item])
    area /= SUPERSAMPLING**2
    return frames[first], area[first]


def _first_alike(scene: Scene, states: Array, where: NDArray[np.int64], moving: list[int]) -> NDArray[np.int64]:
    """For each frame (T,) the first of the run of frames in which everything stands still in view."""
    seen = where[..., 2] > where[..., 0]  # (T, M)
    turning = [m for m, i in enumerate(moving) if scene.bodies[i].shape != "sphere"]
    pose = states[:, moving, :7].copy()
    pose[:, [m for m in range(len(moving)) if m not in turning], 3:] = 0.0
    pose[~seen] = 0.0
    change = (pose[1:] != pose[:-1]).any(axis=(1, 2)) | (seen[1:] != seen[:-1]).any(axis=1)
    start = np.concatenate([[True], change])
    return np.asarray(np.maximum.accumulate(np.where(start, np.arange(len(start)), 0)))


def _alike(scene: Scene, states: Array, parts: Iterable[RenderItem]) -> dict[RenderItem, list[int]]:
    """The first of all items that look the same, each with the frames in which one of them is.

    What stands still while something else moves is drawn once: a screen that will be lifted, say.
    """
    first: dict[tuple[object, ...], RenderItem] = {}
    found: dict[RenderItem, list[int]] = {}
    for item in parts:
        poses = (states[item.frame, i, : 3 if scene.bodies[i].shape == "sphere" else 7].tobytes() for i in item.bodies)
        like = first.setdefault((item.box, item.bodies, *poses), item)
        found.setdefault(like, []).append(item.frame)
    return found


def _cast(renderer: TinyRenderer, picture: list[RenderItem], states: Array) -> list[dict[int, int]]:
    """Give each item its copies and show them as its frame has them; return their numbers by body, item by item."""
    used = dict.fromkeys(renderer.numbers, 0)
    cast = []
    for item in picture:
        for body in item.bodies:
            renderer.show(body, used[body], states[item.frame, body])
            used[body] += 1
        cast.append({body: renderer.numbers[body][used[body] - 1] for body in item.bodies})
    for body, count in used.items():
        for copy in range(count, len(renderer.numbers[body])):
            renderer.hide(body, copy)
    return cast


def _compose(
    numbers: dict[int, int], box: Box, layer: Layer, behind: Layer, frames: Image, area: Array, where: list[int]
) -> None:
    """Put what a layer holds of one item's copies inside a box (px) over what stands in the frames where it is."""
    left, top, right, bottom = box
    fine = np.s_[SUPERSAMPLING * top : SUPERSAMPLING * bottom, SUPERSAMPLING * left : SUPERSAMPLING * right]
    number, nearer = layer.number[fine], layer.depth[fine] < behind.depth[fine]
    count, own = np.zeros(area.shape[1]), np.zeros(number.shape, dtype=bool)
    for i, name in numbers.items():
        mask = (number == name) & nearer
        count[i] = np.count_nonzero(mask)
        if count[i]:
            own |= mask
    if not count.any():
        return
    patch = np.where(own[..., None], layer.rgb[fine][..., :3], behind.rgb[fine])
    frames[where, top:bottom, left:right] = downsample(patch)
    area[where] += count - np.bincount(behind.number[fine][own] + 1, minlength=len(count) + 1)[1:]
