"""Two planar worlds that are followed together move as one after another, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.laws.changes import WorldChange
from physbench.laws.planar_law import PlanarLaw, planar_simulator
from physbench.laws.scene_law import Intervention, Sequel, scene_law

SINCE, END = 600, 2400  # steps
CHANGES = (
    WorldChange(),
    WorldChange(gravity=1.3, restitution=0.8),
    WorldChange(gravity_trend=0.2, drag=0.3),
    WorldChange(lead=0.05, twist=0.2),
    WorldChange(solid=False),
)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("task", ["collisions/billiards-v1", "falling/drop-bounce-v1"])
def test_worlds_that_are_followed_together(task: str, change: WorldChange, smooth: bool) -> None:
    model = scene_law(make_scene(Row(task, "test", 0)), 0.0)
    assert isinstance(model, PlanarLaw)
    before = model.simulator()
    after = planar_simulator(model.world, change, SINCE, END, 1.0)
    both = before.followed_by(after, SINCE)  # type: ignore[attr-defined]
    rng, count = np.random.default_rng(1), len(model.index)
    place = np.stack([np.arange(count) * 1.0, np.full(count, 1.5)], axis=-1)
    states = [np.zeros((3, 6)) for _ in range(count)]
    for n, state in enumerate(states):
        state[:, :2], state[:, 2:4] = place[n] + rng.normal(0, 0.02, (3, 2)), rng.normal(0, 2, (3, 2))
    first = [Intervention(60 * n, n, "state", state) for n, state in enumerate(states)]
    steps = np.arange(0.0, END + 1, 75)
    for more in ([], [Intervention(SINCE, 0, "state", states[0])], [Intervention(300, 0, "gone")]):
        for late in ([], [Intervention(900, 0, "state", states[0])]):
            one = Sequel(before, after, SINCE).run([*first, *more, *late], END, smooth)
            other = both.run([*first, *more, *late], END, smooth)
            assert one.positions(steps).tobytes() == other.positions(steps).tobytes()
            assert list(one.contacts) == list(other.contacts)
            sure = np.isfinite(one.positions(steps))
            for each, another in zip(one.at(steps), other.at(steps), strict=True):
                assert each[sure].tobytes() == another[sure].tobytes()
    # All bodies are gone when the other world begins.
    gone = [Intervention(500, n, "gone") for n in range(count)]
    changes = [*first, *gone, Intervention(1000, 0, "state", states[0])]
    expected = Sequel(before, after, SINCE).run(changes, END, smooth).positions(steps)
    assert np.isfinite(expected).any()
    assert both.run(changes, END, smooth).positions(steps).tobytes() == expected.tobytes()
    late = [Intervention(700, n, "state", state) for n, state in enumerate(states)]
    assert both.run(late, END).positions(steps).tobytes() == after.run(late, END).positions(steps).tobytes()
