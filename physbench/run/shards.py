"""The shards of a run, made on several machines, joined into the run that one machine would have made."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from physbench.result.formats import counted
from physbench.result.manifest import Manifest, read_manifest, write_manifest
from physbench.rollout.device_names import device_kind
from physbench.run import stages, state
from physbench.run.interruption import explained, interruptible
from physbench.run.manifest import first_difference
from physbench.support.errors import DISK_FULL, PhysbenchError, UsageError
from physbench.support.processes import worker_count
from physbench.support.run_folder import RunFolder

ADDED_OVER_SHARDS = (
    "total_seconds",
    "model_seconds",
    "model_frames",
    *(f"{name}_seconds" for name in state.IN_WORKERS),
)
OTHER_PLACE = "Choose another --out, or discard that run with --fresh."


def merge_runs(
    paths: Sequence[Path],
    out: Path,
    *,
    workers: int | None = None,
    fresh: bool = False,
    debug: bool = False,
    say: state.Say,
) -> RunFolder:
    """Join all shards of a run, score what they have not scored, and write result and report.

    The shards stay as they are. What needs all samples of a clip, or a pair of clips, is read here. Where `out` holds
    the run of these shards that an earlier call has joined and not finished, that one goes on.

    Args:
        paths: The folders of the shards, in any order.
        out: The folder of the whole run; made.
        workers: Processes; None: one per core.
        fresh: Discard the run in `out`.
        debug: Whether tracebacks are printed.

    Raises:
        UsageError: The folders are not all shards of one run, each once, or `out` holds a finished run or another one.
        PhysbenchError: A shard is not done, or a file in it is damaged.
    """
    if workers is not None and workers < 0:
        raise UsageError(f"--workers: expected at least 0, got {workers}.")
    for path in paths:
        if out.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"--out: {out} is in the shard {path}, which stays as it is. Choose another folder.")
    begun = None if fresh or not RunFolder(out).manifest.exists() else read_manifest(RunFolder(out))
    if begun is not None:
        _refuse_finished(RunFolder(out), begun)
    manifests = {path: read_manifest(RunFolder(path)) for path in paths}
    shards = _in_order(paths, manifests)
    if begun is not None:
        if difference := _difference(manifests[shards[0]], begun):
            raise UsageError(f"{out} holds a run that is not of these shards. {difference}.\n{OTHER_PLACE}")
        say(f"The shards are joined in {out} already: going on there.")
        stages.score_run(out, workers=workers, debug=debug, say=say)
        return stages.finish_run(out, workers=workers, debug=debug, say=say)
    again = f"physbench score {shlex.quote(str(out))} && physbench finish {shlex.quote(str(out))}"
    with ExitStack() as stack:
        stack.enter_context(interruptible())
        runs = []
        for path in shards:
            folder = stack.enter_context(state.opened(path, resume=True, fresh=False))
            runs.append(stages.stored_run(folder, ("rollout", "score"), say))
        for run in runs:
            _refuse_undone(run)
        scored = [run for run in runs if stages.scoring_begun(run)]
        for run in scored[1:]:
            _refuse_other_environment(scored[0], run)
        folder = stack.enter_context(state.opened(out, resume=False, fresh=fresh))
        _copy(shards, folder)
        write_manifest(folder, joined_manifest([run.manifest for run in runs], scored))
        shutil.rmtree(folder.path / state.MERGE_DRAFT)
        say(f"Joined {counted(len(runs), 'shard')} into {out}.")
        whole = stages.stored_run(folder, ("finish",), say, debug=debug)
        whole.workers = worker_count(workers)
        if stages.unscored(whole):
            stages.note_environment(whole)
            whole.save_manifest()
            whole.stages = ("score", "finish")
        with explained(again, whole.kept, folder.path):
            stages.work(whole)
    return folder


def _refuse_finished(folder: RunFolder, manifest: Manifest) -> None:
    """Raise UsageError where a run is finished, even the one of the shards: only --fresh discards it."""
    if manifest.contents is not None:
        where = f": its report is {folder.report}" if folder.report.exists() else ""
        raise UsageError(f"{folder.path} holds a finished run{where}. {OTHER_PLACE}")


def _in_order(paths: Sequence[Path], manifests: dict[Path, Manifest]) -> list[Path]:
    """The folders in the order of their shards. Raises UsageError where these are not all of one run, each once."""
    folders: dict[int, Path] = {}
    first, of = paths[0], 0
    for path in paths:
        shard = manifests[path].options.shard
        if not shard:
            raise UsageError(f"{path} is a whole run, and no shard of one: `physbench eval --shard I/N` makes shards.")
        index, many = (int(part) for part in shard.split("/"))
        of = of or many
        if many != of:
            raise UsageError(
                f"{path} is shard {index} of {many}, and {first} is one of {of}. Join shards of one run: the same N."
            )
        if index in folders:
            raise UsageError(
                f"Shard {index} of {of} is given twice: {folders[index]} and {path}. Name each shard once."
            )
        if difference := _difference(manifests[first], manifests[path]):
            raise UsageError(
                f"{path} is no shard of the run of {first}. {difference}.\nMake it again with the settings, the model "
                "and the version of the others, or name the shards of one run."
            )
        folders[index] = path
    if absent := state.missing_shards(list(folders), of):
        names = ", ".join(f"{index}/{of}" for index in absent)
        raise UsageError(
            f"{counted(len(absent), 'shard')} of {of} {'is' if len(absent) == 1 else 'are'} missing: {names}. Name "
            "their folders too; a shard that was not made is made by the command of the others with that --shard."
        )
    return [folders[index] for index in sorted(folders)]


def _difference(one: Manifest, other: Manifest) -> str | None:
    """Difference that makes two manifests those of different runs; None where they may be shards of one."""
    words = "is {} there, here it is {}"
    if difference := first_difference(_comparable(one), _comparable(other), words):
        return difference
    for name in ("name", "card", "dtype", "reported_sha256", "settings", "drawn_by"):
        before, now = getattr(one.model, name), getattr(other.model, name)
        if before != now:
            return f"The {name} of the model {words.format(before, now)}"
    if one.batches and other.batches and one.batches != other.batches:
        return "Its batches are planned in another way"
    return None


def _comparable(manifest: Manifest) -> Manifest:
    """A manifest without what may differ between shards: which one it is, and which of several devices it ran on."""
    device = device_kind(manifest.model.device or "")
    options = manifest.options.model_copy(update={"shard": None, "device": device})
    return manifest.model_copy(update={"options": options})


def _scored_with(manifest: Manifest) -> dict[str, str | None]:
    return manifest.scored_with or manifest.versions


def _refuse_other_environment(first: state.Run, other: state.Run) -> None:
    """Raise UsageError where two shards were scored with other libraries."""
    one, two = _scored_with(first.manifest), _scored_with(other.manifest)
    for name in sorted({*one, *two}):
        if one.get(name) != two.get(name):
            raise UsageError(
                f"{other.folder.path} is scored with {name} {two.get(name)}, and {first.folder.path} with "
                f"{one.get(name)}: scores of two environments never mix. Score both in one: physbench score SHARD "
                "--fresh"
            )


def _refuse_undone(run: state.Run) -> None:
    """Raise where a shard is not rolled out to its end, or where a file of it is damaged."""
    path = run.folder.path
    missing = sum(not (run.scored(item) or run.rolled(item)) for item in run.items)
    again = run.options.rollout_command(path)
    index, of = run.shard or (0, 0)
    if missing:
        raise PhysbenchError(
            f"{path}: shard {index} of {of} is not done: {missing} of {counted(len(run.items), 'rollout')} are "
            f"missing. Go on with:\n  {again}"
        )
    if gone := state.unanswered(run.folder, run.rows, run.options.samples):
        raise PhysbenchError(
            f"{path}: {counted(len(gone), 'rollout')} failed as the server did not answer. Once it runs, go on with:\n"
            f"  {again}"
        )
    broken, lost = state.find_damaged(run.folder, run.rows, run.options.samples)
    if broken or lost:
        again = again if broken else f"physbench score {shlex.quote(str(path))}"
        many = len({(row, sample) for row, sample in broken} | {(row, sample) for _, row, sample in lost})
        raise PhysbenchError(
            f"{path}: files of {counted(many, 'sample')} are damaged or lost. Copy the folder again, or mend it with:\n"
            f"  {again}"
        )


def _copy(shards: Sequence[Path], folder: RunFolder) -> None:
    """Bring the files of all shards into one folder. Until the draft goes, the folder is unfinished."""
    draft = folder.path / state.MERGE_DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    for path in shards:
        for name in (*state.PARTS, "references"):
            if (path / name).is_dir():
                ignored = shutil.ignore_patterns(".*", "scores.parquet")
                with _first_error():
                    shutil.copytree(path / name, draft / name, ignore=ignored, dirs_exist_ok=True)
    for name in state.contents(draft):
        (draft / name).rename(folder.path / name)


@contextmanager
def _first_error() -> Iterator[None]:
    """Raise the first of the errors that copying a folder has collected, which are words alone."""
    try:
        yield
    except shutil.Error as error:
        source, target, reason = error.args[0][0]
        number = re.search(r"\[Errno (\d+)\]", str(reason))
        if number is None or int(number[1]) not in DISK_FULL:
            raise PhysbenchError(f"{source} cannot be copied to {target}: {reason}") from error
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(target)) from error


def joined_manifest(manifests: Sequence[Manifest], scored: Sequence[state.Run]) -> Manifest:
    """The manifest of a run from those of its shards, in their order; `scored`: those of which anything is scored."""
    whole = manifests[0].model_copy(deep=True)
    whole.scored_with = scored[0].manifest.scored_with if scored else None
    whole.options.shard = None
    whole.started = min(each.started for each in manifests)
    whole.suite.local = any(each.suite.local for each in manifests)
    whole.device = ", ".join(dict.fromkeys(each.device for each in manifests))
    whole.events = [event for each in manifests for event in each.events]
    if notes := list(dict.fromkeys(note for each in manifests for note in each.notes)):
        whole.notes = notes
    if regrouped := {key: value for each in manifests for key, value in each.regrouped.items()}:
        whole.regrouped = regrouped
    if states := {key: value for each in manifests for key, value in each.states.items()}:
        whole.states = states
    whole.speed = _joined_speed([each.speed for each in manifests])
    return whole


def _joined_speed(speeds: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Times of all shards added up, as if one machine had made them; memory of the one that took most."""
    speed = dict(speeds[0])
    largest_of_shards = ("peak_memory_gb", "device_memory_gb")
    for name in (*ADDED_OVER_SHARDS, *largest_of_shards):
        if values := [value for each in speeds if (value := each.get(name)) is not None]:
            speed[name] = max(values) if name in largest_of_shards else round(sum(values), 3)
    return speed
