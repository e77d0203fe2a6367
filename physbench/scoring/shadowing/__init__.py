"""Shadowing: is a tracked motion possible under the scene's own simulation?

`shadow(clip, tracks)` reads tracks, `shadow_states` states. From the inside out: `flat`, `discs`, `central` (forward
models), `problem`, `fit`, `start` (candidates), `chain` (segments and breaks), `readings`.
"""

from physbench.scoring.shadowing.chain import Break
from physbench.scoring.shadowing.readings import RUNGS, Rung
from physbench.scoring.shadowing.shadow import Shadowing, shadow, shadow_states

__all__ = ["RUNGS", "Break", "Rung", "Shadowing", "shadow", "shadow_states"]
