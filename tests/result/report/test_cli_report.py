"""`physbench report RUN`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from physbench.cli.main import run
from physbench.result.build import write_result
from physbench.support.run_folder import RunFolder


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
