"""The list of runs: what is finished, unfinished or damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from runs_on_disk import unfinished

from physbench.cli.main import run
from physbench.result.build import write_result
from physbench.result.document import read_result
from physbench.result.formats import ascii_minus, fixed
from physbench.result.read import find_runs
from physbench.support.run_folder import RunFolder


@pytest.fixture
def runs(small_run: RunFolder, tmp_path: Path) -> Path:
    """A finished run with a note, an unfinished one in a folder of its own, and one whose manifest is cut off."""
    root = tmp_path / "runs"
    for name in ("done", "week/half", "cut"):
        shutil.copytree(small_run.path, root / name)
    done = RunFolder(root / "done")
    manifest = json.loads(done.manifest.read_text())
    manifest["options"] |= {"note": "with dropout", "tags": ["ablation"]}
    done.manifest.write_text(json.dumps(manifest))
    write_result(done)
    half = RunFolder(root / "week" / "half")
    half.result.unlink(missing_ok=True)
    parts = half.path / "parts"
    parts.mkdir(exist_ok=True)
    for part in list(parts.glob("*")):
        part.unlink()
    (parts / "a.0.json").touch()
    (parts / "a.samples.json").touch()
    for name, text in (("words", '{"overall": {"skill": "x", "interval": ["a", "b"]}}'), ("deep", "[" * 100_000)):
        shutil.copytree(small_run.path, root / name)
        (root / name / "result.json").write_text(text)
    cut = root / "cut" / "manifest.json"
    cut.write_text(cut.read_text()[:100])
    (root / "export").mkdir()  # what `data export` writes is no run
    (root / "export" / "manifest.json").write_text(
        '{"kind": "physbench-conditioning", "schema_version": 1, "clips": []}'
    )
    (root / "done" / "report" / "manifest.json").parent.mkdir(exist_ok=True)
    (root / "done" / "report" / "manifest.json").touch()  # lies in a run: not looked at
    return root


def test_runs_say_how_far_they_are(runs: Path) -> None:
    found = {Path(each.path).name: each for each in find_runs(runs)}
    assert {name: each.state for name, each in found.items()} == {
        "done": "finished",
        "half": "unfinished",
        "cut": "damaged",
        "words": "damaged",
        "deep": "damaged",
    }
    result = read_result(runs / "done" / "result.json")
    assert found["done"].overall == result.overall.skill
    assert (found["done"].note, found["done"].tags) == ("with dropout", ("ablation",))
    assert (found["half"].done, found["half"].overall) == (1, None)
    assert found["half"].of == found["done"].of
    assert "cannot be read" in found["cut"].note


def test_the_command_lists_them(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", str(runs)]) == 0
    out = capsys.readouterr().out
    assert "1 of " in out and "finished" in out and "damaged" in out and "[ablation] with dropout" in out
    assert run(["runs", str(runs), "--tag", "ablation", "--json"]) == 0
    assert [each["state"] for each in json.loads(capsys.readouterr().out)] == ["finished"]
    assert run(["runs", str(runs), "--sort", "overal"]) == 2
    assert "Did you mean overall" in capsys.readouterr().err
    assert run(["runs", str(runs / "nowhere")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_a_wide_terminal_shows_axes_and_why_there_is_no_overall(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("physbench.cli.runs.stdout_console", lambda: Console(width=180, highlight=False))
    assert run(["runs", str(runs), "--sort", "overall"]) == 0
    head, first, *rest = capsys.readouterr().out.splitlines()
    axes = read_result(runs / "done" / "result.json").axes
    assert "consistency  permanence  drift" in head and "finished" in first
    assert ascii_minus(fixed(axes["consistency"].skill)) in first
    assert any("–" in line and "1 of " in line for line in rest)


def test_the_command_shows_the_cache_and_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path))
    clip = tmp_path / "clips" / "64x64@15" / "falling.projectile-v1.test" / "1.npz"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(bytes(2500))
    assert run(["cache"]) == 0
    out = capsys.readouterr().out
    assert "2.5 kB" in out and str(tmp_path) in out
    assert run(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["areas"]["clips"]["bytes"] == 2500
    assert run(["cache", "prune"]) == 0
    assert "0 files" in capsys.readouterr().err
    assert run(["cache", "prune", "--older-than", "0", "--only", "clips"]) == 0
    assert "1 file, 2.5 kB, removed" in capsys.readouterr().err
    assert run(["cache", "prune", "--only", "clip"]) == 2
    assert "clips" in capsys.readouterr().err


def test_a_shard_counts_its_own_part(tmp_path: Path) -> None:
    manifest = unfinished(tmp_path, "shard") / "manifest.json"
    document = json.loads(manifest.read_text())
    batches = [["a", "b"], ["c", "d"], ["e"]]
    manifest.write_text(json.dumps({**document, "options": {"samples": 1, "shard": "1/2"}, "batches": batches}))
    (found,) = find_runs(tmp_path)
    assert (found.of, found.suite) == (3, "smoke 2, 3 clips, shard 1/2")
