"""Screens as things: cloth in a frame, on feet or on cables, which a tracker takes for nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.track.colour import HUED
from physbench.track.patches import SCREEN_BRIGHTNESS
from physbench.world.bodies import is_screen
from physbench.world.bullet import simulate
from physbench.world.camera import in_view
from physbench.world.drawing import Rendered
from physbench.world.scene import BACKGROUND_GREY, RenderSpec, Scene
from physbench.world.styles.catalogue import draw
from physbench.world.styles.natural import movers, stage
from physbench.world.styles.natural.stage import FITTING, bodies_of_parts, stage_of

SPEC = RenderSpec(128, 128, 15.0, "natural")
LIMIT = SCREEN_BRIGHTNESS * 255 * BACKGROUND_GREY  # a tracker takes what is darker for a screen
STANDING = ("occlusion/screen-pass-v1", "occlusion/screen-swap-v1", "occlusion/screen-stop-v1")


def scene_of(task: str, view: str = "far") -> Scene:
    return in_view(make_scene(Row(task, "test", 1)), view)


def drawn(scene: Scene, times: list[float], view: str) -> Rendered:
    return draw(scene, times, simulate(scene, times).states, replace(SPEC, view=view))


@pytest.mark.parametrize("task", STANDING)
def test_a_screen_stands_on_two_feet_that_are_no_bodies(task: str) -> None:
    scene = scene_of(task)
    set_, (screen,) = stage_of(scene), [body for body in scene.bodies if is_screen(body)]
    feet = [block for block in set_.blocks if not block.blocks_light]
    assert len(feet) == 2 and bodies_of_parts(scene, set_)[-2:] == [-1, -1]
    assert len(bodies_of_parts(scene, set_)) == len(set_.surfaces) + len(set_.blocks)
    for foot, side in zip(feet, (-1, 1), strict=True):
        assert foot.centre[2] - foot.half[2] == pytest.approx(0.0)
        assert foot.centre[1] + foot.half[1] == pytest.approx(screen.position[1] - screen.size[1])
        assert 0 < side * (foot.centre[0] - screen.position[0]) < screen.size[0] - foot.half[0]
    for other in (replace(screen, collides=True), replace(screen, size=(0.1, *screen.size[1:]))):
        bodies = tuple(other if body is screen else body for body in scene.bodies)
        assert all(block.blocks_light for block in stage_of(replace(scene, bodies=bodies)).blocks), "a post has none"
    hanging = replace(screen, position=(*screen.position[:2], screen.position[2] + 0.5))
    others = tuple(hanging if body is screen else body for body in scene.bodies)
    assert all(block.blocks_light for block in stage_of(replace(scene, bodies=others)).blocks)


def test_a_plate_that_moves_up_or_down_hangs_on_cables() -> None:
    scene = scene_of("occlusion/screen-lift-v1")
    (plate,) = [body for body in scene.bodies if is_screen(body)]
    found = stage.cables(plate, np.array([0.3, -0.8, 2.0]))
    for (centre, half, _), side in zip(found, (-1, 1), strict=True):
        assert centre[2] - half[2] == pytest.approx(2.0 + plate.size[2])
        assert side * (centre[0] - 0.3) == pytest.approx(plate.size[0] - FITTING.from_side)
    aside = tuple(replace(each, position=(9.0 * each.time, 0.0, 1.0)) for each in plate.path)
    assert not stage.cables(replace(plate, path=aside), np.zeros(3)) and not stage.cables(scene.bodies[0], np.zeros(3))


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize("task", others_slow(["occlusion/screen-lift-v1", *STANDING], 2))
@pytest.mark.parametrize("view", ["far", "near"])
def test_fittings_hide_no_body(monkeypatch: pytest.MonkeyPatch, task: str, view: str) -> None:
    scene, times = scene_of(task, view), [-0.4, 0.0, 0.4, 0.8, 1.2, 2.0]
    with_them = drawn(scene, times, view)
    monkeypatch.setattr(stage, "_feet", lambda scene, body: ())
    monkeypatch.setattr(movers, "cables", lambda body, centre: [])
    without = drawn(scene, times, view)
    kept = [i for i, body in enumerate(scene.bodies) if body.shape != "plane" and not is_screen(body)]
    assert np.array_equal(with_them.visible_area[:, kept], without.visible_area[:, kept])
    screens = [i for i, body in enumerate(scene.bodies) if is_screen(body)]
    assert np.allclose(with_them.visible_area[:, screens], without.visible_area[:, screens], rtol=0.02)
    changed = (np.abs(with_them.frames.astype(int) - without.frames) > 3).any(axis=-1)
    assert 10 < changed.sum() / len(times) < 0.03 * 128 * 128
    seen = with_them.frames[changed].astype(int)
    assert np.ptp(seen, axis=-1).max() < HUED, "they have no hue"
    assert (seen.max(axis=-1) < LIMIT).mean() < 0.25, "and are no screens, but for their edges before one"


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize("task", ["occlusion/screen-lift-v1", "occlusion/screen-pass-v1"])
def test_a_framed_cloth_is_dark_throughout_and_has_a_frame(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    monkeypatch.setattr(stage, "_feet", lambda scene, body: ())
    scene = scene_of(task)
    (number,) = (i for i, body in enumerate(scene.bodies) if is_screen(body))
    picture = drawn(scene, [0.0], "far")
    frame, area = picture.frames[0].max(axis=-1), picture.visible_area[0, number]
    dark = frame < LIMIT
    assert dark.sum() == pytest.approx(area, rel=0.06)
    assert frame[dark].std() > 5
