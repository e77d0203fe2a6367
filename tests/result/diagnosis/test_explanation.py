"""How much of one clip a world explains, and which value the clip would rather have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from changed_clips import KNOWN, evidence

from physbench.result.diagnosis.explanation import explain, leaning

GRAVITY = (KNOWN["gravity"],)


def test_the_true_world_explains_truth_wholly() -> None:
    for task in ("falling/projectile-v1", "collisions/head-on-v1", "orbits/kepler-v1"):
        found = explain(evidence(task, 1, {}))
        assert found.share == 1.0
        assert found.misfit == pytest.approx(2, abs=0.4)  # two coordinates of one sd each


def test_only_the_right_value_explains_a_changed_world_wholly() -> None:
    clip = evidence("falling/projectile-v1", 0, {"gravity": 0.8})
    shares = [explain(clip, GRAVITY, (value,)).share for value in (1.0, 0.9, 0.8)]
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert shares[2] == 1.0


def test_what_is_not_shown_is_not_explained() -> None:
    clip = evidence("falling/projectile-v1", 0, {})
    gone = clip.seen.times > 2.0
    position = np.where(gone[:, None, None], np.nan, clip.seen.position)
    hidden = replace(clip, seen=replace(clip.seen, position=position, present=~gone[:, None]))
    assert explain(hidden).share == pytest.approx(0.5, abs=0.01)


def test_a_clip_leans_towards_the_true_value() -> None:
    clip = evidence("falling/projectile-v1", 0, {"gravity": 0.8})
    lean = leaning(clip, GRAVITY, (0.81,), explain(clip, GRAVITY, (0.81,)))
    assert lean is not None
    assert 0.81 + lean.pull[0] / lean.information[0, 0] == pytest.approx(0.8, abs=1e-3)
    at_truth = leaning(clip, GRAVITY, (0.8,), explain(clip, GRAVITY, (0.8,)))
    assert at_truth is not None
    assert at_truth.misfit == pytest.approx(1, abs=0.2)
    assert abs(at_truth.pull[0]) / np.sqrt(at_truth.information[0, 0]) < 4  # sd


def test_an_orbit_of_some_revolutions_leans_towards_the_true_mass_from_afar() -> None:
    """One-sided differences led to 0.913 here: position, velocity and mass nearly make up for each other."""
    mass = (KNOWN["central-mass"],)
    clip = evidence("orbits/kepler-v1", 1, {"central-mass": 0.93})
    lean = leaning(clip, mass, (0.9,), explain(clip, mass, (0.9,), thorough=False))
    assert lean is not None
    assert 0.9 + lean.pull[0] / lean.information[0, 0] == pytest.approx(0.93, abs=0.003)
