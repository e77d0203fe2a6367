"""Exports a model as a graph, and checks that the graph answers as the model does."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.exported_program import DOCUMENT_FILE, PROGRAM_SUFFIX, ProgramClip, ProgramSteps
from physbench.models.graph_card import graph_document, output_names
from physbench.models.load_model import load_model
from physbench.models.networks import find_networks
from physbench.models.onnx_file import OnnxClip, OnnxSteps
from physbench.models.protocol import ACTION_VALUES, FrameModel, optional_inputs
from physbench.models.safetensors_files import METADATA_KEY
from physbench.rollout.answers import model_context
from physbench.rollout.device import iterate_chunks, normalized_frames
from physbench.rollout.in_process import evaluation_mode
from physbench.rollout.predict import make_generators
from physbench.support.errors import ModelError
from physbench.support.plugins import describe_error, first_line

# Turns a model with `init` and `step` into one graph that holds both parts, as ONNX or as a .pt2 program of torch.

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

    Raises ModelError: the model has no `init` and `step`, or its state is not made of tensors (B, ...).
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

    Raises ModelError: it cannot be traced.
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


COMPARED_FRAMES = 60  # compared
CPU = torch.device("cpu")


@dataclass(frozen=True)
class ExportedModel:
    """Files of an exported model, and the distance of its answers from those of the original."""

    path: Path
    size: int  # bytes, of all files
    frames: int  # compared, of each context
    differences: Mapping[str, float]  # largest, by sort of context


def export_model(
    target: str, path: Path, *, model_args: Mapping[str, str], trust_code: bool, tolerance: float
) -> ExportedModel:
    """Write a model as a graph. The file appears only if both answer alike.

    Args:
        path: The file, .onnx or .pt2.
        model_args: Values of --model-arg, by name.
        tolerance: Largest difference of a value of a frame.

    Raises ModelError: the model cannot be loaded or exported, or the answers differ.
    """
    model = load_model(target, device=CPU, dtype=torch.float32, model_args=model_args, trust_code=trust_code)
    if isinstance(model, OnnxSteps | OnnxClip | ProgramSteps | ProgramClip):
        raise ModelError(f"{target} is a graph already.")
    if not isinstance(model, FrameModel):
        raise ModelError(f"{target} is no model that continues frames: it cannot be a graph.")
    with evaluation_mode(model), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        exported = Path(folder) / path.name
        export_graph(model, find_networks(model), exported, target)
        graph = load_model(str(exported), device=CPU, dtype=torch.float32, trust_code=True)  # it was made here
        assert isinstance(graph, FrameModel)
        differences = compare_models(model, graph)
        worst = max(differences.values())
        if not worst <= tolerance:
            raise ModelError(
                f"{target}: the graph's frames differ by up to {worst:.1e} from those of `rollout`, more than "
                f"{tolerance:.0e}. Nothing was written.\nDo `rollout`, `init` and `step` do the same, and does no "
                "number decide which operations run? --tolerance allows more."
            )
        files = [(entry, entry.stat().st_size) for entry in sorted(Path(folder).iterdir())]
        for entry, _ in files:
            entry.replace(path.parent / entry.name)
    frames = min(COMPARED_FRAMES, model.card.max_horizon or COMPARED_FRAMES)
    return ExportedModel(path, sum(size for _, size in files), frames, differences)


def compare_models(first: FrameModel, second: FrameModel) -> dict[str, float]:
    """Largest difference of the frames of two models with one card, on contexts of clips and on random ones."""
    card = first.card
    store = ClipStore()
    compared_clips = 2  # contexts of each sort
    rows = find_suite("smoke").rows[:compared_clips]
    seen = [torch.from_numpy(model_context(store.get(row, card.spec), card)) for row in rows]
    numbers = torch.Generator().manual_seed(0)
    random = torch.randint(0, 256, (compared_clips, card.context_frames, 3, *card.image_size), generator=numbers)
    differences = {}
    for name, frames in (
        ("contexts of clips", torch.stack(seen).permute(0, 1, 4, 2, 3).contiguous()),
        ("random contexts", random.to(torch.uint8)),
    ):
        answers = [_answer(model, normalized_frames(frames, CPU, torch.float32)) for model in (first, second)]
        differences[name] = float((answers[0] - answers[1]).abs().max())
    return differences


@torch.inference_mode()
def _answer(model: FrameModel, context: Tensor) -> Tensor:
    """Frames (B, T, 3, H, W), with a random push of each clip where the model takes actions."""
    card, (batch, count) = model.card, context.shape[:2]
    horizon = min(COMPARED_FRAMES, card.max_horizon or COMPARED_FRAMES)
    actions = None
    if card.uses_actions or card.uses_camera:
        numbers = torch.Generator().manual_seed(1)
        width = getattr(model, "action_values", ACTION_VALUES)
        actions = torch.zeros(batch, count + horizon, width)
        actions[:, [count - 1, count + horizon // 3]] = torch.rand(batch, 2, width, generator=numbers)
    generators = make_generators(range(batch), CPU)
    chunks = model.rollout(context, horizon=horizon, actions=actions, prompts=[""] * batch, generators=generators)
    return torch.cat(list(iterate_chunks(chunks)), 1)
