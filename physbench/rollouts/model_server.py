"""The process that holds the model: `python -P -m physbench.rollouts.model_server SOCKET MEMORY` (file descriptors).

It takes jobs from its parent one after the other and dies with it. What the model prints goes to stderr.
"""

from __future__ import annotations

import mmap
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.adapters.load_model import load_model
from physbench.adapters.model_protocol import Model, RecordedModel
from physbench.errors import PhysbenchError
from physbench.plugins.tracebacks import describe_error
from physbench.rollouts.device import (
    device_name,
    find_device,
    find_dtype,
    free_bytes,
    free_memory,
    is_device_lost,
    is_out_of_memory,
    peak_memory,
)
from physbench.rollouts.frame_validation import AnswerError
from physbench.rollouts.messages import (
    DeviceFailure,
    JobDone,
    LoadedModel,
    LoadFailure,
    LoadRequest,
    PartFinished,
    PartStarted,
    PositionResult,
    RolloutEvent,
    RolloutJob,
)
from physbench.rollouts.predict import RolloutRequest, predict


def end_with_parent() -> None:
    """End this process and what the model started: the whole process group."""
    try:
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)


class JobReceiver:
    """Receives in a thread of its own: the next job is here before it is its turn, and the parent's end is noticed."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self.connection = connection
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for watch in (self._listen, self._watch):
            threading.Thread(target=watch, daemon=True).start()

    def _watch(self) -> None:
        """The socket alone does not tell: a process forked by the parent may hold it open."""
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(1)
        end_with_parent()

    def _listen(self) -> None:
        while True:
            try:
                self.queue.put(self.connection.recv())
            except (EOFError, OSError):
                end_with_parent()

    def get(self) -> Any:
        return self.queue.get()


class RolloutWorker:
    """The model and what it needs to do jobs. What it has to say goes to `send`."""

    def __init__(
        self, send: Callable[[Any], object], memory: int, model: Model, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.send = send
        self.memory = memory
        self.view = np.empty(0, dtype=np.uint8)  # the shared memory
        self.model = model
        self.device = device
        self.dtype = dtype

    @classmethod
    def loaded(cls, send: Callable[[Any], object], memory: int, load: LoadRequest) -> RolloutWorker:
        """Load the model first."""
        torch.backends.cudnn.deterministic = True  # the same rollouts each time, at one plan
        if load.threads:
            torch.set_num_threads(load.threads)
        device, dtype = find_device(load.device), find_dtype(load.dtype)
        model = load_model(
            load.target, device=device, dtype=dtype, model_args=dict(load.model_args), trust_code=load.trust_code
        )
        return cls(send, memory, model, device, dtype)

    @property
    def info(self) -> LoadedModel:
        dtype = str(self.dtype).removeprefix("torch.")
        privileged = self.model.card.track == "privileged"
        memory = peak_memory(self.device)
        info = LoadedModel(self.model.card, privileged, str(self.device), dtype, device_name(self.device), *memory)
        if isinstance(self.model, RecordedModel):
            return replace(info, recorded=True, notes=tuple(self.model.notes))
        return info

    def _places(self, job: RolloutJob) -> torch.Tensor:
        """The batch's part of the shared memory, (batch_size, stored, 3, H, W) uint8."""
        if self.view.size < job.memory:
            self.view = np.frombuffer(mmap.mmap(self.memory, job.memory), dtype=np.uint8)
        shape = (job.batch_size, job.stored, 3, *self.model.card.image_size)
        size = int(np.prod(shape))
        return torch.from_numpy(self.view[job.offset : job.offset + size].reshape(shape))

    def do(self, job: RolloutJob) -> None:
        """Roll all positions of a job out and report each part as soon as it is done."""
        size = job.part_size
        slots = list(range(len(job.positions)))  # indices into the job's arrays
        parts = deque((slots[start : start + size], False) for start in range(0, len(slots), size))
        notes: set[str] = set()
        places = self._places(job)
        while parts:
            slots, retry = parts.popleft()
            positions = tuple(job.positions[slot] for slot in slots)
            self.send(PartStarted(job.index, positions, retry, time.monotonic()))
            full, broken, raised = False, False, ""
            outcomes: tuple[PositionResult, ...] = ()
            try:
                outcomes = self._roll_out(job, slots, places, notes)
            except AnswerError as error:
                outcomes = tuple(PositionResult(position, 0, 0, 0.0, str(error)) for position in positions)
            except (Exception, SystemExit) as error:
                full, raised = is_out_of_memory(error), describe_error(error)
                broken = is_device_lost(error)
                if "--debug" in sys.argv:
                    traceback.print_exc()
            if broken:
                self.send(DeviceFailure(job.index, raised))
                return
            if full:
                free_memory()
            if raised and len(slots) > 1:
                if full:
                    size = (len(slots) + 1) // 2
                    again = list(slots)
                    for rest, _ in parts:
                        again += rest
                    parts = deque((again[start : start + size], False) for start in range(0, len(again), size))
                    detail = f"Memory was full with {len(slots)} clips together ({raised})."
                    self.send(RolloutEvent("halved", job.index, (), detail, size, positions))
                else:
                    parts.extendleft(([slot], True) for slot in reversed(slots))
                    self.send(RolloutEvent("retried", job.index, (), raised, positions=positions))
                continue
            if raised:
                reason = f"Memory was full with a single clip: {raised}" if full else raised
                outcomes = tuple(PositionResult(position, 0, 0, 0.0, reason) for position in positions)
            self.send(PartFinished(job.index, outcomes))
        memory = peak_memory(self.device)
        self.send(JobDone(job.index, *memory, free_bytes(self.device), tuple(sorted(notes))))

    def _roll_out(
        self, job: RolloutJob, slots: list[int], places: torch.Tensor, notes: set[str]
    ) -> tuple[PositionResult, ...]:
        part = RolloutRequest(
            horizon=job.horizon,
            stored=job.stored,
            chain=job.chain,
            seeds=[job.seeds[slot] for slot in slots],
            prompts=[job.prompts[slot] for slot in slots],
            context=None if job.context is None else _planar(job.context[slots]),
            actions=None if job.actions is None else torch.from_numpy(job.actions[slots]),
            clips=None if job.clips is None else [job.clips[slot] for slot in slots],
            items=[job.items[slot] for slot in slots] if job.items else (),
        )
        positions = [job.positions[slot] for slot in slots]
        first, last = positions[0], positions[-1] + 1
        whole = positions == list(range(first, last))
        place = places[first:last] if whole else torch.empty_like(places[positions])
        answer = predict(self.model, part, place, self.device, self.dtype)
        if not whole:
            places[positions] = place
        notes |= answer.notes
        share = answer.seconds / len(slots)
        return tuple(
            PositionResult(position, 0, answer.chained, share, reason)
            if (reason := answer.failures.get(index))
            else PositionResult(position, answer.frames.get(index, job.stored), answer.chained, share)
            for index, position in enumerate(positions)
        )


def _planar(frames: NDArray[np.uint8]) -> torch.Tensor:
    """(B, C, H, W, 3) -> (B, C, 3, H, W), contiguous."""
    return torch.from_numpy(frames).permute(0, 1, 4, 2, 3).contiguous()


def main() -> None:
    """Serve the parent until it says stop or is gone."""
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    inbox = JobReceiver(connection)
    load: LoadRequest = inbox.get()
    try:
        worker = RolloutWorker.loaded(connection.send, int(sys.argv[2]), load)
    except PhysbenchError as error:
        connection.send(LoadFailure(str(error), traceback.format_exc()))
        return
    except (Exception, SystemExit) as error:
        connection.send(LoadFailure(f"{load.target} cannot be loaded: {describe_error(error)}", traceback.format_exc()))
        return
    connection.send(worker.info)
    while (job := inbox.get()) is not None:
        worker.do(job)


if __name__ == "__main__":
    main()
