"""`physbench export`: graphs that answer as their models do, and nothing where they do not."""

import json
import sys
from pathlib import Path

import pytest
import torch

from physbench.cli.main import run
from physbench.models.load_model import load_model
from physbench.models.safetensors_files import save_checkpoint
from physbench.reference.simple import architecture

EXAMPLE = Path(__file__).parents[2] / "examples" / "export_me.py"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The example as a graph."""
    path = tmp_path_factory.mktemp("exported") / "example.onnx"
    assert run(["export", f"{EXAMPLE}:make", str(path)]) == 0
    return path


@pytest.fixture
def code(tmp_path):
    """Write a model whose state is the last frame, with other methods in place of its own."""

    def write(methods: str = "", card: str = "") -> str:
        path = tmp_path / "mine.py"
        path.write_text(
            f"""import torch
from physbench import ModelCard, SteppedModel
class Mine(torch.nn.Module, SteppedModel):
    card = ModelCard("mine", (64, 64), 15, 2{card})
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Conv2d(3, 3, 3, padding=1)
    def init(self, context):
        return context[:, -1]
    def step(self, state):
        frame = self.net(state).sigmoid()
        return frame, frame
    {methods}
def make(*, device, dtype):
    torch.manual_seed(0)
    return Mine().to(device, dtype)
"""
        )
        return f"{path}:make"

    return write


def test_the_page_shows_the_example() -> None:
    page = EXAMPLE.parents[1] / "docs" / "models" / "onnx.md"
    assert f"```python\n{EXAMPLE.read_text()}```" in page.read_text()


@torch.inference_mode()
def rolled(target, horizon: int = 60) -> torch.Tensor:
    model = load_model(str(target), device=CPU, dtype=torch.float32, trust_code=True)
    numbers = torch.Generator().manual_seed(3)
    context = torch.rand(3, model.card.context_frames, 3, 64, 64, generator=numbers)
    actions = torch.rand(3, model.card.context_frames + horizon, 6, generator=numbers)
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    chunks = model.rollout(context, horizon=horizon, actions=actions, prompts=[""] * 3, generators=generators)
    return torch.cat(list(chunks), 1)


def test_the_graph_of_the_example_predicts_60_frames_as_it_does(exported) -> None:
    expected, got = rolled(f"{EXAMPLE}:make"), rolled(exported)
    assert got.shape == (3, 60, 3, 64, 64)
    assert (got - expected).abs().max() < 1e-5
    assert expected.std() > 0.1


@pytest.mark.slow
def test_a_graph_is_checked_and_evaluated_as_any_model(exported, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        run(
            [
                "eval",
                str(exported),
                "--suite",
                "smoke",
                "--limit",
                "1",
                "--device",
                "cpu",
                "--no-diagnosis",
                "--out",
                "run",
            ]
        )
        == 0
    )
    assert json.loads(Path("run/result.json").read_text())["counts"]["scored"] == 1
    assert run(["models", "check", str(exported), "--device", "cpu"]) == 0
    assert "recurrent: 64x64 px, 15 frames/s, 4 context frames, actions" in capfd.readouterr().out


@pytest.mark.slow
def test_a_checkpoint_of_simple_can_be_exported(tmp_path, capfd) -> None:
    config = {**architecture.defaults, "pictures": 8, "width": 8, "blocks": 1, "memory": 4, "context": 5}
    torch.manual_seed(0)
    checkpoint = tmp_path / "simple.safetensors"
    save_checkpoint(
        checkpoint,
        architecture.net(config).state_dict(),
        architecture="simple",
        config=config,
        card=architecture.card(config),
        training={},
    )
    path = tmp_path / "simple.onnx"
    assert run(["export", str(checkpoint), str(path)]) == 0
    captured = capfd.readouterr()
    assert captured.out.strip() == str(path) and "Largest difference over 60 frames" in captured.err
    assert (rolled(path, 9) - rolled(checkpoint, 9)).abs().max() < 1e-5


@pytest.mark.slow
def test_random_numbers_come_from_the_generators(code, tmp_path) -> None:
    target = code(
        """noise_size = 3
    def step(self, state, noise):
        frame = (self.net(state) + noise[:, :, None, None]).sigmoid()
        return frame, frame""",
        card=", stochastic=True",
    )
    assert run(["export", target, str(tmp_path / "noisy.onnx")]) == 0
    expected, got = rolled(target, 5), rolled(tmp_path / "noisy.onnx", 5)
    assert (got - expected).abs().max() < 1e-5
    assert (expected[0] - expected[1]).abs().mean() > 0.05


def test_a_program_of_torch_is_written_for_those_who_trust_it(code, tmp_path) -> None:
    path = tmp_path / "mine.pt2"
    assert run(["export", code(), str(path)]) == 0
    assert (rolled(path, 5) - rolled(code(), 5)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (
            """def rollout(self, context, *, horizon, actions, prompts, generators):
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)""",
            "differ by up to",
        ),
        ("init = None", "has no init"),
        ("def init(self, context): return {'frame': context[:, -1]}", "a tuple of them, got dict"),
        ("def init(self, context): return context[0, -1]", "one of shape (3, 64, 64) for a batch of 2"),
        ("def init(self, context): return context[:, 7]", "init failed: IndexError in mine.py, line"),
        ("def init(self, context): return torch.zeros(len(context), 3, 64, 64)", "instead of len(context)"),
        (
            """def step(self, state):
        frame = state if state.sum() > 0 else 1 - state
        return frame, frame""",
            "Use torch.where",
        ),
        ("def step(self, state, noise): return state, state", "set noise_size to how many numbers, got 0"),
    ],
)
def test_what_cannot_be_exported_is_told_and_leaves_nothing(code, tmp_path, capfd, methods, words) -> None:
    folder = tmp_path / "out"
    assert run(["export", code(methods), str(folder / "mine.onnx")]) == 2
    error = capfd.readouterr().err
    assert words in error and "Traceback" not in error
    assert len([line for line in error.splitlines() if not line.startswith("Tracing")]) <= 2
    assert list(folder.iterdir()) == []


def test_wrong_use_is_told_first(tmp_path, capfd, monkeypatch, exported) -> None:
    target = f"{EXAMPLE}:make"
    for arguments, words in (
        ([target, "model.bin"], "expected a file OUT.onnx"),
        ([target, str(tmp_path / "a.onnx"), "--tolerance", "0"], "expected a number above 0"),
        (["reference:objects", str(tmp_path / "a.onnx")], "has no init and no step"),
        (["baseline:oracle", str(tmp_path / "a.onnx")], "no model that continues frames"),
        ([str(exported), str(tmp_path / "a.onnx")], "is a graph already"),
    ):
        assert run(["export", *arguments]) == 2
        assert words.lower() in capfd.readouterr().err.lower()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert run(["export", target, str(tmp_path / "a.onnx")]) == 2
    assert "needs onnxscript: pip install 'physbench[onnx]'" in capfd.readouterr().err
