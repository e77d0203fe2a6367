"""What one rollout alone does not tell: all samples of a clip together, a clip with a change beside the one without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import wait

from physbench.clips.clip import Row
from physbench.progress import Progress
from physbench.results.read_run import REFERENCE_MODELS
from physbench.run import worker
from physbench.run.run_state import Run
from physbench.run.score_shards import read_part
from physbench.scoring.score_clip import find_scorers
from physbench.worker_pool import WorkerPool


def score_samples(run: Run, pool: WorkerPool) -> None:
    """Read the samples of every clip together, once all of them are scored."""
    if rows := unread_samples(run):
        _score(run, pool, "samples together", worker.together, rows)


def unread_samples(run: Run) -> list[Row]:
    """Clips whose samples are not read together yet, where there are several and a scorer does that."""
    if run.options.samples < 2 or not any(scorer.together for scorer in find_scorers(run.options.scorers)):
        return []
    return [row for row in run.rows if read_part(run.folder.together(row.id)) is None]


def score_pairs(run: Run, pool: WorkerPool) -> None:
    """Read every clip with a change beside the one without, where both are in the suite, once they are scored."""
    if rows := unread_pairs(run):
        _score(run, pool, "pairs", worker.pair, rows)


def unread_pairs(run: Run) -> list[Row]:
    """Clips with a change that are not read beside those without it yet, where a scorer does that."""
    if not any(scorer.pair for scorer in find_scorers(run.options.scorers)):
        return []
    known = set(run.rows)
    return [row for row in run.rows if row.change and row.unchanged in known and not _paired(run, row)]


def _paired(run: Run, row: Row) -> bool:
    """Whether all of a pair is read: the samples of the model, and the references."""
    own = (run.folder.pair(row.id, sample) for sample in range(run.options.samples))
    others = (run.folder.reference(name).pair(row.id) for name in REFERENCE_MODELS)
    return all(read_part(path) is not None for path in (*own, *others))


def _score(run: Run, pool: WorkerPool, what: str, work: Callable[..., worker.Made], rows: Sequence[Row]) -> None:
    """Have `work` done for each row, with progress; the first error is raised."""
    o, card = run.options, run.card
    with Progress(f"{run.suite.name}: {what}", len(rows)) as progress:
        left = {pool.submit(work, run.folder.path, row, o.samples, card, o.scorers) for row in rows}
        while left:
            done, left = wait(left, return_when="FIRST_COMPLETED")
            for future in done:
                future.result()
                progress.advance()
