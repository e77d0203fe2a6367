"""Changed worlds that explain what the true laws leave unexplained in a family: theories, intervals, ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.special import ndtri

from physbench.result.bootstrap import MISS, widening
from physbench.result.diagnosis.explanation import Evidence, Explanation, Leaning, explain, leaning, with_shared_noise
from physbench.result.diagnosis.worlds import MAX_VALUES, ChangedWorld
from physbench.result.document import ImpliedLawResult, ImpliedWorldResult
from physbench.result.findings import FEWEST_CLIPS, bounds
from physbench.result.formats import number
from physbench.support.arrays import Array

# Theories: changed worlds with values, what they explain of a family of clips, and the values that fit best.


@dataclass(frozen=True, eq=False)
class Theory:
    """Some changed worlds that are so at once, and what they explain of C clips."""

    worlds: tuple[ChangedWorld, ...]
    values: tuple[float, ...]
    evidence: tuple[Evidence, ...]
    explanations: tuple[Explanation, ...]

    @cached_property
    def shares(self) -> Array:
        """Explained share of the counted time of each clip (C,)."""
        return np.array([each.share for each in self.explanations])

    @cached_property
    def misfit(self) -> float:
        """Mean square distance in sd, geometric mean over the clips; infinity where nothing is explained."""
        values = [each.misfit for each in self.explanations if np.isfinite(each.misfit)]
        return float(np.exp(np.mean(np.log(np.maximum(values, 1e-3))))) if values else float("inf")

    @property
    def free(self) -> int:
        """Number of free numbers."""
        return sum(world.free for world in self.worlds)

    def gain(self, base: Theory) -> float:
        """Share of the time that another theory leaves unexplained which this one explains."""
        return explained_share(self.shares, base.shares, weights(self.evidence))

    def better_than(self, other: Theory) -> bool:
        """True if it explains more time of the same clips, or as much and nearer to the track."""
        weight = weights(self.evidence)
        difference = float(weight @ (self.shares - other.shares) / weight.sum())
        if abs(difference) > 0.003:  # shares that differ by less are equal; then the misfit decides
            return difference > 0
        return self.misfit < other.misfit


def weights(evidence: Sequence[Evidence]) -> Array:
    """Counted object-time s of clips (C,)."""
    return np.array([each.counted.sum() * float(each.seen.times[1] - each.seen.times[0]) for each in evidence])


def explained_share(shares: Array, base: Array, weight: Array) -> float:
    """Share of the unexplained time that is explained: shares and base (..., C) of clips with weights (..., C)."""
    unexplained = float((weight * (1 - base)).sum())
    return float((weight * (shares - base)).sum()) / unexplained if unexplained > 0 else 0.0


def theory_of(
    evidence: Sequence[Evidence],
    worlds: tuple[ChangedWorld, ...] = (),
    values: tuple[float, ...] = (),
    like: Theory | None = None,
    thorough: bool = True,
) -> Theory:
    """Explanation of clips by some changed worlds with values.

    Args:
        worlds: None: the true world.
        values: One each.
        like: A theory of the same clips, whose trajectories are a first guess. Of the true world, if it is to be that
            of clips to which no world applies.
    """
    explanations = []
    for c, each in enumerate(evidence):
        if like is not None and not any(world.applies(each.law) for world in worlds):
            explanations.append(like.explanations[c])
        else:
            arcs = None if like is None or not worlds else like.explanations[c].arcs
            explanations.append(explain(each, worlds, values, arcs, thorough))
    return Theory(worlds, values, tuple(evidence), tuple(explanations))


def leanings(theory: Theory) -> list[Leaning]:
    """Quadratic forms of clips in the values of those worlds that have one, without clips that say nothing of them."""
    free = [n for n, world in enumerate(theory.worlds) if world.free]
    leanings = []
    for evidence, each in zip(theory.evidence, theory.explanations, strict=True):
        if not any(theory.worlds[n].applies(evidence.law) for n in free):
            continue
        lean = leaning(evidence, theory.worlds, theory.values, each)
        if lean is not None:
            part = np.ix_(free, free)
            leanings.append(replace(lean, information=lean.information[part], pull=lean.pull[free]))
    return leanings


def pooled_step(leanings: Sequence[Leaning], counts: Array | None = None) -> Array | None:
    """The step (k,) of the values to the best ones by all clips; None where they do not tell. counts: (C,) of clips."""
    many = np.ones(len(leanings)) if counts is None else counts
    if not len(leanings):
        return None
    information = sum(n * each.information / each.misfit for n, each in zip(many, leanings, strict=True))
    pull = sum(n * each.pull / each.misfit for n, each in zip(many, leanings, strict=True))
    scale = np.sqrt(np.diag(information))
    if not (np.isfinite(scale).all() and (scale > 1e-9).all()):
        return None
    information = information / np.outer(scale, scale) + 1e-9 * np.eye(len(scale))
    return np.asarray(np.linalg.solve(information, pull / scale) / scale)


def median_step(leanings: Sequence[Leaning]) -> Array | None:
    """The median (k,) of the steps that the clips would take each for itself; None where they do not tell.

    Where the track is far off, one clip that is fitted wrongly may outweigh all others in the pooled step.
    """
    steps = [step for each in leanings if (step := pooled_step([each])) is not None]
    return np.median(steps, axis=0) if steps else None


def refined(theory: Theory, rounds: int) -> Theory:
    """The theory with values that explain the clips better, by Gauss and Newton's method, in at most some rounds."""
    free = [n for n, world in enumerate(theory.worlds) if world.free]
    if not free:
        return theory
    for _ in range(rounds):
        clips = leanings(theory)
        pooled, median = pooled_step(clips), median_step(clips)
        if pooled is None or median is None:
            return theory
        improved = None
        for step in (pooled, median, 0.4 * pooled):  # part of a step that is tried where the whole one is too long
            values = _moved(theory, free, step)
            if np.allclose(values, theory.values, rtol=1e-5, atol=1e-7):
                continue
            trial = theory_of(theory.evidence, theory.worlds, values, theory, False)
            if trial.better_than(improved or theory):
                improved = trial
                if step is pooled and np.allclose(pooled, median, rtol=0.2):
                    break
            elif improved is not None:
                break
        if improved is None:
            return theory
        theory = improved
    return theory


