"""Jobs of a worker process: make a clip, score a rollout, all samples of a clip, a pair.

The main process imports this file too, for the names of the functions: what is heavy is imported inside them.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore, clip_store
from physbench.clips.task import CHANGES
from physbench.models.protocol import ModelCard
from physbench.result.read import ClipSource, clips_of_folder
from physbench.rollout.store import Rollout, SharedRollout, load_rollout, store_rollout
from physbench.run.versions import versions
from physbench.score.protocol import Scorer, write_part
from physbench.support import plugins
from physbench.support.errors import UsageError
from physbench.support.files import write_bytes
from physbench.support.processes import WORKER_ENVIRONMENT
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, load_tracks
from physbench.world.scene import RenderSpec


@dataclass(frozen=True)
class Finished:
    """A clip is in the store."""

    row: Row
    seconds: float
    first: bool = False  # of its kind in its process, which imports and compiles


@dataclass(frozen=True)
class Scored:
    """A rollout is tracked and scored."""

    row: Row
    sample: int
    readable: bool  # False: the rollout cannot be read and has to be made again
    seconds: float
    first: bool = False
    tracking: float = 0.0  # s of these
    shadowing: float = 0.0  # s of these


@dataclass(frozen=True)
class Referenced:
    """The references of a clip are in the run folder."""

    row: Row
    state_hash: str  # of the clip on this machine
    seconds: float
    first: bool = False


def seconds_of(results: Iterable[Finished | Scored | Referenced]) -> dict[str, float]:
    """Time of jobs by kind of work, s."""
    spent = {"clips": 0.0, "references": 0.0, "tracking": 0.0, "shadowing": 0.0, "scoring": 0.0}
    for done in results:
        if isinstance(done, Scored):
            spent["tracking"] += done.tracking
            spent["shadowing"] += done.shadowing
            spent["scoring"] += done.seconds - done.tracking - done.shadowing
        else:
            spent["references" if isinstance(done, Referenced) else "clips"] += done.seconds
    return spent


_kinds_begun: set[str] = set()


def _first(kind: str) -> bool:
    """True if this process has not done a job of this kind before."""
    first = kind not in _kinds_begun
    _kinds_begun.add(kind)
    return first


@lru_cache(1)  # on a cluster each job has another folder
def _clips(folder: Path) -> ClipSource:
    return clips_of_folder(RunFolder(folder))


@cache
def _scorers(glob: str | None) -> tuple[Scorer, ...]:
    from physbench.score.score_clip import find_scorers

    return find_scorers(glob)


def compile_functions() -> None:
    """Compile what the motion analysis needs, where this machine has not done so, while others make clips."""
    from physbench.laws.kernels import compile_kernels

    compile_kernels()


def make(store: Path, row: Row, spec: RenderSpec) -> Finished:
    """Make a clip and store it. Where the store cannot be written, the jobs that need the clip make it again."""
    started = time.monotonic()
    clip_store(store).put(make_clip(row, spec))
    return Finished(row, time.monotonic() - started, _first("clip"))


def score(
    folder: Path, row: Row, sample: int, card: ModelCard, scorers: str | None, shared: SharedRollout | None = None
) -> Scored:
    """Track and score one rollout, which is stored, or is stored here from the memory that holds its frames.

    The part is written last: once it is there, the rollout is done.
    """
    from physbench.run.references import save_motion
    from physbench.score.score_clip import score_clip

    started = time.monotonic()
    run = RunFolder(folder)
    if shared is None:
        rollout = load_rollout(run, row.id, sample)
    elif (rollout := mapped(shared)) is not None:
        store_rollout(run, rollout, card.fps)
    if rollout is None:
        return Scored(row, sample, False, time.monotonic() - started)
    clip = _clips(folder).get(row, card.spec)
    rows, observation = score_clip(clip, rollout, card.scored_context, _scorers(scorers))
    if observation is not None:
        save_motion(run, observation, sample)
    write_part(run.part(row.id, sample), rows)
    took = observation.seconds if observation is not None else {}
    shadowing = took.get("shadowing", 0.0) + took.get("free_constants", 0.0)
    seconds = time.monotonic() - started
    return Scored(row, sample, True, seconds, _first("score"), took.get("tracks", 0.0), shadowing)


def mapped(shared: SharedRollout) -> Rollout | None:
    """A rollout whose frames another process has; None where this one may not see them."""
    try:
        return shared.load()
    except OSError:
        return None


def together(folder: Path, row: Row, samples: int, card: ModelCard, scorers: str | None) -> Finished:
    """Read all samples of a clip together; their tracks are in the run folder, where they did not fail."""
    from physbench.score.score_clip import score_together

    started = time.monotonic()
    run = RunFolder(folder)
    tracks = [_tracks(run, row, sample) for sample in range(samples)]
    rows = score_together(_clips(folder).get(row, card.spec), card.scored_context, tracks, _scorers(scorers))
    write_part(run.together(row.id), rows)
    return Finished(row, time.monotonic() - started)


def pair(folder: Path, row: Row, samples: int, card: ModelCard, scorers: str | None) -> Finished:
    """Read a clip with a change beside the one without it: every sample of the model, and the references."""
    from physbench.run.references import REFERENCE_BASELINES
    from physbench.score.score_clip import score_pair

    started = time.monotonic()
    run = RunFolder(folder)
    affected = card.uses_actions or card.track == "privileged" or not CHANGES[row.change].by_actions
    model = [(run, sample, "" if affected else "the model takes no actions") for sample in range(samples)]
    clip, origin = (_clips(folder).get(each, card.spec) for each in (row, row.unchanged))
    for place, sample, not_read in (*model, *((run.reference(name), 0, "") for name in REFERENCE_BASELINES)):
        tracks, before = (_tracks(place, each, sample) for each in (row, row.unchanged))
        rows = score_pair(clip, tracks, origin, before, sample, _scorers(scorers), not_read)
        write_part(place.pair(row.id, sample), rows)
    return Finished(row, time.monotonic() - started)


def _tracks(run: RunFolder, row: Row, sample: int) -> Tracks | None:
    """Tracks of one sample of a clip; None where it failed: lost files were made again, see `drop_damaged`."""
    path = run.tracks(row.id, sample)
    return load_tracks(path) if path.is_file() else None


def references(folder: Path, row: Row, card: ModelCard, scorers: str | None, keep: bool = True) -> Referenced:
    """Bring ground truth and baselines on one clip into the run folder. keep: also in the cache."""
    from physbench.run.references import bring_references

    started = time.monotonic()
    state_hash = bring_references(RunFolder(folder), row, _clips(folder), card, _scorers(scorers), keep=keep)
    return Referenced(row, state_hash, time.monotonic() - started, _first("references"))


# A job of `worker` in an empty folder, on a machine that does not see the folder of the run.
#
# A job is a function of a folder. It is run where there is nothing but the files that it reads, and the files that it
# leaves are brought into the folder of the run. So no file system has to be shared.

Files = Mapping[str, bytes]  # by path in the folder

# Folders in which a job reads files of its clips, beside the clips themselves.
READS: Mapping[Callable[..., Any], tuple[str, ...]] = {
    score: ("rollouts",),
    references: ("references/*/parts",),  # those that are there are not made again
    together: ("tracks",),
    pair: ("tracks", "references/*/tracks"),
}


@dataclass(frozen=True)
class Setting:
    """Setting of the program that sends jobs, for a process on another machine before its first one."""

    versions: tuple[tuple[str, str | None], ...]
    task_files: str  # as of `plugins.environment_for_workers`
    hashes: tuple[tuple[Path, str], ...]
    environment: tuple[tuple[str, str | None], ...]  # what WORKER_ENVIRONMENT names, as it is for models
    folder: Path  # from which relative paths go


def own_setting() -> Setting:
    files, hashes = plugins.environment_for_workers()
    environment = tuple((name, os.environ.get(name)) for name in WORKER_ENVIRONMENT)
    return Setting(_own_versions(), files, tuple(hashes.items()), environment, Path.cwd())


@cache
def prepare(setting: Setting) -> None:
    """Once in a process: see that it runs the same code, take over files with tasks, use one core.

    Raises UsageError: another version is installed here.
    """
    here = dict(_own_versions())
    for name, version in setting.versions:
        if here[name] != version:
            what = "another source code of physbench" if name == "code" else f"{name} {here[name]}"
            instead = "" if name == "code" else f" instead of {version}"
            raise UsageError(
                f"The node {platform.node()} has {what}{instead}: scores of two environments never mix. Install the "
                "same on all nodes."
            )
    plugins.adopt_in_worker(setting.task_files, dict(setting.hashes))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@cache
def _own_versions() -> tuple[tuple[str, str | None], ...]:
    return tuple(versions(purpose="runs").items())


def run_job(
    setting: Setting, function: Callable[..., Any], arguments: tuple[Any, ...], files: Files, *clips: tuple[str, bytes]
) -> tuple[Any, dict[str, bytes]]:
    """Run a job in an empty folder.

    Args:
        setting: Of the program that asks.
        function: Of a folder, and of `arguments` after that.
        files: That it reads.
        clips: Clips that it reads, as `clip_file` names them.

    Returns what the function returns, and the files that it has left, in the order in which they have to be written.
    """
    prepare(setting)
    with _empty_folder() as folder:
        sent = {**files, **dict(clips)}
        bring(folder, sent)
        result = function(folder, *arguments)
        return result, {name: content for name, content in files_in(folder).items() if name not in sent}


@contextmanager
def _empty_folder() -> Iterator[Path]:
    """A folder for a job. Its folders go while the next job is at work: some disks take milliseconds for each."""
    folder = Path(tempfile.mkdtemp(prefix="physbench-"))
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):  # at once: a process of a cluster may end without finishing its threads
            if not path.is_dir():
                path.unlink()
        _remover().submit(shutil.rmtree, folder, ignore_errors=True)


@cache
def _remover() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "remover")


def clip_file(row: Row, spec: RenderSpec) -> str:
    """Path of a clip in the folder of a job."""
    return RunFolder(Path()).clips.joinpath(ClipStore("").path(row, spec)).as_posix()


def files_in(folder: Path) -> dict[str, bytes]:
    """All files of a folder, those last that say that a job is done."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    paths.sort(key=lambda path: "parts" in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def files_read(function: Callable[..., Any], folder: Path, rows: Iterable[Row]) -> dict[str, bytes]:
    """Files of the folder of a run that a job reads, about these clips."""
    names = (f"{place}/{row.id}.*" for place in READS[function] for row in rows)
    paths = (path for name in names for path in sorted(folder.glob(name)))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def bring(folder: Path, files: Files) -> None:
    """Write files into a folder in their order, each whole or not at all."""
    for name, content in files.items():
        write_bytes(folder / name, content)
