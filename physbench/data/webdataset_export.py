"""`webdataset`: tar files of samples, each with a video, arrays and a description."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import Clip
from physbench.clips.encode import video_writer
from physbench.data.dataset_plan import Part, Place
from physbench.data.dataset_tables import (
    SMALL_TABLES,
    actions_of,
    body_of,
    episode_of,
    parameters_of,
    table_path,
    table_writer,
)
from physbench.storage.atomic_write import atomic_path


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
    """The files of a part."""
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
