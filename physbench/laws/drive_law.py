"""The law of scenes with driven bodies: balls, bars on rails and walls without friction, seen from straight above."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from physbench.laws.drive_motion import COLUMNS, follow_driven
from physbench.laws.planar_scene import box_axes, check_depths, is_obstacle
from physbench.laws.scene_law import LawConstant, SceneLaw
from physbench.laws.support_check import ALIGNMENT, Unsupported
from physbench.support.arrays import Array, Whole
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, Body, Drive, Thrust

OUT_OF_REACH = 1e9  # m/s, towards which a thruster pushes


class DriveLaw(SceneLaw):
    """Bodies that motors or thrusters drive, and what they hit; it steps as the simulator does, without turns."""

    name = "drive"
    fields: ClassVar[tuple[type, ...]] = (Drive, Thrust)
    constants: ClassVar[tuple[LawConstant, ...]] = (
        LawConstant("motor_force", "motors were {value} times as strong", "force of motors"),
    )
    has_contacts = True
    continuous = False
    removable = False  # bodies that meet continue to do so

    def check(self) -> None:
        """Raises Unsupported where a scene is not of this kind."""
        scene, across = self.scene, depth_axis(self.scene.camera)
        if any(scene.gravity):
            raise Unsupported("gravity acts on what is driven")
        check_depths([scene.bodies[i] for i in self.index], across)
        for i, body in enumerate(scene.bodies):
            if i not in self.index and not body.collides:
                continue
            if body.collides and body.friction > 0:
                raise Unsupported(f"{body.name} is rough")
            if i in self.index and body.shape != "sphere" and body.turns:
                raise Unsupported(f"{body.name} may turn")
            if body.shape not in ("sphere", "box"):
                raise Unsupported(f"{body.name} is a {body.shape}")
            if i not in self.index and (body.path or body.until is not None):
                raise Unsupported(f"{body.name} is an obstacle that moves or vanishes")
        boxes = [each for each in (*self._moving, *self._walls) if each.shape == "box"]
        if any(np.abs(box_axes(each)[2, across]) < 1 - ALIGNMENT for each in boxes):
            raise Unsupported("a box stands askew to the plane of motion")
        turns = {
            round(float(2 * np.arctan2(each.orientation[2], each.orientation[3]) % (np.pi / 2)), 6) for each in boxes
        }
        if len(turns - {round(np.pi / 2, 6)}) > 1:
            raise Unsupported("boxes are not parallel")

    @cached_property
    def _moving(self) -> list[Body]:
        return [self.scene.bodies[i] for i in self.index]

    @cached_property
    def _walls(self) -> list[Body]:
        """Obstacles that stand in the plane of motion."""
        across = depth_axis(self.scene.camera)
        others = [body for i, body in enumerate(self.scene.bodies) if i not in self.index and body.collides]
        return [body for body in others if is_obstacle(body, self._moving, across)]

    @cached_property
    def _bodies(self) -> Array:
        """Bodies (N + M, COLUMNS) as `drive_motion` has them."""
        axes = list(PLANE_AXES[self.scene.camera.view])
        rows = np.zeros((len(self._moving) + len(self._walls), COLUMNS))
        for row, body in zip(rows, (*self._moving, *self._walls), strict=True):
            along = box_axes(body)[0][axes]
            half, radius = ((0.0, 0.0), body.size[0]) if body.shape == "sphere" else (body.size[:2], 0.0)
            row[:] = (
                *np.asarray(body.position)[axes],
                *half,
                radius,
                *along,
                1 / body.mass,
                body.restitution,
                body.collides,
            )
        return rows

    @cached_property
    def _commands(self) -> Array:
        """Commands (E, 5) as `drive_motion` has them; before the first one a motor keeps its body at rest.

        A force is that of a motor which never gets to its velocity.
        """
        axes, rows = list(PLANE_AXES[self.scene.camera.view]), []
        for drive in self.scene.drives:
            i = self.scene.index(drive.body)
            number, motor = self.index.index(i), drive.force / self.scene.bodies[i].mass
            rows.append([number, -np.inf, 0.0, 0.0, motor])
            for each in drive.commands:
                velocity = np.asarray(each.velocity)[axes]
                rows.append([number, round(each.time * PHYSICS_HZ), *velocity, motor])
        for thrust in self.scene.thrusts:
            i = self.scene.index(thrust.body)
            number, mass = self.index.index(i), self.scene.bodies[i].mass
            rows.append([number, -np.inf, OUT_OF_REACH, 0.0, 0.0])
            for burn in thrust.burns:
                force = np.asarray(burn.force)[axes]
                size = float(np.hypot(*force))
                towards = force / size if size else np.array([1.0, 0.0])
                rows.append([number, round(burn.time * PHYSICS_HZ), *(OUT_OF_REACH * towards), size / mass])
        return np.array(rows, dtype=np.float64)

    @property
    def cost(self) -> int:
        """As of any law; with it a search takes 2 s at one tolerance at most."""
        return 10  # of a body in a step, over that of motion in closed form

    def acceleration(self, position: Array) -> Array:
        """0: that of a motor depends on the time and on the velocity, and is left to fits."""
        return np.zeros((len(self.index), 2))

    def simulate(self, states: Array, times: Array, constants: Array) -> Array:
        steps = times * PHYSICS_HZ
        whole = np.floor(steps + 1e-6).astype(np.int64)
        moved, _ = self._moved(states, whole, constants)
        moved[..., :2] += ((steps - whole) / PHYSICS_HZ)[:, None, None] * moved[..., 2:]
        return moved

    def contacts(self, states: Array, times: Array, constants: Array) -> Sequence[tuple[float, int, int]]:
        _, met = self._moved(states[None], np.round(times * PHYSICS_HZ).astype(np.int64), np.atleast_2d(constants))
        return [(step / PHYSICS_HZ, one, other) for step, one, other in met.tolist()]

    def _moved(self, states: Array, steps: Whole, constants: Array) -> tuple[Array, Whole]:
        """States (K, F, N, 4) at steps (F,), and contacts (C, 3) of the first candidate: step, body, other or -1."""
        met = np.zeros((256, 3), dtype=np.int64)  # contacts that are told
        factor = np.ascontiguousarray(constants[:, 0], dtype=np.float64)
        states = np.ascontiguousarray(states, dtype=np.float64)
        moved, count = follow_driven(states, steps, self._bodies, self._commands, factor, met)
        return moved, met[:count]
