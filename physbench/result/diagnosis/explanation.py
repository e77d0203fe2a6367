"""Share of a predicted motion that a changed world explains, clip by clip.

The search is that of shadowing: one trajectory is fitted to the track, context included, and extended for as long as it
stays within the tolerance. Only the time before the first break of each body counts.

Positions that tremble stay where they are: noise is estimated once, about lawful segments, and each world then has the
same. A fit by least squares takes it as it is. A world explains a point that lies within what noise allows, and about
which distances from its own trajectory have a local mean as small as without noise.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from physbench.clips.clip import Clip
from physbench.laws.scene_law import SceneLaw
from physbench.result.diagnosis.worlds import ChangedWorld, altered_by, change_of
from physbench.result.findings import FEWEST_CLIPS
from physbench.shadowing.fit import Arc, ArcFit, Hypothesis, Tolerance
from physbench.shadowing.levels import HIDDEN_TOLERANCE, TOLERANCES
from physbench.shadowing.nuisances import independent_noise, local_means, with_noise
from physbench.shadowing.observed_motion import POSITION, PlacedBodies
from physbench.shadowing.search import SegmentSearch, SegmentStarts
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import Tracks

LIMITS = tuple(each for each in TOLERANCES if each <= HIDDEN_TOLERANCE)  # diameters; a looser one tells no laws apart


class LeastSquaresSearch(SegmentSearch):
    """A search for the first break that fits by least squares alone: what that misses is no matter of laws."""

    def _minimax_fits(self, fit: ArcFit, frame: int) -> Iterator[Array]:
        return iter(())


@dataclass(frozen=True, eq=False)
class Evidence:
    """The tracked motion of one prediction."""

    clip: str  # its id
    task: str
    law: SceneLaw  # of the true scene
    seen: PlacedBodies
    tremble: float = 0.0  # diameters, sd of independent noise of its positions beyond what their outlines tell

    @cached_property
    def starts(self) -> tuple[Arc, ...]:
        """First arcs under the true laws; they begin in the context, where those hold. None: nothing can be judged."""
        problem = Hypothesis(self.law, self.seen)
        # bodies x candidates x physics steps, in which first arcs are looked for
        return tuple(SegmentStarts(problem, Tolerance(self.seen, LIMITS[0]), 10**7).first_arcs())

    @cached_property
    def explained(self) -> dict[Hashable, Explanation]:
        """Explanations computed so far, by laws, first guess and thoroughness.

        Theories often agree in one prediction: all with values that change nothing, and those of worlds that do not
        apply.
        """
        return {}

    @cached_property
    def linearized(self) -> dict[tuple[Explanation, Hashable, bool], tuple[Array, Array]]:
        """Residuals and slopes found so far, by explanation, laws and whether there are slopes: a few kB each."""
        return {}

    @cached_property
    def counted(self) -> Mask:
        """Predicted frames (T, N) in which a body should be visible or is shown."""
        seen = self.seen
        shown = seen.known & seen.judged & (seen.times > 1e-9)[:, None]
        return np.asarray((seen.expected_visible & (seen.times > 1e-9)[:, None]) | shown)


@dataclass(frozen=True, eq=False)
class Explanation:
    """The best trajectories of one prediction in one world."""

    shares: Array  # (L,) of counted time before each body's first break, at the tolerances of shadowing
    misfit: float  # mean square distance in sd of a point, up to the first break at the largest tolerance
    arcs: tuple[Arc, ...]
    used: Mask  # (T, N) points before the first break at the largest tolerance

    @property
    def share(self) -> float:
        """Mean over the tolerances."""
        return float(self.shares.mean())


def evidence_of(clip: Clip, tracks: Tracks) -> Evidence | None:
    """Evidence of a prediction; None where no law can move the scene, or no motion is judged."""
    law = scene_law_of(clip)
    if law is None:
        return None
    seen = place_bodies(clip, tracks, law)
    evidence = Evidence(clip.id, clip.row.task, law, seen)
    return with_own_noise(evidence) if seen.expected_visible.any() and evidence.counted.any() else None


def with_own_noise(evidence: Evidence) -> Evidence:
    """A prediction with the independent noise of its positions, as it shows about arcs of the true world."""
    seen = evidence.seen
    noise = independent_noise(seen, SegmentSearch(Hypothesis(evidence.law, seen), TOLERANCES[-1]).run())
    if not noise.any():
        return evidence
    tremble = float(np.sqrt(np.maximum(noise**2 - seen.usual_sd**2, 0.0)).max())
    return replace(evidence, seen=with_noise(seen, noise), tremble=tremble)


def with_shared_noise(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Predictions with independent noise in each, where half of them or more show it: the others have its median.

    It is a property of a model, and arcs that a wrong law makes short do not show it.
    """
    own = [
        np.zeros_like(each.seen.diameter) if each.seen.noise_sd is None else each.seen.noise_sd.max(axis=0)
        for each in evidence
    ]
    telling = sum(bool(each.any()) for each in own)
    if telling < max(FEWEST_CLIPS, len(own) / 2):
        return list(evidence)
    known = np.concatenate(own)
    usual = float(np.median(known[known > 0]))
    return [
        replace(each, seen=with_noise(each.seen, np.where(sd > 0, sd, usual)))
        for each, sd in zip(evidence, own, strict=True)
    ]


