"""`eval --dry-run`: what would be made, without making it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from physbench.cli.main import run
from physbench.models.load_model import check_target

CLIPS = ("--suite", "smoke", "--tasks", "falling/projectile", "--limit", "3")
ASKED = (*CLIPS, "--batch-size", "2", "--scorers", "drift/sharpness")


def test_a_plan_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["eval", "baseline:freeze", *ASKED, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["clips"], plan["tasks"], plan["batches"], plan["batch_size"]) == (3, 1, 2, 2)
    assert plan["out"] == "runs/freeze-smoke-1" and plan["failure"] == ""
    assert plan["seconds"] == max(plan["model_seconds"], plan["worker_seconds"] / plan["workers"]) > 0
    assert plan["disk"] > 1000 and plan["peak_memory"] > 1e8
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_fails_says_so(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = (f"{toys / 'broken.py'}:factory", "--model-arg", "kind=raises", "--device", "cpu")
    assert run(("eval", *model, *ASKED, "--dry-run")) == 1
    said = capsys.readouterr().out
    assert "no weights for this" in said and "not known, since the batch failed" in said


def test_settings_of_a_file_are_said_and_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "physbench.toml").write_text("[eval]\nchain = false\ndiagnosis = false\n")
    assert run(("eval", "baseline:freeze", *ASKED, "--dry-run", "--diagnosis")) == 0
    said = capsys.readouterr()
    assert "physbench.toml: chain = False\n" in said.err and re.search(r"smoke \d+(-dev)?:", said.out)


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_baselines_of_pixels_are_refused_where_they_know_no_camera(
    more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once: `memory` would first ask for its clips."""
    monkeypatch.chdir(tmp_path)
    for name, view in (("memory", "near"), ("constant-velocity", "near"), ("constant-velocity", "moving")):
        assert run(["eval", f"baseline:{name}", *CLIPS, "--view", view, *more]) == 2
        said = capsys.readouterr().err
        assert f"In the view '{view}', baseline:{name} cannot" in said and "baseline:freeze" in said
    assert list(tmp_path.iterdir()) == []
    check_target("baseline:memory", view="far")
    check_target("baseline:physicist", view="moving")
