"""Light on a ball from what is around it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from physbench.world.bullet import initial_states
from physbench.world.scene import Body, Camera, Scene
from physbench.world.styles.natural.light import gathered
from physbench.world.styles.natural.movers import Mover, drawable, movers_at
from physbench.world.styles.natural.stage import stage_of

SKY = {0: 0.4, 1: 0.3}


def around(shares: list[float]) -> tuple[np.ndarray, Scene, list[Mover]]:
    """Light on a ball beside others of which so much is seen; the scene, and the balls."""
    balls = [
        Body(f"ball {n}", "sphere", (0.3,), "moving", (0.7 * n, 0.1 * n, 0.3 + 0.2 * n), hue=n % 5)
        for n in range(len(shares) + 1)
    ]
    floor = Body("ground", "plane", (), "fixed", (0.0, 0.0, 0.0))
    scene = Scene((floor, *balls), Camera("front", (0.0, 0.0, 2.0)))
    first, *others = movers_at(scene, stage_of(scene), drawable(scene), 0.0, initial_states(scene))
    faint = [replace(other, casts=share) for other, share in zip(others, shares, strict=True)]
    return gathered(first, [other for other in faint if other.casts], stage_of(scene), SKY, []), scene, faint


def test_bodies_that_are_seen_in_part_count_by_that_share() -> None:
    """Light is the mean over whether each of them is there, as far as they do not shade the same place."""
    shares = [0.7, 0.3]
    expected = np.zeros((16, 3))
    for there in itertools.product((0.0, 1.0), repeat=2):
        weight = np.prod([share if each else 1 - share for share, each in zip(shares, there, strict=True)])
        expected += weight * around(list(there))[0]
    assert np.abs(around(shares)[0] - expected).max() < 1e-3 * np.abs(expected).max()
    assert np.abs(around([1.0, 1.0])[0] - expected).max() > 1e-2 * np.abs(expected).max()


def test_many_bodies_that_are_seen_in_part_are_gathered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    from physbench.world.styles.natural import light

    whole = light.arriving
    monkeypatch.setattr(light, "arriving", lambda *words: calls.append(1) or whole(*words))
    around([0.5] * 12)
    assert len(calls) == 1, "not once for each way in which they may be there"
