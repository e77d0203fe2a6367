"""The law of bodies on rods that turn about fixed points, under gravity, in a medium or without one."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from physbench.laws.changes import WorldChange
from physbench.laws.pendulum_motion import BEGIN, DRAG, TREND, follow_pendulums
from physbench.laws.scene_law import LawConstant, SceneLaw
from physbench.laws.simulator import PiecewiseSimulator, Simulator
from physbench.laws.support_check import ALIGNMENT, Unsupported
from physbench.support.arrays import Array
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, Drag, Rod, Scene


class PendulumLaw(SceneLaw):
    """Each body is on one rod: one angle, one rate.

    A state has four numbers all the same. The body is in the direction of its position from the fixed point, as far
    from it as the rod is long, and its velocity is what is across the rod: two of the four change nothing.
    """

    name = "pendulum"
    fields = (Rod, Drag)
    constants = (LawConstant("gravity"),)

    @classmethod
    def covers(cls, scene: Scene) -> bool:
        return super().covers(scene) and any(isinstance(each, Rod) for each in scene.fields)

    def check(self) -> None:
        """Raises Unsupported where a scene is not of this kind."""
        scene, across = self.scene, depth_axis(self.scene.camera)
        rods = [each for each in scene.fields if isinstance(each, Rod)]
        for i in self.index:
            name = scene.bodies[i].name
            own = [rod for rod in rods if name in rod.sources]
            if len(own) != 1 or own[0].body != name:
                raise Unsupported(f"{name} is not on one rod that turns about a fixed point")
            anchor = scene.bodies[scene.index(own[0].anchor)]
            if anchor.role != "fixed" or anchor.until is not None:
                raise Unsupported(f"{anchor.name}, about which a rod turns, moves or vanishes")
            if abs(anchor.position[across] - scene.bodies[i].position[across]) > ALIGNMENT:
                raise Unsupported(f"{anchor.name}, about which a rod turns, lies before or behind what moves")
        solid = [body for body in scene.bodies if body.collides]
        if len(solid) > 1 and any(scene.bodies[i].collides for i in self.index):
            raise Unsupported("bodies on rods may meet something")
        if abs(scene.gravity[across]) > ALIGNMENT:
            raise Unsupported("gravity pulls bodies on rods along the view")

    @cached_property
    def _rods(self) -> Array:
        """The rods (N, 3) as `pendulum_motion` has them."""
        scene, axes, rows = self.scene, list(PLANE_AXES[self.scene.camera.view]), []
        for i in self.index:
            rod = next(each for each in scene.fields if isinstance(each, Rod) and each.body == scene.bodies[i].name)
            anchor = scene.bodies[scene.index(rod.anchor)].position
            rows.append([*(anchor[axis] for axis in axes), rod.length])
        return np.array(rows, dtype=np.float64)

    @cached_property
    def _gravity(self) -> Array:
        return np.asarray(self.scene.gravity, dtype=np.float64)[list(PLANE_AXES[self.scene.camera.view])]

    @cached_property
    def _drag(self) -> float:
        return sum((each.rate for each in self.scene.fields if isinstance(each, Drag)), 0.0)

    @cached_property
    def alterable(self) -> frozenset[str]:
        names = super().alterable | {"wind", "drag"}
        return names | {"gravity_angle", "gravity_trend"} if self._gravity.any() else names - {"gravity"}

    def simulate(self, states: Array, times: Array, constants: Array) -> Array:
        return self._moved(states, times, constants, WorldChange(), 0.0)

    def _moved(self, states: Array, times: Array, constants: Array, change: WorldChange, begin: float) -> Array:
        worlds = np.zeros((len(constants), 5))
        worlds[:, :2] = constants[:, :1] * change.gravity_in_plane(self._gravity)
        worlds[:, DRAG], worlds[:, TREND], worlds[:, BEGIN] = self._drag + change.drag, change.gravity_trend, begin
        return follow_pendulums(
            np.ascontiguousarray(states, dtype=np.float64),
            np.ascontiguousarray(times, dtype=np.float64),
            self._rods,
            worlds,
        )

    def before(self, body: int, start: Array, times: Array, others: Array) -> tuple[Array, Array]:
        states = np.full((1, len(self.index), 4), np.nan)
        states[0, body] = start
        moved = self.simulate(states, times[::-1], np.ones((1, 1)))[0, :0:-1, body]
        return moved[:, :2], moved[:, 2:]

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        own = np.ones((1, 1)) if constants is None else constants

        def simulate(states: Array, times: Array, constants: Array) -> Array:
            return self._moved(states, times, constants, change, since / PHYSICS_HZ)

        return PiecewiseSimulator(simulate, self.contacts, len(self.index), own)
