"""Fixtures: run folders made up from real clips and known scores, without a model or a tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from physbench.clips.clip import Clip, Row
from physbench.result import build
from physbench.result.document import ResultDocument
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, Visibility, save_tracks
from physbench.world.scene import RenderSpec

TASKS = ("collisions/head-on-v1", "falling/projectile-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")
SOURCES = ("model", "truth", "freeze", "constant-velocity")
LEVEL = {"truth": 0.99, "freeze": 0.1, "constant-velocity": 0.3, "model": 0.6}  # quality on informative tasks
SPEC = RenderSpec(64, 64, 15)
CONTEXT = 8
FAILURE = "ValueError: <b>NaN</b> in frame 3"


def make_rows(test: int, ood: int, tasks: tuple[str, ...] = TASKS) -> list[Row]:
    """Rows as a suite has them."""
    splits = (("test", test), ("ood", ood))
    return [Row(task, split, seed) for task in tasks for split, n in splits for seed in range(n)]  # type: ignore[arg-type]


def make_table(
    rows: list[Row], source: str, rng: np.random.Generator, failed: frozenset[str] = frozenset()
) -> pd.DataFrame:
    """Scores of one source: three headline readings, their parts and gravity."""
    records: list[dict[str, object]] = []
    for row in rows:
        hides, orbit = row.family == "occlusion", row.family == "orbits"
        jitter = 0.0 if source == "truth" else float(rng.uniform(-0.1, 0.1))
        q = float(np.clip(LEVEL[source] + jitter, 0, 1))
        permanence = q if hides or source == "truth" else (0.97 if source == "model" else 1.0)
        horizon = 8.0 if orbit else 4.0
        gravity = {"truth": 9.81, "model": 6.2, "freeze": 0.0, "constant-velocity": 0.0}[source] + jitter
        readings: list[tuple[str, str | None, float, str]] = [
            ("consistency/shadowing", "consistency", q, "1"),
            ("consistency/shadowing.shadowing-time", None, q * horizon, "s"),
            ("permanence/intact", "permanence", permanence, "1"),
            ("permanence/intact.survival", None, permanence, "1"),
            ("drift/accuracy", "drift", q, "1"),
            ("drift/accuracy.predictability", None, 0.8 * horizon, "s"),
        ]
        if hides:
            readings.append(("permanence/intact.reemergence", None, q, "1"))
        if row.family == "falling":
            readings.append(("laws/gravity", None, gravity, "m/s2"))
        head = {"clip": row.id, "task": row.task, "split": row.split, "seed": row.seed, "sample": 0}
        for reading, axis, value, unit in readings:
            record = {**head, "reading": reading, "axis": axis, "value": value, "unit": unit}
            record |= {"quality": value if axis else None, "status": "ok", "reason": ""}
            if row.id in failed:
                record |= {"value": None, "quality": 0.0 if axis else None, "status": "failed", "reason": FAILURE}
            records.append(record)
        lpips = {**head, "reading": "appearance/lpips", "axis": None, "value": None, "unit": "1", "quality": None}
        records.append(lpips | {"status": "unavailable", "reason": "weights"})
    return pd.DataFrame.from_records(records)


def make_manifest(rows: list[Row], suite: str = "core", **more: object) -> dict[str, object]:
    """A manifest as eval writes it."""
    card = {"name": "toy <script>alert(1)</script>", "image_size": [64, 64], "fps": 15.0, "context_frames": CONTEXT}
    card |= {"max_horizon": None, "track": "trained", "stochastic": False}
    return {
        "schema_version": 1,
        "physbench_version": "0.1.0",
        "suite": {
            "name": suite,
            "version": 0,
            "hash": "ab" * 32,
            "local": False,
            "rows": [{"task": row.task, "split": row.split, "seed": row.seed} for row in rows],
        },
        "model": {"target": "toy.py:make", "name": card["name"], "sha256": None, "card": card, "args": {"size": "64"}},
        "options": {"suite": suite, "samples": 1, "tasks": None, "limit": None, "dtype": "float32", "seed": 0},
        "render_spec": str(SPEC),
        "context": CONTEXT,
        "versions": {"physbench": "0.1.0", "torch": "2.4"},
        "device": "cpu",
        "events": [],
        "speed": {"model_frames_per_s": 900.0, "total_seconds": 55.0, "harness_share": 0.7, "peak_memory_gb": 1.1},
    } | more


def write_tables(folder: RunFolder, tables: Mapping[str, pd.DataFrame]) -> None:
    for source, table in tables.items():
        place = folder if source == "model" else folder.reference(source)
        place.scores.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(place.scores)


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The names of this file that tests use (test folders are no packages)."""
    return SimpleNamespace(
        CONTEXT=CONTEXT, SPEC=SPEC, FAILURE=FAILURE, at_half_speed=at_half_speed, true_tracks=true_tracks
    )


