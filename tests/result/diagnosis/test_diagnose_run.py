"""The diagnosis of a run: from its tracks, into its result and its report."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from changed_clips import KNOWN

from physbench.cli.main import run
from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.laws.changes import WorldChange
from physbench.laws.planar_law import PlanarLaw
from physbench.result.diagnosis import diagnose_run as module
from physbench.result.diagnosis.diagnose_run import chosen_rows, diagnose_run, long_search
from physbench.result.diagnosis.ranking import EFFORT, _law, phrase
from physbench.result.document import ImpliedWorldResult
from physbench.result.findings import read_diagnosis, write_diagnosis
from physbench.result.manifest import read_manifest
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, Visibility, save_tracks
from physbench.validity.violations.violation_apply import ChangeLaws, simulate_hooked
from physbench.world.camera import px_from_world
from physbench.world.scene import PHYSICS_HZ


def with_gravity(clip: Clip, factor: float, tracks: Tracks) -> Tracks:
    """True tracks up to the hand-over, and from there on those under another gravity, by PyBullet."""
    steps = np.round(clip.times * PHYSICS_HZ).astype(np.int64)
    states = simulate_hooked(clip.scene, [ChangeLaws(0.0, WorldChange(gravity=factor))], steps)
    px = px_from_world(clip.scene.camera, clip.spec, states[:, list(clip.tracked), :3])[clip.window(tracks.context)]
    noise = np.random.default_rng(clip.row.seed).normal(0, 0.03, px.shape)
    return replace(tracks, position=px + noise, state=np.full_like(tracks.state, Visibility.VISIBLE))


@pytest.mark.slow
def test_a_run_under_another_gravity_is_said_to_be_so(make_run, kit, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(4, 0, tasks=("falling/projectile-v1",))
    for row in read_manifest(folder).rows:
        clip = ClipStore().get(row, kit.SPEC)
        save_tracks(folder.tracks(row.id), with_gravity(clip, 0.85, kit.true_tracks(clip)))
    few = [KNOWN[name] for name in ("gravity", "drag", "restitution")]
    monkeypatch.setattr(module, "find_changed_worlds", lambda: few)
    before = folder.scores.read_bytes()
    found = diagnose_run(folder, 1)
    assert read_diagnosis(folder) == found
    assert found["falling"].verdict == "named"
    assert [law.id for law in found["falling"].laws] == ["gravity"]
    assert found["falling"].laws[0].value == pytest.approx(0.85, abs=3e-3)
    assert found["falling"].clips == 4
    assert folder.scores.read_bytes() == before


def test_the_command_shows_it_in_words_and_in_the_report(
    small_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(small_run.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    world = ImpliedWorldResult(
        clips=12,
        unexplained=0.6,
        verdict="named",
        explained_clips=12,
        laws=[_law(KNOWN["gravity"], 0.63, (0.61, 0.65))],
        share=0.81,
        interval=(0.7, 0.9),
        alike=["speed-of-time"],
        ranking={},
    )

    def found(folder: RunFolder, workers: int, say: object) -> dict[str, ImpliedWorldResult]:
        made = {"falling": world}
        write_diagnosis(folder, made)
        return made

    monkeypatch.setattr(module, "diagnose_run", found)
    folder.report.parent.mkdir(exist_ok=True)
    folder.report.touch()
    assert run(["diagnose", str(folder.path)]) == 0
    out = capsys.readouterr().out
    assert "falling: as if gravity were 0.630 [0.61, 0.65] times as strong (explains 81 % of what" in out
    assert "explains as much: speed-of-time" in out
    page = folder.report.read_text(encoding="utf-8")
    assert "The world that it implies" in page
    assert "gravity were 0.630" in page
    assert json.loads(folder.result.read_text(encoding="utf-8"))["implied_worlds"]["falling"]["share"] == 0.81


def test_a_search_that_simulates_scenes_again_is_announced_with_its_time(
    make_run, kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(1, 0, tasks=("falling/projectile-v1",))
    rows = read_manifest(folder).rows
    for row in rows:
        save_tracks(folder.tracks(row.id), kit.true_tracks(ClipStore().get(row, kit.SPEC)))
    assert long_search("falling", rows, folder) == "", "a fast law takes seconds"
    monkeypatch.setattr(PlanarLaw, "last_resort", True)
    monkeypatch.setattr(module, "find_changed_worlds", lambda: [KNOWN[name] for name in ("gravity", "drag")])
    said: list[str] = []
    monkeypatch.setattr(module, "diagnose_part", lambda path, rows: None)
    monkeypatch.setattr(module, "explain", lambda evidence: None)
    clock = itertools.count(0.0, 2.0)  # so that a clip takes 2 s
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    diagnose_run(folder, 1, said.append)
    (words,) = said
    seconds = 2 * module.TRIALS * 2 * len(rows)
    assert words == (
        "In falling the law planar simulates scenes again for each of 2 changed worlds: "
        f"about {seconds} s, less if the motion is lawful."
    )


def test_clips_are_taken_of_all_tasks_in_turn(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rows = [Row(task, split, seed) for task in ("a/b", "a/c") for split in ("ood", "test") for seed in range(8)]
    (tmp_path / "tracks").mkdir()
    for row in rows:
        if row != Row("a/b", "test", 0):
            folder.tracks(row.id).touch()
    chosen = chosen_rows(rows, folder)
    assert len(chosen) == EFFORT.max_clips
    assert [row.task for row in chosen[:4]] == ["a/b", "a/c"] * 2
    assert all(row.split == "test" for row in chosen)
    assert chosen[0].seed == 1


def test_phrases_have_numbers() -> None:
    assert phrase(KNOWN["gravity"], 0.9, (0.88, 0.92)) == "gravity were 0.900 [0.88, 0.92] times as strong"
    assert phrase(KNOWN["gravity"], 0.9, None) == "gravity were 0.900 times as strong"
    assert phrase(KNOWN["exchange"], None, None) == "two bodies went on as each other where they meet"
