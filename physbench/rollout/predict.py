"""Asks a model for frames, states or surprise, and checks its answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from physbench.clips.clip import Clip
from physbench.models.protocol import (
    SPEED,
    STATE_COLUMNS,
    AssumingModel,
    FrameModel,
    Model,
    PrivilegedModel,
    RecordedModel,
    StateCard,
    StateModel,
    SurpriseCard,
    SurpriseModel,
)
from physbench.rollout.device import is_queued, synchronize
from physbench.rollout.frames import (
    AnswerError,
    FrameReceiver,
    check_chunk,
    ended,
    iterate_chunks,
    normalized_frames,
    to_device,
)
from physbench.rollout.messages import GLOBAL_RANDOMNESS
from physbench.rollout.states import StateInputs, completed, from_model, to_model
from physbench.support.arrays import Array
from physbench.support.errors import PhysbenchError

# Calls a model, under autocast where that is asked for, and takes its time; of CUDA without waiting for it.

T = TypeVar("T")


class ModelCalls:
    """The calls of one request on one device."""

    def __init__(self, device: torch.device, autocast: torch.dtype | None = None) -> None:
        self.device = device
        self.autocast = autocast  # type in which matrices are multiplied; None: that of weights and frames
        self._measured = 0.0  # s
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []  # before and after each call

    def run(self, action: Callable[[], T]) -> T:
        """What a call of the model returns. On CUDA its work may still be queued then."""
        if is_queued(self.device):
            stream = torch.cuda.current_stream(self.device)
            before, after = _timed_event(), _timed_event()
            before.record(stream)
            with self._precision():
                result = action()
            after.record(stream)
            self._spans.append((before, after))
            return result
        start = time.perf_counter()
        with self._precision():
            result = action()
        synchronize(self.device)
        self._measured += time.perf_counter() - start
        return result

    def _precision(self) -> AbstractContextManager[object]:
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)

    def seconds(self) -> float:
        """The model's own time so far. Waits until the device has done what was called."""
        for before, after in self._spans:
            after.synchronize()
            self._measured += before.elapsed_time(after) / 1000  # of ms
        self._spans.clear()
        return self._measured


def _timed_event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]


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


# Asks a model of states for what follows a context, checks its answer, and turns it into states in SI units.


def predict_states(
    model: Model,
    request: RolloutRequest,
    out: Tensor,
    answer: PartResult,
    generators: Sequence[torch.Generator],
    calls: ModelCalls,
    dtype: torch.dtype,
) -> None:
    """Fill `out` (B, stored, rows, 13) with states, call by call along time.

    A model whose `max_horizon` is shorter than the horizon is called again on the last C states of context and
    prediction. What it does not say of turns and spins stays as it was.

    Raises:
        AnswerError: The answer breaks the protocol.
        Exception: Whatever the model raises.
    """
    card, given = model.card, request.states
    assert isinstance(card, StateCard) and given is not None
    states, done = given.states, 0
    written = out.numpy()
    rows = min(states.shape[2], written.shape[2])  # a card may ask for more than any clip has
    for position, many in enumerate(given.many):
        if many > states.shape[2]:
            answer.failures[position] = f"The clip has {many} bodies, and the card says bodies={states.shape[2]}."
    while done < request.stored:
        span = min(card.max_horizon or request.horizon, request.stored - done)
        if done and request.clips is not None:
            raise AnswerError("A privileged model must answer with the whole horizon: leave out max_horizon.")
        raw = calls.run(partial(_call, model, request, states, done, span, generators, calls.device, dtype))
        if isinstance(raw, Tensor) and raw.device.type != calls.device.type and request.clips is None:
            kinds = raw.device.type, calls.device.type
            answer.notes.add(f"The states are returned on {kinds[0]}, but the context is on {kinds[1]}.")
        values = check_answer(raw, card, given, span, whole=request.clips is not None)
        reasons = value_problems(values, given, done, request.stored)
        answer.failures = {**reasons, **answer.failures}
        predicted = from_model(values, card, given, states[:, -1])
        for position in range(len(predicted)):
            kept = np.nan if position in answer.failures else predicted[position][:, :rows]
            written[position, done : done + span, :rows] = kept
        answer.chained += 1
        done += span
        if len(answer.failures) == len(out):
            return
        if done < request.stored:
            states = _next_context(states, predicted, card)


