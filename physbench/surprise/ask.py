"""Surprise of a model at the films of a clip: asked through the engine, summed up, compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from physbench.clips.clip import Clip, Row
from physbench.models.protocol import ModelCard, SurpriseCard
from physbench.result.bootstrap import TINY
from physbench.rollout.batches import Batch, BatchItem, find_batch_size
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.store import Rollout
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.files import read_sealed_json
from physbench.surprise.clip_films import (
    PIXEL_BASELINES,
    STATE_BASELINES,
    ClipFilms,
    clip_films,
    place_error,
    state_error,
    state_films,
)
from physbench.surprise.films import WINDOW, WindowGrid, squared_error, targets, window_clip
from physbench.surprise.pairs import FilmPair, shown_in_states

# The stored answers to the films of a clip.

UNTRAINED = "untrained"  # of a part: what the untrained copy makes of the films
IN_TRACKS = "tracks"  # of a part: what the model makes of them in tracks


def read_part(path: Path) -> dict[str, Any] | None:
    """Surprise of a model and the pixel baselines at the films of a clip; None where that is missing or damaged."""
    try:
        document = read_sealed_json(path)
        document["times"], document["films"], document["baselines"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document if isinstance(document, dict) else None


# From surprise over time to one number for a film, and from two films to one choice.

Series = Mapping[str, Array]  # surprise (N,) of the films of a clip, by their names
Solved = Mapping[tuple[str, float], tuple[str, ...]]  # (kind, size) -> the pixel baselines that notice it alone


@dataclass(frozen=True)
class LevelLimits:
    """Differences of surprise that tell."""

    tie: float = 1e-9  # of the larger one: two surprises that differ by less are a tie
    ahead: float = 1e-3  # of the usual level: surprise that differs by more before two films do
    least: float = 0.1  # of the median level of all pairs; a film in which nothing moves has hardly any


LEVEL = LevelLimits()


@dataclass(frozen=True)
class PairReading:
    """Reading of one pair by one observer. Surprises are in the observer's own unit until `level` divides them."""

    pair: FilmPair
    possible: float = np.nan  # mean over the windows that predict something after the hand-over
    impossible: float = np.nan
    possible_peak: float = np.nan  # maximum over the same windows
    impossible_peak: float = np.nan
    level: float = np.nan  # mean over the windows before the event, the same in both films; NaN where there are none
    peak_time: float = np.nan  # s from the event to the largest surprise of the impossible film
    ahead: float = 0.0  # largest difference before the event, of the level
    failed: bool = False

    @property
    def right(self) -> float:
        """1 where the impossible film has the higher mean, 0.5 for a tie, 0 else and where the observer failed."""
        return 0.0 if self.failed else choice(self.possible, self.impossible)

    @property
    def right_by_peak(self) -> float:
        """The same by the maximum."""
        return 0.0 if self.failed else choice(self.possible_peak, self.impossible_peak)


def choice(possible: float, impossible: float) -> float:
    """1, 0.5 or 0: whether the impossible one is higher."""
    if abs(impossible - possible) <= LEVEL.tie * max(abs(impossible), abs(possible)) + TINY * LEVEL.tie:
        return 0.5
    return float(impossible > possible)


def read_pair(pair: FilmPair, series: Series, times: Array) -> PairReading:
    """Read one pair from the surprise of its two films.

    Args:
        series: Surprise (N,) of the films of its clip, by name; a film that is missing or not finite has failed.
        times: (N,) s of the last frame that each surprise rests on.
    """
    one, other = series.get(pair.possible), series.get(pair.impossible)
    if one is None or other is None or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return PairReading(pair, failed=True)
    after, before = times > 1e-9, times <= pair.event + 1e-9
    level = float(one[before].mean()) if before.any() else np.nan
    scale = max(abs(level), TINY) if before.any() else 1.0
    late = np.flatnonzero(after)
    return PairReading(
        pair,
        possible=float(one[after].mean()),
        impossible=float(other[after].mean()),
        possible_peak=float(one[after].max()),
        impossible_peak=float(other[after].max()),
        level=level,
        peak_time=float(times[late[np.argmax(other[late])]]) - pair.event,
        # Surprise may have either sign: what is usual is its level or its spread, whichever is larger.
        ahead=float(np.abs(one - other)[before].max() / max(scale, float(one.std()))) if before.any() else 0.0,
    )


