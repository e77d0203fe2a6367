"""The forward model of a scene: from states at some step to trajectories, for many candidates at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from physbench.laws.kepler_arcs import KeplerSimulator
from physbench.laws.planar_rollout import PlanarSimulator
from physbench.laws.planar_scene import PlanarScene, planar_scene
from physbench.laws.simulator import Intervention, Simulator
from physbench.laws.support_check import Unsupported, check_motion
from physbench.support.arrays import Array
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, Scene


@dataclass(frozen=True, eq=False)
class ForwardModel:
    """A scene as its N moving bodies in the plane of motion."""

    scene: Scene
    index: tuple[int, ...]  # (N,) of the moving bodies in the scene
    depth: Array  # (N,) m along the view
    pushes: tuple[Intervention, ...]  # impulses of the scene
    world: PlanarScene | None  # None: bodies in central fields

    def simulator(self, factor: Array | None = None) -> Simulator:
        """The simulator of the scene; factor (K,): gravity or the strength of the fields is multiplied by it."""
        if self.world is None:
            return KeplerSimulator(self.scene, self.index, factor)
        return PlanarSimulator(self.world, None if factor is None else factor[:, None] * self.world.gravity)

    def acceleration(self, position: Array) -> Array:
        """Acceleration (N, 2) m/s2 of bodies in free motion at positions (N, 2) m."""
        if self.world is not None:
            return np.broadcast_to(self.world.gravity, position.shape)
        return self._orbits.acceleration(position)

    @cached_property
    def _orbits(self) -> KeplerSimulator:
        return KeplerSimulator(self.scene, self.index)


def forward_model(scene: Scene, since: float) -> ForwardModel:
    """The forward model of a scene.

    Args:
        scene: The scene; its moving bodies must stay in the camera's plane of motion.
        since: s from which on it is simulated; bodies must be free by then.

    Returns:
        The moving bodies in the plane of motion, as discs or about a centre of attraction.

    Raises:
        Unsupported: Says why the scene has no forward model.
    """
    index = tuple(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    if not index:
        raise Unsupported("nothing moves")
    check_motion(scene, [scene.bodies[i] for i in index], since)
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    pushes = []
    for action in scene.impulses:
        if action.time >= since - 1e-9:
            body = scene.index(action.body)
            velocity_change = np.asarray(action.impulse, dtype=np.float64)[axes] / scene.bodies[body].mass
            pushes.append(Intervention(round(action.time * PHYSICS_HZ), index.index(body), "push", velocity_change))
    depth = np.array([scene.bodies[i].position[across] for i in index])
    if not scene.fields:
        return ForwardModel(scene, index, depth, tuple(pushes), planar_scene(scene, since))
    KeplerSimulator.check(scene, index)
    return ForwardModel(scene, index, depth, tuple(pushes), None)


def forward_model_or_none(scene: Scene, since: float) -> ForwardModel | None:
    """As `forward_model`; None where there is none."""
    try:
        return forward_model(scene, since)
    except Unsupported:
        return None
