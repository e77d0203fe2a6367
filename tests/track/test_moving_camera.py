"""Predictions of a moving camera are read through their own camera, as the one at rest would see them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmark_modules import benchmark
from scipy.ndimage import gaussian_filter

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.rollout.store import Rollout
from physbench.scorers.diagnostics.appearance import camera as camera_scorer
from physbench.support.arrays import Array, Image
from physbench.track import moving_camera
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, Visibility
from physbench.world.camera import in_picture, lens, poses_at
from physbench.world.drawing import Rendered, render
from physbench.world.scene import Body, Camera, CameraMove, Scene

CONTEXT = 4
panned = benchmark("near_pan").panned
PAN = math.radians(2.0)  # rad/s


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(Row("falling/projectile-v1", "test", 0), render_spec(128, 5, view="moving"))


def drawn(clip: Clip, *moves: CameraMove) -> Rendered:
    """The clip as a camera shows it that also moves otherwise."""
    camera = clip.scene.camera
    scene = replace(clip.scene, camera=replace(camera, path=(*camera.path, *moves)))
    return render(scene, clip.times, clip.states, clip.spec)


def read(clip: Clip, future: Image) -> Tracks:
    return track(clip, CONTEXT, np.concatenate([clip.context(CONTEXT), future]))


def off(clip: Clip, tracks: Tracks) -> Array:
    """Diameters (T, K) from the true places."""
    window = clip.window(CONTEXT)
    diameter = clip.diameters()[window] * clip.pixels_per_metre
    return np.asarray(np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1) / diameter)


def test_a_moving_clip_reads_as_it_is(clip: Clip) -> None:
    tracks = read(clip, clip.future())
    whole = clip.visible_share()[clip.window(CONTEXT)] >= 0.95
    assert whole.sum() > 10 and np.isfinite(off(clip, tracks)[whole]).all() and off(clip, tracks)[whole].max() < 0.02
    assert tracks.camera is not None and np.abs(tracks.camera[:, :2]).max() < 0.25
    assert tracks.scenery_lost is not None and not tracks.scenery_lost.any() and not tracks.hallucinations.any()
    assert not (tracks.state == Visibility.ABSENT).any()


@pytest.mark.slow
def test_a_camera_that_pans_by_itself_is_read_and_moves_no_body(clip: Clip) -> None:
    end = float(clip.times[-1])
    future = drawn(clip, CameraMove("pan", PAN * end, 0.0, end)).frames[clip.handover + 1 :]
    tracks = read(clip, future)
    known = np.isfinite(off(clip, tracks))
    assert known.sum() > 10 and off(clip, tracks)[known].max() < 0.03
    assert not (tracks.state == Visibility.ABSENT).any()
    speed = camera_scorer.function(clip, Rollout(clip.id, 0, future), tracks)
    assert isinstance(speed, dict) and speed["shake"].value is not None
    told = lens(clip.scene.camera, clip.spec)[0, 0] * PAN / clip.spec.height * 100  # % of the picture a second
    assert speed[""].value == pytest.approx(told, rel=0.05)


@pytest.mark.parametrize(
    "share", [0.0, pytest.param(2.0, marks=pytest.mark.slow), pytest.param(-1.0, marks=pytest.mark.slow)]
)
def test_it_is_told_how_much_of_its_path_a_camera_follows(clip: Clip, share: float) -> None:
    """As a model that is given the pose of each frame and ignores it, turns twice as far or the other way."""
    path = tuple(replace(move, size=share * move.size) for move in clip.scene.camera.path)
    scene = replace(clip.scene, camera=replace(clip.scene.camera, path=path))
    for future, right in (
        (clip.future(), 1.0),
        (render(scene, clip.times, clip.states, clip.spec).frames[clip.handover + 1 :], share),
    ):
        readings = camera_scorer.function(clip, Rollout(clip.id, 0, future), read(clip, future))
        assert isinstance(readings, dict) and readings["followed"].value == pytest.approx(right, abs=0.02)


def test_a_still_camera_has_nothing_to_follow() -> None:
    still = make_clip(Row("falling/projectile-v1", "test", 0), render_spec(64, 5))
    readings = camera_scorer.function(still, Rollout(still.id, 0, still.future()), read(still, still.future()))
    assert isinstance(readings, dict) and "followed" not in readings


def test_bodies_in_a_frozen_picture_stay_where_they_are(clip: Clip) -> None:
    """The camera stands still against its path, and what it shows is read relative to the scene."""
    tracks = read(clip, np.repeat(clip.frames[clip.handover][None], clip.horizon, axis=0))
    here = tracks.position[CONTEXT - 1 :]
    assert np.isfinite(here).all() and np.abs(here - here[0]).max() < 0.2
    assert tracks.camera is not None and np.ptp(tracks.camera[CONTEXT:, 0]) > 5


def test_what_a_camera_looks_away_from_is_hidden_and_not_lost(clip: Clip) -> None:
    away = (CameraMove("pan", 1.2, 0.4, 0.8), CameraMove("pan", -1.2, 1.4, 1.8))
    picture = drawn(clip, *away)
    scene = replace(clip.scene, camera=replace(clip.scene.camera, path=(*clip.scene.camera.path, *away)))
    looking = replace(clip, scene=scene, frames=picture.frames, visible_area=picture.visible_area)
    tracks = read(looking, looking.future())
    gone = (looking.times[looking.window(CONTEXT)] > 0.85) & (looking.times[looking.window(CONTEXT)] < 1.35)
    assert gone.any() and (tracks.state[gone] == Visibility.OCCLUDED).all()
    assert not (tracks.state == Visibility.ABSENT).any()
    back = looking.visible_share()[looking.window(CONTEXT)] >= 0.95
    back[: np.flatnonzero(gone)[-1]] = False
    assert back.any() and off(looking, tracks)[back].max() < 0.03


def test_a_ball_that_leaves_the_picture_shifts_no_post() -> None:
    clip = make_clip(Row("occlusion/look-away-v2", "ood", 1005), render_spec(64, 15))
    assert not np.any(track(clip, 8, clip.frames[clip.window(8)]).scenery_off)


def test_cushions_that_leave_the_picture_at_256_px_stay_where_they_are() -> None:
    """Edges are read there in squares of 2 x 2 px; one that the picture's border cuts is not shown."""
    still = make_clip(Row("collisions/billiards-v1", "test", 0), render_spec(256, 6))
    camera = replace(still.scene.camera, path=(CameraMove("pan", 0.04, period=3.0),), tilt=0.3)
    scene = replace(still.scene, camera=camera)
    picture = render(scene, still.times, still.states, still.spec)
    clip = replace(still, scene=scene, frames=picture.frames, visible_area=picture.visible_area)
    tracks = read(clip, clip.future())
    assert tracks.scenery_off is not None and tracks.scenery_lost is not None
    assert not tracks.scenery_lost.any() and tracks.scenery_off.max() < 0.3  # px


