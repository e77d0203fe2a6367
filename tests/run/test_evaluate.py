"""Whole runs: what is in the folder, that nothing but the rollouts decides the scores, and what interrupts a run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from interruptions import Fault, session

from physbench.cli.main import run
from physbench.run.interruption import processes_of
from physbench.run.state import opened
from physbench.support import plugins
from physbench.support.files import read_sealed_json
from physbench.support.run_folder import RunFolder

Eval = Callable[..., tuple[str, ...]]
Start = Callable[..., "subprocess.Popen[str]"]
EXAMPLES = Path(__file__).parents[2] / "examples"


def rollouts_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "rollouts").glob("*.mkv")}


def wait_for(what: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def alive(pids: list[int]) -> list[int]:
    """Those that run still; one that ended and waits for its parent to ask does not count."""
    states = {}
    for pid in pids:
        try:
            states[pid] = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
    return [pid for pid, state in states.items() if state != "Z"]


def test_a_run_has_what_the_design_says(toy_run: RunFolder) -> None:
    manifest = json.loads(toy_run.manifest.read_text())
    assert manifest["model"]["name"] == "toy" and manifest["model"]["sha256"]
    assert manifest["render_spec"] == "64x64@5" and manifest["context"] == 4
    assert [len(batch) for batch in manifest["batches"]] == [3, 1]
    speed = manifest["speed"]
    assert speed["peak_memory_gb"] > 0 and 0 < speed["harness_share"] <= 1
    assert speed["total_seconds"] == read_sealed_json(toy_run.result)["speed"]["total_seconds"]
    assert speed["total_seconds"] > speed["model_seconds"] + speed.get("report_seconds", 0.0)
    table = pd.read_parquet(toy_run.scores)
    order = [row["seed"] for row in manifest["suite"]["rows"]]
    assert table.drop_duplicates(["clip", "sample"])["seed"].tolist() == [seed for seed in order for _ in range(2)]
    assert set(table["axis"].dropna()) == {"consistency", "permanence", "drift"}
    for name in ("truth", "freeze", "constant-velocity"):
        assert len(pd.read_parquet(toy_run.reference(name).scores)["clip"].unique()) == 2
    assert json.loads(toy_run.result.read_text())["counts"] == {"clips": 2, "samples": 2, "scored": 2, "failed": 0}
    assert manifest["notes"] == ["Its file names no rate: 15 frames/s <were> assumed."]
    assert toy_run.report.read_text().startswith("<!")
    assert (
        "<dt>note</dt><dd>Its file names no rate: 15 frames/s &lt;were&gt; assumed.</dd>" in toy_run.report.read_text()
    )
    assert len(rollouts_of(toy_run.path)) == 4


@pytest.mark.slow  # as in test_interruptions, with new interpreters
def test_scores_are_the_same_bytes_after_a_kill(staged_run: RunFolder, ask: Eval, start: Start, tmp_path: Path) -> None:
    """Killed in the second batch; then one rollout of the first is lost, one is cut short and two parts are lost."""
    out = RunFolder(tmp_path / "killed")
    process = start(*ask(out.path), TOY_GATE=str(tmp_path / "gate"))
    wait_for(lambda: len(list(out.path.glob("parts/*.json"))) >= 3)
    family = [each.pid for each in processes_of(process.pid)]
    process.kill()
    wait_for(lambda: not alive(family), 20)

    parts = sorted(out.path.glob("parts/*.json"))
    first, second = (part.name.removesuffix(".json") for part in parts[:2])
    for part in parts[:2]:
        part.unlink()
    (out.path / "rollouts" / f"{first}.json").unlink()
    video = out.path / "rollouts" / f"{second}.mkv"
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])

    assert run(ask(out.path, "--resume")) == 0
    assert rollouts_of(out.path) == rollouts_of(staged_run.path)
    assert out.scores.read_bytes() == staged_run.scores.read_bytes()
    chained = [json.loads(folder.result.read_text())["model"]["chained"] for folder in (out, staged_run)]
    assert chained == [2, 2]


def test_ctrl_c_prints_the_command_that_resumes(
    staged_run: RunFolder, ask: Eval, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = RunFolder(tmp_path / "interrupted")
    fault = Fault("interrupt", r"/interrupted/parts/", "worker", 4, after=True)
    ended = session(ask(out.path), [fault], tmp_path / "session", warm=True)
    assert ended.code == 130 and ended.struck == ("interrupt",), ended
    assert "Traceback" not in ended.said
    assert re.search(r"\b[1-7] of 8", ended.said), ended.said
    with opened(out.path, resume=True, fresh=False):
        for word in ("--resume", "--fresh"):
            assert run(ask(out.path, word)) == 2
            assert "Another process is working" in capsys.readouterr().err

    command = re.findall(r"^ *(physbench eval .*--resume)$", ended.said, re.MULTILINE)
    assert len(command) == 1
    assert run(shlex.split(command[0])[1:]) == 0
    assert out.scores.read_bytes() == staged_run.scores.read_bytes()


@pytest.mark.slow
def test_ctrl_c_in_a_new_interpreter(
    staged_run: RunFolder, ask: Eval, start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second process on its folder is refused, and disturbs nothing."""
    out = RunFolder(tmp_path / "interrupted")
    process = start(*ask(out.path), TOY_GATE=str(tmp_path / "gate"))
    wait_for(lambda: len(list(out.path.glob("parts/*.json"))) >= 3)
    family = [each.pid for each in processes_of(process.pid)]
    for word in ("--resume", "--fresh"):
        assert run(ask(out.path, word)) == 2
        assert "Another process is working" in capsys.readouterr().err
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "3 of 8" in said
    wait_for(lambda: not alive(family), 20)

    command = re.findall(r"^ *(physbench eval .*--resume)$", said, re.MULTILINE)
    assert len(command) == 1
    assert run(shlex.split(command[0])[1:]) == 0
    assert out.scores.read_bytes() == staged_run.scores.read_bytes()


