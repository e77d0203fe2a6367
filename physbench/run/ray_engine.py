"""A model on a Ray cluster: an actor for each GPU holds it, with the engine of one machine inside."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.store import unpack
from physbench.models.load_model import model_sha256
from physbench.result.manifest import ManifestModel
from physbench.rollout.batches import Batch, BatchResult
from physbench.rollout.engine import LOAD_TIMEOUT, MAX_IN_FLIGHT, ClipLoader, RolloutEngine
from physbench.rollout.messages import LoadedModel, checked_info
from physbench.rollout.store import as_files
from physbench.run.manifest import file_hashes
from physbench.run.ray_cluster import POLL_SECONDS, ClusterLossError, RayPool, cause_of, gpus_of
from physbench.run.worker import Setting, prepare
from physbench.support.errors import ModelError, UsageError
from physbench.world.scene import PLAIN


@dataclass(frozen=True)
class RolledBatch:
    """Answer of an actor to a batch. Its rollouts are encoded; memory as in `RolloutEngine`."""

    result: BatchResult
    notes: tuple[str, ...]
    part_size: int | None
    peak_rss: int
    peak_accelerator: int
    free: int


class RolloutActor:
    """A process that holds the model. It loads it when it is first asked, also after it was restarted.

    While one call rolls out, others unpack their clips or encode their rollouts, so that the model is kept busy.
    """

    def __init__(self, setting: Setting, arguments: Mapping[str, Any], model: ManifestModel) -> None:
        """Args: what this process is told, the arguments of `RolloutEngine`, and the model as in the manifest."""
        self._setting, self._arguments, self._model = setting, arguments, model
        self._lock = threading.Lock()

    def info(self) -> LoadedModel:
        """The model that is loaded here. Raises UsageError or ModelError as where it is loaded alone."""
        with self._lock:
            return self._engine.info

    def roll(
        self, index: int, batch: Batch, rows: Sequence[Row], part_size: int | None, *clips: tuple[str, bytes]
    ) -> RolledBatch:
        """Roll a batch out; `index` is its number in the plan, `clips` are those of `rows`, packed."""
        with self._lock:
            engine = self._engine
        spec, fps = engine.card.spec, engine.card.fps
        known = {
            row: unpack(clip[1], row, spec, make_scene(row, spec.view)) for row, clip in zip(rows, clips, strict=True)
        }
        with self._lock:
            engine.part_size = part_size
            (result,) = engine.run([batch], known.__getitem__)
            numbers = (engine.part_size, engine.peak_rss, engine.peak_accelerator, engine.free)
            notes = tuple(engine.notes)
        events = tuple(replace(event, batch=index) for event in result.events)
        rollouts = tuple(as_files(rollout, fps) for rollout in result.rollouts)
        result = replace(result, index=index, events=events, rollouts=rollouts)
        return RolledBatch(result, notes, *numbers)

    @cached_property
    def _engine(self) -> RolloutEngine:
        prepare(self._setting)
        for name, value in self._setting.environment:  # a model has the cores that it would have without Ray
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        with suppress(OSError):
            os.chdir(self._setting.folder)
        target, files = self._arguments["target"], file_hashes(self._arguments["model_args"])
        if (model_sha256(target), files) != (self._model.sha256, self._model.files):
            raise UsageError(
                f"The node {platform.node()} has no {target}, or another one, or other files of --model-arg. Put them "
                "on a file system that all nodes see, or at the same place on each."
            )
        engine = RolloutEngine(**self._arguments)
        engine.start()
        return engine


class RayEngine(RolloutEngine):
    """A RolloutEngine whose batches are computed by actors: one for each GPU, or one on a CPU where there is none."""

    def __init__(self, pool: RayPool, arguments: Mapping[str, Any], model: ManifestModel) -> None:
        """Describe the model; other arguments as of `RolloutActor`."""
        super().__init__(**arguments)
        self._pool, self._ray = pool, pool.ray
        self._arguments, self._named = dict(arguments), model
        self._actors: list[Any] = []

    @property
    def _on_gpu(self) -> bool:
        return self._load.device != "cpu" and self._pool.cluster.gpus > 0

    def start(self) -> LoadedModel:
        """Start the actors and have all of them load the model."""
        if not self._actors:
            on_gpu = self._on_gpu
            make = self._ray.remote(
                num_cpus=0,  # beside the tasks, as the model's process is beside the workers of one machine
                num_gpus=1 if on_gpu else 0,
                max_restarts=4,  # what it worked on is then done again
                max_task_retries=-1,
                max_concurrency=MAX_IN_FLIGHT,
            )(RolloutActor)
            self.devices = many = self._pool.cluster.gpus if on_gpu else 1
            self._actors = [make.remote(self._pool.setting, self._arguments, self._named) for _ in range(many)]
            self._take_infos()
            if self.card.spec.look != PLAIN:
                raise UsageError(
                    f"{self.card.name} asks for the look {self.card.spec.look}, which nodes of a cluster may draw in "
                    "other ways. Leave out --executor ray."
                )
        assert self._info is not None
        return self._info

    def _take_infos(self) -> None:
        target, limit = self._load.target, max(self.timeout, LOAD_TIMEOUT)
        for call in [actor.info.remote() for actor in self._actors]:
            try:
                info = self._pool.fetch(call, limit)
            except TimeoutError:
                raise ModelError(
                    f"{target} was not loaded on all GPUs of the cluster within {limit:g} s. `ray status` says whether "
                    "others use them."
                ) from None
            first = self._info
            self._info = checked_info(info, target, self._handed(), first)
            if first is not None and first.device_name != info.device_name:
                self.notes.append(
                    f"Rolled out on {first.device_name} and {info.device_name}: answers may differ in the last bit."
                )
                self._info = first

    def close(self, at_once: bool = False) -> None:
        """End the actors, and with them the processes that they have started."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
        super().close()

    def run(
        self, plan: Sequence[Batch], load: ClipLoader | None = None, *, only: Iterable[int] | None = None
    ) -> Generator[BatchResult, None, None]:
        """As of `RolloutEngine`, in the order in which batches are done."""
        load = load or self._from_store
        self.start()
        waiting = deque(range(len(plan)) if only is None else only)
        calls: dict[Any, tuple[Any, int]] = {}  # by reference: actor, batch
        answered = time.monotonic()
        try:
            while waiting or calls:
                while waiting and (actor := self._free_actor(calls)) is not None:
                    index = waiting.popleft()
                    calls[self._call(actor, index, plan[index], load)] = (actor, index)
                done, _ = self._ray.wait(list(calls), num_returns=1, timeout=POLL_SECONDS)
                if not done:
                    self._take_over(calls, plan, load, bool(waiting))
                    self._refuse_to_wait(time.monotonic() - answered)
                    continue
                answered = time.monotonic()
                _, index = calls.pop(done[0])
                for twin in [call for call, (_, other) in calls.items() if other == index]:
                    del calls[twin]
                yield self._received(done[0])
        finally:
            if calls:  # the caller has stopped: nobody needs the rest
                self.close(at_once=True)

    def _free_actor(self, calls: Mapping[Any, tuple[Any, int]]) -> Any | None:
        """The actor with the fewest calls; None where all have enough."""
        busy = [actor for actor, _ in calls.values()]
        actor = min(self._actors, key=busy.count)
        return actor if busy.count(actor) < MAX_IN_FLIGHT else None

    def _call(self, actor: Any, index: int, batch: Batch, load: ClipLoader) -> Any:
        rows = list(dict.fromkeys(item.row for item in batch.items))
        for row in rows:
            load(row)  # waits until it is made, and notes its states
        clips = [self._pool.clip(row, self.card.spec) for row in rows]
        return actor.roll.remote(index, batch, rows, self.part_size, *clips)

    def _take_over(
        self, calls: dict[Any, tuple[Any, int]], plan: Sequence[Batch], load: ClipLoader, waiting: bool
    ) -> None:
        """Let idle actors do batches of others, too: where a GPU is lost, its actor may wait for one for ever."""
        if waiting or len(self._actors) <= max(1, gpus_of(self._ray)):
            return
        busy = [actor for actor, _ in calls.values()]
        idle = deque(actor for actor in self._actors if actor not in busy)
        sent = [index for _, index in calls.values()]
        for index in sorted(set(sent), key=sent.count):  # of an idle actor none is its own
            if not idle:
                return
            actor = idle.popleft()
            calls[self._call(actor, index, plan[index], load)] = (actor, index)

    def _refuse_to_wait(self, seconds: float) -> None:
        """Raise ClusterLossError where the last GPU is gone for as long as a model may take to load."""
        if self._on_gpu and seconds > max(self.timeout, LOAD_TIMEOUT) and not gpus_of(self._ray):
            raise ClusterLossError("The cluster has no GPU any more. `ray status` says what became of its nodes.")

    def _received(self, call: Any) -> BatchResult:
        try:
            rolled: RolledBatch = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            raise cause_of(self._ray, error) from error
        self.events += rolled.result.events
        self.notes += [note for note in rolled.notes if note not in (*self.notes, *self.info.notes)]
        self.part_size = min((size for size in (self.part_size, rolled.part_size) if size), default=None)
        self.peak_rss = max(self.peak_rss, rolled.peak_rss)
        self.peak_accelerator = max(self.peak_accelerator, rolled.peak_accelerator)
        self.free = rolled.free
        return rolled.result