def _moved(theory: Theory, free: Sequence[int], step: Array) -> tuple[float, ...]:
    """The values after a step (k,) of those that are free, within their ranges."""
    values = list(theory.values)
    for n, each in zip(free, step.tolist(), strict=True):
        low, high = theory.worlds[n].range
        values[n] = min(max(values[n] + each, low), high)
    return tuple(values)


# 95 % intervals of the values of a theory and of the share that it explains: a bootstrap over clips.

Interval = tuple[float, float]

VALUE_DRAWS = 1000


def value_intervals(theory: Theory) -> list[tuple[float, Interval | None]]:
    """Value and interval of each world of a theory that has a free number."""
    free = [n for n, world in enumerate(theory.worlds) if world.free]
    clips = leanings(theory) if free else []
    step = pooled_step(clips)
    if step is not None and len(free) == 1:
        clips = _damped(clips)
        step = pooled_step(clips)
    if step is None:  # no clip tells the number by more than rounding does
        return [(theory.values[n], None) for n in free]
    telling = len(clips)
    if telling < FEWEST_CLIPS:
        return [(_within(theory, n, theory.values[n] + float(step[k])), None) for k, n in enumerate(free)]
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(VALUE_DRAWS):
        draw = pooled_step(clips, np.bincount(rng.integers(0, telling, telling), minlength=telling).astype(np.float64))
        if draw is not None:
            draws.append(draw)
    away = (np.array(draws) - step) * widening(telling)
    low, high = np.quantile(away, [MISS / 2, 1 - MISS / 2], axis=0)
    # Few clips may agree by chance by more than their noise allows.
    information = np.sum([each.information / each.misfit for each in clips], axis=0)
    least = float(ndtri(1 - MISS / 2)) * np.sqrt(np.diag(np.linalg.pinv(information)))
    low, high = np.minimum(low, -least), np.maximum(high, least)
    result: list[tuple[float, Interval | None]] = []
    for k, n in enumerate(free):
        value = _within(theory, n, theory.values[n] + float(step[k]))
        blur = theory.worlds[n].resolution
        result.append((value, (value + float(low[k]) - blur, value + float(high[k]) + blur)))
    return result


