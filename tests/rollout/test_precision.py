"""`--autocast` and `--compile`: what networks compute with, and who is refused. No compiler is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from physbench.models.protocol import ModelCard
from physbench.rollout.answers import Inputs
from physbench.rollout.device import CompiledNetworks, find_autocast, networks_for, with_forward
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.predict import predict
from physbench.support.errors import ModelError, UsageError

pytestmark = pytest.mark.usefixtures("warm_models")

CPU = torch.device("cpu")
COMPILE = torch.compile


class Net(nn.Module):
    """Mixes the channels of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        nn.init.constant_(self.layer.weight, 0.3)
        nn.init.zeros_(self.layer.bias)
        self.types: list[torch.dtype] = []

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.layer(frame.movedim(-3, -1)).movedim(-1, -3)
        if not torch.compiler.is_compiling():
            self.types.append(mixed.dtype)
        return mixed


class Streamed:
    """Answers frame by frame; only then does its network compute."""

    card = ModelCard("streamed", (8, 8), 10, 2)

    def __init__(self) -> None:
        self.net = Net()
        self.nets = nn.ModuleList([self.net])

    def rollout(self, context: torch.Tensor, *, horizon: int, **_: object) -> Any:
        for _frame in range(horizon):
            yield self.nets[0](context[:, -1:])


def roll(model: Streamed, autocast: torch.dtype | None = None) -> torch.Tensor:
    context = torch.randint(0, 256, (1, 2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    out = torch.zeros(1, 3, 3, 8, 8, dtype=torch.uint8)
    inputs = Inputs(3, [1], [""], context.numpy())
    answer = predict(model, inputs, out, CPU, torch.float32, autocast)
    assert not answer.failures
    return out


def test_networks_compute_in_the_type_of_autocast_frame_by_frame() -> None:
    model = Streamed()
    plain = roll(model)
    assert model.net.types == [torch.float32] * 3
    rounded = roll(model, torch.bfloat16)
    assert model.net.types[3:] == [torch.bfloat16] * 3
    assert 0 < (plain.int() - rounded.int()).abs().max() <= 3, "of 255: three values of 8 bits were added"
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("name", "device", "found"),
    [(None, "mps", None), ("bfloat16", "cpu", torch.bfloat16), ("float16", "cuda", torch.float16)],
)
def test_autocast_by_name(name: str | None, device: str, found: torch.dtype | None) -> None:
    assert find_autocast(name, torch.device(device)) is found


@pytest.mark.parametrize(("name", "device", "words"), [("float16", "cpu", "on the CPU"), ("bfloat16", "mps", "on mps")])
def test_autocast_where_torch_has_none(name: str, device: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_autocast(name, torch.device(device))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, object]]]:
    """What was compiled, which is then done without a compiler."""
    made: list[tuple[str, dict[str, object]]] = []

    def compile_eagerly(function: Callable[..., Any], **settings: Any) -> Any:
        made.append((getattr(function, "__name__", "script"), settings))
        return COMPILE(function, backend="eager", **settings)

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    return made


def test_the_outermost_networks_are_compiled_and_answer_as_before(compiled: list[Any]) -> None:
    model = Streamed()
    before = roll(model)
    networks = CompiledNetworks(networks_for("--compile", model, "m"), CPU)
    assert compiled == [("sin", {"dynamic": False}), ("forward", {"dynamic": False})] and not networks.called
    del model.net.types[:]
    assert torch.equal(roll(model), before)
    assert networks.called and model.net.types == [], "torch.compile ran it"


def test_lists_have_no_forward_of_their_own() -> None:
    inner, nested = nn.Linear(1, 1), Net()
    assert list(with_forward([nn.ModuleList([inner, nn.ModuleDict({"a": nested})])])) == [inner, nested]


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:FutureWarning")
def test_networks_of_torchscript_answer_as_before(compiled: list[Any]) -> None:
    frame = torch.rand(1, 3, 8, 8)
    traced = torch.jit.trace(Net().eval(), frame)
    before = traced(frame)
    networks = CompiledNetworks([traced], CPU)
    assert torch.allclose(traced(frame), before) and networks.called


class InvalidCxxCompiler(RuntimeError):
    """As torch raises it."""

    __module__ = "torch._inductor.exc"


def no_compiler(*_: object) -> None:
    raise InvalidCxxCompiler("No working C++ compiler found.\nMore lines")


def test_without_a_compiler_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: no_compiler)
    words = "--compile: torch cannot compile here (No working C++ compiler found). Leave it out."
    with pytest.raises(ModelError, match=f"^{re.escape(words)}$"):
        CompiledNetworks(networks_for("--compile", Streamed(), "m"), CPU)


def test_a_network_that_cannot_be_compiled_answers_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = roll(Streamed())
    monkeypatch.setattr(
        torch, "compile", lambda function, **_: no_compiler if function.__name__ == "forward" else function
    )
    model = Streamed()
    networks = CompiledNetworks(networks_for("--compile", model, "m"), CPU)
    assert (roll(model) == plain).all() and networks.called
    assert networks.notes == {
        "--compile: torch cannot compile Net (No working C++ compiler found): it runs uncompiled."
    }


def test_errors_of_the_model_itself_stay_as_they_are(compiled: list[Any]) -> None:
    network = torch.nn.Linear(2, 2)
    CompiledNetworks([network], CPU)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network(torch.ones(3))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"autocast": "bfloat16"}, "--autocast: baseline:freeze holds no torch.nn.Module"),
        pytest.param({"compile": True}, "--compile: baseline:freeze holds no torch.nn.Module", marks=pytest.mark.slow),
        pytest.param({"autocast": "float16"}, "--autocast float16: on the CPU say bfloat16", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_cannot_is_refused_when_it_is_loaded(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words), RolloutEngine("baseline:freeze", device="cpu", **asked):
        pass


def test_the_process_of_a_model_computes_under_autocast(toy_target: Any, clips: Any, clip_maker: Any) -> None:
    from physbench.rollout.batches import Batch, BatchItem

    clips.add(clip_maker(0, horizon=3))
    plan = [Batch(tuple(BatchItem(row) for row in clips), 3)]
    shown = []
    for autocast in (None, "bfloat16"):
        with RolloutEngine(toy_target("bits"), device="cpu", threads=1, autocast=autocast) as engine:
            (rollout,) = next(iter(engine.run(plan, clips.load)))
        assert rollout.failure is None
        shown.append(int(rollout.frames.max()))
    assert shown == [32, 16], "bits of the type in which it multiplied"
