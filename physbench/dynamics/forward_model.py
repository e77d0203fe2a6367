"""The forward model of a scene: from states at some step to the ways of its bodies, for many candidates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.interventions import Intervention
from physbench.dynamics.kepler_arcs import Central
from physbench.dynamics.planar_rollout import Discs
from physbench.dynamics.planar_scene import PlanarScene, planar_scene
from physbench.dynamics.support_check import Unsupported, check_motion
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, Scene

Array = NDArray[np.float64]


class Trajectory(Protocol):
    """The motion of K candidates of N bodies."""

    @property
    def touches(self) -> Sequence[tuple[int, int, int]]:
        """Step, body and other body or -1 of the touches of the first candidate."""
        ...

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Places m, velocities and spins m/s (K, F, N, 2) at steps (F,).

        NaN where a body is not there, or a candidate has been given up."""
        ...

    def places(self, steps: Array) -> Array:
        """The places alone."""
        ...


class Simulator(Protocol):
    """A forward model."""

    def run(self, changes: Sequence[Intervention], end: int, smooth: bool = False) -> Trajectory:
        """Simulate from the first change, which gives a body its states, to step `end`."""
        ...


@dataclass(frozen=True, eq=False)
class ForwardModel:
    """A scene as its N moving bodies in the plane of motion."""

    scene: Scene
    index: tuple[int, ...]  # (N,) of the moving bodies in the scene
    depth: Array  # (N,) m along the view
    pushes: tuple[Intervention, ...]  # that the scene gives
    world: PlanarScene | None  # None: bodies in central fields

    def model(self, factor: Array | None = None) -> Simulator:
        """The forward model; factor (K,): gravity or the strength of the fields is multiplied by it."""
        if self.world is None:
            return Central(self.scene, self.index, factor)
        return Discs(self.world, None if factor is None else factor[:, None] * self.world.gravity)

    def acceleration(self, place: Array) -> Array:
        """Acceleration (N, 2) m/s2 of bodies in free motion at places (N, 2) m."""
        if self.world is not None:
            return np.broadcast_to(self.world.gravity, place.shape)
        return Central(self.scene, self.index).acceleration(place)


def forward_model(scene: Scene, since: float) -> ForwardModel:
    """The forward model of a scene from `since` s on. Raises Unmodelled, which says why, where there is none."""
    index = tuple(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    if not index:
        raise Unsupported("nothing moves")
    check_motion(scene, [scene.bodies[i] for i in index], since)
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    pushes = []
    for action in scene.impulses:
        if action.time >= since - 1e-9:
            body = scene.index(action.body)
            gain = np.asarray(action.impulse, dtype=np.float64)[axes] / scene.bodies[body].mass
            pushes.append(Intervention(round(action.time * PHYSICS_HZ), index.index(body), "push", gain))
    depth = np.array([scene.bodies[i].position[across] for i in index])
    if not scene.fields:
        return ForwardModel(scene, index, depth, tuple(pushes), planar_scene(scene, since))
    Central.check(scene, index)
    return ForwardModel(scene, index, depth, tuple(pushes), None)


def forward_model_or_none(scene: Scene, since: float) -> ForwardModel | None:
    """As `modelled`, None where there is no forward model."""
    try:
        return forward_model(scene, since)
    except Unsupported:
        return None
