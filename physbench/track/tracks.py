"""Tracks: what was seen of each object, frame by frame; on disk, from predicted states; velocities without a law."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Mask
from physbench.support.errors import UsageError
from physbench.support.files import NOT_ARRAYS, read_sealed_npz, write_sealed_npz
from physbench.world.camera import depth_axis, px_from_world


class Visibility(IntEnum):
    """State of an object in a frame, as the tracker saw it."""

    VISIBLE = 0
    CLIPPED = 1  # by the image border
    OCCLUDED = 2  # ground truth shows less than a quarter of it and nothing was seen
    ABSENT = 3  # should be seen and is not


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of the K objects with a hue over the T = context + horizon frames of a model's window.

    The first `context` frames are the ones that the model was given. A position is NaN where it is not known: the
    object was not seen, or what was seen of it does not determine its centre; then `area` still tells its presence.
    """

    names: tuple[str, ...]  #: (K,)
    times: NDArray[np.float64]  #: (T,) s
    context: int  #: frames that the model was given
    position: NDArray[np.float64]  #: (T, K, 2) px, see physbench.world.camera
    position_sd: NDArray[np.float64]  #: (T, K) px
    area: NDArray[np.float64]  #: (T, K) px within the outline at half of the chroma that its own inside has
    hue: NDArray[np.float64]  #: (T, K) degrees -180..180 from the object's own hue, NaN where not seen
    state: NDArray[np.uint8]  #: (T, K) Visibility
    duplicates: NDArray[np.uint8]  #: (T, K) further blobs of the object's own hue
    hallucinations: NDArray[np.uint8]  #: (T,) blobs that neither the scene nor its objects explain
    #: (T, K) chroma of its inside over that in the context frames, NaN where not seen; None without pictures
    chroma: NDArray[np.float64] | None = None
    #: (T, K) how far its outline is from its own: above 1 another shape; NaN where not judged; None without pictures
    shape: NDArray[np.float64] | None = None
    #: (T, 4) of the camera that should stand still, or keep to its path: shift in x and y px, zoom and turn in rad
    #: about the middle of the picture. Positions and areas are those without it. None without pictures, as what follows
    camera: NDArray[np.float64] | None = None
    #: (T, 3, 3) homographies from px of the positions, the picture of the camera at rest, to px of the frames; None
    #: where it does not move
    framing: NDArray[np.float64] | None = None
    scenery: NDArray[np.int64] | None = None  #: (F,) indices in the scene of fixed bodies without a hue that are read
    scenery_off: NDArray[np.float64] | None = None  #: (T, F) px by which they are off, besides the camera
    scenery_lost: NDArray[np.bool_] | None = None  #: (T, F) where a frame shows that they are gone, or other

    def __repr__(self) -> str:
        """ "Tracks(red ball, post; 68 frames, 8 of them context)"."""
        return f"Tracks({', '.join(self.names)}; {len(self.times)} frames, {self.context} of them context)"


# Tracks on disk.


def save_tracks(path: Path, tracks: Tracks) -> None:
    """Write tracks as .npz without pickle."""
    known = {name: value for name, value in vars(tracks).items() if value is not None}
    write_sealed_npz(path, {**known, "names": np.array(tracks.names)})


def load_tracks(path: Path) -> Tracks:
    """Read what `save_tracks` wrote. Raises UsageError where there is nothing, or nothing that can be read."""
    try:
        fields: dict[str, Any] = dict(read_sealed_npz(path))
        fields["names"] = tuple(str(name) for name in fields["names"])
        fields["context"] = int(fields["context"])
        return Tracks(**fields)
    except NOT_ARRAYS as error:
        raise UsageError(f"{path}: cannot be read ({error}). Resume the run to make it again.") from error


# Tracks of predicted states: exact places, without a camera, a renderer or a tracker.


FARTHEST = 100.0  # m from the middle of the window; a body beyond it is gone


def state_tracks(clip: Clip, context: int, states: Array) -> Tracks:
    """Tracks of a clip's context and of states (T, K, 13) after it; moments that are missing at the end are absent.

    Every body is seen whole, wherever it is: nothing hides it, and no border cuts it. Its place is exact, with an sd of
    0. It is unknown where the body has left its plane of motion. A body that has left for good is absent.
    """
    window = clip.window(context)
    world = clip.states[window][:, list(clip.tracked), :3].copy()
    depth = depth_axis(clip.scene.camera)
    plane = world[context:, :, depth].copy()
    world[context:] = np.nan
    world[context : context + len(states)] = states[: len(plane), :, :3]
    diameter = np.maximum(clip.diameters()[window], 1e-9)
    with np.errstate(invalid="ignore"):
        # diameters from the plane of motion; beyond it a body has no place there
        out = np.abs(world[context:, :, depth] - plane) > 0.1 * diameter[context:]
        there = np.abs(world - np.asarray(clip.scene.camera.center)).max(axis=-1) <= FARTHEST  # False where NaN
    world[context:, :, depth] = plane  # seen from straight ahead: depth moves nothing in the picture
    position = px_from_world(clip.scene.camera, clip.spec, world)
    known = there.copy()
    known[context:] &= ~out
    position[~known] = np.nan
    whole = clip.full_area[window][:, list(clip.tracked)].astype(np.float64)
    return Tracks(
        names=tuple(body.name for body in clip.tracked_bodies),
        times=clip.times[window],
        context=context,
        position=position,
        position_sd=np.where(known, 0.0, np.nan),
        area=np.where(there, whole, 0.0),
        hue=np.where(there, 0.0, np.nan),
        state=np.where(there, Visibility.VISIBLE, Visibility.ABSENT).astype(np.uint8),
        duplicates=np.zeros(there.shape, dtype=np.uint8),
        hallucinations=np.zeros(len(there), dtype=np.uint8),
    )


