"""Checks what a model's process says of the model that it has loaded."""

from __future__ import annotations

import dataclasses

from physbench.adapters.load_model import Handed
from physbench.adapters.model_contract import check_card_types
from physbench.adapters.state_card import StateCard
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
    try:
        check_card_types(answer.card, target)
    except (OverflowError, ValueError) as error:  # a number that no float holds
        raise ModelError(f"{target}: its process sent a card that cannot be read ({error}).") from None
    if (answer.privileged and handed != "clip") or (answer.recorded and handed != "id"):
        raise ModelError(f"{target}: its process asks for clips that it may not be handed.")
    if answer.privileged != (answer.card.track == "privileged"):
        raise ModelError(f"{target}: its process contradicts itself on whether it is handed clips.")
    if first is not None and _identity(first) != _identity(answer):
        raise ModelError(f"{target}: its card is another one than before, or its settings or reported hash are.")
    return answer


def shown_in(info: LoadedModel, look: str | None) -> LoadedModel:
    """The model as it is asked in a look; None: that of its card. Raises ModelError where it cannot be asked in it."""
    if look is None or look == info.card.look:
        return info
    if isinstance(info.card, StateCard):
        raise ModelError(f"--look {look}: {info.card.name} is given states and sees no pictures. Leave --look out.")
    if info.recorded:
        raise ModelError(
            f"--look {look}: the videos of {info.card.name} continue clips of the look {info.card.look}. Leave --look "
            f"out, or export the clips anew with --look {look}."
        )
    return dataclasses.replace(info, card=dataclasses.replace(info.card, look=look))


def _identity(info: LoadedModel) -> tuple[object, ...]:
    """What stays the same as long as the model does."""
    return info.card, info.privileged, info.recorded, info.reported_sha256, info.settings
