"""How hidden objects return: when, where, how large, in which colour."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.hidden_intervals import Return
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks


@scorer(
    id="permanence/return",
    version=2,
    axis=None,
    unit="s",
    better="lower",
    quality=None,
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
