"""How often deciding events happen behind one image, and what too few of them cost."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from made_runs import built_once
from rich.console import Console
from scipy.stats import binom

from physbench.result.build import write_result
from physbench.result.report.markdown import markdown
from physbench.result.report.page import write_report
from physbench.result.report.tables import event_sentences
from physbench.result.report.terminal import print_summary
from physbench.result.skill import MIN_CLIPS, event_frequencies, event_losses, frequency, sum_distribution
from physbench.support.run_folder import RunFolder

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
