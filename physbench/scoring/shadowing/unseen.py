"""The second reading: one factor on gravity or on the strength of the fields, where the context cannot show them."""

from __future__ import annotations

import numpy as np

from physbench.scoring.shadowing.chain import Chainer
from physbench.scoring.shadowing.forward import Forward
from physbench.scoring.shadowing.problem import Problem
from physbench.scoring.shadowing.seen import Seen

RANGE = (0.5, 2.0)
GRID = 9  # factors in the first round
ROUNDS = 3
TOLERANCE = 0.03  # diameters


def best_factor(model: Forward, seen: Seen) -> float | None:
    """The factor in RANGE under which the first segments last longest, then fit best; None where nothing pulls."""
    if not model.scene.fields and not np.any(model.scene.gravity):
        return None
    if model.world is not None and not np.any(model.world.gravity):
        return None  # it presses onto the table, and friction carries no scale
    low, high = np.log(RANGE[0]), np.log(RANGE[1])
    best, width = 0.0, high
    for round_ in range(ROUNDS):
        trials = np.linspace(max(best - width, low), min(best + width, high), GRID if round_ == 0 else 5)
        values = [_lasts(model, seen, float(np.exp(trial))) for trial in trials]
        best = float(trials[max(range(len(trials)), key=lambda k: values[k])])
        width *= 2 / (GRID - 1) if round_ == 0 else 0.5
    return float(np.exp(best))


def _lasts(model: Forward, seen: Seen, factor: float) -> tuple[int, float]:
    """Frames up to the first break, and minus the rms distance in diameters up to there."""
    chain = Chainer(Problem(model, seen, factor), TOLERANCE, only_first=True).run()
    frames = min((b.frame for b in chain.breaks), default=len(seen.times))
    errors = chain.errors[:frames]
    errors = errors[np.isfinite(errors)]
    return frames, -float(np.sqrt(np.mean(errors**2))) if len(errors) else -np.inf
