"""Turns a model with `init` and `step` into one graph that holds both parts, as ONNX or as a .pt2 program of torch."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.models.graphs.exported_program import DOCUMENT_FILE, PROGRAM_SUFFIX
from physbench.models.graphs.graph_card import graph_document, output_names
from physbench.models.protocol import ACTION_VALUES, FrameModel, optional_inputs
from physbench.models.safetensors_files import METADATA_KEY
from physbench.support.errors import ModelError
from physbench.support.plugins import describe_error, first_line

EXAMPLE_BATCH = 2  # clips in the example inputs; a batch of one would be taken for fixed


class _BothParts(nn.Module):
    """`init` and `step` side by side: neither uses what the other makes."""

    def __init__(self, model: Any, networks: Sequence[nn.Module], names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)
        self.model = [model]  # in a list: it may be no module
        for number, network in enumerate(networks):
            self.add_module(f"net{number}" if len(networks) > 1 else "net", network)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, tensors, strict=True))
        states = tuple(tensor for name, tensor in given.items() if name.startswith("state"))
        to_init = {name: given[name] for name in ("context", "context_actions") if name in given}
        to_step = {name: given[name] for name in ("action", "noise") if name in given}
        (model,) = self.model
        first = model.init(**to_init)
        following, frame = model.step(states[0] if isinstance(first, Tensor) else states, **to_step)
        # torch 2.6 gives a tensor that is answered twice one name alone.
        return tuple(tensor.clone() for tensor in (*as_tuple(first), *as_tuple(following), frame))


def as_tuple(state: Any) -> tuple[Tensor, ...]:
    """The tensors of a state."""
    return (state,) if isinstance(state, Tensor) else tuple(state)


def example_inputs(model: Any, target: str) -> dict[str, Tensor]:
    """Inputs of both parts, by name, with the state of a random context.

    Raises:
        ModelError: The model has no `init` and `step`, or its state is not made of tensors (B, ...).
    """
    missing = [name for name in ("init", "step") if not callable(getattr(model, name, None))]
    if missing:
        raise ModelError(
            f"{target}: the {type(model).__name__} has no {' and no '.join(missing)}, of which a graph is made. Write "
            "it as init(context) -> state and step(state, action) -> (state, frame): docs/models/onnx.md shows how."
        )
    card, taken = model.card, optional_inputs(model)
    action_values = getattr(model, "action_values", ACTION_VALUES)
    context = torch.rand(EXAMPLE_BATCH, card.context_frames, 3, *card.image_size)
    inputs = {"context": context}
    if "context_actions" in taken:
        inputs["context_actions"] = torch.zeros(EXAMPLE_BATCH, card.context_frames, action_values)
    try:
        state = model.init(**inputs)
    except Exception as error:
        raise ModelError(f"{target}: init failed: {describe_error(error)}") from error
    tensors = state if isinstance(state, tuple | list) else (state,)
    if not tensors or not all(
        isinstance(tensor, Tensor) and tensor.ndim > 0 and len(tensor) == EXAMPLE_BATCH for tensor in tensors
    ):
        raise ModelError(f"{target}: expected init to return a tensor (B, ...) or a tuple of them, got {_kind(state)}.")
    inputs |= {f"state_{index}": tensor.clone() for index, tensor in enumerate(tensors)}
    if "action" in taken:
        inputs["action"] = torch.zeros(EXAMPLE_BATCH, action_values)
    if "noise" in taken:
        size = getattr(model, "noise_size", 0)
        if not isinstance(size, int) or size < 1:
            raise ModelError(f"{target}: its step takes noise: set noise_size to how many numbers, got {size!r}.")
        inputs["noise"] = torch.zeros(EXAMPLE_BATCH, size)
    return inputs


def _kind(state: Any) -> str:
    if isinstance(state, Tensor):
        return f"one of shape {tuple(state.shape)} for a batch of {EXAMPLE_BATCH}"
    inner = ", ".join(type(item).__name__ for item in state) if isinstance(state, tuple | list) else ""
    return f"{type(state).__name__}({inner})" if inner else type(state).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress, and its warnings of libraries that are not used."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    nowhere = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(nowhere), redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def export_graph(model: FrameModel, networks: Sequence[nn.Module], path: Path, target: str) -> None:
    """Write the model, which lies on the CPU in float32.

    Args:
        model: It has `init` and `step`, see `SteppedModel`.
        networks: Its networks, in evaluation mode.
        path: File to write: .onnx, or .pt2.
        target: The model as the user named it, for messages.

    Raises:
        ModelError: It cannot be traced.
    """
    inputs = example_inputs(model, target)
    names = list(inputs)
    # With one size for both, the exporter may read the batch of one part off an input of the other.
    # older versions of the exporter want a bound
    sizes = {
        name: torch.export.Dim("batch" if name.startswith("context") else "batch_of_step", max=65_536) for name in names
    }
    both = _BothParts(model, networks, names)
    try:
        with _quiet(), torch.no_grad():
            shapes = (tuple({0: sizes[name]} for name in names),)
            program = torch.export.export(both, tuple(inputs.values()), dynamic_shapes=shapes, strict=False)
            if path.suffix == PROGRAM_SUFFIX:
                document = graph_document(model.card, names)
                torch.export.save(program, str(path), extra_files={DOCUMENT_FILE: document})
                return
            graph = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=names, output_names=output_names(names)
            )
            assert graph is not None
            graph.model.metadata_props[METADATA_KEY] = graph_document(model.card)
            graph.save(str(path))
    except Exception as error:
        raise ModelError(f"{target} cannot be exported: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """Reason that the exporter gives, without its headlines."""
    if "specialized" in str(error) or "Constraints violated" in str(error):
        return "its code fixes the size of the batch. Write context.shape[0] instead of len(context) or a number."
    if "data-dependent" in str(error):
        return "an `if` or a loop depends on the values of a tensor, which a graph cannot hold. Use torch.where."
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return first_line(describe_error(inner))
