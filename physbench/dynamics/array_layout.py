"""Columns of the arrays that the compiled functions take, and how a `PlanarScene` fills them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.planar_scene import PlanarScene
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]

H = 1.0 / PHYSICS_HZ

# Discs (N, 8) as in `PlanarScene`
RADIUS, MASS, INVERSE_INERTIA, RESTITUTION, FRICTION, COLLIDES, TABLE_FRICTION, SLIDE_DECELERATION = range(8)
# Faces (S, 7)
NORMAL_X, NORMAL_Y, OFFSET, LOW, HIGH, FACE_RESTITUTION, FACE_FRICTION = range(7)
# Corners (C, 5)
CORNER_X, CORNER_Y, CORNER_RADIUS, CORNER_RESTITUTION, CORNER_FRICTION = range(5)
# Moving discs (N, 10): position m, velocity m/s, spin as a velocity m/s, the accelerations m/s2 of both velocities
X, Y, VX, VY, SX, SY, AX, AY, TX, TY = range(10)
# Pairs (P, 2) of discs that can meet
ONE, OTHER = range(2)
# Interventions (M, 3)
STEP, DISC, KIND = range(3)
KINDS = ("state", "push", "gone", "gravity", "damp")
STATE, PUSH, GONE, GRAVITY, DAMP = range(5)
# Rules of contacts (2,), both 0 in the true world: s by which a contact comes too early, and the angle in rad by which
# every rebound is turned
CONTACT_LEAD, TWIST = range(2)
NO_RULES = (0.0, 0.0)


def disc_columns(world: PlanarScene) -> Array:
    """Discs (N, 8)."""
    columns = (
        world.radius,
        world.mass,
        world.inverse_inertia,
        world.restitution,
        world.friction,
        world.collides,
        world.table_friction,
        world.slide_deceleration,
    )
    return np.stack(columns, axis=-1, dtype=np.float64)


def face_columns(world: PlanarScene) -> Array:
    """Faces (S, 7)."""
    columns = (*world.normal.T, world.offset, world.low, world.high, world.face_restitution, world.face_friction)
    return np.stack(columns, axis=-1, dtype=np.float64)


def corner_columns(world: PlanarScene) -> Array:
    """Corners (C, 5)."""
    columns = (*world.corner.T, world.corner_radius, world.corner_restitution, world.corner_friction)
    return np.stack(columns, axis=-1, dtype=np.float64)


def pair_columns(world: PlanarScene) -> NDArray[np.int64]:
    """Pairs (P, 2) of colliding discs that lie at the same depth."""
    pairs = [
        (i, j)
        for i in range(len(world.radius))
        for j in range(i)
        if world.collides[i] and world.collides[j] and abs(world.depth[i] - world.depth[j]) < 1e-6
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
