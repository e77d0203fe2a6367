"""The end of a run: parts become tables, tables the result, the result the report; also of what is done so far."""

from __future__ import annotations

import shlex
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from physbench.clips.clip import Row
from physbench.result.build import build_result, write_result, write_speed
from physbench.result.document import ResultDocument, Speed, read_result
from physbench.result.findings import is_diagnosed
from physbench.result.manifest import Manifest, Stopped, read_manifest, write_manifest
from physbench.result.read import REFERENCE_MODELS, planned_for
from physbench.rollout.batches import BatchItem
from physbench.rollout.store import drop_rollout, has_rollout
from physbench.run.progress import StatusLines
from physbench.run.state import Run, remove
from physbench.score.protocol import ScoreRow, read_part, write_scores
from physbench.score.score_clip import find_scorers
from physbench.support.errors import LawError, PhysbenchError, UsageError
from physbench.support.progress import duration
from physbench.support.run_folder import RunFolder, contents_of

RESULTS = ("report", "scores.parquet", "result.json", "diagnosis.json")
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
    remove(run.folder.path, RESULTS)
    run.save_manifest()
    run.leftovers = False


def prepare_finish(run: Run) -> None:
    """Import in a thread what `finish` reads tables with, if the run has it: at its time nothing else is at work."""
    if "finish" in run.stages:
        threading.Thread(target=import_module, args=("pandas",), daemon=True).start()


def finish(run: Run) -> None:
    """Write tables, diagnosis, result.json and report; then delete rollouts that --keep-rollouts does not keep."""
    from physbench.result.report.page import write_report

    run.refuse_deleted(parts=True)
    compile_scores(run.folder, run.items)
    for name in REFERENCE_MODELS:
        compile_scores(run.folder.reference(name), (BatchItem(row) for row in run.rows))
    judged = any(each.axis == DIAGNOSED_AXIS for each in find_scorers(run.options.scorers))
    if run.options.diagnosis and judged and not is_diagnosed(run.folder):
        with timed(run, "diagnosis", "seeking the laws that the model follows"):
            _diagnose(run)
    run.close()

    def spent() -> Speed:
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
    if run.manifest.stopped is None:  # which are shown is chosen among all clips
        prune(run)
    run.manifest.contents = contents_of(run.folder)
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
    from physbench.result.diagnosis.diagnose_run import diagnose_run

    run.say("Seeking the laws that the model follows ...")
    try:
        diagnose_run(run.folder, run.workers, run.say)
    except LawError as error:
        run.say(f"The diagnosis failed, which scores do not need. {error}")
    except (PhysbenchError, OSError):  # a killed worker, a full disk
        raise
    except Exception as error:
        if run.debug:
            raise
        again = f"physbench diagnose {run.folder.path} --debug"
        run.say(f"The diagnosis failed ({type(error).__name__}: {error}); scores do not need it. Details: {again}")


def prune(run: Run) -> None:
    """Keep the rollouts that --keep-rollouts names."""
    from physbench.result.report.data import shown_clips

    keep = run.options.keep_rollouts
    if keep == "all":
        return
    shown = set(shown_clips(run.folder)) if keep == "shown" else set()
    for item in run.items:
        if item.sample > 0 or item.row.id not in shown:
            drop_rollout(run.folder, item.row.id, item.sample)


# What a run that is at work, or was interrupted, has found so far: the result of the clips that are scored.


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run."""

    rolled: int  # rollouts that are made
    scored: int  # of these
    of: int  # rollouts of the run, of a shard its own
    clips: int  # that are scored with all samples and references
    of_clips: int
    finished: bool
    result: ResultDocument | None  # of these clips; None where there are none
    shard: str = ""  # "2/4": of a run of which this is a part
    partial: bool = False  # it has ended early, with a result of a part of its clips
    before_diagnosis: bool = False  # it may yet find another law than the result names
    ended: bool = True  # a finished run has all that it was asked for, its report included
    unread: int = 0  # clips without the scores of a reference


def run_progress(folder: RunFolder) -> RunProgress:
    """Read how far a run is, and build the result of what is scored. Nothing in the folder is changed or locked.

    Raises UsageError: the folder is no run.
    """
    manifest = read_manifest(folder)
    rows, samples = manifest.requested_rows, manifest.options.samples
    of_suite = len(rows)
    shard = manifest.options.shard or ""
    items = [BatchItem(row, sample) for row in rows for sample in range(samples)]
    if shard and manifest.batches:
        own = {name for batch in planned_for(manifest) for name in batch}
        items = [item for item in items if item.id in own]
        rows = tuple(dict.fromkeys(item.row for item in items))
    scored = {item for item in items if folder.part(item.row.id, item.sample).is_file()}
    rolled = sum(item in scored or has_rollout(folder, item.row.id, item.sample) for item in items)
    if folder.result.is_file():
        try:
            result = read_result(folder.result)
        except UsageError as error:
            again = f"physbench finish {shlex.quote(str(folder.path))}"
            raise UsageError(f"{error} Write it again: {again}") from error
        if manifest.stopped:
            clips = len(manifest.rows)
            return RunProgress(rolled, len(scored), len(items), clips, len(rows), False, result, partial=True)
        ended = bool(manifest.contents)
        return RunProgress(len(items), len(items), len(items), len(rows), len(rows), True, result, ended=ended)
    referenced = [row for row in rows if _has_references(folder, row)]
    whole = [row for row in referenced if _has_samples(folder, row, samples)]
    partial = _result_of(folder, manifest, whole, len(whole) < of_suite) if whole else None
    judged = partial is not None and DIAGNOSED_AXIS in partial.axes
    awaited = judged and manifest.options.diagnosis
    return RunProgress(
        rolled,
        len(scored),
        len(items),
        len(whole),
        len(rows),
        False,
        partial,
        shard,
        before_diagnosis=awaited,
        unread=len(rows) - len(referenced),
    )


def _has_samples(folder: RunFolder, row: Row, samples: int) -> bool:
    """True if the scores of all samples of a clip can be read."""
    return all(read_part(folder.part(row.id, sample)) is not None for sample in range(samples))


def _has_references(folder: RunFolder, row: Row) -> bool:
    """True if the scores of all references on a clip can be read."""
    return all(read_part(folder.reference(name).part(row.id)) is not None for name in REFERENCE_MODELS)


def _result_of(folder: RunFolder, manifest: Manifest, rows: Sequence[Row], is_part: bool) -> ResultDocument:
    """The result of a run that has these clips, built in a folder beside it. is_part: they are not all of the run."""
    samples = manifest.options.samples
    with tempfile.TemporaryDirectory() as place:
        part = RunFolder(Path(place))
        for source, target in ((folder, part), *((folder.reference(n), part.reference(n)) for n in REFERENCE_MODELS)):
            target.path.mkdir(parents=True, exist_ok=True)
            for name in ("parts", "pairs"):
                if (source.path / name).is_dir():
                    (target.path / name).symlink_to((source.path / name).absolute())
        ended = Stopped(by="now", clips=[row.id for row in rows]) if is_part else None
        write_manifest(part, manifest.model_copy(update={"contents": None, "stopped": ended}))
        compile_scores(part, (BatchItem(row, sample) for row in rows for sample in range(samples)))
        for name in REFERENCE_MODELS:
            compile_scores(part.reference(name), (BatchItem(row) for row in rows))
        try:
            return build_result(part)
        except UsageError as error:  # names the folder that is gone
            raise UsageError(str(error).replace(str(part.path), str(folder.path))) from error
