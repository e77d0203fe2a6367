"""Tracks and rollouts that come with a submission: read within bounds, since anybody may have written them."""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.clips.rgb_frames import rgb_converter
from physbench.errors import UsageError
from physbench.storage.sealed_file import NOT_ARRAYS
from physbench.tracks.tracks import Tracks, Visibility
from physbench.tracks.tracks_file import load_tracks

MOST_TRACKS = 32 << 20  # bytes of the arrays of one clip; those of core have 0.1 MB
MOST_VIDEO = 1 << 30  # bytes of a file
ROLLOUT_CODEC = "h264"  # in which rollouts are stored; their hashes tell whether it was lossless
TRACK_CLOSE = 1e-6  # px and other units, between tracks that were sent and tracks of the same frames
OPTIONAL = ("chroma", "shape", "camera", "scenery", "scenery_off", "scenery_lost")


def read_sent_tracks(path: Path, clip: Clip, context: int) -> Tracks:
    """Tracks of a clip from elsewhere. Raises UsageError where they cannot be those of a prediction of this clip."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MOST_TRACKS:
            raise UsageError(f"{path.name} holds {size >> 20} MB, more than tracks have")
        tracks = load_tracks(path)
    except (*NOT_ARRAYS, MemoryError, NotImplementedError) as error:
        raise UsageError(f"{path.name} cannot be read ({type(error).__name__}: {error})") from error
    problem = _misfit(tracks, clip, context)
    if problem:
        raise UsageError(f"{path.name}: {problem}")
    return tracks


def _misfit(tracks: Tracks, clip: Clip, context: int) -> str:
    """What in tracks does not belong to a clip; "" where nothing."""
    times, names = clip.times[clip.window(context)], tuple(body.name for body in clip.tracked_bodies)
    if tracks.names != names:
        return f"tracks of {', '.join(tracks.names)[:200]}, and the clip has {', '.join(names)}"
    if tracks.context != context:
        return f"{tracks.context} context frames, and the model was given {context}"
    t, k = len(times), len(names)
    scenery = 0 if tracks.scenery is None else len(np.atleast_1d(tracks.scenery))
    shapes = {
        "times": (t,), "position": (t, k, 2), "position_sd": (t, k), "area": (t, k), "hue": (t, k), "state": (t, k),
        "duplicates": (t, k), "hallucinations": (t,), "chroma": (t, k), "shape": (t, k), "camera": (t, 4),
        "scenery": (scenery,), "scenery_off": (t, scenery), "scenery_lost": (t, scenery),
    }  # fmt: skip
    for name, shape in shapes.items():
        value = getattr(tracks, name)
        if value is None and name in OPTIONAL:
            continue
        if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind not in "fiub":
            return f"{name} has the shape {getattr(value, 'shape', None)}, and {shape} is that of the clip"
        if value.dtype.kind == "f" and np.isinf(value).any():
            return f"{name} is not finite"
    if not np.array_equal(tracks.times, times):
        return "its times are not those of the clip"
    if not np.isin(tracks.state, [int(each) for each in Visibility]).all():
        return "it has a state that there is not"
    return ""


def track_difference(sent: Tracks, made: Tracks) -> str:
    """The first field in which tracks differ by more than TRACK_CLOSE, in words; "" where they agree."""
    for field in fields(Tracks):
        a, b = getattr(sent, field.name), getattr(made, field.name)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.shape != b.shape:
                return f"{field.name} has the shape {a.shape}, and {b.shape} is right"
            x, y = a.astype(np.float64), b.astype(np.float64)
            if not np.allclose(x, y, rtol=TRACK_CLOSE, atol=TRACK_CLOSE, equal_nan=True):
                gap = np.abs(np.nan_to_num(x, nan=1e9) - np.nan_to_num(y, nan=1e9))
                return f"{field.name} differs at frame {int(np.unravel_index(gap.argmax(), gap.shape)[0])}"
        elif (a is None) != (b is None) or (a is not None and a != b):
            return f"{field.name} differs"
    return ""


def read_sent_video(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) of a lossless video from elsewhere, of exactly this shape. Raises UsageError."""
    import av

    frames: list[NDArray[np.uint8]] = []
    try:
        if path.stat().st_size > MOST_VIDEO:
            raise UsageError(f"{path.name} is larger than {MOST_VIDEO >> 30} GB")
        with av.open(str(path), format="matroska") as container:
            stream = container.streams.video[0]
            codec = stream.codec_context  # None where the library knows no such codec, whatever its types say
            if codec is None or codec.name != ROLLOUT_CODEC or (codec.height, codec.width) != shape[1:3]:
                raise UsageError(f"{path.name}: expected H.264 of {shape[1]} x {shape[2]} px")
            stream.thread_type = "NONE"
            to_rgb = rgb_converter()
            for frame in container.decode(video=0):
                if len(frames) == shape[0] or (frame.height, frame.width) != shape[1:3]:
                    raise UsageError(f"{path.name}: expected {shape[0]} frames of {shape[1]} x {shape[2]} px")
                frames.append(to_rgb(frame))
    except (av.error.FFmpegError, IndexError, OSError, ValueError) as error:
        raise UsageError(f"{path.name} is not a readable video ({type(error).__name__})") from error
    if len(frames) != shape[0]:
        raise UsageError(f"{path.name}: expected {shape[0]} frames, got {len(frames)}")
    return np.stack(frames)
