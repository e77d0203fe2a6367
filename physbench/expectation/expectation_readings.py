"""All readings of the suite `expectation`, from what the model and the pixel baselines make of each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.expectation.expectation_kinds import CONTROLS, IMPOSSIBLE_KINDS, ImpossibleKind
from physbench.expectation.film_alarms import CALM, control_alarms, film_alarms
from physbench.expectation.film_windows import PREDICTED_SPAN, WINDOW_STRIDE
from physbench.expectation.psychometric import NOTICED_LEVEL, THRESHOLD_RESAMPLES, FittedThreshold, fit_threshold
from physbench.expectation.surprise_series import AHEAD, PairReading, Solved
from physbench.results.bootstrap import MISS
from physbench.results.expectation_schema import (
    ExpectationKindResult,
    ExpectationResult,
    NoticedFrom,
    ObserverResult,
    PairShare,
    SizeResult,
)
from physbench.results.number_format import number

Array = NDArray[np.float64]
Readings = Sequence[PairReading]

SOLVED = 0.6  # a pixel baseline that tells more pairs apart has noticed without understanding
PAIR_RESAMPLES = 1000
FEWEST_SHOWN = 4  # for an interval or a threshold


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
    shown: str = f"{PREDICTED_SPAN:g} s are predicted, every {WINDOW_STRIDE:g} s",
) -> ExpectationResult:
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
    asked = [model[k] for k in near]
    others = {name: [readings[k] for k in near] for name, readings in baselines.items()}
    near_ids = {pairs[k].id for k in near}
    known = {
        name: [reading for reading in readings if reading.pair.id in near_ids]
        for name, readings in (beside or {}).items()
    }
    kinds = {
        name: _kind(kind, asked, others, known, solved if solved is not None else solved_sizes(others), timed=not ahead)
        for name, kind in IMPOSSIBLE_KINDS.items()
        if any(reading.pair.kind == name for reading in asked)
    }
    counting = {(name, size.size) for name, kind in kinds.items() for size in kind.sizes if size.counts}
    counted = [reading for reading in asked if (reading.pair.kind, reading.pair.size) in counting]
    controls = [reading for reading in model if reading.pair.control]
    alarms = film_alarms(asked, controls)
    worst = max((reading.ahead for reading in model), default=0.0)
    return ExpectationResult(
        unit=unit,
        way=way,
        settings={
            "shown": shown,
            "counts": "the mean over time",
            "threshold": f"{NOTICED_LEVEL:.0%} of the pairs",
            "left out of the mean": f"what a {baseline} notices in more than {SOLVED:.0%} of "
            + ("these pairs" if solved is None else "all pairs of the suite"),
            "alarm": f"more surprise than {CALM:.0%} of the possible films",
        },
        counted=over_kinds(counted, f"a {baseline} notices every size that was shown"),
        everything=over_kinds(asked),
        everything_maximum=over_kinds(asked, by_peak=True),
        auroc=alarms["auroc"],
        auroc_maximum=film_alarms(asked, controls, by_peak=True)["auroc"],
        hits=alarms["hits"],
        alarm_level=alarms["level"],
        controls={name: control_alarms(name, controls, asked) for name in CONTROLS if _of(controls, name)},
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
            name: ObserverResult(counted=None, all=None, auroc=None, reason=reason)
            for name, reason in (absent or {}).items()
        },
        baselines=list(baselines),
        baseline=baseline,
        not_shown=list(not_shown),
        failed=sum(reading.failed for reading in model if not reading.pair.control),
        ahead=ahead,
        looks_ahead=""
        if ahead or worst <= AHEAD
        else f"surprise differs by up to {number(100 * worst)} % of its usual level before two films do",
    )


def _observer(readings: Readings, controls: Readings, counting: set[tuple[str, float]]) -> ObserverResult:
    """What somebody else makes of pairs; the AUROC where controls are among the films that it judges."""
    every = over_kinds(readings)
    return ObserverResult(
        counted=over_kinds([r for r in readings if (r.pair.kind, r.pair.size) in counting]).accuracy,
        all=every.accuracy,
        auroc=film_alarms(readings, controls)["auroc"] if controls else None,
        interval=every.interval,
        pairs=every.pairs,
    )


def _of(readings: Readings, kind: str) -> list[PairReading]:
    return [reading for reading in readings if reading.pair.kind == kind]


# Shares of pairs.


def by_clip(readings: Readings, *, by_peak: bool = False) -> tuple[tuple[Row, ...], Array, Array]:
    """Clips, and for each how many of its pairs (C,) are told apart and how many there are (C,)."""
    rows = tuple(dict.fromkeys(reading.pair.row for reading in readings))
    right, pairs = np.zeros(len(rows)), np.zeros(len(rows))
    for reading in readings:
        at = rows.index(reading.pair.row)
        right[at] += reading.right_by_peak if by_peak else reading.right
        pairs[at] += 1
    return rows, right, pairs


def share(readings: Readings, none: str = "there is no pair") -> PairShare:
    """Accuracy over pairs with an interval over clips, whose pairs are drawn together."""
    rows, right, pairs = by_clip(readings)
    if not len(rows):
        return PairShare(accuracy=None, interval=None, pairs=0, reason=none)
    accuracy = float(right.sum() / pairs.sum())
    if len(rows) < FEWEST_SHOWN:
        return PairShare(accuracy=accuracy, interval=None, pairs=int(pairs.sum()), reason="too few clips")
    return PairShare(accuracy=accuracy, interval=_interval(right, pairs), pairs=int(pairs.sum()))


def _mean(readings: Readings) -> float | None:
    """Accuracy alone."""
    return float(np.mean([reading.right for reading in readings])) if readings else None


def _interval(right: Array, pairs: Array) -> tuple[float, float]:
    """Interval of a share over clips; that of Wilson where the clips do not differ."""
    n = len(pairs)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=PAIR_RESAMPLES)
    point = right.sum() / pairs.sum()
    draws = point + np.sqrt(n / (n - 1)) * ((drawn @ right) / (drawn @ pairs) - point)
    return _not_a_point(np.clip(np.quantile(draws, [MISS / 2, 1 - MISS / 2]), 0, 1), point, n)


def _not_a_point(ends: Array, share: float, clips: int) -> tuple[float, float]:
    """The ends of an interval, or those of Wilson for so many clips where all draws of the clips agree."""
    from scipy.stats import binomtest

    low, high = float(ends[0]), float(ends[1])
    if high - low > 1e-12:
        return low, high
    found = binomtest(round(share * clips), clips).proportion_ci(1 - MISS, method="wilson")
    return min(float(found.low), low), max(float(found.high), high)


def over_kinds(readings: Readings, none: str = "there is no pair", *, by_peak: bool = False) -> PairShare:
    """Mean over kinds of the mean over sizes, so that no kind weighs more for having more pairs."""
    kinds = list(dict.fromkeys(reading.pair.kind for reading in readings))
    rows = list(dict.fromkeys(reading.pair.row for reading in readings))
    if not kinds:
        return PairShare(accuracy=None, interval=None, pairs=0, reason=none)
    cells = list(dict.fromkeys((reading.pair.kind, reading.pair.size) for reading in readings))
    right, pairs = np.zeros((len(rows), len(cells))), np.zeros((len(rows), len(cells)))
    for reading in readings:
        at = rows.index(reading.pair.row), cells.index((reading.pair.kind, reading.pair.size))
        right[at] += reading.right_by_peak if by_peak else reading.right
        pairs[at] += 1
    weights = np.array([1 / sum(kind == other for other, _ in cells) for kind, _ in cells])

    def mean(times: Array) -> Array:
        """Mean over cells for clips drawn so many times (R, C); a cell without a clip is left out."""
        there = times @ pairs
        each = np.divide(times @ right, there, out=np.zeros_like(there), where=there > 0)
        used = weights * (there > 0)
        return np.asarray((each * used).sum(1) / np.maximum(used.sum(1), 1e-12))

    accuracy = float(mean(np.ones((1, len(rows))))[0])
    total = int(pairs.sum())
    if len(rows) < FEWEST_SHOWN:
        return PairShare(accuracy=accuracy, interval=None, pairs=total, reason="too few clips")
    n = len(rows)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=PAIR_RESAMPLES).astype(np.float64)
    draws = accuracy + np.sqrt(n / (n - 1)) * (mean(drawn) - accuracy)
    low, high = _not_a_point(np.clip(np.quantile(draws, [MISS / 2, 1 - MISS / 2]), 0, 1), accuracy, n)
    return PairShare(accuracy=accuracy, interval=(low, high), pairs=total)


# Kinds and their thresholds.


def solved_sizes(baselines: Mapping[str, Readings]) -> Solved:
    """The pixel baselines that notice each kind and size in more than SOLVED of these pairs.

    Few pairs of one size scatter: where a curve runs through all sizes, it says what a baseline notices.
    """
    found: dict[tuple[str, float], tuple[str, ...]] = {}
    for name, readings in baselines.items():
        for kind in IMPOSSIBLE_KINDS.values():
            own = _of(readings, kind.name)
            fit = fitted(kind, own, resamples=0)
            for at, size in enumerate(_shown(kind, own)):
                told = _mean([reading for reading in own if reading.pair.size == size])
                value = told if fit is None else float(fit.curve[at])
                noticed = (name,) if value is not None and value > SOLVED else ()
                found[kind.name, size] = (*found.get((kind.name, size), ()), *noticed)
    return found


def _kind(
    kind: ImpossibleKind,
    model: Readings,
    baselines: Mapping[str, Readings],
    beside: Mapping[str, Readings],
    solved: Solved,
    *,
    timed: bool,
) -> ExpectationKindResult:
    own = _of(model, kind.name)
    others = {name: _of(readings, kind.name) for name, readings in baselines.items()}
    found = share(own)
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
    return ExpectationKindResult(
        **found.model_dump(),
        noun=kind.noun,
        unit=kind.unit,
        said=said(kind, threshold),
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


def fitted(kind: ImpossibleKind, readings: Readings, resamples: int = THRESHOLD_RESAMPLES) -> FittedThreshold | None:
    """The psychometric curve of a kind; None without sizes or with too few clips."""
    sizes = _shown(kind, readings)
    rows = list(dict.fromkeys(reading.pair.row for reading in readings))
    if not kind.sized or len(sizes) < 2 or len(rows) < FEWEST_SHOWN:
        return None
    right, pairs = np.zeros((len(rows), len(sizes))), np.zeros((len(rows), len(sizes)))
    for reading in readings:
        at = rows.index(reading.pair.row), sizes.index(reading.pair.size)
        right[at] += reading.right
        pairs[at] += 1
    return fit_threshold(tuple(kind.amount(size) for size in sizes), right, pairs, resamples=resamples)


def noticed_from(kind: ImpossibleKind, fit: FittedThreshold, smallest: float) -> NoticedFrom:
    """A fitted threshold as a severity of the kind, of which `smallest` is the least that was shown."""
    interval = None
    if fit.interval is not None:
        low, high = (kind.severity(end) if np.isfinite(end) else None for end in fit.interval)
        interval = (low, high)
    if not fit.reached:
        return NoticedFrom(size=None, interval=interval, reason="the largest size is noticed in less than 75 %")
    below = bool(np.isclose(fit.amount, kind.amount(smallest)))
    return NoticedFrom(size=kind.severity(fit.amount), interval=interval, below_smallest=below)


def size_text(size: float) -> str:
    """A severity in two digits: "0.36", "10", "−1"."""
    return f"{float(f'{size:.2g}'):g}".replace("-", "−")


def said_of(kind: ImpossibleKind, fit: FittedThreshold | None) -> str:
    """A fitted threshold in words."""
    return said(kind, None if fit is None else noticed_from(kind, fit, kind.sizes[0]))


def said(kind: ImpossibleKind, threshold: NoticedFrom | None) -> str:
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
) -> SizeResult:
    own = [reading for reading in model if reading.pair.size == size]
    at = _shown(kind, model).index(size)

    def accuracy(others: Mapping[str, Readings]) -> dict[str, float | None]:
        return {name: _mean([each for each in readings if each.pair.size == size]) for name, readings in others.items()}

    return SizeResult(
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
