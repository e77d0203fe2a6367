"""How the objects of `objects` move: against closed forms, with forces set by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from physbench.reference.objects_dynamics import (
    CLAMP_SLACK,
    CONTRAST_KINDS,
    Dynamics,
    SceneParameters,
    estimate_initial_state,
    exact_share,
    scene_layout,
    simulate_frames,
)
from physbench.reference.objects_slots import FAR, OUTLINE, REACH, SURFACE_COLUMNS, Slots

PULL = 0.545  # px / frame^2


def scene(clips: int, objects: int = 1, *, is_round: float = 1.0, radius: float = 5.0) -> Slots:
    """Empty scenes with objects of one size."""
    points = torch.zeros(clips, OUTLINE.max_points, SURFACE_COLUMNS)
    points[..., :2], points[..., 3] = FAR, 1.0
    whole = torch.ones(clips, objects)
    return Slots(
        centre=torch.zeros(clips, 8, objects, 2),
        weight=torch.ones(clips, 8, objects),
        unseen=torch.zeros(clips, 8, objects),
        radius=radius * whole,
        reach=radius * torch.ones(clips, objects, REACH.directions),
        round=is_round * whole,
        shade=0.14 * whole,
        present=whole,
        slot=torch.zeros(clips, objects, dtype=torch.long),
        push=torch.zeros(clips, 8, objects, 3),
        background=torch.full((clips, 3, 64, 64), 0.5),
        surface_points=points,
        hiding_distance=torch.zeros(clips, 64, 64),
        frames=torch.full((clips,), 8),
    )


def falling(*, bounce: float = 1.0, rough: float = 0.0, stick: float = 2 / 7) -> Dynamics:
    """Everything falls; a surface takes `bounce` of the closing velocity, twice that at 1."""
    torch.manual_seed(0)
    dynamics = Dynamics()
    with torch.no_grad():
        for part in (dynamics.scene[-1], dynamics.moves[-1], dynamics.surface[-1], dynamics.pair[-1]):
            part.weight.zero_()  # type: ignore[union-attr, operator]
            part.bias.zero_()  # type: ignore[union-attr, operator]
        dynamics.rolls[-1].weight.zero_()  # type: ignore[union-attr, operator]
        dynamics.rolls[-1].bias.fill_(0.8 + math.log(stick / (1 - stick)))  # type: ignore[union-attr, operator]
        dynamics.pull.copy_(torch.tensor([0.0, PULL / 4]))
        dynamics.moves[-1].bias.fill_(1.0)  # type: ignore[union-attr, operator]
        dynamics.surface[-1].bias[: 2 * CONTRAST_KINDS] = bounce / 2  # type: ignore[index, union-attr]
        dynamics.surface[-1].bias[2 * CONTRAST_KINDS :] = rough + 0.03 if rough else 0.0  # type: ignore[index, union-attr]
        dynamics.scene[-1].bias[-1] = 1.0  # type: ignore[index, union-attr, operator]
        dynamics.fit.copy_(torch.ones(2))
        dynamics.margin.zero_()
    return dynamics


def slope(angle: float, clips: int = 1) -> torch.Tensor:
    """Surface points of a ramp through (32, 40) that falls to the right by `angle`."""
    way = torch.linspace(-60, 60, OUTLINE.max_points)
    points = torch.zeros(clips, OUTLINE.max_points, SURFACE_COLUMNS)
    points[..., 0], points[..., 1] = 32 + way * math.cos(angle), 40 + way * math.sin(angle)
    points[..., 2], points[..., 3], points[..., 4] = math.sin(angle), -math.cos(angle), 0.2
    return points


def setting(dynamics: Dynamics, slots: Slots) -> SceneParameters:
    with torch.no_grad():
        return dynamics.scene_parameters(slots, torch.ones_like(slots.radius))


def test_start_is_fitted_through_the_dynamics() -> None:
    dynamics = falling()
    s = setting(dynamics, scene(2))
    x, v = torch.tensor([[[10.0, 12.0]], [[40.0, 30.0]]]), torch.tensor([[[1.5, -2.0]], [[-1.0, 0.5]]])
    with torch.no_grad():
        seen = simulate_frames(dynamics, x, v, s, 8)[0]
    fall = torch.arange(8.0)[:, None] * v + PULL / 2 * torch.arange(8.0)[:, None] ** 2 * torch.tensor([0.0, 1.0])
    assert (seen[:, :, 0] - (x + fall)).abs().max() < 1e-3
    seen[1, 0] += 3.0  # one frame that no motion explains
    got_x, got_v, misfit = estimate_initial_state(dynamics, s, seen, torch.ones(2, 8, 1))
    assert (got_x - x).abs().max() < 0.02
    assert (got_v - v).abs().max() < 0.01
    assert misfit[0].max() < 0.02 < misfit[1].max()


@pytest.mark.parametrize(
    ("is_round", "rough", "gain"),
    [
        (1.0, 0.5, lambda a: 5 / 7 * math.sin(a)),  # it rolls
        (1.0, 0.05, lambda a: math.sin(a) - 0.05 * math.cos(a)),  # it slips
        (0.0, 0.1, lambda a: math.sin(a) - 0.1 * math.cos(a)),  # a box slides
        (0.0, 0.6, lambda a: 0.0),  # a box stays
    ],
)
def test_a_ramp_is_rolled_and_slid_down_as_coulomb_says(is_round: float, rough: float, gain) -> None:  # type: ignore[no-untyped-def]
    angle, frames = 0.35, 20
    dynamics = falling(rough=rough)
    slots = scene(1, is_round=is_round)
    slots.surface_points.copy_(slope(angle))
    s = setting(dynamics, slots)
    normal = torch.tensor([math.sin(angle), -math.cos(angle)])
    start = torch.tensor([20.0, 40 - 12 * math.tan(angle)]) + 5.0 * normal
    with torch.no_grad():
        places = simulate_frames(dynamics, start[None, None], torch.zeros(1, 1, 2), s, frames)[0][0, :, 0]
    way = (places - start) @ torch.tensor([math.cos(angle), math.sin(angle)])
    assert float(way[-1]) == pytest.approx(gain(angle) * PULL * (frames - 1) ** 2 / 2, rel=0.03, abs=0.3)
    assert float(((places - start) @ normal).abs().max()) < 0.3


def test_what_comes_to_rest_on_a_rough_ramp_has_been_braked() -> None:
    angle, rough, speed = 0.2, 0.5, 1.5
    dynamics = falling(rough=rough)
    slots = scene(1, is_round=0.0)
    slots.surface_points.copy_(slope(angle))
    ahead, normal = torch.tensor([math.cos(angle), math.sin(angle)]), torch.tensor([math.sin(angle), -math.cos(angle)])
    start = torch.tensor([20.0, 40 - 12 * math.tan(angle)]) + 5.0 * normal
    with torch.no_grad():
        places = simulate_frames(
            dynamics, start[None, None], (speed * ahead)[None, None], setting(dynamics, slots), 30
        )[0][0, :, 0]
    way = (places - start) @ ahead
    brake = PULL * (rough * math.cos(angle) - math.sin(angle))
    assert float(way[-1]) == pytest.approx(speed**2 / (2 * brake), abs=0.8)  # it is pressed from the second substep on
    assert float((way[-1] - way[-5]).abs()) < 0.02


def test_equal_balls_exchange_their_velocities_along_the_line_of_centres() -> None:
    dynamics = falling()
    with torch.no_grad():
        dynamics.pull.zero_()
        dynamics.pair[-1].bias[2] = 0.0  # half of twice the closing velocity  # type: ignore[index, union-attr]
    s = setting(dynamics, scene(1, 2))
    x, v = torch.tensor([[[20.0, 32.0], [40.0, 38.0]]]), torch.tensor([[[1.5, 0.0], [0.0, 0.0]]])
    with torch.no_grad():
        places, _, after = simulate_frames(dynamics, x, v, s, 15)
    touch = 20.0 - math.sqrt(100 - 36)  # px that the first one moves until they are 10 px apart
    normal = torch.tensor([20.0 - touch, 6.0]) / 10
    along = 1.5 * normal[0] * normal
    assert (after[0, 1] - along).abs().max() < 0.05
    assert (after[0, 0] + after[0, 1] - v[0, 0]).abs().max() < 1e-5
    assert (places[0, -1, 1] - (x[0, 1] + (14 - touch / 1.5) * along)).abs().max() < 0.3


def test_left_and_right_are_exchanged_as_in_a_mirror() -> None:
    dynamics = falling(bounce=1.7, rough=0.2)
    slots = scene(1)
    slots.surface_points.copy_(slope(0.3))
    other = slots.mirrored()
    x, v = torch.tensor([[[12.0, 20.0]]]), torch.tensor([[[0.8, 0.1]]])
    flip, side = torch.tensor([-1.0, 1.0]), torch.tensor([64.0, 0.0])
    with torch.no_grad():
        one = simulate_frames(dynamics, x, v, setting(dynamics, slots), 25)[0]
        two = simulate_frames(dynamics, side + flip * x, flip * v, setting(dynamics, other), 25)[0]
    assert (side + flip * one - two).abs().max() < 1e-2
    assert (one[0, -1] - one[0, 0]).abs().max() > 5


@pytest.mark.parametrize(
    ("score", "value", "up", "down"),
    [
        (0.4, 0.4, 1.0, 1.0),
        (1 + CLAMP_SLACK / 2, 1.0, 1.0, 1.0),  # moves on, and so rests on the bound under noise
        (1 + 2 * CLAMP_SLACK, 1.0, 0.0, 1.0),  # only back
        (-2 * CLAMP_SLACK, 0.0, 1.0, 0.0),
        (1e8, 1.0, 0.0, 1.0),  # exact however far it is
    ],
)
def test_a_share_reaches_its_bounds_and_can_leave_them(score: float, value: float, up: float, down: float) -> None:
    for sign, passed in ((1.0, up), (-1.0, down)):  # descent of sign * share moves it by -sign
        raw = torch.tensor([score], requires_grad=True)
        share = exact_share(raw)
        assert share.item() == pytest.approx(value, abs=1e-7)
        (-sign * share).sum().backward()  # type: ignore[no-untyped-call]
        assert raw.grad is not None and raw.grad.item() == -sign * passed


def test_layout_tells_a_floor_from_a_table_and_from_nothing() -> None:
    backgrounds = torch.full((3, 64, 64), 0.5)
    backgrounds[1, 60:] = 0.42
    backgrounds[2] = 0.42
    nothing, floor, table = scene_layout(backgrounds)
    assert bool((nothing[:-1] == 0).all()) and bool((table[:-1] == 0).all())
    assert bool((floor[12:16] > 0.5).all()) and bool((floor[:12] == 0).all())
    assert nothing[-1] == floor[-1] and abs(float(table[-1] - nothing[-1])) > 1


def test_frames_beside_a_partly_hidden_one_are_not_trusted() -> None:
    slots = scene(1)
    weight = torch.ones(1, 8, 1)
    weight[0, 5] = 0.2
    sure = replace(slots, weight=weight).surely_seen()
    assert sure.weight[0, :, 0].tolist() == pytest.approx([1, 1, 1, 0.2, 0.2, 0.2, 0.2, 0.2])
    assert sure.centre is slots.centre
