"""Changed worlds: how they are declared, found and made into laws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from changed_clips import KNOWN
from shadow_scenes import problem

from physbench.laws.changes import WorldChange
from physbench.laws.scene_law import Intervention
from physbench.result.diagnosis.ranking import EFFORT
from physbench.result.diagnosis.worlds import (
    MAX_VALUES,
    WORLDS,
    ChangedWorld,
    altered_by,
    changed_world,
    find_changed_worlds,
)
from physbench.support import plugins
from physbench.support.errors import UsageError
from physbench.world.scene import Scene

TASKS = (
    "collisions/billiards-v1",
    "collisions/head-on-v1",
    "falling/projectile-v1",
    "falling/incline-v1",
    "occlusion/screen-swap-v1",
    "orbits/binary-v1",
    "orbits/kepler-v1",
)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.id)
def test_a_world_applies_somewhere_and_its_neutral_value_changes_nothing(world: ChangedWorld) -> None:
    models = [problem(task, 0).law for task in TASKS]
    scenes = [model.scene for model in models if world.applies(model)]
    assert scenes
    if not world.free:
        assert world.change(scenes[0], 0.0) != WorldChange()
        return
    assert world.change(scenes[0], world.neutral) == WorldChange()
    assert len(world.values) + 1 + EFFORT.first_rounds + EFFORT.rounds <= MAX_VALUES
    assert list(world.values) == sorted(world.values)
    assert "{value}" in world.phrase
    for value in world.values:
        assert world.range[0] <= value <= world.range[1]
        assert world.change(scenes[0], value) != WorldChange()


def test_what_does_not_apply_changes_nothing() -> None:
    model = problem("collisions/head-on-v1", 0).law
    assert altered_by(model, (KNOWN["gravity"], KNOWN["central-mass"]), (0.5, 0.5)) is model
    both = altered_by(model, (KNOWN["drag"], KNOWN["gravity"]), (0.5, 0.5))
    assert both.alteration is not None
    assert both.alteration.change == WorldChange(drag=0.5)


def test_a_world_may_be_another_scene() -> None:
    @changed_world(id="lighter", phrase="it fell {value} times as fast", short="fall", values=(0.5,), neutral=1.0)
    def lighter(scene: Scene, value: float) -> Scene:
        x, y, z = scene.gravity
        return replace(scene, gravity=(x, y, value * z))

    found = problem("falling/projectile-v1", 0)
    arcs = [np.array([[0.0, 2.0, 0.5, 0.0, 0.0, 0.0]])]
    changes, steps = [Intervention(0, 0, "state", arcs[0])], np.arange(0.0, 400.0, 40.0)
    own = altered_by(found.law, (lighter,), (0.5,)).simulator().run(changes, 400).positions(steps)
    like = altered_by(found.law, (KNOWN["gravity"],), (0.5,)).simulator().run(changes, 400).positions(steps)
    np.testing.assert_allclose(own, like, atol=1e-12)
    assert own[0, -1, 0, 1] < 2.0


FILE = '''
from physbench.result.diagnosis import WorldChange, changed_world


@changed_world(id="{id}", phrase="mud slowed things by {{value}}", short="mud", values=(0.2, 0.5))
def mud(scene, value):
    """Things that sink in."""
    return WorldChange(drag=value)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my_laws.py"


def test_files_with_tasks_may_declare_worlds(file: Path) -> None:
    file.write_text(FILE.format(id="mud"))
    plugins.register_file(plugins.open_files(str(file))[0][0])
    assert [world.id for world in find_changed_worlds()][-1] == "mud"


def test_two_worlds_of_one_name_are_refused(file: Path) -> None:
    file.write_text(FILE.format(id="drag"))
    plugins.register_file(plugins.open_files(str(file))[0][0])
    with pytest.raises(UsageError, match="'drag' already"):
        find_changed_worlds()
