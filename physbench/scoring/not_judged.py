"""The readings of clips to which a scorer does not apply, where several scorers have the reason in common."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.scorer_protocol import Reading
from physbench.shadowing import Shadowing, why_not
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world


def not_modelled(clip: Clip) -> Reading:
    """The reading of a clip that cannot be shadowed, with the reason."""
    return Reading(None, "not applicable", f"cannot be shadowed: {why_not(clip)}")


def nothing_due(shadowing: Shadowing) -> Reading:
    """The reading of a clip in which no moving object is visible for long enough to be judged."""
    brief = "the context shows no velocity, and ground truth shows moving objects too briefly to fit a segment"
    return Reading(
        None, "not applicable", brief if shadowing.problem.seen.too_brief else "no moving object should be visible"
    )


def no_gravity(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable without gravity in the plane of motion."""
    if np.any(plane_from_world(clip.scene.camera, np.asarray(clip.scene.gravity, dtype=np.float64))):
        return None
    return Reading(None, "not applicable", "nothing falls in this scene")
