"""Asks a model for the frames after a context: chunk by chunk, and again on its own last frames if it is short."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from physbench.adapters.model_protocol import AssumingModel, FrameModel, Model, PrivilegedModel, RecordedModel
from physbench.adapters.surprise_card import SurpriseCard
from physbench.clips.clip import Clip
from physbench.errors import PhysbenchError
from physbench.rollouts.frame_transfer import FrameReceiver, normalized_frames, to_device
from physbench.rollouts.frame_validation import AnswerError, check_chunk, ended, iterate_chunks
from physbench.rollouts.messages import GLOBAL_RANDOMNESS
from physbench.rollouts.model_calls import ModelCalls
from physbench.rollouts.predict_states import predict_states
from physbench.rollouts.predict_surprise import predict_surprise
from physbench.rollouts.state_inputs import StateInputs


@dataclass(frozen=True, eq=False)
class RolloutRequest:
    """What a model is given at once: B clips of one horizon."""

    horizon: int
    stored: int  # frames kept
    chain: bool
    seeds: Sequence[int]  # (B,)
    prompts: Sequence[str]  # (B,)
    context: Tensor | None  # (B, C, 3, H, W) uint8 on the CPU
    actions: Tensor | None  # (B, C + horizon, 6)
    clips: Sequence[Clip] | None
    items: Sequence[tuple[str, int]] = ()  # (B,) clip id and sample, for a recorded model
    states: StateInputs | None = None  # for a model of states


@dataclass
class PartResult:
    """The result of a request. Its frames are in the tensor that was given."""

    failures: dict[int, str] = field(default_factory=dict)  # by position in the part
    frames: dict[int, int] = field(default_factory=dict)  # number of frames, where a video ends early
    chained: int = 0  # calls along time
    seconds: float = 0.0  # the model's own time
    notes: set[str] = field(default_factory=set)


def seed_everything(seed: int) -> None:
    """Seed the global generators, so that models that draw from them are repeatable."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global one is meant


def global_random_states(device: torch.device) -> tuple[object, ...]:
    """States of the global generators, to see whether the model draws from them."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    _, keys, position, *_ = np.random.get_state(legacy=True)  # noqa: NPY002 - the global one is meant
    return (*(state.numpy().tobytes() for state in states), random.getstate(), np.asarray(keys).tobytes(), position)


def make_generators(seeds: Sequence[int], device: torch.device) -> list[torch.Generator]:
    """One generator per clip and sample, on the model's device."""
    made = []
    for seed in seeds:
        generator = torch.Generator(device=device)
        generator.manual_seed(seed)
        made.append(generator)
    return made


@torch.no_grad()  # not inference mode: a model may keep tensors for its training, or ask for gradients within
def predict(
    model: Model,
    request: RolloutRequest,
    out: Tensor,
    device: torch.device,
    dtype: torch.dtype,
    autocast: torch.dtype | None = None,
) -> PartResult:
    """Roll out a request.

    A model whose `max_horizon` is shorter than the horizon is called again on the last C frames of context and
    prediction, the predicted ones rounded to uint8.

    Args:
        model: The model.
        request: B clips.
        out: Where the answers are written, on the CPU: (B, stored, 3, H, W) uint8; states (B, stored, rows, 13);
            surprise (B, stored, 1).
        device: Where the model runs.
        dtype: Type of the frames that it is given.
        autocast: Type of torch.autocast around the model's calls; None: without.

    Raises:
        AnswerError: The answer breaks the protocol.
        Exception: Whatever the model raises.
    """
    if request.items:  # only what is told the ids of clips plays: other models may have a `play` of their own
        assert isinstance(model, RecordedModel)
        return _play_recording(model, request, out)
    answer = PartResult()
    generators = make_generators(request.seeds, device)
    seed_everything(request.seeds[0])
    states_before = global_random_states(device)
    calls = ModelCalls(device, autocast)
    if isinstance(model.card, SurpriseCard):
        predict_surprise(model, request, out, answer, generators, calls, dtype)
    elif request.states is None:
        _predict_frames(model, request, out, answer, generators, calls, dtype)
    else:
        predict_states(model, request, out, answer, generators, calls, dtype)
    answer.seconds = calls.seconds()
    if global_random_states(device) != states_before:
        answer.notes.add(GLOBAL_RANDOMNESS)
    if isinstance(model, PrivilegedModel):
        answer.notes |= set(getattr(model, "notes", ()))
    if isinstance(model, AssumingModel):
        assumed = model.assumptions  # an object of the user's may have an attribute of that name
        answer.notes |= {str(each) for each in assumed} if isinstance(assumed, tuple | list) else set()
    return answer


