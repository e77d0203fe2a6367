"""The same on a real CUDA device: what is tested elsewhere with stand-ins. Skipped where there is none."""

from __future__ import annotations

import math
import mmap
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from physbench import ModelCard
from physbench.rollout import device
from physbench.rollout.answers import Inputs
from physbench.rollout.batches import Batch, BatchItem
from physbench.rollout.device import FrameReceiver, pin
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.predict import ModelCalls, PartResult, predict

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

SIZE, HORIZON, CONTEXT = (32, 40), 11, 3
CPU = torch.device("cpu")
PINNED = device.pinned_like


class Levels:
    """Answers with levels that do not depend on the device, in chunks; some clips with wrong values."""

    def __init__(self, max_horizon: int | None = None) -> None:
        self.card = ModelCard("levels", SIZE, 10, CONTEXT, max_horizon=max_horizon)
        numbers = np.random.default_rng(0).integers(0, 256, (4, HORIZON, 3, *SIZE))
        self.frames = torch.from_numpy(numbers).float() / 255 + torch.tensor(0.3 / 255)
        self.frames[1, 4, 1, 2, 3] = torch.nan
        self.frames[2, 0] *= 255
        self.frames.clamp_(max=255.0)
        self.done = 0

    def rollout(self, context: Tensor, *, horizon: int, generators: Any, **_: Any) -> Any:
        first, self.done = self.done, self.done + horizon
        noise = torch.cat([torch.rand(1, device=context.device, generator=each) for each in generators])
        assert (context >= 0).shape == context.shape and len(noise) == len(context)
        for start in range(first, first + horizon, 2):
            yield self.frames[:, start : min(start + 2, first + horizon)].to(context.device, non_blocking=True)


def answer(model: Levels, device: torch.device) -> tuple[Tensor, PartResult]:
    inputs = Inputs(HORIZON, [1, 2, 3, 4], [""] * 4, np.zeros((4, CONTEXT, 3, *SIZE), dtype=np.uint8))
    out = torch.empty(4, HORIZON, 3, *SIZE, dtype=torch.uint8)
    return out, predict(model, inputs, out, device, torch.float32)


@pytest.mark.parametrize("max_horizon", [None, 4])
def test_levels_and_failures_are_those_of_the_processor(max_horizon: int | None) -> None:
    (there, told), (here, known) = (answer(Levels(max_horizon), torch.device(name)) for name in ("cuda", "cpu"))
    assert known.failures.keys() == {1, 2} and told.failures == known.failures
    assert torch.equal(there, here) and told.chained == known.chained


def test_the_host_waits_for_nothing_within_a_batch() -> None:
    model = Levels(4)
    model.frames = model.frames.pin_memory()
    answer(Levels(4), torch.device("cuda"))  # what is loaded and allocated first may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        answer(model, torch.device("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_time_is_that_of_the_device() -> None:
    calls, cycles = ModelCalls(torch.device("cuda")), 10**9
    torch.cuda._sleep(1000)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    begun = time.perf_counter()
    calls.run(lambda: torch.cuda._sleep(cycles))  # type: ignore[no-untyped-call]
    asked = time.perf_counter() - begun
    seconds = calls.seconds()
    waited = time.perf_counter() - begun
    assert 10 * asked < seconds <= 1.05 * waited


def test_an_answer_in_half_precision_is_that_of_the_processor() -> None:
    frames = torch.rand(2, 3, 3, 8, 8, dtype=torch.float16)
    outs = []
    for name in ("cuda", "cpu"):
        out, receiver = torch.empty(frames.shape, dtype=torch.uint8), FrameReceiver(3)
        receiver.store(frames.to(name), out, 0)
        receiver.wait()
        outs.append(out)
    assert torch.equal(*outs)


