"""`--compile`: a model's networks go through torch.compile, which does its work anew for each shape of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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

    `called`: whether one of them has been called since. `notes`: of networks that are not compiled after all, as the
    compiler failed on an input of theirs. Their answers are those of the model, so that no clip fails for it.
    """

    def __init__(self, networks: Iterable[nn.Module], device: torch.device) -> None:
        """Raises ModelError where nothing can be compiled for this device, as without a C++ compiler."""
        self.called = False
        self.notes: set[str] = set()
        try:
            torch.compile(torch.sin, dynamic=False)(torch.ones(8, device=device))
        except Exception as error:
            if not _is_of_compiler(error):
                raise
            raise ModelError(f"--compile: torch cannot compile here ({_reason(error)}). Leave it out.") from error
        for network in with_forward(networks):
            network.forward = self._compiled(network)

    def _compiled(self, network: nn.Module) -> Callable[..., Any]:
        plain, kind = network.forward, type(network).__name__
        compiled = torch.compile(plain, dynamic=False)

        def forward(*args: Any, **kwargs: Any) -> Any:
            self.called = True
            try:
                return compiled(*args, **kwargs)
            except Exception as error:
                if not _is_of_compiler(error):
                    raise
                self.notes.add(f"--compile: torch cannot compile {kind} ({_reason(error)}): it runs uncompiled.")
            network.forward = plain
            return plain(*args, **kwargs)

        return forward


def with_forward(networks: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The outermost modules that have a `forward`: of a ModuleList its elements."""
    for network in networks:
        if getattr_static(type(network), "forward") is nn.Module.forward:  # TorchScript makes its own when it is asked
            yield from with_forward(network.children())
        else:
            yield network


def _is_of_compiler(error: Exception) -> bool:
    """Whether an error says that something cannot be compiled; one of the model itself, or of full memory, does not."""
    return type(error).__module__.startswith(COMPILERS) and not is_out_of_memory(error)


def _reason(error: Exception) -> str:
    return first_line(str(error)).rstrip(".")
