"""`rssm`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from physbench.models.protocol import FrameModel
from physbench.reference import latent_model, rssm
from physbench.reference.rssm import FREE_NATS, RssmDynamics, architecture, balanced, divergence, mixed, one_hot
from physbench.reference.training_loop import generator, run_stages

TINY = {
    **architecture.defaults, "pictures": 8, "hidden": 16, "blocks": 1, "embedding": 8, "groups": 2, "classes": 4,
    "unrolled": 3,
}  # fmt: skip


def test_divergence_is_that_of_scipy() -> None:
    logits = torch.randn(2, 3, 12, 2, 2, generator=generator("logits"))
    q, p = mixed(logits[0], 4), mixed(logits[1], 4)  # (3, G 3, 4, 2, 2)
    expected = stats.entropy(q.numpy(), p.numpy(), axis=2).sum(1)
    assert divergence(q, p).numpy() == pytest.approx(expected, rel=1e-4)
    assert q.sum(2).numpy() == pytest.approx(np.ones((3, 3, 2, 2)), rel=1e-5)
    assert float(mixed(torch.tensor([100.0, 0, 0, 0]).view(1, 4, 1, 1), 4).min()) == pytest.approx(0.01 / 4)


def test_the_prior_comes_to_the_posterior_and_free_nats_cost_no_effort() -> None:
    far, near = (torch.tensor([size, 0.0, 0.0, 0.0]).view(1, 4, 1, 1).requires_grad_() for size in (3.0, 0.1))
    flat = torch.zeros(1, 4, 1, 1).requires_grad_()
    balanced(mixed(far, 4), mixed(flat, 4)).sum().backward()
    other, alone = far.detach().clone().requires_grad_(), flat.detach().clone().requires_grad_()
    divergence(mixed(other, 4), mixed(alone, 4)).sum().backward()
    assert flat.grad is not None and alone.grad is not None and far.grad is not None and other.grad is not None
    assert flat.grad.flatten().tolist() == pytest.approx(alone.grad.flatten().tolist())
    assert far.grad.flatten().tolist() == pytest.approx((0.1 * other.grad).flatten().tolist())
    cost = balanced(mixed(near, 4), mixed(flat.detach(), 4))
    assert float(cost.detach()) == pytest.approx(1.1 * FREE_NATS)
    cost.sum().backward()
    assert near.grad is not None and not near.grad.any()


def test_draws_have_the_probabilities_and_pass_gradients() -> None:
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05]).view(1, 1, 4, 1, 1).requires_grad_()
    uniform = torch.rand(20_000, 1, 1, 1, generator=generator("uniform"))
    drawn = one_hot(chances.expand(20_000, 1, 4, 1, 1), uniform)
    assert drawn.detach().mean(0).flatten().tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.015)
    assert drawn.detach().sum(2).numpy() == pytest.approx(np.ones((20_000, 1, 1, 1)), abs=1e-5)
    (drawn[0, 0, :, 0, 0] * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert chances.grad is not None
    assert chances.grad.flatten().tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.slow
def test_it_learns(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(latent_model, "POOL_FRAMES", 96)
    monkeypatch.setattr(latent_model, "PICTURE_BATCH", 16)
    monkeypatch.setattr(latent_model, "PICTURE_SHARE", 0.25)
    monkeypatch.setattr(latent_model, "GROWS_AT", (2.0,))
    monkeypatch.setattr(RssmDynamics, "batch", 4)
    monkeypatch.setattr(RssmDynamics, "rate", 5e-3)
    torch.manual_seed(0)
    net = architecture.net(TINY)
    pictures, dynamics = architecture.stages(net, TINY, toys, tmp_path, 40)
    run_stages(net, [pictures], tmp_path, "key", 0, None, False)
    dynamics.prepare()
    before = float(dynamics.loss(0.0, generator("same")).detach())
    run_stages(net, [dynamics], tmp_path, "key", 0, None, False)
    assert float(dynamics.loss(0.0, generator("same")).detach()) < 0.95 * before


def perturbed(**config: bool) -> torch.nn.Module:
    """A net that draws something: as made, its pictures stay as they are."""
    torch.manual_seed(0)
    net = architecture.net({**TINY, **config})
    torch.nn.init.normal_(net.dynamics.decoder[-1].weight, std=0.05)  # type: ignore[union-attr, arg-type, index]
    return net


def test_draws_of_a_clip_do_not_depend_on_the_batch(toys) -> None:  # type: ignore[no-untyped-def]
    card = architecture.card(TINY)
    context = torch.stack([toys.frames(i)[:8] for i in range(3)]).float() / 255

    def roll(clips: list[int], seed: int, horizon: int = 9, mode: bool = False) -> torch.Tensor:
        model = architecture.wrap(perturbed(mode=mode), card, torch.device("cpu"), torch.float32)
        assert isinstance(model, FrameModel)
        numbers = [generator(seed, clip) for clip in clips]
        prompts = [""] * len(clips)
        chunks = model.rollout(context[clips], horizon=horizon, actions=None, prompts=prompts, generators=numbers)
        return torch.cat(list(chunks), 1)

    whole = roll([0, 1, 2], 0)
    assert whole.shape == (3, 9, 3, 64, 64)
    assert whole.min() >= 0 and whole.max() <= 1
    assert torch.allclose(roll([1], 0), whole[1:2], atol=1e-5)
    assert not torch.allclose(roll([1], 1), whole[1:2], atol=1e-3)
    assert torch.equal(roll([1], 0, mode=True), roll([1], 1, mode=True))
    assert roll([0], 0, 1).shape[1] == 1


def test_pictures_stay_as_they_are_before_training() -> None:
    torch.manual_seed(0)
    dynamics = architecture.net(TINY).dynamics
    context = torch.randn(2, 8, 16, 8, 8)
    with torch.no_grad():
        ahead = torch.cat(list(dynamics.imagine(context, 5, [generator(i) for i in range(2)])), 1)
    assert ahead.shape == (2, 6, 16, 8, 8)  # two frames a step
    assert torch.equal(ahead, context[:, -1:].expand_as(ahead))


def test_the_loss_of_a_free_rollout_is_that_of_imagine() -> None:
    """With one class a group nothing is drawn, and a window that the model imagined has no error behind the context."""
    torch.manual_seed(0)
    dynamics = architecture.dynamics({**TINY, "classes": 1})
    torch.nn.init.normal_(dynamics.decoder[-1].weight, std=0.05)  # type: ignore[arg-type]
    context = torch.randn(2, 8, 16, 8, 8)
    with torch.no_grad():
        ahead = torch.cat(list(dynamics.imagine(context, 6, [generator(i) for i in range(2)])), 1)
        windows = torch.cat([context, ahead], 1)
        uniform = torch.rand(2, 2 * 7 - 4, 2, 8, 8)
        weight = latent_model.cell_weights(windows, 8)
        total = float(dynamics(windows, torch.zeros_like(windows), uniform))
        states, drawn, _ = dynamics.observe(rssm._packed(windows), lambda chances, step: torch.ones_like(chances))
        seen = [
            dynamics.decode(h, z, rssm._packed(windows)[:, k])
            for k, (h, z) in enumerate(zip(states[1:], drawn[1:], strict=True))
        ]
        error = latent_model.weighted_error(rssm._frames(torch.stack(seen, 1)), windows[:, 2:], weight[:, 2:])
    free = 1.1 * FREE_NATS / 32
    assert total == pytest.approx(float(error) + free, rel=1e-4)
