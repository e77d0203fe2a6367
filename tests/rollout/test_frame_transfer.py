"""The way of frames on CUDA, with a stand-in for the device's queue: what the host asks of it, and when it waits."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from physbench.models.protocol import ModelCard
from physbench.rollout import device
from physbench.rollout import predict as model_calls
from physbench.rollout.answers import Inputs
from physbench.rollout.device import FrameReceiver, store_chunk, to_device
from physbench.rollout.predict import ModelCalls, predict

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
