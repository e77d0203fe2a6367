"""Tasks of full that a law moves: ground truth obeys it, and a broken law of stated size is found."""

from __future__ import annotations

from typing import Any

import pytest
from benchmark_modules import benchmark
from kept_clips import kept_clip
from slow_cases import others_slow

from physbench.validity.sources import show

full_tasks = benchmark("full_tasks")
CONTEXT = full_tasks.context_frames(64)
# Quality that gentle ones leave at most; the others leave 0.8.
GENTLE = {"a ring rolls as a full cylinder": 0.9}
FAST = ("falling/slide-stop-v1", "falling/seesaw-v1")


@pytest.mark.parametrize(
    ("task", "axis", "law", "broken"),
    others_slow(
        [(task, *each) for task, laws in full_tasks.LAWS.items() for each in laws], lambda case: case[0] in FAST
    ),
)
def test_a_broken_law_is_found(task: str, axis: str, law: str, broken: Any) -> None:
    clip = kept_clip(task)
    assert full_tasks.qualities(clip, clip.future())[axis] >= 0.95
    frames = show(clip, CONTEXT, broken).frames if isinstance(broken, str) else broken(clip)
    assert full_tasks.qualities(clip, frames)[axis] <= GENTLE.get(law, 0.8)
