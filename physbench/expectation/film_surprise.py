"""How surprised a model is by the films of a clip, asked through the engine that rolls models out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import StateCard
from physbench.adapters.surprise_card import SurpriseCard
from physbench.clips.clip import Clip, Row
from physbench.errors import UsageError
from physbench.expectation.clip_films import ClipFilms
from physbench.expectation.film_pairs import FilmPair, shown_in_states
from physbench.expectation.film_windows import SHOWN_BEFORE, WindowGrid, squared_error, targets, window_clip
from physbench.expectation.place_error import place_error
from physbench.expectation.state_films import state_error
from physbench.rollouts.batch_plan import Batch, BatchItem
from physbench.rollouts.batch_size_probe import find_batch_size
from physbench.rollouts.rollout import Rollout
from physbench.rollouts.rollout_engine import RolloutEngine

Array = NDArray[np.float64]

MOST_WINDOWS = 10_000  # of a film


@dataclass(frozen=True, eq=False)
class ClipSurprise:
    """Surprise at the films of a clip. N moments."""

    times: Array  # (N,) s of the last frame that each surprise rests on
    films: dict[str, Array]  # (N,) by name of the film; NaN where the model failed
    tracks: dict[str, Array] = field(default_factory=dict)  # the same in tracks, of a model that predicts frames
    failures: dict[str, str] = field(default_factory=dict)  # by name of the film, the first reason
    seconds: float = 0.0  # of the model
    frames: int = 0  # that it predicted


def prediction_errors(engine: RolloutEngine, films: ClipFilms, batch_size: int, samples: int) -> ClipSurprise:
    """Surprise of a model of frames or of states: how wrong it predicts what comes next, mean over samples.

    A window that shows and predicts what one of another film does has its surprise: nothing is predicted twice.
    """
    grid, asked = films.grid, _asked(films)
    items = tuple(BatchItem(row, sample) for row in asked for sample in range(samples))
    plan = [Batch(items[start : start + batch_size], grid.ahead) for start in range(0, len(items), batch_size)]
    errors = {name: np.full((2, samples, len(grid.starts)), np.nan) for name in films.films}
    failures: dict[str, str] = {}
    seconds, frames = 0.0, 0
    for result in engine.run(plan, _loader(films)):
        seconds += result.seconds
        for item, rollout in zip(result.batch.items, result.rollouts, strict=True):
            name, number = item.row.change, item.row.seed % MOST_WINDOWS
            reason = rollout.failure
            if reason is None and rollout.steps < grid.ahead:
                reason = f"{rollout.steps} of {grid.ahead} frames were predicted: leave out --no-chain."
            if reason is not None:
                failures.setdefault(name, reason)
                continue
            frames += rollout.steps
            errors[name][:, item.sample, number] = window_errors(films.film(name), grid, number, rollout)
    found: dict[str, Array] = {}
    for name in films.films:
        values = errors[name].mean(axis=1)
        like, first = films.before[name]
        if like != name:
            same = grid.unaffected(first)
            values[:, same] = found[like][:, same]
            if np.isnan(values[0, same]).any() and like in failures:
                failures.setdefault(name, failures[like])
        found[name] = values
    surprise, tracks = ({name: values[part] for name, values in found.items()} for part in range(2))
    tracks = {} if isinstance(engine.card, StateCard) else tracks
    return ClipSurprise(grid.times, surprise, tracks, failures, seconds, frames)


def window_errors(film: Clip, grid: WindowGrid, number: int, rollout: Rollout) -> tuple[float, float]:
    """How wrong a rollout is about a window of a film: in pixels and in tracks of frames; in diameters of states."""
    if rollout.states is not None:
        return state_error(film, grid, number, rollout.states), np.nan
    true = targets(film.frames, grid, number)
    return squared_error(rollout.frames, true), place_error(film, rollout.frames, true)


def surprise_at_films(engine: RolloutEngine, films: ClipFilms, batch_size: int, samples: int) -> ClipSurprise:
    """Surprise as a model itself states it at whole films, mean over samples. Nothing is shared between films."""
    card, clip = engine.card, films.clip
    start = _film_start(clip, card)
    horizon = len(clip.times) - start - card.context_frames
    rows = [Row(clip.row.task, clip.row.split, clip.row.seed, name) for name in films.films]
    items = tuple(BatchItem(row, sample) for row in rows for sample in range(samples))
    plan = [Batch(items[at : at + batch_size], horizon) for at in range(0, len(items), batch_size)]
    values = {name: np.full((samples, horizon), np.nan) for name in films.films}
    failures: dict[str, str] = {}
    seconds, frames = 0.0, 0
    for result in engine.run(plan, _film_loader(films, card)):
        seconds += result.seconds
        for item, rollout in zip(result.batch.items, result.rollouts, strict=True):
            if rollout.failure is not None or rollout.surprise is None:
                failures.setdefault(item.row.change, rollout.failure or "The model gave no surprise.")
                continue
            frames += len(rollout.surprise)
            values[item.row.change][item.sample] = rollout.surprise
    found = {name: each.mean(axis=0) for name, each in values.items()}
    return ClipSurprise(clip.times[start + card.context_frames :], found, {}, failures, seconds, frames)


def _film_start(clip: Clip, card: ModelCard) -> int:
    """Index of the first frame of a film that is shown: C frames, and SHOWN_BEFORE s of surprise before the hand-over.

    Raises UsageError where nothing is left after the first C frames.
    """
    if card.context_frames >= len(clip.times) - 1:
        raise UsageError(
            f"A film of {clip.id} has {len(clip.times)} frames, and the card of {card.name} asks for "
            f"{card.context_frames} before the first surprise. Give it a shorter context."
        )
    return max(0, clip.handover + 1 - card.context_frames - int(SHOWN_BEFORE * clip.spec.fps))


def _film_loader(films: ClipFilms, card: ModelCard) -> Callable[[Row], Clip]:
    """Whole films as clips whose hand-over is the last of the first C frames."""
    clip = films.clip
    start = _film_start(clip, card)
    zero = clip.times[start + card.context_frames - 1]

    def load(row: Row) -> Clip:
        return replace(
            clip,
            times=clip.times[start:] - zero,
            frames=films.films[row.change][start:],
            states=clip.states[start:],
            visible_area=clip.visible_area[start:],
            full_area=clip.full_area[start:],
        )

    return load


def probed_batch_size(engine: RolloutEngine, films: ClipFilms, samples: int) -> int:
    """How many windows, or films, are given together."""
    if isinstance(engine.card, SurpriseCard):
        row, card = films.clip.row, engine.card
        rows = [Row(row.task, row.split, row.seed, name) for name in films.films]
        frames = len(films.clip.times) - _film_start(films.clip, card) - card.context_frames
        return find_batch_size(engine, rows, _film_loader(films, card), lambda row: frames, samples)
    return find_batch_size(engine, _asked(films), _loader(films), lambda row: films.grid.ahead, samples)


def _asked(films: ClipFilms) -> list[Row]:
    """The windows that are predicted, as rows: the seed has the number of the window, the change the film.

    The generators of a stochastic model are seeded from the row without its change, so that a window of the possible
    film and that of the impossible one get the same random numbers.
    """
    row, grid = films.clip.row, films.grid
    rows = []
    for name in films.films:
        like, first = films.before[name]
        same = grid.unaffected(first) if like != name else np.zeros(len(grid.starts), dtype=bool)
        rows += [
            Row(row.task, row.split, row.seed * MOST_WINDOWS + number, name)
            for number in np.flatnonzero(~same).tolist()
        ]
    return rows


def _loader(films: ClipFilms) -> Callable[[Row], Clip]:
    return lambda row: window_clip(films.film(row.change), films.grid, row.seed % MOST_WINDOWS)


def asked_pairs(pairs: Sequence[FilmPair], card: ModelCard) -> tuple[FilmPair, ...]:
    """The pairs that a model is asked about: a model of states about those that states show."""
    return shown_in_states(pairs) if isinstance(card, StateCard) else tuple(pairs)


def sight(card: ModelCard) -> float:
    """How far back (s) a model sees from the moment of a prediction; one that is shown whole films as its card says.

    From a model of states nothing is hidden.
    """
    if isinstance(card, StateCard):
        return float("inf")
    if isinstance(card, SurpriseCard):
        return float("inf") if card.sees is None else card.sees
    return card.scored_context / card.fps
