"""Tasks of full that a law moves: ground truth obeys it, and a broken law of stated size is found."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from benchmark_modules import benchmark
from kept_clips import kept_clip
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.support.arrays import Image
from physbench.validity.violations import Inapplicable

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
    clip, frames = first_broken(task, broken)
    assert full_tasks.qualities(clip, clip.future())[axis] >= 0.95
    assert full_tasks.qualities(clip, frames)[axis] <= GENTLE.get(law, 0.8)


def first_broken(task: str, broken: Any) -> tuple[Clip, Image]:
    """The first clip of a task in which a law can be broken, and its predicted frames then."""
    for seed in range(8):
        with suppress(Inapplicable):
            return (clip := kept_clip(task, seed=seed)), full_tasks.broken_frames(clip, broken)
    raise AssertionError(f"nothing breaks this law in the first clips of {task}")
