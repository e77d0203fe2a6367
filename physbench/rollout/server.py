"""The process that holds the model: `python -P -m physbench.rollout.server SOCKET MEMORY` (file descriptors).

It runs the jobs of its parent one after the other and ends with it. What the model prints goes to stderr.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.models.http.model import HttpModel
from physbench.models.load_model import Handed, load_model, what_is_handed
from physbench.models.protocol import ConfiguredModel, Model, RecordedModel, card_document, card_from
from physbench.rollout import messages
from physbench.rollout.answers import answers_of
from physbench.rollout.device import (
    NOT_CALLED,
    AnswerError,
    CompiledNetworks,
    device_name,
    find_autocast,
    find_device,
    find_dtype,
    free_bytes,
    free_memory,
    is_device_lost,
    is_out_of_memory,
    is_queued,
    networks_for,
    peak_memory,
    pin,
)
from physbench.rollout.model_process import CONNECTION_LOST
from physbench.rollout.predict import predict
from physbench.support.errors import ModelError, PhysbenchError
from physbench.support.plugins import describe_error
from physbench.support.processes import FAMILY_VARIABLE, end_family, give_back

FAMILY_MARK = os.environ.get(FAMILY_VARIABLE, "")  # as it was before code of the model's author could change it


def end_with_parent() -> None:
    """End this process and those that the model started, also outside its process group."""
    try:
        end_family(os.getpid(), FAMILY_MARK)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)


def run_settings(model: Model) -> dict[str, str]:
    """Settings that decided the model's frames, as texts: an object of the user's may have such an attribute."""
    settings = model.run_settings if isinstance(model, ConfiguredModel) else {}
    if not isinstance(settings, Mapping):
        return {}
    return {str(name): str(value) for name, value in list(settings.items())[: messages.BOUNDS.notes]}


class JobReceiver:
    """Receives jobs in a thread, so that the next one is ready in time, and ends the process with the parent."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self.connection = connection
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for watch in (self._listen, self._watch):
            threading.Thread(target=watch, daemon=True).start()

    def _watch(self) -> None:
        """Watch the parent: the socket may stay open in a process that the parent has forked."""
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(1)
        end_with_parent()

    def _listen(self) -> None:
        while True:
            try:
                content = self.connection.recv_bytes()
            except (EOFError, OSError):
                end_with_parent()
            try:
                self.queue.put(pickle.loads(content))
            except Exception as error:
                self.queue.put(error)

    def get(self) -> Any:
        """The next message. Raises, in its turn, the error of one that this process cannot read."""
        message = self.queue.get()
        if isinstance(message, Exception):
            raise message
        return message


