"""Who stores a rollout: this process, or the worker that scores it, which then need not read it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

from physbench.free_heap import give_back
from physbench.rollouts.rollout import Rollout
from physbench.rollouts.rollout_store import store_rollouts
from physbench.rollouts.shared_rollout import SharedRollout, share
from physbench.run.worker_jobs import Jobs
from physbench.storage.run_folder import RunFolder

JOBS_AHEAD = 4  # jobs that wait for each worker


def kept(
    folder: RunFolder, rollouts: Sequence[Rollout], fps: float, jobs: Jobs, shares: bool
) -> Generator[SharedRollout | None, None, None]:
    """Keep the rollouts of a batch. While workers have enough to do, this process stores them.

    Otherwise it only copies their frames, so that it keeps many workers busy. As these come to them soon, little lies
    in memory, or is lost with the program: a rollout that is neither stored nor scored is made again, with its batch.

    Args:
        folder: Of the run.
        rollouts: Of a batch.
        fps: Frames per second.
        jobs: Of the workers.
        shares: Whether the workers see the memory of this process.

    Yields:
        For each rollout, as soon as its job may begin, what the worker has to store; None where it is stored.
    """
    give_back()  # what was free before these came
    if shares and jobs.waiting() <= JOBS_AHEAD * jobs.workers:
        for rollout in rollouts:
            shared = share(rollout)
            if shared is None:
                yield from _stored(folder, [rollout], fps)
            else:
                yield shared
    else:
        yield from _stored(folder, rollouts, fps)


def _stored(folder: RunFolder, rollouts: Sequence[Rollout], fps: float) -> Generator[None, None, None]:
    with contextlib.closing(store_rollouts(folder, rollouts, fps)) as stored:
        for _ in stored:
            yield None
