"""The run folder: chosen, checked, locked, emptied with care; rows on disk, and scores whose tracks are lost."""

from __future__ import annotations

import inspect
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.clips.clip import Row
from physbench.run.state import claimed_folder, default_folder, drop_damaged, drop_drafts, opened
from physbench.score.protocol import ScoreRow, Status, read_part, write_part, write_scores
from physbench.support.errors import UsageError
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


def used(path: Path) -> Path:
    path.mkdir()
    (path / "manifest.json").write_text("{}")
    (path / "parts").mkdir()
    return path


def test_default_folders_count_up(tmp_path: Path) -> None:
    assert default_folder("a b", "smoke", False, tmp_path) == tmp_path / "a-b-smoke-1"
    (tmp_path / "a-b-smoke-1").mkdir()
    (tmp_path / "a-b-smoke-9").mkdir()
    (tmp_path / "a-b-smoke-x").mkdir()
    assert default_folder("a b", "smoke", False, tmp_path) == tmp_path / "a-b-smoke-10"
    assert default_folder("a b", "smoke", True, tmp_path) == tmp_path / "a-b-smoke-9"
    below, above = (default_folder(f"gravity:{severity}", "core", False, tmp_path) for severity in (-3, 3))
    assert (below.name, above.name) == ("gravity-minus-3-core-1", "gravity-3-core-1")


def test_runs_that_start_together_get_a_folder_each(tmp_path: Path) -> None:
    parent = tmp_path / "a" / "runs"
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claimed_folder("a b", "smoke", parent), range(24)))
    assert sorted(path.name for path, _ in claims) == sorted(f"a-b-smoke-{n}" for n in range(1, 25))
    for path, made in claims:
        with opened(path, resume=False, fresh=False, created=made):
            pass
    assert list(parent.glob("*")) == [], "what came to nothing leaves nothing behind"
    (tmp_path / "file").write_text("")
    path, made = claimed_folder("a", "smoke", tmp_path / "file")
    with pytest.raises(UsageError, match="--out"), opened(path, resume=False, fresh=False, created=made):
        pass


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "run", resume=False, fresh=False):
        with pytest.raises(UsageError, match="Another process"), opened(tmp_path / "run", resume=True, fresh=False):
            pass
        assert (tmp_path / "run").exists()
    with opened(tmp_path / "run", resume=False, fresh=False):
        pass


def test_what_fails_early_leaves_nothing_behind(tmp_path: Path) -> None:
    with opened(tmp_path / "runs" / "a", resume=False, fresh=False):
        pass
    assert list(tmp_path.iterdir()) == []
    with opened(tmp_path / "runs" / "a", resume=False, fresh=False) as folder:
        folder.manifest.write_text("{}")
    assert folder.manifest.exists()


def test_a_used_folder_needs_a_word(tmp_path: Path) -> None:
    path = used(tmp_path / "run")
    with pytest.raises(UsageError, match=r"--resume.*--fresh"), opened(path, resume=False, fresh=False):
        pass
    with opened(path, resume=True, fresh=False):
        assert (path / "parts").exists()
    (path / "notes.txt").write_text("mine")
    with opened(path, resume=False, fresh=True):
        assert sorted(item.name for item in path.iterdir()) == [".lock", "notes.txt"]


def test_a_fresh_run_starts_without_anything_of_the_old_one(tmp_path: Path) -> None:
    """Every place that a run folder names: what stayed would be read as of the new model."""
    folder = RunFolder(tmp_path / "run")
    places = {}
    for name, member in vars(RunFolder).items():
        if isinstance(member, property):
            places[name] = getattr(folder, name)
        elif inspect.isfunction(member) and not name.startswith("_"):
            place = getattr(folder, name)("clip")
            places[name] = place.scores if isinstance(place, RunFolder) else place
    assert {"manifest", "scores", "rollout", "trace", "pair", "reference"} <= set(places)
    for path in places.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    with opened(folder.path, resume=False, fresh=True):
        assert [item.name for item in folder.path.iterdir()] == [".lock"]


@pytest.mark.parametrize("fresh", [True, False])
def test_somebodys_folder_is_left_alone(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no run"), opened(tmp_path, resume=False, fresh=fresh):
        pass
    assert (tmp_path / "report" / "thesis.tex").exists()


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(UsageError, match="--out"), opened(path, resume=False, fresh=False):
            pass


def row(value: float | None = 0.1, quality: float | None = 1.0, reading: str = "a/b", sample: int = 0) -> ScoreRow:
    return ScoreRow(
        "falling.x-v1.test.3", "falling/x-v1", "test", 3, sample, reading, None, value, "m", quality, "ok", "why"
    )


@settings(max_examples=30, deadline=None)
@given(value=st.floats(allow_nan=False), quality=st.none() | st.floats(0, 1))
def test_numbers_survive_exactly(tmp_path_factory: object, value: float, quality: float | None) -> None:
    path = tmp_path_factory.mktemp("part") / "a.json"  # type: ignore[attr-defined]
    write_part(path, [row(value, quality)])
    assert read_part(path) == [row(value, quality)]


def test_a_damaged_part_is_scored_again(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_part(path) is None
    write_part(path, [row()])
    whole = path.read_text()
    for text in (whole[:-9], "", "[]", whole.replace('"clip"', '"clop"'), whole.replace('"1"', '"999"')):
        path.write_text(text)
        assert read_part(path) is None


def test_the_table_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    rows = [row(value=number / 7, sample=number) for number in range(50)] + [row(value=None, quality=None)]
    write_scores(tmp_path / "a.parquet", rows)
    write_scores(tmp_path / "b.parquet", rows)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table["value"][:50]) == [number / 7 for number in range(50)]
    assert math.isnan(table["quality"].iloc[-1])


def test_a_table_without_any_value_keeps_its_types(tmp_path: Path) -> None:
    write_scores(tmp_path / "a.parquet", [row(value=None, quality=None)])
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert table["value"].dtype == float and table["quality"].dtype == float
