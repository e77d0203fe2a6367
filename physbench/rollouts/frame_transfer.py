"""Frames between main memory and the device. To and from CUDA the host does not wait: copies use pinned memory."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from physbench.rollouts.device import is_queued
from physbench.rollouts.frame_validation import frame_statistics, is_wrong, round_levels, store_chunk, value_problem

ROUNDED_TOGETHER = 1 << 25  # values of a chunk: bounds what rounding needs on the device beside the chunk itself


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; from main memory to CUDA through pinned memory."""
    if is_queued(device) and not is_queued(tensor.device):
        return tensor.pin_memory().to(device, non_blocking=True)  # torch keeps the pinned copy until it was read
    return tensor.to(device)


def normalized_frames(frames: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """uint8 frames -> [0, 1] on the device."""
    return to_device(frames, device).to(dtype).div_(255)


def round_on_device(chunk: Tensor) -> tuple[Tensor, Tensor]:
    """Round a chunk (B, t, 3, H, W) where it lies, without reading any of its values.

    Returns:
        Levels of the same shape, uint8, zeros for clips with wrong values; `frame_statistics` (B, t, 4).
    """
    levels = torch.empty(chunk.shape, dtype=torch.uint8, device=chunk.device)
    together = max(1, ROUNDED_TOGETHER // chunk[0].numel())  # clips
    statistics = []
    for block, rounded in zip(torch.split(chunk, together), torch.split(levels, together), strict=True):
        found = frame_statistics(block)
        wrong = is_wrong(found).any(1)
        rounded.copy_(round_levels(block)).masked_fill_(wrong[:, None, None, None, None], 0)
        statistics.append(found)
    return levels, torch.cat(statistics)


@dataclass(frozen=True, eq=False)
class ArrivingChunk:
    """A chunk on its way to main memory."""

    levels: Tensor | None  # (B, t, 3, H, W) uint8, pinned; None: they arrive where they go
    statistics: Tensor  # (B, t, 4), pinned
    arrived: torch.cuda.Event
    out: Tensor  # where the levels go
    first: int  # number of its first frame

    @property
    def has_arrived(self) -> bool:
        return bool(self.arrived.query())  # type: ignore[no-untyped-call]


class FrameReceiver:
    """Checks chunks and writes their levels to main memory, in order.

    `failures`: by position in the batch, why a clip failed; of chunks on CUDA only after `wait`. `is_checked`: whether
    it holds what all chunks so far say at any moment.
    """

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon  # predicted frames, for messages
        self.failures: dict[int, str] = {}
        self.is_checked = True
        self._arriving: deque[ArrivingChunk] = deque()

    def store(self, chunk: Tensor, out: Tensor, first: int) -> Tensor:
        """Check a chunk and round it to uint8.

        Args:
            chunk: Frames (B, t, 3, H, W), as of `check_chunk`.
            out: Where they are written: uint8 of the same shape on the CPU. Failed clips are filled with zeros. From
                CUDA they are there after `wait`.
            first: Number of the chunk's first frame, from 0.

        Returns:
            The same levels, on the chunk's device.
        """
        if not is_queued(chunk.device):
            self.wait()  # the earliest wrong frame is told
            self._tell(store_chunk(chunk, out, first, self.horizon))
            return out
        self.is_checked = False
        levels, statistics = round_on_device(chunk)
        direct = out.is_contiguous() and out.is_pinned()
        copy = out.copy_(levels, non_blocking=True) if direct else _to_pinned(levels)
        told = _to_pinned(statistics)
        self._arriving.append(ArrivingChunk(None if direct else copy, told, _queue_end(chunk.device), out, first))
        while self._arriving and self._arriving[0].has_arrived:  # meanwhile the device goes on
            self._take()
        return levels

    def wait(self) -> None:
        """Wait until all chunks have arrived."""
        while self._arriving:
            self._arriving[0].arrived.synchronize()
            self._take()

    def _take(self) -> None:
        """Take the oldest chunk, which has arrived."""
        chunk = self._arriving.popleft()
        if chunk.levels is not None:
            chunk.out.copy_(chunk.levels)
        size = chunk.out[0, 0].numel()
        problems = (value_problem(each, size, chunk.first, self.horizon) for each in chunk.statistics)
        self._tell({position: problem for position, problem in enumerate(problems) if problem})

    def _tell(self, reasons: dict[int, str]) -> None:
        self.failures = {**reasons, **self.failures}


def _to_pinned(tensor: Tensor) -> Tensor:
    """A copy in pinned memory, complete once the device has done what is queued now."""
    return pinned_like(tensor).copy_(tensor, non_blocking=True)


def pinned_like(tensor: Tensor) -> Tensor:
    """Pinned memory for a tensor. Torch keeps what is let go for the next one, as to pin memory takes long."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)


def pin(memory: Tensor, device: torch.device) -> bool:
    """Pin memory that there is already: what a device copies into it is there without another copy.

    It must stay mapped until the process ends, so that this is for a process of the model's own. Returns whether it was
    possible.
    """
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    with torch.cuda.device(device):
        try:
            pinned = int(runtime.cudaHostRegister(memory.data_ptr(), memory.numel(), 0)) == 0
        except RuntimeError:
            pinned = False
        if not pinned:
            with contextlib.suppress(RuntimeError):  # CUDA keeps the error for whoever starts work next: nobody else
                torch.ones(1, device=device).add_(1)
    return pinned


def _queue_end(device: torch.device) -> torch.cuda.Event:
    """The present end of the device's queue. Who waits for it leaves the processor to others."""
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
