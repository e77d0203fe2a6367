"""Asks a model how surprised it is by whole films, and checks its answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from physbench.adapters.model_protocol import Model, SurpriseModel
from physbench.rollouts.frame_transfer import normalized_frames, to_device
from physbench.rollouts.frame_validation import AnswerError
from physbench.rollouts.model_calls import ModelCalls

if TYPE_CHECKING:
    from physbench.rollouts.predict import PartResult, RolloutRequest


def predict_surprise(
    model: Model,
    request: RolloutRequest,
    out: Tensor,
    answer: PartResult,
    generators: Sequence[torch.Generator],
    calls: ModelCalls,
    dtype: torch.dtype,
) -> None:
    """Fill `out` (B, T - C, 1) with the surprise at the frames after the first C of B films (B, T, 3, H, W).

    Raises:
        AnswerError: The answer breaks the protocol.
        Exception: Whatever the model raises.
    """
    assert isinstance(model, SurpriseModel) and request.context is not None
    device = calls.device
    video = normalized_frames(request.context, device, dtype)
    context = video.shape[1] - request.horizon
    ask = partial(
        model.surprise,
        video,
        context=context,
        actions=None if request.actions is None else to_device(request.actions, device).to(dtype),
        prompts=list(request.prompts),
        generators=generators,
    )
    raw = calls.run(ask)
    values = check_surprise(raw, len(video), video.shape[1])[:, context:].to("cpu", torch.float64)
    for position, row in enumerate(values):
        wrong = (~torch.isfinite(row)).nonzero()
        if len(wrong):
            at = int(wrong[0])
            answer.failures[position] = (
                f"The surprise at frame {context + at + 1} of {video.shape[1]} is {float(row[at])}."
            )
        else:
            out[position, :, 0] = row
    answer.chained = 1


def check_surprise(raw: Any, films: int, frames: int) -> Tensor:
    """Check that an answer is a float tensor (films, frames). Raises AnswerError, which names the likely mistake."""
    if not isinstance(raw, Tensor):
        raise AnswerError(f"Expected a torch.Tensor of surprise, got {type(raw).__name__}.")
    if tuple(raw.shape) != (films, frames):
        hint = ""
        if tuple(raw.shape) in ((films,), (films, 1)):
            hint = ": one number a film is not enough, it is read frame by frame"
        elif raw.ndim == 2 and raw.shape[0] == films:
            hint = ": give every frame one, 0 for those of the context"
        raise AnswerError(f"Expected surprise of shape {(films, frames)}, got {tuple(raw.shape)}{hint}.")
    if not raw.is_floating_point():
        raise AnswerError(f"Expected floating-point surprise, got {str(raw.dtype)[6:]}.")
    return raw
