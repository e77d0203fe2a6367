"""Clips without simulation: a coloured disc on a straight way, and a code for the toys in the top left pixel."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.world.scene import Body, Camera, Impulse, RenderSpec, Scene

TOYS = Path(__file__).with_name("toys.py")


def load_toys():
    spec = importlib.util.spec_from_file_location("toys", TOYS)
    module = importlib.util.module_from_spec(spec)
    sys.modules["toys"] = module
    spec.loader.exec_module(module)
    return module


def make_clip(
    seed: int, code: int = 0, horizon: int = 12, spec: RenderSpec | None = None, impulse: bool = False
) -> Clip:
    spec = spec or RenderSpec(32, 40, 10)
    history = int(2 * spec.fps)
    times = np.arange(-history, horizon + 1) / spec.fps
    y, x = np.mgrid[: spec.height, : spec.width] + 0.5
    center = spec.width / 2 + 3 * times + seed % 3
    disc = (x - center[:, None, None]) ** 2 + (y - spec.height / 2) ** 2 < 36
    frames = np.where(disc[..., None], np.array([230, 34, 34]), 128).astype(np.uint8)
    frames[:, 0, 0] = code
    ball = Body("ball", "sphere", (0.4,), "moving", (0, 0, 0), hue=0)
    impulses = (Impulse(0.5, "ball", (1.0, 0.0, 2.0)), Impulse(-0.15, "ball", (3.0, 0.0, 0.0))) if impulse else ()
    scene = Scene((ball,), Camera("front", (0, 0, 0)), impulses=impulses, horizon=horizon / spec.fps, prompt="a ball")
    area = np.full((len(times), 1), 113, dtype=np.float32)
    states = np.zeros((len(times), 1, 13))
    return Clip(Row("toy/disc-v1", "test", seed), scene, spec, times, frames, states, area, area, ())


@pytest.fixture(scope="session")
def toys():
    return load_toys()


class Clips(dict):
    """Clips by row, and what a RolloutEngine asks for."""

    def add(self, *clips: Clip) -> None:
        self.update({clip.row: clip for clip in clips})

    def load(self, row: Row) -> Clip:
        return self[row]

    def horizon(self, row: Row) -> int:
        return self[row].horizon


@pytest.fixture
def clips() -> Clips:
    return Clips()


@pytest.fixture(scope="session")
def clip_maker():
    return make_clip


@pytest.fixture(scope="session")
def toy_target():
    return lambda factory: f"{TOYS}:{factory}"
