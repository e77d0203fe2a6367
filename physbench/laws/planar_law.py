"""The law of planar scenes: discs under uniform gravity, with contacts, friction and tables; many candidates at once.

Between two events every disc has a constant acceleration, so that the semi-implicit Euler steps of PyBullet,
v += h a, x += h v, have the closed form x(n) = x + n h v + n (n + 1) / 2 h^2 a. An event (a contact, the end of a
slide, a push) falls on the step at which PyBullet sees it: the results agree to its rounding. `smooth` leaves events
where they are in continuous time, half a step later on average, so that the result has derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from physbench.laws.changes import WorldChange
from physbench.laws.event_loop import follow, followed_positions
from physbench.laws.planar_motion import (
    DAMP,
    GRAVITY,
    NO_RULES,
    STEP,
    corner_columns,
    disc_columns,
    evaluate,
    face_columns,
    pair_columns,
)
from physbench.laws.planar_scene import PlanarScene, planar_scene
from physbench.laws.scene_law import FREE, LawConstant, SceneLaw, Simulator
from physbench.support.arrays import Array, Whole
from physbench.world.scene import PHYSICS_HZ


@dataclass(eq=False)
class PlanarTrajectory:
    """Motion of K candidates of N discs in pieces of constant acceleration, as `event_loop.follow` gives it."""

    span: Whole  # (R, 2) of R worlds, one after another
    size: int  # K
    begin: Array  # (P,) steps
    pieces: Array  # (P, N, 10)
    last: Whole  # (R K,) end of each candidate's pieces
    until: Array  # (R K,) steps up to which candidates hold
    contact_rows: Whole  # (T, 3)

    @cached_property
    def contacts(self) -> list[tuple[int, int, int]]:
        """Contacts of candidate 0: step, disc, other disc or -1."""
        return [(step, one, other) for step, one, other in self.contact_rows.tolist()]

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Positions m, velocities and spins m/s (K, F, N, 2) at steps (F,), ascending."""
        position, velocity, spin = self._evaluate(steps, 3)
        return position, velocity, spin

    def positions(self, steps: Array) -> Array:
        """Positions (K, F, N, 2) m at steps (F,), ascending; NaN of a disc that is absent."""
        return np.asarray(self._evaluate(steps, 1)[0])

    def _evaluate(self, steps: Array, parts: int) -> Array:
        states = np.empty((parts, self.size, len(steps), self.pieces.shape[1], 2))
        steps = np.ascontiguousarray(steps, dtype=np.float64)
        evaluate(self.begin, self.pieces, self.last, self.until, self.span, steps, states)
        return states


class PlanarSimulator(Simulator):
    """Simulates a `PlanarScene`, and from some step on another one with the same discs, if asked."""

    def __init__(
        self,
        world: PlanarScene,
        gravity: Array | None = None,
        rules: tuple[float, float] = NO_RULES,
        schedule: tuple[Whole, Array] | None = None,
    ) -> None:
        """gravity: (K, 2) m/s2 or (2,), instead of that of the scene.

        Of a world that is changed: rules, CONTACT_LEAD and TWIST of `planar_motion`; schedule, interventions on all
        discs as rows (M, 3) and values (M, 1, 6).
        """
        gravity = np.atleast_2d(world.gravity if gravity is None else gravity)
        scene = (disc_columns(world), face_columns(world), corner_columns(world), pair_columns(world))
        strength = np.ascontiguousarray(gravity, dtype=np.float64)
        table = bool(world.slide_deceleration.any())
        self._worlds, self._gravity, self._table, self._rules = (
            (scene,) * 2,
            (strength,) * 2,
            (table,) * 2,
            (rules,) * 2,
        )
        self._since: float = np.inf
        self._schedule = schedule
        if schedule is not None:
            order = np.argsort(schedule[0][:, STEP], kind="stable")
            self._schedule = schedule[0][order], schedule[1][order]

    def followed_by(self, after: Simulator, since: int) -> Simulator:
        """As `Simulator.followed_by`, with another planar one in one compiled call; this one must have no schedule."""
        if not isinstance(after, PlanarSimulator):
            return super().followed_by(after, since)
        both = copy(self)
        both._worlds = self._worlds[0], after._worlds[0]
        both._gravity = self._gravity[0], after._gravity[0]
        both._table = self._table[0], after._table[0]
        both._rules = self._rules[0], after._rules[0]
        both._schedule, both._since = after._schedule, since
        return both

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> PlanarTrajectory:
        """Simulate from the first intervention to step `end`."""
        span, rows, value = self._spans(rows, value, end)
        pieces = follow(self._worlds, self._gravity, self._table, self._rules, span, rows, value, smooth)
        return PlanarTrajectory(span, value.shape[1], *pieces)

    def positions(self, rows: Whole, value: Array, end: int, steps: Array, smooth: bool = False) -> Array:
        """As `Simulator.positions`, in one compiled call."""
        steps = np.ascontiguousarray(steps, dtype=np.float64)
        span, rows, value = self._spans(rows, value, end)
        return followed_positions(
            self._worlds, self._gravity, self._table, self._rules, span, rows, value, smooth, steps
        )

    def _spans(self, rows: Whole, value: Array, end: int) -> tuple[Whole, Whole, Array]:
        """The spans (R, 2) of the worlds that are followed, and all interventions with those of the schedule."""
        if self._since < end:
            first = int(np.searchsorted(rows[:, STEP], self._since))
            rows, value = self._with_schedule(rows, value, end)
            return np.array([[first, self._since], [len(rows), end]], dtype=np.int64), rows, value
        if self._since == np.inf:
            rows, value = self._with_schedule(rows, value, end)
        return np.array([[len(rows), end]], dtype=np.int64), rows, value

    def _with_schedule(self, rows: Whole, value: Array, end: int) -> tuple[Whole, Array]:
        """Interventions together with those of the schedule up to step `end`."""
        if self._schedule is None:
            return rows, value
        count = int(np.searchsorted(self._schedule[0][:, STEP], end, side="right"))
        rows = np.concatenate([rows, self._schedule[0][:count]])
        value = np.concatenate([value, np.repeat(self._schedule[1][:count], value.shape[1], axis=1)])
        order = np.argsort(rows[:, STEP], kind="stable")
        return rows[order], value[order]


