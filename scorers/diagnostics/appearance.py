"""Appearance: colour, size, background, camera, sharpness, nearness of first frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Reading, scorer
from physbench.support.arrays import Array, Image, Mask
from physbench.track import colour
from physbench.track.colour import dilated
from physbench.track.tracks import Tracks, Visibility, slope
from physbench.track.visibility import FULL_VIEW, detected, truth_visible, whole_area
from physbench.world.camera import eye_moves, lens


@scorer(
    id="appearance/hue",
    unit="deg",
    better="lower",
    noise_floor="ground truth reads at most 0.03 degrees (64 px, 15 frames/s; 95 % of 128 clips)",
    source="mean |hue - own hue| in the opponent plane of gamma RGB",
    needs=("tracks", "looks"),
)
def hue(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | dict[str, Reading]:
    """Mean distance of an object's hue from its own, in degrees, over the object-frames that ground truth shows.

    0 to 180, lower is better; a frame in which the object is absent counts 180. Outside every mean.

    Further readings: last (deg), over the last quarter of the horizon; slope (deg/s), of a straight line through the
    mean of each frame.
    """
    there = detected(clip, tracks)
    off = np.where(there, np.abs(np.nan_to_num(tracks.hue)), 180.0)  # an object that is absent has the worst
    return _over_time(tracks, off, truth_visible(clip, tracks.context), "deg/s", "no object should be visible")


@scorer(
    id="appearance/area",
    better="lower",
    noise_floor="ground truth reads 0.003 to 0.016 (64 px, 15 frames/s; middle 90 % of 128 clips)",
    source="mean |area / true area - 1|",
    needs=("tracks", "looks"),
)
def area(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | dict[str, Reading]:
    """Mean relative error of an object's size, over the frames in which ground truth shows at least 95 % of it.

    |A / A_true - 1| with A the area worth of its own colour; 0 upwards, lower is better; 1 where the object is absent.
    Frames in which the border cuts the predicted object are left out. Outside every mean.

    Further readings: last, over the last quarter of the horizon; slope (1/s), of a straight line through the mean of
    each frame.
    """
    window = clip.window(tracks.context)
    whole = np.maximum(whole_area(clip, tracks.context), 1e-9)
    there = detected(clip, tracks)
    off = np.where(there, np.abs(tracks.area / whole - 1), 1.0)
    expected = (
        truth_visible(clip, tracks.context)
        & (clip.visible_share()[window] >= FULL_VIEW)
        & (tracks.state != Visibility.CLIPPED)
    )
    return _over_time(tracks, off, expected, "1/s", "no object should be visible in full view")


def _over_time(
    tracks: Tracks, off: NDArray[np.float64], expected: Mask, rate: str, otherwise: str
) -> Reading | dict[str, Reading]:
    if not expected.any():
        return Reading(None, "not applicable", otherwise)
    readings = {"": Reading(float(off[expected].mean()))}
    late = expected & (tracks.times > 0.75 * tracks.times[-1])[:, None]
    if late.any():
        readings["last"] = Reading(float(off[late].mean()))
    frames = np.flatnonzero(expected.any(axis=1))
    if len(frames) > 1:
        means = np.where(expected, off, 0.0).sum(axis=1)[frames] / expected.sum(axis=1)[frames]
        readings["slope"] = Reading(slope(tracks.times[frames], means), unit=rate)
    return readings


# Whether what does not move stays as it was.

OBJECT_REACH = 2  # px around an object that belong to it
MAX_COLOUR = 2.0  # times the area of all objects; more colour than that is no object
MAX_STATIC_CHANGE = 2  # levels by which static pixels may change in ground truth


@scorer(
    id="drift/background",
    unit="levels",
    better="lower",
    noise_floor="0 exactly: ground truth is compared with itself, outside of what changes in it",
    source="mean |frame - frame at the hand-over| over static pixels, of 255",
    needs=("frames", "tracks"),
)
def background(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Mean change of the static background since the hand-over, in levels of 255, in the last quarter of a prediction.

    mean |I(t) - I(0)| over pixels and channels, 0 to 255, lower is better; over the last quarter of 16 frames spread
    evenly over the prediction. Left out are coloured pixels in either frame, with 2 px around them, and what changes
    in ground truth though it has no colour; where a prediction has more than twice as much colour as there are
    objects, its colours are not left out. Outside every mean.

    Further readings: slope (levels/s), of a straight line through the 16 frames.
    """
    if clip.scene.camera.path:
        return {"": Reading(None, "not applicable", "the camera moves")}
    frames = colour.frame_indices(min(len(rollout.frames), clip.horizon))
    if not len(frames):
        return {"": Reading(None, "not applicable", "no frame was predicted")}
    before, shown, truth = clip.frames[clip.handover], rollout.frames, clip.future()
    objects, own = float(clip.full_area[clip.handover, list(clip.tracked)].sum()), colour.colour_mask(before)
    total, counted = np.array([_change(before, own, shown[i], truth[i], objects) for i in frames]).T
    if not counted.all():
        return {"": Reading(None, "not applicable", "no static background is left in a frame")}
    return _late(clip, frames, total / counted, "levels/s")