class RolloutWorker:
    """Runs jobs with the model. Its messages are passed to `send`."""

    def __init__(
        self,
        send: Callable[[messages.Report], object],
        memory: int,
        model: Model,
        device: torch.device,
        dtype: torch.dtype,
        handed: Handed = "context",
        autocast: torch.dtype | None = None,
        compiled: CompiledNetworks | None = None,
    ) -> None:
        self.send = send
        self.memory = memory
        self.view = np.empty(0, dtype=np.uint8)  # the shared memory
        self.views: list[NDArray[np.uint8]] = []  # of it that are pinned
        self.pins = False  # whether this process is the model's own: what is pinned stays so until it ends
        self.model = model
        self.device = device
        self.dtype = dtype
        self.handed = handed
        self.autocast = autocast
        self.compiled = compiled
        self.model_errors: tuple[type[BaseException], ...] = (Exception, SystemExit)  # fail the clips

    @classmethod
    def loaded(
        cls, send: Callable[[messages.Report], object], memory: int, load: messages.LoadRequest
    ) -> RolloutWorker:
        """Load the model and make its worker."""
        torch.backends.cudnn.deterministic = True  # one plan gives the same rollouts each time
        if load.threads:
            torch.set_num_threads(load.threads)
        device, dtype = find_device(load.device), find_dtype(load.dtype)
        autocast, compiled = find_autocast(load.autocast, device), None
        model = load_model(
            load.target,
            device=device,
            dtype=dtype,
            model_args=dict(load.model_args),
            trust_code=load.trust_code,
            privileged=load.privileged,
            untrained=load.untrained,
        )
        if autocast is not None:
            networks_for("--autocast", model, load.target)
        if load.compile:
            compiled = CompiledNetworks(networks_for("--compile", model, load.target), device)
        handed = what_is_handed(load.target, load.privileged)
        return cls(send, memory, model, device, dtype, handed, autocast, compiled)

    @property
    def info(self) -> messages.LoadedModel:
        dtype = str(self.dtype).removeprefix("torch.")
        privileged = self.model.card.track == "privileged"
        memory = peak_memory(self.device)
        info = messages.LoadedModel(
            card_from(card_document(self.model.card)),  # of a class of the user's, which no other process knows
            privileged,
            str(self.device),
            dtype,
            device_name(self.device),
            *memory,
            settings=run_settings(self.model),
        )
        if isinstance(self.model, HttpModel):
            return replace(info, notes=tuple(self.model.notes), reported_sha256=self.model.reported_sha256)
        if self.handed == "id" and isinstance(self.model, RecordedModel):
            return replace(info, recorded=True, notes=tuple(self.model.notes))
        return info

    def _answer_memory(self, job: messages.RolloutJob) -> torch.Tensor:
        """The answers to the batch in the shared memory, such as (batch_size, stored, 3, H, W) uint8."""
        if self.view.size < job.memory:
            self.view = np.frombuffer(mmap.mmap(self.memory, job.memory), dtype=np.uint8)
            if self.pins and is_queued(self.device):
                self.views.append(self.view)  # what is pinned must not be unmapped
                pin(torch.from_numpy(self.view), self.device)
        return torch.from_numpy(answers_of(self.model.card).view(self.view, job.offset, job.batch_size, job.stored))

    def run(self, job: messages.RolloutJob) -> None:
        """Roll out all positions of a job and report each part as soon as it is done."""
        size = job.part_size
        slots = list(range(len(job.positions)))  # indices into the job's arrays
        parts = deque((slots[start : start + size], False) for start in range(0, len(slots), size))
        notes: set[str] = set()
        memory_answers = self._answer_memory(job)
        while parts:
            slots, retry = parts.popleft()
            positions = tuple(job.positions[slot] for slot in slots)
            self.send(messages.PartStarted(job.index, positions, retry, time.monotonic()))
            out_of_memory, message = False, ""
            results: tuple[messages.PositionResult, ...] = ()
            try:
                results = self._roll_out(job, slots, memory_answers, notes)
            except (AnswerError, ModelError) as error:
                results = tuple(messages.PositionResult(position, 0, 0, 0.0, str(error)) for position in positions)
            except self.model_errors as error:
                out_of_memory = is_out_of_memory(error)
                message = str(error) if isinstance(error, PhysbenchError) else describe_error(error)
                if "--debug" in sys.argv:
                    traceback.print_exc()
                if is_device_lost(error):
                    # While the error holds the tensors of the call: to let go of one aborts the process.
                    self.send(messages.DeviceFailure(job.index, message))
                    return
            if out_of_memory:
                free_memory()
            if message and len(slots) > 1:
                if out_of_memory:
                    size = (len(slots) + 1) // 2
                    again = list(slots)
                    for others, _ in parts:
                        again += others
                    parts = deque((again[start : start + size], False) for start in range(0, len(again), size))
                    detail = f"Memory was full with {len(slots)} clips together ({message})."
                    self.send(messages.RolloutEvent("halved", job.index, (), detail, size, positions))
                else:
                    parts.extendleft(([slot], True) for slot in reversed(slots))
                    self.send(messages.RolloutEvent("retried", job.index, (), message, positions=positions))
                continue
            if message:
                reason = f"Memory was full with a single clip: {message}" if out_of_memory else message
                results = tuple(messages.PositionResult(position, 0, 0, 0.0, reason) for position in positions)
            self.send(messages.PartFinished(job.index, results))
        if self.compiled is not None:
            notes |= self.compiled.notes if self.compiled.called else {NOT_CALLED}
        memory = peak_memory(self.device)
        give_back()
        self.send(messages.JobDone(job.index, *memory, free_bytes(self.device), tuple(sorted(notes))))

    def _roll_out(
        self, job: messages.RolloutJob, slots: list[int], memory_answers: torch.Tensor, notes: set[str]
    ) -> tuple[messages.PositionResult, ...]:
        positions = [job.positions[slot] for slot in slots]
        first, last = positions[0], positions[-1] + 1
        contiguous = positions == list(range(first, last))
        out = memory_answers[first:last] if contiguous else torch.empty_like(memory_answers[positions])
        answer = predict(self.model, job.inputs.select(slots), out, self.device, self.dtype, self.autocast)
        if not contiguous:
            memory_answers[positions] = out
        notes |= answer.notes
        share = answer.seconds / len(slots)
        return tuple(
            messages.PositionResult(position, 0, answer.chained, share, reason)
            if (reason := answer.failures.get(index))
            else messages.PositionResult(position, answer.frames.get(index, job.stored), answer.chained, share)
            for index, position in enumerate(positions)
        )


def main() -> None:
    """Serve the parent until it sends None or has ended."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # lines are passed on as they come
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a scheduler may send it to all processes: the parent answers to it
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    jobs = JobReceiver(connection)
    load: messages.LoadRequest = jobs.get()

    def send(message: messages.Report) -> None:
        content = messages.encode(message)
        try:
            connection.send_bytes(content)
        except OSError:
            os._exit(CONNECTION_LOST)

    try:
        worker = RolloutWorker.loaded(send, int(sys.argv[2]), load)
        info = worker.info
        worker.pins = True
        worker.model_errors = (BaseException,)  # in this process Ctrl-C is ignored: the model has raised it
    except PhysbenchError as error:
        send(messages.LoadFailure(str(error), traceback.format_exc()))
        return
    except BaseException as error:
        send(messages.LoadFailure(f"{load.target} cannot be loaded: {describe_error(error)}", traceback.format_exc()))
        return
    send(info)
    while (job := jobs.get()) is not None:
        worker.run(job)


if __name__ == "__main__":
    main()
