"""Path-traced scenes: beside the plain look, and against composited frames of the same moments."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.task import task_ids
from physbench.support.errors import UsageError
from physbench.world.bodies import darkness
from physbench.world.bullet import simulate
from physbench.world.camera import in_view, pixels_per_metre, px_from_world
from physbench.world.drawing import Rendered
from physbench.world.geometry import rotate
from physbench.world.scene import FAR, Body, Camera, RenderSpec, Scene
from physbench.world.styles.catalogue import draw, draw_still
from physbench.world.styles.natural.mitsuba_scene import traced, whole_scene
from physbench.world.styles.natural.movers import PATH_TRACE_ENVIRONMENT, drawable, movers_at
from physbench.world.styles.natural.stage import cables, displayed, floor_out_of_sight, stage_of

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mitsuba") is None, reason="needs Mitsuba")
SPEC = RenderSpec(48, 48, 15.0, "natural")
FRONT, TOP = Camera("front", (0.0, 0.0, 2.0)), Camera("top", (0.0, 0.0, 0.0))
BALL = Body("ball", "sphere", (0.3,), "moving", (0.5, 0.0, 3.0), hue=0)
GREEN = Body("ground", "plane", (), "fixed", (0.0, 0.0, 1.0), hue=2)
TILTED = (0.0, float(np.sin(0.2)), 0.0, float(np.cos(0.2)))  # falls off to the right


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_TRACE_ENVIRONMENT, "1")


def drawn(scene: Scene, times: tuple[float, ...] = (0.0,), look: str = "natural") -> Rendered:
    states = simulate(scene, np.array(times)).states
    return draw(scene, times, states, replace(SPEC, look=look))


def greenish(frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    return np.asarray((green > 1.5 * red) & (green > 1.5 * blue), dtype=bool)


@pytest.mark.usefixtures("asked")
@pytest.mark.slow
@pytest.mark.parametrize(("camera", "tilt"), [(FRONT, (0.0, 0.0, 0.0, 1.0)), (FRONT, TILTED)])
def test_planes_are_where_the_plain_look_has_them(camera: Camera, tilt: tuple[float, float, float, float]) -> None:
    scene = Scene((BALL, replace(GREEN, orientation=tilt)), camera)
    natural, plain = drawn(scene), drawn(scene, look="plain")
    np.testing.assert_array_equal(natural.visible_area, plain.visible_area)
    there, asked_for = greenish(natural.frames[0]), greenish(plain.frames[0])
    assert asked_for.sum() > 200
    assert (there & asked_for).sum() > 0.98 * asked_for.sum()
    # Its top reaches back to the wall: what is seen of it more is above its front edge, within 2 m that recede.
    rows, columns = (there & ~asked_for).nonzero()
    middle = np.array([0.0, 0.0, 1.0])
    up = rotate(np.array(tilt), np.array([0.0, 0.0, 1.0]))
    places = np.stack(
        [(columns + 0.5) / 48 * 5.12 - 2.56, np.zeros(len(rows)), 4.56 - (rows + 0.5) / 48 * 5.12], axis=-1
    )
    assert len(rows) == 0 or ((places - middle) @ up).max() < 0.35


@pytest.mark.slow
@pytest.mark.usefixtures("asked")
def test_a_plane_that_vanishes_is_drawn_until_then() -> None:
    floor = Body("ground", "plane", (), "fixed", (0.0, 0.0, 0.0))
    scene = Scene((BALL, floor, replace(GREEN, orientation=TILTED, until=0.5)), FRONT)
    frames = drawn(scene, (0.4, 0.6, 0.7)).frames
    assert greenish(frames[0]).sum() > 200 and not greenish(frames[1]).any()
    np.testing.assert_array_equal(frames[1], frames[2])  # nothing moves


@pytest.mark.usefixtures("asked")
def test_in_the_dark_pictures_are_black() -> None:
    scene = Scene((BALL, replace(GREEN, orientation=TILTED), darkness(FRONT, 0.2, 0.4, 4.0)), FRONT)
    frames = drawn(scene, (0.1, 0.3, 0.5)).frames
    assert frames[1].max() == 0 and min(greenish(frames[0]).sum(), greenish(frames[2]).sum()) > 200


@pytest.mark.usefixtures("asked")
def test_behind_a_ground_that_is_left_out_there_is_no_darkness() -> None:
    # The tracker takes what is darker than 96 levels for a screen.
    scene = Scene((replace(BALL, position=(0.0, 0.0, 0.3)), replace(GREEN, position=(0.0, 0.0, 0.0))), TOP)
    assert greenish(draw_still(scene, SPEC, hueless=False)).all()
    assert draw_still(scene, SPEC).max(axis=-1).min() >= 96


@pytest.mark.usefixtures("asked")
def test_what_can_be_composited_has_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene((BALL, Body("ground", "plane", (), "fixed", (0.0, 0.0, 0.0))), FRONT)
    asked = drawn(scene).frames
    monkeypatch.delenv(PATH_TRACE_ENVIRONMENT)
    np.testing.assert_array_equal(drawn(scene).frames, asked)


@pytest.mark.usefixtures("asked")
def test_frames_are_sharp_and_an_effect_that_is_asked_for_is_refused() -> None:
    scene = replace(Scene((BALL, GREEN), FRONT), horizon=0.1)
    for look in ("natural:shutter=90", "natural:noise=1"):
        with pytest.raises(UsageError, match=f"--look {look}: .*neither shutter nor noise. Use --look natural"):
            drawn(scene, look=look)
    np.testing.assert_array_equal(drawn(scene).frames, drawn(scene, look="natural:shutter=0").frames)


def test_it_must_be_asked_for_and_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene((BALL, GREEN), FRONT)
    monkeypatch.delenv(PATH_TRACE_ENVIRONMENT, raising=False)
    with pytest.raises(UsageError, match=f"'ground' cannot be drawn.*plane with a hue.*{PATH_TRACE_ENVIRONMENT}=1"):
        drawn(scene)
    monkeypatch.setenv(PATH_TRACE_ENVIRONMENT, "please")
    with pytest.raises(UsageError, match="expected 0 or 1, got 'please'"):
        drawn(scene)


MOST_OFF, MOST_OFF_NEAR = 4.0, 10.0  # levels, rms: of the picture, and within two radii of what moves
TIME, SEED = 0.2, 1
QUICK = ("falling/stack-v1", "occlusion/screen-stop-v1")


def levels_off(task: str, size: int, samples: int, view: str = FAR) -> tuple[float, float]:
    """The rms difference (levels) of the picture, and near what moves, without the noise of the path trace."""
    scene = in_view(make_scene(Row(task, "test", SEED)), view)
    states = simulate(scene, np.array([TIME])).states
    spec = RenderSpec(size, size, 15.0, "natural:shutter=0", view)
    composited = draw(scene, [TIME], states, spec).frames[0]
    stage = floor_out_of_sight(stage_of(scene), scene, spec)
    movers = movers_at(scene, stage, drawable(scene), TIME, states[0])
    whole = whole_scene(stage, movers, scene.camera, spec, samples // 2)
    one, other = (traced(whole, seed) for seed in (1, 2))
    noise = (displayed(one).astype(float) - displayed(other)) ** 2 / 4
    square = ((composited.astype(float) - displayed((one + other) / 2)) ** 2 - noise).mean(axis=-1)
    rows, columns = np.mgrid[:size, :size] + 0.5
    near = np.zeros(square.shape, dtype=bool)
    for mover in movers:
        x, y = px_from_world(scene.camera, spec, mover.centre)
        reach = 2 * max(mover.half) * pixels_per_metre(scene.camera, spec)
        near |= (columns - x) ** 2 + (rows - y) ** 2 < reach**2
    everywhere, close = np.sqrt(np.maximum([square.mean(), square[near].mean()], 0.0)).tolist()
    return everywhere, close


@pytest.mark.slow
@pytest.mark.parametrize("task", QUICK)
@pytest.mark.parametrize("view", [FAR, "near"])
def test_frames_look_like_path_traces(task: str, view: str) -> None:
    whole, near = levels_off(task, 64, 64, view)
    assert whole < MOST_OFF and near < MOST_OFF_NEAR


def is_traced(scene: Scene) -> bool:
    """Whether a path trace draws all of a scene: no moving camera, rods, strings, pipes and cables of screens."""
    missing = any(body.bore or cables(body, np.array(body.position)) for body in scene.bodies)
    return not (scene.camera.path or scene.links or missing)


@pytest.mark.slow
@pytest.mark.parametrize("task", [task for task in task_ids() if not task.startswith("orbits/")])
def test_frames_of_all_tasks_look_like_path_traces(task: str) -> None:
    if not is_traced(make_scene(Row(task, "test", SEED))):
        pytest.skip("the path trace draws less")
    whole, near = levels_off(task, 256, 256)
    assert whole < MOST_OFF and near < MOST_OFF_NEAR
