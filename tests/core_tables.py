"""Fixtures: finished runs of the whole of `core` whose score tables are made up, so that a test knows what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from physbench.clips.suite import find_suite
from physbench.score.protocol import AXES
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

HEADLINES = dict(zip(AXES, ("consistency/shadowing", "permanence/intact", "drift/accuracy"), strict=True))
SOURCES = ("model", "truth", "freeze", "constant-velocity")
MakeRun = Callable[..., RunFolder]


@cache
def scores(level: float, seed: int, noise: float = 0.1) -> pd.DataFrame:
    """Headline rows of core around a quality, the same difficulty of a clip for everybody."""
    rows = find_suite("core").rows
    hard = np.random.default_rng(0).normal(0, 0.15, (len(rows), len(AXES)))
    own = np.random.default_rng(seed).normal(0, noise, hard.shape)
    quality = np.clip(level + (hard + own) * (0 < level < 1), 0, 1)
    return pd.DataFrame(
        [
            {"clip": row.id, "task": row.task, "split": row.split, "seed": row.seed, "sample": 0, "axis": axis}
            | {"reading": HEADLINES[axis], "value": q, "unit": "1", "quality": q, "status": "ok", "reason": ""}
            for row, values in zip(rows, quality, strict=True)
            for axis, q in zip(AXES, values, strict=True)
        ]
    )


@cache
def packed(source: str, level: float, seed: int, unseen: float | None) -> bytes:
    """The table of one source of a run, as a file."""
    made = {"model": (level, seed), "truth": (1.0, 0), "freeze": (0.0, 0), "constant-velocity": (0.3, 9)}
    table = scores(*made[source])
    if source == "truth":
        table = pd.concat([table, lawfulness(1.0, 0)])
    if unseen is not None:
        alone = {"model": unseen, "truth": 1.0}.get(source, float(table["value"].mean()))
        table = pd.concat([table, free(table, alone)])
    return bytes(table.to_parquet())


@cache
def lawfulness(explained: float, broken: int) -> pd.DataFrame:
    """What shadowing says of ground truth beside its quality; `broken` of its clips have a break."""
    base = {"sample": 0, "axis": None, "unit": "1", "quality": np.nan, "status": "ok", "reason": ""}
    made = []
    for number, row in enumerate(find_suite("core").rows):
        about = {"clip": row.id, "task": row.task, "split": row.split, "seed": row.seed} | base
        breaks = {"value": 1.0, "reason": "ball"} if number < broken else {"value": 4.0}
        made.append(about | {"reading": "consistency/shadowing.explained", "value": explained})
        made.append(about | {"reading": "consistency/shadowing.first-break"} | breaks)
    return pd.DataFrame(made)


def free(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """The rows of consistency where orbits and what falls may be pulled otherwise, a quality of about `level` there."""
    own = table[(table["axis"] == "consistency") & table["task"].str.match("falling/|orbits/")]
    quality = np.clip(own["value"] - own["value"].mean() + level, 0, 1)
    unseen = own.assign(reading="consistency/shadowing.unseen-constants", axis=None, quality=np.nan, value=quality)
    return pd.concat([unseen, unseen.assign(reading="consistency/shadowing.unseen-factor", value=0.9)])


def make_core_run(
    place: Path,
    name: str,
    level: float,
    *,
    seed: int = 1,
    folder: str = "",
    suite: dict | None = None,
    unseen: float | None = None,
    **card: object,
) -> RunFolder:
    """A finished run of core in a folder; `suite` and `card` overwrite fields of the manifest.

    unseen: the quality that the model has behind one image where constants are free; none: a context that shows them.
    """
    made = RunFolder(place / "runs" / (folder or re.sub(r"\W", "", name)))
    core = find_suite("core")
    about = {"name": "core", "version": core.version, "hash": core.hash, "local": False}
    rows = [{"task": row.task, "split": row.split, "seed": row.seed} for row in core.rows]
    model = {"name": name, "image_size": [64, 64], "fps": 15.0, "context_frames": 8, "track": "zero-shot", **card}
    for source in SOURCES:
        of_source = made if source == "model" else made.reference(source)
        of_source.path.mkdir(parents=True, exist_ok=True)
        of_source.scores.write_bytes(packed(source, level, seed, unseen))
    made.report.parent.mkdir(parents=True)
    made.report.write_text(f"report of {re.sub('<.*', '', name)}")
    write_json(
        made.manifest,
        {
            "schema_version": 1,
            "suite": about | {"rows": rows} | (suite or {}),
            "model": {"target": f"{name}.py:make", "name": name, "sha256": None, "card": model, "args": {}},
            "options": {"samples": 1, "tasks": None, "limit": None},
            "context": 8 if unseen is None else 1,
            "speed": {"model_frames_per_s": 900.0},
        },
    )
    return made


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """make_run(name, level): see `make_core_run`. Results are built without skill by part, as in `made_runs`."""
    monkeypatch.setattr("physbench.result.build.skill_by_part", lambda *_: {})
    return lambda *arguments, **options: make_core_run(tmp_path, *arguments, **options)