def explain(
    evidence: Evidence,
    worlds: tuple[ChangedWorld, ...] = (),
    values: tuple[float, ...] = (),
    arcs: tuple[Arc, ...] | None = None,
    thorough: bool = True,
) -> Explanation:
    """Fit a prediction in the world in which all of some changed worlds are so, none: the true one.

    Args:
        values: One each.
        arcs: First guess; None: that of the true world.
        thorough: Whether trajectories are sought at the smallest tolerance too, not at the largest one alone.
    """
    starts = evidence.starts if arcs is None else arcs
    key = (_laws(evidence, worlds, values), starts, thorough)
    if key not in evidence.explained:
        evidence.explained[key] = _explain(evidence, worlds, values, starts, thorough)
    return evidence.explained[key]


def _laws(evidence: Evidence, worlds: tuple[ChangedWorld, ...], values: tuple[float, ...]) -> Hashable:
    """Key that is equal where the laws of a prediction are; worlds that are other scenes are compared by values."""
    change, later = change_of(evidence.law, worlds, values)
    return change if later is evidence.law.scene else (worlds, values)


def _explain(
    evidence: Evidence,
    worlds: tuple[ChangedWorld, ...],
    values: tuple[float, ...],
    starts: tuple[Arc, ...],
    thorough: bool,
) -> Explanation:
    """`explain` from first arcs, which may be none."""
    seen, total = evidence.seen, len(evidence.seen.times)
    shares, counted = np.zeros(len(LIMITS)), evidence.counted
    if not starts:
        return Explanation(shares, np.inf, (), np.zeros_like(counted))
    problem = Hypothesis(altered_by(evidence.law, worlds, values), seen)
    expected = max(int(counted.sum()), 1)
    begun = np.zeros_like(counted)  # where a body has an arc
    for arc in starts:
        begun[arc.first :, arc.body] = True
    misfit, used = np.inf, np.zeros_like(counted)
    for tolerance in (LIMITS[0], LIMITS[-1]) if thorough else LIMITS[-1:]:
        search = LeastSquaresSearch(problem, tolerance, only_first=True, arcs=list(_whole(starts, total)))
        starts = _whole(tuple(search.find_arcs()[: len(starts)]), total)
        position = problem.simulate(starts, total - 1).positions(seen.steps)
        errors = problem.errors(position, slice(0, total))[0]
        absent = seen.expected_visible & ~seen.present
        if seen.sight is None:
            absent = np.zeros_like(counted)
        elif absent.any():
            absent &= seen.sight.out_of_sight(position[0])
        far = seen.known & begun & ~(errors <= seen.limit(LIMITS[-1]))
        away = (seen.position - position[0]) / seen.diameter[:, None]
        mean, mean_sd = local_means(away, seen.known & begun & (np.cumsum(far, axis=0) == 0), seen)
        for level, limit in enumerate(LIMITS):
            missed = seen.known & begun & ~(errors <= seen.limit(limit))
            missed |= mean > np.maximum(limit, POSITION.limit_sds * mean_sd)
            alive = begun & (np.cumsum(missed, axis=0) == 0)
            hidden = absent & _seen_later(alive & seen.known) if worlds else absent
            good = alive & counted & (seen.present | seen.known | hidden)
            shares[level] = max(shares[level], float(good.sum()) / expected)
        used = alive & seen.known
        misfit = float(np.mean((errors[used] / seen.sd[used]) ** 2)) if used.any() else np.inf
        if shares.min() == 1.0:
            break
    return Explanation(shares, misfit, starts, used)


