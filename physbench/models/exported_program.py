"""Models from .pt2 files: programs of torch.export, with a card beside them. Loading one runs code in the file."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.models.graph_card import (
    OPTIONAL_INPUTS,
    GraphAdapter,
    GraphDocument,
    output_names,
    read_graph_document,
    refuse_other_inputs,
    state_names,
)
from physbench.models.protocol import FrameModel, Model, SteppedModel
from physbench.support.errors import ModelError
from physbench.support.files import DAMAGED_ARCHIVE, file_sha256
from physbench.support.plugins import first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor, fx

PROGRAM_SUFFIX = ".pt2"
DOCUMENT_FILE = "physbench.json"  # among the extra files of the archive


def looks_like_program(path: Path) -> bool:
    """True if the file is an archive of torch.export. Nothing in it is run."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                return False
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()]
    except DAMAGED_ARCHIVE:
        return False
    return any("serialized_exported_program" in name or name == "archive_format" for name in names)


def read_program_document(path: Path) -> GraphDocument:
    """Read the document beside a program, without loading the program. Raises ModelError."""
    place = f"the extra file '{DOCUMENT_FILE}'"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == DOCUMENT_FILE]
            if members and members[0].file_size > 1_000_000:  # bytes
                raise ModelError(
                    f"{path}: {place} has {members[0].file_size} bytes, which is no card. Export it again."
                )
            text = archive.read(members[0]).decode("utf-8") if members else None
    except DAMAGED_ARCHIVE as error:
        raise ModelError(f"{path} is corrupt: {place} cannot be read ({error}). Copy it again.") from None
    document = read_graph_document(text, str(path), place)
    _check_inputs(document, path)
    return document


def _check_inputs(document: GraphDocument, path: Path) -> None:
    card, inputs = document.card, document.inputs
    if not card.continues:
        raise ModelError(f"{path}: a .pt2 predicts frames. Export surprise as an .onnx of the kind 'surprise'.")
    if inputs and (inputs[0] != "context" or not state_names(inputs) or len(set(inputs)) < len(inputs)):
        raise ModelError(f"{path}: expected its inputs to be context and at least one state, got {', '.join(inputs)}.")
    # Actions after the context reach a program by `action` alone.
    refuse_other_inputs(card, set(inputs) - {"context_actions"}, str(path))


State = tuple["Tensor", ...]


def load_program(path: Path, document: GraphDocument, device: torch.device) -> FrameModel:
    """Load the model in a .pt2 file. Raises ModelError that says what is wrong."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(str(path))
            if device.type != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
            if not document.inputs:
                return ProgramClip(document, program.module())
            return ProgramSteps(document, program, str(path))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"torch {torch.__version__} cannot load {path}: {first_line(str(error))}\n"
            "Export it again with this version."
        ) from error


def part_of_program(program: Any, names: Sequence[str], kept: Sequence[str], where: str) -> fx.GraphModule:
    """The part of a program that makes some outputs; it takes all inputs in order, None for those of the other part.

    Args:
        names: Names of its inputs, in order.
        kept: Names of the outputs.
        where: The file, for messages.
    """
    from torch import fx

    module: fx.GraphModule = program.module()
    graph = module.graph
    outputs = output_names(names)
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    (output,) = (node for node in graph.nodes if node.op == "output")
    if len(inputs) != len(names) or len(output.args[0]) != len(outputs):
        raise ModelError(
            f"{where}: the program takes {len(inputs)} tensors and returns {len(output.args[0])}, but by its card "
            f"takes {', '.join(names)} and returns {', '.join(outputs)}."
        )
    output.args = (tuple(output.args[0][outputs.index(name)] for name in kept),)
    first = kept[0] == outputs[0]
    of_other_part = {node for node, name in zip(inputs, names, strict=True) if name.startswith("context") != first}
    surplus = set(of_other_part)
    for node in graph.nodes:  # in the order of the computation
        if surplus & set(node.all_input_nodes):
            surplus.add(node)
    if output in surplus:
        raise ModelError(f"{where}: what `init` makes and what `step` makes depend on one another's inputs.")
    for node in reversed(list(graph.nodes)):
        if node in surplus and node not in of_other_part:
            graph.erase_node(node)
    graph.set_codegen(fx.graph.CodeGen())  # takes and returns plain tuples
    module.recompile()
    return module


def _last_side(module: Any, number: int) -> int:
    """Last side of the tensor that a part of a program takes at a place."""
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    return int(inputs[number].meta["val"].shape[-1])


class ProgramSteps(SteppedModel[State]):
    """A program of two parts, `init` and `step`."""

    def __init__(self, document: GraphDocument, program: Any, where: str) -> None:
        names = document.inputs
        self.card, self._names, self._states = document.card, names, state_names(names)
        outputs = output_names(names)
        split = len(self._states)
        self._init = part_of_program(program, names, outputs[:split], where)
        self._step = part_of_program(program, names, outputs[split:], where)
        for name, part in (("context_actions", self._init), ("action", self._step)):
            if name in names:
                self.action_values = _last_side(part, names.index(name))
        if "noise" in names:
            self.noise_size = _last_side(self._step, names.index("noise"))

    def optional_inputs(self) -> frozenset[str]:
        return frozenset(self._names) & set(OPTIONAL_INPUTS)

    def init(self, context: Tensor, **given: Tensor) -> State:
        # Without hooks: those of older versions want a tensor for every input.
        state: State = self._init.forward(*({"context": context, **given}.get(name) for name in self._names))
        return state

    def step(self, state: State, **given: Tensor) -> tuple[State, Tensor]:
        values = {**dict(zip(self._states, state, strict=True)), **given}
        *following, frame = self._step.forward(*(values.get(name) for name in self._names))
        return tuple(following), frame


class ProgramClip:
    """A program from a context to a fixed number of frames, which is the card's max_horizon."""

    def __init__(self, document: GraphDocument, module: Any) -> None:
        if document.card.max_horizon is None:
            raise ModelError("A program of whole clips says in its card how many frames it gives: set max_horizon.")
        self.card, self._module = document.card, module

    def rollout(self, context: Tensor, *, horizon: int, **given: object) -> Iterator[Tensor]:
        """The first `horizon` of its frames, (B, horizon, 3, H, W) in one chunk."""
        yield self._module(context)[:, :horizon]


class ExportedProgramAdapter(GraphAdapter):
    """A torch.export program."""

    name = "pt2"
    summary = "path/to/model.pt2  a program of torch.export; it can run code, so that it needs --trust-code"
    looks_right = staticmethod(looks_like_program)

    def code_warning(self, target: str) -> str:
        return (
            f"{self._path(target)} is a torch.export program. Loading it can run any code that is in it, with your "
            "rights.\nIf you trust who made it, give --trust-code; an .onnx file of the same model runs no code."
        )

    def check(self, target: str) -> None:
        read_program_document(self._path(target))

    def sha256(self, target: str) -> str | None:
        return file_sha256(self._path(target))

    def load_file(self, path: Path, device: torch.device) -> Model:
        return load_program(path, read_program_document(path), device)


adapter = ExportedProgramAdapter()