def test_a_holder_in_a_frame_of_the_past_is_no_mark_of_the_camera() -> None:
    still = make_clip(Row("orbits/flyby-v1", "test", 2115), render_spec(128, 10))
    camera = replace(still.scene.camera, path=(CameraMove("pan", 0.127, period=3.33),), tilt=0.583, distance=8.16)
    clip = replace(still, scene=replace(still.scene, camera=camera))
    picture = drawn(clip)
    clip = replace(clip, frames=picture.frames, visible_area=picture.visible_area)
    tracks = read(clip, clip.future())
    assert tracks.camera is not None and np.abs(tracks.camera[:, :2]).max() < 0.3  # px; 34 by a key with the holder


def test_marks_hide_no_rim_of_a_ball() -> None:
    """The near side of a ball that a tilted camera sees reaches behind them."""
    camera = Camera("top", (0.0, 0.0, 0.0), distance=4.0, tilt=0.6, path=(CameraMove("pan", 0.01, period=4.0),))
    bodies = tuple(
        Body(f"ball {n}", "sphere", (0.4,), "moving", (0.6 * n - 1.2, 1.5, 0.0), hue=n % 2) for n in range(0, 5, 2)
    )
    states = np.zeros((1, len(bodies), 13))
    states[0, :, :3], states[..., 6] = [body.position for body in bodies], 1.0
    picture = render(Scene(bodies, camera), np.zeros(1), states, render_spec(128, 10))
    assert picture.visible_area[0] == pytest.approx(picture.full_area[0], rel=0.02)


