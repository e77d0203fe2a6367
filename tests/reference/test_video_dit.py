"""The `video-dit` model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from physbench.models.protocol import FrameModel
from physbench.reference import latent_model
from physbench.reference.training_loop import generator, run_stages
from physbench.reference.video_dit import VideoDiT, architecture, patches, pictures, shifted

TINY = {**architecture.defaults, "pictures": 8, "width": 64, "blocks": 2, "heads": 2, "denoising_steps": 4}


def tiny_dynamics(denoising_steps: int = 4) -> VideoDiT:
    """Dynamics whose blocks do something."""
    torch.manual_seed(0)
    dynamics = architecture.dynamics({**TINY, "denoising_steps": denoising_steps})
    for weight in dynamics.parameters():
        weight.data.add_(0.02 * torch.randn_like(weight))
    return dynamics.eval().requires_grad_(False)


def generators(count: int) -> list[torch.Generator]:
    return [generator("clip", index) for index in range(count)]


@pytest.mark.slow
def test_it_learns(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(latent_model, "POOL_FRAMES", 96)
    monkeypatch.setattr(VideoDiT, "batch", 16)
    torch.manual_seed(0)
    net = architecture.net(TINY)
    _, dynamics = architecture.stages(net, TINY, toys, tmp_path, 30)
    dynamics.rate = 5e-3
    dynamics.prepare()
    before = float(dynamics.loss(1.0, generator("same")).detach())
    run_stages(net, [dynamics], tmp_path, "key", 0, None, False)
    assert float(dynamics.loss(1.0, generator("same")).detach()) < 0.85 * before


def test_rollouts_depend_on_the_generator_of_the_clip_alone(toys) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = architecture.wrap(architecture.net(TINY), architecture.card(TINY), torch.device("cpu"), torch.float32)
    assert isinstance(model, FrameModel)
    assert model.card.stochastic and model.card.max_horizon == 24
    model.net.dynamics.load_state_dict(tiny_dynamics().state_dict())
    context = torch.stack([toys.frames(i)[:8] for i in range(3)]).float() / 255

    def roll(frames: Tensor, horizon: int, numbers: list[torch.Generator]) -> Tensor:
        asked = {"horizon": horizon, "actions": None, "prompts": [""] * len(frames), "generators": numbers}
        return torch.cat(list(model.rollout(frames, **asked)), 1)

    for horizon in (1, 24, 33):
        whole = roll(context, horizon, generators(3))
        assert whole.shape == (3, horizon, 3, 64, 64)
        assert whole.min() >= 0 and whole.max() <= 1
    assert torch.allclose(roll(context[1:2], 33, generators(3)[1:2])[0], whole[1], atol=1e-5)
    assert not torch.allclose(roll(context[1:2], 33, generators(1))[0], whole[1], atol=1e-3)


def test_patches_hold_two_frames_and_two_by_two_cells() -> None:
    latents = torch.arange(2 * 6 * 3 * 4 * 8).view(2, 6, 3, 4, 8).float()
    tokens = patches(latents)
    assert tokens.shape == (2, 3, 8, 24)
    assert sorted(tokens[1, 2, 6].tolist()) == sorted(latents[1, 4:6, :, 2:4, 4:6].flatten().tolist())
    assert torch.equal(pictures(tokens, 2), latents)


def test_an_untrained_model_freezes_and_the_context_is_at_noise_level_zero() -> None:
    torch.manual_seed(0)
    dynamics = architecture.dynamics(TINY)
    context = torch.randn(2, 8, 16, 8, 8)
    with torch.no_grad():
        imagined = next(dynamics.imagine(context, 24, generators(2)))
    assert torch.equal(imagined, context[:, -1:].expand_as(imagined))
    level = shifted(torch.linspace(0, 1, 11))
    assert level[0] == 0 and level[-1] == 1 and bool((level[1:] > level[:-1]).all())


def test_euler_steps_follow_a_straight_flow_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that knows the clean window reaches it in any number of steps, by the analytic straight path."""
    context, target = torch.randn(2, 8, 16, 8, 8), torch.randn(2, 24, 16, 8, 8)
    for steps in (1, 5):
        dynamics = tiny_dynamics(steps)
        seen: list[tuple[float, Tensor]] = []

        def clean(context: Tensor, noisy: Tensor, level: Tensor, seen: list[tuple[float, Tensor]] = seen) -> Tensor:
            seen.append((float(level[0]), noisy))
            return target

        monkeypatch.setattr(dynamics, "clean", clean)
        imagined = next(dynamics.imagine(context, 24, generators(2)))
        assert torch.allclose(imagined, context[:, -1:] + target, atol=1e-5)
        noise = seen[0][1]
        for level, noisy in seen:
            assert torch.allclose(noisy, level * noise + (1 - level) * target, atol=1e-4)


def test_the_loss_of_a_freeze_is_the_weighted_square_of_the_change() -> None:
    """With outputs of zero the error is the change itself, at level 1 without further weight."""
    torch.manual_seed(0)
    dynamics = architecture.dynamics(TINY)
    windows = torch.zeros(3, 32, 16, 8, 8)
    windows[:, 8:, :, 2, 2] = 0.5  # all numbers of one cell, on from the first predicted frame
    loss = dynamics(windows, torch.randn(windows.shape), torch.ones(3))
    change_weight, new_weight = latent_model.CHANGE_WEIGHT, latent_model.NEW_WEIGHT
    moved = 1 + new_weight + change_weight / 24  # on average over frames, as it changes in one alone
    assert float(loss.detach()) == pytest.approx(0.5**2 * moved / (63 + moved), rel=1e-4)
