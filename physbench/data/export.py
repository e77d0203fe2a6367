"""Clips as a data set that other libraries load: Parquet with videos, WebDataset, HDF5, LeRobot.

The same call goes on where an interrupted one stopped.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from physbench.clips.action_space import CAMERA_POSE
from physbench.clips.clip import ACTION_WIDTH, Clip
from physbench.clips.generate import CLIP_PRELOAD, make_clip, make_scene
from physbench.clips.store import ClipStore, CorruptError, StaleError, unpack
from physbench.clips.video import encode, video_writer
from physbench.data.tables import (
    ACTION_NAMES,
    SCHEMAS,
    SMALL_TABLES,
    STATE_NAMES,
    DatasetPlan,
    DatasetSettings,
    Part,
    Place,
    actions_ahead,
    actions_of,
    body_of,
    dataset_card,
    episode_of,
    parameters_of,
    poses_of,
    table_path,
    table_writer,
)
from physbench.support.errors import UsageError
from physbench.support.files import atomic_path, file_sha256, locked_file, write_bytes, write_json, write_text
from physbench.support.processes import scheduled

# `parquet+video`: a video for each clip, and all else in tables.


@contextmanager
def write_videos(folder: Path, part: Part) -> Iterator[Callable[[Place, Clip], None]]:
    """Yield a function that writes a clip of a part."""
    settings = part.settings

    def file_of(place: Place) -> tuple[str, int]:
        return _video(part, place), 0

    with table_writer(folder, part, tuple(SCHEMAS), file_of) as add:

        def write(place: Place, clip: Clip) -> None:
            encode(folder / _video(part, place), clip.frames, settings.spec.fps, settings.codec)
            add(place, clip)

        yield write


def video_files(part: Part) -> list[str]:
    return [*(table_path(name, part.number) for name in SCHEMAS), *(_video(part, place) for place in part.places)]


def _video(part: Part, place: Place) -> str:
    return f"videos/part-{part.number:05d}/{place.row.id}{part.settings.codec.suffix}"


# `webdataset`: tar files of samples, each with a video, arrays and a description.


@contextmanager
def write_shard(folder: Path, part: Part) -> Iterator[Callable[[Place, Clip], None]]:
    """Yield a function that writes a clip of a part into its tar file."""
    from webdataset import TarWriter

    def file_of(place: Place) -> tuple[str, int]:
        return _shard(part), 0

    with (
        table_writer(folder, part, SMALL_TABLES, file_of) as add,
        atomic_path(folder / _shard(part)) as draft,
        draft.open("wb") as stream,
        TarWriter(stream, user="", group="", mtime=0, encoder=False) as tar,
    ):

        def write(place: Place, clip: Clip) -> None:
            tar.write(_sample(part, place, clip))
            add(place, clip)

        yield write


def shard_files(part: Part) -> list[str]:
    return [_shard(part), *(table_path(name, part.number) for name in SMALL_TABLES)]


def _shard(part: Part) -> str:
    return f"clips-{part.number:06d}.tar"


def sample_key(place: Place) -> str:
    """Name of a sample. Readers take what follows the first dot for the kind of a file: there is none in it."""
    return place.row.id.replace(".", "_")


def _sample(part: Part, place: Place, clip: Clip) -> dict[str, Any]:
    """The files of a clip as bytes."""
    settings = part.settings
    video, arrays = io.BytesIO(), io.BytesIO()
    codec = settings.codec
    with video_writer(video, settings.spec.height, settings.spec.width, settings.spec.fps, codec) as write:
        write(clip.frames)
    np.savez_compressed(
        arrays,
        times=clip.times,
        actions=actions_of(clip),
        camera_poses=poses_of(clip),
        states=clip.states,
        visible_area=clip.visible_area,
        full_area=clip.full_area,
    )
    described = {
        **episode_of(place, clip),
        "bodies": [body_of(clip, index) for index in range(len(clip.scene.bodies))],
        "contacts": [{"time": each.time, "a": each.a, "b": each.b} for each in clip.contacts],
        "parameters": {name: {"value": value, "unit": unit} for name, (value, unit) in parameters_of(clip).items()},
    }
    return {
        "__key__": sample_key(place),
        codec.suffix[1:]: video.getvalue(),
        "npz": arrays.getvalue(),
        "json": json.dumps(described, allow_nan=False).encode(),
    }


# `hdf5`: one file with a row for each frame, the clips one after the other, as stable-worldmodel reads it.

HDF5_FILE = "clips.h5"
PART_FOLDER = ".parts"  # of parts that are put together at the end
EPISODE_ROWS = ("ep_len", "ep_offset")  # data sets with a row for each clip; the others have one for each frame


@contextmanager
def write_h5(folder: Path, part: Part) -> Iterator[Callable[[Place, Clip], None]]:
    """Yield a function that writes a clip of a part."""
    import h5py

    def file_of(place: Place) -> tuple[str, int]:
        return HDF5_FILE, place.first_frame

    # In memory: where the disk is full, the library of HDF5 does not raise an error but ends the process.
    with (
        table_writer(folder, part, SMALL_TABLES, file_of) as add,
        h5py.File(f"part-{part.number}", "w", driver="core", backing_store=False, libver="latest") as file,
    ):
        _create(file, part.settings, part.frames, len(part.places))

        def write(place: Place, clip: Clip) -> None:
            first = place.first_frame - part.first_frame
            for name, values in _rows(part.settings, place, clip).items():
                file[name][first : first + place.frames] = values
            number = place.index - part.places[0].index
            file["ep_len"][number], file["ep_offset"][number] = place.frames, place.first_frame
            add(place, clip)

        yield write
        file.flush()
        write_bytes(folder / _h5(part), file.id.get_file_image())


def h5_files(part: Part) -> list[str]:
    return [_h5(part), *(table_path(name, part.number) for name in SMALL_TABLES)]


def join_h5(folder: Path, plan: DatasetPlan) -> list[str]:
    """Put the parts together. Returns what was written.

    Raises:
        OSError: The disk has not as much room as all parts together take.
    """
    import h5py

    if shutil.disk_usage(folder).free < sum((folder / _h5(part)).stat().st_size for part in plan.parts):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / HDF5_FILE))
    with atomic_path(folder / HDF5_FILE) as draft, h5py.File(draft, "w", libver="latest") as file:
        _create(file, plan.settings, plan.frames, plan.clips)
        file.attrs.update({key: value for key, value in plan.key.items() if isinstance(value, str | int | float)})
        for part in plan.parts:
            with h5py.File(folder / _h5(part), "r") as one:
                for name, values in one.items():
                    first = part.places[0].index if name in EPISODE_ROWS else part.first_frame
                    rows = len(values) if values.chunks is None else values.chunks[0]
                    for start in range(0, len(values), rows):
                        block = values[start : start + rows]
                        file[name][first + start : first + start + len(block)] = block
    return [HDF5_FILE]


def _h5(part: Part) -> str:
    return f"{PART_FOLDER}/part-{part.number:05d}.h5"


def _rows(settings: DatasetSettings, place: Place, clip: Clip) -> dict[str, Any]:
    """The rows of a clip, one for each frame, in the order of `_columns`."""
    steps, bodies, width = clip.states.shape
    state = np.full((steps, settings.bodies, width), np.nan)
    state[:, :bodies] = clip.states
    visible = np.zeros((steps, settings.bodies), np.float32)
    visible[:, :bodies] = clip.visible_area
    first, last = np.arange(steps) == 0, np.arange(steps) == steps - 1
    return {
        "pixels": clip.frames,
        "action": actions_ahead(clip),
        "camera_pose": poses_of(clip),
        "state": state,
        "visible_area": visible,
        "time": clip.times,
        "ep_idx": np.full(steps, place.index),
        "step_idx": np.arange(steps),
        "is_first": first,
        "is_last": last,
        "is_terminal": np.zeros(steps, bool),  # the motion goes on after a clip
        "prompt": np.full(steps, clip.prompt.encode()),
        "task": np.full(steps, clip.row.task.encode()),
        "seed": np.full(steps, clip.row.seed),
    }


def _create(file: Any, settings: DatasetSettings, frames: int, clips: int) -> None:
    """Make empty data sets. Text has a fixed length: it repeats in every row, and compresses to nothing so."""
    height, width = settings.spec.height, settings.spec.width
    columns: dict[str, tuple[tuple[int, ...], str]] = {
        "pixels": ((height, width, 3), "u1"),
        "action": ((ACTION_WIDTH,), "f4"),
        "camera_pose": ((CAMERA_POSE.width,), "f4"),
        "state": ((settings.bodies, len(STATE_NAMES)), "f8"),
        "visible_area": ((settings.bodies,), "f4"),
        "time": ((), "f8"),
        "ep_idx": ((), "i8"),
        "step_idx": ((), "i8"),
        "is_first": ((), "?"),
        "is_last": ((), "?"),
        "is_terminal": ((), "?"),
        "prompt": ((), f"S{settings.words}"),
        "task": ((), f"S{settings.words}"),
        "seed": ((), "i8"),
    }
    for name, (shape, dtype) in columns.items():
        row_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        # A reader of one frame unpacks at most 128 kB, before compression, and 64 rows
        rows = max(1, min((1 << 17) // row_bytes, 64, frames))
        file.create_dataset(
            name,
            (frames, *shape),
            dtype,
            chunks=(rows, *shape),
            compression="gzip",
            compression_opts=4,
            shuffle=dtype in ("f4", "f8", "i8"),
            track_times=False,
        )
    for name, dtype in zip(EPISODE_ROWS, ("i4", "i8"), strict=True):
        file.create_dataset(name, (clips,), dtype, track_times=False)


FILES_PER_CHUNK = 1000  # the default of LeRobot
IMAGE_FEATURE = "observation.image"
STATE_FEATURE = "observation.environment_state"
POSE_FEATURE = "observation.camera_pose"
NUMBERS = (STATE_FEATURE, POSE_FEATURE, "action")  # features that are vectors
LEROBOT_TABLES = tuple(name for name in SCHEMAS if name != "steps")
STATISTICS = ("min", "max", "mean", "std", "count")


@contextmanager
def write_lerobot(folder: Path, part: Part) -> Iterator[Callable[[Place, Clip], None]]:
    """Yield a function that writes a clip of a part."""
    settings, spec = part.settings, part.settings.spec
    video, data, episodes = lerobot_paths(part)
    rows: list[dict[str, Any]] = []

    def file_of(place: Place) -> tuple[str, int]:
        return video, place.first_frame - part.first_frame

    with (
        table_writer(folder, part, LEROBOT_TABLES, file_of) as add,
        atomic_path(folder / video) as video_draft,
        video_writer(str(video_draft), spec.height, spec.width, spec.fps, settings.codec) as show,
        atomic_path(folder / data) as data_draft,
        pq.ParquetWriter(data_draft, _frame_schema(settings)) as table,
    ):

        def write(place: Place, clip: Clip) -> None:
            show(clip.frames)
            columns = _frame_columns(settings, place, clip)
            table.write_table(pa.Table.from_pydict(columns, _frame_schema(settings)))
            rows.append(_episode_row(part, place, clip, columns))
            add(place, clip)

        yield write
    with atomic_path(folder / episodes) as draft:
        pq.write_table(pa.Table.from_pylist(rows), draft)


def lerobot_files(part: Part) -> list[str]:
    return [*lerobot_paths(part), *(table_path(name, part.number) for name in LEROBOT_TABLES)]


def lerobot_paths(part: Part) -> tuple[str, str, str]:
    """Video, frames and clips of a part."""
    chunk, file = divmod(part.number, FILES_PER_CHUNK)
    place = f"chunk-{chunk:03d}/file-{file:03d}"
    return f"videos/{IMAGE_FEATURE}/{place}.mp4", f"data/{place}.parquet", f"meta/episodes/{place}.parquet"


def write_meta(folder: Path, plan: DatasetPlan) -> list[str]:
    """Write what is known of all parts together. Returns the files."""
    tasks = pd.DataFrame({"task_index": np.arange(len(plan.prompts))}, index=pd.Index(plan.prompts, name="task"))
    with atomic_path(folder / "meta/tasks.parquet") as draft:
        tasks.to_parquet(draft)
    columns = [f"stats/{name}/{key}" for name in (IMAGE_FEATURE, *NUMBERS) for key in STATISTICS]
    tables = (pq.read_table(folder / lerobot_paths(part)[2], columns=columns) for part in plan.parts)
    _write_json(folder / "meta/stats.json", joined_statistics(row for table in tables for row in table.to_pylist()))
    _write_json(folder / "meta/info.json", _info(plan))
    return ["meta/tasks.parquet", "meta/stats.json", "meta/info.json"]


def joined_statistics(rows: Iterator[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Statistics of all clips from those of each, as LeRobot names them.

    Args:
        rows: One for each clip, with columns such as "stats/action/mean".
    """
    total: dict[str, dict[str, NDArray[np.float64]]] = {}
    for row in rows:
        for name in sorted({key.split("/")[1] for key in row}):
            one = {key: np.asarray(row[f"stats/{name}/{key}"], np.float64) for key in STATISTICS}
            squares = one["count"] * (one["std"] ** 2 + one["mean"] ** 2)
            sums = {"sum": one["count"] * one["mean"], "squares": squares, **one}
            if name not in total:
                total[name] = sums
                continue
            known = total[name]
            known["min"], known["max"] = np.minimum(known["min"], one["min"]), np.maximum(known["max"], one["max"])
            for key in ("count", "sum", "squares"):
                known[key] = known[key] + sums[key]
    result = {}
    for name, known in total.items():
        mean = known["sum"] / known["count"]
        spread = np.sqrt(np.maximum(known["squares"] / known["count"] - mean**2, 0.0))
        values = {"min": known["min"], "max": known["max"], "mean": mean, "std": spread}
        result[name] = {key: value.tolist() for key, value in values.items()}
        result[name]["count"] = known["count"].astype(int).tolist()
    return result


