"""Rolls a model out on clips, in a process of its own or one on each device. What hangs or dies is replaced.

    with RolloutEngine("baseline:freeze") as engine:
        plan = engine.plan(rows)
        for result in engine.run(plan):
            for rollout in result: ...

While the caller handles one batch, the model works on the next. Nothing that a model does ends the run: an error
becomes a Rollout with a `failure`.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from physbench.clips.action_space import read_action_map
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import frames_ahead
from physbench.clips.store import clip_store
from physbench.models.load_model import Handed, is_served, what_is_handed
from physbench.models.protocol import ModelCard
from physbench.rollout import messages
from physbench.rollout.answers import answers_of
from physbench.rollout.batches import OPTION as PROMPTS_OPTION
from physbench.rollout.batches import (
    Batch,
    BatchInFlight,
    BatchResult,
    find_batch_size,
    make_job,
    plan_batches,
    read_prompts,
    remaining_job,
    stored_frames,
)
from physbench.rollout.messages import LoadedModel, checked_info
from physbench.rollout.model_process import ModelProcess, ProcessDied, ReceiveTimeout, SharedMemory
from physbench.support.errors import ModelError, UsageError

__all__ = ["BatchResult", "RolloutEngine"]

LOAD_TIMEOUT = 600.0  # s, at least: large weights take time to read
MAX_IN_FLIGHT = 2  # batches that were sent: the one that is computed and the next
ClipLoader = Callable[[Row], Clip]


class RolloutEngine:
    """Rolls out one model. `events` are for readers of the run, `peak_*` is the memory of the model's process."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 600.0,
        chain: bool = True,
        seed: int = 0,
        salt: str = "",
        look: str | None = None,
        view: str | None = None,
        actions: str | None = None,
        prompts: str | None = None,
        part_size: int | None = None,
        debug: bool = False,
        **loading: Any,
    ) -> None:
        """Describe the model; `start` loads it.

        Args:
            timeout: Seconds for what the model is given at once.
            chain: Whether a model of a shorter horizon is continued on its own last frames.
            seed: From which the generators of samples are seeded, with the id of the clip.
            salt: Secret that the seeds depend on as well, so that they do not tell which clip it is.
            look: How clips are drawn; None: as the model's card says.
            view: From where they are seen, likewise.
            actions: File that puts actions into the model's own; None: it is given them as they are.
            prompts: File with the sentences of clips; None: those of the tasks.
            part_size: Clips together, at most; continues a run whose batches were halved by full memory.
            debug: Whether tracebacks of the model are printed.
            loading: How it is loaded: fields of `LoadRequest`.
        """
        self._load = messages.LoadRequest(target, **loading)
        self.timeout, self.chain, self.look, self.view = timeout, chain, look, view
        self.action_map = None if actions is None else read_action_map(actions)
        self.prompts = None if prompts is None else read_prompts(prompts)
        self.seed, self.salt, self.part_size, self.debug = seed, salt, part_size, debug
        self.devices = 1  # that compute batches at the same time
        self.events: list[messages.RolloutEvent] = []
        self.notes: list[str] = []
        self.peak_rss = self.peak_accelerator = 0  # bytes
        self.free = 0  # bytes left on the device after the last batch
        self._memory = SharedMemory()
        self._process: ModelProcess | None = None
        self._info: messages.LoadedModel | None = None  # of the first process: later ones must hold the same model
        self._loading = False
        self.cannot_restart = ""  # why the model cannot be loaded again
        self._abandoned = False  # nobody waits for its answers: a process that died is not replaced

    # Starting and ending the process.

    def __enter__(self) -> RolloutEngine:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(at_once=kind is not None)

    def start(self) -> messages.LoadedModel:
        """Start the process and load the model. Raises ModelError that says what to do."""
        self.launch()
        if self._loading:
            self._wait_for_model()
        assert self._info is not None
        if self.action_map is not None:
            self._check_takes_actions(self._info)
        if self.prompts is not None and not (card := self._info.card).uses_prompt:
            self.close(at_once=True)
            raise UsageError(
                f"{PROMPTS_OPTION}: {card.name} reads no prompt (uses_prompt of its card), so that the sentences do "
                "not reach it. Leave it out."
            )
        return self._info

    def _check_takes_actions(self, info: messages.LoadedModel) -> None:
        """Refuse a file that puts actions into a model's own for one that is given none."""
        takes = info.card.uses_actions or info.card.uses_camera
        if info.card.answers == "frames" and takes and not info.privileged and not info.recorded:
            return
        self.close(at_once=True)
        if info.card.answers == "surprise":
            raise UsageError(f"--actions: {info.card.name} is asked for surprise at films, in which nothing is done.")
        raise UsageError(
            f"--actions: {info.card.name} is given no actions. It must answer with frames that it makes now, and say "
            "uses_actions=True on its card (a checkpoint of Dreamer or World Models: --model-arg actions=true; a "
            "pipeline of diffusers: --model-arg actions=NAME, the argument of its call)."
        )

    def launch(self) -> None:
        """Start the process without waiting for the model; `info` and `card` wait."""
        if self._abandoned:
            raise ProcessDied("was ended")
        if self._process is None:
            self._process = self._new_process()
            self._process.send(self._load)
            self._loading = True

    def _new_process(self) -> ModelProcess:
        return ModelProcess(self._memory, self.debug, self._handed() == "clip", is_served(self._load.target))

    def _handed(self) -> Handed:
        """Input that the model may receive. Decided here, as what its process says is not trusted."""
        return what_is_handed(self._load.target, self._load.privileged)

    @property
    def info(self) -> messages.LoadedModel:
        """The model's card and where it runs; waits until the model is loaded."""
        return messages.shown_in(self._info or self.start(), self.look, self.view)

    def _wait_for_model(self) -> None:
        assert self._process is not None
        limit = max(self.timeout, LOAD_TIMEOUT)
        try:
            answer = self._process.receive(time.monotonic() + limit)
            self._info = messages.checked_info(answer, self._load.target, self._handed(), self._info)
        except (ReceiveTimeout, ProcessDied) as problem:
            self._kill()
            late = isinstance(problem, ReceiveTimeout)
            problem_words = f" was not loaded within {limit:g} s" if late else f": the process that loads it {problem}"
            raise ModelError(f"{self._load.target}{problem_words}.") from None
        except ModelError:
            self._kill()
            raise
        self._loading = False

    @property
    def card(self) -> ModelCard:
        return self.info.card

    @property
    def pid(self) -> int | None:
        """Process id of the model's process."""
        return self._process.pid if self._process else None

    def close(self, at_once: bool = False) -> None:
        """End the model's process; `at_once` kills it."""
        if self._process is not None:
            (self._process.kill if at_once else self._process.stop)()
            self._process = None
        self._memory.close()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def abandon(self) -> None:
        """End the process, from another thread than the one that waits in `run`, which then raises ProcessDied."""
        self._abandoned = True
        if (process := self._process) is not None:
            process.end()

    # Rolling out.

    def plan(
        self,
        rows: Sequence[Row],
        *,
        batch_size: int | None = None,
        samples: int = 1,
        load: ClipLoader | None = None,
        horizon: Callable[[Row], int] | None = None,
    ) -> tuple[Batch, ...]:
        """Plan which clips share a batch.

        Args:
            rows: Clips to roll out.
            batch_size: Items in a batch, at most; None: found by a probe on the longest clip.
            samples: Rollouts of each clip.
            load: Loads a clip; None: from the clip store.
            horizon: Number of frames to predict for a row; None: from the scene.
        """
        horizon = horizon or self.horizon
        size = batch_size or find_batch_size(self, rows, load or self._from_store, horizon, samples)
        return plan_batches(rows, size, horizon=horizon, samples=samples)

    def horizon(self, row: Row) -> int:
        """Frames to predict, from the scene."""
        return frames_ahead(row, self.card.spec)

    def needed(self, clip: Clip) -> Clip:
        """A clip with no more than the model is given of it."""
        return answers_of(self.card).needed(clip, self.info.privileged)

    def _from_store(self, row: Row) -> Clip:
        return clip_store().get(row, self.card.spec)

    def run(
        self, plan: Sequence[Batch], load: ClipLoader | None = None, *, only: Iterable[int] | None = None
    ) -> Generator[BatchResult, None, None]:
        """Roll out a plan.

        Args:
            load: Loads a clip when its turn comes; None: from the clip store.
            only: Indices of the batches to roll out, each taken when it is sent; None: all.

        Yields:
            The result of each batch, in order.
        """
        load, card, waiting = load or self._from_store, self.card, iter(range(len(plan)) if only is None else only)
        bytes_of = answers_of(card).bytes_of
        sizes = [bytes_of(len(each.items), stored_frames(card, each.horizon, self.chain)) for each in plan]
        slot = max(sizes, default=0)
        self._memory.grow(MAX_IN_FLIGHT * slot)
        in_flight = deque[BatchInFlight]()
        offsets = deque(slot * number for number in range(MAX_IN_FLIGHT))
        self._abandoned = False
        try:
            while True:
                while offsets and (index := next(waiting, None)) is not None:
                    in_flight.append(self._submit(index, plan, load, offsets.popleft()))
                if not in_flight:
                    return
                batch_in_flight = in_flight[0]
                self._wait_for(batch_in_flight, list(in_flight)[1:])
                in_flight.popleft()
                keep = self.info.device.startswith("cuda")  # else the GPU waits; main memory is large beside one
                results = [batch_in_flight.result(self._memory, self.card, keep)]  # taken out below: the caller's
                offsets.append(batch_in_flight.job.offset)
                # The next is sent before the result is yielded: the model need not wait for the caller.
                if (index := next(waiting, None)) is not None:
                    in_flight.append(self._submit(index, plan, load, offsets.popleft()))
                yield results.pop()
        finally:
            if in_flight:  # the caller has stopped: nobody needs the rest
                self._kill()

    def _submit(self, index: int, plan: Sequence[Batch], load: ClipLoader, offset: int) -> BatchInFlight:
        batch = plan[index]
        clips = {row: self.needed(load(row)) for row in batch.rows}
        job = make_job(
            index,
            batch,
            [clips[item.row] for item in batch.items],
            self.card,
            privileged=self.info.privileged,
            recorded=self.info.recorded,
            chain=self.chain,
            seed=self.seed,
            salt=self.salt,
            action_map=self.action_map,
            prompts=self.prompts,
            part_size=self.part_size,
            memory=self._memory.size,
            offset=offset,
        )
        if self._process is not None:
            self._process.send(job)
        return BatchInFlight(index, batch, job)

    def _wait_for(self, batch_in_flight: BatchInFlight, queued: Sequence[BatchInFlight]) -> None:
        """Wait until a batch is done. A process that hangs or dies is replaced."""
        start_deadline = time.monotonic() + self.timeout + LOAD_TIMEOUT  # for the batch to begin
        while batch_in_flight.missing() or self._process is not None:
            if self._process is None:
                self._restart(batch_in_flight, queued)
                if self.cannot_restart:
                    batch_in_flight.fail(batch_in_flight.missing(), self.cannot_restart)
                    return
                start_deadline = time.monotonic() + self.timeout + LOAD_TIMEOUT
            started = batch_in_flight.started
            try:
                assert self._process is not None
                message = self._process.receive(started.time + self.timeout if started else start_deadline)
                if problem := batch_in_flight.contradiction(message):
                    raise ProcessDied(f"sent {problem}")
            except ReceiveTimeout:
                late = f"The model took longer than {self.timeout:g} s (--timeout)."
                self._fail_part(batch_in_flight, "timeout", late)
            except ProcessDied as death:
                if self._abandoned:
                    raise
                self._after_death(batch_in_flight, death)
            else:
                if self._handle(batch_in_flight, message):
                    return

    def _handle(self, batch_in_flight: BatchInFlight, message: messages.Report) -> bool:
        """Handle one message. True when the batch is done."""
        match message:
            case messages.PartStarted():  # the process may not put its deadline off
                batch_in_flight.started = replace(message, time=min(message.time, time.monotonic()))
            case messages.PartFinished():
                batch_in_flight.finish_part(message)
            case messages.RolloutEvent():
                self._record(batch_in_flight, message)
                self.part_size = message.part_size or self.part_size
            case messages.DeviceFailure():
                self._retry_elsewhere(batch_in_flight, message.reason)
            case messages.JobDone():
                self.peak_rss = max(self.peak_rss, message.rss)
                self.peak_accelerator = max(self.peak_accelerator, message.accelerator)
                self.free = message.free
                self.notes += [note for note in message.notes if note not in (*self.notes, *self.info.notes)]
                return True
        return False

    def _record(self, batch_in_flight: BatchInFlight, event: messages.RolloutEvent) -> None:
        clips = tuple(batch_in_flight.batch.items[position].id for position in event.positions)
        event = replace(event, clips=clips)
        batch_in_flight.events.append(event)
        self.events.append(event)

    def _fail_part(self, batch_in_flight: BatchInFlight, kind: str, reason: str) -> None:
        """The process hung or died: the part that it worked on fails, the rest of the batch goes to a new process."""
        self._kill()
        started = batch_in_flight.started
        if started:
            positions = started.positions
        else:  # the first time, the batch is not to blame
            positions = tuple(batch_in_flight.missing()) if batch_in_flight.was_lost else ()
            batch_in_flight.was_lost = True
        batch_in_flight.fail([position for position in positions if position not in batch_in_flight.results], reason)
        self._record(
            batch_in_flight, messages.RolloutEvent(kind, batch_in_flight.index, (), reason, positions=positions)
        )
        size = 1 if started and (started.retry or len(started.positions) == 1) else batch_in_flight.job.part_size
        batch_in_flight.started = None
        if rest := batch_in_flight.missing():
            batch_in_flight.job = remaining_job(batch_in_flight.job, rest, size)

    def _after_death(self, batch_in_flight: BatchInFlight, death: ProcessDied) -> None:
        """The process is dead. A part at which it was killed is tried again as it was, so that answers stay the same.

        Where memory was full, or the same part is killed again, a new process gets parts of half the size.
        """
        started, reason = batch_in_flight.started, f"The model's process {death}"
        positions = started.positions if started and death.killed else ()
        if positions and positions not in batch_in_flight.killed and not death.memory_was_full:
            batch_in_flight.killed.add(positions)
            event = messages.RolloutEvent("restarted", batch_in_flight.index, (), f"{reason}.", positions=positions)
            self._send_again(batch_in_flight, event, batch_in_flight.job.part_size)
        elif len(positions) > 1:
            self.part_size, reason = (len(positions) + 1) // 2, f"{reason} with {len(positions)} clips together."
            event = messages.RolloutEvent("halved", batch_in_flight.index, (), reason, self.part_size, positions)
            self._send_again(batch_in_flight, event, self.part_size)
        else:
            self._fail_part(batch_in_flight, "died", f"{reason}.")

    def _send_again(self, batch_in_flight: BatchInFlight, event: messages.RolloutEvent, size: int) -> None:
        """Send what a batch lacks to a new process, in parts of `size` clips."""
        self._kill()
        batch_in_flight.started = None
        self._record(batch_in_flight, event)
        batch_in_flight.job = remaining_job(batch_in_flight.job, batch_in_flight.missing(), size)

    def _retry_elsewhere(self, batch_in_flight: BatchInFlight, reason: str) -> None:
        """The process cannot use the device any more: the part is tried again in a new process, clip by clip."""
        assert batch_in_flight.started is not None
        positions = batch_in_flight.started.positions
        if len(positions) == 1:
            self._fail_part(batch_in_flight, "died", reason)
            return
        event = messages.RolloutEvent("retried", batch_in_flight.index, (), reason, None, positions)
        self._send_again(batch_in_flight, event, 1)

    def _restart(self, batch_in_flight: BatchInFlight, queued: Sequence[BatchInFlight]) -> None:
        """Load the model again and send what is not done yet."""
        if self.cannot_restart:
            return
        try:
            self.start()
        except ModelError as error:
            self.cannot_restart = f"The model could not be loaded again: {error}"
            return
        assert self._process is not None
        for item in (batch_in_flight, *queued):
            if item.missing():
                size = min(item.job.part_size, self.part_size or item.job.part_size)
                item.job = replace(item.job, part_size=size)
                self._process.send(item.job)


