"""Rollouts as planes, videos, shared memory and files of a run folder: what is read is what was predicted."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.rollout import store
from physbench.rollout.store import (
    Rollout,
    SharedRollout,
    fill_frames,
    fill_planes,
    is_whole,
    load_rollout,
    read_video,
    share,
    store_rollout,
    store_rollouts,
    write_video,
)
from physbench.support.errors import PhysbenchError
from physbench.support.processes import WorkerPool
from physbench.support.run_folder import RunFolder

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 17, 31, 3), dtype=np.uint8)
needs_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no anonymous memory files here")


def shared(frames: np.ndarray = FRAMES) -> SharedRollout:
    found = share(Rollout("clip", 1, frames, None, 2, 0.5))
    assert found is not None
    return found


def test_it_is_printed_in_a_line() -> None:
    assert repr(Rollout("falling.projectile-v1.test.3", 1, FRAMES)) == (
        "Rollout(falling.projectile-v1.test.3, sample 1, 5 steps)"
    )
    failed = Rollout("a", 0, FRAMES[:0], "ValueError: NaN\nin frame 3")
    assert repr(failed) == "Rollout(a, sample 0, failed: ValueError: NaN)"


@needs_memory
def test_another_process_reads_what_was_rolled_out() -> None:
    sent = shared(FRAMES[:, :, ::-1])  # not contiguous
    with WorkerPool(1) as pool:
        read = pool.submit(SharedRollout.load, sent).result()
    sent.close()
    assert np.array_equal(read.frames, FRAMES[:, :, ::-1])
    assert (read.clip_id, read.sample, read.failure, read.chained, read.seconds) == ("clip", 1, None, 2, 0.5)


@needs_memory
def test_what_is_mapped_outlives_its_owner_and_is_private() -> None:
    sent = shared()
    mine, others = sent.load().frames, sent.load().frames
    sent.close()
    mine[:] = 0
    assert np.array_equal(others, FRAMES)
    with pytest.raises(OSError, match="No such file"):
        sent.load()


def test_without_frames_or_such_memory_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share(Rollout("clip", 0, FRAMES[:0], "it failed")) is None

    def full(*_: object) -> int:
        raise OSError("Too many open files")

    monkeypatch.setattr(os, "memfd_create", full, raising=False)
    assert share(Rollout("clip", 0, FRAMES)) is None
    monkeypatch.delattr(os, "memfd_create")
    assert share(Rollout("clip", 0, FRAMES)) is None


@contextmanager
def limited(kind: int, most: int) -> Iterator[None]:
    """What the system allows this process, for a while."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@needs_memory
def test_where_files_must_be_smaller_than_the_frames_nothing_is_shared_or_left_open() -> None:
    before = open_files()
    with limited(resource.RLIMIT_FSIZE, FRAMES.nbytes - 1):
        assert share(Rollout("clip", 0, FRAMES)) is None
    assert open_files() == before


@needs_memory
def test_half_of_the_descriptors_are_left_to_others() -> None:
    """Frames of a large batch wait for the workers, and meanwhile this program reads and writes files."""
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    with limited(resource.RLIMIT_NOFILE, 2 * (highest + 20)):
        found = [share(Rollout("clip", 0, FRAMES)) for _ in range(2 * (highest + 20))]
        assert found[0] is not None and found[-1] is None
        with Path(os.devnull).open() as file:
            assert file.fileno() < highest + 20 + 2
    for sent in found:
        if sent is not None:
            sent.close()


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


@pytest.mark.parametrize("block", [1, 500, 1 << 20])
def test_planes_are_the_transposed_frames(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOVED_TOGETHER", block)
    frames = np.random.default_rng(0).integers(0, 256, (7, 8, 10, 3), dtype=np.uint8)
    planes = np.zeros((7, 3, 8, 10), dtype=np.uint8)
    fill_planes(planes, frames)
    assert np.array_equal(planes, frames.transpose(0, 3, 1, 2))
    back = np.zeros((5, 8, 10, 3), dtype=np.uint8)
    fill_frames(back, planes)
    assert np.array_equal(back, frames[:5])


def test_no_frames() -> None:
    fill_frames(np.empty((0, 8, 8, 3), np.uint8), np.empty((4, 3, 8, 8), np.uint8))


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 6), st.integers(32, 70), st.integers(32, 70), st.sampled_from([4.0, 15.0, 60.0]))
def test_the_round_trip_is_exact(tmp_path_factory, length: int, height: int, width: int, fps: float) -> None:
    path = tmp_path_factory.mktemp("video") / "a.mkv"
    noise = np.random.default_rng(length).integers(0, 256, (length, height, width, 3), dtype=np.uint8)
    frames = np.concatenate([noise, noise[-1:], noise[-1:] // 2, noise[:1]])  # skipped blocks, residuals, references
    write_video(path, frames, fps)
    assert np.array_equal(read_video(path, len(frames)), frames)
    assert np.array_equal(read_video(path), frames)


def test_the_bytes_depend_on_the_frames_alone(tmp_path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    for name in ("a", "b"):
        write_video(tmp_path / name, frames, 15)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_truncated_and_foreign_files_are_told(tmp_path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.mkv"
    write_video(path, frames, 15)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PhysbenchError, match=r"expected 30 frames, got \d+. It is truncated"):
        read_video(path, 30)
    path.write_text("no video")
    with pytest.raises(PhysbenchError, match="not a readable video"):
        read_video(path)
    with pytest.raises(PhysbenchError, match="does not exist"):
        read_video(tmp_path / "none.mkv")


def test_more_frames_than_there_is_room_for_at_first(tmp_path, monkeypatch) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 48, 33, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mkv", frames, 15)
    for room in (1, 2, 9, 64):
        monkeypatch.setattr(store, "FIRST_FRAMES", room)
        assert np.array_equal(read_video(tmp_path / "a.mkv"), frames)
    with pytest.raises(PhysbenchError, match="expected 4 frames, got 9"):
        read_video(tmp_path / "a.mkv", 4)
