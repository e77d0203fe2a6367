"""The plain look: outlines, and pictures of a scene with 2x supersampling, by a camera at rest or moving.

What never moves is drawn once per clip. What moves is drawn several frames at a time (see `batch`), and the nearer
of the two is taken pixel by pixel. The pixels are those of a picture of everything; visible areas cost nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Image, Mask
from physbench.world.bodies import darkness_over
from physbench.world.camera import (
    PLANE_AXES,
    area_weights,
    depth_axis,
    eye,
    eye_moves,
    homographies,
    in_picture,
    looking,
    normal,
    pictured,
    pixels_per_metre,
    plane_from_world,
    poses_at,
    px_from_plane,
    px_from_world,
    up,
    world_from_plane,
)
from physbench.world.geometry import rotate, unrotate
from physbench.world.links import with_links
from physbench.world.renderer import (
    DRAWN,
    SUPERSAMPLING,
    Layer,
    TinyRenderer,
    body_mesh,
    downsample,
    paint_background,
    widest_angle_from,
)
from physbench.world.scene import Body, Camera, RenderSpec, Scene

# Where bodies appear in the picture and how large, by geometry alone.


def shown(body: Body, time: float) -> bool:
    """True if a body is drawn at `time` s."""
    return body.drawn and (body.until is None or time < body.until - 1e-9)


def apparent_radius(body: Body, camera: Camera) -> float:
    """Radius in m of the circle with the area of a body's silhouette, as it lies in the scene, in the plane of motion.

    It is that seen from straight ahead, the same in every view.
    Raises ValueError for a plane, which has no silhouette.
    """
    if body.shape == "plane":
        raise ValueError("A plane has no silhouette.")
    if body.shape == "sphere":
        return body.size[0]
    along = np.abs(unrotate(body.orientation, normal(camera)))
    if body.shape == "box":
        x, y, z = body.size
        area = 4 * float(along @ np.array([y * z, x * z, x * y]))
    else:
        radius, length = body.size
        area = float(np.pi * radius**2 * along[2] + 2 * radius * length * np.hypot(along[0], along[1]))
        area *= 1 - float(_hole(body, along[2]))
    return float(np.sqrt(area / np.pi))


def corner_distance(body: Body, camera: Camera) -> float:
    """Distance in m of the farthest point of a body's outline from its middle, however it is turned in its plane."""
    if body.shape == "box":
        return float(np.linalg.norm([body.size[axis] for axis in PLANE_AXES[camera.view]]))
    return body.size[0] if body.flat or body.shape == "sphere" else float(np.hypot(body.size[0], body.size[1] / 2))


RIM = 64  # points of an outline


def full_area(scene: Scene, index: int, times: Array, states: Array, spec: RenderSpec) -> Array:
    """Area (T,) px of the whole outline of body `index`, as the camera sees it alone in an endless image.

    Of a camera that moves: in the picture of the camera at rest. states: (T, 13) of this body. 0 while it is not shown;
    a plane has no outline and gets NaN.
    """
    body = scene.bodies[index]
    if body.shape == "plane":
        return np.full(len(times), np.nan)
    there = np.array([shown(body, float(time)) for time in times], dtype=np.float64)
    if eye_moves(scene.camera):
        return np.asarray(_moving_area(scene, body, times, states, spec) * there)
    area = _ball_area(scene, body, states) if body.shape == "sphere" else _mesh_area(scene, body, states)
    return np.asarray(area * pixels_per_metre(scene.camera, spec) ** 2 * there)


def _moving_area(scene: Scene, body: Body, times: Array, states: Array, spec: RenderSpec) -> Array:
    """Square px (T,) before a camera whose eye moves."""
    camera = scene.camera
    if body.shape == "sphere":
        x, y = np.moveaxis(pictured(camera, spec, times, _rims(camera, body.size[0], times, states[:, :3])), -1, 0)
        area = np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)) / 2
        return np.asarray(area * (2 * np.pi / RIM) / np.sin(2 * np.pi / RIM))
    mesh = body_mesh(replace(body, bore=0.0), camera)
    points = states[:, None, :3] + rotate(states[:, None, 3:7], mesh.vertices[None])
    return _projected(body, camera, states, pictured(camera, spec, times, points), mesh.triangles)


