"""In a worker: the films of one clip, and what pixel baselines make of them, which is kept in the cache."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.store import clip_store
from physbench.errors import PhysbenchError
from physbench.expectation.film_windows import WindowGrid, window_grid
from physbench.expectation.films import OTHER_LOOK, POSSIBLE, Film, Image, film_of, first_difference
from physbench.expectation.pixel_baselines import PIXEL_BASELINES, SPRITE_FRAMES, Array, pixel_series
from physbench.storage.cache_dir import cache_dir
from physbench.storage.cache_entry import cached
from physbench.storage.fingerprint import fingerprint
from physbench.storage.sealed_file import read_sealed_json, write_sealed_json
from physbench.world.scene import RenderSpec

FILM_PRELOAD = ("physbench.expectation.clip_films", "physbench.world.rendering")


@dataclass(frozen=True, eq=False)
class ClipFilms:
    """The films of a clip with their windows."""

    clip: Clip
    grid: WindowGrid  # of the model
    pixel_grid: WindowGrid  # of the pixel baselines, N windows
    films: dict[str, NDArray[Any]]  # by name, frames (T, H, W, 3); for models of states their states (T, N, 13)
    before: dict[str, tuple[str, int]]  # by name: an earlier film, and the first frame in which they differ
    baselines: dict[str, dict[str, Array]]  # surprise (N,) by baseline and film
    events: dict[str, float] = field(default_factory=dict)  # by name, s of the last lawful state; films of states alone
    absent: dict[str, str] = field(default_factory=dict)  # films that cannot be made, with the reason
    seconds: float = 0.0

    def film(self, name: str) -> Clip:
        """A film in the place of the clip's own frames, or states."""
        values = self.films[name]
        return replace(self.clip, frames=values) if values.dtype == np.uint8 else replace(self.clip, states=values)


def clip_films(row: Row, spec: RenderSpec, context: int, sources: Sequence[str], *, known: bool = True) -> ClipFilms:
    """Make the films of a clip and read them with every pixel baseline.

    Args:
        row: The clip.
        spec: Size and rate.
        context: Frames that the model is shown before what it predicts. The films and the pixel baselines do not
            depend on it.
        sources: Names of films.
        known: Whether what pixel baselines made of them before is read from the cache, and kept there.
    """
    begun = time.monotonic()
    clip = clip_store().get(row, spec)
    grid, pixel_grid = window_grid(clip, context), window_grid(clip, SPRITE_FRAMES)
    path = _cache_path(row, spec)
    stored = _read(path, len(pixel_grid.starts)) if known else {}
    films: dict[str, Image] = {}
    before: dict[str, tuple[str, int]] = {}
    baselines: dict[str, dict[str, Array]] = {name: {} for name in PIXEL_BASELINES}
    absent: dict[str, str] = {}
    for source in dict.fromkeys((POSSIBLE, *sorted(sources, key=lambda name: not name.endswith(OTHER_LOOK)))):
        try:
            film: Film = film_of(clip, source, SPRITE_FRAMES)
        except PhysbenchError as reason:
            absent[source] = str(reason)
            continue
        before[source] = nearest_film(source, film.frames, films)
        films[source] = film.frames
        series = stored.get(source)
        if series is None:
            like, first = before[source]
            shared = {name: each[like] for name, each in baselines.items()} if like != source else None
            series = stored[source] = pixel_series(film.frames, pixel_grid, first, shared)
        for name, values in series.items():
            baselines[name][source] = values
    if known:
        _write(path, stored)
    return ClipFilms(clip, grid, pixel_grid, films, before, baselines, absent=absent, seconds=time.monotonic() - begun)


def nearest_film(source: str, film: NDArray[Any], others: Mapping[str, NDArray[Any]]) -> tuple[str, int]:
    """Of other films (T, ...) the one that differs last, and from which moment on; the film itself and 0 if none."""
    found = [(first_difference(film, other), name) for name, other in others.items()]
    first, name = max(found, default=(0, source), key=lambda item: item[0])
    return (name, first) if first > 0 else (source, 0)


def _cache_path(row: Row, spec: RenderSpec) -> Path:
    return cache_dir() / "expectation" / f"{spec}-{fingerprint('expectation')[:16]}" / f"{row.id}.json"


def _read(path: Path, windows: int) -> dict[str, dict[str, Array]]:
    """What is known of the films of a clip: surprise by film and baseline. Nothing where it cannot be read."""
    document = cached(read_sealed_json, path, (OSError, ValueError))
    try:
        found = {
            source: {name: np.array(series[name], dtype=np.float64) for name in PIXEL_BASELINES}
            for source, series in (document or {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found if all(len(each) == windows for series in found.values() for each in series.values()) else {}


def _write(path: Path, known: dict[str, dict[str, Array]]) -> None:
    """Keep what is known; where that cannot be written, it is computed again the next time."""
    document = {source: {name: each.tolist() for name, each in series.items()} for source, series in known.items()}
    try:
        write_sealed_json(path, document)
    except OSError:
        return
