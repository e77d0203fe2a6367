"""Modules that the fork server imports once for all workers, so that a new worker takes milliseconds, not seconds."""

from __future__ import annotations

import contextlib

import av
import scipy.interpolate
import scipy.spatial

from physbench.diagnosis import diagnose_run
from physbench.dynamics.kernels import KERNELS
from physbench.run import references, worker
from physbench.scoring.score_clip import find_scorers
from physbench.tracks import tracker
from physbench.worker_pool import notify
from physbench.world.compiled import when_compiling

__all__ = ["av", "diagnose_run", "references", "scipy", "tracker", "worker"]  # what jobs import inside functions, too

when_compiling(notify)
with contextlib.suppress(Exception):  # the job that needs a scorer that cannot be imported raises a clear error
    find_scorers()
with contextlib.suppress(Exception):  # whoever calls one that cannot be loaded compiles it
    for kernel in KERNELS:
        kernel.load()
