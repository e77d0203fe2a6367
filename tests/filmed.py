"""Small footage for tests: a disc that moves as in examples/film_a_ball.py, before a level camera."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.video import H264, encode
from physbench.support.arrays import Array, Image

EXAMPLE = Path(__file__).parents[1] / "examples" / "film_a_ball.py"
SCALE, WIDTH, HEIGHT, FLOOR = 100.0, 320, 160, 12.0  # px/m, px, px, px from the lower border
FPS, FRAMES, ZERO = 30, 46, 14
COLOUR, OTHER, GREY = (30, 150, 120), (190, 120, 40), (150, 148, 145)
SAID = """
video = "ball.mp4"
time_zero = {zero}
floor_px = [100, {floor}]
{more}
[[balls]]
name = "ball"
box = {box}
radius = 0.11
"""


def example() -> Any:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("film_a_ball", EXAMPLE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def px(place: Array) -> Array:
    """Positions (..., 2) m -> px of the picture."""
    return np.asarray(place * (SCALE, -SCALE) + (140.0, HEIGHT - FLOOR))


def drawn(
    places: Sequence[Array | None], radius: float, seed: int = 0, second: Sequence[Array | None] | None = None
) -> Image:
    """Frames (T, HEIGHT, WIDTH, 3) with one or two shaded discs of `radius` m, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    frames = np.empty((len(places), HEIGHT, WIDTH, 3))
    frames[:] = GREY
    for colour, path in ((COLOUR, places), (OTHER, [None] * len(places) if second is None else second)):
        for frame, place in zip(frames, path, strict=True):
            if place is None:
                continue
            u, v = px(place)
            size = radius * SCALE
            cover = np.clip(size + 0.5 - np.hypot(x - u, y - v), 0, 1)[..., None]
            shade = np.clip(1 - 0.3 * (y - v) / size, 0.6, 1.3)[..., None]  # lit from above
            frame += cover * (np.array(colour) * shade - frame)
    return np.clip(frames + rng.normal(0, 2, frames.shape), 0, 255).astype(np.uint8)


def film(folder: Path, places: Sequence[Array | None], more: str = "", zero: int = ZERO) -> Path:
    """Write a recording of a ball at places (x, z) m into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    encode(folder / "ball.mp4", drawn(places, 0.11), FPS, H264)
    u, v = px(np.asarray(places[0]))
    box = [round(float(side)) for side in (u - 12, v - 12, u + 12, v + 12)]
    said = SAID.format(zero=zero, floor=HEIGHT - FLOOR, box=box, more=more)
    (folder / "recording.toml").write_text(said, encoding="utf-8")
    return folder
