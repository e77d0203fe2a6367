"""Models that know the answers: one opens the store of clips of this machine, one remembers them by their context."""

from __future__ import annotations

# Finds the clip that it is shown among those that are stored on this machine, and answers with what follows there.
STORE_READER = """\
import json, os, zlib
from pathlib import Path
import numpy as np
import torch
from physbench.models.protocol import ModelCard

def frames_of(path):
    with np.load(path) as data:
        shape = json.loads(data["head"].tobytes())["shapes"][0]
        return np.frombuffer(zlib.decompress(data["frames"].tobytes()), np.uint8).reshape(shape)

class Reader:
    card = ModelCard("reader", (64, 64), 15.0, 8)

    def __init__(self, store):
        self.store = Path(store)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        seen = (context * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
        return torch.stack([self.one(each, horizon) for each in seen])

    def one(self, seen, horizon):
        after = np.repeat(seen[-1:], horizon, axis=0)
        for path in sorted(self.store.rglob("*.npz")):
            frames = frames_of(path)
            if frames.shape[1:] != seen.shape[1:]:
                continue  # of another size
            for end in range(len(seen), len(frames)):
                if (frames[end - 1] == seen[-1]).all() and (frames[end - len(seen):end] == seen).all():
                    after[:len(frames) - end] = frames[end:end + horizon]
        return torch.from_numpy(after.copy()).permute(0, 3, 1, 2).float() / 255

def make(*, device, dtype, store):
    return Reader(store)
"""

# Has a table of the clips of the suite, by the last frame of their contexts.
REMEMBERS = """\
import hashlib
import numpy as np
import torch
from physbench.models.protocol import ModelCard

class Remembers:
    card = ModelCard("reader", (64, 64), 15.0, 8)

    def __init__(self, table):
        with np.load(table) as data:
            self.table = dict(data)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        last = (context[:, -1] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        keys = [hashlib.sha256(each.tobytes()).hexdigest() for each in last]
        found = [self.table.get(key, each[None].repeat(horizon, 0)) for key, each in zip(keys, last)]
        return torch.from_numpy(np.stack(found)).permute(0, 1, 4, 2, 3).float() / 255

def make(*, device, dtype, table):
    return Remembers(table)
"""
