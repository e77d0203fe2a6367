"""The law of force of paths: closed-form orbits give their exponents, noise and circles none."""

from __future__ import annotations

import numpy as np

from physbench.laws.kepler import propagate
from physbench.probes.encode import ImpliedForce, Pull, implied_force
from physbench.support.arrays import Array

STEP, CLIPS = 1 / 15, 10
TIMES = np.arange(75) * STEP


def implied(paths: list[Array]) -> ImpliedForce:
    pulls = [Pull(number, "one", (0.5, -0.25)) for number in range(len(paths))]
    return implied_force(pulls, lambda clip, slot: paths[clip] + (0.5, -0.25), STEP)


def newtonian(speed: float = 0.75) -> list[Array]:
    """Ellipses from their far end, 1.2 to 1.6 m from the source, at a part of the speed of a circle."""
    far = np.linspace(1.2, 1.6, CLIPS)
    starts = [np.array([r, 0.0, 0.0, speed * np.sqrt(2.0 / r)]) for r in far]
    return [propagate(start, TIMES, 2.0).reshape(-1, 4)[:, :2] for start in starts]


def test_orbits_of_newton_and_of_a_spring_give_their_exponents() -> None:
    found = implied(newtonian())
    assert found.exponent is not None and abs(found.exponent + 2) < 0.11
    assert found.interval is not None and found.interval[1] - found.interval[0] < 0.3
    assert found.share is not None and found.share > 0.99
    spring = [np.stack([a * np.cos(2 * TIMES), 0.6 * np.sin(2 * TIMES)], 1) for a in np.linspace(1, 1.5, CLIPS)]
    found = implied(spring)
    assert found.exponent is not None and abs(found.exponent - 1) < 0.11


def test_what_cannot_be_told_has_a_reason() -> None:
    noise = np.random.default_rng(0)
    noisy = [path + noise.normal(scale=0.5, size=path.shape) for path in newtonian()]
    assert implied(noisy).exponent is None
    assert "no force along the line to the source explains more than" in implied(noisy).reason
    assert implied(newtonian(speed=1.0)).reason == "the distance to the source varies too little"
    assert implied(newtonian()[:5]).reason == "too few clips"
    gone = [np.full_like(path, np.nan) for path in newtonian()]
    assert (implied(gone).reason, implied(gone).clips) == ("too few clips", 0)
