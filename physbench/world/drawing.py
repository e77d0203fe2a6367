"""The plain look: meshes, outlines, PyBullet's TinyRenderer, and pictures of a scene with 2x supersampling.

What never moves is drawn once per clip. What moves is drawn several frames at a time (see `batch`), and the
nearer of the two is taken pixel by pixel. The pixels are those of a picture of everything; visible areas cost nothing
more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Image
from physbench.world.bodies import darkness_over
from physbench.world.bullet import Client
from physbench.world.camera import (
    depth_axis,
    eye,
    looking,
    normal,
    picture_width,
    pixels_per_metre,
    plane_from_world,
    px_from_world,
    up,
)
from physbench.world.camera_path import CameraPose, eye_moves, pictured, poses_at
from physbench.world.geometry import rotate, unrotate
from physbench.world.links import with_links
from physbench.world.scene import BACKGROUND_GREY, PALETTE, Body, Camera, RenderSpec, Scene

# Triangle meshes that the renderer draws. PyBullet's own sphere is so coarse that its outline has 0.93 of the area.


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (V, 3) m with outward normals (V, 3) and triangles (F, 3) counter-clockwise from outside."""

    vertices: Array
    normals: Array
    triangles: NDArray[np.int64]


@cache
def unit_sphere(axis: int = 1, visible: float = math.pi, around: int = 64, down: int = 32) -> Mesh:
    """A sphere of radius 1 m of `around` meridians and `down` rings with smooth normals.

    axis: 1 has the first pole on -y (towards a camera in front), 2 on +z (towards one above), so that the outline is
    a ring of all meridians. visible: rad from that pole; rings wholly behind it are left out.
    """
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, down + 1), np.linspace(0, 2 * np.pi, around + 1), indexing="ij")
    x, y, z = np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)
    points = np.stack([x, y, z] if axis == 2 else [x, -z, y], axis=-1)
    triangles = []
    for i in range(down):
        if np.pi * i / down > visible:
            break
        for j in range(around):
            a = i * (around + 1) + j
            c = a + around + 1
            if i > 0:
                triangles.append((a, c, a + 1))
            if i < down - 1:
                triangles.append((a + 1, c, c + 1))
    used = np.array(triangles)
    flat = points.reshape(-1, 3)[: used.max() + 1]
    return Mesh(flat, flat.copy(), used)


@cache
def unit_cylinder(around: int = 64) -> Mesh:
    """A cylinder of radius 1 m and length 1 m along z with smooth sides and flat ends."""
    azimuth = np.linspace(0, 2 * np.pi, around + 1)
    ring = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros_like(azimuth)], axis=-1)
    up = np.array([0.0, 0.0, 0.5])
    j = np.arange(around)
    n = around + 1
    vertices = [ring - up, ring + up, ring - up, ring + up, -up[None], up[None]]
    normals = [ring, ring, np.tile(-2 * up, (n, 1)), np.tile(2 * up, (n, 1)), -2 * up[None], 2 * up[None]]
    triangles = [
        np.stack([j, j + 1, n + j], axis=-1),
        np.stack([j + 1, n + j + 1, n + j], axis=-1),
        np.stack([2 * n + j + 1, 2 * n + j, np.full(around, 4 * n)], axis=-1),
        np.stack([3 * n + j, 3 * n + j + 1, np.full(around, 4 * n + 1)], axis=-1),
    ]
    return Mesh(np.concatenate(vertices), np.concatenate(normals), np.concatenate(triangles))


@cache
def unit_tube(bore: float, around: int = 64) -> Mesh:
    """A hollow cylinder of radius 1 m and length 1 m along z. bore: inner radius, m."""
    azimuth = np.linspace(0, 2 * np.pi, around + 1)
    ring = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros_like(azimuth)], axis=-1)
    up, end = np.array([0.0, 0.0, 0.5]), np.tile([0.0, 0.0, 1.0], (around + 1, 1))
    walls = ((ring - up, ring + up, ring), (bore * ring + up, bore * ring - up, -ring))
    ends = ((ring + up, bore * ring + up, end), (bore * ring - up, ring - up, -end))
    vertices, normals, triangles = [], [], []
    j = np.arange(around)
    for k, (first, second, facing) in enumerate(walls + ends):
        a = 2 * k * (around + 1) + j
        b = a + around + 1
        vertices += [first, second]
        normals += [facing, facing]
        triangles += [np.stack([a, a + 1, b], axis=-1), np.stack([a + 1, b + 1, b], axis=-1)]
    return Mesh(np.concatenate(vertices), np.concatenate(normals), np.concatenate(triangles))