def _late(clip: Clip, frames: NDArray[np.intp], values: Array, unit: str) -> dict[str, Reading]:
    """Mean of values (n,) of predicted frames (n,) in the last quarter, and their slope where there are several."""
    times = (frames + 1) / clip.spec.fps
    readings = {"": Reading(float(values[times >= 0.75 * times[-1]].mean()))}
    if len(values) > 1:
        readings["slope"] = Reading(slope(times, values), unit=unit)
    return readings


def _change(before: Image, own: Mask, shown: Image, truth: Image, objects: float) -> tuple[float, int]:
    """Levels by which static pixels changed, mean over channels, summed; and how many pixels are static.

    Of one frame (H, W, 3), so that what is made of it stays in the processor's cache.

    Args:
        own: (H, W) where the frame before has colour.
        objects: px that all objects cover.
    """
    changed = colour.over_channels(np.logical_or, colour.levels_apart(truth, before) > MAX_STATIC_CHANGE)
    coloured = colour.colour_mask(shown)
    if np.count_nonzero(coloured) > MAX_COLOUR * objects:
        coloured[:] = False
    static = ~(changed | dilated((own | coloured)[None], OBJECT_REACH)[0])
    off = colour.over_channels(np.add, colour.levels_apart(shown, before).astype(np.uint16))
    off *= static
    return float((off / 3).sum()), int(np.count_nonzero(static))


# Whether the camera stands still, or keeps to its path in the view `moving`.


