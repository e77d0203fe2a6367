"""Tracks of ground truth against ground truth, on every task."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from kept_clips import kept_clip
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip
from physbench.clips.task import task_ids
from physbench.track import tracker
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, Visibility
from physbench.world.camera import depth_axis, depth_scale, foot, plane_from_px, plane_from_world
from physbench.world.drawing import apparent_radius, render
from physbench.world.scene import RenderSpec

CONTEXT = 8
ROWS: tuple[tuple[Split, int], ...] = (("test", 0), ("ood", 0))


FIRST = ("falling/projectile-v1", "collisions/head-on-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")
EVERY = [
    pytest.param(task, size, marks=[] if size == 64 or task in FIRST else pytest.mark.slow)
    for task in task_ids()
    for size in (64, 128)
]


@cache
def clips(task: str, size: int) -> list[Clip]:
    """Two at one size: of those that are looked at in both, at the smaller one."""
    rows = ROWS if (size == 128) != (task in FIRST) else ROWS[:1]
    return [kept_clip(task, split, seed, size, 15.0 if size == 64 else 10.0) for split, seed in rows]


@cache
def tracked(task: str, size: int) -> list[tuple[Clip, Tracks]]:
    return [(clip, track(clip, CONTEXT, clip.frames[clip.window(CONTEXT)])) for clip in clips(task, size)]


def errors(clip: Clip, tracks: Tracks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors (M, 2) px, visible shares (M,), gaps to the nearest other object (M,) px of the moving objects."""
    window = clip.window(tracks.context)
    true, share = clip.px_positions()[window], clip.visible_share()[window].copy()
    radius = clip.diameters()[0] / 2 * clip.pixels_per_metre
    many = len(radius)
    gaps = np.full(true.shape[:2], np.inf)
    for k in range(many):
        for j in set(range(many)) - {k}:
            distance = np.linalg.norm(true[:, k] - true[:, j], axis=-1) - radius[k] - radius[j]
            gaps[:, k] = np.minimum(gaps[:, k], distance)
    moving = [k for k, body in enumerate(clip.tracked_bodies) if body.role == "moving"]
    across = clip.states[window][:, list(clip.tracked), depth_axis(clip.scene.camera)]
    # PyBullet lets blocks that meet turn and slide out of the plane of motion, in which the tracker looks for them.
    share[np.abs(across - clip.scene.camera.center[depth_axis(clip.scene.camera)]) > 0.05] = 0.0  # m: not asked
    off = (tracks.position - true)[:, moving].reshape(-1, 2)
    return off, share[:, moving].ravel(), gaps[:, moving].ravel()


@pytest.mark.parametrize(("task", "size"), others_slow(EVERY, 20))
def test_positions_agree_with_ground_truth(task: str, size: int) -> None:
    parts = [errors(clip, tracks) for clip, tracks in tracked(task, size)]
    off, share, gap = (np.concatenate(part) for part in zip(*parts, strict=True))
    free = (share >= 0.95) & (gap > 3)
    assert np.isfinite(off[free]).all()
    bias, sd = (off[free].mean(0), off[free].std(0)) if free.any() else (np.zeros(2), np.zeros(2))  # stacked: none
    rest = (share >= 0.25) & ~free
    distance = np.linalg.norm(off[rest], axis=-1)
    known = np.isfinite(distance)
    dropped = int((~known).sum())
    worst = distance[known].max() if known.any() else 0.0
    print(
        f"\n{task:26s} {size:4d} px  free {free.sum():4d} bias {bias[0]:+.3f} {bias[1]:+.3f} sd {sd[0]:.3f} {sd[1]:.3f}"
        f"  elsewhere {rest.sum():3d} worst {worst:.2f} px dropped {dropped}"
    )
    # Edges are drawn to half a pixel: the middle of a box at rest is off by up to .25 px (here .118).
    boxes = any(body.shape == "box" for clip, _ in tracked(task, size) for body in clip.tracked_bodies)
    assert (np.abs(bias) < (0.12 if boxes else 0.07)).all()
    assert (sd < (0.12 if boxes else 0.1)).all()
    # A ball of 5 px of which less than half is to be seen gives no centre, nor one that a camera's turn cuts: twice.
    turns = sum(2 for clip, _ in tracked(task, size) if clip.scene.camera.path)
    assert dropped <= max(1, turns, 0.35 * rest.sum())
    if known.any():
        assert (distance[known] <= 0.5).mean() >= 0.99


@pytest.mark.parametrize(("task", "size"), others_slow(EVERY, 20))
def test_presence_and_identity_agree_with_ground_truth(task: str, size: int) -> None:
    for clip, tracks in tracked(task, size):
        window = clip.window(CONTEXT)
        share = clip.visible_share()[window]
        visible = clip.visible_area[window][:, list(clip.tracked)]
        seen = np.isin(tracks.state, (Visibility.VISIBLE, Visibility.CLIPPED))
        assert seen[share >= 0.25].all()
        assert (tracks.state[share < 0.05] == Visibility.OCCLUDED).all()
        whole = share > 0.9
        boxes = any(body.shape == "box" for body in clip.tracked_bodies)  # touching ones share mixed pixels
        assert np.abs(tracks.area[whole] / visible[whole] - 1).max() < (0.12 if boxes else 0.05)
        assert not tracks.duplicates.any()
        assert not tracks.hallucinations.any()
        assert np.nanmax(np.where(share > 0.5, tracks.hue, 0)) < 3
        assert np.isnan(tracks.position[share < 0.05]).all()
        true = clip.px_positions()[window]
        for k in range(len(tracks.names)):  # no other object is nearer to a track than its own
            away = np.linalg.norm(tracks.position[:, k, None] - true, axis=-1)
            known = np.isfinite(away[:, k])
            assert (away[known].argmin(1) == k).all()


