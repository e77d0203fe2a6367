"""Visibility of each object: as expected from ground truth, and as the tracker saw it.

Masks have the axes (C + T, K): C context frames, T predicted ones, K objects with a hue.
"""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Mask
from physbench.track.moving_camera import path_framing
from physbench.track.tracks import Tracks, Visibility, runs
from physbench.world.camera import in_picture, mapped

# Shares of the area of the whole object.
VISIBLE_SHARE = 0.25  # ground truth shows an object from here on
HIDDEN_SHARE = 0.05  # below, ground truth hides it
FULL_VIEW = 0.95  # from here on nothing of it counts as hidden
POSITION_SHARE = 0.5  # from here on the visible part gives a position
MIN_DETECTED_SHARE = 0.1  # a smaller blob is no detection
MAX_AREA_RATIO = 1.25  # a larger blob is not this object, or not only it
MOST_CAMERA = (0.02, 0.05)  # of the picture's sides, and more in every second: shift, zoom or turn that only frames
MAX_GAP = 0.5  # s; an object that is detected without a position for longer counts as absent


def inside_view(clip: Clip, context: int) -> Mask:
    """Mask (C + T, K) of objects whose true centre lies in the image."""
    centre = clip.px_positions()[clip.window(context)]
    size = (clip.spec.width, clip.spec.height)
    inside = np.asarray(np.all((centre >= 0) & (centre <= size), axis=-1))
    if clip.scene.camera.path:
        inside &= in_picture(path_framing(clip)[clip.window(context), None], clip.spec, centre)
    return inside


def truth_visible(clip: Clip, context: int) -> Mask:
    """Mask of objects that ground truth shows in a predicted frame: at least a quarter, the centre in the image.

    Args:
        clip: ground truth.
        context: C, the number of context frames.

    Returns:
        (C + T, K); False in the context frames.
    """
    mask = (clip.visible_share()[clip.window(context)] >= VISIBLE_SHARE) & inside_view(clip, context)
    mask[:context] = False
    return np.asarray(mask)


def in_frame(clip: Clip, tracks: Tracks, position: Array) -> Mask:
    """Mask of places (C + T, ...) px, 2 on the last axis, in the picture that the camera of a prediction shows.

    A camera that should stand still and moves slowly takes out of the view what it does not show: that is framing. One
    that moves faster than MOST_CAMERA excuses nothing.
    """
    if tracks.camera is None:
        return np.ones(position.shape[:-1], dtype=bool)
    size = np.array([clip.spec.width, clip.spec.height], dtype=np.float64)
    x, y, zoom, turn = tracks.camera.T.reshape(4, len(tracks.camera), *[1] * (position.ndim - 2))
    away = position - size / 2
    shown = np.stack(
        [
            size[0] / 2 + x + (1 + zoom) * away[..., 0] - turn * away[..., 1],
            size[1] / 2 + y + (1 + zoom) * away[..., 1] + turn * away[..., 0],
        ],
        axis=-1,
    )
    with np.errstate(invalid="ignore"):
        if tracks.framing is not None:
            shown = mapped(tracks.framing.reshape(-1, *[1] * (position.ndim - 2), 3, 3), position)
        inside = np.all((shown >= 0) & (shown <= size), axis=-1)
    slow = _is_slow(clip, tracks.camera, tracks.times).reshape(x.shape)
    return np.asarray(inside | ~slow | np.isnan(position[..., 0]))


def due_framing(clip: Clip, tracks: Tracks) -> Array | None:
    """Homographies (C + T, 3, 3) of what a prediction should frame, as `Tracks.framing`; None where nothing moves.

    That is what its own camera shows, as in `in_frame`, and where it strays from a path faster than MOST_CAMERA what
    the path shows: a camera that should turn back to a body, and does not, excuses nothing.
    """
    if tracks.framing is None or tracks.camera is None or not clip.scene.camera.path:
        return tracks.framing
    slow = _is_slow(clip, tracks.camera, tracks.times)[:, None, None]
    return np.asarray(np.where(slow, tracks.framing, path_framing(clip)[clip.window(tracks.context)][: len(slow)]))


