"""Frames in shared memory: another process reads them, and nothing is left of them."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from physbench.rollout.store import Rollout, SharedRollout, share
from physbench.support.processes import WorkerPool

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 17, 31, 3), dtype=np.uint8)
needs_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no anonymous memory files here")


def shared(frames: np.ndarray = FRAMES) -> SharedRollout:
    found = share(Rollout("clip", 1, frames, None, 2, 0.5))
    assert found is not None
    return found


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
