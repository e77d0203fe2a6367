"""The camera's part in frames: the shutter averages what moves about its place, and the sensor has noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.world.bullet import simulate
from physbench.world.camera import in_view, pixels_per_metre
from physbench.world.geometry import rotate
from physbench.world.scene import RenderSpec, Scene
from physbench.world.styles.catalogue import draw, draw_still
from physbench.world.styles.natural.exposure import (
    Paint,
    Shutter,
    is_moving,
    moments,
    moved,
    open_time,
    travelled,
    with_noise,
)
from physbench.world.styles.natural.frames import EdgeRays, Instant, TurningView, _displacements, _meet, backdrop_of
from physbench.world.styles.natural.movers import drawable, movers_at
from physbench.world.styles.natural.stage import linear

BLURRED = RenderSpec(128, 128, 16.0, "natural")
SPEC = replace(BLURRED, look="natural:shutter=0")
NOISY = replace(SPEC, look="natural:shutter=0,noise=1.5")


def drawn(task: str, time: float, spec: RenderSpec, view: str = "far") -> tuple[Scene, np.ndarray, np.ndarray]:
    """A scene, its state (N, 13) and its frame (H, W, 3) at a time."""
    scene = in_view(make_scene(Row(task, "test", 1)), view)
    states = simulate(scene, [time]).states
    return scene, states[0], draw(scene, [time], states, replace(spec, view=view)).frames[0]


@pytest.mark.usefixtures("evenly_lit")
def test_a_still_is_sharp() -> None:
    scene = in_view(make_scene(Row("falling/projectile-v1", "test", 1)), "moving")
    still, sharp = (draw_still(scene, replace(spec, view="moving"), hueless=False) for spec in (BLURRED, SPEC))
    assert np.array_equal(still, sharp)


def test_moments_lie_about_the_frame_and_are_few() -> None:
    assert open_time(replace(BLURRED, fps=30.0)) == pytest.approx(1 / 60) and open_time(SPEC) == 0.0
    assert open_time(BLURRED) == open_time(replace(BLURRED, fps=10.0)) == pytest.approx(1 / 48)  # as filmed at 24
    assert moments(0.03, 0.1).tolist() == [0.0]
    for path in (0.5, 4.0, 100.0):
        times = moments(0.03, path)
        assert times.sum() == pytest.approx(0.0) and 0.0 in times.round(12) and 3 <= len(times) <= 7
        assert np.ptp(times) == pytest.approx(0.03 * (1 - 1 / len(times)))


def test_a_body_goes_on_along_its_velocity_and_turns_about_its_spin() -> None:
    state = np.zeros((1, 13))
    state[0, 6], state[0, 7:10], state[0, 10:13] = 1.0, (1.0, 0.0, 2.0), (0.0, 0.0, np.pi)
    later = travelled(state, 0.5)
    assert later[0, :3] == pytest.approx((0.5, 0.0, 1.0))
    assert rotate(later[0, 3:7], np.array([1.0, 0.0, 0.0])) == pytest.approx((0.0, 1.0, 0.0), abs=1e-12)


def test_a_paint_goes_along_by_parts_of_a_pixel() -> None:
    colours = np.zeros((4, 4, 4), dtype=np.float32)
    colours[..., 0], colours[..., 3] = np.arange(4), 1.0
    paint = Paint(10, 20, colours)
    assert paint.at(np.s_[10:14, 20:24], np.zeros(2))[..., 0] == pytest.approx(colours[..., 0])
    assert paint.at(np.s_[10:14, 21:24], np.array([0.25, 0.0]))[0, :, 0] == pytest.approx([0.75, 1.75, 2.75])
    assert paint.at(np.s_[0:2, 0:2], np.zeros(2))[..., 0] == pytest.approx(1.5)  # far off it: their mean


def test_a_ball_is_blurred_along_its_way_and_keeps_its_centre() -> None:
    spec = replace(SPEC, look="natural:shutter=360", fps=10.0)
    scene, state, sharp = drawn("orbits/flyby-v1", 0.1, replace(spec, look="natural:shutter=0"))
    _, _, blurred = drawn("orbits/flyby-v1", 0.1, spec)
    still = linear(draw_still(scene, SPEC) / 255)
    body = scene.tracked[0]
    way = state[body, 7:9] / np.linalg.norm(state[body, 7:9]) * (1, -1)
    spread = []
    rows, columns = np.mgrid[:128, :128] + 0.5
    for frame in (sharp, blurred):
        weight = np.maximum((linear(frame / 255) - still).sum(axis=-1) - 0.01, 0.0)
        weight[np.hypot(columns - 64, rows - 64) < 20] = 0.0  # the star
        centre = np.array([(weight * axis).sum() / weight.sum() for axis in (columns, rows)])
        along = (columns - centre[0]) * way[0] + (rows - centre[1]) * way[1]
        spread.append((centre, np.sqrt((weight * along**2).sum() / weight.sum())))
    assert np.abs(spread[0][0] - spread[1][0]).max() < 0.06
    path = np.linalg.norm(state[body, 7:9]) * open_time(spec) * pixels_per_metre(scene.camera, spec)
    assert spread[1][1] ** 2 - spread[0][1] ** 2 == pytest.approx(path**2 / 12, rel=0.3)  # of a uniform distribution


@pytest.mark.usefixtures("evenly_lit")
def test_what_stands_still_is_drawn_as_without_a_shutter() -> None:
    _, _, sharp = drawn("falling/projectile-v1", 0.2, SPEC)
    _, _, blurred = drawn("falling/projectile-v1", 0.2, BLURRED)
    assert (sharp != blurred).any(axis=-1).mean() < 0.05 and (sharp != blurred).any()
    _, _, sharp = drawn("occlusion/screen-lift-v1", 0.2, SPEC)
    _, _, blurred = drawn("occlusion/screen-lift-v1", 0.2, BLURRED)
    changed = (np.abs(sharp.astype(int) - blurred) > 2).any(axis=-1)
    assert changed.any() and changed.sum() < 4 * 128  # two edges of a plate that moves by 3 px


@pytest.mark.usefixtures("evenly_lit")
def test_a_camera_that_turns_blurs_what_stands_still() -> None:
    _, _, sharp = drawn("falling/projectile-v1", 0.0, SPEC, "moving")
    _, _, blurred = drawn("falling/projectile-v1", 0.0, BLURRED, "moving")
    steps = [np.abs(np.diff(frame.astype(float), axis=1)).mean() for frame in (sharp, blurred)]
    assert 0.5 < steps[1] / steps[0] < 0.97
    assert np.abs(sharp.astype(float) - blurred).mean() < 2.0


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize(
    ("task", "view", "time"),
    [
        ("occlusion/screen-lift-v1", "near", 1.6),  # a plate that leaves the picture
        ("falling/incline-v1", "near", 0.4),
        ("occlusion/screen-swap-v1", "far", 0.8),
        ("collisions/billiards-v1", "moving", 0.3),
    ],
)
def test_rays_that_are_not_asked_again_meet_the_same_body(task: str, view: str, time: float) -> None:
    spec, scene = replace(SPEC, view=view), in_view(make_scene(Row(task, "test", 1)), view)
    (states,) = simulate(scene, [time]).states
    backdrop = TurningView(scene, spec).backdrop(time) if scene.camera.path else backdrop_of(scene, spec)
    movers = movers_at(scene, backdrop.stage, drawable(scene), time, states)
    shutter = Shutter(time, 1 / 16)
    now = Instant(scene, spec, backdrop, movers, states)
    displacements = _displacements(now, shutter)
    there = {met.number: met for met in _meet(now).met}
    outlines = {
        number: EdgeRays(now, there[number], displacements[number]) for number in displacements if number in there
    }
    assert outlines and max(np.abs(way).max() for way in displacements.values()) > 0.5
    for seconds in (-0.5 * shutter.seconds, 0.3 * shutter.seconds):
        later = travelled(states, seconds)
        then = [moved(mover, states, later) if is_moving(mover, states) else mover for mover in movers]
        known = [outline.at(then[number], backdrop) for number, outline in outlines.items()]
        there_then = replace(now, movers=then, states=later)
        assert np.array_equal(_meet(there_then, known).owner, _meet(there_then).owner)


@pytest.mark.usefixtures("evenly_lit")
def test_areas_are_those_at_the_time_of_the_frame() -> None:
    scene = make_scene(Row("occlusion/screen-pass-v1", "test", 1))
    times = [0.2, 0.6]
    states = simulate(scene, times).states
    sharp, filmed = (draw(scene, times, states, spec) for spec in (SPEC, BLURRED))
    assert np.array_equal(sharp.visible_area, filmed.visible_area)
    assert (sharp.frames != filmed.frames).any()


def test_noise_is_that_of_its_frame_alone_and_grows_with_the_light() -> None:
    scene = make_scene(Row("orbits/kepler-v1", "test", 1))
    flat = {level: np.full((64, 64, 3), float(linear(level)), dtype=np.float32) for level in (0.05, 0.5, 0.9)}
    noisy = {level: with_noise(picture, 1.5, scene, 0.25).astype(float) for level, picture in flat.items()}
    assert noisy[0.5].mean() == pytest.approx(127.5, abs=0.1)
    assert noisy[0.5].std() == pytest.approx(1.5, abs=0.1)
    assert noisy[0.9].std() < noisy[0.5].std() < noisy[0.05].std() < 2.5  # on a display, dark greys show more of it
    counted = {level: np.std(linear(noise / 255)) for level, noise in noisy.items()}
    assert counted[0.05] < counted[0.5] < counted[0.9]
    assert np.array_equal(with_noise(flat[0.5], 1.5, scene, 0.25), noisy[0.5])
    others = [with_noise(flat[0.5], 1.5, scene, 0.3125), with_noise(flat[0.5], 1.5, replace(scene, decor="x"), 0.25)]
    for other in others:
        assert abs(np.corrcoef(other.ravel(), noisy[0.5].ravel())[0, 1]) < 0.05


@pytest.mark.usefixtures("evenly_lit")
def test_two_frames_of_bodies_at_rest_differ_by_their_noise() -> None:
    scene = make_scene(Row("falling/stack-v1", "test", 1))
    states = simulate(scene, [2.9]).states.repeat(2, axis=0)
    states[..., 7:] = 0.0
    times = [2.9, 3.0]
    quiet, noisy = (draw(scene, times, states, spec).frames.astype(float) for spec in (SPEC, NOISY))
    assert np.array_equal(quiet[0], quiet[1])
    assert 1.0 < (noisy[0] - quiet[0]).std() < 2.0 and 1.5 < (noisy[0] - noisy[1]).std() < 3.0
    assert np.array_equal(draw(scene, times[1:], states[1:], NOISY).frames[0], noisy[1])
