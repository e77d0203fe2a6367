"""Tasks of full that a law moves: ground truth obeys it, and a broken law of stated size is found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmark_modules import benchmark
from kept_clips import kept_clip
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.validity.measure import MeasuredPart, Read

full_tasks = benchmark("full_tasks")
# Quality that gentle ones leave at most; the others leave 0.8.
GENTLE = {"a ring rolls as a full cylinder": 0.9, "stiffness x 0.7": 0.9}
FAST = ("falling/slide-stop-v1", "falling/seesaw-v1")


@pytest.mark.parametrize(
    ("task", "axis", "law", "broken"),
    others_slow(
        [(task, *each) for task, laws in full_tasks.LAWS.items() for each in laws], lambda case: case[0] in FAST
    ),
)
def test_a_broken_law_is_found(task: str, axis: str, law: str, broken: Any) -> None:
    clip, wrong = first_broken(task, law, broken)
    assert full_tasks.qualities(full_tasks.measure(clip, "truth", None))[axis] >= 0.95
    assert full_tasks.qualities(wrong)[axis] <= GENTLE.get(law, 0.8)


def first_broken(task: str, law: str, broken: Any) -> tuple[Clip, MeasuredPart]:
    """The first clip of a task in which a law can be broken, and what is read of it then."""
    for seed in range(8):
        clip = kept_clip(task, seed=seed)
        part = full_tasks.measure(clip, law, broken)
        if part.outcome == "shown":
            return clip, part
    raise AssertionError(f"nothing breaks this law in the first clips of {task}")


def test_what_was_read_of_a_clip_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, str]] = []

    def measure(clip: Any, source: str, broken: Any) -> MeasuredPart:
        if source == stop:
            raise KeyboardInterrupt
        read.append((clip.row.seed, source))
        return part(clip.row, source, 1.0)

    monkeypatch.setattr(full_tasks, "make_clip", lambda row, spec: SimpleNamespace(row=row))
    monkeypatch.setattr(full_tasks, "measure", measure)
    first, second = (Row("collisions/domino-v1", "test", seed) for seed in range(2))
    stop = "physicist"
    with pytest.raises(KeyboardInterrupt):
        full_tasks.parts_of(first, 64, tmp_path)
    before, stop = list(read), ""
    assert before == [(0, "truth"), (0, "freeze"), (0, "constant-velocity")]
    laws = [law for _, law, _ in full_tasks.LAWS[first.task]]
    parts = full_tasks.parts_of(first, 64, tmp_path)
    assert [each.source for each in parts] == ["truth", "freeze", "constant-velocity", "physicist", *laws]
    assert read[len(before) :] == [(0, source) for source in ("physicist", *laws)]
    full_tasks.parts_of(second, 64, tmp_path)
    assert len(set(read)) == len(read) == 2 * len(parts)


def test_a_row_counts_the_clips_in_which_a_law_was_broken() -> None:
    task, clips, broken_in = "collisions/domino-v1", 20, 12
    first, second = (law for _, law, _ in full_tasks.LAWS[task])
    quality = {"truth": 1.0, "freeze": 0.2, "constant-velocity": 0.6, "physicist": 1.0, first: 0.5, second: 0.7}
    parts = []
    for seed in range(clips):
        row = Row(task, "test", seed)
        parts += [part(row, source, value) for source, value in quality.items() if source != second]
        refused = MeasuredPart(row.id, row.task, seed, second, "violation", "refused", "nothing falls here")
        parts.append(part(row, second, quality[second]) if seed < broken_in else refused)
    row = full_tasks.row_of(task, 64, parts)
    assert row["clips"] == clips
    assert row["skill"]["constant-velocity"] == pytest.approx(0.5)
    whole, some = row["laws"]
    assert (whole["clips"], whole["refused"]) == (clips, [])
    assert (some["clips"], some["refused"]) == (broken_in, ["nothing falls here"])
    assert some["quality"] == pytest.approx(0.7)
    assert [some["auroc"], some["low"]] == pytest.approx([1.0, 0.05 ** (1 / broken_in)])


def part(row: Row, source: str, quality: float) -> MeasuredPart:
    """What is read of a source that has one quality on consistency."""
    reads = (Read("consistency/shadowing", "consistency", None, quality, "ok", ""),)
    return MeasuredPart(row.id, row.task, row.seed, source, "reference", "shown", reads=reads)
