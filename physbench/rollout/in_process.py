"""Rolls out a model object in this process, for training loops: with the same jobs, checks and batches.

A model that hangs or crashes ends the program, and the time-out does not end a batch. The state of the training is
kept: modes, random states, whether gradients are recorded and the setting of cuDNN are restored after each job.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from physbench.models.load_model import Handed
from physbench.models.networks import find_networks
from physbench.models.protocol import Model, check_contract
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.messages import LoadRequest, RolloutJob
from physbench.rollout.model_process import ModelProcess, ReceiveTimeout, SharedMemory
from physbench.rollout.server import RolloutWorker


def device_and_dtype(model: object) -> tuple[torch.device, torch.dtype]:
    """Device and type of a model's floating-point parameters or buffers; cpu and float32 if it has none."""
    for network in find_networks(model):
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Put a model into evaluation mode within the context; modes and random states are restored after it.

    Tensors that the model keeps are such that it can be trained through them, also where the program around it is in
    inference mode, as a validation is in Lightning.
    """
    modes = {module: module.training for network in find_networks(model) for module in network.modules()}
    python_state, deterministic = random.getstate(), torch.backends.cudnn.deterministic
    numpy_state = np.random.get_state()  # noqa: NPY002
    # Seeding changes the generators of all accelerators, wherever this model lies.
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count() if used else 0)
    mps_state = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.no_grad():
        try:
            torch.backends.cudnn.deterministic = True
            for module in modes:
                module.training = False
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            torch.backends.cudnn.deterministic = deterministic
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


class InProcessModel(ModelProcess):
    """Takes the place of ModelProcess: runs a job when its answer is received."""

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
                self._worker.run(self._jobs.popleft())
        return self._answers.popleft()

    def kill(self) -> None:
        self._answers.clear()
        self._jobs.clear()

    def stop(self) -> None:
        self.kill()


class InProcessEngine(RolloutEngine):
    """A RolloutEngine for a model object in this process."""

    def __init__(
        self,
        model: Model,
        *,
        privileged: bool = False,
        **arguments: Any,
    ) -> None:
        """Other arguments as of `RolloutEngine`. Raises ModelError where the object keeps no protocol of models."""
        name = type(model).__name__
        self._model = check_contract(model, name, "clip" if privileged else "context")
        super().__init__(name, privileged=privileged, **arguments)

    def _handed(self) -> Handed:
        return "clip" if self._load.privileged else "context"

    def _new_process(self) -> ModelProcess:
        return InProcessModel(self._memory, self._model)