def test_a_camera_that_rests_draws_each_moment_as_it_is_alone() -> None:
    clip = make_clip(Row("occlusion/look-away-v2", "test", 0), render_spec(64, 15))
    poses = poses_at(clip.scene.camera, clip.times)
    rests = [t for t in range(1, len(poses)) if np.array_equal(poses[t].axes, poses[t - 1].axes)]
    alike = [t for t in rests if np.array_equal(clip.frames[t], clip.frames[t - 1])]
    other = [t for t in rests if t not in alike]
    assert len(alike) > 5 and len(other) > 5  # those of a ball at rest, and of one that moves
    for t in (*alike[:4], *other[:4], alike[-1], other[-1]):
        alone = render(clip.scene, clip.times[t : t + 1], clip.states[t : t + 1], clip.spec)
        np.testing.assert_array_equal(alone.frames[0], clip.frames[t])
        np.testing.assert_array_equal(alone.visible_area[0], clip.visible_area[t])


def test_a_warped_frame_shows_what_lies_before_the_camera_and_in_its_picture(clip: Clip) -> None:
    values = ((0.0, 0.0, 0.0, 0.0), (0.3, -0.1, 0.2, 0.05), (1.2, 0.5, 0.0, 0.0))  # the last one looks past the picture
    framing = np.array([moving_camera._deviation(clip, np.array(each)) for each in values])
    video = torch.from_numpy(clip.frames[: len(values)])
    frames, seen = moving_camera.warped(video, framing, clip.spec)
    centres = np.stack(np.meshgrid(np.arange(clip.spec.width), np.arange(clip.spec.height)), axis=-1) + 0.5
    np.testing.assert_array_equal(seen.numpy(), in_picture(framing[:, None, None], clip.spec, centres))
    assert torch.equal(frames[0], video[0]) and seen[0].all()
    assert 0.1 < seen[1].float().mean() < 0.9 and seen[2].float().mean() < 0.1


def test_levels_and_their_slopes_are_those_of_a_blurred_picture(clip: Clip) -> None:
    frame = np.tile(np.linspace(40, 200, clip.spec.width)[:, None], (clip.spec.height, 1, 3)).astype(np.uint8)
    frame[30:50, 40:60] = (220, 40, 40)  # a body
    clear = np.ones(frame.shape[:2])
    clear[29:51, 39:61] = 0  # with its rim
    for blur, level in zip(moving_camera.BLURS, moving_camera._levels(clip, frame), strict=True):
        share = gaussian_filter(clear, blur)
        smooth = gaussian_filter(clear * frame.mean(axis=-1), blur) / np.maximum(share, 1e-6)
        down, right = np.gradient(smooth)
        np.testing.assert_allclose(level.values, np.stack([smooth, right, down, share], axis=-1), rtol=1e-6, atol=1e-5)


def test_turns_and_zoom_are_those_of_a_deviation(clip: Clip) -> None:
    values = np.array([0.3, -0.1, 0.2, 0.05])
    assert moving_camera._turns(clip, moving_camera._deviation(clip, values), 0.05) == pytest.approx(values)


@pytest.mark.slow
def test_a_plate_that_moves_before_a_camera_that_moves_in_is_no_camera() -> None:
    still = make_clip(Row("occlusion/screen-lift-v1", "test", 0), render_spec(128, 3))
    path = (CameraMove("dolly", -1.0, 0.0, 4.0), CameraMove("pan", 0.06, period=2.0))
    scene = replace(still.scene, camera=replace(still.scene.camera, distance=5.0, path=path))
    lifted = replace(still, scene=scene, frames=render(scene, still.times, still.states, still.spec).frames)
    for brightness in (1.0, 0.65):
        shown = (lifted.frames[lifted.window(CONTEXT)] * brightness).astype(np.uint8)
        camera = moving_camera.stilled(lifted, CONTEXT, torch.from_numpy(shown)).camera
        assert np.abs(camera[:, :2]).max() < 0.3 and np.abs(camera[:, 2:]).max() < 0.005