def _ball_area(scene: Scene, body: Body, states: Array) -> Array:
    """Square metres (T,) at the target: the cone that touches a ball cuts the plane across the axis in an ellipse."""
    camera = scene.camera
    offset = states[:, :3] - eye(camera)
    square = (offset**2).sum(axis=1)
    sine2 = body.size[0] ** 2 / square
    cosine2 = (offset @ looking(camera)) ** 2 / square
    return np.asarray(np.pi * camera.distance**2 * sine2 * np.sqrt(1 - sine2) / (cosine2 - sine2) ** 1.5)


def _mesh_area(scene: Scene, body: Body, states: Array) -> Array:
    """Square metres (T,) at the target of a convex mesh, less the hole of a hollow cylinder.

    Each ray that meets it enters and leaves through one face each: the outline is half the sum of all projected faces.
    """
    camera, mesh = scene.camera, body_mesh(replace(body, bore=0.0), scene.camera)
    still = bool((states[:, :7] == states[:1, :7]).all())
    poses = states[:1] if still else states
    points = poses[:, None, :3] + rotate(poses[:, None, 3:7], mesh.vertices[None]) - eye(camera)  # (T, V, 3)
    across = (
        np.stack([points[..., 0], points @ up(camera)], axis=-1) if camera.tilt else plane_from_world(camera, points)
    )
    flat = across * (camera.distance / (points @ looking(camera)))[..., None]
    return np.broadcast_to(_projected(body, camera, poses, flat, mesh.triangles), len(states))


def _rims(camera: Camera, radius: float, times: Array, middles: Array) -> Array:
    """RIM points (T, RIM, 3) m on each of the circles in which the rays of the eye touch a ball at middles (T, 3) m."""
    away = middles - np.array([pose.eye for pose in poses_at(camera, times)])
    far2 = (away**2).sum(axis=1)[:, None]
    one = np.cross(away, np.eye(3)[np.abs(away).argmin(axis=1)])
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other = np.cross(away / np.sqrt(far2), one)
    angle = 2 * np.pi * np.arange(RIM)[:, None] / RIM
    circle = np.cos(angle) * one[:, None] + np.sin(angle) * other[:, None]
    touching = middles - away * radius**2 / far2
    return np.asarray(touching[:, None] + (radius * np.sqrt(1 - radius**2 / far2))[:, None] * circle)


def _projected(body: Body, camera: Camera, poses: Array, flat: Array, triangles: NDArray[np.int64]) -> Array:
    """Area (T,) of a mesh of which a picture shows the vertices at `flat` (T, V, 2)."""
    a, b, c = (flat[:, triangles[:, i]] for i in range(3))
    cross = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    hole = _hole(body, unrotate(poses[:, 3:7], normal(camera))[..., 2])
    return np.asarray((1 - hole) * np.abs(cross).sum(axis=1) / 4)


def _hole(body: Body, along: Array) -> Array:
    """Share (...) of a cylinder's outline that its hole takes: none unless it is seen from its end.

    along: (...) cosine between its axis and the normal of the plane of motion.
    """
    return np.where(np.abs(along) > 0.999, body.bore**2, 0.0)  # its axis is the normal of the plane of motion


