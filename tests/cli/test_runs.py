"""`physbench runs --check` reads what runs consist of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from physbench.cli.main import run
from physbench.result.build import write_result
from physbench.result.manifest import read_manifest
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
