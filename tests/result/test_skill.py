"""Skill and weights of tasks against values worked out by hand, and what too few deciding events cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import built_once
from rich.console import Console
from scipy.stats import binom

from physbench.clips.suite import PUBLISHED_VERSION
from physbench.result.build import write_result
from physbench.result.report.markdown import markdown
from physbench.result.report.page import write_report
from physbench.result.report.tables import event_sentences
from physbench.result.report.terminal import print_summary
from physbench.result.skill import (
    MIN_CLIPS,
    Kind,
    Stratum,
    clip_qualities,
    event_frequencies,
    event_losses,
    frequency,
    kind,
    kinds,
    overall_weights,
    skills,
    sum_distribution,
    task_means,
    task_weights,
)
from physbench.result.task_roles import print_weights, weight_table
from physbench.score.protocol import AXES
from physbench.support.errors import PhysbenchError
from physbench.support.run_folder import RunFolder

REFERENCES = slice(1, 3)


def table(qualities: dict[tuple[str, str, str], list[float | None]], samples: int = 1) -> pd.DataFrame:
    """Score table from {(task, split, axis): quality of each clip}, with a diagnostic row that must not matter."""
    rows = []
    for (task, split, axis), values in qualities.items():
        for seed, value in enumerate(values):
            for sample in range(samples):
                clip = f"{task}.{split}.{seed}"
                head = {"clip": clip, "task": task, "split": split, "seed": seed, "sample": sample}
                rows.append(head | {"reading": f"{axis}/x", "axis": axis, "value": value, "quality": value})
                rows.append(head | {"reading": "laws/x", "axis": None, "value": None, "quality": None})
    return pd.DataFrame(rows)


def scored(model: pd.DataFrame, truth: pd.DataFrame, freeze: pd.DataFrame):
    qualities = clip_qualities({"model": model}, truth, freeze)
    means = task_means(qualities.means(), qualities.counts())
    return skills(means, kinds(qualities), 0, REFERENCES)


def same_on_all_axes(**values: float) -> pd.DataFrame:
    return table({(task.replace("_", "/"), "test", axis): [q, q] for task, q in values.items() for axis in AXES})


@pytest.mark.parametrize(
    ("truth", "freeze", "expected"),
    [
        (1.0, 0.1, "informative"),
        (1.0, 0.75, "informative"),
        (0.9, 0.8, "guard"),
        (0.6, 0.9, "guard"),
        (0.4, 0.1, "unscored"),
        (0.5, 0.1, "informative"),
        (np.nan, 0.1, "absent"),
    ],
)
def test_kind_of_a_task(truth: float, freeze: float, expected: str) -> None:
    assert kind(truth, freeze) == expected


def test_by_hand() -> None:
    """Two families: f/a and f/b informative, g/c informative, g/d a guard, g/e not scored."""
    truth = same_on_all_axes(f_a=1.0, f_b=0.9, g_c=1.0, g_d=0.9, g_e=0.4)
    freeze = same_on_all_axes(f_a=0.2, f_b=0.1, g_c=0.0, g_d=1.0, g_e=0.3)
    model = same_on_all_axes(f_a=0.6, f_b=0.5, g_c=0.3, g_d=0.45, g_e=1.0)
    got = scored(model, truth, freeze)
    np.testing.assert_allclose(got.task["f/a"], 0.4 / 0.8)
    np.testing.assert_allclose(got.task["f/b"], 0.4 / 0.8)
    np.testing.assert_allclose(got.task["g/c"], 0.3)
    np.testing.assert_allclose(got.task["g/d"], 0.45 / 0.9 - 1)
    assert np.isnan(got.task["g/e"]).all()
    # The one family with a guard would give it the weight 1; f/a and f/b weigh a quarter each.
    np.testing.assert_allclose(got.axis, (0.5 + 0.3) / 2 - 0.5 / 4)
    # f gains a half. g gains 0.3 by one task, so that its guard weighs as much as that: it halves what was gained.
    np.testing.assert_allclose([got.family["f"], got.family["g"]], [0.5, 0.3 * (1 - 0.5)])
    np.testing.assert_allclose(got.overall, (0.5 + 0.15) / 2)
    np.testing.assert_allclose(got.family_quality["g"], (0.3 + 0.45) / 2)  # g/e is left out
    np.testing.assert_allclose(got.axis_quality, ((0.6 + 0.5) / 2 + (0.3 + 0.45) / 2) / 2)


def test_guards_of_a_family_are_averaged_before_the_minimum() -> None:
    """One guard 10 % above and one 10 % below the references cost nothing together; alone the second costs 0.1."""
    truth = same_on_all_axes(f_a=1.0, f_b=0.8, f_c=0.8)
    freeze = same_on_all_axes(f_a=0.0, f_b=0.8, f_c=0.8)
    got = scored(same_on_all_axes(f_a=0.5, f_b=0.88, f_c=0.72), truth, freeze)
    np.testing.assert_allclose(got.axis, 0.5)
    np.testing.assert_allclose(got.task["f/c"], -0.1)
    got = scored(same_on_all_axes(f_a=0.5, f_b=0.80, f_c=0.72), truth, freeze)
    np.testing.assert_allclose(got.axis, 0.45)


def test_a_guard_that_ground_truth_fails_costs_nothing() -> None:
    truth = same_on_all_axes(f_a=1.0, f_b=0.0)
    got = scored(truth, truth, same_on_all_axes(f_a=0.0, f_b=0.5))
    assert kind(0.0, 0.5) == "guard"
    np.testing.assert_allclose(got.axis, 1.0)


def test_an_axis_without_informative_task_has_no_skill_and_there_is_no_overall() -> None:
    truth, freeze = same_on_all_axes(f_a=0.9), same_on_all_axes(f_a=0.8)
    got = scored(same_on_all_axes(f_a=0.4), truth, freeze)
    assert np.isnan(got.axis).all()
    assert np.isnan(got.overall)
    np.testing.assert_allclose(got.guard["f"], 0.4 / 0.8 - 1)


def test_overall_is_a_mean_over_families_whatever_their_tasks_and_axes() -> None:
    """Four families of 1 to 4 tasks, one of them informative on more axes: truth in one and frozen elsewhere is 1/4."""
    tasks = {family: [f"{family}/{n}" for n in range(size)] for size, family in enumerate("fghi", 1)}
    informative = {"f": AXES, "g": AXES[:1], "h": AXES[:2], "i": AXES[1:2]}
    every = [(task, axis) for members in tasks.values() for task in members for axis in AXES]
    truth = {(task, "test", axis): [1.0, 1.0] for task, axis in every}
    freeze = {(t, "test", a): [0.0 if a in informative[t[0]] else 1.0] * 2 for t, a in every}
    for family in tasks:
        own = {key: (truth if key[0].startswith(family) else freeze)[key] for key in truth}
        got = scored(table(own), table(truth), table(freeze))
        assert got.family == {name: pytest.approx(float(name == family)) for name in tasks}
        np.testing.assert_allclose(got.overall, 1 / 4)


def test_what_guards_take_never_ranks_a_frozen_frame_above_motion_that_is_wrong() -> None:
    """A motion that is right for a tenth and loses what a frozen frame keeps: it falls, and stays above the frame."""
    truth = same_on_all_axes(f_a=1.0, f_b=1.0, g_c=1.0)
    freeze = same_on_all_axes(f_a=0.0, f_b=1.0, g_c=0.0)
    kept, lost = (scored(same_on_all_axes(f_a=0.1, f_b=b, g_c=0.0), truth, freeze).overall for b in (1.0, 0.0))
    assert kept == pytest.approx(0.05) and lost == pytest.approx(0.0)
    half = scored(same_on_all_axes(f_a=0.1, f_b=0.5, g_c=0.0), truth, freeze).overall
    assert half == pytest.approx(0.025)
    # Below the frame a guard changes nothing: what is lost there cannot be lost twice.
    worse = same_on_all_axes(f_a=0.2, f_b=1.0, g_c=0.0)
    assert scored(same_on_all_axes(f_a=0.1, f_b=0.0, g_c=0.0), truth, worse).overall < 0


def test_axis_skill_is_floored() -> None:
    truth = same_on_all_axes(f_a=1.0, f_b=1.0)
    freeze = same_on_all_axes(f_a=0.7, f_b=1.0)
    np.testing.assert_allclose(scored(same_on_all_axes(f_a=0.0, f_b=0.0), truth, freeze).axis, -1.0)


def test_test_and_ood_clips_are_pooled_with_equal_weight() -> None:
    def make(test: float, ood: float) -> pd.DataFrame:
        return table({("f/a", s, axis): [q] * n for axis in AXES for s, q, n in (("test", test, 24), ("ood", ood, 8))})

    got = scored(make(0.8, 0.2), make(1.0, 1.0), make(0.0, 0.0))
    np.testing.assert_allclose(got.quality["f/a"], (24 * 0.8 + 8 * 0.2) / 32)


def test_what_is_missing_counts_as_zero_where_ground_truth_counts_and_nowhere_else() -> None:
    truth = table({("f/a", "test", axis): [1.0, 1.0, None, 1.0] for axis in AXES})
    freeze = table({("f/a", "test", axis): [0.0, 0.2, 1.0, 0.2] for axis in AXES})
    model = table({("f/a", "test", axis): [1.0, None, 1.0, 0.8] for axis in AXES})
    qualities = clip_qualities({"model": model}, truth, freeze)
    assert qualities.counts()[Stratum("f/a", "test")].tolist() == [3, 3, 3]
    got = scored(model, truth, freeze)
    np.testing.assert_allclose(got.quality["f/a"], 1.8 / 3)
    np.testing.assert_allclose(got.task["f/a"], (0.6 - 0.4 / 3) / (1 - 0.4 / 3))


def test_a_missing_headline_row_of_a_scored_clip_counts_as_zero() -> None:
    truth = same_on_all_axes(f_a=1.0)
    model = same_on_all_axes(f_a=0.6)
    lost = (model["clip"] == "f/a.test.0") & model["axis"].notna()
    np.testing.assert_allclose(scored(model[~lost], truth, same_on_all_axes(f_a=0.0)).quality["f/a"], 0.3)


def test_samples_of_a_clip_are_averaged() -> None:
    model = table({("f/a", "test", axis): [0.5, 0.5] for axis in AXES}, samples=3)
    model.loc[(model["sample"] == 0) & (model["seed"] == 0), "quality"] = 0.2
    got = scored(model, same_on_all_axes(f_a=1.0), same_on_all_axes(f_a=0.0))
    np.testing.assert_allclose(got.quality["f/a"], ((0.5 + 0.5 + 0.2) / 3 + 0.5) / 2)


def test_an_axis_that_was_not_scored_is_absent() -> None:
    truth, freeze, model = same_on_all_axes(f_a=1.0), same_on_all_axes(f_a=0.0), same_on_all_axes(f_a=0.5)
    got = scored(model[model["axis"] != "drift"], truth, freeze)
    np.testing.assert_allclose(got.axis, [0.5, 0.5, np.nan])
    assert np.isnan(got.overall)


def test_a_reference_that_lacks_a_clip_is_refused() -> None:
    truth = same_on_all_axes(f_a=1.0)
    with pytest.raises(PhysbenchError, match=r"truth lack 1 of 2 clips, the first f/a\.test\.0"):
        clip_qualities({"model": truth}, truth[truth["seed"] != 0], truth)


qualities_of_clips = st.lists(st.floats(0, 1), min_size=8, max_size=8)


@settings(max_examples=8, deadline=None)
@given(qualities_of_clips, qualities_of_clips, qualities_of_clips, st.randoms())
def test_for_any_scores(model: list[float], truth: list[float], freeze: list[float], random) -> None:
    """Truth scores 1, freeze 0, order of rows does not matter, a better clip never costs."""

    def make(values: list[float]) -> pd.DataFrame:
        return table({(task, "test", axis): values[i : i + 4] for i, task in ((0, "f/a"), (4, "g/b")) for axis in AXES})

    tables = make(model), make(truth), make(freeze)
    got = scored(*tables)
    ideal, frozen = scored(make(truth), *tables[1:]), scored(make(freeze), *tables[1:])
    for a in range(3):
        if np.isfinite(got.axis[a]):
            assert got.axis[a] >= -1
            assert ideal.axis[a] == pytest.approx(1)  # guards of truth cost nothing
            assert frozen.axis[a] == pytest.approx(0)
    order = list(range(len(tables[0])))
    random.shuffle(order)
    np.testing.assert_array_equal(scored(tables[0].iloc[order], *tables[1:]).axis, got.axis)
    better = scored(make([min(1.0, q + 0.1) for q in model]), *tables[1:])
    assert np.all(~(better.axis < got.axis - 1e-9))


DOCS = Path(__file__).parents[2] / "docs" / "design" / "skill.md"
GOLDEN = json.loads(files("physbench.clips").joinpath("golden", "kinds.json").read_text(encoding="utf-8"))["versions"]
PUBLISHED = [(version, size) for version, classes in GOLDEN.items() for size in classes]


def moved(kinds: dict[str, tuple[Kind, ...]], task: str) -> np.ndarray:
    """How far each axis (A,) falls where one task goes from ground truth to nothing, all others staying at truth."""
    width = len(kinds[task])

    def axis(lost: float) -> np.ndarray:
        means = {}
        for name, row in kinds.items():
            truth, freeze = np.ones(width), np.where([kind == "informative" for kind in row], 0.0, 1.0)
            means[name] = np.stack([truth * (lost if name == task else 1.0), truth, freeze])
        return skills(means, kinds, 0, slice(1, 3)).axis

    return axis(1.0) - axis(0.0)


def test_weights_by_hand() -> None:
    rows = {
        "f/a": ("informative", "informative", "guard"),
        "f/b": ("informative", "guard", "guard"),
        "g/c": ("informative", "guard", "unscored"),
        "g/d": ("guard", "absent", "informative"),
    }
    found = task_weights(rows)
    np.testing.assert_allclose(found["f/a"], [1 / 4, 1, 1 / 2])
    np.testing.assert_allclose(found["f/b"], [1 / 4, 1 / 2, 1 / 2])
    np.testing.assert_allclose(found["g/c"], [1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(found["g/d"], [1 / 4, 0, 1])  # a guard alone: not 1
    lines = weight_table(rows, found, AXES)
    assert lines[2:4] == ["| f/a | 0.250 | 1.000 | −0.500 |", "| f/b | 0.250 | −0.500 | −0.500 |"]


def test_overall_by_hand() -> None:
    rows = {
        "f/a": ("informative", "informative", "guard"),
        "f/b": ("informative", "guard", "guard"),
        "g/c": ("informative", "guard", "unscored"),
        "h/d": ("guard", "guard", "unscored"),
    }
    found = overall_weights(rows)
    # f and g are the families that show skill, half each; f/a has two axes. The guards of f have the weight of the
    # lightest cell, an eighth, that of g all of what g gains, and h has nothing to lose.
    np.testing.assert_allclose(found["f/a"], [1 / 8, 1 / 8, 1 / 8])
    np.testing.assert_allclose(found["f/b"], [1 / 4, 1 / 8, 1 / 8])
    np.testing.assert_allclose(found["g/c"], [1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(found["h/d"], 0)
    np.testing.assert_allclose(overall_weights(rows, axes=(0,))["f/a"], [1 / 4, 0, 0])


@pytest.mark.parametrize(("version", "size"), PUBLISHED)
def test_families_weigh_the_same_in_overall(version: str, size: str) -> None:
    rows = {task: tuple(row[axis] for axis in AXES) for task, row in GOLDEN[version][size].items()}
    weights = overall_weights(rows)
    families: dict[str, float] = {}
    for task, row in rows.items():
        gains = sum(weights[task][a] for a, kind in enumerate(row) if kind == "informative")
        families[task.split("/")[0]] = families.get(task.split("/")[0], 0.0) + gains
    assert families == {name: pytest.approx(1 / 4) for name in ("collisions", "falling", "occlusion", "orbits")}


@pytest.mark.parametrize(("version", "size"), PUBLISHED)
def test_no_guard_moves_an_axis_further_than_an_informative_task(version: str, size: str) -> None:
    rows = {task: tuple(row[axis] for axis in AXES) for task, row in GOLDEN[version][size].items()}
    weights = task_weights(rows)
    moves = {task: moved(rows, task) for task in rows}
    for a in range(len(AXES)):
        of = {kind: [task for task, row in rows.items() if row[a] == kind] for kind in ("informative", "guard")}
        none = "natural" in size or (version == "4" and AXES[a] == "consistency")  # a plate that stays hides scenery
        assert of["informative"] and (of["guard"] or none)
        least = min(moves[task][a] for task in of["informative"])
        assert all(moves[task][a] <= least + 1e-9 for task in of["guard"])
        for task in (*of["informative"], *of["guard"]):
            assert moves[task][a] == pytest.approx(weights[task][a])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("fgh"), st.sampled_from(["informative", "guard", "unscored"])), min_size=1))
def test_for_any_kinds(drawn: list[tuple[str, str]]) -> None:
    rows = {f"{family}/{n}": (kind,) for n, (family, kind) in enumerate(drawn)}
    weights = {task: float(found[0]) for task, found in task_weights(rows).items()}
    of = {kind: [weights[task] for task, row in rows.items() if row == (kind,)] for kind in ("informative", "guard")}
    if of["informative"]:
        assert sum(of["informative"]) == pytest.approx(1)
        assert max(of["guard"], default=0) <= min(of["informative"]) + 1e-12
    elif of["guard"]:
        assert sum(of["guard"]) == pytest.approx(1)


def test_losses_of_guards_are_clipped_once_a_family() -> None:
    """A guard above its references makes up for another one of its family, not for one of another family."""
    kinds = {"f/a": ("informative",), "f/b": ("guard",), "f/c": ("guard",), "g/d": ("guard",)}

    def cost(b: float, c: float, d: float) -> float:
        own = {"f/a": 0.5, "f/b": b, "f/c": c, "g/d": d}
        means = {task: np.array([[own[task]], [1.0], [0.0 if task == "f/a" else 1.0]]) for task in kinds}
        return float(skills(means, kinds, 0, slice(1, 3)).axis[0]) - 0.5

    assert cost(1.0, 1.0, 0.8) == pytest.approx(-0.2 / 2)
    assert cost(1.1, 0.9, 1.0) == pytest.approx(0.0)
    assert cost(1.1, 0.8, 1.0) == pytest.approx(-0.1 / 4)
    assert cost(1.5, 1.0, 0.8) == pytest.approx(-0.2 / 2)


def test_the_published_table_is_that_of_this_version(capsys: pytest.CaptureFixture[str]) -> None:
    print_weights()
    table = capsys.readouterr().out.strip()
    assert f"Suite version {PUBLISHED_VERSION}" in table and table in DOCS.read_text(encoding="utf-8")


TASK, OTHER = "occlusion/screen-pass-v1", "collisions/head-on-v1"
READING = "consistency/event-frequency"
FEW = {"resamples": 200}


def place(folder: RunFolder, source: str) -> RunFolder:
    return folder if source == "model" else folder.reference(source)


def with_events(
    table: pd.DataFrame, shown: Callable[[int], float], chance: float, kind: str = "hiding"
) -> pd.DataFrame:
    """A table in which clip n of TASK shows an event where `shown` says so."""
    own = table[(table["task"] == TASK) & (table["reading"] == "consistency/shadowing")].reset_index(drop=True)
    own = own.assign(axis=None, quality=None)
    seen = own.assign(reading=f"{READING}.{kind}", value=[shown(n) for n in range(len(own))])
    return pd.concat([table, seen, own.assign(reading=f"{READING}.{kind}-chance", value=chance)])


def run_with(make_run, shown: Callable[[int], float], chance: float = 0.5, **more: object) -> RunFolder:
    folder = make_run(**more)
    for source in ("model", "truth", "freeze", "constant-velocity"):
        table = pd.read_parquet(place(folder, source).scores)
        says = shown if source == "model" else (lambda n: 1.0) if source == "truth" else (lambda n: 0.0)
        with_events(table, says, chance).to_parquet(place(folder, source).scores)
    return folder


@pytest.mark.parametrize(("count", "chance"), [(24, 0.2), (32, 0.5), (100, 0.97)])
def test_equal_chances_give_the_binomial_distribution(count: int, chance: float) -> None:
    expected = binom.pmf(np.arange(count + 1), count, chance)
    np.testing.assert_allclose(sum_distribution(np.full(count, chance)), expected, atol=1e-12)


def test_unequal_chances_give_the_distribution_that_draws_have() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(30)
    sums = (rng.random((100_000, 30)) < chances).sum(axis=1)
    np.testing.assert_allclose(sum_distribution(chances), np.bincount(sums, minlength=31) / 1e5, atol=0.006)


def test_a_short_fall_costs_below_one_in_a_thousand_and_never_before() -> None:
    chances = np.full(32, 0.5)
    for seen in range(33):
        found = frequency(chances, (np.arange(32) < seen).astype(float))
        rare = bool(binom.cdf(seen, 32, 0.5) < 0.001)
        assert found.lost == pytest.approx((1 - seen / 16) if rare else 0.0), seen
        assert rare == (seen < found.fewest)


@pytest.mark.slow
def test_of_lawful_draws_one_in_a_thousand_loses() -> None:
    rng = np.random.default_rng(1)
    chances = rng.uniform(0.1, 0.97, 32)
    losing = sum(frequency(chances, (rng.random(32) < chances).astype(float)).lost > 0 for _ in range(5000))
    assert losing <= binom.ppf(0.9999, 5000, 0.001)


def test_fewer_clips_than_24_lose_nothing() -> None:
    assert frequency(np.full(MIN_CLIPS - 1, 0.9), np.zeros(MIN_CLIPS - 1)).lost == 0
    assert frequency(np.full(MIN_CLIPS, 0.9), np.zeros(MIN_CLIPS)).lost == 1


def tables_of(folder: RunFolder) -> tuple[pd.DataFrame, pd.DataFrame]:
    return tuple(pd.read_parquet(place(folder, source).scores) for source in ("model", "truth"))  # type: ignore[return-value]


def test_several_samples_count_as_their_mean(make_run) -> None:
    """The first sample shows every event and the second none: as many as are expected."""
    model, truth = tables_of(run_with(make_run, lambda n: 1.0))
    second = with_events(model[~model["reading"].str.startswith(READING)], lambda n: 0.0, 0.5).assign(sample=1)
    both = pd.concat([model, second])
    assert event_frequencies(both, truth)[TASK]["hiding"].seen == 16
    assert event_losses(both, truth) == {}
    assert event_losses(second, truth) == {TASK: 1.0}


def test_what_is_missing_or_failed_shows_no_event(make_run) -> None:
    model, truth = tables_of(run_with(make_run, lambda n: 1.0))
    events = model["reading"] == f"{READING}.hiding"
    failed = model.assign(value=model["value"].mask(events), status=model["status"].mask(events, "failed"))
    assert event_losses(failed, truth) == event_losses(model[~events], truth) == {TASK: 1.0}
    assert event_losses(model, truth) == {}
    some = events & (model["clip"] != model.loc[events, "clip"].iloc[0])
    assert event_frequencies(model[~events | some], truth)[TASK]["hiding"].seen == 31


def test_the_share_is_taken_off_what_lies_above_a_frozen_frame(make_run) -> None:
    """Of that task on consistency alone; other tasks, axes, ground truth and the frozen frame stay."""
    honest = built_once(run_with(make_run, lambda n: n % 2, name="honest"), **FEW)
    dodges = built_once(run_with(make_run, lambda n: float(n < 4), name="dodges"), **FEW)
    found = dodges.event_frequency[TASK]["hiding"]
    assert found.clips == 32 and found.seen == 4 and found.expected == 16 and found.lost == 0.75
    assert honest.event_frequency[TASK]["hiding"].lost == 0
    before, after = (each.tasks[TASK]["consistency"] for each in (honest, dodges))
    assert after.skill == pytest.approx(0.25 * before.skill, abs=1e-5)
    assert after.references == before.references
    assert dodges.tasks[OTHER] == honest.tasks[OTHER]
    assert dodges.axes["permanence"] == honest.axes["permanence"]
    assert dodges.axes["consistency"].skill < honest.axes["consistency"].skill - 0.05


@pytest.mark.slow
def test_the_best_of_several_samples_pays_for_all_of_them(make_run) -> None:
    folder = run_with(make_run, lambda n: 0.0)
    table = pd.read_parquet(folder.scores)
    pd.concat([table, table.assign(sample=1)]).to_parquet(folder.scores)
    result = built_once(folder, **FEW)
    assert result.best_of.axes["consistency"] == pytest.approx(result.axes["consistency"].skill, abs=1e-5)
    assert result.event_frequency[TASK]["hiding"].lost == 1


def test_the_largest_loss_of_all_kinds_counts(make_run) -> None:
    model, truth = tables_of(run_with(make_run, lambda n: float(n < 2)))
    model, truth = (
        with_events(each, lambda n, own=own: own, 0.5, "bounce") for each, own in ((model, 0.0), (truth, 1.0))
    )
    assert event_losses(model, truth) == {TASK: 1.0}


@pytest.mark.slow
def test_it_is_said_on_the_terminal_in_the_report_and_in_markdown(make_run) -> None:
    folder = run_with(make_run, lambda n: float(n < 4))
    result = built_once(folder, **FEW)
    (sentence,) = event_sentences(result)
    assert "hiding in 4 of 32 clips" in sentence and "16.0" in sentence and "75 %" in sentence
    out = StringIO()
    print_summary(result, Console(file=out, width=200, color_system=None))
    assert sentence in " ".join(out.getvalue().split())
    assert "hiding in 4 of 32 clips" in markdown(result)
    write_result(folder)
    page = write_report(folder).read_text(encoding="utf-8")
    assert "hiding in 4 of 32 clips" in page and 'id="events"' in page


def test_behind_a_video_there_is_nothing_to_say(make_run) -> None:
    result = built_once(make_run(), **FEW)
    assert result.event_frequency == {} and event_sentences(result) == []