def _within(theory: Theory, n: int, value: float) -> float:
    """A value of world n within its range."""
    low, high = theory.worlds[n].range
    return min(max(value, low), high)


def _damped(leanings: Sequence[Leaning]) -> list[Leaning]:
    """The same clips with weights that allow for a spread of the value between clips (DerSimonian and Laird 1986)."""
    variance = np.array([each.misfit / max(float(each.information[0, 0]), 1e-300) for each in leanings])
    value = np.array([float(each.pull[0]) / max(float(each.information[0, 0]), 1e-300) for each in leanings])
    weight = 1 / variance
    mean = weight @ value / weight.sum()
    excess = weight @ (value - mean) ** 2 - (len(leanings) - 1)
    spread = max(0.0, excess / max(weight.sum() - (weight**2).sum() / weight.sum(), 1e-300))
    return [
        replace(each, misfit=each.misfit * (1 + spread / own)) for each, own in zip(leanings, variance, strict=True)
    ]


def share_interval(shares: Array, base: Array, weight: Array) -> Interval | None:
    """Interval of the explained share of the unexplained time; shares, base and weights (C,) of clips."""
    count = len(shares)
    if count < FEWEST_CLIPS:
        return None
    rng = np.random.default_rng(0)
    own = explained_share(shares, base, weight)
    drawn = rng.integers(0, count, (VALUE_DRAWS, count))
    unexplained = (weight * (1 - base))[drawn].sum(axis=1)
    draws = (weight * (shares - base))[drawn].sum(axis=1)[unexplained > 0] / unexplained[unexplained > 0]
    if not len(draws):
        return None
    low, high = own + widening(count) * (np.quantile(draws, [MISS / 2, 1 - MISS / 2]) - own)
    return float(low), float(min(high, 1.0))


@dataclass(frozen=True)
class SearchEffort:
    """Clips and worlds on which the search spends its time."""

    max_clips: int = 12  # of a family
    first_clips: int = 4  # of these, on which all worlds are tried
    kept_at_first: int = 6  # worlds that are refined on these
    kept: int = 4  # worlds that are refined on all clips
    first_rounds: int = 2  # of refinement; with at most 8 first values MAX_VALUES are not exceeded
    rounds: int = 5  # the same on all clips
    hopeless_share: float = 0.3  # of the share of the best world; what explains less on a few clips is not tried on all
    worse: float = 0.02  # of that share, by which a value that explains less ends the search beyond it
    promising: float = 0.35  # share on a few clips from which on a theory is fitted to all; below it the best one alone


EFFORT = SearchEffort()


@dataclass(frozen=True)
class NamingLimits:
    """Shares of the unexplained time by which worlds are named."""

    lawful: float = 0.03  # share of the time; where less is unexplained there is nothing to name
    named: float = 0.5  # from which on a world is named
    freedom: float = 0.02  # of that share, taken off for each free number
    same: float = 0.03  # worlds whose shares differ by less are told apart by the misfit
    alike: float = 0.05  # difference to the best one up to which a world explains as much
    alike_misfit: float = 1.3  # ratio of misfits, the same


NAMING = NamingLimits()


@dataclass(frozen=True)
class PairSearch:
    """Second worlds beside a first one, by shares of the unexplained time."""

    enough: float = 0.9  # above which no second world is looked for
    hope: float = 0.15  # below which the best world is no part of a pair that could be named
    gain: float = 0.1  # by which a second world must raise the share
    firsts: int = 3  # first worlds of pairs
    kept: int = 4  # pairs that are refined


PAIRS = PairSearch()


Verdict = Literal["lawful", "named", "unsure", "no simple law"]
Named = tuple[ChangedWorld, float | None, Interval | None]  # a world, its value if it has a free one, and its interval


