"""The jobs of a run as tasks of a Ray cluster; takes the place of the worker processes of this machine.

Ray schedules, retries and moves bytes. A thread of this process waits for each task that is sent, and brings what it
leaves into the run folder: as many threads as tasks may be on their way, so that the cluster's queue stays short. A
clip is put into the object store once, for all tasks and actors that read it.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from physbench.adapters.model_protocol import ModelCard
from physbench.clips.archive import pack
from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.results.number_format import counted
from physbench.results.run_clips import ClipSource, clips_of_folder
from physbench.run import worker
from physbench.run.folder_jobs import bring, clip_file, files_read, own_setting, run_job
from physbench.run.ray_cluster import Cluster, cause_of, import_ray, joined
from physbench.run.run_state import Run
from physbench.worker_pool import P, R, WorkerPool
from physbench.world.scene import RenderSpec

TASK_RETRIES = 3  # where a process or a node is lost; what a job raises is not tried again
QUEUED = 2  # tasks on their way for each core: the one that runs and the next
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
        self._job = self.ray.remote(num_cpus=1, max_retries=TASK_RETRIES)(run_job)
        self._threads = ThreadPoolExecutor(QUEUED * run.workers, "ray")
        self._lock = threading.Lock()
        self._made: dict[Row, Future[Any]] = {}  # clips that are made, or on their way
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
            self._made[args[1]] = future  # type: ignore[index]
        return future

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        if row in self._made:
            with suppress(CancelledError):
                self._made[row].result()
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
