"""Models of states: their data, geometry and momentum against closed forms, what they learn, and their checkpoints."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from slow_cases import others_slow
from torch import Tensor

from physbench import BODY_COLUMNS, STATIC_COLUMNS, StateCard
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import frame_times, make_scene
from physbench.models.load_model import load_model
from physbench.models.networks import make_untrained
from physbench.models.protocol import StateModel
from physbench.models.safetensors_files import read_checkpoint, save_checkpoint
from physbench.reference import states_graph, states_training, states_transformer
from physbench.reference.architecture import Validation
from physbench.reference.states_graph import StateGraph
from physbench.reference.states_training import (
    StateArchitecture,
    StateBank,
    StateEpisodes,
    StateNet,
    StateScene,
    TrainedStateModel,
    state_error,
    training_spec,
    turned,
)
from physbench.reference.train import CURVE_FILE, learn, training_card
from physbench.reference.training_loop import _one_step, generator
from physbench.rollout.states import state_inputs
from physbench.world.bullet import simulate

CPU = torch.device("cpu")
GRAPH, TRANSFORMER = states_graph.architecture, states_transformer.architecture
TASKS = (
    "falling/drop-bounce-v1", "collisions/head-on-v1", "orbits/flyby-v1", "falling/stack-v1", "falling/incline-v1",
    "occlusion/screen-pass-v1", "collisions/billiards-v1",
)  # fmt: skip
FLOOR = [3.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
BOTH = pytest.mark.parametrize("kind", (GRAPH, TRANSFORMER), ids=lambda each: each.name)


def tiny_config(kind: StateArchitecture) -> dict[str, object]:
    return {**kind.defaults, "width": 16} | ({"layers": 1, "heads": 2} if kind is TRANSFORMER else {"substeps": 4})


@cache
def clip(task: str, seed: int = 1) -> Clip:
    """A clip with its true states and without a picture."""
    row, spec = Row(task, "train", seed), training_spec(StateCard("any", fps=15, context_frames=1))
    scene = make_scene(row)
    times = frame_times(scene, spec)
    states = simulate(scene, times).states
    area = np.zeros(states.shape[:2], dtype=np.float32)
    frames = np.zeros((len(times), 64, 64, 3), dtype=np.uint8)
    return Clip(row, scene, spec, times, frames, states, area, area, ())


class Simulated(StateEpisodes):
    """Episodes of these clips."""

    def __init__(self, kind: StateArchitecture, tasks: tuple[str, ...] = TASKS, seeds: int = 1) -> None:
        self.card, self.rows = (
            kind.card(kind.config()),
            [Row(task, "train", 1 + seed) for task in tasks for seed in range(seeds)],
        )

    def clip(self, index: int) -> Clip:
        return clip(self.rows[index].task, self.rows[index].seed)


def body(shape: float = 0, sizes: tuple[float, ...] = (0.4, 0, 0), mass: float = 1.0, **others: float) -> list[float]:
    """A row of bodies: a ball without friction or restitution, unless others are named."""
    named = {"shape": shape, "mass": mass, "release": -2.0, "moves": 1.0, **others}
    named |= {f"size_{i + 1}": size for i, size in enumerate(sizes)}
    return [named.get(column, 0.0) for column in BODY_COLUMNS]


def state(
    place: tuple[float, ...], velocity: tuple[float, ...] = (0, 0, 0), spin: tuple[float, ...] = (0, 0, 0)
) -> list[float]:
    return [*place, 0, 0, 0, 1, *velocity, *spin]


def scene(bodies: list[list[float]], statics: list[list[float]] = [], gravity: float = 0.0) -> StateScene:  # noqa: B006
    return StateScene(
        torch.tensor([bodies], dtype=torch.float32),
        torch.tensor([statics], dtype=torch.float32).view(1, -1, len(STATIC_COLUMNS)),
        torch.ones(1, len(bodies), dtype=torch.bool),
        torch.tensor([[0.0, 0.0, -gravity]]),
    )


def go(net: StateNet, states: list[list[float]], about: StateScene, moments: int) -> Tensor:
    """States (T, N, 13) after these."""
    given = torch.tensor(states, dtype=torch.float32)[None, None]
    with torch.no_grad():
        return torch.stack([*islice(net.unroll(given, about, torch.zeros(1, 1, len(states))), moments)], 1)[0]


def last_bias(net: StateGraph) -> Tensor:
    """What contacts do where all features are 0: rebound, carry, push, bound of friction, grip."""
    last = net.respond[-1]
    assert isinstance(last, torch.nn.Linear) and last.bias is not None
    return last.bias


def graph(substeps: int = 4, carries: bool = True) -> StateGraph:
    """A graph network that rebounds as restitution says, grips nothing, and whose pulls fall with the distance squared.

    carries: Whether a contact carries what gravity adds after it.
    """
    torch.manual_seed(0)
    net = StateGraph({**tiny_config(GRAPH), "substeps": substeps})
    with torch.no_grad():
        last_bias(net)[1] = 0.0 if carries else -1e3
        last_bias(net)[4] = 1e3
        net.power.weight.fill_(-2.0 / states_graph.PULL_GAIN)
    return net


def momenta(states: Tensor, masses: Tensor, inertias: Tensor) -> tuple[Tensor, Tensor]:
    """Momentum (T, 3) and angular momentum (T, 3) about the origin."""
    momentum = masses[:, None] * states[..., 7:10]
    turning = torch.linalg.cross(states[..., :3], momentum) + inertias[:, None] * states[..., 10:]
    return momentum.sum(1), turning.sum(1)


def test_a_ball_falls_and_bounces_as_in_a_closed_form() -> None:
    height, rebound, moments = 2.0, 0.8, 12
    fallen = go(
        graph(carries=False), [state((0, 0, 0.4 + height))], scene([body(restitution=rebound)], [FLOOR], 9.81), moments
    )
    hit = math.sqrt(2 * height / 9.81)
    for k in range(moments):
        time = (k + 1) / 15
        rising = rebound * 9.81 * hit * (time - hit) - 9.81 / 2 * (time - hit) ** 2
        expected = height - 9.81 / 2 * time**2 if time < hit else rising
        assert float(fallen[k, 0, 2]) - 0.4 == pytest.approx(expected, abs=0.01), time


@pytest.mark.slow
def test_what_rests_stays_and_what_rolls_goes_on() -> None:
    resting = go(graph(), [state((0, 0, 0.4))], scene([body()], [FLOOR], 9.81), 60)
    assert (resting[:, 0, :3] - torch.tensor([0, 0, 0.4])).abs().max() < 0.005
    rolling = go(graph(), [state((0, 0, 0.4), (1, 0, 0), (0, 2.5, 0))], scene([body(friction=0.5)], [FLOOR], 9.81), 60)
    assert float(rolling[-1, 0, 0]) == pytest.approx(4, abs=1e-3)


def tower(offsets: tuple[float, ...]) -> tuple[list[list[float]], StateScene]:
    """Blocks at rest on a floor and on one another, and their scene."""
    sizes, friction = (0.5, 0.5, 0.3), 0.9
    states = [state((x, 0, (2 * k + 1) * sizes[2])) for k, x in enumerate(offsets)]
    floor = [*FLOOR]
    floor[STATIC_COLUMNS.index("friction")] = friction
    return states, scene([body(1, sizes, friction=friction)] * len(states), [floor], 9.81)


def test_a_tower_of_four_blocks_carries_its_weight() -> None:
    net = graph(6)
    with torch.no_grad():
        last_bias(net)[4] = 0.0
    states, about = tower((0.0, 0.2, 0.0, 0.2))
    stood = go(net, states, about, 15)
    assert (stood[..., :3] - torch.tensor(states)[:, :3]).abs().max() < 0.02


def fixed_box(
    sizes: tuple[float, ...], place: tuple[float, ...], tilt: float = 0.0, friction: float = 0.0
) -> list[float]:
    """A row of statics: a box that is turned from x towards z."""
    return [1.0, *sizes, *place, 0, -math.sin(tilt / 2), 0, math.cos(tilt / 2), friction, 0]


@pytest.mark.parametrize("grip", (0.1, 0.5))
def test_a_box_slides_down_a_ramp_as_in_a_closed_form_and_rests_at_its_foot(grip: float) -> None:
    """The stop at the foot begins where the ramp is, and is lower than the box."""
    net, tilt, half, way = graph(6), 0.3, 0.4, 2.0
    with torch.no_grad():
        last_bias(net)[4] = -1.0
    along, across = (math.cos(tilt), math.sin(tilt)), (-math.sin(tilt), math.cos(tilt))

    def at(x: float, z: float) -> tuple[float, float, float]:
        return (x * along[0] + z * across[0], 0.0, x * along[1] + z * across[1])

    ramp = fixed_box((4.0, 0.5, 0.25), at(0, -0.25), tilt, grip)
    stop = fixed_box((0.2, 0.5, 0.3), at(-0.2, 0.3), tilt, grip)
    start = state(at(half + way, half))
    start[3:7] = ramp[7:11]
    went = go(net, [start], scene([body(1, (half, 0.4, half), friction=1.0)], [ramp, stop], 9.81), 60)[:, 0]
    gained = 9.81 * (math.sin(tilt) - grip * math.cos(tilt))
    for k in range(60):
        x = sum(a * float(b) for a, b in zip(along, went[k, [0, 2]], strict=True)) - half
        z = sum(a * float(b) for a, b in zip(across, went[k, [0, 2]], strict=True)) - half
        expected = way - max(gained, 0.0) / 2 * ((k + 1) / 15) ** 2
        assert x == pytest.approx(max(expected, 0.0), abs=0.02), k
        assert abs(z) < 0.01 and abs(float(went[k, 1])) < 1e-3, k


def test_a_box_far_above_a_floor_keeps_its_spin() -> None:
    """Corners of the floor are 20 m away: as a body that turns sees them, they move faster than what can meet."""
    start = state((0, 0, 3.0), spin=(0, 20.0, 0))
    went = go(graph(6), [start], scene([body(1, (0.2, 0.2, 0.2))], [FLOOR], 9.81), 5)
    assert went[:, 0, 11].tolist() == pytest.approx([20.0] * 5, rel=1e-4)


def test_a_box_rests_on_a_narrower_one() -> None:
    """It touches corners of what does not move with its face alone."""
    post, start = fixed_box((0.2, 0.5, 0.3), (0, 0, 0.3), friction=0.5), state((0, 0, 0.9))
    stood = go(graph(6), [start], scene([body(1, (0.6, 0.4, 0.3), friction=0.5)], [post], 9.81), 30)
    assert (stood[:, 0, :3] - torch.tensor(start[:3])).abs().max() < 0.01


def test_gradients_of_what_rests_are_bounded() -> None:
    """They would grow from round to round, to 7e4 here."""
    net = graph(6)
    with torch.no_grad():
        for each in net.parameters():
            each.add_(0.05 * torch.randn(each.shape, generator=generator("weights")))
        last_bias(net)[4] = 0.0
    states, about = tower((0.0, 0.2, 0.0, 0.2))
    given = torch.tensor(states)[None, None]
    last = [*islice(net.unroll(given, about, torch.zeros(1, 1, 4)), 8)][-1]
    (last[..., :3] - given[0, 0, :, :3]).abs().mean().backward()  # type: ignore[no-untyped-call]
    norm = torch.cat([each.grad.flatten() for each in net.respond.parameters() if each.grad is not None]).norm()
    assert 0 < float(norm) < 0.1


def test_balls_exchange_momentum_as_in_a_closed_form() -> None:
    masses, speeds, rebound = (2.0, 3.0), (1.0, -0.5), 0.7
    bodies = scene([body(mass=each, restitution=math.sqrt(rebound)) for each in masses])
    after = go(graph(), [state((-1, 0, 0), (speeds[0], 0, 0)), state((1, 0, 0), (speeds[1], 0, 0))], bodies, 20)[-1]
    middle = (masses[0] * speeds[0] + masses[1] * speeds[1]) / sum(masses)
    apart = rebound * (speeds[0] - speeds[1])
    assert float(after[0, 7]) == pytest.approx(middle - masses[1] / sum(masses) * apart, abs=1e-5)
    assert float(after[1, 7]) == pytest.approx(middle + masses[0] / sum(masses) * apart, abs=1e-5)


def test_any_contact_keeps_momentum_and_angular_momentum() -> None:
    """Boxes and a ball that meet off their middles and grip one another, whatever the weights are."""
    net = graph(24)
    with torch.no_grad():
        for each in net.parameters():
            each.add_(0.05 * torch.randn(each.shape, generator=generator("weights")))
        last_bias(net)[4] = 0.0
    sizes, masses = (0.5, 0.5, 0.3), (4.0, 6.0, 2.0)
    bodies = scene(
        [body(1, sizes, masses[0], friction=1), body(1, sizes, masses[1], friction=1), body(mass=masses[2], friction=1)]
    )
    inertias = torch.tensor([*(mass * (0.5**2 + 0.3**2) / 3 for mass in masses[:2]), masses[2] * 0.4 * 0.4**2])
    start = [
        state((-1, 0, 0.1), (1.5, 0, 0), (0, 1, 0)),
        state((0.8, 0, -0.2), (-1, 0, 0.2)),
        state((0, 0, 1.3), (0, 0, -1.5)),
    ]
    moved = go(net, start, bodies, 20)
    assert (moved[-1, :, 10:].abs().amax(1) > 0.1).all(), "all of them turn"
    before = momenta(torch.tensor([start], dtype=torch.float32), torch.tensor(masses), inertias)
    after = momenta(moved[-1:], torch.tensor(masses), inertias)
    for was, now in zip(before, after, strict=True):
        assert torch.allclose(was, now, atol=0.02), (was, now)


def test_a_planet_returns_after_the_period_of_kepler() -> None:
    strength, distance = 30.0, 1.5
    period = 2 * math.pi * math.sqrt(distance**3 / strength)
    net = graph(12)
    net.step = period / 20 / 12
    bodies = scene([body(), body(mass=0.0, moves=0.0, pull=strength)])
    start = [state((distance, 0, 0), (0, math.sqrt(strength / distance), 0)), state((0, 0, 0))]
    path = go(net, start, bodies, 20)
    assert float((path[-1, 0, :3] - torch.tensor([distance, 0, 0])).norm()) < 0.01
    assert float((path[9, 0, :3] + torch.tensor([distance, 0, 0])).norm()) < 0.01
    assert torch.equal(path[-1, 1, :3], torch.zeros(3))


def test_the_distance_from_a_box_is_that_of_the_nearest_of_its_points() -> None:
    numbers = generator("boxes")
    extent, place = torch.tensor([0.6, 0.2, 0.4]), torch.tensor([0.3, -0.2, 0.1])
    turn = torch.nn.functional.normalize(torch.randn(4, generator=numbers), dim=0)
    local = torch.randn(200, 3, generator=numbers)
    outside = (local.abs() > extent).any(1)
    wide = (200, -1)
    distance, normal = states_graph.surface(
        place.expand(wide),
        turn.expand(wide),
        extent.expand(wide),
        place + states_graph.rotate(turn.expand(wide), local),
    )
    nearest = torch.maximum(torch.minimum(local, extent), -extent)
    inside = (extent - local.abs()).amin(1)
    assert torch.allclose(distance, torch.where(outside, (local - nearest).norm(dim=1), -inside), atol=1e-5)
    assert torch.allclose(normal.norm(dim=1), torch.ones(200), atol=1e-5)
    back = states_graph.rotate(turn.expand(wide), normal, back=True)
    assert torch.allclose((local - back * distance[:, None])[outside], nearest[outside], atol=1e-5)


@pytest.mark.slow
def test_windows_are_those_of_clips_after_the_release() -> None:
    episodes = Simulated(GRAPH)
    bank = StateBank(episodes, CPU)
    assert len(bank.jumps) > 5
    windows, about, held = bank.windows(32, 4, 6, generator("windows"))
    assert windows.shape[:2] == (32, 10) and held.shape == (32, 4, windows.shape[2])
    for window, bodies, mask, before in zip(windows, about.bodies, about.mask, held, strict=True):
        many = int(mask.sum())
        found = None
        for index in range(len(episodes)):
            whole = clip(episodes.rows[index].task)
            own = torch.from_numpy(whole.states[:, list(whole.tracked)]).float()
            if own.shape[1] != many:
                continue
            for first in (own[:-9] == window[0, :many]).flatten(1).all(1).nonzero()[:, 0].tolist():
                if torch.equal(own[first : first + 10], window[:, :many]):
                    found = (whole, first)
        assert found is not None
        times = found[0].times[found[1] : found[1] + 10]
        release = bodies[:many, BODY_COLUMNS.index("release")].numpy()
        assert times[3] >= release.max() - 1e-6, "what is predicted is free"
        assert np.array_equal(before[:, :many].numpy() > 0, times[:4, None] < release - 1e-6)


def test_half_of_the_windows_lie_at_contacts() -> None:
    bank = StateBank(Simulated(GRAPH, ("falling/drop-bounce-v1", "collisions/head-on-v1"), 2), CPU)
    windows, *_ = bank.windows(64, 1, 2, generator("jumps"))
    jumps = (windows[..., 7:10].diff(dim=1).diff(dim=1).norm(dim=-1) > states_training.JUMP).any(-1).any(-1)
    assert jumps[32:].float().mean() > 0.4


def test_turned_scenes_are_predicted_alike() -> None:
    bank = StateBank(Simulated(GRAPH, TASKS[:3]), CPU)
    windows, about, held = bank.windows(16, 1, 4, generator("turned"))
    other, about_other = turned(windows, about, generator("how"))
    assert float((other - windows).abs().max()) > 1
    net = graph()
    with torch.no_grad():
        plain, also = (
            torch.stack([*islice(net.unroll(states[:, :1], each, held), 4)], 1)
            for states, each in ((windows, about), (other, about_other))
        )
    expected, _ = turned(plain, about, generator("how"))
    assert torch.allclose(expected[..., :3], also[..., :3], atol=1e-4)
    assert torch.allclose(expected[..., 7:], also[..., 7:], atol=2e-3)


def test_turned_quaternions_turn_the_same_points() -> None:
    """The corners of a box go where the mirrored and turned corners go."""
    bank = StateBank(Simulated(GRAPH, ("falling/incline-v1",)), CPU)
    windows, about, _ = bank.windows(16, 1, 1, generator("corners"))
    other, about_other = turned(windows, about, generator("how"))
    corners = torch.tensor([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    for before, after in zip(about.statics[:, 0], about_other.statics[:, 0], strict=True):
        where = [
            states_graph.rotate(each[7:11].expand(8, 4), corners * each[1:4]) + each[4:7] for each in (before, after)
        ]
        assert torch.allclose(where[0].norm(dim=1).sort()[0], where[1].norm(dim=1).sort()[0], atol=1e-4)
        assert torch.allclose(where[0][:, 2].sort()[0], where[1][:, 2].sort()[0], atol=1e-4)
    fake = torch.zeros(16, 8, 1, 13)
    fake[..., 0, :3] = torch.stack(
        [states_graph.rotate(each[7:11].expand(8, 4), corners * each[1:4]) + each[4:7] for each in about.statics[:, 0]]
    )
    moved, _ = turned(fake, about, generator("how"))
    for points, after in zip(moved[:, :, 0, :3], about_other.statics[:, 0], strict=True):
        local = states_graph.rotate(after[7:11].expand(8, 4), points - after[4:7], back=True)
        assert torch.allclose(local.abs(), after[1:4].expand(8, 3), atol=1e-4)
    assert float((other - windows).abs().max()) > 0.1


@pytest.mark.parametrize("kind", others_slow((TRANSFORMER, GRAPH), 1), ids=lambda each: each.name)
def test_it_learns(kind: StateArchitecture, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, episodes = kind.net(tiny_config(kind)), Simulated(kind, ("falling/drop-bounce-v1", "orbits/flyby-v1"), 2)
    net.batch = 16
    (stage,) = kind.stages(net, {}, episodes, tmp_path, 100)
    stage.prepare()

    def loss() -> float:
        with torch.no_grad():
            return sum(float(stage.loss(0.0, generator("same", i))) for i in range(4)) / 4

    before = loss()
    optimizer = torch.optim.AdamW(stage.parameters, 3e-3)
    for step in range(60):
        found = stage.loss(0.0, generator(step))
        optimizer.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(stage.parameters, 0.5)
        optimizer.step()
    assert loss() < 0.9 * before
    assert "mm off 0.067 s ahead" in stage.describe()


@BOTH
def test_a_resumed_training_ends_with_the_same_weights(
    kind: StateArchitecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states_training, "SAVED_EVERY", 2)
    monkeypatch.setattr(kind.net_class, "batch", 4)
    monkeypatch.setattr(kind.net_class, "unrolls", {0.0: 1, 0.5: 2})
    episodes, ends, curves = Simulated(kind, TASKS[:2]), [], []
    for folder, parts in (("whole", (6,)), ("parts", (2, 6))):
        (tmp_path / folder).mkdir()
        for part in parts:
            with monkeypatch.context() as patch:
                if part < 6:
                    patch.setattr("physbench.reference.training_loop._one_step", stopping(part))
                try:
                    net, _ = learn(
                        kind, tiny_config(kind), episodes, tmp_path / folder, {}, seed=0, steps=6, minutes=None,
                        device="cpu", resume=part > 2 and folder == "parts", threads=1, watched=episodes,
                    )  # fmt: skip
                except KeyboardInterrupt:
                    assert part < 6
        ends.append(net.state_dict())
        with (tmp_path / folder / CURVE_FILE).open(newline="") as file:
            curves.append([(row["step"], row["skill within 1 s"]) for row in csv.DictReader(file)])
    assert curves[0] == curves[1] and [step for step, _ in curves[0]] == ["2", "4", "6"]
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name


def test_a_training_ends_with_its_nearest_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of step 4, of equal ones the first, though step 8 is the last; interrupted after step 7 or not."""
    kind = TRANSFORMER
    monkeypatch.setattr(states_training, "SAVED_EVERY", 2)
    monkeypatch.setattr(kind.net_class, "batch", 2)
    episodes, nearest = Simulated(kind, TASKS[:1]), []

    def reading(skills: Iterator[float], model: TrainedStateModel) -> Validation:
        def read() -> list[float]:
            skill = next(skills)
            if skill == 0.3:
                nearest.append({name: value.clone() for name, value in model.net.state_dict().items()})
            return [skill, 0.0]

        return Validation(("within 1 s", "within 2 s"), read)

    def trained(folder: Path, *skills: float, stop: int = 8, resume: bool = False) -> Mapping[str, Tensor]:
        folder.mkdir(exist_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(type(kind), "validation", lambda self, model, watched: reading(iter(skills), model))
            patch.setattr("physbench.reference.training_loop._one_step", stopping(stop))
            net, _ = learn(
                kind, tiny_config(kind), episodes, folder, {}, seed=0, steps=8, minutes=None, device="cpu",
                resume=resume, threads=1, watched=episodes,
            )  # fmt: skip
        settings = {"clips": 20, "steps": 8, "device": "cpu", "seed": 0, "physbench": "0", "torch": "2"}
        card = training_card(kind, episodes.card, 1, settings, folder, "picture.png")
        assert "The weights are those of step 4," in card
        return net.state_dict()

    whole = trained(tmp_path / "whole", 0.1, 0.3, 0.3, 0.2)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", 0.1, 0.3, 0.3, stop=7)
    parts = trained(tmp_path / "parts", 0.3, 0.2, resume=True)
    for name, value in nearest[0].items():
        assert torch.equal(value, whole[name]) and torch.equal(value, parts[name]), name
    assert any(not torch.equal(value, nearest[1][name]) for name, value in nearest[0].items())


def test_gradient_norms_of_networks_are_clipped_apart(tmp_path: Path) -> None:
    """That of pulls, which is large, leaves that of contacts as it is."""
    net = GRAPH.net(tiny_config(GRAPH))
    (stage,) = GRAPH.stages(net, {}, Simulated(GRAPH, TASKS[:1]), tmp_path, 8)
    assert {*map(id, stage.parameters)} == {id(each) for group in stage.clipped_together for each in group}
    pulls, contacts = net.power.weight, net.respond[-1].bias  # type: ignore[index, union-attr]
    stage.loss = lambda progress, numbers: 100 * pulls.sum() + 0.1 * contacts.sum()  # type: ignore[operator]
    _one_step(stage, torch.optim.SGD(stage.parameters), 0, 0.0, 0)
    assert float(pulls.grad.norm()) == pytest.approx(0.5)  # type: ignore[union-attr, arg-type]
    assert float(contacts.grad.norm()) == pytest.approx(0.1 * math.sqrt(5))  # type: ignore[union-attr, arg-type]


def stopping(after: int):  # type: ignore[no-untyped-def]
    """A training step that is interrupted after so many."""
    done = 0

    def step(*arguments):  # type: ignore[no-untyped-def]
        nonlocal done
        done += 1
        if done > after:
            raise KeyboardInterrupt
        return _one_step(*arguments)

    return step


def ask(model: StateModel, clips: list[Clip], horizon: int) -> Tensor:
    given = state_inputs(clips, model.card)
    states = torch.from_numpy(given.states).float()
    return model.rollout_states(
        states[..., :3] if model.card.columns == "positions" else states,
        bodies=torch.from_numpy(given.bodies).float(),
        statics=torch.from_numpy(given.statics).float(),
        mask=torch.from_numpy(given.mask),
        gravity=torch.from_numpy(given.gravity).float(),
        horizon=horizon,
        actions=None,
        prompts=[""] * len(clips),
        generators=[],
    )


def tiny_model(kind: StateArchitecture) -> TrainedStateModel:
    config = tiny_config(kind)
    torch.manual_seed(0)
    net = kind.net(config)
    with torch.no_grad():
        for each in net.parameters():
            each.add_(0.02 * torch.randn_like(each))
    model = kind.wrap(net, kind.card(config), CPU, torch.float32)
    assert isinstance(model, StateModel)
    return model


@BOTH
def test_an_answer_does_not_depend_on_other_clips(kind: StateArchitecture) -> None:
    model = tiny_model(kind)
    clips = [clip(task) for task in ("falling/drop-bounce-v1", "orbits/flyby-v1", "occlusion/screen-pass-v1")]
    for horizon in (1, 10):
        together = ask(model, clips, horizon)
        assert together.shape == (3, horizon, 2, model.card.width)
        for i, each in enumerate(clips):
            alone = ask(model, [each], horizon)
            assert torch.allclose(together[i : i + 1, :, : alone.shape[2]], alone, atol=1e-4)


@BOTH
def test_nothing_leaves_the_plane_of_motion(kind: StateArchitecture) -> None:
    for task, axis in (("falling/projectile-v1", 1), ("collisions/head-on-v1", 2)):
        answer = ask(tiny_model(kind), [clip(task)], 20)
        assert float(answer[..., axis].abs().max()) < 1e-4
        assert float((answer[:, -1] - answer[:, 0])[..., :3].abs().max()) > 0.1


@BOTH
def test_a_checkpoint_gives_the_model_back_with_its_card(
    kind: StateArchitecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    from physbench.support import plugins

    true, group = plugins.entries, "physbench.architectures"
    own = {kind.name: EntryPoint(kind.name, f"{type(kind).__module__}:architecture", group)}
    monkeypatch.setattr(plugins, "entries", lambda asked: {**true(asked), **(own if asked == group else {})})
    model, path = tiny_model(kind), tmp_path / "model.safetensors"
    config = tiny_config(kind)
    save_checkpoint(
        path, model.net.state_dict(), architecture=kind.name, config=config, card=model.card, training={"clips": 20}
    )
    assert read_checkpoint(path).card == replace(model.card, training_clips=20)
    again = load_model(str(path), device=CPU, dtype=torch.float32)
    assert isinstance(again, StateModel)
    whole = clip("falling/drop-bounce-v1")
    assert torch.equal(ask(again, [whole], 8), ask(model, [whole], 8))
    make_untrained(again, str(path))
    assert not torch.equal(ask(again, [whole], 8), ask(model, [whole], 8))


@pytest.mark.parametrize("true", (True, False))
def test_the_curve_is_1_for_true_places_and_0_for_bodies_that_stay(true: bool) -> None:
    """Clips of one, two and three bodies; the stack hardly moves."""
    episodes = Simulated(TRANSFORMER)
    clips = [episodes.clip(index) for index in range(len(episodes))]

    class Answers:
        card, device = episodes.card, CPU

        def rollout_states(self, states: Tensor, *, horizon: int, **given: object) -> Tensor:
            answer = states[:, -1:].repeat(1, horizon, 1, 1)
            for mine, each in zip(answer, clips, strict=True):
                places = each.states[each.handover + 1 :][:horizon, list(each.tracked), :3]
                mine[:, : places.shape[1]] = torch.from_numpy(places)
            return answer if true else states[:, -1:].repeat(1, horizon, 1, 1)

    validation = TRANSFORMER.validation(Answers(), episodes)
    assert validation.names == ("within 0.25 s", "within 0.5 s", "within 1 s", "within 2 s")
    assert validation.skills() == pytest.approx([float(true)] * 4, abs=1e-4)


@BOTH
def test_a_sample_is_drawn(kind: StateArchitecture) -> None:
    episodes = Simulated(kind, ("falling/drop-bounce-v1",))
    frames = kind.sample_episode(tiny_model(kind), episodes, 0, generator("sample"))
    assert frames.shape == (60, 3, 64, 64) and frames.dtype == torch.uint8
    colour = (frames.amax(1).int() - frames.amin(1).int()) > 60
    assert bool(colour[0].any()), "the body is seen"


def test_a_transformer_that_changes_nothing_goes_straight_on() -> None:
    model = tiny_model(TRANSFORMER)
    with torch.no_grad():
        for each in model.net.change.parameters():  # type: ignore[union-attr]
            each.zero_()
    whole = clip("collisions/head-on-v1")
    own = whole.states[:, list(whole.tracked), :3]
    step = own[whole.handover] - own[whole.handover - 1]
    expected = own[whole.handover] + step * np.arange(1, 5)[:, None, None]
    assert np.allclose(ask(model, [whole], 4)[0].numpy(), expected, atol=1e-4)


def test_the_transformer_sees_no_absolute_places() -> None:
    model, whole = tiny_model(TRANSFORMER), clip("falling/drop-bounce-v1")
    given = state_inputs([whole], model.card)
    bodies, statics, gravity = (torch.from_numpy(each).float() for each in (given.bodies, given.statics, given.gravity))
    about = StateScene(bodies, statics, torch.from_numpy(given.mask), gravity)
    away = torch.tensor([2.0, -1.0, 0.5])
    moved = about.statics.clone()
    moved[..., 4:7] += away
    seen, held = torch.from_numpy(given.states[..., :3]).float(), torch.zeros(1, 8, 1)
    with torch.no_grad():
        here, there = (
            torch.stack([*islice(model.net.unroll(places, each, held), 5)], 1)
            for places, each in ((seen, about), (seen + away, replace(about, statics=moved)))
        )
    assert torch.allclose(here + away, there, atol=1e-4)


def test_an_error_counts_in_proportion_where_it_is_small() -> None:
    truth, mask = torch.zeros(1, 1, 2, 13), torch.tensor([[True, False]])
    for size in (1e-3, 2e-3, 1.0):
        expected = torch.zeros(1, 1, 2, 3)
        expected[..., 0] = size
        assert float(state_error(expected, truth, mask, 0.02)) == pytest.approx(math.log1p(size / 0.02), rel=0.02)
