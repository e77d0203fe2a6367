"""Samples of a clip whose end is a matter of chance, against what the context allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.predictability import ensemble_states
from physbench.score.protocol import Reading, scorer
from physbench.scorers.diagnostics.crps import apart, energy_score
from physbench.support.arrays import Array
from physbench.support.cache import RecentlyUsed
from physbench.track.tracks import Tracks
from physbench.track.visibility import detected, moving
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import PLANE_AXES, plane_from_px

DRAWS = 4  # of 32 simulations each
_ends = RecentlyUsed[str, Array](64)


def possible_ends(clip: Clip, context: int) -> Array:
    """Possible ends (M,) of the body that moves, m to the right, by the laws and the context alone."""
    key = f"{clip.id} {clip.spec} {context}"
    if (known := _ends.get(key)) is not None:
        return known
    (index,) = (clip.tracked[k] for k in np.flatnonzero(moving(clip)))
    right, end = PLANE_AXES[clip.scene.camera.view][0], clip.times[-1:]
    draws = [ensemble_states(clip, context, draw) for draw in range(DRAWS)]
    ends = [simulate_ensemble(clip.scene, 0.0, states, end)[:, 0, index, right] for states in draws]
    return _ends.put(key, np.concatenate(ends))


def predicted_end(clip: Clip, tracks: Tracks | None) -> float:
    """Last place of the body that moves in the last 0.3 s, m to the right; NaN where it is not seen then."""
    if tracks is None:
        return np.nan
    (column,) = np.flatnonzero(moving(clip))
    late = clip.times[clip.window(tracks.context)] >= clip.times[-1] - 0.3
    place = plane_from_px(clip.scene.camera, clip.spec, tracks.position)[:, column, 0]
    seen = np.flatnonzero(late & detected(clip, tracks)[:, column] & np.isfinite(place))
    return float(place[seen[-1]]) if len(seen) else np.nan


def of_samples(clip: Clip, context: int, samples: Sequence[Tracks | None]) -> dict[str, Reading]:
    """The readings of all samples of a clip together; None stands for a sample that failed."""
    if not clip.scene.bins:
        return {"": Reading(None, "not applicable", "the end is no matter of chance")}
    if len(samples) < 2:
        return {"": Reading(None, "not applicable", "one sample a clip; evaluate with --samples 2 or more")}
    possible, drawn = possible_ends(clip, context), np.array([predicted_end(clip, each) for each in samples])
    shares, diameter = _shares(clip, possible), float(clip.diameters()[clip.handover][moving(clip)][0])
    unseen = np.median(possible) + clip.scene.camera.width  # as far away as the window is wide
    places = np.where(np.isnan(drawn), unseen, drawn)
    ends, outcomes = places[None, :, None], possible[None, :, None]  # (1, S, 1) and (1, M, 1) m
    return {
        "": Reading(float(np.abs(_shares(clip, drawn) - shares).sum() / 2)),
        "open": Reading(expected_variation(shares, len(samples))),
        "place": Reading(float(energy_score(outcomes, ends, apart(ends))[0]) / diameter, unit="diameters"),
        "place-open": Reading(float(apart(outcomes)[0]) / 2 / diameter, unit="diameters"),
    }


@scorer(
    id="drift/bins",
    better="lower",
    noise_floor="8 samples of the simulations themselves read 0.11 to 0.21 (64 px, 8 clips), as `open` says",
    source="total variation; energy score of one number: Gneiting and Raftery 2007, doi:10.1198/016214506000001437",
    together=of_samples,
    roles={"": "chance-distance", "open": "open-chance"},
)
def bins(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Total variation between the bins in which samples end and those that chance picks; needs --samples.

    sum |p - q| / 2 over the bins of the scene (`Scene.bins`), and over `in none`, with p the shares of samples whose
    body is there when it is last seen in the last 0.3 s, and q those of 128 simulations from states that the context
    allows, with the noise of a tracker (as of predictability). 0 upwards to 1, lower is better: a model that is sure of
    one bin reads 1 - q of that bin, however lawful its way there is. All samples of a clip have one value, in the row
    of the first. Outside every mean.

    Further readings: open, what as many samples of those simulations read on average: the fewer, the more, so that of
    two or three samples a model that is sure of the likeliest bin may read less; place, CRPS of the place at the end in
    diameters, E|x - y| - E|x - x'| / 2 with x, x' samples and y simulations, a sample without an end a window's width
    away; place-open, what the simulations themselves read.
    """
    return of_samples(clip, tracks.context, [tracks])


def _shares(clip: Clip, ends: Array) -> Array:
    """Shares (B + 1,) of ends (M,) m in the bins, and of those in none (NaN)."""
    seen = ends[np.isfinite(ends)]
    counts = np.bincount(np.searchsorted(clip.scene.bins, seen), minlength=len(clip.scene.bins) + 1)
    return np.append(counts, len(ends) - len(seen)) / len(ends)


def expected_variation(shares: Array, count: int) -> float:
    """Mean total variation between shares (B,) and those of `count` draws from them.

    >>> round(expected_variation(np.array([0.5, 0.5]), 2), 3)  # 1/2 where both fall into one of two bins
    0.25
    """
    from scipy.stats import binom

    k = np.arange(count + 1)
    away = [float(np.abs(k / count - q) @ binom.pmf(k, count, q)) for q in shares]  # each bin is binomial
    return float(sum(away) / 2)
