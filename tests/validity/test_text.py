"""The page of the docs says what the published tables hold."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from physbench.score.score_clip import find_scorers
from physbench.validity.measure import MeasuredPart, Read
from physbench.validity.sources import kind
from physbench.validity.table import (
    TABLE_VERSION,
    TableHeader,
    publish,
    read_table,
    shortenings,
    validity_table,
    write_table,
)

TASKS = ("falling/projectile-v1", "falling/incline-v1")
SEEDS = range(10)
# source: strength, quality of consistency and of permanence
USUAL = {"truth": (0.01, 1.0, 1.0), "freeze": (2.0, 0.0, 0.2), "stranger-near": (0.01, 1.0, 1.0)}
WRONG = {"kick:0.5": (0.01, 1.0, 1.0), "vanish:1": (2.0, 0.3, 0.3), "gravity:0.9": (0.2, 0.5, 1.0)}
CHEATS = {"cheat-loop": (2.0, 0.02, 0.2), "cheat-straight": (0.4, 0.4, 0.2)}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The extension that writes the page."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs" / "_ext"))
    return importlib.import_module("validity_page")


def part(task: str, source: str, seed: int, strength: float, consistency: float, permanence: float) -> MeasuredPart:
    reads = (
        Read("consistency/strength", None, strength, None, "ok", ""),
        Read("consistency/shadowing", "consistency", consistency, consistency, "ok", ""),
        Read("consistency/shadowing.first-break", None, 1.0, None, "ok", "ball"),
        Read("consistency/shadowing.jitter", None, 0.001, None, "ok", ""),
        Read("consistency/shadowing.unseen-constants", None, 1.0, None, "ok", ""),
        Read("permanence/intact", "permanence", permanence, permanence, "ok", ""),
        Read("laws/gravity", None, 9.8, None, "ok", ""),
    )
    distance = 0.1 if source.startswith("stranger") else None
    time = 1.0 if kind(source) == "violation" else None
    return MeasuredPart(
        f"{task}{seed}", task, seed, source, kind(source), "shown", "", time, ("ball",), distance, reads
    )


@cache
def table_of(values: tuple[tuple[str, tuple[float, float, float]], ...]) -> pd.DataFrame:
    parts = {task: [part(task, name, s, *each) for name, each in values for s in SEEDS] for task in TASKS}
    return validity_table(parts.items(), find_scorers(costly=True))


def write(
    path: Path,
    values: dict[str, tuple[float, float, float]],
    crf: int | None = None,
    context: int = 16,
    spec: str = "128x128@30",
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = TableHeader(
        table_version=TABLE_VERSION,
        physbench="0",
        suite=2,
        versions={"numpy": "1", "code": "abc"},
        key="",
        scorers={each.id: each.version for each in find_scorers(costly=True)},
        tasks=TASKS,
        own_tasks=(),
        sources=tuple(values),
        clips=len(SEEDS),
        truths=len(SEEDS),
        first_seed=5000,
        spec=spec,
        context=context,
        crf=crf,
        columns={},
    )
    write_table(path, table_of(tuple(values.items())), header)


def published(folder: Path) -> Any:
    return importlib.import_module("published_tables").published(folder)


def test_without_tables_it_says_so(page: ModuleType, tmp_path: Path) -> None:
    assert "not there yet" in page.page(published(tmp_path))


def test_it_says_what_was_run_which_bars_are_met_and_what_is_weak(page: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "128px.parquet", {**USUAL, **WRONG})
    write(tmp_path / "128px-cheats.parquet", {**USUAL, **CHEATS, "vanish:1": (0.01, 1.0, 1.0)})
    write(tmp_path / "h264.parquet", {**USUAL, **WRONG}, crf=23)
    text = page.page(published(tmp_path))
    assert "| 128 px, 30 frames/s, H.264 crf 23 | 6 on 10 clips of each task | 10 | 2 | 16 | 2 |" in text
    assert "`kick:0.5`, `consistency/strength` in falling: 0.500" in text  # the bar of 0.99 is not met
    assert "| `vanish:1` | 1.000<br><small>[" in text  # the first file has it, the second is not asked
    weak, rest = text.split("### Known weaknesses")[1].split("<details>")[:2]
    assert "`cheat-straight` | **0.40" in weak and "`cheat-loop`" not in weak and "`cheat-loop`" in rest
    assert "strength above 0.03 | 20 | 0.00% |" in text
    last = text.split("## Smaller pictures, H.264, and the natural look")[1]
    assert "| 128 px, 30 frames/s | 128 px, 30 frames/s, H.264 crf 23 |" in last and "`gravity:0.9`" in last


def test_of_two_files_the_cells_of_most_tasks_and_clips_count(page: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "128px.parquet", {**USUAL, **WRONG})
    longer = table_of(tuple(USUAL.items())).assign(value=0.456)
    _, header = read_table(tmp_path / "128px.parquet")
    write_table(tmp_path / "128px-lawful.parquet", longer.assign(clips=longer["clips"] * 2), header)
    table = published(tmp_path)["128px"].table
    assert set(table.loc[table["value"] == 0.456, "source"]) == set(longer["source"])
    assert not table.duplicated(["source", "level", "family", "task", "reading"]).any()
    write_table(tmp_path / "128px-lawful.parquet", longer, header)  # as many: the first
    assert not published(tmp_path)["128px"].table["value"].eq(0.456).any()
    one = longer[~longer["task"].eq(TASKS[1])]  # of one of its two tasks more clips, and no mean over both
    write_table(tmp_path / "128px-lawful.parquet", one.assign(clips=one["clips"] * 9), header)
    table = published(tmp_path)["128px"].table
    assert set(table.loc[table["value"].eq(0.456) & table["kind"].ne("reference"), "level"]) <= {"task", "skill"}
    assert table.loc[table["level"].eq("task"), "value"].eq(0.456).any()


def test_views_and_looks_stand_beside_each_other_and_apart_from_the_rest(page: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "128px.parquet", {**USUAL, **WRONG})
    write(tmp_path / "256px_near.parquet", {**USUAL, "gravity:0.9": (0.2, 0.5, 1.0)}, spec="256x256@10-near")
    natural = {**USUAL, "gravity:0.9": (0.01, 0.75, 1.0)}
    write(tmp_path / "256px_far_natural.parquet", natural, spec="256x256@10-natural")
    text = page.page(published(tmp_path))
    assert "Smaller pictures" not in text
    assert "| 256 px, 10 frames/s, natural look |" in text and "| 256 px, 10 frames/s, near view |" in text
    views = text.split("## Views and looks at 256 px")[1]
    assert "|  | plain, near | natural, far |" in views
    rows = [line.split("|")[2:4] for line in views.splitlines() if line.startswith("| `gravity:0.9`")]
    strength, _, quality, _ = rows  # of strength, of permanence, and the qualities of both axes
    assert [cell.partition("<")[0].strip() for cell in strength] == ["1.000", "0.500"]
    assert [cell.strip() for cell in quality] == ["0.50", "0.75"]


@pytest.mark.slow
def test_an_image_cannot_show_a_wrong_constant(page: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "128px.parquet", {**USUAL, **WRONG})
    write(tmp_path / "image.parquet", {**USUAL, **WRONG, **CHEATS}, context=1)
    text = page.page(published(tmp_path))
    assert "Smaller pictures" not in text
    image = text.split("## One context frame")[1]
    (gravity,) = (line.split("|")[2:5] for line in image.splitlines() if line.startswith("| `gravity:0.9`"))
    strict, free, _ = gravity
    assert strict.startswith(" 1.000") and free.startswith(" 0.500") and "blind by design" in free
    assert "| `cheat-straight` | **0.40" in image.split("### Gaming baselines with one context frame")[1]


@pytest.mark.slow
def test_a_shortened_table_makes_the_same_page(page: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "whole" / "128px.parquet"
    write(path, {**USUAL, **WRONG, **CHEATS})
    table, header = read_table(path)
    whole = page.page(published(path.parent))
    lengths = []
    for rest in shortenings(table):
        write_table(path, rest.reset_index(drop=True), header)
        lengths.append(len(rest))
        assert page.page(published(path.parent)) == whole
    assert lengths == sorted(lengths, reverse=True) and len(set(lengths)) == len(lengths)


def test_what_is_small_enough_is_published_as_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write(source, USUAL)
    assert publish(source, target) == len(read_table(source)[0])
    pd.testing.assert_frame_equal(read_table(target)[0], read_table(source)[0])


def test_the_methodology_says_what_the_published_table_holds(page: ModuleType) -> None:
    """Else `python docs/_ext/measured_words.py` brings it up to the table."""
    words = importlib.import_module("measured_words")
    (table,) = (each for name, each in published(words.PAGE.parent / "validity").items() if name == page.MAIN)
    text = words.PAGE.read_text(encoding="utf-8")
    assert words.rewritten(text, table) == text
    assert text.count("**sees**") > 25 and text.count("| `gravity` 0.8 | **sees**") == 1
    labels = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert {source for label in labels for source in words._sources(label)} <= set(table.table["source"])
    names = re.findall(r"`((?:consistency|permanence|drift|laws|appearance)/[a-z-]+)[.a-z-]*`", text)
    assert len(names) > 30 and set(names) <= {scorer.id for scorer in find_scorers(costly=True)}


def test_the_readme_says_what_the_published_table_holds(page: ModuleType) -> None:
    """Else `python docs/_ext/measured_words.py` brings it up to the table."""
    words = importlib.import_module("measured_words")
    table = published(words.PAGE.parent / "validity")[page.MAIN]
    text = words.README.read_text(encoding="utf-8")
    assert words.with_summary(text, table) == text and len(words.BLOCK.findall(text)) == 1
    barred = table.table[table.table["bar"].notna()]
    assert f"Of {len(barred)} bars {(barred['met'] == 1).sum()} are met" in " ".join(text.split())


def test_the_table_of_before_and_after_holds_what_the_published_tables_hold(
    page: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `python docs/figures/before_after.py` brings it up to the tables."""
    figures = Path(__file__).parents[2] / "docs" / "figures"
    monkeypatch.syspath_prepend(str(figures))
    module = importlib.import_module("before_after")
    tables = module.published(figures.parent / "validity")
    assert module.PAGE.read_text(encoding="utf-8") == module.page(tables)
    shrink = tables["128px"].table["source"] == "shrink:5"
    tables["128px"].table.loc[shrink, ["auroc", "low", "high"]] = 0.25
    assert "| shrinks by 5 %/s: AUROC | .67 | .25 [.25, .25] |" in module.page(tables)


