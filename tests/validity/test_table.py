"""Cells of the validity table: AUROC, bounds of shares and skill of sources, from readings made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, mannwhitneyu, norm

from physbench.score.protocol import AXES, Reading, scorer
from physbench.validity.measure import MeasuredPart, Read
from physbench.validity.table import (
    COLUMNS,
    PORTFOLIO,
    STRAIGHT,
    UNAIDED,
    Separation,
    auroc,
    least_likely_share,
    mean_of,
    most_likely_share,
    others_median,
    separation,
    skill_rows,
    validity_table,
)
from physbench.validity.text import printed, sentences
from physbench.validity.thresholds import BARS, Threshold, is_met, threshold_of

TASK, READING, FIRST, STRENGTH = "falling/some-v1", "own/share", "own/share.first-break", "own/strength"


@scorer(
    id=READING,
    version=1,
    axis="consistency",
    unit="1",
    better="higher",
    quality=lambda value: value,
    noise_floor="none",
    source="none",
    headline=True,
)
def share(*_: object) -> Reading:
    """A share."""
    return Reading(1.0)


def part(
    source: str, seed: int, value: float | None, status: str = "ok", task: str = TASK, **more: Any
) -> MeasuredPart:
    kind = "stranger" if source.startswith("stranger") else "cheat" if source.startswith("cheat") else "violation"
    kind = "reference" if source in ("truth", "freeze") else kind
    fields: dict[str, Any] = {"outcome": "shown", "reads": (), **more}
    if fields["outcome"] in ("shown", "unseen"):
        quality = 0.0 if value is None else value
        fields["reads"] = (Read(READING, "consistency", value, quality, status, ""), *fields["reads"])
    return MeasuredPart(f"{task}{seed}", task, seed, source, kind, **fields)


def first(time: float | None, body: str = "", status: str = "ok") -> tuple[Read, ...]:
    return (Read(FIRST, None, time, None, status if time is not None else "not applicable", body),)


def strength(value: float) -> tuple[Read, ...]:
    return (Read(STRENGTH, None, value, None, "ok", ""),)


def parts(task: str = TASK) -> list[MeasuredPart]:
    seeds = range(10)
    found = [part("truth", s, 1.0, reads=(*first(4.0), *strength(0.01)), task=task) for s in seeds]
    found += [part("freeze", s, 0.0, task=task) for s in seeds]
    found += [
        part("stranger-near", s, 0.9 + 0.01 * s, distance=0.1, reads=strength(0.04 if s == 0 else 0.01), task=task)
        for s in seeds
    ]
    times = (1.0, 1.2, 1.3, None, 1.0, 1.0, 1.0, 1.0)
    for s, time in enumerate(times):
        reads = (*first(time, "b" if s == 5 else "a" if s == 6 else ""), *strength(0.5 if s else 0.1))
        found.append(part("kick:0.5", s, 0.4, time=1.05, bodies=("a",), reads=reads, task=task))
    found += [part("kick:0.5", s, None, outcome="refused", reason="nothing moves", task=task) for s in (8, 9)]
    found += [part("hue:72", s, 0.9705, task=task) for s in range(6)] + [
        part("hue:72", 6, None, "not applicable", task=task)
    ]
    found += [part("hue:72", 7, 0.9999, outcome="unseen", task=task)]
    found += [part("cheat-loop", s, 0.2, task=task) for s in seeds]
    found += [part("blink:0.3", 0, None, outcome="failed", reason="ValueError: no", task=task)]
    return found + [part("blink:0.3", s, None, "failed", task=task) for s in range(1, 4)]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return validity_table([(TASK, parts())], [share])


def cell(table: pd.DataFrame, source: str, level: str = "task", reading: str = READING) -> pd.Series[Any]:
    found = table[(table["source"] == source) & (table["level"] == level) & (table["reading"] == reading)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_violation_that_always_reads_worse_is_told_apart(table: pd.DataFrame) -> None:
    kick = cell(table, "kick:0.5")
    assert (kick["auroc"], kick["high"]) == (1.0, 1.0)
    assert kick["low"] == pytest.approx(0.05 ** (1 / 8))  # 8 clips do not show that there is no other
    assert (kick["clips"], kick["refused"], kick["negatives"]) == (8, 2, 20)
    assert kick["quality_lost"] == pytest.approx(0.6) and kick["value"] == 0.4 and kick["truth"] == 1.0
    assert kick["quality"] == pytest.approx(0.4) and list(table.columns) == list(COLUMNS)


def test_one_that_reads_like_a_alternative_is_not(table: pd.DataFrame) -> None:
    hue = cell(table, "hue:72")
    worse = np.concatenate([np.ones(10), 0.9 + 0.01 * np.arange(10)])
    assert hue["auroc"] == pytest.approx((worse > 0.9705).mean()) == pytest.approx(0.6)
    assert (hue["clips"], hue["silent"], hue["unseen"]) == (6, 1, 1)
    assert hue["auroc_with_unseen"] == pytest.approx((6 * 0.6 + (worse > 0.9999).mean()) / 7)
    assert np.isnan(hue["low"])  # fewer than 8 clips


def test_a_failed_reading_is_the_worst_of_all_and_a_failed_video_is_counted(table: pd.DataFrame) -> None:
    blink = cell(table, "blink:0.3")
    assert (blink["auroc"], blink["clips"], blink["failed"]) == (1.0, 3, 1)


def test_a_break_is_located_in_time_and_on_its_body(table: pd.DataFrame) -> None:
    kick = cell(table, "kick:0.5", reading=FIRST)
    assert kick["located"] == 5 / 8  # one too late, one not found, one on another body
    assert kick["located_low"] == pytest.approx(least_likely_share(5, 8, 0.025))
    assert np.isnan(cell(table, "kick:0.5")["located"]) and np.isnan(cell(table, "hue:72")["located"])


def test_so_many_are_broken_at_every_tolerance(table: pd.DataFrame) -> None:
    assert cell(table, "kick:0.5", reading=STRENGTH)["broken"] == 7 / 8


def test_false_breaks_are_counted_with_a_bound(table: pd.DataFrame) -> None:
    rows = table[(table["level"] == "false breaks") & (table["source"] == "lawful > 0.03")].set_index("task")
    assert rows.loc["*", "value"] == rows.loc[TASK, "value"] == 1 / 10  # of ten clips with two videos each
    assert rows.loc["*", "clips"] == 10
    assert rows.loc["*", "high"] == pytest.approx(most_likely_share(1, 10)) and rows["met"].isna().all()
    many = [part("truth", s, 1.0, reads=strength(0.04 if s < 6 else 0.01)) for s in range(1000)]
    found = validity_table([(TASK, [*many, *(part("freeze", s, 0.0) for s in range(1000))])], [share])
    pooled = found[(found["level"] == "false breaks") & (found["task"] == "*")].set_index("source")
    assert pooled.loc["lawful > 0.03", "met"] == 1.0 and pooled.loc["lawful > 0.08", "met"] == 1.0


def test_ground_truth_that_is_not_judged_counts_although_nothing_breaks() -> None:
    """Quality 0 in one of 1,000 clips, and none where the reading does not apply."""
    many = [part("truth", s, 0.0 if s == 3 else 0.996, reads=strength(0.01)) for s in range(1000)]
    many.append(part("truth", 1000, None, "not applicable"))
    found = validity_table([(TASK, [*many, *(part("freeze", s, 0.0) for s in range(1001))])], [share])
    rows = found[(found["level"] == "false breaks") & (found["source"] == "lawful < 0.995")].set_index("task")
    assert rows.loc["*", "value"] == rows.loc[TASK, "value"] == 1 / 1000
    assert rows.loc["*", "met"] == 1.0 and rows.loc["*", "bar"] == 0.02 and rows.loc["*", "reading"] == READING


def test_skill_is_that_of_the_clips_on_which_it_has_something_to_do(table: pd.DataFrame) -> None:
    kick = cell(table, "kick:0.5", "skill", "skill/consistency")
    assert kick["value"] == pytest.approx(0.4) and kick["clips"] == 8 and kick["low"] < 0.4 < kick["high"]
    assert cell(table, "blink:0.3", "skill", "skill/consistency")["value"] == 0
    assert cell(table, "cheat-loop", "skill", "skill/consistency")["value"] == pytest.approx(0.2)


def test_kinds_of_tasks_are_the_same_for_all_sources() -> None:
    """A gaming baseline that is shown only on a task that is a guard has no skill of its own."""
    other = "falling/other-v1"
    guard = [part("truth", s, 1.0, task=other) for s in range(10)] + [
        part("freeze", s, 0.9, task=other) for s in range(10)
    ]
    guard += [part("cheat-loop", s, 0.3, task=other) for s in range(10)]
    guard += [part("cheat-rest", s, 0.9, task=other) for s in range(10)]
    found = validity_table([(TASK, parts()), (other, guard)], [share])
    assert cell(found, "cheat-loop", "skill", "skill/consistency")["value"] == pytest.approx(0.2 + 0.3 / 0.9 - 1)
    rest = found[(found["source"] == "cheat-rest") & (found["level"] == "skill")]
    assert rest.empty
    fixed = {other: {"consistency": "unscored"}}
    found = validity_table([(TASK, parts()), (other, guard)], [share], fixed=fixed)  # type: ignore[arg-type]
    assert cell(found, "cheat-loop", "skill", "skill/consistency")["value"] == pytest.approx(0.2)


def test_a_lasting_violation_must_not_gain_at_a_low_rate() -> None:
    few = [part("gravity:0.9", s, 0.5) for s in range(10)]
    for name, value in (("truth", 1.0), ("freeze", 0.0), ("gravity:0.9", 0.7)):
        few += [part(f"{name}@4", s, value) for s in range(10)]
    found = validity_table([(TASK, [*parts(), *few])], [share])
    slow = cell(found, "gravity:0.9@4", "skill", "skill/consistency")
    assert (slow["value"], slow["bar"], slow["met"]) == (pytest.approx(0.7), pytest.approx(0.55), 0.0)
    assert not ((found["source"] == "gravity:0.9@4") & (found["level"] != "skill")).any()
    assert any("+0.20 against" in said for said in sentences(found, [READING]))


def test_families_are_means_of_tasks_with_an_interval_of_their_own() -> None:
    other = "falling/other-v1"
    weak = [
        part(p.source, p.seed, 0.955 if p.source == "kick:0.5" else p.reads[0].value, task=other)
        for p in parts(other)
        if p.outcome == "shown" and p.reads[0].status == "ok"
    ]
    found = validity_table([(TASK, parts()), (other, weak)], [share])
    family = cell(found, "kick:0.5", "family")
    tasks = found[(found["source"] == "kick:0.5") & (found["level"] == "task") & (found["reading"] == READING)]
    assert family["auroc"] == pytest.approx(tasks["auroc"].mean()) and family["clips"] == 16
    assert family["low"] < family["auroc"] < family["high"]
    assert cell(found, "kick:0.5", "all")["low"] == family["low"]


def test_seeds_behind_the_lawful_ones_give_no_negatives() -> None:
    found = validity_table([(TASK, parts())], [share], lawful_before=4)
    assert cell(found, "kick:0.5")["negatives"] == 8 and cell(found, "kick:0.5")["clips"] == 8


def test_a_bar_that_so_few_clips_cannot_meet_is_open(table: pd.DataFrame) -> None:
    kick = cell(table, "kick:0.5", "family", STRENGTH)
    assert (kick["auroc"], kick["bar"]) == (1.0, 0.99) and np.isnan(kick["met"])
    located = cell(table, "kick:0.5", "family", FIRST)  # 5 of 8, at most 0.92: that is known
    assert (located["bar"], located["met"]) == (0.95, 0.0)


def test_a_waived_alternative_is_compared_with_nothing() -> None:
    """It is read behind one frame, ground truth and freeze are not."""
    waived = [part("stranger-far-waived", s, 0.9, distance=2.0) for s in range(10)]
    found = validity_table([(TASK, [*parts(), *waived])], [share])
    own = cell(found, "stranger-far-waived", "family")
    assert np.isnan(own["auroc"]) and np.isnan(own["quality_lost"]) and own["negatives"] == 0
    assert own["quality"] == pytest.approx(0.9) and (own["bar"], own["met"]) == (0.95, 0.0)
    assert not ((found["source"] == "stranger-far-waived") & (found["level"] == "skill")).any()
    (alternatives,) = (view for view in printed(found, [READING], [], "family") if str(view.title).startswith("Lawful"))
    assert "Q 0.90" in [str(text) for column in alternatives.columns for text in column.cells]


def test_near_alternatives_are_told_from_ground_truth(table: pd.DataFrame) -> None:
    near = cell(table, "stranger-near")
    assert (near["auroc"], near["negatives"], near["distance"]) == (1.0, 10, 0.1)


def test_a_clip_is_not_judged_by_itself() -> None:
    assert others_median(np.array([1.0, 2.0, np.nan, 9.0])) == pytest.approx([5.5, 5.0, 2.0, 1.5])
    assert np.isnan(others_median(np.array([1.0, np.nan]))).all()


def test_words_name_the_blind_spots_the_cheats_and_the_bars(table: pd.DataFrame) -> None:
    said = " ".join(sentences(table, [READING]))
    assert "3 violations; 2 are seen" in said and "(below 0.75): hue:72 (0.60)." in said
    assert "cheat-loop has skill 0.20" in said and "not met: kick:0.5" in said
    assert "Near only, less than a diameter from ground truth: stranger-near in falling (0.1)" in said
    assert len(printed(table, [READING], [], "family")) == 4


def test_a_bar_is_met_by_an_estimate_that_is_known_well_enough() -> None:
    bar = threshold_of("teleport:0.25", "orbits", "consistency/strength", None)
    assert bar is not None and (bar.limit, bar.measure) == (0.99, "auroc")
    assert is_met(bar, 0.995, 0.971) is True and is_met(bar, 0.995, 0.96) is False and is_met(bar, 0.98, 0.975) is False
    assert is_met(bar, 0.995, float("nan")) is None
    assert is_met(bar, 1.0, 0.78, 1.0, 0.78) is None  # not even that is enough, of 12 clips
    assert is_met(bar, 0.5, 0.2, 0.8, 0.78) is False
    assert threshold_of("gravity:0.95", "orbits", "consistency/strength", None) is None
    assert threshold_of("vanish:1", "orbits", "permanence/any", "permanence") is not None
    assert is_met(Threshold("cheat-*", "skill", "drift", 0.05), 0.05, float("nan")) is True
    assert len({(bar.source, bar.measure, bar.reading) for bar in BARS}) == len(BARS)


def test_auroc_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 30).astype(float), rng.integers(0, 5, 40).astype(float)
    assert auroc(a, b) == pytest.approx(mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    found = separation(a, np.arange(30), b, np.arange(40))
    assert found.value == pytest.approx(auroc(a, b)) and found.clips == 30
    assert np.isnan(auroc(a[:0], b))


def test_the_variance_is_that_of_clips_left_out_one_by_one() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 9), rng.normal(0, 1, 18)
    seeds, others = np.arange(9), np.tile(np.arange(9), 2)
    left = [auroc(a[seeds != s], b[others != s]) for s in range(9)]
    expected = 8 / 9 * sum((value - auroc(a, b)) ** 2 for value in left)
    found = separation(a, seeds, b, others)
    assert found.variance == pytest.approx(expected) and found.degrees == pytest.approx(8)


def drawn(rng: np.random.Generator, shift: float, few: int, many: int, shared: float) -> Separation:
    """Normals of `few` clips that are told from three lawful videos each of `many`, with what a clip shares."""
    clip = rng.normal(0, np.sqrt(shared), many)
    own = np.sqrt(1 - shared)
    positive = shift + clip[:few] + rng.normal(0, own, few)
    negative = np.tile(clip, 3) + rng.normal(0, own, 3 * many)
    return separation(positive, np.arange(few), negative, np.tile(np.arange(many), 3))


@pytest.mark.parametrize("area", [0.6, 0.9, 0.96, 0.99])
@pytest.mark.parametrize(
    ("few", "many"), [(12, 24), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((8, 16), (30, 60)))]
)
def test_intervals_contain_the_known_value(area: float, few: int, many: int) -> None:
    rng, shift = np.random.default_rng([few, round(area * 100)]), float(np.sqrt(2) * norm.ppf(area))
    ends = np.array([drawn(rng, shift, few, many, 0.5).interval() for _ in range(300)])
    inside = ((ends[:, 0] <= area) & (area <= ends[:, 1])).mean()
    assert inside >= 0.92  # sd 0.013 around 0.95; plain percentiles reach 0.73 at 12 clips and 0.96


def test_intervals_of_a_family_contain_the_known_value() -> None:
    rng, shift = np.random.default_rng(5), float(np.sqrt(2) * norm.ppf(0.95))
    ends = np.array([mean_of([drawn(rng, shift, n, 2 * n, 0.5) for n in (12, 12, 20)]).interval() for _ in range(300)])
    assert ((ends[:, 0] <= 0.95) & (ends[:, 1] >= 0.95)).mean() >= 0.92
    assert np.median(ends[:, 1] - ends[:, 0]) < 0.12


def test_what_was_not_seen_may_still_happen() -> None:
    def apart(n: int) -> tuple[float, float]:
        return separation(np.ones(n), np.arange(n), np.zeros(2 * n), np.arange(2 * n)).interval()

    assert apart(100) == (pytest.approx(0.05 ** (1 / 100)), 1.0)
    assert 0.97 <= apart(100)[0] < 0.971 and 0.77 < apart(12)[0] < 0.8  # the rule of three: 3 / n
    assert np.isnan(apart(7)).all()
    wrong = separation(np.zeros(20), np.arange(20), np.ones(20), np.arange(20)).interval()
    assert wrong == (0.0, pytest.approx(1 - 0.05 ** (1 / 20)))
    both = [separation(np.ones(50), np.arange(50), np.zeros(50), np.arange(50))] * 2
    assert mean_of(both).interval() == pytest.approx(apart(100))
    nothing = Separation(float("nan"), 0.0, 1.0, 0)
    assert mean_of([both[0], nothing]).interval() == pytest.approx(apart(50)) and np.isnan(mean_of([nothing]).value)


@pytest.mark.parametrize(("count", "of"), [(0, 100), (3, 1000), (20, 1000), (6, 150)])
def test_bounds_of_a_share_are_those_of_clopper_and_pearson(count: int, of: int) -> None:
    upper = binomtest(count, of, alternative="less").proportion_ci(0.95).high
    lower = binomtest(count, of, alternative="greater").proportion_ci(0.95).low
    assert most_likely_share(count, of) == pytest.approx(upper, abs=1e-9)
    assert least_likely_share(count, of) == pytest.approx(lower, abs=1e-9)
    assert most_likely_share(of, of) == 1.0 and np.isnan(most_likely_share(0, 0))


CLIPS = 10


def headline(source: str, kind: str, by_task: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of one source: on all axes the same quality, by clip."""
    rows = [
        {"source": source, "kind": kind, "clip": f"{task}{seed}", "task": task, "split": "test", "seed": seed}
        | {"axis": axis, "quality": quality, "outcome": "shown"}
        for task, values in by_task.items()
        for seed, quality in enumerate(values)
        for axis in AXES
    ]
    return pd.DataFrame(rows)


