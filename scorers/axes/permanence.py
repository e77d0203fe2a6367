"""Object permanence: is everything still there, and still itself?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.identity import exchanged, kept
from physbench.score.protocol import Reading, scorer
from physbench.score.visibility import LawfulContinuation, Return
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import Tracks, Visibility
from physbench.track.visibility import FULL_VIEW, MAX_AREA_RATIO, truth_visible, whole_area


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
    from scipy.ndimage import minimum_filter1d

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