def test_a_summary_counts_what_is_missed_and_names_what_is_seen_least(page: ModuleType, tmp_path: Path) -> None:
    words = importlib.import_module("measured_words")
    write(tmp_path / "128px.parquet", {**USUAL, **WRONG})
    table = published(tmp_path)["128px"]
    said, rows = words.summary(table), table.table
    apart = rows[(rows["level"] == "family") & rows["bar"].notna() & rows["auroc"].notna()]
    least = apart.loc[apart["auroc"].idxmin()]
    assert f"worst `{least['source']}` in {least['family']} {least['auroc']:.2f}" in said
    assert f"{(rows['met'] == 0).sum()} are missed" in said and f"{rows['bar'].notna().sum()} bars" in said


def test_a_summary_says_none_where_no_lawful_clip_reads_low(page: ModuleType, tmp_path: Path) -> None:
    words = importlib.import_module("measured_words")
    said = []
    for folder, quality in (("good", 1.0), ("poor", 0.5)):
        write(tmp_path / folder / "128px.parquet", {**USUAL, "truth": (0.01, quality, 1.0), **WRONG})
        said.append(words.summary(published(tmp_path / folder)["128px"]))
    assert "quality (below 0.995) on an axis in none of 20." in said[0]
    assert "quality (below 0.995) on an axis in at most 20 of 20." in said[1]


def test_words_follow_the_table(page: ModuleType, tmp_path: Path) -> None:
    words = importlib.import_module("measured_words")
    write(tmp_path / "128px.parquet", {**USUAL, **WRONG})
    rest = "| was | old | "
    text = f"| `vanish` | sees (9 clips): why | blind: so {rest}`laws/gravity` 1.00 |"
    text += f"\n| `vanish`, `blink` 0.3 s | old | old {rest}`laws/gravity` |\n| `vanish`, late | old | old {rest}x |"
    first, together, other = words.rewritten(text, published(tmp_path)["128px"]).split("\n")
    assert first == "| `vanish` | **sees**: why | blind: so | **sees** | old | `laws/gravity` 0.50 |"
    assert together == "| `vanish`, `blink` 0.3 s | **sees** | old | **sees** | old | `laws/gravity` |"
    assert other == "| `vanish`, late | old | old | was | old | x |"
