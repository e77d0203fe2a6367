"""`eval --suite expectation --dry-run`: what the films would take, without a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from physbench.cli.main import run

pytestmark = pytest.mark.usefixtures("warm_models")

ASKED = ("--suite", "expectation", "--tasks", "teleport", "--limit", "4", "--batch-size", "8", "--dry-run")


@pytest.mark.slow
def test_a_plan_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["eval", "baseline:state-freeze", *ASKED, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["pairs"], plan["batch_size"], plan["failure"]) == (4, 8, "")
    assert plan["films"] >= plan["clips"] + plan["pairs"] and plan["out"] == "runs/state-freeze-expectation-1"
    assert plan["seconds"] == max(plan["model_seconds"], plan["worker_seconds"] / plan["workers"]) > 0
    assert plan["model_seconds"] > 0 and list(tmp_path.iterdir()) == []


def test_a_model_that_fails_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text(
        "import physbench\n\n\nclass Broken:\n"
        "    card = physbench.StateCard('broken', fps=15, context_frames=8)\n\n"
        "    def __init__(self, *, device, dtype):\n        pass\n\n"
        "    def rollout_states(self, states, **more):\n        raise ValueError('no weights for this')\n"
    )
    assert run(("eval", "broken.py:Broken", *ASKED, "--device", "cpu")) == 1
    said = capsys.readouterr().out
    assert "no weights for this" in said and "not known, since a film failed" in said
