"""The later stages of a run that was rolled out, perhaps on another machine: scores alone, result and report alone.

What was asked for stands in the manifest. The model is not needed, the files of the user's own tasks and scorers are.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from physbench.clips.clip_archive import opened_archive
from physbench.clips.packed_clips import PackedClips
from physbench.clips.suite import Suite
from physbench.errors import UsageError
from physbench.looks.known_looks import look_hash
from physbench.results.law_phrases import own_laws_document
from physbench.results.number_format import counted
from physbench.results.read_run import REFERENCE_MODELS, read_manifest, spec_of
from physbench.results.run_clips import clips_of, refuse_other_archive
from physbench.run.finalize import FINISHED_FILES
from physbench.run.fresh_seeds import asked_suite
from physbench.run.interrupt import explained, interruptible
from physbench.run.options import Executor, Options, check_executor, options_of
from physbench.run.ray_cluster import check_cluster
from physbench.run.repair import drop_damaged, unanswered
from physbench.run.run_lock import opened
from physbench.run.run_manifest import Document, asked_document, first_difference
from physbench.run.run_state import Run, Say, Stage
from physbench.run.stage_work import unread_together, unscored, work
from physbench.run.versions import foreign_code_hash, versions
from physbench.scoring.score_clip import find_scorers
from physbench.storage.run_contents import CONTENTS
from physbench.storage.run_folder import RunFolder
from physbench.worker_pool import worker_count
from physbench.world.scene import PLAIN

SAME_SOURCE = ("physbench", "code")  # of the versions: what is the same in every stage
SCORED = ("parts", "pairs", "tracks", "traces", "references", "report")


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
        say: Prints a line.

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
        if unscored(run) or unread_together(run):
            note_environment(run)
            run.manifest.pop(CONTENTS, None)
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

    Raises:
        UsageError: The folder is no such run, or a shard of one.
    """
    with _reopened(path, ("finish",), workers, clips, debug, say) as run:
        if run.shard is not None:
            index, of = run.shard
            raise UsageError(
                f"{path} is shard {index} of {of}: a result needs all of them. Join them: physbench merge "
                "SHARD SHARD [...] --out DIR"
            )
        _refuse_unrolled(run)  # before what is not scored, as `score` would be refused
        if left := unscored(run) + unread_together(run):
            raise UsageError(
                f"{path}: is not scored: {counted(left, 'rollout')}, or clips of references, without scores. First: "
                f"physbench score {shlex.quote(str(path))}"
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

    Raises:
        UsageError: It was not rolled out yet, or is a run of other code, tasks or scorers than are here.
    """
    manifest = read_manifest(folder)
    # It goes on here or on another cluster, wherever it was rolled out.
    options = replace(options_of(manifest["options"]), workers=workers, executor=executor, address=address)
    if not manifest.get("batches"):
        raise UsageError(f"{folder.path}: was not rolled out yet. First: {options.rollout_command(folder.path)}")
    if manifest.get("clips"):
        if clips is not None:
            packed = opened_archive(clips)
            refuse_other_archive(packed, manifest["clips"])
            manifest["clips"] = packed.document()
    elif clips is not None:
        raise UsageError(f"--clips: {folder.path} was not rolled out on an archive of clips. Leave it out.")
    source = clips_of(folder, manifest)
    suite, salt = asked_suite(options, folder.path)
    suite = source.known(suite) if isinstance(source, PackedClips) else suite
    _refuse_other_code(manifest, options, suite, salt, folder)
    _refuse_other_look(manifest, folder)
    if executor == "ray" and spec_of(manifest).look != PLAIN:
        raise UsageError(
            f"{folder.path} is drawn in the look {spec_of(manifest).look}, which nodes of a cluster may draw in other "
            "ways. Leave out --executor ray."
        )
    return Run(folder, options, suite, manifest, say, worker_count(workers), debug, stages=stages)


def _refuse_other_code(manifest: Document, options: Options, suite: Suite, salt: str, folder: RunFolder) -> None:
    """Raise UsageError where physbench, tasks or scorers here are not those of the run. Libraries may be others."""
    scorers = find_scorers(options.scorers)
    here = versions(purpose="runs")
    asked = asked_document(
        options, suite, None, here, foreign_code_hash(scorers), own_laws_document(scorers), salt=salt
    )
    asked |= {name: manifest.get(name) for name in ("model", "clips")}
    stored_versions = manifest.get("versions") or {}
    asked["versions"] = {**stored_versions, **{name: here[name] for name in SAME_SOURCE}}
    if not manifest.get("clips"):  # clips are made here as they were made there
        asked["versions"]["pybullet"] = here["pybullet"]
    difference = first_difference(manifest, asked, "is {} in the run, here it is {}")
    if difference:
        raise UsageError(
            f"{folder.path} cannot go on here. {difference}.\nUse what the run was rolled out with, or roll out anew."
        )


def _refuse_other_look(manifest: Document, folder: RunFolder) -> None:
    """Raise UsageError where what draws the look is not what drew the clips that the model was shown."""
    drawn = None if manifest.get("clips") else manifest["model"].get("drawn_by")
    if drawn is not None and drawn != look_hash(spec_of(manifest).look):
        raise UsageError(
            f"{folder.path} cannot go on here: what draws its look (its code, the variant and version of Mitsuba) is "
            "another one.\nUse what the run was rolled out with, or roll out anew."
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

    Raises:
        UsageError: A part of the scores was made with others.
    """
    here: Mapping[str, Any] = versions(purpose="runs")
    rolled, begun = run.manifest.get("versions") or {}, scoring_begun(run)
    before = (run.manifest.get("scored_with") if begun else None) or rolled
    other = [name for name in here if here[name] != before.get(name) and not (name == "pybullet" and _packed(run))]
    if begun and other:
        name = other[0]
        raise UsageError(
            f"{run.folder.path}: a part is scored with {name} {before.get(name)}, and here is {here[name]}: "
            "scores of two environments never mix. Go on there, or score all of it here with --fresh."
        )
    if not begun:
        run.manifest.pop("scored_with", None)
        if other:
            run.manifest["scored_with"] = dict(here)


def scoring_begun(run: Run) -> bool:
    """Whether anything of a run is scored: a rollout, or one of the references, which come first."""
    parts = (run.folder.part(item.row.id, item.sample) for item in run.items)
    references = (run.folder.reference(name).part(row.id) for name in REFERENCE_MODELS for row in run.rows)
    return any(path.exists() for path in (*parts, *references))


def _packed(run: Run) -> bool:
    return bool(run.manifest.get("clips"))


def _discard_scores(run: Run) -> None:
    """Remove what scoring and finishing leave; rollouts stay. Raises UsageError where not all of them were kept."""
    folder = run.folder
    if lost := sum(not run.rolled(item) for item in run.items):
        raise UsageError(
            f"--fresh: {counted(lost, 'rollout')} of {folder.path} were not kept when it was finished, so that they "
            "cannot be scored again. --keep-rollouts all keeps them."
        )
    for name in SCORED:
        shutil.rmtree(folder.path / name, ignore_errors=True)
    for name in FINISHED_FILES:
        (folder.path / name).unlink(missing_ok=True)
