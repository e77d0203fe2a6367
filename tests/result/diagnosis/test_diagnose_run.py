"""The diagnosis of a run: from its tracks, and the timing of its frames, into its result and its report."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from changed_clips import KNOWN
from slow_cases import others_slow

from physbench.cli.main import run
from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.laws.changes import WorldChange
from physbench.laws.planar_law import PlanarLaw
from physbench.result.diagnosis import diagnose_run as module
from physbench.result.diagnosis.diagnose_run import (
    Part,
    chosen_rows,
    diagnose_run,
    explained_timing,
    long_search,
    shared_advance,
)
from physbench.result.diagnosis.ranking import EFFORT, _law, phrase
from physbench.result.document import ImpliedWorldResult, TimingFault, TimingResult
from physbench.result.findings import read_diagnosis, write_diagnosis
from physbench.result.manifest import read_manifest
from physbench.rollout.store import Rollout
from physbench.score.frame_timing import _along_path, _back_to, _median, frame_timing, smear
from physbench.score.score_clip import observed
from physbench.shadowing import shadow
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, Visibility, save_tracks
from physbench.validity.sources import show
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
    assert read_diagnosis(folder).worlds == found
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


Clips = Callable[..., Clip]
TASKS = ("falling/projectile-v1", "collisions/head-on-v1", "collisions/wall-bounce-v1", "orbits/kepler-v1")


@pytest.fixture
def found(clip_of: Clips) -> Callable[[str], TimingResult | None]:
    """What is said of the timing of a source, shown on one clip of each task."""

    @cache
    def find(source: str) -> TimingResult | None:
        parts, quality, smears = [], {}, []
        for task in TASKS:
            clip = clip_of(task)
            frames = show(clip, 8, source).frames
            tracks = observed(clip, Rollout(clip.id, 0, frames), 8)
            parts.append(Part(clip, tracks, frame_timing(clip, tracks)))
            motion = shadow(clip, tracks)
            assert motion is not None
            quality[clip.id] = motion.quality
            smears.append(smear(clip, frames, tracks))
        told = [each for each in smears if each is not None]
        drawn_out = float(np.median(told)) if told else 0.0
        return explained_timing(parts, quality, dict.fromkeys(quality, 1.0), drawn_out, 15.0)

    return find


def test_the_median_is_that_of_numpy() -> None:
    draw = np.random.default_rng(0)
    for count in (1, 2, 3, 4, 5, 8):
        values = draw.normal(size=count)
        assert _median(values) == np.median(values)


@pytest.mark.parametrize("context", (2, 4, 8))
def test_frames_that_are_where_they_belong_stay_there(clip_of: Clips, context: int) -> None:
    """Behind a short video too, whose first place is one of before the context."""
    clip = clip_of("collisions/head-on-v1")
    tracks = observed(clip, Rollout(clip.id, 0, clip.future()), context)
    motion = shadow(clip, tracks, shown=np.arange(1.0, clip.horizon + 1))
    assert motion is not None and motion.quality == pytest.approx(1.0, abs=0.005)


def test_a_lead_is_in_frames_of_the_prediction() -> None:
    """At half of real time one frame late is half a frame of the true path."""
    frames = np.arange(-20, 60.0)
    path = np.stack([3.0 * frames, 40 + 2.0 * frames + 0.05 * frames**2], axis=1)
    k = np.arange(1.0, 9.0)
    place = np.stack([np.interp(0.5 * (k - 1), frames, path[:, axis]) for axis in (0, 1)], axis=1)
    found = _along_path(path, 20, place, k, 0.03)
    assert found is not None
    assert [each.value for each in found] == pytest.approx([-1.0, 0.5], abs=0.02)


def test_what_is_far_from_an_image_is_no_lead() -> None:
    k = np.arange(1.0, 8.0)
    far = np.stack([30.0 + k, np.full(len(k), 15.0)], axis=1)
    assert _back_to(np.zeros(2), far, k, 0.05) is None
    near = np.stack([k - 1, np.zeros(len(k))], axis=1)
    (lead,) = _back_to(np.zeros(2), near, k, 0.05) or [None]
    assert lead is not None and lead.value == pytest.approx(-1.0, abs=0.01)


@pytest.mark.parametrize(
    ("source", "kind", "value", "words"),
    [
        ("late:1", "shift", -1.0, "begin one frame late"),
        pytest.param("early:1", "shift", 1.0, "begin one frame early", marks=pytest.mark.slow),
        pytest.param(
            "hold:2",
            "repeats",
            1 / 2,
            "every second frame repeats the one before; with these taken as missing",
            marks=pytest.mark.slow,
        ),
        pytest.param("hold:5", "repeats", 1 / 5, "every fifth frame", marks=pytest.mark.slow),
        pytest.param("drop:8", "left-out", 1 / 7, "14 for each 100", marks=pytest.mark.slow),
        pytest.param(
            "stall:1",
            "repeats",
            1 / 60,
            "frame 17 of every clip repeats the one before; with that undone",
            marks=pytest.mark.slow,
        ),
        pytest.param("skip:2", "left-out", 2 / 60, "left out before frame 17 of every clip", marks=pytest.mark.slow),
        ("rate:0.95", "rate", 0.95, "runs at 0.95 x real time"),
        pytest.param("blend:0.5", "blend", -0.5, "blend of neighbouring ones", marks=pytest.mark.slow),
    ],
)
def test_a_fault_of_known_size_is_named_and_undone(
    found: Callable[[str], TimingResult | None], source: str, kind: str, value: float, words: str
) -> None:
    result = found(source)
    assert result is not None and [fault.kind for fault in result.faults] == [kind]
    assert result.faults[0].value == pytest.approx(value, abs=0.04 if kind in ("blend", "left-out") else 0.01)
    assert result.named and words in result.sentence
    assert result.undone > (0.8 if kind == "blend" else 0.97) > result.quality


@pytest.mark.parametrize(
    "source",
    others_slow(
        ["truth", "freeze", "slow-time:0.8", "kick:0.5", "cheat-straight", "stranger-far"],
        ("truth",),
    ),
)
def test_wrong_laws_and_other_futures_are_no_wrong_timing(
    found: Callable[[str], TimingResult | None], source: str
) -> None:
    result = found(source)
    assert result is None or not result.named


@pytest.mark.parametrize(("regained", "named"), [(0.05, None), (0.3, False), (0.6, True)])
def test_timing_is_named_from_half_of_what_is_lost_on(
    regained: float, named: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing: Any = SimpleNamespace(comparable=9, lead=None, rate=None)
    clips: list[Any] = [SimpleNamespace(id=name) for name in "abcd"]
    fault = TimingFault(kind="shift", value=1.0, interval=(1.0, 1.0), unit="frames", clips=4)
    monkeypatch.setattr(module, "faults_of", lambda parts, smear: [(fault, module.Clock(lead=1.0))])
    monkeypatch.setattr(module, "_quality", lambda part, clock: 0.6 + 0.4 * regained)
    tracks: Any = None
    parts = [Part(clip, tracks, timing) for clip in clips]
    result = explained_timing(parts, dict.fromkeys("abcd", 0.6), dict.fromkeys("abcd", 1.0), 0.0, 15.0)
    assert (None if result is None else result.named) == named


def test_what_all_clips_agree_on_has_a_period() -> None:
    unknown = np.nan
    hold = np.array([1, 0, 2, 0, 2, 0, 2, 0, 2, 0.0])
    some = np.where(np.arange(10) < 6, hold, unknown)
    sequence, periodic = shared_advance([some, some, np.full(10, unknown)])
    assert periodic and np.array_equal(sequence, hold)
    stall = np.ones(10)
    stall[4] = 0
    sequence, periodic = shared_advance([stall, stall, stall, stall[:8]])
    assert not periodic and np.array_equal(sequence[1:], stall[1:])
    assert np.isnan(shared_advance([np.ones(10)] * 3)[0]).all()


def test_smear_is_that_of_a_mean_of_two_frames(clip_of: Clips) -> None:
    clip = clip_of("collisions/head-on-v1")
    for source, size in (("truth", 0.0), ("late:1", 0.0), ("blend:0.5", 0.25), ("blend:0.3", 0.21)):
        frames = show(clip, 8, source).frames
        read = smear(clip, frames, observed(clip, Rollout(clip.id, 0, frames), 8))
        assert read == pytest.approx(size, abs=0.05), source
