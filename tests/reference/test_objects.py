"""The `objects` model: seeing, moving, drawing, acting."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from physbench.models.protocol import FrameModel
from physbench.reference.objects import ObjectsModel, ObjectsNet, architecture
from physbench.reference.objects_dynamics import scene_parameters, simulate_frames
from physbench.reference.objects_slots import pushes_by_object, read_slots
from physbench.reference.training_loop import TrainingStage, generator, run_stages


@pytest.fixture(scope="session")
def model(net: ObjectsNet) -> ObjectsModel:
    return architecture.wrap(net, architecture.card(architecture.config()), torch.device("cpu"), torch.float32)


def contexts(toys, indices: list[int]) -> Tensor:  # type: ignore[no-untyped-def]
    return torch.stack([toys.frames(i)[:8] for i in indices]).float() / 255


def play(model: ObjectsModel, context: Tensor, horizon: int = 20, actions: Tensor | None = None) -> list[Tensor]:
    answer = model.rollout(context, horizon=horizon, actions=actions, prompts=[""] * len(context), generators=[])
    return list(answer)


@pytest.mark.slow
def test_centres_are_seen_to_a_fraction_of_a_pixel(toys, net: ObjectsNet) -> None:  # type: ignore[no-untyped-def]
    errors = []
    for index in range(len(toys)):
        slots, _ = read_slots(net.segmenter, toys.frames(index)[None].float() / 255, 8)
        truth = torch.from_numpy(toys.places[index]).float()
        distance = (slots.centre[0][:, :, None] - truth[:, None]).norm(dim=-1).amin(-1)
        inside = ((truth > 7) & (truth < 57)).all(-1).all(-1)
        errors.append(distance[inside][slots.weight[0][inside] > 0.9])
    assert torch.cat(errors).quantile(0.95) < 0.2


def test_rollout_has_the_shape_and_range_of_the_contract(toys, model: ObjectsModel) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(model, FrameModel)
    chunks = play(model, contexts(toys, [0, 1, 2]), horizon=20)
    assert len(chunks) > 1
    whole = torch.cat(chunks, 1)
    assert whole.shape == (3, 20, 3, 64, 64)
    assert whole.dtype == torch.float32
    assert whole.min() >= 0 and whole.max() <= 1


def test_rollout_is_deterministic_and_does_not_depend_on_the_batch(toys, model: ObjectsModel) -> None:  # type: ignore[no-untyped-def]
    together = torch.cat(play(model, contexts(toys, [0, 1, 2])), 1)
    assert torch.equal(together, torch.cat(play(model, contexts(toys, [0, 1, 2])), 1))
    alone = torch.cat(play(model, contexts(toys, [1])), 1)
    assert (together[1] - alone[0]).abs().max() < 1.5 / 255


def test_rollout_starts_where_the_context_ends(toys, model: ObjectsModel) -> None:  # type: ignore[no-untyped-def]
    predicted = torch.cat([contexts(toys, [0, 2, 4]), *play(model, contexts(toys, [0, 2, 4]), 2)], 1)
    seen = read_slots(model.net.segmenter, predicted, 8)[0].centre[:, 8:]
    truth = torch.stack([torch.from_numpy(toys.places[i][8:10]) for i in (0, 2, 4)]).float()
    distance = (seen[:, :, :, None] - truth[:, :, None]).norm(dim=-1).amin(-1)
    assert distance.max() < 0.5


def test_an_empty_scene_stays_empty(model: ObjectsModel) -> None:
    grey = torch.full((1, 8, 3, 64, 64), 0.5)
    assert (torch.cat(play(model, grey, 5), 1) - 0.5).abs().max() < 1e-3


def test_actions_reach_the_object_of_their_hue(net: ObjectsNet) -> None:
    colours = net.segmenter.colours
    actions = torch.zeros(1, 12, 6)
    actions[0, 10] = torch.tensor([0.9, 0.135, 0.135, 1.0, 0.0, 2.0])
    red = int((colours[:, 0] - colours[:, 1] - colours[:, 2]).argmax())
    slot = torch.arange(5)[None]
    pushes = pushes_by_object(actions, colours, slot)
    assert pushes[0, 10, red].tolist() == [1.0, 0.0, 2.0]
    pushes[0, 10, red] = 0
    assert not pushes.any()


def test_actions_are_wired_into_the_motion(toys, net: ObjectsNet) -> None:  # type: ignore[no-untyped-def]
    net = copy.deepcopy(net).requires_grad_(True)
    slots, _ = read_slots(net.segmenter, contexts(toys, [0]), 8)
    setting = scene_parameters(net.dynamics, slots, 8)
    push = torch.zeros(1, 4, slots.centre.shape[2], 3)
    push[0, 2, 0] = torch.tensor([1.0, 0.0, 0.0])
    x, v = slots.centre[:, 7], torch.zeros_like(slots.centre[:, 7])
    places, _, _ = simulate_frames(net.dynamics, x, v, setting, 4, push)
    places.sum().backward()  # type: ignore[no-untyped-call]
    assert net.dynamics.push.weight.grad is not None and net.dynamics.push.weight.grad.abs().sum() > 0
    with torch.no_grad():
        still = simulate_frames(net.dynamics, x, v, setting, 4, push)[0]
        net.dynamics.push.weight.fill_(0.5)
        net.dynamics.push.weight[1] *= -1
        moved = simulate_frames(net.dynamics, x, v, setting, 4, push)[0]
    assert torch.equal(still[:, :2], moved[:, :2])
    assert (still - moved)[0, 3, 0].abs().max() > 0.1
    assert (still - moved)[0, 3, 1].abs().max() < 1e-3  # nobody pushed the other one


@pytest.mark.slow
def test_training_improves_every_stage(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    net = architecture.net(architecture.config())
    for stage in architecture.stages(net, architecture.config(), toys, tmp_path, 30):
        stage.prepare()
        stage.begin()
        untrained = copy.deepcopy(net.state_dict())
        run_stages(net, [stage], tmp_path, "key", 0, None, False)
        trained = copy.deepcopy(net.state_dict())
        after = late_loss(stage)
        net.load_state_dict(untrained)
        assert after < late_loss(stage), stage.name
        net.load_state_dict(trained)


def late_loss(stage: TrainingStage) -> float:
    """The loss of a stage near its end, where motion starts from fitted states: early it is another problem."""
    if stage.refresh is not None:
        stage.refresh(0.9, generator("starts"))
    return float(stage.loss(0.9, generator("same")).detach())
