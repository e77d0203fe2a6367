"""Writes clips as a data set that other libraries load; the same call goes on where an interrupted one stopped."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physbench.clips.clip import Clip
from physbench.clips.generate import CLIP_PRELOAD, make_clip, make_scene
from physbench.clips.store import ClipStore, CorruptError, StaleError, unpack
from physbench.data.formats import (
    PART_FOLDER,
    h5_files,
    join_h5,
    lerobot_files,
    shard_files,
    video_files,
    write_h5,
    write_lerobot,
    write_meta,
    write_shard,
    write_videos,
)
from physbench.data.tables import DatasetPlan, Part, Place, dataset_card
from physbench.support.errors import UsageError
from physbench.support.files import file_sha256, locked_file, write_json, write_text
from physbench.support.schedule import scheduled

DATASET_MANIFEST = "dataset.json"
DATASET_CARD = "README.md"
LOCK_FILE = ".lock"
DRAFT = re.compile(r"\.[0-9]+\..+")  # as `atomic_path` names them

PartWriter = Callable[[Path, Part], AbstractContextManager[Callable[[Place, Clip], None]]]


@dataclass(frozen=True)
class DatasetFormat:
    """Writer of one format: the files of a part, and what is made of all parts at the end."""

    write: PartWriter
    files: Callable[[Part], list[str]]
    finish: Callable[[Path, DatasetPlan], list[str]] = lambda folder, plan: []


DATASET_FORMATS = {
    "parquet+video": DatasetFormat(write_videos, video_files),
    "hdf5": DatasetFormat(write_h5, h5_files, join_h5),
    "webdataset": DatasetFormat(write_shard, shard_files),
    "lerobot": DatasetFormat(write_lerobot, lerobot_files, write_meta),
}


@dataclass(frozen=True)
class Exported:
    """Outcome of a call."""

    written: int  # clips that this call wrote; those of an interrupted call before it are kept
    size: int  # bytes of all files


def export_dataset(
    plan: DatasetPlan,
    folder: Path,
    *,
    workers: int = 1,
    done: Callable[[int], None] = lambda clips: None,
    kept: Callable[[int], None] = lambda clips: None,
) -> Exported:
    """Write the clips of a plan into `folder`; `done` is called with the number of clips of each part that was made,
    `kept` before with that of each part that was there.

    Every file is written whole, or not at all, and is a function of the plan. What an interrupted call of the same plan
    has left is kept. Clips that the store has are taken from there; those that it lacks are made and not stored.

    Raises:
        UsageError: The folder holds something else, another process writes into it, or it is a file.
        OSError: A file cannot be written.
    """
    _refuse_other_plan(folder, plan)  # before a folder is made
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    with _alone(folder):
        _refuse_other_plan(folder, plan)  # that another process has written meanwhile
        files = _finished(folder)
        if files is None:
            _sweep(folder)
            write_json(folder / DATASET_MANIFEST, {**plan.key, "complete": False})
            files, written = _write_parts(folder, plan, workers, done, kept)
            for name in DATASET_FORMATS[plan.settings.format].finish(folder, plan):
                files[name] = _described(folder / name)
            write_text(folder / DATASET_CARD, dataset_card(plan))
            files[DATASET_CARD] = _described(folder / DATASET_CARD)
            files = {name: files[name] for name in sorted(files) if not name.startswith(f"{PART_FOLDER}/")}
            write_json(folder / DATASET_MANIFEST, {**plan.key, "complete": True, "files": files})
        shutil.rmtree(folder / PART_FOLDER, ignore_errors=True)
    return Exported(written, sum(file["bytes"] for file in files.values()))


def _write_parts(
    folder: Path, plan: DatasetPlan, workers: int, done: Callable[[int], None], kept: Callable[[int], None]
) -> tuple[dict[str, dict[str, Any]], int]:
    """Write the parts that an earlier call has not. Returns all files of parts, and how many clips were written."""
    files: dict[str, dict[str, Any]] = {}
    missing = []
    for part in plan.parts:
        known = _done_part(folder, part)
        if known is None:
            missing.append(part)
        else:
            files |= known
            kept(len(part.places))
    job = functools.partial(_write_part, folder)
    with scheduled(job, missing, workers=workers, preload=CLIP_PRELOAD, long=True) as parts:
        for part, written in zip(missing, parts, strict=True):
            files |= written
            done(len(part.places))
    return files, sum(len(part.places) for part in missing)


def _write_part(folder: Path, part: Part) -> dict[str, dict[str, Any]]:
    """In a worker: the files of one part with their sizes and hashes, and last a note that they are whole."""
    chosen = DATASET_FORMATS[part.settings.format]
    with chosen.write(folder, part) as write:
        for place in part.places:
            write(place, _clip(part, place))
    files = {name: _described(folder / name) for name in chosen.files(part)}
    write_json(_note(folder, part), files)
    return files


def _clip(part: Part, place: Place) -> Clip:
    """The clip of the store, or one that is made: an export does not fill the cache."""
    row, spec = place.row, part.settings.spec
    with contextlib.suppress(OSError, CorruptError, StaleError):
        return unpack(ClipStore().path(row, spec).read_bytes(), row, spec, make_scene(row, spec.view))
    return make_clip(row, spec)


def _note(folder: Path, part: Part) -> Path:
    return folder / PART_FOLDER / f"part-{part.number:05d}.json"


def _done_part(folder: Path, part: Part) -> dict[str, dict[str, Any]] | None:
    """The files of a part that is whole."""
    try:
        files: dict[str, dict[str, Any]] = _read(_note(folder, part))
    except (OSError, ValueError):
        return None
    return files if _has_all(folder, files) else None


def _finished(folder: Path) -> dict[str, dict[str, Any]] | None:
    """The files of an export that is complete and still has them all."""
    path = folder / DATASET_MANIFEST
    known = _read(path) if path.exists() else {}
    files: dict[str, dict[str, Any]] = known.get("files", {})
    return files if known.get("complete") and _has_all(folder, files) else None


def _has_all(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> bool:
    """True if all files lie in the folder with the sizes that were noted; a name that leads out of it is not in it."""
    try:
        return all(
            not Path(name).is_absolute()
            and ".." not in Path(name).parts
            and (folder / name).stat().st_size == file["bytes"]
            for name, file in files.items()
        )
    except (OSError, ValueError, TypeError, KeyError):
        return False


def refuse_other_export(folder: Path) -> dict[str, Any]:
    """Return the manifest of the data set that the folder holds, complete or not; empty where it holds nothing.

    Raises:
        UsageError: It is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: '{folder}' is a file. Name a folder, which is made if it does not exist.")
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    others = [name for name in entries if not DRAFT.fullmatch(name) and name not in (PART_FOLDER, LOCK_FILE)]
    if not others:
        return {}
    if DATASET_MANIFEST not in others:
        raise UsageError(f"--out: {folder} is not empty ('{others[0]}'). Name a folder of its own.")
    try:
        return _read(folder / DATASET_MANIFEST)
    except ValueError as error:
        raise UsageError(f"--out: {folder / DATASET_MANIFEST} cannot be read ({error}). Name another folder.") from None


