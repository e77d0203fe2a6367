"""Common form of files with graphs: names of inputs and outputs, a document with the kind of model and its card, and
the adapter of such files.

{"kind": "frames", "card": {"name": ..., "image_size": [64, 64], "fps": 15, "context_frames": 8}}

The kind "surprise" has the fields of a SurpriseCard.

An archive also says in which order its program takes `inputs`, as their names are lost there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.models.adapter import Adapter, refuse_arguments, without_scheme
from physbench.models.protocol import Model, ModelCard, stated_fields
from physbench.models.safetensors_files import read_card
from physbench.models.unrecognised import describe_unrecognised
from physbench.support.errors import ModelError, nearest

if TYPE_CHECKING:
    import torch

OPTIONAL_INPUTS = ("context_actions", "action", "noise")
INIT_PREFIX, NEXT_PREFIX = "init_", "next_"  # before the name of a state: what `init` and `step` make of it


def state_names(inputs: Sequence[str]) -> list[str]:
    """Those inputs of a program that are its state."""
    return [name for name in inputs if name not in ("context", *OPTIONAL_INPUTS)]


def output_names(inputs: Sequence[str]) -> list[str]:
    """Names of what a program with these inputs returns, in order: first states, next states, frame."""
    states = state_names(inputs)
    return [INIT_PREFIX + name for name in states] + [NEXT_PREFIX + name for name in states] + ["frame"]


@dataclass(frozen=True)
class GraphDocument:
    """A document, parsed."""

    card: ModelCard
    inputs: tuple[str, ...] = ()  # of a program with `init` and `step`, in their order


def graph_document(card: ModelCard, inputs: Sequence[str] = ()) -> str:
    """The document of a card, as text."""
    order = {"inputs": list(inputs)} if inputs else {}
    return json.dumps({"kind": card.answers, "card": stated_fields(card), **order}, sort_keys=True)


def read_graph_document(text: str | None, where: str, place: str) -> GraphDocument:
    """Parse a document.

    Args:
        text: The document, or None where the file has none.
        where: The file as the user named it, for messages.
        place: Where the document belongs, such as "the metadata key 'physbench'".

    Raises ModelError: there is no document, or it is not of this form. The message says what to do.
    """
    if text is None:
        raise ModelError(
            f"{where} has no card: {place} is missing, which says size, rate and context of the model.\n"
            "`physbench export` writes it; docs/models/onnx.md shows how to add it to a graph made elsewhere."
        )
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("card"), dict):
            raise ValueError("expected a table with a table 'card' in it")
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: {place} cannot be read ({error}).") from None
    kind = document.get("kind", "frames")
    graph_kinds = ("frames", "surprise")  # of answers: no graph has states
    if kind not in graph_kinds:
        raise ModelError(f"{where}: there is no kind of graph {kind!r:.40}.{nearest(str(kind), graph_kinds)}")
    card = read_card({**document["card"], "answers": kind}, where)
    if card.track == "privileged":
        raise ModelError(f"{where}: a graph is given no clips, so that its card cannot say track='privileged'.")
    inputs = document.get("inputs", [])
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise ModelError(f"{where}: {place} cannot be read (expected inputs to be a list of names).")
    return GraphDocument(card, tuple(inputs))


def refuse_other_inputs(card: ModelCard, inputs: Collection[str], where: str) -> None:
    """Raise ModelError where a card promises what a graph does not take, or hides that it takes noise.

    inputs: Names of those that it takes; for a card with actions `action` or `context_actions`.
    """
    given = next((name for name in ("uses_actions", "uses_camera") if getattr(card, name)), None)
    if given and not {"action", "context_actions"} & set(inputs):
        raise ModelError(f"{where}: its card says {given}=True, but the graph has no input `action`.")
    if card.uses_prompt:
        raise ModelError(f"{where}: its card says uses_prompt=True, but a graph takes no text.")
    if card.stochastic != ("noise" in inputs):
        has = "has an" if "noise" in inputs else "has no"
        raise ModelError(
            f"{where}: its card says stochastic={card.stochastic}, but the graph {has} input `noise`. Export it again "
            "with a card that says which."
        )


class GraphAdapter(Adapter):
    """An adapter of files that hold a graph, whatever their names. It takes no arguments, and has its own types."""

    looks_right: Callable[[Path], bool]  # by the first bytes of a file

    def load_file(self, path: Path, device: torch.device) -> Model:
        """Load the model in a file. Raises ModelError that says what is wrong."""
        raise NotImplementedError

    def recognises(self, target: str) -> bool:
        path = Path(target)
        return path.is_file() and type(self).looks_right(path)

    def _path(self, target: str) -> Path:
        path = Path(without_scheme(target, self.name))
        if not self.recognises(str(path)):
            raise ModelError(describe_unrecognised(str(path)))
        return path

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        refuse_arguments(model_args, "a graph")

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        path = self._path(target)
        if str(dtype) != "torch.float32":
            raise ModelError(f"{path}: --dtype does not change a graph, which holds its own types. Leave it out.")
        return self.load_file(path, device)
