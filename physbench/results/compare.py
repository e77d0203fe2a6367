"""Two runs on the same clips: is one model ahead of the other?"""

from __future__ import annotations

from physbench.errors import UsageError
from physbench.results.estimate import MODELS, estimate
from physbench.results.folder import RunFolder
from physbench.results.levels import reference_result
from physbench.results.manifest import read_run, rows_of, spec_of
from physbench.results.schema import ReferenceResult
from physbench.scoring.bootstrap import RESAMPLES


def compare(first: RunFolder, second: RunFolder, *, resamples: int = RESAMPLES) -> ReferenceResult:
    """How far `first` is ahead of `second`: paired differences of skill with intervals, clip by clip.

    Both runs must hold the same clips at the same size, rate and context; else UsageError says what differs.
    """
    manifest, tables = read_run(first)
    other, other_tables = read_run(second)
    for what, a, b in (
        ("clips", set(rows_of(manifest)), set(rows_of(other))),
        ("size and rate", spec_of(manifest), spec_of(other)),
        ("context", manifest.get("context"), other.get("context")),
        ("code", manifest.get("versions", {}).get("code"), other.get("versions", {}).get("code")),
    ):
        if a != b:
            raise UsageError(f"{first.path} and {second.path} differ in {what}: they cannot be compared clip by clip.")
    e = estimate({**tables, MODELS[1]: other_tables["model"]}, resamples=resamples)
    return reference_result(e, "")
