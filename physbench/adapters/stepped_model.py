"""SteppedModel: a frame model that is written as two functions, `init` and `step`. Files of graphs hold such models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from physbench.adapters.model_protocol import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = TypeVar("State")
ACTION_VALUES = 6  # of one row of actions


class SteppedModel(Generic[State]):
    """Base class for models that carry a state from frame to frame; it makes `rollout` of `init` and `step`.

    A subclass has a `card` and two methods. What a method does not name among its parameters is not passed.

    - `init(context[, context_actions]) -> state`: context (B, C, 3, H, W) in [0, 1], actions of its frames (B, C, 6).
    - `step(state[, action][, noise]) -> (state, frame)`: the action in the row of the frame that is predicted (B, 6),
      zeros for none; standard normal numbers (B, noise_size) from the generators; the frame (B, 3, H, W) in [0, 1].

    `physbench export` writes such a model as a graph if its state is a tensor or a tuple of tensors (B, ...).

    Attributes:
        noise_size: How many random numbers a step takes for each clip.
    """

    card: ModelCard
    noise_size: int = 0
    init: Callable[..., State]
    step: Callable[..., tuple[State, Tensor]]

    def optional_inputs(self) -> frozenset[str]:
        """Which of `context_actions`, `action` and `noise` the two functions take."""
        return optional_inputs(self)

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        """Frames (B, 1, 3, H, W), one after the other. The arguments are those of FrameModel.rollout."""
        batch, seen = context.shape[:2]
        taken = self.optional_inputs()
        if actions is None:
            actions = context.new_zeros(batch, seen + horizon, ACTION_VALUES)
        state = self.init(context, **({"context_actions": actions[:, :seen]} if "context_actions" in taken else {}))
        for index in range(seen, seen + horizon):
            given: dict[str, Any] = {"action": actions[:, index]} if "action" in taken else {}
            if "noise" in taken:
                given["noise"] = draw_noise(generators, self.noise_size, context)
            state, frame = self.step(state, **given)
            yield frame[:, None]


def optional_inputs(model: Any) -> frozenset[str]:
    """Which of `context_actions`, `action` and `noise` the methods `init` and `step` of an object take, by name."""
    of_init = set(inspect.signature(model.init).parameters) & {"context_actions"}
    of_step = set(inspect.signature(model.step).parameters) & {"action", "noise"}
    return frozenset(of_init | of_step)


def draw_noise(generators: Sequence[torch.Generator], count: int, like: Tensor) -> Tensor:
    """Standard normal numbers (B, count), each row from the generator of its clip."""
    import torch

    rows = [torch.randn(count, generator=generator, device=generator.device) for generator in generators]
    return torch.stack(rows).to(like)
