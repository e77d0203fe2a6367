"""Readings of the suite `expectation`: thresholds, false alarms, from the model and the pixel baselines."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.suite import SUITE_VERSION
from physbench.result import document
from physbench.result.bootstrap import MISS
from physbench.result.formats import number
from physbench.result.task_roles import picture_class
from physbench.support.arrays import Array
from physbench.support.files import write_text
from physbench.support.processes import cores, scheduled
from physbench.surprise.ask import LEVEL, PairReading, Solved, auroc, levels, read_pair
from physbench.surprise.clip_films import FILM_PRELOAD, PIXEL_BASELINES, SPRITE_FRAMES, ClipFilms, clip_films
from physbench.surprise.films import POSSIBLE, WINDOW
from physbench.surprise.pairs import CONTROLS, IMPOSSIBLE_KINDS, FilmPair, ImpossibleKind, all_pairs, of_this_suite
from physbench.world.scene import RenderSpec

# Psychometric curves: from how often violations of some sizes are noticed, the size that is noticed in 75 %.
#
# The curve is a Weibull function for a choice between two, P(a) = 1/2 + (1/2 - l) (1 - exp(-(a / s)^k)), with the lapse
# rate l: what goes wrong at any size. All of it is summed over a grid of threshold, steepness and lapse rate with flat
# priors (in the logarithm for the first two), as psignifit does (Schuett, Harmeling, Macke and Wichmann, 2016); the
# threshold is the median of what is left. A curve through perfect steps, for which no best fit exists, has one, too.


@dataclass(frozen=True)
class ThresholdFit:
    """The psychometric function, and where it is read."""

    noticed: float = 0.75  # of the choices are right at the threshold
    chance: float = 0.5
    beyond: float = 4.0  # times beyond the smallest and the largest amount that thresholds are looked for
    resamples: int = 200


FIT = ThresholdFit()


@dataclass(frozen=True, eq=False)
class CurveGrid:
    """All curves that are compared at some amounts. G of them at A amounts."""

    thresholds: Array  # (M,) amounts
    probability: Array  # (M, K, L, A) of a right choice
    amounts: Array  # (A,)


@lru_cache(maxsize=32)
def curve_grid(amounts: tuple[float, ...]) -> CurveGrid:
    """The curves for violations of these amounts, all above 0."""
    a = np.array(amounts)
    thresholds = np.geomspace(a.min() / FIT.beyond, a.max() * FIT.beyond, 96)
    lapses = np.array([0.0, 0.02, 0.05])
    return CurveGrid(
        thresholds,
        weibull(a, thresholds[:, None, None, None], np.geomspace(0.7, 8.0, 6)[:, None, None], lapses[:, None]),
        a,
    )


def weibull(amount: Array, threshold: Array | float, steepness: Array | float, lapse: Array | float) -> Array:
    """Probability of a right choice between two; `FIT.noticed` at the threshold, whatever the lapse rate."""
    reached = -np.log1p(-(FIT.noticed - FIT.chance) / (FIT.chance - lapse))  # (s / threshold)^-k
    return np.asarray(FIT.chance + (FIT.chance - lapse) * -np.expm1(-reached * (amount / threshold) ** steepness))


@dataclass(frozen=True, eq=False)
class FittedThreshold:
    """The amount that is noticed in a share `FIT.noticed` of the pairs."""

    amount: float  # infinite where the largest is noticed less often; the smallest where all are noticed more often
    interval: tuple[float, float] | None  # over clips; ends may be infinite
    curve: Array  # (A,) probability of a right choice at the amounts, the mean over all curves as they are likely

    @property
    def reached(self) -> bool:
        return bool(np.isfinite(self.amount))


def fit_threshold(
    amounts: tuple[float, ...], right: Array, clips: Array, seed: int = 0, resamples: int = FIT.resamples
) -> FittedThreshold:
    """Fit a curve to pairs.

    Args:
        amounts: The A amounts, rising.
        right: For each clip and amount (C, A) how many pairs were told apart; a tie counts half.
        clips: How many pairs there are (C, A).
        seed: Of the bootstrap, in which clips are drawn with all their pairs.
        resamples: Draws of it; 0 for no interval.
    """
    grid = curve_grid(amounts)
    every = _posterior(grid, right.sum(0)[None], clips.sum(0)[None])
    amount = _quantile(grid, every, 0.5)[0]
    curve = np.einsum("gmkl,mkla->ga", every, grid.probability)[0]
    interval = None
    if len(right) > 1 and resamples:
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(len(right), np.full(len(right), 1 / len(right)), size=resamples).astype(np.float64)
        # Widened as the spread of few clips is too small on average: by sqrt(n / (n - 1)) around the estimate.
        draws = _quantile(grid, _posterior(grid, drawn @ right, drawn @ clips), 0.5)
        log, middle = np.log(draws), np.log(amount)
        log = middle + np.sqrt(len(right) / (len(right) - 1)) * (log - middle)
        low, high = np.exp(np.quantile(log, [MISS / 2, 1 - MISS / 2]))
        # Clips that agree draw the same curve every time; what their number leaves open is in the posterior.
        low = min(low, _quantile(grid, every, MISS / 2)[0])
        high = max(high, _quantile(grid, every, 1 - MISS / 2)[0])
        interval = (_censored(grid, low), _censored(grid, high))
    return FittedThreshold(_censored(grid, amount), interval, curve)


def _posterior(grid: CurveGrid, right: Array, pairs: Array) -> Array:
    """Weights (R, M, K, L), of sum 1, of all curves for R data sets (R, A)."""
    p = grid.probability.reshape(-1, len(grid.amounts))
    likelihood = right @ np.log(p).T + (pairs - right) @ np.log1p(-np.minimum(p, 1 - 1e-9)).T
    weights = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights.reshape(-1, *grid.probability.shape[:-1]))


def _quantile(grid: CurveGrid, weights: Array, share: float) -> Array:
    """Quantiles (R,) of the threshold; 0.5: medians."""
    mass = weights.sum(axis=(2, 3)).cumsum(axis=1)
    return np.array([np.exp(np.interp(share, row, np.log(grid.thresholds))) for row in mass])


def _censored(grid: CurveGrid, amount: float) -> float:
    """Beyond the sizes that were shown nothing is known: infinite above the largest, the smallest below it."""
    if amount > grid.amounts.max():
        return float("inf")
    return float(max(amount, grid.amounts.min()))


# Alarms: surprise, over what is usual in a film, beyond one level for all films; the lawful ones give false alarms.

Readings = Sequence[PairReading]


@dataclass(frozen=True)
class PairLimits:
    """Shares of pairs that count."""

    calm: float = 0.95  # of the possible films raise no alarm
    solved: float = 0.6  # a pixel baseline that tells more pairs apart has noticed without understanding
    resamples: int = 1000
    fewest: int = 4  # for an interval or a threshold


PAIRS = PairLimits()


def film_alarms(pairs: Readings, controls: Readings, *, by_peak: bool = False) -> dict[str, float | None]:
    """AUROC with controls among the negatives, the level of an alarm, and the share of impossible films above it.

    A failure never helps: where the model failed on a pair, its impossible film has the least surprise and its lawful
    one the most. The level is that of possible films that were read.
    """
    every = [*pairs, *controls]
    possible, other = relative(every, by_peak=by_peak)
    lawful = np.array([reading.pair.control for reading in every], dtype=bool)
    read = possible[np.isfinite(possible)]
    level = float(np.quantile(read, PAIRS.calm)) if len(read) else None
    hits = other[~lawful]
    return {
        "auroc": auroc(np.concatenate([possible[~lawful], other[lawful]]), hits) if len(read) else None,
        "level": level,
        "hits": float((hits > level).mean()) if level is not None and len(hits) else None,
    }


def relative(readings: Readings, *, by_peak: bool = False) -> tuple[Array, Array]:
    """Surprise (P,) at the possible and at the other film of each pair, over its usual level; of a pair on which the
    model failed infinite: more at what is lawful, less at what is impossible."""
    answered = [reading for reading in readings if not reading.failed]
    names = ("possible_peak", "impossible_peak") if by_peak else ("possible", "impossible")
    good = np.array([not reading.failed for reading in readings], dtype=bool)
    possible = np.full(len(readings), np.inf)
    other = np.array([np.inf if reading.pair.control else -np.inf for reading in readings])
    scale = levels(answered)
    possible[good], other[good] = (np.array([getattr(reading, name) for reading in answered]) / scale for name in names)
    return possible, other


def control_alarms(name: str, controls: Readings, pairs: Readings) -> document.ControlResult:
    every = [*pairs, *controls]
    level = film_alarms(pairs, controls)["level"]
    _, surprise = relative(every)
    own = surprise[[reading.pair.kind == name for reading in every]]
    alarms = None if level is None else float((own > level).mean())
    return document.ControlResult(shows=CONTROLS[name], films=len(own), alarms=alarms)


def expectation_result(
    model: Readings,
    baselines: Mapping[str, Readings],
    *,
    sees: float,
    unit: str,
    way: str,
    ahead: float = 0.0,
    beside: Mapping[str, Readings] | None = None,
    absent: Mapping[str, str] | None = None,
    solved: Solved | None = None,
    baseline: str = "pixel baseline",
    not_shown: Sequence[str] = (),
    shown: str = f"{WINDOW.predicted:g} s are predicted, every {WINDOW.stride:g} s",
) -> document.ExpectationResult:
    """Everything that the pairs tell.

    Args:
        model: What the model makes of each pair and control.
        baselines: The same of each pixel baseline, in the same order.
        sees: How far back (s) the model sees from a prediction; evidence that lies further back is beyond its memory.
        unit: What its surprise is measured in.
        way: How its surprise was read.
        ahead: How far ahead (s) its surprise may depend on what comes, as it says.
        beside: What physicist, model in tracks and untrained copy make of some of the pairs.
        absent: Why one of them judges none.
        solved: The pixel baselines that solve each kind and size, as they are fixed for the suite; None: these pairs
            decide.
        baseline: What a baseline that knows no physics is called.
        not_shown: Kinds, as nouns, that the model is not asked about, as its films do not show them.
        shown: How films are shown to the model.
    """
    pairs = [reading.pair for reading in model]
    far = np.array([not pair.control and pair.hidden > sees + 1e-9 for pair in pairs], dtype=bool)
    near = [k for k, pair in enumerate(pairs) if not pair.control and not far[k]]
    near_kinds = [model[k] for k in near]
    others = {name: [readings[k] for k in near] for name, readings in baselines.items()}
    near_ids = {pairs[k].id for k in near}
    known = {
        name: [reading for reading in readings if reading.pair.id in near_ids]
        for name, readings in (beside or {}).items()
    }
    kinds = {
        name: _kind(
            kind, near_kinds, others, known, solved if solved is not None else solved_sizes(others), timed=not ahead
        )
        for name, kind in IMPOSSIBLE_KINDS.items()
        if any(reading.pair.kind == name for reading in near_kinds)
    }
    counting = {(name, size.size) for name, kind in kinds.items() for size in kind.sizes if size.counts}
    counted = [reading for reading in near_kinds if (reading.pair.kind, reading.pair.size) in counting]
    controls = [reading for reading in model if reading.pair.control]
    alarms = film_alarms(near_kinds, controls)
    worst = max((reading.ahead for reading in model), default=0.0)
    return document.ExpectationResult(
        unit=unit,
        way=way,
        settings={
            "shown": shown,
            "counts": "the mean over time",
            "threshold": f"{FIT.noticed:.0%} of the pairs",
            "left out of the mean": f"what a {baseline} notices in more than {PAIRS.solved:.0%} of "
            + ("these pairs" if solved is None else "all pairs of the suite"),
            "alarm": f"more surprise than {PAIRS.calm:.0%} of the possible films",
        },
        counted=over_kinds(counted, f"a {baseline} notices every size that was shown"),
        everything=over_kinds(near_kinds),
        everything_maximum=over_kinds(near_kinds, by_peak=True),
        auroc=alarms["auroc"],
        auroc_maximum=film_alarms(near_kinds, controls, by_peak=True)["auroc"],
        hits=alarms["hits"],
        alarm_level=alarms["level"],
        controls={name: control_alarms(name, controls, near_kinds) for name in CONTROLS if _of(controls, name)},
        beyond_memory=share(
            [reading for reading, beyond in zip(model, far, strict=True) if beyond],
            "the model sees the evidence of every pair",
        ),
        kinds=kinds,
        observers={
            name: _observer(readings, [r for r in every[name] if r.pair.control], counting)
            for every, near_by in ((baselines, others), (beside or {}, known))
            for name, readings in near_by.items()
        }
        | {
            name: document.ObserverResult(counted=None, all=None, auroc=None, reason=reason)
            for name, reason in (absent or {}).items()
        },
        baselines=list(baselines),
        baseline=baseline,
        not_shown=list(not_shown),
        failed=sum(reading.failed for reading in model if not reading.pair.control),
        ahead=ahead,
        looks_ahead=""
        if ahead or worst <= LEVEL.ahead
        else f"surprise differs by up to {number(100 * worst)} % of its usual level before two films do",
    )


def _observer(readings: Readings, controls: Readings, counting: set[tuple[str, float]]) -> document.ObserverResult:
    """Result of another observer on pairs; the AUROC where controls are among the films that it judges."""
    every = over_kinds(readings)
    return document.ObserverResult(
        counted=over_kinds([r for r in readings if (r.pair.kind, r.pair.size) in counting]).accuracy,
        all=every.accuracy,
        auroc=film_alarms(readings, controls)["auroc"] if controls else None,
        interval=every.interval,
        pairs=every.pairs,
    )


def _of(readings: Readings, kind: str) -> list[PairReading]:
    return [reading for reading in readings if reading.pair.kind == kind]


# Shares of pairs.


def by_clip(
    readings: Readings, cell: Callable[[FilmPair], Hashable], cells: Sequence[Hashable], *, by_peak: bool = False
) -> tuple[Array, Array]:
    """How many pairs of each clip are told apart in each of the cells, and how many there are, both (C, cells)."""
    rows = list(dict.fromkeys(reading.pair.row for reading in readings))
    right, pairs = np.zeros((len(rows), len(cells))), np.zeros((len(rows), len(cells)))
    for reading in readings:
        at = rows.index(reading.pair.row), cells.index(cell(reading.pair))
        right[at] += reading.right_by_peak if by_peak else reading.right
        pairs[at] += 1
    return right, pairs


def share(readings: Readings, none: str = "there is no pair") -> document.PairShare:
    """Accuracy over pairs with an interval over clips, whose pairs are drawn together."""
    right, pairs = (each[:, 0] for each in by_clip(readings, lambda pair: None, [None]))
    if not len(pairs):
        return document.PairShare(accuracy=None, interval=None, pairs=0, reason=none)
    accuracy = float(right.sum() / pairs.sum())
    if len(pairs) < PAIRS.fewest:
        return document.PairShare(accuracy=accuracy, interval=None, pairs=int(pairs.sum()), reason="too few clips")
    return document.PairShare(accuracy=accuracy, interval=_interval(right, pairs), pairs=int(pairs.sum()))


def _mean(readings: Readings) -> float | None:
    """Accuracy alone."""
    return float(np.mean([reading.right for reading in readings])) if readings else None


def _interval(right: Array, pairs: Array) -> tuple[float, float]:
    """Interval of a share over clips; that of Wilson where the clips do not differ."""
    n = len(pairs)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=PAIRS.resamples)
    point = right.sum() / pairs.sum()
    draws = point + np.sqrt(n / (n - 1)) * ((drawn @ right) / (drawn @ pairs) - point)
    return _not_a_point(np.clip(np.quantile(draws, [MISS / 2, 1 - MISS / 2]), 0, 1), point, n)


def _not_a_point(ends: Array, share: float, clips: int) -> tuple[float, float]:
    """The ends of an interval, or those of Wilson for so many clips where all draws of the clips agree."""
    from scipy.stats import binomtest

    low, high = float(ends[0]), float(ends[1])
    if high - low > 1e-12:
        return low, high
    wilson = binomtest(round(share * clips), clips).proportion_ci(1 - MISS, method="wilson")
    return min(float(wilson.low), low), max(float(wilson.high), high)


def over_kinds(readings: Readings, none: str = "there is no pair", *, by_peak: bool = False) -> document.PairShare:
    """Mean over kinds of the mean over sizes, so that no kind weighs more for having more pairs."""
    if not readings:
        return document.PairShare(accuracy=None, interval=None, pairs=0, reason=none)
    cells = list(dict.fromkeys((reading.pair.kind, reading.pair.size) for reading in readings))
    right, pairs = by_clip(readings, lambda pair: (pair.kind, pair.size), cells, by_peak=by_peak)
    n = len(pairs)
    weights = np.array([1 / sum(kind == other for other, _ in cells) for kind, _ in cells])

    def mean(times: Array) -> Array:
        """Mean over cells for clips drawn so many times (R, C); a cell without a clip is left out."""
        there = times @ pairs
        each = np.divide(times @ right, there, out=np.zeros_like(there), where=there > 0)
        used = weights * (there > 0)
        return np.asarray((each * used).sum(1) / np.maximum(used.sum(1), 1e-12))

    accuracy = float(mean(np.ones((1, n)))[0])
    total = int(pairs.sum())
    if n < PAIRS.fewest:
        return document.PairShare(accuracy=accuracy, interval=None, pairs=total, reason="too few clips")
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=PAIRS.resamples).astype(np.float64)
    draws = accuracy + np.sqrt(n / (n - 1)) * (mean(drawn) - accuracy)
    low, high = _not_a_point(np.clip(np.quantile(draws, [MISS / 2, 1 - MISS / 2]), 0, 1), accuracy, n)
    return document.PairShare(accuracy=accuracy, interval=(low, high), pairs=total)


# Kinds and their thresholds.


def solved_sizes(baselines: Mapping[str, Readings]) -> Solved:
    """The pixel baselines that notice each kind and size in more than 0.6 of these pairs.

    Few pairs of one size scatter: where a curve runs through all sizes, it says what a baseline notices.
    """
    solved: dict[tuple[str, float], tuple[str, ...]] = {}
    for name, readings in baselines.items():
        for kind in IMPOSSIBLE_KINDS.values():
            own = _of(readings, kind.name)
            fit = fitted(kind, own, resamples=0)
            for at, size in enumerate(_shown(kind, own)):
                accuracy = _mean([reading for reading in own if reading.pair.size == size])
                value = accuracy if fit is None else float(fit.curve[at])
                noticed = (name,) if value is not None and value > PAIRS.solved else ()
                solved[kind.name, size] = (*solved.get((kind.name, size), ()), *noticed)
    return solved


def _kind(
    kind: ImpossibleKind,
    model: Readings,
    baselines: Mapping[str, Readings],
    beside: Mapping[str, Readings],
    solved: Solved,
    *,
    timed: bool,
) -> document.ExpectationKindResult:
    own = _of(model, kind.name)
    others = {name: _of(readings, kind.name) for name, readings in baselines.items()}
    whole = share(own)
    fit = fitted(kind, own)
    fits = {name: fitted(kind, readings, resamples=0) for name, readings in others.items()}
    known = {name: each for name, readings in beside.items() if (each := _of(readings, kind.name))}
    known_fits = {name: fitted(kind, readings) for name, readings in known.items()}
    sizes = [
        _size(kind, size, own, others, known, fit, solved.get((kind.name, size), ())) for size in _shown(kind, own)
    ]
    counted = {size.size for size in sizes if size.counts}
    smallest = _shown(kind, own)[0]
    threshold = None if fit is None else noticed_from(kind, fit, smallest)
    times = [reading.peak_time for reading in own if timed and np.isfinite(reading.peak_time)]
    return document.ExpectationKindResult(
        **whole.model_dump(),
        noun=kind.noun,
        unit=kind.unit,
        said=threshold_text(kind, threshold),
        threshold=threshold,
        baseline_thresholds={
            name: noticed_from(kind, each, smallest) for name, each in fits.items() if each is not None
        },
        beside_thresholds={
            name: noticed_from(kind, each, _shown(kind, known[name])[0])
            for name, each in known_fits.items()
            if each is not None
        },
        counted=_mean([reading for reading in own if reading.pair.size in counted]),
        peak=float(np.median(times)) if times else None,
        sizes=sizes,
    )


def _shown(kind: ImpossibleKind, readings: Readings) -> list[float]:
    """The sizes of a kind of which there is a pair, from small to large."""
    return [size for size in kind.sizes if any(reading.pair.size == size for reading in readings)]


def fitted(kind: ImpossibleKind, readings: Readings, resamples: int = FIT.resamples) -> FittedThreshold | None:
    """The psychometric curve of a kind; None without sizes or with too few clips."""
    sizes = _shown(kind, readings)
    clips = {reading.pair.row for reading in readings}
    if not kind.sized or len(sizes) < 2 or len(clips) < PAIRS.fewest:
        return None
    right, pairs = by_clip(readings, lambda pair: pair.size, sizes)
    return fit_threshold(tuple(kind.amount(size) for size in sizes), right, pairs, resamples=resamples)


def noticed_from(kind: ImpossibleKind, fit: FittedThreshold, smallest: float) -> document.NoticedFrom:
    """A fitted threshold as a severity of the kind, of which `smallest` is the least that was shown."""
    interval = None
    if fit.interval is not None:
        low, high = (kind.severity(end) if np.isfinite(end) else None for end in fit.interval)
        interval = (low, high)
    if not fit.reached:
        return document.NoticedFrom(
            size=None, interval=interval, reason="the largest size is noticed in less than 75 %"
        )
    below = bool(np.isclose(fit.amount, kind.amount(smallest)))
    return document.NoticedFrom(size=kind.severity(fit.amount), interval=interval, below_smallest=below)


def size_text(size: float) -> str:
    """A severity in two digits: "0.36", "10", "−1"."""
    return f"{float(f'{size:.2g}'):g}".replace("-", "−")


def fitted_text(kind: ImpossibleKind, fit: FittedThreshold | None) -> str:
    """A fitted threshold in words."""
    return threshold_text(kind, None if fit is None else noticed_from(kind, fit, kind.sizes[0]))


def threshold_text(kind: ImpossibleKind, threshold: document.NoticedFrom | None) -> str:
    """A threshold in words: "from 0.4 diameters on", "never"; "" where there is none."""
    if threshold is None:
        return ""
    if threshold.size is None:
        return "never"
    return kind.threshold.format(size_text(threshold.size))


def _size(
    kind: ImpossibleKind,
    size: float,
    model: Readings,
    baselines: Mapping[str, Readings],
    beside: Mapping[str, Readings],
    fit: FittedThreshold | None,
    solved: tuple[str, ...],
) -> document.SizeResult:
    own = [reading for reading in model if reading.pair.size == size]
    at = _shown(kind, model).index(size)

    def accuracy(others: Mapping[str, Readings]) -> dict[str, float | None]:
        return {name: _mean([each for each in readings if each.pair.size == size]) for name, readings in others.items()}

    return document.SizeResult(
        size=size,
        accuracy=_mean(own),
        accuracy_maximum=float(np.mean([reading.right_by_peak for reading in own])) if own else None,
        curve=None if fit is None else float(fit.curve[at]),
        pairs=len(own),
        counts=not solved,
        solved_by=list(solved),
        baselines=accuracy(baselines),
        beside=accuracy(beside),
    )


# Kinds and sizes that a pixel baseline solves, fixed for a version of the suite and a class of picture sizes.
#
# They are decided once, from all pairs of the suite, so that the mean of a run does not depend on the few clips that
# it shows. `python -m physbench.surprise.readings --size 64 --fps 15` writes them into the file of this package.

SOLVED_FILE = "solved.json"
SOLVED_COMMAND = "python -m physbench.surprise.readings --size SIDE --fps RATE"


def fixed_solved(spec: RenderSpec) -> Solved | None:
    """Solved kinds and sizes in pictures of this class; None where they are not fixed, so that a run decides."""
    return of_this_suite(_golden()).get(picture_class(spec))


@cache
def _golden() -> dict[str, dict[str, Solved]]:
    """By version and class."""
    text = files("physbench.surprise").joinpath("golden", SOLVED_FILE).read_text(encoding="utf-8")
    return {
        version: {
            name: {(kind, size): tuple(solved) for kind, sizes in kinds.items() for size, solved in sizes}
            for name, kinds in classes.items()
        }
        for version, classes in json.loads(text)["versions"].items()
    }


def solved_in_suite(spec: RenderSpec, workers: int) -> Solved:
    """Show the films of the whole suite to all pixel baselines."""
    pairs = [pair for pair in all_pairs() if not pair.control]
    rows = list(dict.fromkeys(pair.row for pair in pairs))
    readings: dict[str, list[PairReading]] = {name: [] for name in PIXEL_BASELINES}
    jobs = [(row, [pair for pair in pairs if pair.row == row]) for row in rows]
    show = functools.partial(_films, spec)
    with scheduled(show, jobs, workers=workers, preload=FILM_PRELOAD, label="clips", long=True) as shown:
        for (_, own), films in zip(jobs, shown, strict=True):
            there = [pair for pair in own if not {pair.possible, pair.impossible} & films.absent.keys()]
            for name, series in films.baselines.items():
                readings[name] += [read_pair(pair, series, films.pixel_grid.times) for pair in there]
    return solved_sizes(readings)


def _films(spec: RenderSpec, job: tuple[Row, Sequence[FilmPair]]) -> ClipFilms:
    row, own = job
    names = (POSSIBLE, *(name for pair in own for name in (pair.possible, pair.impossible)))
    return clip_films(row, spec, SPRITE_FRAMES, tuple(dict.fromkeys(names)))


def write_solved(classes: Iterable[tuple[RenderSpec, Solved]], path: Path) -> None:
    """Put what was found for some sizes into the file, beside other versions and classes."""
    stored: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"made_by": SOLVED_COMMAND, "versions": {}}
    )
    for spec, solved in classes:
        kinds: dict[str, list[Any]] = {}
        for (kind, size), names in sorted(solved.items()):
            kinds.setdefault(kind, []).append([size, list(names)])
        stored["versions"].setdefault(str(SUITE_VERSION), {})[picture_class(spec)] = kinds
    write_text(path, json.dumps(stored, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write down what pixel baselines solve in pictures of a size.")
    parser.add_argument("--size", type=int, required=True, help="px")
    parser.add_argument("--fps", type=float, required=True)
    parser.add_argument("--workers", type=int, default=cores())
    options = parser.parse_args()
    spec = RenderSpec(options.size, options.size, options.fps)
    write_solved([(spec, solved_in_suite(spec, options.workers))], Path(__file__).parent / "golden" / SOLVED_FILE)


if __name__ == "__main__":
    main()
