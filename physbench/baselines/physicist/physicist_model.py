"""`baseline:physicist` as a privileged model.

It sees the pixels of the context and the scene's data: the laws, what bodies there are, their shapes, sizes, masses and
orientations, what is fixed, what moves on rails, pushes to come, the camera. It estimates positions and velocities with
the tracker of physbench and the fits of shadowing, and simulates from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from physbench.adapters.model_protocol import ModelCard
from physbench.baselines.baseline_adapter import answer_parts

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from physbench.clips.clip import Clip
    from physbench.world.scene import Scene


class Physicist:
    """What a model that knows the laws can predict from a context."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def rollout_clips(
        self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]
    ) -> Iterator[Tensor]:
        import numpy as np
        import torch

        futures = [predict_frames(clip, self.card.scored_context, horizon) for clip in clips]
        for part in answer_parts(self.card, len(clips), horizon):
            chunk = np.stack([future[part] for future in futures])
            yield torch.from_numpy(chunk).permute(0, 1, 4, 2, 3).float() / 255


def predict_frames(clip: Clip, context: int, horizon: int) -> NDArray[np.uint8]:
    """Frames (horizon, H, W, 3) that follow the last `context` frames of a clip's history."""
    from physbench.looks.known_looks import draw

    scene, times, states = predict_states(clip, context, horizon)
    return draw(scene, times, states, clip.spec).frames


def predict_states(clip: Clip, context: int, horizon: int) -> tuple[Scene, NDArray[np.float64], NDArray[np.float64]]:
    """Predict the states of a clip after its hand-over.

    Args:
        clip: The clip, of which only the context and the scene's data are used.
        context: Number of context frames.
        horizon: Number of frames to predict.

    Returns:
        The scene as the physicist takes it to be, times (horizon,) in s, and states (horizon, N, 13) at these times.
    """
    import numpy as np

    from physbench.baselines.physicist.physicist_view import context_view
    from physbench.baselines.physicist.state_estimate import estimate_states
    from physbench.tracks.tracker import track
    from physbench.world.scene import PHYSICS_HZ
    from physbench.world.stepping import simulate_ensemble

    seen = context_view(clip, context)
    start = estimate_states(seen, track(seen, context, seen.frames))
    ahead = np.arange(1, horizon + 1) * clip.spec.steps / PHYSICS_HZ
    return seen.scene, ahead, simulate_ensemble(seen.scene, 0.0, start[None], ahead)[0]
