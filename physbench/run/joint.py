"""Where a clip has several samples: what only all of them together can tell."""

from __future__ import annotations

from concurrent.futures import wait

from physbench.progress import Progress
from physbench.run import worker
from physbench.run.parts import read_part
from physbench.run.pool import Pool
from physbench.run.state import Run
from physbench.scoring.score import find_scorers


def score_samples(run: Run, pool: Pool) -> None:
    """Read the samples of every clip together, once all of them are scored."""
    if run.options.samples < 2 or not any(scorer.together for scorer in find_scorers(run.options.scorers)):
        return
    o, card = run.options, run.card
    rows = [row for row in run.suite.rows if read_part(run.folder.together(row.id)) is None]
    with Progress(f"{run.suite.name}: samples together", len(rows)) as progress:
        left = {pool.submit(worker.together, run.folder.path, row, o.samples, card, o.scorers) for row in rows}
        while left:
            done, left = wait(left, return_when="FIRST_COMPLETED")
            for future in done:
                future.result()
                progress.advance()
