"""Which clips a report shows."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.result.build import build_result
from physbench.result.read import read_run
from physbench.result.report.data import select, shown_clips
from physbench.result.skill import clip_qualities, clip_skills, kinds, overall_weights
from physbench.score.protocol import AXES


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
