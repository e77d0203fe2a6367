"""Runs torch.export programs, the two parts of one apart. Loading one runs code in the file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from physbench.models.graphs.graph_card import OPTIONAL_INPUTS, GraphDocument, output_names, state_names
from physbench.models.protocol import FrameModel, SteppedModel
from physbench.support.errors import ModelError
from physbench.support.plugins import first_line

State = tuple[Tensor, ...]


def load_program(path: Path, document: GraphDocument, device: torch.device) -> FrameModel:
    """Load the model in a .pt2 file. Raises ModelError that says what is wrong."""
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
