"""Scenes drawn with numpy alone, so that the tracker is tested against centres and areas that no renderer rounded."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.world.camera import pixels_per_metre
from physbench.world.scene import BACKGROUND_GREY, PALETTE, SCREEN_GREY, WINDOW, Body, Camera, RenderSpec, Scene

SUPERSAMPLING = 4


@dataclass
class Ball:
    """A ball of `radius` px at `size` 64 on `path` (T, 2) px at that size; a later one hides an earlier one."""

    hue: int
    radius: float
    path: np.ndarray
    colour: tuple[float, float, float] | None = None  # what it is drawn in, if not its hue
    shown: np.ndarray | None = None  # (T,) bool; hidden elsewhere
    scale: np.ndarray | float = 1.0  # (T,) of the radius that is drawn
    twin: tuple[float, float] | None = None  # px; a second one is drawn at this distance


@dataclass
class Stage:
    """What is drawn: balls and screens (left, top, right, bottom px at 64)."""

    balls: list[Ball]
    screens: list[tuple[float, float, float, float]] = field(default_factory=list)


def picture(stage: Stage, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return frames (T, size, size, 3) u8, centres (T, K, 2) px, visible and full areas (T, K) px."""
    steps, many, zoom = len(stage.balls[0].path), len(stage.balls), size / 64
    side = size * SUPERSAMPLING
    grid = (np.arange(side) + 0.5) / SUPERSAMPLING
    frames = np.empty((steps, size, size, 3), dtype=np.uint8)
    centres = np.stack([np.asarray(ball.path) * zoom for ball in stage.balls], axis=1)
    full = np.repeat([[np.pi * (ball.radius * zoom) ** 2 for ball in stage.balls]], steps, axis=0)
    visible = np.zeros((steps, many))
    for t in range(steps):
        canvas = np.full((side, side, 3), BACKGROUND_GREY, dtype=np.float32)
        owner = np.full((side, side), many, dtype=np.uint8)
        for k, ball in enumerate(stage.balls):
            if ball.shown is not None and not ball.shown[t]:
                continue
            radius = ball.radius * zoom * (ball.scale[t] if isinstance(ball.scale, np.ndarray) else ball.scale)
            for shift in (0.0, *([ball.twin] if ball.twin else [])):
                x, y = centres[t, k] + np.asarray(shift) * zoom
                columns = slice(*np.searchsorted(grid, (x - radius, x + radius)))
                rows = slice(*np.searchsorted(grid, (y - radius, y + radius)))
                square = ((grid[columns] - x) ** 2 + (grid[rows, None] - y) ** 2) / radius**2
                disc = square < 1
                light = 0.75 + 0.20 * np.sqrt(1 - square[disc])
                canvas[rows, columns][disc] = light[:, None] * np.asarray(ball.colour or PALETTE[ball.hue])
                owner[rows, columns][disc] = k
        for edges in stage.screens:
            left, top, right, bottom = (round(edge * zoom * SUPERSAMPLING) for edge in edges)
            canvas[top:bottom, left:right], owner[top:bottom, left:right] = SCREEN_GREY, many
        frames[t] = np.round(canvas.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean((1, 3)) * 255)
        visible[t] = np.bincount(owner.ravel(), minlength=many + 1)[:many] / SUPERSAMPLING**2
    return frames, centres, visible, full


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_drawn: dict[tuple[bytes, int], Drawn] = {}


def picture_once(stage: Stage, size: int) -> Drawn:
    """What `picture` returns, drawn once for equal stages."""
    key = (pickle.dumps(stage), size)
    if key not in _drawn:
        _drawn[key] = picture(stage, size)
    frames, centres, visible, full = (array.copy() for array in _drawn[key])
    return frames, centres, visible, full


def make_clip(stage: Stage, size: int = 64, fps: float = 15.0, handover: int = 7) -> Clip:
    """Return a clip whose states say what `picture` draws."""
    frames, centres, visible, full = picture_once(stage, size)
    camera, spec = Camera("front", (0.0, 0.0, 0.0)), RenderSpec(size, size, fps)
    scale = pixels_per_metre(camera, spec)
    bodies = tuple(
        Body(f"ball{k}", "sphere", (ball.radius * WINDOW / 64,), "moving", (0.0, 0.0, 0.0), hue=ball.hue)
        for k, ball in enumerate(stage.balls)
    )
    states = np.zeros((len(frames), len(bodies), 13))
    states[:, :, 0] = (centres[..., 0] - size / 2) / scale
    states[:, :, 2] = (size / 2 - centres[..., 1]) / scale
    return Clip(
        row=Row("test/discs-v1", "test", 0),
        scene=Scene(bodies, camera),
        spec=spec,
        times=(np.arange(len(frames)) - handover) / fps,
        frames=frames,
        states=states,
        visible_area=visible.astype(np.float32),
        full_area=full.astype(np.float32),
        contacts=(),
    )


def line(start: tuple[float, float], end: tuple[float, float], steps: int) -> np.ndarray:
    """Points (steps, 2) on a straight line."""
    return np.linspace(start, end, steps)


def four_balls(steps: int = 60) -> Stage:
    """Four balls that cross the picture, apart from one another."""
    return Stage(
        [
            Ball(0, 5.0, line((8.3, 9.1), (55.2, 11.4), steps)),
            Ball(1, 6.0, line((54.6, 25.8), (9.9, 24.3), steps)),
            Ball(2, 5.5, line((8.8, 40.2), (54.1, 39.3), steps)),
            Ball(3, 5.0, line((55.7, 54.9), (10.2, 55.6), steps)),
        ]
    )


def behind_screen(steps: int = 60, radius: float = 6.0) -> Stage:
    """A ball that passes behind a screen, and one that stays in the open."""
    return Stage(
        [
            Ball(0, radius, line((8.0, 20.3), (56.0, 24.8), steps)),
            Ball(3, 5.0, line((10.0, 52.0), (50.0, 50.0), steps)),
        ],
        [(25.0, 4.0, 40.0, 40.0)],
    )


def crossing(steps: int = 60) -> Stage:
    """A ball that passes behind another one, and a third one that leaves the picture."""
    return Stage(
        [
            Ball(2, 7.0, line((8.0, 24.0), (56.0, 22.0), steps)),
            Ball(3, 6.0, line((52.0, 21.0), (10.0, 26.0), steps)),
            Ball(0, 6.0, line((30.0, 50.0), (72.0, 54.0), steps)),
        ]
    )


def on_post(steps: int = 24) -> Stage:
    """A ball that rests on a post."""
    return Stage([Ball(0, 6.0, np.repeat([[31.7, 24.3]], steps, axis=0))], [(28.0, 30.3, 36.0, 64.0)])


@pytest.fixture(scope="session")
def stages() -> dict[str, Callable[..., Stage]]:
    return {"four": four_balls, "screen": behind_screen, "crossing": crossing, "post": on_post}


@pytest.fixture(scope="session")
def clip_of() -> Callable[..., Clip]:
    return make_clip
