"""Clips that a check draws, and what it finds of models that open the store of clips or remember its clips."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest
from tiny_board import QUICK, TINY_ARGS, TINY_CARD, TINY_ROWS, TINY_TARGET, make_tiny_run, stand_for_core, tiny_core
from truth_readers import REMEMBERS, STORE_READER

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.clips.suite import FRESH_SEEDS, find_suite
from physbench.leaderboard import fresh_rollouts
from physbench.leaderboard.claim import Claim, read_claim
from physbench.leaderboard.fresh_rollouts import (
    REFUSED_BELOW,
    Answers,
    ModelToRun,
    SecretDraw,
    check_model,
    check_ready,
    clip_skills,
    paired_gap,
    unpaired_gap,
)
from physbench.leaderboard.submission import commit
from physbench.leaderboard.verify import verified
from physbench.rollout.store import frames_hash, load_rollout
from physbench.run.options import Options
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

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


@pytest.mark.usefixtures("warm_models")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["store", "table"])
def test_models_that_know_the_stored_clips_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Their runs are as good as ground truth, every check of files passes, and fresh clips show a gap of nearly 1."""
    rows = tuple(Row(row.task, "test", seed) for row in TINY_ROWS for seed in (0, 1))
    suite = tiny_core(rows)
    stand_for_core(suite, monkeypatch)
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


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
@pytest.mark.slow
def test_fresh_clips_are_stored_nowhere(claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PHYSBENCH_CACHE", str(cache))  # other tests write into the one that all share
    row = Row("falling/projectile-v1", "test", 2**41)
    model = ModelToRun(TINY_TARGET, 2, TINY_ARGS, device="cpu")
    found = Answers(model, claim).roll_out((row,), "fresh clips", "a secret", make_clip)
    assert found[row, 0].failure is None and len(found[row, 0].frames)
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("warm_models")
def test_the_same_model_makes_the_same_bytes(claim: Claim, tiny_copy: RunFolder, tmp_path: Path) -> None:
    model = ModelToRun(TINY_TARGET, 0, TINY_ARGS, device="cpu")
    row = TINY_ROWS[1]
    found = Answers(model, claim).roll_out((row,), "stored clips", "", ClipStore().get)
    stored = load_rollout(tiny_copy, row.id, 0)
    assert stored is not None and frames_hash(found[row, 0].frames) == frames_hash(stored.frames)


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
@pytest.mark.parametrize("target", ["videos:DIR", "baseline:freeze", "untrained:objects", "saboteur:gravity:0.9"])
def test_a_model_whose_kind_was_hidden_is_refused(claim: Claim, target: str) -> None:
    """Small videos, baselines and untrained copies have no rank; under another name they would have one."""
    said = claim.manifest.model.model_copy(update={"target": "mine.py:make"})
    other = replace(claim, manifest=claim.manifest.model_copy(update={"model": said}))
    with pytest.raises(UsageError, match="was sent is said to be a model of its own, which other rules rank"):
        check_ready(ModelToRun(target, device="cpu"), other)


CORE = find_suite("core")


def test_stored_clips_are_drawn_over_all_seeds() -> None:
    """The lowest seeds of each task could be prepared for."""
    count = 2 * len(CORE.tasks)
    one, two = (SecretDraw().stored_rows(CORE.rows, count) for _ in range(2))
    assert len(one) == len(two) == count and set(one) != set(two)
    assert set(Counter((row.task, row.split) for row in one).values()) == {1}, "one of each task and split"
    assert sorted(one, key=CORE.rows.index) == list(one)
    seeds = Counter(
        row.seed for _ in range(40) for row in SecretDraw().stored_rows(CORE.rows, count) if row.split == "test"
    )
    assert set(seeds) == set(range(24)) and max(seeds.values()) < 3 * 40 * len(CORE.tasks) / 24


def test_the_same_secret_draws_the_same() -> None:
    draw = SecretDraw()
    again = SecretDraw(draw.secret)
    assert again.stored_rows(CORE.rows, 30) == draw.stored_rows(CORE.rows, 30)
    assert again.fresh_rows(CORE, 3) == draw.fresh_rows(CORE, 3) and again.salt == draw.salt != SecretDraw().salt


def test_fresh_clips_are_in_no_suite() -> None:
    rows = SecretDraw().fresh_rows(CORE, 3)
    assert len(rows) == 3 * len({(row.task, row.split) for row in CORE.rows})
    assert all(row.seed in FRESH_SEEDS for row in rows) and len({row.seed for row in rows}) == 3 * len(CORE.tasks)


def test_a_clip_and_its_change_are_drawn_together() -> None:
    rows = SecretDraw().stored_rows(find_suite("counterfactuals").rows, 12)
    assert {row.unchanged for row in rows if row.change} == {row for row in rows if not row.change}


@pytest.mark.parametrize("secret", ["", "x", "0" * 31, "G" * 32, "0" * 32 + "\n"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(UsageError, match="32 hexadecimal digits"):
        SecretDraw(secret)


TASKS = 10


@pytest.fixture
def fewer_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_rollouts, "PERMUTATIONS", 1000)


def sets(rng: np.random.Generator, gap: float, stored: int = 16, fresh: int = 2) -> tuple[np.ndarray, ...]:
    """Skills, which are fresh, and strata: tasks of unlike difficulty, skewed as qualities are."""
    skills, flags, names = [], [], []
    for task in range(TASKS):
        level = rng.uniform(0.2, 0.8)
        values = rng.beta(2 * level, 2 * (1 - level), stored + fresh)
        values[stored:] -= gap
        skills.append(values)
        flags.append(np.arange(stored + fresh) >= stored)
        names += [f"task {task}"] * (stored + fresh)
    return np.concatenate(skills), np.concatenate(flags), np.array(names)


@pytest.mark.slow
@pytest.mark.usefixtures("fewer_permutations")
def test_an_honest_model_has_each_p_value_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    found = [unpaired_gap(*sets(rng, 0.0)) for _ in range(200)]
    p = np.array([gap.p for gap in found])
    assert abs((p < 0.1).mean() - 0.1) < 0.065 and abs((p < 0.5).mean() - 0.5) < 0.11  # three standard errors
    inside = np.mean([gap.interval[0] <= 0 <= gap.interval[1] for gap in found])
    assert inside >= 0.9
    assert np.mean([gap.sure for gap in found]) <= 0.01


@pytest.mark.parametrize("fresh", [2, 6])
@pytest.mark.usefixtures("fewer_permutations")
def test_a_gap_of_known_size_is_found_with_its_size(fresh: int) -> None:
    rng = np.random.default_rng(4)
    found = [unpaired_gap(*sets(rng, 0.5, fresh=fresh)) for _ in range(40)]
    assert np.mean([gap.value for gap in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([gap.p <= 2 * REFUSED_BELOW for gap in found]) >= 0.95, "1,000 permutations give no p below 0.001"
    assert np.mean([gap.interval[0] <= 0.5 <= gap.interval[1] for gap in found]) >= 0.85


@pytest.mark.usefixtures("fewer_permutations")
def test_one_stored_clip_a_task_still_has_an_interval() -> None:
    gap = unpaired_gap(*sets(np.random.default_rng(5), 0.0, stored=1, fresh=2))
    assert gap.interval[1] - gap.interval[0] > 0.1 and gap.clips == (TASKS, 2 * TASKS)


@pytest.mark.usefixtures("fewer_permutations")
def test_what_is_difficult_is_no_gap() -> None:
    """Fresh clips of hard tasks alone are compared with stored clips of these tasks."""
    skills, fresh, strata = sets(np.random.default_rng(6), 0.0)
    easy = strata == "task 0"
    skills[easy] = 1.0
    fresh[easy] = False
    assert abs(unpaired_gap(skills, fresh, strata).value) < 0.3


@pytest.mark.usefixtures("fewer_permutations")
def test_pairs_that_are_equal_have_no_gap_and_better_ones_do() -> None:
    again = np.random.default_rng(7).uniform(size=20)
    same = paired_gap(again, again)
    assert (same.value, same.interval, same.sure) == (0.0, (0.0, 0.0), False) and same.p == 1.0
    better = paired_gap(again + np.random.default_rng(8).uniform(0.1, 0.3, 20), again)
    assert better.sure and better.value == pytest.approx(0.2, abs=0.03)
    worse = paired_gap(again - 0.2, again)
    assert not worse.sure, "a model that is better now is not refused"


def table(quality: dict[str, float | None]) -> pd.DataFrame:
    """Rows of one axis by clip; the task is the first letter of the clip's name."""
    return pd.DataFrame(
        [
            {"clip": clip, "task": f"f/{clip[0]}", "split": "test", "seed": int(clip[1:]), "sample": 0}
            | {"reading": "drift/accuracy", "axis": "drift", "value": q, "quality": q, "status": "ok", "reason": ""}
            for clip, q in quality.items()
        ]
    )


@pytest.mark.usefixtures("fewer_permutations")
def test_the_skill_of_a_clip_lies_between_freeze_and_truth_of_its_task() -> None:
    clips = ("a0", "a1", "b0", "b1")
    truth = table(dict.fromkeys(clips, 0.9) | {"a1": None})
    freeze = table({"a0": 0.1, "a1": 0.1, "b0": 0.85, "b1": 0.85})
    found = clip_skills(table({"a0": 0.5, "a1": 0.5, "b0": 0.5, "b1": 0.5}), truth, freeze)
    assert found.clips == ("a0",), "a clip without truth, and a task that tells nothing, do not count"
    assert found.skills == pytest.approx([0.5]) and list(found.strata) == ["f/a test"]
