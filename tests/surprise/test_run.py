"""What `--dry-run` says of the films, and what of a run of the suite expectation has to be asked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_manifests import made_manifest

from physbench.cli.main import run
from physbench.models.http.connection import NO_ANSWER
from physbench.run.options import Options
from physbench.support.files import write_sealed_json
from physbench.support.run_folder import RunFolder
from physbench.surprise.pairs import find_pairs
from physbench.surprise.run import ExpectationRun

ASKED = ("--suite", "expectation", "--tasks", "teleport", "--limit", "4", "--batch-size", "8", "--dry-run")


@pytest.mark.usefixtures("warm_models")
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


@pytest.mark.usefixtures("warm_models")
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


def test_clips_whose_server_had_gone_are_asked_again(tmp_path: Path) -> None:
    """A failure of the model stays: it would fail again."""
    run = ExpectationRun(RunFolder(tmp_path), Options("baseline:freeze"), find_pairs(12), made_manifest(), print, 1)
    gone, failed, *rest = run.rows
    assert run.missing() == list(run.rows) and rest
    part = {"times": [], "films": {}, "baselines": {}, "absent": {}, "failures": {}}
    for row, failures in ((gone, {"a": f"{NO_ANSWER}http://127.0.0.1:9."}), (failed, {"a": "ValueError: no"})):
        run.part(row).parent.mkdir(exist_ok=True)
        write_sealed_json(run.part(row), part | {"failures": failures})
    assert run.missing() == [gone, *rest]
    for row in rest:
        write_sealed_json(run.part(row), part)
    assert run.missing() == [gone] and run.missing(untrained=True) == list(run.rows)
