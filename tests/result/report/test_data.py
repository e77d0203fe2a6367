"""Clips of the report: which ones, their captions, and why they broke in words and numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.result.build import build_result
from physbench.result.read import read_run
from physbench.result.report.data import SelectedClip, caption, figure, predictability, readings_of, select, shown_clips
from physbench.result.skill import clip_qualities, clip_skills, kinds, overall_weights
from physbench.score.protocol import AXES
from physbench.shadowing.shadow import Trace
from physbench.track.tracks import Visibility


def test_a_figure_names_the_readings_that_are_not_those_of_truth(small_run, kit) -> None:
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)
    found = figure(small_run, fall, shown, None, readings_of(tables, fall.row))
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "drift"]
    assert found.readings[0].name == "gravity"
    assert found.readings[0].truth == 9.81
    assert "shadowing time" in [value.name for value in found.readings]
    assert "survival" not in [value.name for value in found.readings]  # 0.97 and 0.99
    assert len(found.strips) == 2
    assert found.player is not None and found.player.seconds == 4.0


def test_a_figure_says_which_readings_are_not_valid_in_its_clip(small_run, kit) -> None:
    """Those with one reason together; not that a scene declares no outcomes, which says nothing."""
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)
    assert figure(small_run, fall, shown, None, readings_of(tables, fall.row)).not_valid == ()
    truth = tables["truth"]
    own = truth["axis"].isin(["consistency", "drift"])
    truth.loc[own, ["value", "quality"]] = None
    truth.loc[own, "reason"] = "cannot be shadowed: boxes that meet others turn and tip"
    other = truth[truth["axis"] == "consistency"].assign(reading="consistency/outcome", reason="none declared")
    changed = {**tables, "truth": pd.concat([truth, other])}
    found = figure(small_run, fall, shown, None, readings_of(changed, fall.row))
    assert found.not_valid == (
        "Shadowing and accuracy: not valid (cannot be shadowed: boxes that meet others turn and tip).",
    )


def test_an_axis_of_two_readings_names_the_one_that_is_valid(small_run, kit) -> None:
    """Else the accuracy of a tower, which cannot be shadowed, would be called stability."""
    _, tables = read_run(small_run)
    fall = ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)
    shown = SelectedClip(fall.id, "falling/projectile-v1", "worst", 0.5)

    def with_other(table: pd.DataFrame, axis: str, reading: str) -> pd.DataFrame:
        return pd.concat([table, table[table["axis"] == axis].assign(reading=reading, value=None, quality=None)])

    drift = {name: with_other(table, "drift", "drift/stability") for name, table in tables.items()}
    found = figure(small_run, fall, shown, None, readings_of(drift, fall.row))
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "accuracy"]
    both = {name: with_other(table, "consistency", "consistency/outcome") for name, table in tables.items()}
    found = figure(small_run, fall, shown, None, readings_of(both, fall.row))
    assert [value.name for value in found.qualities] == ["consistency", "permanence", "drift"]


def test_predictability_is_that_of_the_scores() -> None:
    table = pd.DataFrame(
        {
            "clip": ["a", "a", "b", "c"],
            "reading": ["drift/accuracy", *["drift/accuracy.predictability"] * 3],
            "value": [0.5, 3.0, None, 2.5],
        }
    )
    assert predictability(table) == {"a": 3.0, "c": 2.5}


WITHIN = "Every object stays within its diameter of ground truth."


@pytest.fixture(scope="module")
def clip(kit) -> Clip:
    return ClipStore().get(Row("orbits/kepler-v1", "test", 0), kit.SPEC)


def rows(**qualities: float | None) -> dict[str, dict[str, dict[str, object]]]:
    """One clip's readings: of the model as given, of ground truth 1."""
    names = {"shadowing": "consistency", "outcome": "consistency", "intact": "permanence"}
    model, truth = {}, {}
    for name, quality in qualities.items():
        axis = names.get(name, "drift")
        model[f"{axis}/{name}"] = {"axis": axis, "quality": quality, "value": quality}
        truth[f"{axis}/{name}"] = {"axis": axis, "quality": 1.0, "value": 1.0}
    return {"model": model, "truth": truth}