Frames = NDArray[np.intp]


def runs(mask: Mask) -> list[Frames]:
    """Indices of each run of True in a mask (T,)."""
    where = np.flatnonzero(mask)
    return [run for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(run)]


def known_runs(path: Array) -> list[Frames]:
    """Indices of each run of known points of a path (T, 2) with NaN."""
    return runs(np.isfinite(path[:, 0]))


def last_known(values: Array) -> Array:
    """Values (T, V), and where one is NaN the last of its column that was known; NaN before the first."""
    at = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values))[:, None], -1), axis=0)
    return np.where(at >= 0, np.take_along_axis(values, np.maximum(at, 0), axis=0), np.nan)


def upsampled(path: Array, fine: int) -> Array:
    """A path (n, 2), all known, n >= 6, at `fine` moments per frame ((n - 1) fine + 1, 2), by a quintic spline."""
    from scipy.interpolate import make_interp_spline

    at = np.arange(len(path))
    return np.asarray(make_interp_spline(at, path, k=5)(np.arange((len(path) - 1) * fine + 1) / fine))


def parabola_fits(path: Array, dt: float, span: float) -> tuple[Array, Array, Array]:
    """Parabolas through sliding windows of a path, read at the middle of each window.

    The slope of a parabola is known best at its middle, and a constant acceleration does not change it there.

    Args:
        path: (n, 2) m, all known.
        dt: s between two points.
        span: s, length of a window; it holds at least five points, and the whole path where that is shorter.

    Returns:
        The middles as indices (w,) of frames with a fraction, the positions (w, 2) m and the velocities (w, 2) m/s
        there; w = 0 where n < 4.

    >>> t = np.arange(9) / 15
    >>> at, position, velocity = parabola_fits(np.stack([t, 3 * t**2], axis=-1), 1 / 15, 0.4)
    >>> at.tolist(), bool(np.allclose(position[:, 1], 3 * (at / 15) ** 2))
    ([3.0, 4.0, 5.0], True)
    >>> bool(np.allclose(velocity[:, 1], 6 * at / 15))
    True
    """
    n = len(path)
    if n < 4:
        return np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2))
    width = min(n, max(5, 2 * round(span / 2 / dt) + 1))
    offset = (np.arange(width) - (width - 1) / 2) * dt
    design = np.stack([np.ones(width), offset, offset**2], axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(path, width, axis=0)  # (w, 2, width)
    position, velocity, _ = np.moveaxis(windows @ np.linalg.pinv(design).T, -1, 0)
    return np.asarray(np.arange(n - width + 1) + (width - 1) / 2, dtype=np.float64), position, velocity


def smooth_velocity(path: Array, dt: float) -> Array:
    """Velocity (n, 2) m/s of a path (n, 2) m, all known, n >= 8, from a quintic spline with at most 15 knots a second.

    For motion that no parabola follows for long. There is at most one knot a frame, so that the spline does not follow
    noise.
    """
    from scipy.interpolate import make_lsq_spline

    times = np.arange(len(path)) * dt
    inner = times[3 : -3 : max(1, round((1 / 15) / dt))]  # s between the knots of a smoothing spline
    knots = np.concatenate([[times[0]] * 6, inner, [times[-1]] * 6])
    return np.asarray(make_lsq_spline(times, path, knots, k=5)(times, 1))


def slope(times: Array, values: Array) -> float:
    """Slope per s of a straight line through values (n,) at times (n,) s, n >= 2."""
    away = times - times.mean()
    return float(away @ values / max(float(away @ away), 1e-12))


def resting(times: Array, position: Array, slow: float, window: float) -> Mask:
    """Mask (T, ...) of paths that are shorter than `slow` diameters/s times `window` s, around each frame.

    The path, not the distance: a body that turns back slowly is soon where it was, and does not rest. It has few
    pieces, as noise lengthens each of them: two halves of the window or, if longer, two quarters and what lies between.

    Args:
        times: (T,) s, at a constant rate.
        position: (T, ..., D) in diameters; NaN is not at rest.
        slow: Diameters/s.
        window: s.
    """
    dt = float(times[1] - times[0]) if len(times) > 1 else window
    half = max(1, round(window / 2 / dt))
    at = np.arange(len(times))

    def path(*frames: int) -> Array:  # through frames that are so much later
        points = position[np.clip([at + k for k in frames], 0, len(at) - 1)]
        return np.asarray(np.linalg.norm(np.diff(points, axis=0), axis=-1).sum(axis=0))

    longest = np.maximum(path(-half, 0, half), path(-half, -(half // 2), half // 2, half))
    span = (np.minimum(at + half, len(at) - 1) - np.maximum(at - half, 0)) * dt
    return np.asarray(longest < slow * span.reshape(-1, *[1] * (longest.ndim - 1)))
