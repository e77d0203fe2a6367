"""The natural look before a camera that turns: frames are cut out of a wide picture, bodies are drawn over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene
from physbench.support.errors import UsageError
from physbench.track import moving_camera
from physbench.track.colour import opponent
from physbench.world.bullet import simulate
from physbench.world.camera import in_view, most_turned, pixels_per_metre, pose_at
from physbench.world.scene import PALETTE, Body, Camera, CameraMove, RenderSpec, Scene
from physbench.world.styles.catalogue import check_camera, draw, draw_still
from physbench.world.styles.natural import frames
from physbench.world.styles.natural.exposure import at_rest, wide_picture
from physbench.world.styles.natural.materials import PATTERN, texture
from physbench.world.styles.natural.rays import near_edges, see, textured_albedo, view_directions
from physbench.world.styles.natural.stage import stage_of

SPEC = RenderSpec(96, 96, 15.0, "natural", "moving")


def moving(task: str, seed: int = 1) -> Scene:
    return in_view(make_scene(Row(task, "test", seed)), "moving")


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize("task", ["occlusion/screen-pass-v1", "collisions/billiards-v1"])
def test_a_frame_shows_what_its_rays_meet(task: str) -> None:
    scene, time = moving(task), 0.9
    view = frames.TurningView(scene, SPEC)
    backdrop, pose = view.backdrop(time), pose_at(scene.camera, time)
    stage = backdrop.stage
    seen = see(stage, scene.camera, view_directions(scene.camera, SPEC, pose=pose))
    inside = ~near_edges(seen.part)
    assert inside.mean() > 0.5 and backdrop.points is not None
    apart = np.linalg.norm(backdrop.points - seen.points(scene.camera), axis=-1)[inside]
    assert np.quantile(apart, 0.99) < 0.05, "m: a third of a pixel of a floor that is seen obliquely"
    off = np.abs(backdrop.albedo - textured_albedo(stage, scene.camera, seen)).mean(axis=-1)[inside]
    assert np.median(off) < 0.03, "a pixel's mean over nine rays, and its middle"
    fine = see(stage, scene.camera, view_directions(scene.camera, SPEC, backdrop.fine, pose=pose))
    assert (backdrop.fine_body == np.array([*frames.bodies_of_parts(scene, stage), -1])[fine.part]).mean() > 0.98


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize("task", ["falling/stack-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1"])
def test_bodies_have_the_places_and_areas_of_the_plain_look(task: str) -> None:
    scene, times = moving(task), [-0.5, 0.0]
    states = simulate(scene, np.array(times)).states
    plain, natural = (draw(scene, times, states, replace(SPEC, look=look)) for look in ("plain", "natural"))
    keep = [i for i, body in enumerate(scene.bodies) if body.shape != "plane" and body.until is None]
    np.testing.assert_allclose(natural.visible_area[:, keep], plain.visible_area[:, keep], rtol=0.04, atol=3)
    np.testing.assert_array_equal(natural.full_area[:, scene.tracked], plain.full_area[:, scene.tracked])
    rows, columns = np.mgrid[:96, :96] + 0.5
    own = opponent(np.array([PALETTE[scene.bodies[i].hue or 0] for i in scene.tracked]))
    own /= np.linalg.norm(own, axis=-1, keepdims=True)
    for pair in zip(plain.frames, natural.frames, strict=True):
        hued = [np.ptp(frame.astype(float), axis=-1) > 80 for frame in pair]
        nearest = [(opponent(frame.astype(float)) @ own.T).argmax(axis=-1) for frame in pair]
        centres = [  # means over bodies, since what counts as one at its rim depends on what lies behind it
            [np.mean([axis[mask & (hue == k)].mean() for k in range(len(own))]) for axis in (columns, rows)]
            for mask, hue in zip(hued, nearest, strict=True)
        ]
        assert np.abs(np.subtract(*centres)).max() < 0.4  # masks of whole pixels


def test_the_camera_at_rest_shows_things_as_large() -> None:
    scene = moving("falling/projectile-v1")
    still = at_rest(scene.camera, SPEC, 96)
    assert not still.path
    assert pixels_per_metre(still, SPEC) == pytest.approx(pixels_per_metre(scene.camera, SPEC), rel=1e-12)
    camera, size = wide_picture(scene, SPEC)
    assert pixels_per_metre(camera, size) == pytest.approx(pixels_per_metre(scene.camera, SPEC), rel=1e-12)
    assert 96 < size.width < 130 and 96 < size.height < 130 and size.width % 2 == size.height % 2 == 0


@pytest.mark.usefixtures("evenly_lit")
def test_a_still_picture_is_that_of_the_camera_at_rest() -> None:
    """As a frame shows it at a moment when the camera passes there, without what moves."""
    scene = moving("falling/projectile-v1")
    states = simulate(scene, np.zeros(1)).states
    still, frame = draw_still(scene, SPEC).astype(float), draw(scene, [0.0], states, SPEC).frames[0].astype(float)
    assert np.allclose(pose_at(scene.camera, 0.0).axes, pose_at(replace(scene.camera, path=()), 0.0).axes)
    assert (np.abs(still - frame).max(axis=-1) < 3).mean() > 0.8 and np.abs(still - frame).max() > 40


def test_cameras_that_go_elsewhere_or_turn_too_far_are_refused() -> None:
    for task, how in (("collisions/walk-round-v1", "goes to other places"), ("occlusion/look-away-v2", "turns by 8")):
        with pytest.raises(UsageError, match=f"--look natural: the camera of it {how}.*look plain alone. Choose other"):
            check_camera("natural", make_scene(Row(task, "test", 0)), "it")
        check_camera("plain", make_scene(Row(task, "test", 0)), "it")
    check_camera("natural", make_scene(Row("falling/follow-v1", "test", 0)))
    scene = moving("falling/projectile-v1")
    assert np.degrees(most_turned(scene.camera, scene.horizon)) == pytest.approx(3.7, abs=0.2)
    far = replace(scene, camera=replace(scene.camera, path=(CameraMove("pan", 0.6),)))
    with pytest.raises(UsageError, match=r"turns too far for pictures of 400x100\. Use square"):
        wide_picture(far, RenderSpec(100, 400, 15.0, "natural"))


def test_a_scene_that_would_be_path_traced_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSBENCH_PATH_TRACE", "1")
    ground = Body("ground", "plane", (), "fixed", (0.0, 0.0, 0.0), hue=1)
    scene = in_view(Scene((ground,), Camera("front", (0.0, 0.0, 2.0))), "moving")
    with pytest.raises(UsageError, match="a camera that moves are not path-traced"):
        draw_still(scene, SPEC)


def test_tape_lies_where_a_camera_moves_and_nowhere_else() -> None:
    still, turning = (in_view(make_scene(Row("falling/projectile-v1", "test", 1)), v) for v in ("near", "moving"))
    floors = [stage_of(scene).surfaces[0].material for scene in (still, turning)]
    assert floors[1] == replace(floors[0], marks=True) and not floors[0].marks
    u, v = np.meshgrid(np.arange(0, 36, 0.02), np.arange(0, 36, 0.02))
    ratio = (texture(floors[1], u, v) / texture(floors[0], u, v))[..., 0]
    assert set(np.unique(ratio.round(9))) == {PATTERN.mark_tone, 1.0}
    share = (2 * PATTERN.mark / PATTERN.mark_spacing) ** 2
    assert (ratio < 0.9).mean() == pytest.approx(share, rel=0.1)


@pytest.mark.usefixtures("evenly_lit")
def test_a_shadow_that_moves_tells_no_camera() -> None:
    spec = replace(SPEC, height=128, width=128, fps=4.0)
    clip = make_clip(Row("collisions/head-on-v1", "test", 0), spec)
    still, checked = moving_camera._levels(clip, moving_camera.still_picture(clip)), 0
    for key in moving_camera._keys(clip):
        for level, place, value in zip(still, key.place, key.level, strict=True):
            usual, _, known = level.at(moving_camera.mapped(key.back, place))
            assert (np.abs(usual - value)[known] < moving_camera.POINTS.still).all()
            checked += int(known.sum())
    assert checked > 1000
