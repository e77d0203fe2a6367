"""What the law of motion explains, on tracks made from exact states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.scoring.explanation import Explanation, explain, resting
from physbench.scoring.stretches import motions, stretches, visits
from physbench.tracks.tracks import Tracks, Visibility

TASKS = ("falling/projectile-v1", "collisions/head-on-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")
C = 8
Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]


def share(parts: tuple[Explanation, ...]) -> float:
    return float(sum(p.weight[p.due].sum() for p in parts) / sum(p.due.sum() for p in parts))


def px_from(clip: Clip, plane: np.ndarray) -> np.ndarray:
    from physbench.world.camera import px_from_plane

    return px_from_plane(clip.scene.camera, clip.spec, plane)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("ood", 0)])
def test_truth_is_explained_and_a_frozen_picture_is_not(
    clip_of: Clips, ideal: Ideal, task: str, split: str, seed: int
) -> None:
    clip = clip_of(task, split, seed)
    assert share(explain(clip, ideal(clip))) == 1
    px = clip.px_positions()[clip.window(C)]
    px[C:] = px[C - 1]
    frozen = ideal(clip, px=px, seen=np.ones(px.shape[:2], bool))
    assert share(explain(clip, frozen)) < 0.35


def test_bounces_between_frames_are_found(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/projectile-v1")
    tracks = ideal(clip)
    bodies = motions(clip, tracks)
    found = [visit.deepest for visit in visits(clip, tracks, bodies)[0]]
    true = [contact.time for contact in clip.contacts if contact.time > tracks.times[0]]
    high = [t for t, after in zip(true, [*true[1:], 9.0], strict=True) if after - t > 0.3]
    assert len(high) >= 2
    for moment in high:
        assert min(abs(moment - t) for t in found) < 1 / 15 / 4
    assert len(stretches(clip, bodies[0], tracks.times, visits(clip, tracks, bodies)[0])) >= len(high)


def test_a_bounce_in_mid_air_is_a_miss(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/projectile-v1")
    plane = clip.plane_positions()[clip.window(C)]
    plane[..., 1] += 0.6  # all bounces are above the floor, not on it
    assert share(explain(clip, ideal(clip, px=px_from(clip, plane)))) < 0.5


def test_passing_through_a_body_is_a_miss_until_the_next_contact(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("collisions/head-on-v1")
    times = clip.times[clip.window(C)]
    state = clip.states[clip.handover, list(clip.tracked)]
    plane = state[:, :2] + state[:, 7:9] * times[:, None, None]
    through = ideal(clip, px=px_from(clip, plane), seen=np.ones(plane.shape[:2], bool))
    meeting = next(c.time for c in clip.contacts if c.time > 0)
    for part in explain(clip, through):
        assert part.misses >= 1
        assert not part.weight[times > meeting + 0.4].any()
        assert part.weight[(times > 0) & (times < meeting - 0.1)].all()


def test_later_stretches_weigh_half_as_much_per_miss(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/projectile-v1")
    plane = clip.plane_positions()[clip.window(C)]
    times = clip.times[clip.window(C)]
    first = next(c.time for c in clip.contacts if c.time > 0)
    shifted = plane.copy()
    shifted[(times > first / 2) & (times > 0), 0, 0] += 0.5  # a jump sideways before the first bounce
    (part,) = explain(clip, ideal(clip, px=px_from(clip, shifted)))
    assert part.misses == 1
    later = part.due & (times > first + 0.1)
    assert set(part.weight[later]) == {0.5}
    assert not part.weight[(times > first / 2 + 0.07) & (times < first - 0.07)].any()


def test_absent_time_is_unexplained_and_short_lack_of_a_position_is_not(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/projectile-v1")
    tracks = ideal(clip)
    blind, gone = tracks.position.copy(), tracks.state.copy()
    blind[20:26] = np.nan
    assert share(explain(clip, replace(tracks, position=blind))) == 1
    gone[20:26] = Visibility.ABSENT
    assert share(explain(clip, replace(tracks, position=blind, state=gone))) == pytest.approx(1 - 6 / clip.horizon)
    faint = tracks.area.copy()
    faint[20:22] = 0  # nothing is seen, though a tracker takes two such frames for a blink
    assert share(explain(clip, replace(tracks, position=blind, area=faint))) == pytest.approx(1 - 2 / clip.horizon)
    orbit = clip_of("orbits/kepler-v1")
    tracks = ideal(orbit)
    tracks.position[20:40] = np.nan  # for longer it is as good as absent
    assert share(explain(orbit, tracks)) == pytest.approx(1 - 20 / orbit.horizon)


def test_a_blob_far_larger_than_the_object_is_not_it(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("occlusion/screen-pass-v1")
    tracks = ideal(clip)
    position, area, state = tracks.position.copy(), tracks.area.copy(), tracks.state.copy()
    position[C:], area[C:], state[C:] = np.nan, 4096, Visibility.VISIBLE
    assert share(explain(clip, replace(tracks, position=position, area=area, state=state))) == 0


def test_lying_on_the_floor_is_rest_and_rest_is_not_free(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/projectile-v1")
    px = clip.px_positions()[clip.window(C)]
    body = clip.tracked_bodies[0]
    plane = clip.plane_positions()[clip.window(C)]
    plane[C:, 0, 1] = body.radius  # on the floor, where ground truth only passes
    plane[C:, 0, 0] = plane[C, 0, 0]
    lying = ideal(clip, px=px_from(clip, plane), seen=np.ones(px.shape[:2], bool))
    assert share(explain(clip, lying)) < 0.2


def test_resting_is_less_than_a_twentieth_of_a_diameter_in_a_fifth_of_a_second() -> None:
    times = np.arange(60) / 30
    path = np.stack([np.where(times < 1, 0.0, (times - 1) * 0.5), np.zeros(60)], axis=-1)
    rests = resting(times, path, diameter=1.0)
    assert rests[:28].all() and not rests[33:].any()
    slow = np.stack([times * 0.24, np.zeros(60)], axis=-1)
    assert resting(times, slow, 1.0).all() and not resting(times, slow * 1.1, 1.0).any()


@pytest.mark.parametrize(("size", "fps"), [(64, 30.0), (64, 60.0), (128, 10.0)])
def test_readings_do_not_depend_on_size_and_rate(clip_of: Clips, ideal: Ideal, size: int, fps: float) -> None:
    for task in TASKS[:2]:
        clip = clip_of(task, size=size, fps=fps)
        assert share(explain(clip, ideal(clip, context=round(fps / 2)))) == 1