def broken(clip: Clip) -> Trace:
    """A body that leaves a lawful path at two tolerances."""
    n, bodies = clip.horizon + 1, 1
    return Trace(
        rungs=np.array([0.03, 0.2], dtype=np.float32),
        columns=np.array([0], dtype=np.int16),
        times=np.arange(n, dtype=np.float32) / 15,
        due=np.ones((n, bodies), dtype=bool),
        weight=np.ones((2, n, bodies), dtype=np.float16),
        rung=np.array([0, 1, 1], dtype=np.int16),
        body=np.zeros(3, dtype=np.int16),
        frame=np.array([3, 20, 9], dtype=np.int16),
        time=np.array([0.2, 1.3, 0.6], dtype=np.float32),
        gross=np.zeros(3, dtype=bool),
        jump=np.ones(3, dtype=np.float32),
        kick=np.ones(3, dtype=np.float32),
        lawful=np.full((3, 13, 2), np.nan, dtype=np.float32),
    )


def test_what_happens_to_each_object(clip: Clip, kit) -> None:
    error = np.full((clip.horizon, 2), 0.2)
    tracks = kit.true_tracks(clip)
    fine = rows(shadowing=0.97, intact=1.0)
    assert caption(clip, fine, error, tracks) == (WITHIN,)
    error[29:60, 0] = 1.5
    error[90:, 0] = np.inf
    error[60:, 1] = np.nan
    tracks.state[tracks.context + 105 :, 0] = Visibility.ABSENT
    (sentence,) = caption(clip, fine, error, tracks)
    hue = sentence.split("(")[1].split(")")[0]
    assert sentence == (
        f"Planet ({hue}) is off by more than its diameter at 2.0 s, is missing from 7.1 s (in 12 % of the time it "
        "should be seen) and is too deformed to be located from 6.1 s (in 12 % of the time it should be seen)."
    )
    assert f"A large {hue} planet" in clip.scene.prompt
    assert caption(clip, fine, None, tracks) == caption(clip, fine, error, None) == ()


def test_a_caption_does_not_contradict_a_score(clip: Clip, kit) -> None:
    """A tower that falls to the other side may keep every object within its diameter, as may a law that is broken."""
    near, tracks = np.full((clip.horizon, 2), 0.2), kit.true_tracks(clip)
    tower = rows(outcome=0.0, intact=1.0)
    for source, value in (("model", 0.0), ("truth", 1.0)):
        tower[source]["consistency/outcome.falls-left"] = {"axis": None, "quality": None, "value": value}
    assert caption(clip, tower, near, tracks) == (
        "Worst here: physical consistency, 0.00 (truth 1.00): it does not end as the truth does (falls left 0.00, "
        "truth 1.00).",
    )
    (said,) = caption(clip, rows(shadowing=0.3, intact=0.8), near, tracks, broken(clip))
    assert said.startswith("Worst here: physical consistency, 0.30 (truth 1.00): planet (")
    assert said.endswith(") leaves every lawful path by 0.2 diameters from 0.6 s on."), "first at the largest tolerance"
    (said,) = caption(clip, rows(shadowing=0.9, intact=0.2), near, tracks, broken(clip))
    assert said == "Worst here: object permanence, 0.20 (truth 1.00)."
    (said,) = caption(clip, rows(accuracy=0.01, stability=0.11), near, tracks)
    assert said == "Worst here: long-horizon drift (accuracy), 0.01 (truth 1.00).", "the axis is the mean of both"
    (said,) = caption(clip, rows(accuracy=None), near, tracks)
    assert said == "Worst here: long-horizon drift, 0.00 (truth 1.00)."