# A near camera that should stand still.


def near(task: str, fps: float = 5.0) -> Clip:
    return make_clip(Row(task, "test", 0), render_spec(128, fps, view="near"))


def stilled(clip: Clip, future: Image) -> moving_camera.StillVideo | None:
    return moving_camera.stilled(clip, CONTEXT, torch.from_numpy(np.concatenate([clip.context(CONTEXT), future])))


@pytest.mark.parametrize(
    "task",
    [
        "collisions/billiards-v1",
        pytest.param("occlusion/screen-pass-v1", marks=pytest.mark.slow),
        pytest.param("collisions/wall-bounce-v1", marks=pytest.mark.slow),
        pytest.param("falling/stack-v1", marks=pytest.mark.slow),
    ],
)
def test_a_near_camera_that_pans_by_itself_is_read_and_moves_no_body(task: str) -> None:
    """At 60 degrees of view a pan moves what is at the border a third further than the middle: it is no shift."""
    clip = near(task)
    future = panned(clip, PAN)
    tracks, still = read(clip, future), read(clip, clip.future())
    away = (
        np.linalg.norm(tracks.position - still.position, axis=-1)
        / (clip.diameters() * clip.pixels_per_metre)[clip.window(CONTEXT)]
    )
    whole = np.isfinite(away) & (tracks.state == Visibility.VISIBLE)
    assert whole.sum() > 10 and away[whole].max() < 0.05, "diameters"
    assert tracks.scenery_lost is not None and not tracks.scenery_lost.any() and not tracks.hallucinations.any()
    speed = camera_scorer.function(clip, Rollout(clip.id, 0, future), tracks)
    assert isinstance(speed, dict)
    told = lens(clip.scene.camera, clip.spec)[0, 0] * PAN / clip.spec.height * 100  # % of the picture a second
    assert speed[""].value == pytest.approx(told, rel=0.05)


@pytest.mark.parametrize("task", ["collisions/wall-bounce-v1", "occlusion/screen-pass-v1"])
def test_noise_is_no_camera_that_moves(task: str) -> None:
    """Frames of a near camera that stands still are read as they are."""
    clip = near(task)
    noise = np.random.default_rng(0).normal(0.0, 6.0, clip.future().shape)
    noisy = np.clip(clip.future() + noise, 0, 255).round().astype(np.uint8)
    assert stilled(clip, clip.future()) is None and stilled(clip, noisy) is None
    assert stilled(clip, panned(clip, PAN)) is not None


def test_what_a_bare_floor_does_not_tell_is_left_to_its_edge() -> None:
    clip = near("falling/projectile-v1")
    assert stilled(clip, panned(clip, PAN)) is None


def test_a_camera_from_afar_is_read_by_edges() -> None:
    clip = make_clip(Row("collisions/billiards-v1", "test", 0), render_spec(64, 5))
    assert read(clip, panned(clip, PAN / 4)).framing is None


def test_a_pan_goes_on_where_a_body_hides_the_only_wall() -> None:
    clip = near("collisions/wall-bounce-v1", 10.0)
    future, speed = panned(clip, PAN), PAN * (clip.times[clip.handover + 1 :])
    edge = int(np.abs(np.diff(clip.frames[-1, :64].astype(float).mean(axis=(0, 2)))).argmax())
    for hidden in (slice(15, 20), slice(len(future) - 4, None)):
        covered = future.copy()
        covered[hidden, :, max(edge - 25, 0) : edge + 25] = (220, 40, 40)
        still = stilled(clip, covered)
        assert still is not None
        pan = still.camera[CONTEXT:, 0] / -np.tan(speed) / lens(clip.scene.camera, clip.spec)[0, 0]
        assert pan[15:] == pytest.approx(1.0, abs=0.03)
