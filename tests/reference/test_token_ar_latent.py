"""The latent actions of `token-ar-latent`. What it shares with `token-ar` is tested there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from physbench.reference import latent_model, token_ar, training_loop
from physbench.reference.architecture import continued
from physbench.reference.token_ar import TokenTransformer
from physbench.reference.token_ar_latent import LatentActionTransformer, architecture
from physbench.reference.train import learn
from physbench.reference.training_loop import generator
from physbench.support.errors import ModelError

SMALL = {"pictures": 8, "size": 16, "width": 32, "blocks": 2, "heads": 2, "span": 3, "trained_on": 12}


def tiny_dynamics(**changed: object) -> LatentActionTransformer:
    """A transformer of pictures of 2 x 2 cells whose blocks do something."""
    torch.manual_seed(0)
    net = architecture.net({**architecture.defaults, **SMALL, **changed}).eval()
    for weight in net.dynamics.parameters():
        weight.data.add_(0.1 * torch.randn_like(weight))
    assert isinstance(net.dynamics, LatentActionTransformer)
    return net.requires_grad_(False).dynamics


def any_tokens(dynamics: TokenTransformer, count: int, pairs: int) -> Tensor:
    """Digits of tokens (B, P, 4, 32)."""
    chance = torch.rand(count, pairs, 4, 32, generator=generator("tokens"))
    return (chance * (dynamics.tops + 1)).floor()


def latents_of(dynamics: TokenTransformer, tokens: Tensor) -> Tensor:
    """Latents of frames (B, L, 16, 2, 2) of tokens (B, P, 4, 32)."""
    frames = dynamics.pictures(tokens, 2)
    return dynamics.codec[0].latents_of(frames.flatten(0, 1)).view(frames.shape)


def test_a_latent_action_is_one_code_of_k() -> None:
    dynamics = tiny_dynamics(actions=8)
    dynamics.balance.train()
    values = dynamics.values(any_tokens(dynamics, 40, 6))
    inferred = dynamics.infer(values)
    assert inferred.shape == (40, 5, 3) and set(inferred.unique().tolist()) == {-1.0, 1.0}
    assert dynamics.expect(values).shape == (40, 6, 8)
    codes = dynamics.codes(inferred)
    assert codes.shape == (40, 5) and torch.bincount(codes.flatten(), minlength=8).min() > 5
    assert torch.allclose(dynamics.actions_of(codes), dynamics.shown_actions(values), atol=1e-6)


def test_a_pair_of_frames_changes_no_action_and_no_logits_before_its_own() -> None:
    dynamics = tiny_dynamics()
    tokens = any_tokens(dynamics, 8, 6)
    other = tokens.clone()
    other[:, 3:] = any_tokens(dynamics, 8, 9)[:, 6:]
    one, two = dynamics.values(tokens), dynamics.values(other)
    steps = [dynamics.infer(each) for each in (one, two)]  # to pairs 1 to 5
    assert torch.equal(steps[0][:, :2], steps[1][:, :2]) and not torch.equal(steps[0][:, 2], steps[1][:, 2])
    priors = [dynamics.expect(each) for each in (one, two)]  # behind pairs 0 to 5
    assert torch.equal(priors[0][:, :3], priors[1][:, :3]) and not torch.equal(priors[0][:, 3], priors[1][:, 3])
    logits = [dynamics.run(each, dynamics.shown_actions(each))[0].view(8, 5, 4, -1) for each in (one, two)]
    assert torch.equal(logits[0][:, :2], logits[1][:, :2])
    told = dynamics.shown_actions(one)
    first = [dynamics.run(each, told)[0].view(8, 5, 4, -1)[:, 2, 0] for each in (one, two)]
    assert torch.equal(*first)  # the action is all that the first group of a pair is told of it


def test_in_an_evaluation_the_prior_chooses_and_inference_sees_the_context_alone() -> None:
    dynamics, seen = tiny_dynamics(trained_on=28, span=14), []
    context = any_tokens(dynamics, 2, 4)
    given, infer = dynamics.values(context), dynamics.infer

    def watched_infer(values: Tensor) -> Tensor:
        seen.append(values)
        return infer(values)

    dynamics.infer = watched_infer  # type: ignore[method-assign]
    answers = []
    for liked in (torch.zeros(8), 100.0 * torch.eye(8)[2], 100.0 * torch.eye(8)[5]):
        dynamics.prior.output.bias[:] = liked
        answers.append(torch.cat(list(dynamics.imagine(latents_of(dynamics, context), 20, [])), 1))
        digits = dynamics.codec[0].digits(answers[-1].flatten(0, 1)).view(answers[-1].shape)
        tokens = torch.cat([context, dynamics.tokens(digits)], 1)
        values = dynamics.values(tokens)
        codes = dynamics.expect(values)[:, 3:-1].argmax(-1)  # behind pairs 3 to 12: those of the steps to 4 to 13
        assert not liked.any() or bool((codes == liked.argmax()).all())
        told = torch.cat([dynamics.action(infer(given)), dynamics.actions_of(codes)], 1)
        logits, _ = dynamics.run(values, told)
        assert torch.equal(logits.argmax(-1).view(2, 13, 4, 32)[:, 3:], tokens[:, 4:])
    assert not torch.equal(*answers[1:])
    assert len(seen) == 3 and all(torch.allclose(values, given, atol=1e-5) for values in seen)


def test_actions_are_drawn_by_the_generator_of_the_clip(toys) -> None:  # type: ignore[no-untyped-def]
    config = {**architecture.defaults, **SMALL, "size": 64, "temperature": 1.0}
    card = architecture.card(config)
    assert card.stochastic and not architecture.card(architecture.config()).stochastic and not card.uses_actions
    torch.manual_seed(0)
    net = architecture.net(config)
    for weight in net.dynamics.parameters():
        weight.data.add_(0.1 * torch.randn_like(weight))
    model = architecture.wrap(net.requires_grad_(False), card, torch.device("cpu"), torch.float32)
    context = torch.stack([toys.frames(i)[:8] for i in (0, 2)]).float() / 255
    whole = continued(model, context, 9, None, [generator("a"), generator("b")])
    again = continued(model, context[1:], 9, None, [generator("b")])
    other = continued(model, context[1:], 9, None, [generator("c")])
    assert torch.allclose(whole[1:], again, atol=1e-5) and not torch.allclose(other, again, atol=1e-2)


def walks(dynamics: TokenTransformer, count: int, numbers: torch.Generator) -> tuple[Tensor, Tensor]:
    """Colours (B, 6) of three, each the next or the one before by a hidden choice, and frames (B, 12, 16, 2, 2) of
    them, all cells alike."""
    step = 2 * torch.randint(2, (count, 6), generator=numbers) - 1
    colours = (torch.randint(3, (count, 1), generator=numbers) + step.cumsum(1)) % 3
    return colours, latents_of(dynamics, (2.0 * colours)[:, :, None, None].expand(-1, -1, 4, 32))


def learned(kind: token_ar.TokenAutoregression, **changed: object) -> TokenTransformer:
    """Dynamics that learned walks."""
    torch.manual_seed(0)
    net = kind.net({**kind.defaults, **SMALL, "blocks": 1, **changed})
    dynamics = net.dynamics
    assert isinstance(dynamics, TokenTransformer)
    optimizer, steps = torch.optim.AdamW(dynamics.parameters(), 5e-3), 100
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)  # falls, as in a training
        numbers = generator("walk", step)
        _, windows = walks(dynamics, 16, numbers)
        optimizer.zero_grad()
        dynamics(windows, *dynamics.draws(windows, 0.0, numbers)).backward()
        torch.nn.utils.clip_grad_norm_(dynamics.parameters(), 0.5)
        optimizer.step()
    net.eval().requires_grad_(False)
    return dynamics


def test_two_actions_tell_a_hidden_choice() -> None:
    """The first of four groups of tokens has to be guessed without them: ln 2 nats a digit of it."""
    with_actions, without = learned(architecture, actions=2), learned(token_ar.architecture)
    assert isinstance(with_actions, LatentActionTransformer)
    colours, windows = walks(without, 400, generator("held out"))
    truth = without.tokens(without.codec[0].digits(windows.flatten(0, 1)).view(windows.shape))
    values = without.values(truth)
    guessed = float(without.token_loss(windows, truth, values, without.shown_actions(values)))
    assert math.log(2) / 4 * 0.97 < guessed < math.log(2) / 4 * 1.5
    told = float(with_actions.token_loss(windows, truth, values, with_actions.shown_actions(values)))
    assert told < 0.3 * guessed
    # Where a colour has two that may follow, each is that of one code
    codes = with_actions.codes(with_actions.infer(values))[:, 1:].flatten()  # of the steps behind the first
    last, following = colours[:, 1:-1].flatten(), colours[:, 2:].flatten()
    for colour in range(3):
        where = last == colour
        pairs = {(int(a), int(b)) for a, b in zip(codes[where], following[where], strict=True)}
        assert len(pairs) == 2 and len({a for a, _ in pairs}) == 2
    # The choice is a fair coin to the prior, and both futures come of it
    chances = with_actions.expect(values)[:, 1:-1].softmax(-1)
    assert torch.allclose(chances, torch.tensor(0.5), atol=0.2)
    with_actions.action_temperature = 1.0
    drawn = next(
        iter(with_actions.imagine(windows[:1, :8].expand(40, -1, -1, -1, -1), 2, [generator(i) for i in range(40)]))
    )
    assert len(drawn.flatten(1).unique(dim=0)) == 2


class Killed(Exception):
    pass


class Noise:
    """Two films of 32 px."""

    def __len__(self) -> int:
        return 2

    def frames(self, index: int) -> Tensor:
        return torch.randint(256, (30, 3, 32, 32), generator=generator("noise", index)).to(torch.uint8)

    def actions(self, index: int) -> None:
        return None


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its dynamics, and with what `balance` counted."""
    for name, value in {"POOL_FRAMES": 96, "PICTURE_BATCH": 8, "SAVED_EVERY": 2, "PICTURE_SHARE": 0.25}.items():
        monkeypatch.setattr(latent_model, name, value)
    monkeypatch.setattr(LatentActionTransformer, "batch", 2)
    config = {**architecture.defaults, **SMALL, "size": 32, "blocks": 1}

    def train(folder: Path, resume: bool) -> dict[str, Tensor]:
        folder.mkdir(exist_ok=True)
        net, _ = learn(
            architecture, config, Noise(), folder, {"steps": 4}, seed=0, steps=4, minutes=None, device="cpu",
            resume=resume, threads=1,
        )  # fmt: skip
        return net.state_dict()

    whole = train(tmp_path / "whole", False)
    real, count = training_loop._one_step, [0]

    def step(*arguments):  # type: ignore[no-untyped-def]
        count[0] += 1
        if count[0] > 4:  # one of the pictures, three of the dynamics
            raise Killed
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training_loop, "_one_step", step)
        train(tmp_path / "killed", False)
    resumed = train(tmp_path / "killed", True)
    assert whole["dynamics.balance.num_batches_tracked"] == 4
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.parametrize("temperature", ["hot", -1, float("nan"), float("inf"), None])
def test_what_is_no_temperature_is_refused(temperature: object) -> None:
    with pytest.raises(ModelError, match="Expected a number from 0 on as temperature"):
        architecture.build({"temperature": temperature})


@pytest.mark.parametrize("actions", [1, 6, 0, 8192, "8", [2, 2]])
def test_a_number_of_actions_that_is_no_power_of_two_is_refused(actions: object) -> None:
    with pytest.raises(ModelError, match=r"power of two from 2 to 4096 latent actions|whole number from 1 to 4096"):
        architecture.build({"actions": actions})
