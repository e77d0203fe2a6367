"""Theories: changed worlds with values, what they explain of a family of clips, and the values that fit best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from physbench.diagnosis.changed_world import ChangedWorld
from physbench.diagnosis.explanation import Evidence, Explanation, Leaning, explain, leaning

Array = NDArray[np.float64]

EQUAL_SHARE = 0.003  # shares that differ by less are equal; then the misfit decides
SHORTER = 0.4  # part of a step that is tried where the whole one is too long


@dataclass(frozen=True, eq=False)
class Theory:
    """Some changed worlds that are so at once, and what they explain of C clips."""

    worlds: tuple[ChangedWorld, ...]
    values: tuple[float, ...]
    evidence: tuple[Evidence, ...]
    found: tuple[Explanation, ...]

    @cached_property
    def shares(self) -> Array:
        """Explained share of the counted time of each clip (C,)."""
        return np.array([each.share for each in self.found])

    @cached_property
    def misfit(self) -> float:
        """Mean square distance in sd, geometric mean over the clips; infinity where nothing is explained."""
        values = [each.misfit for each in self.found if np.isfinite(each.misfit)]
        return float(np.exp(np.mean(np.log(np.maximum(values, 1e-3))))) if values else float("inf")

    @property
    def free(self) -> int:
        """Number of free numbers."""
        return sum(world.free for world in self.worlds)

    def gain(self, base: Theory) -> float:
        """Share of the time that another theory leaves unexplained which this one explains."""
        return explained_share(self.shares, base.shares, weights(self.evidence))

    def better_than(self, other: Theory) -> bool:
        """Whether it explains more time of the same clips, or as much and nearer to the track."""
        weight = weights(self.evidence)
        difference = float(weight @ (self.shares - other.shares) / weight.sum())
        if abs(difference) > EQUAL_SHARE:
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
    """What some changed worlds with values explain of clips.

    Args:
        evidence: The clips.
        worlds: None: the true world.
        values: One each.
        like: A theory of the same clips, whose trajectories are a first guess. Of the true world, if it is to be that
            of clips to which no world applies.
        thorough: As of `explain`.
    """
    found = []
    for c, each in enumerate(evidence):
        if like is not None and not any(world.applies(each.model) for world in worlds):
            found.append(like.found[c])
        else:
            found.append(
                explain(each, worlds, values, None if like is None or not worlds else like.found[c].arcs, thorough)
            )
    return Theory(worlds, values, tuple(evidence), tuple(found))


def leanings(theory: Theory) -> list[Leaning]:
    """How each clip would change the values of those worlds that have one, without clips that say nothing of them."""
    free = [n for n, world in enumerate(theory.worlds) if world.free]
    found = []
    for evidence, each in zip(theory.evidence, theory.found, strict=True):
        if not any(theory.worlds[n].applies(evidence.model) for n in free):
            continue
        lean = leaning(evidence, theory.worlds, theory.values, each)
        if lean is not None:
            part = np.ix_(free, free)
            found.append(replace(lean, information=lean.information[part], pull=lean.pull[free]))
    return found


def pooled_step(found: Sequence[Leaning], counts: Array | None = None) -> Array | None:
    """The step (k,) of the values to the best ones by all clips; None where they do not tell. counts: (C,) of clips."""
    many = np.ones(len(found)) if counts is None else counts
    if not len(found):
        return None
    information = sum(n * each.information / each.misfit for n, each in zip(many, found, strict=True))
    pull = sum(n * each.pull / each.misfit for n, each in zip(many, found, strict=True))
    scale = np.sqrt(np.diag(information))
    if not (np.isfinite(scale).all() and (scale > 1e-9).all()):
        return None
    information = information / np.outer(scale, scale) + 1e-9 * np.eye(len(scale))
    return np.asarray(np.linalg.solve(information, pull / scale) / scale)


def median_step(found: Sequence[Leaning]) -> Array | None:
    """The median (k,) of the steps that the clips would take each for itself; None where they do not tell.

    Where the track is far off, one clip that is fitted wrongly may outweigh all others in the pooled step.
    """
    steps = [step for each in found if (step := pooled_step([each])) is not None]
    return np.median(steps, axis=0) if steps else None


def refined(theory: Theory, rounds: int) -> Theory:
    """The theory with values that explain the clips better, by Gauss and Newton's method, in at most some rounds."""
    free = [n for n, world in enumerate(theory.worlds) if world.free]
    if not free:
        return theory
    for _ in range(rounds):
        found = leanings(theory)
        pooled, median = pooled_step(found), median_step(found)
        if pooled is None or median is None:
            return theory
        improved = None
        for step in (pooled, median, SHORTER * pooled):
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
