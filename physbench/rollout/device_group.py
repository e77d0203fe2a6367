"""A model on several devices of one machine: a process on each, which take the batches of one plan in turn."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from physbench.clips.clip import Clip, Row
from physbench.rollout.batches import Batch, BatchResult
from physbench.rollout.engine import ClipLoader, RolloutEngine
from physbench.rollout.messages import LoadedModel, checked_info
from physbench.rollout.model_process import ProcessDied

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
