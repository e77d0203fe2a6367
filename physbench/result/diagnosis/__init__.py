"""Diagnosis by shadowing: which other laws would explain what the true ones leave unexplained?

`diagnose_family` takes the tracked motion of a family of clips (`evidence_of`) and ranks changed worlds by the share
of the unexplained time that each explains. In the order of the data: `worlds` (what a changed world is, and those
that come with physbench), `explanation` (one world and one clip), `ranking` (one or two worlds and all clips: best
values, intervals, order), `diagnose_run` (of a run, and of the timing of its frames).

How changed worlds move is in `physbench.laws.changes`.
"""

from physbench.laws.changes import WorldChange
from physbench.result.diagnosis.explanation import Evidence, evidence_of
from physbench.result.diagnosis.ranking import diagnose_family
from physbench.result.diagnosis.worlds import ChangedWorld, changed_world, find_changed_worlds

__all__ = [
    "ChangedWorld",
    "Evidence",
    "WorldChange",
    "changed_world",
    "diagnose_family",
    "evidence_of",
    "find_changed_worlds",
]