class PlanarLaw(SceneLaw):
    """Discs that fall, roll, slide and meet in the plane of motion."""

    name = "planar"
    constants: ClassVar[tuple[LawConstant, ...]] = (LawConstant("gravity"),)
    has_contacts = True
    continuous = False

    def check(self) -> None:
        """Raises Unsupported where bodies do not just move in a plane."""
        self.world  # noqa: B018 - it is made once

    @cached_property
    def world(self) -> PlanarScene:
        """The scene as discs, faces and corners."""
        return planar_scene(self.scene, self.since)

    @cached_property
    def alterable(self) -> frozenset[str]:
        """As `SceneLaw.alterable`; what has no part in the scene is left out."""
        world = self.world
        touches = bool(world.collides.any()) and bool(
            len(world.normal) or len(world.corner) or world.collides.sum() > 1
        )
        rough = np.any(world.friction > 0) and (np.any(world.face_friction > 0) or np.any(world.table_friction > 0))
        names = {"wind", "drag", "turn", *super().alterable}
        if not np.any(world.gravity):  # gravity onto a table acts through friction, which has no scale
            names.discard("gravity")
        else:
            names |= {"gravity_angle", "gravity_trend"}
        if touches:
            names |= {"gap", "lead", "contacts"}
        if touches and np.any(world.restitution > 0):
            names |= {"restitution", "twist"}
        if rough:
            names.add("friction")
        if world.collides.sum() > 1:
            names |= {"mass", "solid"}
        return frozenset(names)

    def own_simulator(self, constants: Array | None) -> Simulator:
        return PlanarSimulator(self.world, None if constants is None else constants[:, :1] * self.world.gravity)

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        return planar_simulator(self.world, change, since, end, 1.0 if constants is None else float(constants[0, 0]))

    def acceleration(self, position: Array) -> Array:
        return np.broadcast_to(self.world.gravity, position.shape)

    @cached_property
    def reach(self) -> Array:
        radius, depth = self.world.radius, self.world.depth
        reach = radius[:, None] + radius
        return np.where(np.abs(depth[:, None] - depth) >= reach, 0.0, reach) * ~np.eye(len(radius), dtype=bool)

    # States from the numbers of a chart: free motion, or a face on which a body rests, rolls or slides.

    @cached_property
    def _table(self) -> bool:
        return bool(self.world.slide_deceleration.any())

    @cached_property
    def _floor(self) -> int:
        """The face whose rolling gives a free body its spin, or -1."""
        world = self.world
        if not len(world.normal):
            return -1
        press = -(world.normal @ world.gravity)
        return int(press.argmax()) if press.max() > 1e-9 else -1

    @cached_property
    def _spins(self) -> list[bool]:
        """Bodies that this floor makes roll."""
        world = self.world
        if self._floor < 0:
            return [False] * len(world.radius)
        spins: list[bool] = (world.friction * world.face_friction[self._floor] > 0).tolist()
        return spins

    def set_states(self, state: Array, body: int, chart: int, numbers: Array) -> None:
        """As `SceneLaw.set_states`. With friction a body begins with the spin of rolling."""
        world = self.world
        if chart == FREE:
            state[:, :4] = numbers
            if self._table:
                state[:, 4:] = numbers[:, 2:]
            elif self._spins[body]:
                state[:, 4] = numbers[:, 2:] @ world.tangent[self._floor]
            return
        tangent, normal = world.tangent[chart], world.normal[chart]
        state[:, :2] = numbers[:, :1] * tangent + (world.offset[chart] + world.radius[body]) * normal
        state[:, 2:4] = numbers[:, 1:] * tangent
        state[:, 4] = numbers[:, 1] - world.face_speed[chart]

    def directions(self, chart: int) -> Array:
        return super().directions(chart) if chart == FREE else self.world.tangent[chart][:, None]

    def charts(self, body: int, position: Array, size: float) -> tuple[int, ...]:
        """Free motion, and the faces that carry a body at positions (n, 2) m."""
        world = self.world
        if not len(world.normal) or not world.collides[body]:
            return (FREE,)
        gap = position @ world.normal.T - world.offset - world.radius[body]
        along = position @ world.tangent.T
        # 0.12 diameters; a body that is nearer to a face may lie on it
        near = (np.abs(gap).mean(axis=0) < 0.12 * size) & (-(world.normal @ world.gravity) > 1e-9)
        over = ((along >= world.low) & (along <= world.high)).all(axis=0)
        return (FREE, *np.flatnonzero(near & over).tolist())

    def gaps(self, body: int, charts: Sequence[int], position: Array) -> Array:
        world, faces = self.world, list(charts)
        return np.asarray(world.normal[faces] @ position - world.offset[faces] - world.radius[body])

    def first_acceleration(self, body: int, chart: int, positions: Array) -> Array:
        """On a face, that of a body that rolls on it, or slides on it without friction."""
        world = self.world
        if chart == FREE:
            return world.gravity
        free_acceleration = float(world.gravity @ world.tangent[chart])
        inverse_inertia = float(world.inverse_inertia[body])
        has_friction = world.friction[body] * world.face_friction[chart] > 0
        return np.asarray(
            (free_acceleration * inverse_inertia / (1 + inverse_inertia) if has_friction else free_acceleration)
            * world.tangent[chart]
        )

    def before(self, body: int, start: Array, times: Array, others: Array) -> tuple[Array, Array]:
        back = (times[:-1] - times[-1])[:, None]
        return start[:2] + back * start[2:] + 0.5 * back**2 * self.world.gravity, start[2:] + back * self.world.gravity


