"""Timing of predicted frames: whether a prediction begins early or late, repeats or skips frames, runs slowly.

All is read from places over time, in units of the motion that the prediction itself shows, so that wrong laws are no
wrong timing: a body that falls too slowly moves on in every frame, and begins where it was. A body at rest tells
nothing, nor does one that turns round; these frames do not count.

The *clock* of a prediction is the number of frames of motion that have passed by each frame, 1, 2, 3 ... where nothing
is wrong. A frame that repeats the one before advances it by 0, one before which m - 1 frames are left out by m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Mask
from physbench.track.colour import over_channels
from physbench.track.tracks import Tracks
from physbench.track.visibility import moving


@dataclass(frozen=True)
class RepeatLimits:
    """Frames that repeat the one before, and frames that are left out."""

    reach_time: float = 0.13  # s before and after a frame, whose motion it is compared with
    least_reach: int = 3  # frames, the same
    least_step: float = 8.0  # sd of a place: a body that moves by less a frame tells nothing
    # of the length of its way that a body must get ahead: one that bounces or turns tells nothing
    straight: float = 0.7
    # of its mean motion that a body must show both before and after: one that stops for good is no repeat
    goes_on: float = 0.3
    held: float = 0.25  # of the motion a frame; a frame that advances by less repeats the one before
    caught_up: float = 0.6  # of the motion that repeats left out, from which on it is made up for at once
    whole: float = 0.3  # frames; a skip is a whole number of frames to within this
    least_measured: int = 5  # frames of a clip that tells of repeats


REPEATS = RepeatLimits()


@dataclass(frozen=True)
class Beginning:
    """Lead and rate of a clip, from its beginning."""

    time: float = 0.3  # s from which it is extrapolated
    least_frames: int = 6  # the same
    least_sd: float = 0.02  # px of a place
    surest: float = 0.05  # frames; no beginning is known better from one clip
    unsure: float = 0.35  # frames; a clip that tells its lead no better says nothing
    aside: float = 4.0  # sd across the motion by which a body may begin aside; one that does has jumped
    curved: float = 0.05  # of a step: as much may a curved path pass aside a frame before it begins
    passes: int = 4  # rounds of Newton's method
    most_lead: float = 5.0  # frames, beyond which nothing is read
    most_rate: float = 5.0  # times real time, the same
    least_speed: float = 0.2  # times real time; what is slower stands still
    most_parabola: float = 0.5  # s; the way after an image is carried back by no more


BEGINNING = Beginning()


@dataclass(frozen=True)
class SmearLimits:
    """Bodies whose smear in the direction of motion is read."""

    least_step: float = 0.15  # diameters a frame
    whole_view: float = 0.99  # share of a body that is seen
    most_shift: float = 0.5  # px of the picture
    least_hued: float = 0.05  # of the largest difference between the colours of a pixel near a body


SMEAR = SmearLimits()


@dataclass(frozen=True)
class PathPlaces:
    """Places along the true path."""

    near: float = 0.15  # diameters within which a place lies on the true path
    around: int = 3  # frames before and after that are looked at
    least_way: float = 0.15  # px that a body must move a frame to tell where on its path it is


PATH = PathPlaces()


@dataclass(frozen=True)
class Estimate:
    """A value with its standard deviation."""

    value: float
    sd: float


@dataclass(frozen=True, eq=False)
class FrameTiming:
    """The timing of the T frames of one prediction."""

    advance: Array  #: (T,) frames of motion since the frame before, whole; NaN where nothing tells
    lead: Estimate | None  #: frames by which it begins early (above 0) or late
    rate: Estimate | None  #: speed at the hand-over over that of the context; None where that shows none

    @property
    def comparable(self) -> int:
        """Frames that tell whether they repeat the one before."""
        return int(np.isfinite(self.advance).sum())

    @property
    def repeats(self) -> float:
        """Share of them that do."""
        return float((self.advance == 0).sum()) / max(self.comparable, 1)

    @property
    def left_out(self) -> float:
        """Frames left out, not to make up for repeats, over those that tell."""
        return max(0.0, float(np.nansum(self.advance - 1))) / max(self.comparable, 1)


def frame_timing(clip: Clip, tracks: Tracks) -> FrameTiming:
    """Read the timing of a prediction from its tracks."""
    columns = np.flatnonzero(moving(clip))
    place = tracks.position[:, columns]  # (C + T, N, 2) px
    sd = np.maximum(np.nan_to_num(tracks.position_sd[:, columns], nan=np.inf), BEGINNING.least_sd)
    advance = _advances(place, sd, tracks.context, float(clip.spec.fps))
    clock = np.cumsum(np.nan_to_num(advance, nan=1.0))
    return FrameTiming(advance, *_begin(clip, tracks, columns, clock, np.nan_to_num(advance, nan=1.0) > 0))


def _advances(place: Array, sd: Array, context: int, fps: float) -> Array:
    """Frames of motion (T,) that each predicted frame goes on; NaN where nothing tells."""
    total, reach = len(place), max(REPEATS.least_reach, round(REPEATS.reach_time * fps))
    step = np.full(place.shape, np.nan)
    step[1:] = np.diff(place, axis=0)
    at = np.arange(total)
    near = at[:, None] + np.arange(-reach, reach + 1)  # (C + T, W) frames around each
    inside = (near >= 1) & (near < total)
    near = near.clip(0, total - 1)
    size_of = np.linalg.norm(step, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _mean_of(step[near], inside)  # (C + T, N, 2); NaN where some place is not known
        size = np.linalg.norm(mean, axis=-1)
        along = mean / size[..., None]
        least = REPEATS.least_step * np.where(inside[..., None], sd[near], 0.0).max(axis=1)
        measurable = (size > least) & (size > REPEATS.straight * _mean_of(size_of[near], inside))
        for side in (inside & (near < at[:, None]), inside & (near > at[:, None])):
            measurable &= (_mean_of(step[near], side) * along).sum(axis=-1) > REPEATS.goes_on * size
        ahead = np.where(measurable, (step * along).sum(axis=-1) / size, np.nan)  # of its motion that each step is
    before, after = at - np.maximum(at - reach, 1), np.minimum(at + reach, total - 1) - at  # frames around each
    ahead[(at < context) | (after < 2) | (before < min(2, context))] = np.nan
    tells = np.isfinite(ahead)
    advance = np.where(
        tells.any(axis=1), np.where((ahead < REPEATS.held) | ~tells, 0.0, 1.0).max(axis=1, initial=0.0), np.nan
    )
    around = np.where((inside & (near != at[:, None]))[..., None], size_of[near], np.nan)
    return _caught_up(advance, size_of, _known_median(around), ahead, context, reach)[context:]


def _mean_of(values: Array, used: Mask) -> Array:
    """Means (T, ...) of those values (T, W, ...) that are used (T, W); NaN where one of them is, or none is used."""
    used = used.reshape(*used.shape, *[1] * (values.ndim - 2))
    return np.asarray(np.where(used, values, 0.0).sum(axis=1) / used.sum(axis=1))


def _known_median(values: Array) -> Array:
    """Medians (T, N) of those values (T, W, N) that are not NaN; NaN where all are."""
    ordered, count = np.sort(values, axis=1), np.isfinite(values).sum(axis=1)[:, None]
    middle = [np.take_along_axis(ordered, np.maximum(each, 0) // 2, axis=1)[:, 0] for each in (count - 1, count)]
    return np.asarray((middle[0] + middle[1]) / 2)


def _median(values: Array) -> float:
    """Median of values (n,), as `np.median` has it, which takes longer than two bodies are worth."""
    ordered = sorted(values.tolist())
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _caught_up(advance: Array, size: Array, typical: Array, ahead: Array, context: int, reach: int) -> Array:
    """Advances (C + T,) with frames that make up for repeats, or leave some out, as whole numbers.

    size: (C + T, N) px of each step. typical: the same, median of the steps around it.
    """
    advance, held = advance.copy(), advance == 0
    for k in np.flatnonzero(advance == 1.0).tolist():
        own = ahead[k][np.isfinite(ahead[k])]
        run = 0
        while held[k - run - 1]:
            run += 1
        if run:
            advance[k] = run + 1 if _median(own) > 1 + REPEATS.caught_up * run else 1.0
        elif k > context and not held[max(k - reach, 0) : k + reach + 1].any():
            bodies = np.isfinite(ahead[k])
            times = size[k, bodies] / np.maximum(typical[k, bodies], 1e-9)
            whole = np.round(_median(times))
            beside = size[[k - 1, min(k + 1, len(size) - 1)]].max(axis=0)  # what speeds up has a like step beside it
            apart = np.abs(times - whole) < REPEATS.whole
            apart = apart.all() and (size[k] > (1 + REPEATS.caught_up) * beside)[bodies].all()
            advance[k] = whole if whole > 1 and apart else 1.0
    if held[context] and not np.nan_to_num(advance[context + 1 :])[:reach].max(initial=0.0) > 1:
        advance[context] = 1.0  # what is late from the first frame on is a matter of the lead
    return advance


def _begin(
    clip: Clip, tracks: Tracks, columns: NDArray[np.intp], clock: Array, new: Mask
) -> tuple[Estimate | None, Estimate | None]:
    """Lead in frames, and rate, from the first places that are no repeats."""
    count = max(BEGINNING.least_frames, round(BEGINNING.time * float(clip.spec.fps)))
    leads, rates = [], []
    for column in columns.tolist():
        place = tracks.position[tracks.context :, column]
        shown = tracks.position[max(tracks.context - 2, 0) : tracks.context, column]
        use = np.flatnonzero(new & np.isfinite(place).all(axis=-1))[:count]
        if len(use) < BEGINNING.least_frames or clock[use[-1]] > 2 * count or not np.isfinite(shown).all():
            continue
        sd = max(float(np.nanmedian(tracks.position_sd[tracks.context + use, column])), BEGINNING.least_sd)
        if len(shown) > 1:
            estimate = _along_path(clip.px_positions()[:, column], clip.handover, place[use], clock[use], sd)
        elif count <= BEGINNING.most_parabola * float(clip.spec.fps):
            estimate = _back_to(shown[-1], place[use], clock[use], sd)
        else:
            continue
        if estimate is not None:
            leads.append(estimate[0])
            rates += estimate[1:]
    return _joint(leads), _joint(rates)


def _along_path(path: Array, handover: int, place: Array, k: Array, sd: float) -> list[Estimate] | None:
    """Lead and rate on the true path (P, 2) px of places (n, 2) px at frames k (n,), after a context that shows it.

    Constant accelerations that the path does not have are free: they are wrong laws. None where nothing tells.
    """
    lead, rate, frames = 0.0, 1.0, np.arange(len(path)) - handover
    for _ in range(BEGINNING.passes):
        at = rate * k + lead

        def true(shift: float, at: Array = at) -> Array:
            return np.stack([np.interp(at + shift, frames, path[:, axis]) for axis in (0, 1)], axis=1)

        step, zero = true(0.5) - true(-0.5), np.zeros(len(k))
        bend = [np.stack(pair, axis=1) for pair in ((k**2 / 2, zero), (zero, k**2 / 2))]
        basis = np.stack([each.ravel() for each in (step, step * k[:, None], *bend)], axis=1)
        away = (place - true(0.0)).ravel()
        scale = np.linalg.norm(basis, axis=0)
        if scale.min() < PATH.least_way:
            return None
        change, *_ = np.linalg.lstsq(basis / scale, away, rcond=None)
        lead, rate = lead + float(change[0] / scale[0]), rate + float(change[1] / scale[1])
        if not (abs(lead) <= BEGINNING.most_lead and 0 <= rate <= BEGINNING.most_rate):
            return None
    rest = away - basis / scale @ change
    noise = max(float(np.sqrt((rest**2).sum() / (2 * len(k) - 4))), sd)
    error = noise * np.sqrt(np.diag(np.linalg.pinv((basis / scale).T @ (basis / scale)))) / scale
    if rate < BEGINNING.least_speed:
        return None
    own = Estimate(lead / rate, max(float(error[0]) / rate, BEGINNING.surest))  # in frames of the prediction
    return [own, Estimate(rate, max(float(error[1]), BEGINNING.surest / len(k)))]


def _back_to(start: Array, place: Array, k: Array, sd: float) -> list[Estimate] | None:
    """Lead of places (n, 2) px at frames k (n,) after an image, which shows a body at `start` and no motion.

    A parabola through them is carried back to where it passes the start. None where it does not, or nothing tells.
    """
    powers = np.stack([np.ones(len(k)), k, k**2 / 2], axis=1)
    numbers, *_ = np.linalg.lstsq(powers, place, rcond=None)
    off = place - powers @ numbers
    noise = max(float(np.sqrt((off**2).sum() / (2 * len(k) - 6))), sd)
    error = noise * np.sqrt(np.diag(np.linalg.inv(powers.T @ powers)))
    speed = float(np.linalg.norm(numbers[1]))
    if speed < BEGINNING.aside * error[1]:
        return None
    lead, along, rest = 0.0, numbers[1] / speed, numbers[0] - start
    for _ in range(BEGINNING.passes):  # Newton's method on the parabola, which is curved where something pulls
        lead += float(rest @ along) / speed
        rest = numbers[0] - lead * numbers[1] + lead**2 / 2 * numbers[2] - start
    near = np.linalg.norm(rest) <= BEGINNING.aside * np.hypot(error[0], noise) + BEGINNING.curved * lead**2 * speed
    if not (near and abs(lead) <= BEGINNING.most_lead):
        return None
    return [Estimate(lead, max(float(np.hypot(error[0], noise)) / speed, BEGINNING.surest))]


def _joint(estimates: list[Estimate]) -> Estimate | None:
    """The mean of several bodies; wider where they disagree. None where it is too unsure."""
    if not estimates:
        return None
    value, weight = np.array([each.value for each in estimates]), np.array([each.sd**-2 for each in estimates])
    mean = float(weight @ value / weight.sum())
    spread = float(weight @ (value - mean) ** 2) / max(len(estimates) - 1, 1)
    sd = float(weight.sum() ** -0.5) * max(1.0, spread**0.5)
    return Estimate(mean, sd) if sd <= BEGINNING.unsure else None


def progress(clip: Clip, tracks: Tracks, advance: Array) -> Array:
    """Progress on the true path (T,), in frames; NaN where a prediction is off it.

    advance: (T,) frames by which each predicted frame goes on, about. Of several bodies the mean, weighted by the
    square of their steps.
    """
    window = slice(clip.handover, clip.handover + len(advance) + 1)
    path, size = clip.px_positions()[window], clip.diameters()[window] * clip.pixels_per_metre
    clock, guess = np.full(len(advance), np.nan), 0.0
    columns = np.flatnonzero(moving(clip)).tolist()
    for k, more in enumerate(advance):
        guess, total, weight = guess + more, 0.0, 0.0
        first = int(np.clip(round(guess) - PATH.around, 0, len(path) - 2))
        for column in columns:
            place, begin = tracks.position[tracks.context + k, column], path[first : first + 2 * PATH.around, column]
            step = path[first + 1 : first + 2 * PATH.around + 1, column] - begin[: len(path) - first - 1]
            begin = begin[: len(step)]
            if not np.isfinite(place).all():
                continue
            square = np.maximum((step**2).sum(axis=-1), 1e-12)
            part = np.clip(((place - begin) * step).sum(axis=-1) / square, 0, 1)
            away = np.linalg.norm(place - begin - part[:, None] * step, axis=-1)
            best = int(away.argmin())
            if away[best] < PATH.near * size[min(k + 1, len(size) - 1), column] and square[best] > PATH.least_way**2:
                total, weight = total + square[best] * (first + best + part[best]), weight + square[best]
        if weight:
            clock[k] = guess = total / weight
    return clock


def smear(clip: Clip, frames: NDArray[np.uint8], tracks: Tracks) -> float | None:
    """Smear of bodies along their motion: variance along it over the square of the step.

    A frame that is the mean of two neighbours with weights w and 1 - w has w (1 - w), at most 1/4; one that is exposed
    for all of its time 1/12; one without blur 0. None where no ball in full view moves by `least_step`.

    Args:
        frames: (T, H, W, 3), predicted.
        tracks: Of the context and the prediction.
    """
    if tracks.framing is not None:
        return None  # places are those of a camera at rest
    window = clip.window(tracks.context)
    size = clip.diameters()[window] * clip.pixels_per_metre
    whole = clip.visible_share()[window] > SMEAR.whole_view
    height, width = frames.shape[1:3]
    top = bottom = 0.0
    for column, body in enumerate(clip.tracked_bodies):
        if body.role != "moving" or body.shape != "sphere":
            continue
        step = np.diff(tracks.position[:, column], axis=0)
        speed = np.hypot(*step.T)  # px a frame
        fast = whole[1:, column] & (speed > SMEAR.least_step * size[1:, column])  # False where NaN
        if tracks.camera is not None:  # places are those of a camera at rest
            fast &= ~(np.abs(tracks.camera[1:, :2]).max(axis=1) > SMEAR.most_shift)
        for at in (1 + np.flatnonzero(fast)).tolist():
            t = at - tracks.context
            if not 0 <= t < len(frames):
                continue
            (x, y), (dx, dy) = tracks.position[at, column], step[at - 1]
            others = np.delete(tracks.position[at], column, axis=0)
            reach = size[at, column] / 2 + speed[at - 1] + 1
            if not reach < x < width - reach or not reach < y < height - reach:
                continue
            if (np.linalg.norm(others - (x, y), axis=-1) < reach + size[at].max()).any():
                continue
            rows, columns = slice(int(y - reach), int(y + reach) + 1), slice(int(x - reach), int(x + reach) + 1)
            part = frames[t, rows, columns]
            hued = (over_channels(np.maximum, part) - over_channels(np.minimum, part)).astype(np.float64)
            hued = np.maximum(hued - SMEAR.least_hued * hued.max(), 0.0)
            v, u = np.ogrid[rows, columns]
            v, u = v + 0.5, u + 0.5
            total = max(float(hued.sum()), 1e-9)
            u, v = u - (hued * u).sum() / total, v - (hued * v).sum() / total
            along, across = (u * dx + v * dy) ** 2, (v * dx - u * dy) ** 2
            squared = dx**2 + dy**2
            top += float((hued * (along - across)).sum()) / total  # variance x squared
            bottom += squared**2
    return top / bottom if bottom else None
