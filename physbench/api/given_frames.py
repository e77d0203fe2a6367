"""One answer to one clip, as an array, a tensor or a video file, as the frames that are scored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.frames import store_chunk
from physbench.support.arrays import Image
from physbench.support.errors import PhysbenchError, UsageError
from physbench.world.scene import wrong_rate

# (T, H, W, 3) or (T, 3, H, W), uint8 or floats in [0, 1]; or the path of a video.
Frames: TypeAlias = NDArray[Any] | torch.Tensor | str | os.PathLike[str]

SAME_RATE = 0.01  # relative: 23.976 frames/s are 24
MISCAST = "uint8 frames with no value above 1: floats in [0, 1] were cast to whole numbers. Give the floats"


def is_file(frames: object) -> bool:
    """True for a path, not for an array."""
    return isinstance(frames, str | os.PathLike)


def read_file(path: str | os.PathLike[str]) -> tuple[Image, float | None]:
    """Frames (T, H, W, 3) of a video as a player shows them, and its rate in frames/s, None where it tells none.

    Raises UsageError where it is missing, damaged or no video.
    """
    from physbench.models.video_containers import DEMUXERS, container_suffix
    from physbench.models.videos.decode import decode_frames, probe_video
    from physbench.models.videos.files import VideoEntry, VideoSource

    place = Path(os.fspath(path))
    if not place.is_file():
        what = f"{place} is a folder, not a video" if place.is_dir() else f"there is no file {place}"
        raise UsageError(f"frames: {what}.")
    if not container_suffix(place.name):
        raise UsageError(f"frames: expected a video ({', '.join(DEMUXERS)}), got {place}.")
    try:
        source = VideoSource.of_file(place)
        entry = VideoEntry(place.name, source.files)
        info = probe_video(source, entry)
        return np.stack([frame for _, frame in decode_frames(source, entry, info)]), info.rate
    except PhysbenchError as error:
        raise UsageError(f"frames: {error}") from None


def rate_of(fps: object) -> float:
    """A rate in frames/s. Raises UsageError for what is no number."""
    if isinstance(fps, bool) or not isinstance(fps, int | float | np.integer | np.floating):
        raise UsageError(f"fps: expected a number of frames/s, got {fps!r:.80}.")
    return float(fps)


def clip_rate(fps: float) -> float:
    """The rate of the clip that an answer belongs to: time stamps of files are rounded, and 23.976 is 24."""
    whole = round(fps) if np.isfinite(fps) else 0
    is_near = whole > 0 and abs(fps / whole - 1) <= SAME_RATE
    return float(whole) if wrong_rate(fps, least=1) and is_near and not wrong_rate(whole, least=1) else fps


def check_rate(fps: float, clip: Clip) -> None:
    """Refuse an answer that is not at the rate of its clip."""
    if not abs(fps / clip.spec.fps - 1) <= SAME_RATE:
        raise UsageError(
            f"fps: the clip has {clip.spec.fps:g} frames/s, the answer {fps:g}. Make the clip at the rate of your "
            "model: physbench.clip(..., fps=...)."
        )


def size_of(frames: Frames) -> tuple[int, int]:
    """(height, width) px of an answer that is no file. Raises UsageError for other shapes than those of frames."""
    shape = _shape(frames)
    if len(shape) == 4 and 3 in (shape[1], shape[3]):
        return (shape[2], shape[3]) if shape[1] == 3 else (shape[1], shape[2])
    raise UsageError(f"frames: expected (T, H, W, 3) or (T, 3, H, W), got {shape}{_hint(shape)}.")


def levels(frames: Frames, clip: Clip, context: int) -> Image:
    """Frames of an answer that is no file, checked and rounded to uint8 as in a run: (horizon, H, W, 3).

    Raises UsageError with the first thing that is wrong with them.
    """
    height, width = size_of(frames)
    wanted = clip.spec.height, clip.spec.width
    if (height, width) != wanted:
        raise UsageError(
            f"frames: the clip is {wanted[1]}x{wanted[0]} px, the answer {width}x{height}. Make the clip at the size "
            "of your model: physbench.clip(..., size=(height, width))."
        )
    _check_count(len(frames), clip.horizon, context)  # type: ignore[arg-type]  # no file
    array: NDArray[Any]
    if isinstance(frames, torch.Tensor):
        tensor = frames.detach()
        array = _of_tensor(tensor, clip.horizon) if tensor.is_floating_point() else tensor.cpu().numpy()
    else:
        array = np.asarray(frames)
        if np.issubdtype(array.dtype, np.floating):
            native = f"f{min(array.dtype.itemsize, 8)}"  # torch takes no other, and warns of what is read-only
            array = _of_tensor(torch.from_numpy(np.require(array, native, ["C", "W"])), clip.horizon)
    if array.dtype != np.uint8:
        raise UsageError(
            f"frames: expected uint8 from 0 to 255 or floats from 0 to 1, got {array.dtype}. Convert them, as with "
            ".astype('uint8')."
        )
    if array.max() == 1:
        raise UsageError(f"frames: {MISCAST}.")
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1) if array.shape[1] == 3 else array)


def _shape(frames: Frames) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in frames.shape)  # type: ignore[union-attr]
    except (AttributeError, TypeError):
        kind = type(frames).__name__
        raise UsageError(f"frames: expected an array, a tensor or the path of a video, got {kind}.") from None


def _hint(shape: Sequence[int]) -> str:
    if len(shape) == 5:
        return ": several answers go into physbench.score_batch"
    if len(shape) == 4 and 3 not in shape:
        return ": three channels, RGB, are scored"
    return ""


def _check_count(count: int, horizon: int, context: int) -> None:
    if count == horizon:
        return
    what = f"frames: the clip asks for {horizon} frames after its hand-over, got {count}"
    if count == horizon + context:
        raise UsageError(f"{what}: leave out the {context} context frames.")
    raise UsageError(f"{what}: too {'few' if count < horizon else 'many'}.")


def _of_tensor(frames: torch.Tensor, horizon: int) -> Image:
    """Floats in [0, 1] -> levels in the same order of axes. Raises UsageError for what is a failure in a run."""
    out = torch.empty(frames.shape, dtype=torch.uint8, device="cpu")  # whatever a program has as its default
    failures = store_chunk(frames[None], out[None], 0, horizon)
    if failures:
        raise UsageError(f"frames: {failures[0]}")
    return out.numpy()
