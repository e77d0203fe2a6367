"""A model in this process is rolled out by the same rules, and the training that it comes from is left as it was."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import types

import numpy as np
import pytest
import torch

from physbench.models.networks import find_networks
from physbench.models.protocol import ModelCard, card_document, card_from
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.in_process import InProcessEngine, device_and_dtype, evaluation_mode
from physbench.support.errors import ModelError

pytestmark = pytest.mark.usefixtures("warm_models")


class Net(torch.nn.Module):
    """In training mode it answers with noise."""

    def __init__(self, toys) -> None:
        super().__init__()
        self.card = toys.card()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))
        self.drop = torch.nn.Dropout(0.5)
        self.drop.eval()  # a part that is frozen in training stays so

    def rollout(self, context, *, horizon, actions, prompts, generators):
        frame = context[:, -1:] * self.scale
        if self.training:
            frame = torch.rand_like(frame)
        torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
        return frame.expand(-1, horizon, -1, -1, -1)


def states() -> tuple[object, ...]:
    legacy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), legacy[1].tolist(), legacy[2]


def test_the_answers_are_those_of_a_process(clips, clip_maker, toys, toy_target) -> None:
    clips.add(
        *(clip_maker(seed, code) for seed, code in enumerate((toys.OK, toys.NAN, toys.RAISE, toys.OK, toys.FULL)))
    )
    found = []
    for engine in (RolloutEngine(toy_target("coded"), device="cpu"), InProcessEngine(toys.Coded())):
        with engine:
            plan = engine.plan(list(clips), batch_size=3, load=clips.load, horizon=clips.horizon)
            rollouts = [rollout for result in engine.run(plan, clips.load) for rollout in result]
            found.append((rollouts, [event.document() for event in engine.events]))
    (theirs, events), (ours, live_events) = found
    assert [r.failure for r in ours] == [r.failure for r in theirs]
    assert [bool(r.failure) for r in ours] == [False, True, True, False, False]
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(ours, theirs, strict=True))
    assert live_events == events


def test_a_card_of_a_class_of_ones_own_is_told_as_a_plain_one(toys) -> None:
    """Workers cannot import the class, and a run that goes on compares the card with the stored one."""

    class Own(ModelCard):
        pass

    model = Net(toys)
    model.card = Own(**{each.name: getattr(model.card, each.name) for each in dataclasses.fields(ModelCard)})
    with InProcessEngine(model) as engine:
        assert type(engine.info.card) is ModelCard and engine.info.card == card_from(card_document(model.card))


def test_modes_and_random_states_are_put_back(clips, clip_maker, toys) -> None:
    clips.add(*(clip_maker(seed) for seed in range(3)))
    net = Net(toys).train()
    net.drop.eval()
    torch.backends.cudnn.deterministic = False
    before = states()
    with InProcessEngine(net) as engine:
        plan = engine.plan(list(clips), load=clips.load, horizon=clips.horizon)
        (first, *_) = (rollout for result in engine.run(plan, clips.load) for rollout in result)
    seen = next(iter(clips.values())).context(3)[-1]
    assert np.abs(first.frames[0].astype(int) - np.round(seen * 0.5)).max() <= 1  # so it was in evaluation mode
    assert net.training and not net.drop.training
    assert states() == before
    assert torch.backends.cudnn.deterministic is False
    (net.scale * 2).backward()  # the training can go on
    assert float(net.scale.grad) == 2


def test_they_are_put_back_where_the_model_is_interrupted(clips, clip_maker, toys) -> None:
    class Stopped(Net):
        def rollout(self, context, **_):
            raise KeyboardInterrupt

    clips.add(clip_maker(0))
    net = Stopped(toys).train()
    before = states()
    with pytest.raises(KeyboardInterrupt), InProcessEngine(net) as engine:
        plan = engine.plan(list(clips), batch_size=1, load=clips.load, horizon=clips.horizon)
        list(engine.run(plan, clips.load))
    assert net.training
    assert states() == before


class Cached(torch.nn.Module):
    """Makes a table when it is first called, and keeps it; asks for the gradient of an energy, as physics does."""

    def __init__(self, toys) -> None:
        super().__init__()
        self.card = toys.card()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))
        self.table: torch.Tensor | None = None
        self.seen: torch.Tensor | None = None

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        if self.table is None:
            self.table = torch.ones(frames.shape[-1])
        return frames * self.scale * self.table

    def rollout(self, context, *, horizon, actions, prompts, generators):
        self.seen = context
        with torch.enable_grad():
            place = context[:, -1:].clone().requires_grad_()
            (force,) = torch.autograd.grad((place**2).sum() / 2, place)
        yield self(force).expand(-1, horizon, -1, -1, -1)


class Endless(Cached):
    """Does not end, and waits within a block without gradients for what is asked next."""

    def rollout(self, context, *, horizon, actions, prompts, generators):
        with torch.no_grad():
            while True:
                yield self(context[:, -1:])


@pytest.mark.parametrize("kind", [Cached, Endless])
@pytest.mark.parametrize("around", [contextlib.nullcontext, torch.inference_mode, torch.no_grad])
def test_a_model_is_trained_through_what_it_kept(around, kind, clips, clip_maker, toys) -> None:
    """Tables that a model caches while it is evaluated are not inference tensors (Dao-AILab/flash-attention#299,
    unslothai/unsloth#2434), it may ask for gradients (Lightning-AI/pytorch-lightning#17653), and these are recorded
    again afterwards, whatever waits within `no_grad`.
    """
    clips.add(clip_maker(0))
    net = kind(toys)
    with around(), InProcessEngine(net) as engine:
        plan = engine.plan(list(clips), batch_size=1, load=clips.load, horizon=clips.horizon)
        (rollout,) = (rollout for result in engine.run(plan, clips.load) for rollout in result)
    assert bool(rollout.failure) == (kind is Endless), rollout.failure
    assert net.table is not None and not net.table.is_inference()
    assert net.seen is None or not net.seen.is_inference()
    net(torch.ones(1, 3, 64, net.card.image_size[1])).sum().backward()
    assert net.scale.grad is not None


class Slotted:
    __slots__ = ("net",)

    def __init__(self, net: torch.nn.Module) -> None:
        self.net = net


class Wide(torch.nn.Module):
    """Keeps a network from its parameters, as one does to leave it out of the optimizer."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.frozen = [net]


@pytest.mark.parametrize(
    "held",
    [
        lambda net: [net],
        lambda net: {"a": ({"b": net},)},
        lambda net: types.SimpleNamespace(inner=types.SimpleNamespace(net=net)),
        Slotted,
        Wide,
        lambda net: net.forward,
    ],
)
def test_networks_are_found_wherever_a_model_holds_them(held) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 2).double(), torch.nn.Dropout()).train()
    model = types.SimpleNamespace(card=None, around=held(net))
    model.around_again = model  # a circle
    assert net in find_networks(model)
    assert device_and_dtype(model) == (torch.device("cpu"), torch.float64)
    with evaluation_mode(model):
        assert not net.training and not net[1].training
    assert net.training and net[1].training


@pytest.mark.parametrize("thing", [None, 3, torch.nn.Identity()])
def test_what_is_no_model_is_refused(thing) -> None:
    with pytest.raises(ModelError):
        InProcessEngine(thing)
