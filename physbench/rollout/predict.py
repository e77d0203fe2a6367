"""Asks a model for frames, states or surprise, and checks its answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from physbench.models.protocol import SPEED, STATE_COLUMNS, AssumingModel, Model, StateCard
from physbench.rollout.answers import Inputs
from physbench.rollout.device import (
    AnswerError,
    FrameReceiver,
    check_chunk,
    ended,
    is_queued,
    iterate_chunks,
    normalized_frames,
    synchronize,
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
        """Result of a call of the model. On CUDA its work may still be queued then."""
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
    generators = []
    for seed in seeds:
        generator = torch.Generator(device=device)
        generator.manual_seed(seed)
        generators.append(generator)
    return generators


@dataclass(frozen=True, eq=False)
class Request:
    """A request to a model: what it is given, and where its answer goes."""

    model: Any  # of the kind that its card says, or one that is handed clips
    inputs: Inputs
    out: Tensor  # on the CPU
    generators: Sequence[torch.Generator]  # (B,)
    calls: ModelCalls
    dtype: torch.dtype  # of what the model is given
    result: PartResult

    @property
    def stored(self) -> int:
        """Moments that are wanted: fewer than the horizon where a short model is not chained."""
        return self.out.shape[1]

    def spans(self) -> Iterator[tuple[int, int]]:
        """(first, number) of the moments of each call along time. Raises AnswerError where clips would be given twice.

        A model whose `max_horizon` is shorter than what is wanted is called again.
        """
        most, done = self.model.card.max_horizon or self.stored, 0
        while done < self.stored:
            if done and self.inputs.clips is not None:
                raise AnswerError("A privileged model must answer with the whole horizon: leave out max_horizon.")
            span = min(most, self.stored - done)
            self.result.chained += 1
            yield done, span
            done += span

    def on_device(self, values: NDArray[Any]) -> Tensor:
        """Numbers for the model: a copy, as a model may write to what it is given, and be asked again."""
        own = torch.from_numpy(np.ascontiguousarray(values)).to(self.dtype, copy=True)
        return to_device(own, self.calls.device)

    def privileged(self, span: int) -> Any:
        """The answer of a model that is handed the clips."""
        return self.model.rollout_clips(self.inputs.clips, horizon=span, generators=self.generators)

    def note_place(self, answer: Tensor) -> None:
        """Tell where an answer does not lie where the model is given its context."""
        kinds = answer.device.type, self.calls.device.type
        if kinds[0] != kinds[1] and self.inputs.clips is None:
            moment = self.model.card.moment
            self.result.notes.add(f"The {moment}s are returned on {kinds[0]}, but the context is on {kinds[1]}.")


@torch.no_grad()  # not inference mode: a model may keep tensors for its training, or ask for gradients within
def predict(
    model: Model,
    inputs: Inputs,
    out: Tensor,
    device: torch.device,
    dtype: torch.dtype,
    autocast: torch.dtype | None = None,
) -> PartResult:
    """Ask a model, and check and store its answer.

    Args:
        inputs: What it is given of B clips.
        out: Where the answers are written, on the CPU: (B, stored, *step), see `Answers.step`.
        device: Where the model runs.
        dtype: Type of the numbers that it is given.
        autocast: Type of torch.autocast around the model's calls; None: without.

    Raises:
        AnswerError: The answer breaks the protocol.
        Exception: Whatever the model raises.
    """
    if inputs.items:  # only what is told the ids of clips plays: other models may have a `play` of their own
        return _play_recording(model, inputs, out)
    generators = make_generators(inputs.seeds, device)
    seed_everything(inputs.seeds[0])
    states_before = global_random_states(device)
    calls, result = ModelCalls(device, autocast), PartResult()
    ANSWERED[model.card.answers](Request(model, inputs, out, generators, calls, dtype, result))
    result.seconds = calls.seconds()
    if global_random_states(device) != states_before:
        result.notes.add(GLOBAL_RANDOMNESS)
    if inputs.clips is not None:
        result.notes |= set(getattr(model, "notes", ()))
    if isinstance(model, AssumingModel):
        assumed = model.assumptions  # an object of the user's may have an attribute of that name
        result.notes |= {str(each) for each in assumed} if isinstance(assumed, tuple | list) else set()
    return result


def _play_recording(model: Any, inputs: Inputs, out: Tensor) -> PartResult:
    """Copy the frames of videos to `out`. They are not computed, so that no time is counted."""
    answer, wanted = PartResult(chained=1), out.shape[1]
    assert inputs.context is not None
    contexts = inputs.context.transpose(0, 1, 3, 4, 2)
    for position, item in enumerate(inputs.items):
        count = 0
        try:
            for frame in model.play(item, context=contexts[position], horizon=wanted):
                out[position, count].copy_(torch.from_numpy(frame).permute(2, 0, 1))
                count += 1
        except PhysbenchError as error:
            answer.failures[position] = str(error)
        if count < wanted:
            out[position, count:].zero_()
            answer.frames[position] = count
    answer.notes |= set(model.notes)
    return answer


def predict_frames(request: Request) -> None:
    """Ask for frames (B, stored, 3, H, W), call by call along time.

    A model that is called again is given the last C frames of context and prediction, the predicted ones rounded to
    uint8.
    """
    calls, received = request.calls, FrameReceiver(request.stored)
    given = request.inputs.context
    context = None if given is None else to_device(torch.from_numpy(given), calls.device)
    for done, span in request.spans():
        shown = 0 if context is None or done + span == request.stored else context.shape[1]
        last = _receive_chunks(request, _frames_call(request, context, done, span), done, span, shown, received)
        if received.is_checked and len(received.failures) == len(request.out):
            break
        if shown and context is not None:
            context = torch.cat([context, *(to_device(each, calls.device) for each in last)], 1)[:, -shown:]
    received.wait()
    request.result.failures = received.failures


def _frames_call(request: Request, context: Tensor | None, done: int, span: int) -> Callable[[], object]:
    """The call for the `span` frames after the first `done` ones, with its inputs on the device."""
    if context is None:
        return partial(request.privileged, span)
    actions = request.inputs.actions
    return partial(
        request.model.rollout,
        normalized_frames(context, request.calls.device, request.dtype),
        horizon=span,
        actions=None if actions is None else request.on_device(actions[:, done : done + context.shape[1] + span]),
        prompts=list(request.inputs.prompts),
        generators=request.generators,
    )


def _receive_chunks(
    request: Request, call: Callable[[], object], done: int, span: int, shown: int, received: FrameReceiver
) -> list[Tensor]:
    """Call the model once and store its chunks until `span` frames are there.

    Returns the last chunks (B, t, 3, H, W) as uint8, where they lie: at least `shown` frames, if there are so many.
    """
    out, size = request.out[:, done : done + span], request.model.card.image_size
    context = 0 if request.inputs.context is None else request.inputs.context.shape[1]
    filled = 0
    last: list[Tensor] = []
    with ended(iterate_chunks(request.calls.run(call))) as stream:
        while True:
            chunk = request.calls.run(lambda: next(stream, None))
            if chunk is None:
                break
            if filled == span:
                raise AnswerError(f"Expected {span} frames, got more: stop after `horizon` frames.")
            frames = check_chunk(chunk, len(out), span - filled, size, context)
            request.note_place(frames)
            length = frames.shape[1]
            last.append(received.store(frames, out[:, filled : filled + length], done + filled))
            while last and sum(each.shape[1] for each in last[1:]) >= shown:
                last.pop(0)
            filled += length
    if filled < span:
        raise AnswerError(f"Expected {span} frames, got {filled}.")
    return last


def predict_states(request: Request) -> None:
    """Ask for states (B, stored, rows, 13) in SI units, call by call along time.

    A model that is called again is given the last C states of context and prediction. What it does not say of turns and
    spins stays as it was.
    """
    card, given, result = request.model.card, request.inputs.states, request.result
    assert given is not None
    states, written = given.states, request.out.numpy()
    rows = min(states.shape[2], written.shape[2])  # a card may ask for more than any clip has
    for position, many in enumerate(given.many):
        if many > states.shape[2]:
            result.failures[position] = f"The clip has {many} bodies, and the card says bodies={states.shape[2]}."
    whole = request.inputs.clips is not None
    for done, span in request.spans():
        raw = request.calls.run(partial(request.privileged if whole else _states_call(request, states, done), span))
        if isinstance(raw, Tensor):
            request.note_place(raw)
        values = check_answer(raw, card, given, span, whole=whole)
        result.failures = {**value_problems(values, given, done, request.stored), **result.failures}
        predicted = from_model(values, card, given, states[:, -1])
        for position in range(len(predicted)):
            kept = np.nan if position in result.failures else predicted[position][:, :rows]
            written[position, done : done + span, :rows] = kept
        if len(result.failures) == len(request.out):
            return
        if done + span < request.stored:
            states = _next_context(states, predicted, card)


def _states_call(request: Request, states: Array, done: int) -> Callable[[int], Any]:
    """The call for a number of states after the first `done` ones."""
    given, tensor = request.inputs.states, request.on_device
    assert given is not None

    def call(span: int) -> Any:
        actions = None if given.actions is None else given.actions[:, done : done + states.shape[1] + span]
        return request.model.rollout_states(
            tensor(to_model(states, request.model.card, given)),
            bodies=tensor(given.bodies),
            statics=tensor(given.statics),
            mask=torch.from_numpy(given.mask.copy()).to(request.calls.device),
            gravity=tensor(given.gravity),
            horizon=span,
            actions=None if actions is None else tensor(actions),
            prompts=list(request.inputs.prompts),
            generators=request.generators,
        )

    return call


def check_answer(raw: Any, card: StateCard, given: StateInputs, span: int, whole: bool) -> Array:
    """Check that an answer is a float tensor of states and return it per object (B, span, N, columns), float64.

    whole: of a privileged model, which answers with all 13 columns per object whatever its card says.

    Raises AnswerError: it is not. The message names the likely mistake.
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
    problems = {}
    for position, (own, mask) in enumerate(zip(values, given.mask, strict=True)):
        wrong = ~np.isfinite(own[:, mask])
        if wrong.any():
            moment = int(wrong.any(axis=(1, 2)).argmax())
            kind = "NaN" if np.isnan(own[moment][mask]).any() else "Inf"
            count = f"{int(wrong[moment].sum())} of {wrong[moment].size} values"
            problems[position] = f"Predicted state {first + moment + 1} of {horizon} holds {kind} ({count})."
    return problems