MakeRun = Callable[..., RunFolder]
_BUILT: dict[tuple[object, ...], ResultDocument] = {}


def built_once(folder: RunFolder, **options: Any) -> ResultDocument:
    """`build_result`, once for runs of equal content: a pure function of their files."""
    places = (folder, *(folder.reference(name) for name in SOURCES[1:]))
    files = (folder.manifest, folder.diagnosis, *(place.scores for place in places))
    key = (build.skill_by_part, *(path.is_file() and path.read_bytes() for path in files), *sorted(options.items()))
    if key not in _BUILT:
        _BUILT[key] = build.build_result(folder, **options)
    return _BUILT[key].model_copy(deep=True)  # tests may change theirs


def no_parts(*_: object) -> dict[str, object]:
    return {}


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Write a finished run without tracks or rollouts: make_run(test, ood, failed=..., suite=..., tasks=...).

    Until `monkeypatch.undo()` results are built without skill by part, which takes a third of their time.
    """
    monkeypatch.setattr(build, "skill_by_part", no_parts)

    def make(
        test: int = 24,
        ood: int = 8,
        *,
        failed: frozenset[str] = frozenset(),
        suite: str = "core",
        tasks: tuple[str, ...] = TASKS,
        name: str = "run",
    ) -> RunFolder:
        folder = RunFolder(tmp_path / name)
        rows = make_rows(test, ood, tasks)
        rng = np.random.default_rng(1)
        write_tables(folder, {s: make_table(rows, s, rng, failed if s == "model" else frozenset()) for s in SOURCES})
        write_json(folder.manifest, make_manifest(rows, suite))
        return folder

    return make


def true_tracks(clip: Clip, context: int = CONTEXT) -> Tracks:
    """Tracks without any error."""
    window = clip.window(context)
    share, area = clip.visible_share()[window], clip.visible_area[window][:, list(clip.tracked)].astype(np.float64)
    position = np.where((share > 0.9)[..., None], clip.px_positions()[window], np.nan)
    state = np.where(share >= 0.25, Visibility.VISIBLE, Visibility.OCCLUDED).astype(np.uint8)
    zeros = np.zeros(share.shape)
    names = tuple(body.name for body in clip.tracked_bodies)
    return Tracks(
        names, clip.times[window], context, position, zeros + 0.03, area, zeros, state, zeros.astype(np.uint8),
        np.zeros(len(share), np.uint8),
    )  # fmt: skip


def at_half_speed(clip: Clip) -> tuple[np.ndarray, Tracks]:
    """A prediction in which all goes at half speed, and objects are lost at the end."""
    tracks = true_tracks(clip)
    source = tracks.context + np.arange(clip.horizon) // 2
    order = np.concatenate([np.arange(tracks.context), source])
    position, state, area = tracks.position[order], tracks.state[order].copy(), tracks.area[order].copy()
    last = tracks.context + round(0.9 * clip.horizon)
    position[last:], area[last:], state[last:] = np.nan, 0.0, Visibility.ABSENT
    return clip.future()[np.arange(clip.horizon) // 2], replace(tracks, position=position, state=state, area=area)


def frozen(clip: Clip) -> Tracks:
    tracks = true_tracks(clip)
    order = np.minimum(np.arange(len(tracks.times)), tracks.context - 1)
    return replace(tracks, position=tracks.position[order], state=tracks.state[order], area=tracks.area[order])


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of two clips a task with tracks and rollouts. Not to be changed."""
    if not _SMALL_RUNS:
        _SMALL_RUNS.append(_make_small_run(tmp_path_factory.mktemp("small") / "run"))
    return _SMALL_RUNS[0]


_SMALL_RUNS: list[RunFolder] = []  # at most one: several folders of tests have the fixture


def _make_small_run(path: Path) -> RunFolder:
    from physbench.clips.store import ClipStore
    from physbench.rollout.store import Rollout, store_rollout

    folder = RunFolder(path)
    rows = make_rows(2, 0)
    failed = frozenset({rows[1].id})
    rng = np.random.default_rng(2)
    write_tables(folder, {s: make_table(rows, s, rng, failed if s == "model" else frozenset()) for s in SOURCES})
    write_json(folder.manifest, make_manifest(rows, "smoke"))
    for row in rows:
        clip = ClipStore().get(row, SPEC)
        frames, tracks = at_half_speed(clip)
        save_tracks(folder.reference("freeze").tracks(row.id), frozen(clip))
        save_tracks(folder.reference("constant-velocity").tracks(row.id), frozen(clip))
        save_tracks(folder.reference("truth").tracks(row.id), true_tracks(clip))
        if row.id not in failed:
            save_tracks(folder.tracks(row.id), tracks)
            store_rollout(folder, Rollout(row.id, 0, frames, None, 1, 0.1), SPEC.fps)
    return folder
