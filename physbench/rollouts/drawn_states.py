"""Pictures of predicted states, for people: nothing is scored from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.rollouts.state_format import completed

FARTHEST_DRAWN = 1e3  # m; what is drawn beyond it would overflow


def draw_states(clip: Clip, states: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) of states (T, K, 13) after the hand-over; all other bodies are where they truly are."""
    from physbench.looks.known_looks import draw

    ahead = slice(clip.handover + 1, clip.handover + 1 + len(states))
    every = clip.states[ahead].copy()
    before = clip.states[clip.handover, list(clip.tracked)]
    every[:, list(clip.tracked)] = completed(states, before)[: len(every)]
    every[..., :3] = np.clip(every[..., :3], -FARTHEST_DRAWN, FARTHEST_DRAWN)
    turn = every[..., 3:7]
    length = np.linalg.norm(turn, axis=-1, keepdims=True)
    whole = np.isfinite(length) & (length > 1e-9)
    every[..., 3:7] = np.where(whole, turn / np.where(whole, length, 1.0), [0.0, 0.0, 0.0, 1.0])
    if not len(every):
        return clip.future()[:0]
    return draw(clip.scene, clip.times[ahead], every, clip.spec).frames


def shown_frames(clip: Clip, rollout: Rollout) -> NDArray[np.uint8]:
    """The frames of a rollout, drawn where it has states."""
    return rollout.frames if rollout.states is None else draw_states(clip, rollout.states)
