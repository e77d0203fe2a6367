"""Clips as long tables: one row for each clip, body, contact, parameter, frame, or body in a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from physbench.clips.clip import ACTION_WIDTH, Clip
from physbench.clips.generate import make_params
from physbench.clips.task import find_task
from physbench.data.dataset_plan import Part, Place
from physbench.storage.atomic_write import atomic_path
from physbench.world.scene import hue_name

STATE_NAMES = ("x", "y", "z", "qx", "qy", "qz", "qw", "vx", "vy", "vz", "wx", "wy", "wz")  # m, -, m/s, rad/s
ACTION_NAMES = ("red", "green", "blue", "impulse_x", "impulse_y", "impulse_z")  # hue of the body; N s
_EPISODE = ("episode_index", pa.int64())
_FRAME = ("frame_index", pa.int32())
SCHEMAS: Mapping[str, pa.Schema] = {
    "episodes": pa.schema(
        [
            _EPISODE,
            ("id", pa.string()),
            ("family", pa.string()),
            ("task", pa.string()),
            ("split", pa.string()),
            ("seed", pa.int64()),
            ("change", pa.string()),
            ("prompt", pa.string()),
            ("fps", pa.float64()),
            ("frames", pa.int32()),
            ("handover", pa.int32()),
            ("file", pa.string()),
            ("file_first_frame", pa.int64()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("camera_view", pa.string()),
            ("camera_center", pa.list_(pa.float64(), 3)),
            ("pixels_per_metre", pa.float64()),
            ("gravity", pa.list_(pa.float64(), 3)),
        ]
    ),
    "bodies": pa.schema(
        [
            _EPISODE,
            ("body", pa.int32()),
            ("name", pa.string()),
            ("shape", pa.string()),
            ("size", pa.list_(pa.float64())),
            ("role", pa.string()),
            ("hue", pa.string()),
            ("mass", pa.float64()),
            ("restitution", pa.float64()),
            ("friction", pa.float64()),
        ]
    ),
    "contacts": pa.schema([_EPISODE, ("time", pa.float64()), ("a", pa.string()), ("b", pa.string())]),
    "parameters": pa.schema([_EPISODE, ("name", pa.string()), ("value", pa.float64()), ("unit", pa.string())]),
    "steps": pa.schema([_EPISODE, _FRAME, ("time", pa.float64()), *((name, pa.float32()) for name in ACTION_NAMES)]),
    "states": pa.schema(
        [
            _EPISODE,
            _FRAME,
            ("body", pa.int32()),
            *((name, pa.float64()) for name in STATE_NAMES),
            ("visible_area", pa.float32()),
            ("full_area", pa.float32()),
        ]
    ),
}
SMALL_TABLES = ("episodes", "bodies", "contacts", "parameters")  # of every format


def table_path(name: str, number: int) -> str:
    """Where a part of a table lies in the folder of an export."""
    return f"tables/{name}/part-{number:05d}.parquet"


@contextmanager
def table_writer(
    folder: Path, part: Part, names: tuple[str, ...], file_of: Callable[[Place], tuple[str, int]]
) -> Iterator[Callable[[Place, Clip], None]]:
    """Yield a function that adds a clip to the tables of a part. They appear whole, or not at all.

    Args:
        folder: Of the export.
        part: Its number names the files.
        names: Of the tables, from SCHEMAS.
        file_of: Where the frames of a clip lie: file, and its first frame there.
    """
    with ExitStack() as stack:
        writers = {}
        for name in names:
            draft = stack.enter_context(atomic_path(folder / table_path(name, part.number)))
            writers[name] = stack.enter_context(pq.ParquetWriter(draft, SCHEMAS[name], compression="zstd"))
        kept: dict[str, list[pa.RecordBatch]] = {name: [] for name in names if name in SMALL_TABLES}

        def add(place: Place, clip: Clip) -> None:
            for name, writer in writers.items():
                batch = pa.RecordBatch.from_pydict(_columns(name, place, clip, file_of), SCHEMAS[name])
                if name in kept:
                    kept[name].append(batch)
                else:
                    writer.write_batch(batch)  # a row group for each clip, which readers can skip

        yield add
        for name, batches in kept.items():
            writers[name].write_table(pa.Table.from_batches(batches, SCHEMAS[name]).combine_chunks())


def actions_of(clip: Clip) -> NDArray[np.float32]:
    """Actions (T, 6), each in the row of the first frame that shows its effect; 0 where nothing is pushed."""
    actions = clip.actions(clip.handover + 1)
    return np.zeros((len(clip.times), ACTION_WIDTH), np.float32) if actions is None else actions


def actions_ahead(clip: Clip) -> NDArray[np.float32]:
    """Actions (T, 6), each in the row of the frame before its effect: what is done there leads to the next frame.

    This is how readers of pairs of observation and action understand a row.
    """
    actions = actions_of(clip)
    return np.concatenate([actions[1:], np.zeros_like(actions[:1])])


def parameters_of(clip: Clip) -> dict[str, tuple[float, str]]:
    """Value and unit of each parameter that the scene was drawn with."""
    declared = find_task(clip.row.task).parameters
    return {
        name: (float(value), declared[name].unit if name in declared else "")
        for name, value in make_params(clip.row).items()
    }


def body_of(clip: Clip, index: int) -> dict[str, Any]:
    """What a body of the scene is, in the columns of the table `bodies`."""
    body = clip.scene.bodies[index]
    return {
        "body": index,
        "name": body.name,
        "shape": body.shape,
        "size": list(body.size),
        "role": body.role,
        "hue": None if body.hue is None else hue_name(body.hue),
        "mass": body.mass if body.role == "moving" else None,
        "restitution": body.restitution,
        "friction": body.friction,
    }


def episode_of(place: Place, clip: Clip) -> dict[str, Any]:
    """What is known of a clip as a whole, in the columns of the table `episodes` without its files."""
    row, camera = clip.row, clip.scene.camera
    return {
        "episode_index": place.index,
        "id": clip.id,
        "family": row.family,
        "task": row.task,
        "split": row.split,
        "seed": row.seed,
        "change": row.change,
        "prompt": clip.prompt,
        "fps": clip.spec.fps,
        "frames": len(clip.times),
        "handover": clip.handover,
        "height": clip.spec.height,
        "width": clip.spec.width,
        "camera_view": camera.view,
        "camera_center": list(camera.center),
        "pixels_per_metre": float(clip.pixels_per_metre),
        "gravity": list(clip.scene.gravity),
    }


def _columns(name: str, place: Place, clip: Clip, file_of: Callable[[Place], tuple[str, int]]) -> dict[str, Any]:
    """One clip in the columns of a table."""
    if name == "episodes":
        file, first = file_of(place)
        whole = {**episode_of(place, clip), "file": file, "file_first_frame": first}
        return {column: [value] for column, value in whole.items()}
    if name == "bodies":
        bodies = [body_of(clip, index) for index in range(len(clip.scene.bodies))]
        return {
            "episode_index": [place.index] * len(bodies),
            **{column: [body[column] for body in bodies] for column in SCHEMAS["bodies"].names[1:]},
        }
    if name == "contacts":
        return {
            "episode_index": [place.index] * len(clip.contacts),
            **{column: [getattr(each, column) for each in clip.contacts] for column in ("time", "a", "b")},
        }
    if name == "parameters":
        values = parameters_of(clip)
        return {
            "episode_index": [place.index] * len(values),
            "name": list(values),
            "value": [value for value, _ in values.values()],
            "unit": [unit for _, unit in values.values()],
        }
    steps, bodies_each = clip.states.shape[:2]
    if name == "steps":
        return {
            "episode_index": np.full(steps, place.index),
            "frame_index": np.arange(steps, dtype=np.int32),
            "time": clip.times,
            **{column: np.ascontiguousarray(actions_of(clip)[:, i]) for i, column in enumerate(ACTION_NAMES)},
        }
    states = clip.states.reshape(steps * bodies_each, -1)
    return {
        "episode_index": np.full(len(states), place.index),
        "frame_index": np.repeat(np.arange(steps, dtype=np.int32), bodies_each),
        "body": np.tile(np.arange(bodies_each, dtype=np.int32), steps),
        **{column: np.ascontiguousarray(states[:, i]) for i, column in enumerate(STATE_NAMES)},
        "visible_area": clip.visible_area.ravel(),
        "full_area": clip.full_area.ravel(),
    }
