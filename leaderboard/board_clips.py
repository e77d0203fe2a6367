"""The clips with which a board checks: those that its machine makes, or those of the archive that it publishes.

The plain look has the same bytes on every machine. Others are traced, and have not: all runs are then checked with one
archive, of which every submitter had a copy.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from physbench.clips.packed_clips import PackedClips
from physbench.clips.store import ClipStore
from physbench.results.run_clips import ClipSource


def board_clips(archive: Path | None) -> ClipSource:
    """The clips of an archive, or of this machine where there is none. Raises UsageError where it is damaged."""
    return ClipStore() if archive is None else _opened(archive)


@lru_cache(1)
def _opened(archive: Path) -> PackedClips:
    return PackedClips(archive)
