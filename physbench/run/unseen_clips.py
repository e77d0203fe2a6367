"""Clips of fresh seeds for a model: made when their turn comes, and in no file that its process could read.

What follows a context is written down only when the model's process has ended: clips, references and scores come after
the last rollout, into the folder of the run alone. What an earlier session has left there is removed before the first.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from physbench.clips.clip import Clip, Row
from physbench.results.read_run import REFERENCE_MODELS
from physbench.run import worker
from physbench.storage.run_folder import RunFolder
from physbench.worker_pool import WorkerPool
from physbench.world.scene import RenderSpec


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
    told = (*(folder.reference(name).path for name in REFERENCE_MODELS), folder.report.parent)
    kept = io.BytesIO()  # a file could be opened by the model
    with tarfile.open(fileobj=kept, mode="w") as archive:
        for path in told:
            if path.is_dir():
                archive.add(path, path.relative_to(folder.path))
    for path in (*told, folder.clips):
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