def test_one_clip_reads_the_same_at_every_size_and_rate() -> None:
    row = Row("occlusion/screen-pass-v1", "test", 2)
    shown = {}
    for size, fps in ((64, 10.0), (128, 20.0), (256, 10.0)):
        clip = make_clip(row, RenderSpec(size, size, fps))
        context = round(fps) // 2 + 1
        tracks = track(clip, context, clip.frames[clip.window(context)])
        step = round(fps / 10)
        place = (tracks.position / clip.pixels_per_metre)[::step]
        shown[size] = place[-40:] / clip.diameters()[0, 0]
    assert np.nanmax(np.abs(shown[64] - shown[128])) < 0.03
    assert np.nanmax(np.abs(shown[256] - shown[128])) < 0.02


@pytest.mark.parametrize("size", (32, 48))
def test_small_pictures_of_a_ball_at_a_screen(size: int) -> None:
    """A radius of 2.5 px, the least that a card may ask for: a disc is fitted, the holder is no screen."""
    clip = make_clip(Row("occlusion/screen-pass-v1", "test", 0), RenderSpec(size, size, 15.0))
    off, share, _ = errors(clip, track(clip, CONTEXT, clip.frames[clip.window(CONTEXT)]))
    distance = np.linalg.norm(off[share >= 0.25], axis=-1)
    assert np.isnan(distance).mean() <= 0.3
    assert np.nanmax(distance) < 0.5


# A near camera from above: ellipses, and places by a homography.


@pytest.mark.parametrize(
    "task",
    [
        "falling/projectile-v1",
        "occlusion/screen-pass-v1",
        pytest.param("collisions/wall-bounce-v1", marks=pytest.mark.slow),
        pytest.param("falling/incline-v1", marks=pytest.mark.slow),
        pytest.param("falling/stack-v1", marks=pytest.mark.slow),
        pytest.param("orbits/kepler-v1", marks=pytest.mark.slow),
    ],
)
def test_a_near_clip_reads_as_it_is(task: str) -> None:
    clip = make_clip(Row(task, "test", 0), RenderSpec(128, 128, 10.0, view="near"))
    window = clip.window(CONTEXT)
    tracks = track(clip, CONTEXT, clip.frames[window])
    camera, tracked = clip.scene.camera, list(clip.tracked)
    world = clip.states[window][:, tracked, :3]
    depth = world[..., depth_axis(camera)]
    seen = plane_from_px(camera, clip.spec, tracks.position)
    place = foot(camera) + (seen - foot(camera)) * depth_scale(camera, depth)[..., None]
    diameter = np.array([2 * apparent_radius(body, camera) for body in clip.tracked_bodies])
    off = np.linalg.norm(place - plane_from_world(camera, world), axis=-1) / diameter
    share = clip.visible_share()[window]
    part, whole = (share >= 0.5) & (share < 0.95), share >= 0.95
    assert whole.any() and np.isfinite(off[whole]).all() and off[whole].max() < 0.02
    assert np.nanmax(off[part], initial=0.0) < 0.05
    if task == "occlusion/screen-pass-v1":
        assert np.isfinite(off[part]).any()
    # Nothing is lost, moved, grown or of another shape where nothing is wrong.
    full = clip.full_area[window][:, tracked]
    assert (tracks.area / full)[whole].min() > 0.93 and (tracks.area / full)[whole].max() < 1.05
    assert not tracks.hallucinations.any() and np.nanmax(tracks.shape, initial=0.0) < 0.7  # type: ignore[type-var]
    assert tracks.scenery_lost is not None and not tracks.scenery_lost.any()
    assert tracks.camera is not None and np.abs(tracks.camera[:, :2]).max() < 0.2


def test_a_floor_behind_a_ball_hides_nothing_of_it() -> None:
    """A dark one from higher up, at a distance from which the ball is a circle whose size changes with its height."""
    far = make_clip(Row("falling/drop-bounce-v1", "test", 3), RenderSpec(128, 128, 5.0))
    scene = replace(far.scene, camera=replace(far.scene.camera, distance=18.0, tilt=0.5))
    picture = render(scene, far.times, far.states, far.spec)
    clip = replace(
        far, scene=scene, frames=picture.frames, visible_area=picture.visible_area, full_area=picture.full_area
    )
    window = clip.window(CONTEXT)
    tracks = track(clip, CONTEXT, clip.frames[window])
    off = np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1)
    diameter = (clip.diameters() * clip.pixels_per_metre)[window]
    assert (off / diameter).max() < 0.006 and tracks.position_sd.max() < 0.05, "diameters; px"


def test_a_circle_would_not_do_for_a_near_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ellipse is what reads a ball that is partly hidden, as a circle in its place leaves out."""
    clip = make_clip(Row("occlusion/screen-pass-v1", "test", 0), RenderSpec(128, 128, 10.0, view="near"))
    window = clip.window(CONTEXT)
    true, share = clip.px_positions()[window], clip.visible_share()[window]
    diameter = (clip.diameters() * clip.pixels_per_metre)[window]
    part = (share >= 0.4) & (share < 0.95)
    found = []
    for _ in range(2):
        off = np.linalg.norm(track(clip, CONTEXT, clip.frames[window]).position - true, axis=-1) / diameter
        found.append(float(np.nanmedian(off[part])))
        monkeypatch.setattr(tracker, "moving_sight", lambda *_: None)
    assert found[0] < 0.01 and found[1] > 2 * found[0]
