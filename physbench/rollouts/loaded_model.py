"""Checks what a model's process says of the model that it has loaded."""

from __future__ import annotations

from physbench.adapters.load_model import Handed
from physbench.adapters.model_protocol import check_card
from physbench.errors import ModelError
from physbench.rollouts.messages import LoadedModel, LoadFailure, Report


def checked_info(answer: Report, target: str, handed: Handed, first: LoadedModel | None) -> LoadedModel:
    """Return the answer of a process that was asked to load a model.

    Args:
        answer: The first message of the process.
        target: The model, for messages.
        handed: What it may be handed. The process is not asked, as code of the model's author runs there.
        first: The answer of an earlier process for the same model, whose clips may be rolled out already.

    Raises:
        ModelError: The model could not be loaded, or the answer asks for more than it may, or is of another model.
    """
    if isinstance(answer, LoadFailure):
        error = ModelError(answer.reason)
        error.add_note(answer.traceback)
        raise error
    if not isinstance(answer, LoadedModel):
        raise ModelError(f"{target}: the process that loads it sent a {type(answer).__name__} before the model.")
    check_card(answer.card)
    if (answer.privileged and handed != "clip") or (answer.recorded and handed != "id"):
        raise ModelError(f"{target}: its process asks for clips that it may not be handed.")
    if first is not None and (first.card, first.privileged) != (answer.card, answer.privileged):
        raise ModelError(f"{target}: its card is another one than before.")
    return answer