@pytest.mark.parametrize("quality", [0.0, 0.3, 0.6, 0.85])
@pytest.mark.parametrize("name", ["shadowing", "outcome", "intact", "accuracy"])
def test_nothing_is_called_fine_that_a_reading_marks_down(clip: Clip, kit, name: str, quality: float) -> None:
    near = np.full((clip.horizon, 2), 0.2)
    assert WITHIN not in caption(clip, rows(**{name: quality}), near, kit.true_tracks(clip))


def test_where_objects_are_mostly_missing_that_comes_first_and_no_motion_is_described(clip: Clip, kit) -> None:
    tracks = kit.true_tracks(clip)
    error = np.full((clip.horizon, len(clip.tracked_bodies)), np.inf)
    tracks.state[tracks.context :] = Visibility.ABSENT
    said = caption(clip, rows(shadowing=0.0, intact=0.1), error, tracks, broken(clip))
    assert "is missing from" in said[0]
    assert said[-1].startswith("Worst here: ") and "leaves every lawful path" not in " ".join(said)


def test_the_worst_and_the_median_clip_of_each_task(make_run) -> None:
    failed = frozenset({"orbits.kepler-v1.test.0"})
    folder = make_run(5, 0, failed=failed)
    manifest, tables = read_run(folder)
    chosen = select(manifest, tables)
    assert [item.place for item in chosen] == ["worst", "median"] * 4
    qualities = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"])
    skills = clip_skills(qualities, kinds(qualities))
    for item in chosen:
        ranked = sorted((skills[clip], clip) for clip in skills if item.task.replace("/", ".") in clip)
        ranked = [clip for _, clip in ranked if clip not in failed]
        assert item.clip == ranked[0 if item.place == "worst" else len(ranked) // 2]
        assert item.skill == skills[item.clip]
    assert shown_clips(folder) == tuple(item.clip for item in chosen)


def test_the_choice_does_not_depend_on_the_order_of_rows_and_ties_go_by_name(make_run) -> None:
    manifest, tables = read_run(make_run(5, 0))
    assert select(manifest, {**tables, "model": tables["model"].sample(frac=1, random_state=3)}) == select(
        manifest, tables
    )
    tables["model"].loc[tables["model"]["axis"].notna(), "quality"] = 0.5
    assert [item.clip[-1] for item in select(manifest, tables)] == ["0", "2"] * 4


def test_the_mean_over_clips_is_what_the_table_says_of_a_task_less_what_guards_take(make_run) -> None:
    """projectile: permanence is a guard on which the model reads 0.97 of 1."""
    folder = make_run(5, 0)
    _, tables = read_run(folder)
    qualities = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"])
    found = kinds(qualities)
    own = [skill for clip, skill in clip_skills(qualities, found).items() if "projectile" in clip]
    task, guard = "falling/projectile-v1", AXES.index("permanence")
    cells = build_result(folder, resamples=100).tasks[task]
    weights = overall_weights(found)[task]
    gained = np.mean([cells[axis].skill for axis in ("consistency", "drift")])
    lost = cells["permanence"].skill * weights[guard] / (weights.sum() - weights[guard])
    assert found[task][guard] == "guard" and lost < -0.005
    assert np.mean(own) == pytest.approx(gained + lost, abs=1e-6)


def test_a_guard_decides_less_than_what_can_be_gained(make_run) -> None:
    """An object that is lost in one clip, and wrong motion in another: the latter is the worse clip."""
    manifest, tables = read_run(make_run(5, 0))
    model = tables["model"]
    model.loc[model["axis"].notna(), "quality"] = 0.6
    for clip, axes in (("falling.projectile-v1.test.1", ["permanence"]), ("falling.projectile-v1.test.2", ["drift"])):
        model.loc[(model["clip"] == clip) & model["axis"].isin(axes), "quality"] = 0.2
    worst = {item.task: item.clip for item in select(manifest, tables) if item.place == "worst"}
    assert worst["falling/projectile-v1"] == "falling.projectile-v1.test.2"


def test_nothing_is_shown_where_all_failed(make_run) -> None:
    _, tables = read_run(make_run(2, 0, name="ok"))
    assert shown_clips(make_run(2, 0, failed=frozenset(tables["model"]["clip"]))) == ()