def _call(
    model: Model,
    request: RolloutRequest,
    states: Array,
    done: int,
    span: int,
    generators: Sequence[torch.Generator],
    device: torch.device,
    dtype: torch.dtype,
) -> Any:
    """The model's answer for the `span` states after the first `done` ones."""
    if request.clips is not None:
        assert isinstance(model, PrivilegedModel)
        return model.rollout_clips(request.clips, horizon=span, generators=generators)
    assert isinstance(model, StateModel) and request.states is not None
    given = request.states

    def tensor(values: Array) -> Tensor:
        # A copy: a model of double precision may change what it is given.
        return torch.from_numpy(np.ascontiguousarray(values)).to(device, dtype, copy=True)

    actions = None if given.actions is None else given.actions[:, done : done + states.shape[1] + span]
    return model.rollout_states(
        tensor(to_model(states, model.card, given)),
        bodies=tensor(given.bodies),
        statics=tensor(given.statics),
        mask=torch.from_numpy(given.mask.copy()).to(device),
        gravity=tensor(given.gravity),
        horizon=span,
        actions=None if actions is None else tensor(actions),
        prompts=list(request.prompts),
        generators=generators,
    )


def check_answer(raw: Any, card: StateCard, given: StateInputs, span: int, whole: bool) -> Array:
    """Check that an answer is a float tensor of states and return it per object (B, span, N, columns), float64.

    whole: of a privileged model, which answers with all 13 columns per object whatever its card says.

    Raises:
        AnswerError: It is not. The message names the likely mistake.
    """
    batch, rows = given.mask.shape
    flat = card.layout == "flat" and not whole
    columns = (len(STATE_COLUMNS),) if whole else tuple(dict.fromkeys((card.width, card.axes)))
    shapes = [(batch, span, rows * each) if flat else (batch, span, rows, each) for each in columns]
    if not isinstance(raw, Tensor):
        hint = ": return the states alone" if isinstance(raw, tuple | list | dict) else ""
        raise AnswerError(f"Expected a torch.Tensor of states, got {type(raw).__name__}{hint}.")
    if whole and raw.ndim == 4 and raw.shape[2] < rows and not given.mask[:, raw.shape[2] :].any():
        raw = torch.nn.functional.pad(raw, (0, 0, 0, rows - raw.shape[2]))  # it is not told how many rows others have
    shape = tuple(raw.shape)
    if shape not in shapes:
        wanted = " or ".join(str(each) for each in shapes)
        raise AnswerError(f"Expected states of shape {wanted}, got {shape}{_hint(shape, shapes[0], given)}.")
    if not raw.is_floating_point():
        raise AnswerError(f"Expected floating-point states, got {str(raw.dtype)[6:]}.")
    values: Array = raw.detach().to("cpu", torch.float64).numpy()
    return values.reshape(batch, span, rows, -1)


def _hint(shape: tuple[int, ...], wanted: tuple[int, ...], given: StateInputs) -> str:
    batch, span, *rest = wanted
    context = given.states.shape[1]
    if len(shape) == 5:
        return ": these look like frames; a model of frames has a ModelCard and a method `rollout`"
    if shape == (batch, span + context, *rest):
        return f": leave out the {context} states of the context"
    if shape == (span, batch, *rest) and span != batch:
        return ": the batch belongs before time"
    if shape == (span, *rest):
        return ": the batch dimension is missing"
    if len(shape) == len(wanted) and shape[:1] == wanted[:1] and shape[2:] == wanted[2:]:
        return f": answer with `horizon` states, {span} here"
    if len(shape) != len(wanted) and shape[:2] == wanted[:2]:
        return ": the card's layout says whether objects have a dimension of their own"
    return ""


def value_problems(values: Array, given: StateInputs, first: int, horizon: int) -> dict[int, str]:
    """By position in the batch, why a clip failed: NaN or Inf in a row that it has. values: (B, T, N, columns)."""
    found = {}
    for position, (own, mask) in enumerate(zip(values, given.mask, strict=True)):
        wrong = ~np.isfinite(own[:, mask])
        if wrong.any():
            moment = int(wrong.any(axis=(1, 2)).argmax())
            kind = "NaN" if np.isnan(own[moment][mask]).any() else "Inf"
            count = f"{int(wrong[moment].sum())} of {wrong[moment].size} values"
            found[position] = f"Predicted state {first + moment + 1} of {horizon} holds {kind} ({count})."
    return found


def _next_context(states: Array, predicted: Array, card: StateCard) -> Array:
    """The last C states (B, C, N, 13) of a context and what was predicted after it."""
    if card.columns != "positions" and np.isnan(predicted[..., SPEED]).all():
        raise AnswerError(
            f"A model that is called again after {card.max_horizon} states must answer with velocities, as its context "
            "holds them: answer with all columns, or set columns='positions'."
        )
    filled = np.stack([completed(own, before) for own, before in zip(predicted, states[:, -1], strict=True)])
    return np.concatenate([states, filled], axis=1)[:, -states.shape[1] :]


# Asks a model how surprised it is by whole films, and checks its answer.


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
