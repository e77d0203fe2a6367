"""The end of a run: its diagnosis, which no score needs."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path

import pytest
from made_manifests import made_manifest
from quick_runs import write_result_alone

from physbench.cli.main import run
from physbench.result.document import ImpliedWorldResult
from physbench.result.findings import write_diagnosis
from physbench.run import finalize
from physbench.run.finalize import timed
from physbench.run.progress import StatusLines
from physbench.run.state import Run
from physbench.support.run_folder import RunFolder

FALLS = ("--suite", "smoke", "--tasks", "falling/projectile-v1", "--scorers", "consistency/shadowing", "--limit", "3")
ONE_FALL = ("--suite", "smoke", "--tasks", "falling/projectile-v1", "--scorers", "drift/accuracy", "--limit", "1")
NO_LAW = ImpliedWorldResult(
    clips=2, unexplained=0.5, verdict="no simple law", laws=[], share=0.0, interval=None, alike=[], ranking={"a": 0.1}
)


@pytest.fixture
def diagnosed_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that read drift are diagnosed: consistency takes seconds a clip."""
    monkeypatch.setattr(finalize, "DIAGNOSED_AXIS", "drift")


@pytest.mark.usefixtures("diagnosed_axis")
def test_a_diagnosis_is_said_by_the_result_and_not_made_again(tmp_path: Path, no_report: pytest.MonkeyPatch) -> None:
    calls = []

    def diagnosed(folder: RunFolder, workers: int, say: object) -> None:
        calls.append(workers)
        write_diagnosis(folder, {"falling": NO_LAW})

    no_report.setattr("physbench.result.diagnosis.diagnose_run.diagnose_run", diagnosed)
    out = RunFolder(tmp_path / "run")
    words = ("eval", "baseline:freeze", *ONE_FALL, "--workers", "1", "--out", str(out.path))
    assert run(words) == 0
    assert json.loads(out.result.read_text())["implied_worlds"]["falling"]["verdict"] == "no simple law"
    out.report.unlink()
    assert run((*words, "--resume")) == 0
    assert calls == [1], "scores are the same, so it is not sought again"


@pytest.mark.slow
def test_a_run_says_which_law_its_model_follows(tmp_path: Path, no_report: pytest.MonkeyPatch) -> None:
    no_report.undo()
    no_report.setattr("physbench.result.report.page.write_report", write_result_alone)
    out = RunFolder(tmp_path / "run")
    words = ("eval", "saboteur:gravity:0.8", *FALLS, "--workers", "1", "--out", str(out.path))
    assert run(words) == 0
    world = json.loads(out.result.read_text())["implied_worlds"]["falling"]
    assert world["verdict"] == "named"
    assert [law["id"] for law in world["laws"]] == ["gravity"]
    assert world["laws"][0]["value"] == pytest.approx(0.8, abs=0.02)
    made = out.diagnosis.stat().st_mtime_ns
    assert run((*words, "--resume")) == 0
    assert out.diagnosis.stat().st_mtime_ns == made, "scores are the same, so it is not sought again"


def test_what_takes_minutes_at_the_end_says_so_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    enough = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        enough.set()

    monkeypatch.setattr(finalize, "StatusLines", partial(StatusLines, every=0.01))
    with timed(Run(None, None, None, made_manifest(speed={}), say, 2), "report", "writing the report"):  # type: ignore[arg-type]
        assert enough.wait(60)
    assert said[0] == "Still writing the report, for 1 s."


@pytest.mark.slow
@pytest.mark.usefixtures("diagnosed_axis")
def test_a_run_without_its_diagnosis_has_all_scores(
    tmp_path: Path, no_report: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(folder: RunFolder, workers: int, say: object) -> None:
        raise ValueError("no such world")

    no_report.setattr("physbench.result.diagnosis.diagnose_run.diagnose_run", fails)
    words = ("eval", "baseline:freeze", *ONE_FALL, "--workers", "1", "--out")
    assert run((*words, str(tmp_path / "fails"))) == 0
    said = capsys.readouterr().err
    assert "The diagnosis failed (ValueError: no such world)" in said and "physbench diagnose" in said
    assert run((*words, str(tmp_path / "without"), "--no-diagnosis")) == 0
    assert "diagnosis" not in capsys.readouterr().err
    fails, without = (RunFolder(tmp_path / name).scores.read_bytes() for name in ("fails", "without"))
    assert fails == without
