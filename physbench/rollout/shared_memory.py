"""Frames in memory that several processes of this machine share."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from physbench.rollout.store import Rollout
from physbench.support.arrays import Image

# Frames with their channels last, as clips have them, and as planes, as models have them.

# Bytes that are moved at once. They stay in the processor's cache, and are so many that threads seldom hand over: at
# each copy in numpy this thread may have to wait for another one.
MOVED_TOGETHER = 1 << 20


def fill_planes(planes: Image, frames: Image) -> None:
    """Write frames (T, H, W, 3) into planes (T, 3, H, W)."""
    for block in _blocks(frames):
        for channel in range(frames.shape[-1]):
            planes[block, channel] = frames[block, ..., channel]


def fill_frames(frames: Image, planes: Image) -> None:
    """Write the first planes (T, 3, H, W) into frames (t, H, W, 3), t <= T."""
    for block in _blocks(frames):
        for channel in range(frames.shape[-1]):
            frames[block, ..., channel] = planes[block, channel]


def _blocks(frames: Image) -> Iterator[slice]:
    step = max(1, MOVED_TOGETHER // max(1, frames[:1].nbytes))
    return (slice(start, min(start + step, len(frames))) for start in range(0, len(frames), step))


@dataclass(frozen=True, eq=False)
class SharedRollout:
    """A rollout that is small to send: its frames are behind a descriptor of the process that has made them."""

    rollout: Rollout  # without frames
    shape: tuple[int, ...]  # (T, H, W, 3)
    owner: int  # process
    descriptor: int  # in that process

    def load(self) -> Rollout:
        """The rollout, in another process. Its frames are mapped, and may be written to without an effect elsewhere.

        Raises OSError where the owner has ended, or does not let this process look.
        """
        with Path(f"/proc/{self.owner}/fd/{self.descriptor}").open("rb", buffering=0) as file:
            memory = mmap.mmap(file.fileno(), self.bytes, access=mmap.ACCESS_COPY)
        return replace(self.rollout, frames=np.frombuffer(memory, dtype=np.uint8).reshape(self.shape))

    @property
    def bytes(self) -> int:
        """Of its frames."""
        return int(np.prod(self.shape))

    def close(self) -> None:
        """In the owner: let go of the memory. Whoever has mapped it keeps it."""
        os.close(self.descriptor)


def can_share() -> bool:
    """True if the system has such memory."""
    return hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()


def share(rollout: Rollout) -> SharedRollout | None:
    """Copy the frames of a rollout into shared memory; None where it has no frames, or the system no such memory.

    Nor where this would be one of the last descriptors that the process may open: it needs some for other files.
    """
    if not len(rollout.frames) or not can_share():
        return None
    import resource  # there is none where there is no such memory

    try:
        descriptor = os.memfd_create("physbench", os.MFD_CLOEXEC)  # not limited by the size of /dev/shm
    except OSError:  # too many open files
        return None
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        if most != resource.RLIM_INFINITY and descriptor >= most // 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(np.ascontiguousarray(rollout.frames).data)
    except OSError:  # the largest file that the process may write (ulimit -f) is smaller, or memory is full
        os.close(descriptor)
        return None
    small = replace(rollout, frames=rollout.frames[:0].copy())
    return SharedRollout(small, rollout.frames.shape, os.getpid(), descriptor)
