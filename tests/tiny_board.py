"""Fixtures: a board of four clips that stands for `core`, and an honest run on it. Nothing is hard-coded: the clips are
made, tracked and scored here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from html import escape
from pathlib import Path

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import PUBLISHED_VERSION, Suite, find_suite
from physbench.leaderboard import check_tables, entries, rescoring
from physbench.leaderboard.rescoring import all_scorers
from physbench.leaderboard.verify import How
from physbench.models.protocol import ModelCard
from physbench.result.build import build_result
from physbench.result.document import ResultDocument
from physbench.result.read import REFERENCE_MODELS
from physbench.rollout.batches import BatchItem
from physbench.rollout.store import store_rollout
from physbench.run.finalize import compile_scores
from physbench.run.manifest import requested_manifest
from physbench.run.options import Options
from physbench.run.references import bring_references, reference_rollout
from physbench.score.protocol import write_part
from physbench.score.score_clip import score_clip
from physbench.shadowing.shadow import save_trace, trace
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, save_tracks

TINY_TASKS = ("collisions/head-on-v1", "falling/projectile-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")
TINY_ROWS = tuple(Row(task, "test", 0) for task in TINY_TASKS)
TINY_CARD = ModelCard("constant-velocity", (64, 64), 15.0, 8)
TINY_TARGET = "baseline:constant-velocity"
TINY_ARGS = {"size": "64", "fps": "15", "context": "8"}
FEW_DRAWS = 100  # resamples
QUICK = How(cached_references=True, resamples=FEW_DRAWS)  # references were made by this session


def tiny_core(rows: tuple[Row, ...] = TINY_ROWS) -> Suite:
    """`core` with four clips, in a version that is published."""
    return Suite("core", PUBLISHED_VERSION, rows, golden=find_suite("core").golden)


def stand_for_core(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a test runs, `core` is another suite."""

    def found(name: str, limit: int | None = None, tasks: str | None = None) -> Suite:
        return suite if (name, limit, tasks) == ("core", None, None) else find_suite(name, limit, tasks)

    for module in ("claim", "eligibility"):
        monkeypatch.setattr(f"physbench.leaderboard.{module}.find_suite", found)


@pytest.fixture
def tiny_suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """While a test runs, `core` is the tiny one."""
    suite = tiny_core()
    stand_for_core(suite, monkeypatch)
    return suite


def make_tiny_run(
    folder: RunFolder, suite: Suite, card: ModelCard = TINY_CARD, source: str = "constant-velocity"
) -> None:
    """A finished run of a baseline with all its rollouts, as `eval --for-board` leaves it."""
    options = Options(TINY_TARGET, "core", TINY_ARGS, keep_rollouts="all")
    manifest = requested_manifest(options, suite, None, {"code": "x"})
    manifest.context, manifest.render_spec = card.scored_context, str(card.spec)
    manifest.device, manifest.started = "cpu (a test)", "2026-11-22T04:00:00+00:00"
    manifest.speed = {"chained": 1, "model_frames_per_s": 900.0}
    manifest.model.name, manifest.model.card = card.name, card
    for row in suite.rows:
        clip = ClipStore().get(row, card.spec)
        bring_references(folder, row, ClipStore(), card, all_scorers())
        rollout = reference_rollout(source, clip, card)
        store_rollout(folder, rollout, card.fps)
        rows, observation = score_clip(clip, rollout, card.scored_context, all_scorers())
        assert observation is not None
        save_tracks(folder.tracks(row.id), observation.tracks)
        lawful = trace(clip, observation.tracks, observation.known("shadowing"))
        if lawful is not None:
            save_trace(folder.trace(row.id), lawful)
        write_part(folder.part(row.id), rows)
    for place in (folder, *(folder.reference(name) for name in REFERENCE_MODELS)):
        compile_scores(place, [BatchItem(row) for row in suite.rows])
    write_json(folder.manifest, manifest.document())
    write_json(folder.result, build_result(folder, resamples=FEW_DRAWS).model_dump(mode="json"))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An honest run of `baseline:constant-velocity` on the tiny board. Not to be changed: see `tiny_copy`."""
    folder = RunFolder(tmp_path_factory.mktemp("tiny") / "run")
    make_tiny_run(folder, tiny_core())
    return folder


@pytest.fixture
def tiny_copy(tiny_run: RunFolder, tiny_suite: Suite, tmp_path: Path) -> RunFolder:
    """A copy of it that a test may change."""
    shutil.copytree(tiny_run.path, tmp_path / "copy")
    return RunFolder(tmp_path / "copy")


Key = tuple[object, ...]


@pytest.fixture(scope="session")
def readings_so_far() -> dict[Key, object]:
    """What was read of tracks and frames in this session, by their content."""
    return {}


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch, readings_so_far: dict[Key, object]) -> None:
    """Equal tracks of a clip are read once, equal frames tracked once, and equal tables aggregated once.

    Each is a pure function of its content.
    """

    def content(value: object) -> object:
        if isinstance(value, Tracks):
            return tuple(content(getattr(value, field.name)) for field in fields(value))
        return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value

    def remembered(name: str, function: Callable[..., object], key: Callable[..., Key]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            at = (name, *key(*arguments, **options))
            if at not in readings_so_far:
                readings_so_far[at] = function(*arguments, **options)
            return readings_so_far[at]

        return call

    def files(run: RunFolder, **options: object) -> Key:
        places = (run, *(run.reference(name) for name in REFERENCE_MODELS))
        read = (run.manifest, run.diagnosis, *(place.scores for place in places))
        return (*(path.is_file() and path.read_bytes() for path in read), *options.items())

    for module in (check_tables, entries):
        monkeypatch.setattr(module, "build_result", remembered("result", module.build_result, files))

    def sent(job: rescoring.RetrackJob) -> Key:
        paths = (job.sent.rollout(job.row.id, job.sample), job.sent.tracks(job.row.id, job.sample))
        return (job.row, job.card, job.promised.model_dump_json(), *(p.is_file() and p.read_bytes() for p in paths))

    monkeypatch.setattr(rescoring, "retrack", remembered("retracked", rescoring.retrack, sent))
    monkeypatch.setattr(
        rescoring,
        "rows_of_tracks",
        remembered(
            "rows",
            rescoring.rows_of_tracks,
            lambda card, clip, sample, tracks, frames: (card, clip.id, sample, content(tracks), frames),
        ),
    )
    monkeypatch.setattr(
        rescoring,
        "observed",
        remembered(
            "tracks",
            rescoring.observed,
            lambda clip, rollout, context: (clip.id, clip.spec, content(rollout.frames), context),
        ),
    )


def without_reports(patch: pytest.MonkeyPatch) -> None:
    """A report takes seconds and has tests of its own: entries get one of a line."""

    def write_report(folder: RunFolder, place: Path, result: ResultDocument, quality: int) -> None:
        place.write_text(f"<!doctype html> a report of {escape(result.model.name)}")

    patch.setattr("physbench.leaderboard.entries.write_report", write_report)


@pytest.fixture
def plain_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries get a report of a line while a test runs."""
    without_reports(monkeypatch)


def with_changed_document(path: Path, change: Callable[[dict], None]) -> None:
    """Change a JSON document in place, as somebody does who knows how it is written."""
    document = json.loads(path.read_text(encoding="utf-8"))
    document.pop("seal", None)
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
