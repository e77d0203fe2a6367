"""Contacts are not looked for where nothing can be touched: the motion is that of looking for them at every step."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.laws import event_loop
from physbench.laws.planar_motion import DAMP, GRAVITY, NO_RULES, PUSH, STATE, clearances, first_event

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Found = tuple[Array, Array, Whole, Array, Whole]

END, EVERY = 4800, 20  # steps: 4 s, and between two changes of velocities
ROOM = 2.0  # m, half of the sides of the room
RADIUS = 0.2  # m


def block(x: float, y: float, half: float) -> tuple[list[list[float]], list[list[float]]]:
    """Faces (4, 7) and corners (4, 5) of a square that discs bounce off."""
    faces = []
    for nx, ny in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
        along = x * ny - y * nx
        faces.append([nx, ny, nx * x + ny * y + half, along - half, along + half, 0.9, 0.3])
    corners = [[x + half * sx, y + half * sy, 0.0, 0.9, 0.3] for sx in (-1, 1) for sy in (-1, 1)]
    return faces, corners


def room() -> tuple[Array, Array]:
    """Faces and corners of a room with two blocks in it."""
    faces = [
        [nx, ny, -ROOM, -math.inf, math.inf, 0.9, 0.3] for nx, ny in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))
    ]
    corners: list[list[float]] = []
    for x, y in ((0.9, 0.8), (-0.8, -0.9)):
        found = block(x, y, 0.25)
        faces += found[0]
        corners += found[1]
    return np.array(faces), np.array(corners)


def discs(count: int, table: bool) -> Array:
    """Discs (N, 8), which slide on a table or not."""
    row = [RADIUS, 1.0, 2.5 if table else 0.0, 0.95, 0.2, 1.0, 0.3 if table else 0.0, 0.6 if table else 0.0]
    return np.array([row] * count)


def simulate(disc: Array, gravity: Array, what: Whole, value: Array, table: bool, smooth: bool) -> Found:
    """What `follow` makes of it in Python, so that its parts can be exchanged."""
    faces, corners = room()
    pair = np.array([(i, j) for i in range(len(disc)) for j in range(i)], dtype=np.int64).reshape(-1, 2)
    order = np.argsort(what[:, 0], kind="stable")
    worlds = ((disc, faces, corners, pair),) * 2
    span = np.array([[len(what), END]])
    own = (worlds, (gravity, gravity), (table, table), (NO_RULES, NO_RULES), span)
    args = (*own, what[order], np.ascontiguousarray(value[order]), smooth)
    found: Found = event_loop.follow.function.py_func(*args)
    for one, other in zip(found, event_loop.follow(*args), strict=True):
        assert one.tobytes() == other.tobytes()  # the compiled function does the same
    return found


class Searches:
    """Counts how often contacts are looked for, and lets them be looked for always."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.patch = 0, monkeypatch
        event_loop.follow.compile()  # of the functions that are there now
        monkeypatch.setattr(event_loop, "first_event", self.search)

    def search(self, *args: object) -> object:
        self.count += 1
        return first_event(*args)  # type: ignore[arg-type]

    def both(self, *args: object) -> tuple[Found, int, int]:
        """The motion, which must be that of looking always, and the numbers of searches for it and always."""
        found, usual = simulate(*args), self.count  # type: ignore[arg-type]
        with self.patch.context() as patch:
            patch.setattr(event_loop, "stays_clear", lambda *args: False)
            self.count = 0
            other = simulate(*args)  # type: ignore[arg-type]
        every, self.count = self.count, 0
        for one, another in zip(found, other, strict=True):
            assert one.tobytes() == another.tobytes()
        return found, usual, every


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    return Searches(monkeypatch)


def schedule(rng: np.random.Generator, size: int, kinds: tuple[int, ...]) -> tuple[Whole, Array]:
    """Changes of all velocities, and of gravity if asked, as rows (M, 3) with values (M, K, 6)."""
    steps = np.arange(EVERY, END, EVERY)
    rows = [(step, -1, kinds[m % len(kinds)]) for m, step in enumerate(steps)]
    value = np.zeros((len(rows), size, 6))
    factor, turn = np.exp(rng.uniform(-0.02, 0.008)), rng.uniform(-0.02, 0.02)
    for row, (_, _, kind) in zip(value, rows, strict=True):
        row[:, :2] = (factor, turn) if kind == DAMP else rng.uniform(-0.2, 0.2, (1, 2))
    return np.array(rows, dtype=np.int64), value