def _seen_later(seen: Mask) -> Mask:
    """Frames (T, N) after which a body is seen again, from those in which it is seen (T, N).

    A changed world explains that a body is away only where it comes back as that world has it: else one with drag, in
    which things come to rest out of sight, explains every body that is lost behind a screen.
    """
    return np.asarray(np.flip(np.maximum.accumulate(np.flip(seen, axis=0), axis=0), axis=0))


def _whole(arcs: tuple[Arc, ...], total: int) -> tuple[Arc, ...]:
    """Arcs that last to the end of the track."""
    return tuple(arc if arc.last == total else replace(arc, last=total) for arc in arcs)


@dataclass(frozen=True, eq=False)
class Leaning:
    """Distances of one prediction as a quadratic form of k values, the arcs being fitted to them again.

    Near the values v the sum of squares is that of (x - v)' information (x - v) - 2 (x - v)' pull + a constant.
    """

    information: Array  # (k, k) 1 / value^2
    pull: Array  # (k,) 1 / value
    misfit: float  # mean square distance in sd


def leaning(
    evidence: Evidence, worlds: tuple[ChangedWorld, ...], values: tuple[float, ...], explanation: Explanation
) -> Leaning | None:
    """Quadratic form of a prediction in the values of some worlds that have one; None where it says nothing of them."""
    if not explanation.arcs or not explanation.used.any():
        return None
    seen = evidence.seen
    frames = np.flatnonzero(explanation.used.any(axis=1))
    since = min(arc.first for arc in explanation.arcs)
    end = int(frames[-1]) + 1
    if end <= since + 1:
        return None
    mask = explanation.used[since:end]

    known = evidence.linearized

    def linearized(trial: tuple[float, ...], slopes: bool) -> tuple[Array, Array]:
        key = (explanation, _laws(evidence, worlds, trial), slopes)
        if key not in known:
            problem = Hypothesis(altered_by(evidence.law, worlds, trial), seen)
            known[key] = ArcFit(problem, explanation.arcs, range(len(explanation.arcs)), None, end).linearized(
                mask, slopes
            )
        return known[key]

    residual, slope = linearized(values, True)
    columns = []
    for k, world in enumerate(worlds):
        ends = [min(max(values[k] + sign * world.step, world.range[0]), world.range[1]) for sign in (-1, 1)]
        low, high = (linearized((*values[:k], end, *values[k + 1 :]), False)[0] for end in ends)
        columns.append((high - low) / (ends[1] - ends[0]))
    change = np.stack(columns, axis=-1)
    if not (np.isfinite(change).all() and np.isfinite(slope).all()):
        return None
    base, _ = np.linalg.qr(slope / (np.linalg.norm(slope, axis=0) + 1e-12))
    change = change - base @ (base.T @ change)
    return Leaning(
        change.T @ change, -change.T @ residual, max(float(residual @ residual) / max(len(residual), 1), 0.5)
    )
