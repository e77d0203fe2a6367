"""What a push changes: closed forms, sabotage of known size, and whole runs with both clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import saboteurs as sabotage
from handmade import tracks_at, true_places
from numpy.typing import NDArray
from quick_runs import write_result_alone
from slow_cases import others_slow

from physbench.cli.main import run
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.score.protocol import Reading, read_part
from physbench.score.score_clip import score_pair
from physbench.scorers.diagnostics.counterfactual import CHANGE, counterfactual, of_pair, of_push, push_followed
from physbench.support.run_folder import RunFolder
from physbench.track.tracker import track

CONTEXT = 8
HEAD_ON, THRUST = "collisions/head-on-push-v1", "orbits/kepler-thrust-v1"
Places = NDArray[np.float64]


def pair_of(task: str, seed: int = 0) -> tuple[Clip, Clip]:
    """The clips without the push and with it, at 64 px and 15 frames/s."""
    store, row = ClipStore(), Row(task, "test", seed, "unpushed")
    return store.get(row, render_spec(64, 15.0)), store.get(row.unchanged, render_spec(64, 15.0))


def read(quiet: Clip, places: Places, clip: Clip, pushed: Places) -> dict[str, float | None]:
    """Readings of places (T, K, 2) m that are predicted without the push and with it."""
    found = of_pair(quiet, tracks_at(quiet, places), clip, tracks_at(clip, pushed))
    return {key: reading.value for key, reading in found.items()}


@pytest.mark.parametrize("part", others_slow([1.0, 0.5, 2.0, -1.0, 0.0], 3))
@pytest.mark.parametrize("task", [HEAD_ON, pytest.param(THRUST, marks=pytest.mark.slow)])
def test_a_part_of_the_difference_reads_as_that_part(task: str, part: float) -> None:
    """Also where both rollouts are wrong in the same way: only the effect of the push is read."""
    quiet, clip = pair_of(task)
    same = true_places(quiet)
    drift = 0.05 * np.sin(np.arange(len(same)))[:, None, None]
    found = read(quiet, same + drift, clip, same + part * (true_places(clip) - same) + drift)
    assert found[""] == pytest.approx(part, abs=1e-9) and found["pushed"] == pytest.approx(part, abs=1e-9)
    assert found["sign"] == (part > 0) and found["error"] == pytest.approx(abs(1 - part), abs=1e-9)
    if task == HEAD_ON:
        assert found["others"] == pytest.approx(part, abs=1e-9)
    else:
        assert found["others"] is None, "the star stands"


def test_it_is_least_squares_over_what_is_asked() -> None:
    """Against the sums of its definition, taken one by one, for places that have nothing to do with the truth."""
    quiet, clip = pair_of(HEAD_ON)
    rng = np.random.default_rng(1)
    before, after = (true_places(each) + rng.normal(0, 0.2, true_places(each).shape) for each in (quiet, clip))
    diameter = (quiet.diameters() + clip.diameters())[clip.handover + 1 :] / 2
    share = np.minimum(quiet.visible_share(), clip.visible_share())[clip.handover + 1 :]
    top = bottom = right = clear = 0.0
    for k in range(2):
        for t in range(clip.horizon):
            true = (true_places(quiet) - true_places(clip))[t, k] / diameter[t, k]
            found = (before - after)[t, k] / diameter[t, k]
            length = float(np.linalg.norm(true))
            if length > CHANGE.most:
                break
            if length <= CHANGE.least or share[t, k] < 0.25:
                continue
            top, bottom = top + float(found @ true), bottom + length**2
            clear += length > CHANGE.clear
            right += length > CHANGE.clear and float(found @ true) / length > CHANGE.least
    found = read(quiet, before, clip, after)
    assert found[""] == pytest.approx(top / bottom, rel=1e-6) and found["sign"] == pytest.approx(right / clear)


def test_across_is_neither_right_nor_wrong() -> None:
    quiet, clip = pair_of(THRUST)
    same = true_places(quiet)
    across = (true_places(clip) - same)[..., ::-1] * (1, -1)
    found = read(quiet, same, clip, same + across)
    assert found[""] == pytest.approx(0, abs=1e-9) and found["sign"] == 0
    assert found["error"] == pytest.approx(np.sqrt(2))


def followed(quiet: Clip, places: Places, clip: Clip, pushed: Places) -> tuple[float | None, ...]:
    """Size, direction in degrees and delay in frames."""
    found = of_push(quiet, tracks_at(quiet, places), clip, tracks_at(clip, pushed))
    return tuple(found[key].value for key in ("", "direction", "delay"))


@pytest.mark.parametrize(
    ("size", "turn", "delay"), [(1, 0, 0), (0.5, 30, 0), (1.5, 180, 2), (0.8, 90, 1), (1, 0, -1), (1, 0, -2)]
)
def test_size_direction_and_delay_of_a_push_are_read(size: float, turn: float, delay: int) -> None:
    """The true effect is a straight line up to the hit: made larger, turned and late, both rollouts wrong alike."""
    quiet, clip = pair_of(HEAD_ON)
    (push,) = clip.scene.impulses
    same, ahead = true_places(quiet), clip.times[clip.handover + 1 :]
    after = int(np.flatnonzero(ahead > push.time)[2])
    effect = np.zeros_like(same)
    speed = (true_places(clip) - same)[after, 0] / (ahead[after] - push.time)
    angle = np.radians(turn)
    turned = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ speed
    effect[:, 0] = np.maximum(ahead - push.time - delay / 15, 0)[:, None] * turned
    drift = 0.05 * np.sin(np.arange(len(same)))[:, None, None]
    found = followed(quiet, same + drift, clip, same + effect + drift)
    assert found[::2] == pytest.approx((size, delay), abs=0.02) and found[1] == pytest.approx(turn, abs=1.0)


def test_a_push_that_is_not_followed_has_no_direction() -> None:
    quiet, clip = pair_of(HEAD_ON)
    same = true_places(quiet)
    assert followed(quiet, same, clip, same) == (0, None, None)
    lost = same.copy()
    lost[:, 0] = np.nan
    found = of_push(quiet, tracks_at(quiet, same), clip, tracks_at(clip, lost))
    assert found[""].status == "not applicable" and "fewer than 4 frames" in found[""].reason
    alike = of_push(quiet, tracks_at(quiet, same), quiet, tracks_at(quiet, same))
    assert alike[""].reason == "the two clips have the same pushes"
    alone = push_followed.function(clip, None, None)  # type: ignore[arg-type]
    assert isinstance(alone, dict) and "only in the suite counterfactuals" in alone[""].reason


@pytest.mark.parametrize("where", ["without the push", "with it"])
def test_to_lose_an_object_is_to_say_nothing_of_it(where: str) -> None:
    quiet, clip = pair_of(HEAD_ON)
    before, after = true_places(quiet), true_places(clip)
    whole = read(quiet, before, clip, after)
    (before if where == "without the push" else after)[:, 0] = np.nan  # the pushed ball
    found = read(quiet, before, clip, after)
    assert found["pushed"] == 0 and found["others"] == pytest.approx(1)
    assert 0 < (found[""] or 0) < 0.9 and 0 < (found["sign"] or 0) < (whole["sign"] or 0)
    assert 0.1 < (found["error"] or 0) < 1


def test_nothing_is_asked_where_nothing_changes_or_nothing_is_known() -> None:
    quiet, clip = pair_of(THRUST)
    same = of_pair(quiet, tracks_at(quiet, true_places(quiet)), quiet, tracks_at(quiet, true_places(quiet)))
    assert list(same) == [""] and same[""].status == "not applicable" and "nothing changes" in same[""].reason
    alone = counterfactual.function(quiet, None, None)  # type: ignore[arg-type]
    assert isinstance(alone, dict) and alone[""].reason == "the clip that this is a change of was not run"
    other = counterfactual.function(clip, None, None)  # type: ignore[arg-type]
    assert isinstance(other, dict) and other[""].reason.startswith("only in the suite counterfactuals, in the row")


def test_who_failed_and_who_is_not_asked() -> None:
    quiet, clip = pair_of(THRUST)
    tracks = tracks_at(quiet, true_places(quiet))
    (row,) = score_pair(quiet, tracks, clip, None, 1, [counterfactual])
    assert (row.clip, row.sample, row.status, row.value) == (quiet.id, 1, "failed", None)
    assert row.reason == f"{clip.id} failed" and row.quality is None
    (row,) = score_pair(quiet, None, clip, tracks, 0, [counterfactual], "the model takes no actions")
    assert (row.status, row.reason) == ("not applicable", "the model takes no actions")
    broken = replace(counterfactual, pair=lambda *_: {"": Reading(float("nan"))})
    assert score_pair(quiet, tracks, clip, tracks, 0, [broken])[0].status == "failed"


@pytest.mark.parametrize(
    ("factor", "least", "most"),
    others_slow([(1.0, 0.99, 1.01), (0.5, 0.45, 0.55), (2.0, 1.7, 2.3), (-1.0, -1.2, -0.7)], 2),
)
def test_sabotage_of_known_size(factor: float, least: float, most: float) -> None:
    """The thrust times a factor, simulated, drawn and tracked: what it changes follows it, its sign included."""
    quiet, clip = pair_of(THRUST)
    (push,) = clip.scene.impulses
    x, y, z = push.impulse
    scene = replace(clip.scene, impulses=(replace(push, impulse=(factor * x, factor * y, factor * z)),))
    pushed = sabotage.picture(clip, sabotage.twin(clip, scene), scene)
    before, after = (
        track(each, CONTEXT, np.concatenate([each.context(CONTEXT), frames]))
        for each, frames in ((quiet, quiet.future()), (clip, pushed))
    )
    found = {key: reading.value for key, reading in of_pair(quiet, before, clip, after).items()}
    assert least < (found[""] or 0) < most and found["sign"] == (factor > 0)
    own = {key: reading.value or 0 for key, reading in of_push(quiet, before, clip, after).items()}
    assert own[""] == pytest.approx(abs(factor), rel=0.2) and abs(own["delay"]) < 0.6
    assert own["direction"] == pytest.approx(180 * (factor < 0), abs=12)
    if factor == 1:
        assert (found["error"] or 1) < 0.02


DEAF = """\
import torch
from physbench.models.protocol import ModelCard

