"""What a board finds of models that open the store of clips, or remember its clips."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from tiny_board import QUICK, TINY_ARGS, TINY_CARD, TINY_ROWS, TINY_TARGET, make_tiny_run, tiny_core
from truth_readers import REMEMBERS, STORE_READER

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.leaderboard.claim import Claim, read_claim
from physbench.leaderboard.fresh_rollouts import Answers, ModelToRun, check_model, check_ready
from physbench.leaderboard.submission import commit
from physbench.leaderboard.verify import verified
from physbench.rollout.store import frames_hash, load_rollout
from physbench.run.options import Options
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("warm_models")

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


@pytest.mark.slow
def test_fresh_clips_are_stored_nowhere(claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PHYSBENCH_CACHE", str(cache))  # other tests write into the one that all share
    row = Row("falling/projectile-v1", "test", 2**41)
    model = ModelToRun(TINY_TARGET, 2, TINY_ARGS, device="cpu")
    found = Answers(model, claim).roll_out((row,), "fresh clips", "a secret", make_clip)
    assert found[row, 0].failure is None and len(found[row, 0].frames)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_the_same_model_makes_the_same_bytes(claim: Claim, tiny_copy: RunFolder, tmp_path: Path) -> None:
    model = ModelToRun(TINY_TARGET, 0, TINY_ARGS, device="cpu")
    row = TINY_ROWS[1]
    found = Answers(model, claim).roll_out((row,), "stored clips", "", ClipStore().get)
    stored = load_rollout(tiny_copy, row.id, 0)
    assert stored is not None and frames_hash(found[row, 0].frames) == frames_hash(stored.frames)


@pytest.mark.parametrize("precision", [{}, {"dtype": "bfloat16"}, {"autocast": "float16"}, {"compile": True}], ids=str)
def test_the_model_computes_with_what_was_sent(
    claim: Claim, monkeypatch: pytest.MonkeyPatch, precision: dict[str, object]
) -> None:
    said = claim.manifest.options.model_copy(update=precision)
    sent = replace(claim, manifest=claim.manifest.model_copy(update={"options": said}))
    asked: list[Options] = []

    def engine_of(options: Options, salt: str) -> NoReturn:
        asked.append(options)
        raise UsageError("not in this test")

    monkeypatch.setattr("physbench.leaderboard.fresh_rollouts.engine_of", engine_of)
    with pytest.raises(UsageError), Answers(ModelToRun(TINY_TARGET, device="cpu"), sent).engine(""):
        pass
    usual = {"dtype": "float32", "autocast": None, "compile": False}
    assert {name: getattr(asked[0], name) for name in usual} == {**usual, **precision}


@pytest.mark.slow
def test_models_that_cannot_be_compared_are_named(claim: Claim, tmp_path: Path) -> None:
    wrong_size = ModelToRun(TINY_TARGET, 0, TINY_ARGS | {"size": "32"}, device="cpu")
    with pytest.raises(UsageError, match=r"image_size is \[32, 32\], and the card that was sent says \[64, 64\]"):
        check_ready(wrong_size, claim)
    with pytest.raises(UsageError, match="expected at least 2 of each task, got 1"):
        check_ready(ModelToRun(TINY_TARGET, 1, TINY_ARGS), claim)
    with pytest.raises(UsageError, match="32 hexadecimal digits"):
        check_ready(ModelToRun(TINY_TARGET, 2, TINY_ARGS, draw="mine"), claim)
    found = check_model(ModelToRun(f"videos:{tmp_path}", 4), claim, {}, None, 1)
    assert {each.outcome for each in found} == {"not possible"}


@pytest.mark.parametrize("target", ["videos:DIR", "baseline:freeze", "untrained:objects", "saboteur:gravity:0.9"])
def test_a_model_whose_kind_was_hidden_is_refused(claim: Claim, target: str) -> None:
    """Small videos, baselines and untrained copies have no rank; under another name they would have one."""
    said = claim.manifest.model.model_copy(update={"target": "mine.py:make"})
    other = replace(claim, manifest=claim.manifest.model_copy(update={"model": said}))
    with pytest.raises(UsageError, match="was sent is said to be a model of its own, which other rules rank"):
        check_ready(ModelToRun(target, device="cpu"), other)