def levels(readings: list[PairReading]) -> Array:
    """Divisors of the surprise of each pair (P,): its usual level, and no less than 0.3 of the median.

    Where no window lies before the event, that is the median; 1 where there is none at all.
    """
    own = np.array([reading.level for reading in readings])
    known = own[np.isfinite(own)]
    middle = float(np.median(known)) if len(known) else 1.0
    middle = middle if middle > TINY else float(known.mean()) if len(known) and known.mean() > TINY else 1.0
    return np.maximum(np.where(np.isfinite(own), own, middle), LEVEL.least * middle)


def auroc(negatives: Array, positives: Array) -> float | None:
    """Probability that one of the positives (P,) exceeds one of the negatives (N,); ties count half. None without."""
    if not len(negatives) or not len(positives):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positives, negatives]))
    most = ranks[: len(positives)].sum() - len(positives) * (len(positives) + 1) / 2
    return float(most / (len(positives) * len(negatives)))


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


def _windows(films: ClipFilms) -> list[Row]:
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


def _whole(films: ClipFilms) -> list[Row]:
    """Whole films as rows: the change has the film."""
    row = films.clip.row
    return [Row(row.task, row.split, row.seed, name) for name in films.films]


def _film_start(clip: Clip, card: ModelCard) -> int:
    """Index of the first frame of a film that is shown: C frames, and 1 s of surprise, before the hand-over.

    Raises UsageError where nothing is left after the first C frames.
    """
    if card.context_frames >= len(clip.times) - 1:
        raise UsageError(
            f"A film of {clip.id} has {len(clip.times)} frames, and the card of {card.name} asks for "
            f"{card.context_frames} before the first surprise. Give it a shorter context."
        )
    return max(0, clip.handover + 1 - card.context_frames - int(WINDOW.shown_before * clip.spec.fps))


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


# The kinds of observers: of what films a model is shown, and what its surprise is.


@dataclass(frozen=True)
class FrameObserver:
    """A model of frames: its surprise is how wrong it predicts windows of a film."""

    card: ModelCard

    noun = "window"  # what is given to it together
    baselines: ClassVar[tuple[str, ...]] = tuple(PIXEL_BASELINES)

    @property
    def _seen(self) -> int:
        """Moments of a film before what is predicted."""
        return min(self.card.context_frames, self.card.history_frames)

    def pairs(self, pairs: Sequence[FilmPair]) -> tuple[FilmPair, ...]:
        """The pairs that the model is asked about."""
        return tuple(pairs)

    def films(self, row: Row, sources: Sequence[str], *, known: bool = True) -> ClipFilms:
        """The films of a clip as the model is shown them. known: what the cache holds of them is used."""
        return clip_films(row, self.card.spec, self._seen, sources, known=known)

    def batch_size(self, engine: RolloutEngine, films: ClipFilms, samples: int) -> int:
        """Number of windows, or films, that are given together, from a probe."""
        return find_batch_size(engine, _windows(films), _loader(films), lambda row: films.grid.ahead, samples)

    def manner(self, notes: Sequence[str]) -> dict[str, Any]:
        """Sight, unit and way of reading, for `expectation_result`. notes: of the run."""
        return {
            "sees": self.card.sight,
            "unit": "squared error of pixels, white = 1",
            "way": "error of the predicted frames",
        }

    def _errors(self, film: Clip, grid: WindowGrid, number: int, rollout: Rollout) -> tuple[float, float]:
        """Errors of a rollout about a window of a film: in the unit of the observer, and in tracks, NaN without."""
        true = targets(film.frames, grid, number)
        return squared_error(rollout.frames, true), place_error(film, rollout.frames, true)

    def ask(self, engine: RolloutEngine, films: ClipFilms, batch_size: int, samples: int) -> ClipSurprise:
        """Errors of the model about what comes next, mean over samples.

        A window that shows and predicts what one of another film does has its surprise: nothing is predicted twice.
        """
        grid = films.grid
        items = tuple(BatchItem(row, sample) for row in _windows(films) for sample in range(samples))
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
                errors[name][:, item.sample, number] = self._errors(films.film(name), grid, number, rollout)
        means: dict[str, Array] = {}
        for name in films.films:
            values = errors[name].mean(axis=1)
            like, first = films.before[name]
            if like != name:
                same = grid.unaffected(first)
                values[:, same] = means[like][:, same]
                if np.isnan(values[0, same]).any() and like in failures:
                    failures.setdefault(name, failures[like])
            means[name] = values
        surprise, tracks = ({name: values[part] for name, values in means.items()} for part in range(2))
        tracks = tracks if self.card.sees_pictures else {}
        return ClipSurprise(grid.times, surprise, tracks, failures, seconds, frames)


