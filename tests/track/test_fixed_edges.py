"""Outlines of fixed bodies: what shifts and strengths of known size read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.track.fixed_edges import _Field, brightness, fixed_edges, read_edges


@pytest.fixture(scope="module", params=(64, 128, 256))
def clip(request: pytest.FixtureRequest) -> Clip:
    return make_clip(Row("occlusion/screen-pass-v1", "test", 1), render_spec(request.param, 2.0))


def still(clip: Clip) -> np.ndarray:
    """The last frame, in which the ball is far from most edges."""
    return clip.frames[-1:].astype(np.float64)


def read(clip: Clip, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = fixed_edges(clip)
    assert edges is not None
    found, _ = read_edges(torch.from_numpy(np.rint(frames).clip(0, 255).astype(np.uint8)), edges)
    return found.step, found.shift


def test_every_fixed_body_with_an_edge_is_found(clip: Clip) -> None:
    edges = fixed_edges(clip)
    assert edges is not None and edges is fixed_edges(clip)
    assert [clip.scene.bodies[i].name for i in edges.bodies] == ["floor", "screen"]
    assert edges.sides >= 4  # the floor's, and three of the screen's


def test_truth_reads_as_it_is(clip: Clip) -> None:
    step, off = read(clip, still(clip))
    assert np.median(step) == pytest.approx(1.0, abs=0.01)
    assert np.median(np.abs(off)) < 0.01


@pytest.mark.parametrize("d", ((0.4, 0.0), (0.0, -0.3), (-0.8, 0.6)))
def test_shifts_of_known_size(clip: Clip, d: tuple[float, float]) -> None:
    edges = fixed_edges(clip)
    assert edges is not None
    moved = shift(still(clip), (0, d[1] * edges.factor, d[0] * edges.factor, 0), order=1, mode="nearest")
    _, off = read(clip, moved)
    assert np.median(np.abs(off[0] - edges.normal @ np.array(d))) < 0.12


def test_a_shadow_along_a_wall_is_no_edge() -> None:
    """From ground by shadow to wall, as drawn: noise would make nearly any step and any shift of it."""
    ends = np.array([40.0, 8.0]), np.array([40.0, 56.0])
    shaded, clean = (np.full((64, 80), 110.0) for _ in range(2))
    shaded[:, 36:44], shaded[:, 44:] = [110, 97, 85, 83, 80, 70, 67, 67], 67
    clean[:, 40:] = 67
    pieces = [list(_Field(grey, np.ones(grey.shape, dtype=bool)).pieces(*ends)) for grey in (shaded, clean)]
    assert [len(found) for found in pieces] == [0, 6]


@pytest.mark.parametrize("sd", (0.7, 1.5))
def test_blur_moves_no_edge(clip: Clip, sd: float) -> None:
    step, off = read(clip, gaussian_filter(still(clip), (0, sd, sd, 0)))
    assert np.median(np.abs(off)) < 0.15
    assert np.median(step) > 0.5


def test_brightness_and_strength(clip: Clip) -> None:
    edges = fixed_edges(clip)
    assert edges is not None
    dark = 0.6 * still(clip)
    step, off = read(clip, dark)
    assert np.median(step) == pytest.approx(0.6, abs=0.03)
    assert np.median(np.abs(off)) < 0.05
    frames = torch.from_numpy(np.rint(dark).astype(np.uint8))
    assert brightness(frames, edges)[0] == pytest.approx(0.6, abs=0.01)
    assert np.abs(read(clip, np.full_like(still(clip), 128))[0]).max() < 0.01


def test_bare_ground_has_no_edges() -> None:
    assert fixed_edges(make_clip(Row("collisions/head-on-v1", "test", 0), render_spec(64, 2.0))) is None


def test_what_is_lost_in_white_is_not_read(clip: Clip) -> None:
    """In a picture that is too bright the edge between two light greys is gone, that of a dark screen is not."""
    light = still(clip)
    own = light.copy()
    light[own > 0.75 * np.median(own)] = 215.0  # the floor; the screen stays dark
    light[own > 0.95 * np.median(own)] = 235.0
    made = dataclasses.replace(clip, frames=np.repeat(light, len(clip.frames), axis=0).astype(np.uint8))
    edges = fixed_edges(made)
    assert edges is not None
    level = np.add.reduceat(edges.value[0], edges.start) / np.diff(np.append(edges.start, len(edges.row)))
    assert (level > 200).any() and (level < 180).any()
    for factor in (1.0, 1.4):
        assert np.array_equal(np.isnan(read(made, factor * light)[0][0]), (level > 200) & (factor > 1))
    x, y = (edges.factor * edges.middle[level.argmax()]).astype(int)
    painted = light.copy()
    painted[:, max(0, y - 24) : y + 24, max(0, x - 24) : x + 24] = 255
    assert np.isfinite(read(made, painted)[0]).all(), "a white patch hides nothing"
    blank = np.full_like(light, 255.0)
    assert np.isfinite(read(made, blank)[0]).all(), "nor does a white picture"
    blank[own < 0.5 * np.median(own)] = 40.0
    assert np.isfinite(read(made, blank)[0]).all(), "nor one of which the dark screen alone is left"


@pytest.mark.parametrize("task", ("falling/stack-v1", "collisions/wall-bounce-v1", "falling/incline-v1"))
def test_small_pictures_show_a_shift_along_and_across(task: str) -> None:
    """By the ends of walls, and by what stands at the border: these tell no place of their own."""
    edges = fixed_edges(make_clip(Row(task, "test", 1), render_spec(64, 2.0)))
    assert edges is not None
    share = np.linalg.eigvalsh(np.einsum("p,pi,pj->ij", edges.length, edges.normal, edges.normal))
    assert share[0] > 0.1 * share.sum()
    assert edges.sure.any() and not edges.sure.all()


def test_the_outer_side_of_a_cushion_at_the_border_is_not_its_inner_one() -> None:
    edges = fixed_edges(make_clip(Row("collisions/billiards-v1", "test", 0), render_spec(64, 2.0)))
    assert edges is not None
    assert edges.sides == len(edges.bodies) == 4
