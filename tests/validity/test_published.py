"""The published validity tables are of this version, and a small part of them comes out again.

`python tests/validity/test_published.py` measures that part and writes published.json beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from physbench.clips.store import ClipStore
from physbench.clips.suite import PUBLISHED_VERSION, find_suite
from physbench.score.score_clip import find_scorers
from physbench.validity.measure import MeasuredPart, Settings, measure_one
from physbench.validity.table import read_table, shown_readings

HERE = Path(__file__)
GOLDEN = HERE.with_name("published.json")
COMMAND = "python tests/validity/test_published.py"
PUBLISHED = sorted((HERE.parents[2] / "docs" / "validity").glob("*.parquet"))

SCORERS = "consistency/shadowing,consistency/strength,permanence/intact,drift/accuracy,drift/stability"
LAWFUL = ("truth", "stranger-near")
PART = Settings(
    tasks=("falling/projectile-v1", "collisions/head-on-v1", "occlusion/screen-pass-v1"),
    sources=(*LAWFUL, "teleport:0.25", "gravity:0.95", "pass-through:1", "vanish:1"),
    scorers=SCORERS,
    clips=2,
    truths=2,
    size=128,
    fps=30.0,
    context=16,
)
STEP = 1.2  # ratio of the grid of strengths: another machine may be one step off
CLOSE = 0.02  # of other values, absolute and relative: two frames of 120
PLACES = 6

Values = dict[str, list[float | None]]  # reading -> [value, quality]


@pytest.mark.skipif(not PUBLISHED, reason="no table is published yet: docs/validity is empty")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_tables_are_of_this_suite_and_of_these_scorers(path: Path) -> None:
    """Whoever changes a headline scorer makes new tables, or says that the suite's next version is in development."""
    _, header = read_table(path)
    versions = {each.id: each.version for each in find_scorers(costly=True)}
    assert header.suite == PUBLISHED_VERSION
    if not find_suite("core").in_development:
        shown = shown_readings()
        assert {name: header.scorers.get(name) for name in shown} == {name: versions[name] for name in shown}
    assert not header.own_tasks and header.scorers.keys() <= versions.keys()


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module", params=[0, pytest.param(1, marks=pytest.mark.slow)])
def here(request: pytest.FixtureRequest) -> dict[str, MeasuredPart]:
    """What is measured of the first clip of each task, or of the second."""
    return measured((request.param,))


@pytest.mark.slow
def test_a_part_of_the_table_comes_out_again(golden: dict[str, Any], here: dict[str, MeasuredPart]) -> None:
    assert golden["made_of"] == made_of(), f"What is measured has changed: {COMMAND}"
    clips = {name.partition(" on ")[2] for name in here}
    parts = {name: kept for name, kept in golden["parts"].items() if name.partition(" on ")[2] in clips}
    assert len(golden["parts"]) == PART.clips * len(parts) and parts.keys() == here.keys()
    for name, part in here.items():
        kept = parts[name]
        assert (part.outcome, part.time) == (kept["outcome"], pytest.approx(kept["time"], abs=1e-6)), name
        values = values_of(part)
        assert values.keys() == kept["values"].keys(), name
        wrong = [reading for reading in values if not alike(reading, values[reading], kept["values"][reading])]
        assert not wrong, f"{name}: {', '.join(wrong)}. If that is meant: {COMMAND}"


@pytest.mark.slow
def test_lawful_clips_read_as_lawful_and_wrong_ones_as_wrong(here: dict[str, MeasuredPart]) -> None:
    for name, part in here.items():
        if part.outcome != "shown":
            continue
        found = {reading: value for reading, (value, _) in values_of(part).items()}
        strength, intact = found["consistency/strength"], found["permanence/intact"]
        assert strength is not None and intact is not None
        if part.source in LAWFUL:
            assert strength <= 0.03 and intact > 0.95, name
        elif part.source == "vanish:1":
            assert strength == 2 and intact < 0.95, name
        else:
            assert strength > 0.08, name
        if part.source == "teleport:0.25":
            first = found["consistency/shadowing.first-break"]
            assert part.time is not None and first is not None and abs(first - part.time) <= 0.2, name


@pytest.mark.slow
def test_every_violation_of_the_part_is_shown_somewhere(here: dict[str, MeasuredPart]) -> None:
    shown = [part.source for part in here.values() if part.outcome == "shown"]
    assert set(shown) == set(PART.sources)


def measured(numbers: Sequence[int] = range(PART.clips)) -> dict[str, MeasuredPart]:
    """The part, or these clips of each task, by source and clip."""
    scorers, store, parts = find_scorers(PART.scorers, costly=True), ClipStore(), {}
    for task in PART.tasks:
        for number in numbers:
            clip = store.get(PART.row(task, number), PART.spec)
            for source in PART.sources:
                parts[f"{source} on {clip.id}"] = measure_one(clip, PART.context, source, scorers)
    return parts


def values_of(part: MeasuredPart) -> Values:
    """Value and quality of every reading."""
    return {read.reading: [rounded(read.value), rounded(read.quality)] for read in part.reads}


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, PLACES)


def alike(reading: str, here: list[float | None], kept: list[float | None]) -> bool:
    """Whether two machines agree on value and quality of a reading."""
    close = {"rel": STEP - 1} if reading.endswith("/strength") else {"rel": CLOSE, "abs": CLOSE}
    return all(
        a is None and b is None if a is None or b is None else a == pytest.approx(b, **close)
        for a, b in zip(here, kept, strict=True)
    )


def made_of() -> dict[str, Any]:
    """What decides the part, as JSON has it."""
    versions = {each.id: each.version for each in find_scorers(PART.scorers, costly=True)}
    said = {"suite": find_suite("core").version, "versions": versions, **asdict(PART)}
    return dict(json.loads(json.dumps(said)))


def write() -> None:
    """Write the golden file."""
    parts = [
        f"  {json.dumps(name)}: "
        + json.dumps({"outcome": part.outcome, "time": part.time, "values": values_of(part)}, separators=(",", ":"))
        for name, part in measured().items()
    ]
    head = json.dumps({"made_by": COMMAND, "made_of": made_of()}, indent=1)[:-2]
    GOLDEN.write_text(head + ',\n "parts": {\n' + ",\n".join(parts) + "\n }\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
