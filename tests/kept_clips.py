"""Clips that several tests look at: each is made once for all workers, in the cache of the session."""

from __future__ import annotations

from functools import cache

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore


@cache
def kept_clip(task: str, split: Split = "test", seed: int = 0, size: int = 64, fps: float = 15.0) -> Clip:
    """A clip as `make_clip` makes it. Nobody may change its arrays."""
    return ClipStore().get(Row(task, split, seed), render_spec(size, fps))
