"""The examples of one clip: best of N, a reward, and a callback of Lightning, on models that need no training."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import physbench
from physbench import ModelCard
from physbench.clips.clip import Clip

EXAMPLES = Path(__file__).parent.parent / "examples"
CARD = ModelCard("made", image_size=(48, 48), fps=10, context_frames=8, stochastic=True)


@pytest.fixture
def clip() -> Clip:
    return physbench.clip("falling/projectile", size=48, fps=10)


class Luck:
    """Shows the future of a clip for a share of the horizon that its generators draw, and then stands still."""

    card = CARD

    def __init__(self, clip: Clip) -> None:
        self.future = torch.from_numpy(clip.future()).movedim(-1, 1) / 255
        self.shares: list[float] = []

    def rollout(self, context: torch.Tensor, *, horizon: int, generators: Any, **_: Any) -> Iterator[torch.Tensor]:
        assert context.shape == (len(generators), 8, 3, 48, 48) and context.max() <= 1
        self.shares = [float(torch.rand(1, generator=each)) for each in generators]
        last = [round(share * (horizon - 1)) for share in self.shares]
        yield torch.stack([self.future[torch.arange(horizon).clamp(max=end)] for end in last])


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_the_best_of_n_is_lawful_for_longest(example: Any, clip: Clip) -> None:
    model = Luck(clip)
    frames, results = example("best_of_n").best_of(model, clip, 3)
    ranks = sorted(range(3), key=lambda number: results[number]["score"])
    assert ranks == sorted(range(3), key=lambda number: model.shares[number])
    last = round(model.shares[ranks[-1]] * (clip.horizon - 1))
    assert torch.equal(frames, model.future[torch.arange(clip.horizon).clamp(max=last)])


def test_a_reward_pays_no_cheat(example: Any, clip: Clip) -> None:
    truth = torch.from_numpy(clip.future()).movedim(-1, 1) / 255
    grey = torch.full_like(truth, 0.5)
    frozen = (torch.from_numpy(clip.context(1)).movedim(-1, 1) / 255).expand_as(truth)
    rewards = example("reward").rewards(clip, torch.stack([truth, grey, frozen]), CARD)
    assert rewards[0] > 0.99 and rewards[1] <= 0 and abs(rewards[2]) < 1e-6


def test_the_callback_logs_the_score_of_a_clip(example: Any, clip: Clip) -> None:
    pytest.importorskip("lightning")
    module = Luck(clip)
    logged: dict[str, float] = {}
    module.device, module.log_dict = torch.device("cpu"), logged.update  # type: ignore[attr-defined]
    callback = example("score_callback").PhysicsScore()
    callback.on_validation_epoch_end(None, module)
    assert set(logged) == {"physbench/score", "physbench/consistency", "physbench/permanence", "physbench/drift"}
    assert 0 < logged["physbench/score"] < 1
