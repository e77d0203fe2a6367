"""The `simple` model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from physbench.models.protocol import FrameModel
from physbench.reference import latent_model
from physbench.reference.simple import AHEAD, SEEN, ConvDynamics, SimpleModel, architecture
from physbench.reference.training_loop import generator, run_stages

TINY = {**architecture.defaults, "pictures": 8, "width": 16, "blocks": 2, "memory": 4, "unrolled": 4}


def tiny_model() -> SimpleModel:
    """A model whose memory and changes are not zero."""
    torch.manual_seed(0)
    net = architecture.net(TINY)
    for weight in net.dynamics.parameters():
        torch.nn.init.normal_(weight, std=0.02)
    return architecture.wrap(net, architecture.card(TINY), torch.device("cpu"), torch.float32)


@pytest.mark.slow
def test_it_learns(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(latent_model, "POOL_FRAMES", 96)
    monkeypatch.setattr(latent_model, "PICTURE_SHARE", 1.0)
    monkeypatch.setattr(ConvDynamics, "batch", 16)
    torch.manual_seed(0)
    net = architecture.net(TINY)
    pictures, dynamics = architecture.stages(net, TINY, toys, tmp_path, 60)
    run_stages(net, [pictures], tmp_path, "key", 0, None, False)
    assert pictures.losses[-1] < 0.5 * pictures.losses[0]
    dynamics.prepare()
    before = float(dynamics.loss(0.0, generator("same")).detach())
    run_stages(net, [dynamics], tmp_path, "key", 0, None, False)
    assert float(dynamics.loss(0.0, generator("same")).detach()) < 0.93 * before


def test_rollouts_come_in_chunks_and_do_not_depend_on_the_batch(toys) -> None:  # type: ignore[no-untyped-def]
    model = tiny_model()
    assert isinstance(model, FrameModel)
    context = torch.stack([toys.frames(i)[:8] for i in range(3)]).float() / 255
    for horizon in (1, 33):
        chunks = list(model.rollout(context, horizon=horizon, actions=None, prompts=[""] * 3, generators=[]))
        whole = torch.cat(chunks, 1)
        assert whole.shape == (3, horizon, 3, 64, 64)
        assert whole.min() >= 0 and whole.max() <= 1
    alone = torch.cat(list(model.rollout(context[1:2], horizon=33, actions=None, prompts=[""], generators=[])), 1)
    assert torch.allclose(alone[0], whole[1], atol=1e-5)


@torch.no_grad()
def test_steps_one_by_one_are_the_rollout(toys) -> None:  # type: ignore[no-untyped-def]
    model = tiny_model()
    context = torch.stack([toys.frames(i)[:8] for i in range(2)]).float() / 255
    whole = torch.cat(list(model.rollout(context, horizon=7, actions=None, prompts=[""] * 2, generators=[])), 1)
    state, frames = model.init(context), []
    for _ in range(7):
        state, frame = model.step(state)
        frames.append(frame)
    assert torch.allclose(torch.stack(frames, 1), whole, atol=1e-5)


@torch.no_grad()
def test_the_loss_rolls_out_as_the_model_does() -> None:
    """A window that is the model's own rollout has no error behind the context."""
    torch.manual_seed(0)
    net = tiny_model().net.dynamics
    assert isinstance(net, ConvDynamics)
    context = torch.randn(2, 8, 16, 8, 8)
    ahead = torch.cat(list(net.imagine(context, 8, [])), 1)
    windows = torch.cat([context, ahead], 1)
    none = torch.zeros_like(context)
    # what is expected within the context is still wrong: the same for a window with nothing behind it
    weight = latent_model.cell_weights(windows, 8)[:, SEEN:]
    context_error = net(windows, none) * weight.sum()
    other = windows.clone()
    other[:, -AHEAD:] += 1.0
    assert float(net(other, none)) > float(net(windows, none))
    memory = torch.zeros(2, TINY["memory"], 8, 8)
    parts = []
    for last in (4, 6):
        expected, memory = net.step(context[:, last - SEEN : last], context[:, -1], memory)
        parts.append(expected)
    error = (torch.cat(parts, 1) - context[:, SEEN:]).abs()
    own = ((error + error.square()) * weight[:, :4]).sum() / 16
    assert float(context_error) == pytest.approx(float(own), rel=1e-4)


def test_what_rests_stays_as_it_is_before_training() -> None:
    torch.manual_seed(0)
    net = architecture.net(TINY)
    latents = torch.randn(1, 1, 16, 8, 8).expand(1, 8, 16, 8, 8)
    ahead = torch.cat(list(net.dynamics.imagine(latents, 10, [])), 1)
    assert torch.equal(ahead, latents[:, -1:].expand_as(ahead))
