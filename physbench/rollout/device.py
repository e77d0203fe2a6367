"""Devices by name, their memory and errors, and networks through torch.compile."""

from __future__ import annotations

import gc
import platform
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from inspect import getattr_static
from pathlib import Path
from typing import Any

import torch
from torch import nn

from physbench.models.networks import find_networks
from physbench.support.errors import ModelError, UsageError, nearest
from physbench.support.plugins import first_line

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}


def find_device(name: str) -> torch.device:
    """Find a device by name; "auto" is the first of cuda, mps and cpu that exists. Raises UsageError."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise UsageError(f"--device: there is no '{name}'.{nearest(name, ('auto', 'cpu', 'cuda', 'cuda:1', 'mps'))}")
    available = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(index or 0) >= available:
        count = "none" if available == 0 else f"{available}"
        raise UsageError(
            f"--device {name}: torch {torch.__version__} sees {count} of that kind here; try --device cpu."
        )
    return torch.device(name)


def find_dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise UsageError(f"--dtype: there is no '{name}'.{nearest(name, DTYPES)}")
    return DTYPES[name]


def find_autocast(name: str | None, device: torch.device) -> torch.dtype | None:
    """The type that torch.autocast computes in on a device; None for None. Raises UsageError."""
    if name is None:
        return None
    if device.type not in ("cuda", "cpu"):
        raise UsageError(f"--autocast: it is for cuda and cpu, and the model runs on {device.type}. Leave it out.")
    if device.type == "cpu" and name != "bfloat16":
        raise UsageError(f"--autocast {name}: on the CPU say bfloat16, or leave it out.")
    return find_dtype(name)


def device_name(device: torch.device) -> str:
    """Name of the hardware, for the manifest."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means that memory is full, on the device or in main memory."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    out_of_memory_words = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in out_of_memory_words)


def is_device_lost(error: BaseException) -> bool:
    """True if the device can no longer be used in this process, as after a failed assertion in a CUDA kernel."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error) and not is_out_of_memory(error)


def free_memory() -> None:
    """Free the memory that a failed attempt has left allocated."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_memory(device: torch.device) -> tuple[int, int]:
    """Peak bytes of this process, in main memory and on the device."""
    return _peak_resident(), torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def _peak_resident() -> int:
    try:  # getrusage includes the size of the parent at the start of this process
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_bytes(device: torch.device) -> int:
    """Bytes that a batch may still use."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    limits = [_memory_available(), _control_group_left()]
    return min((limit for limit in limits if limit is not None), default=4 * 2**30)


def _memory_available() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _control_group_left() -> int | None:
    """Bytes that the control group of a container leaves, or None without a limit."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # none, or "max"
        return None


def is_queued(device: torch.device) -> bool:
    """True if work on a device is queued, so that the host goes on before it is done, and can tell when."""
    return device.type == "cuda"


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


# `--compile`: a model's networks go through torch.compile, which does its work anew for each shape of their inputs.

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
    """True if an error says that something cannot be compiled; one of the model itself, or of full memory, does not."""
    # packages whose errors say that something cannot be compiled
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor")) and not is_out_of_memory(error)


def _reason(error: Exception) -> str:
    return first_line(str(error)).rstrip(".")
