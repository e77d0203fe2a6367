"""Meshes of bodies, and PyBullet's TinyRenderer before a camera, at twice the size of the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Image
from physbench.world.bullet import Client
from physbench.world.camera import CameraPose, depth_axis, eye, looking, normal, picture_width, pixels_per_metre, up
from physbench.world.geometry import rotate, unrotate
from physbench.world.scene import BACKGROUND_GREY, PALETTE, Body, Camera, RenderSpec

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


def body_mesh(body: Body, camera: Camera, widest: float = math.pi) -> Mesh:
    """Mesh drawn for a body, in its own axes.

    widest: of a ball only what eyes see that are at most this angle in rad off the direction from which the camera at
    rest looks; the picture is the same.
    In a front view planes, and fixed boxes in the plane of motion, are drawn as thin plates in that plane: the front
    of a deep one would be nearer to the camera, appear larger, and hide the feet of what stands on it. So are `flat`
    bodies in any view, a little thicker, so that they are drawn before what they touch. A tilted view shows the
    upper sides of planes and the sides of grey boxes; boxes that are tracked are plates in it.
    """
    if body.shape == "sphere":
        visible = min(math.pi / 2 + widest, math.pi)
        return _scaled(unit_sphere(depth_axis(camera), visible), (body.size[0],) * 3)
    across = axis_across(body, camera) if is_plate(body, camera) else None
    if body.shape == "cylinder":
        length = body.size[1] if across is None else min(body.size[1], 2 * DRAWN.flat_half_depth)
        unit = unit_tube(body.bore) if body.bore else unit_cylinder()
        return _scaled(unit, (body.size[0], body.size[0], length))
    if body.shape == "box":
        size = enumerate(drawn_size(body, camera))
        x, y, z = (min(half, DRAWN.flat_half_depth) if axis == across else half for axis, half in size)
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
    if (camera.tilt and is_painted(body)) or not (body.flat or (camera.tilt and body.hue is not None)):
        return False
    return body.shape == "box" or (body.shape == "cylinder" and axis_across(body, camera) == 2)


def is_painted(body: Body) -> bool:
    """True of what lies on the front of a deep body, such as the marks of a belt.

    It is a flat grey box, three times as deep as it is wide, that moves along a path and touches nothing.
    """
    seen_only = body.flat and body.hue is None and body.role == "kinematic" and not body.collides
    return seen_only and body.shape == "box" and max(body.size) >= 3 * sorted(body.size)[1]


def drawn_size(body: Body, camera: Camera) -> tuple[float, ...]:
    """Size of a body as it is drawn before a camera; a tilted one sees what is painted on the front of deep bodies."""
    if not (camera.tilt and is_painted(body)):
        return body.size
    across = axis_across(body, camera)
    return tuple(half + DRAWN.flat_half_depth * (axis == across) for axis, half in enumerate(body.size))


def axis_across(body: Body, camera: Camera) -> int:
    """The body's own axis (0, 1, 2) that lies nearest to that across the plane of motion."""
    return int(np.abs(unrotate(body.orientation, normal(camera))).argmax())


def _widest_angle(body: Body, camera: Camera, spec: RenderSpec) -> float:
    """Angle in rad of `body_mesh` for a ball wherever a camera at rest sees it, rounded up."""
    corner = math.hypot(spec.width, spec.height) / 2 / pixels_per_metre(camera, spec) + 2 * body.size[0]
    return _rounded_up(math.atan(corner / camera.distance) + abs(camera.tilt))


def widest_angle_from(eyes: Array, camera: Camera, positions: Array) -> float:
    """Angle in rad of `body_mesh` for a ball at positions (T, 3) m, seen from eyes (T, 3) m, rounded up."""
    ahead = (positions - eyes)[:, depth_axis(camera)] * (1.0 if camera.view == "front" else -1.0)
    return _rounded_up(float(np.arccos(np.clip(ahead / np.linalg.norm(positions - eyes, axis=-1), -1.0, 1.0)).max()))


def _rounded_up(angle: float) -> float:
    return math.ceil(50 * angle) / 50  # few meshes are kept


def _scaled(mesh: Mesh, factors: tuple[float, ...]) -> Mesh:
    normals = mesh.normals / np.array(factors)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(mesh.vertices * np.array(factors), normals, mesh.triangles)


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
    widest: angle in rad of `body_mesh` for balls; of those without, that for wherever a camera at rest sees them.
    """

    def __init__(
        self,
        bodies: Mapping[int, Body],
        camera: Camera,
        spec: RenderSpec,
        copies: Mapping[int, int] | None = None,
        *,
        widest: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        self.bodies, self.camera, self.spec = bodies, camera, spec
        self._client = Client()
        self._arguments = self._camera_arguments()
        self._shapes = {i: self._shape(body, widest.get(i)) for i, body in bodies.items()}
        slanted = {i: body.grey * _slant(body, camera) for i, body in bodies.items() if body.hue is None}
        self._brighter = {i: grey for i, grey in slanted.items() if grey > 1.0}  # colours end at 1: see `picture`
        counts = dict.fromkeys(bodies, 1) if copies is None else copies
        self.numbers = {i: [self._create(i) for _ in range(count)] for i, count in counts.items()}  # [body][copy]

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> TinyRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shape(self, body: Body, widest: float | None) -> int:
        api = self._client.api
        if widest is None and body.shape == "sphere":
            widest = _widest_angle(body, self.camera, self.spec)
        mesh = body_mesh(body, self.camera, math.pi if widest is None else widest)
        grey = min(body.grey * _slant(body, self.camera), 1.0)
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
        layer = Layer(
            np.asarray(rgba, dtype=np.uint8).reshape(height, width, 4),
            np.asarray(depth, dtype=np.float32).reshape(height, width),
            np.asarray(number, dtype=np.int32).reshape(height, width),
        )
        for index, factor in self._brighter.items():
            own = np.isin(layer.number, self.numbers[index])
            layer.rgb[own] = np.minimum(np.rint(layer.rgb[own] * factor), 255).astype(np.uint8)
        return layer


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
