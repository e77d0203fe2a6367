"""Calls a model, under autocast where that is asked for, and takes its time; of CUDA without waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

from physbench.rollouts.device import is_queued, synchronize

T = TypeVar("T")


class ModelCalls:
    """The calls of one request on one device."""

    def __init__(self, device: torch.device, autocast: torch.dtype | None = None) -> None:
        self.device = device
        self.autocast = autocast  # type in which matrices are multiplied; None: that of weights and frames
        self._measured = 0.0  # s
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []  # before and after each call

    def run(self, action: Callable[[], T]) -> T:
        """What a call of the model returns. On CUDA its work may still be queued then."""
        if is_queued(self.device):
            stream = torch.cuda.current_stream(self.device)
            before, after = _timed_event(), _timed_event()
            before.record(stream)
            with self._precision():
                result = action()
            after.record(stream)
            self._spans.append((before, after))
            return result
        start = time.perf_counter()
        with self._precision():
            result = action()
        synchronize(self.device)
        self._measured += time.perf_counter() - start
        return result

    def _precision(self) -> AbstractContextManager[object]:
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)

    def seconds(self) -> float:
        """The model's own time so far. Waits until the device has done what was called."""
        for before, after in self._spans:
            after.synchronize()
            self._measured += before.elapsed_time(after) / 1000  # of ms
        self._spans.clear()
        return self._measured


def _timed_event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
