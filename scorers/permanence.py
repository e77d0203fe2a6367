"""Object permanence: is everything still there, and still itself?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.due import DUE_SHARE, HIDDEN_SHARE, MOST_MASS, due, inside_view, seen, whole_area
from physbench.scoring.protocol import Reading, scorer
from physbench.tracks.tracks import Tracks

LEAST_MASS = 0.35  # of what ground truth shows of the object
UNSEEN = 0.8  # share of the hidden frames in which the object must not be seen
BACK_WITHIN = 0.5  # s of the true time

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@scorer(
    id="permanence/intact",
    version=1,
    axis="permanence",
    unit="1",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth reads 1.000 in each of 128 clips (64 px, 15 frames/s)",
    source="survival x re-emergence; Spelke 1990, doi:10.1207/s15516709cog1401_3",
    provisional=True,
    headline=True,
)
def intact(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Share of the due object-frames in which an object is intact, times its return from behind what hides it.

    P = survival x re-emergence. 0 to 1, higher is better; quality = P. Identity is by hue and size, never by position.

    survival: of all due object-frames (ground truth shows at least a quarter of the object, its centre in the image;
    fixed objects too) the share in which there is a blob of the object's own hue, of at least 0.35 of the mass that
    ground truth shows and at most 1.25 of the whole object's, and no second one.

    re-emergence: mean over the objects that ground truth hides of 1 if the object is unseen in at least 80 % of the
    frames in which less than 5 % of it are to be seen, and seen again within 0.5 s of the true time; else 0. A factor
    of 1 where nothing is hidden.

    Further readings: survival, reemergence (not applicable where nothing is hidden), hallucinations (share of the
    predicted frames with a blob of a hue that the scene does not hold).
    """
    context = tracks.context
    owed = due(clip, context)
    whole = whole_area(clip, context)
    shown = clip.visible_area[clip.window(context)][:, list(clip.tracked)].astype(np.float64)
    there = seen(clip, tracks)
    strange = float(np.mean(tracks.hallucinations[context:] > 0)) if len(tracks.times) > context else 0.0
    hallucinations = Reading(strange, unit="1")
    if not owed.any():
        return {"": Reading(None, "not applicable", "no object is due"), "hallucinations": hallucinations}
    fits = (tracks.area >= LEAST_MASS * shown) & (tracks.area <= MOST_MASS * whole)
    survival = float(np.mean((there & fits & (tracks.duplicates == 0))[owed]))
    returns = [_returns(clip, tracks, k, there[:, k]) for k in range(len(tracks.names))]
    judged = [value for value in returns if value is not None]
    back = float(np.mean(judged)) if judged else None
    return {
        "": Reading(survival if back is None else survival * back),
        "survival": Reading(survival),
        "reemergence": Reading(back, "not applicable", "nothing is hidden") if back is None else Reading(back),
        "hallucinations": hallucinations,
    }


def _returns(clip: Clip, tracks: Tracks, k: int, there: Mask) -> float | None:
    """1 if object k is unseen while it is hidden and comes back in time, else 0; None if it is never hidden."""
    share = clip.visible_share()[clip.window(tracks.context), k]
    hidden = (share < HIDDEN_SHARE) & inside_view(clip, tracks.context)[:, k]
    hidden[: tracks.context] = False
    if not hidden.any():
        return None
    if np.mean(~there[hidden]) < UNSEEN:
        return 0.0
    edges = np.flatnonzero(np.diff(hidden.astype(np.int8), append=0) == -1)  # last frame of each hiding
    for last in edges:
        due_again = np.flatnonzero(share[last + 1 :] >= DUE_SHARE)
        if not len(due_again):
            continue  # ground truth does not come back either
        expected = tracks.times[last + 1 + due_again[0]]
        if abs(_seen_again(tracks.times, there, hidden, int(last)) - expected) > BACK_WITHIN + 1e-9:
            return 0.0
    return 1.0


def _seen_again(times: Array, there: Mask, hidden: Mask, last: int) -> float:
    """Time in s at which an object is first seen after the last frame in which it was unseen while hidden; else inf."""
    begin = last
    while begin > 0 and hidden[begin - 1]:
        begin -= 1
    unseen = begin + np.flatnonzero(~there[begin : last + 1])
    if not len(unseen):
        return -np.inf
    back = np.flatnonzero(there[unseen[-1] :])
    return float(times[unseen[-1] + back[0]]) if len(back) else np.inf
