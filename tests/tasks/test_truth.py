"""Ground truth reads 1.00 on every axis, in clips in which something once hid it: each with the cause."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.track.tracker import track
from physbench.world.camera import px_from_world

HEADLINE = [scorer for scorer in find_scorers() if scorer.headline]


@pytest.mark.parametrize(
    ("task", "px", "seed"),
    [
        (
            "occlusion/look-away-v2",
            64,
            32,
        ),  # a camera that turns shows edges elsewhere in each frame
        ("collisions/walk-round-v1", 64, 22),  # a ball creeps at .2 diameters/s, by less than warped frames show
        ("falling/rolling-race-v1", 128, 14),  # pieces of a slow ring that never move in the context
        ("falling/slide-stop-v1", 64, 2),  # a box stops, drawn on the renderer's grid
        ("orbits/harmonic-v1", 64, 19),  # the ball passes the block, whose place tells where the picture lies
        pytest.param("collisions/cradle-v1", 64, 4, marks=pytest.mark.slow),  # balls turn back at next to no speed
    ],
)
def test_ground_truth_reads_one(task: str, px: int, seed: int) -> None:
    clip = make_clip(Row(task, "test", seed), render_spec(px, 15 * px / 64))
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), px // 8, HEADLINE)
    read = {row.reading: row.quality for row in rows if row.axis is not None and row.quality is not None}
    assert len(read) == 4 and min(read.values()) >= 0.995, read


@pytest.mark.parametrize("seed", range(3))
def test_the_block_of_harmonic_is_drawn_where_it_is(seed: int) -> None:
    """Along the pixels its middle would be up to .35 px off."""
    clip = make_clip(Row("orbits/harmonic-v1", "test", seed), render_spec(64, 5))
    tracks = track(clip, 2, clip.frames[clip.window(2)])
    off = (tracks.position - clip.px_positions()[clip.window(2)])[:, tracks.names.index("block")]
    assert np.linalg.norm(np.nanmedian(off, axis=0)) < 0.1


@pytest.mark.parametrize("px", (64, 128, 256))
def test_a_floor_under_boxes_ends_between_two_rows_of_pixels(px: int) -> None:
    scene = make_scene(Row("falling/slide-stop-v1", "test", 0))
    _, down = px_from_world(scene.camera, render_spec(px, 15), np.zeros(3))
    assert down == pytest.approx(round(float(down)), abs=1e-9)
