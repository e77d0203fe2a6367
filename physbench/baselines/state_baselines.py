"""Baselines that answer with states: what the scores of models of states are read against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from physbench.models.protocol import PLACE, SPEED, STATE_COLUMNS, StateCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from physbench.clips.clip import Clip


class StateFreeze:
    """The persistence baseline: the last state of the context stays."""

    def __init__(self, card: StateCard) -> None:
        self.card = card

    def rollout_states(
        self,
        states: Tensor,
        *,
        bodies: Tensor,
        statics: Tensor,
        mask: Tensor,
        gravity: Tensor,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        return states[:, -1:].repeat(1, horizon, 1, 1)


class StateConstantVelocity(StateFreeze):
    """Every body moves on in a straight line, through everything."""

    def rollout_states(
        self,
        states: Tensor,
        *,
        bodies: Tensor,
        statics: Tensor,
        mask: Tensor,
        gravity: Tensor,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        import torch

        answer = states[:, -1:].repeat(1, horizon, 1, 1)
        seconds = torch.arange(1, horizon + 1, device=states.device, dtype=states.dtype) / self.card.fps
        answer[..., PLACE] += answer[..., SPEED] * seconds[:, None, None]
        return answer


class StateOracle:
    """The true states: the best that can be measured. Privileged."""

    def __init__(self, card: StateCard) -> None:
        self.card = card

    def rollout_clips(self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]) -> Tensor:
        import numpy as np
        import torch

        answer = np.zeros((len(clips), horizon, max(len(clip.tracked) for clip in clips), len(STATE_COLUMNS)))
        for own, clip in zip(answer, clips, strict=True):
            own[:, : len(clip.tracked)] = clip.states[clip.handover + 1 :, list(clip.tracked)]
        return torch.from_numpy(answer)
