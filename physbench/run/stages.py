"""The stages of a run: what each does in its folder, and the later ones alone of a run that was rolled out elsewhere.

What was asked for stands in the manifest. The model is not needed, the files of the user's own tasks and scorers are.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from physbench.clips.clip import Row
from physbench.clips.generate import CLIP_PRELOAD
from physbench.clips.packed import PackedClips, opened_archive
from physbench.clips.suite import Suite
from physbench.result.findings import own_laws_document
from physbench.result.formats import counted, joined
from physbench.result.manifest import Manifest, NamedArchive, read_manifest
from physbench.result.read import REFERENCE_MODELS, clips_of, refuse_other_archive
from physbench.rollout.store import stored_failure
from physbench.run import worker
from physbench.run.finalize import RESULTS, finish
from physbench.run.interruption import PeakMemory, explained, interruptible
from physbench.run.jobs import SCORING_PRELOAD
from physbench.run.manifest import OtherSettingsError, first_difference, requested_manifest, requested_suite
from physbench.run.options import Executor, Options, check_executor, options_of
from physbench.run.pipeline import roll_and_score
from physbench.run.ray_cluster import check_cluster, ray_pool
from physbench.run.state import Run, Say, Stage, drop_damaged, opened, remove, unanswered
from physbench.run.versions import foreign_code_hash, versions
from physbench.score.protocol import read_part
from physbench.score.score_clip import find_scorers
from physbench.support.errors import UsageError
from physbench.support.processes import WorkerPool, worker_count
from physbench.support.progress import Progress, duration
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN
from physbench.world.styles.catalogue import look_hash

# What one rollout alone does not tell: all samples of a clip together, a clip with a change beside the one without.


def unread_samples(run: Run) -> list[Row]:
    """Clips whose samples are not read together yet, where there are several and a scorer does that."""
    if run.options.samples < 2 or not any(scorer.together for scorer in find_scorers(run.options.scorers)):
        return []
    return [row for row in run.rows if read_part(run.folder.together(row.id)) is None]


def unread_pairs(run: Run) -> list[Row]:
    """Clips with a change that are not read beside those without it yet, where a scorer does that."""
    if not any(scorer.pair for scorer in find_scorers(run.options.scorers)):
        return []
    known = set(run.rows)
    return [row for row in run.rows if row.change and row.unchanged in known and not _paired(run, row)]


def _paired(run: Run, row: Row) -> bool:
    """True if all of a pair is read: the samples of the model, and the references."""
    own = (run.folder.pair(row.id, sample) for sample in range(run.options.samples))
    others = (run.folder.reference(name).pair(row.id) for name in REFERENCE_MODELS)
    return all(read_part(path) is not None for path in (*own, *others))


def _score(run: Run, pool: WorkerPool, what: str, work: Callable[..., worker.Finished], rows: Sequence[Row]) -> None:
    """Have `work` done for each row, with progress; the first error is raised."""
    o, card = run.options, run.card
    with Progress(f"{run.suite.name}: {what}", len(rows)) as progress:
        left = {pool.submit(work, run.folder.path, row, o.samples, card, o.scorers) for row in rows}
        while left:
            done, left = wait(left, return_when="FIRST_COMPLETED")
            for future in done:
                future.result()
                progress.advance()


# What the stages of a run do in its folder: `physbench eval` does all of them, other commands one each.


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
                        _score(run, pool, "samples together", worker.together, unread_samples(run))
                        _score(run, pool, "pairs", worker.pair, unread_pairs(run))
        except OtherSettingsError:
            refused = True
            raise
        finally:
            if not refused:
                run.close(peak.bytes, device_memory)
        if "finish" in run.stages:
            finish(run)
        elif "score" not in run.stages and (failures := failed_rollouts(run)):
            run.say(failures)
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
    """Number of failed rollouts of the run, and the first reason; "" where none failed. Scores tell it only later."""
    reasons = [stored_failure(run.folder, item.row.id, item.sample) for item in run.items if run.rolled(item)]
    failed = [reason for reason in reasons if reason]
    if not failed:
        return ""
    return f"{len(failed)} of {counted(len(reasons), 'rollout')} failed and will count as 0: {failed[0]}"


def unscored(run: Run) -> list[str]:
    """Scores that are still to be made, in words: "6 of 6 rollouts", "the references of 2 of 6 clips"; [] for none.

    Of a shard nothing is read together.
    """
    folders = [run.folder.reference(name) for name in REFERENCE_MODELS]
    whole = run.shard is None
    left = (
        (sum(not run.scored(item) for item in run.items), "", len(run.items), "rollout"),
        (sum(any(read_part(each.part(row.id)) is None for each in folders) for row in run.rows),
         "the references of ", len(run.rows), "clip"),
        (len(unread_samples(run)) if whole else 0, "the samples together of ", len(run.rows), "clip"),
        (len(unread_pairs(run)) if whole else 0, "the effects of changes in ", len(run.rows), "clip"),
    )  # fmt: skip
    return [f"{of}{many} of {counted(total, thing)}" for many, of, total, thing in left if many]


def score_run(
    path: Path,
    *,
    workers: int | None = None,
    clips: str | None = None,
    fresh: bool = False,
    executor: Executor = "local",
    address: str | None = None,
    debug: bool = False,
    say: Say,
) -> RunFolder:
    """Track and score what is rolled out in a folder, and bring the references; no result and no report.

    Args:
        path: A run, or a shard of one.
        workers: Processes, or tasks that run at the same time; None: one per core.
        clips: Where the archive lies now that the model was rolled out on, if it was one.
        fresh: Discard the scores that are there.
        executor: Where it is scored, wherever it was rolled out: processes of this machine, or a Ray cluster.
        address: Of the cluster, as of `ray_cluster.joined`.
        debug: Whether tracebacks are printed.

    Raises:
        UsageError: The folder is no run that is rolled out, or this machine cannot score it as it was asked for.
        PhysbenchError: A rollout is damaged, the disk full, a worker killed, or the clips here are others.
    """
    with _reopened(path, ("score",), workers, clips, debug, say, executor, address) as run:
        _refuse_unrolled(run)
        if fresh:
            _discard_scores(run)
        samples = run.options.samples
        damaged = drop_damaged(run.folder, run.rows, samples)
        if damaged:
            say(f"Files of {counted(damaged, 'sample')} are damaged or lost: scored again.")
        _refuse_unrolled(run)
        if unscored(run):
            note_environment(run)
            run.manifest.contents = None
            run.save_manifest()
            say(run.standing())
            work(run)
        else:
            run.save_manifest()
            say(run.standing())
        lost = len(unanswered(run.folder, run.rows, samples))
        if lost:
            again = run.options.rollout_command(path)
            many = counted(lost, "rollout")
            say(f"{many} failed as the server did not answer. Once it runs, repeat with:\n  {again}")
    return RunFolder(path)


def finish_run(
    path: Path, *, workers: int | None = None, clips: str | None = None, debug: bool = False, say: Say
) -> RunFolder:
    """Write tables, diagnosis, result and report of a run whose rollouts are all scored; arguments as of `score_run`.

    Raises UsageError: the folder is no such run, or a shard of one.
    """
    with _reopened(path, ("finish",), workers, clips, debug, say) as run:
        if run.shard is not None:
            index, of = run.shard
            raise UsageError(
                f"{path} is shard {index} of {of}: a result needs all of them. Join them: physbench merge "
                "SHARD SHARD [...] --out DIR"
            )
        _refuse_unrolled(run)  # before what is not scored, as `score` would be refused
        if left := unscored(run):
            raise UsageError(
                f"{path}: is not scored yet: no scores of {joined(left)}. First: physbench score "
                f"{shlex.quote(str(path))}"
            )
        run.save_manifest()  # diagnosis and report read in it where the clips are
        work(run)
    return RunFolder(path)


@contextmanager
def _reopened(
    path: Path,
    stages: tuple[Stage, ...],
    workers: int | None,
    clips: str | None,
    debug: bool,
    say: Say,
    executor: Executor = "local",
    address: str | None = None,
) -> Iterator[Run]:
    """The run in a folder, locked, checked against what is installed here."""
    if workers is not None and workers < 0:
        raise UsageError(f"--workers: expected at least 0, got {workers}.")
    check_executor(executor, address)
    read_manifest(RunFolder(path))  # says what is wrong where it is no run
    if executor == "ray":
        check_cluster(address)
    again = f"physbench {stages[0]} {shlex.quote(str(path))}"
    if executor != "local":
        again += f" --executor {executor}" + (f" --address {shlex.quote(address)}" if address else "")
    with interruptible(), opened(path, resume=True, fresh=False) as folder:
        run = stored_run(
            folder, stages, say, workers=workers, clips=clips, debug=debug, executor=executor, address=address
        )
        with explained(again, run.kept, folder.path):
            yield run


def stored_run(
    folder: RunFolder,
    stages: tuple[Stage, ...],
    say: Say,
    *,
    workers: int | None = None,
    clips: str | None = None,
    debug: bool = False,
    executor: Executor = "local",
    address: str | None = None,
) -> Run:
    """The run that the manifest in a folder describes.

    Raises UsageError: it was not rolled out yet, or is a run of other code, tasks or scorers than are here.
    """
    manifest = read_manifest(folder)
    # It goes on here or on another cluster, wherever it was rolled out.
    options = options_of(manifest.options.model_dump(mode="json", exclude_unset=True))
    options = replace(options, workers=workers, executor=executor, address=address)
    if not manifest.batches:
        raise UsageError(f"{folder.path}: was not rolled out yet. First: {options.rollout_command(folder.path)}")
    if manifest.clips:
        if clips is not None:
            packed = opened_archive(clips)
            refuse_other_archive(packed, manifest.clips)
            manifest.clips = NamedArchive.model_validate(packed.document())
    elif clips is not None:
        raise UsageError(f"--clips: {folder.path} was not rolled out on an archive of clips. Leave it out.")
    source = clips_of(folder, manifest)
    suite, salt = requested_suite(options, folder.path)
    suite = source.known(suite) if isinstance(source, PackedClips) else suite
    _refuse_other_code(manifest, options, suite, salt, folder)
    # Raise UsageError where what draws the look is not what drew the clips that the model was shown.
    drawn = None if manifest.clips else manifest.model.drawn_by
    if drawn is not None and drawn != look_hash(manifest.spec.look):
        raise UsageError(
            f"{folder.path} cannot go on here: what draws its look (its code, the variant and version of Mitsuba) is "
            "another one.\nUse what the run was rolled out with, or roll out anew."
        )
    if executor == "ray" and manifest.spec.look != PLAIN:
        raise UsageError(
            f"{folder.path} is drawn in the look {manifest.spec.look}, which nodes of a cluster may draw in other "
            "ways. Leave out --executor ray."
        )
    return Run(folder, options, suite, manifest, say, worker_count(workers), debug, stages=stages)


def _refuse_other_code(manifest: Manifest, options: Options, suite: Suite, salt: str, folder: RunFolder) -> None:
    """Raise UsageError where physbench, tasks or scorers here are not those of the run. Libraries may be others."""
    scorers = find_scorers(options.scorers)
    here = versions(purpose="runs")
    requested = requested_manifest(
        options, suite, None, here, foreign_code_hash(scorers), own_laws_document(scorers), salt=salt
    )
    requested.model, requested.clips = manifest.model, manifest.clips
    same_source = ("physbench", "code")  # of the versions: what is the same in every stage
    same = same_source if manifest.clips else (*same_source, "pybullet")  # clips are made here as they were made there
    requested.versions = {**manifest.versions, **{name: here[name] for name in same}}
    difference = first_difference(manifest, requested, "is {} in the run, here it is {}")
    if difference:
        raise UsageError(
            f"{folder.path} cannot go on here. {difference}.\nUse what the run was rolled out with, or roll out anew."
        )


def _refuse_unrolled(run: Run) -> None:
    if not all(run.has(item) for item in run.items):  # of a run that has ended early, what it has
        missing = run.missing()
        batches = len(run.own_batches())
        raise UsageError(
            f"{run.folder.path}: is not rolled out: {len(missing)} of {counted(batches, 'batch')} are missing. First: "
            f"{run.options.rollout_command(run.folder.path)}"
        )


def note_environment(run: Run) -> None:
    """Write down with which libraries the run is scored, where these are others than rolled out.

    Raises UsageError: A part of the scores was made with others.
    """
    here = versions(purpose="runs")
    rolled, begun = run.manifest.versions, scoring_begun(run)
    before = (run.manifest.scored_with if begun else None) or rolled
    other = [name for name in here if here[name] != before.get(name)]
    if run.manifest.clips is not None:  # no clip is simulated here
        other = [name for name in other if name != "pybullet"]
    if begun and other:
        name = other[0]
        raise UsageError(
            f"{run.folder.path}: a part is scored with {name} {before.get(name)}, and here is {here[name]}: "
            "scores of two environments never mix. Go on there, or score all of it here with --fresh."
        )
    if not begun:
        run.manifest.scored_with = here if other else None


def scoring_begun(run: Run) -> bool:
    """True if anything of a run is scored: a rollout, or one of the references, which come first."""
    parts = (run.folder.part(item.row.id, item.sample) for item in run.items)
    references = (run.folder.reference(name).part(row.id) for name in REFERENCE_MODELS for row in run.rows)
    return any(path.exists() for path in (*parts, *references))


def _discard_scores(run: Run) -> None:
    """Remove what scoring and finishing leave; rollouts stay. Raises UsageError where not all of them were kept."""
    folder = run.folder
    if lost := sum(not run.rolled(item) for item in run.items):
        raise UsageError(
            f"--fresh: {counted(lost, 'rollout')} of {folder.path} were not kept when it was finished, so that they "
            "cannot be scored again. --keep-rollouts all keeps them."
        )
    remove(folder.path, ("parts", "pairs", "tracks", "traces", "references", *RESULTS))
