"""The networks of torch that a model holds, and its untrained copy.

What an untrained network tells apart it owes to its architecture and to pixels, not to what it has learned.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import nn

from physbench.support.errors import ModelError

# The networks of torch that a model holds, wherever it keeps them.

LEAF_TYPES: tuple[type, ...] = (
    *(str, bytes, int, float, complex, type(None), torch.Tensor, np.ndarray, type, ModuleType, FunctionType),
    *(weakref.ProxyType, weakref.CallableProxyType),  # of what is held elsewhere; they cannot be hashed
)


def find_networks(model: object) -> tuple[nn.Module, ...]:
    """Find the networks of a model, the nearest first: the model itself, and those among its attributes.

    Attributes of attributes, lists, dicts and bound methods are searched too, and so are lists in a network whose
    elements are not registered as its children. No network is a child of another one: each of their layers is met once.
    """
    networks: list[nn.Module] = []
    waiting: deque[object] = deque([model])
    seen: dict[int, object] = {}  # holds the objects, so that no id is used twice
    while waiting and len(seen) < 100_000:  # more objects of a model are not searched for networks
        item = waiting.popleft()
        if id(item) in seen or isinstance(item, LEAF_TYPES):
            continue
        seen[id(item)] = item
        if isinstance(item, nn.Module):
            networks.append(item)
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset | deque):
            waiting.extend(item)
        elif isinstance(item, MethodType):
            waiting.append(item.__self__)
        waiting.extend(getattr(item, "__dict__", {}).values())
        waiting.extend(getattr(item, name, None) for kind in type(item).__mro__ for name in _slots(kind))
    inner = {each for network in networks for each in network.modules() if each is not network}
    return tuple(network for network in networks if network not in inner)


def weights_sha256(model: object) -> str | None:
    """Hash of the weights of all networks that a model holds, by name; None where it has none, or they cannot be read.

    Of weights that are spread over several processes it is that of the part that lies here.
    """
    digest, some = hashlib.sha256(), False
    try:
        for network in find_networks(model):
            for name, tensor in _weights(network):
                some = True
                digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
                local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
                digest.update(local.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # on no device, not made yet, in a packed type
        return None
    return digest.hexdigest() if some else None


def _weights(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and the buffers that belong to a checkpoint. Tables that a network makes for itself do not."""
    yield from network.named_parameters()
    for prefix, module in network.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                yield f"{prefix}.{name}", buffer


def _slots(kind: type) -> tuple[str, ...]:
    names = vars(kind).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


UNTRAINED_SEED = 0
Kept = TypeVar("Kept")


@runtime_checkable
class RedrawnModel(Protocol):
    """A model that draws its own weights anew, from the global generator."""

    def redraw(self) -> None:
        """Forget what was learned. Raises ModelError where that cannot be."""
        ...


def make_untrained(model: Kept, target: str) -> Kept:
    """Draw the weights of a model anew, from a fixed seed.

    A model with a `redraw` does it itself. Of others all networks of torch are found (`find_networks`), and all layers
    are reset, if each that has parameters has a `reset_parameters`, as those of torch do.

    Args:
        model: The model, which is changed.
        target: What the user named, for messages.

    Raises ModelError: there is nothing that could be drawn, or a layer does not say how.
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
            f"{target} has no untrained copy: {', '.join(mute[:3])} cannot be drawn anew without a "
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
