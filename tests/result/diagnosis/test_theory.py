"""Best values of theories, by all clips together."""

from __future__ import annotations

import numpy as np
import pytest
from changed_clips import KNOWN, evidence

from physbench.result.diagnosis.explanation import Leaning
from physbench.result.diagnosis.ranking import explained_share, pooled_step, refined, theory_of

TASK = "falling/projectile-v1"


def test_values_are_found_from_afar() -> None:
    clips = [evidence(TASK, seed, {"gravity": 0.8, "drag": 0.1}) for seed in range(3)]
    worlds = (KNOWN["gravity"], KNOWN["drag"])
    start = theory_of(clips, worlds, (1.0, 0.0))
    found = refined(start, 6)
    assert found.values == pytest.approx((0.8, 0.1), abs=2e-3)
    assert found.better_than(start)
    assert found.gain(start) == pytest.approx(1.0)
    assert start.gain(start) == 0.0


def test_clips_without_the_law_keep_what_the_true_world_explains() -> None:
    clips = [evidence(TASK, 0, {"gravity": 0.8}), evidence("collisions/head-on-v1", 0, {})]
    base = theory_of(clips)
    found = theory_of(clips, (KNOWN["gravity"],), (0.8,), base)
    assert found.explanations[1] is base.explanations[1]
    assert found.shares.tolist() == [1.0, 1.0]


def test_a_world_without_a_number_has_nothing_to_refine() -> None:
    theory = theory_of([evidence("collisions/head-on-v1", 0, {})], (KNOWN["exchange"],), (0.0,))
    assert refined(theory, 3) is theory


def test_shares_are_of_the_unexplained_time() -> None:
    shares, base, weight = np.array([1.0, 0.5]), np.array([0.5, 0.5]), np.array([1.0, 3.0])
    assert explained_share(shares, base, weight) == pytest.approx(0.5 / 2.0)
    assert explained_share(shares, np.ones(2), weight) == 0.0


def test_the_pooled_step_weighs_clips_by_what_they_tell() -> None:
    clips = [Leaning(np.array([[4.0]]), np.array([8.0]), 1.0), Leaning(np.array([[4.0]]), np.array([0.0]), 3.0)]
    step = pooled_step(clips)
    assert step is not None
    assert step[0] == pytest.approx(8.0 / (4.0 + 4.0 / 3))
    assert pooled_step([Leaning(np.zeros((1, 1)), np.zeros(1), 1.0)]) is None
    assert pooled_step([]) is None