Answer = tuple[RolloutEngine, BatchResult] | BaseException | None  # None: an engine has no more


class DeviceGroup(RolloutEngine):
    """A RolloutEngine whose batches are computed by one engine for each device.

    A batch has the answers that it has on one device of that kind, as the plan decides who shares it. An engine whose
    model cannot be loaded again leaves its batches to the others.
    """

    def __init__(self, devices: Sequence[str], **arguments: Any) -> None:
        """Describe the model; arguments as of `RolloutEngine`."""
        super().__init__(**{**arguments, "device": devices[0]})
        self._engines = [RolloutEngine(**{**arguments, "device": device}) for device in devices]
        self.devices = len(devices)
        self._loads = threading.Lock()  # one clip at a time: callers load for one engine

    def launch(self) -> None:
        """Start the processes without waiting for the model."""
        for engine in self._engines:
            engine.launch()

    def start(self) -> LoadedModel:
        """Have all processes load the model. Raises ModelError that says what to do."""
        if self._info is None:
            self.launch()
            first = self._engines[0].start()
            for engine in self._engines[1:]:
                checked_info(engine.start(), self._load.target, self._handed(), first)
            infos = [engine.start() for engine in self._engines]
            names = list(dict.fromkeys(info.device_name for info in infos))
            if len(names) > 1:
                self.notes.append(f"Rolled out on {' and '.join(names)}: answers may differ in the last bit.")
            self._info = replace(first, device=",".join(info.device for info in infos), device_name=", ".join(names))
        return self._info

    def close(self, at_once: bool = False) -> None:
        """End the processes."""
        for engine in self._engines:
            engine.close(at_once)
        super().close()

    def run(
        self, plan: Sequence[Batch], load: ClipLoader | None = None, *, only: Iterable[int] | None = None
    ) -> Generator[BatchResult, None, None]:
        """As of `RolloutEngine`, in the order in which batches are done."""
        self.start()
        waiting = deque(range(len(plan)) if only is None else only)
        while waiting:  # again where an engine has left batches and the others had none any more
            yield from self._round(plan, load or self._from_store, waiting)

    def _round(
        self, plan: Sequence[Batch], load: ClipLoader, waiting: deque[int]
    ) -> Generator[BatchResult, None, None]:
        """Results of waiting batches, but for those that an engine leaves to others, which wait after it."""
        answers: queue.Queue[Answer] = queue.Queue(maxsize=len(self._engines))  # no engine runs far ahead of the caller
        ended = threading.Event()
        for engine in self._engines:
            engine.part_size = self.part_size
        arguments = (plan, self._in_turn(load, ended), waiting, answers, ended)
        threads = [
            threading.Thread(target=self._work, args=(engine, *arguments), daemon=True) for engine in self._engines
        ]
        at_work = len(threads)
        try:
            for thread in threads:
                thread.start()
            while at_work:
                answer = answers.get()
                if answer is None:
                    at_work -= 1
                elif isinstance(answer, BaseException):
                    raise answer
                elif self._is_left(*answer):
                    self._leave(*answer)
                    waiting.append(answer[1].index)
                else:
                    yield self._received(*answer)
        finally:
            ended.set()
            while any(thread.is_alive() for thread in threads):
                for engine, thread in zip(self._engines, threads, strict=True):
                    if at_work and thread.is_alive():  # the caller has stopped: nobody needs the rest
                        engine.abandon()
                with contextlib.suppress(queue.Empty):
                    answers.get(timeout=0.1)  # then look again whether an engine that was abandoned has ended

    def _work(
        self,
        engine: RolloutEngine,
        plan: Sequence[Batch],
        load: ClipLoader,
        waiting: deque[int],
        answers: queue.Queue[Answer],
        ended: threading.Event,
    ) -> None:
        """Loop of the thread of one engine."""
        try:
            with contextlib.closing(engine.run(plan, load, only=self._share(engine, waiting))) as results:
                for result in results:
                    answers.put((engine, result))
                    if ended.is_set():
                        return
        except Exception as error:
            answers.put(error)
        finally:
            answers.put(None)

    def _share(self, engine: RolloutEngine, waiting: deque[int]) -> Iterator[int]:
        """Batches for an engine, each taken when it is sent, as long as it is of use."""
        while waiting and not (engine.cannot_restart and self._others_work()):
            with contextlib.suppress(IndexError):  # another one has taken the last
                yield waiting.popleft()

    def _others_work(self) -> bool:
        return any(not engine.cannot_restart for engine in self._engines)

    def _is_left(self, engine: RolloutEngine, result: BatchResult) -> bool:
        """True if a batch failed as its engine's model could not be loaded again, and another engine can do it."""
        lost = bool(engine.cannot_restart) and any(one.failure == engine.cannot_restart for one in result.rollouts)
        return lost and self._others_work()

    def _leave(self, engine: RolloutEngine, result: BatchResult) -> None:
        """Tell readers of the run that a device is lost."""
        note = f"{engine.info.device} was lost, and the others do its batches: {engine.cannot_restart}"
        self.notes += [note] if note not in self.notes else []
        self.events += result.events

    def _in_turn(self, load: ClipLoader, ended: threading.Event) -> ClipLoader:
        def one_at_a_time(row: Row) -> Clip:
            with self._loads:
                if ended.is_set():  # nobody waits for the rest of the batch, whose clips may take minutes to make
                    raise ProcessDied("was ended")
                return load(row)

        return one_at_a_time

    def _received(self, engine: RolloutEngine, result: BatchResult) -> BatchResult:
        """A result, after what its engine tells readers of the run."""
        self.events += result.events
        self.notes += [note for note in engine.notes if note not in self.notes]
        self.part_size = min((size for size in (self.part_size, engine.part_size) if size), default=None)
        self.peak_rss = max(self.peak_rss, engine.peak_rss)
        self.peak_accelerator = max(self.peak_accelerator, engine.peak_accelerator)
        self.free = engine.free
        return result
