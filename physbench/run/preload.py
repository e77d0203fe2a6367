"""Modules that the fork server imports once for all workers, so that a new worker takes milliseconds, not seconds."""

from __future__ import annotations

import contextlib

import av
import scipy.interpolate
import scipy.spatial

from physbench.laws.kernels import KERNELS
from physbench.result.diagnosis import diagnose_run
from physbench.run import references, worker
from physbench.score.score_clip import find_scorers
from physbench.support.processes import notify
from physbench.track import tracker
from physbench.world.compiled import when_compiling

__all__ = ["av", "diagnose_run", "references", "scipy", "tracker", "worker"]  # what jobs import inside functions, too

when_compiling(notify)
with contextlib.suppress(Exception):  # the job that needs a scorer that cannot be imported raises a clear error
    find_scorers()
with contextlib.suppress(Exception):  # whoever calls one that cannot be loaded compiles it
    for kernel in KERNELS:
        kernel.load()
