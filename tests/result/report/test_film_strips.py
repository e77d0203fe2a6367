"""Film strips: the right frames, and tracks where the objects are."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.result.report.pictures import STRIP, moments, picture_strip, strips, times_of
from physbench.track.tracks import Visibility
from physbench.world.scene import RenderSpec


@pytest.fixture(scope="module")
def clip(kit) -> Clip:
    return ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)


def decoded(uri: str) -> np.ndarray:
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_moments_end_with_the_horizon(clip: Clip) -> None:
    assert len(moments(clip)) == 8
    assert moments(clip)[-1] == clip.horizon - 1
    assert times_of(clip)[-1] == pytest.approx(4.0)


def test_frames_are_those_of_truth_and_prediction(clip: Clip, kit) -> None:
    prediction, tracks = kit.at_half_speed(clip)
    truth, model = strips(clip, prediction, tracks)
    for strip, frames in ((truth, clip.future()), (model, prediction)):
        picture = decoded(strip.picture)
        assert picture.shape == (64, 8 * (64 + STRIP.gap) - STRIP.gap, 4)
        for column, moment in enumerate(moments(clip)):
            left = column * (64 + STRIP.gap)
            np.testing.assert_array_equal(picture[:, left : left + 64, :3], frames[moment])
        assert len(strip.picture) < 30_000


def test_marks_are_where_objects_are_seen_and_should_be(clip: Clip, kit) -> None:
    prediction, tracks = kit.at_half_speed(clip)
    truth, model = strips(clip, prediction, tracks)
    for column, moment in enumerate(moments(clip)):
        left = column * (64 + STRIP.gap)
        true, seen = clip.px_positions()[clip.handover + 1 + moment, 0], tracks.position[kit.CONTEXT + moment, 0]
        assert (truth.marks[column].x, truth.marks[column].y) == pytest.approx((true[0] + left, true[1]), abs=0.06)
        assert model.marks[column].ring[:2] == pytest.approx((true[0] + left, true[1]), abs=0.06)
        assert model.marks[column].ring[2] == pytest.approx(clip.scene.bodies[clip.tracked[0]].radius * 12.5, abs=0.3)
        if np.isfinite(seen[0]):
            assert (model.marks[column].x, model.marks[column].y) == pytest.approx((seen[0] + left, seen[1]), abs=0.06)
            assert model.marks[column].lost is None
    assert model.marks[-1].x is None
    assert model.marks[-1].lost is not None


def test_a_perfect_prediction_has_nothing_lost(clip: Clip, kit) -> None:
    _, model = strips(clip, clip.future(), kit.true_tracks(clip))
    assert all(mark.lost is None for mark in model.marks)
    assert model.marks[0].trail.count(",") > 3


def test_a_prediction_that_ends_early_leaves_empty_places(clip: Clip, kit) -> None:
    tracks = kit.true_tracks(clip)
    state, position = tracks.state.copy(), tracks.position.copy()
    state[kit.CONTEXT + 20 :], position[kit.CONTEXT + 20 :] = Visibility.ABSENT, np.nan
    _, model = strips(clip, clip.future()[:20], replace(tracks, state=state, position=position))
    picture = decoded(model.picture)
    assert picture[:, -64:, 3].max() == 0
    assert picture[:, :64, 3].min() == 255
    assert model.marks[-1].lost is not None


def test_the_star_of_an_orbit_has_no_ring(kit) -> None:
    clip = ClipStore().get(Row("orbits/kepler-v1", "test", 0), kit.SPEC)
    _, model = strips(clip, clip.future(), kit.true_tracks(clip))
    fixed = [body.role == "fixed" for body in clip.tracked_bodies]
    assert [mark.ring is None for mark in model.marks] == fixed * 8


def test_large_frames_are_made_smaller() -> None:
    frame = np.zeros((256, 384, 3), np.uint8)
    picture = decoded(picture_strip([frame, None], (128, 85)))
    assert picture.shape == (85, 2 * 128 + STRIP.gap, 4)


def test_wide_and_large_clips(kit) -> None:
    clip = ClipStore().get(Row("falling/projectile-v1", "test", 0), RenderSpec(96, 160, 10))
    truth, _ = strips(clip, clip.future(), kit.true_tracks(clip))
    assert truth.height == round(96 * 128 / 160)
    assert decoded(truth.picture).shape[:2] == (truth.height, truth.width)
    assert all(0 <= mark.y <= truth.height for mark in truth.marks if mark.y is not None)
