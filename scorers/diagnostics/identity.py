"""Identity: detection and association, and how hidden objects return."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Reading, scorer
from physbench.score.visibility import Return
from physbench.support.arrays import Array
from physbench.track.tracks import Tracks
from physbench.track.visibility import HIDDEN_SHARE, detected, has_position, tracked_with_gaps, truth_visible


@scorer(
    id="permanence/hota",
    better="higher",
    noise_floor="ground truth reads 1.000, 0.88 to 1 where blocks touch (64 px, 15 frames/s; 85 clips of 17 tasks)",
    source="HOTA: Luiten et al. 2021, doi:10.1007/s11263-020-01375-2; IDF1: Ristani et al. 2016, arXiv:1609.01775",
    packages=("motrics",),
    needs=("tracks", "looks"),
)
def hota(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Higher order tracking accuracy of a prediction against the recorded future. 0 to 1, higher is better.

    HOTA = mean over thresholds a of sqrt(DetA x AssA): objects found at the right position, times how well they keep
    their identity. Identity is the hue. Overlap is that of two discs of the object's true diameter, at its true and its
    predicted position; thresholds are 0.05, 0.10 .. 0.95. An object that ground truth shows and that is absent is a
    miss; one of its hue too many, one of a hue that the scene does not hold, and one seen where ground truth hides it
    are false alarms; what is seen without a position for a short time counts neither way. The reference is the recorded
    future: another lawful one reads low. Outside every mean. Unavailable without the package motrics.

    Further readings: detection (DetA), association (AssA), idf1 (overlap of at least 0.5).
    """
    missing = why_unavailable()
    if missing:
        return {"": Reading(None, "unavailable", missing)}
    if not truth_visible(clip, tracks.context).any():
        return {"": Reading(None, "not applicable", "no object should be visible")}
    import motrics

    true, tracked, overlap = _frames(clip, tracks)
    scores = motrics.compute_hota_from_similarity(true, tracked, overlap)
    identity = motrics.compute_identity_from_similarity(true, tracked, overlap, 0.5)  # of a match for IDF1
    return {
        "": Reading(float(scores.hota)),
        "detection": Reading(float(scores.deta)),
        "association": Reading(float(scores.assa)),
        "idf1": Reading(float(identity.idf1)),
    }


@cache
def why_unavailable() -> str:
    """Reason that HOTA is unavailable here, or ""."""
    return "" if find_spec("motrics") else "not installed (pip install 'physbench[tracking]')"


def _frames(clip: Clip, tracks: Tracks) -> tuple[list[list[int]], list[list[int]], list[list[list[float]]]]:
    """Identities that ground truth shows and those found in each predicted frame, and the overlap of each pair."""
    window, ahead = clip.window(tracks.context), slice(tracks.context, None)
    expected, placed = truth_visible(clip, tracks.context), has_position(tracks)
    unclear = expected & tracked_with_gaps(clip, tracks) & ~placed
    hidden = clip.visible_share()[window] < HIDDEN_SHARE
    shown = detected(clip, tracks) & (np.where(hidden, True, expected) & ~unclear)
    expected = expected & ~unclear
    distance = np.linalg.norm(clip.px_positions()[window][:, :, None] - tracks.position[:, None], axis=-1)  # (T, K, K)
    diameter = np.maximum(clip.diameters()[window] * clip.pixels_per_metre, 1e-9)
    share = _overlap(np.nan_to_num(distance / diameter[..., None], nan=1.0)).tolist()
    true: list[list[int]] = []
    tracked: list[list[int]] = []
    overlap: list[list[list[float]]] = []
    first_unknown = 100  # from here on, identities that the scene does not hold
    for t in range(len(tracks.times))[ahead]:
        true_now, seen_now = np.flatnonzero(expected[t]).tolist(), np.flatnonzero(shown[t]).tolist()
        more = int(tracks.duplicates[t].sum()) + int(tracks.hallucinations[t])
        true.append(true_now)
        tracked.append([*seen_now, *range(first_unknown, first_unknown + more)])
        overlap.append([[share[t][k][j] if j < first_unknown else 0.0 for j in tracked[-1]] for k in true_now])
    return true, tracked, overlap


def _overlap(distance: Array) -> Array:
    """Intersection over union of two discs of diameter 1 whose centres are `distance` apart."""
    d = np.clip(distance, 0.0, 1.0)
    common = (np.arccos(d) - d * np.sqrt(1 - d**2)) / 2
    return np.asarray(common / (np.pi / 2 - common))


# How hidden objects return: when, where, how large, in which colour.


@scorer(
    id="permanence/return",
    version=3,
    unit="s",
    better="lower",
    noise_floor="ground truth reads 0 to 0.07 s (a frame), place below 0.05, size 0.98 to 1.01 (64 px, 15 frames/s)",
    source="re-emergence against the lawful continuation; after Baillargeon 1987, doi:10.1037/0012-1649.23.5.655",
    needs=("returns", "looks"),
)
def reappearance(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, returns: tuple[Return, ...]
) -> Reading | dict[str, Reading]:
    """Error of the time at which hidden objects return to view, in s; lower is better.

    dt = mean over the returns of |t - t0|, t the first frame after the last hidden one (less than 5 %) in which a tenth
    of the object is seen, t0 that in which it should be: by the lawful segment in which the hidden interval begins,
    continued from before it, or by ground truth, as in `permanence/intact`. An object that never returns has no error
    and is counted in `returned`. Outside every mean.

    Hidden is also what a moving camera has turned away from, until it turns back: the prediction's own camera, and that
    of ground truth where ground truth decides. `permanence/intact` counts hidings behind something alone.

    Further readings: late (s, mean of the error with its sign), place (diameters from its trajectory, where half of it
    is first seen), size (area over that which should be seen, both at their largest within 1.5 s) and hue (degrees
    off), unseen (share of the hidden frames without the object), returned (share of the hidden intervals that should
    end after which it is seen again), came-out (share of those that should not end in which it is seen all the same).
    """
    if not returns:
        return Reading(None, "not applicable", "nothing is hidden")
    ending = [each for each in returns if each.interval.returns_at is not None]
    lasting = [each for each in returns if each.interval.returns_at is None]
    late = [each.time for each in ending if each.time is not None]
    nothing = "nothing comes back"
    return {
        "": _mean([abs(time) for time in late], "s", nothing),
        "late": _mean(late, "s", nothing),
        "place": _mean([each.position for each in ending], "diameters", nothing),
        "size": _mean([each.size for each in ending], "1", nothing),
        "hue": _mean([each.hue for each in ending], "deg", nothing),
        "unseen": _mean([each.unseen for each in returns], "1", nothing),
        "returned": _mean([each.time is not None for each in ending], "1", "what is hidden stays hidden"),
        "came-out": _mean([each.came_out for each in lasting], "1", "what is hidden comes back"),
    }


def _mean(values: Iterable[float | None], unit: str, reason: str) -> Reading:
    known = [float(value) for value in values if value is not None]
    return Reading(float(np.mean(known)), unit=unit) if known else Reading(None, "not applicable", reason, unit)
