"""`physbench report RUN`, and the list of runs: what is finished, unfinished or damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from runs_on_disk import unfinished

from physbench.cli.main import run
from physbench.result.build import write_result
from physbench.result.document import read_result
from physbench.result.formats import ascii_minus, fixed
from physbench.result.manifest import read_manifest
from physbench.result.read import find_runs
from physbench.support.files import write_sealed_json
from physbench.support.run_folder import RunFolder, contents_of


def test_what_was_changed_since_a_run_was_finished_is_named(
    make_run: Callable[..., RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = (make_run(2, 0, suite="smoke", name=name) for name in ("a", "b", "c"))
    for each in (first, second):
        write_result(each)
        write_sealed_json(each.manifest, {**read_manifest(each).document(), "contents": contents_of(each)})
    assert run(["runs", str(first.path), "--check"]) == 0
    assert "a: as it was finished" in capsys.readouterr().out
    second.reference("truth").scores.write_bytes(b"other")
    third.manifest.write_bytes(third.manifest.read_bytes()[:50])
    assert run(["runs", str(first.path.parent), "--check"]) == 1
    said = capsys.readouterr().out
    assert "a: as it was finished" in said
    assert "b: changed since: references/truth/scores.parquet. Repeat its command with --resume." in said
    assert "c: damaged: " in said and len(said.splitlines()) == 3


def test_runs_behind_a_url_are_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "s3://bench/runs"]) == 2
    assert "needs a folder of this machine, and s3://bench/runs is a URL." in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--samples", "0"], ["--executor", "ray", "--address", "nowhere"]])
def test_fresh_with_wrong_settings_discards_nothing(
    wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begun(*_: object) -> None:
        raise AssertionError("what lies at --out is gone now")

    monkeypatch.setattr("physbench.run.remote_run.run_at", begun)
    monkeypatch.setattr("physbench.run.ray_cluster.import_ray", lambda: None)
    assert run(["eval", "baseline:freeze", "--out", (tmp_path / "run").as_uri(), "--fresh", *wrong]) == 2
    assert wrong[-2] in capsys.readouterr().err


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_rebuilds_result_and_report_from_what_is_stored(small_run: RunFolder, tmp_path: Path, capsys) -> None:
    """Without rollouts, as after --keep-rollouts none: the page says so."""
    shutil.copytree(small_run.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    for left in ("report", "rollouts"):
        shutil.rmtree(folder.path / left, ignore_errors=True)
    folder.result.unlink(missing_ok=True)
    assert run(["report", str(folder.path)]) == 0
    out = capsys.readouterr().out
    assert "Physical for" in out
    assert out.rstrip().endswith(f"Report: {folder.report}")
    assert read_json(folder.result)["schema_version"] == 1
    assert folder.report.read_text(encoding="utf-8").count("The rollout of this clip was not kept") == 7


def test_json_is_the_result_document(make_run, capsys) -> None:
    folder = make_run(2, 0)
    assert run(["report", str(folder.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == write_result(folder).model_dump(mode="json")


def test_what_is_only_asked_for_changes_nothing_in_the_run(small_run: RunFolder, tmp_path: Path, capsys) -> None:
    """Somebody else's run may be read-only, and its result as it was published."""
    shutil.copytree(small_run.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.result.write_text("as it was")
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    for form in ("md", "csv", "json"):
        assert run(["report", str(folder.path), "--format", form]) == 0
    page = tmp_path / "page.html"
    assert run(["report", str(folder.path), "--out", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert str(page) in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before
    assert run(["report", str(folder.path), "--out", str(tmp_path)]) == 2


@pytest.mark.parametrize("kind", ["nothing", "a file", "no run", "unfinished"])
def test_what_is_no_finished_run_is_refused_in_words(kind: str, make_run, tmp_path: Path, capsys) -> None:
    path, words = tmp_path / "none", "there is no such folder"
    if kind == "a file":
        path.touch()
        words = "it is a file. Expected the folder of a run"
    if kind == "no run":
        path.mkdir()
        words = "is not a run"
    if kind == "unfinished":
        folder = make_run()
        folder.scores.unlink()
        path, words = folder.path, "the run is not finished"
    assert run(["report", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) <= 2


@pytest.mark.parametrize("source", ["model", "truth"])
def test_a_table_that_repeats_a_row_is_refused_in_words(source: str, make_run, capsys) -> None:
    """It may be damaged, or handed in: readings are looked up by clip and sample."""
    folder = make_run(2, 0)
    place = folder if source == "model" else folder.reference(source)
    table = pd.read_parquet(place.scores)
    pd.concat([table, table.iloc[[5, 7]]]).to_parquet(place.scores, index=False)
    assert run(["report", str(folder.path)]) == 2
    error = capsys.readouterr().err
    assert f"{place.scores}: expected one row" in error and f"2 of {len(table) + 2} rows" in error
    assert f"row {len(table)}, {table['reading'][5]} of {table['clip'][5]}, sample 0." in error
    assert "Resume the run" in error and len(error.strip().splitlines()) == 2


def test_tracks_that_cannot_be_read_are_refused_in_words(small_run: RunFolder, tmp_path: Path, capsys) -> None:
    shutil.copytree(small_run.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    for path in folder.path.glob("tracks/*.npz"):
        path.write_bytes(path.read_bytes()[:200])
    assert run(["report", str(folder.path)]) == 2
    error = capsys.readouterr().err
    assert "cannot be read" in error and "Resume the run" in error and len(error.strip().splitlines()) <= 2


@pytest.mark.slow
def test_a_physicist_is_a_run_of_it_under_the_same_conditions(make_run, tmp_path: Path, capsys) -> None:
    """Else its traces would be drawn beside others under a name that is not theirs."""
    folder = make_run(2, 0)
    path = tmp_path / "physicist"
    shutil.copytree(folder.path, path)
    manifest = read_json(path / "manifest.json")

    def refused(words: str, **model: object) -> None:
        edited = {**manifest, "model": {**manifest["model"], "target": "baseline:physicist", **model}}
        (path / "manifest.json").write_text(json.dumps(edited))
        assert run(["report", str(folder.path), "--physicist", str(path), "--out", str(tmp_path / "page.html")]) == 2
        assert words in capsys.readouterr().err

    refused("is a run of toy.py:make", target="toy.py:make")
    refused("has other size and rate", card={**manifest["model"]["card"], "fps": 30.0})
    manifest = {**manifest, "versions": {**manifest["versions"], "code": "other"}}
    refused("scored by other code")
    assert run(["report", str(folder.path), "--physicist", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert run(["report", str(folder.path), "--physicist", str(path), "--format", "md"]) == 2
    assert "--format html" in capsys.readouterr().err


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
