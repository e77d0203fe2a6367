"""Diagnosis by shadowing: which other laws would explain what the true ones leave unexplained?

`diagnose_family` takes the tracked motion of a family of clips (`evidence_of`) and ranks changed worlds by the share of
the unexplained time that each explains. In the order of the data:

    `changed_world` (what a changed world is, and how they are found), `world_library` (those that come with physbench),
    `explanation` (one world and one clip), `theory` (one or two worlds and all clips; their best values),
    `value_interval` (intervals by a bootstrap over clips), `world_ranking` (the ranking), `diagnose_run` (of a run).

How changed worlds move is in `physbench.dynamics.world_change`.
"""

from physbench.diagnosis.changed_world import ChangedWorld, WorldChange, changed_world, find_changed_worlds
from physbench.diagnosis.explanation import Evidence, evidence_of
from physbench.diagnosis.world_ranking import FamilyDiagnosis, ImpliedLaw, diagnose_family

__all__ = [
    "ChangedWorld",
    "Evidence",
    "FamilyDiagnosis",
    "ImpliedLaw",
    "WorldChange",
    "changed_world",
    "diagnose_family",
    "evidence_of",
    "find_changed_worlds",
]
