"""A scene of discs as the arrays of its kernels: what their columns mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.planar_scene import PlanarScene
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]

H = 1.0 / PHYSICS_HZ

# Discs (N, 8) as in `PlanarScene`; one that is not solid meets nothing
RADIUS, MASS, TURN, BOUNCE, RUB, SOLID, HOLD, GRIP = range(8)
# Faces (S, 7)
NORMAL_X, NORMAL_Y, OFFSET, LOW, HIGH, FACE_BOUNCE, FACE_RUB = range(7)
# Corners (C, 5)
CORNER_X, CORNER_Y, PAD, CORNER_BOUNCE, CORNER_RUB = range(5)
# Moving discs (N, 10): place m, velocity m/s, the velocity m/s that the spin stands for, the accelerations m/s2 of both
X, Y, VX, VY, SX, SY, AX, AY, TX, TY = range(10)
# Pairs (P, 2) that can meet
ONE, OTHER = range(2)
# Changes (M, 3)
STEP, DISC, KIND = range(3)
KINDS = ("state", "push", "gone")
STATE, PUSH, GONE = range(3)


def disc_columns(world: PlanarScene) -> Array:
    """Discs (N, 8)."""
    columns = (world.radius, world.mass, world.turn, world.bounce, world.rub, world.solid, world.hold, world.grip)
    return np.stack(columns, axis=-1, dtype=np.float64)


def face_columns(world: PlanarScene) -> Array:
    """Faces (S, 7)."""
    columns = (*world.normal.T, world.offset, world.low, world.high, world.face_bounce, world.face_rub)
    return np.stack(columns, axis=-1, dtype=np.float64)


def corner_columns(world: PlanarScene) -> Array:
    """Corners (C, 5)."""
    columns = (*world.corner.T, world.pad, world.corner_bounce, world.corner_rub)
    return np.stack(columns, axis=-1, dtype=np.float64)


def pair_columns(world: PlanarScene) -> NDArray[np.int64]:
    """Pairs (P, 2) of discs that lie at the same depth."""
    pairs = [
        (i, j)
        for i in range(len(world.radius))
        for j in range(i)
        if world.solid[i] and world.solid[j] and abs(world.depth[i] - world.depth[j]) < 1e-6
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
