"""Strength beside skill: medians by task and family, what fails counts with the most, and where it is shown."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from physbench.result.build import build_result
from physbench.result.compare import compare
from physbench.result.manifest import read_manifest
from physbench.result.readings import strength_of_run, strength_text
from physbench.result.report.data import ReportData
from physbench.result.report.page import render
from physbench.result.report.terminal import print_comparison, print_summary
from physbench.result.skill import LARGEST_STRENGTH
from physbench.support.run_folder import RunFolder

SIZES = {"model": 0.37, "truth": 0.01, "freeze": LARGEST_STRENGTH, "constant-velocity": 1.5}


def with_strength(folder: RunFolder, factor: float = 1.0) -> RunFolder:
    """A run with strengths of its clips: those of orbits are twice as large."""
    paths = {"model": folder.scores, **{name: folder.reference(name).scores for name in SIZES if name != "model"}}
    for source, path in paths.items():
        table = pd.read_parquet(path)
        own = table[table["reading"] == "consistency/shadowing"].assign(
            reading="consistency/strength", axis=None, quality=None, unit="diameters"
        )
        own["value"] = np.where(own["status"] == "ok", SIZES[source], np.nan)
        if source == "model":
            own["value"] *= factor * np.where(own["task"].str.startswith("orbits"), 2.0, 1.0)
        pd.concat([table, own]).to_parquet(path)
    return folder


def printed(result: dict) -> str:
    target = io.StringIO()
    print_summary(result, Console(file=target, width=80))
    return target.getvalue()


def test_medians_by_family_and_what_failed_counts_with_the_most(make_run) -> None:
    failed = frozenset(f"falling.projectile-v1.test.{seed}" for seed in range(20))
    result = build_result(with_strength(make_run(failed=failed)), resamples=50)
    found = result.strength
    assert found.all.median == 0.37 and found.all.clips == result.counts.clips
    assert found.families["orbits"].median == pytest.approx(0.74)
    assert found.tasks["falling/projectile-v1"].quartiles[1] == LARGEST_STRENGTH
    assert found.references == {"truth": 0.01, "freeze": LARGEST_STRENGTH, "constant-velocity": 1.5}


def test_it_stands_beside_skill_on_the_terminal_and_in_the_report(make_run) -> None:
    folder = with_strength(make_run())
    result = build_result(folder, resamples=50)
    text = printed(result)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    orbits = next(line for line in text.splitlines() if line.startswith("orbits"))
    assert orbits.split()[-1] == "0.74" and "less is better" in text
    page = render(result, read_manifest(folder), ReportData((), {}, ()))
    assert "strength, diameters" in page and "<td>0.74</td>" in page


@pytest.mark.slow
def test_a_comparison_shows_both_and_a_run_without_it_says_nothing(make_run) -> None:
    one, other = with_strength(make_run()), with_strength(make_run(name="other"), factor=3.0)
    found = compare(one, other, resamples=50)
    assert (found.against[0].strength.first, found.against[0].strength.other) == pytest.approx((0.37, 1.11))
    target = io.StringIO()
    print_comparison(found, Console(file=target, width=80))
    assert "diameters, median" in target.getvalue()
    plain = build_result(make_run(), resamples=50)
    assert plain.strength is None and "strength" not in printed(plain).lower()
    empty = pd.DataFrame(columns=["reading", "value", "status", "task", "clip"])
    assert strength_of_run({"truth": empty, "model": empty}) is None


def test_words_for_a_size() -> None:
    assert strength_text(None) == "–"
    assert strength_text(0.234) == "0.23" and strength_text(2.0) == "2 or more"
