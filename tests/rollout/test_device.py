"""Frames on their way from the device, with a stand-in for its queue; `--autocast`, `--compile`; what is no frame."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from physbench.models.protocol import ModelCard
from physbench.rollout import device
from physbench.rollout import predict as model_calls
from physbench.rollout.answers import Inputs
from physbench.rollout.device import (
    AnswerError,
    CompiledNetworks,
    FrameReceiver,
    check_chunk,
    find_autocast,
    iterate_chunks,
    networks_for,
    store_chunk,
    to_device,
    with_forward,
)
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.predict import ModelCalls, predict
from physbench.support.errors import ModelError, UsageError

SHAPE = (3, 5, 3, 32, 40)
CPU = torch.device("cpu")
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")


class Queue:
    """Stands in for the queue of a CUDA device: `done` says whether the device is as far as the host."""

    def __init__(self) -> None:
        self.done = False
        self.waits = 0
        self.pinned: list[torch.Tensor] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        queue = self

        class Event:
            def __init__(self, **settings: bool) -> None:
                assert settings["blocking"]  # who waits leaves its core to others

            def record(self, stream: object) -> None:
                assert stream == "stream" and not queue.waits  # nothing is queued after a wait

            def query(self) -> bool:
                return queue.done

            def synchronize(self) -> None:
                queue.waits += 1
                queue.done = True

            def elapsed_time(self, other: object) -> float:
                assert queue.done
                return 250.0

        def pinned_like(tensor: torch.Tensor) -> torch.Tensor:
            queue.pinned.append(torch.full_like(tensor, 77))
            return queue.pinned[-1]

        def refuse(*_: object) -> None:
            raise AssertionError("the host waits for the whole device")

        monkeypatch.setattr(device, "is_queued", lambda _: True)
        monkeypatch.setattr(model_calls, "is_queued", lambda _: True)
        monkeypatch.setattr(device, "pinned_like", pinned_like)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "stream")
        monkeypatch.setattr(torch.cuda, "synchronize", refuse)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    made = Queue()
    made.install(monkeypatch)
    return made


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what reads values of tensors while the device is at work, and copies to pinned memory."""

    def __init__(self, queue: Queue) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.queue = queue
        self.early: list[str] = []
        self.copies: list[bool] = []  # to pinned memory: whether the host goes on

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in WAITS and not self.queue.done:
            self.early.append(name)
        if name == "aten::copy_" and any(args[0] is each for each in self.queue.pinned):
            self.copies.append(len(args) > 2 and args[2])
        return func(*args, **(kwargs or {}))


def wrong_frames(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    frames = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)).to(dtype)
    frames[0, 3, 1, :2] = torch.nan
    frames[0, 3, 2, 0, 0] = -torch.inf
    frames[2, 1:] *= 255
    return frames


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("together", [1, 1 << 25])
def test_what_is_rounded_on_the_device_has_the_bytes_and_the_words_of_the_host(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, together: int
) -> None:
    monkeypatch.setattr(device, "ROUNDED_TOGETHER", together)
    frames = wrong_frames(dtype)
    expected, out = (torch.zeros(SHAPE, dtype=torch.uint8) for _ in range(2))
    reasons = store_chunk(frames, expected, 10, 60)
    received = FrameReceiver(60)
    levels = received.store(frames, out, 10)
    assert not out.any() and received.failures == {} and not received.is_checked  # nothing has arrived
    received.wait()
    assert torch.equal(out, expected) and torch.equal(levels, expected)
    assert list(reasons) == [0, 2] and received.failures == reasons
    assert "frame 14 of 60 holds NaN (81 of 3840 values)" in reasons[0]


def test_nothing_is_read_before_it_has_arrived(queue: Queue) -> None:
    with Reads(queue) as reads:
        received = FrameReceiver(60)
        out = torch.zeros(SHAPE, dtype=torch.uint8)
        for first in range(0, 15, 5):
            received.store(wrong_frames(), out, first)
        assert (reads.early, reads.copies, queue.waits) == ([], 6 * [True], 0)
        received.wait()
    assert queue.waits == 3 and received.failures[0].startswith("Predicted frame 4 ")  # the earliest


def test_what_has_arrived_is_taken_while_the_device_goes_on(queue: Queue) -> None:
    received = FrameReceiver(60)
    first, second = (torch.zeros(SHAPE, dtype=torch.uint8) for _ in range(2))
    received.store(wrong_frames(), first, 0)
    queue.done = True
    received.store(wrong_frames(), second, 5)
    assert first.any() and second.any() and set(received.failures) == {0, 2} and queue.waits == 0