@pytest.mark.slow
def test_a_finished_run_is_finished(
    toy_run: RunFolder, toy_eval: Eval, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Resuming it needs no rollouts, loads no model and changes nothing; --json prints the result and nothing else."""
    out = RunFolder(tmp_path / "again")
    shutil.copytree(toy_run.path, out.path, ignore=shutil.ignore_patterns("rollouts"))
    assert run(toy_eval(out.path, "--resume", "--json")) == 0
    assert out.scores.read_bytes() == toy_run.scores.read_bytes()
    result = json.loads(capsys.readouterr().out)
    assert result == read_sealed_json(out.result)
    assert {**result, "speed": 0} == {**read_sealed_json(toy_run.result), "speed": 0}


def test_nothing_of_a_finished_run_is_made_again_unless_it_was_changed(
    toy_run: RunFolder, toy_eval: Eval, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = RunFolder(tmp_path / "same")
    shutil.copytree(toy_run.path, out.path)
    assert run(toy_eval(out.path, "--resume")) == 0
    said = capsys.readouterr()
    assert "Nothing is left to do" in said.err and "Report: " in said.out
    assert out.manifest.read_bytes() == toy_run.manifest.read_bytes()
    out.report.write_text("another one", encoding="utf-8")
    assert run(toy_eval(out.path, "--resume")) == 0
    assert "scored already" in capsys.readouterr().err
    assert out.report.read_text(encoding="utf-8").lower().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "--resume"),
        (("--resume", "--seed", "1"), "--seed was 0, now it is 1"),
        (("--resume", "--suite", "core"), "--suite was 'smoke', now it is 'core'"),
        (("--resume", "--fresh"), "not both"),
    ],
)
def test_a_used_folder_is_refused(
    toy_run: RunFolder, toy_eval: Eval, more: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(toy_eval(toy_run.path, *more)) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) <= 2


def test_another_model_in_the_same_file_is_refused(
    toy_run: RunFolder, toy_eval: Eval, toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (toys / "toy.py").read_text()
    try:
        (toys / "toy.py").write_text(text.replace("0.02", "0.03"))
        assert run(toy_eval(toy_run.path, "--resume")) == 2
    finally:
        (toys / "toy.py").write_text(text)
    assert "sha256" in capsys.readouterr().err


def broken(toys: Path, out: Path, kind: str) -> int:
    suite = ("--suite", "smoke", "--tasks", "falling/projectile*", "--limit", "2", "--batch-size", "2")
    words = (*suite, "--scorers", "drift/accuracy", "--workers", "1", "--device", "cpu", "--out", str(out))
    return run(["eval", f"{toys / 'broken.py'}:factory", "--model-arg", f"kind={kind}", *words])


@pytest.mark.slow
def test_a_model_that_fails_everywhere(toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every clip is a row with quality 0 and the reason; the run is whole, and the exit code is 1."""
    out = RunFolder(tmp_path / "run")
    assert broken(toys, out.path, "raises") == 1
    said = capsys.readouterr().err
    assert "No clip could be scored" in said and "Traceback" not in said
    table = pd.read_parquet(out.scores)
    headline = table[table["axis"].notna() & (table["status"] == "failed")]
    assert (
        len(headline)
        and (headline["quality"] == 0).all()
        and headline["reason"].str.contains("no weights for this").all()
    )
    assert out.report.exists()


def test_a_model_that_fails_on_some_clips(toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = RunFolder(tmp_path / "run")
    assert broken(toys, out.path, "some") == 0
    assert "another version" not in capsys.readouterr().err, "every stage finds the clips that the first one made"
    result = json.loads(out.result.read_text())
    assert result["counts"]["failed"] == 1 and result["counts"]["scored"] == 1
    assert ["Inf" in failure["reason"] for failure in result["failures"]] == [True]


# Shadowing takes seconds a clip.
@pytest.mark.parametrize("scorers", ["permanence/*,drift/*,laws/*", pytest.param("*/*", marks=pytest.mark.slow)])
def test_a_baseline_reads_as_its_reference_does(scorers: str, tmp_path: Path) -> None:
    """References skip the model's process and the video on disk, and nothing else: their rows are the same bytes."""
    out = RunFolder(tmp_path / "run")
    asked = ("--suite", "smoke", "--tasks", "screen-pass", "--limit", "1", "--scorers", scorers)
    model = ("baseline:constant-velocity", "--model-arg", "size=96", "--workers", "1")
    assert run(["eval", *model, *asked, "--out", str(out.path)]) == 0
    assert out.scores.read_bytes() == out.reference("constant-velocity").scores.read_bytes()
    assert rollouts_of(out.path), "those that the report shows are kept"


def test_an_evaluation_with_a_task_and_a_scorer_from_files(
    no_report: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task_file, scorer_file = (Path(shutil.copy(EXAMPLES / name, tmp_path)) for name in ("my_task.py", "my_scorer.py"))
    out = tmp_path / "run"
    wanted = ("eval", "baseline:freeze", "--suite", "smoke", "--limit", "1", "--tasks", str(task_file))
    command = (*wanted, "--scorers", f"gravity,{scorer_file}", "--workers", "2", "--out", str(out))
    assert run(command) == 0
    capsys.readouterr()
    manifest, result = (json.loads((out / name).read_text()) for name in ("manifest.json", "result.json"))
    assert [file["path"] for file in manifest["files"]["tasks"]] == [str(task_file)]
    assert len(manifest["files"]["scorers"][0]["sha256"]) == 64
    suite = result["suite"]
    assert (suite["name"], suite["local"], suite["complete"], suite["clips"]) == ("own-smoke", True, False, 1)
    assert result["overall"]["skill"] is None
    value = result["readings"]["own/speed-error"]["tasks"]["own/two-balls-v1"]
    assert value["references"]["truth"] < 0.1 < 1 < value["value"]
    assert "own/speed-error" in set(pd.read_parquet(out / "scores.parquet")["reading"])

    plugins.adopt_in_worker("")
    no_report.undo()
    assert run(("report", str(out))) == 2
    assert f"--tasks {task_file}" in capsys.readouterr().err
    assert run(("report", str(out), "--tasks", str(task_file))) == 0
    task_file.write_text(task_file.read_text() + "\n# edited\n")
    assert run((*command, "--resume")) == 2
    assert "my_task.py) has changed" in capsys.readouterr().err
