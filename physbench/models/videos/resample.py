"""Resamples videos to the frames that are scored, in time and in space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from physbench.clips.conditioning import Fit
from physbench.support.arrays import Image
from physbench.world.scene import whole_rates

# Resamples videos in time: from their time stamps to the frames at the times that are scored.


@dataclass(frozen=True)
class RateTolerance:
    """Differences that rounding and coding explain."""

    timestamp: float = 2e-3  # s: Matroska rounds time stamps to 1 ms
    rate: float = 0.01  # relative: 23.976 is 24, and 4 s later the two are 4 ms apart
    aspect: float = 0.005  # relative difference of width / height that rounding to whole px explains


TOLERANCE = RateTolerance()


RENDERABLE_RATES = whole_rates()


def scored_rate(rates: Iterable[float], requested: float) -> float:
    """The frame rate at which videos are scored: the commonest of their own, if it can be rendered.

    Videos whose rate is a multiple of the export's, or does not divide 1200, are resampled to that of the export.

    Args:
        rates: Frames a second of each video.
        requested: Frames a second of the export.
    """
    votes: dict[float, int] = {}
    for rate in rates:
        chosen = requested if _is_multiple(rate, requested) else renderable_rate(rate) or requested
        votes[chosen] = votes.get(chosen, 0) + 1
    return max(votes, key=lambda rate: (votes[rate], rate == requested, rate)) if votes else requested


def _is_multiple(rate: float, base: float) -> bool:
    times = round(rate / base)
    return times >= 1 and abs(rate / (times * base) - 1) <= TOLERANCE.rate


def renderable_rate(rate: float) -> float | None:
    return next((float(known) for known in RENDERABLE_RATES if abs(rate / known - 1) <= TOLERANCE.rate), None)


@dataclass(frozen=True, eq=False)
class Timing:
    """Display times of the frames of a video."""

    rate: float  # frames a second
    stamps: NDArray[np.float64]  # (T,) s from the first frame
    end: float  # s from the first frame to the end of the last one

    def time(self, number: int) -> float:
        """Seconds from the first frame to a frame; beyond the last one, at an even rate."""
        beyond = number + 1 - len(self.stamps)
        return float(self.stamps[number]) if beyond <= 0 else float(self.stamps[-1]) + beyond / self.rate

    def duration(self, number: int) -> float:
        """Seconds for which the last frame is shown; 0 for others, which stay until the next one."""
        return self.end - float(self.stamps[-1]) if number + 1 == len(self.stamps) else 0.0

    @property
    def counts(self) -> set[int]:
        """Numbers of frames this may be, with those that were left out, and a long last one in two ways."""
        return {len(self.stamps), round(float(self.stamps[-1]) * self.rate) + 1, round(self.end * self.rate)}


def evenly_timed(frames: int, rate: float) -> Timing:
    """Frames one after the other at a rate in frames/s."""
    return Timing(rate, np.arange(frames) / rate, frames / rate)


def retimed(timing: Timing, rate: float) -> Timing:
    """The same frames at another rate, frames/s. A frame that was left out stays so; jitter does not.

    Intervals are counted in those of the new rate where the old one may be a rounding of it: a frame that stays for
    five was rounded once.
    """
    counted = rate if abs(rate / timing.rate - 1) < 0.3 else timing.rate
    steps = np.diff(timing.stamps, append=timing.end) * counted
    whole = np.maximum(np.rint(steps), 1)
    if np.abs(steps - whole)[:-1].max(initial=0) > 0.45:
        return evenly_timed(len(timing.stamps), rate)
    places = np.concatenate([[0], np.cumsum(whole)])
    return Timing(rate, places[:-1] / rate, float(places[-1]) / rate)


def clock_tick(interval: float, unit: float, *, is_fixed: bool) -> float:
    """Seconds by which rounding may have changed the interval between frames; 0: it is as exact as it was meant.

    A container whose unit is made for its rate holds any rate. An interval of whole milliseconds may have been rounded
    before it came into such a container, and one of whole hundredths of a second, which is no whole rate, as in a GIF.

    Args:
        interval: The commonest, s.
        unit: That of the time stamps, s.
        is_fixed: Whether the unit is the container's own, whatever the rate.
    """
    if not interval:
        return 0.0
    ticks = [unit] if unit <= 0.01 and (is_fixed or interval > 1.5 * unit) else []
    is_whole = abs(1 / interval - round(1 / interval)) < 1e-6
    ticks += [step for step in (0.001, 0.01) if not is_whole and _is_whole(interval / step)]
    return max(ticks, default=0.0)


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-4


def meant_rate(
    rate: float, tick: float, requested: float, fitting: Callable[[float], int], *, is_coarse: bool
) -> float | None:
    """The rate in frames/s that a container had to round, or None: what it says is what was meant.

    A rate is possible where rounding its interval to the clock gives that of the file, or rounding the rate itself to a
    whole number does. Of these, the number of frames decides: that which most videos answer in full.

    Args:
        rate: Frames a second by the time stamps.
        tick: Seconds to which intervals were rounded.
        requested: Frames a second of the export.
        fitting: How many videos have as many frames as was asked for, at a rate.
        is_coarse: Whether the container can hold few rates, as GIF: the export's is then more likely than an odd one.
    """
    own = renderable_rate(rate)
    possible = [other for other in dict.fromkeys((requested, own, *([] if own else RENDERABLE_RATES))) if other]
    possible = [other for other in possible if _rounds_to(other, rate, tick)]
    votes = {other: fitting(other) for other in possible}
    best = max(possible, key=lambda other: (votes[other], other == requested, other == own), default=None)
    if best is None or (not votes[best] and (own or not is_coarse or best != requested)):
        return None
    return float(best)


def _rounds_to(meant: float, rate: float, tick: float) -> bool:
    """True if a rate in frames/s may have become another one by rounding its interval, or the rate itself."""
    by_clock = abs(1 / meant - 1 / rate) < tick * (1 - 1e-6)
    return by_clock or (_is_whole(rate) and not _is_whole(meant) and abs(meant - rate) < 1)


def frames_at_times(
    stream: Iterable[tuple[float, float, Image]], targets: Sequence[float], rate: float
) -> Iterator[Image]:
    """The frame that is shown at each target time, as long as the video lasts.

    A frame is shown from half an interval before its time stamp until the next frame is shown: at an even rate that is
    the nearest frame, and where frames were left out, the last one stays.

    Args:
        stream: (time s, duration s, frame (H, W, 3)), in order. Only the duration of the last frame counts.
        targets: Times in s, ascending.
        rate: Frames a second of the video.
    """
    half = 0.5 / rate
    waiting = iter(targets)
    target = next(waiting, None)
    held, end = None, 0.0
    for time, duration, frame in stream:
        while target is not None and held is not None and target + half < time - TOLERANCE.timestamp:
            yield held
            target = next(waiting, None)
        if target is None:
            return
        held, end = frame, time + max(duration, 1 / rate) - half
    while target is not None and held is not None and target <= end + TOLERANCE.timestamp:
        yield held
        target = next(waiting, None)


def begins_with_context(first: Image, context: NDArray[np.uint8], spare: float, lead: float) -> bool:
    """True if a video begins with several conditioning frames: by its first frame, or by its length if nothing moves.

    Behind a single image all videos are compared together: see `start.decide_start`.

    Args:
        first: First frame (H, W, 3).
        context: Conditioning frames (C, H, W, 3), C > 1.
        spare: Seconds by which the video is longer than the horizon.
        lead: Seconds that the conditioning frames take.
    """
    from_start, from_end = _changed_share(first, context[0]), _changed_share(first, context[-1])
    # If fewer of the pixels have changed, nothing moves
    if max(from_start, from_end) > 1e-4 and from_start != from_end:
        return from_start < from_end
    return spare > lead / 2


def _changed_share(a: Image, b: Image) -> float:
    """Share of the pixels that differ by more than 24 grey levels: less may come from lossy coding."""
    difference = np.abs(a.astype(np.int16) - b)
    return float((difference.max(axis=-1) > 24).mean())


def scored_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) px at which frames of the exported size are scored: a whole fraction of the shorter side."""
    short = min(height, width)
    side = round(short / -(-short // 256))  # bodies then are at least 20 px wide; more pixels only cost time and memory
    return (side, round(width * side / short)) if height <= width else (round(height * side / short), side)


def same_shape(requested: tuple[int, int], got: tuple[int, int], pixel_aspect: float = 1.0) -> bool:
    """True if two sizes (height, width) have the same aspect ratio, up to rounding to whole pixels.

    `pixel_aspect` is the width by the height of the pixels of `got`.
    """
    ratio = (got[1] * pixel_aspect / got[0]) / (requested[1] / requested[0])
    pixel = 1.0 / min(*requested, *got)
    return abs(ratio - 1) <= max(TOLERANCE.aspect, pixel)


@dataclass(frozen=True, eq=False)
class Resampler:
    """Resamples frames of one size to the scored size by averaging over the area of each pixel."""

    rows: sparse.csr_array | None  # weights (h, H); None: the frames stay as they are
    columns: sparse.csr_array | None  # weights (w, W)
    covered: bool  # whether the video shows all of the square window
    shown: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None  # (h,), (w,) what the video shows; None: all

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frame (H, W, 3) -> (h, w, 3)."""
        if self.rows is None or self.columns is None:
            return frame
        height, width, _ = frame.shape
        h, w = self.rows.shape[0], self.columns.shape[0]
        narrow = (self.rows @ frame.reshape(height, width * 3).astype(np.float32)).reshape(h, width, 3)
        turned = np.ascontiguousarray(narrow.transpose(1, 0, 2)).reshape(width, h * 3)
        small = (self.columns @ turned).reshape(w, h, 3).transpose(1, 0, 2)
        result: NDArray[np.uint8] = np.clip(np.rint(small), 0, 255).astype(np.uint8)
        return result

    def inside(self, height: int, width: int) -> NDArray[np.bool_]:
        """(h, w) which pixels of the result show the picture, for frames of a size; the others repeat its edge."""
        if self.shown is None:
            return np.ones((height, width), dtype=np.bool_)
        return self.shown[0][:, None] & self.shown[1]


def make_resampler(
    requested: tuple[int, int],
    got: tuple[int, int],
    scored: tuple[int, int],
    fit: Fit | None,
    pixel_aspect: float = 1.0,
) -> Resampler:
    """Make the resampler for videos of one size.

    Args:
        requested: (height, width) px of the export.
        got: (height, width) px of the video.
        scored: (height, width) px of the frames that are scored.
        fit: How the picture was fitted into the video, if the shapes differ.
        pixel_aspect: Width by height of the video's pixels.
    """
    if requested == got == scored and (pixel_aspect == 1 or fit in (None, "stretch")):
        return Resampler(None, None, True)
    scales = got[0] / requested[0], got[1] / requested[1]  # px of the video by px of the export
    if fit in ("contain", "cover"):
        scale = (min if fit == "contain" else max)(scales[0], scales[1] * pixel_aspect)
        scales = scale, scale / pixel_aspect
    shrink = min(requested) / min(scored)  # exported px in one scored px
    matrices, shown, covered = [], [], True
    for axis in (0, 1):
        # Scored pixel j covers [edge[j], edge[j + 1]] in the video; the centre stays the centre.
        edges = (np.arange(scored[axis] + 1) - scored[axis] / 2) * shrink * scales[axis] + got[axis] / 2
        margin = max((got[axis] - requested[axis] * scales[axis]) / 2, 0.0)  # px, width of a bar at either end
        matrices.append(_averaging_weights(edges, got[axis], margin))
        centres = (edges[1:] + edges[:-1]) / 2
        shown.append((centres >= margin) & (centres <= got[axis] - margin))
        covered &= min(requested) * scales[axis] <= got[axis] * (1 + TOLERANCE.aspect)
    return Resampler(matrices[0], matrices[1], covered, (shown[0], shown[1]))


def _averaging_weights(edges: NDArray[np.floating], length: int, margin: float) -> sparse.csr_array:
    """Weights (n, length) that average over [edges[j], edges[j + 1]]. Outside of the picture its edge is repeated.

    Pixels that a bar of `margin` px at either end touches count as outside. An interval shorter than a pixel is widened
    to one pixel, which is linear interpolation.
    """
    first = int(np.ceil(margin - 1e-6))
    last = max(length - 1 - first, first)
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.maximum(np.diff(edges), 1.0)
    rows, columns, weights = [], [], []
    for row, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        low, high = centre - width / 2, centre + width / 2
        pixels = np.arange(int(np.floor(low)), int(np.ceil(high)))
        share = np.minimum(pixels + 1, high) - np.maximum(pixels, low)
        rows.append(np.full(len(pixels), row))
        columns.append(np.clip(pixels, first, last))
        weights.append(share / share.sum())
    entries = (np.concatenate(weights).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.coo_array(entries, shape=(len(centres), length)).tocsr()  # weights of the same element are added
