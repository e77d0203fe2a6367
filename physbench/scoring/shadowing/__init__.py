"""Shadowing: is a tracked motion possible under the scene's own simulation?

`shadow(clip, tracks)` reads tracks, `shadow_states` states; `why_not` says which scenes have no
reading. From the inside out: `flat`, `discs`, `central` (forward models); `seen`, `sight`, `declared`,
`shown` (what is to be explained); `problem`, `fit`, `limits`; `start`, `restart`, `parting`, `chain` (segments and
breaks); `readings`.
"""

from physbench.scoring.shadowing.chain import Break
from physbench.scoring.shadowing.readings import RUNGS, Rung
from physbench.scoring.shadowing.shadow import Shadowing, shadow, shadow_states, why_not

__all__ = ["RUNGS", "Break", "Rung", "Shadowing", "shadow", "shadow_states", "why_not"]
