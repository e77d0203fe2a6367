"""Runs on a Ray cluster: joining one, and the jobs of a run as its tasks."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import platform
import re
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.store import ClipStore, pack, unpack
from physbench.models.load_model import model_sha256
from physbench.models.protocol import ModelCard
from physbench.result.formats import counted
from physbench.result.manifest import ManifestModel
from physbench.result.read import ClipSource, clips_of_folder
from physbench.rollout.batches import Batch, BatchResult
from physbench.rollout.engine import LOAD_TIMEOUT, MAX_IN_FLIGHT, ClipLoader, RolloutEngine
from physbench.rollout.messages import LoadedModel, checked_info
from physbench.rollout.store import as_files
from physbench.run import worker
from physbench.run.manifest import file_hashes
from physbench.run.state import Run
from physbench.run.worker import Setting, bring, clip_file, files_read, own_setting, prepare, run_job
from physbench.support.errors import ModelError, PhysbenchError, UsageError
from physbench.support.processes import WORKER_ENVIRONMENT, P, R, WorkerDiedError, WorkerPool, cores, signals_kept
from physbench.world.scene import PLAIN, RenderSpec

ANSWER_SECONDS = 5.0
HTTP2_HEADER, HTTP2_SETTINGS = 9, 4  # bytes of the header of a frame, with the length first; a kind of frame


class ClusterLossError(WorkerDiedError):
    """The cluster has ended a job, and its retries."""

    def __init__(self, message: str) -> None:
        PhysbenchError.__init__(self, message)


@dataclass(frozen=True)
class Cluster:
    """Resources of a cluster as it was joined."""

    nodes: int
    cpus: int
    gpus: int


def import_ray() -> Any:
    """The module, which takes a second. Raises UsageError where it is not installed."""
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UsageError("--executor ray: Ray is not installed. Install it: pip install 'physbench[ray]'") from error


def check_cluster(address: str | None) -> str | None:
    """Refuse what cannot be joined, in seconds and before anything of a run is touched.

    Returns the address of the cluster that is meant; None: a new one of this machine alone.

    Raises UsageError: ray is not installed, the address is none, or no cluster answers there.
    """
    import_ray()
    address_variable = "RAY_ADDRESS"  # where `ray job submit` names the cluster
    source = "--address" if address else address_variable
    local = "local"  # Ray's word for a new cluster of this machine alone
    address = address or os.environ.get(address_variable) or local
    if address == local:
        return None
    if address != "auto":
        _await_answer(address, source)
    return address


@contextmanager
def joined(address: str | None, workers: int | None, debug: bool = False) -> Iterator[Cluster]:
    """Join a cluster, and leave it at the end; one of this machine alone is then shut down.

    Meanwhile stdout is stderr: Ray prints on it what tasks print, and stdout is for results.

    Args:
        address: "auto" (a cluster that runs on this machine), or HOST:PORT of the head of one; None: as RAY_ADDRESS
            says, or a new one of this machine alone.
        workers: Cores of the latter; None: all.
        debug: Whether what other processes print is shown here.

    Raises UsageError: ray is not installed, or no cluster of the same versions answers.
    """
    address = check_cluster(address)
    ray = import_ray()
    settings: dict[str, Any] = {"address": address}
    if address is None:
        # bytes of a cluster on this machine alone, for packed clips and rollouts, the rest goes to disk
        own = {"num_cpus": workers or cores(), "include_dashboard": False, "object_store_memory": 512 << 20}
        settings = {"address": "local", **own}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with redirect_stdout(sys.stderr):
        with signals_kept():  # Ray takes SIGTERM over; a run answers to it as to Ctrl-C
            try:
                ray.init(
                    **settings,
                    runtime_env={"env_vars": WORKER_ENVIRONMENT},
                    log_to_driver=debug,
                    logging_level=logging.INFO if debug else logging.CRITICAL,
                )
            except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
                raise UsageError(_refusal(address, str(error))) from error
        try:
            yield _cluster(ray)
        finally:
            ray.shutdown()


def _await_answer(address: str, source: str) -> None:
    """Raise UsageError where nobody answers at an address: Ray itself would try for a minute."""
    match = re.fullmatch(r"([^:/\s]+):([0-9]{1,5})", address)
    if match is None or not 1 <= int(match[2]) <= 65535:
        client = " Run physbench on a node of the cluster (`ray job submit` does)." if "://" in address else ""
        raise UsageError(f"{source}: expected auto or HOST:PORT of the head of the cluster, got '{address}'.{client}")
    remedy = f"without {source}, this machine alone is used"
    try:
        with socket.create_connection((match[1], int(match[2])), ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
                _await_greeting(connection)
    except _NoClusterError as error:
        raise UsageError(
            f"{source} {address}: something answers there, but no Ray cluster. `ray start --head` on its head names "
            f"the port (6379, unless told otherwise); {remedy}."
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{source} {address}: no Ray cluster answers ({reason}). `ray status` on its head says whether it runs; "
            f"{remedy}."
        ) from error


class _NoClusterError(Exception):
    """Another program answers at the address."""


def _await_greeting(connection: socket.socket) -> None:
    """Greet in HTTP/2, as clients of a Ray cluster do, and raise _NoClusterError where no such greeting comes back.

    Ray itself would wait for half a minute or more, at the port of its own dashboard, say.
    """
    connection.settimeout(ANSWER_SECONDS)
    try:
        http2_greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, HTTP2_SETTINGS, 0, 0, 0, 0, 0])
        connection.sendall(http2_greeting)
        frame = b""
        while len(frame) < HTTP2_HEADER and (more := connection.recv(HTTP2_HEADER - len(frame))):
            frame += more
    except OSError as error:
        raise _NoClusterError from error
    if len(frame) < HTTP2_HEADER or frame[3] != HTTP2_SETTINGS:
        raise _NoClusterError


def _refusal(address: str | None, text: str) -> str:
    """Reason that a cluster could not be joined."""
    name = f"--address {address}" if address else "--executor ray"
    pairs = re.findall(r"Ray: (\S+)\s+Python: (\S+)", text)
    if "ersion mismatch" in text and len(pairs) == 2:
        there, here = (f"Ray {ray} and Python {python}" for ray, python in pairs)
        return f"{name}: the cluster has {there}, here is {here}. Install the same on all nodes."
    lines = text.strip().splitlines()
    reason = f" ({lines[0][:200]})" if lines else ""
    remedy = "`ray status` on its head says whether it runs" if address else "`ray stop` ends what is left of another"
    return f"{name}: the cluster cannot be joined{reason}. {remedy}."


def _cluster(ray: Any) -> Cluster:
    resources = ray.cluster_resources()
    alive = [node for node in ray.nodes() if node["Alive"]]
    cluster = Cluster(len(alive), int(resources.get("CPU", 0)), gpus_of(ray))
    if cluster.cpus < 1:
        raise UsageError("--executor ray: no node of the cluster offers a CPU. Start one without --num-cpus 0.")
    return cluster


def gpus_of(ray: Any) -> int:
    """GPUs of the nodes that are alive."""
    return int(ray.cluster_resources().get("GPU", 0))


def cause_of(ray: Any, error: Exception) -> Exception:
    """Error to raise where Ray raised one: that of a job, or the fate of its process, in words."""
    kinds = ray.exceptions
    if isinstance(error, kinds.RayTaskError):
        cause = error.cause
        if "failed to import" in str(cause) or "No module named 'physbench" in str(cause):
            return UsageError(
                "A node of the cluster cannot import physbench, or imports another version. Install the same on all "
                "nodes."
            )
        return cause if isinstance(cause, Exception) else error
    if isinstance(error, kinds.OutOfMemoryError):
        return ClusterLossError("Ray ended a job for want of memory, again and again. Use fewer --workers.")
    if isinstance(error, kinds.RayActorError):
        return ClusterLossError(
            "A process that holds the model died again and again, probably out of memory. Use a smaller --batch-size "
            "(with --fresh), or nodes with more memory."
        )
    if isinstance(error, kinds.WorkerCrashedError | kinds.NodeDiedError):
        return ClusterLossError("A process on the cluster died again and again, probably out of memory.")
    if isinstance(error, kinds.RayError):
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        return ClusterLossError(f"The cluster lost a job ({first[0][:200]}).")
    return error


# The jobs of a run as tasks of a Ray cluster; takes the place of the worker processes of this machine.
#
# Ray schedules, retries and moves bytes. A thread of this process waits for each task that is sent, and brings what it
# leaves into the run folder: as many threads as tasks may be on their way, so that the cluster's queue stays short. A
# clip is put into the object store once, for all tasks and actors that read it.

POLL_SECONDS = 1.0


@contextmanager
def ray_pool(run: Run) -> Iterator[RayPool]:
    """Join the cluster that the options of a run name."""
    o, own = run.options, run.workers
    run.say("Joining the Ray cluster ..." if o.address else "Starting Ray ...")
    with joined(o.address, o.workers, run.debug) as cluster:
        run.workers = min(o.workers or cluster.cpus, cluster.cpus)
        run.say(
            f"Ray: {counted(cluster.nodes, 'node')} with {counted(cluster.cpus, 'CPU')} and "
            f"{counted(cluster.gpus, 'GPU')}."
        )
        pool = RayPool(run, cluster)
        try:
            with pool:
                yield pool
        finally:
            run.workers = own  # the rest is done here


class RayPool(WorkerPool):
    """A pool whose jobs are tasks. `ray` is the module, `setting` what every process of the cluster has to be told."""

    shares_memory = False

    def __init__(self, run: Run, cluster: Cluster) -> None:
        self.ray = import_ray()
        self.run, self.cluster = run, cluster
        self.setting = own_setting()
        self.noticed = multiprocessing.Event()  # compiling is not noticed from afar
        # retries where a process or a node is lost: what a job raises is not tried again
        self._job = self.ray.remote(num_cpus=1, max_retries=3)(run_job)
        self._threads = ThreadPoolExecutor(2 * run.workers, "ray")  # each core has a task that runs and the next one
        self._lock = threading.Lock()
        self._prepared: dict[Row, Future[Any]] = {}  # clips that are made, or on their way
        self._sent: dict[Row, Any] = {}  # references to clips in the object store
        self._ended = False

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start a job of `worker`. What it leaves is in the run folder once it is done."""
        assert not kwargs, "jobs are given their arguments by place"
        if function is worker.compile_functions:  # each node does so when it first needs them
            nothing: Future[R] = Future()
            nothing.set_result(None)  # type: ignore[arg-type]
            return nothing
        future: Future[R] = self._threads.submit(self._do, function, *args)
        if function is worker.make:
            self._prepared[args[1]] = future  # type: ignore[index]
        return future

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        self._ended = error is not None
        self._threads.shutdown(wait=True, cancel_futures=True)

    def fetch(self, reference: Any, seconds: float | None = None) -> Any:
        """Wait for a task and return its result.

        Raises:
            TimeoutError: It was not there within so many seconds.
            CancelledError: The run has ended meanwhile.
            Exception: What the task raised, or a ClusterLossError.
        """
        begun = time.monotonic()
        while not self._ended:
            try:
                return self.ray.get(reference, timeout=POLL_SECONDS)
            except self.ray.exceptions.GetTimeoutError:
                if seconds is not None and time.monotonic() - begun > seconds:
                    raise TimeoutError from None
            except self.ray.exceptions.RayError as error:
                raise cause_of(self.ray, error) from error
        raise CancelledError

    def clip(self, row: Row, spec: RenderSpec) -> Any:
        """Reference to a packed clip and its place in the folder of a job."""
        if row in self._prepared:
            with suppress(CancelledError):
                self._prepared[row].result()
        with self._lock:
            if row not in self._sent:
                self._sent[row] = self.ray.put((clip_file(row, spec), self._packed(row, spec)))
            return self._sent[row]

    @cached_property
    def _source(self) -> ClipSource:
        return clips_of_folder(self.run.folder)

    def _packed(self, row: Row, spec: RenderSpec) -> bytes:
        if isinstance(self._source, ClipStore):
            with suppress(OSError):
                return self._source.path(row, spec).read_bytes()
        return pack(self._source.get(row, spec))

    def _do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Send a job and wait for it; in a thread."""
        folder = args[0] if args else Path()
        if function is worker.make:
            result, left = self.fetch(self._job.remote(self.setting, function, args[1:], {}))
            for content in left.values():
                ClipStore(folder).put_packed(args[1], args[2], content)
            return result
        row = next(item for item in args if isinstance(item, Row))
        card = next(item for item in args if isinstance(item, ModelCard))
        rows = (row, row.unchanged) if function is worker.pair else (row,)
        files = files_read(function, folder, rows)
        clips = [self.clip(each, card.spec) for each in rows]
        result, left = self.fetch(self._job.remote(self.setting, function, args[1:], files, *clips))
        bring(folder, left)
        return result


# A model on a Ray cluster: an actor for each GPU holds it, with the engine of one machine inside.


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
