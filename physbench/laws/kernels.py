"""Functions of laws that are compiled once a machine, so that this can be done ahead: `physbench doctor --warm`.

Those that only moving cameras, the natural look and the simulator's rods need are compiled when they are first called.
"""

from __future__ import annotations

from typing import Any

from physbench.laws import point_distances
from physbench.laws.drive_motion import follow_driven
from physbench.laws.event_loop import follow, followed_positions
from physbench.laws.field_motion import follow_field, follow_fields
from physbench.laws.kepler import follow_orbits
from physbench.laws.pendulum_motion import follow_chains, follow_pendulums
from physbench.laws.planar_motion import evaluate
from physbench.world.compiled import Kernel

KERNELS: tuple[Kernel[..., Any], ...] = (
    follow,
    evaluate,
    followed_positions,
    follow_orbits,
    follow_field,
    follow_fields,
    follow_chains,
    follow_pendulums,
    follow_driven,
    point_distances.weighted_distances,
    point_distances.distances,
    point_distances.first_beyond,
    point_distances.largest_share,
    point_distances.weighted_points,
    point_distances.cumulative_squares,
)


def compile_kernels() -> int:
    """Compile all that is not kept on this machine. Returns how many this process compiled."""
    return sum(kernel.compile() for kernel in KERNELS)
