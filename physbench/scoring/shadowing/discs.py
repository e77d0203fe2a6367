"""Many candidates of one scene of discs at once, from event to event.

Between two events every disc has a constant acceleration, so that the semi-implicit Euler steps of the simulator,
v += h a, x += h v, have the closed form x(n) = x + n h v + n (n + 1) / 2 h^2 a. An event (a touch, the end of a slide,
a push) falls on the step at which the simulator sees it: the result is that of PyBullet to its own rounding. `smooth`
leaves events where they are in continuous time, half a step later on average, so that the result has derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.scoring.shadowing.changes import Change
from physbench.scoring.shadowing.flat import Flat
from physbench.scoring.shadowing.roots import bent_meeting_time, face_time, meeting_time
from physbench.scoring.shadowing.touching import CALM, H, State

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

DEEP = 0.1  # m; what lies deeper behind a face is not stopped by it, nor a disc by another that it lies deeper in
SLIP = 1e-7  # m/s
MOST_EVENTS = 150  # between two scheduled ones; a candidate with more is lost from there on


@dataclass(eq=False)
class Pieces:
    """Motion of K candidates in E pieces of constant acceleration."""

    begin: list[Array] = field(default_factory=list)  # (K,) steps
    place: list[Array] = field(default_factory=list)  # (K, N, 2) m; NaN of a disc that is not there
    speed: list[Array] = field(default_factory=list)  # (K, N, 2) m/s
    gain: list[Array] = field(default_factory=list)  # (K, N, 2) m/s2
    spin: list[Array] = field(default_factory=list)  # (K, N, 2) m/s
    turn: list[Array] = field(default_factory=list)  # (K, N, 2) m/s2
    touches: list[tuple[int, int, int]] = field(default_factory=list)  # step, disc, other disc or -1, of candidate 0
    until: Array = field(default_factory=lambda: np.zeros(0))  # (K,) steps up to which candidates hold

    def at(self, steps: Array) -> tuple[Array, Array, Array]:
        """Places (K, F, N, 2) m, velocities and spins (K, F, N, 2) m/s at steps (F,), ascending."""
        piece, count = self._pieces(steps)
        member = np.arange(len(piece))[:, None]
        speed, gain, spin, turn = (
            np.stack(part)[piece, member] for part in (self.speed, self.gain, self.spin, self.turn)
        )
        return self.places(steps), speed + count * H * gain, spin + count * H * turn

    def places(self, steps: Array) -> Array:
        """Places (K, F, N, 2) m at steps (F,), ascending."""
        piece, n = self._pieces(steps)
        member = np.arange(len(piece))[:, None]
        place, speed, gain = (np.stack(part)[piece, member] for part in (self.place, self.speed, self.gain))
        gain *= (n + 1) * (H / 2)
        gain += speed
        gain *= n * H
        place += gain
        if steps[0] < self.begin[0][0] - 1e-9:
            place[:, steps < self.begin[0][0] - 1e-9] = np.nan
        if np.isfinite(self.until).any():
            place[steps > self.until[:, None]] = np.nan
        return np.asarray(place)

    def _pieces(self, steps: Array) -> tuple[NDArray[np.intp], Array]:
        """Which piece holds each step (K, F), and steps since its beginning (K, F, 1, 1)."""
        begin = np.stack(self.begin)  # (E, K)
        piece = np.maximum((begin[:, :, None] <= steps + 1e-9).sum(axis=0) - 1, 0)
        return piece, (steps - begin[piece, np.arange(len(piece))[:, None]])[..., None, None]


class Discs:
    """The forward model of a `Flat`."""

    def __init__(self, world: Flat, gravity: Array | None = None) -> None:
        """gravity: (K, 2) m/s2 or (2,), instead of that of the scene."""
        self.world = world
        self.gravity = np.atleast_2d(world.gravity if gravity is None else gravity)[:, None, :]  # (K or 1, 1, 2)
        self.table = bool(world.grip.any())
        self.pairs = [
            (i, j)
            for i in range(len(world.radius))
            for j in range(i)
            if world.solid[i] and world.solid[j] and abs(world.depth[i] - world.depth[j]) < 1e-6
        ]

        self._ends = np.array(self.pairs, dtype=np.intp).reshape(-1, 2).T

    def run(self, changes: Sequence[Change], end: int, smooth: bool = False) -> Pieces:
        """Simulate from the first change, at which some disc gets a state, to step `end`."""
        size = max(len(change.value) for change in changes if change.kind == "state" and change.value is not None)
        state = State(self.world, size, self.gravity[:, 0])
        pieces = Pieces(until=np.full(size, np.inf))
        for step in sorted({change.step for change in changes if change.step <= end}):
            self._until(state, pieces, float(step), smooth)
            state.step[:] = step
            for change in changes:
                if change.step != step:
                    continue
                if change.kind == "gone":
                    state.there[change.disc] = False
                elif change.kind == "push" and change.value is not None:
                    state.speed[:, change.disc] += change.value
                elif change.value is not None:
                    state.set(change.disc, change.value)
        self._until(state, pieces, float(end), smooth)
        self._record(state, pieces, *self._gains(state)[:2])
        return pieces

    def _record(self, state: State, pieces: Pieces, gain: Array, turn: Array) -> None:
        pieces.begin.append(state.step.copy())
        pieces.place.append(np.where(state.there[:, None], state.place, np.nan))
        for part, value in zip(
            (pieces.speed, pieces.gain, pieces.spin, pieces.turn), (state.speed, gain, state.spin, turn), strict=True
        ):
            part.append(value.copy())

    def _until(self, state: State, pieces: Pieces, end: float, smooth: bool) -> None:
        for _ in range(MOST_EVENTS):
            going = (state.step < end) & np.isinf(pieces.until)
            if not going.any() or not state.there.any():
                return
            gain, turn, slide = self._gains(state)
            state.settle(gain)
            self._record(state, pieces, gain, turn)
            left = (end - state.step) * H
            faces, fall = self._face_times(state, gain), self._fall_times(state, gain)
            first = np.minimum.reduce([left, slide.min(axis=1), faces.min(axis=(1, 2)), fall.min(axis=1)])
            corners = self._corner_times(state, gain, first)
            first = np.minimum(first, corners.min(axis=(1, 2)))
            pairs = self._pair_times(state, gain, first)
            first = np.minimum(first, pairs.min(axis=1))
            if smooth:
                count = np.where(first > 0, first / H + np.where(first < left, 0.5, 0.0), 0.0)
            else:
                count = np.ceil(first / H - 1e-6)
            count = np.where(going, np.minimum(count, end - state.step), 0.0)
            state.advance(count, gain, turn)
            due = going[:, None] & (count < end - state.step + count)[:, None]
            bound = (count * H + (0.0 if smooth else 1e-9))[:, None]
            if smooth:
                bound = np.minimum(bound, first[:, None] + 1e-12)
            state.end_slides(due & (slide <= bound), self.table)
            state.leave(due & (fall <= bound))
            self._meet_faces(state, due[..., None] & (faces <= bound[..., None]), pieces)
            self._meet_corners(state, due[..., None] & (corners <= bound[..., None]), pieces)
            self._meet_pairs(state, due & (pairs <= bound), pieces)
        lost = (state.step < end) & np.isinf(pieces.until)
        pieces.until[lost] = state.step[lost]

    # Accelerations

    def _gains(self, state: State) -> tuple[Array, Array, Array]:
        """Accelerations, rates of the spins (K, N, 2) m/s2, and seconds (K, N) to the end of slides."""
        w = self.world
        gain = np.broadcast_to(self.gravity, state.speed.shape).copy()
        turn, slide = np.zeros_like(gain), np.full(gain.shape[:2], np.inf)
        if self.table:
            slip = state.speed - state.spin
            size = np.linalg.norm(slip, axis=-1)
            slides = size > SLIP
            along = slip / np.maximum(size, SLIP)[..., None] * slides[..., None]
            gain = gain - w.grip[:, None] * along
            turn = (w.turn * w.grip)[:, None] * along
            with np.errstate(divide="ignore"):
                slide = np.where(slides, size / (w.grip * (1 + w.turn)), np.inf)
        elif state.rests.any():
            self._support(state, gain, turn, slide)
        return gain, turn, slide

    def _support(self, state: State, gain: Array, turn: Array, slide: Array) -> None:
        """What faces do to the discs that rest on them: they roll, slide, stick or are wedged."""
        w = self.world
        press = -(self.gravity @ w.normal.T)  # (K or 1, 1, S)
        press = np.where(state.rests, np.broadcast_to(press, state.rests.shape), -np.inf)
        for k, i in zip(*np.nonzero(state.rests.any(axis=-1)), strict=True):
            s = int(press[k, i].argmax())
            load = float(press[k, i, s])
            if load <= 1e-9:
                state.rests[k, i] = False
                continue
            tangent = w.tangent[s]
            pull = float(self.gravity[k if len(self.gravity) > 1 else 0, 0] @ tangent)
            mu = float(w.rub[i] * w.face_rub[s])
            spins = float(w.turn[i])
            slip = float(state.speed[k, i] @ tangent) - (float(state.spin[k, i, 0]) if spins else 0.0)
            if abs(slip) <= SLIP and abs(pull) / (1 + spins) <= mu * load:
                rate = pull * spins / (1 + spins)
                gained, turned, ends = rate, rate, np.inf
            else:
                sign = np.sign(slip) if abs(slip) > SLIP else np.sign(pull)
                gained, turned = pull - mu * load * sign, spins * mu * load * sign
                change = gained - turned
                ends = -slip / change if slip * change < 0 else np.inf
            for other in np.flatnonzero(state.rests[k, i]):
                if other == s:
                    continue
                if gained * float(tangent @ w.normal[other]) < -1e-12:  # wedged between two faces
                    gained = 0.0
                    turned = turned if abs(float(state.spin[k, i, 0])) > SLIP else 0.0
                    ends = abs(float(state.spin[k, i, 0]) / turned) if turned else np.inf
                else:
                    state.rests[k, i, other] = False
            gain[k, i], turn[k, i, 0], slide[k, i] = gained * tangent, turned, ends

    # Times of events in s, infinity where there is none

    def _face_times(self, state: State, gain: Array) -> Array:
        w = self.world
        if not len(w.normal):
            return np.full((*state.speed.shape[:2], 1), np.inf)
        gap = state.place @ w.normal.T - w.offset - w.radius[:, None]  # (K, N, S)
        speed = (state.speed + (H / 2) * gain) @ w.normal.T
        time = face_time(gap, speed, gain @ w.normal.T)
        time[(gap < -DEEP) | state.rests | ~(state.there & w.solid)[:, None]] = np.inf
        if np.isfinite(w.low).any():
            t = np.where(np.isfinite(time), time, 0.0)
            along = state.place @ w.tangent.T + t * ((state.speed + (H / 2) * gain) @ w.tangent.T)
            along += t * t / 2 * (gain @ w.tangent.T)
            time[(along < w.low) | (along > w.high)] = np.inf
        return time

    def _corner_times(self, state: State, gain: Array, until: Array) -> Array:
        w = self.world
        if not len(w.corner):
            return np.full((*state.speed.shape[:2], 1), np.inf)
        # What rolls on a face meets no corner of it, and a scene with other corners in its way has no model.
        asked = ~state.rests.any(axis=-1) & state.there & w.solid
        return self._times(
            state.place[:, :, None] - w.corner,
            (state.speed + (H / 2) * gain)[:, :, None],
            gain[:, :, None],
            w.radius[:, None] + w.pad,
            np.where(asked, until[:, None], -1.0)[:, :, None],
        )

    def _pair_times(self, state: State, gain: Array, until: Array) -> Array:
        if not self.pairs:
            return np.full((len(until), 1), np.inf)
        w, (i, j) = self.world, self._ends
        speed = state.speed + (H / 2) * gain
        apart = state.place[:, i] - state.place[:, j]
        asked = state.there[i] & state.there[j] & (np.linalg.norm(apart, axis=-1) >= w.radius[i] + w.radius[j] - DEEP)
        time = self._times(
            apart,
            speed[:, i] - speed[:, j],
            gain[:, i] - gain[:, j],
            w.radius[i] + w.radius[j],
            np.where(asked, until[:, None], -1.0),
        )
        # What only the forces of the next step press together has no speed to lose: it would meet for ever.
        closing = np.einsum("kpi,kpi->kp", apart, state.speed[:, i] - state.speed[:, j])
        return np.where((time <= 0) & (closing > -CALM * 1e-3), np.inf, time)

    def _times(self, apart: Array, speed: Array, gain: Array, reach: Array, until: Array) -> Array:
        """Times (...) of meetings up to `until` s, infinity for those that are too far apart to meet by then."""
        time = np.full(apart.shape[:-1], np.inf)
        fast = np.sqrt(np.einsum("...i,...i->...", speed, speed))
        pull = np.sqrt(np.einsum("...i,...i->...", gain, gain))
        size = np.sqrt(np.einsum("...i,...i->...", apart, apart))
        near = (size - reach <= (fast + pull / 2 * until) * until) & (until >= 0)
        if not near.any():
            return time
        shape = apart.shape
        apart, speed, gain = apart[near], np.broadcast_to(speed, shape)[near], np.broadcast_to(gain, shape)[near]
        reach, until = np.broadcast_to(reach, shape[:-1])[near], np.broadcast_to(until, shape[:-1])[near]
        bent = np.broadcast_to(pull, shape[:-1])[near] > 1e-9
        found = meeting_time(apart, speed, reach)
        if bent.any():
            found[bent] = bent_meeting_time(apart[bent], speed[bent], gain[bent], reach[bent], until[bent])
        time[near] = found
        return time

    def _fall_times(self, state: State, gain: Array) -> Array:
        """Seconds until a disc leaves the end of the face on which it rests."""
        w = self.world
        time = np.full(state.speed.shape[:2], np.inf)
        if not state.rests.any() or not np.isfinite(w.low).any():
            return time
        along, speed, pull = (part @ w.tangent.T for part in (state.place, state.speed + (H / 2) * gain, gain))
        ends = np.minimum(face_time(w.high - along, -speed, -pull), face_time(along - w.low, speed, pull))
        return np.asarray(np.where(state.rests & np.isfinite(w.low), ends, np.inf).min(axis=-1))

    # What touches do

    def _meet_faces(self, state: State, meets: Mask, pieces: Pieces) -> None:
        w = self.world
        for k, i, s in zip(*np.nonzero(meets), strict=True):
            stays = state.strike(
                k, i, w.normal[s], w.bounce[i] * w.face_bounce[s], w.rub[i] * w.face_rub[s], self.table
            )
            if stays and not self.table:
                state.rests[k, i, s] = True
            if k == 0:
                pieces.touches.append((int(state.step[0]), int(i), -1))

    def _meet_corners(self, state: State, meets: Mask, pieces: Pieces) -> None:
        w = self.world
        for k, i, c in zip(*np.nonzero(meets), strict=True):
            away = state.place[k, i] - w.corner[c]
            normal = away / max(float(np.linalg.norm(away)), 1e-9)
            state.strike(k, i, normal, w.bounce[i] * w.corner_bounce[c], w.rub[i] * w.corner_rub[c], self.table)
            if k == 0:
                pieces.touches.append((int(state.step[0]), int(i), -1))

    def _meet_pairs(self, state: State, meets: Mask, pieces: Pieces) -> None:
        for k, pair in zip(*np.nonzero(meets), strict=True):
            i, j = self.pairs[pair]
            state.collide(k, i, j, self.table)
            if k == 0:
                pieces.touches.append((int(state.step[0]), i, j))
