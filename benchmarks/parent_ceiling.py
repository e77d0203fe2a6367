"""How many workers one parent can feed: what a worker spends on a predicted frame over what the parent spends on it.

    python benchmarks/parent_ceiling.py [--size 256] [--clips 14] [--workers 1]

An instant model, which repeats the last frame, is rolled out on clips of `core` at 15 frames/s, and its rollouts are
handed to workers, which score them: as `eval` does it where workers wait for work, and where they have enough. Counted
is processor time, of the parent with all its threads (clips and contexts to the model's process, answers out of it) and
of the workers, after a first pass in which they import and compile. The model's process counts on neither side.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

from speed import HERE

from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.rollout.batches import Batch
from physbench.rollout.engine import RolloutEngine
from physbench.run import worker
from physbench.run.jobs import SCORING_PRELOAD, Jobs
from physbench.run.rollouts import RolloutKeeping
from physbench.support.processes import WorkerPool
from physbench.support.progress import Progress
from physbench.support.run_folder import RunFolder


def processor_time(pids: list[int]) -> float:
    """Seconds of processor time of other processes."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def roll_and_score(
    engine: RolloutEngine, pool: WorkerPool, plan: tuple[Batch, ...], store: ClipStore, folder: Path, shares: bool
) -> None:
    """Roll out a plan, keep it and have it scored."""
    card, total = engine.card, sum(len(batch.items) for batch in plan)
    jobs = Jobs(Progress("scores"), total, {"score": total})  # so many workers never have enough to do
    keeping = RolloutKeeping(RunFolder(folder), card.fps, jobs, shares, None)
    for result in engine.run(plan, lambda row: store.get(row, card.spec)):
        with contextlib.closing(keeping.kept(result.rollouts)) as kept:
            for item, shared in zip(result.batch.items, kept, strict=True):
                assert not isinstance(shared, Future)
                future = pool.submit(worker.score, folder, item.row, item.sample, card, None, shared)
                jobs.add("score", future)
                if shared is not None:
                    keeping.scoring(shared, future)
    jobs.results(lambda: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--clips", type=int, default=14)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=4)
    asked = parser.parse_args()
    rows, arguments = find_suite("core", limit=asked.clips).rows, {"size": str(asked.size)}
    store = ClipStore()
    with (
        tempfile.TemporaryDirectory() as place,
        WorkerPool(asked.workers, SCORING_PRELOAD) as pool,
        RolloutEngine(HERE, device="cpu", model_args=arguments, threads=1) as engine,
    ):
        for row in store.missing(rows, engine.card.spec):
            store.put(make_clip(row, engine.card.spec))
        plan = engine.plan(rows, batch_size=asked.batch_size)
        frames = sum(batch.horizon * len(batch.items) for batch in plan)
        roll_and_score(engine, pool, plan, store, Path(place) / "first", True)
        workers = list(pool._executor._processes)
        for way, shares in (("memory", True), ("files", False)):
            parent, others = time.process_time(), processor_time(workers)
            roll_and_score(engine, pool, plan, store, Path(place) / way, shares)
            own, scoring = time.process_time() - parent, processor_time(workers) - others
            print(
                f"{asked.size} px, through {way:6}: parent {1e3 * own / frames:.3f}, worker "
                f"{1e3 * scoring / frames:.3f} ms a frame: {scoring / own:.1f} workers",
                flush=True,
            )


if __name__ == "__main__":
    main()