class Deaf:
    card = ModelCard("deaf", (64, 64), 15, 4, uses_actions=True, stochastic=True)

    def __init__(self, fails):
        self.fails = fails

    def rollout(self, context, *, horizon, actions, prompts, generators):
        if self.fails and actions is not None and actions.any():
            raise RuntimeError("cannot be pushed")
        steps = torch.stack([torch.randn(2, generator=generator) for generator in generators])
        return torch.stack([
            torch.stack([last.roll([round(float(s) * t / 4) for s in step], (-2, -1)) for t in range(horizon)])
            for last, step in zip(context[:, -1], steps)
        ])

def factory(*, device, dtype, fails=""):
    return Deaf(fails)
"""
Eval = Callable[..., RunFolder]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Eval:
    """evaluate(model, *more): a run of one pair and a clip without its other one, without a report."""
    (tmp_path / "deaf.py").write_text(DEAF)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("physbench.result.report.page.write_report", write_result_alone)

    def run_of(model: str, *more: str) -> RunFolder:
        chosen = (
            "--suite",
            "counterfactuals",
            "--tasks",
            "kepler-thrust",
            "--limit",
            "3",
            "--batch-size",
            "1",
            "--no-diagnosis",
        )
        scorers = ("--scorers", "consistency/counterfactual,consistency/shadowing", "--device", "cpu")
        assert run(["eval", model, *chosen, *scorers, "--out", "run", *more]) == 0
        return RunFolder(tmp_path / "run")

    return run_of


def values(folder: RunFolder) -> pd.DataFrame:
    table = pd.read_parquet(folder.scores)
    return table[table["reading"].str.startswith("consistency/counterfactual")]


@pytest.mark.slow
def test_to_ignore_actions_reads_0_in_a_run(evaluate: Eval) -> None:
    """The model's noise is the same in both clips, so that nothing but the push can make a difference."""
    folder = evaluate("deaf.py:factory", "--samples", "2")
    rows = values(folder)
    whole = rows[rows["reading"] == "consistency/counterfactual"]
    assert list(whole["clip"].str.endswith("unpushed")) == [False, False, True, True, False, False]
    assert list(whole["value"].round(3).fillna(-9)) == [-9, -9, 0, 0, -9, -9] and whole["axis"].isna().all()
    assert (whole["status"] == ["not applicable"] * 2 + ["ok"] * 2 + ["not applicable"] * 2).all()
    parts = rows[rows["reading"] != "consistency/counterfactual"].groupby("reading")["value"].max()
    expected = {"error": 1, "others": np.nan, "pushed": 0, "sign": 0}
    assert parts.rename(lambda name: name.split(".")[1]).to_dict() == pytest.approx(expected, abs=1e-3, nan_ok=True)
    result = json.loads(folder.result.read_text())
    value = result["readings"]["consistency/counterfactual"]["tasks"][THRUST]
    assert (value["clips"], value["applicable"]) == (1, 1) and value["value"] == pytest.approx(0, abs=1e-3)
    assert value["references"]["truth"] == pytest.approx(1, abs=0.01) and value["references"]["freeze"] == 0
    assert value["references"]["constant-velocity"] == pytest.approx(0, abs=1e-3)
    assert result["sentences"][-1] == "A push does 0.00 of what it should (truth 1)."
    before, pair = folder.scores.read_bytes(), folder.pair("orbits.kepler-thrust-v1.test.0.unpushed", 1)
    pair.unlink()
    folder.reference("truth").pair("orbits.kepler-thrust-v1.test.0.unpushed").write_text("{")
    evaluate("deaf.py:factory", "--samples", "2", "--resume")
    assert read_part(pair) is not None and folder.scores.read_bytes() == before


