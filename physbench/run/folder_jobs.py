"""A job of `worker` in an empty folder, on a machine that does not see the folder of the run.

A job is a function of a folder. It is run where there is nothing but the files that it reads, and the files that it
leaves are brought into the folder of the run. So no file system has to be shared.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.errors import UsageError
from physbench.plugins import user_files
from physbench.run import worker
from physbench.run.versions import versions
from physbench.storage.atomic_write import atomic_path
from physbench.storage.run_folder import RunFolder
from physbench.worker_pool import WORKER_ENVIRONMENT
from physbench.world.scene import RenderSpec

Files = Mapping[str, bytes]  # by path in the folder
DONE = "parts"  # where that lies that says that a job is done

# Folders in which a job reads files of its clips, beside the clips themselves.
READS: Mapping[Callable[..., Any], tuple[str, ...]] = {
    worker.score: ("rollouts",),
    worker.references: ("references/*/parts",),  # those that are there are not made again
    worker.together: ("tracks",),
    worker.pair: ("tracks", "references/*/tracks"),
}


@dataclass(frozen=True)
class Setting:
    """What a process on another machine needs before its first job, of the program that sends the jobs."""

    versions: tuple[tuple[str, str | None], ...]
    task_files: str  # as of `user_files.environment_for_workers`
    hashes: tuple[tuple[Path, str], ...]
    environment: tuple[tuple[str, str | None], ...]  # what WORKER_ENVIRONMENT names, as it is for models
    folder: Path  # from which relative paths go


def own_setting() -> Setting:
    """The setting of this process."""
    files, hashes = user_files.environment_for_workers()
    environment = tuple((name, os.environ.get(name)) for name in WORKER_ENVIRONMENT)
    return Setting(_own_versions(), files, tuple(hashes.items()), environment, Path.cwd())


@cache
def prepare(setting: Setting) -> None:
    """Once in a process: see that it runs the same code, take over files with tasks, use one core.

    Raises:
        UsageError: Another version is installed here.
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
    user_files.adopt_in_worker(setting.task_files, dict(setting.hashes))
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
        arguments: Of the function.
        files: That it reads.
        clips: Clips that it reads, as `clip_file` names them.

    Returns:
        What the function returns, and the files that it has left, in the order in which they have to be written.
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
    """Where a clip lies in the folder of a job."""
    return RunFolder(Path()).clips.joinpath(ClipStore("").path(row, spec)).as_posix()


def files_in(folder: Path) -> dict[str, bytes]:
    """All files of a folder, those last that say that a job is done."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    paths.sort(key=lambda path: DONE in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def files_read(function: Callable[..., Any], folder: Path, rows: Iterable[Row]) -> dict[str, bytes]:
    """What a job reads of the folder of a run, about these clips."""
    names = (f"{place}/{row.id}.*" for place in READS[function] for row in rows)
    paths = (path for name in names for path in sorted(folder.glob(name)))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def bring(folder: Path, files: Files) -> None:
    """Write files into a folder in their order, each whole or not at all."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            draft.write_bytes(content)
