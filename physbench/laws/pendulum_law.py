"""The laws of bodies on rods under gravity, in a medium or none: about fixed points, where they may meet; in chains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from typing import ClassVar

import numpy as np

from physbench.laws.changes import WorldChange
from physbench.laws.pendulum_motion import (
    BEGIN,
    DRAG,
    INVERSE_MASS,
    LENGTH,
    RADIUS,
    RESTITUTION,
    TREND,
    follow_chains,
    follow_pendulums,
)
from physbench.laws.planar_scene import check_depths
from physbench.laws.scene_law import LawConstant, PiecewiseSimulator, SceneLaw, Simulator
from physbench.laws.support_check import ALIGNMENT, Unsupported
from physbench.support.arrays import Array, Mask, Whole
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, Body, Drag, Rod, Scene

UNCHANGED = WorldChange()


class PendulumLaw(SceneLaw):
    """Each body is on one rod: one angle, one rate.

    A state has four numbers all the same. The body is in the direction of its position from the fixed point, as far
    from it as the rod is long, and its velocity is what is across the rod: two of the four change nothing. Balls hit
    each other without friction. Where the line of their middles makes an angle of b with their ways, the simulator,
    which does not know of rods within a hit, loses 1 - cos^2 b of the rebound more: nothing near their lowest points.
    """

    name = "pendulum"
    fields = (Rod, Drag)
    constants = (LawConstant("gravity"),)
    has_contacts = True
    chained: ClassVar[bool] = False  # whether rods hang on bodies of other rods

    @classmethod
    def covers(cls, scene: Scene) -> bool:
        anchors = [each.anchor for each in scene.fields if isinstance(each, Rod)]
        chained = any(scene.bodies[scene.index(anchor)].role == "moving" for anchor in anchors)
        return super().covers(scene) and bool(anchors) and chained == cls.chained

    def check(self) -> None:
        """Raises Unsupported where a scene is not of this kind."""
        scene, across = self.scene, depth_axis(self.scene.camera)
        for i in self.index:
            self._check_hangs(scene.bodies[i], across)
        if abs(scene.gravity[across]) > ALIGNMENT:
            raise Unsupported("gravity pulls bodies on rods along the view")
        for rod in scene.fields:
            if isinstance(rod, Rod) and scene.bodies[scene.index(rod.body)].role != "moving":
                raise Unsupported(
                    f"a rod ends at {rod.body}, which does not move: rods make a ring, or their order is wrong"
                )
        if any(scene.bodies[i].collides for i in self.index) and any(
            body.collides for i, body in enumerate(scene.bodies) if i not in self.index
        ):
            raise Unsupported("bodies on rods may meet something fixed")
        self._check_meetings(across)

    def _check_hangs(self, body: Body, across: int) -> None:
        scene = self.scene
        own = [rod for rod in scene.fields if isinstance(rod, Rod) and body.name in rod.sources]
        if len([rod for rod in own if rod.body == body.name]) != 1 or (len(own) > 1 and not self.chained):
            raise Unsupported(f"{body.name} is not on one rod that turns about a fixed point")
        anchor = scene.bodies[scene.index(next(rod.anchor for rod in own if rod.body == body.name))]
        if anchor.until is not None or not (anchor.role == "fixed" or (self.chained and anchor.role == "moving")):
            raise Unsupported(f"{anchor.name}, about which a rod turns, moves or vanishes")
        if abs(anchor.position[across] - body.position[across]) > ALIGNMENT:
            raise Unsupported(f"{anchor.name}, about which a rod turns, lies before or behind what moves")

    def _check_meetings(self, across: int) -> None:
        solid = [self.scene.bodies[i] for i in self.index if self.scene.bodies[i].collides]
        if len(solid) > 1:
            check_depths(solid, across)
            if any(body.shape != "sphere" for body in solid):
                raise Unsupported("something on a rod that may meet others is not a ball")
            if any(body.friction > 0 for body in solid):
                raise Unsupported("balls on rods that may meet are rough")
            if self._rest_against_each_other():
                raise Unsupported("balls on rods lean on each other as they hang")

    def _rest_against_each_other(self) -> bool:
        """True where two bodies that hang still would touch: hits are instants here, and hold nothing up."""
        rods, pull = self._rods, self._gravity
        if not pull.any():
            return False
        hanging = rods[:, :2] + rods[:, 2:3] * pull / np.linalg.norm(pull)
        apart = np.linalg.norm(hanging[:, None] - hanging, axis=-1)
        # m between balls that hang side by side, at least
        return bool(((self.reach > 0) & (apart < self.reach + 0.005)).any())

    @cached_property
    def _rods(self) -> Array:
        """The rods (N, 6) as `pendulum_motion` has them."""
        scene, axes, rows = self.scene, list(PLANE_AXES[self.scene.camera.view]), []
        for i in self.index:
            rod = next(each for each in scene.fields if isinstance(each, Rod) and each.body == scene.bodies[i].name)
            anchor, body = scene.bodies[scene.index(rod.anchor)].position, scene.bodies[i]
            radius = body.size[0] if body.collides and self._meet else 0.0
            rows.append([*(anchor[axis] for axis in axes), rod.length, radius, 1 / body.mass, body.restitution])
        return np.array(rows, dtype=np.float64)

    @cached_property
    def _meet(self) -> bool:
        """True where two bodies may hit each other."""
        return sum(self.scene.bodies[i].collides for i in self.index) > 1

    @cached_property
    def reach(self) -> Array:
        radius = self._rods[:, RADIUS]
        both = (radius[:, None] > 0) & (radius > 0) & ~np.eye(len(radius), dtype=bool)
        return np.where(both, radius[:, None] + radius, 0.0)

    @cached_property
    def _gravity(self) -> Array:
        return np.asarray(self.scene.gravity, dtype=np.float64)[list(PLANE_AXES[self.scene.camera.view])]

    @cached_property
    def _drag(self) -> float:
        return sum((each.rate for each in self.scene.fields if isinstance(each, Drag)), 0.0)

    @cached_property
    def alterable(self) -> frozenset[str]:
        names = super().alterable | {"wind", "drag"}
        if self._meet:
            names |= {"contacts", "solid", "restitution", "mass", "gap"}
        return names | {"gravity_angle", "gravity_trend"} if self._gravity.any() else names - {"gravity"}

    def simulate(self, states: Array, times: Array, constants: Array) -> Array:
        return self._moved(states, times, constants, UNCHANGED, 0.0)[0]

    def contacts(self, states: Array, times: Array, constants: Array) -> Sequence[tuple[float, int, int]]:
        return self._met(states, times, constants, UNCHANGED, 0.0)

    def _met(
        self, states: Array, times: Array, constants: Array, change: WorldChange, begin: float
    ) -> Sequence[tuple[float, int, int]]:
        if not self._meet:
            return ()
        met = self._moved(states[None], times, np.atleast_2d(constants), change, begin)[1]
        return [(time, int(one), int(other)) for time, one, other in met.tolist()]

    def _moved(
        self, states: Array, times: Array, constants: Array, change: WorldChange, begin: float
    ) -> tuple[Array, Array]:
        """States (K, F, N, 4) in a changed world, and contacts (C, 3) of the first candidate: s and two bodies."""
        rods, gravity = self._unchanged if change is UNCHANGED else self._changed(change)
        worlds = np.zeros((len(constants), 5))
        worlds[:, :2] = constants[:, :1] * gravity
        worlds[:, DRAG], worlds[:, TREND], worlds[:, BEGIN] = self._drag + change.drag, change.gravity_trend, begin
        met = np.zeros((256, 3))  # contacts that are told
        states, times = (np.ascontiguousarray(each, dtype=np.float64) for each in (states, times))
        states, count = self._follow(states, times, rods, worlds, met)
        return states, met[:count]

    def _follow(self, states: Array, times: Array, rods: Array, worlds: Array, met: Array) -> tuple[Array, int]:
        return follow_pendulums(states, times, rods, worlds, met)

    @cached_property
    def _unchanged(self) -> tuple[Array, Array]:
        return self._changed(UNCHANGED)

    def _changed(self, change: WorldChange) -> tuple[Array, Array]:
        """The rods (N, 6) with the bodies of a changed world, and its gravity (2,) m/s2."""
        rods = self._rods.copy()
        rods[:, RESTITUTION] *= math.sqrt(change.restitution)
        rods[self._rods[:, INVERSE_MASS].argmin(), INVERSE_MASS] /= change.mass
        rods[:, RADIUS] *= (1 + change.gap) * (change.contacts and change.solid)
        return rods, change.gravity_in_plane(self._gravity)

    def before(self, body: int, start: Array, times: Array, others: Array) -> tuple[Array, Array]:
        # Of a chain all bodies move each other; of others none is met on the way back.
        states = others[-1:].copy() if self.chained else np.full((1, len(self.index), 4), np.nan)
        states[0, body] = start
        moved = self.simulate(states, times[::-1], np.ones((1, 1)))[0, :0:-1, body]
        return moved[:, :2], moved[:, 2:]

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        own, begin = np.ones((1, 1)) if constants is None else constants, since / PHYSICS_HZ

        def simulate(states: Array, times: Array, constants: Array) -> Array:
            return self._moved(states, times, constants, change, begin)[0]

        def contacts(states: Array, times: Array, constants: Array) -> Sequence[tuple[float, int, int]]:
            return self._met(states, times, constants, change, begin)

        return PiecewiseSimulator(simulate, contacts, len(self.index), own)


class ChainLaw(PendulumLaw):
    """Rods hang on fixed points and on bodies of other rods: double pendulums, and longer ones. Nothing meets.

    A state has four numbers a body, as of `PendulumLaw`; the direction of a rod is that from where it hangs.
    """

    name = "chain"
    has_contacts = False
    removable = False  # a body that is no longer followed still pulls
    chained = True

    def check(self) -> None:
        """Raises Unsupported where a scene is not of this kind, such as a ring of rods."""
        super().check()
        self._order  # noqa: B018 - it is made once

    def _check_meetings(self, across: int) -> None:
        """Bodies at both ends of a rod stay as far apart as it is long; others may come to the same place."""
        solid = [n for n, i in enumerate(self.index) if self.scene.bodies[i].collides]
        if any(self.scene.bodies[self.index[n]].shape != "sphere" for n in solid):
            raise Unsupported("something solid in a chain of rods is not a ball")
        for n, j in combinations(solid, 2):
            rod = n if self._parent[n] == j else j
            apart = self._rods[rod, LENGTH] if self._parent[rod] in (n, j) else 0.0
            if apart < sum(self.scene.bodies[self.index[each]].size[0] for each in (n, j)):
                names = " and ".join(self.scene.bodies[self.index[each]].name for each in (n, j))
                raise Unsupported(f"{names}, in a chain of rods, may meet, unless they have collides=False")

    @cached_property
    def _meet(self) -> bool:
        return False

    @cached_property
    def _parent(self) -> Whole:
        """The bodies (N,) on which rods hang; -1 of a fixed point."""
        anchors = {each.body: each.anchor for each in self.scene.fields if isinstance(each, Rod)}
        places = [self.scene.index(anchors[self.scene.bodies[i].name]) for i in self.index]
        return np.array([self.index.index(place) if place in self.index else -1 for place in places], dtype=np.int64)

    @cached_property
    def _order(self) -> Whole:
        """The bodies (N,), each after the one on which it hangs. Raises Unsupported of a ring of rods."""
        order: list[int] = []
        while len(order) < len(self.index):
            free = [n for n, on in enumerate(self._parent) if n not in order and (on < 0 or on in order)]
            if not free:
                raise Unsupported("rods make a ring, which hangs on nothing")
            order += free
        return np.array(order, dtype=np.int64)

    @cached_property
    def _bears(self) -> Mask:
        """(N, N): whether rod n bears body j."""
        bears = np.eye(len(self.index), dtype=bool)
        for n in self._order:
            if self._parent[n] >= 0:
                bears[:, n] |= bears[:, self._parent[n]]
        return bears

    @cached_property
    def _chains(self) -> tuple[Whole, ...]:
        """The bodies, ascending, that hang on the same fixed point by the same rod."""
        return tuple(np.flatnonzero(self._bears[root]) for root in np.flatnonzero(self._parent < 0))

    @cached_property
    def linked(self) -> Mask:
        coupled = np.zeros((len(self.index),) * 2, dtype=bool)
        for chain in self._chains:
            coupled[np.ix_(chain, chain)] = True
        return coupled & ~np.eye(len(coupled), dtype=bool)

    @cached_property
    def alterable(self) -> frozenset[str]:
        return super().alterable | {"mass"}

    def _follow(self, states: Array, times: Array, rods: Array, worlds: Array, met: Array) -> tuple[Array, int]:
        motion = np.full((len(states), len(times), len(rods), 4), np.nan)
        for chain in self._chains:
            bears = self._bears[np.ix_(chain, chain)].astype(np.float64)
            hung = (bears[:, None] * bears / rods[chain, INVERSE_MASS]).sum(axis=-1)
            parent = np.searchsorted(chain, self._parent[chain])
            parent[self._parent[chain] < 0] = -1
            order = np.searchsorted(chain, [n for n in self._order if n in chain])
            own = np.ascontiguousarray(states[:, chain])
            motion[:, :, chain] = follow_chains(own, times, rods[chain], parent, order, hung, worlds)
        return motion, 0
