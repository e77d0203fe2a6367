"""Resamples videos in time: from their time stamps to the frames at the times that are scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.world.frame_rates import whole_rates

TIMESTAMP_TOLERANCE = 2e-3  # s: Matroska rounds time stamps to 1 ms
RENDERABLE_RATES = whole_rates()
RATE_TOLERANCE = 0.01  # relative: 23.976 is 24, and 4 s later the two are 4 ms apart
CHANGED_LEVELS = 24  # grey levels; a smaller difference may come from lossy coding
STILL_SHARE = 1e-4  # of the pixels; if fewer have changed, nothing moves

Frame = NDArray[np.uint8]


def scored_rate(rates: Iterable[float], asked: float) -> float:
    """The frame rate at which videos are scored: the commonest of their own, if it can be rendered.

    Videos whose rate is a multiple of the export's, or does not divide 1200, are resampled to that of the export.

    Args:
        rates: Frames a second of each video.
        asked: Frames a second of the export.
    """
    votes: dict[float, int] = {}
    for rate in rates:
        chosen = asked if _is_multiple(rate, asked) else renderable_rate(rate) or asked
        votes[chosen] = votes.get(chosen, 0) + 1
    return max(votes, key=lambda rate: (votes[rate], rate == asked, rate)) if votes else asked


def _is_multiple(rate: float, asked: float) -> bool:
    times = round(rate / asked)
    return times >= 1 and abs(rate / (times * asked) - 1) <= RATE_TOLERANCE


def renderable_rate(rate: float) -> float | None:
    return next((float(known) for known in RENDERABLE_RATES if abs(rate / known - 1) <= RATE_TOLERANCE), None)


@dataclass(frozen=True, eq=False)
class Timing:
    """When the frames of a video are shown."""

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
        """How many frames this may be, with those that were left out, and a long last one in two ways."""
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
    rate: float, tick: float, asked: float, fitting: Callable[[float], int], *, is_coarse: bool
) -> float | None:
    """The rate in frames/s that a container had to round, or None: what it says is what was meant.

    A rate is possible where rounding its interval to the clock gives that of the file, or rounding the rate itself to a
    whole number does. Of these, the number of frames decides: that which most videos answer in full.

    Args:
        rate: Frames a second by the time stamps.
        tick: Seconds to which intervals were rounded.
        asked: Frames a second of the export.
        fitting: How many videos have as many frames as was asked for, at a rate.
        is_coarse: Whether the container can hold few rates, as GIF: the export's is then more likely than an odd one.
    """
    own = renderable_rate(rate)
    possible = [other for other in dict.fromkeys((asked, own, *([] if own else RENDERABLE_RATES))) if other]
    possible = [other for other in possible if _rounds_to(other, rate, tick)]
    votes = {other: fitting(other) for other in possible}
    best = max(possible, key=lambda other: (votes[other], other == asked, other == own), default=None)
    if best is None or (not votes[best] and (own or not is_coarse or best != asked)):
        return None
    return float(best)


def _rounds_to(meant: float, rate: float, tick: float) -> bool:
    """Whether a rate in frames/s may have become another one by rounding its interval, or the rate itself."""
    by_clock = abs(1 / meant - 1 / rate) < tick * (1 - 1e-6)
    return by_clock or (_is_whole(rate) and not _is_whole(meant) and abs(meant - rate) < 1)


def frames_at_times(
    stream: Iterable[tuple[float, float, Frame]], targets: Sequence[float], rate: float
) -> Iterator[Frame]:
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
        while target is not None and held is not None and target + half < time - TIMESTAMP_TOLERANCE:
            yield held
            target = next(waiting, None)
        if target is None:
            return
        held, end = frame, time + max(duration, 1 / rate) - half
    while target is not None and held is not None and target <= end + TIMESTAMP_TOLERANCE:
        yield held
        target = next(waiting, None)


def begins_with_context(first: Frame, context: NDArray[np.uint8], spare: float, lead: float) -> bool:
    """Whether a video begins with several conditioning frames: by its first frame, or by its length if nothing moves.

    Behind a single image all videos are looked at together: see `videos_start`.

    Args:
        first: First frame (H, W, 3).
        context: Conditioning frames (C, H, W, 3), C > 1.
        spare: Seconds by which the video is longer than the horizon.
        lead: Seconds that the conditioning frames take.
    """
    from_start, from_end = _changed_share(first, context[0]), _changed_share(first, context[-1])
    if max(from_start, from_end) > STILL_SHARE and from_start != from_end:
        return from_start < from_end
    return spare > lead / 2


def _changed_share(a: Frame, b: Frame) -> float:
    """Share of the pixels that differ by more than CHANGED_LEVELS."""
    difference = np.abs(a.astype(np.int16) - b)
    return float((difference.max(axis=-1) > CHANGED_LEVELS).mean())
