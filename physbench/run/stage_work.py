"""What the stages of a run do in its folder: `physbench eval` does all of them, other commands one each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from physbench.clips.generate import CLIP_PRELOAD
from physbench.progress import duration
from physbench.results.number_format import counted
from physbench.results.read_run import REFERENCE_MODELS
from physbench.rollouts.rollout_store import stored_failure
from physbench.run.finalize import finish
from physbench.run.multi_rollout import score_pairs, score_samples, unread_pairs, unread_samples
from physbench.run.peak_memory import PeakMemory
from physbench.run.pipeline import roll_and_score
from physbench.run.ray_pool import ray_pool
from physbench.run.run_manifest import OtherSettingsError
from physbench.run.run_state import Run
from physbench.run.score_shards import read_part
from physbench.run.worker_jobs import SCORING_PRELOAD
from physbench.worker_pool import WorkerPool


def work(run: Run) -> None:
    """Do all that is missing in the folder of what `run.stages` names.

    What needs all samples of a clip, or a pair of clips, is read once the shards of a run are joined.
    """
    device_memory, refused = 0, False
    with PeakMemory() as peak:
        try:
            if set(run.stages) != {"finish"}:
                with _pool(run) as pool:
                    device_memory = roll_and_score(run, pool)
                    run.refuse_deleted()
                    if pool is not None and "score" in run.stages and run.shard is None:
                        score_samples(run, pool)
                        score_pairs(run, pool)
        except OtherSettingsError:
            refused = True
            raise
        finally:
            if not refused:
                run.close(peak.bytes, device_memory)
        if "finish" in run.stages:
            finish(run)
        elif "score" not in run.stages and (told := failed_rollouts(run)):
            run.say(told)
    run.say(f"Done in {duration(run.session_seconds)}. {run.times()}".rstrip())


@contextmanager
def _pool(run: Run) -> Iterator[WorkerPool | None]:
    """The worker processes, or the tasks of a cluster; None where there is nothing to do: a model on given clips."""
    if run.options.executor == "ray":
        with ray_pool(run) as tasks:
            yield tasks
        return
    if "score" not in run.stages and run.options.clips is not None:
        yield None
        return
    with WorkerPool(run.workers, SCORING_PRELOAD if "score" in run.stages else CLIP_PRELOAD) as pool:
        yield pool


def failed_rollouts(run: Run) -> str:
    """How many of the run's rollouts failed, and why the first did; "" where none did. Scores tell it only later."""
    reasons = [stored_failure(run.folder, item.row.id, item.sample) for item in run.items if run.rolled(item)]
    failed = [reason for reason in reasons if reason]
    if not failed:
        return ""
    return f"{len(failed)} of {counted(len(reasons), 'rollout')} failed and will count as 0: {failed[0]}"


def unscored(run: Run) -> int:
    """Samples, and clips of the references, that have no scores yet."""
    own = sum(not run.scored(item) for item in run.items)
    folders = [run.folder.reference(name) for name in REFERENCE_MODELS]
    return own + sum(any(read_part(each.part(row.id)) is None for each in folders) for row in run.rows)


def unread_together(run: Run) -> int:
    """Clips whose samples, or whose changes, are not read together yet; a shard has none."""
    return 0 if run.shard is not None else len(unread_samples(run)) + len(unread_pairs(run))
