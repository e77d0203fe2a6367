"""Shadowing: is a tracked motion possible under the scene's own simulation?

`shadow(clip, tracks)` reads tracks, `shadow_states` reads states; `why_not` says which scenes cannot be shadowed. The
result, a `Shadowing`, has lawful segments and breaks at each tolerance level, and shares of lawful time. Everything in
one direction, in this order:

What is to be explained:
    `placed_bodies` (positions of bodies, from tracks or states), `sight_model` (what a camera would see of them),
    `context_information` (what a context leaves open), `velocity_prior` and `min_visibility` (what applies to it).
Fits at one tolerance:
    `hypothesis` (arcs and their simulation), `arc_fit` (least squares), `tolerance` (limits), `initial_guess`.
Segments and breaks at one tolerance:
    `segment_init` (where the next arc begins), `change_point` (how a break is dated, and how large it is),
    `lawful_segments` (the search that joins them).
What follows from them:
    `independent_noise` (what is no motion and is taken off), `tolerance_levels` (explained share, shadowing time,
    jitter, strength), `common_shift` (what all bodies share), `free_constants` (the second reading, with unseen
    constants), `shadow` (the entry points), `trace` (what is stored of a result).

The forward models are in `physbench.dynamics`, the scorers in `physbench.scorers`.
"""

from physbench.shadowing.lawful_segments import Break
from physbench.shadowing.shadow import Shadowing, shadow, shadow_states, why_not
from physbench.shadowing.tolerance_levels import TOLERANCES, ToleranceLevel

__all__ = ["TOLERANCES", "Break", "Shadowing", "ToleranceLevel", "shadow", "shadow_states", "why_not"]
