"""The gap between trained and held-out templates: quality that is lost, and abnormal clips, with intervals."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from physbench.result.bootstrap import estimate
from physbench.result.build import build_result
from physbench.result.levels import ABNORMAL, combination_gaps
from physbench.result.report.markdown import markdown
from physbench.result.report.terminal import print_summary
from physbench.score.protocol import AXES

TASK = "combo/throw-v1"
SOURCES = ("model", "truth", "freeze", "constant-velocity")
NORMAL, BROKEN = ABNORMAL, ABNORMAL + 0.05  # diameters


def rows(split: str, seed: int, quality: float, strength: float | None, task: str = TASK) -> list[dict[str, object]]:
    base = {"clip": f"{task}.{split}.{seed}", "task": task, "split": split, "seed": seed, "sample": 0, "reason": ""}
    axes = [
        {**base, "reading": f"{axis}/made-up", "axis": axis, "value": quality, "quality": quality, "status": "ok"}
        for axis in AXES
    ]
    status = "ok" if strength is not None else "failed"
    own = {"reading": "consistency/strength", "axis": None, "value": strength, "quality": None, "status": status}
    return [*axes, {**base, **own}]


def tables(clips: int = 10, task: str = TASK) -> dict[str, pd.DataFrame]:
    """A model with 0.8 and 2 abnormal clips of ten where templates were trained, 0.5 and 7 and one failed elsewhere."""
    made: dict[str, list[dict[str, object]]] = {name: [] for name in SOURCES}
    for split, quality, broken in (("test", 0.8, 2), ("ood", 0.5, 7)):
        for seed in range(clips):
            strength = None if split == "ood" and seed == broken else BROKEN if seed < broken else NORMAL
            made["model"] += rows(split, seed, quality, strength, task)
            for name, value, size in (("truth", 1.0, 0.01), ("freeze", 0.0, 2.0), ("constant-velocity", 0.2, 2.0)):
                made[name] += rows(split, seed, value, size, task)
    return {name: pd.DataFrame(each) for name, each in made.items()}


def test_lost_quality_and_abnormal_clips_stand_with_their_gap_and_interval() -> None:
    made = tables()
    gaps = combination_gaps(made, estimate(made, resamples=500), 500)
    assert list(gaps) == ["consistency", "permanence", "abnormal"]
    lost, abnormal = gaps["consistency"], gaps["abnormal"]
    assert (lost.trained, lost.held_out) == (0.8, 0.5) and lost.gap == pytest.approx(0.3)
    assert (abnormal.trained, abnormal.held_out) == (0.2, 0.8) and abnormal.gap == pytest.approx(0.6)
    assert abnormal.interval is not None and 0 < abnormal.interval[0] < 0.6 < abnormal.interval[1] <= 1
    assert abnormal.references["truth"] == {"test": 0, "ood": 0} and abnormal.references["freeze"]["ood"] == 1
    assert lost.references["constant-velocity"] == {"test": 0.2, "ood": 0.2}


def test_too_few_clips_have_no_interval_and_other_tasks_no_gap() -> None:
    few = tables(clips=7)
    abnormal = combination_gaps(few, estimate(few, resamples=50), 50)["abnormal"]
    assert abnormal.gap is not None and abnormal.interval is None and "7 in a split" in abnormal.reason
    others = tables(task="falling/projectile-v1")
    assert combination_gaps(others, estimate(others, resamples=50), 50) == {}
    alone = {name: table[table["split"] == "test"] for name, table in tables().items()}
    one = combination_gaps(alone, estimate(alone, resamples=50), 50)
    assert one["abnormal"].gap is None and one["consistency"].gap is None and one["abnormal"].reason


def test_the_gap_is_printed_beside_skill_and_nowhere_else(make_run) -> None:
    made, target = tables(), io.StringIO()
    plain = build_result(make_run(), resamples=50)
    result = plain.model_copy(update={"combinations": combination_gaps(made, estimate(made, resamples=50), 50)})
    print_summary(result, Console(file=target, width=72))
    line = next(each for each in target.getvalue().splitlines() if each.startswith("abnormal"))
    assert line.split()[:4] == ["abnormal", "0.20", "0.80", "0.60"] and line.split()[-2:] == ["0.00/0.00", "1.00/1.00"]
    assert "| abnormal | 0.20 | 0.80 | 0.60 |" in markdown(result)
    assert plain.combinations == {} and "abnormal" not in markdown(plain)


def test_of_several_samples_the_share_that_is_abnormal_counts() -> None:
    """One lost sample of four (strength 2) makes a quarter of a clip, whatever it does to the mean strength."""
    made = tables()
    lost = [
        pd.DataFrame(rows(split, seed, 1.0, 2.0 if sample == 0 else 0.01)).assign(sample=sample)
        for split in ("test", "ood")
        for seed in range(10)
        for sample in range(4)
    ]
    made["model"] = pd.concat(lost, ignore_index=True)
    abnormal = combination_gaps(made, estimate(made, resamples=50), 50)["abnormal"]
    assert (abnormal.trained, abnormal.held_out) == (0.25, 0.25)


def test_clips_to_learn_from_have_no_gap() -> None:
    made = {name: table.assign(split="train") for name, table in tables().items()}
    assert combination_gaps(made, estimate(made, resamples=50), 50) == {}
