"""Resamples videos in time: from their time stamps to the frames at the times that are scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
        chosen = asked if _is_multiple(rate, asked) else _renderable_rate(rate) or asked
        votes[chosen] = votes.get(chosen, 0) + 1
    return max(votes, key=lambda rate: (votes[rate], rate == asked, rate)) if votes else asked


def _is_multiple(rate: float, asked: float) -> bool:
    times = round(rate / asked)
    return times >= 1 and abs(rate / (times * asked) - 1) <= RATE_TOLERANCE


def _renderable_rate(rate: float) -> float | None:
    return next((float(known) for known in RENDERABLE_RATES if abs(rate / known - 1) <= RATE_TOLERANCE), None)


def frames_at_times(
    stream: Iterable[tuple[float, float, Frame]], targets: Sequence[float], rate: float
) -> Iterator[Frame]:
    """The frame that is shown at each target time, as long as the video lasts.

    A frame is shown from half an interval before its time stamp until the next frame is shown: at an even rate that is
    the nearest frame, and where frames were left out, the last one stays.

    Args:
        stream: (time s, duration s, frame (H, W, 3)), in order.
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
