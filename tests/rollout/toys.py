"""Toy models, one factory per behaviour. `coded` does to each clip what the top left pixel of its context says."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from physbench import ModelCard

OK, NAN, RAISE, HANG, EXIT, SEGFAULT, LEVELS, SIGNED = range(8)
RAISE_IN_BATCH, FULL, QUIT, INF, FULL_ALONE, CUDA, MODULES, KILLED = range(8, 16)
KILLED_ONCE, TERMINATED_ONCE, INTERRUPTED, STOPPED, CANCELLED = range(16, 21)
SIZE = (32, 40)
HEAVY = ("torch", "pybullet", "lpips", "pandas", "matplotlib", "skimage")


def card(**fields):
    return ModelCard(**{"name": "toy", "image_size": SIZE, "fps": 10, "context_frames": 3, **fields})


class Coded:
    """Repeats the last frame, a little darker each frame, and does what the codes say."""

    def __init__(self, **fields):
        self.card = card(**fields)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        codes = (context[:, -1, 0, 0, 0] * 255).round().int().tolist()
        print("a word on stdout", flush=True)
        if HANG in codes:
            time.sleep(60)
        if EXIT in codes:
            os._exit(3)
        if SEGFAULT in codes:
            os.kill(os.getpid(), signal.SIGSEGV)
        if KILLED in codes and len(codes) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if KILLED_ONCE in codes or TERMINATED_ONCE in codes:
            mark = Path(tempfile.gettempdir()) / f"physbench-toy-{os.getppid()}"  # outlives this process
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL if KILLED_ONCE in codes else signal.SIGTERM)
            mark.unlink()
        if INTERRUPTED in codes:
            os.kill(os.getpid(), signal.SIGINT)
        if STOPPED in codes:
            raise KeyboardInterrupt
        if CANCELLED in codes:
            raise asyncio.CancelledError
        if QUIT in codes:
            sys.exit("enough")
        if RAISE in codes or (RAISE_IN_BATCH in codes and len(codes) > 1):
            raise ValueError("the model does not like this clip")
        if FULL_ALONE in codes or (FULL in codes and len(codes) > 2):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        if MODULES in codes:
            raise ValueError("heavy: " + " ".join(name for name in HEAVY if name in sys.modules))
        if CUDA in codes:
            raise RuntimeError("CUDA error: device-side assert triggered")
        fade = torch.linspace(1, 0.5, horizon)[None, :, None, None, None]
        frames = context[:, -1:] * fade
        for clip, code in zip(frames, codes, strict=True):
            if code == NAN:
                clip[4, 1, 2, 3] = torch.nan
            if code == INF:
                clip[0] = torch.inf
            if code == LEVELS:
                clip *= 255
            if code == SIGNED:
                clip.mul_(2).sub_(1)
        return frames


def coded(*, device, dtype):
    return Coded()


class Noise(Coded):
    """Draws from the generators that it is given."""

    def rollout(self, context, *, horizon, actions, prompts, generators):
        shape = (horizon, 3, *SIZE)
        return torch.stack([torch.rand(shape, generator=generator) for generator in generators])


def noise(*, device, dtype):
    return Noise(stochastic=True)


class Short(Coded):
    """Adds one grey level to the last frame, a frame at a time, at most four frames."""

    def __init__(self):
        super().__init__(max_horizon=4, uses_actions=True)
        self.calls = []

    def rollout(self, context, *, horizon, actions, prompts, generators):
        self.calls.append((tuple(context.shape), horizon, None if actions is None else actions.clone()))
        frame = context[:, -1:]
        for _ in range(horizon):
            frame = frame + 1.4 / 255
            yield frame


def short(*, device, dtype):
    return Short()


class Mixed(Coded):
    """Its answer depends on the batch."""

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return (context.mean(0, keepdim=True) * 0.5).expand_as(context)[:, -1:].expand(-1, horizon, -1, -1, -1)


def mixed(*, device, dtype):
    return Mixed()


class Bits(Coded):
    """Shows in how many bits its network computes, as a level."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(3, 3)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        many = torch.finfo(self.net(context[:, -1, :, 0, 0]).dtype).bits
        return torch.full_like(context[:, -1:], many / 255).expand(-1, horizon, -1, -1, -1)


def bits(*, device, dtype):
    return Bits()
