"""The adapters of public checkpoints, on random weights in the layouts of those files."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.task import find_task
from physbench.laws.kepler import elliptic_state
from physbench.rollout.states import state_inputs
from physbench.rollout.store import Rollout
from physbench.score.score_clip import score_clip
from physbench.scorers.axes.consistency import shadowing
from physbench.scorers.diagnostics.orbits import force_law
from physbench.support import plugins
from physbench.world.scene import RenderSpec

EXAMPLES = Path(__file__).parent.parent / "examples" / "public_checkpoints"


def adapter(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_moving_mnist_convlstm_predicts_each_colour_by_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = adapter("moving_mnist_convlstm")
    torch.save(module.Network().state_dict(), tmp_path / "random.pth")
    model = module.make(device=torch.device("cpu"), dtype=torch.float32, weights=str(tmp_path / "random.pth"))
    context = torch.full((2, 10, 3, 64, 64), 0.8)
    context[0, :, 0, 20:30, 20:30] = 0.3  # a dark square in the red channel of the first clip

    with torch.inference_mode():
        frames = torch.cat(
            list(model.rollout(context, horizon=3, actions=None, prompts=["", ""], generators=[])), dim=1
        )

    assert frames.shape == (2, 3, 3, 64, 64)
    assert torch.equal(frames[0, :, 1], frames[0, :, 2])  # two channels without anything in them
    assert not torch.equal(frames[0, :, 0], frames[0, :, 1])
    torch.testing.assert_close(frames[0, :, 1], frames[1, :, 1])


def test_three_body_hamiltonian_moves_two_bodies_under_its_potential(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = adapter("three_body_hamiltonian")
    phi = {f"phi_pair.{name}": value for name, value in module.potential_network().state_dict().items()}
    saved = {**phi, "log_m_body": torch.tensor([0.0, 0.5, 0.0]), "softening_eps": torch.tensor(0.1)}
    torch.save({"state_dict": saved, "cfg": {}}, tmp_path / "hnn.pt")
    weights = str(tmp_path / "hnn.pt")
    model = module.make(device=torch.device("cpu"), dtype=torch.float32, weights=weights, unit=1.0)
    bodies = torch.zeros(1, 2, len(module.BODY_COLUMNS))
    bodies[..., module.PULL], bodies[..., module.MOVES] = 1.0, 1.0  # so that one of its times is a second
    states = torch.tensor([[[[0.0, 0, 0, 0, 0, 0], [0.5, 0, 0, 0, 0.1, 0]]]])

    with torch.inference_mode():
        force = model.force(states[:, 0, :, :3])
        answer = model.rollout_states(
            states,
            bodies=bodies,
            statics=torch.zeros(1, 0, 13),
            mask=torch.ones(1, 2, dtype=torch.bool),
            gravity=torch.zeros(1, 3),
            horizon=2,
            actions=None,
            prompts=[""],
            generators=[],
        )

    assert torch.allclose(force[:, 0], -force[:, 1])  # of one potential of their distance
    masses = torch.tensor([1.0, torch.e**0.5])[:, None]
    assert torch.allclose((answer[0, -1, :, 3:] * masses).sum(0), (states[0, -1, :, 3:] * masses).sum(0), atol=1e-6)
    moved = answer[0, 0, 0, 0] - states[0, 0, 0, 0]  # half a t^2, with the time from one state to the next
    torch.testing.assert_close(moved, force[0, 0, 0] / 2 / model.card.fps**2, rtol=0.05, atol=1e-7)


def test_bouncing_balls_graph_falls_and_bounces_where_it_has_no_correction(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = adapter("bouncing_balls_graph")
    net = module.Network(8)
    net.ball_state_std.fill_(1.0)  # and c_scale stays 0: a step of free fall and reflection
    net.dt.fill_(1 / 60)
    net.gravity_y.fill_(900.0)
    net.wall_max.fill_(400.0)
    net.wall_e.fill_(0.5)
    weights = str(tmp_path / "graph.pt")
    torch.save({"state_dict": net.state_dict(), "config": {"hidden": 8}}, weights)
    model = module.make(device=torch.device("cpu"), dtype=torch.float32, weights=weights)
    bodies = torch.zeros(1, 1, len(module.BODY_COLUMNS))
    bodies[..., module.BODY_COLUMNS.index("size_1")] = 0.4
    statics = torch.zeros(1, 1, len(module.STATIC_COLUMNS))
    statics[..., module.STATIC_COLUMNS.index("shape")] = module.PLANE
    statics[..., module.STATIC_COLUMNS.index("z")] = -1.0

    answer = model.rollout_states(
        torch.tensor([[[[0.2, 0.0, 1.0, 0, 0, 0]]]]),
        bodies=bodies,
        statics=statics,
        mask=torch.ones(1, 1, dtype=torch.bool),
        gravity=torch.tensor([[0.0, 0.0, -9.81]]),
        horizon=60,
        actions=None,
        prompts=[""],
        generators=[],
    )[0, :, 0]

    torch.testing.assert_close(answer[29, 2], torch.tensor(1.0 - 9.81 * 0.5**2 / 2), rtol=0, atol=1e-3)
    assert torch.allclose(answer[:, 0], torch.tensor(0.2))
    assert answer[:, 2].min() > -0.6 - 1e-3  # the radius above the floor
    assert answer[:, 5].max() > 2.0  # upwards after the bounce, with half of 5.6 m/s


def test_lunar_lander_rssm_sees_the_ball_as_a_lander_and_answers_in_metres(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = adapter("lunar_lander_rssm")
    net = module.Network()
    torch.nn.init.zeros_(net.physics_head.weight)  # so that it answers the same whatever it is given
    net.physics_head.bias.data = torch.tensor([0.1, 0.3, 0.5, -0.4, 0.0, 0.0])
    more = {"reward_head.0.weight": torch.zeros(1), "contact_head.bias": torch.zeros(2)}  # that it does without
    torch.save(net.state_dict() | more, tmp_path / "world_model.pt")
    model = module.make(device=torch.device("cpu"), dtype=torch.float32, weights=str(tmp_path / "world_model.pt"))
    given = []
    model.net.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    bodies = torch.zeros(1, 1, len(module.BODY_COLUMNS))
    bodies[..., module.BODY_COLUMNS.index("size_1")] = 0.5
    statics = torch.zeros(1, 1, len(module.STATIC_COLUMNS))
    statics[..., module.STATIC_COLUMNS.index("shape")] = module.PLANE
    statics[..., module.STATIC_COLUMNS.index("z")] = -1.0
    states = torch.tensor([[[[0.981, 0.0, -0.5 + 0.981, 1.962, 0.0, -0.981]]]])

    answer = model.rollout_states(
        states.repeat(1, 20, 1, 1),
        bodies=bodies,
        statics=statics,
        mask=torch.ones(1, 1, dtype=torch.bool),
        gravity=torch.tensor([[0.0, 0.0, -9.81]]),
        horizon=3,
        actions=None,
        prompts=[""],
        generators=[],
    )

    # One of its lengths to the right and above the ground, 2 to the right and 1 down a second: as Gymnasium says it.
    seen = torch.tensor([1 / 10, 1 / (20 / 3), 2 * 10 / 50, -1 * (20 / 3) / 50, 0, 0, 0, 0])
    torch.testing.assert_close(given[0][0, -1], seen)
    expected = torch.tensor([0.1 * 9.81, 0.0, 0.3 * 6.54 - 0.5, 0.5 * 5 * 0.981, 0.0, -0.4 * 7.5 * 0.981])
    torch.testing.assert_close(answer[0, :, 0], expected.expand(3, -1))


@pytest.fixture
def orbits(tmp_path: Path) -> Iterator[ModuleType]:
    """The adapter of the tables of orbits, its task registered, and files of its format in `tmp_path`."""
    module = adapter("kepler_states")
    for number, (axis, eccentricity, orientation, phase, growth) in enumerate(module.ORBITS):
        rows = []
        for step in range(module.ROWS):
            mu = growth**2 * axis**3  # with a row as the time
            place, (vx, vy) = elliptic_state(mu, axis, eccentricity, orientation, phase, 1, float(step))
            rows.append([*place, vx, vy, 1e-5, 1.0])
        np.save(tmp_path / f"true_state_{number}.npy", np.array(rows, np.float32))
    with plugins.temporarily_registered():
        assert find_task(str(EXAMPLES / "kepler_states.py")).id == module.PublishedOrbits.id
        yield module


def test_tables_of_orbits_are_lawful_answers_with_the_force_of_newton(orbits: ModuleType, tmp_path: Path) -> None:
    model = orbits.make(device=torch.device("cpu"), dtype=torch.float32, folder=str(tmp_path))
    clip = make_clip(Row(orbits.PublishedOrbits.id, "test", 1), RenderSpec(64, 64, orbits.FPS))
    given = state_inputs([clip], model.card)
    bodies = torch.as_tensor(given.bodies, dtype=torch.float32)
    context = torch.as_tensor(given.states[..., [0, 1]], dtype=torch.float32)

    def ask(states: torch.Tensor) -> torch.Tensor:
        return model.rollout_states(
            states,
            bodies=bodies,
            statics=torch.zeros(1, 0, 13),
            mask=torch.ones(1, 2, dtype=torch.bool),
            gravity=torch.zeros(1, 3),
            horizon=clip.horizon,
            actions=None,
            prompts=[""],
            generators=[],
        )

    states = clip.states[clip.handover + 1 :, list(clip.tracked)].copy()
    assert np.abs(ask(context)[0].numpy() - states[..., :2]).max() < 0.01  # m; the scene is simulated in steps
    states[..., :2] = ask(context)[0].double().numpy()
    rollout = Rollout(clip.id, 0, clip.context(orbits.CONTEXT)[:0], states=states)
    rows, _ = score_clip(clip, rollout, orbits.CONTEXT, [shadowing, force_law])
    found = {row.reading: row for row in rows}
    assert found["consistency/shadowing"].quality == pytest.approx(1.0, abs=1e-3)
    assert found["laws/force-law"].value == pytest.approx(-2.0, abs=1e-3)
    with pytest.raises(ValueError, match="no file begins like this clip"):
        ask(context + 0.05)
