"""Frames in the natural look: bodies are where they are in the plain one, and shadows where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene
from physbench.support.errors import UsageError
from physbench.track.colour import HUED
from physbench.track.patches import SCREEN_BRIGHTNESS
from physbench.track.tracker import _screens, track
from physbench.validity.sources import show
from physbench.world.bullet import simulate
from physbench.world.camera import eye, in_view, px_from_world
from physbench.world.drawing import Rendered
from physbench.world.scene import PALETTE, Body, Camera, RenderSpec, Scene
from physbench.world.styles.catalogue import draw, draw_still
from physbench.world.styles.natural import frames
from physbench.world.styles.natural.movers import drawable, hit_mover, movers_at
from physbench.world.styles.natural.rays import NOTHING_MET, view_directions
from physbench.world.styles.natural.stage import displayed, level_of, linear, stage_of

PLAIN_SPEC, SPEC = RenderSpec(96, 96, 15.0), RenderSpec(96, 96, 15.0, "natural")


def both(task: str, times: list[float]) -> tuple[Scene, Rendered, Rendered]:
    scene = make_scene(Row(task, "test", 1))
    states = simulate(scene, np.array(times)).states
    return scene, draw(scene, times, states, PLAIN_SPEC), draw(scene, times, states, SPEC)


def chroma(frame: np.ndarray) -> np.ndarray:
    return np.ptp(frame.astype(float), axis=-1)


def test_bodies_in_the_sky_have_the_places_and_areas_of_the_plain_look() -> None:
    scene, plain, natural = both("orbits/kepler-v1", [-0.5, 0.0, 1.0])
    keep = list(scene.tracked)
    assert np.allclose(natural.visible_area[:, keep], plain.visible_area[:, keep], rtol=0.02)
    assert np.array_equal(natural.full_area, plain.full_area)
    rows, columns = np.mgrid[:96, :96] + 0.5
    stills = [draw_still(scene, spec).astype(float) for spec in (PLAIN_SPEC, SPEC)]
    for pair in zip(plain.frames, natural.frames, strict=True):
        seen = [np.abs(frame - still).max(axis=-1) > 40 for frame, still in zip(pair, stills, strict=True)]
        centres = [[axis[mask].mean() for axis in (columns, rows)] for mask in seen]
        assert np.abs(np.subtract(*centres)).max() < 0.4  # masks of whole pixels


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize(
    "task",
    [
        "falling/incline-v1",
        *(pytest.param(task, marks=pytest.mark.slow) for task in ("falling/drop-bounce-v1", "collisions/billiards-v1")),
    ],
)
def test_a_frame_does_not_depend_on_the_others(task: str) -> None:
    """Also when a holder lets go: it is drawn behind all bodies from then on, in the same place."""
    scene = make_scene(Row(task, "test", 1))
    release = min(body.until for body in scene.bodies if body.until is not None)
    times = release + np.array([-0.05, 0.0, 0.0, 0.05])
    states = simulate(scene, times).states
    together = draw(scene, times, states, SPEC)
    for k in range(len(times)):
        alone = draw(scene, times[k : k + 1], states[k : k + 1], SPEC)
        assert np.array_equal(alone.frames[0], together.frames[k])
        assert np.array_equal(alone.visible_area[0], together.visible_area[k])


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize(
    ("task", "names"), [("collisions/billiards-v1", "cushion"), ("occlusion/screen-pass-v1", "screen")]
)
def test_what_stands_still_has_the_areas_of_the_plain_look(task: str, names: str) -> None:
    scene, plain, natural = both(task, [-0.5, 0.0, 1.0])
    fixed = [i for i, body in enumerate(scene.bodies) if body.name.startswith(names)]
    assert fixed and np.allclose(natural.visible_area[:, fixed], plain.visible_area[:, fixed], rtol=0.04)
    assert (natural.visible_area <= natural.full_area + 3).all()


@pytest.mark.usefixtures("evenly_lit")
def test_bodies_cover_the_whole_picture_of_a_table() -> None:
    """What a ball hides of the table and its cushions is missing from their areas, and from nothing else."""
    scene, _, natural = both("collisions/billiards-v1", [-0.5, 0.0, 1.0])
    assert np.allclose(natural.visible_area.sum(axis=1), 96 * 96)
    table = next(i for i, body in enumerate(scene.bodies) if body.shape == "plane")
    assert np.array_equal(natural.full_area[:, table], natural.visible_area[:, table])


def test_the_night_sky_is_no_screen_and_has_no_hue() -> None:
    """To the tracker, which takes what is darker than its ground for a screen and what has chroma for a body."""
    row = Row("orbits/binary-v1", "test", 2)
    still = draw_still(make_scene(row), SPEC)
    assert still.max(axis=-1).min() >= SCREEN_BRIGHTNESS * np.median(still[..., 1]) and chroma(still).max() < 60
    assert np.median(still) < 45 and still.std() > 4
    clip = make_clip(row, SPEC)
    assert not _screens(clip, torch.from_numpy(clip.frames), None).any()
    screen = Body("screen", "box", (0.4, 0.3, 0.3), "fixed", (0.0, 0.0, 1.5), grey=0.2)
    behind = frames.night_sky(replace(clip.scene, bodies=(*clip.scene.bodies, screen)), stage_of(clip.scene), SPEC)
    assert displayed(behind).max(axis=-1).min() > 96  # where there are screens the sky is lighter than these


def test_a_star_shines_in_its_own_hue_and_its_glow_has_none() -> None:
    scene = make_scene(Row("orbits/kepler-v1", "test", 1))
    (star,) = (body for body in scene.bodies if body.role == "fixed")
    dark, bright = (draw_still(scene, SPEC, hueless=hueless).astype(float) for hueless in (True, False))
    right, down = px_from_world(scene.camera, SPEC, np.asarray(star.position))
    rows, columns = np.mgrid[:96, :96] + 0.5
    away = np.hypot(columns - right, rows - down) / (star.size[0] * 96 / scene.camera.width)
    ring, far = (away > 1.3) & (away < 2), away > 6
    assert dark[ring].mean() > np.median(dark[far]) + 20 and chroma(dark)[ring].max() < HUED
    inside, own = bright[away < 0.7].mean(axis=0), np.asarray(PALETTE[star.hue or 0]) * 255
    assert inside.max() > 0.98 * own.max()
    angles = [float(np.arctan2(np.sqrt(3) / 2 * (g - b), r - (g + b) / 2)) for r, g, b in (inside, own)]
    assert abs(np.degrees(angles[0] - angles[1])) < 3


def test_planets_are_lit_from_one_side_but_before_a_camera_that_turns() -> None:
    scene = make_scene(Row("orbits/binary-v1", "test", 1))
    aside, ahead = (stage_of(in_view(scene, view)).key.direction for view in ("far", "moving"))
    assert abs(aside[0]) > 0.35 and abs(ahead[0]) < 0.1


@pytest.mark.parametrize("task", ["falling/incline-v1", "falling/stack-v1", "falling/rolling-race-v1"])
def test_boxes_and_cylinders_are_met_by_no_ray_outside_of_their_corners(task: str) -> None:
    scene = make_scene(Row(task, "test", 1))
    states, stage = simulate(scene, np.array([0.4])).states, stage_of(scene)
    whole = np.s_[0:192, 0:192]
    rays, origin = view_directions(scene.camera, SPEC, 2, whole), eye(scene.camera)
    movers = movers_at(scene, stage, drawable(scene), 0.4, states[0])
    assert movers and all(mover.body.shape != "sphere" for mover in movers)
    for mover in movers:
        t, normals = frames._hits(scene.camera, origin, 2, mover, whole, SPEC)
        expected, facing = hit_mover(mover, origin, rays)
        met = expected < NOTHING_MET
        assert met.any() and np.array_equal(t, expected) and np.array_equal(normals[met], facing[met])


def test_frames_are_the_same_again_and_where_nothing_moves() -> None:
    scene = make_scene(Row("orbits/kepler-v1", "test", 1))
    states = simulate(scene, np.zeros(1)).states[[0, 0]]
    first, second = (draw(scene, [0.0, 0.1], states, SPEC).frames for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(first[0], first[1])


@pytest.mark.parametrize("spec", [PLAIN_SPEC, SPEC])
def test_a_colour_of_the_palette_is_drawn_as_the_hue_would_be(spec: RenderSpec) -> None:
    scene = make_scene(Row("orbits/kepler-v1", "test", 1))
    states = simulate(scene, np.zeros(1)).states
    index = next(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    hue = ((scene.bodies[index].hue or 0) + 2) % len(PALETTE)
    bodies = tuple(replace(body, hue=hue) if i == index else body for i, body in enumerate(scene.bodies))
    expected = draw(replace(scene, bodies=bodies), [0.0], states, spec)
    coloured = draw(scene, [0.0], states, spec, {index: PALETTE[hue]})
    assert np.array_equal(coloured.frames, expected.frames)
    assert np.array_equal(coloured.visible_area, expected.visible_area)
    assert (coloured.frames != draw(scene, [0.0], states, spec).frames).any()


@pytest.mark.slow
def test_violations_are_drawn_in_the_look_of_their_clip() -> None:
    plain, clip = (make_clip(Row("orbits/kepler-v1", "test", 0), spec) for spec in (PLAIN_SPEC, SPEC))
    shown = show(clip, 8, "vanish")
    (event,) = shown.events
    assert (event,) == show(plain, 8, "vanish").events
    late = clip.times[clip.handover + 1 :] > event.time + 1e-9
    assert np.array_equal(shown.frames[~late], clip.future()[~late])
    assert (shown.frames[late] == draw_still(clip.scene, clip.spec, hueless=False)).all()


def test_greys_keep_their_order_and_screens_stay_dark() -> None:
    levels = [level_of(grey) for grey in np.linspace(0.1, 1.0, 19)]
    assert levels == sorted(levels)
    assert 255 * level_of(0.30) < 90 and 255 * level_of(0.38) > 120


def test_levels_and_light_are_inverse() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(displayed(linear(levels / 255)), levels)


def test_sets_of_training_and_test_have_no_texture_in_common() -> None:
    kinds: dict[str, set[str]] = {"train": set(), "test": set()}
    for split, found in kinds.items():
        for seed in range(12):
            stage = stage_of(make_scene(Row("falling/projectile-v1", split, seed)))  # type: ignore[arg-type]
            found |= {surface.material.texture for surface in stage.surfaces}
    assert len(kinds["test"]) == 4 and not kinds["train"] & kinds["test"]


def test_a_body_that_cannot_be_drawn_is_named() -> None:
    scene = Scene((Body("flap", "plane", (), "kinematic", (0.0, 0.0, 0.0)),), Camera("front", (0.0, 0.0, 1.0)))
    with pytest.raises(UsageError, match="flap"):
        drawable(scene)


def test_a_ball_casts_its_shadow_on_the_floor_and_hides_nothing_else() -> None:
    pytest.importorskip("mitsuba")
    pytest.importorskip("mitsuba_oidn")
    scene, plain, natural = both("falling/projectile-v1", [0.3])
    still, frame = draw_still(scene, SPEC).astype(float), natural.frames[0].astype(float)
    change = (frame - still).mean(axis=-1)
    ball = chroma(plain.frames[0]) > 20
    assert np.allclose(natural.visible_area[:, 0], plain.visible_area[:, 0], rtol=0.02)
    assert change[85:][~ball[85:]].min() < -25, "there is a shadow on the floor"
    assert np.abs(change[:30, :20]).max() < 6, "far from the ball nothing changes"


@pytest.mark.slow
def test_a_ball_that_is_lit_from_above_has_a_position_beside_its_dark_shadow() -> None:
    """Its disc is shaded more than a fit may be off elsewhere; the image tells by how much."""
    pytest.importorskip("mitsuba")
    pytest.importorskip("mitsuba_oidn")
    clip = make_clip(Row("occlusion/screen-lift-v1", "test", 3), RenderSpec(256, 256, 4.0, "natural"))
    tracks = track(clip, 1, clip.frames[clip.window(1)])
    assert np.isfinite(tracks.position[:2, 0]).all()
    true = px_from_world(clip.scene.camera, clip.spec, clip.states[clip.window(1)][:2, clip.tracked[0], :3])
    assert np.abs(tracks.position[:2, 0] - true).max() < 0.5
