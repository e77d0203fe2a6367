"""How surprised a model is by the films of a clip, asked through the engine that rolls models out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.clips.clip import Clip, Row
from physbench.expectation.clip_films import ClipFilms
from physbench.expectation.film_windows import squared_error, targets, window_clip
from physbench.rollouts.batch_plan import Batch, BatchItem
from physbench.rollouts.batch_size_probe import find_batch_size
from physbench.rollouts.rollout_engine import RolloutEngine

Array = NDArray[np.float64]

MOST_WINDOWS = 10_000  # of a film


@dataclass(frozen=True, eq=False)
class ClipSurprise:
    """Surprise at the films of a clip. N moments."""

    times: Array  # (N,) s of the last frame that each surprise rests on
    films: dict[str, Array]  # (N,) by name of the film; NaN where the model failed
    failures: dict[str, str] = field(default_factory=dict)  # by name of the film, the first reason
    seconds: float = 0.0  # of the model
    frames: int = 0  # that it predicted


def prediction_errors(engine: RolloutEngine, films: ClipFilms, batch_size: int, samples: int) -> ClipSurprise:
    """Surprise of a model of frames: how wrong its predictions of the next frames are, mean over samples.

    A window that shows and predicts what one of another film does has its surprise: nothing is predicted twice.
    """
    grid, asked = films.grid, _asked(films)
    items = tuple(BatchItem(row, sample) for row in asked for sample in range(samples))
    plan = [Batch(items[start : start + batch_size], grid.ahead) for start in range(0, len(items), batch_size)]
    errors = {name: np.full((samples, len(grid.starts)), np.nan) for name in films.films}
    failures: dict[str, str] = {}
    seconds, frames = 0.0, 0
    for result in engine.run(plan, _loader(films)):
        seconds += result.seconds
        for item, rollout in zip(result.batch.items, result.rollouts, strict=True):
            name, number = item.row.change, item.row.seed % MOST_WINDOWS
            reason = rollout.failure
            if reason is None and len(rollout.frames) < grid.ahead:
                reason = f"{len(rollout.frames)} of {grid.ahead} frames were predicted: leave out --no-chain."
            if reason is not None:
                failures.setdefault(name, reason)
                continue
            frames += len(rollout.frames)
            true = targets(films.films[name], grid, number)
            errors[name][item.sample, number] = squared_error(rollout.frames, true)
    found: dict[str, Array] = {}
    for name in films.films:
        values = errors[name].mean(axis=0)
        like, first = films.before[name]
        if like != name:
            same = grid.unaffected(first)
            values[same] = found[like][same]
            if np.isnan(values[same]).any() and like in failures:
                failures.setdefault(name, failures[like])
        found[name] = values
    return ClipSurprise(grid.times, found, failures, seconds, frames)


def probed_batch_size(engine: RolloutEngine, films: ClipFilms, samples: int) -> int:
    """How many windows are predicted together."""
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
    return lambda row: window_clip(films.clip, films.films[row.change], films.grid, row.seed % MOST_WINDOWS)


def sight(card: ModelCard) -> float:
    """How far back (s) a model of frames sees from the moment of a prediction."""
    return card.scored_context / card.fps
