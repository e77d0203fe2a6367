"""Checks that what a factory returned keeps the protocol of models. Messages say how to repair it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from physbench.models.protocol import CARDS, Model, ModelCard, check_card
from physbench.support.errors import ModelError

if TYPE_CHECKING:
    from physbench.models.load_model import Handed

METHODS: dict[str, tuple[str, ...]] = {
    "rollout": ("horizon", "actions", "prompts", "generators"),
    "rollout_states": (
        "bodies",
        "statics",
        "mask",
        "gravity",
        "horizon",
        "actions",
        "prompts",
        "generators",
    ),
    "surprise": ("context", "actions", "prompts", "generators"),
    "rollout_clips": ("horizon", "generators"),
    "play": ("context", "horizon"),
}
# What a method is handed, and what to do where that is not allowed.
NEEDS: dict[str, tuple[Handed, str]] = {
    "rollout_clips": (
        "clip",
        "is handed whole clips, with the future that is asked for. Give the model a `rollout`, which sees the context "
        "alone, or say --privileged: its scores then count for no ranking",
    ),
    "play": (
        "id",
        "is told which clip it plays, which only videos:DIR is. Give the model a `rollout`, or hand in its videos",
    ),
}
FIRST = {  # by position
    "rollout": "context",
    "rollout_states": "states",
    "surprise": "video",
    "rollout_clips": "clips",
    "play": "item",
}
TRACKS = ("zero-shot", "trained", "privileged")


def check_contract(model: Any, target: str, handed: Handed = "context") -> Model:
    """Check an object against the protocol of models.

    Args:
        model: What a factory returned.
        target: The factory as the user named it, for messages.
        handed: What the model may be handed beside the context, see `load_model.what_is_handed`.

    Returns the same object.

    Raises:
        ModelError: The object has no valid card, none of the methods of a FrameModel, StateModel, PrivilegedModel or
            RecordedModel, or only one that it may not have.
    """
    if model is None:
        raise ModelError(f"{target} returned None: does the factory end with `return model`?")
    kind = type(model).__name__
    if inspect.isclass(model):
        raise ModelError(
            f"{target} is a class that was not called: return {model.__name__}(...), not {model.__name__}."
        )
    methods = [name for name in METHODS if callable(getattr(model, name, None))]
    if not methods:
        # attributes under which DataParallel, FSDP and trainers keep a model
        kept = {name: getattr(model, name, None) for name in ("module", "model", "network")}
        inner = next((name for name, each in kept.items() if callable(getattr(each, "rollout", None))), "")
        wraps = f"It wraps a model that has one: give its `.{inner}`." if inner else ""
        expected = "rollout(context, *, horizon, actions, prompts, generators), or rollout_states for a model of states"
        raise ModelError(f"{target}: the {kind} has no method `rollout`. {wraps or f'Expected {expected}.'}")
    stated = getattr(model, "card", None)
    wanted = stated.methods if isinstance(stated, ModelCard) else ()
    name = next((each for each in methods if each in wanted), methods[0])
    needed, remedy = NEEDS.get(name, ("context", ""))
    if needed not in ("context", handed):
        raise ModelError(f"{target}: {kind}.{name} {remedy}.")
    try:
        inspect.signature(getattr(model, name)).bind(None, **dict.fromkeys(METHODS[name]))
    except TypeError as error:
        raise ModelError(
            f"{target}: {kind}.{name} cannot be called as {name}({FIRST[name]}, *, {', '.join(METHODS[name])}): "
            f"{error}."
        ) from None
    except ValueError:  # a function written in C has no signature
        pass
    card = check_card_types(getattr(model, "card", None), target)
    if (name == "rollout_clips") != (card.track == "privileged"):
        raise ModelError(
            f"{target}: models with `rollout_clips`, and no others, have a card with track='privileged'; got "
            f"`{name}` and track='{card.track}'."
        )
    if name not in card.methods:
        got, needs = type(card).__name__, next(each.__name__ for each in CARDS.values() if name in each.methods)
        raise ModelError(
            f"{target}: a model with `{name}` needs a physbench.{needs}, got a {got}; one with a {got} needs a method "
            f"`{card.methods[0]}`."
        )
    checked: Model = model
    return checked


def check_card_types(card: Any, where: str) -> ModelCard:
    """Return the card if its fields have the right types and values, else raise ModelError."""
    if not isinstance(card, ModelCard):
        got = "none" if card is None else f"a {type(card).__name__}"
        raise ModelError(f"{where}: the model needs an attribute `card` of type physbench.ModelCard, got {got}.")
    size = card.image_size
    if not (isinstance(size, tuple | list) and len(size) == 2 and all(type(side) is int for side in size)):
        raise ModelError(f"{where}: expected image_size (height, width) in whole px, such as (64, 64), got {size!r}.")
    if isinstance(card.fps, bool) or not isinstance(card.fps, int | float):
        raise ModelError(f"{where}: expected fps to be a number, such as 15, got {card.fps!r}.")
    for name in ("context_frames", "max_horizon", "training_clips"):
        value = getattr(card, name)
        if type(value) is not int and not (name != "context_frames" and value is None):
            raise ModelError(f"{where}: expected {name} to be a whole number, got {value!r}.")
    for name in ("uses_actions", "uses_camera", "uses_prompt", "stochastic", "repeat_first"):
        value = getattr(card, name)
        if type(value) is not bool:
            raise ModelError(f"{where}: expected {name} to be True or False, got {value!r}.")
    if card.track not in TRACKS:
        raise ModelError(f"{where}: expected track to be one of {', '.join(TRACKS)}, got {card.track!r}.")
    card.check_kind(where)
    if isinstance(size, list):  # the spec of a clip is compared with that of the card
        object.__setattr__(card, "image_size", tuple(size))
    return check_card(card)
