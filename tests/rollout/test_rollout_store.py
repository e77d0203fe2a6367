"""Rollouts in a run folder: several are stored at once, and none is read that is not what was predicted."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from physbench.rollout import store
from physbench.rollout.store import Rollout, is_whole, load_rollout, store_rollout, store_rollouts
from physbench.support.run_folder import RunFolder

FPS = 15.0


def rollouts(count: int) -> list[Rollout]:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8) for _ in range(count)]
    return [Rollout(f"clip.{n}", 0, each, None, 1, 0.1) for n, each in enumerate(frames)]


def test_several_are_stored_and_given_in_order(tmp_path: Path) -> None:
    folder, made = RunFolder(tmp_path), rollouts(7)
    for rollout, stored in zip(made, store_rollouts(folder, made, FPS), strict=True):
        assert stored is rollout
        read = load_rollout(folder, rollout.clip_id, 0)
        assert read is not None and np.array_equal(read.frames, rollout.frames)
    assert list(store_rollouts(folder, [], FPS)) == []


def test_what_fails_is_raised_in_its_turn_and_no_thread_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: RunFolder, rollout: Rollout, fps: float) -> None:
        if rollout.clip_id == "clip.2":
            raise OSError("full")
        store_rollout(folder, rollout, fps)

    monkeypatch.setattr(store, "store_rollout", full)
    before, stored = threading.active_count(), store_rollouts(RunFolder(tmp_path), rollouts(4), FPS)
    assert [next(stored).clip_id, next(stored).clip_id] == ["clip.0", "clip.1"]
    with pytest.raises(OSError, match="full"):
        next(stored)
    assert threading.active_count() == before


def test_a_damaged_file_is_no_rollout(tmp_path: Path) -> None:
    folder, (rollout,) = RunFolder(tmp_path), rollouts(1)
    store_rollout(folder, rollout, FPS)
    assert is_whole(folder, rollout.clip_id, 0)
    path = folder.rollout(rollout.clip_id, 0)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert not is_whole(folder, rollout.clip_id, 0) and load_rollout(folder, rollout.clip_id, 0) is None
    path.unlink()
    assert not is_whole(folder, rollout.clip_id, 0) and load_rollout(folder, rollout.clip_id, 0) is None


def test_frames_that_a_codec_does_not_give_back_are_no_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, (rollout,) = RunFolder(tmp_path), rollouts(1)
    write = store.write_video
    monkeypatch.setattr(store, "write_video", lambda path, frames, fps: write(path, 255 - frames, fps))
    store_rollout(folder, rollout, FPS)
    assert load_rollout(folder, rollout.clip_id, 0) is None
