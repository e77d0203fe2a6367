"""Asks a model of states for what follows a context, checks its answer, and turns it into states in SI units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from physbench.adapters.model_protocol import Model, PrivilegedModel, StateModel
from physbench.adapters.state_card import SPEED, STATE_COLUMNS, StateCard
from physbench.rollouts.frame_validation import AnswerError
from physbench.rollouts.model_calls import ModelCalls
from physbench.rollouts.state_format import completed, from_model, to_model
from physbench.rollouts.state_inputs import StateInputs

if TYPE_CHECKING:
    from physbench.rollouts.predict import PartResult, RolloutRequest

Array = NDArray[np.float64]


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