def _frame_schema(settings: DatasetSettings) -> pa.Schema:
    return pa.schema(
        [
            (STATE_FEATURE, pa.list_(pa.float32(), settings.bodies * len(STATE_NAMES))),
            (POSE_FEATURE, pa.list_(pa.float32(), CAMERA_POSE.width)),
            ("action", pa.list_(pa.float32(), len(ACTION_NAMES))),
            ("timestamp", pa.float32()),
            *((name, pa.int64()) for name in ("frame_index", "episode_index", "index", "task_index")),
        ]
    )


def _frame_columns(settings: DatasetSettings, place: Place, clip: Clip) -> dict[str, Any]:
    """The rows of a clip. Bodies that it lacks have a state of zeros; the quaternion of a body has length 1."""
    steps, bodies, width = clip.states.shape
    state = np.zeros((steps, settings.bodies, width), np.float32)
    state[:, :bodies] = clip.states
    frame = np.arange(steps)
    return {
        STATE_FEATURE: list(state.reshape(steps, -1)),
        POSE_FEATURE: list(poses_of(clip)),
        "action": list(actions_ahead(clip)),
        "timestamp": (frame / settings.spec.fps).astype(np.float32),
        "frame_index": frame,
        "episode_index": np.full(steps, place.index),
        "index": place.first_frame + frame,
        "task_index": np.full(steps, place.prompt),
    }


