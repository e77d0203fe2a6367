"""From the time stamps of a video to the frames at the times that are scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.world.scene import PHYSICS_HZ

EPSILON = 2e-3  # s: Matroska rounds time stamps to 1 ms
RATES = tuple(rate for rate in range(4, 61) if PHYSICS_HZ % rate == 0)
NEAR = 0.01  # relative: 23.976 is 24, and 4 s later the two are 4 ms apart
CHANGED = 24  # levels by which a pixel of a lossy video differs where something moved
STILL = 1e-4  # of the pixels: fewer have changed where nothing moves

Frame = NDArray[np.uint8]


def scored_rate(rates: Iterable[float], asked: float) -> float:
    """Frames a second at which videos are scored: their own, if they have one that can be rendered.

    Rates that are a multiple of the asked one, and those that do not divide 1200, are resampled to the asked one.
    """
    votes: dict[float, int] = {}
    for rate in rates:
        chosen = asked if _is_multiple(rate, asked) else _renderable(rate) or asked
        votes[chosen] = votes.get(chosen, 0) + 1
    return max(votes, key=lambda rate: (votes[rate], rate == asked, rate)) if votes else asked


def _is_multiple(rate: float, asked: float) -> bool:
    times = round(rate / asked)
    return times >= 1 and abs(rate / (times * asked) - 1) <= NEAR


def _renderable(rate: float) -> float | None:
    return next((float(known) for known in RATES if abs(rate / known - 1) <= NEAR), None)


def at_times(stream: Iterable[tuple[float, float, Frame]], targets: Sequence[float], rate: float) -> Iterator[Frame]:
    """The frame shown at each of the ascending `targets` s, as long as the video lasts.

    stream: (time, duration, frame). A frame is shown from half an interval (of `rate`) before its time on, until the
    next one is: for an even rate that is the nearest frame, and where frames were left out, the one that stays.
    """
    half = 0.5 / rate
    waiting = iter(targets)
    target = next(waiting, None)
    held, end = None, 0.0
    for time, duration, frame in stream:
        while target is not None and held is not None and target + half < time - EPSILON:
            yield held
            target = next(waiting, None)
        if target is None:
            return
        held, end = frame, time + max(duration, 1 / rate) - half
    while target is not None and held is not None and target <= end + EPSILON:
        yield held
        target = next(waiting, None)


def begins_with_context(
    first: Frame, second: Frame | None, context: NDArray[np.uint8], spare: float, lead: float
) -> bool:
    """Whether a video begins with the conditioning frames, from its first two frames (H, W, 3).

    context: (C, H, W, 3), all that was shown. spare: s by which the video is longer than the horizon; lead: s that the
    conditioning takes. Where nothing moves the length decides.
    """
    if len(context) > 1:
        from_start, from_end = _changed(first, context[0]), _changed(first, context[-1])
        if max(from_start, from_end) > STILL and from_start != from_end:
            return from_start < from_end
    elif second is not None:
        step = _changed(second, first)
        if step > STILL:
            return _changed(first, context[-1]) < step / 2
    return spare > lead / 2


def _changed(a: Frame, b: Frame) -> float:
    """Share of the pixels that differ."""
    gap = np.abs(a.astype(np.int16) - b)
    return float((gap.max(axis=-1) > CHANGED).mean())
