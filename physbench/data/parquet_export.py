"""`parquet+video`: a video for each clip, and all else in tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from physbench.clips.clip import Clip
from physbench.clips.encode import encode
from physbench.data.dataset_plan import Part, Place
from physbench.data.dataset_tables import SCHEMAS, table_path, table_writer


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
    """The files of a part."""
    return [*(table_path(name, part.number) for name in SCHEMAS), *(_video(part, place) for place in part.places)]


def _video(part: Part, place: Place) -> str:
    return f"videos/part-{part.number:05d}/{place.row.id}{part.settings.codec.suffix}"
