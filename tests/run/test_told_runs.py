"""Runs of models that are told in words how things move: a track of its own, which nothing sets beside another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quick_runs import quick_finish

from physbench.cli.main import run
from physbench.leaderboard.claim import read_claim
from physbench.result.manifest import read_manifest
from physbench.result.report.page import physicist_command
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

CLIPS = ("--suite", "smoke", "--tasks", "projectile", "--limit", "1", "--scorers", "drift/accuracy", "--no-diagnosis")
ASKED = ("eval", "baseline:freeze", *CLIPS, "--model-arg", "context=1", "--workers", "1")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("told") / "run"
    with quick_finish():
        assert run([*ASKED, "--prompt-motion", "--out", str(out)]) == 0
    return RunFolder(out)


def test_it_has_a_suite_of_its_own_and_says_what_was_told(told: RunFolder) -> None:
    result = json.loads(told.result.read_text())
    assert result["suite"]["name"] == "smoke-prompt-motion" and "told in words" in result["note"]
    manifest = read_manifest(told)
    assert any("the words for motion do not reach it" in note for note in manifest.notes)
    assert "--suite smoke --tasks projectile --limit 1" in physicist_command(manifest)
    assert "--prompt-motion" in physicist_command(manifest), "the physicist is told, too"


def test_it_does_not_go_on_without_the_words(told: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASKED, "--out", str(told.path), "--resume"]) == 2
    assert "--prompt-motion was True" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_sets_it_beside_a_run_without_words(
    told: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ASKED, "--out", str(tmp_path / "plain")]) == 0
    assert run(["compare", str(told.path), str(tmp_path / "plain")]) == 2
    assert "Only one was told in words how things move" in capsys.readouterr().err
    with pytest.raises(UsageError, match="told in words how things move"):
        _ = read_claim(told).suite


@pytest.mark.parametrize("also", [("--dry-run",), pytest.param((), marks=pytest.mark.slow)])
def test_who_sees_the_motion_is_not_told_it(
    also: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["eval", "baseline:freeze", *CLIPS, "--prompt-motion", *also]) == 2
    assert "8 frames, which show already how things move" in capsys.readouterr().err
