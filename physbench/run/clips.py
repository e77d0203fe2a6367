"""Clips that a run makes as it goes: before the model sees them, of fresh seeds in no file; and those that it is shown.

Scores wait behind what is on its way already. With a few batches in advance the model waits for no clip, and what is
rolled out is scored soon, however many clips there are: a run that is looked at early, or ended, has scores.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.result.read import REFERENCE_MODELS, ClipSource
from physbench.rollout.batches import Batch
from physbench.run import worker
from physbench.run.jobs import ClipsReadAhead, Jobs
from physbench.run.state import Run
from physbench.support.processes import WorkerPool
from physbench.support.run_folder import RunFolder
from physbench.world.scene import RenderSpec

# Clips of fresh seeds for a model: made when their turn comes, and in no file that its process could read.
#
# What follows a context is written down only when the model's process has ended: clips, references and scores come
# after the last rollout, into the folder of the run alone. What an earlier session has left there is removed before the
# first.


class UnseenClips:
    """Clips in memory, made by workers shortly before they are asked for.

    Args:
        pool: Makes them.
        spec: Size and rate.
        ahead: How many are made in advance, and how many are kept: memory stays flat.
    """

    def __init__(self, pool: WorkerPool, spec: RenderSpec, ahead: int) -> None:
        self._pool = pool
        self._spec = spec
        self._ahead = ahead
        self._order: Sequence[Row] = ()
        self._known: OrderedDict[Row, Future[Clip]] = OrderedDict()

    def expect(self, rows: Sequence[Row]) -> None:
        """Say in which order clips will be asked for."""
        self._order = tuple(dict.fromkeys(rows))

    def get(self, row: Row) -> Clip:
        """A clip, the same each time."""
        at = self._order.index(row) if row in self._order else 0
        for each in (row, *self._order[at + 1 : at + 1 + self._ahead]):
            if each not in self._known:
                self._known[each] = self._pool.submit(worker.shown, each, self._spec)
        self._known.move_to_end(row)
        clip = self._known[row].result()
        while len(self._known) > 2 * self._ahead + 1:
            self._known.popitem(last=False)
        return clip


@contextmanager
def unseen(folder: RunFolder) -> Iterator[None]:
    """No file of a run tells of the future of its clips: they are removed, and so are references and report.

    Where the model cannot be loaded, is refused or fails, references and report come back: its process has ended then.
    Clips are made again.
    """
    folders = (*(folder.reference(name).path for name in REFERENCE_MODELS), folder.report.parent)
    kept = io.BytesIO()  # a file could be opened by the model
    with tarfile.open(fileobj=kept, mode="w") as archive:
        for path in folders:
            if path.is_dir():
                archive.add(path, path.relative_to(folder.path))
    for path in (*folders, folder.clips):
        shutil.rmtree(path, ignore_errors=True)
    try:
        yield
    except BaseException:
        kept.seek(0)
        with tarfile.open(fileobj=kept) as archive:
            # Python before 3.11.4 has no filters; the archive is this process's own.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder.path)
        raise


# Clips for each worker that are begun between a clip and its references: it is mostly made by then. Where it is not,
# the references make it again.
CLIPS_BEFORE_REFERENCES = 4


@dataclass
class ClipPreparation:
    """Jobs for the clips of a run, each begun once."""

    run: Run
    pool: WorkerPool | None
    jobs: Jobs
    source: ClipSource | None  # where they are put; None: nothing is absent
    absent: Set[Row]  # clips that are not stored
    references: bool  # whether they are needed, too
    futures: dict[Row, Future[Any]] = field(default_factory=dict)
    brought: dict[Row, Future[Any]] = field(default_factory=dict)
    _order: Sequence[Row] = ()
    _places: dict[Row, int] = field(default_factory=dict)
    _ahead: int = 0  # clips that are on their way after the one that is asked for
    _begun: int = 0  # clips of the order that are on their way

    def make(self, rows: Iterable[Row]) -> None:
        """Have clips made that are not stored."""
        for row in rows:
            if row in self.absent and row not in self.futures:
                assert self.pool is not None and isinstance(self.source, ClipStore), "an archive lacks none"
                self.futures[row] = self.pool.submit(worker.make, self.source.directory, row, self.run.card.spec)
                self.jobs.add("clip", self.futures[row])

    def bring(self, rows: Iterable[Row]) -> None:
        """Have ground truth and baselines read on clips, where references are needed."""
        run = self.run
        for row in rows:
            if self.references and row not in self.brought:
                assert self.pool is not None
                self.brought[row] = self.pool.submit(
                    worker.references, run.folder.path, row, run.card, run.options.scorers, not run.salt
                )
                self.jobs.add("references", self.brought[row])

    def is_ready(self, row: Row) -> bool:
        """True if a clip can be read now."""
        if row not in self.absent:
            return True
        future = self.futures.get(row)
        return future is not None and future.done() and not future.cancelled() and future.exception() is None

    def expect(self, order: Sequence[Row], ahead: int) -> None:
        """Say in which order the clips will be needed, before any of them is asked for by `up_to`.

        ahead: how many after that one are to be on their way. Its own references always are.
        """
        self._order, self._places, self._begun = order, {row: place for place, row in enumerate(order)}, 0
        self._ahead = ahead

    def up_to(self, row: Row) -> None:
        """Have all up to a clip, and some after it, on their way. A clip that nobody expects changes nothing."""
        if row in self._places:
            self._reach(self._places[row] + 1 + self._ahead)

    def rest(self) -> None:
        """Have all of them on their way."""
        self._reach(len(self._order))

    def _reach(self, end: int) -> None:
        lag = min(CLIPS_BEFORE_REFERENCES * self.run.workers, self._ahead)
        for place in range(self._begun, min(end, len(self._order))):
            row = self._order[place]
            self.make([row])
            if row not in self.absent:
                self.bring([row])
            if place >= lag:
                self.bring([self._order[place - lag]])
            self._begun = place + 1
        if self._begun == len(self._order):
            self.bring(self._order[max(0, len(self._order) - lag) :])

    def give_up_all_but(self, rows: Set[Row]) -> None:
        """Prepare these clips, and no other where that has not begun."""
        needed = [row for row in self._order if row in rows]
        self.make(needed)
        self.bring(needed)
        given_up = [row for row in self._order if row not in rows]
        for kind, futures, wanted in (
            ("clip", self.futures, self.absent),
            ("references", self.brought, self._places if self.references else {}),
        ):
            if many := sum(row in wanted and row not in futures for row in given_up):
                self.jobs.expect_fewer(kind, many)
            for row in given_up:
                if row in futures:
                    self.jobs.give_up(kind, futures[row])


class ShownClips:
    """Clips for the model, each as soon as it is made: those in no file from memory, stored ones read in advance.

    Args:
        read: Reads what the model needs of a stored clip, in any thread.
        made: Makes clips before they are read, or those in no file.
    """

    def __init__(self, read: Callable[[Row], Clip], made: ClipPreparation | UnseenClips) -> None:
        self.states: dict[Row, str] = {}  # hashes of those of the clips that were shown
        self._read, self._preparation = read, made
        self._ahead: ClipsReadAhead | None = None

    def get(self, row: Row) -> Clip:
        """A clip, once it is made; the error of what made it is raised here."""
        if isinstance(self._preparation, UnseenClips):
            clip = self._preparation.get(row)
        else:
            self._preparation.up_to(row)
            if row in self._preparation.futures:
                self._preparation.futures[row].result()
            clip = self._ahead.get(row) if self._ahead else self._read(row)
        self.states[row] = clip.state_hash
        return clip

    @contextmanager
    def read_ahead(self, batches: Sequence[Batch], devices: int) -> Iterator[None]:
        """Stored clips of the next batches are read while the model works."""
        if isinstance(self._preparation, UnseenClips):
            yield
            return
        order = [item.row for batch in batches for item in batch.items]
        most = max((len(batch.items) for batch in batches), default=0) * devices
        with ClipsReadAhead(self._read, self._preparation.is_ready, order, most) as self._ahead:
            yield
        self._ahead = None
