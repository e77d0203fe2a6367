"""A scene as discs, faces and corners in its plane of motion, for the planar simulator.

The bodies of most scenes move in one plane: seen from the front, where gravity lies in the plane, or from above, where
it presses them onto a table. Balls, cylinders and flat cubes are then discs, and they meet faces and corners. A scene
that is not of this kind has no `PlanarScene`: `Unsupported` says why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from physbench.laws import support_check
from physbench.support.arrays import Array, Mask
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.geometry import rotate
from physbench.world.scene import Body, Scene

# Faces and corners, in the plane of motion, of boxes that stand square to it.


CORNER_DIRECTIONS = 33  # from a corner, in which `reachable` tries a disc


@dataclass(frozen=True, eq=False)
class Face:
    """A side that discs meet: normal (2,) towards the free side, offset normal . x in m, its ends along it in m."""

    normal: Array
    offset: float
    low: float
    high: float
    body: Body

    @property
    def tangent(self) -> Array:
        """Direction (2,) along which `low` and `high` count."""
        return np.array([self.normal[1], -self.normal[0]])


@dataclass(frozen=True, eq=False)
class Corner:
    """A corner or a fixed ball that discs meet."""

    position: Array  # (2,) m
    radius: float  # m, of its rounding
    body: Body
    edges: Array | None = None  # (2, 2) unit vectors along the two sides, away from the corner


def box_axes(body: Body) -> Array:
    """The axes (3, 3) of a body, one a row."""
    return rotate(body.orientation, np.eye(3))


def box_in_plane(body: Body, axes: list[int], across: int, margin: float) -> tuple[list[Face], list[Corner]]:
    """Faces and corners of a box in the plane of motion. Corners are rounded by `margin` m.

    Raises Unsupported: the box stands askew.
    """
    own = box_axes(body)
    level = [k for k in range(3) if abs(own[k, across]) < support_check.ALIGNMENT]
    if len(level) != 2:
        raise support_check.Unsupported(f"{body.name} stands askew to the plane of motion")
    middle = np.asarray(body.position)[axes]
    (a, b), (half_a, half_b) = (own[k][axes] for k in level), (body.size[k] for k in level)
    margin = min(margin, half_a, half_b)
    faces = []
    for side, reach, width in ((a, half_a, half_b), (-a, half_a, half_b), (b, half_b, half_a), (-b, half_b, half_a)):
        along = float(np.array([side[1], -side[0]]) @ middle)
        faces.append(Face(side, float(side @ middle) + reach, along - width + margin, along + width - margin, body))
    corners = [
        Corner(middle + s * (half_a - margin) * a + t * (half_b - margin) * b, margin, body, np.stack([-s * a, -t * b]))
        for s in (-1, 1)
        for t in (-1, 1)
    ]
    return faces, corners


def is_obstacle(body: Body, moving: list[Body], across: int) -> bool:
    """True if a fixed body reaches into the plane of a moving one.

    Raises Unsupported: they would meet beside the plane of motion.
    """
    half = body.size[0] if body.shape == "sphere" else float(np.abs(box_axes(body)[:, across]) @ np.asarray(body.size))
    met = False
    for other in moving:
        if not other.collides:
            continue
        apart = abs(body.position[across] - other.position[across])
        if other.shape == "sphere":
            reach = other.size[0]
        else:
            reach = other.size[1] if other.shape == "box" else other.size[1] / 2
        if body.shape == "sphere":
            level = apart < support_check.ALIGNMENT or (other.shape != "sphere" and apart <= reach)
        else:  # a ball touches a box in its plane, what is long all along
            level = apart <= half if other.shape == "sphere" else True
        if apart < half + reach:
            if not level:
                raise support_check.Unsupported(f"{other.name} would meet {body.name} beside the plane of motion")
            met = True
    return met


def check_joints(faces: list[Face]) -> None:
    """Refuse curved boards: rows of boxes over whose joints discs roll, each of which a fit would have to find.

    Raises Unsupported, which names two boxes of such a row.
    """
    carrying = [face for face in faces if math.isfinite(face.low)]
    ends = np.array(
        [[face.offset * face.normal + along * face.tangent for along in (face.low, face.high)] for face in carrying]
    ).reshape(-1, 2, 2)  # (S, ends, 2) m
    normals = np.array([face.normal for face in carrying]).reshape(-1, 2)
    turn = np.abs(normals[:, 0, None] * normals[:, 1] - normals[:, 1, None] * normals[:, 0])  # (S, S) sine
    alike = (normals @ normals.T > 0) & (turn > support_check.ALIGNMENT) & (turn < support_check.LEAST_TURN)
    apart = np.linalg.norm(ends[:, None, 1] - ends[None, :, 0], axis=-1)  # (S, S) m, the end of one from the next
    met = np.argwhere(alike & (apart < 4 * support_check.TOUCH_GAP)).tolist()
    if met:
        one, other = (carrying[face].body.name for face in met[0])
        raise support_check.Unsupported(f"{one} and {other} are parts of a curved board")


def check_steps(moving: list[Body], faces: list[Face], corners: list[Corner], gravity: Array, radius: Array) -> None:
    """Refuse scenes in which a disc that rolls on a face would climb a corner. gravity: (2,) m/s2, radius: (N,) m.

    A disc climbs a corner if, as they touch, the line from the corner to its centre points between the corner's sides.

    Raises Unsupported, which names the two bodies.
    """
    for face in faces:
        if -(face.normal @ gravity) <= 1e-9:
            continue
        for body, size in zip(moving, radius.tolist(), strict=True):
            for corner in corners if body.collides else ():
                height = float(face.normal @ corner.position) - face.offset
                reach = size + corner.radius
                across = np.sqrt(max(reach**2 - (size - height) ** 2, 0.0))
                for side in (-1.0, 1.0):
                    along = float(face.tangent @ corner.position) + side * across
                    away = side * across * face.tangent + (size - height) * face.normal
                    outside = corner.edges is None or bool(
                        (corner.edges @ away < -support_check.TOUCH_GAP * size).all()
                    )
                    over = face.low < along < face.high
                    if (
                        support_check.TOUCH_GAP < height < 2 * size
                        and corner.body is not face.body
                        and over
                        and outside
                    ):
                        raise support_check.Unsupported(
                            f"{body.name} may roll onto a step: a corner of {corner.body.name}"
                        )


def reachable(corners: list[Corner], faces: list[Face], radii: set[float]) -> list[Corner]:
    """The corners that a disc of one of the radii in m can touch without overlapping another body.

    The other corners would only cost time. So many directions from the corner to the centre of the disc are tried as
    CORNER_DIRECTIONS says, with an allowance for what lies between two of them.
    """
    solids: dict[str, list[Face]] = {}
    for face in faces:
        solids.setdefault(face.body.name, []).append(face)
    angle = np.linspace(0.0, np.pi / 2, CORNER_DIRECTIONS)[:, None]
    corners_in_reach = []
    for corner in corners:
        if corner.edges is None:
            corners_in_reach.append(corner)
            continue
        for radius in radii:
            away = -np.cos(angle) * corner.edges[0] - np.sin(angle) * corner.edges[1]
            centre = corner.position + (radius + corner.radius) * away
            others = (sides for name, sides in solids.items() if name != corner.body.name)
            free = np.ones(CORNER_DIRECTIONS, dtype=bool)
            for sides in others:
                gap = np.stack([centre @ side.normal - side.offset for side in sides])
                if len(sides) > 1:  # opposite sides of a box follow each other
                    gap = np.maximum(gap[0::2], gap[1::2])
                outside = np.linalg.norm(np.maximum(gap, 0.0), axis=0)
                free &= outside >= radius * (1 - 2 / CORNER_DIRECTIONS)
            if free.any():
                corners_in_reach.append(corner)
                break
    return corners_in_reach


@dataclass(frozen=True, eq=False)
class PlanarScene:
    """N moving discs, S faces and C corners in the plane of motion."""

    index: tuple[int, ...]  # (N,) of the moving bodies in the scene
    radius: Array  # (N,) m
    mass: Array  # (N,) kg
    inverse_inertia: Array  # (N,) m r^2 / I: 5/2 of a ball, 2 of a full cylinder, 0 of what does not turn
    restitution: Array  # (N,) of the body; that of a contact is the product of both
    friction: Array  # (N,) of the body; that of a contact is the product of both
    collides: Mask  # (N,) whether anything touches it
    depth: Array  # (N,) m, coordinate along the view, constant
    gravity: Array  # (2,) m/s2, in the plane
    table_friction: Array  # (N,) friction with a table across the view; 0 where there is none
    slide_deceleration: Array  # (N,) m/s2, table_friction times gravity
    normal: Array  # (S, 2) of faces, towards the free side
    offset: Array  # (S,) m, normal . x on the face
    low: Array  # (S,) m, where the face begins and ends along (normal_y, -normal_x)
    high: Array  # (S,)
    face_restitution: Array  # (S,)
    face_friction: Array  # (S,)
    face_speed: Array  # (S,) m/s of its surface, along `tangent`
    corner: Array  # (C, 2) m, corners and centres of fixed balls
    corner_radius: Array  # (C,) m, the radii of their rounding
    corner_restitution: Array  # (C,)
    corner_friction: Array  # (C,)

    @cached_property
    def tangent(self) -> Array:
        """Direction (S, 2) along each face in which a disc that turns clockwise rolls."""
        return np.stack([self.normal[:, 1], -self.normal[:, 0]], axis=-1)


def planar_scene(scene: Scene, since: float) -> PlanarScene:
    """The planar scene from `since` s on. Raises Unsupported where bodies do not just move in a plane."""
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    index = tuple(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    bodies = [scene.bodies[i] for i in index]
    if len(bodies) > 1 and any(body.shape == "box" for body in bodies):
        raise support_check.Unsupported("boxes that meet others turn and tip")
    discs = [_disc(body, across) for body in bodies]
    gravity = np.asarray(scene.gravity, dtype=np.float64)
    faces, corners, table = _surroundings(scene, bodies, since)
    radius = np.array([disc[0] for disc in discs])
    _check_boxes(bodies, faces, axes)
    check_depths(bodies, across)
    table_friction = np.zeros(len(bodies))
    if table is not None:
        support_check.check_table(bodies, table, gravity, across)
        table_friction = np.array([body.friction * table.friction for body in bodies])
        if np.any(table_friction > 0) and any(
            body.restitution * part.body.restitution < support_check.MIN_CUSHION_RESTITUTION
            for body in bodies
            for part in faces
        ):
            raise support_check.Unsupported("a cushion takes so much speed that a ball's own spin presses it there")
    elif abs(gravity[across]) > 0:
        raise support_check.Unsupported("gravity acts along the view, and nothing carries the bodies")
    check_joints(faces)
    check_steps(bodies, faces, corners, gravity[axes], radius)
    corners = reachable(corners, faces, {disc[0] for disc in discs})
    normals = np.zeros((len(faces), 3))
    normals[:, axes] = np.array([face.normal for face in faces]).reshape(-1, 2)
    support_check.check_spin(scene, bodies, table, normals)
    return assembled(scene, index, radius, [disc[1] for disc in discs], faces, corners, table_friction)


def assembled(
    scene: Scene,
    index: tuple[int, ...],
    radius: Array,
    inverse_inertia: Sequence[float],
    faces: Sequence[Face],
    corners: Sequence[Corner],
    table_friction: Array,
) -> PlanarScene:
    """A planar scene of the moving bodies `index` and of what they may touch, which has been checked."""
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    bodies, gravity = [scene.bodies[i] for i in index], np.asarray(scene.gravity, dtype=np.float64)
    return PlanarScene(
        index=index,
        radius=radius,
        mass=np.array([body.mass for body in bodies]),
        inverse_inertia=np.array(inverse_inertia),
        restitution=np.array([body.restitution for body in bodies]),
        friction=np.array([body.friction for body in bodies]),
        collides=np.array([body.collides for body in bodies], dtype=bool),
        depth=np.array([body.position[across] for body in bodies]),
        gravity=gravity[axes],
        table_friction=table_friction,
        slide_deceleration=table_friction * abs(gravity[across]),
        normal=np.array([face.normal for face in faces]).reshape(-1, 2),
        offset=np.array([face.offset for face in faces]),
        low=np.array([face.low for face in faces]),
        high=np.array([face.high for face in faces]),
        face_restitution=np.array([face.body.restitution for face in faces]),
        face_friction=np.array([face.body.friction for face in faces]),
        face_speed=np.array([np.asarray(face.body.surface)[axes] @ face.tangent for face in faces]),
        corner=np.array([corner.position for corner in corners]).reshape(-1, 2),
        corner_radius=np.array([corner.radius for corner in corners]),
        corner_restitution=np.array([corner.body.restitution for corner in corners]),
        corner_friction=np.array([corner.body.friction for corner in corners]),
    )


def _surroundings(scene: Scene, bodies: list[Body], since: float) -> tuple[list[Face], list[Corner], Body | None]:
    """Faces and corners that the moving bodies of a scene may touch, and the table on which they lie, if any."""
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    faces: list[Face] = []
    corners: list[Corner] = []
    table: Body | None = None
    for body in scene.bodies:
        gone = body.until is not None and body.until <= since
        if body.role == "moving" or not body.collides or gone or not any(other.collides for other in bodies):
            continue
        if body.path or body.until is not None:
            raise support_check.Unsupported(f"{body.name} is an obstacle that moves or vanishes")
        if body.shape == "cylinder":
            raise support_check.Unsupported(f"{body.name} is an obstacle and a cylinder")
        normal = rotate(body.orientation, (0.0, 0.0, 1.0))
        if body.shape == "plane" and abs(normal[across]) > 1 - support_check.ALIGNMENT:
            gaps = [abs(other.position[across] - body.position[across]) - max(other.size) for other in bodies]
            if abs(scene.gravity[across]) > 0 or min(gaps) < support_check.TOUCH_GAP:
                table = body
        elif body.shape == "plane":
            if abs(normal[across]) > support_check.ALIGNMENT:
                raise support_check.Unsupported(f"{body.name} stands askew to the plane of motion")
            up = normal[axes]
            faces.append(Face(up, float(up @ np.asarray(body.position)[axes]), -math.inf, math.inf, body))
        elif not is_obstacle(body, bodies, across):
            continue
        elif body.shape == "sphere":
            corners.append(Corner(np.asarray(body.position)[axes], body.size[0], body))
        else:
            # 1e-3 m by which PyBullet rounds the corners of a box: its default margin of collisions
            parts = box_in_plane(body, axes, across, 1e-3)
            faces += parts[0]
            corners += parts[1]
    return faces, corners, table


def _check_boxes(bodies: list[Body], faces: list[Face], axes: list[int]) -> None:
    """Raise Unsupported for a cube that does anything but slide."""
    if not any(body.shape == "box" for body in bodies):
        return
    position, own = np.asarray(bodies[0].position)[axes], box_axes(bodies[0])[:, axes]
    if not any(
        abs(float(face.normal @ position) - face.offset - bodies[0].size[0]) < support_check.TOUCH_GAP
        and np.abs(own @ face.normal).max() > 1 - support_check.ALIGNMENT
        for face in faces
    ):
        raise support_check.Unsupported(
            f"{bodies[0].name} is a box that does not begin flat on a face, so that it turns"
        )
    if max(bodies[0].friction * face.body.friction for face in faces) >= 1:
        raise support_check.Unsupported(f"{bodies[0].name} is a box on so rough a face that it tips")


def check_depths(bodies: list[Body], across: int) -> None:
    """Raise Unsupported for bodies that would meet out of the plane of motion."""
    for i, one in enumerate(bodies):
        for other in bodies[:i]:
            apart = abs(one.position[across] - other.position[across])
            if one.collides and other.collides and support_check.ALIGNMENT < apart < one.size[0] + other.size[0]:
                raise support_check.Unsupported(f"{other.name} and {one.name} would meet beside the plane of motion")


def _disc(body: Body, across: int) -> tuple[float, float]:
    """Radius in m and m r^2 / I of a body as a disc."""
    if body.shape == "sphere":
        return body.size[0], 1 / body.inertia
    if body.flat and body.shape == "cylinder":
        if abs(rotate(body.orientation, (0.0, 0.0, 1.0))[across]) > 1 - support_check.ALIGNMENT:
            return body.size[0], 1 / body.inertia
        raise support_check.Unsupported(f"{body.name} is a cylinder that is not seen from its end")
    sides = sorted({size for axis, size in enumerate(body.size) if axis != 1})
    if not body.flat or body.shape != "box" or len(sides) > 1:
        raise support_check.Unsupported(f"{body.name} is a {body.shape} that is neither a ball nor a disc nor a cube")
    return sides[0], 0.0