def skill_table(**cheats: dict[str, list[float]]) -> pd.DataFrame:
    same = {task: [1.0] * CLIPS for task in ("f/a", "g/b")}
    frozen = {task: [0.0] * CLIPS for task in same}
    named = [headline(f"cheat-{name}", "cheat", values) for name, values in cheats.items()]
    return pd.concat([headline("truth", "reference", same), headline("freeze", "reference", frozen), *named])


def overall(rows: list[dict[str, object]], source: str) -> dict[str, object]:
    return next(row for row in rows if row["source"] == source and row["reading"] == "skill/overall")


def test_a_portfolio_takes_the_best_of_each_task() -> None:
    rows = skill_rows(skill_table(straight={"f/a": [0.2] * CLIPS, "g/b": [0.0] * CLIPS},
                            turn={"f/a": [0.0] * CLIPS, "g/b": [0.3] * CLIPS}), None)  # fmt: skip
    straight, both = overall(rows, STRAIGHT), overall(rows, PORTFOLIO)
    assert straight["value"] == pytest.approx(0.1) and straight["met"]
    assert both["value"] == pytest.approx((0.2 + 0.3) / 2)
    assert both["bar"] == pytest.approx(0.1 + 0.1) and not both["met"]


def test_a_portfolio_apart_leaves_out_what_is_given_the_future() -> None:
    cheats = {name: {"f/a": [a] * CLIPS, "g/b": [b] * CLIPS}
              for name, a, b in (("straight", 0.2, 0.0), ("turn", 0.0, 0.3), ("truth-straight", 0.6, 0.1))}  # fmt: skip
    rows = skill_rows(skill_table(**cheats), None)
    assert overall(rows, PORTFOLIO)["value"] == pytest.approx((0.6 + 0.3) / 2)
    assert overall(rows, UNAIDED)["value"] == pytest.approx((0.2 + 0.3) / 2)
    cheats.pop("truth-straight")
    assert UNAIDED not in {row["source"] for row in skill_rows(skill_table(**cheats), None)}, "the other one"


def test_it_is_read_on_other_clips_than_it_is_chosen_on() -> None:
    """One baseline is lucky in even clips, another one in odd clips: the choice is worth nothing on the others."""
    lucky = {"f/a": [0.4 * (seed % 2 == 0) for seed in range(CLIPS)], "g/b": [0.0] * CLIPS}
    other = {"f/a": [0.4 * (seed % 2) for seed in range(CLIPS)], "g/b": [0.0] * CLIPS}
    rows = skill_rows(skill_table(straight=lucky, turn=other), None)
    assert overall(rows, STRAIGHT)["value"] == pytest.approx(0.1)
    assert overall(rows, PORTFOLIO)["value"] == pytest.approx(0.0)


def test_what_is_shown_on_some_clips_alone_is_not_in_it() -> None:
    some = {"f/a": [0.9] * (CLIPS - 1), "g/b": [0.9] * CLIPS}
    rows = skill_rows(skill_table(straight={task: [0.1] * CLIPS for task in some}, rest=some), None)
    assert not [row for row in rows if row["source"] == PORTFOLIO]
    assert overall(rows, "cheat-rest")["value"] == pytest.approx(0.9)  # on the clips that it shows
