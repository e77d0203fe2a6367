"""Runs that end before their suite does: by --budget or --until. They are stamped, and go on to the same bytes."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from quick_runs import quick_finish

from physbench.cli.main import run
from physbench.clips.suite import Suite, find_suite
from physbench.leaderboard.claim import read_claim
from physbench.leaderboard.eligibility import of_result, refuse_ineligible
from physbench.result import stop_rule
from physbench.result.compare import compare
from physbench.result.document import read_result
from physbench.result.manifest import read_manifest
from physbench.result.read import find_runs
from physbench.result.stop_rule import InterimSkill
from physbench.run import manifest, rollouts, state
from physbench.run.options import Options, parse_budget
from physbench.support.errors import UsageError
from physbench.support.files import read_sealed_json
from physbench.support.run_folder import RunFolder

Words = Callable[..., tuple[str, ...]]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5m", 90), ("1h0m5s", 3605), ("2h ", 7200)],
)
def test_budgets_are_times(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "soon", "-5m", "5", "1m1h", "1e3s", "inf", "9999h", "٣s"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"until": 2.0}, "below 1"),
        ({"until": 0.0}, "above 0"),
        ({"until": float("nan")}, "above 0"),
        ({"until": 0.05, "budget": "2h"}, "not both"),
        ({"until": 0.05, "limit": 4}, "--limit"),
        ({"until": 0.05, "tasks": "falling/*"}, "--tasks"),
        ({"until": 0.05, "suite": "smoke"}, "--suite core or full or actions"),
        ({"until": 0.05, "suite": "counterfactuals"}, "pairs"),
        ({"until": 0.05, "shard": "1/2", "batch_size": 4}, "--until: a shard"),
        ({"budget": "2h", "shard": "1/2", "batch_size": 4}, "--budget: a shard"),
        ({"budget": "2h", "fresh_seeds": 3}, "--budget: on fresh seeds"),
        ({"budget": "soon"}, "1h30m"),
    ],
)
def test_what_cannot_end_early_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options("baseline:freeze", **changes).check()  # type: ignore[arg-type]


@dataclass(frozen=True)
class Ended:
    """A run that has ended early, and what it said."""

    folder: RunFolder
    out: str
    err: str


@pytest.fixture(scope="module")
def ended_run(stage_words: Words, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Its time was spent once its first batch of three rollouts was kept: two samples of a clip, and one of another.

    Nobody may change it.
    """
    folder, out, err = RunFolder(tmp_path_factory.mktemp("ended") / "run"), io.StringIO(), io.StringIO()

    keep, batches = rollouts.RolloutKeeping.kept, []

    def kept(*arguments: Any) -> Any:
        batches.append(arguments)
        return keep(*arguments)

    def is_spent(budget: str | None, started: float) -> bool:
        return bool(budget) and bool(batches)

    with quick_finish() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(state, "is_spent", is_spent)
        patch.setattr(rollouts.RolloutKeeping, "kept", kept)
        assert run(stage_words("eval", folder.path, "--budget", "2h")) == 0
    return Ended(folder, out.getvalue(), err.getvalue())


@pytest.fixture
def ended(ended_run: Ended, tmp_path: Path) -> RunFolder:
    """A copy of that run."""
    return RunFolder(shutil.copytree(ended_run.folder.path, tmp_path / "run"))


def test_a_budget_ends_a_run_with_what_is_rolled_out(
    ended_run: Ended, staged_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = ended_run.folder
    result = read_result(ended.result)
    partial = result.partial
    assert partial is not None and (partial.by, partial.asked, partial.clips, partial.of) == ("budget", "2h", 1, 4)
    rows = [row["task"] for row in read_manifest(ended).document()["suite"]["rows"]]
    assert len(partial.missing) == 3 and len(rows) == 4 and result.counts.clips == 1
    assert not result.suite.complete and result.suite.hash != read_result(staged_run.result).suite.hash
    assert "Partial, ended by --budget 2h: 3 of 4 clips are missing" in ended_run.out
    assert "--resume" in ended_run.err and "--budget" not in ended_run.err.split("For all of them:")[1].splitlines()[1]
    (listed,) = find_runs(ended.path.parent)
    assert (listed.state, listed.done, listed.of) == ("partial", 2, 8)
    assert run(("runs", str(ended.path.parent))) == 0
    assert "partial: 2 of 8" in capsys.readouterr().out
    assert run(("status", str(ended.path))) == 0
    assert "has ended early: 3 of 8 rollouts are made. The result of 1 of 4 clips" in capsys.readouterr().err
    compared = compare(ended, staged_run)  # on what both hold
    assert (compared.clips, compared.held) == (1, [1, 4])


def test_no_board_takes_a_part(ended: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the run is partial: it has ended with 1 of 4 clips"):
        _ = read_claim(ended).suite
    assert run(("leaderboard", "submit", str(ended.path), "--out", str(tmp_path / "sent.zip"))) == 2
    document = read_sealed_json(ended.result)
    document["suite"]["name"] = "core"
    ended.result.write_text(json.dumps({k: v for k, v in document.items() if "seal" not in k}))
    with pytest.raises(UsageError, match="without --limit, --tasks, --budget and --until"):
        refuse_ineligible(ended.result, of_result(read_result(ended.result)), tmp_path, [])


def test_time_that_is_spent_before_the_first_clip(
    stage_words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "is_spent", lambda budget, started: bool(budget))
    assert run(stage_words("eval", tmp_path / "run", "--budget", "1s")) == 1
    assert "the time was spent before a clip was rolled out" in capsys.readouterr().err
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_until_ends_a_run_at_a_look(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clips of the look, and its interval, are those of the result."""
    rows = tuple(row for row in find_suite("core").rows if row.task == "falling/projectile-v1" and row.seed < 3)
    part = Suite("core", 3, rows, golden=find_suite("core").golden)
    monkeypatch.setattr(manifest, "find_suite", lambda *_: part)
    widths: list[int] = []

    def look_at(tables: dict, references: dict, miss: float, **_: object) -> InterimSkill:
        assert len(set(references["truth"]["clip"])) == 6, "references are those of all clips"
        widths.append(len(set(tables["model"]["clip"])))
        half = 0.1 / len(widths)
        return InterimSkill(0.5, (0.5 - half, 0.5 + half))

    monkeypatch.setattr(stop_rule, "interim_reading", look_at)
    words = ("eval", "baseline:freeze", "--suite", "core", "--until", "0.05", "--batch-size", "1", "--no-diagnosis")
    assert run((*words, "--device", "cpu", "--workers", "2", "--out", str(tmp_path / "run"))) == 0
    said = capsys.readouterr().err
    result = read_result(tmp_path / "run" / "result.json")
    assert widths == [2, 3] and result.partial is not None
    assert (result.partial.look, result.partial.clips, result.partial.of) == (2, 3, 6)
    assert result.overall.interval == (0.45, 0.55) and result.partial.level is not None and result.partial.level > 0.97
    assert {clip.split(".")[2] for clip in result.partial.missing} == {"test", "ood"}
    assert "Interim analysis 2 of" in said and "That is at most 0.05" in said
