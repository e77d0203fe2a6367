"""Object permanence: is everything still there, and still itself?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.due import MOST_MASS, due, seen, whole_area
from physbench.scoring.hiding import BACK_WITHIN, Return, returns
from physbench.scoring.protocol import Reading, scorer
from physbench.tracks.tracks import Tracks, Visibility

LEAST_MASS = 0.35  # of what ground truth shows of an object that is partly hidden, here or in ground truth
WHOLE = 0.95  # visible share
LEAST_WHOLE = 0.75  # of an object of which nothing is hidden
END = 0.3  # s: what is not seen in the last part of its due time is lost

Mask = NDArray[np.bool_]


@scorer(
    id="permanence/intact",
    version=2,
    axis="permanence",
    unit="1",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth reads 1.000 in each of 120 clips (64 px, 15 frames/s)",
    source="survival x re-emergence; Spelke 1990, doi:10.1207/s15516709cog1401_3",
    provisional=True,
    headline=True,
)
def intact(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Share of the due object-frames in which an object is intact, less what is too much, times its return.

    P = max(0, survival - strange) x re-emergence. 0 to 1, higher is better; quality = P. Identity is by hue and size.

    survival: of all due object-frames (ground truth shows at least a quarter of the object, its centre in the image;
    fixed objects too) the share in which there is a blob of the object's own hue and size: its area within 25 % of that
    of the object; at least 0.35 of what ground truth shows where the border cuts it or ground truth hides a part of it
    within 0.5 s, so that being hidden a little earlier or later is no loss.

    strange: share of the predicted frames with a blob of a hue that the scene does not hold, or with a second one of
    an object's hue.

    re-emergence: mean over the objects that ground truth hides (less than 5 % to be seen) of 1 if the object is unseen
    in at least 80 % of those frames, or of as many up to 0.5 s earlier or later, is seen again within 0.5 s of the true
    time, and first has a position within one diameter of its true way; else 0. What ground truth does not show again
    must be unseen in 80 % of the frames that hide it, and not be seen for more than 0.1 s in a row once it is gone, nor
    later than 0.5 s after it should be. A factor of 1 where nothing is hidden.

    Further readings: survival, reemergence (not applicable where nothing is hidden), hallucinations and duplicates
    (shares of the predicted frames), lost (number of objects not seen in the last 0.3 s of their due time).
    """
    context = tracks.context
    owed = due(clip, context)
    hallucinated: Mask = tracks.hallucinations[context:] > 0
    doubled: Mask = np.any(tracks.duplicates[context:] > 0, axis=1)
    counts = {"hallucinations": Reading(_share(hallucinated)), "duplicates": Reading(_share(doubled))}
    if not owed.any():
        return {"": Reading(None, "not applicable", "no object is due"), **counts}
    there = seen(clip, tracks)
    survival = float(np.mean((there & fits(clip, tracks))[owed]))
    kept = max(0.0, survival - _share(hallucinated | doubled))
    back = _reemergence(returns(clip, tracks))
    return {
        "": Reading(kept if back is None else kept * back),
        "survival": Reading(survival),
        "reemergence": Reading(back, "not applicable", "nothing is hidden") if back is None else Reading(back),
        **counts,
        "lost": Reading(float(_lost(tracks, owed, there))),
    }


def fits(clip: Clip, tracks: Tracks) -> Mask:
    """Where the area of what is seen is that of the object (C + T, K)."""
    window = clip.window(tracks.context)
    whole, shown = whole_area(clip, tracks.context), clip.visible_area[window][:, list(clip.tracked)]
    reach = 1 + 2 * round(BACK_WITHIN * clip.spec.fps)
    near = minimum_filter1d(clip.visible_share()[window], reach, axis=0, mode="nearest") < WHOLE
    cut = near | (tracks.state == Visibility.CLIPPED)
    least = np.where(cut, LEAST_MASS * shown, LEAST_WHOLE * whole)
    return np.asarray((tracks.area >= least) & (tracks.area <= MOST_MASS * whole))


def _share(mask: Mask) -> float:
    return float(np.mean(mask)) if len(mask) else 0.0


def _reemergence(found: tuple[Return, ...]) -> float | None:
    """Mean over the hidden objects of whether all that happens to them is right; None where nothing is hidden."""
    objects = {each.hiding.column for each in found}
    wrong = {each.hiding.column for each in found if not each.right}
    return 1 - len(wrong) / len(objects) if objects else None


def _lost(tracks: Tracks, owed: Mask, there: Mask) -> int:
    """Number of objects that are not seen in the last frames of their due time."""
    lost = 0
    for column, shown in zip(owed.T, there.T, strict=True):
        frames = np.flatnonzero(column)
        if len(frames):
            end = frames[tracks.times[frames] > tracks.times[frames[-1]] - END]
            lost += not shown[end].any()
    return lost
