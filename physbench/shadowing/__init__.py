"""Shadowing: is a tracked motion possible under the scene's own simulation?

`shadow(clip, tracks)` reads tracks, `shadow_states` reads states; `why_not` says which scenes cannot be shadowed. The
result, a `Shadowing`, has lawful segments and breaks at each tolerance level, and shares of lawful time. Everything
in one direction, in this order:

- `observed_motion`: positions of bodies over time, and what a camera sees of them. `context`: what a context leaves
  open.
- `fit`: lawful arcs at one tolerance. `change_point`: how a break is dated. `search`: lawful segments and breaks.
- `nuisances`: what is no motion, and constants that the context does not show. `levels`: explained share, jitter,
  violation size.
- `shadow`: the entry points, and the trace that is stored of a result.

The laws of scenes are in `physbench.laws`, the scorers in `physbench.scorers`.
"""

from physbench.shadowing.levels import TOLERANCES, ToleranceLevel
from physbench.shadowing.search import Break
from physbench.shadowing.shadow import Shadowing, shadow, shadow_states, why_not

__all__ = ["TOLERANCES", "Break", "Shadowing", "ToleranceLevel", "shadow", "shadow_states", "why_not"]