def _episode_row(part: Part, place: Place, clip: Clip, columns: dict[str, Any]) -> dict[str, Any]:
    """Row of one clip in the table of clips."""
    chunk, file = divmod(part.number, FILES_PER_CHUNK)
    before, fps = place.first_frame - part.first_frame, part.settings.spec.fps
    row: dict[str, Any] = {
        "episode_index": place.index,
        "tasks": [clip.prompt],
        "length": place.frames,
        "data/chunk_index": chunk,
        "data/file_index": file,
        "dataset_from_index": place.first_frame,
        "dataset_to_index": place.first_frame + place.frames,
        f"videos/{IMAGE_FEATURE}/chunk_index": chunk,
        f"videos/{IMAGE_FEATURE}/file_index": file,
        f"videos/{IMAGE_FEATURE}/from_timestamp": before / fps,
        f"videos/{IMAGE_FEATURE}/to_timestamp": (before + place.frames) / fps,
        "meta/episodes/chunk_index": chunk,
        "meta/episodes/file_index": file,
    }
    pixels = clip.frames.reshape(-1, 3)
    image = _statistics([np.bincount(pixels[:, i], minlength=256) for i in range(3)])
    row |= {f"stats/{IMAGE_FEATURE}/{key}": [[[value]] for value in values] for key, values in image.items()}
    row[f"stats/{IMAGE_FEATURE}/count"] = [place.frames]
    for name in NUMBERS:
        values = np.asarray(columns[name], np.float64)
        for key in ("min", "max", "mean", "std"):
            row[f"stats/{name}/{key}"] = getattr(values, key)(axis=0).tolist()
        row[f"stats/{name}/count"] = [place.frames]
    return row