def boxes(scene: Scene, index: int, states: Array, spec: RenderSpec) -> NDArray[np.int64]:
    """Boxes (T, 4) px left, top, right, bottom (exclusive) that surely hold the body's picture.

    states: (T, 13) of this body. A box is empty where the body is out of view.
    """
    body, camera = scene.bodies[index], scene.camera
    size = np.array([spec.width, spec.height])
    if body.shape == "plane":
        return np.tile(np.array([0, 0, *size]), (len(states), 1))
    reach = body.size[0] if body.shape == "sphere" else float(np.linalg.norm(body_mesh(body, camera).vertices[-1]))
    if body.shape == "cylinder":
        reach = float(np.hypot(body.size[0], body.size[1] / 2))
    depth = (states[:, :3] - eye(camera)) @ looking(camera)
    nearest = np.maximum(depth - reach, DRAWN.near_plane * camera.distance / 2)
    center = px_from_world(camera, spec, states[:, :3])
    # Seen obliquely a ball is stretched along the ray from the middle of the image by the cosine of the angle.
    oblique = np.linalg.norm(center - size / 2, axis=1) / pixels_per_metre(camera, spec) / camera.distance
    # px around a box in which a body is surely drawn
    radius = reach * camera.distance / nearest * np.hypot(1.0, oblique) * pixels_per_metre(camera, spec) + 2.0
    low = np.floor(center - radius[:, None]).clip(0, size)
    high = np.ceil(center + radius[:, None]).clip(0, size)
    result = np.concatenate([low, high], axis=1).astype(np.int64)
    result[(high <= low).any(axis=1)] = 0
    return result


# Which parts of which frames can share one picture.
#
# A picture costs the renderer more for its size than for what is in it. Moving bodies of several frames that lie in
# different parts of the image are therefore drawn in one go, each as its own copy, and cut apart again: the pixels of a
# body do not depend on what is drawn elsewhere.

MAX_COPIES = 8  # of one body in a picture, at most

Box = tuple[int, int, int, int]  # px left, top, right, bottom (exclusive)


@dataclass(frozen=True)
class RenderItem:
    """A part of frame `frame` that holds `bodies`, which may touch or hide each other, and none of the others."""

    frame: int
    box: Box
    bodies: tuple[int, ...]


def items(frame: int, boxes: NDArray[np.int64], bodies: Iterable[int]) -> list[RenderItem]:
    """Join the boxes (N, 4) of a frame's bodies that overlap until none do; empty ones are dropped."""
    left = [((a, b, c, d), (body,)) for (a, b, c, d), body in zip(boxes.tolist(), bodies, strict=True) if c > a]
    todo: list[tuple[Box, tuple[int, ...]]] = list(left)
    done: list[tuple[Box, tuple[int, ...]]] = []
    while todo:
        (a, b, c, d), held = todo.pop()
        for other, others in done:
            if a < other[2] and other[0] < c and b < other[3] and other[1] < d:
                done.remove((other, others))
                around = (min(a, other[0]), min(b, other[1]), max(c, other[2]), max(d, other[3]))
                todo.append((around, tuple(sorted(held + others))))
                break
        else:
            done.append(((a, b, c, d), held))
    return [RenderItem(frame, box, held) for box, held in done]