def _next_context(states: Array, predicted: Array, card: StateCard) -> Array:
    """The last C states (B, C, N, 13) of a context and what was predicted after it."""
    if card.columns != "positions" and np.isnan(predicted[..., SPEED]).all():
        raise AnswerError(
            f"A model that is called again after {card.max_horizon} states must answer with velocities, as its context "
            "holds them: answer with all columns, or set columns='positions'."
        )
    filled = np.stack([completed(own, before) for own, before in zip(predicted, states[:, -1], strict=True)])
    return np.concatenate([states, filled], axis=1)[:, -states.shape[1] :]


def predict_surprise(request: Request) -> None:
    """Ask for the surprise (B, T - C, 1) at the frames after the first C of B films (B, T, 3, H, W)."""
    inputs, result = request.inputs, request.result
    assert inputs.context is not None
    video = normalized_frames(torch.from_numpy(inputs.context), request.calls.device, request.dtype)
    context = video.shape[1] - inputs.horizon
    ask = partial(
        request.model.surprise,
        video,
        context=context,
        actions=None if inputs.actions is None else request.on_device(inputs.actions),
        prompts=list(inputs.prompts),
        generators=request.generators,
    )
    raw = request.calls.run(ask)
    values = check_surprise(raw, len(video), video.shape[1])[:, context:].to("cpu", torch.float64)
    for position, row in enumerate(values):
        wrong = (~torch.isfinite(row)).nonzero()
        if len(wrong):
            at = int(wrong[0])
            value = float(row[at])
            result.failures[position] = f"The surprise at frame {context + at + 1} of {video.shape[1]} is {value}."
        else:
            request.out[position, :, 0] = row
    result.chained = 1


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


ANSWERED: Mapping[str, Callable[[Request], None]] = {
    "frames": predict_frames,
    "states": predict_states,
    "surprise": predict_surprise,
}
