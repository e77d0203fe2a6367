"""A velocity in words: how fast in five steps, and in which of eight directions of the picture.

The words are for models that see one image, which shows no velocity. Speeds are in the body's own diameters a second
(that of a circle as large as its silhouette), since these can be seen in the picture, and metres cannot. Each word has
bounds, so that it can be said which velocities a word allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from physbench.support.arrays import Array
from physbench.world.camera import PLANE_AXES
from physbench.world.drawing import apparent_radius
from physbench.world.scene import Camera, Scene, hue_name

BODY_NOUNS = {"sphere": "ball", "box": "box", "cylinder": "disc"}
# Diameters/s from which on a pace is meant, up to that of the next one.
PACES = (
    (0.0, "at rest", ""),
    (0.05, "slowly", "less than its own width a second"),
    (1.0, "at a moderate speed", "one to two of its own widths a second"),
    (2.0, "fast", "two to four of its own widths a second"),
    (4.0, "very fast", "more than four of its own widths a second"),
)
# Counter-clockwise from the right, each SECTOR wide, seen from the side and from above.
HEADINGS = {
    "front": (
        *("to the right", "up and to the right", "straight up", "up and to the left"),
        *("to the left", "down and to the left", "straight down", "down and to the right"),
    ),
    "top": (
        *("to the right", "towards the upper right", "towards the top of the picture", "towards the upper left"),
        *("to the left", "towards the lower left", "towards the bottom of the picture", "towards the lower right"),
    ),
}
SECTOR = math.tau / 8  # rad
ROLLING_SLIP = 0.1  # share of the speed by which spin x radius may differ from it in what rolls


@dataclass(frozen=True)
class ToldMotion:
    """Statement on a body's velocity at the hand-over."""

    body: str
    pace: int  # index into PACES; 0 is at rest
    direction: int | None  # index into HEADINGS; None at rest
    rolls: bool


def told_motions(scene: Scene, states: Array) -> tuple[ToldMotion, ...]:
    """Statements on the moving bodies with a hue, from the true states (N, 13) of all bodies at the hand-over."""
    told = []
    for index, body in enumerate(scene.bodies):
        if body.role != "moving" or body.hue is None or not body.drawn:
            continue
        velocity = states[index, 7:10][list(PLANE_AXES[scene.camera.view])]
        speed = float(np.linalg.norm(velocity))
        pace = sum(speed >= slowest * _diameter(scene, index) for slowest, _, _ in PACES) - 1
        direction = round(math.atan2(velocity[1], velocity[0]) / SECTOR) % len(HEADINGS["top"]) if pace else None
        rolls = body.shape != "box" and pace > 0 and _rolls(scene.camera, states[index], body.size[0])
        told.append(ToldMotion(body.name, pace, direction, rolls))
    return tuple(told)


def _rolls(camera: Camera, state: Array, radius: float) -> bool:
    """True if the spin of a body (13,) fits its velocity on a surface below it, seen from the side, or on the table."""
    velocity, spin = state[7:10], state[10:13]
    speed = float(np.linalg.norm(velocity))
    normal = np.array([0.0, 0.0, 1.0])
    if camera.view == "front":  # square to the velocity, in the plane of motion, and upwards
        across, _ = PLANE_AXES[camera.view]
        normal = np.zeros(3)
        normal[across], normal[2] = -velocity[2] / speed, velocity[across] / speed
        normal *= np.sign(normal[2])
    return bool(np.linalg.norm(velocity - radius * np.cross(spin, normal)) < ROLLING_SLIP * speed)


def told_speeds(scene: Scene, told: ToldMotion) -> tuple[float, float]:
    """The least and the largest speed in m/s that a word allows; the latter is infinite for the fastest."""
    bounds = (*(slowest for slowest, _, _ in PACES), math.inf)
    diameter = _diameter(scene, scene.index(told.body))
    return bounds[told.pace] * diameter, bounds[told.pace + 1] * diameter


def told_angles(told: ToldMotion) -> tuple[float, float]:
    """The direction that a word means, in rad counter-clockwise from the right, and how far beside it still counts."""
    return (0.0, math.pi) if told.direction is None else (told.direction * SECTOR, SECTOR / 2)


def motion_sentence(scene: Scene, motions: Sequence[ToldMotion]) -> str:
    """Sentence of a prompt on velocities at the hand-over; "" where none is stated.

    Of screens and other bodies that are driven it says nothing: the prompt of the task does.
    """
    said = [f"{_the(scene, told)} {_moves(scene.camera, told)}" for told in motions if told.pace]
    said += [f"{_the(scene, told)} is {PACES[0][1]}" for told in motions if not told.pace]
    return f"At the start {'; '.join(said)}." if said else ""


def _moves(camera: Camera, told: ToldMotion) -> str:
    """ "rolls slowly to the right (less than its own width a second)"."""
    assert told.direction is not None
    _, pace, measure = PACES[told.pace]
    return f"{'rolls' if told.rolls else 'moves'} {pace} {HEADINGS[camera.view][told.direction]} ({measure})"


def _the(scene: Scene, told: ToldMotion) -> str:
    body = scene.bodies[scene.index(told.body)]
    assert body.hue is not None
    return f"the {hue_name(body.hue)} {BODY_NOUNS[body.shape]}"


def _diameter(scene: Scene, index: int) -> float:
    return 2 * apparent_radius(scene.bodies[index], scene.camera)
