"""What the fork server imports once, so that no worker has to: a new worker takes milliseconds instead of seconds."""

from __future__ import annotations

import contextlib

from physbench.run import references, worker
from physbench.scoring.score_clip import find_scorers

__all__ = ["references", "worker"]

with contextlib.suppress(Exception):  # whoever needs a scorer that cannot be imported says so
    find_scorers()
