"""Asks a model for the frames behind a context, along time: chunks, and its own last frames where it is short."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from physbench.adapters.model_protocol import FrameModel, Model, PrivilegedModel, RecordedModel
from physbench.clips.clip import Clip
from physbench.errors import PhysbenchError
from physbench.rollouts.frame_validation import AnswerError, check_chunk, iterate_chunks, store_chunk
from physbench.rollouts.messages import GLOBAL_RANDOMNESS

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class RolloutRequest:
    """What a model gets at once: B clips with one horizon."""

    horizon: int
    stored: int  # frames kept
    chain: bool
    seeds: Sequence[int]  # (B,)
    prompts: Sequence[str]  # (B,)
    context: Tensor | None  # (B, C, 3, H, W) uint8 on the CPU
    actions: Tensor | None  # (B, C + horizon, 6)
    clips: Sequence[Clip] | None
    items: Sequence[tuple[str, int]] = ()  # (B,) clip id and sample, for a recorded model


@dataclass
class PartResult:
    """What came of a part. The frames are in the place that was given."""

    failures: dict[int, str] = field(default_factory=dict)  # by position in the part
    frames: dict[int, int] = field(default_factory=dict)  # how many there are, where a video ends early
    chained: int = 0  # calls along time
    seconds: float = 0.0  # the model's own time
    notes: set[str] = field(default_factory=set)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seed_everything(seed: int) -> None:
    """Make models repeatable that draw from the global generators instead of those that they are given."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global one is meant


def global_random_states(device: torch.device) -> tuple[object, ...]:
    """States of the global generators, to see whether somebody draws from them."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    _, keys, place, *_ = np.random.get_state(legacy=True)  # noqa: NPY002 - the global one is meant
    return (*(state.numpy().tobytes() for state in states), random.getstate(), np.asarray(keys).tobytes(), place)


def make_generators(seeds: Sequence[int], device: torch.device) -> list[torch.Generator]:
    """One generator per clip and sample, on the model's device."""
    made = []
    for seed in seeds:
        generator = torch.Generator(device=device)
        generator.manual_seed(seed)
        made.append(generator)
    return made


def normalized_frames(frames: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """uint8 frames -> [0, 1] on the device."""
    return frames.to(device).to(dtype).div_(255)


@torch.inference_mode()
def predict(model: Model, part: RolloutRequest, place: Tensor, device: torch.device, dtype: torch.dtype) -> PartResult:
    """Roll the part out into `place` (B, stored, 3, H, W) uint8 on the CPU.

    A model whose `max_horizon` is shorter than the horizon is called again on the last C of context and prediction, the
    predicted ones as they are kept, in uint8. Raises AnswerError, or whatever the model raises.
    """
    if isinstance(model, RecordedModel):
        return _play_recording(model, part, place)
    answer = PartResult()
    randomness = make_generators(part.seeds, device)
    seed_everything(part.seeds[0])
    untouched = global_random_states(device)
    done = 0
    context = part.context
    while done < part.stored:
        span = min(model.card.max_horizon or part.horizon, part.stored - done)
        if done and part.clips is not None:
            raise AnswerError("A privileged model must answer with the whole horizon: leave out max_horizon.")
        call = _prepare_call(model, part, context, done, span, randomness, device, dtype)
        _receive_chunks(call, answer, model, part, place[:, done : done + span], done, device)
        answer.chained += 1
        done += span
        if len(answer.failures) == len(place):
            break
        if done < part.stored and context is not None:
            context = torch.cat([context, place[:, max(0, done - context.shape[1]) : done]], 1)[:, -context.shape[1] :]
    if global_random_states(device) != untouched:
        answer.notes.add(GLOBAL_RANDOMNESS)
    if isinstance(model, PrivilegedModel):
        answer.notes |= set(getattr(model, "notes", ()))
    return answer


def _play_recording(model: RecordedModel, part: RolloutRequest, place: Tensor) -> PartResult:
    """Put the frames of videos into place. They are not computed here, so that no time is counted."""
    answer = PartResult(chained=1)
    assert part.context is not None
    contexts = part.context.permute(0, 1, 3, 4, 2).numpy()
    for position, item in enumerate(part.items):
        there = 0
        try:
            for frame in model.play(item, context=contexts[position], horizon=part.stored):
                place[position, there].copy_(torch.from_numpy(frame).permute(2, 0, 1))
                there += 1
        except PhysbenchError as error:
            answer.failures[position] = str(error)
        if there < part.stored:
            place[position, there:].zero_()
            answer.frames[position] = there
    answer.notes |= set(model.notes)
    return answer


def _prepare_call(
    model: Model,
    part: RolloutRequest,
    context: Tensor | None,
    done: int,
    span: int,
    randomness: Sequence[torch.Generator],
    device: torch.device,
    dtype: torch.dtype,
) -> Callable[[], object]:
    """The call that asks for the `span` frames behind the first `done` ones, its inputs ready on the device."""
    if part.clips is not None:
        assert isinstance(model, PrivilegedModel)
        return partial(model.rollout_clips, part.clips, horizon=span, generators=randomness)
    assert isinstance(model, FrameModel) and context is not None
    actions = None
    if part.actions is not None:
        actions = part.actions[:, done : done + context.shape[1] + span].to(device, dtype)
    given = normalized_frames(context, device, dtype)
    return partial(
        model.rollout, given, horizon=span, actions=actions, prompts=list(part.prompts), generators=randomness
    )


def _receive_chunks(
    call: Callable[[], object],
    answer: PartResult,
    model: Model,
    part: RolloutRequest,
    place: Tensor,
    done: int,
    device: torch.device,
) -> None:
    """Call the model once and take its chunks in until `place` (B, span, 3, H, W) is full."""

    def timed(action: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            result = action()
            synchronize(device)
        finally:
            answer.seconds += time.perf_counter() - start
        return result

    batch, span = place.shape[:2]
    context = 0 if part.context is None else part.context.shape[1]
    filled = 0
    stream = iterate_chunks(timed(call))
    while True:
        chunk = timed(lambda: next(stream, None))
        if chunk is None:
            break
        if filled == span:
            raise AnswerError(f"Expected {span} frames, got more: stop after `horizon` frames.")
        frames = check_chunk(chunk, batch, span - filled, model.card.image_size, context)
        if frames.device.type != device.type and part.clips is None:
            answer.notes.add(f"The frames come back on {frames.device.type}, though the context lay on {device.type}.")
        length = frames.shape[1]
        reasons = store_chunk(frames, place[:, filled : filled + length], done + filled, part.stored)
        answer.failures = {**reasons, **answer.failures}
        filled += length
    if filled < span:
        raise AnswerError(f"Expected {span} frames, got {filled}.")
