"""The `token-ar` model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from physbench.models.protocol import FrameModel
from physbench.reference import latent_model
from physbench.reference.latent_model import LatentModel
from physbench.reference.token_ar import GROUPS, TokenTransformer, architecture
from physbench.reference.training_loop import generator, run_stages

TINY = {
    **architecture.defaults, "pictures": 8, "width": 32, "blocks": 2, "heads": 2, "span": 3, "trained_on": 12,
}  # fmt: skip


def tiny_model(**changed: object) -> LatentModel:
    """A model whose blocks do something and whose latents are not standardised by 0 and 1."""
    torch.manual_seed(0)
    config = {**TINY, **changed}
    net = architecture.net(config)
    for weight in net.dynamics.parameters():
        weight.data.add_(0.1 * torch.randn_like(weight))
    net.autoencoder.mean.fill_(0.1)
    net.autoencoder.spread.fill_(0.5)
    return architecture.wrap(net.requires_grad_(False), architecture.card(config), torch.device("cpu"), torch.float32)  # type: ignore[no-any-return]


def tiny_dynamics(**changed: object) -> TokenTransformer:
    dynamics = tiny_model(**changed).net.dynamics
    assert isinstance(dynamics, TokenTransformer)
    return dynamics


def any_latents(dynamics: TokenTransformer, *shape: int) -> Tensor:
    """Rounded latents (*shape, 16, 8, 8) that any digits make."""
    chance = torch.rand(*shape, 16, 8, 8, generator=generator("latents"))
    digits = (chance * (dynamics.tops[:16, None, None] + 1)).floor()
    return dynamics.codec[0].latents_of(digits.flatten(0, -4)).unflatten(0, shape)


def generators(count: int) -> list[torch.Generator]:
    return [generator("clip", index) for index in range(count)]


@pytest.mark.slow
def test_it_learns(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(latent_model, "POOL_FRAMES", 96)
    monkeypatch.setattr(TokenTransformer, "batch", 2)
    torch.manual_seed(0)
    net = architecture.net(TINY)
    _, dynamics = architecture.stages(net, TINY, toys, tmp_path, 20)
    dynamics.rate = 5e-3
    dynamics.prepare()
    before = float(dynamics.loss(1.0, generator("same")).detach())
    run_stages(net, [dynamics], tmp_path, "key", 0, None, False)
    assert float(dynamics.loss(1.0, generator("same")).detach()) < 0.8 * before


def test_rollouts_do_not_depend_on_the_batch(toys) -> None:  # type: ignore[no-untyped-def]
    model = tiny_model(temperature=0.5)
    assert isinstance(model, FrameModel)
    assert model.card.stochastic and not tiny_model().card.stochastic
    context = torch.stack([toys.frames(i)[:8] for i in range(3)]).float() / 255

    def roll(frames: Tensor, horizon: int, numbers: list[torch.Generator]) -> Tensor:
        asked = {"horizon": horizon, "actions": None, "prompts": [""] * len(frames), "generators": numbers}
        return torch.cat(list(model.rollout(frames, **asked)), 1)

    for horizon in (1, 13):
        whole = roll(context, horizon, generators(3))
        assert whole.shape == (3, horizon, 3, 64, 64)
        assert whole.min() >= 0 and whole.max() <= 1
    assert torch.allclose(roll(context[1:2], 13, generators(3)[1:2])[0], whole[1], atol=1e-5)
    assert not torch.allclose(roll(context[1:2], 13, generators(1))[0], whole[1], atol=1e-3)


def test_tokens_are_digits_of_the_latents(toys) -> None:  # type: ignore[no-untyped-def]
    dynamics = tiny_dynamics()
    codec = dynamics.codec[0]
    latents = codec.encode(toys.frames(0)[:8].float() / 255)
    digits = codec.digits(latents)[None]
    tokens = dynamics.tokens(digits)
    assert tokens.shape == (1, 4, 64, 32)
    assert torch.equal(dynamics.pictures(tokens, 8), digits)
    raw = (latents * codec.spread + codec.mean)[None]
    assert torch.allclose(dynamics.pictures(dynamics.values(tokens), 8), raw, atol=1e-5)
    finite = dynamics.exists.isfinite().sum(1)
    assert finite.tolist() == 2 * ([8] * 4 + [5] * 12)
    drawn = dynamics.logits(torch.randn(1, 500, 32)).argmax(-1)
    assert bool((drawn < finite).all())


def test_a_group_has_one_cell_of_every_block() -> None:
    cells = tiny_dynamics().order.view(4, 16)
    for group, (row, column) in zip(cells, GROUPS, strict=True):
        assert sorted(group.tolist()) == sorted(8 * (2 * a + row) + 2 * b + column for a in range(4) for b in range(4))


def test_cached_decoding_is_what_one_pass_over_the_window_says() -> None:
    """Also where the window slid: 14 pairs, of which `span` are attended to."""
    dynamics = tiny_dynamics(trained_on=28)
    context = any_latents(dynamics, 2, 8)
    imagined = torch.cat(list(dynamics.imagine(context, 20, [])), 1)
    digits = dynamics.codec[0].digits(torch.cat([context, imagined], 1).flatten(0, 1)).unflatten(0, (2, 28))
    tokens = dynamics.tokens(digits)
    values = dynamics.values(tokens)
    logits, _ = dynamics.run(values, dynamics.shown_actions(values))
    assert torch.equal(logits.argmax(-1).view(2, 13, 64, 32)[:, 3:], tokens[:, 4:])
    assert len(tokens[:, 4:].unique()) > 3


def test_logits_do_not_see_their_own_group_or_later_ones() -> None:
    dynamics = tiny_dynamics()
    tokens = dynamics.tokens(dynamics.codec[0].digits(any_latents(dynamics, 12)).unflatten(0, (1, 12)))

    def expected(tokens: Tensor) -> Tensor:
        values = dynamics.values(tokens)
        logits, _ = dynamics.run(values, dynamics.shown_actions(values))
        return logits.softmax(-1).view(1, 5, 4, 16, 32, 8)

    other = tokens.clone()
    other[:, 3, 16:32] = (other[:, 3, 16:32] + 1) % 5  # the second group of the fourth pair
    change = (expected(other) - expected(tokens)).abs().amax((0, 3, 4, 5)).flatten()  # of each group from pair 1 on
    changed = 2 * 4 + 1
    assert float(change[: changed + 1].max()) == 0
    assert bool((change[changed + 1 :] > 1e-6).all())


def test_draws_have_the_probabilities_of_the_softmax() -> None:
    dynamics = tiny_dynamics(temperature=0.7)
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0, -torch.inf])
    drawn = dynamics.choose(logits.expand(1, 20_000, 1, 5), generators(1))
    share = torch.bincount(drawn.flatten(), minlength=5) / 20_000
    assert torch.allclose(share, (logits / 0.7).softmax(0), atol=0.015)


def test_noise_and_own_tokens_are_of_the_size_asked_for() -> None:
    dynamics = tiny_dynamics()
    windows = any_latents(dynamics, 8, 12)
    digits, wrong = dynamics.draws(windows, 0.0, generator("draws"))
    assert torch.allclose(dynamics.codec[0].latents_of(digits.flatten(0, 1)).view_as(windows), windows, atol=1e-5)
    assert set(wrong.unique().tolist()) == {-1, 0, 1}
    assert float((wrong != 0).float().mean()) == pytest.approx(0.03, abs=0.005)
    with_own = dynamics.draws(windows, 1.0, generator("draws"))
    nothing, everything = (torch.full_like(with_own[2], value) for value in (False, True))
    given = dynamics(windows, digits, wrong)
    assert torch.equal(dynamics(windows, digits, wrong, nothing), given)
    assert not torch.equal(dynamics(windows, digits, wrong, everything), given)
