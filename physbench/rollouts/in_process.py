"""Rolls out a model that lives in this process, for a training loop: the same jobs, checks and batches, no process.

What a process of its own gives is lost: a model that hangs or crashes takes the program with it, and the time-out does
not end a batch. What the training needs is kept: modes, random states and cuDNN's choice are put back after each job.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from physbench.adapters.model_contract import check_contract
from physbench.adapters.model_protocol import Model
from physbench.rollouts.messages import LoadRequest, RolloutJob
from physbench.rollouts.model_process import ModelProcess, ReceiveTimeout, SharedMemory
from physbench.rollouts.model_server import RolloutWorker
from physbench.rollouts.rollout_engine import RolloutEngine

MAX_OBJECTS = 100_000  # of a model, that are looked through for networks
LEAF_TYPES = (str, bytes, int, float, complex, torch.Tensor, np.ndarray, type, ModuleType, FunctionType, type(None))


def find_networks(model: object) -> tuple[torch.nn.Module, ...]:
    """The networks of a model, the nearest first: itself, and those that it holds as attributes.

    Also in lists and dicts, in attributes of attributes, behind bound methods, and in lists of a network that are none
    of its children.
    """
    found: list[torch.nn.Module] = []
    waiting: deque[object] = deque([model])
    seen: dict[int, object] = {}  # keeps what it has seen, so that no number is given twice
    while waiting and len(seen) < MAX_OBJECTS:
        part = waiting.popleft()
        if id(part) in seen or isinstance(part, LEAF_TYPES):
            continue
        seen[id(part)] = part
        if isinstance(part, torch.nn.Module):
            found.append(part)
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set | frozenset | deque):
            waiting.extend(part)
        elif isinstance(part, MethodType):
            waiting.append(part.__self__)
        waiting.extend(getattr(part, "__dict__", {}).values())
        waiting.extend(getattr(part, name, None) for kind in type(part).__mro__ for name in _slots(kind))
    return tuple(found)


def _slots(kind: type) -> tuple[str, ...]:
    names = vars(kind).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


def device_and_dtype(model: object) -> tuple[torch.device, torch.dtype]:
    """Device and type of a model's floating-point parameters or buffers; cpu and float32 where there are none."""
    for network in find_networks(model):
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Put a model into evaluation mode for a while, and leave everything else as it was found."""
    modes = {module: module.training for network in find_networks(model) for module in network.modules()}
    python, legacy, deterministic = random.getstate(), np.random.get_state(), torch.backends.cudnn.deterministic  # noqa: NPY002
    # Seeding reaches the generators of all accelerators, wherever this model lies.
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count() if used else 0)
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices):
        try:
            torch.backends.cudnn.deterministic = True
            for module in modes:
                module.training = False
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            torch.backends.cudnn.deterministic = deterministic
            if apple is not None:
                torch.mps.set_rng_state(apple)
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


class InProcessModel(ModelProcess):
    """Stands where the model's process stands: does a job when its answer is asked for."""

    def __init__(self, memory: SharedMemory, model: Model) -> None:
        self._model = model
        self._answers: deque[Any] = deque()
        self._jobs: deque[RolloutJob] = deque()
        self._worker = RolloutWorker(self._answers.append, memory.descriptor, model, *device_and_dtype(model))

    @property
    def pid(self) -> int:
        return os.getpid()

    def send(self, message: Any) -> None:
        if isinstance(message, LoadRequest):
            self._answers.append(self._worker.info)
        elif message is not None:
            self._jobs.append(message)

    def receive(self, deadline: float) -> Any:
        if not self._answers:
            if not self._jobs:
                raise ReceiveTimeout
            with evaluation_mode(self._model):
                self._worker.do(self._jobs.popleft())
        return self._answers.popleft()

    def kill(self) -> None:
        self._answers.clear()
        self._jobs.clear()

    def stop(self) -> None:
        self.kill()


class InProcessEngine(RolloutEngine):
    """A RolloutEngine of a model that is there already."""

    def __init__(
        self, model: Model, *, chain: bool = True, seed: int = 0, part_size: int | None = None, timeout: float = 600.0
    ) -> None:
        """Raises ModelError where the object does not keep the protocol of models."""
        name = type(model).__name__
        self._model = check_contract(model, name)
        super().__init__(name, chain=chain, seed=seed, part_size=part_size, timeout=timeout)

    def _new_process(self) -> ModelProcess:
        return InProcessModel(self._memory, self._model)