def diagnose_family(evidence: Sequence[Evidence], worlds: Sequence[ChangedWorld]) -> ImpliedWorldResult:
    """Find the changed world, or the two of them, that explain most of what the true laws do not.

    Args:
        evidence: At most `EFFORT.max_clips` clips of a family.
        worlds: All that may be named.
    """
    tremble = float(np.median([each.tremble for each in evidence]))
    evidence = with_shared_noise(evidence)
    base = theory_of(evidence)
    weight = weights(evidence)
    unexplained = float(weight @ (1 - base.shares) / weight.sum())
    nothing = ImpliedWorldResult(
        clips=len(evidence),
        unexplained=unexplained,
        verdict="lawful",
        explained_clips=0,
        laws=[],
        share=0.0,
        interval=None,
        alike=[],
        ranking={},
        tremble=tremble,
    )
    if unexplained < NAMING.lawful:
        return nothing
    applicable = [world for world in worlds if any(world.applies(each.law) for each in evidence)]
    singles = _singles(base, applicable)
    best = _best(singles, base)
    if best is None:
        return nothing.model_copy(update={"verdict": "no simple law"})
    if PAIRS.hope <= best.gain(base) < PAIRS.enough:
        pair = _best_pair(base, singles, applicable)
        if pair is not None and pair.gain(base) >= best.gain(base) + PAIRS.gain + NAMING.freedom:
            best = pair
    share = best.gain(base)
    values = iter(value_intervals(best))
    named: list[Named] = []
    for world in best.worlds:
        value, of_value = next(values) if world.free else (None, None)
        named.append((world, value, of_value))
    interval, explained_clips = (
        share_interval(best.shares, base.shares, weight),
        int((best.shares - base.shares > NAMING.lawful).sum()),
    )
    ranking = sorted(((each.worlds[0].id, each.gain(base)) for each in singles), key=lambda pair: -pair[1])
    return ImpliedWorldResult(
        clips=len(evidence),
        unexplained=unexplained,
        verdict=_verdict(share, interval, explained_clips, named),
        explained_clips=explained_clips,
        laws=[_law(*each) for each in named],
        share=share,
        interval=interval,
        alike=[
            each.worlds[0].id
            for each in singles
            if len(best.worlds) == 1
            and each.worlds != best.worlds
            and each.gain(base) >= share - NAMING.alike
            and each.misfit <= NAMING.alike_misfit * best.misfit
        ],
        ranking=dict(ranking),
        tremble=tremble,
    )


def _law(world: ChangedWorld, value: float | None, interval: Interval | None) -> ImpliedLawResult:
    return ImpliedLawResult(
        id=world.id,
        short=world.short,
        phrase=phrase(world, value, interval),
        unit=world.unit,
        value=value,
        interval=interval,
        true=world.neutral if world.free else None,
        seen=world.sight(value),
    )


def phrase(world: ChangedWorld, value: float | None, interval: Interval | None) -> str:
    """Statement of a changed world with its number: "gravity were 0.90 [0.89, 0.91] times as strong"."""
    if value is None:
        return world.phrase
    return world.phrase.format(value=f"{number(value)} {bounds(interval)}".strip())


def _verdict(share: float, interval: Interval | None, explained_clips: int, named: Sequence[Named]) -> Verdict:
    """named: several clips tell it, no interval holds what is true, and no value is as far as was looked."""
    if share < NAMING.named:
        return "no simple law"
    if explained_clips < FEWEST_CLIPS or interval is None or interval[0] <= 0:
        return "unsure"
    return "named" if all(_is_sure(*each) for each in named if each[0].free) else "unsure"


def _is_sure(world: ChangedWorld, value: float | None, interval: Interval | None) -> bool:
    """True if the interval of a value excludes the true one, and the value lies inside its range, or is 0.

    At an end of its range it is no estimate: a still picture would be a world in which time runs 0.02 times as fast.
    """
    if value is None or interval is None or interval[0] <= world.neutral <= interval[1]:
        return False
    return not (value and np.isclose(value, world.range).any())


def _score(theory: Theory, base: Theory) -> float:
    return theory.gain(base) - NAMING.freedom * theory.free


def _ranked(theories: Sequence[Theory], base: Theory) -> list[Theory]:
    return sorted(theories, key=lambda theory: _score(theory, base), reverse=True)


def _best(theories: Sequence[Theory], base: Theory) -> Theory | None:
    """The theory that explains most; of those that explain as much, the one that is nearest to the tracks."""
    ranked = [theory for theory in _ranked(theories, base) if theory.gain(base) > 0]
    if not ranked:
        return None
    top = [theory for theory in ranked if _score(theory, base) >= _score(ranked[0], base) - NAMING.same]
    return min(top, key=lambda theory: theory.misfit)


