"""Object permanence: is everything still there, and still itself?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, minimum_filter1d
from scipy.optimize import linear_sum_assignment

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Reading, scorer
from physbench.score.visibility import LawfulContinuation, Return
from physbench.support.arrays import Array, Mask
from physbench.track.colour import HUES
from physbench.track.tracks import Tracks, Visibility, last_known
from physbench.track.visibility import FULL_VIEW, MAX_AREA_RATIO, MAX_GAP, truth_visible, whole_area

# Identity in view: exchanged bodies, slow changes of size and hue.
#
# An object that shrinks by 5 % a second, or swings about its size, stays within the bounds of a frame for seconds.
# Medians over a third of a second are compared with what the context shows and with what the first half second shows,
# as the picture draws it: what lies between is free. How far they are beyond the noise of the object's own frames is
# a loss that grows until the object counts as another one.

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


HUE = ChangeBounds(4.0, HUES.tolerance_deg)  # degrees


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


@dataclass(frozen=True)
class IntactLimits:
    """Size and colour of an object that is still there."""

    partial_area: float = 0.35  # of the area that should be seen, of an object that is or should be partly hidden
    whole_area: float = 0.75  # of an object of which nothing is hidden
    partial_time: float = 0.5  # s around the frames in which an object should be partly hidden
    # times that of the context frames, which a picture may lose or gain as a whole
    style_chroma: tuple[float, float] = (0.55, 1.8)
    object_chroma: tuple[float, float] = (0.75, 1.5)  # beyond that; an object that is paler is fading
    least_inside: float = 0.5  # of an object's area; what is left of less is all edge, whose colour codecs mix
    unresolved_radius: float = 3.5  # px; the colours of smaller objects are spread by blur and codecs
    radius_error: float = 0.5  # by which these may draw such an object larger or smaller
    last_time: float = 0.3  # s at the end of the expected frames; an object that is not seen in them is lost


INTACT = IntactLimits()


def nothing_expected(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, expected_visible: Mask
) -> dict[str, Reading] | None:
    """Not applicable where no object should be visible; what should not be there is counted all the same."""
    if (expected_visible | truth_visible(clip, tracks.context)).any():
        return None
    return {"": Reading(None, "not applicable", "no object should be visible"), **_unexpected(tracks)}


@scorer(
    id="permanence/intact",
    version=7,
    axis="permanence",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth reads 1.000 in 78 of 78 clips (64 px, 15 frames/s) and 28 of 28 (128 px, 30 frames/s)",
    source="survival x re-emergence; Spelke 1990, doi:10.1207/s15516709cog1401_3",
    headline=True,
    roles={
        "survival": "survival",
        "reemergence": "reemergence",
        "hallucinations": "unknown-objects",
        "duplicates": "doubled-objects",
    },
    needs=("lawful_continuations", "present", "expected_visible", "returns", "looks"),
    precheck=nothing_expected,
)
def intact(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    lawful_continuations: Mapping[int, LawfulContinuation],
    present: Mask,
    expected_visible: Mask,
    returns: tuple[Return, ...],
) -> dict[str, Reading]:
    """Share of the expected object-frames in which an object is intact, less unexpected blobs, times its return.

    P = max(0, survival - strange) x scenery x re-emergence. 0 to 1, higher is better; quality = P. Identity
    is by hue, size, shape and motion. docs/methodology.md (Object permanence) has the formulas and all bounds.

    An object is expected where ground truth shows at least a quarter of it, its centre in the image (fixed objects
    too), or where its own lawful motion does: that of a segment of shadowing at 0.08 diameters, also where nothing is
    seen of it. It is not expected where it is unseen while that motion is hidden, or outside the view after the object
    was seen within 0.2 s (a frame at least) of leaving, in a segment with no break before it. So another lawful future
    loses nothing, and an object that vanishes is still expected. Ground truth alone decides where a scene has no
    law (towers), where no lawful segment shows four positions over 0.3 s, and where a prediction shows too
    little for any lawful motion. Behind one image it may show an object too briefly to judge consistency; a prediction
    that shows it for longer is then still judged here by its own motion, at a velocity that the task declares.

    survival: share of all expected object-frames with a blob of the object's own hue, area and colour; partly hidden
    objects may show less, so that being hidden a little earlier or later is no loss. The area is that of the outline,
    so that how pale or dark a picture is does not matter. A blob without a position for more than 0.5 s in which half
    of the object should be seen is not the object. Nor is an object itself after an identity swap in view, as the
    motion of both shows; it is intact again once they are swapped back. Slow changes of size and hue cost by how far
    they have gone. 1 where no object is expected because its own lawful motion is hidden or outside.

    Another outline is another object: where an object is seen whole, its shape (physbench/track/patches.py) may be off
    by half of what makes an ellipse of 1.3 to 1 of a disc, or a square; where it is too small or too noisy to tell, it
    is not judged.

    strange: share of the predicted frames with a blob of a hue that the scene does not hold, with a second one of an
    object's hue, or with any other blob of a third of the smallest object's diameter or more that neither scenery nor
    objects explain, grey ones too, if it lasts 0.2 s.

    scenery: share of the predicted frames in which fixed bodies without a hue (floors, walls, ramps, screens, pillars)
    are there, mean of the bodies: every side that can be seen lies where it lay, as strong as the picture's brightness
    and contrast allow, and grey. 1 where a scene has none. Fixed bodies with a hue are objects like all others.

    re-emergence: share of the objects to be hidden (less than 5 % visible) that are unseen in those frames, and return
    in time, in place and with their area, or stay away where they should not return. The lawful segment in which the
    hidden interval begins decides when and where: its motion, fitted to what is shown before the interval (in the first
    segment with the context or without), and continued; the whole segment where too little is shown before. After a
    break the interval and return of ground truth are right too. Ground truth decides where a motion with breaks is not
    hidden while ground truth hides the object, and where no segment is known: within the same bounds, so that a break
    gains nothing. An object without a position is right only where its trajectory shows half of it for less than 0.5 s.
    1 where nothing should be hidden: from a single frame a ball may lawfully roll away from the screen.

    Further readings: survival, scenery, reemergence (not applicable where nothing is hidden), hallucinations and
    duplicates (shares of the predicted frames), lost (number of objects not seen in the last 0.3 s of their expected
    frames).
    """
    hallucinated, doubled = _spurious(tracks)
    whole = fits(clip, tracks, lawful_continuations) & keeps_chroma(clip, tracks) | keeps_colour(clip, tracks)
    whole &= present & ~exchanged(clip, tracks) & keeps_shape(tracks)
    still = whole * kept(clip, tracks, lawful_continuations)
    survival = float(np.mean(still[expected_visible])) if expected_visible.any() else 1.0
    stays = scenery_kept(tracks)
    left = max(0.0, survival - _share(hallucinated | doubled)) * stays
    back = _reemergence([each for each in returns if not each.interval.away])
    return {
        "": Reading(left if back is None else left * back),
        "survival": Reading(survival),
        "reemergence": Reading(back, "not applicable", "nothing is hidden") if back is None else Reading(back),
        "scenery": Reading(stays),
        **_unexpected(tracks),
        "lost": Reading(float(_lost(tracks, expected_visible, present))),
    }


def fits(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> Mask:
    """Mask (C + T, K) of the blobs whose area is that of the object. continuations: of the same tracks, by
    their columns."""
    window = clip.window(tracks.context)
    whole, share = whole_area(clip, tracks.context), clip.visible_share()[window]
    for column, each in continuations.items():
        share[: each.until, column] = each.trajectory.share[: each.until]
    reach = 1 + 2 * round(INTACT.partial_time * clip.spec.fps)
    near = minimum_filter1d(share, reach, axis=0, mode="nearest") < FULL_VIEW
    cut = near | (tracks.state == Visibility.CLIPPED)
    least = np.where(cut, INTACT.partial_area * share, INTACT.whole_area) * whole
    return np.asarray((tracks.area >= least) & (tracks.area <= MAX_AREA_RATIO * whole))


def keeps_chroma(clip: Clip, tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects as colourful as the picture allows; True also where nothing of one is measured."""
    if tracks.chroma is None:
        return np.ones(tracks.area.shape, dtype=bool)
    seen = (tracks.area >= INTACT.least_inside * whole_area(clip, tracks.context)) & (tracks.chroma > 0)
    own = np.log(np.where(seen, tracks.chroma, 1.0)) - _style(tracks.chroma, seen)
    low, high = np.log(INTACT.object_chroma)
    return np.asarray(~seen | ((own >= low) & (own <= high)))


