"""Weights are drawn anew from a fixed seed, or it is said why they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from physbench.models.load_model import load_model
from physbench.models.networks import UNTRAINED_SEED, make_untrained, take_weights
from physbench.support.errors import ModelError

CPU = torch.device("cpu")


def reference(untrained: bool) -> dict[str, torch.Tensor]:
    model = load_model("reference:objects", device=CPU, dtype=torch.float32, untrained=untrained)
    return dict(model.net.state_dict())  # type: ignore[union-attr]


def test_an_untrained_copy_is_the_same_each_time() -> None:
    one, other = reference(True), reference(True)
    trained = reference(False)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one.keys() == trained.keys() and not torch.equal(
        one["dynamics.moves.0.weight"], trained["dynamics.moves.0.weight"]
    )
    assert not one["dynamics.push.weight"].any(), "it is zero until trained"


@pytest.mark.parametrize("name", ["token-ar", "rssm", "vae-mdn-rnn"])
def test_every_reference_model_has_an_untrained_copy(name: str) -> None:
    """Those with parameters of their own beside layers, too, which no `reset_parameters` draws; twice the same."""
    loaded = [load_model(f"reference:{name}", device=CPU, dtype=torch.float32) for _ in range(2)]
    (trained,) = (dict(each.net.state_dict()) for each in loaded[:1])  # type: ignore[union-attr]
    kept = {key: value.clone() for key, value in trained.items()}
    one, other = (make_untrained(each, name).net.state_dict() for each in loaded)  # type: ignore[union-attr]
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert sum(not torch.equal(one[key], kept[key]) for key in kept) > len(kept) / 2


@pytest.mark.parametrize(
    "held",
    [
        lambda net: SimpleNamespace(net=net),
        lambda net: [net],
        lambda net: {"parts": ({"first": net[0]}, {"all": net})},
        lambda net: SimpleNamespace(step=net.forward),
    ],
    ids=["attribute", "list", "dicts", "method"],
)
def test_layers_of_any_network_are_reset_wherever_the_model_keeps_it(held: Callable[[nn.Module], object]) -> None:
    """Each once: the weights do not depend on where."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.GRUCell(4, 5))
    for parameter in net.parameters():
        nn.init.constant_(parameter, 3.0)
    net[1].running_mean.fill_(5.0)
    before = torch.get_rng_state()
    make_untrained(SimpleNamespace(card=None, inner=held(net)), "mine.py:make")  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before), "the generator is left alone"
    assert all(float(parameter.detach().abs().max()) < 2 for parameter in net.parameters())
    assert not net[1].running_mean.any()
    with torch.random.fork_rng():
        torch.manual_seed(UNTRAINED_SEED)
        assert torch.equal(net[0].weight, nn.Linear(3, 4).weight)


def test_what_cannot_be_drawn_anew_says_so_in_a_line() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.ones(3))

    net = nn.Linear(2, 2)
    before = net.weight.clone()
    with pytest.raises(ModelError, match="Token cannot be drawn anew without a `reset_parameters`"):
        make_untrained(SimpleNamespace(nets=[net, Token()]), "mine.py:make")  # type: ignore[arg-type]
    assert torch.equal(net.weight, before), "nothing is half untrained"
    with pytest.raises(ModelError, match="it is no network of torch"):
        load_model("baseline:freeze", device=CPU, dtype=torch.float32, untrained=True)
    with pytest.raises(ModelError, match="offload"):
        take_weights(nn.Linear(2, 2, device="meta"), nn.Linear(2, 2), "pipeline")


def test_what_comes_with_physbench_has_an_untrained_copy() -> None:
    """The same answer each time, another than that of the trained weights, and a card that claims no training."""
    device, answers = torch.device("cpu"), []
    for target in ("untrained:token-ar", "untrained:token-ar", "reference:token-ar"):
        model: Any = load_model(target, device=device, dtype=torch.float32, model_args={})
        context = torch.linspace(0, 1, 8 * 3 * 64 * 64).reshape(1, 8, 3, 64, 64)
        numbers = [torch.Generator().manual_seed(0)]
        parts = model.rollout(context, horizon=4, actions=None, prompts=[""], generators=numbers)
        answers.append(torch.cat(list(parts), dim=1))
        if target.startswith("untrained"):
            assert (model.card.name, model.card.track, model.card.training_clips) == (
                "token-ar untrained",
                "zero-shot",
                None,
            )
    assert torch.equal(answers[0], answers[1]) and not torch.allclose(answers[0], answers[2], atol=0.05)
    for wrong, said in (("untrained:tokenar", "token-ar"), ("untrained:jepa", "no checkpoint of 'jepa'")):
        with pytest.raises(ModelError, match=said):
            load_model(wrong, device=device, dtype=torch.float32, model_args={})
    with pytest.raises(ModelError, match="takes no arguments"):
        load_model("untrained:objects", device=device, dtype=torch.float32, model_args={"size": "9"})
