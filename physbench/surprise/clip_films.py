"""In a worker: the films of one clip, as pictures and as states, with what baselines without physics make of them.

A pixel baseline tells from pixels, and places of colours, alone. A kind and size of violation that one of these notices
asks for no understanding, so that it leaves the mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from physbench.baselines.constant_velocity import decompose_context, draw_frames
from physbench.clips.clip import Clip, Row
from physbench.clips.store import clip_store
from physbench.models.protocol import PLACE, SPEED
from physbench.support.arrays import Array, Image
from physbench.support.errors import PhysbenchError
from physbench.support.files import cache_dir, cached, read_sealed_json, write_sealed_json
from physbench.support.fingerprint import fingerprint
from physbench.surprise.films import (
    OTHER_LOOK,
    POSSIBLE,
    Film,
    WindowGrid,
    film_of,
    film_states,
    first_difference,
    squared_error,
    targets,
    window_grid,
)
from physbench.track.blobs import coarse, shrink
from physbench.track.colour import Colours, colours_of
from physbench.validity.violations.violation_looks import WHITE_LEVEL
from physbench.world.camera import pixels_per_metre
from physbench.world.drawing import apparent_radius
from physbench.world.scene import RenderSpec

# How far a prediction puts the coloured bodies of a film from where they are: surprise in tracks.
#
# Bodies are told apart by hue, with the labels of the tracker; a body is where the chroma of its hue is. That is read
# in the predicted frames and in the true ones, so that a film with an impossible event needs no other knowledge than
# any film.


MOST_PLACE_ERROR = 1.0  # diameters; so much for a body that is further off, or seen in one of two frames alone


def place_error(clip: Clip, predicted: Image, true: Image) -> float:
    """Mean distance of the bodies in predicted frames (T, H, W, 3) from those in the true ones, in their diameters.

    A body that only one of two frames shows counts MOST_PLACE_ERROR, one that neither shows nothing. 0 without bodies.
    """
    bodies = clip.tracked_bodies
    if not bodies:
        return 0.0
    scale = pixels_per_metre(clip.scene.camera, clip.spec)
    diameters = np.array([2 * apparent_radius(body, clip.scene.camera) * scale for body in bodies])
    colours = colours_of(tuple(body.hue for body in bodies if body.hue is not None), torch.device("cpu"))
    # what shows less than a tenth of a body's area is not seen
    places = coloured_places(np.concatenate([predicted, true]), colours, 0.1 * np.pi / 4 * diameters**2)
    ours, theirs = places[: len(predicted)], places[len(predicted) :]
    far = np.linalg.norm(ours - theirs, axis=-1) / diameters
    seen = np.isfinite(ours[..., 0]).astype(int) + np.isfinite(theirs[..., 0])
    return float(np.mean(np.where(seen == 2, np.fmin(far, MOST_PLACE_ERROR), MOST_PLACE_ERROR * (seen == 1))))


def coloured_places(frames: Image, colours: Colours, least: Array) -> Array:
    """Places (N, K, 2) px of K hues in frames (N, H, W, 3); NaN where a hue covers less than `least` (K,) px."""
    small, factor = shrink(torch.from_numpy(np.ascontiguousarray(frames)))
    maps = coarse(small, colours)
    factor *= maps.factor
    pooled = maps.pooled.to(torch.float64)
    chroma = pooled.amax(-1) - pooled.amin(-1)
    rows, columns = (torch.arange(side, dtype=torch.float64) + 0.5 for side in chroma.shape[1:])
    places = np.full((len(frames), colours.count, 2), np.nan)
    for k in range(colours.count):
        here = maps.labels == 1 << k
        weight = chroma * here
        total = weight.sum((1, 2)).clamp(min=1e-9)
        middle = torch.stack([(weight.sum(1) @ columns) / total, (weight.sum(2) @ rows) / total], dim=-1) * factor
        seen = (here.sum((1, 2)) * factor**2).numpy() >= least[k]
        places[seen, k] = middle.numpy()[seen]
    return places


PixelSurprise = Callable[[Image, WindowGrid, int], float]  # film (T, H, W, 3), windows, number of one -> its surprise

SPRITE_FRAMES = 8  # from which the objects of `constant-velocity` and their speeds are taken


def frozen_frame(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of the last frame shown, repeated."""
    return squared_error(frames[int(grid.starts[number])][None], targets(frames, grid, number))


