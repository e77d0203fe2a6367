"""The untrained copy of a model: the same architecture, its weights drawn anew as before any training.

What an untrained network tells apart it owes to its architecture and to pixels, not to what it has learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from physbench.adapters.model_networks import find_networks
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

    A model with a `redraw` does it itself. Of others all networks of torch are found (`find_networks`), and all layers
    are reset, if each that has parameters has a `reset_parameters`, as those of torch do.

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
        networks = find_networks(model)
        if not networks:
            raise ModelError(f"{target} has no untrained copy: it is no network of torch in this process.")
        _reset(networks, target)
    return model


def _reset(networks: Sequence[nn.Module], target: str) -> None:
    """Reset all layers of networks. Raises ModelError, before any is reset, where one does not say how."""
    layers = [layer for network in networks for layer in network.modules()]
    weighted = [layer for layer in layers if next(layer.parameters(recurse=False), None) is not None]
    mute = sorted({type(each).__name__ for each in weighted if not callable(getattr(each, "reset_parameters", None))})
    if mute:
        raise ModelError(
            f"{target} has no untrained copy: {', '.join(mute[:MOST_LAYERS_NAMED])} cannot be drawn anew without a "
            "`reset_parameters`; or give the model a `redraw`."
        )
    for layer in layers:
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()


def take_weights(network: nn.Module, fresh: nn.Module, target: str) -> None:
    """Give a network, wherever it is, the weights of a fresh one. Raises ModelError where its own are not in memory."""
    if any(each.is_meta for each in network.parameters()):
        raise ModelError(f"{target} has no untrained copy while its weights wait elsewhere: leave out offload.")
    network.load_state_dict(fresh.state_dict())
