"""Pictures: where things appear, how large, and that the fast way is the same as a picture of everything."""

from __future__ import annotations

import gc
import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.world.bodies import belt
from physbench.world.bullet import initial_states, simulate
from physbench.world.camera import PLANE_AXES, in_view, pixels_per_metre, px_from_plane
from physbench.world.drawing import apparent_radius, render, static_layer
from physbench.world.renderer import TinyRenderer, downsample, is_painted, is_plate, paint_background
from physbench.world.scene import (
    FLOOR_GREY,
    SCREEN_GREY,
    Body,
    Camera,
    RenderSpec,
    Scene,
    Vector,
    Waypoint,
    ramp,
    sphere_mass,
)

FRONT, TOP = Camera("front", (0.0, 0.0, 2.0)), Camera("top", (0.3, 0.2, 0.0))
FLOOR = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), grey=FLOOR_GREY, friction=1.0)
TURNED = (0.0, math.sin(0.2), 0.0, math.cos(0.2))


def ball(name: str, position: Vector, radius: float = 0.4, hue: int = 0, **more: object) -> Body:
    return Body(name, "sphere", (radius,), "moving", position, hue=hue, mass=sphere_mass(radius), **more)  # type: ignore[arg-type]


def still(scene: Scene, places: np.ndarray) -> np.ndarray:
    """States (T, N, 13) with the first body at places (T, 3) and the others where the scene has them."""
    states = np.zeros((len(places), len(scene.bodies), 13))
    for i, body in enumerate(scene.bodies):
        states[:, i, :3], states[:, i, 3:7] = body.position, body.orientation
    states[:, 0, :3] = places
    return states


def busy(view: str) -> Scene:
    """Two balls that collide, one tumbling box, a drum, a screen, a ramp and a holder that vanishes."""
    front = view == "front"
    up = (lambda x, h, d: (x, d, h)) if front else (lambda x, h, d: (x, h - 2, -d))
    moving = (
        ball("a", up(-1.5, 1.2, 0), velocity=up(1.5, 0.4 if front else 2.2, 0), restitution=0.9),
        ball("b", up(1.2, 1.1, 0), 0.5, 2, velocity=up(-0.6, 0.8 if front else 2.8, 0), restitution=0.9),
        Body("box", "box", (0.4, 0.4, 0.4), "moving", up(0.2, 3.6, 0), hue=3, spin=(0.5, 1, 0), restitution=0.3),
        Body("drum", "cylinder", (0.4, 0.8), "moving", up(-0.6, 3.4, 0), hue=4, spin=(1, 0, 1), restitution=0.3),
    )
    screen = Body("screen", "box", (0.5, 0.05, 0.9), "fixed", up(0.6, 1.5, -1), grey=SCREEN_GREY, collides=False)
    holder = Body("holder", "box", (0.3, 0.2, 0.1), "kinematic", up(-1.5, 0.7, 0), grey=0.3, collides=False, until=-1.0)
    ground = (FLOOR, ramp("ramp", (1.2, 0.0), 0.4, 2.0)) if front else (Body("t", "plane", (), "fixed", (0, 0, -1)),)
    return Scene((*moving, screen, *ground, holder), FRONT if front else TOP, (0, 0, -9.81) if front else (0, 0, 0))


def bare(scene: Scene, times: np.ndarray, states: np.ndarray, spec: RenderSpec) -> np.ndarray:
    """The frames (T, H, W, 3) by full pictures of whole meshes."""
    frames = []
    whole = dict.fromkeys(range(len(scene.bodies)), math.pi)
    with TinyRenderer(dict(enumerate(scene.bodies)), scene.camera, spec, widest=whole) as stage:
        for t, time in enumerate(times):
            for i, body in enumerate(scene.bodies):
                if body.role == "fixed":
                    continue
                if body.until is not None and time >= body.until - 1e-9:
                    stage.hide(i, 0)
                else:
                    stage.show(i, 0, states[t, i])
            frames.append(downsample(paint_background(stage.picture())))
    return np.stack(frames)


@pytest.mark.parametrize(
    ("view", "spec"),
    [
        ("front", RenderSpec(96, 48, 10)),
        ("top", RenderSpec(64, 64, 10)),
        pytest.param("top", RenderSpec(100, 128, 10), marks=pytest.mark.slow),
    ],
)
def test_composite_is_a_picture_of_everything(view: str, spec: RenderSpec) -> None:
    scene, times = busy(view), np.arange(-20, 20) / 10
    states = simulate(scene, times).states
    rendered = render(scene, times, states, spec)
    np.testing.assert_array_equal(rendered.frames, bare(scene, times, states, spec))
    assert rendered.frames.std(axis=0).max() > 20  # something moved


