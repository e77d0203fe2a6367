"""`--compile`: a model's networks go through torch.compile, which does its work anew for each shape of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import getattr_static
from typing import Any

import torch
from torch import nn

from physbench.adapters.model_networks import find_networks
from physbench.errors import ModelError, UsageError
from physbench.plugins.tracebacks import first_line
from physbench.rollouts.device import is_out_of_memory

COMPILERS = ("torch._dynamo", "torch._inductor")  # packages whose errors say that something cannot be compiled
NOT_CALLED = (
    "--compile changed nothing: no network's `forward` was called, and nothing else is compiled. Let `rollout` call "
    "networks as `net(x)`."
)


def networks_for(option: str, model: object, name: str) -> tuple[nn.Module, ...]:
    """The networks of a model, for an option that changes how they compute. Raises UsageError where it has none."""
    if networks := find_networks(model):
        return networks
    raise UsageError(f"{option}: {name} holds no torch.nn.Module, and other code stays as it is. Leave it out.")


class CompiledNetworks:
    """Compiles the outermost `forward` methods of networks, in place.

    `called`: whether one of them has been called since.
    """

    def __init__(self, networks: Iterable[nn.Module], device: torch.device) -> None:
        """Raises ModelError where nothing can be compiled for this device, as without a C++ compiler."""
        self.called = False
        with compiling("anything"):
            torch.compile(torch.sin, dynamic=False)(torch.ones(8, device=device))
        for network in with_forward(networks):
            network.forward = self._compiled(network)

    def _compiled(self, network: nn.Module) -> Callable[..., Any]:
        compiled, kind = torch.compile(network.forward, dynamic=False), type(network).__name__

        def forward(*args: Any, **kwargs: Any) -> Any:
            self.called = True
            with compiling(kind):
                return compiled(*args, **kwargs)

        return forward


def with_forward(networks: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The outermost modules that have a `forward`: of a ModuleList its elements."""
    for network in networks:
        if getattr_static(type(network), "forward") is nn.Module.forward:  # TorchScript makes its own when it is asked
            yield from with_forward(network.children())
        else:
            yield network


@contextmanager
def compiling(what: str) -> Iterator[None]:
    """Turn an error of the compilation into a ModelError of one line."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(COMPILERS) or is_out_of_memory(error):
            raise
        reason = first_line(str(error)).rstrip(".")
        raise ModelError(f"--compile: torch cannot compile {what} here ({reason}). Leave it out.") from error