class StateObserver(FrameObserver):
    """A model of states: the same of windows of states, with an error in diameters."""

    baselines = tuple(STATE_BASELINES)

    def pairs(self, pairs: Sequence[FilmPair]) -> tuple[FilmPair, ...]:
        """The pairs that states show."""
        return shown_in_states(pairs)

    def films(self, row: Row, sources: Sequence[str], *, known: bool = True) -> ClipFilms:
        return state_films(row, self.card.spec, self._seen, sources)

    def _errors(self, film: Clip, grid: WindowGrid, number: int, rollout: Rollout) -> tuple[float, float]:
        return state_error(film, grid, number, rollout.answer), np.nan

    def manner(self, notes: Sequence[str]) -> dict[str, Any]:
        how = {"unit": "diameters", "way": "error of the predicted states", "baseline": "state baseline"}
        return {"sees": self.card.sight, **how}


class FilmObserver(FrameObserver):
    """A model that is shown whole films, and states its surprise itself."""

    card: SurpriseCard

    noun = "film"

    def films(self, row: Row, sources: Sequence[str], *, known: bool = True) -> ClipFilms:
        return clip_films(row, self.card.spec, 1, sources, known=known)

    def batch_size(self, engine: RolloutEngine, films: ClipFilms, samples: int) -> int:
        frames = len(films.clip.times) - _film_start(films.clip, self.card) - self.card.context_frames
        return find_batch_size(engine, _whole(films), _film_loader(films, self.card), lambda row: frames, samples)

    def manner(self, notes: Sequence[str]) -> dict[str, Any]:
        how = {"ahead": self.card.ahead, "unit": self.card.unit, "way": "surprise as the model states it"}
        return {"sees": self.card.sight, **how, "shown": " ".join(notes) or "whole films"}

    def ask(self, engine: RolloutEngine, films: ClipFilms, batch_size: int, samples: int) -> ClipSurprise:
        """Surprise as a model itself states it at whole films, mean over samples. Nothing is shared between films."""
        card, clip = self.card, films.clip
        start = _film_start(clip, card)
        horizon = len(clip.times) - start - card.context_frames
        items = tuple(BatchItem(row, sample) for row in _whole(films) for sample in range(samples))
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
        means = {name: each.mean(axis=0) for name, each in values.items()}
        return ClipSurprise(clip.times[start + card.context_frames :], means, {}, failures, seconds, frames)


OBSERVERS: Mapping[str, type[FrameObserver]] = {
    "frames": FrameObserver,
    "states": StateObserver,
    "surprise": FilmObserver,
}


def observer_of(card: ModelCard) -> FrameObserver:
    """A model as an observer of films."""
    return OBSERVERS[card.answers](card)