def _statistics(histograms: Sequence[NDArray[np.int64]]) -> dict[str, list[float]]:
    """Exact statistics of pixel values in [0, 1] from the counts of their 256 levels, one histogram a channel."""
    levels = np.arange(256) / 255.0  # statistics of images are of values in [0, 1]
    statistics: dict[str, list[float]] = {"min": [], "max": [], "mean": [], "std": []}
    for counts in histograms:
        share, seen = counts / counts.sum(), levels[counts > 0]
        mean = float(share @ levels)
        for key, value in zip(
            statistics, (seen[0], seen[-1], mean, np.sqrt(share @ (levels - mean) ** 2)), strict=True
        ):
            statistics[key].append(float(value))
    return statistics


def _info(plan: DatasetPlan) -> dict[str, Any]:
    """The description of the data set that LeRobot begins with."""
    settings, spec = plan.settings, plan.settings.spec
    bodies = range(settings.bodies)
    whole = {"shape": [1], "names": None}
    return {
        "codebase_version": "v3.0",
        "robot_type": None,
        "total_episodes": plan.clips,
        "total_frames": plan.frames,
        "total_tasks": len(plan.prompts),
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,  # as its own writer has it; ours are far below
        "video_files_size_in_mb": 200,
        "fps": int(spec.fps),
        "splits": {name: f"{first}:{end}" for name, (first, end) in plan.splits.items()},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            IMAGE_FEATURE: {
                "dtype": "video",
                "shape": [spec.height, spec.width, 3],
                "names": ["height", "width", "channels"],
                "info": {
                    "video.height": spec.height,
                    "video.width": spec.width,
                    "video.codec": "h264",
                    "video.pix_fmt": "gbrp" if settings.video == "lossless" else settings.codec.pixels,
                    "video.is_depth_map": False,
                    "video.fps": int(spec.fps),
                    "video.channels": 3,
                    "has_audio": False,
                },
            },
            STATE_FEATURE: {
                "dtype": "float32",
                "shape": [settings.bodies * len(STATE_NAMES)],
                "names": [f"body{body}.{name}" for body in bodies for name in STATE_NAMES],
            },
            POSE_FEATURE: {"dtype": "float32", "shape": [CAMERA_POSE.width], "names": list(CAMERA_POSE.names)},
            "action": {"dtype": "float32", "shape": [len(ACTION_NAMES)], "names": list(ACTION_NAMES)},
            "timestamp": {"dtype": "float32", **whole},
            **{name: {"dtype": "int64", **whole} for name in ("frame_index", "episode_index", "index", "task_index")},
        },
    }


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_text(path, json.dumps(document, indent=4, allow_nan=False) + "\n")


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
