"""A simulation with hooks: the same steps as `World`, and hooks that act between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.validation.violations.violation_plan import StepHook
from physbench.world.engine import World, step_of
from physbench.world.scene import PHYSICS_HZ, Contact, Scene

Array = NDArray[np.float64]


class HookedWorld(World):
    """A `World` from the start of the history with hooks. Until the first one acts, states are bit-identical to it."""

    def __init__(self, scene: Scene, hooks: Sequence[StepHook]) -> None:
        self.pull = 1.0  # factor on all central fields
        self.bend: tuple[float, Array] | None = None  # (exponent, (N,) m: where bodies feel what they felt before)
        self.gone: set[int] = set()  # bodies that hooks took away: they neither attract nor are attracted
        super().__init__(scene)
        self._hooks = tuple(hooks)
        self._first = min((step_of(hook.start) for hook in hooks), default=None)

    def advance(self, time: float) -> None:
        """As `World.advance`, with hooks before and after each step."""
        last = step_of(time)
        if self._first is None or self.step < self._first:
            super().advance(min(last, last if self._first is None else self._first) / PHYSICS_HZ)
        while self.step < last:
            busy = [hook for hook in self._hooks if step_of(hook.start) <= self.step]
            for hook in busy:
                hook.before(self)
            super().advance((self.step + 1) / PHYSICS_HZ)
            for hook in busy:
                hook.after(self)

    # What hooks may do

    def state(self, index: int) -> Array:
        """State (13,) of a body now."""
        self._read(index)
        state: Array = self._states[0, index].copy()
        return state

    def put(self, index: int, state: Array) -> None:
        """Put a moving body into a state (13,)."""
        number, api, client = self._ids[0][index], self._client.api, self._client.id
        values = state.tolist()
        before = self.state(index)
        if not np.array_equal(before[:7], state[:7]):
            api.resetBasePositionAndOrientation(number, values[:3], values[3:7], physicsClientId=client)
        api.resetBaseVelocity(number, values[7:10], values[10:], physicsClientId=client)

    def tune(self, index: int, **dynamics: float) -> None:
        """Change mass (kg), restitution or lateralFriction of a body."""
        if self._ids[0][index] >= 0:
            self._client.api.changeDynamics(self._ids[0][index], -1, **dynamics, physicsClientId=self._client.id)

    def ignore(self, a: int, b: int) -> None:
        """Two bodies do not collide with each other any more."""
        ids = self._ids[0]
        self._client.api.setCollisionFilterPair(ids[a], ids[b], -1, -1, 0, physicsClientId=self._client.id)

    def set_gravity(self, gravity: Sequence[float]) -> None:
        """Another uniform gravity (3,) m/s2."""
        self._client.api.setGravity(*gravity, physicsClientId=self._client.id)

    def remove(self, index: int) -> None:
        """Take a body away; it keeps its last pose at rest."""
        self._remove(index)
        self.gone.add(index)
        self._pulls = self._find_pulls()

    def pull_by(self, factor: float) -> None:
        """All central fields become `factor` times as strong."""
        self.pull *= factor
        self._pulls = self._find_pulls()

    def touching(self, a: int, b: int) -> bool:
        """Whether two bodies are in contact now."""
        return ((a, b) if a < b else (b, a)) in self._touching

    def met(self, pair: frozenset[str], since: float) -> Contact | None:
        """The first contact of a pair of bodies from `since` s on."""
        return next((c for c in self.contacts if c.time >= since - 1e-9 and {c.a, c.b} == pair), None)

    # Fields

    def _find_pulls(self) -> list[tuple[int, list[tuple[int, float]]]]:
        pulls = super()._find_pulls()
        if self.pull == 1.0 and not self.gone:
            return pulls
        return [
            (c, [(i, s * self.pull) for i, s in drawn if i not in self.gone])
            for c, drawn in pulls
            if c not in self.gone
        ]

    def _attract(self) -> None:
        """With an exponent p other than 2: the field times (r / r0)^(2 - p), r0 the distance when that set in."""
        if self.bend is None:
            super()._attract()
            return
        exponent, reference = self.bend
        pulls = self._pulls
        places = {i: self.state(i)[:3] for c, drawn in pulls for i in (c, *(j for j, _ in drawn))}
        self._pulls = [
            (
                c,
                [
                    (i, s * float(np.linalg.norm(places[c] - places[i]) / reference[i]) ** (2 - exponent))
                    for i, s in drawn
                ],
            )
            for c, drawn in pulls
        ]
        try:
            super()._attract()
        finally:
            self._pulls = pulls


def simulate_hooked(scene: Scene, hooks: Sequence[StepHook], steps: NDArray[np.int64]) -> Array:
    """States (T, N, 13) of a simulation with hooks at physics steps (T,), in any order, from -2400 on."""
    order: Any = np.unique(steps)
    with HookedWorld(scene, hooks) as world:
        states = []
        for step in order.tolist():
            world.advance(step / PHYSICS_HZ)
            states.append(world.states()[0])
    return np.stack(states)[np.searchsorted(order, steps)]
