"""Models that know the answers: one opens the store of clips of this machine, one remembers them by their context."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_board import QUICK, TINY_ARGS, TINY_CARD, TINY_ROWS, TINY_TARGET, make_tiny_run, tiny_core

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.errors import UsageError
from physbench.leaderboard.claim import Claim, read_claim
from physbench.leaderboard.fresh_rollouts import Answers, ModelToRun, check_model
from physbench.leaderboard.submit import commit
from physbench.leaderboard.verify import verified
from physbench.rollouts.rollout_store import frames_hash, load_rollout
from physbench.storage.run_folder import RunFolder

# Finds the clip that it is shown among those that are stored on this machine, and answers with what follows there.
STORE_READER = """\
import json, os, zlib
from pathlib import Path
import numpy as np
import torch
from physbench.adapters.model_protocol import ModelCard

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
from physbench.adapters.model_protocol import ModelCard

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
READER_CARD = replace(TINY_CARD, name="reader")


def reader(tmp_path: Path, kind: str, rows: tuple[Row, ...], seeds: int) -> ModelToRun:
    path = tmp_path / "reader.py"
    if kind == "store":
        path.write_text(STORE_READER)
        arguments = {"store": str(Path(os.environ["PHYSBENCH_CACHE"]) / "clips")}
    else:
        path.write_text(REMEMBERS)
        clips = [ClipStore().get(row, READER_CARD.spec) for row in rows]
        table = {hashlib.sha256(clip.context(1)[0].tobytes()).hexdigest(): clip.future() for clip in clips}
        np.savez(tmp_path / "table", **table)
        arguments = {"table": str(tmp_path / "table.npz")}
    return ModelToRun(f"{path}:make", seeds, arguments, device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["store", "table"])
def test_models_that_know_the_stored_clips_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Their runs are as good as ground truth, every check of files passes, and fresh clips show a gap of nearly 1."""
    rows = tuple(Row(row.task, "test", seed) for row in TINY_ROWS for seed in (0, 1))
    suite = tiny_core(rows)
    monkeypatch.setattr("physbench.leaderboard.claim.find_suite", lambda *_: suite)
    run = RunFolder(tmp_path / "run")
    make_tiny_run(run, suite, READER_CARD, "truth")
    model = reader(tmp_path, kind, rows, 3)
    with verified(run.path, replace(QUICK, model=model)) as found:
        verdicts = {each.check: each for each in found.verification.verdicts}
        assert found.folder is None, "nothing is added to a board"
        assert [each.check for each in found.verification.problems] == ["fresh seeds"]
    assert {verdicts[name].outcome for name in ("tracks", "rollouts", "stored clips again")} == {"passed"}
    assert abs(verdicts["stored clips again"].figures["gap"]) < 1e-9, "it does make what was sent"
    fresh = verdicts["fresh seeds"]
    assert fresh.outcome == "refused" and "the model knows the stored clips" in fresh.detail
    low, high = fresh.figures["interval"]
    assert low > 0.7 and low < fresh.figures["gap"] < high and fresh.figures["p"] < 0.001
    assert fresh.figures["clips"] == (8, 12)


@pytest.mark.slow
def test_an_honest_model_is_verified_on_fresh_seeds(tiny_copy: RunFolder, tmp_path: Path) -> None:
    commit(tiny_copy, tmp_path / "s.zip")
    model = ModelToRun(TINY_TARGET, 2, TINY_ARGS, device="cpu")
    with verified(tmp_path / "s.zip", replace(QUICK, model=model)) as found:
        assert found.verification.badge == "verified on fresh seeds", found.verification.document()
        last = found.verification.verdicts[-1]
        assert last.check == "fresh seeds" and last.figures["interval"][0] <= 0.3


@pytest.fixture
def claim(tiny_copy: RunFolder) -> Claim:
    return read_claim(tiny_copy)


def test_fresh_clips_are_stored_nowhere(claim: Claim, cache: Path) -> None:
    before = {path for path in cache.rglob("*") if path.is_file()}
    row = Row("falling/projectile-v1", "test", 2**41)
    model = ModelToRun(TINY_TARGET, 2, TINY_ARGS, device="cpu")
    found = Answers(model, claim).roll_out((row,), "fresh clips", "a secret", make_clip)
    assert found[row, 0].failure is None and len(found[row, 0].frames)
    assert {path for path in cache.rglob("*") if path.is_file()} == before


def test_the_same_model_makes_the_same_bytes(claim: Claim, tiny_copy: RunFolder, tmp_path: Path) -> None:
    model = ModelToRun(TINY_TARGET, 0, TINY_ARGS, device="cpu")
    row = TINY_ROWS[1]
    found = Answers(model, claim).roll_out((row,), "stored clips", "", ClipStore().get)
    stored = load_rollout(tiny_copy, row.id, 0)
    assert stored is not None and frames_hash(found[row, 0].frames) == frames_hash(stored.frames)


def test_models_that_cannot_be_compared_are_named(claim: Claim, tmp_path: Path) -> None:
    wrong_size = ModelToRun(TINY_TARGET, 0, TINY_ARGS | {"size": "32"}, device="cpu")
    with pytest.raises(UsageError, match=r"image_size is \[32, 32\], and the card that was sent says \[64, 64\]"):
        check_model(wrong_size, claim, {}, None, 1)
    with pytest.raises(UsageError, match="expected at least 2 of each task, got 1"):
        check_model(ModelToRun(TINY_TARGET, 1, TINY_ARGS), claim, {}, None, 1)
    found = check_model(ModelToRun(f"videos:{tmp_path}", 4), claim, {}, None, 1)
    assert {each.outcome for each in found} == {"not possible"}