def _is_slow(clip: Clip, camera: Array, times: Array) -> Mask:
    """Mask (C + T,) of frames up to which a camera (C + T, 4) has strayed by no more than framing does."""
    most = MOST_CAMERA[0] + MOST_CAMERA[1] * np.maximum(times, 0.0)
    return np.asarray(np.abs(camera / [clip.spec.width, clip.spec.height, 1.0, 1.0]).max(axis=1) <= most)


def truth_framed(clip: Clip, tracks: Tracks) -> Mask:
    """`truth_visible`, where the camera of a prediction frames it (C + T, K)."""
    here = clip.px_positions()[clip.window(tracks.context)]
    return truth_visible(clip, tracks.context) & in_frame(clip, tracks, here)


def cut_by_camera(clip: Clip, tracks: Tracks, position: Array) -> Mask:
    """Mask (C + T, K) of objects at places (C + T, K, 2) px that the border cuts before a prediction's camera alone.

    Before that of ground truth it cuts nothing of them. The camera is one that frames, as in `in_frame`.
    """
    radius = np.sqrt(whole_area(clip, tracks.context) / np.pi)
    reach = 1.25 * radius[..., None, None]  # of a disc of that area, the corners of a square one
    around = position[:, :, None] + reach * np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
    path = path_framing(clip)[clip.window(tracks.context)] if clip.scene.camera.path else np.eye(3)[None]
    due = in_picture(path[:, None, None], clip.spec, around).all(axis=-1)
    return np.asarray(due & ~in_frame(clip, tracks, around).all(axis=-1))


def shown_whole(clip: Clip, tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects that ground truth shows whole, the centre in the image: a position is expected there.

    Of what is partly hidden or cut by the border a tracker may give no position, of ground truth out of a video
    neither.
    """
    window = clip.window(tracks.context)
    whole = (clip.visible_share()[window] >= FULL_VIEW) & inside_view(clip, tracks.context)
    return np.asarray(whole & ~cut_by_camera(clip, tracks, clip.px_positions()[window]))


def whole_area(clip: Clip, context: int) -> Array:
    """Area of each object without occlusion and border (C + T, K) px."""
    return clip.full_area[clip.window(context)][:, list(clip.tracked)].astype(np.float64)


def moving(clip: Clip) -> Mask:
    """Mask (K,) of tracked objects that move by themselves. Only permanence reads the others."""
    return np.array([body.role == "moving" for body in clip.tracked_bodies], dtype=bool)


def detected(clip: Clip, tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects of which the tracker saw at least a tenth, with or without a position."""
    return np.asarray(_present(tracks) & (tracks.area >= MIN_DETECTED_SHARE * whole_area(clip, tracks.context)))


def _present(tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects that the tracker takes for present: also in single frames that do not show them."""
    return np.asarray((tracks.state == Visibility.VISIBLE) | (tracks.state == Visibility.CLIPPED))


def has_position(tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects with a position."""
    return np.asarray(np.isfinite(tracks.position).all(axis=-1))


def tracked_with_gaps(clip: Clip, tracks: Tracks) -> Mask:
    """Mask: an object that ground truth shows has a position, or is present in a short gap without one.

    In a gap the silhouette gives no position: the object is partly hidden, or cut by the border, or lost for a frame or
    two. An object in a gap of more than MAX_GAP in which ground truth shows it whole, or one that is far too large,
    such as a picture all of its hue, counts as absent.

    Args:
        clip: ground truth.
        tracks: of a prediction for the clip.

    Returns:
        (C + T, K); False where ground truth does not show the object.
    """
    expected, placed = truth_visible(clip, tracks.context), has_position(tracks)
    small_enough = tracks.area <= MAX_AREA_RATIO * whole_area(clip, tracks.context)
    gap = expected & _present(tracks) & ~placed & small_enough
    return np.asarray(expected & (placed | short_gaps(gap, shown_whole(clip, tracks), 1 / clip.spec.fps)))


def short_gaps(gap: Mask, whole: Mask, dt: float) -> Mask:
    """Gaps (T, K) of which at most MAX_GAP, in frames dt s apart, are frames with the object shown whole (T, K)."""
    short = gap.copy()
    for column, plain in zip(short.T, whole.T, strict=True):
        for run in runs(column):
            column[run] = plain[run].sum() * dt <= MAX_GAP + 1e-9
    return short
