"""How bodies move: solvers and fast forward models that need no PyBullet. They depend on scenes only.

Laws of one body between contacts, in closed form:
    `motion_law` (which law a body of a clip follows), `rolling_sliding` (ramps), `kepler` (orbits).
Forward models of whole scenes, for many candidates at once:
    `forward_model` (entry point), `interventions` (what sets, pushes or removes a body), `simulator` (what follows
    them), `support_check` (which scenes are not supported, and why); compiled: `point_distances` (residuals of a fit).
    Planar scenes: `planar_scene` and `box_geometry` (bodies as discs, faces and corners), `planar_rollout`; compiled:
    `event_loop` (from event to event), `motion_pieces` (what it records), `contact_times` and `contact_roots` (when
    discs touch), `contact_response` (what a contact does), `accelerations`, `array_layout`.
    Central fields: `kepler_arcs`; compiled: `kepler_jit`.
    `compiled` compiles functions with Numba and keeps them on disk; `kernels` lists those that Python calls.
Changed worlds, whose laws differ from those of the scene from the hand-over on:
    `world_change` (what may differ, and the forward model of it), `changed_motion` (simulators made of others);
    compiled: `field_orbits` (central fields that are not Newton's).
Solvers that make the scenes of tasks and their golden states:
    `impacts` (balls that meet), `ramp_phases`, `kepler_elements`.

The names below are imported when they are first used, so that `import physbench.dynamics` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.dynamics.motion_law import Constant as Constant
    from physbench.dynamics.motion_law import Law as Law
    from physbench.dynamics.motion_law import Orbit as Orbit
    from physbench.dynamics.motion_law import around_each_other as around_each_other
    from physbench.dynamics.motion_law import law_of as law_of
    from physbench.dynamics.motion_law import supports as supports
    from physbench.dynamics.motion_law import two_bodies as two_bodies
    from physbench.dynamics.rolling_sliding import Slope as Slope
    from physbench.dynamics.support_check import Unsupported as Unsupported

_HOMES = {
    "Constant": "physbench.dynamics.motion_law",
    "Law": "physbench.dynamics.motion_law",
    "Orbit": "physbench.dynamics.motion_law",
    "Slope": "physbench.dynamics.rolling_sliding",
    "Unsupported": "physbench.dynamics.support_check",
    "around_each_other": "physbench.dynamics.motion_law",
    "law_of": "physbench.dynamics.motion_law",
    "supports": "physbench.dynamics.motion_law",
    "two_bodies": "physbench.dynamics.motion_law",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