def _predict_frames(
    model: Model,
    request: RolloutRequest,
    out: Tensor,
    answer: PartResult,
    generators: Sequence[torch.Generator],
    calls: ModelCalls,
    dtype: torch.dtype,
) -> None:
    """Fill `out` with frames, call by call along time."""
    done = 0
    received = FrameReceiver(request.stored)
    context = None if request.context is None else to_device(request.context, calls.device)
    while done < request.stored:
        span = min(model.card.max_horizon or request.horizon, request.stored - done)
        if done and request.clips is not None:
            raise AnswerError("A privileged model must answer with the whole horizon: leave out max_horizon.")
        call = _prepare_call(model, request, context, done, span, generators, calls.device, dtype)
        again = done + span < request.stored and context is not None
        shown = context.shape[1] if again and context is not None else 0
        last = _receive_chunks(call, answer, model, request, out[:, done : done + span], done, shown, calls, received)
        answer.chained += 1
        done += span
        if received.is_checked and len(received.failures) == len(out):
            break
        if again and context is not None:
            context = torch.cat([context, *(to_device(each, calls.device) for each in last)], 1)[:, -shown:]
    received.wait()
    answer.failures = received.failures


def _play_recording(model: RecordedModel, request: RolloutRequest, out: Tensor) -> PartResult:
    """Copy the frames of videos to `out`. They are not computed, so that no time is counted."""
    answer = PartResult(chained=1)
    assert request.context is not None
    contexts = request.context.permute(0, 1, 3, 4, 2).numpy()
    for position, item in enumerate(request.items):
        count = 0
        try:
            for frame in model.play(item, context=contexts[position], horizon=request.stored):
                out[position, count].copy_(torch.from_numpy(frame).permute(2, 0, 1))
                count += 1
        except PhysbenchError as error:
            answer.failures[position] = str(error)
        if count < request.stored:
            out[position, count:].zero_()
            answer.frames[position] = count
    answer.notes |= set(model.notes)
    return answer


def _prepare_call(
    model: Model,
    request: RolloutRequest,
    context: Tensor | None,
    done: int,
    span: int,
    generators: Sequence[torch.Generator],
    device: torch.device,
    dtype: torch.dtype,
) -> Callable[[], object]:
    """The call for the `span` frames after the first `done` ones, with its inputs on the device."""
    if request.clips is not None:
        assert isinstance(model, PrivilegedModel)
        return partial(model.rollout_clips, request.clips, horizon=span, generators=generators)
    assert isinstance(model, FrameModel) and context is not None
    actions = None
    if request.actions is not None:
        window = request.actions[:, done : done + context.shape[1] + span]
        actions = to_device(window, device).to(dtype, copy=True)  # a model may write to it, and be asked again
    given = normalized_frames(context, device, dtype)
    return partial(
        model.rollout, given, horizon=span, actions=actions, prompts=list(request.prompts), generators=generators
    )


def _receive_chunks(
    call: Callable[[], object],
    answer: PartResult,
    model: Model,
    request: RolloutRequest,
    out: Tensor,
    done: int,
    shown: int,
    calls: ModelCalls,
    received: FrameReceiver,
) -> list[Tensor]:
    """Call the model once and store its chunks until `out` (B, span, 3, H, W) is full.

    Returns:
        The last chunks (B, t, 3, H, W) as uint8, where they lie: at least `shown` frames, if there are so many.
    """
    batch, span = out.shape[:2]
    context = 0 if request.context is None else request.context.shape[1]
    filled = 0
    last: list[Tensor] = []
    with ended(iterate_chunks(calls.run(call))) as stream:
        while True:
            chunk = calls.run(lambda: next(stream, None))
            if chunk is None:
                break
            if filled == span:
                raise AnswerError(f"Expected {span} frames, got more: stop after `horizon` frames.")
            frames = check_chunk(chunk, batch, span - filled, model.card.image_size, context)
            if frames.device.type != calls.device.type and request.clips is None:
                kinds = frames.device.type, calls.device.type
                answer.notes.add(f"The frames are returned on {kinds[0]}, but the context is on {kinds[1]}.")
            length = frames.shape[1]
            last.append(received.store(frames, out[:, filled : filled + length], done + filled))
            while last and sum(each.shape[1] for each in last[1:]) >= shown:
                last.pop(0)
            filled += length
    if filled < span:
        raise AnswerError(f"Expected {span} frames, got {filled}.")
    return last
