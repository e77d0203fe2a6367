"""Modules that the fork server imports once for all workers, so that a new worker takes milliseconds, not seconds."""

from __future__ import annotations

import contextlib

from physbench.diagnosis import diagnose_run
from physbench.dynamics.kernels import KERNELS
from physbench.run import references, worker
from physbench.scoring.score_clip import find_scorers
from physbench.worker_pool import notify
from physbench.world.compiled import when_compiling

__all__ = ["diagnose_run", "references", "worker"]

when_compiling(notify)
with contextlib.suppress(Exception):  # the job that needs a scorer that cannot be imported raises a clear error
    find_scorers()
with contextlib.suppress(Exception):  # whoever calls one that cannot be loaded compiles it
    for kernel in KERNELS:
        kernel.load()