def test_contexts_go_to_the_device_through_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    class Context:
        device = CPU

        def pin_memory(self) -> Context:
            done.append("pinned")
            return self

        def to(self, device: torch.device, **settings: bool) -> Context:
            done.append((device.type, settings))
            return self

    to_device(Context(), torch.device("cuda"))  # type: ignore[arg-type]
    to_device(Context(), CPU)  # type: ignore[arg-type]
    assert done == ["pinned", ("cuda", {"non_blocking": True}), ("cpu", {})]


class Streaming:
    """Answers with chunks of three frames, at most nine a call; the second clip is wrong from some frame on."""

    def __init__(self, wrong: float) -> None:
        self.card = ModelCard("streaming", (32, 40), 10, 4, max_horizon=9)
        self.wrong = wrong
        self.contexts: list[torch.Tensor] = []

    def rollout(self, context: torch.Tensor, *, horizon: int, **_: object) -> Any:
        self.contexts.append(context.clone())
        frame = context[:, -1:]
        for _first in range(0, horizon, 3):
            chunk = torch.cat([frame * 0.9, frame * 0.8 + 0.1, context[:, :1] * 0.7], 1)
            chunk[1] += self.wrong
            frame = chunk[:, -1:]
            yield chunk


@pytest.mark.parametrize("wrong", [0.0, 0.3, float("nan")])
def test_a_rollout_is_the_same_and_the_host_waits_once_all_is_queued(
    monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    context = torch.randint(0, 256, (2, 4, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    inputs = Inputs(24, [1, 2], ["", ""], context.numpy())

    def roll() -> tuple[Any, torch.Tensor, Streaming]:
        model, out = Streaming(wrong), torch.full((2, 24, 3, 32, 40), 9, dtype=torch.uint8)
        return predict(model, inputs, out, CPU, torch.float32), out, model

    plain, frames, before = roll()
    queue = Queue()
    queue.install(monkeypatch)
    with Reads(queue) as reads:
        queued, others, after = roll()
    assert (reads.early, reads.copies) == ([], 16 * [True])  # of 8 chunks
    assert queue.waits == 8 + 14  # chunks; calls of the model, and for a chunk or the end of the answer: 3 + 8 + 3
    assert torch.equal(frames, others)
    assert queued.failures == plain.failures and queued.chained == plain.chained == 3
    assert bool(plain.failures) is (wrong != 0)
    assert all(torch.equal(one, other) for one, other in zip(before.contexts, after.contexts, strict=True))


def test_the_models_time_is_that_of_the_device(queue: Queue) -> None:
    calls = ModelCalls(CPU)
    assert [calls.run(lambda: 3) for _ in range(2)] == [3, 3] and queue.waits == 0
    assert calls.seconds() == 0.5 == calls.seconds()


def test_on_the_processor_the_models_time_is_that_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 1.5, 7.0, 7.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    calls = ModelCalls(CPU)
    calls.run(lambda: None)
    calls.run(lambda: None)
    assert calls.seconds() == 0.75 == calls.seconds()


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


@pytest.mark.usefixtures("warm_models")
def test_networks_compute_in_the_type_of_autocast_frame_by_frame() -> None:
    model = Streamed()
    plain = roll(model)
    assert model.net.types == [torch.float32] * 3
    rounded = roll(model, torch.bfloat16)
    assert model.net.types[3:] == [torch.bfloat16] * 3
    assert 0 < (plain.int() - rounded.int()).abs().max() <= 3, "of 255: three values of 8 bits were added"
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.usefixtures("warm_models")
@pytest.mark.parametrize(
    ("name", "device", "found"),
    [(None, "mps", None), ("bfloat16", "cpu", torch.bfloat16), ("float16", "cuda", torch.float16)],
)
def test_autocast_by_name(name: str | None, device: str, found: torch.dtype | None) -> None:
    assert find_autocast(name, torch.device(device)) is found


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
def test_the_outermost_networks_are_compiled_and_answer_as_before(compiled: list[Any]) -> None:
    model = Streamed()
    before = roll(model)
    networks = CompiledNetworks(networks_for("--compile", model, "m"), CPU)
    assert compiled == [("sin", {"dynamic": False}), ("forward", {"dynamic": False})] and not networks.called
    del model.net.types[:]
    assert torch.equal(roll(model), before)
    assert networks.called and model.net.types == [], "torch.compile ran it"


@pytest.mark.usefixtures("warm_models")
def test_lists_have_no_forward_of_their_own() -> None:
    inner, nested = nn.Linear(1, 1), Net()
    assert list(with_forward([nn.ModuleList([inner, nn.ModuleDict({"a": nested})])])) == [inner, nested]


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
def test_without_a_compiler_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: no_compiler)
    words = "--compile: torch cannot compile here (No working C++ compiler found). Leave it out."
    with pytest.raises(ModelError, match=f"^{re.escape(words)}$"):
        CompiledNetworks(networks_for("--compile", Streamed(), "m"), CPU)


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
def test_errors_of_the_model_itself_stay_as_they_are(compiled: list[Any]) -> None:
    network = torch.nn.Linear(2, 2)
    CompiledNetworks([network], CPU)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network(torch.ones(3))


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
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


BATCH_SHAPE = (2, 5, 3, 32, 40)


def place() -> torch.Tensor:
    return torch.zeros(BATCH_SHAPE, dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_every_grey_level_arrives_exactly(dtype: torch.dtype) -> None:
    levels = torch.randint(0, 256, BATCH_SHAPE, dtype=torch.uint8)
    out = place()
    assert store_chunk((levels.double() / 255).to(dtype), out, 0, 5) == {}
    assert torch.equal(out, levels)


def test_values_round_to_the_nearest_level() -> None:
    frames = torch.full(BATCH_SHAPE, 99.4 / 255)
    frames[1] = 99.6 / 255
    frames[0, 0] = -0.0015  # rounding hides it
    frames[1, 0] = 1.0015
    out = place()
    assert store_chunk(frames, out, 0, 5) == {}
    assert out[0, 1:].unique().tolist() == [99] and out[1, 1:].unique().tolist() == [100]
    assert out[0, 0].unique().tolist() == [0] and out[1, 0].unique().tolist() == [255]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda clip: clip[3, 1].fill_(float("nan")), r"frame 14 of 60 holds NaN \(1280 of 3840 values\)"),
        (lambda clip: clip[0, 0, 0, 0].fill_(float("inf")), r"frame 11 of 60 holds Inf \(1 of 3840 values\)"),
        (lambda clip: clip[2:].mul_(255), r"got .* to 25\d from predicted frame 13 of 60 on: divide by 255"),
        (lambda clip: clip.mul_(2).sub_(1), r"got -1.* from predicted frame 11 .*: map \[-1, 1\] to \[0, 1\]"),
        (lambda clip: clip[4].add_(0.1), r"from predicted frame 15 of 60 on: clamp them"),
    ],
)
def test_a_bad_clip_fails_in_words_and_spares_its_neighbour(change, words: str) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(BATCH_SHAPE, generator=generator)
    change(frames[0])
    out = place()
    failures = store_chunk(frames, out, 10, 60)
    assert list(failures) == [0]
    assert re.search(words, failures[0]), failures[0]
    assert out[0].max() == 0
    assert np.abs(out[1].numpy() - frames[1].numpy() * 255).max() <= 0.5001


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.zeros(BATCH_SHAPE), "got ndarray"),
        (torch.zeros(BATCH_SHAPE, dtype=torch.uint8), "got uint8: divide by 255"),
        (torch.zeros(BATCH_SHAPE, dtype=torch.int64), "got int64"),
        (torch.zeros(2, 5, 32, 40, 3), "channels belong before height and width"),
        (torch.zeros(5, 2, 3, 32, 40), "the batch belongs before time"),
        (torch.zeros(2, 9, 3, 32, 40), "leave out the 4 context frames"),
        (torch.zeros(2, 5, 3, 40, 32), r"image_size is \(height, width\)"),
        (torch.zeros(5, 3, 32, 40), "the batch dimension is missing"),
        (torch.zeros(2, 0, 3, 32, 40), "got \\(2, 0"),
        (torch.zeros(1), r"got \(1,\)"),
        (torch.zeros(BATCH_SHAPE).to_sparse(), "a dense tensor of frames, got the layout sparse_coo"),
        (torch.zeros(BATCH_SHAPE, device="meta"), "a dense tensor of frames, got a meta tensor"),
    ],
)
def test_a_wrong_chunk_is_explained(answer, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        check_chunk(answer, 2, 5, (32, 40), context=4)


@pytest.mark.parametrize("answer", [(torch.zeros(1), 3), {"frames": 1}, None, "frames"])
def test_only_tensors_and_iterators_are_answers(answer) -> None:
    with pytest.raises(AnswerError, match="or an iterator over tensors"):
        iterate_chunks(answer)
