"""result.json from known scores, several samples a clip among them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from made_runs import built_once
from slow_cases import others_slow

from physbench.clips.suite import PUBLISHED_VERSION, find_suite
from physbench.result.build import FINAL_FROM, build_result, distribution
from physbench.result.document import SkillValue
from physbench.result.manifest import read_manifest
from physbench.result.report.summary import summary_view
from physbench.score.protocol import ReadingRole
from physbench.score.score_clip import reading_of
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

FEW = {"resamples": 400}


def replace_scores(folder: RunFolder, other: str) -> None:
    """Let the model have the scores of a reference."""
    folder.scores.write_bytes(folder.reference(other).scores.read_bytes())


def change_manifest(folder: RunFolder, **changes: object) -> None:
    write_json(folder.manifest, {**read_manifest(folder).document(), **changes})


def test_values_are_those_of_the_scores(make_run) -> None:
    folder = make_run()
    result = built_once(folder, **FEW)
    table, truth, freeze = (
        pd.read_parquet(place.scores) for place in (folder, folder.reference("truth"), folder.reference("freeze"))
    )

    def mean(of: pd.DataFrame, task: str, axis: str) -> float:
        return float(of[(of["task"] == task) & (of["axis"] == axis)]["quality"].mean())

    tasks = sorted(table["task"].unique())
    skills = []
    for task in tasks:
        q, t, f = (mean(of, task, "consistency") for of in (table, truth, freeze))
        found = result.tasks[task]["consistency"]
        assert found.quality == pytest.approx(q, abs=1e-6)
        assert found.references["truth"] == pytest.approx(t, abs=1e-6)
        assert found.kind == "informative"
        assert found.skill == pytest.approx((q - f) / (t - f), abs=1e-5)
        assert found.interval[0] < q < found.interval[1]
        skills.append((q - f) / (t - f))
    axis = result.axes["consistency"]
    assert axis.skill == pytest.approx(sum(skills) / 4, abs=1e-5)
    assert axis.informative == 4
    adds = [result.by_family[family].skill for family in result.families]
    assert result.overall.skill == pytest.approx(sum(adds) / len(adds), abs=1e-5)
    # orbits: one task, informative on two axes; its one guard, permanence, has the weight of one of them, a half.
    kepler = {a: found.skill for a, found in result.tasks["orbits/kepler-v1"].items()}
    gain = (kepler["consistency"] + kepler["drift"]) / 2
    assert result.by_family["orbits"].skill == pytest.approx(gain * (1 + kepler["permanence"] / 2), abs=1e-5)
    for a, found in result.axes.items():  # what a reader sees adds up
        own = [family[a] for family in result.families.values()]
        gains = [each.skill for each in own if each.skill is not None]
        lost = sum(each.guard for each in own if each.guard is not None)
        assert found.skill == pytest.approx(sum(gains) / len(gains) + lost, abs=1e-5)
    assert result.axes["permanence"].informative == 1
    assert result.axes["permanence"].guards == 3
    assert result.tasks["orbits/kepler-v1"]["permanence"].kind == "guard"
    assert result.tasks["orbits/kepler-v1"]["permanence"].skill < 0
    assert set(result.splits) == {"test", "ood"}
    assert result.splits["ood"]["drift"].clips == 32
    assert result.provisional is True
    assert result.note == ""
    assert result.unavailable == {"appearance/lpips": "weights"}


def test_truth_scores_one_and_freeze_nothing(make_run) -> None:
    folder = make_run()
    replace_scores(folder, "truth")
    best = built_once(folder, **FEW)
    assert best.overall.skill == pytest.approx(1.0, abs=1e-6)
    assert best.references["constant-velocity"].ahead.interval[0] > 0.5
    replace_scores(folder, "freeze")
    frozen = built_once(folder, **FEW)
    assert frozen.overall.skill == pytest.approx(0.0, abs=1e-6)
    assert frozen.overall.interval[0] <= 0 <= frozen.overall.interval[1]
    assert frozen.references["constant-velocity"].ahead.interval[1] < 0


@pytest.mark.parametrize("source", others_slow(["model", "truth", "freeze", "constant-velocity"], 2))
def test_every_interval_holds_its_estimate(make_run, source: str) -> None:
    folder = make_run()
    if source != "model":
        replace_scores(folder, source)
    result = built_once(folder, resamples=1000)
    found = [(result.overall.skill, result.overall.interval)]
    for axis in result.axes.values():
        found += [(axis.skill, axis.interval), (axis.quality, axis.quality_interval)]
    for axes in (*result.tasks.values(), *result.families.values()):
        for value in axes.values():
            found += [(value.quality, value.interval), (value.skill, value.skill_interval)]
    found = [(value, interval) for value, interval in found if interval is not None]
    assert len(found) > 40
    for value, (low, high) in found:
        assert low - 1e-6 <= value <= high + 1e-6


def test_the_order_of_rows_does_not_matter(make_run) -> None:
    folder = make_run(8, 8, tasks=("falling/projectile-v1", "orbits/kepler-v1"))
    first = build_result(folder, **FEW)
    for place in (folder, folder.reference("truth"), folder.reference("freeze")):
        pd.read_parquet(place.scores).sample(frac=1, random_state=3).to_parquet(place.scores)
    assert build_result(folder, **FEW) == first


def test_a_family_of_three_tasks_has_an_interval_over_tasks(make_run) -> None:
    falling = tuple(f"falling/{name}-v1" for name in ("projectile", "drop", "wall-bounce"))
    result = built_once(make_run(8, 0, tasks=(*falling, "orbits/kepler-v1", "orbits/binary-v1")), **FEW)
    found = result.families["falling"]["consistency"]
    skills = [result.tasks[task]["consistency"].skill for task in falling]
    low, high = scipy.stats.t.interval(0.95, 2, loc=found.skill, scale=scipy.stats.sem(skills))
    assert found.tasks_interval == pytest.approx((low, high), abs=1e-5)
    assert result.families["orbits"]["consistency"].tasks_interval is None


def test_the_difference_to_constant_velocity_is_that_of_the_skills(make_run) -> None:
    result = built_once(make_run(), **FEW)
    beside = result.references["constant-velocity"]
    assert beside.ahead.skill == pytest.approx(result.overall.skill - beside.overall.skill, abs=2e-6)
    low, high = beside.ahead.interval
    assert low < beside.ahead.skill < high


def test_a_look_has_values_without_intervals_and_says_why(make_run) -> None:
    result = built_once(make_run(4, 0, suite="smoke"), **FEW)
    assert result.note == "a look, not a score: 4 clips a task"
    assert result.overall.skill is not None
    assert result.overall.interval is None
    assert result.overall.reason.startswith("too few clips: 4")
    for axes in result.tasks.values():
        for found in axes.values():
            assert found.quality is not None
            assert found.interval is None
            assert found.reason.startswith("too few clips")


def test_failed_clips_count_as_zero_and_are_listed(make_run) -> None:
    failed = frozenset({"falling.projectile-v1.test.0", "falling.projectile-v1.ood.7"})
    good, bad = built_once(make_run(), **FEW), built_once(make_run(failed=failed, name="bad"), **FEW)
    assert bad.counts.model_dump() == {"clips": 128, "samples": 1, "scored": 126, "failed": 2}
    assert {found.counted for found in bad.axis_counts.values()} == {128}  # what failed counts
    assert {item.clip for item in bad.failures} == failed
    assert bad.failures[0].reason.startswith("ValueError")
    before, after = (r.tasks["falling/projectile-v1"]["consistency"] for r in (good, bad))
    assert after.clips == before.clips == 32
    assert after.quality < before.quality * 31 / 32
    assert bad.lawful.seconds < good.lawful.seconds


def test_overall_needs_every_task_of_the_suite(make_run) -> None:
    folder = make_run(tasks=("falling/projectile-v1", "occlusion/screen-pass-v1"))
    options = {**read_manifest(folder).document()["options"], "tasks": "[fo]*"}
    change_manifest(folder, options=options)
    result = built_once(folder, **FEW)
    assert result.suite.complete is False
    why = "not every task of the suite was run"
    assert result.overall == SkillValue(skill=None, interval=None, reason=why)
    assert result.axes["drift"].skill is not None


def test_an_axis_without_informative_task_is_null_with_the_reason(make_run) -> None:
    result = built_once(make_run(tasks=("falling/projectile-v1",)), **FEW)
    assert result.axes["permanence"].skill is None
    assert result.axes["permanence"].reason == "no informative task"
    assert result.overall.reason == "no skill on object permanence, and overall needs every axis"
    assert result.by_family["falling"].skill is not None


def test_an_axis_that_was_not_scored_is_null_with_the_reason(make_run) -> None:
    folder = make_run()
    table = pd.read_parquet(folder.scores)
    table[table["axis"] != "drift"].to_parquet(folder.scores)
    result = built_once(folder, **FEW)
    assert result.axes["drift"].reason == "not measured"
    assert result.tasks["orbits/kepler-v1"]["drift"].kind == "absent"


def test_readings_stand_beside_those_of_truth(make_run) -> None:
    reading = built_once(make_run(), **FEW).readings["laws/gravity"]
    assert reading.unit == "m/s2"
    assert reading.statistic == "median"
    value = reading.tasks["falling/projectile-v1"]
    assert value.value == pytest.approx(6.2, abs=0.1)
    assert value.interval[0] < value.value < value.interval[1]
    assert value.references["truth"] == 9.81
    assert value.departs is True


def test_lawful_time_is_the_mean_over_families(make_run) -> None:
    folder = make_run()
    table = pd.read_parquet(folder.scores)
    rows = table[table["reading"] == "consistency/shadowing.shadowing-time"]
    expected = rows.groupby("task")["value"].mean().mean()
    lawful = built_once(folder, **FEW).lawful
    assert lawful.seconds == pytest.approx(expected, abs=1e-6)
    assert lawful.horizon == pytest.approx(0.99 * 5)
    assert lawful.interval[0] < expected < lawful.interval[1]


def test_the_same_scores_give_the_same_result(make_run) -> None:
    folder = make_run()
    first = build_result(folder, **FEW)
    table = pd.read_parquet(folder.scores)
    table.sample(frac=1, random_state=1).to_parquet(folder.scores)
    assert build_result(folder, **FEW) == first


def test_a_folder_that_is_no_run_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        build_result(RunFolder(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"is not a run: it holds no manifest\.json"):
        build_result(RunFolder(tmp_path))


def test_an_unfinished_run_is_refused_with_how_far_it_is(make_run) -> None:
    folder = make_run()
    folder.scores.unlink()
    with pytest.raises(UsageError, match=r"not finished: 0 of 128 samples are scored.*--resume"):
        build_result(folder)


def test_a_run_that_lacks_clips_or_references_is_refused(make_run) -> None:
    folder = make_run()
    table = pd.read_parquet(folder.scores)
    table[table["clip"] != "orbits.kepler-v1.ood.2"].to_parquet(folder.scores)
    with pytest.raises(UsageError, match=r"1 of 128 clips have no scores, the first orbits\.kepler-v1\.ood\.2"):
        build_result(folder)
    folder = make_run(name="other")
    folder.reference("freeze").scores.unlink()
    with pytest.raises(UsageError, match="lacks the scores of freeze"):
        build_result(folder)


def test_files_that_cannot_be_read_are_refused(make_run) -> None:
    folder = make_run()
    folder.scores.write_bytes(b"PAR1 no")
    with pytest.raises(UsageError, match="cannot be read"):
        build_result(folder)
    change_manifest(folder, schema_version=9)
    with pytest.raises(UsageError, match="schema version 9; this physbench reads up to 1"):
        build_result(folder)
    folder.manifest.write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        build_result(folder)


def test_a_suite_is_final_once_its_validity_tables_are_published(make_run) -> None:
    core = find_suite("core")
    assert core.version in (PUBLISHED_VERSION, PUBLISHED_VERSION + 1) and FINAL_FROM <= PUBLISHED_VERSION
    assert core.in_development == (core.version > PUBLISHED_VERSION)
    folder = make_run(2, 0)
    suite = read_manifest(folder).document()["suite"]
    for extra, name in (({}, "core 2"), ({"in_development": True}, "core 2-dev")):
        change_manifest(folder, suite={**suite, "name": "core", "version": 2, **extra})
        result = build_result(folder, **FEW)
        assert result.provisional == bool(extra)
        assert result.suite_label == name == read_manifest(folder).suite.label


FALL, ORBIT, CHANCE = "falling/projectile-v1", "orbits/kepler-v1", "chance/galton-v1"


def row(task: str, seed: int, sample: int, role: ReadingRole, value: float | None, reason: str = "") -> dict:
    status = "ok" if value is not None else "failed"
    clip = f"{task.replace('/', '.')}.test.{seed}"
    named = {"task": task, "split": "test", "seed": seed, "clip": clip, "sample": sample}
    return {**named, "reading": reading_of(role), "value": value, "status": status, "reason": reason}


def table(task: str, clips: int, samples: int, spread: float, broken: int) -> list[dict]:
    """Errors 1 and 3 by turns, of which the spread stands for a share; `broken` samples of each clip are unlawful."""
    rows = []
    for seed in range(clips):
        error = 1.0 + 2.0 * (seed % 2)
        rows += [
            row(task, seed, 0, "samples-score", 0.5 * error),
            row(task, seed, 0, "open-score", 0.1),
            row(task, seed, 0, "samples-apart", spread),
            row(task, seed, 0, "samples-spread", spread * error),
            row(task, seed, 0, "samples-error", error),
        ]
        for sample in range(samples):
            rows.append(row(task, seed, sample, "lawfulness", 0.5))
            rows.append(row(task, seed, sample, "strict-lawfulness", 0.9 if sample < broken else 1.0))
    return rows


def tables(own: list[dict]) -> dict[str, pd.DataFrame]:
    strict = reading_of("strict-lawfulness")
    truth = [{**each, **({"value": 1.0} if each["reading"] == strict else {})} for each in own if each["sample"] == 0]
    return {"model": pd.DataFrame(own), "truth": pd.DataFrame(truth)}


def test_values_are_means_over_families_with_intervals() -> None:
    found = distribution(tables(table(FALL, 8, 4, 1.0, 1) + table(ORBIT, 8, 4, 0.5, 3)), 200)
    assert found is not None and found.samples == 4
    assert (found.crps.value, found.open, found.crps.clips) == (1.0, 0.1, 16)
    # squares: errors of 1 and 9 by turns; spreads the same, and a quarter of it
    assert found.spread_over_error.value == pytest.approx(np.sqrt((5 + 1.25) / 2 / 5), abs=1e-6)
    assert (found.lawful.value, found.lawful_truth) == (0.5, 1.0)
    for each in (found.crps, found.spread_over_error, found.lawful):
        assert each.interval is not None and each.interval[0] <= each.value <= each.interval[1]


def test_a_calibrated_ensemble_has_one_and_one_that_is_too_sure_less() -> None:
    ratios = [distribution(tables(table(FALL, 8, 2, spread, 0)), 50) for spread in (1.0, 0.3, 2.0)]
    assert [each.spread_over_error.value for each in ratios] == pytest.approx([1.0, 0.3, 2.0])


def test_a_sample_that_failed_is_not_lawful_and_one_sample_has_no_distribution() -> None:
    rows = table(FALL, 3, 2, 1.0, 0)
    for each in rows:
        if each["sample"] == 1:
            each.update(value=None, status="failed")
    found = distribution(tables(rows), 50)
    assert found is not None and found.lawful.value == 0.5
    assert found.lawful.interval is None and found.lawful.reason.startswith("too few clips: 3")
    assert distribution(tables(table(FALL, 3, 1, 1.0, 0)), 50) is None


def test_equal_samples_are_called_equal_in_place_of_an_interval_of_nothing(make_run) -> None:
    """By what they show, whatever the card says; samples that hardly differ are not equal."""
    equal = table(FALL, 8, 3, 0.0, 0) + table(ORBIT, 8, 3, 0.0, 0)
    found = distribution(tables(equal), 50)
    assert found is not None and found.equal and found.crps.value == 1.0
    assert (found.spread_over_error.value, found.spread_over_error.interval) == (None, None)
    assert found.spread_over_error.reason == "all samples of a clip are equal"
    result = built_once(make_run(), resamples=100)
    line = summary_view(result.model_copy(update={"distribution": found})).distribution
    assert line == (
        "3 samples a clip, all equal: the model is deterministic, and one sample tells all. CRPS in diameters "
        "1.00 [0.72, 1.29], what the context leaves open 0.10, lawful samples 1.00 [1.00, 1.00] (truth 1.00)."
    )
    lost = [{**each, "value": 2.0} if each["reading"] == reading_of("samples-apart") else each for each in equal]
    gone = distribution(tables(lost), 50)
    assert gone is not None and not gone.equal, "one of its samples loses an object"
    near = distribution(tables(table(FALL, 8, 3, 0.01, 0)), 50)
    assert near is not None and not near.equal and near.spread_over_error.value == pytest.approx(0.01)


def test_bins_stand_beside_those_of_simulations(make_run) -> None:
    """The mean over the clips that have bins; too few of them have no interval, and every reason is said once."""
    without = table(FALL, 8, 2, 1.0, 0)
    rows = without + [
        row(CHANCE, seed, 0, role, value)
        for seed in range(2)
        for role, value in (("chance-distance", 0.3 + 0.2 * seed), ("open-chance", 0.15))
    ]
    found = distribution(tables(rows), 50)
    assert found is not None and found.bins is not None
    assert (found.bins.value, found.open_bins, found.bins.clips, found.bins.interval) == (0.4, 0.15, 2, None)
    result = built_once(make_run(), resamples=100)
    line = summary_view(result.model_copy(update={"distribution": found})).distribution
    assert line.endswith(
        "lawful samples 1.00 [1.00, 1.00] (truth 1.00), distance of the bins 0.40 (simulations 0.15). Too few clips: 2 "
        "in a stratum, an interval needs 8."
    )
    plain = distribution(tables(without), 50)
    assert plain is not None and plain.bins is None and plain.open_bins is None


def test_what_no_clip_tells_says_why() -> None:
    rows = [row(FALL, seed, sample, "survival", 1.0) for seed in range(2) for sample in range(2)]
    found = distribution(tables(rows), 50)
    assert found is not None and found.crps.value is None and found.open is None
    assert found.crps.reason == "no clip has a CRPS"
    assert found.lawful.reason == "no motion is compared with the laws"
