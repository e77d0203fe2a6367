"""Motion of bodies, but for one law without PyBullet. Laws depend on scenes only.

Laws of one body between contacts, in closed form:
    `motion_law` (which law a body of a clip follows; ramps), `kepler` (orbits, from states or elements), `impacts`.
Laws of whole scenes, for many candidates at once:
    `scene_law` (the protocol, and which law a scene gets), `simulator` (interventions, trajectories, combinations),
    `support_check` (scenes that no law moves, and why); compiled: `point_distances` (residuals of a fit).
    Planar scenes: `planar_law`, `planar_scene`; compiled: `event_loop` (from event to event), `planar_motion`
    (accelerations, pieces of motion), `planar_contacts` (when discs touch, and what a contact does).
    Central fields: `central_law`; compiled: `kepler_jit`, `field_orbits` (fields that are not Newton's).
    Fields of any power, springs, drag: `field_law`; compiled: `field_motion`.
    Bodies on rods: `pendulum_law`; compiled: `pendulum_motion`.
    Driven bodies and what they hit: `drive_law`; compiled: `drive_motion`.
    All that no other law covers: `bullet_law`, which simulates it again with PyBullet.
    `physbench.world.compiled` compiles functions with Numba and keeps them on disk; `kernels` lists those that
    Python calls.
Altered worlds, whose laws differ from those of the scene from the hand-over on: `changes`.

The names below are imported when they are first used, so that `import physbench.laws` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.laws.motion_law import Constant as Constant
    from physbench.laws.motion_law import Law as Law
    from physbench.laws.motion_law import Orbit as Orbit
    from physbench.laws.motion_law import Slope as Slope
    from physbench.laws.motion_law import around_each_other as around_each_other
    from physbench.laws.motion_law import law_of as law_of
    from physbench.laws.motion_law import supports as supports
    from physbench.laws.motion_law import two_bodies as two_bodies
    from physbench.laws.support_check import Unsupported as Unsupported

_HOMES = {
    "Constant": "physbench.laws.motion_law",
    "Law": "physbench.laws.motion_law",
    "Orbit": "physbench.laws.motion_law",
    "Slope": "physbench.laws.motion_law",
    "Unsupported": "physbench.laws.support_check",
    "around_each_other": "physbench.laws.motion_law",
    "law_of": "physbench.laws.motion_law",
    "supports": "physbench.laws.motion_law",
    "two_bodies": "physbench.laws.motion_law",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