@cache
def unit_box() -> Mesh:
    """A box of half extents 1 m."""
    vertices: list[Array] = []
    normals: list[Array] = []
    triangles: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal = np.zeros(3)
            normal[axis] = sign
            u, v = np.roll(np.eye(3), axis, axis=1)[1:] if sign > 0 else np.roll(np.eye(3), axis, axis=1)[:0:-1]
            base = len(vertices)
            corners = [normal - u - v, normal + u - v, normal + u + v, normal - u + v]
            vertices += corners
            normals += [normal] * 4
            triangles += [(base, base + 1, base + 2), (base, base + 2, base + 3)]
    return Mesh(np.array(vertices), np.array(normals), np.array(triangles))


@dataclass(frozen=True)
class DrawnDepths:
    """Depths at which things are drawn."""

    near_plane: float = 0.5  # of the distance to the target; nothing is drawn before it
    far_plane: float = 40.0  # m from the camera
    slab_begins: float = 1.1  # times the near plane, where the floor of a tilted front view begins
    slab_depth: float = 4.0  # m behind the plane of motion, where it ends: its edge is seen
    plate_half_depth: float = 0.010  # m, half the depth of what is drawn of a fixed body in the plane of motion
    flat_half_depth: float = 0.012  # m, of a flat one
    endless: float = 400.0  # m, half the extent of a plane as it is drawn


DRAWN = DrawnDepths()


def body_mesh(body: Body, camera: Camera, spec: RenderSpec | None = None) -> Mesh:
    """Mesh drawn for a body, in its own axes.

    spec: given, only what a camera can see of a ball in pictures of this size; the picture is the same.
    In a front view planes, and fixed boxes in the plane of motion, are drawn as thin plates in that plane: the front
    of a deep one would be nearer to the camera, appear larger, and hide the feet of what stands on it. So are `flat`
    bodies in any view, a little thicker, so that they are drawn before what they touch. A tilted view shows the
    upper sides of planes and the sides of grey boxes; boxes that are tracked are plates in it.
    """
    if body.shape == "sphere":
        visible = math.pi if spec is None else math.pi / 2 + _widest_angle(body, camera, spec)
        return _scaled(unit_sphere(depth_axis(camera), visible), (body.size[0],) * 3)
    across = axis_across(body, camera) if is_plate(body, camera) else None
    if body.shape == "cylinder":
        length = body.size[1] if across is None else min(body.size[1], 2 * DRAWN.flat_half_depth)
        unit = unit_tube(body.bore) if body.bore else unit_cylinder()
        return _scaled(unit, (body.size[0], body.size[0], length))
    if body.shape == "box":
        x, y, z = (min(half, DRAWN.flat_half_depth) if axis == across else half for axis, half in enumerate(body.size))
        thin = camera.view == "front" and body.role == "fixed" and abs(body.position[1] - camera.center[1]) < y
        thin = thin and not camera.tilt
        return _scaled(unit_box(), (x, min(y, DRAWN.plate_half_depth) if thin else y, z))
    if camera.view == "front" and camera.tilt:
        # Where a plane begins and ends, m along y from its position: before what the picture shows, and behind it all.
        front = (
            DRAWN.near_plane * DRAWN.slab_begins * camera.distance
        )  # m along the axis; at the height of the plane or below it
        lower = (np.asarray(body.position) - eye(camera)) @ up(camera)
        begin = eye(camera) + front * looking(camera) + min(float(lower), 0.0) * up(camera)
        low, high = float(begin[1]) - body.position[1], camera.center[1] + DRAWN.slab_depth - body.position[1]
        slab = _scaled(unit_box(), (DRAWN.endless, (high - low) / 2, DRAWN.plate_half_depth))
        return Mesh(
            slab.vertices + np.array([0.0, (low + high) / 2, -DRAWN.plate_half_depth]), slab.normals, slab.triangles
        )
    if camera.view == "front":
        slab = _scaled(unit_box(), (DRAWN.endless, DRAWN.plate_half_depth, DRAWN.endless / 2))
        return Mesh(slab.vertices - np.array([0.0, 0.0, DRAWN.endless / 2]), slab.normals, slab.triangles)
    slab = _scaled(unit_box(), (DRAWN.endless, DRAWN.endless, DRAWN.plate_half_depth))
    return Mesh(slab.vertices - np.array([0.0, 0.0, DRAWN.plate_half_depth]), slab.normals, slab.triangles)


