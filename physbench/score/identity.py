"""Identity in view: exchanged bodies, slow changes of size and hue.

An object that shrinks by 5 % a second, or swings about its size, stays within the bounds of a frame for seconds.
Medians over a third of a second are compared with what the context shows and with what the first half second shows, as
the picture draws it: what lies between is free. How far they are beyond the noise of the object's own frames is a loss
that grows until the object counts as another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.score.visibility import LawfulContinuation
from physbench.support.arrays import Array, Mask
from physbench.track.colour import HUE_TOLERANCE_DEG
from physbench.track.finite_differences import last_known
from physbench.track.tracks import Tracks, Visibility
from physbench.track.visibility import FULL_VIEW, MAX_AREA_RATIO, MAX_GAP, whole_area

# Bodies that exchange their hues, or their places, in view: motion tells it where the hue cannot.
#
# A body that is acted on once between two frames has moved by s v + (1 - s) w in that time, v and w its velocities
# before and after, s from 0 to 1. A track that is further off than half a diameter has not moved so. Where two or more
# tracks are, within the same time, and each of them has moved so from where another one was, these bodies have been
# exchanged. Two bodies of one kind that meet, pass or hide each other never have: none is where it cannot have come to.


@dataclass(frozen=True)
class SwapLimits:
    """Leaps of tracks that are swaps of identity."""

    least_leap: float = 0.5  # diameters that a track is away from where its own motion leads
    most_miss: float = 0.25  # diameters that it is away from where the other body's motion leads
    clearer: float = 0.5  # of its jump; the miss is smaller than that, too


SWAP = SwapLimits()


@dataclass(frozen=True, eq=False)
class _Jump:
    """Two frames with a position, one after the other, between which a track did not move as a body does."""

    column: int
    before: int
    after: int
    off: float  # px from where its own motion leads


def exchanged(clip: Clip, tracks: Tracks) -> Mask:
    """Mask (C + T, K) of tracks that show another body than that of their hue, after an identity swap in view."""
    frames, objects = tracks.position.shape[:2]
    owner = np.tile(np.arange(objects), (frames, 1))
    diameter = np.nan_to_num(clip.diameters()[clip.window(tracks.context)].max(axis=0)) * clip.pixels_per_metre
    known = [np.flatnonzero(np.isfinite(track).all(axis=-1)) for track in tracks.position.swapaxes(0, 1)]
    jumps = [jump for k in range(objects) for jump in _jumps(tracks, k, known[k], SWAP.least_leap * diameter[k])]
    for group in _together(jumps):
        before = {jump.column: int(owner[jump.before, jump.column]) for jump in group}
        for jump, other in _exchanges(tracks, group, known, diameter):
            owner[jump.after :, jump.column] = before[other.column]
    return np.asarray(owner != np.arange(objects))


def _jumps(tracks: Tracks, column: int, known: NDArray[np.intp], least: float) -> Iterator[_Jump]:
    if len(known) < 3:
        return
    place, times = tracks.position[known, column], tracks.times[known]
    moved, took = np.diff(place, axis=0), np.diff(times)
    velocity = moved / took[:, None]
    turned = np.linalg.norm(velocity[1:] - velocity[:-1], axis=-1)  # how far off is at most this times the time
    change = np.maximum(np.append(turned[0], turned), np.append(turned, turned[-1]))
    for i in np.flatnonzero((change * took > least) & (took <= MAX_GAP + 1e-9)):
        before, after = int(known[i]), int(known[i + 1])
        off = _miss(tracks, (column, before), (column, after), known, known)
        if off > least:
            yield _Jump(column, before, after, off)


def _miss(
    tracks: Tracks, old: tuple[int, int], new: tuple[int, int], seen_old: NDArray[np.intp], seen_new: NDArray[np.intp]
) -> float:
    """Distance in px of the place of one track at a frame from where the motion of one at an earlier frame leads.

    old, new: column and frame. NaN where neither velocity is known.
    """
    (from_column, before), (to_column, after) = old, new
    velocities = [
        _velocity(tracks, from_column, seen_old[seen_old <= before][-2:]),
        _velocity(tracks, to_column, seen_new[seen_new >= after][:2]),
    ]
    there = [each for each in velocities if each is not None]
    if not there:
        return float("nan")
    first, last = (each * (tracks.times[after] - tracks.times[before]) for each in (there[0], there[-1]))
    moved = tracks.position[after, to_column] - tracks.position[before, from_column]
    span = last - first
    share = np.clip((moved - first) @ span / max(float(span @ span), 1e-12), 0.0, 1.0)
    return float(np.linalg.norm(moved - first - share * span))


def _velocity(tracks: Tracks, column: int, two: NDArray[np.intp]) -> Array | None:
    """Velocity (2,) in px/s between two frames; None of one frame, or of two that are far apart."""
    if len(two) < 2 or tracks.times[two[1]] - tracks.times[two[0]] > MAX_GAP + 1e-9:
        return None
    first, last = tracks.position[two, column]
    return np.asarray((last - first) / (tracks.times[two[1]] - tracks.times[two[0]]))


def _together(jumps: list[_Jump]) -> Iterator[list[_Jump]]:
    """Groups of jumps of several tracks whose times overlap, in the order of time."""
    group: list[_Jump] = []
    end = -1
    for jump in sorted(jumps, key=lambda each: (each.before, each.column)):
        if group and jump.before >= end:
            yield group
            group = []
        end = max(end, jump.after) if group else jump.after
        if jump.column not in [each.column for each in group]:
            group.append(jump)
    if group:
        yield group


def _exchanges(
    tracks: Tracks, group: list[_Jump], known: list[NDArray[np.intp]], diameter: Array
) -> Iterator[tuple[_Jump, _Jump]]:
    """Pairs of a jump and the one of the track that showed the same body before it."""
    if len(group) < 2:
        return
    cost = np.array(
        [
            [
                _miss(tracks, (old.column, old.before), (new.column, new.after), known[old.column], known[new.column])
                if new.after > old.before
                else np.inf
                for old in group
            ]
            for new in group
        ]
    )
    from scipy.optimize import linear_sum_assignment

    far = float(np.max(cost[np.isfinite(cost)])) * len(group) + 1.0
    cost = np.where(np.isfinite(cost), cost, far)
    _, chosen = linear_sum_assignment(cost)
    own = np.array([jump.off for jump in group])
    size = diameter[[jump.column for jump in group]]
    miss = cost[np.arange(len(group)), chosen]
    good = (chosen != np.arange(len(group))) & (miss < SWAP.most_miss * size) & (miss < SWAP.clearer * own)
    for i in range(len(group)):
        cycle = [i]
        while chosen[cycle[-1]] != i:
            cycle.append(int(chosen[cycle[-1]]))
        if good[cycle].all():
            yield group[i], group[int(chosen[i])]


@dataclass(frozen=True)
class ChangeBounds:
    """From where a change costs, and where all is lost."""

    free: float  # what styles do to true objects
    all: float


SIZE = ChangeBounds(0.03, float(np.log(MAX_AREA_RATIO)) / 2)  # of a length, as a logarithm


@dataclass(frozen=True)
class OwnLook:
    """An object's own size and hue in the picture's style."""

    time: float = 0.5  # s of what is first seen whole, that tells them
    latest: float = 1.0  # s by which that begins; of what is first seen later the others tell what the style does
    median_time: float = 0.3  # s
    size_error_px: float = 0.5  # of a diameter, that codecs make for long


OWN = OwnLook()


HUE = ChangeBounds(4.0, HUE_TOLERANCE_DEG)  # degrees


def kept(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> Array:
    """Share (C + T, K) of itself that an object has kept in size and hue: 1 to 0; 1 where nothing is measured.

    continuations: of the same tracks, by their columns.
    """
    grade = np.ones(tracks.area.shape)
    if tracks.chroma is None:  # tracks of states have no pictures
        return grade
    whole = whole_area(clip, tracks.context)
    share = clip.visible_share()[clip.window(tracks.context)]
    for column, each in continuations.items():
        share[: each.until, column] = np.minimum(share, each.trajectory.share[:, None])[: each.until, column]
    seen = (tracks.state == Visibility.VISIBLE) & (share > FULL_VIEW) & (tracks.area > 0)
    seen[: tracks.context] = False
    size = np.where(seen, np.log(np.where(seen, tracks.area, 1.0) / np.maximum(whole, 1.0)) / 2, np.nan)
    hue = np.where(seen, tracks.hue, np.nan)
    for values, bounds in ((size, SIZE), (hue, HUE)):
        change, noise = _changes(values, tracks.times)
        if bounds is HUE:
            change = change - _shared(change)
        free = np.maximum(bounds.free, 4.0 * noise)  # sd of the noise of a median, within which a change is free
        if bounds is SIZE:
            free = np.maximum(free, OWN.size_error_px / np.sqrt(4 / np.pi * np.maximum(np.median(whole, axis=0), 1.0)))
        lost = (np.abs(np.nan_to_num(last_known(change))) - free) / np.maximum(bounds.all - free, 1e-9)
        grade *= 1 - np.clip(lost, 0.0, 1.0)
    return grade


def _changes(values: Array, times: Array) -> tuple[Array, Array]:
    """Distances of medians over `median_time` of values (T, K) from what lies between 0, as in the context, and what
    each object begins with; and the sd (K,) of their noise.

    NaN where a value is not known. Noise is told by second differences, to which what changes evenly adds nothing.
    """
    from scipy.ndimage import median_filter

    rate = 1 / float(times[1] - times[0])
    frames = 1 + 2 * max(1, round(OWN.median_time * rate / 2))
    change, noise, own = np.full(values.shape, np.nan), np.zeros(values.shape[1]), np.full(values.shape[1], np.nan)
    known = np.isfinite(values)
    for k, at in enumerate(np.flatnonzero(column) for column in known.T):
        if len(at) and times[at[0]] <= OWN.latest:
            own[k] = np.median(values[at[times[at] <= times[at[0]] + OWN.time], k])
    usual = float(np.nanmedian(own)) if np.isfinite(own).any() else 0.0
    for k, at in enumerate(np.flatnonzero(column) for column in known.T):
        if len(at) < frames:
            continue
        begins = own[k] if np.isfinite(own[k]) else usual
        smooth = median_filter(values[at, k], frames, mode="nearest")
        change[at, k] = smooth - np.clip(smooth, min(begins, 0.0), max(begins, 0.0))
        noise[k] = np.median(np.abs(np.diff(values[at, k], 2))) / 0.6745 / np.sqrt(6) * np.sqrt(np.pi / 2 / frames)
    return change, noise


def _shared(change: Array) -> Array:
    """Change of the picture as a whole (T, 1): that of the object which changed least, of those that are seen.

    NaN where only one is seen of several; a lone object does what the picture does.
    """
    far = np.where(np.isfinite(change), np.abs(change), np.inf)
    least = np.take_along_axis(change, far.argmin(axis=1)[:, None], axis=1)
    compared = np.isfinite(far).sum(axis=1) >= min(2, change.shape[1])
    return np.where(compared[:, None], least, np.nan)
