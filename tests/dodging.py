"""Futures of an image that break no law and avoid what decides the scene: as slow as the task allows, past all else.

They use velocities that the task declares, so that shadowing finds nothing wrong with them. What they do cost is in
docs/design/one-image.md.
"""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.laws.scene_law import FREE, Intervention, Trajectory
from physbench.score.outcomes import events_of
from physbench.shadowing.context import PRIOR_DRAWS, body_signature, other_states
from physbench.shadowing.fit import Hypothesis
from physbench.support.arrays import Array
from physbench.track.visibility import VISIBLE_SHARE
from physbench.world.camera import PLANE_AXES

SETS_TRIED = 96  # sets of velocities that are tried for one without an event


def velocities_of_draws(clip: Clip, problem: Hypothesis) -> Array:
    """Velocities (M, N, 2) m/s of the bodies at the hand-over in other draws of a task."""
    axes = [7 + axis for axis in PLANE_AXES[clip.scene.camera.view]]
    each = [
        other_states(clip.row.task, clip.row.split, body_signature(clip.scene), index, PRIOR_DRAWS)[:, axes]
        for index in problem.law.index
    ]
    return np.stack(each, axis=1)


def motion_with(clip: Clip, problem: Hypothesis, context: int, velocity: Array) -> Trajectory:
    """The lawful motion of all bodies from where an image shows them, with velocities (N, 2) m/s."""
    axes, law = list(PLANE_AXES[clip.scene.camera.view]), problem.law
    start = int(problem.seen.steps[context - 1])
    position = clip.states[clip.handover][:, :3][:, axes]
    states = [
        Intervention(start, n, "state", problem.state(n, FREE, np.concatenate([position[i], velocity[n]])[None]))
        for n, i in enumerate(law.index)
    ]
    pushes = [push for push in law.pushes if push.step > start]
    return problem.simulator.run([*pushes, *states], int(problem.seen.steps[-1]))


def exact_events(problem: Hypothesis, motion: Trajectory, context: int) -> set[str]:
    """Kinds of event that a perfect tracker would find in a motion."""
    seen = problem.seen
    assert seen.sight is not None
    share = seen.sight.visible_share(motion.positions(seen.steps))[0]
    return events_of(problem, motion, context, share >= VISIBLE_SHARE)


def dodging_velocities(clip: Clip, problem: Hypothesis, context: int) -> Array:
    """Velocities (N, 2) m/s at the slow end of the declared range for which least happens, and as late as can be.

    Those of bodies that rest in all draws stay 0; along a floor only the sense is free.
    """
    prior, drawn = problem.seen.velocity_prior, velocities_of_draws(clip, problem)
    assert prior is not None
    rng = np.random.default_rng(clip.row.seed)
    best, fewest = drawn[0], 99
    for _ in range(SETS_TRIED):
        velocity = drawn[rng.integers(len(drawn))].copy()
        for n, slowest in enumerate(prior.slowest):
            size = float(np.linalg.norm(velocity[n]))
            if size > 0:
                velocity[n] *= slowest / size
        if any(prior.outside(n, velocity[n]) > 1e-9 for n in range(len(velocity))):
            continue
        count = len(exact_events(problem, motion_with(clip, problem, context, velocity), context))
        if count < fewest:
            best, fewest = velocity, count
        if not count:
            break
    return np.asarray(best)