def batch(parts: Iterable[RenderItem], spec: RenderSpec) -> list[list[RenderItem]]:
    """Put items into pictures in which no two have a cell in common, each into the first that has room.

    Pictures with more copies come first.
    """
    batch_grid = 64  # cells across the image in which bodies are kept apart
    height, width = max(1, -(-spec.height // batch_grid)), max(1, -(-spec.width // batch_grid))  # px of a cell
    pictures: list[list[RenderItem]] = []
    taken: list[int] = []
    copies: list[dict[int, int]] = []
    for item in parts:
        left, top, right, bottom = item.box
        row = (1 << -(-right // width)) - (1 << left // width)
        cells = 0
        for i in range(top // height, -(-bottom // height)):
            cells |= row << i * batch_grid
        for p, used in enumerate(copies):
            if not taken[p] & cells and all(used.get(body, 0) < MAX_COPIES for body in item.bodies):
                break
        else:
            p = len(pictures)
            pictures.append([])
            taken.append(0)
            copies.append({})
        pictures[p].append(item)
        taken[p] |= cells
        for body in item.bodies:
            copies[p][body] = copies[p].get(body, 0) + 1
    return sorted(pictures, key=lambda picture: -sum(len(item.bodies) for item in picture))


def copies_needed(pictures: list[list[RenderItem]]) -> list[dict[int, int]]:
    """Most copies of each body that the pictures from each one on need."""
    needed: dict[int, int] = {}
    result = []
    for picture in reversed(pictures):
        here: dict[int, int] = {}
        for item in picture:
            for body in item.bodies:
                here[body] = here.get(body, 0) + 1
        needed = {body: max(needed.get(body, 0), here.get(body, 0)) for body in needed | here}
        result.append(needed)
    return result[::-1]


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
    times, own = np.asarray(times, dtype=np.float64), len(scene.bodies)
    scene, states = with_links(scene, states, times)
    if scene.camera.path:
        frames, area = moving_pictures(scene, times, states, spec)
    else:
        frames, area = _pictures(scene, times, states, spec)
    area = area[:, :own]
    darken(scene, states, spec, frames, area)
    full = np.stack([full_area(scene, i, times, states[:, i], spec) for i in range(own)], axis=1)
    full = np.where(np.isnan(full), area, full)
    return Rendered(frames, area.astype(np.float32), full.astype(np.float32))


def darken(scene: Scene, states: Array, spec: RenderSpec, frames: Image, area: Array) -> None:
    """Make frames (T, H, W, 3) black where a body hides the whole picture: it alone has a visible area (T, N) px."""
    dark = darkness_over(scene, states)
    off = np.flatnonzero(dark >= 0)  # pictures of any shape, and what lies before the darkness
    frames[off], area[off] = 0, 0
    area[off, dark[off]] = spec.width * spec.height


def _pictures(scene: Scene, times: Array, states: Array, spec: RenderSpec) -> tuple[Image, Array]:
    """Frames (T, H, W, 3) and visible areas (T, N) px of a camera at rest."""
    moving = [i for i, body in enumerate(scene.bodies) if body.drawn and not body.stays]
    behind = _static_picture(scene, [i for i, body in enumerate(scene.bodies) if body.drawn and body.stays], spec)
    return _compose_all(scene, times, states, spec, behind, moving)


class MomentRenderer:
    """Draws a scene moment by moment. The pixels are those of `render`, which is faster for many frames at once.

    Where a camera moves, or a link is drawn, `render` draws each moment: nothing of such a picture stays.
    """

    def __init__(self, scene: Scene, spec: RenderSpec) -> None:
        self._renderer: TinyRenderer | None = None
        self._scene, self._spec = scene, spec
        if scene.camera.path or scene.links or scene.thrusts:
            return
        still = [i for i, body in enumerate(scene.bodies) if body.drawn and body.stays]
        self._behind = _static_picture(scene, still, spec)
        self._blank = downsample(self._behind.rgb)
        drawn = {i: body for i, body in enumerate(scene.bodies) if body.drawn and not body.stays}
        self._renderer = TinyRenderer(drawn, scene.camera, spec)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()

    def draw(self, time: float, states: Array) -> Image:
        """The frame (H, W, 3) at `time` s with the bodies at `states` (N, 13)."""
        if self._renderer is None:
            return np.asarray(render(self._scene, [time], states[None], self._spec).frames[0])
        numbers = {}
        for index, (number,) in self._renderer.numbers.items():
            if shown(self._scene.bodies[index], time):
                self._renderer.show(index, 0, states[index])
                numbers[index] = number
            else:
                self._renderer.hide(index, 0)
        frames, area = self._blank[None].copy(), np.zeros((1, len(self._scene.bodies)))
        whole = (0, 0, self._spec.width, self._spec.height)
        _compose(numbers, whole, self._renderer.picture(), self._behind, frames, area, [0])
        if darkness_over(self._scene, states[None])[0] >= 0:
            frames[:] = 0
        return np.asarray(frames[0])


def static_layer(scene: Scene, spec: RenderSpec, hueless: bool = True) -> Image:
    """The known background (H, W, 3): what never moves; bodies with a hue only if hueless=False."""
    keep = [
        i for i, body in enumerate(scene.bodies) if body.stays and body.drawn and not (hueless and body.hue is not None)
    ]
    return downsample(_static_picture(scene, keep, spec).rgb)


def _static_picture(scene: Scene, bodies: Sequence[int], spec: RenderSpec) -> Layer:
    """The picture of bodies where the scene puts them, its numbers the indices of the bodies."""
    what = tuple((i, scene.bodies[i]) for i in bodies), scene.camera, spec
    try:
        hash(what)
    except TypeError:  # a list or an array as a position, in a task of one's own
        return _picture_at_rest.__wrapped__(*what)
    return _picture_at_rest(*what)


@lru_cache(maxsize=2)  # one clip is drawn with many futures, and a body that changes its size frame by frame
def _picture_at_rest(bodies: tuple[tuple[int, Body], ...], camera: Camera, spec: RenderSpec) -> Layer:
    with TinyRenderer(dict(bodies), camera, spec) as renderer:
        layer = renderer.picture()
        number = np.full_like(layer.number, -1)
        for index, (name,) in renderer.numbers.items():
            number[layer.number == name] = index
    picture = Layer(paint_background(layer), layer.depth, number)
    for array in (picture.rgb, picture.depth, picture.number):
        array.setflags(write=False)
    return picture


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
    first = _first_alike(scene, states, where[..., 2] > where[..., 0], moving)
    fresh = np.flatnonzero(first == np.arange(len(times)))
    alike = _alike(scene, states, (item for t in fresh.tolist() for item in items(t, where[t], moving)))
    pictures = batch(alike, spec)
    needed = copies_needed(pictures)
    if pictures:
        bodies = {i: scene.bodies[i] for i in needed[0]}
        with TinyRenderer(bodies, scene.camera, spec, needed[0]) as renderer:
            for picture, copies in zip(pictures, needed, strict=True):
                renderer.keep(copies)
                cast = _cast(renderer, picture, states)
                layer = renderer.picture()
                for item, numbers in zip(picture, cast, strict=True):
                    _compose(numbers, item.box, layer, behind, frames, area, alike[item])
    area /= SUPERSAMPLING**2
    return frames[first], area[first]


def _first_alike(scene: Scene, states: Array, seen: Mask, moving: list[int]) -> NDArray[np.int64]:
    """For each frame (T,) the first of the run of frames in which all that is seen (T, M) of bodies stands still."""
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
    groups: dict[RenderItem, list[int]] = {}
    for item in parts:
        poses = (states[item.frame, i, : 3 if scene.bodies[i].shape == "sphere" else 7].tobytes() for i in item.bodies)
        like = first.setdefault((item.box, item.bodies, *poses), item)
        groups.setdefault(like, []).append(item.frame)
    return groups


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


# Pictures of a camera that moves: each frame drawn whole, with marks that tell where the camera is.
#
# A bare floor or a sky shows no camera. Faint squares lie just behind the plane of motion, where a camera that moves in
# any way shows them by the same homography as the bodies. They are in no state of a clip, and nothing touches them.

MARK_SPACING, MARK_JITTER = 1.0, 0.28  # m; no two are alike placed, so that no shift takes them to each other


def marks(scene: Scene, times: Array, spec: RenderSpec) -> Scene:
    """The marks that the camera of a scene sees at `times` (T,) s, as fixed bodies before that camera."""
    camera = scene.camera
    mark_half_side = 0.11  # m: 4 px at 128 px
    size = [mark_half_side] * 3
    size[depth_axis(camera)] = 0.004  # m
    mark_reach = 8  # marks on either side of the target
    reach = np.arange(-mark_reach, mark_reach + 1)
    grid = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2).astype(np.float64)
    jitter = np.random.default_rng(0).uniform(-MARK_JITTER, MARK_JITTER, grid.shape)
    flat = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64)) + grid * MARK_SPACING + jitter
    moved = homographies(camera, spec, times)[:, None]
    beyond = 4 * mark_half_side * pixels_per_metre(camera, spec)
    flat = flat[in_picture(moved, spec, px_from_plane(camera, spec, flat), beyond).any(axis=0)]
    # m from the plane of motion: behind plates and links
    places = world_from_plane(camera, flat) + 0.03 * normal(camera)
    x, y, z = size
    # A grey of 0.58 is 20 levels brighter than the background, and has no hue.
    bodies = tuple(
        Body(f"mark {n}", "box", (x, y, z), "fixed", tuple(place.tolist()), grey=0.58, collides=False)
        for n, place in enumerate(places)
    )
    return Scene(bodies, camera)


def moving_pictures(
    scene: Scene, times: Sequence[float] | Array, states: Array, spec: RenderSpec
) -> tuple[Image, Array]:
    """Frames (T, H, W, 3) and visible areas (T, N) px of bodies drawn at `states` (T, N, 13).

    An area is that which the camera at rest would see, of what both pictures show.
    """
    count = len(scene.bodies)
    moments = np.asarray(times, dtype=np.float64)
    drawn = {i: body for i, body in enumerate(scene.bodies) if body.drawn}
    frames = np.empty((len(moments), spec.height, spec.width, 3), dtype=np.uint8)
    area = np.zeros((len(moments), count))
    back = np.linalg.inv(homographies(scene.camera, spec, moments))
    marked = marks(scene, moments, spec)
    poses = poses_at(scene.camera, moments)
    eyes = np.array([pose.eye for pose in poses])
    widest = {
        i: widest_angle_from(eyes, scene.camera, states[:, i, :3])
        for i, body in drawn.items()
        if body.shape == "sphere"
    }
    with (
        TinyRenderer(drawn, scene.camera, spec, widest=widest) as renderer,
        TinyRenderer(dict(enumerate(marked.bodies)), marked.camera, spec) as behind,
    ):
        names = {i: renderer.numbers[i][0] for i in drawn}
        hueless = np.ones(max(names.values(), default=0) + 2, dtype=bool)  # by number of a body in the picture + 1
        hueless[[names[i] + 1 for i in drawn if scene.bodies[i].hue is not None]] = False
        there = np.array([[shown(scene.bodies[i], float(time)) for i in drawn] for time in moments], dtype=bool)
        first = _first_alike(scene, states, there.reshape(len(moments), len(drawn)), list(drawn))
        for t, pose in enumerate(poses):
            rests = (
                t > 0 and np.array_equal(pose.eye, poses[t - 1].eye) and np.array_equal(pose.axes, poses[t - 1].axes)
            )
            if rests and first[t] < t:  # all that it sees does, too
                frames[t], area[t] = frames[t - 1], area[t - 1]
                continue
            for i, present in zip(drawn, there[t].tolist(), strict=True):
                if present:
                    renderer.show(i, 0, states[t, i])
                else:
                    renderer.hide(i, 0)
            if not rests:
                renderer.look_from(pose)
                behind.look_from(pose)
                squares = behind.picture()
                weight = area_weights(back[t], spec, SUPERSAMPLING)
            layer = renderer.picture()
            number = layer.number + 1
            rgb = paint_background(layer)
            # The near side of a ball reaches behind the marks: none is seen before a body with a hue.
            seen = (squares.depth < layer.depth) & hueless[number]
            np.copyto(rgb, squares.rgb[..., :3], where=seen[..., None])
            frames[t] = downsample(rgb)
            total = np.bincount(number.ravel(), weight.ravel(), minlength=len(hueless))
            area[t, list(names)] = total[[name + 1 for name in names.values()]]
    return frames, area
