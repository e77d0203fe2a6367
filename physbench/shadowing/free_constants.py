"""The second reading: constants that the context does not show may differ from those of the scene.

Two kinds of constants are free: one factor on gravity or on the strength of the fields, where no body is shown for long
enough to tell what acts on it; and the task's parameters that nothing in the context reveals, within their declared
range. The context alone decides what is free, for every model alike. Restitution, friction and directions have no
scale: they are free only where a task declares them `revealed` and the context does not show the event that reveals
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from physbench.clips.clip import Clip
from physbench.clips.generate import make_params, scene_with
from physbench.clips.task import find_task
from physbench.laws.scene_law import SceneLaw, scene_law
from physbench.laws.support_check import Unsupported
from physbench.shadowing.context import unknown_parameters
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.observed_motion import PlacedBodies
from physbench.shadowing.search import SegmentSearch

FACTOR_RANGE = (0.5, 2.0)  # of the factor
FIRST_TRIALS, LATER_TRIALS = 9, 4  # values in the first and in each later round
MIN_GAIN = 0.2  # s by which a first segment must last longer than with the scene's own constants

Duration = tuple[int, float]  # frames up to the first break, minus the rms distance in diameters


@dataclass(frozen=True)
class FreeConstants:
    """Values under which a track is lawful for longest."""

    law: SceneLaw
    factor: float = 1.0  # times the first constant of the law: gravity, or the strength of the fields
    parameters: Mapping[str, float] = field(default_factory=dict)  # that differ from the clip's own


def best_constants(clip: Clip, context: int, law: SceneLaw, seen: PlacedBodies) -> FreeConstants:
    """The free constants under which the first segment lasts longest; the scene's own unless MIN_GAIN s are gained.

    Args:
        clip: The clip.
        context: Number of context frames.
        law: Of the clip's own scene.
        seen: Positions of the bodies.
    """
    best = FreeConstants(law)
    if law.has_free_constant and not seen.tells_forces:
        factor = best_factor(law, seen)
        best = replace(best, factor=1.0 if factor is None else factor)
    names = unknown_parameters(clip, context)
    if not names:
        return best
    task, own = find_task(clip.row.task), make_params(clip.row)
    since = float(seen.moments[int(seen.start.max(initial=0))])
    for name in names:
        parameter = task.parameters[name]
        low, high = parameter.range(clip.row.split)
        low = -high if parameter.signed else low

        def other(value: float, name: str = name, now: FreeConstants = best) -> FreeConstants | None:
            params = {**own, **now.parameters, name: value}
            try:
                law = scene_law(scene_with(clip.row, params), since)
            except Unsupported:
                return None
            if type(law) is not type(now.law):  # a value that the law of the scene does not cover
                return None
            return FreeConstants(law, now.factor, {**now.parameters, name: value})

        def duration(
            value: float, seen: PlacedBodies, other: Callable[[float], FreeConstants | None] = other
        ) -> Duration:
            trial = other(value)
            return (0, -np.inf) if trial is None else _duration(Hypothesis(trial.law, seen, trial.factor), seen)

        value = _search(duration, seen, own[name], low, high, parameter.grid)
        if value != own[name]:
            best = other(value) or best
    return best


def best_factor(law: SceneLaw, seen: PlacedBodies) -> float | None:
    """The factor in FACTOR_RANGE under which first segments last longest, 1 unless MIN_GAIN s are gained.

    None where the law has no constant that can be seen.
    """
    if not law.has_free_constant:
        return None
    low, high = np.log(FACTOR_RANGE[0]), np.log(FACTOR_RANGE[1])
    return float(
        np.exp(_search(lambda x, part: _duration(Hypothesis(law, part, float(np.exp(x))), part), seen, 0.0, low, high))
    )


def _search(
    duration: Callable[[float, PlacedBodies], Duration],
    seen: PlacedBodies,
    own: float,
    low: float,
    high: float,
    grid: float | None = None,
) -> float:
    """The value in [low, high] under which a segment lasts longest, then fits best; `own` unless MIN_GAIN s are gained.

    A break that comes early under every value decides nothing. Then the track after that break is tried.
    """
    dt, total = float(seen.times[1] - seen.times[0]), len(seen.times)
    for _ in range(3):  # parts of the track that are tried, each after the break of the one before
        known = {own: duration(own, seen)}
        if known[own][0] >= total or not seen.known.any():
            return own
        first = max(int(np.flatnonzero(seen.known.any(axis=1))[0]), _handover(seen))
        best, width, trials = own, high - low, np.linspace(low, high, FIRST_TRIALS)
        for round_ in range(7):  # a factor is found to 0.14 %
            for trial in trials.tolist():
                value = trial if grid is None else low + grid * round((trial - low) / grid)
                if value not in known:
                    known[value] = duration(value, seen)
            best = max(known, key=lambda value: known[value])
            # s: a break that comes earlier whatever the value decides nothing
            if known[best][0] < total and (known[best][0] - first) * dt < 0.5:
                break
            width *= 2 / (FIRST_TRIALS - 1) if round_ == 0 else 0.5
            trials = np.clip(best + np.linspace(-width / 2, width / 2, LATER_TRIALS + 1), low, high)
        else:
            return best if (known[best][0] - known[own][0]) * dt >= MIN_GAIN - 1e-9 else own
        seen = _from_frame(seen, known[best][0])
    return own


def _handover(seen: PlacedBodies) -> int:
    return int(np.searchsorted(seen.times, 1e-9))


def _from_frame(seen: PlacedBodies, frame: int) -> PlacedBodies:
    """The same bodies, placed from a frame on only."""
    position = seen.position.copy()
    position[:frame] = np.nan
    return replace(seen, position=position, start=np.maximum(seen.start, frame))


def _duration(problem: Hypothesis, seen: PlacedBodies) -> Duration:
    segments = SegmentSearch(problem, 0.03, only_first=True).run()  # diameters
    if not segments.arcs:
        return 0, -np.inf
    frames = min((b.frame for b in segments.breaks), default=len(seen.times))
    errors = segments.errors[:frames]
    errors = errors[np.isfinite(errors)]
    return frames, -float(np.sqrt(np.mean(errors**2))) if len(errors) else -np.inf
