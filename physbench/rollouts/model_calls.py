"""Calls a model and measures its time; of a CUDA device without waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

from physbench.rollouts.device import is_queued, synchronize

T = TypeVar("T")


class ModelCalls:
    """The calls of one request on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._measured = 0.0  # s
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []  # before and after each call

    def run(self, action: Callable[[], T]) -> T:
        """What a call of the model returns. On CUDA its work may still be queued then."""
        if is_queued(self.device):
            stream = torch.cuda.current_stream(self.device)
            before, after = (torch.cuda.Event(enable_timing=True, blocking=True) for _ in range(2))
            before.record(stream)
            result = action()
            after.record(stream)
            self._spans.append((before, after))
            return result
        start = time.perf_counter()
        result = action()
        synchronize(self.device)
        self._measured += time.perf_counter() - start
        return result

    def seconds(self) -> float:
        """The model's own time so far. Waits until the device has done what was called."""
        for before, after in self._spans:
            after.synchronize()
            self._measured += before.elapsed_time(after) / 1000  # of ms
        self._spans.clear()
        return self._measured