def test_what_stands_still_while_something_else_moves_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen that will be lifted, a ball at rest behind it, and a ball that rolls past both in the last frames."""
    rolling, resting = ball("rolling", (-2.0, -1.0, 0.4)), ball("resting", (1.2, 0.0, 0.4), hue=2)
    screen = Body("screen", "box", (0.5, 0.05, 0.9), "kinematic", (1.2, -1.5, 0.9), grey=SCREEN_GREY, collides=False)
    scene, spec = Scene((rolling, resting, screen, FLOOR), FRONT), RenderSpec(64, 64, 10)
    places = np.stack([(x, -1.0, 0.4) for x in np.linspace(-2.0, 2.0, 40)])
    states, times = still(scene, places), np.arange(40) / 10
    drawn, picture = [], TinyRenderer.picture
    monkeypatch.setattr(TinyRenderer, "picture", lambda self: drawn.append(1) or picture(self))
    rendered = render(scene, times, states, spec)
    assert len(drawn) < 30
    np.testing.assert_array_equal(rendered.frames, bare(scene, times, states, spec))
    assert np.ptp(rendered.visible_area[:20, 1]) == 0


@pytest.mark.parametrize("view", ["front", "top"])
@pytest.mark.parametrize(("size", "radius"), others_slow([(64, 0.4), (128, 0.4), (256, 0.3)], 1))
def test_balls_appear_where_the_camera_says(view: str, size: int, radius: float) -> None:
    """Centroids of the outline: no bias, and off the axis only the stretch of a ball in perspective, x r^2 / D^2."""
    camera = FRONT if view == "front" else TOP
    spec, rng = RenderSpec(size, size, 30), np.random.default_rng(0)
    scene = Scene(
        (ball("ball", (0, 0, 0), radius), FLOOR) if view == "front" else (ball("ball", (0, 0, 0), radius),), camera
    )
    most = 2.56 - radius - 0.1
    flat = rng.uniform(-most, most, (60, 2))
    flat[:4] = most * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
    centre = np.array(camera.center)[list(PLANE_AXES[view])]
    if view == "front":
        flat[4:12, 1] = radius + 1e-3 - centre[1]  # on the floor
        flat[:, 1] = np.maximum(flat[:, 1], radius + 1e-3 - centre[1])
    places = np.tile(np.array(camera.center), (len(flat), 1))
    places[:, list(PLANE_AXES[view])] = flat + centre
    rendered = render(scene, np.zeros(len(flat)), still(scene, places), spec)
    red = rendered.frames[..., 0].astype(float) - rendered.frames[..., 1]
    cover = np.clip(red / np.median(red.max(axis=(1, 2))) * 1.15, 0, 1)
    rows, columns = np.mgrid[:size, :size] + 0.5
    mass = cover.sum(axis=(1, 2))
    seen = np.stack([(cover * columns).sum(axis=(1, 2)), (cover * rows).sum(axis=(1, 2))], axis=1) / mass[:, None]
    stretched = flat * (1 + radius**2 / camera.distance**2) + centre
    error = seen - px_from_plane(camera, spec, stretched)
    assert np.abs(error.mean(axis=0)).max() < 0.02 * size / 64
    assert error.std(axis=0).max() < 0.06 * size / 64


@pytest.mark.parametrize("size", [64, 128, 256])
def test_outline_of_a_ball_has_its_area(size: int) -> None:
    spec, rng = RenderSpec(size, size, 30), np.random.default_rng(1)
    scene = Scene((ball("ball", (0, 0, 2)),), FRONT)
    places = np.zeros((60, 3))
    places[:, [0, 2]] = rng.uniform((-1.9, 0.1), (1.9, 3.9), (60, 2))
    rendered = render(scene, np.zeros(60), still(scene, places), spec)
    expected = math.pi * (0.4 * pixels_per_metre(FRONT, spec)) ** 2
    assert rendered.visible_area.mean() == pytest.approx(expected, rel=0.01)
    np.testing.assert_allclose(rendered.full_area, expected, rtol=0.02)


@pytest.mark.parametrize("shape", [("sphere", 0.5), ("box", 0.5, 0.3, 0.4), ("cylinder", 0.4, 0.9)])
@pytest.mark.parametrize("camera", [FRONT, TOP])
def test_full_area_is_what_is_counted_when_nothing_hides(shape: tuple[str, float], camera: Camera) -> None:
    spec, rng = RenderSpec(256, 256, 30), np.random.default_rng(2)
    body = Body("body", shape[0], shape[1:], "moving", (0, 0, 0), hue=1)  # type: ignore[arg-type]
    scene = Scene((body,), camera)
    states = still(scene, np.array(camera.center) + rng.uniform(-1.2, 1.2, (20, 3)))
    turn = rng.normal(size=(20, 4))
    states[:, 0, 3:7] = turn / np.linalg.norm(turn, axis=1, keepdims=True)
    rendered = render(scene, np.zeros(20), states, spec)
    np.testing.assert_allclose(rendered.visible_area, rendered.full_area, rtol=0.02)


@pytest.mark.parametrize("camera", [FRONT, TOP])
def test_a_hollow_cylinder_is_drawn_as_a_ring(camera: Camera) -> None:
    spec = RenderSpec(256, 256, 30)
    turned = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)) if camera is FRONT else (0.0, 0.0, 0.0, 1.0)
    body = Body("ring", "cylinder", (0.5, 0.8), "moving", camera.center, turned, hue=1, flat=True, bore=0.5)
    states = initial_states(Scene((body,), camera))[None]
    rendered = render(Scene((body,), camera), np.zeros(1), states, spec)
    expected = math.pi * (0.5**2 - 0.25**2) * pixels_per_metre(camera, spec) ** 2
    assert rendered.visible_area.item() == pytest.approx(expected, rel=0.02)
    assert rendered.full_area.item() == pytest.approx(expected, rel=0.02)
    assert apparent_radius(body, camera) == pytest.approx(math.sqrt(0.5**2 - 0.25**2))
    askew = replace(body, orientation=(0.0, math.sqrt(0.5), 0.0, math.sqrt(0.5)))  # the hole is not seen
    assert apparent_radius(askew, camera) == apparent_radius(replace(askew, bore=0.0), camera)
    assert (rendered.frames[0, 128, 128] == rendered.frames[0, 0, 0]).all(), "the ground is seen through the hole"


def test_areas_behind_a_screen_and_at_the_border() -> None:
    screen = Body("screen", "box", (0.5, 0.02, 3.0), "fixed", (0, -0.8, 2), grey=SCREEN_GREY, collides=False)
    scene = Scene((ball("ball", (0, 0, 2)), screen), FRONT)
    x = np.array([0.0, -0.5 / 0.96, -1.5, -2.56, -4.0])  # behind, half out, free, half over the border, gone
    states = still(scene, np.stack([x, 0 * x, 0 * x + 2], axis=1))
    rendered = render(scene, np.zeros(5), states, RenderSpec(128, 128, 30))
    share = rendered.visible_area[:, 0] / rendered.full_area[:, 0]
    np.testing.assert_allclose(share, [0, 0.5, 1, 0.5, 0], atol=0.03)
    assert (rendered.full_area[:, 0] > 300).all()
    assert (rendered.visible_area[:, 1] == rendered.visible_area[0, 1]).all()  # the screen is in front of it


def test_a_body_in_front_hides_what_stands_still() -> None:
    star = Body("star", "sphere", (0.2,), "fixed", (0, 0, 2), hue=1, collides=False)
    scene = Scene((ball("ball", (0, -1, 2)), star), FRONT)
    states = still(scene, np.array([[0, -1.0, 2], [2.0, -1.0, 2]]))
    rendered = render(scene, np.zeros(2), states, RenderSpec(64, 64, 30))
    assert rendered.visible_area[0, 1] == 0
    assert rendered.visible_area[1, 1] == pytest.approx(rendered.full_area[1, 1], rel=0.05)


def test_what_is_gone_or_not_drawn_has_no_area() -> None:
    scene = Scene((ball("ball", (0, 0, 2), until=1.0), ball("ghost", (1, 0, 2), drawn=False)), FRONT)
    rendered = render(scene, [0.0, 1.0], still(scene, np.array([[0, 0, 2.0]] * 2)), RenderSpec(64, 64, 30))
    assert rendered.visible_area[0, 0] > 70
    assert rendered.visible_area[1, 0] == rendered.full_area[1, 0] == 0
    assert (rendered.visible_area[:, 1] == 0).all()
    assert (rendered.full_area[:, 1] == 0).all()
    assert (rendered.frames[1] == 128).all()


@pytest.mark.parametrize("spec", [RenderSpec(64, 64, 30), RenderSpec(64, 256, 30), RenderSpec(128, 64, 30)])
def test_floor_is_a_band_below_its_height(spec: RenderSpec) -> None:
    picture = static_layer(Scene((FLOOR,), FRONT), spec).astype(int)
    edge = spec.height / 2 + 2.0 * pixels_per_metre(FRONT, spec)
    assert (picture == picture[:, :1]).all()  # across the whole width
    column = picture[:, 0, 0]
    assert (column[: math.floor(edge)] == 128).all()
    assert (np.abs(column[math.ceil(edge) :] - 0.95 * FLOOR_GREY * 255) < 2).all()


def test_table_fills_a_picture_from_above() -> None:
    table = Body("table", "plane", (), "fixed", (0, 0, -0.8), grey=FLOOR_GREY, collides=False)
    picture = static_layer(Scene((table,), TOP), RenderSpec(48, 192, 30)).astype(int)
    assert (np.abs(picture - 0.95 * FLOOR_GREY * 255) < 2).all()


def test_static_layer_leaves_out_hues_and_what_moves() -> None:
    star = Body("star", "sphere", (0.3,), "fixed", (0, 0, 2), hue=1)
    scene, spec = Scene((ball("ball", (1, 0, 2)), star), FRONT), RenderSpec(64, 64, 30)
    assert (static_layer(scene, spec) == 128).all()
    assert np.ptp(static_layer(scene, spec, hueless=False)) > 100
    assert (static_layer(Scene((), FRONT), spec) == 128).all()


def test_a_thing_on_the_floor_is_not_cut_by_it() -> None:
    """Deep floors and ramps would hide the foot of what stands on them."""
    board = Body("board", "box", (2, 1.0, 0.5), "fixed", (0, 0, -0.5))
    for ground in (FLOOR, board):
        scene = Scene((ball("ball", (0, 0, 0.4)), ground), FRONT)
        rendered = render(scene, [0.0], still(scene, np.array([[0, 0, 0.4]])), RenderSpec(256, 256, 30))
        assert rendered.visible_area[0, 0] == pytest.approx(rendered.full_area[0, 0], rel=0.01)


def test_larger_pictures_show_the_same_window() -> None:
    scene = Scene((ball("ball", (0.5, 0, 2.5)),), FRONT)
    states = still(scene, np.array([[0.5, 0, 2.5]]))
    square = render(scene, [0.0], states, RenderSpec(64, 64, 30)).frames[0]
    wide = render(scene, [0.0], states, RenderSpec(64, 96, 30)).frames[0]
    tall = render(scene, [0.0], states, RenderSpec(96, 64, 30)).frames[0]
    assert np.abs(wide[:, 16:80].astype(int) - square).max() <= 2
    assert np.abs(tall[16:80].astype(int) - square).max() <= 2


def digest() -> str:
    scene, times = busy("front"), np.arange(-20, 10) / 10
    frames = render(scene, times, simulate(scene, times).states, RenderSpec(64, 64, 10)).frames
    return hashlib.sha256(frames.tobytes()).hexdigest()


def test_same_bits_in_another_process_and_after_other_scenes() -> None:
    code = "import sys; sys.path[:0] = sys.argv[1:]; import test_drawing as t; print(t.digest())"
    folders = [str(folder) for folder in Path(__file__).parents[:2]]
    done = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True, check=True)
    for _ in range(2):
        times = np.arange(-5, 5) / 10
        other = busy("top")
        render(other, times, simulate(other, times).states, RenderSpec(48, 80, 10))
        assert digest() == done.stdout.strip()


@pytest.mark.slow
def test_no_picture_costs_memory_for_good() -> None:
    """PyBullet keeps the lists of a mesh: two for each of 1300 corners of a ball."""
    spec, counts = RenderSpec(16, 16, 10), []
    for k in range(3):
        scene = Scene((ball("a", (0, 1, 0), 0.5 + 0.01 * k),), FRONT)
        render(scene, np.zeros(1), simulate(scene, [0.0]).states, spec)
        gc.collect()
        counts.append(sys.getallocatedblocks())
    assert counts[2] - counts[1] < 1000


@pytest.mark.parametrize("shape", ["box", "cylinder"])
def test_flat_bodies_are_drawn_in_the_plane_of_motion(shape: str) -> None:
    """A deep one away from the middle looks larger and shows a side; a flat one covers what it is in that plane."""
    size = (0.5, 0.5, 0.4) if shape == "box" else (0.45, 1.0)
    turn = (0.0, 0.0, 0.0, 1.0) if shape == "box" else (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
    camera, spec = Camera("front", (0.0, 0.0, 0.0)), RenderSpec(128, 128, 15.0)
    expected = 4 * 0.5 * 0.4 if shape == "box" else math.pi * 0.45**2
    areas, middles = [], []
    for flat in (True, False):
        body = Body("body", shape, size, "moving", (1.5, 0.0, -1.0), turn, hue=0, flat=flat)  # type: ignore[arg-type]
        states = np.zeros((1, 1, 13))
        states[0, 0, :3], states[0, 0, 3:7] = body.position, turn
        picture = render(Scene((body,), camera), [0.0], states, spec)
        areas.append(float(picture.visible_area[0, 0]) / 25**2)
        coloured = np.argwhere(np.ptp(picture.frames[0].astype(int), axis=-1) > 60)
        middles.append((coloured.mean(axis=0) + 0.5)[::-1])
    assert areas[0] == pytest.approx(expected, rel=0.03) and areas[1] > 1.03 * areas[0]
    np.testing.assert_allclose(middles[0], (64 + 1.5 * 25, 64 + 25), atol=0.35)


def test_a_body_whose_position_is_a_list_is_drawn() -> None:
    """A task of one's own may say it so; such a body has no hash, by which pictures at rest are kept."""
    wall = Body("wall", "box", (0.3, 0.2, 0.4), "fixed", (0.5, 0.0, 0.5), grey=0.3)
    listed = replace(wall, position=[0.5, 0.0, 0.5])
    pictures = []
    for body in (wall, listed):
        scene = Scene((ball("a", (0.0, 0.0, 1.0)), body, FLOOR), FRONT)
        states = still(scene, np.array([(0.0, 0.0, 1.0)]))
        pictures.append(render(scene, np.zeros(1), states, RenderSpec(64, 64, 10)).frames)
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize("grey", [0.45, 0.84, 0.95])
def test_a_floor_is_as_bright_from_near_as_from_afar(grey: float) -> None:
    """A tilted camera sees it at a slant: what it loses by that is given back, also where a colour would exceed 1."""
    shown = []
    for view in ("far", "near"):
        scene = in_view(Scene((replace(FLOOR, grey=grey),), FRONT), view)
        picture = render(scene, [0.0], still(scene, np.zeros((1, 3))), RenderSpec(64, 64, 15.0)).frames[0]
        shown.append(picture[-2].astype(int))
    assert np.abs(shown[0] - shown[1]).max() <= 2 and shown[0].max() == pytest.approx(0.95 * 255 * grey, abs=2)


def test_the_marks_of_a_belt_are_seen_from_near() -> None:
    """They lie on its front, which a tilted camera sees before the plane of motion."""
    scene = in_view(Scene(belt((7.0, 0.8, 0.4), (0.0, 0.0, 0.9), 1.0, 4.0, grey=0.8, mark_grey=0.3), FRONT), "near")
    states = simulate(scene, [0.0]).states
    picture = render(scene, [0.0], states, RenderSpec(128, 128, 15.0)).frames[0, ..., 0].astype(int)
    dark = (picture < 90).any(axis=0)
    assert 3 <= np.count_nonzero(np.diff(dark.astype(int)) == 1) <= 5, "four marks of 1.6 m in some 6 m"


def test_a_flat_body_that_is_as_wide_as_deep_stays_a_plate_from_near() -> None:
    path = (Waypoint(-2.0, (0.0, 0.0, 2.0)), Waypoint(4.0, (1.0, 0.0, 2.0)))
    curtain = Body("curtain", "box", (0.8, 1.0, 0.8), "kinematic", path[0].position, grey=0.3, flat=True, path=path)
    assert not is_painted(replace(curtain, collides=False)) and is_plate(
        curtain, in_view(Scene((), FRONT), "near").camera
    )