def keeps_colour(clip: Clip, tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects too small to resolve that show the colour they should, however spread.

    Blur and chroma subsampling draw it larger and paler alike; its area times its chroma stays.
    """
    if tracks.chroma is None:
        return np.zeros(tracks.area.shape, dtype=bool)
    whole = np.maximum(whole_area(clip, tracks.context), 1.0)
    radius, seen = np.sqrt(whole / np.pi), (tracks.area > 0) & (tracks.chroma > 0)
    small = seen & (radius < INTACT.unresolved_radius) & (tracks.state == Visibility.VISIBLE)
    style = np.exp(_style(tracks.chroma, seen & (radius >= INTACT.unresolved_radius)))
    colour = np.sqrt(tracks.area * np.nan_to_num(tracks.chroma) / style / np.pi)  # as the radius of a disc
    return np.asarray(small & (np.abs(colour - radius) <= INTACT.radius_error))


def _style(chroma: Array, seen: Mask) -> Array:
    """Logarithm of the chroma that the picture as a whole has lost or gained (C + T, 1): that of the object seen whose
    own (C + T, K) changed least; 0 where none is seen."""
    own = np.log(np.where(seen, chroma, 1.0))
    least = np.where(seen, np.abs(own), np.inf).argmin(axis=1)[:, None]
    return np.asarray(np.clip(np.take_along_axis(own, least, axis=1), *np.log(INTACT.style_chroma)))


def keeps_shape(tracks: Tracks) -> Mask:
    """Mask (C + T, K) of objects with their own outline; True also where that is not judged."""
    if tracks.shape is None:
        return np.ones(tracks.area.shape, dtype=bool)
    return np.asarray(~(tracks.shape > 1.0))


def scenery_kept(tracks: Tracks) -> float:
    """Share of the predicted frames in which fixed bodies without a hue are there, mean of them; 1 without any."""
    if tracks.scenery_lost is None or not tracks.scenery_lost[tracks.context :].size:
        return 1.0
    return 1.0 - float(np.mean(tracks.scenery_lost[tracks.context :]))


def _spurious(tracks: Tracks) -> tuple[Mask, Mask]:
    """Predicted frames (T,) with a hue that the scene does not hold, and those with an object twice."""
    ahead = slice(tracks.context, None)
    return tracks.hallucinations[ahead] > 0, np.any(tracks.duplicates[ahead] > 0, axis=1)


def _unexpected(tracks: Tracks) -> dict[str, Reading]:
    hallucinated, doubled = _spurious(tracks)
    return {"hallucinations": Reading(_share(hallucinated)), "duplicates": Reading(_share(doubled))}


def _share(mask: Mask) -> float:
    return float(np.mean(mask)) if len(mask) else 0.0


def _reemergence(returns: Sequence[Return]) -> float | None:
    """Mean over the hidden objects of whether all their hidden intervals are right; None where nothing is hidden."""
    objects = {each.interval.column for each in returns}
    wrong = {each.interval.column for each in returns if not each.right}
    return 1 - len(wrong) / len(objects) if objects else None


def _lost(tracks: Tracks, expected: Mask, there: Mask) -> int:
    """Number of objects that are not seen in the last of their expected frames."""
    lost = 0
    for column, shown in zip(expected.T, there.T, strict=True):
        frames = np.flatnonzero(column)
        if len(frames):
            end = frames[tracks.times[frames] > tracks.times[frames[-1]] - INTACT.last_time]
            lost += not shown[end].any()
    return lost
