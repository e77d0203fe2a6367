"""Which scores are dropped because their tracks are lost, and what goes with them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.run.state import drop_damaged, drop_drafts
from physbench.score.protocol import ScoreRow, Status, write_part
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, save_tracks

PUSHED = Row("collisions/head-on-push-v1", "test", 0)
QUIET = replace(PUSHED, change="unpushed")
OTHER = replace(PUSHED, seed=1)
ROWS = (PUSHED, OTHER, QUIET)
SAMPLES = 2
Files = set[str]


def one_row(row: Row, sample: int, status: Status = "ok") -> ScoreRow:
    value = 0.5 if status == "ok" else None
    return ScoreRow(row.id, row.task, row.split, row.seed, sample, "own/a", None, value, "1", None, status, "")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of ROWS with its joint readings, and ground truth."""
    run = RunFolder(tmp_path)
    empty, none = np.zeros((3, 1)), np.zeros((3, 1), dtype=np.uint8)
    tracks = Tracks(("a",), empty[:, 0], 1, np.zeros((3, 1, 2)), empty, empty, empty, none, none, none[:, 0])
    for row in ROWS:
        write_part(run.together(row.id), [one_row(row, 0)])
        for place, sample in ((run, 0), (run, 1), (run.reference("truth"), 0)):
            write_part(place.part(row.id, sample), [one_row(row, sample)])
            save_tracks(place.tracks(row.id, sample), tracks)
            if row.change:
                write_part(place.pair(row.id, sample), [one_row(row, sample)])
    return run


def files(run: RunFolder) -> Files:
    return {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}


def dropped(run: RunFolder, count: int) -> Files:
    before = files(run)
    assert drop_damaged(run, ROWS, SAMPLES) == count
    return before - files(run)


def test_what_is_whole_stays(folder: RunFolder) -> None:
    assert dropped(folder, 0) == set()


def test_truncated_tracks_take_what_was_read_from_them_along(folder: RunFolder) -> None:
    """Of a pushed clip also the pair of the one that is a change of it, in the same sample."""
    path = folder.tracks(PUSHED.id, 1)
    path.write_bytes(path.read_bytes()[:-30])
    name = PUSHED.id
    assert dropped(folder, 1) == {
        f"tracks/{name}.1.npz",
        f"parts/{name}.1.json",
        f"parts/{name}.samples.json",
        f"pairs/{QUIET.id}.1.json",
    }


def test_tracks_that_are_gone(folder: RunFolder) -> None:
    folder.tracks(QUIET.id).unlink()
    folder.reference("truth").tracks(OTHER.id).unlink()
    assert dropped(folder, 2) == {
        f"parts/{QUIET.id}.0.json",
        f"parts/{QUIET.id}.samples.json",
        f"pairs/{QUIET.id}.0.json",
        f"references/truth/parts/{OTHER.id}.0.json",
    }


def test_a_rollout_that_failed_has_no_tracks(folder: RunFolder) -> None:
    """Also where a reading does not apply. Where none applies, nothing says that the rollout failed."""
    states: dict[Row, tuple[Status, ...]] = {
        PUSHED: ("failed", "not applicable"),
        OTHER: ("not applicable",),
        QUIET: ("failed", "ok"),
    }
    for row, found in states.items():
        folder.tracks(row.id).unlink()
        write_part(folder.part(row.id), [one_row(row, 0, status) for status in found])
    assert {name for name in dropped(folder, 2) if not name.endswith("samples.json")} == {
        f"parts/{OTHER.id}.0.json",
        f"parts/{QUIET.id}.0.json",
        f"pairs/{QUIET.id}.0.json",
    }


def test_drafts_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    out = RunFolder(tmp_path / "run")
    gone, here = ".99999999.x.npz", f".{os.getpid()}.x.npz"
    for folder in (out.path / "tracks", out.reference("truth").path / "parts"):
        folder.mkdir(parents=True)
        for name in (gone, here, "x.npz"):
            (folder / name).touch()
    assert drop_drafts(out) == 2
    assert {path.name for path in out.path.rglob("*") if path.is_file()} == {here, "x.npz"}
