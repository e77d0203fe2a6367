"""Chooses the pairs of the suite `expectation` and writes them down, with hashes of the states of impossible worlds.

`python -m physbench.surprise.pair_golden` writes the file of this package anew; it takes some minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from physbench.clips.clip import Row, Split
from physbench.clips.generate import HASH_ROUNDING, STATE_HZ, grid_states, make_scene, state_hash
from physbench.clips.suite import SUITE_VERSION, find_suite
from physbench.support.arrays import Array
from physbench.surprise.pairs import CONTROLS, IMPOSSIBLE_KINDS, PAIRS_FILE, FilmPair, ImpossibleKind
from physbench.validity.violations import Inapplicable, Violated, candidate_events, find_acts, violate
from physbench.world.scene import HISTORY, PHYSICS_HZ, Scene

PAIRS_COMMAND = "python -m physbench.surprise.pair_golden"
CLIPS_A_KIND = 12
CLIPS_A_CONTROL = 24
FEWEST_SIZES = 4  # that a clip must show of a kind with sizes
HOPELESS_AFTER = 3  # clips of a task on which a kind finds nothing
HASH_LENGTH = 16
TURNS: tuple[tuple[Split, int], ...] = (
    ("test", 0), ("ood", 0), ("test", 1), ("test", 2), ("ood", 1), ("test", 3), ("test", 4), ("test", 5),
)  # fmt: skip


def grid(scene: Scene) -> Array:
    """Times (T,) s at STATE_HZ from the start of the history to the end of the horizon."""
    return np.arange(-round(HISTORY * STATE_HZ), round(scene.horizon * STATE_HZ) + 1) / STATE_HZ


def measured(row: Row, kind: ImpossibleKind, size: float) -> FilmPair:
    """The pair of a clip with a kind and size. Raises Inapplicable, also where nothing of it could be seen."""
    scene = make_scene(row)
    world = violate(scene, find_acts(f"{kind.name}:{size:g}"), row.id)
    times = grid(scene)
    states = world.states(times)
    world.refuse_unseen(times, _lawful(row))
    first = min(world.events, key=lambda event: event.time)
    seen = _last_seen(world, first.body, first.hidden_since)
    event = float(np.floor(first.time * PHYSICS_HZ + 1e-6) / PHYSICS_HZ)
    digest = state_hash(states)[:HASH_LENGTH]
    return FilmPair(row, kind.name, size, round(event, 6), seen, "truth", f"{kind.name}:{size:g}", digest)


@lru_cache(maxsize=128)
def _lawful(row: Row) -> Array:
    """States (T, N, 13) of a clip on the grid."""
    return grid_states(make_scene(row))


def _last_seen(world: Violated, body: str | None, hidden_since: float | None) -> float | None:
    """Time (s) when a body that changes out of sight was last visible; None where nothing is out of sight."""
    if body is None or hidden_since is None:
        return None
    candidates = candidate_events(world.scene)
    hidden = candidates.hidden(world.scene.index(body))
    at = int(np.searchsorted(candidates.times, hidden_since + 1e-9, side="right")) - 1
    open_ = np.flatnonzero(~hidden[: at + 1])
    return round(float(candidates.times[open_[-1]]), 6) if len(open_) else 0.0


def chosen(kind: ImpossibleKind, tasks: tuple[str, ...]) -> Iterator[list[FilmPair]]:
    """Clips of a kind with all their sizes, from the tasks in turn."""
    kept, refused = 0, dict.fromkeys(tasks, 0)
    start = sum(map(ord, kind.name)) % len(tasks)  # so that not all kinds take the clips of the same tasks
    for split, seed in TURNS:
        for task in (*tasks[start:], *tasks[:start]):
            if kept == CLIPS_A_KIND or refused[task] >= HOPELESS_AFTER:
                continue
            pairs = []
            for size in reversed(kind.sizes):  # where the largest does not apply, none need be tried
                try:
                    pairs.append(measured(Row(task, split, seed), kind, size))
                except Inapplicable:
                    if size == kind.sizes[-1]:
                        break
            if len(pairs) < min(FEWEST_SIZES, len(kind.sizes)):
                refused[task] += 1
                continue
            kept += 1
            yield pairs[::-1]


def write_pairs(path: Path) -> None:
    """Choose pairs of all kinds and write them."""
    tasks = find_suite("expectation").tasks
    entries = []
    for kind in IMPOSSIBLE_KINDS.values():
        for pairs in chosen(kind, tasks):
            row = pairs[0].row
            sizes = [[pair.size, pair.event, pair.seen, pair.states] for pair in pairs]
            entries.append([row.task, row.split, row.seed, kind.name, sizes])
        print(kind.name, sum(entry[3] == kind.name for entry in entries), "clips", flush=True)
    controls = [
        [task, split, seed, name]
        for number, name in enumerate(CONTROLS)
        for task, split, seed in _spread(tasks, number)
    ]
    head = {
        "suite": "expectation",
        "version": SUITE_VERSION,
        "made_by": PAIRS_COMMAND,
        "columns": [
            "task",
            "split",
            "seed",
            "kind",
            f"[size, s of the event, s at which the evidence is last seen, sha256 of the states at {STATE_HZ} Hz "
            f"rounded to {HASH_ROUNDING:g}] of each size",
        ],
    }
    lines = ",\n  ".join(map(json.dumps, entries))
    more = ",\n  ".join(map(json.dumps, controls))
    text = json.dumps(head, indent=1)[:-2] + f',\n "pairs": [\n  {lines}\n ],\n "controls": [\n  {more}\n ]\n}}\n'
    path.write_text(text, encoding="utf-8")


def _spread(tasks: tuple[str, ...], number: int) -> list[tuple[str, Split, int]]:
    """Clips of a control: from all tasks in turn, other ones for each control."""
    every = [(task, split, seed) for split, seed in TURNS for task in tasks]
    start = number * CLIPS_A_CONTROL % len(every)
    return [every[(start + k) % len(every)] for k in range(CLIPS_A_CONTROL)]


if __name__ == "__main__":
    write_pairs(Path(__file__).parent / "golden" / PAIRS_FILE)
