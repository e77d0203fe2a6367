"""Disks that are full or cannot be written to, clocks that jump, a cache that goes, memory that is full: in earnest.

Read-only and full disks are mounts that a session alone sees, so that they bind root as well.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import time
from pathlib import Path

import pytest
from interruptions import Ask, Fault, can_mount, goes_on, in_own_mounts, is_whole, read_only, session

from physbench.result.manifest import read_manifest
from physbench.rollout.store import load_rollout
from physbench.support.run_folder import RunFolder

pytestmark = pytest.mark.slow
WORKER_FILES = r"/(parts|tracks|traces)/"
needs_mounts = pytest.mark.skipif(not can_mount(), reason="mounts need root")


def content(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@needs_mounts
def test_a_run_in_a_folder_that_is_read_only_by_now(ask: Ask, staged_run: RunFolder, tmp_path: Path) -> None:
    out = RunFolder(tmp_path / "run")
    assert session(ask(out.path), [Fault("group", WORKER_FILES, "worker", 6)], tmp_path / "first").code == -9
    before = content(out.path)
    ended = session(ask(out.path, "--resume"), [], tmp_path / "second", lambda: read_only(out.path))
    assert ended.code in (1, 2) and re.search("No permission|Read-only", ended.said), ended
    assert "Traceback" not in ended.said and content(out.path) == before
    ended = session(ask(out.path, "--resume"), [], tmp_path / "third")
    assert ended.code == 0, ended.said
    is_whole(out, staged_run)


@needs_mounts
def test_a_cache_that_is_read_only_costs_time_alone(
    ask: Ask, staged_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, out = tmp_path / "cache", RunFolder(tmp_path / "run")
    cache.mkdir()
    monkeypatch.setenv("PHYSBENCH_CACHE", str(cache))
    ended = session(ask(out.path), [], tmp_path / "session", lambda: read_only(cache))
    assert ended.code == 0 and "Read-only file system. Going on without" in ended.said, ended
    assert not any(cache.iterdir())
    is_whole(out, staged_run)


@needs_mounts
def test_a_disk_of_400_kilobytes_is_full_and_the_run_goes_on_elsewhere(
    ask: Ask, staged_run: RunFolder, tmp_path: Path
) -> None:
    small, out = tmp_path / "small", RunFolder(tmp_path / "run")
    small.mkdir()

    def mounted() -> None:
        in_own_mounts("-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small))

    def copied() -> None:
        shutil.copytree(small / "run", out.path)

    ended = session(ask(small / "run"), [], tmp_path / "first", mounted, copied)
    assert ended.code == 1 and "The disk is full" in ended.said and "--resume" in ended.said, ended
    assert "Traceback" not in ended.said
    ended = session(ask(out.path, *goes_on(out)), [], tmp_path / "second")
    assert ended.code == 0, ended.said
    is_whole(out, staged_run)


def test_a_cache_that_is_deleted_during_a_run_is_made_again(
    ask: Ask, staged_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    own, out = tmp_path / "cache", RunFolder(tmp_path / "run")
    shutil.copytree(cache, own)
    monkeypatch.setenv("PHYSBENCH_CACHE", str(own))
    fault = Fault("delete", WORKER_FILES, "worker", 3, path=str(own))
    ended = session(ask(out.path), [fault], tmp_path / "session")
    assert ended.code == 0 and ended.struck == ("delete",), ended
    is_whole(out, staged_run)


def jumping_clock() -> None:
    """Every look at the clock of the day is up to ten days off, back or ahead; file ages with it."""
    plain, rng = time.time, random.Random(1)
    time.time = lambda: plain() + rng.uniform(-10, 10) * 86400


def test_a_clock_that_jumps_changes_nothing(ask: Ask, staged_run: RunFolder, tmp_path: Path) -> None:
    out = RunFolder(tmp_path / "run")
    fault = Fault("kill", WORKER_FILES, "worker", 5)
    ended = session(ask(out.path), [fault], tmp_path / "first", jumping_clock)
    assert ended.code == 1 and "A worker process died" in ended.said, ended
    ended = session(ask(out.path, "--resume"), [], tmp_path / "second", jumping_clock)
    assert ended.code == 0 and not re.search(r"-\d+(\.\d+)? (s|min|h)\b|\d{3,} h", ended.said), ended.said
    speed = read_manifest(out).document()["speed"]
    seconds = {name: value for name, value in speed.items() if name.endswith("_seconds")}
    assert seconds and all(0 <= value < 3600 for value in seconds.values()), speed
    is_whole(out, staged_run)


def test_full_memory_halves_batches_and_the_manifest_names_what_that_changed(
    ask: Ask, staged_run: RunFolder, tmp_path: Path
) -> None:
    """The system ends the model's process as memory is full: all rollouts are made, in batches that are named."""
    out = RunFolder(tmp_path / "run")
    fault = Fault("full", at=4)
    ended = session(ask(out.path), [fault], tmp_path / "session")
    assert ended.code == 0 and ended.struck == ("full",), ended
    manifest = read_manifest(out)
    named = set(manifest.regrouped)
    for row in {tuple(sorted(each.items())) for each in manifest.document()["suite"]["rows"]}:
        about = dict(row)
        clip = f"{about['task'].replace('/', '.')}.{about['split']}.{about['seed']}"
        for sample in range(2):
            found, expected = (load_rollout(each, clip, sample) for each in (out, staged_run))
            assert found is not None and expected is not None and found.failure is None
            same = (found.frames == expected.frames).all()
            assert same or any(name.startswith(clip) for name in named), (clip, named)
    assert named and manifest.events, "a batch was interrupted"
