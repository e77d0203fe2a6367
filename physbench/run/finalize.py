"""The end of a run: parts become tables, tables the result, and the result the report."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from physbench.errors import PhysbenchError
from physbench.progress import duration
from physbench.results.implied_worlds import is_diagnosed
from physbench.results.read_run import REFERENCE_MODELS, STOPPED
from physbench.rollouts.batch_plan import BatchItem
from physbench.rollouts.rollout_store import drop_rollout
from physbench.run.run_state import Run
from physbench.run.score_shards import read_part, write_scores
from physbench.run.status_lines import StatusLines
from physbench.scoring.score_clip import find_scorers
from physbench.scoring.scorer_protocol import ScoreRow
from physbench.storage.run_contents import CONTENTS, contents_of
from physbench.storage.run_folder import RunFolder

FINISHED_FILES = ("scores.parquet", "result.json", "diagnosis.json")
DIAGNOSED_AXIS = "consistency"  # a run that does not read it is not diagnosed


def compile_scores(folder: RunFolder, items: Iterable[BatchItem]) -> None:
    """scores.parquet from the parts, in the order of the suite."""
    rows = []
    for item in items:
        part = read_part(folder.part(item.row.id, item.sample))
        if part is None:
            path = folder.part(item.row.id, item.sample)
            raise PhysbenchError(f"{path} is lost or damaged since the run began. Repeat the command with --resume.")
        together = read_part(folder.together(item.row.id)) if item.sample == 0 else None
        for joint in (together, read_part(folder.pair(item.row.id, item.sample))):
            part = part if joint is None else replaced(part, joint)
        rows += part
    write_scores(folder.scores, rows)


def replaced(part: list[ScoreRow], joint: list[ScoreRow]) -> list[ScoreRow]:
    """Rows of one rollout, with those that it has together with others in the place of what it alone reads."""
    names = {row.reading.partition(".")[0] for row in joint}
    kept = [row for row in part if row.reading.partition(".")[0] not in names]
    return sorted(kept + joint, key=lambda row: row.reading.partition(".")[0])


def drop_results(run: Run) -> None:
    """Remove the result of a part of the suite from a run that goes on, and then what said that it had ended."""
    if not run.leftovers:
        return
    shutil.rmtree(run.folder.report.parent, ignore_errors=True)
    for name in FINISHED_FILES:
        (run.folder.path / name).unlink(missing_ok=True)
    run.save_manifest()
    run.leftovers = False


def prepare_finish(run: Run) -> None:
    """Import in a thread what `finish` reads tables with, if the run has it: at its time nothing else is at work."""
    if "finish" in run.stages:
        threading.Thread(target=import_module, args=("pandas",), daemon=True).start()


def finish(run: Run) -> None:
    """Write tables, diagnosis, result.json and report; then delete rollouts that --keep-rollouts does not keep."""
    from physbench.report.report_page import write_report
    from physbench.results.build_result import write_result, write_speed

    run.refuse_deleted(parts=True)
    compile_scores(run.folder, run.items)
    for name in REFERENCE_MODELS:
        compile_scores(run.folder.reference(name), (BatchItem(row) for row in run.rows))
    judged = any(each.axis == DIAGNOSED_AXIS for each in find_scorers(run.options.scorers))
    if run.options.diagnosis and judged and not is_diagnosed(run.folder):
        with timed(run, "diagnosis", "seeking the laws that the model follows"):
            _diagnose(run)
    run.close()

    def spent() -> dict[str, Any]:
        """Times of the run for result.json, page and terminal: the last moment at which the page can hold them."""
        run.close()
        return write_speed(run.folder)

    if run.report:
        run.say("Writing the report ...")
        with timed(run, "report", "writing the report"):
            write_report(run.folder, workers=run.workers, anew=True, spent=spent)
    else:
        write_result(run.folder)
        spent()
    if STOPPED not in run.manifest:  # which are shown is chosen among all clips
        prune(run)
    run.manifest[CONTENTS] = contents_of(run.folder)
    run.save_manifest()


@contextmanager
def timed(run: Run, name: str, doing: str) -> Iterator[None]:
    """Count the time of what is done in here, and say every minute that it goes on, if stderr is no terminal."""
    started = time.monotonic()
    with StatusLines(run.say, lambda: f"Still {doing}, for {duration(time.monotonic() - started)}."):
        yield
    run.count_time(f"{name}_seconds", time.monotonic() - started)


def _diagnose(run: Run) -> None:
    """Find the laws that the model follows. No score needs them: where that fails, the run is finished without."""
    from physbench.diagnosis.diagnose_run import diagnose_run

    run.say("Seeking the laws that the model follows ...")
    try:
        diagnose_run(run.folder, run.workers)
    except (PhysbenchError, OSError):  # a killed worker, a full disk
        raise
    except Exception as error:
        if run.debug:
            raise
        again = f"physbench diagnose {run.folder.path} --debug"
        run.say(f"The diagnosis failed ({type(error).__name__}: {error}); scores do not need it. Details: {again}")


def prune(run: Run) -> None:
    """Keep the rollouts that --keep-rollouts names."""
    from physbench.report.clip_selection import shown_clips

    keep = run.options.keep_rollouts
    if keep == "all":
        return
    shown = set(shown_clips(run.folder)) if keep == "shown" else set()
    for item in run.items:
        if item.sample > 0 or item.row.id not in shown:
            drop_rollout(run.folder, item.row.id, item.sample)
