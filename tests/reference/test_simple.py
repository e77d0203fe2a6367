"""The `simple` model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from physbench.adapters.model_protocol import FrameModel
from physbench.reference.simple import SimpleNet, architecture
from physbench.reference.training_loop import generator, run_stages

SMALL = {"size": 64, "fps": 15, "context": 8, "latent": 32, "hidden": 32, "width": 4}


@pytest.mark.slow
def test_it_learns_and_rolls_out(toys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    net = architecture.net(SMALL)
    stages = architecture.stages(net, SMALL, toys, tmp_path, 16)
    before = float(stages[0].loss(0.0, generator("same")).detach())
    run_stages(net, stages, tmp_path, "key", 0, None, False)
    assert len(stages[0].losses) == 16
    assert float(stages[0].loss(0.0, generator("same")).detach()) < before
    model = architecture.wrap(net, architecture.card(SMALL), torch.device("cpu"), torch.float32)
    assert isinstance(model, FrameModel)
    context = torch.stack([toys.frames(i)[:8] for i in range(3)]).float() / 255
    chunks = list(model.rollout(context, horizon=33, actions=None, prompts=[""] * 3, generators=[]))
    whole = torch.cat(chunks, 1)
    assert len(chunks) == 3
    assert whole.shape == (3, 33, 3, 64, 64)
    assert whole.min() >= 0 and whole.max() <= 1


def test_actions_change_what_comes_behind_them() -> None:
    torch.manual_seed(0)
    net = SimpleNet(SMALL)
    context, actions = torch.rand(1, 8, 3, 64, 64), torch.zeros(1, 14, 6)
    actions[0, 10, :] = 1.0
    with torch.no_grad():
        still, pushed = (net.predict(context, 6, table) for table in (None, actions))
    assert torch.equal(still[:, :2], pushed[:, :2])
    assert (still - pushed)[:, 2:].abs().amax() > 1e-4
