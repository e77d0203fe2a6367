"""galton: the parabola up to the first pin, the hit on it, and that chance picks the bin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.laws.impacts import reflected
from physbench.shadowing.search import SegmentSearch
from physbench.shadowing.shadow import shadow
from physbench.tasks.chance import PIN, PITCH, ROWS, TOP, Galton
from physbench.track.tracks import state_tracks
from physbench.validity.violations import find_acts, violate
from physbench.world.bullet import simulate
from physbench.world.scene import PHYSICS_HZ


@pytest.mark.parametrize("seed", [0, 1])
def test_the_ball_falls_and_leaves_the_first_pin_by_newtons_restitution(seed: int) -> None:
    row = Row(Galton.id, "test", seed)
    p, scene = make_params(row), make_scene(row)
    reach = p["radius"] + PIN
    fall = TOP + PIN + p["height"] + p["radius"] - TOP - np.sqrt(reach**2 - p["offset"] ** 2)
    hit = p["release"] + np.sqrt(2 * fall / p["gravity"])
    contact = simulate(scene, [1.0]).contacts[0]
    assert contact.time == pytest.approx(hit, abs=0.002)
    normal = np.array([p["offset"], np.sqrt(reach**2 - p["offset"] ** 2)]) / reach
    after = reflected((0.0, -np.sqrt(2 * p["gravity"] * fall)), (normal[0], normal[1]), p["restitution"])
    later = (round(contact.time * PHYSICS_HZ) + 3) / PHYSICS_HZ
    velocity = simulate(scene, [later]).states[0, 0, [7, 9]]
    assert velocity == pytest.approx(after, abs=0.02)


def test_it_ends_in_one_of_the_bins_and_neighbours_end_elsewhere() -> None:
    row = Row(Galton.id, "test", 0)
    p, scene = make_params(row), make_scene(row)
    assert np.diff(scene.bins) == pytest.approx([PITCH] * (ROWS - 1))
    ball, ends = scene.bodies[0], set()
    for shift in np.linspace(-0.004, 0.004, 9):  # m, as the noise of a tracker
        x, y, z = ball.position
        moved = replace(scene, bodies=(replace(ball, position=(x + shift, y, z)), *scene.bodies[1:]))
        place = simulate(moved, [scene.horizon]).states[0, 0, [0, 2]]
        assert abs(place[0] - p["middle"]) < PITCH * (ROWS + 1) / 2 - p["radius"]
        ends.add(int(np.searchsorted(scene.bins, place[0])))
    assert len(ends) > 1


def test_truth_is_lawful_through_all_its_hits_and_another_gravity_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that takes one way of two at a hit cannot take the other one later."""
    clip = make_clip(Row(Galton.id, "test", 9), render_spec(64, 15))

    def breaks(states: np.ndarray) -> int:
        found = shadow(clip, state_tracks(clip, 8, states[clip.handover + 1 :, list(clip.tracked)]))
        assert found is not None
        return sum(len(level.breaks) for level in found.levels)

    assert breaks(clip.states) == 0
    assert breaks(violate(clip.scene, find_acts("gravity:0.8"), clip.id).states(clip.times)) > 4
    monkeypatch.setattr(SegmentSearch, "_evolve", lambda *_: False)
    assert breaks(clip.states) > 0