PLACES = np.array([[-1.4, 1.3], [1.4, -1.3], [0.0, 0.0], [-1.2, 0.2]])  # m, away from each other


def begin(rng: np.random.Generator, count: int, size: int, speed: float) -> tuple[Whole, Array]:
    """First states of discs."""
    value = np.zeros((count, size, 6))
    value[..., :2] = PLACES[:count, None] + rng.normal(0, 0.02, (count, size, 2))
    value[..., 2:4] = rng.normal(0, speed, (count, 1, 2)) + rng.normal(0, 0.05, (count, size, 2))
    return np.array([(0, n, STATE) for n in range(count)], dtype=np.int64), value


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("kinds", [(DAMP,), (DAMP, GRAVITY)])
@pytest.mark.parametrize("count", [1, 4])
def test_the_motion_is_that_of_looking_for_contacts_always(
    count: int, kinds: tuple[int, ...], table: bool, smooth: bool, searches: Searches
) -> None:
    rng = np.random.default_rng(count)
    contacts = 0
    for _ in range(3):
        first, states = begin(rng, count, 2, 1.5)
        rows, values = schedule(rng, 2, kinds)
        what, value = np.concatenate([first, rows]), np.concatenate([states, values])
        found, usual, every = searches.both(discs(count, table), np.zeros((1, 2)), what, value, table, smooth)
        assert usual < every
        contacts += len(found[4])
    assert contacts >= 3


@pytest.mark.parametrize("kind", [PUSH, GRAVITY, STATE])
def test_what_sets_a_disc_going_brings_it_to_a_contact(kind: int, searches: Searches) -> None:
    """Until then nothing could be touched for long."""
    rows, values = schedule(np.random.default_rng(0), 1, (DAMP,))
    values[:, 0, :2] = (1.0, 0.0)
    states = np.array([[[0.0, 0.0, 0.001, 0.0, 0.0, 0.0]]])
    values_late = {PUSH: (8.0, 0.0), GRAVITY: (6.0, 0.0), STATE: (ROOM - RADIUS - 0.01, 0.0, 2.0, 0.0)}[kind]
    late = np.zeros((1, 1, 6))
    late[0, 0, : len(values_late)] = values_late
    what = np.concatenate([[[0, 0, STATE]], rows, [[605, 0, kind]]]).astype(np.int64)
    value = np.concatenate([states, values, late])
    found, usual, every = searches.both(discs(1, False), np.zeros((1, 2)), what, value, False, False)
    assert usual < every - 20  # most of the quiet time has no search
    assert found[4][0, 0] > 605
    still = searches.both(discs(1, False), np.zeros((1, 2)), what[:-1], value[:-1], False, False)[0]
    assert not len(still[4])


def test_no_contact_is_found_within_the_clearance() -> None:
    rng = np.random.default_rng(3)
    faces, corners = room()
    disc, pair = discs(4, False), np.array([(i, j) for i in range(4) for j in range(i)], dtype=np.int64)
    there, rests = np.ones(4, dtype=bool), np.zeros((4, len(faces)), dtype=bool)
    near = 0
    for _ in range(500):
        now = np.zeros((4, 10))
        now[:, :2] = rng.uniform(-ROOM, ROOM, (4, 2))
        speed, angle = 0.5, rng.uniform(0, math.tau, 4)
        now[:, 2:4] = speed * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        clearance = np.empty(4)
        clearances(now, there, rests, disc, faces, corners, pair, clearance)
        time, pair_time = np.full((4, 2 + len(faces) + len(corners) + 1), np.inf), np.empty(len(pair))
        first = first_event(now, there, rests, disc, faces, corners, pair, 60.0, time, pair_time)
        assert first * speed >= clearance.min() - 1e-9
        near += bool(clearance.min() > 0 and first * speed < 3 * clearance.min())
    assert near > 20  # it is no idle bound


def test_a_disc_that_rests_has_no_clearance() -> None:
    faces, corners = room()
    now = np.zeros((2, 10))
    now[1, :2] = 1.0, -ROOM + RADIUS
    rests = np.zeros((2, len(faces)), dtype=bool)
    rests[1, 2] = True
    clearance = np.empty(2)
    pair = np.array([(1, 0)], dtype=np.int64)
    clearances(now, np.ones(2, dtype=bool), rests, discs(2, False), faces, corners, pair, clearance)
    assert clearance[1] <= 0 < clearance[0]