@scorer(
    id="drift/camera",
    unit="%/s",
    better="lower",
    noise_floor="0 exactly in 272 of 272 true clips of 17 tasks (64 and 128 px, 15 frames/s); followed 0.998 to 1.005 "
    "in 32 moving clips of 16 tasks (128 px, 10 frames/s)",
    source="least-squares line through the similarity that fixed bodies show; Umeyama 1991, doi:10.1109/34.88573",
    phrase={"": "camera pan {}", "zoom": "camera zoom {}"},
    seen={"": ("", "the whole picture slides"), "zoom": ("", "the whole picture grows or shrinks")},
    breaks_at=0.5,
    needs=("tracks", "looks"),
    roles={"followed": "camera-followed"},
)
def camera(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | dict[str, Reading]:
    """Speed of a camera off what it should do: its pan in per cent of the picture's shorter side a second.

    It should stand still, or keep to its path in the view `moving`.

    Fixed bodies show by how much a picture as a whole is shifted, zoomed and turned; a straight line is fitted to each
    over the predicted frames. Lower is better. Positions are read as a camera sees them that stands still, so that a
    pan is no motion of bodies, and costs nothing but what leaves the view with it: it is no physics of the scene.
    Outside every mean. Where nothing fixed is seen, as on bare ground, no camera is known, and nothing is taken off.

    Further readings: zoom (%/s, its size), turn (deg/s, its size), and shake (%, rms of what is left of the shift). Of
    a camera that stays in its place, and whose path turns by 0.5 degrees rms or more, also followed: sum p . c / sum
    c . c over the predicted frames, c its pan and tilt since the hand-over in degrees, as its path has them, and p
    those of the prediction: 1 is right, 0 stands still, 2 turns twice as far, below 0 the other way.
    """
    if tracks.camera is None:
        return Reading(None, "not applicable", "no picture")
    fixed = any(body.role == "fixed" for body in clip.tracked_bodies)
    marked = bool(clip.scene.camera.path)
    if not fixed and not marked and (tracks.scenery is None or not len(tracks.scenery)):
        return Reading(None, "not applicable", "nothing that stands still is seen")
    part = slice(tracks.context - 1, min(tracks.context + len(rollout.frames), len(tracks.times)))
    known = np.isfinite(tracks.camera[part]).all(axis=1)  # not of one that has turned right away from its path
    times, moved = tracks.times[part][known], tracks.camera[part][known]
    if len(times) < 3:  # that tell a speed
        return Reading(None, "not applicable", "too few frames were predicted, or show where the camera is")
    side = min(clip.spec.height, clip.spec.width) / 100
    speed = np.array([slope(times, column) for column in moved.T])
    middle = times - times.mean()
    rest = moved[:, :2] - moved[:, :2].mean(axis=0) - middle[:, None] * speed[:2]
    return {
        "": Reading(float(np.hypot(*speed[:2])) / side),
        **_followed(clip, tracks.context, tracks.camera[part][1:]),
        "zoom": Reading(abs(float(speed[2])) * 100),
        "turn": Reading(abs(float(np.degrees(speed[3]))), unit="deg/s"),
        "shake": Reading(float(np.sqrt((rest**2).sum(axis=1).mean())) / side, unit="%"),
    }


def _followed(clip: Clip, context: int, off: Array) -> dict[str, Reading]:
    """Share of the turns of its path that a camera does, which is off (T, 4) from it, NaN where that is not known.

    {} where the path has none.

    One that walks does not turn alone, and what is off is fitted by turns alone.
    """
    if eye_moves(clip.scene.camera):
        return {}
    commanded = clip.camera_poses(context)[context:][: len(off), :2].astype(np.float64)  # degrees
    known = np.isfinite(off).all(axis=1)
    commanded, off = commanded[known], off[known]
    # From 0.5 degrees rms from the hand-over on it is read whether the camera turns as it should
    if not known.any() or np.sqrt((commanded**2).sum(axis=1).mean()) < 0.5:
        return {}
    focal = lens(clip.scene.camera, clip.spec)[0, 0]
    besides = -np.degrees(np.arctan(off[:, :2] / focal))  # what a camera turns to moves to the middle
    share = 1 + (besides * commanded).sum() / (commanded**2).sum()
    return {"followed": Reading(float(share), unit="1")}


# Whether a prediction blurs.


@scorer(
    id="drift/sharpness",
    better="neither",
    noise_floor="1 exactly: ground truth is compared with itself",
    source="ratio of the mean squared differences of neighbouring pixels",
    needs=("frames",),
)
def sharpness(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Sharpness of a prediction over that of ground truth in the same frames, in the last quarter; right is 1.

    sqrt(D / D_true) with D the mean squared difference of neighbouring pixels over rows, columns and channels: below 1
    it is blurred or something is missing, above 1 it is noisy. 0 upwards, neither direction is better by itself; mean
    over the last quarter of 16 frames spread evenly over the prediction. Outside every mean.

    Further readings: slope (1/s), of a straight line through the 16 frames.
    """
    frames = colour.frame_indices(min(len(rollout.frames), clip.horizon))
    if not len(frames):
        return {"": Reading(None, "not applicable", "no frame was predicted")}
    true = colour.mean_squared_gradient(clip.future(), frames)
    if (true < 1e-6).any():  # levels squared
        return {"": Reading(None, "not applicable", "a frame of ground truth shows nothing")}
    return _late(clip, frames, np.sqrt(colour.mean_squared_gradient(rollout.frames, frames) / true), "1/s")


# Whether first frames are nearer to ground truth than a frozen frame: an early sign in training.

SPAN = 0.5  # s from the hand-over, in which most of what comes can be known


@scorer(
    id="appearance/persistence-skill",
    better="higher",
    noise_floor="ground truth reads 1 and the frozen frame 0, both exactly",
    source="skill against persistence, Murphy 1988, Monthly Weather Review 116:2417; here with root mean squares",
    roles={"": "early-sign"},
    needs=("frames",),
)
def persistence_skill(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading:
    """Skill of the pixels of the first 0.5 s over those of the frozen last frame, against ground truth.

    (E_freeze - E) / (E_freeze + E) with E the root mean square difference from ground truth over all pixels and frames,
    those that were not predicted taken as frozen: -1 to 1, higher is better; 1 is ground truth, 0 as far away as the
    frozen frame, below 0 farther. It moves continuously from the first steps of a training on, when every axis still
    reads as that of a frozen frame. It says nothing of physics: a blur of all that may happen is near, too. Outside
    every mean.
    """
    count = min(clip.horizon, max(1, round(SPAN * clip.spec.fps)))
    truth, frozen, predicted = clip.future()[:count], clip.context(1)[0], rollout.frames
    still = _error([frozen] * count, truth)
    own = _error([predicted[i] if i < len(predicted) else frozen for i in range(count)], truth)
    if still < 1e-3:  # levels, rms
        return Reading(None, "not applicable", "ground truth stands still")
    return Reading((still - own) / (still + own))


def _error(shown: Sequence[Image], truth: Image) -> float:
    """Root mean square of levels by which frames (T, H, W, 3) differ from ground truth."""
    squares = np.empty(truth.shape, dtype=np.float32)
    for frame, true, out in zip(shown, truth, squares, strict=True):  # one by one, in the processor's cache
        out[:] = colour.squares_apart(frame, true)
    return float(np.sqrt(np.mean(squares)))
