"""Toy episodes: balls on straight lines, one of them bouncing off a floor, drawn with numpy. No simulator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from physbench.reference import objects
from physbench.reference.objects import ObjectsNet, architecture
from physbench.reference.train import learn

PALETTE = [(0.9, 0.135, 0.135), (0.747, 0.9, 0.135), (0.135, 0.9, 0.441), (0.135, 0.441, 0.9), (0.747, 0.135, 0.9)]


def draw(places: np.ndarray, radii: np.ndarray, hues: np.ndarray, floor: float | None) -> np.ndarray:
    """Discs at places (T, N, 2) px on grey -> frames (T, 64, 64, 3) uint8; the floor begins at row `floor`."""
    y, x = np.mgrid[:64, :64] + 0.5
    frames = np.full((len(places), 64, 64, 3), 0.5)
    if floor is not None:
        frames -= 0.08 * np.clip(y + 0.5 - floor, 0, 1)[None, :, :, None]
    for n, radius in enumerate(radii):
        distance = np.hypot(x - places[:, n, 0, None, None], y - places[:, n, 1, None, None])
        cover = np.clip(radius - distance + 0.5, 0, 1)[..., None]
        shade = 0.75 + 0.2 * np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, 1))[..., None]
        frames += cover * (shade * PALETTE[hues[n]] - frames)
    return np.rint(frames * 255).astype(np.uint8)


class ToyEpisodes:
    """`count` episodes of `length` frames: falling and bouncing balls by turns with two balls on straight lines."""

    def __init__(self, count: int = 24, length: int = 40) -> None:
        rng = np.random.default_rng(0)
        self.places, self.videos = [], []
        for index in range(count):
            t = np.arange(length)
            hues = rng.permutation(5)
            if index % 2:
                radii, floor = rng.uniform(5, 6, 1), 55.0
                path = np.empty((length, 1, 2))
                place = np.array([rng.uniform(10, 25), rng.uniform(10, 25)])
                speed = np.array([rng.uniform(0.2, 0.6), 0.0])
                for k in t:
                    path[k, 0] = place
                    for _ in range(20):
                        speed = speed + np.array([0, 0.5 / 20])
                        place = place + speed / 20
                        if place[1] > floor - radii[0] and speed[1] > 0:
                            speed = speed * [1, -0.8]
            else:
                radii, floor = rng.uniform(5, 6, 2), None
                start = np.array([[12, 16], [52, 46]]) + rng.uniform(-3, 3, (2, 2))
                speed = np.array([[0.7, 0.1], [-0.7, -0.1]]) * rng.uniform(0.7, 1.1, (2, 1))
                path = start + t[:, None, None] * speed
            self.places.append(path)
            self.videos.append(torch.from_numpy(draw(path, radii, hues, floor)).permute(0, 3, 1, 2).contiguous())

    def __len__(self) -> int:
        return len(self.videos)

    def frames(self, index: int) -> Tensor:
        return self.videos[index]

    def actions(self, index: int) -> Tensor | None:
        return None


@pytest.fixture(scope="session")
def toys() -> ToyEpisodes:
    torch.set_num_threads(1)
    return ToyEpisodes()


SMALL = {
    "POOL_SIZE": 24,
    "WINDOW_BATCH": 24,
    "SAMPLED_EPISODES": 12,
    "DRAWING_FRAMES": 4,
    "POOL_LIFETIME": 20,
    "LONGEST": 12,
    "USUAL": 9,
}


@pytest.fixture(scope="session")
def net(toys, tmp_path_factory: pytest.TempPathFactory) -> ObjectsNet:  # type: ignore[no-untyped-def]
    """A net after a short training on toys."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(objects, name, value)
        folder = tmp_path_factory.mktemp("objects")
        trained, _ = learn(
            architecture, architecture.config(), toys, folder, {}, seed=0, steps=15, minutes=None, device="cpu",
            resume=False, threads=1,
        )  # fmt: skip
    assert isinstance(trained, ObjectsNet)
    return trained


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of `objects` take little at a time."""
    for name, value in SMALL.items():
        monkeypatch.setattr(objects, name, value)
