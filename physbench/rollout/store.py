"""Rollouts: frames rounded to uint8 or states, as lossless video or arrays in the run folder."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.video import H264_RGB_FAST, encode, rgb_converter
from physbench.models.protocol import STATE_COLUMNS
from physbench.support.arrays import Array, Image
from physbench.support.errors import PhysbenchError
from physbench.support.files import (
    NOT_ARRAYS,
    read_sealed_json,
    read_sealed_npz,
    write_bytes,
    write_sealed_json,
    write_sealed_npz,
)
from physbench.support.processes import thread_map
from physbench.support.run_folder import RunFolder

# A model's continuation of a clip: frames, rounded to uint8 on arrival, or states. So it is stored and scored.


@dataclass(frozen=True, eq=False)
class Rollout:
    """One sample of a model's continuation of a clip, or the reason why there is none.

    Attributes:
        clip_id: Id of the clip, such as "falling.projectile-v1.test.3".
        sample: Number of the sample, from 0.
        frames: (horizon, H, W, 3) RGB; fewer only where a model of a shorter horizon was not chained, or a video ends
            early.
        failure: Why there are no frames, or None.
        chained: Number of calls of the model along time.
        seconds: The model's own time: its share of that of the batch.
        states: (horizon, K, 13) of the tracked bodies, of a model that answers with states; then there are no frames.
            NaN where it does not say. None for a model that answers with frames.
        surprise: (horizon,) at each frame after the context, of a model that answers with surprise; else None.
    """

    clip_id: str
    sample: int
    frames: NDArray[np.uint8]
    failure: str | None = None
    chained: int = 1
    seconds: float = 0.0
    states: NDArray[np.float64] | None = None
    surprise: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        """ "Rollout(falling.projectile-v1.test.3, sample 0, 60 steps)", or in place of the steps why it failed."""
        outcome = f"failed: {self.failure.splitlines()[0]}" if self.failure else f"{self.steps} steps"
        return f"Rollout({self.clip_id}, sample {self.sample}, {outcome})"

    @property
    def steps(self) -> int:
        """Number of predicted moments."""
        return len(self.answer)

    @property
    def answer(self) -> NDArray[Any]:
        """The prediction: surprise (T,), states (T, K, 13) or frames (T, H, W, 3)."""
        return next(each for each in (self.surprise, self.states, self.frames) if each is not None)


# Predicted states on disk: arrays in .npz without pickle, the same bytes each time.
#
# - `states` (T, K, 13) float64: x, y, z m; quaternion x, y, z, w; velocity m/s; spin rad/s, in the world. NaN where the
#   model does not say. T moments after the hand-over, k / fps s after it; K coloured bodies.
# - `columns` (13,): their names. `fps`: moments a second.


def write_states(path: Path, states: Array, fps: float) -> None:
    """Write states (T, K, 13). The file is complete or does not exist."""
    write_sealed_npz(path, {"states": states, "columns": np.array(STATE_COLUMNS), "fps": np.float64(fps)})


def read_states(path: Path) -> Array:
    """Read states (T, K, 13). Raises OSError, ValueError or KeyError where the file is not what was written."""
    return np.asarray(read_sealed_npz(path)["states"], dtype=np.float64)


# Lossless video files: H.264 of RGB in Matroska, the same bytes each time.

FIRST_FRAMES = 64  # that there is room for where nobody says how many there are


class VideoError(PhysbenchError, ValueError):
    """A file that does not hold the expected frames."""


def write_video(path: Path, frames: NDArray[np.uint8], fps: float) -> None:
    """Write frames (T, H, W, 3), T >= 1. The file is complete or does not exist."""
    encode(path, frames, fps, H264_RGB_FAST)


def read_video(path: Path, count: int | None = None) -> NDArray[np.uint8]:
    """Read frames (T, H, W, 3) exactly as they were written.

    A truncated file decodes to fewer frames without an error, unless `count`, the number written, is given.
    """
    import av

    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "NONE"
            frames, got = _together(container.decode(video=0), count)
    except (av.error.FFmpegError, IndexError) as error:
        if isinstance(error, FileNotFoundError):
            raise VideoError(f"{path} does not exist.") from None
        raise VideoError(f"{path} is not a readable video ({error}). Remove it and make it again.") from None
    if not got or (count is not None and got != count):
        wanted = "frames" if count is None else f"{count} frames"
        raise VideoError(f"{path}: expected {wanted}, got {got}. It is truncated: remove it, make it again.")
    return frames[:got]


def _together(decoded: Iterable[Any], count: int | None) -> tuple[NDArray[np.uint8], int]:
    """Frames of PyAV in one array, and how many there are: those beyond `count` are counted and not kept.

    Each is copied there while it is in the processor's cache, and its memory is used for the next one.
    """
    convert, got = rgb_converter(), 0
    frames = np.empty((0, 0, 0, 3), dtype=np.uint8)
    for got, frame in enumerate(map(convert, decoded), start=1):
        if got == 1:
            frames = np.empty((count or FIRST_FRAMES, *frame.shape), dtype=np.uint8)
        elif got > len(frames) and count is None:
            frames = np.concatenate([frames, np.empty_like(frames)])
        if got <= len(frames):
            frames[got - 1] = frame
    return frames, got


STATES = "states"  # instead of frames


@dataclass(frozen=True, eq=False)
class FiledRollout(Rollout):
    """A rollout that was made and encoded on another machine: what it predicts is in its files alone."""

    files: Mapping[str, bytes] = field(default_factory=dict)  # by path in the run folder, in the order of writing
    predicted: int = 0  # moments

    @property
    def steps(self) -> int:
        return self.predicted


def as_files(rollout: Rollout, fps: float) -> FiledRollout:
    """Encode a rollout into the files that `store_rollout` writes."""
    with tempfile.TemporaryDirectory(prefix="physbench-") as place:
        folder = RunFolder(Path(place))
        store_rollout(folder, rollout, fps)
        last = _sidecar(folder.rollout(rollout.clip_id, rollout.sample))
        paths = sorted(last.parent.iterdir(), key=lambda path: path == last)
        files = {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in paths}
    known: dict[str, Any] = {each.name: getattr(rollout, each.name) for each in fields(rollout)}
    known |= {"frames": rollout.frames[:0].copy(), "states": None}
    return FiledRollout(**known, files=files, predicted=rollout.steps)


def _sidecar(video: Path) -> Path:
    return video.with_suffix(".json")


def frames_hash(answer: NDArray[Any]) -> str:
    """Hash of decoded frames or states and their shape, by which a board knows them however they are encoded."""
    digest = hashlib.blake2b(repr(answer.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(answer).data)
    return digest.hexdigest()


def _answer_files(folder: RunFolder, clip_id: str, sample: int, document: Mapping[str, Any]) -> list[Path]:
    """The files that hold what was predicted."""
    files = [folder.rollout(clip_id, sample)] if document["shape"][0] else []
    return [*files, folder.states(clip_id, sample)] if document.get("answers") == STATES else files


def _hashes(files: Iterable[Path]) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def store_rollouts(folder: RunFolder, rollouts: Sequence[Rollout], fps: float) -> Generator[Rollout, None, None]:
    """As `store_rollout`, of several at once: while one is encoded or hashed other threads run.

    Yields them in order, each as soon as it is stored. Raises what storing one of them raises, in its turn.
    """
    stored = thread_map(lambda each: store_rollout(folder, each, fps), rollouts)
    for rollout, _ in zip(rollouts, stored, strict=True):
        yield rollout


def store_rollout(folder: RunFolder, rollout: Rollout, fps: float) -> None:
    """Write the video or the states first and the sidecar last: a rollout without sidecar was not finished."""

    if isinstance(rollout, FiledRollout):
        for name, content in rollout.files.items():
            write_bytes(folder.path / name, content)
        return
    video = folder.rollout(rollout.clip_id, rollout.sample)
    video.parent.mkdir(parents=True, exist_ok=True)
    if len(rollout.frames):
        write_video(video, rollout.frames, fps)
    document = {
        "failure": rollout.failure,
        "chained": rollout.chained,
        "seconds": rollout.seconds,
        "shape": list(rollout.frames.shape),
        "frames_hash": frames_hash(rollout.frames),
    }
    if rollout.states is not None:
        write_states(folder.states(rollout.clip_id, rollout.sample), rollout.states, fps)
        document |= {"answers": STATES, "states_hash": frames_hash(rollout.states)}
    document["sha256"] = _hashes(_answer_files(folder, rollout.clip_id, rollout.sample, document))
    write_sealed_json(_sidecar(video), document)


def link_rollout(folder: RunFolder, answer: Path, clip_id: str, sample: int, shape: Sequence[int], hashed: str) -> None:
    """Take frames or states of an answer that lies elsewhere, of a known shape and `frames_hash`, without a copy.

    To be looked at: how long the answer took, and of how many parts it was chained, is not known here.
    """
    states = answer.suffix == folder.states(clip_id, sample).suffix
    here = folder.states(clip_id, sample) if states else folder.rollout(clip_id, sample)
    here.parent.mkdir(parents=True, exist_ok=True)
    here.symlink_to(answer.absolute())
    empty = np.zeros((0, 1, 1, 3), dtype=np.uint8)
    document: dict[str, Any] = {"failure": None, "chained": 1, "seconds": 0.0, "sha256": _hashes([here])}
    if states:
        document |= {"answers": STATES, "states_hash": hashed}
    document |= {"shape": list(empty.shape if states else shape)}
    document |= {"frames_hash": frames_hash(empty) if states else hashed}
    write_sealed_json(_sidecar(folder.rollout(clip_id, sample)), document)


def load_rollout(folder: RunFolder, clip_id: str, sample: int) -> Rollout | None:
    """Read a stored rollout; None where there is none, or where it is not what was written."""

    video = folder.rollout(clip_id, sample)
    try:
        document = _whole_sidecar(folder, clip_id, sample)
        shape = tuple(document["shape"])
        frames = read_video(video, shape[0]) if shape[0] else np.zeros(shape, dtype=np.uint8)
        if frames.shape != shape or frames_hash(frames) != document["frames_hash"]:
            return None  # a codec that does not give back what it was given
        states = None
        if document.get("answers") == STATES:
            states = read_states(folder.states(clip_id, sample))
            if frames_hash(states) != document["states_hash"]:
                return None
        return Rollout(clip_id, sample, frames, document["failure"], document["chained"], document["seconds"], states)
    except NOT_ARRAYS:
        return None


def _whole_sidecar(folder: RunFolder, clip_id: str, sample: int) -> dict[str, Any]:
    """Document beside an answer whose files are those that were written. Raises one of NOT_ARRAYS."""
    document: dict[str, Any] = read_sealed_json(_sidecar(folder.rollout(clip_id, sample)))
    if _hashes(_answer_files(folder, clip_id, sample, document)) != document["sha256"]:
        raise ValueError("its files are others than were written")
    return document


def is_whole(folder: RunFolder, clip_id: str, sample: int) -> bool:
    """True if a rollout is stored and its files are those that were written; what they hold is checked when loaded."""
    try:
        _whole_sidecar(folder, clip_id, sample)
    except NOT_ARRAYS:
        return False
    return True


def has_rollout(folder: RunFolder, clip_id: str, sample: int) -> bool:
    """True if a rollout was written to its end. Its content is checked when it is read."""
    return _sidecar(folder.rollout(clip_id, sample)).exists()


def stored_failure(folder: RunFolder, clip_id: str, sample: int) -> str:
    """Reason that a stored rollout failed; "" where it did not, or where there is none."""
    try:
        return str(read_sealed_json(_sidecar(folder.rollout(clip_id, sample)))["failure"] or "")
    except NOT_ARRAYS:
        return ""


def drop_rollout(folder: RunFolder, clip_id: str, sample: int) -> None:
    video = folder.rollout(clip_id, sample)
    _sidecar(video).unlink(missing_ok=True)
    video.unlink(missing_ok=True)
    folder.states(clip_id, sample).unlink(missing_ok=True)


# Frames in memory that several processes of this machine share.

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
