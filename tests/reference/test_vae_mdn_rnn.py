"""`vae-mdn-rnn`, flat and spatial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from physbench.models.protocol import FrameModel
from physbench.reference import latent_model, vae_mdn_rnn
from physbench.reference.latent_model import LatentArchitecture
from physbench.reference.training_loop import generator, run_stages
from physbench.reference.vae_mdn_rnn import architecture, mixture_nll, mixture_sample, spatial

TINY: dict[str, dict[str, Any]] = {
    "vae-mdn-rnn": {"latent": 12, "pictures": 4, "hidden": 32, "gaussians": 3},
    "vae-mdn-rnn-spatial": {"pictures": 8, "hidden": 12, "blocks": 1, "gaussians": 2},
}
BOTH = pytest.mark.parametrize("kind", [architecture, spatial], ids=lambda kind: kind.name)


def tiny(kind: LatentArchitecture) -> dict[str, Any]:
    return {**kind.defaults, **TINY[kind.name]}


def mixtures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two mixtures of three Gaussians."""
    logits = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.5, 0.0]])
    means = torch.tensor([[-2.0, 0.0, 3.0], [1.0, -1.0, 0.0]])
    return logits, means, torch.tensor([[0.5, 1.0, 0.1], [0.2, 0.3, 2.0]])


def test_likelihood_is_that_of_scipy() -> None:
    logits, means, scales = mixtures()
    for number in (-2.5, 0.3, 3.05):
        found = mixture_nll((logits, means, scales), torch.full((2,), number))
        shares = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
        density = (shares * stats.norm.pdf(number, means.numpy(), scales.numpy())).sum(1)
        assert found.numpy() == pytest.approx(-np.log(density), rel=1e-4)


def test_samples_have_the_moments_of_the_mixture() -> None:
    logits, means, scales = mixtures()
    many = 40_000
    wide = tuple(each[:, None].expand(2, many, 3) for each in (logits, means, scales))
    numbers = generator("samples")
    pick, noise = torch.randn(2, many, generator=numbers), torch.randn(2, many, generator=numbers)
    drawn = mixture_sample(wide, pick, noise, 1.0)
    shares = torch.softmax(logits, 1)
    mean = (shares * means).sum(1)
    variance = (shares * (scales.square() + means.square())).sum(1) - mean.square()
    assert drawn.mean(1).numpy() == pytest.approx(mean.numpy(), abs=0.05)
    assert drawn.var(1).numpy() == pytest.approx(variance.numpy(), rel=0.05)
    cold = mixture_sample(wide, pick, noise, 0.0)
    assert torch.equal(cold, torch.tensor([[0.0], [1.0]]).expand(2, many))  # means of the most probable


@pytest.mark.slow
@BOTH
def test_it_learns(kind, toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(latent_model, "POOL_FRAMES", 96)
    monkeypatch.setattr(latent_model, "PICTURE_BATCH", 16)
    monkeypatch.setattr(latent_model, "PICTURE_SHARE", 0.25)
    monkeypatch.setattr(kind.dynamics_class, "batch", 4)
    monkeypatch.setattr(kind.dynamics_class, "rate", 1e-2)
    monkeypatch.setattr(vae_mdn_rnn, "FORCED", 10)
    monkeypatch.setattr(vae_mdn_rnn, "FREE", (3,))
    monkeypatch.setattr(latent_model, "GROWS_AT", ())
    torch.manual_seed(0)
    net = kind.net(tiny(kind))
    pictures, dynamics = kind.stages(net, tiny(kind), toys, tmp_path, 40)
    run_stages(net, [pictures], tmp_path, "key", 0, None, False)
    dynamics.prepare()
    before = float(dynamics.loss(0.0, generator("same")).detach())
    run_stages(net, [dynamics], tmp_path, "key", 0, None, False)
    assert (
        float(dynamics.loss(0.0, generator("same")).detach()) < before - 0.1
    )  # nats of each number; processors differ


@BOTH
def test_draws_of_a_clip_do_not_depend_on_the_batch(kind, toys) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = kind.build(TINY[kind.name])
    assert isinstance(model, FrameModel)
    assert model.card.stochastic
    context = torch.stack([toys.frames(i)[:8] for i in range(3)]).float() / 255

    def roll(clips: list[int], seed: int, horizon: int = 9) -> torch.Tensor:
        numbers = [generator(seed, clip) for clip in clips]
        prompts = [""] * len(clips)
        chunks = model.rollout(context[clips], horizon=horizon, actions=None, prompts=prompts, generators=numbers)
        return torch.cat(list(chunks), 1)

    whole = roll([0, 1, 2], 0)
    assert whole.shape == (3, 9, 3, 64, 64)
    assert whole.min() >= 0 and whole.max() <= 1
    assert torch.allclose(roll([1], 0), whole[1:2], atol=1e-5)
    assert not torch.allclose(roll([1], 1), whole[1:2], atol=1e-3)
    assert roll([0], 0, 1).shape[1] == 1


@BOTH
def test_what_is_known_comes_frame_by_frame(kind) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    net = kind.net(tiny(kind))
    latents = torch.randn(2, 6, *net.autoencoder.shape)
    with torch.no_grad():
        whole, _ = net.dynamics.remember(latents, None)
        first, state = net.dynamics.remember(latents[:, :4], None)
        second, _ = net.dynamics.remember(latents[:, 4:], state)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-5)


def test_cells_weigh_the_same_at_all_times() -> None:
    dynamics = spatial.dynamics(tiny(spatial))
    assert isinstance(dynamics, vae_mdn_rnn.ConvLstmDynamics)
    windows = torch.zeros(1, 12, 16, 8, 8)
    windows[0, 9, 0, 2, 3] = 1.0
    weight = dynamics.weights(windows).expand(1, 12, 1, 8, 8)
    assert torch.equal(weight, weight[:, :1].expand_as(weight))
    assert weight[0, 0, 0, 2, 3] > 10 * weight[0, 0, 0, 0, 0]


@BOTH
def test_the_free_part_of_the_loss_is_what_imagine_draws(kind, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Cold, nothing is random: the loss of a window is that of its own continuation, mixture by mixture."""
    torch.manual_seed(0)
    monkeypatch.setattr(vae_mdn_rnn, "FORCED", 5)
    net = kind.net({**tiny(kind), "temperature": 0.0})
    windows = torch.randn(2, 8, *net.autoencoder.shape)
    drawn = net.dynamics.draws(windows, 0.0, generator("draws"))
    assert [each.shape[1] for each in drawn] == [5, 2, 2]
    with torch.no_grad():
        total = net.dynamics(windows, 0 * drawn[0], *drawn[1:])
        own = torch.cat(list(net.dynamics.imagine(windows[:, :5], 2, [generator(i) for i in range(2)])), 1)
        seen = torch.cat([windows[:, :5], own], 1)
        cost = mixture_nll(net.dynamics.mixture(net.dynamics.remember(seen, None)[0], seen), windows[:, 1:])
        weight = net.dynamics.weights(windows).expand_as(windows)[:, 1:]
    assert float(total) == pytest.approx(float((cost * weight).sum() / weight.sum()), rel=1e-4)
