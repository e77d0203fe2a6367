"""`lerobot`: the layout of LeRobotDataset v3.0, many clips in each video and table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.clips.encode import video_writer
from physbench.data.dataset_plan import DatasetPlan, DatasetSettings, Part, Place
from physbench.data.dataset_tables import ACTION_NAMES, SCHEMAS, STATE_NAMES, actions_ahead, table_path, table_writer
from physbench.storage.atomic_write import atomic_path, write_text

LEROBOT_VERSION = "v3.0"
FILES_PER_CHUNK = 1000  # the default of LeRobot
DATA_MB, VIDEO_MB = 100, 200  # sizes that its own writer keeps to; ours are far below
IMAGE_FEATURE = "observation.image"
STATE_FEATURE = "observation.environment_state"
LEROBOT_TABLES = tuple(name for name in SCHEMAS if name != "steps")
STATISTICS = ("min", "max", "mean", "std", "count")
PIXEL_VALUES = 255.0  # statistics of images are of values in [0, 1]


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
    """The files of a part."""
    return [*lerobot_paths(part), *(table_path(name, part.number) for name in LEROBOT_TABLES)]


def lerobot_paths(part: Part) -> tuple[str, str, str]:
    """Video, frames and clips of a part."""
    place = _chunk_file(part)
    return f"videos/{IMAGE_FEATURE}/{place}.mp4", f"data/{place}.parquet", f"meta/episodes/{place}.parquet"


def write_meta(folder: Path, plan: DatasetPlan) -> list[str]:
    """Write what is known of all parts together. Returns the files."""
    tasks = pd.DataFrame({"task_index": np.arange(len(plan.prompts))}, index=pd.Index(plan.prompts, name="task"))
    with atomic_path(folder / "meta/tasks.parquet") as draft:
        tasks.to_parquet(draft)
    columns = [f"stats/{name}/{key}" for name in (IMAGE_FEATURE, STATE_FEATURE, "action") for key in STATISTICS]
    found = (pq.read_table(folder / lerobot_paths(part)[2], columns=columns) for part in plan.parts)
    _write_json(folder / "meta/stats.json", joined_statistics(row for table in found for row in table.to_pylist()))
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


def _chunk_file(part: Part) -> str:
    chunk, file = divmod(part.number, FILES_PER_CHUNK)
    return f"chunk-{chunk:03d}/file-{file:03d}"


def _frame_schema(settings: DatasetSettings) -> pa.Schema:
    return pa.schema(
        [
            (STATE_FEATURE, pa.list_(pa.float32(), settings.bodies * len(STATE_NAMES))),
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
        "action": list(actions_ahead(clip)),
        "timestamp": (frame / settings.spec.fps).astype(np.float32),
        "frame_index": frame,
        "episode_index": np.full(steps, place.index),
        "index": place.first_frame + frame,
        "task_index": np.full(steps, place.prompt),
    }


def _episode_row(part: Part, place: Place, clip: Clip, columns: dict[str, Any]) -> dict[str, Any]:
    """What the table of clips says of one."""
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
    for name in (STATE_FEATURE, "action"):
        values = np.asarray(columns[name], np.float64)
        for key in ("min", "max", "mean", "std"):
            row[f"stats/{name}/{key}"] = getattr(values, key)(axis=0).tolist()
        row[f"stats/{name}/count"] = [place.frames]
    return row


def _statistics(histograms: Sequence[NDArray[np.int64]]) -> dict[str, list[float]]:
    """Exact statistics of pixel values in [0, 1] from the counts of their 256 levels, one histogram a channel."""
    levels = np.arange(256) / PIXEL_VALUES
    found: dict[str, list[float]] = {"min": [], "max": [], "mean": [], "std": []}
    for counts in histograms:
        share, seen = counts / counts.sum(), levels[counts > 0]
        mean = float(share @ levels)
        for key, value in zip(found, (seen[0], seen[-1], mean, np.sqrt(share @ (levels - mean) ** 2)), strict=True):
            found[key].append(float(value))
    return found


def _info(plan: DatasetPlan) -> dict[str, Any]:
    """The description of the data set that LeRobot begins with."""
    settings, spec = plan.settings, plan.settings.spec
    bodies = range(settings.bodies)
    whole = {"shape": [1], "names": None}
    return {
        "codebase_version": LEROBOT_VERSION,
        "robot_type": None,
        "total_episodes": plan.clips,
        "total_frames": plan.frames,
        "total_tasks": len(plan.prompts),
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": DATA_MB,
        "video_files_size_in_mb": VIDEO_MB,
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
            "action": {"dtype": "float32", "shape": [len(ACTION_NAMES)], "names": list(ACTION_NAMES)},
            "timestamp": {"dtype": "float32", **whole},
            **{name: {"dtype": "int64", **whole} for name in ("frame_index", "episode_index", "index", "task_index")},
        },
    }


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_text(path, json.dumps(document, indent=4, allow_nan=False) + "\n")
