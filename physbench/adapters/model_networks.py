"""The networks of torch that a model holds, wherever it keeps them."""

from __future__ import annotations

import hashlib
import weakref
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import nn

MAX_OBJECTS = 100_000  # of a model that are searched for networks
LEAF_TYPES: tuple[type, ...] = (
    *(str, bytes, int, float, complex, type(None), torch.Tensor, np.ndarray, type, ModuleType, FunctionType),
    *(weakref.ProxyType, weakref.CallableProxyType),  # of what is held elsewhere; they cannot be hashed
)


def find_networks(model: object) -> tuple[nn.Module, ...]:
    """Find the networks of a model, the nearest first: the model itself, and those among its attributes.

    Attributes of attributes, lists, dicts and bound methods are searched too, and so are lists in a network whose
    elements are not registered as its children. No network is a child of another one: each of their layers is met once.
    """
    found: list[nn.Module] = []
    waiting: deque[object] = deque([model])
    seen: dict[int, object] = {}  # holds the objects, so that no id is used twice
    while waiting and len(seen) < MAX_OBJECTS:
        item = waiting.popleft()
        if id(item) in seen or isinstance(item, LEAF_TYPES):
            continue
        seen[id(item)] = item
        if isinstance(item, nn.Module):
            found.append(item)
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset | deque):
            waiting.extend(item)
        elif isinstance(item, MethodType):
            waiting.append(item.__self__)
        waiting.extend(getattr(item, "__dict__", {}).values())
        waiting.extend(getattr(item, name, None) for kind in type(item).__mro__ for name in _slots(kind))
    inner = {each for network in found for each in network.modules() if each is not network}
    return tuple(network for network in found if network not in inner)


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
