"""Drift of energy and momentum. Hue, size and background have scorers of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.energy_momentum import Energies
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import slope
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world

MIN_PREDICTED_FRAMES = 8  # predicted frames
CONSERVED = 0.01  # of the sum of the sizes of the momenta; a smaller change in ground truth counts as none

Array = NDArray[np.float64]


def is_pushed(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable where something is pushed in the window."""
    if not any(action.time > tracks.times[0] for action in clip.scene.impulses):
        return None
    return Reading(None, "not applicable", "a push brings energy into this scene")


@scorer(
    id="drift/energy",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    noise_floor="ground truth without contacts reads within 0.02, on a flyby within 0.06 (64 px, 15 frames/s)",
    source="E(t) - E(0), translational and potential; Helmholtz 1847, Ueber die Erhaltung der Kraft",
    needs=("energies",),
    precheck=is_pushed,
)
def energy(clip: Clip, rollout: Rollout, tracks: Tracks, *, energies: tuple[Energies, ...]) -> dict[str, Reading]:
    """Change of energy since the context, over the largest kinetic energy in ground truth, in the last quarter.

    Mean of (E(t) - E_0) / E_max over the last quarter of the predicted frames that show all moving bodies, E_0 the
    mean over the context, E_max at least the weight times a diameter. Contacts and friction take energy: right is
    what ground truth reads. Outside every mean. Not applicable where something is pushed.

    Further readings: slope (1/s), of a straight line through all predicted frames.
    """
    total = np.sum([group.total for group in energies], axis=0) / max(sum(group.size for group in energies), 1e-9)
    return _drift(tracks, np.atleast_1d(total)[:, None], signed=True)


def is_not_conserved(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable where the total momentum changes in ground truth."""
    momenta = _true_momenta(clip)
    size, total = _size(momenta), momenta.sum(axis=1)
    if size < 1e-9 or np.linalg.norm(total - total[0], axis=-1).max() > CONSERVED * size:
        return Reading(None, "not applicable", "momentum is not conserved in this scene")
    return None


@scorer(
    id="drift/momentum",
    version=1,
    axis=None,
    unit="1",
    better="lower",
    quality=None,
    noise_floor="ground truth reads 0.001 to 0.026 (64 px, 15 frames/s; 20 clips)",
    source="|P(t) - P(0)|; Newton 1687, Principia, corollary III to the laws of motion",
    needs=("energies",),
    precheck=is_not_conserved,
)
def momentum(clip: Clip, rollout: Rollout, tracks: Tracks, *, energies: tuple[Energies, ...]) -> dict[str, Reading]:
    """Change of the total momentum since the context, over the sum of the momenta's sizes, in the last quarter.

    Mean of |P(t) - P_0| / sum |p_i| over the last quarter of the predicted frames that show all moving bodies, P_0 the
    mean over the context. 0 upwards, lower is better. Outside every mean. Not applicable where it changes in ground
    truth: by gravity, walls, the floor, a push.

    Further readings: slope (1/s), of a straight line through all predicted frames.
    """
    size = _size(_true_momenta(clip))
    return _drift(tracks, np.sum([group.momentum for group in energies], axis=0) / size, signed=False)


def _true_momenta(clip: Clip) -> Array:
    """Momenta (T, N, 2) kg m/s of the moving bodies in ground truth, from the hand-over on."""
    ahead = slice(clip.handover, None)
    moving = [index for index in clip.tracked if clip.scene.bodies[index].role == "moving"]
    masses = np.array([clip.scene.bodies[index].mass for index in moving])
    return np.asarray(plane_from_world(clip.scene.camera, clip.states[ahead, moving, 7:10]) * masses[:, None])


def _size(momenta: Array) -> float:
    """Sum of the sizes in kg m/s of momenta (T, N, 2) at the hand-over."""
    return float(np.linalg.norm(momenta[0], axis=-1).sum())


def _drift(tracks: Tracks, value: Array, signed: bool) -> dict[str, Reading]:
    """Change of a value (T, n) since the context, where it is known."""
    known = np.zeros(len(tracks.times), dtype=bool)
    if len(value) == len(known):  # else nothing moves
        known[:] = np.isfinite(value).all(axis=-1)
    before = np.flatnonzero(known[: tracks.context])
    frames = tracks.context + np.flatnonzero(known[tracks.context :])
    if not len(before) or len(frames) < MIN_PREDICTED_FRAMES:
        return {
            "": Reading(
                None,
                "not applicable",
                f"all moving bodies are seen in fewer than {MIN_PREDICTED_FRAMES} predicted frames",
            )
        }
    change = value[frames] - value[before].mean(axis=0)
    change = change[:, 0] if signed else np.linalg.norm(change, axis=-1)
    last = frames >= frames[0] + 0.75 * (frames[-1] - frames[0])
    return {
        "": Reading(float(change[last].mean())),
        "slope": Reading(slope(tracks.times[frames], change), unit="1/s"),
    }