# Changed worlds of discs.


def planar_simulator(world: PlanarScene, change: WorldChange, since: int, end: int, scale: float) -> PlanarSimulator:
    """The simulator of a changed world of discs, whose forces change up to step `end`. scale: times gravity."""
    gravity = change.gravity_in_plane(world.gravity)
    parts = []
    kick_steps = 20  # physics steps from one change of a velocity by drag to the next: 1/60 s
    steps = np.arange(since, end, kick_steps)
    if change.gravity_trend != 0:
        grown = 1 + change.gravity_trend * (steps + kick_steps / 2 - since) / PHYSICS_HZ
        parts.append((steps, GRAVITY, scale * grown[:, None] * gravity))
    if change.drag != 0 or change.turn != 0:
        span = kick_steps / PHYSICS_HZ
        value = np.array([math.exp(-change.drag * span), change.turn * span])
        parts.append((steps + kick_steps // 2, DAMP, np.broadcast_to(value, (len(steps), 2))))
    return PlanarSimulator(
        changed_world(world, change), scale * gravity, (change.lead, change.twist), scheduled(parts) if parts else None
    )


def scheduled(parts: Sequence[tuple[NDArray[np.int64], int, Array]]) -> tuple[NDArray[np.int64], Array]:
    """Interventions on all bodies as rows (M, 3) and values (M, 1, 6).

    parts: steps (m,), kind and values (m, 2) of each.
    """
    rows = [np.stack([steps, np.full_like(steps, -1), np.full_like(steps, kind)], axis=-1) for steps, kind, _ in parts]
    value = np.zeros((sum(len(each) for each in rows), 1, 6))
    value[:, 0, :2] = np.concatenate([each for _, _, each in parts])
    return np.concatenate(rows), value


def changed_world(world: PlanarScene, change: WorldChange) -> PlanarScene:
    """The discs, faces and corners of a changed world."""
    bounce, half_gap = math.sqrt(change.restitution), change.gap / 2
    mass = world.mass.copy()
    if len(mass) > 1:
        mass[int(mass.argmax())] *= change.mass
    return replace(
        world,
        mass=mass,
        collides=world.collides if change.contacts else np.zeros_like(world.collides),
        restitution=world.restitution * bounce,
        face_restitution=world.face_restitution * bounce,
        corner_restitution=world.corner_restitution * bounce,
        friction=world.friction * change.friction,
        table_friction=world.table_friction * change.friction,
        slide_deceleration=world.slide_deceleration * change.friction * change.gravity,
        radius=world.radius + half_gap * 2 * world.radius,
        offset=world.offset + half_gap * 2 * world.radius.mean(),
        corner_radius=world.corner_radius + half_gap * 2 * world.radius.mean(),
        # Bodies that do not meet lie at different depths: pairs are those at the same one.
        depth=world.depth if change.solid else world.depth + np.arange(len(world.depth)),
    )
