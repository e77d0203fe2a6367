"""The document that a file with a graph carries, in ONNX metadata or in a .pt2 archive: the kind of model and its card.

{"kind": "frames", "card": {"name": ..., "image_size": [64, 64], "fps": 15, "context_frames": 8}}
"""

from __future__ import annotations

import json
from dataclasses import asdict

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.tensor_file import METADATA_KEY, read_card
from physbench.errors import ModelError, nearest

KINDS = ("frames",)  # what a graph may predict


def graph_document(card: ModelCard) -> str:
    """The document for a card, as text."""
    return json.dumps({"kind": KINDS[0], "card": asdict(card)}, sort_keys=True)


def read_graph_document(text: str | None, where: str, place: str) -> ModelCard:
    """Read the card out of a document.

    Args:
        text: The document, or None where the file has none.
        where: The file as the user named it, for messages.
        place: Where the document belongs, such as "the metadata key 'physbench'".

    Raises:
        ModelError: There is no document, or it is not of this form. The message says what to do.
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
    except ValueError as error:
        raise ModelError(f"{where}: {place} cannot be read ({error}).") from None
    kind = document.get("kind", KINDS[0])
    if kind not in KINDS:
        raise ModelError(f"{where}: there is no kind of graph {kind!r:.40}.{nearest(str(kind), KINDS)}")
    card = read_card(document["card"], where)
    if card.track == "privileged":
        raise ModelError(f"{where}: a graph is given no clips, so that its card cannot say track='privileged'.")
    return card


def metadata_place() -> str:
    """Where an ONNX file has its document, in words."""
    return f"the metadata key '{METADATA_KEY}'"
