"""The untrained copy of a model: the same architecture, its weights drawn anew as before any training.

What an untrained network tells apart it owes to its architecture and to pixels, not to what it has learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from physbench.adapters.model_protocol import Model
from physbench.errors import ModelError

UNTRAINED_SEED = 0
MOST_LAYERS_NAMED = 3


@runtime_checkable
class RedrawnModel(Protocol):
    """A model that draws its own weights anew, from the global generator."""

    def redraw(self) -> None:
        """Forget what was learned. Raises ModelError where that cannot be."""
        ...


def make_untrained(model: Model, target: str) -> Model:
    """Draw the weights of a model anew, from a fixed seed.

    A model with a `redraw` does it itself. Of others all networks of torch are found among their attributes, and all
    layers are reset, if each that has parameters has a `reset_parameters`, as those of torch do.

    Args:
        model: The model, which is changed.
        target: What the user named, for messages.

    Raises:
        ModelError: There is nothing that could be drawn, or a layer does not say how.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        if isinstance(model, RedrawnModel):
            model.redraw()
            return model
        networks = list(networks_of(model))
        if not networks:
            raise ModelError(f"{target} has no untrained copy: it is no network of torch in this process.")
        for network in networks:
            _reset(network, target)
    return model


def networks_of(model: Any) -> Iterator[nn.Module]:
    """The networks of a model: itself, or its attributes and those of what it wraps."""
    if isinstance(model, nn.Module):
        yield model
        return
    for value in getattr(model, "__dict__", {}).values():
        if isinstance(value, nn.Module):
            yield value
        elif type(value).__module__.partition(".")[0] == type(model).__module__.partition(".")[0]:
            yield from (each for each in getattr(value, "__dict__", {}).values() if isinstance(each, nn.Module))


def _reset(network: nn.Module, target: str) -> None:
    """Reset all layers of a network. Raises ModelError, before any is reset, where one does not say how."""
    layers = [each for each in network.modules() if next(each.parameters(recurse=False), None) is not None]
    mute = sorted({type(each).__name__ for each in layers if not callable(getattr(each, "reset_parameters", None))})
    if mute:
        raise ModelError(
            f"{target} has no untrained copy: {', '.join(mute[:MOST_LAYERS_NAMED])} cannot be drawn anew without a "
            "`reset_parameters`; or give the model a `redraw`."
        )
    for layer in network.modules():
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()


def take_weights(network: nn.Module, fresh: nn.Module, target: str) -> None:
    """Give a network, wherever it is, the weights of a fresh one. Raises ModelError where its own are not in memory."""
    if any(each.is_meta for each in network.parameters()):
        raise ModelError(f"{target} has no untrained copy while its weights wait elsewhere: leave out offload.")
    network.load_state_dict(fresh.state_dict())
