"""What a track is compared with: arcs, one lawful motion of a body each, and their simulation together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.array_layout import STEP
from physbench.dynamics.forward_model import ForwardModel
from physbench.dynamics.interventions import Intervention
from physbench.dynamics.point_distances import distances
from physbench.dynamics.simulator import Trajectory, intervention_arrays
from physbench.shadowing.placed_bodies import PlacedBodies

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

KEPT_SIMULATIONS = 2  # of whole tracks: before and after a fit
FREE = -1  # `Arc.face` of an arc that begins in free motion


@dataclass(frozen=True, eq=False)
class Arc:
    """A body's lawful motion from a frame on, given by numbers: x, y m, vx, vy m/s; on a face: m and m/s along it."""

    disc: int
    first: int  # frame at which its numbers hold
    last: int  # first frame that it does not explain
    face: int  # on which it rests or rolls, or FREE
    numbers: Array  # (4,) or (2,)


class Hypothesis:
    """The placed bodies of a scene, its forward model, and the simulation of arcs."""

    def __init__(self, model: ForwardModel, seen: PlacedBodies, factor: float | None = None) -> None:
        """factor: multiplies gravity or the strength of the fields; None: 1."""
        self.forward, self.seen, self.factor = model, seen, factor
        self.simulator = model.simulator(None if factor is None else np.array([factor]))
        self._simulated: deque[tuple[tuple[tuple[Arc, ...], int], int, Trajectory]] = deque(maxlen=KEPT_SIMULATIONS)
        self.guesses: dict[tuple[int, int], tuple[Arc, ...]] = {}  # by body and frame, see `initial_guesses`
        self.work = 0  # bodies x candidates x physics steps simulated so far
        world = model.world
        self.table = world is not None and bool(world.slide_deceleration.any())
        self.floor = -1  # the face whose rolling gives a free body its spin
        if world is not None and len(world.normal):
            press = -(world.normal @ world.gravity)
            self.floor = int(press.argmax()) if press.max() > 1e-9 else -1
        self._spins = [False] * len(seen.diameter)  # whether that floor makes a body roll
        if world is not None and self.floor >= 0:
            self._spins = (world.friction * world.face_friction[self.floor] > 0).tolist()

    def with_bodies(self, seen: PlacedBodies) -> Hypothesis:
        """The same laws for bodies that are placed otherwise."""
        return Hypothesis(self.forward, seen, self.factor)

    def state(self, disc: int, face: int, numbers: Array) -> Array:
        """States (K, 6) from the numbers (K, p) of arcs. With friction a body begins with the spin of rolling."""
        state = np.zeros((len(numbers), 6))
        self.set_state(state, disc, face, numbers)
        return state

    def set_state(self, state: Array, disc: int, face: int, numbers: Array) -> None:
        """Set in states (K, 6) what depends on the numbers (K, p) of arcs; the rest is 0."""
        world = self.forward.world
        if face == FREE:
            state[:, :4] = numbers
            if self.table:
                state[:, 4:] = numbers[:, 2:]
            elif self._spins[disc]:
                assert world is not None
                state[:, 4] = numbers[:, 2:] @ world.tangent[self.floor]
            return
        assert world is not None
        tangent, normal = world.tangent[face], world.normal[face]
        state[:, :2] = numbers[:, :1] * tangent + (world.offset[face] + world.radius[disc]) * normal
        state[:, 2:4] = numbers[:, 1:] * tangent
        state[:, 4] = numbers[:, 1]

    def numbers(self, face: int, position: Array, velocity: Array) -> Array:
        """Numbers (p,) of an arc from a position (2,) m and a velocity (2,) m/s."""
        if face == FREE:
            return np.concatenate([position, velocity])
        world = self.forward.world
        assert world is not None
        return np.array([world.tangent[face] @ position, world.tangent[face] @ velocity])

    def simulate(self, arcs: Sequence[Arc], end: int) -> Trajectory:
        """Simulate arcs up to frame `end`. The last simulations are kept, for searches ask for them again.

        The work of one that is known is counted too: how much may be done must not depend on what is kept.
        """
        key = (tuple(arcs), end)  # arcs are equal if they are the same object
        for known, work, trajectory in self._simulated:
            if known == key:
                self.work += work
                return trajectory
        before = self.work
        trajectory = self.run(
            *intervention_arrays(self.changes(arcs, 0, arcs)[0], self._step(end))[:2], self._step(end)
        )
        self._simulated.append((key, self.work - before, trajectory))
        return trajectory

    def run(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> Trajectory:
        """Simulate interventions, as `Simulator.follow` takes them, to step `end`, and count the work."""
        self._count(rows, value, end)
        return self.simulator.follow(rows, value, end, smooth)

    def positions(self, rows: Whole, value: Array, end: int, frames: slice, smooth: bool = False) -> Array:
        """Positions (K, F, N, 2) m in some frames, of what `run` simulates."""
        self._count(rows, value, end)
        return self.simulator.positions(rows, value, end, self.seen.steps[frames], smooth)

    def _count(self, rows: Whole, value: Array, end: int) -> None:
        begin = int(rows[0, STEP]) if len(rows) else end
        self.work += len(self.seen.diameter) * value.shape[1] * (end - begin)

    def changes(self, arcs: Sequence[Arc], since: int, every: Sequence[Arc]) -> tuple[list[Intervention], list[int]]:
        """Interventions from frame `since` on that stand for some of all arcs, `every`.

        A body continues its arc until its next one begins, so that others can touch it in between. After its last arc
        it is removed.

        Returns:
            The interventions; which of them sets the first state of each arc, -1 where that lies before.
        """
        found: list[Intervention] = []
        first = [-1] * len(arcs)
        for a, arc in enumerate(arcs):
            begin = self._step(arc.first)
            if arc.first >= since:
                first[a] = len(found)
                state = self.state(arc.disc, arc.face, arc.numbers[None])
                found.append(Intervention(begin, arc.disc, "state", state))
            if since < arc.last < len(self.seen.times):
                follows = any(other.disc == arc.disc and other.first >= arc.last for other in every)
                if not follows and self.forward.world is not None:  # a body that attracts others continues to do so
                    found.append(Intervention(self._step(arc.last), arc.disc, "gone"))
            until = self._step(arc.last) if arc.last < len(self.seen.times) else np.inf
            for push in self.forward.pushes:
                later = push.step > self._step(since) or (arc.first >= since and push.step >= begin)
                if push.disc == arc.disc and begin <= push.step < until and later:
                    found.append(push)
        return found, first

    def frozen(self, trajectory: Trajectory, frame: int, discs: Sequence[int]) -> list[Intervention]:
        """States of bodies at a frame of the first candidate of a simulation, as interventions."""
        position, velocity, spin = (part[0, 0] for part in trajectory.at(np.array([self.seen.steps[frame]])))
        return [
            Intervention(self._step(frame), n, "state", np.concatenate([position[n], velocity[n], spin[n]])[None])
            for n in discs
            if np.isfinite(position[n]).all()
        ]

    def errors(self, position: Array, frames: slice) -> Array:
        """Distances (K, F, N) in diameters of positions (K, F, N, 2) m from the track; NaN where either is missing."""
        return distances(np.ascontiguousarray(position), self.seen.track[frames], self.seen.diameter)

    def _step(self, frame: int) -> int:
        return int(self.seen.steps[min(frame, len(self.seen.steps) - 1)])
