"""The end of a run and the result so far: its diagnosis, which no score needs, and all clips that are scored."""

from __future__ import annotations

import json
import shutil
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from made_manifests import made_manifest
from quick_runs import write_result_alone
from tiny_board import with_changed_document

from physbench.cli.main import run
from physbench.result.document import ImpliedWorldResult, read_result
from physbench.result.findings import write_diagnosis
from physbench.run import finalize
from physbench.run.finalize import run_progress, timed
from physbench.run.progress import StatusLines
from physbench.run.state import Run
from physbench.support.files import read_sealed_json
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


@pytest.fixture
def unfinished(staged_run: RunFolder, tmp_path: Path) -> RunFolder:
    """The run as it is when all is scored and nothing is written yet."""
    folder = tmp_path / "run"
    shutil.copytree(staged_run.path, folder, ignore=shutil.ignore_patterns("scores.parquet", "result.json", "report"))
    return RunFolder(folder)


def contents(folder: RunFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}


def test_when_all_is_scored_it_is_the_result(staged_run: RunFolder, unfinished: RunFolder) -> None:
    before, found, result = contents(unfinished), run_progress(unfinished), read_result(staged_run.result)
    assert (found.rolled, found.scored, found.of, found.clips, found.finished) == (8, 8, 8, 4, False)
    assert found.result == result
    assert contents(unfinished) == before
    finished = run_progress(staged_run)
    assert finished.finished and finished.result == result


def test_it_is_that_of_the_clips_that_are_whole(
    staged_run: RunFolder, unfinished: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one sample of one clip, and one reference of another, two clips are left."""
    ids = [
        Path(name).stem.rpartition(".")[0] for name in sorted(map(str, (unfinished.path / "parts").glob("*.1.json")))
    ]
    unfinished.part(ids[0], 1).unlink()
    unfinished.reference("truth").part(ids[1]).unlink()
    (unfinished.path / "rollouts" / f"{ids[0]}.1.json").unlink()
    assert run(("status", str(unfinished.path), "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rolled"], found["scored"], found["of"], found["clips"], found["of_clips"]) == (7, 7, 8, 2, 4)
    result, whole = found["result"], read_sealed_json(staged_run.result)
    assert result["counts"] == {"clips": 2, "samples": 2, "scored": 2, "failed": 0}
    assert result["overall"]["skill"] is None and len(result["tasks"]) == 2
    for task, axes in result["tasks"].items():
        assert axes["drift"]["quality"] == whole["tasks"][task]["drift"]["quality"]
    assert run(("status", str(unfinished.path))) == 0
    said = capsys.readouterr()
    assert "7 of 8 rollouts are made, 7 are scored. On 2 of 4 clips so far:" in said.err and "2 of 56 clips" in said.out


def test_before_the_first_score(unfinished: RunFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.rmtree(unfinished.path / "parts")
    assert run(("status", str(unfinished.path))) == 0
    said = capsys.readouterr()
    assert "8 of 8 rollouts are made, 0 are scored. There is no result yet." in said.err and not said.out
    assert run(("status", str(tmp_path / "none"))) == 2
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "words"), [(True, "4 of 4 clips so far, before the diagnosis:"), (False, "so far:")])
def test_before_the_diagnosis_it_says_so(
    unfinished: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: bool,
    words: str,
) -> None:
    """It may name another law than the readings do."""
    monkeypatch.setattr("physbench.run.finalize.DIAGNOSED_AXIS", "drift")  # the axis that this run has
    with_changed_document(unfinished.manifest, lambda document: document["options"].update(diagnosis=asked))
    assert run(("status", str(unfinished.path))) == 0
    assert words in capsys.readouterr().err


def test_a_run_whose_report_is_not_written_is_not_finished(
    staged_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that was killed while it wrote the report."""
    folder = RunFolder(shutil.copytree(staged_run.path, tmp_path / "run"))
    assert run(("status", str(folder.path))) == 0
    assert "is finished." in capsys.readouterr().err
    with_changed_document(folder.manifest, lambda document: document.pop("contents"))
    assert run(("status", str(folder.path))) == 0
    assert (
        f"its report is not written. If nothing is at work in it, go on with: physbench finish {folder.path}"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("content", ["x", "{}", "[]", '{"overall": null}'])
def test_a_damaged_result_is_named(
    staged_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    folder = RunFolder(shutil.copytree(staged_run.path, tmp_path / "run"))
    folder.result.write_text(content)
    assert run(("status", str(folder.path))) == 2
    said = capsys.readouterr().err
    assert "result.json" in said and f"Write it again: physbench finish {folder.path}" in " ".join(said.split())
    assert run(("finish", str(folder.path))) == 0
    assert read_sealed_json(folder.result)["overall"] == read_sealed_json(staged_run.result)["overall"]


def test_nothing_is_kept_before_the_model_is_loaded(tmp_path: Path) -> None:
    one = cast(Run, SimpleNamespace(planned=False))
    assert Run.kept(one) == "nothing was made yet"
