"""Metres to pixels and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physbench.world.camera import (
    pixels_per_metre,
    plane_from_px,
    plane_from_world,
    px_from_plane,
    px_from_world,
)
from physbench.world.scene import Camera, RenderSpec

coordinate = st.floats(-50, 50)


@given(coordinate, coordinate, st.sampled_from(["front", "top"]), st.integers(32, 512), st.integers(32, 512))
def test_there_and_back(u: float, v: float, view: str, height: int, width: int) -> None:
    camera, spec = Camera(view, (0.3, -0.2, 1.7)), RenderSpec(height, width, 30)  # type: ignore[arg-type]
    point = np.array([u, v])
    np.testing.assert_allclose(plane_from_px(camera, spec, px_from_plane(camera, spec, point)), point, atol=1e-9)


def test_window_fills_the_shorter_side() -> None:
    camera = Camera("front", (0.0, 0.0, 2.56))
    for spec in (RenderSpec(64, 64, 30), RenderSpec(64, 128, 30), RenderSpec(128, 64, 30)):
        assert pixels_per_metre(camera, spec) == pytest.approx(12.5)
        corner = np.array([-2.56, 5.12])  # of the square window
        expected = [(spec.width - 64) / 2, (spec.height - 64) / 2]
        np.testing.assert_allclose(px_from_plane(camera, spec, corner), expected, atol=1e-9)


@given(coordinate, coordinate)
def test_perspective_is_true_in_the_plane_of_motion(u: float, v: float) -> None:
    spec = RenderSpec(96, 128, 30)
    for camera, point in (
        (Camera("front", (0.1, 0.5, 2.0)), np.array([u, 0.5, v])),
        (Camera("top", (0.1, 0.5, 2.0)), np.array([u, v, 2.0])),
    ):
        flat = px_from_plane(camera, spec, plane_from_world(camera, point))
        np.testing.assert_allclose(px_from_world(camera, spec, point), flat, atol=1e-9)


def test_nearer_things_are_larger() -> None:
    camera, spec = Camera("front", (0.0, 0.0, 0.0)), RenderSpec(64, 64, 30)
    near = px_from_world(camera, spec, np.array([1.0, -10.0, 0.0]))
    assert near[0] - 32 == pytest.approx(2 * 12.5)
