"""Scenes that no law can move, with the reason: reports print the reason beside `shadowing: not valid`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from physbench.support.arrays import Array
from physbench.world.camera import depth_axis
from physbench.world.geometry import rotate
from physbench.world.scene import Body, Scene

ALIGNMENT = 1e-6  # of a unit vector: components below it count as 0
TOUCH_GAP = 1e-3  # m; bodies that are nearer touch
LEAST_TURN = 0.2  # sine of the turn from one box to the next; less is a joint of a curved board
MIN_CUSHION_RESTITUTION = 1 / 6  # restitution below which a rolling ball is pressed against a cushion by its own spin


class Unsupported(Exception):
    """A scene or a part of it that a law does not cover; the message says what, for reports."""


def check_motion(scene: Scene, moving: Sequence[Body], since: float) -> None:
    """Raise Unsupported where a body does not move in its plane from `since` s on."""
    across = depth_axis(scene.camera)
    for body in moving:
        if (body.release or -math.inf) > since:
            raise Unsupported(f"{body.name} is held for longer than the others")
        if body.until is not None:
            raise Unsupported(f"{body.name} vanishes")
        if abs(body.velocity[across]) > ALIGNMENT:
            raise Unsupported(f"{body.name} moves along the view")
    for action in scene.impulses:
        if abs(action.impulse[across]) > 1e-9:
            raise Unsupported(f"{action.body} is pushed along the view")


def check_spin(scene: Scene, moving: Sequence[Body], table: Body | None, normals: Array) -> None:
    """Raise Unsupported where a contact would reveal an initial spin that is neither seen nor that of rolling.

    normals: (S, 3) of the faces. Without friction any spin is allowed. Only balls and cylinders spin.
    """
    across = depth_axis(scene.camera)
    fixed = [body.friction for body in scene.bodies if body.role != "moving" and body.collides]
    for body in moving:
        others = [other.friction for other in moving if other is not body and other.collides]
        spin, velocity = np.asarray(body.spin), np.asarray(body.velocity)
        if body.shape == "box" and np.any(np.abs(spin) > ALIGNMENT):
            raise Unsupported(f"{body.name} is a box that turns")
        if not body.collides or body.friction * max([0.0, *fixed, *others]) == 0 or body.shape == "box":
            continue
        radius = body.size[0]
        if table is not None:
            rolling = radius * spin - np.cross(_unit(across), velocity)
            if np.abs(rolling).max() > 1e-3 * (1 + np.abs(velocity).max()):
                raise Unsupported(f"{body.name} does not begin rolling on the table, and no picture shows its spin")
            continue
        if np.abs(np.delete(spin, across)).max() > ALIGNMENT:
            raise Unsupported(f"{body.name} spins about an axis that lies in the picture")
        rolls = [radius * spin - np.cross(normal, velocity) for normal in _floors(scene, normals)]
        if rolls and min(float(np.abs(roll).max()) for roll in rolls) > 1e-3 * (1 + np.abs(velocity).max()):
            raise Unsupported(f"{body.name} begins with a spin that is not that of rolling, and no picture shows it")


def _unit(axis: int) -> Array:
    return np.asarray(np.eye(3)[axis])


def _floors(scene: Scene, normals: Array) -> Array:
    """Normals (S, 3) of faces that carry bodies; rolling on them a ball spins by normal x velocity / radius."""
    return np.asarray(normals[-(normals @ np.asarray(scene.gravity)) > 1e-9])


def check_table(moving: Sequence[Body], table: Body, gravity: Array, across: int) -> None:
    """Raise Unsupported where discs do not just roll and slide on a table across the view. gravity: (3,) m/s2."""
    up = float(rotate(table.orientation, (0.0, 0.0, 1.0))[across])
    if np.abs(np.delete(gravity, across)).max() > ALIGNMENT or gravity[across] * up > 0:
        raise Unsupported("gravity does not press onto the table")
    if any(body.shape != "sphere" for body in moving):
        raise Unsupported("something slides on the table that is not a ball")
    if len({body.size[0] for body in moving}) > 1:
        raise Unsupported("balls of different size on a table hop when they meet")
    for body in moving:
        if not body.collides:
            raise Unsupported(f"{body.name} falls through the table")
        if abs((body.position[across] - table.position[across]) * up - body.size[0]) > TOUCH_GAP:
            raise Unsupported(f"{body.name} does not lie on the table")