def is_plate(body: Body, camera: Camera) -> bool:
    """True if a box, or a cylinder seen from its end, is drawn thin: a flat one, or one with a hue in a tilted view."""
    if not (body.flat or (camera.tilt and body.hue is not None)):
        return False
    return body.shape == "box" or (body.shape == "cylinder" and axis_across(body, camera) == 2)


def axis_across(body: Body, camera: Camera) -> int:
    """The body's own axis (0, 1, 2) that lies nearest to that across the plane of motion."""
    return int(np.abs(unrotate(body.orientation, normal(camera))).argmax())


def _widest_angle(body: Body, camera: Camera, spec: RenderSpec) -> float:
    """Angle in rad between the camera's axis and the ray to the centre of a ball that is just seen, rounded up."""
    corner = math.hypot(spec.width, spec.height) / 2 / pixels_per_metre(camera, spec) + 2 * body.size[0]
    return math.ceil(50 * (math.atan(corner / camera.distance) + abs(camera.tilt))) / 50


def _scaled(mesh: Mesh, factors: tuple[float, ...]) -> Mesh:
    normals = mesh.normals / np.array(factors)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(mesh.vertices * np.array(factors), normals, mesh.triangles)


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


# Bodies before the camera of PyBullet's TinyRenderer, in a client of their own.


SUPERSAMPLING = 2
AMBIENT, DIFFUSE = 0.75, 0.20


@dataclass(frozen=True, eq=False)
class Layer:
    """One picture at the supersampled size (h, w)."""

    rgb: Image  # (h, w, 4), the last one without meaning
    depth: NDArray[np.float32]  # (h, w), 0 near .. 1 far or nothing
    number: NDArray[np.int32]  # (h, w) of the copy of a body, -1 where there is none