def _part(theory: Theory, chosen: Sequence[int]) -> Theory:
    """The same theory of some of its clips."""
    return Theory(
        theory.worlds,
        theory.values,
        tuple(theory.evidence[c] for c in chosen),
        tuple(theory.explanations[c] for c in chosen),
    )


def first_clips(base: Theory, count: int = EFFORT.first_clips) -> list[int]:
    """The clips on which all worlds are tried: of every task in turn those with the most unexplained time."""
    lost = weights(base.evidence) * (1 - base.shares)
    ranks: dict[str, list[int]] = {}
    for c in np.argsort(-lost, kind="stable").tolist():
        ranks.setdefault(base.evidence[c].task, []).append(c)
    order = sorted((rank, -lost[c], c) for clips in ranks.values() for rank, c in enumerate(clips) if lost[c] > 0)
    return [c for _, _, c in order[:count]]


def _singles(base: Theory, worlds: Sequence[ChangedWorld]) -> list[Theory]:
    """Theories of one world each, of all clips, with their best values."""
    few = _part(base, first_clips(base))
    theories = _ranked([first_fit(world, few) for world in worlds], few)
    least = EFFORT.hopeless_share * max(theories[0].gain(few), 0.0)
    hopeful = [each for each in theories[: EFFORT.kept_at_first] if each is theories[0] or each.gain(few) >= least]
    kept = _ranked([refined(each, EFFORT.first_rounds) for each in hopeful], few)[: EFFORT.kept]
    least = max(EFFORT.hopeless_share * kept[0].gain(few), EFFORT.promising)
    return [_of_all(each, base, EFFORT.rounds) for each in kept if each.gain(few) >= least] or [
        _of_all(kept[0], base, 0)
    ]


def first_fit(world: ChangedWorld, base: Theory) -> Theory:
    """The best of the first values of a world, and of one step from the value that changes nothing.

    base: The true world, of the same clips.
    """
    if not world.free:
        return theory_of(base.evidence, (world,), (0.0,), base, False)
    neutral = theory_of(base.evidence, (world,), (world.neutral,), base, False)
    best = refined(neutral, 1)
    for side in (
        reversed([v for v in world.values if v < world.neutral]),
        (v for v in world.values if v > world.neutral),
    ):
        for value in side:  # outwards, for as long as not less is explained than by the value that changes nothing
            trial = theory_of(base.evidence, (world,), (value,), base, False)
            best = trial if trial.better_than(best) else best
            if trial.gain(neutral) < -EFFORT.worse:
                break
    return best


def _of_all(theory: Theory, base: Theory, rounds: int) -> Theory:
    """A theory of some clips as one of all, with values that are refined on them in at most some rounds."""
    whole = refined(theory_of(base.evidence, theory.worlds, theory.values, base, False), rounds)
    return theory_of(base.evidence, whole.worlds, whole.values, base)


def _best_pair(base: Theory, singles: Sequence[Theory], worlds: Sequence[ChangedWorld]) -> Theory | None:
    """The best theory of two worlds, one of them among the best single ones."""
    few = _part(base, first_clips(base))
    pairs: list[Theory] = []
    seen: set[frozenset[str]] = set()
    for single in _ranked(singles, base)[: PAIRS.firsts]:
        for world in worlds:
            names = frozenset((single.worlds[0].id, world.id))
            if len(names) < 2 or names in seen:
                continue
            seen.add(names)
            # From the value that changes nothing one step leads near the best one, if that is not far.
            start = theory_of(few.evidence, (*single.worlds, world), (*single.values, world.neutral), few, False)
            pairs.append(refined(start, 1))
    kept: list[Theory] = []
    for each in _ranked(pairs, few):
        if len(kept) < PAIRS.kept and all({*each.worlds} != {*other.worlds} for other in kept):
            kept.append(each)
    best = _ranked([refined(each, EFFORT.first_rounds) for each in kept], few)[:2]
    return _best([_of_all(each, base, EFFORT.rounds) for each in best if each.gain(few) >= EFFORT.promising], base)


assert 8 + EFFORT.first_rounds + EFFORT.rounds <= MAX_VALUES
