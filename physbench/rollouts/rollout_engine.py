"""Rolls a model out on clips, in a process of its own that is ended after the time-out and started again.

    with RolloutEngine("baseline:freeze") as engine:
        plan = engine.plan(rows)
        for result in engine.run(plan):
            for rollout in result: ...

While the caller handles one batch the model works on the next. Nothing that a model does ends the run: what it does
wrong becomes a Rollout with a `failure`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from physbench.adapters.model_protocol import ModelCard, check_card
from physbench.clips.clip import Clip, Row
from physbench.errors import ModelError
from physbench.rollouts.batch_jobs import make_job, remaining_job, stored_frames
from physbench.rollouts.batch_plan import Batch, plan_batches
from physbench.rollouts.batch_size_probe import find_batch_size
from physbench.rollouts.in_flight import BatchInFlight, BatchResult
from physbench.rollouts.messages import (
    DeviceFailure,
    JobDone,
    LoadedModel,
    LoadFailure,
    LoadRequest,
    PartFinished,
    PartStarted,
    RolloutEvent,
)
from physbench.rollouts.model_process import ModelProcess, ProcessDied, ReceiveTimeout, SharedMemory

__all__ = ["BatchResult", "RolloutEngine"]

LOAD_TIMEOUT = 600.0  # s at least, for reading large weights
MAX_IN_FLIGHT = 2  # batches at the model's process: the one it works on and the next
ClipLoader = Callable[[Row], Clip]


class RolloutEngine:
    """One model. `events` collects what a reader of the run should know, `peak_*` the memory of its process."""

    def __init__(
        self,
        target: str,
        *,
        device: str = "auto",
        dtype: str = "float32",
        model_args: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        chain: bool = True,
        seed: int = 0,
        trust_code: bool = False,
        threads: int | None = None,
        part_size: int | None = None,
        debug: bool = False,
    ) -> None:
        """`timeout` is in s for what the model gets at once; `part_size`, after a run was halved by full memory, makes
        a resumed one go on in the same parts."""
        self._load = LoadRequest(target, device, dtype, dict(model_args or {}), trust_code, threads)
        self.timeout = timeout
        self.chain = chain
        self.seed = seed
        self.part_size = part_size
        self.debug = debug
        self.events: list[RolloutEvent] = []
        self.notes: list[str] = []
        self.peak_rss = 0  # bytes
        self.peak_accelerator = 0  # bytes
        self.free = 0  # bytes left on the device after the last batch
        self._memory = SharedMemory()
        self._process: ModelProcess | None = None
        self._info: LoadedModel | None = None
        self._beyond_repair = ""  # why the model cannot be started again

    # -- life

    def __enter__(self) -> RolloutEngine:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(at_once=kind is not None)

    def start(self) -> LoadedModel:
        """Start the process and load the model. Raises ModelError with what the user can do."""
        self.launch()
        return self.info

    def launch(self) -> None:
        """Start the process without waiting for the model: `info` or `card` wait for it."""
        if self._process is None:
            self._process = self._new_process()
            self._process.send(self._load)
            self._info = None

    def _new_process(self) -> ModelProcess:
        return ModelProcess(self._memory, self.debug)

    @property
    def info(self) -> LoadedModel:
        """The model's card and where it runs; waits until the model is loaded."""
        if self._info is None:
            self.launch()
            assert self._process is not None
            limit = max(self.timeout, LOAD_TIMEOUT)
            try:
                answer = self._process.receive(time.monotonic() + limit)
            except ReceiveTimeout:
                self._kill()
                raise ModelError(f"{self._load.target} was not loaded within {limit:g} s.") from None
            except ProcessDied as death:
                self._kill()
                raise ModelError(f"{self._load.target}: the process that loads it {death}.") from None
            if isinstance(answer, LoadFailure):
                self._kill()
                error = ModelError(answer.reason)
                error.add_note(answer.traceback)
                raise error
            check_card(answer.card)
            self._info = answer
        return self._info

    @property
    def card(self) -> ModelCard:
        return self.info.card

    @property
    def device(self) -> str:
        """Where the model runs: "cpu", "cuda"."""
        return self.info.device

    @property
    def pid(self) -> int | None:
        """Process id of the model's process."""
        return self._process.pid if self._process else None

    def close(self, at_once: bool = False) -> None:
        """End the model's process; `at_once` without asking it."""
        if self._process is not None:
            if at_once:
                self._process.kill()
            else:
                self._process.stop()
            self._process = None
        self._memory.close()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    # -- work

    def plan(
        self,
        rows: Sequence[Row],
        *,
        batch_size: int | None = None,
        samples: int = 1,
        load: ClipLoader | None = None,
        horizon: Callable[[Row], int] | None = None,
    ) -> tuple[Batch, ...]:
        """Fix which clips share a batch. Without a batch size it is found from a probe on the longest clip.

        `load` (default: the clip store) and `horizon` (frames to predict; default: from the scene) are for clips that
        come from elsewhere.
        """
        horizon = horizon or self.horizon
        if batch_size is None:
            batch_size = find_batch_size(self, rows, load or self._from_store, horizon, samples)
        return plan_batches(rows, batch_size, horizon=horizon, samples=samples)

    def horizon(self, row: Row) -> int:
        """Frames to predict, from the scene."""
        from physbench.clips.generate import frame_times, make_scene

        return int((frame_times(make_scene(row), self.card.spec) > 1e-9).sum())

    def _from_store(self, row: Row) -> Clip:
        from physbench.clips.store import ClipStore

        return ClipStore().get(row, self.card.spec)

    def run(
        self, plan: Sequence[Batch], load: ClipLoader | None = None, *, only: Sequence[int] | None = None
    ) -> Iterator[BatchResult]:
        """Roll the plan out, or the batches `only` of it, in order. Clips are loaded when their turn comes."""
        load = load or self._from_store
        indices = list(range(len(plan)) if only is None else only)
        if not indices:
            return
        slot = max(self._bytes(plan[index]) for index in indices)
        self._memory.grow(MAX_IN_FLIGHT * slot)
        waiting = deque(indices)
        flying: deque[BatchInFlight] = deque()
        offsets = deque(slot * number for number in range(MAX_IN_FLIGHT))
        try:
            while waiting or flying:
                while waiting and len(flying) < MAX_IN_FLIGHT:
                    offset = offsets.popleft()
                    flying.append(self._submit(waiting.popleft(), plan, load, offset))
                pending = flying[0]
                self._finish(pending, list(flying)[1:])
                flying.popleft()
                result = pending.result(self._memory.view, self.card.image_size)
                offsets.append(pending.job.offset)
                if waiting:  # before the caller gets the result, so that the model need not wait for the caller
                    flying.append(self._submit(waiting.popleft(), plan, load, offsets.popleft()))
                yield result
        finally:
            if flying:  # the caller has gone away: the process would work on for nobody
                self._kill()

    def _bytes(self, batch: Batch) -> int:
        height, width = self.card.image_size
        return len(batch.items) * stored_frames(self.card, batch.horizon, self.chain) * height * width * 3

    def _submit(self, index: int, plan: Sequence[Batch], load: ClipLoader, offset: int) -> BatchInFlight:
        batch = plan[index]
        clips = {item.row: load(item.row) for item in batch.items}
        job = make_job(
            index,
            batch,
            [clips[item.row] for item in batch.items],
            self.card,
            privileged=self.info.privileged,
            recorded=self.info.recorded,
            chain=self.chain,
            seed=self.seed,
            part_size=self.part_size,
            memory=self._memory.size,
            offset=offset,
        )
        if self._process is not None:
            self._process.send(job)
        return BatchInFlight(index, batch, job)

    def _finish(self, pending: BatchInFlight, behind: Sequence[BatchInFlight]) -> None:
        """Wait until a batch is done, killing and restarting the process where it hangs or dies."""
        patience = time.monotonic() + self.timeout + LOAD_TIMEOUT  # until it begins
        while pending.missing() or self._process is not None:
            if self._process is None:
                self._restart(pending, behind)
                if self._beyond_repair:
                    pending.fail(pending.missing(), self._beyond_repair)
                    return
                patience = time.monotonic() + self.timeout + LOAD_TIMEOUT
            started = pending.started
            try:
                assert self._process is not None
                message = self._process.receive(started.time + self.timeout if started else patience)
            except ReceiveTimeout:
                self._lose(pending, "timeout", f"The model took longer than {self.timeout:g} s (--timeout).")
            except ProcessDied as death:
                if death.killed and started and len(started.positions) > 1:
                    self._halve(pending, started.positions, f"{death}")
                else:
                    self._lose(pending, "died", f"The model's process {death}.")
            else:
                if self._take(pending, message):
                    return

    def _take(self, pending: BatchInFlight, message: Any) -> bool:
        """Take one message in; True when the batch is done."""
        match message:
            case PartStarted():
                pending.started = message
            case PartFinished():
                pending.outcomes.update({outcome.position: outcome for outcome in message.outcomes})
            case RolloutEvent():
                self._record(pending, message)
                self.part_size = message.part_size or self.part_size
            case DeviceFailure():
                self._replace_broken(pending, message.reason)
            case JobDone():
                self.peak_rss = max(self.peak_rss, message.rss)
                self.peak_accelerator = max(self.peak_accelerator, message.accelerator)
                self.free = message.free
                self.notes += [note for note in message.notes if note not in (*self.notes, *self.info.notes)]
                return True
        return False

    def _record(self, pending: BatchInFlight, event: RolloutEvent) -> None:
        clips = tuple(pending.batch.items[position].id for position in event.positions)
        event = replace(event, clips=clips)
        pending.events.append(event)
        self.events.append(event)

    def _lose(self, pending: BatchInFlight, kind: str, reason: str) -> None:
        """The process hung or died: what it was at fails, the rest of the batch goes to a new one."""
        self._kill()
        started = pending.started
        if started:
            positions = started.positions
        else:  # not this batch's doing, the first time
            positions = tuple(pending.missing()) if pending.lost else ()
            pending.lost = True
        pending.fail([position for position in positions if position not in pending.outcomes], reason)
        self._record(pending, RolloutEvent(kind, pending.index, (), reason, positions=positions))
        size = 1 if started and (started.retry or len(started.positions) == 1) else pending.job.part_size
        rest = pending.missing()
        pending.started = None
        if rest:
            pending.job = remaining_job(pending.job, rest, size)

    def _halve(self, pending: BatchInFlight, positions: Sequence[int], how: str) -> None:
        """The system ended the process, most likely because main memory was full: a new one gets half as many."""
        self._kill()
        self.part_size = (len(positions) + 1) // 2
        detail = f"The model's process {how} with {len(positions)} clips together."
        self._record(pending, RolloutEvent("halved", pending.index, (), detail, self.part_size, tuple(positions)))
        pending.started = None
        pending.job = remaining_job(pending.job, pending.missing(), self.part_size)

    def _replace_broken(self, pending: BatchInFlight, reason: str) -> None:
        """The device is lost to this process: what raised is tried again clip by clip in a new one."""
        assert pending.started is not None
        positions = pending.started.positions
        if len(positions) == 1:
            self._lose(pending, "died", reason)
            return
        self._kill()
        pending.started = None
        self._record(pending, RolloutEvent("retried", pending.index, (), reason, positions=positions))
        pending.job = remaining_job(pending.job, pending.missing(), 1)

    def _restart(self, pending: BatchInFlight, behind: Sequence[BatchInFlight]) -> None:
        """Load the model again and send what was not done."""
        if self._beyond_repair:
            return
        try:
            self.start()
        except ModelError as error:
            self._beyond_repair = f"The model could not be loaded again: {error}"
            return
        assert self._process is not None
        for item in (pending, *behind):
            if item.missing():
                size = min(item.job.part_size, self.part_size or item.job.part_size)
                item.job = replace(item.job, part_size=size)
                self._process.send(item.job)
