"""The clips that the memory holds, in files of a few clips: made where they are missing, in worker processes.

    python -m physbench.baselines.memory 15000      makes them ahead of a run; interrupted, it goes on where it was

They lie in the folder `memory` of the cache, under a hash of the sources that decide them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from physbench.baselines.memory.recorded_motion import RecordedMotion, read_motions, record_motion, write_motions
from physbench.clips.clip import Row
from physbench.clips.generate import CLIP_PRELOAD
from physbench.clips.suite import train_rows
from physbench.clips.task import builtin_task_ids
from physbench.support.errors import ModelError, PhysbenchError
from physbench.support.files import cache_dir, cached
from physbench.support.fingerprint import fingerprint
from physbench.support.schedule import scheduled

BLOCK_CLIPS = 20  # clips in a file
MOST_AT_LOAD = 2000  # clips that are made while a model is loaded, which has a time limit


@dataclass(frozen=True)
class Block:
    """The clips of one task that lie in one file: `count` of them from seed `first` on."""

    task: str
    first: int
    count: int

    @property
    def rows(self) -> list[Row]:
        return [Row(self.task, "train", seed) for seed in range(self.first, self.first + self.count)]


def memory_rows(clips: int, *, pushed: bool = False) -> tuple[Row, ...]:
    """The clips that a memory of `clips` clips holds.

    They are those of `physbench train --clips`: spread over the tasks in which nothing is pushed. For clips with pushes
    it holds as many of each task with pushes.
    """
    tasks = builtin_task_ids()
    if not pushed:
        return train_rows(tasks, clips)
    others = builtin_task_ids(actions=True)
    return train_rows(others, max(round(clips * len(others) / len(tasks)), len(others)))


def blocks_of(rows: Sequence[Row]) -> list[Block]:
    """The files that hold these clips, seeds from 0 on for each task; lowest seeds first: those of smaller memories."""
    count: dict[str, int] = {}
    for row in rows:
        count[row.task] = count.get(row.task, 0) + 1
    starts = range(0, max(count.values(), default=0), BLOCK_CLIPS)
    return [
        Block(task, first, min(BLOCK_CLIPS, seeds - first))
        for first in starts
        for task, seeds in count.items()
        if first < seeds
    ]


class MemoryTable:
    """The files of recorded motion in `folder`, by default the place in the cache for this version of the sources."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_dir() / "memory" / fingerprint("memory")[:16] if folder is None else folder

    def path(self, block: Block) -> Path:
        """File with the clips of a block."""
        return self.folder / f"{block.task.replace('/', '.')}.{block.first}.npz"

    def missing(self, blocks: Sequence[Block]) -> list[Block]:
        """The blocks of which a clip is not stored, or whose file is damaged."""
        return [block for block in blocks if not self._holds(block)]

    def _holds(self, block: Block) -> bool:
        motions = cached(read_motions, self.path(block), (PhysbenchError,))
        return motions is not None and len(motions) >= block.count

    def ensure(self, rows: Sequence[Row], workers: int) -> int:
        """Make the clips that are not stored, with `workers` processes and progress. Returns how many were made."""
        missing = self.missing(blocks_of(rows))
        jobs = [(str(self.path(block)), block) for block in missing]
        label = "clips to remember"
        with scheduled(_make_block, jobs, workers=workers, preload=CLIP_PRELOAD, label=label, size=_clips_of) as blocks:
            return sum(blocks)

    def read(self, rows: Sequence[Row]) -> Iterator[tuple[Row, RecordedMotion]]:
        """The clips, block by block. Raises where a file is missing or damaged."""
        for block in blocks_of(rows):
            yield from zip(block.rows, read_motions(self.path(block)), strict=False)

    def size(self, rows: Sequence[Row]) -> int:
        """Bytes of the files that hold these clips."""
        return sum(self.path(block).stat().st_size for block in blocks_of(rows))

    def require(self, rows: Sequence[Row], arguments: str, workers: int) -> None:
        """Make what is missing while a model is loaded.

        Raises:
            ModelError: That would take too long; the message has the command with `arguments` that makes it.
        """
        missing = sum(block.count for block in self.missing(blocks_of(rows)))
        if missing > MOST_AT_LOAD:
            raise ModelError(
                f"baseline:memory: {missing:,} of {len(rows):,} clips to remember are not in {self.folder}. Make them "
                f"first, which can be interrupted: python -m physbench.baselines.memory {arguments}"
            )
        self.ensure(rows, workers)


def _clips_of(job: tuple[str, Block]) -> int:
    return job[1].count


def _make_block(job: tuple[str, Block]) -> int:
    """Record the clips of a block and write its file, in a worker process; returns their number."""
    path, block = job
    write_motions(Path(path), [record_motion(row) for row in block.rows])
    return block.count
