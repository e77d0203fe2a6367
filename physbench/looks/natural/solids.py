"""Convex solids by their corners, faces and edges, as `compiled_shadows.sky_behind_solid` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.vectors import box_axes, dot

Float = NDArray[np.floating]
SIDES = 8  # of the prism that stands for a cylinder


@dataclass(frozen=True, eq=False)
class Solid:
    """A shape whose sizes are factors."""

    corners: Float  # (K, 3)
    faces: tuple[tuple[int, ...], ...]  # corners of each, counter-clockwise as they are seen from outside

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """(E, 4): corners where each begins and ends, the faces to its left and its right."""
        left = {
            pair: number
            for number, face in enumerate(self.faces)
            for pair in zip(face, (*face[1:], face[0]), strict=True)
        }
        return np.array([(*pair, face, left[pair[::-1]]) for pair, face in left.items() if pair[0] < pair[1]])


def _cube() -> Solid:
    """From -1 to 1 along each axis."""
    corners = np.array([[x, y, z] for z in (-1.0, 1.0) for y in (-1.0, 1.0) for x in (-1.0, 1.0)])
    return Solid(corners, ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)))


def _prism(sides: int) -> Solid:
    """From -1 to 1 along z; its base has the area of a disc of radius 1."""
    angles = (2 * np.arange(sides) + 1) * np.pi / sides
    radius = np.sqrt(2 * np.pi / (sides * np.sin(2 * np.pi / sides)))
    x, y = radius * np.cos(angles), radius * np.sin(angles)
    corners = np.concatenate([np.stack([x, y, np.full(sides, z)], axis=1) for z in (-1.0, 1.0)])
    ring = tuple(range(sides))
    around = ((k, (k + 1) % sides, sides + (k + 1) % sides, sides + k) for k in ring)
    return Solid(corners, (ring[::-1], tuple(sides + k for k in ring), *around))


CUBE, PRISM = _cube(), _prism(SIDES)


def placed(
    solid: Solid, half: Sequence[float], centre: Float, turn: Float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """A solid that is `half` (3,) m times as large and turned by a quaternion (4,) around `centre` (3,) m.

    Returns:
        Corners (K, 3) m, planes (F, 4) and edges (E, 4), as of `sky_behind_solid`.
    """
    corners = centre + (solid.corners * np.asarray(half)) @ box_axes(turn)
    first, second, third = (corners[[face[k] for face in solid.faces]] for k in range(3))
    normals = np.cross(second - first, third - second)
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    planes = np.concatenate([normals, dot(normals, first)[:, None]], axis=1)
    return corners.astype(np.float32), planes.astype(np.float32), solid.edges
