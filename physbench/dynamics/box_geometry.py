"""Faces and corners, in the plane of motion, of boxes that stand square to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.support_check import ALIGNMENT, TOUCH_GAP, Unsupported
from physbench.world.geometry import rotate
from physbench.world.scene import Body

Array = NDArray[np.float64]

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

    Raises:
        Unsupported: The box stands askew.
    """
    own = box_axes(body)
    level = [k for k in range(3) if abs(own[k, across]) < ALIGNMENT]
    if len(level) != 2:
        raise Unsupported(f"{body.name} stands askew to the plane of motion")
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
    """Whether a fixed body reaches into the plane of a moving one.

    Raises:
        Unsupported: They would meet beside the plane of motion.
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
            level = apart < ALIGNMENT or (other.shape != "sphere" and apart <= reach)
        else:  # a ball touches a box in its plane, what is long all along
            level = apart <= half if other.shape == "sphere" else True
        if apart < half + reach:
            if not level:
                raise Unsupported(f"{other.name} would meet {body.name} beside the plane of motion")
            met = True
    return met


def check_steps(moving: list[Body], faces: list[Face], corners: list[Corner], gravity: Array, radius: Array) -> None:
    """Refuse scenes in which a disc that rolls on a face would climb a corner. gravity: (2,) m/s2, radius: (N,) m.

    A disc climbs a corner if, as they touch, the line from the corner to its centre points between the corner's sides.

    Raises:
        Unsupported: Names the two bodies.
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
                    outside = corner.edges is None or bool((corner.edges @ away < -TOUCH_GAP * size).all())
                    over = face.low < along < face.high
                    if TOUCH_GAP < height < 2 * size and corner.body is not face.body and over and outside:
                        raise Unsupported(f"{body.name} may roll onto a step: a corner of {corner.body.name}")


def reachable(corners: list[Corner], faces: list[Face], radii: set[float]) -> list[Corner]:
    """The corners that a disc of one of the radii in m can touch without overlapping another body.

    The other corners would only cost time. So many directions from the corner to the centre of the disc are tried as
    CORNER_DIRECTIONS says, with an allowance for what lies between two of them.
    """
    solids: dict[str, list[Face]] = {}
    for face in faces:
        solids.setdefault(face.body.name, []).append(face)
    angle = np.linspace(0.0, np.pi / 2, CORNER_DIRECTIONS)[:, None]
    found = []
    for corner in corners:
        if corner.edges is None:
            found.append(corner)
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
                found.append(corner)
                break
    return found
