"""The card and runner for WorldFoundry, by its interface at bc062d7."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path

import pytest
import yaml

TREE = Path(__file__).parents[1] / "integrations" / "worldfoundry" / "worldfoundry"
RUNNER = "evaluation/tasks/execution/runners/physbench/run_physbench_official_runner.py"
RECORDER = """
import json, pathlib, sys
args = sys.argv[1:]
out = pathlib.Path(args[args.index("--out") + 1])
out.mkdir(parents=True)
axes = {axis: {"skill": skill} for axis, skill in (("consistency", -0.4), ("permanence", 0.5), ("drift", None))}
result = {"overall": {"skill": 0.25}, "axes": axes, "lawful": {"seconds": 1.5}, "physbench_version": "0"}
name = args[args.index("--suite") + 1]
suite = {"name": name, "complete": "--limit" not in " ".join(args)}
(out / "result.json").write_text(json.dumps({**result, "suite": suite, "failures": [], "args": args}))
"""

spec = importlib.util.spec_from_file_location("run_physbench_official_runner", TREE / RUNNER)
assert spec is not None and spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


def card(path: Path) -> dict:
    return json.loads((path / "scorecard.json").read_text())


@pytest.fixture
def export(tmp_path, monkeypatch):
    """A folder of an export, and a command that records its arguments in physbench's place."""
    folder = tmp_path / "cond"
    folder.mkdir()
    suite = {"name": "core-prompt-motion", "tasks": "collisions", "limit": 4}
    (folder / "manifest.json").write_text(json.dumps({"suite": suite}))
    (tmp_path / "recorder.py").write_text(RECORDER)
    monkeypatch.setenv("PHYSBENCH", shlex.join([sys.executable, str(tmp_path / "recorder.py")]))
    monkeypatch.setenv("PHYSBENCH_OPTIONS", "--model-arg fit=stretch")
    return folder


def test_cards_name_the_metrics_and_the_runner() -> None:
    catalog, task, profile = (
        yaml.safe_load((TREE / "data/benchmarks" / place / "physbench.yaml").read_text())
        for place in ("catalog/video", "tasks/external", "runtime_profiles/official")
    )
    assert [metric["id"] for metric in catalog["metrics"]] == list(runner.METRICS) == list(task["metrics"])
    assert task["tasks"]["physbench"]["metric_ids"] == list(runner.METRICS)
    named = {catalog["official_runner_script"], task["metadata"]["official_runner_script"]}
    assert named == {f"worldfoundry/{RUNNER}"} and named < {place["path"] for place in profile["required_paths"]}
    target = catalog["runner"]["runner_target"].partition(":")[0]
    assert (TREE.parent / f"{target.replace('.', '/')}.py").is_file()


def test_videos_are_scored_as_they_were_asked_for(export, tmp_path, capsys) -> None:
    out, videos = tmp_path / "out", tmp_path / "videos"
    where = ["--run-official", "--export", str(export), "--generated-artifact-dir", str(videos)]
    assert runner.main([*where, "--output-dir", str(out), "--json"]) == 0
    args = json.loads((out / "run" / "result.json").read_text())["args"]
    assert args[:6] == ["eval", f"videos:{videos}", "--suite", "core", "--tasks=collisions", "--limit=4"]
    assert {"--prompt-motion", f"key={export}.key.json", "fit=stretch"} < set(args)
    assert json.loads(capsys.readouterr().out) == {"ok": True, **card(out)}
    assert card(out)["metrics"]["leaderboard"] == {
        "physbench_overall": 0.25,
        "physbench_consistency": 0.0,
        "physbench_permanence": 0.5,
        "physbench_lawful_seconds": 1.5,
    }
    rows = card(out)["metrics"]["per_metric"]
    assert rows["physbench_consistency"]["raw_score"] == -0.4 and not rows["physbench_drift"]["available"]
    assert card(out)["integration_evidence"] and not card(out)["leaderboard_valid"], "4 clips are not all of core"
    (export / "manifest.json").write_text('{"suite": {"name": "core"}}')
    assert (
        runner.main([*where, "--output-dir", str(tmp_path / "all")]) == 0
        and card(tmp_path / "all")["leaderboard_valid"]
    )


def test_a_result_is_imported_and_is_no_evidence(export, tmp_path) -> None:
    out, result = tmp_path / "out", tmp_path / "result.json"
    document = {"suite": {"name": "smoke"}, "failures": [], "physbench_version": "0", "overall": {"skill": 0.5}}
    result.write_text(json.dumps({**document, "axes": {}, "lawful": None}))
    assert runner.main(["--official-results-path", str(result), "--output-dir", str(out)]) == 0
    assert card(out)["normalizer_only"] and not card(out)["leaderboard_valid"]
    strict = ["--official-results-path", str(result), "--output-dir", str(out), "--strict"]
    assert runner.main(strict) == 1 and card(out)["run"]["status"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--official-results-path or WORLDFOUNDRY_PHYSBENCH_RESULTS_PATH is needed"),
        (["--run-official", "--export", "gone"], "--generated-artifact-dir or WORLDFOUNDRY_GENERATED_ARTIFACT_DIR"),
        (["--run-official", "--export", "gone", "--generated-artifact-dir", "v"], "has no manifest.json"),
        (["--official-results-path", __file__], "is no result.json of physbench"),
    ],
)
def test_what_is_missing_is_said_in_the_scorecard(tmp_path, monkeypatch, capsys, arguments, words) -> None:
    for name in ("WORLDFOUNDRY_PHYSBENCH_RESULTS_PATH", "WORLDFOUNDRY_GENERATED_ARTIFACT_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert runner.main([*arguments, "--output-dir", str(tmp_path / "out")]) == 1
    assert words in card(tmp_path / "out")["run"]["error"] and words in capsys.readouterr().err


def test_a_program_that_is_not_there_and_one_that_fails(export, tmp_path, monkeypatch) -> None:
    where = ["--run-official", "--export", str(export), "--generated-artifact-dir", str(tmp_path)]
    for program, words in (("/no/such", "there is no program '/no/such'"), ("false", "ended with 1 and without")):
        monkeypatch.setenv("PHYSBENCH", program)
        assert runner.main([*where, "--output-dir", str(tmp_path / "out")]) == 1
        assert words in card(tmp_path / "out")["run"]["error"]
    (tmp_path / "out" / "run").mkdir()
    (tmp_path / "out" / "run" / "result.json").write_text("{}")  # of an earlier run
    assert runner.main([*where, "--output-dir", str(tmp_path / "out")]) == 1
    (export / "manifest.json").write_text("{}")
    assert runner.main([*where, "--output-dir", str(tmp_path / "out")]) == 1
    assert "names no suite" in card(tmp_path / "out")["run"]["error"]