def _refuse_other_plan(folder: Path, plan: DatasetPlan) -> None:
    """Raise UsageError where the folder holds anything but an export of the same plan."""
    known = refuse_other_export(folder)
    differing = [name for name, value in plan.key.items() if known and known.get(name) != value]
    if not differing:
        return
    name = min(differing, key=lambda name: isinstance(plan.key[name], dict | list))  # what is a word or a number first
    was, wanted, words = known.get(name), plan.key[name], name.replace("_", " ")
    shown = f"{words} {was}, not {wanted}" if len(f"{was}{wanted}") < 80 else f"other {words}"
    raise UsageError(
        f"--out: {folder} holds another export ({shown}). Name another folder, or remove it. An interrupted export is "
        "continued by the same options, and the same versions of physbench and its libraries."
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into the folder. The system lifts the lock when the process ends."""
    link = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    if link is not None:
        raise UsageError(
            f"--out: {folder} holds the link {link.relative_to(folder)}: nothing is written through links."
        )
    try:
        handle = locked_file(folder / LOCK_FILE)
    except BlockingIOError:
        raise UsageError(f"--out: another process is writing into {folder}.") from None
    try:
        yield
    finally:
        (folder / LOCK_FILE).unlink(missing_ok=True)
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove unfinished files of a process that was killed."""
    if not (folder / DATASET_MANIFEST).exists():
        return  # nothing of ours was begun here
    for path in [path for path in folder.rglob(".*") if DRAFT.fullmatch(path.name) and path.is_file()]:
        path.unlink()


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _read(path: Path) -> dict[str, Any]:
    """A document of an export. Raises ValueError where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    files = document.get("files", {}) if isinstance(document, dict) else None
    if not isinstance(files, dict) or not all(isinstance(each, dict) and "bytes" in each for each in files.values()):
        raise ValueError("it is not what an export writes")
    return dict(document)
