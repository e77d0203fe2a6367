"""The error of velocity as PhyWorld's paper and as its code define it."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Reading, scorer
from physbench.support.arrays import Array, Mask
from physbench.tasks.phyworld import UNIT, WIDTH, PhyWorldTask
from physbench.track.tracks import Tracks
from physbench.world.camera import plane_from_px, plane_from_world

STEP = 0.1  # s between PhyWorld's frames


@scorer(
    id="drift/velocity",
    unit="units/s",
    better="lower",
    noise_floor="ground truth reads 0.014 (uniform), 0.015 (collision), 0.017 (parabola) by the paper's definition and "
    "0.001, 0.002, 0.001 by the code's (128 px, 10 frames/s; 24 clips each); 0.005 and 0.001 at 256 px (9 clips each)",
    source="Kang et al. 2024, arXiv 2411.02385, section 3; code ee0e473, id_ood_data/evaluate.py",
    roles={"": "velocity-error"},
    families=(PhyWorldTask.suite,),
)
def velocity(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """PhyWorld's error of velocity by its paper: mean over balls and frames of |v - v'|, in its units of length/s.

    v is the difference of positions 0.1 s apart (the nearest whole number of frames) over that time, in predicted
    frames in which ground truth shows all balls wholly. One unit is 0.512 m, a tenth of the picture. 0 upwards, lower
    is better. The paper does not say what a missing ball is: here it stays where it was last seen. Outside every mean.

    Further readings: code, |mean over frames of v - mean of v'| along x, mean over balls, in a collision after the hit.
    A missing ball is at the right border (a left one in a collision at the left): it has v = 0 unless it is seen again.
    code-before, the same before the hit. missing, the share of balls and frames without a position.
    """
    true = _units(clip, plane_from_world(clip.scene.camera, clip.states[clip.window(0)][:, list(clip.tracked), :3]))
    seen = _units(clip, plane_from_px(clip.scene.camera, clip.spec, tracks.position))
    radius = np.array([body.radius for body in clip.tracked_bodies])[:, None] / UNIT
    whole = np.all((true >= radius - 1e-9) & (true <= WIDTH - radius + 1e-9), axis=(1, 2))
    frames = int(np.argmin(whole)) if not whole.all() else len(whole)  # a ball that leaves does not come back
    stride = max(1, round(STEP * clip.spec.fps))
    if frames <= stride:
        return {"": Reading(None, "not applicable", f"a ball is cut by the border within {STEP:g} s")}
    true, predicted = true[:frames], seen[tracks.context : tracks.context + frames]
    absent = ~np.isfinite(predicted[..., 0])
    span, v = stride / clip.spec.fps, _velocity(true, stride, clip.spec.fps)
    kept = _velocity(_stays(seen, true[0], tracks.context)[:frames], stride, clip.spec.fps)
    # Where it is missing its code puts the left ball at the left border, every other one at the right border.
    border = np.array([0.0 if body.name == "left ball" else WIDTH for body in clip.tracked_bodies])
    along = _velocity(np.where(absent, border, predicted[..., 0]), stride, clip.spec.fps)
    starts = clip.times[clip.window(0)][: len(v)]  # of each difference, s
    hit = next((contact.time for contact in clip.contacts if contact.time > 0), None)
    before = np.ones(len(v), dtype=bool) if hit is None else starts + span <= hit
    after = starts >= hit if hit is not None else before
    return {
        "": Reading(float(np.linalg.norm(kept - v, axis=-1).mean())),
        "code": _of_means(along, v[..., 0], after, "after"),
        **({} if hit is None else {"code-before": _of_means(along, v[..., 0], before, "before")}),
        "missing": Reading(float(absent.mean()), unit="1"),
    }


def _units(clip: Clip, plane: Array) -> Array:
    """Plane coordinates (..., 2) m -> units from the left and the lower border of the picture."""
    middle = plane_from_world(clip.scene.camera, np.asarray(clip.scene.camera.center, dtype=np.float64))
    return np.asarray((plane - middle) / UNIT + WIDTH / 2)


def _velocity(position: Array, stride: int, fps: float) -> Array:
    """Differences (T - stride, ...) of positions (T, ...) over their time."""
    return np.asarray((position[stride:] - position[:-stride]) * fps / stride)


def _stays(seen: Array, start: Array, context: int) -> Array:
    """Predicted positions (T, K, 2) from those seen (context + T, K, 2), each kept until the ball is seen again."""
    filled, last = seen[context:].copy(), start.copy()
    for row in (*seen[:context], *filled):
        known = np.isfinite(row)
        last[known] = row[known]
        row[~known] = last[~known]
    return filled


def _of_means(predicted: Array, true: Array, chosen: Mask, when: str) -> Reading:
    """Difference of mean velocities (T, K) along x over the chosen times (T,), mean over balls."""
    if not chosen.any():
        return Reading(None, "not applicable", f"no {STEP:g} s {when} the hit with both balls whole")
    return Reading(float(np.abs(predicted[chosen].mean(axis=0) - true[chosen].mean(axis=0)).mean()))
