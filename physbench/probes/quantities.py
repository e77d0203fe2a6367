"""Physical quantities of clips that read-outs are fitted to, from the states and the constants of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array
from physbench.validity.task_checks.physics import energy_of
from physbench.world.camera import plane_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.scene import HUE_NAMES

VISIBLE = 0.5  # share of a body's area from which it is in sight
HIDDEN = 0.05  # share below which it is out of sight
ONE = "the moving body"  # slot of a scene in which one coloured body moves; where several do, slots are hues


@dataclass(frozen=True)
class Quantity:
    """A quantity of the moving coloured bodies, or of the scene.

    Attributes:
        name: In tables.
        unit: SI unit; "" for a ratio.
        about: Its definition.
    """

    name: str
    unit: str
    about: str


QUANTITIES = (
    Quantity("position", "m", "centre in the plane of motion, both axes"),
    Quantity("velocity", "m/s", "of the centre in the plane of motion, both axes"),
    Quantity("size", "m", "radius of a circle with the area of the silhouette"),
    Quantity("mass", "kg", "density x volume, with one density for all bodies"),
    Quantity("restitution", "", "of the body's contacts"),
    Quantity("hidden position", "m", "position while less than 5 % of the body is in sight"),
    Quantity("energy", "J", "kinetic and potential, of all moving bodies"),
)
BODY = ("position", "velocity", "size", "mass")  # what read-outs of one family may read in another
Targets = dict[tuple[str, str], Array]  # by name of the quantity and slot: (F, 1 or 2), NaN where it is not read


def clip_targets(clip: Clip, frames: NDArray[np.int64]) -> Targets:
    """Values of all quantities at some frames.

    Args:
        clip: The clip.
        frames: Their indices (F,).

    Returns:
        (F, A) by quantity and slot. Hidden positions are those of bodies behind something, not of those that left the
        picture; all else is read while at least half of the body is in sight, energy while that holds for all bodies.
    """
    moving = [(k, i) for k, i in enumerate(clip.tracked) if clip.scene.bodies[i].role == "moving"]
    share = clip.visible_share()[frames]  # (F, K)
    place = clip.px_positions()[frames]  # (F, K, 2) px
    inside = np.asarray(((place >= 0) & (place <= (clip.spec.width, clip.spec.height))).all(-1))
    targets: Targets = {}
    for k, i in moving:
        body, states = clip.scene.bodies[i], clip.states[frames, i]
        slot = ONE if len(moving) == 1 else HUE_NAMES[int(body.hue or 0)]
        seen, hidden = share[:, k] >= VISIBLE, (share[:, k] < HIDDEN) & inside[:, k]
        position = plane_from_world(clip.scene.camera, states[:, :3])
        values = {
            "position": position,
            "velocity": plane_from_world(clip.scene.camera, states[:, 7:10]),
            "size": np.full((len(frames), 1), apparent_radius(body, clip.scene.camera)),
            "mass": np.full((len(frames), 1), body.mass),
            "restitution": np.full((len(frames), 1), body.restitution),
        }
        for name, each in values.items():
            targets[name, slot] = np.where(seen[:, None], each, np.nan)
        targets["hidden position", slot] = np.where(hidden[:, None], position, np.nan)
    has_energy = all(field.energy(clip.scene, clip.states[..., :3]) is not None for field in clip.scene.fields)
    if moving and has_energy:
        everything = share[:, [k for k, _ in moving]].min(-1) >= VISIBLE
        energy = energy_of(clip.scene, clip.states, clip.times)[frames]
        targets["energy", ""] = np.where(everything, energy, np.nan).reshape(-1, 1)
    return targets
