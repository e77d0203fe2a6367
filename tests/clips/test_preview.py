"""Sheets and animations of clips: they show what was drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from physbench.clips.clip import Clip
from physbench.clips.preview import multiple_exposure, write
from physbench.track.colour import HUED


@pytest.mark.parametrize("task", ["collisions/walk-round-v1", "collisions/head-on-v1"])
def test_the_latest_exposure_is_the_last_frame(clip_of: Callable[..., Clip], task: str) -> None:
    """Also of a camera that has gone half round: its way is not that of a camera at rest."""
    clip = clip_of(task)
    exposed, last = multiple_exposure(clip).astype(int), clip.frames[-1].astype(int)
    coloured = np.ptp(last, axis=-1) > 2 * HUED
    assert coloured.sum() > 20 and np.abs(exposed - last)[coloured].max() <= 10
    assert (np.ptp(exposed, axis=-1) > 2 * HUED).sum() > 1.5 * coloured.sum()  # the earlier ones are there


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_small_shaded_ball_keeps_its_colour_on_a_textured_ground(suffix: str, tmp_path: Path) -> None:
    """Most pixels are greys, as in the natural look; a palette that follows their number alone has no blue left."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    frames = np.repeat(rng.integers(120, 190, (96, 96, 1)) + np.array([8, 0, -12]), 8, axis=0).reshape(96, 8, 96, 3)
    frames = np.moveaxis(frames, 1, 0).astype(np.uint8)
    for k, frame in enumerate(frames):
        inside = np.hypot(x - 20 - 6 * k, y - 48) < 6
        light = 1 - 0.5 * np.hypot(x - 18 - 6 * k, y - 46)[inside] / 8
        frame[inside] = light[:, None] * np.array([30, 90, 240])
    write(tmp_path / f"clips{suffix}", frames)
    with Image.open(tmp_path / f"clips{suffix}") as picture:
        seen = np.stack([np.array(each.convert("RGB")) for each in ImageSequence.Iterator(picture)])
    assert seen.shape == frames.shape
    blue = frames[..., 2] > frames[..., 0].astype(int) + 60
    error = np.abs(seen.astype(int) - frames)
    assert blue.sum() > 500
    assert error[blue].mean() < 12
    assert error.mean() < 12
