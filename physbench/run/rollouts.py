"""Storage of rollouts, by encoders or here, and what the manifest learns from each batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.result.manifest import Event
from physbench.rollout.batches import BatchItem
from physbench.rollout.engine import BatchResult, RolloutEngine
from physbench.rollout.shared_memory import SharedRollout, can_share, share
from physbench.rollout.store import FiledRollout, Rollout, store_rollout, store_rollouts
from physbench.run.jobs import Jobs
from physbench.run.state import Run
from physbench.support.errors import PhysbenchError
from physbench.support.processes import WorkerPool, cores, give_back, thread_map
from physbench.support.run_folder import RunFolder

# Who stores a rollout: the worker that scores it, and need not read it then. As long as workers have enough, others.
#
# The model must not wait for files. To encode is a call into a library for each frame, and in those the threads of one
# process wait for one another: where there are many cores, processes of their own do it. Where the workers have all of
# a few cores, whoever encodes takes them from the workers, which then have to read the file, too: there the model waits
# for a while.

JOBS_AHEAD = 4  # jobs that wait for each worker
BYTES_AHEAD = 16_000_000  # of frames that wait in memory for each worker, or so many jobs
ENCODER_PRELOAD = ("physbench.rollout.store", "av")
MOST_ENCODERS = 16
BATCHES_STORED = 2  # that they are at work on while the model goes on
LEAST_CORES = 4  # for encoders
PATIENCE = 10.0  # s that the model waits for workers, each batch
STALL = 1.0  # s without a score after which it does not: they make clips and references first
POLL = 0.25  # s

Kept = SharedRollout | Future[None] | None


@contextmanager
def encoders(workers: int) -> Generator[WorkerPool | None, None, None]:
    """Processes that store rollouts; None with few cores, one worker, or no room for them: then threads do.

    They start with the first rollout that they get.
    """
    pool = None
    if workers > 1 and cores() >= LEAST_CORES and can_share():
        with suppress(PhysbenchError):  # no room for semaphores
            pool = WorkerPool(min(MOST_ENCODERS, cores()), ENCODER_PRELOAD)
    with nullcontext() if pool is None else pool:
        yield pool


def patience(workers: int) -> float:
    """Seconds that the model may wait for workers: only where they have all cores, and no encoders help them."""
    return PATIENCE if cores() <= workers and cores() < LEAST_CORES else 0.0


class RolloutKeeping:
    """Keeps the rollouts of a run, a batch at a time. While workers have enough to do, encoders or this process store
    them; before that it waits for `patience`.

    While workers want more it only copies their frames, so that it keeps many workers busy. As these come to them soon,
    little lies in memory, or is lost with the program: a rollout that is neither stored nor scored is made again, with
    its batch.

    Args:
        folder: Of the run.
        fps: Frames per second.
        jobs: Of the workers.
        shares: Whether the workers see the memory of this process, and score what it keeps.
        encoders: See the function of that name.
        patience: s that it waits for workers, each batch, before somebody else stores rollouts.
    """

    def __init__(
        self,
        folder: RunFolder,
        fps: float,
        jobs: Jobs,
        shares: bool,
        encoders: WorkerPool | None,
        patience: float = 0.0,
    ) -> None:
        self._folder, self._fps, self._jobs = folder, fps, jobs
        self._shares, self._encoders, self._patience = shares, encoders, patience
        self._tried = False  # whether it is known that encoders see the memory of this process
        self._shared = 0  # bytes of frames that wait for workers
        self._lock = threading.Lock()

    def kept(self, rollouts: Sequence[Rollout]) -> Generator[Kept, None, None]:
        """Keep the rollouts of a batch.

        Yields:
            For each rollout, as soon as its job may begin, what the worker has to store; None where it is stored. Or a
            future: it is being stored, and its job may begin then.
        """
        give_back()  # what was free before these came
        if self._shares and self._workers_want_more(self._patience):
            yield from self._shared_or_stored(rollouts)
        elif self._encoders is not None and self._are_seen(rollouts, self._encoders):
            for shared in self._shared_or_stored(rollouts):
                yield None if shared is None else self._stored_by(self._encoders, shared)
        else:
            for _ in store_rollouts(self._folder, rollouts, self._fps):
                yield None

    def _shared_or_stored(self, rollouts: Sequence[Rollout]) -> Generator[SharedRollout | None, None, None]:
        """Rollouts in shared memory; None for one that does not go there, and is stored."""
        for rollout, shared in zip(rollouts, thread_map(share, rollouts), strict=True):
            if shared is None:
                store_rollout(self._folder, rollout, self._fps)
            yield shared

    def _stored_by(self, encoders: WorkerPool, shared: SharedRollout) -> Future[None]:
        """Have an encoder store a rollout; its memory is let go then."""
        storing = encoders.submit(store_shared, self._folder.path, shared, self._fps)
        storing.add_done_callback(lambda _: shared.close())
        return storing

    def _are_seen(self, rollouts: Sequence[Rollout], encoders: WorkerPool) -> bool:
        """True if encoders can store these: some have frames here, and the system lets another process map them."""
        framed = [rollout for rollout in rollouts if len(rollout.frames)]
        if not framed or any(isinstance(rollout, FiledRollout) for rollout in rollouts):
            return False
        if not self._tried and (shared := share(framed[0])) is not None:
            self._tried = True
            try:
                if not encoders.submit(is_seen, shared).result():
                    self._encoders = None
            finally:
                shared.close()
        return self._encoders is not None

    def _workers_want_more(self, patience: float) -> bool:
        """True if the workers want more, now or within `patience` s.

        A job that fails and a time without scores end the wait: then the rollouts are stored here.
        """
        jobs, workers = self._jobs, self._jobs.workers
        scored, last = jobs.done("score"), time.monotonic()  # scores so far, and when the last one came
        until = last + patience
        while jobs.waiting() > JOBS_AHEAD * workers and self._shared > BYTES_AHEAD * workers:
            now = time.monotonic()
            if jobs.done("score") > scored:
                scored, last = jobs.done("score"), now
            left = min(until, last + STALL) - now
            if left <= 0 or not jobs.wait_for_one(min(left, POLL)):
                return False
        return True

    def scoring(self, shared: SharedRollout, future: Future[Any]) -> None:
        """A worker has what was yielded until `future` is done."""
        self._count(shared.bytes)

        def let_go(_: Future[Any]) -> None:
            shared.close()
            self._count(-shared.bytes)

        future.add_done_callback(let_go)

    def _count(self, more: int) -> None:
        with self._lock:
            self._shared += more


def is_seen(shared: SharedRollout) -> bool:
    """In an encoder: whether it can map the frames."""
    try:
        shared.load()
    except OSError:
        return False
    return True


def store_shared(folder: Path, shared: SharedRollout, fps: float) -> None:
    """In an encoder: store a rollout."""
    store_rollout(RunFolder(folder), shared.load(), fps)


class BeingStored:
    """Rollouts that encoders are at work on, by batch. Where the block of its `with` fails, they are stored first."""

    def __init__(self) -> None:
        self._batches: deque[Sequence[tuple[BatchItem, Future[None]]]] = deque()

    def __enter__(self) -> BeingStored:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Exception):  # who presses Ctrl-C does not wait
            wait([future for batch in self._batches for _, future in batch])

    def add(self, batch: Sequence[tuple[BatchItem, Future[None]]], patience: float) -> None:
        """Add a batch, and wait for it for at most so many seconds."""
        self._batches.append(batch)
        wait([future for _, future in batch], timeout=patience)

    def stored(self, besides: int) -> Iterator[BatchItem]:
        """Stored items, in order; raises why one was not. All but `besides` of the last batches are waited for."""
        while self._batches and (len(self._batches) > besides or all(each.done() for _, each in self._batches[0])):
            for item, future in self._batches.popleft():
                future.result()
                yield item


MOST_NOTES = 5  # events and notes


class RolloutNotes:
    """Writes into the manifest of a run and says the first of what is remarkable."""

    def __init__(self, run: Run, engine: RolloutEngine) -> None:
        self.run, self.engine = run, engine
        self.count = 0  # events and notes
        self.noted = 0  # of the engine's notes

    def write_down(self, result: BatchResult, new: Sequence[BatchItem], states: Mapping[Row, str]) -> None:
        """Times and events of a batch go into the manifest, and which of its new rollouts were made in other batches.

        `regrouped` holds by rollout with how many clips together it was computed, where that are not those of the plan.
        """
        manifest = self.run.manifest
        before = manifest.regrouped
        after = {name: number for name, number in before.items() if name not in {item.id for item in new}}
        for item, number in zip(result.batch.items, result.together, strict=False):
            if item in new and number not in (0, len(result.batch.items)):
                after[item.id] = number
        states_here = {item.row.id: states[item.row] for item in result.batch.items if item.row in states}
        if after != before or not states_here.items() <= manifest.states.items():
            manifest.states = {**manifest.states, **states_here}
            manifest.regrouped = after
            self.run.save_manifest()
        self.run.count_time("model_seconds", result.seconds / self.engine.devices)
        frames = sum(one.steps for one in result.rollouts)
        manifest.speed["model_frames"] = (manifest.speed.get("model_frames") or 0) + frames
        if result.events:
            manifest.events = [*manifest.events, *(Event.model_validate(event.document()) for event in result.events)]
            self.run.save_manifest()
            for event in result.events:
                self.say_once(f"Batch {event.batch + 1}: {event.detail}")

    def note_down(self) -> None:
        """Record in the manifest what the model's process remarked since the last batch."""
        for note in self.engine.notes[self.noted :]:
            self.say_once(note)
            self.run.note(note)
        if self.noted < len(self.engine.notes):
            self.noted = len(self.engine.notes)
            self.run.save_manifest()

    def say_once(self, message: str) -> None:
        """Print the first few events and notes of a model; all of them are in the manifest."""
        self.count += 1
        if self.count <= MOST_NOTES:
            self.run.say(message)
        elif self.count == MOST_NOTES + 1:
            self.run.say(f"Further events and notes are in {self.run.folder.manifest}.")
