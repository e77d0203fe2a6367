"""Energy out of nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.energy_momentum import Energies, between_impulses
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks

Array = NDArray[np.float64]


def of_orbits(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable in scenes with fields."""
    if not clip.scene.fields:
        return None
    return Reading(None, "not applicable", "on orbits laws/orbit-energy reads the energy")


@scorer(
    id="laws/energy",
    version=1,
    axis=None,
    unit="1",
    better="lower",
    quality=None,
    noise_floor="ground truth reads 0 to 0.011, at most 0.020 (64 px, 15 frames/s; 95 % of 64 clips of 13 tasks)",
    source="E(t2) <= E(t1) where nothing is pushed; Helmholtz 1847, Ueber die Erhaltung der Kraft",
    phrase="energy gained {} of that of all motion",
    seen=("", "things speed up by themselves"),
    breaks_at=0.1,
    needs=("energies",),
    precheck=of_orbits,
)
def energy(clip: Clip, rollout: Rollout, tracks: Tracks, *, energies: tuple[Energies, ...]) -> Reading:
    """Largest rise of energy in the prediction that nothing explains, over the largest kinetic energy in ground truth.

    That energy is taken as the weight times a diameter at least, so that noise is small against it. E(t) = sum of m
    (v^2 / 2 + potential) of bodies that touch each other, from the last context frames on. Rise = largest E(t2) -
    E(t1) with t1 < t2 and no push in between, less what spin can have given back by t2: spin is not seen, so where
    friction acts a ball may hold 0.4 (a cylinder 0.5, a box 1) times its largest kinetic energy so far, as far as
    energy went missing before or was in rolling at the start. 0 upwards, lower is better; the largest of all
    groups. Energy that goes missing is not read. Velocities are slopes in the middle of
    parabolas through up to 0.6 s of the track between contacts. Outside every mean.
    """
    if not energies:
        return Reading(None, "not applicable", "nothing moves in this scene")
    rises = [rise for group in energies if (rise := _rise(clip, tracks, group)) is not None]
    if not rises:
        return Reading(None, "not applicable", "no velocity is seen in two frames")
    return Reading(max(rises))


def _rise(clip: Clip, tracks: Tracks, group: Energies) -> float | None:
    """Over the group's size; None where energy is known in less than two predicted frames."""
    worst, seen = 0.0, False
    for frames in between_impulses(clip, tracks.times):
        known = frames[np.isfinite(group.total[frames])]
        late = known >= tracks.context
        if len(known) < 2 or not late.any():
            continue
        seen = True
        total, spin = group.total[known], group.spin[known]
        budget = np.maximum.accumulate(total) + spin[0]
        allowed = np.minimum.accumulate(np.minimum(total + spin, budget))
        worst = max(worst, float(np.max((total - allowed)[late])))
    return worst / group.size if seen else None
