"""`hdf5`: one file with a row for each frame, the clips one after the other, as stable-worldmodel reads it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import ACTION_WIDTH, Clip
from physbench.data.dataset_plan import DatasetPlan, DatasetSettings, Part, Place
from physbench.data.dataset_tables import SMALL_TABLES, STATE_NAMES, actions_ahead, table_path, table_writer
from physbench.storage.atomic_write import atomic_path

HDF5_FILE = "clips.h5"
H5_CHUNK_BYTES = 1 << 17  # of frames before compression: what a reader of one frame has to unpack
H5_CHUNK_ROWS = 64
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
        with atomic_path(folder / _h5(part)) as draft:
            draft.write_bytes(file.id.get_file_image())


def h5_files(part: Part) -> list[str]:
    """The files of a part."""
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
        rows = max(1, min(H5_CHUNK_BYTES // row_bytes, H5_CHUNK_ROWS, frames))
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