@pytest.mark.slow
def test_the_oracle_reads_1_and_who_takes_no_actions_is_not_asked(evaluate: Eval) -> None:
    result = json.loads(evaluate("baseline:oracle").result.read_text())
    assert result["readings"]["consistency/counterfactual"]["tasks"][THRUST]["value"] == pytest.approx(1, abs=0.01)
    assert not [sentence for sentence in result["sentences"] if "push" in sentence]
    folder = evaluate("baseline:freeze", "--fresh")
    value = json.loads(folder.result.read_text())["readings"]["consistency/counterfactual"]["tasks"][THRUST]
    assert value["value"] is None and value["references"]["freeze"] == 0
    assert "the model takes no actions" in set(values(folder)["reason"])


@pytest.mark.slow
def test_a_clip_that_fails_fails_its_pair(evaluate: Eval) -> None:
    folder = evaluate("deaf.py:factory", "--model-arg", "fails=yes")
    rows = values(folder).set_index("clip")
    assert rows.at["orbits.kepler-thrust-v1.test.0.unpushed", "status"] == "failed"
    assert rows.at["orbits.kepler-thrust-v1.test.0.unpushed", "reason"] == "orbits.kepler-thrust-v1.test.0 failed"
    result = json.loads(folder.result.read_text())
    assert result["counts"]["failed"] == 2 and not result["unavailable"]
    assert not [sentence for sentence in result["sentences"] if "push" in sentence]
