"""Writes what models of states are given of a suite as Parquet files, for training and for models that run elsewhere.

- `clips.parquet`: a row a clip: its id, task, split, seed, states_per_s, horizon (states to predict), view, gravity,
  prompt.
- `states.parquet`: a row a moment and body of the context: clip, time_s, body, STATE_COLUMNS.
- `bodies.parquet`: a row a body: clip, body, BODY_COLUMNS. `statics.parquet`: a row a fixed body: clip, STATIC_COLUMNS.

No future, and no constant that a context must reveal: those are null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.state_card import BODY_COLUMNS, PLACE, SPEED, STATE_COLUMNS, STATIC_COLUMNS, VIEW
from physbench.clips.clip import Row
from physbench.clips.generate import frame_times, make_scene
from physbench.clips.suite import Suite
from physbench.errors import UsageError
from physbench.rollouts.state_inputs import known_constants
from physbench.storage.atomic_write import atomic_path
from physbench.world.frame_rates import wrong_rate
from physbench.world.scene import HISTORY, RenderSpec

Table = list[dict[str, Any]]
STATE_TABLES = ("clips", "states", "bodies", "statics")


def check_state_export(fps: float, context: int, noise: float) -> None:
    """Raise UsageError, with values that work, where states cannot be exported so."""
    if wrong := wrong_rate(fps):
        raise UsageError(f"--fps: {wrong}")
    most = int(HISTORY * fps + 1e-9) + 1
    if not 1 <= context <= most:
        raise UsageError(f"--context: expected 1 to {most} states ({HISTORY:g} s at {fps:g} a second), got {context}.")
    if not 0 <= noise <= 1:
        raise UsageError(f"--state-noise: expected 0 to 1 m, got {noise:g}.")


def export_states(
    suite: Suite, fps: float, context: int, folder: Path, *, noise: float = 0.0, done: Callable[[], None] = lambda: None
) -> list[Path]:
    """Write the tables of a suite into a folder and return their files; `done` is called after each clip.

    noise: sd of every coordinate of a position in m, and of a velocity in m/s; the same for a clip each time.
    """
    tables: dict[str, Table] = {name: [] for name in STATE_TABLES}
    for row in suite.rows:
        for name, rows in clip_tables(row, fps, context, noise).items():
            tables[name] += rows
        done()
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"{name}.parquet", rows) for name, rows in tables.items()]


def clip_tables(row: Row, fps: float, context: int, noise: float) -> dict[str, Table]:
    """The rows of one clip in every table."""
    from physbench.world.stepping import simulate

    scene = make_scene(row)
    times = frame_times(scene, RenderSpec(*VIEW, float(fps)))
    since = int(np.argmin(np.abs(times))) + 1 - context
    given = times[since : since + context]
    states = simulate(scene, given).states[:, list(scene.tracked)]
    _add_noise(states, row, noise)
    names = [scene.bodies[index].name for index in scene.tracked]
    bodies, statics, gravity = known_constants(row, scene)
    pull = dict(zip(("gravity_x", "gravity_y", "gravity_z"), _known(gravity), strict=True))
    about = {"clip": row.id, "task": row.task, "split": row.split, "seed": row.seed, "states_per_s": float(fps)}
    about |= {"horizon": int((times > 1e-9).sum()), "view": scene.camera.view, **pull, "prompt": scene.prompt}
    return {
        "clips": [about],
        "states": [
            {"clip": row.id, "time_s": float(time), "body": name, **_named(STATE_COLUMNS, state)}
            for time, moment in zip(given, states, strict=True)
            for name, state in zip(names, moment, strict=True)
        ],
        "bodies": [{"clip": row.id, "body": n, **_named(BODY_COLUMNS, b)} for n, b in zip(names, bodies, strict=True)],
        "statics": [{"clip": row.id, **_named(STATIC_COLUMNS, fixed)} for fixed in statics],
    }


def _add_noise(states: NDArray[np.float64], row: Row, noise: float) -> None:
    """Add noise to positions and velocities (T, K, 13), in place."""
    seed = int.from_bytes(hashlib.sha256(f"state noise|{row.unchanged.id}".encode()).digest()[:8], "little")
    draw = np.random.default_rng(seed).normal(0.0, 1.0, (*states.shape[:2], 6))
    states[..., PLACE] += noise * draw[..., :3]
    states[..., SPEED] += noise * draw[..., 3:]


def _named(columns: Sequence[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    return dict(zip(columns, _known(values), strict=True))


def _known(values: NDArray[np.float64]) -> list[float | None]:
    """Values for a table; null where they are hidden."""
    return [None if np.isnan(value) else float(value) for value in values]


def _write(path: Path, rows: Table) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    nothing = {name: pa.array([], pa.float64()) for name in ("clip", *STATIC_COLUMNS)}  # no clip has anything fixed
    table = pa.Table.from_pylist(rows) if rows else pa.table(nothing)
    with atomic_path(path) as draft:
        pq.write_table(table, draft, compression="zstd")
    return path
