"""Common form of files with graphs: names of inputs and outputs, and a document with the kind of model and its card.

{"kind": "frames", "card": {"name": ..., "image_size": [64, 64], "fps": 15, "context_frames": 8}}

The kind "surprise" has the fields of a SurpriseCard.

An archive also says in which order its program takes `inputs`, as their names are lost there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from physbench.models.protocol import ModelCard, stated_fields
from physbench.models.safetensors_files import METADATA_KEY, read_card
from physbench.support.errors import ModelError, nearest

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


def metadata_place() -> str:
    """Place of the document in an ONNX file, in words."""
    return f"the metadata key '{METADATA_KEY}'"
