"""Models whose author writes to the socket of the model's process himself, one factory per behaviour.

`attacking` does to each clip what the top left pixel of its context says.
"""

import json
import os
import pickle
import sys
import time
from pathlib import Path

import torch

from physbench import ModelCard
from physbench.rollout.messages import LoadedModel, PartFinished, PartStarted, PositionResult, encode

OK, PICKLE, GARBAGE, GIGABYTE, HALF, FEW_FRAMES, PUT_OFF, SHRINK = range(8)
SIZE = (32, 40)
CARD = ModelCard("hostile", SIZE, 10, 3)


class Command:
    """Makes a folder where it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


def framed(content):
    return len(content).to_bytes(4, "big") + content


def started(index, when):
    return framed(encode(PartStarted(index, (0,), False, when)))


def finished(index, frames):
    return framed(encode(PartFinished(index, (PositionResult(0, frames, 1, 0.1),))))


def send(content):
    while content:
        content = content[os.write(int(sys.argv[1]), content) :]


def batch_at_work():
    """The number of the batch, which any code of the process can find."""
    frame = sys._getframe(1)
    while "job" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["job"].index


class Attacking:
    """Repeats the last frame, or writes what must not be trusted."""

    card = CARD

    def __init__(self, mark=""):
        self.mark = mark

    def rollout(self, context, *, horizon, actions, prompts, generators):
        code = round(float(context[0, -1, 0, 0, 0]) * 255)
        index = batch_at_work()
        if code == PICKLE:
            send(framed(pickle.dumps(Command(self.mark))))
        if code == GARBAGE:
            send(bytes(range(1, 256)))
        if code == GIGABYTE:
            send((10**9).to_bytes(4, "big"))
        if code == HALF:
            send(finished(index, horizon)[:20])
        if code == FEW_FRAMES:
            send(finished(index, horizon - 1))
        if code == PUT_OFF:
            send(started(index, 1e9))
        if code == SHRINK:
            os.ftruncate(int(sys.argv[2]), 0)
        if code != OK:
            time.sleep(60)
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


def attacking(*, device, dtype, mark):
    return Attacking(mark)


def changed_card(*, device, dtype, mark):
    """Another card each time the model is loaded."""
    model = Attacking()
    if Path(mark).exists():
        model.card = ModelCard("hostile", (64, 80), 10, 3)
    Path(mark).touch()
    return model


def asks_for_clips(*, device, dtype, how):
    """Sends a card that asks for clips before physbench sends the one of the model."""
    info = LoadedModel(CARD, how == "clips", "cpu", "float32", "", 0, 0, recorded=how == "ids")
    send(framed(encode(info)))
    return Attacking()


def starts_at_once(*, device, dtype):
    send(started(0, 0.0))
    return Attacking()


class Curious(Attacking):
    """Writes down what its process is given."""

    def rollout(self, context, *, horizon, actions, prompts, generators):
        seen = {"argv": sys.argv, "environ": dict(os.environ), "descriptors": []}
        for path in Path("/proc/self/fd").iterdir():
            if path.exists():
                seen["descriptors"].append(str(path.readlink()))
        frame, seen["held"] = sys._getframe(1), []
        while frame is not None:
            seen["held"] += [repr(value) for value in frame.f_locals.values()]
            frame = frame.f_back
        seen["seeds"] = [generator.initial_seed() for generator in generators]
        Path(self.mark).write_text(json.dumps(seen))
        return torch.zeros(len(context), horizon, 3, *SIZE)


def curious(*, device, dtype, mark):
    return Curious(mark)


class Player(Attacking):
    """Has a `play` of its own beside its `rollout`, and all else that a recorded model has."""

    notes: list = []  # noqa: RUF012

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return torch.full((len(context), horizon, 3, *SIZE), 0.5)

    def play(self, item, *, context, horizon):
        raise AssertionError(f"was told {item}")


def player(*, device, dtype):
    return Player()


class Seer:
    """Asks for whole clips."""

    card = ModelCard("seer", SIZE, 10, 3, track="privileged")

    def rollout_clips(self, clips, *, horizon, generators):
        return torch.stack([torch.from_numpy(clip.future()) for clip in clips]).permute(0, 1, 4, 2, 3).float() / 255


def seer(*, device, dtype):
    return Seer()
