"""Whole runs of models that answer with states, and the example that the docs show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quick_runs import quick_finish

import physbench
from physbench.cli.main import run
from physbench.rollout.store import read_states
from physbench.support.run_folder import RunFolder

EXAMPLE = Path(__file__).parents[2] / "examples" / "state_model.py"
FALLS_AND_ORBITS = ("--suite", "smoke", "--tasks", "falling/projectile*,orbits/kepler*,orbits/binary*", "--limit", "3")


def qualities(folder: RunFolder, source: str = "model") -> pd.DataFrame:
    table = pd.read_parquet((folder if source == "model" else folder.reference(source)).scores)
    return table[table["axis"].isin(["consistency", "drift"]) & table["quality"].notna()]


def evaluated(folder: Path, model: str, *more: str) -> RunFolder:
    assert run(("eval", model, *FALLS_AND_ORBITS, "--out", str(folder), "--keep-rollouts", "all", *more)) == 0
    return RunFolder(folder)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The example on three clips of three tasks. Nobody may change it."""
    with quick_finish():
        return evaluated(tmp_path_factory.mktemp("runs") / "pulls", f"{EXAMPLE}:make")


def test_the_example_knows_how_things_fall_and_go_around(example: RunFolder) -> None:
    """It is given the last state and integrates; truth and the other references are read as states too."""
    assert (qualities(example)["quality"] > 0.999).all() and (qualities(example, "truth")["quality"] == 1).all()
    frozen = qualities(example, "freeze")
    assert (frozen.loc[frozen["axis"] == "consistency", "quality"] < 0.05).all()
    table = pd.read_parquet(example.scores).set_index("reading")
    exponents = table.loc[["laws/force-law"], "value"].dropna()
    assert len(exponents) == 2 and np.allclose(exponents, -2, atol=1e-3)
    assert np.allclose(table.loc[["laws/gravity"], "value"].dropna(), 9.81, atol=1e-3)


def test_permanence_is_not_asked_and_overall_says_of_what_it_is_the_mean(example: RunFolder) -> None:
    table = pd.read_parquet(example.scores)
    pictures = table[table["reading"].isin(["permanence/intact", "appearance/hue", "drift/sharpness"])]
    assert set(pictures["status"]) == {"not applicable"} and set(pictures["reason"]) == {"states show no picture"}
    result = json.loads(example.result.read_text())
    assert result["model"]["card"]["answers"] == "states"
    assert result["axes"]["permanence"] == {
        **result["axes"]["permanence"],
        "skill": None,
        "reason": "not asked: states show no picture",
    }
    assert "overall is made of physical consistency and long-horizon drift" in result["unavailable"]["permanence"]
    assert result["failures"] == [] and result["counts"]["scored"] == 3


def test_states_are_kept_as_they_are_documented(example: RunFolder) -> None:
    manifest = json.loads(example.manifest.read_text())
    assert manifest["model"]["card"]["columns"] == "all" and manifest["render_spec"] == "128x128@30"
    for row in manifest["suite"]["rows"]:
        name = f"{row['task'].replace('/', '.')}.{row['split']}.{row['seed']}"
        with np.load(example.states(name)) as stored:
            assert stored["states"].shape[2] == len(stored["columns"]) == 13 and float(stored["fps"]) == 30
        sidecar = json.loads(example.rollout(name).with_suffix(".json").read_text())
        assert sidecar["answers"] == "states" and sidecar["failure"] is None
        assert not example.rollout(name).exists()
        assert np.isfinite(read_states(example.states(name))).all()


@pytest.mark.slow
def test_gravity_that_is_too_weak_breaks(tmp_path: Path) -> None:
    """Pulls x 0.9: less lawful everywhere, and by far where things fall; the law is named."""
    five = ("--tasks", "falling/drop-bounce*,falling/projectile*,orbits/*", "--limit", "5")
    folder = evaluated(tmp_path / "weak", f"{EXAMPLE}:make", "--model-arg", "strength=0.9", *five)
    found = qualities(folder)
    lawful = found[found["axis"] == "consistency"].set_index("task")["quality"]
    assert (lawful.filter(like="falling/") < 0.6).all() and (lawful < 0.9).all()
    result = json.loads(folder.result.read_text())
    named = "gravity 8.8 m/s² where the truth has 9.8, so that things fall too slowly"
    assert any(named in sentence for sentence in result["sentences"])


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped_and_damage_is_repaired(
    example: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "again")
    shutil.copytree(example.path, folder.path)
    lost, cut, *_ = sorted(folder.path.glob("parts/*.json"))
    states = folder.path / "rollouts"
    for part in (lost, cut):
        part.unlink()
    (states / f"{lost.stem}.json").unlink()
    whole = (states / f"{cut.stem}.npz").read_bytes()
    (states / f"{cut.stem}.npz").write_bytes(whole[:-200])
    folder.scores.unlink()
    evaluated(folder.path, f"{EXAMPLE}:make", "--resume")
    assert "1 of 3 rollouts are scored" in capsys.readouterr().err
    assert folder.scores.read_bytes() == example.scores.read_bytes()
    assert (states / f"{cut.stem}.npz").read_bytes() == whole


@pytest.mark.slow
def test_the_report_draws_the_states(example: RunFolder, tmp_path: Path, no_report: pytest.MonkeyPatch) -> None:
    no_report.undo()
    from physbench.result.report.page import write_report

    page = write_report(example, tmp_path / "drawn.html").read_text()
    assert "mean of physical consistency and long-horizon drift: the model answers with states" in page
    assert page.count("data:image/png;base64") >= 6  # strips of truth and of drawn states
    assert "16 context states scored" in page


@pytest.mark.slow
def test_wrong_answers_fail_their_clips_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import torch\n"
        "from physbench import StateCard\n"
        "class Bad:\n"
        "    card = StateCard('bad', fps=15, context_frames=4)\n"
        "    def rollout_states(self, states, *, horizon, **_):\n"
        "        answer = states[:, -1:].repeat(1, horizon, 1, 1)\n"
        "        answer[states[:, -1, :, 7:10].norm(dim=-1).sum(-1) > 4, 2] = float('nan')\n"
        "        return answer\n"
        "def make(*, device, dtype):\n"
        "    return Bad()\n"
    )
    folder = evaluated(tmp_path / "bad", f"{tmp_path / 'bad.py'}:make", "--scorers", "drift/accuracy")
    result = json.loads(folder.result.read_text())
    reasons = {failure["reason"] for failure in result["failures"]}
    assert 0 < result["counts"]["failed"] < 3
    assert all(reason.startswith("Predicted state 3 of ") and "holds NaN" in reason for reason in reasons)


@pytest.mark.slow
def test_an_object_of_states_is_evaluated_in_this_process(tmp_path: Path) -> None:
    class Still:
        card = physbench.StateCard("still", fps=10, context_frames=2, columns="positions", space="plane", units="px")

        def rollout_states(self, states, **_):
            return states[:, -1:].repeat(1, _["horizon"], 1, 1)

    result = physbench.evaluate(
        Still(), out=tmp_path / "live", report=False, tasks="falling/drop-bounce*", limit=2, workers=1
    )
    assert result.failed == 0 and result.axes["permanence"] is None
    assert result.axes["consistency"] == pytest.approx(0, abs=0.05)


@pytest.mark.slow
def test_models_check_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "check.png"
    assert run(("models", "check", "baseline:state-constant-velocity", "--out", str(picture))) == 0
    said = capsys.readouterr().out
    assert "all columns in m, 15 states/s, 8 context states" in said and "nothing wrong was found" in said
    assert picture.stat().st_size > 10_000
