"""The adapters of public checkpoints, on random weights in the layouts of those files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import torch

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