class TinyRenderer:
    """Copies of some bodies, drawn at the supersampled size of `spec`.

    bodies: those that are drawn, by their index in the scene.
    copies: how many there are of each; else one.
    whole: draw meshes whole, also what is never seen (the pictures are the same).
    """

    def __init__(
        self,
        bodies: Mapping[int, Body],
        camera: Camera,
        spec: RenderSpec,
        copies: Mapping[int, int] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.bodies, self.camera, self.spec = bodies, camera, spec
        self._client = Client()
        self._arguments = self._camera_arguments()
        self._shapes = {i: self._shape(body, whole) for i, body in bodies.items()}
        counts = dict.fromkeys(bodies, 1) if copies is None else copies
        self.numbers = {i: [self._create(i) for _ in range(count)] for i, count in counts.items()}  # [body][copy]

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> TinyRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shape(self, body: Body, whole: bool) -> int:
        api = self._client.api
        mesh = body_mesh(body, self.camera, None if whole else self.spec)
        grey = body.grey * _slant(body, self.camera)
        colour = (grey,) * 3 if body.hue is None else PALETTE[body.hue]
        number = api.createVisualShape(
            api.GEOM_MESH,
            vertices=_rows("vertices", mesh.vertices),
            indices=_indices(mesh.triangles.tobytes()),
            normals=_rows("normals", mesh.normals),
            uvs=_buffer("uvs", len(mesh.vertices), 2),
            rgbaColor=(*colour, 1.0),
            specularColor=(0, 0, 0),
            physicsClientId=self._client.id,
        )
        return int(number)

    def _create(self, index: int) -> int:
        body = self.bodies[index]
        number = self._client.api.createMultiBody(
            baseVisualShapeIndex=self._shapes[index],
            basePosition=body.position,
            baseOrientation=drawn_orientation(body, body.orientation),
            physicsClientId=self._client.id,
        )
        return int(number)

    def _camera_arguments(self) -> dict[str, object]:
        api, camera = self._client.api, self.camera
        front = camera.view == "front"
        width, height = self.spec.width * SUPERSAMPLING, self.spec.height * SUPERSAMPLING
        near = DRAWN.near_plane * camera.distance  # m
        pixel = picture_width(camera) / min(width, height) * near / camera.distance  # m on the near plane
        right, top = width / 2 * pixel, height / 2 * pixel
        d = pixel / 2  # the renderer's pictures lie half a pixel off; this takes it back
        return {
            "width": width,
            "height": height,
            "viewMatrix": api.computeViewMatrix(eye(camera).tolist(), camera.center, (0, 0, 1) if front else (0, 1, 0)),
            "projectionMatrix": api.computeProjectionMatrix(
                -right + d, right + d, -top + d, top + d, near, DRAWN.far_plane
            ),
            "lightDirection": (0.0 - looking(camera)).tolist(),  # from the camera: shades are round
            "lightColor": (1, 1, 1),
            "lightAmbientCoeff": AMBIENT,
            "lightDiffuseCoeff": DIFFUSE,
            "lightSpecularCoeff": 0.0,
            "shadow": 0,
            "renderer": api.ER_TINY_RENDERER,
            "physicsClientId": self._client.id,
        }

    def look_from(self, pose: CameraPose) -> None:
        """Put the camera where a pose says; the light stays where it is."""
        self._arguments["viewMatrix"] = self._client.api.computeViewMatrix(
            pose.eye.tolist(), (pose.eye + pose.axes[2]).tolist(), (-pose.axes[1]).tolist()
        )

    def keep(self, copies: Mapping[int, int]) -> None:
        """Take away all but the first `copies` of each body: even out of sight they cost time."""
        for index, numbers in self.numbers.items():
            while len(numbers) > copies.get(index, 0):
                self._client.api.removeBody(numbers.pop(), physicsClientId=self._client.id)

    def show(self, index: int, copy: int, state: Array) -> None:
        """Put a copy of a body where its `state` (13,) says."""
        x, y, z, *turn = state[:7].tolist()
        turn = drawn_orientation(self.bodies[index], turn)
        self._client.api.resetBasePositionAndOrientation(
            self.numbers[index][copy], (x, y, z), turn, physicsClientId=self._client.id
        )

    def hide(self, index: int, copy: int) -> None:
        """Put a copy of a body out of sight."""
        # m: a copy that is not shown waits there
        self._client.api.resetBasePositionAndOrientation(
            self.numbers[index][copy], (0.0, 0.0, -1e4), (0, 0, 0, 1), physicsClientId=self._client.id
        )

    def picture(self) -> Layer:
        """Draw the copies as they are placed now."""
        width, height, rgba, depth, number = self._client.api.getCameraImage(**self._arguments)
        return Layer(
            np.asarray(rgba, dtype=np.uint8).reshape(height, width, 4),
            np.asarray(depth, dtype=np.float32).reshape(height, width),
            np.asarray(number, dtype=np.int32).reshape(height, width),
        )


def _slant(body: Body, camera: Camera) -> float:
    """Factor on the grey of a plane that a tilted camera sees from the side: it is as bright as seen from the front."""
    if body.shape != "plane" or not camera.tilt:
        return 1.0
    facing = abs(float(rotate(np.asarray(body.orientation), np.array([0.0, 0.0, 1.0])) @ looking(camera)))
    return (AMBIENT + DIFFUSE) / (AMBIENT + DIFFUSE * facing)


def drawn_orientation(body: Body, orientation: Sequence[float]) -> Sequence[float]:
    """A uniform ball looks the same however it is turned: its mesh is not turned, so that its facets do not flicker."""
    return (0.0, 0.0, 0.0, 1.0) if body.shape == "sphere" else orientation


# PyBullet never frees the lists that it is given for a mesh, nor their content: 0.4 MB a ball. So all meshes of one
# size use the same lists.


def _rows(use: str, values: Array) -> list[list[float]]:
    """Values (V, 3) as lists, which the next call for the same use and V fills anew."""
    rows = _buffer(use, *values.shape)
    for row, new in zip(rows, values.tolist(), strict=True):
        row[:] = new
    return rows


@cache
def _buffer(use: str, rows: int, columns: int) -> list[list[float]]:
    return [[0.0] * columns for _ in range(rows)]


@cache
def _indices(triangles: bytes) -> list[int]:
    """Numbers of the corners of triangles, one list for each of the few shapes that there are."""
    indices: list[int] = np.frombuffer(triangles, dtype=np.int64).tolist()
    return indices


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
        from physbench.world.moving_view import moving_pictures

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
