"""Shadowing: is a tracked motion possible under the scene's own simulation?

`shadow(clip, tracks)` reads tracks, `shadow_states` reads states; `why_not` says which scenes cannot be shadowed.
From the inside out: `placed_bodies`, `sight_model`, `velocity_prior`, `min_visibility` (what is to be explained);
`hypothesis`, `arc_fit`, `tolerance`; `initial_guess`, `segment_init`, `change_point`, `lawful_segments` (segments and
breaks); `tolerance_levels` (shares and strength); `trace` (what is kept of it). The forward models are in
`physbench.dynamics`.
"""

from physbench.shadowing.lawful_segments import Break
from physbench.shadowing.shadow import Shadowing, shadow, shadow_states, why_not
from physbench.shadowing.tolerance_levels import TOLERANCES, ToleranceLevel

__all__ = ["TOLERANCES", "Break", "Shadowing", "ToleranceLevel", "shadow", "shadow_states", "why_not"]
