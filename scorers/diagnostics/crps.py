"""Accuracy of several samples of one clip as a forecast of positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.predictability import ensemble_positions
from physbench.score.protocol import Reading, scorer
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import Tracks
from physbench.track.visibility import has_position, moving, tracked_with_gaps, truth_visible
from physbench.world.camera import plane_from_px, plane_from_world


def of_samples(clip: Clip, context: int, samples: Sequence[Tracks | None]) -> dict[str, Reading]:
    """The readings of all samples of a clip together; None stands for a sample that failed."""
    if len(samples) < 2:
        return {"": Reading(None, "not applicable", "one sample a clip; evaluate with --samples 2 or more")}
    counted = (truth_visible(clip, context) & moving(clip))[context:]
    for tracks in samples:
        if tracks is not None:  # a gap without a position is left out
            counted = counted & ~(tracked_with_gaps(clip, tracks) & ~has_position(tracks))[context:]
    if not counted.any():
        return {"": Reading(None, "not applicable", "no moving object should be visible")}
    diameter = np.maximum(clip.diameters()[clip.handover + 1 :], 1e-9)[counted]  # (n,) m
    members = plane_from_world(clip.scene.camera, ensemble_positions(clip, context)[:, :, list(clip.tracked)])
    possible = _flat(members[:, counted], diameter)  # (n, M, 2)
    drawn = _flat(np.stack([_positions(clip, context, tracks)[counted] for tracks in samples]), diameter)  # (n, S, 2)
    absent = ~np.isfinite(drawn[..., :1])
    middle = np.median(possible, axis=1, keepdims=True)
    away = np.where(absent, clip.scene.camera.width / diameter[:, None, None], 0.0)
    predicted = np.concatenate([np.where(absent, middle, drawn), away], axis=-1)  # (n, S, 3)
    possible = np.concatenate([possible, np.zeros_like(possible[..., :1])], axis=-1)
    own, theirs = apart(predicted), apart(possible)
    return {
        "": Reading(float(energy_score(possible, predicted, own).mean())),
        "best": Reading(float(theirs.mean() / 2)),
        "spread": Reading(float(own.mean() / max(float(theirs.mean()), 1e-9)), unit="1"),
        **_spread_and_error(drawn, possible[..., :2]),
    }


@scorer(
    id="drift/crps",
    unit="diameters",
    better="lower",
    noise_floor="ground truth as each sample reads 0.012 to 0.051, 8 true frames (64 px, 15 frames/s; 10 clips), the "
    "simulations themselves 0.008 to 0.036",
    source="energy score, the CRPS of positions; Gneiting and Raftery 2007, doi:10.1198/016214506000001437",
    roles={
        "": "samples-score",
        "best": "open-score",
        "spread": "samples-apart",
        "calibrated-error": "samples-spread",
        "mean-error": "samples-error",
    },
    together=of_samples,
)
def crps(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """CRPS of the predicted positions against all that the context allows, in apparent diameters; needs --samples.

    mean of E|X - Y| - E|X - X'| / 2 over the frames in which ground truth shows moving objects, X, X' samples of the
    model (all pairs of two) and Y each of the 32 simulations that give the predictability time. 0 upwards, lower is
    better: samples that spread as far as the context leaves open beat one that is sure of a wrong position, and few or
    equal samples gain nothing. An absent object is a window's width away from all positions. All samples of a
    clip have one value, in the row of the first. Outside every mean.

    Further readings: best, what the simulations themselves would read; spread, E|X - X'| over that of the simulations:
    1 spreads as far as the context leaves open, 0 not at all. mean-error, rms distance of the mean of the k samples
    that show an object from the simulations, and calibrated-error, the rms of sd (1 + 1 / k)^(1/2), which it is where
    samples and simulations have one distribution (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1).
    """
    return of_samples(clip, tracks.context, [tracks])


def _flat(positions: Array, diameter: Array) -> Array:
    """(S, n, 2) m -> (n, S, 2) diameters."""
    return np.asarray(np.moveaxis(positions / diameter[:, None], 0, 1))


def _positions(clip: Clip, context: int, tracks: Tracks | None) -> Array:
    """Predicted positions (T, K, 2) m, NaN where an object is absent."""
    if tracks is None:
        return np.full((clip.horizon, len(clip.tracked), 2), np.nan)
    return plane_from_px(clip.scene.camera, clip.spec, tracks.position[context:])


def energy_score(outcomes: Array, forecast: Array, apart: Array) -> Array:
    """Fair energy score of forecasts (n, S, D) that lie `apart` (n,), mean over possible outcomes (n, M, D) -> (n,).

    Of numbers (D = 1) it is the fair CRPS.
    """
    misses = [np.linalg.norm(forecast - one[:, None], axis=-1).mean(axis=-1) for one in np.moveaxis(outcomes, 1, 0)]
    return np.asarray(np.mean([miss - 0.5 * apart for miss in misses], axis=0), dtype=np.float64)


def _spread_and_error(drawn: Array, possible: Array) -> dict[str, Reading]:
    """Error that the spread of samples (n, S, 2) stands for, and that of their mean beside outcomes (n, M, 2).

    In the units of both; of the samples of a frame those that are not NaN, where two are.
    """
    shown: Mask = np.asarray(np.isfinite(drawn).all(axis=-1))
    used = shown.sum(axis=1) > 1
    if not used.any():
        missing = Reading(None, "not applicable", "no frame shows an object in two samples")
        return {"calibrated-error": missing, "mean-error": missing}
    drawn, possible, weight = drawn[used], possible[used], shown[used, :, None]
    count = weight.sum(axis=1)  # (n, 1)
    mean = np.where(weight, drawn, 0.0).sum(axis=1) / count  # (n, 2)
    variance = np.where(weight, (drawn - mean[:, None]) ** 2, 0.0).sum(axis=1) / (count - 1)
    squares = ((possible - mean[:, None]) ** 2).sum(axis=-1)
    return {
        "calibrated-error": Reading(float(np.sqrt((variance * (1 + 1 / count)).sum(axis=-1).mean()))),
        "mean-error": Reading(float(np.sqrt(squares.mean()))),
    }


def apart(points: Array) -> Array:
    """Mean distance of the pairs of different points (n, S, D) -> (n,)."""
    distance = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    pairs = points.shape[1] * (points.shape[1] - 1)
    return np.asarray(distance.sum(axis=(1, 2)) / pairs, dtype=np.float64)