def frame_difference(frames: Image, grid: WindowGrid, number: int) -> float:
    """Difference of each frame from the one before it."""
    start = int(grid.starts[number])
    return squared_error(frames[start : start + grid.ahead], targets(frames, grid, number))


def optical_flow(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of the last frame, moved on along the optical flow between the last two."""
    from skimage.registration import optical_flow_ilk

    start = int(grid.starts[number])
    if start == 0:
        return frozen_frame(frames, grid, number)
    last = frames[start].astype(np.float32) / WHITE_LEVEL
    before = frames[start - 1].astype(np.float32) / WHITE_LEVEL
    backwards = optical_flow_ilk(  # type: ignore[no-untyped-call]
        last.mean(-1),
        before.mean(-1),
        radius=5,  # px
        num_warp=4,  # iterations on each level of the pyramid
    )
    flow = np.asarray(backwards)  # (2, H, W) px, backwards
    places = np.stack(np.meshgrid(*map(np.arange, last.shape[:2]), indexing="ij"))
    predicted = [
        np.stack(
            [map_coordinates(last[..., c], places + step * flow, order=1, mode="nearest") for c in range(3)], axis=-1
        )
        for step in range(1, grid.ahead + 1)
    ]
    return squared_error(WHITE_LEVEL * np.stack(predicted), targets(frames, grid, number))


def straight_lines(frames: Image, grid: WindowGrid, number: int) -> float:
    """Error of coloured objects that go on in straight lines, as `baseline:constant-velocity` draws them."""
    start = int(grid.starts[number])
    shown = frames[max(start + 1 - SPRITE_FRAMES, 0) : start + 1].astype(np.float32) / WHITE_LEVEL
    predicted = draw_frames(*decompose_context(shown), np.arange(1, grid.ahead + 1))
    return squared_error(WHITE_LEVEL * predicted.astype(np.float64), targets(frames, grid, number))


PIXEL_BASELINES: Mapping[str, PixelSurprise] = {
    "frozen frame": frozen_frame,
    "frame difference": frame_difference,
    "optical flow": optical_flow,
    "constant velocity": straight_lines,
}


def pixel_series(
    frames: Image, grid: WindowGrid, first: int = 0, shared: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Surprise (N,) of every pixel baseline in the windows of a film.

    Args:
        frames: The film (T, H, W, 3).
        grid: Its N windows.
        first: Index of the first frame that differs from the film of `shared`.
        shared: The same of a film that is identical before `first`: those windows are not computed again.
    """
    result = {}
    same = grid.unaffected(first)
    for name, surprise in PIXEL_BASELINES.items():
        values = np.empty(len(grid.starts))
        for number in range(len(values)):
            known = shared is not None and same[number]
            values[number] = shared[name][number] if shared and known else surprise(frames, grid, number)
        result[name] = values
    return result


FILM_PRELOAD = ("physbench.surprise.clip_films", "physbench.world.drawing")


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
        spec: Size and rate.
        context: Frames that the model is shown before what it predicts. The films and the pixel baselines do not
            depend on it.
        sources: Names of films.
        known: Whether what pixel baselines made of them before is read from the cache, and kept there.
    """
    begun = time.monotonic()
    clip = clip_store().get(row, spec)
    grid, pixel_grid = window_grid(clip, context), window_grid(clip, SPRITE_FRAMES)
    path = cache_dir() / "expectation" / f"{spec.folder}-{fingerprint('expectation')[:16]}" / f"{row.id}.json"
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
    differences = [(first_difference(film, other), name) for name, other in others.items()]
    first, name = max(differences, default=(0, source), key=lambda item: item[0])
    return (name, first) if first > 0 else (source, 0)


def _read(path: Path, windows: int) -> dict[str, dict[str, Array]]:
    """Stored surprise of the films of a clip, by film and baseline. Nothing where it cannot be read."""
    document = cached(read_sealed_json, path, (OSError, ValueError))
    try:
        stored = {
            source: {name: np.array(series[name], dtype=np.float64) for name in PIXEL_BASELINES}
            for source, series in (document or {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return stored if all(len(each) == windows for series in stored.values() for each in series.values()) else {}


def _write(path: Path, known: dict[str, dict[str, Array]]) -> None:
    """Keep what is known; where that cannot be written, it is computed again the next time."""
    document = {source: {name: each.tolist() for name, each in series.items()} for source, series in known.items()}
    try:
        write_sealed_json(path, document)
    except OSError:
        return


# Films of states: the same events as in pictures, as the states of bodies, for models that answer with states.
#
# Windows are those of pictures that begin once nothing is held any more. Surprise is the mean distance of the predicted
# places of moving bodies from the true ones, in diameters. Nothing is hidden in states: an event begins where they
# first differ, behind a screen too.

StatePrediction = Callable[[Clip, WindowGrid, int], Array]  # film, windows, number of one -> states (ahead, K, 13)


def state_error(film: Clip, grid: WindowGrid, number: int, predicted: Array) -> float:
    """Mean distance in diameters of predicted states (ahead, K, 13) from those of a film, over its moving bodies."""
    start, tracked = int(grid.starts[number]), film.tracked
    moving = [k for k, body in enumerate(film.tracked_bodies) if body.role == "moving"]
    true = film.states[start + 1 : start + 1 + grid.ahead, list(tracked), PLACE]
    far = np.linalg.norm(predicted[..., PLACE] - true, axis=-1)  # (ahead, K) m
    diameters = np.maximum(film.diameters()[film.handover], 1e-9)
    return float((far / diameters)[:, moving].mean())


def frozen_state(film: Clip, grid: WindowGrid, number: int) -> Array:
    """The last state shown, repeated."""
    last = film.states[int(grid.starts[number]), list(film.tracked)]
    return np.repeat(last[None], grid.ahead, axis=0)


def straight_motion(film: Clip, grid: WindowGrid, number: int) -> Array:
    """Every body goes on with its velocity, through everything."""
    states = frozen_state(film, grid, number)
    seconds = np.arange(1, grid.ahead + 1) / film.spec.fps
    states[..., PLACE] += states[..., SPEED] * seconds[:, None, None]
    return states


STATE_BASELINES: Mapping[str, StatePrediction] = {
    "frozen state": frozen_state,
    "constant velocity": straight_motion,
}


def state_films(row: Row, spec: RenderSpec, context: int, sources: Sequence[str]) -> ClipFilms:
    """In a worker: the films of a clip as states, and what baselines that know no physics make of them.

    Args:
        spec: Rate of the states, and size of the pictures of a report.
        context: States that the model is shown before what it predicts.
        sources: Names of films.
    """
    begun = time.monotonic()
    clip = clip_store().get(row, spec)
    grid, alone = (_after_release(window_grid(clip, shown), clip) for shown in (context, 1))
    films = ClipFilms(clip, grid, alone, {}, {}, {name: {} for name in STATE_BASELINES})
    for source in dict.fromkeys((POSSIBLE, *sources)):
        try:
            states, event = film_states(clip, source)
        except PhysbenchError as reason:
            films.absent[source] = str(reason)
            continue
        films.before[source] = nearest_film(source, states, films.films)
        films.films[source] = states
        if source != POSSIBLE:
            films.events[source] = event
        film = films.film(source)
        for name, predict in STATE_BASELINES.items():
            errors = [state_error(film, alone, k, predict(film, alone, k)) for k in range(len(alone.starts))]
            films.baselines[name][source] = np.array(errors)
    return replace(films, seconds=time.monotonic() - begun)


def _after_release(grid: WindowGrid, clip: Clip) -> WindowGrid:
    """The windows that begin once nothing is held any more: what holds a body is no state of it."""
    last = max((body.release for body in clip.scene.bodies if body.release is not None), default=-np.inf)
    free = clip.times[grid.starts] >= last - 1e-9
    return replace(grid, starts=grid.starts[free], times=grid.times[free])
