"""The run folder: chosen, checked and locked, so that no two processes write into one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from physbench.errors import DISK_FULL, UsageError
from physbench.storage.folder_lock import locked_file
from physbench.storage.run_folder import RunFolder

PARTS = ("rollouts", "tracks", "traces", "parts", "pairs")
LOCK = ".lock"
MERGE_DRAFT = ".merging"  # in a folder into which shards are joined, until all files and the manifest are there
OURS = (
    *("manifest.json", "scores.parquet", "result.json", "diagnosis.json", "report"),
    *(*PARTS, "references", "clips", MERGE_DRAFT),  # the draft goes last: it says that the rest is unfinished
)
ATTEMPTS = 100  # to make a folder that others may make at the same moment


def default_folder(model_name: str, suite: str, resume: bool, parent: Path = Path("runs")) -> Path:
    """runs/<model>-<suite>-<n>: the next free n, or with `resume` the last one that exists."""
    signed = re.sub(r":-(?=[\d.])", "-minus-", model_name)  # a severity below 0 is another one
    stem = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{signed}-{suite}").strip("-.")
    taken = [
        int(found.group(1))
        for path in parent.glob(f"{stem}-*")
        if (found := re.fullmatch(re.escape(stem) + r"-(\d+)", path.name))
    ]
    if resume and taken:
        return parent / f"{stem}-{max(taken)}"
    return parent / f"{stem}-{max(taken, default=0) + 1}"


def claimed_folder(model_name: str, suite: str, parent: Path = Path("runs")) -> tuple[Path, tuple[Path, ...]]:
    """Make the next free default folder: runs that start at the same moment get one each.

    Returns it and all folders that were made for it, deepest first, for `opened`. Where none can be made, that says so.
    """
    for _ in range(ATTEMPTS):
        path = default_folder(model_name, suite, False, parent)
        made = tuple(place for place in (path, *path.parents) if not place.exists())
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except (FileExistsError, FileNotFoundError):  # another run was first, or took its empty folders away
            continue
        except OSError:
            break
        return path, made
    return path, ()


def contents(path: Path) -> list[str]:
    """Names in a folder, without hidden ones."""
    return sorted(item.name for item in path.iterdir() if not item.name.startswith(".")) if path.is_dir() else []


@contextmanager
def opened(path: Path, *, resume: bool, fresh: bool, made: Sequence[Path] = ()) -> Iterator[RunFolder]:
    """Hold the run folder at `path`: made if need be, emptied with `fresh`, refused if it is in use or not a run.

    What a merge left that was killed before it wrote the manifest is removed.

    made: folders that were made for it already, deepest first. They go again if nothing comes into them.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file. Give a folder to --out.")
    try:
        found = contents(path)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}. Choose another folder with --out.") from error
    is_run = "manifest.json" in found
    half_merged = not is_run and (path / MERGE_DRAFT).is_dir()
    if found and not (is_run or half_merged):
        raise UsageError(f"{path} holds other files ({', '.join(found[:3])}) and no run. Choose another --out.")
    if is_run and not (resume or fresh):
        raise UsageError(
            f"{path} holds a run. Go on with it (--resume), start it over (--fresh) or choose another --out."
        )
    absent = list(made) or [place for place in (path, *path.parents) if not place.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = locked_file(path / LOCK)
    except BlockingIOError as error:
        elsewhere = "" if resume else ", or choose another --out"
        raise UsageError(f"Another process is working in {path}. Wait for it{elsewhere}.") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise UsageError(f"Cannot write into {path}: {error.strerror}. Choose another folder with --out.") from error
    try:
        if fresh or (half_merged and not (path / "manifest.json").exists()):  # a merge may have ended meanwhile
            _empty(path)
        yield RunFolder(path)
    finally:
        _leave_nothing(path, absent)
        os.close(handle)  # gives the lock back, as the end of the process would


def _leave_nothing(path: Path, made: list[Path]) -> None:
    """Remove the folders that were made, deepest first, if nothing came into them."""
    with contextlib.suppress(OSError):
        if made and [item.name for item in path.iterdir()] == [LOCK]:
            (path / LOCK).unlink()
            for folder in made:
                folder.rmdir()


def _empty(path: Path) -> None:
    """Remove what a run leaves, and nothing else."""
    for name in OURS:
        item = path / name
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink(missing_ok=True)