def test_the_device_writes_into_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (2, 3, 3, 8, 8)
    memory = mmap.mmap(-1, math.prod(shape))
    out = torch.from_numpy(np.frombuffer(memory, dtype=np.uint8))
    assert pin(out, torch.device("cuda")) and out.is_pinned()
    assert not pin(out, torch.device("cuda")), "it is pinned already"
    torch.ones(2, device="cuda").sum().item()  # and that is no error of who works next
    out, receiver = out.view(shape), FrameReceiver(3)
    frames = torch.rand(shape, device="cuda")
    frames[1, 2, 0, 0, 0] = torch.inf
    staged_copies: list[torch.Tensor] = []

    def pinned_like(tensor: torch.Tensor) -> torch.Tensor:
        staged_copies.append(tensor)
        return PINNED(tensor)

    monkeypatch.setattr(device, "pinned_like", pinned_like)
    receiver.store(frames, out, 0)
    receiver.wait()
    assert [tuple(each.shape) for each in staged_copies] == [(2, 3, 4)], "statistics alone"
    other, staged = torch.empty(shape, dtype=torch.uint8), FrameReceiver(3)
    staged.store(frames, other, 0)
    staged.wait()
    assert torch.equal(out, other) and staged.failures == receiver.failures and receiver.failures.keys() == {1}


class Net(nn.Module):
    def forward(self, frames: Tensor) -> Tensor:
        return frames.flip(1) @ torch.eye(frames.shape[-1], device=frames.device, dtype=frames.dtype)


class OnDevice:
    """What the top left pixel of a context says happens on the device: 1 too much memory together, 2 an error of it."""

    def __init__(self, device: torch.device) -> None:
        self.card, self.net = ModelCard("device", SIZE, 10, CONTEXT), Net()
        self.net(torch.zeros(1, 1, 3, *SIZE, device=device))  # what cuBLAS keeps must not lie in the large block below
        self.free = torch.cuda.mem_get_info()[0]

    def rollout(self, context: Tensor, *, horizon: int, **_: Any) -> Tensor:
        codes = (context[:, -1, 0, 0, 0] * 255).round().long()
        if 1 in codes.tolist():
            torch.empty(self.free // 3 * len(codes), dtype=torch.uint8, device=context.device)
        if 2 in codes.tolist():
            table = torch.zeros(2, device=context.device)
            context = context + table[codes][:, None, None, None, None]  # beyond the end: a device-side assert
        last: Tensor = self.net(context[:, -1:])
        return last.float().clamp(0, 1).expand(-1, horizon, -1, -1, -1)


def on_device(*, device: torch.device, dtype: torch.dtype) -> OnDevice:
    return OnDevice(device)


def rolled(codes: list[int], clips: Any, clip_maker: Any, **settings: Any) -> tuple[list[Any], RolloutEngine]:
    """Rollouts of one batch of clips with these codes, from a process on the device."""
    made = [clip_maker(k, code) for k, code in enumerate(codes)]
    clips.add(*made)
    plan = [Batch(tuple(BatchItem(clip.row) for clip in made), made[0].horizon)]
    with RolloutEngine(f"{__file__}:on_device", device="cuda", timeout=120, **settings) as engine:
        return [rollout for result in engine.run(plan, clips.load) for rollout in result], engine


def is_right(rollout: Any, clip: Any) -> bool:
    return rollout.failure is None and np.abs(rollout.frames.astype(int) - clip.context(1)[0]).max() <= 1


def test_full_memory_halves_the_batch(clips: Any, clip_maker: Any) -> None:
    rollouts, engine = rolled([1, 1, 1, 1], clips, clip_maker)
    assert [(event.kind, event.part_size) for event in engine.events] == [("halved", 2)], engine.events
    assert all(is_right(*pair) for pair in zip(rollouts, clips.values(), strict=True))


def test_an_error_of_the_device_costs_its_clip_alone(clips: Any, clip_maker: Any) -> None:
    rollouts, engine = rolled([0, 0, 2, 0], clips, clip_maker)
    assert [rollout.failure is None for rollout in rollouts] == [True, True, False, True]
    assert "CUDA" in rollouts[2].failure or "device" in rollouts[2].failure
    assert [event.kind for event in engine.events] == ["retried", "died"]


@pytest.mark.parametrize("settings", [{"autocast": "bfloat16"}, {"compile": True}, {"dtype": "bfloat16"}])
def test_options_of_precision(settings: dict[str, Any], clips: Any, clip_maker: Any) -> None:
    rollouts, _ = rolled([0, 0], clips, clip_maker, **settings)
    assert all(is_right(*pair) for pair in zip(rollouts, clips.values(), strict=True))
