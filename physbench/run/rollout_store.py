"""Rollouts in the run folder: lossless video, and beside it what the video cannot hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from physbench.rollouts.rollout import Rollout
from physbench.storage.atomic_write import write_json
from physbench.storage.run_folder import RunFolder


def _sidecar(video: Path) -> Path:
    return video.with_suffix(".json")


def frames_hash(frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    """Hash of decoded frames and their shape."""
    digest = hashlib.blake2b(repr(frames.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def store_rollout(folder: RunFolder, rollout: Rollout, fps: float) -> None:
    """Write the video first and its sidecar last: a rollout without sidecar was not finished."""
    from physbench.rollouts.video import write_video

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
    write_json(_sidecar(video), document)


def load_rollout(folder: RunFolder, clip_id: str, sample: int) -> Rollout | None:
    """Read a stored rollout; None where there is none, or where it is not what was written."""
    from physbench.rollouts.video import read_video

    video = folder.rollout(clip_id, sample)
    try:
        document = json.loads(_sidecar(video).read_text(encoding="utf-8"))
        shape = tuple(document["shape"])
        frames = read_video(video) if shape[0] else np.zeros(shape, dtype=np.uint8)
        if frames.shape != shape or frames_hash(frames) != document["frames_hash"]:
            return None  # a truncated file decodes to fewer frames without an error
        return Rollout(clip_id, sample, frames, document["failure"], document["chained"], document["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def has_rollout(folder: RunFolder, clip_id: str, sample: int) -> bool:
    """Whether a rollout was written to its end. Its content is checked when it is read."""
    return _sidecar(folder.rollout(clip_id, sample)).exists()


def drop_rollout(folder: RunFolder, clip_id: str, sample: int) -> None:
    video = folder.rollout(clip_id, sample)
    _sidecar(video).unlink(missing_ok=True)
    video.unlink(missing_ok=True)
