"""Events that decide a scene, in a prediction and in the lawful futures of the one image that it continues.

An event is a meeting of two moving bodies, a bounce off something that stands, or that a body gets hidden. The lawful
futures are those of the ensemble that predictability uses: positions as shown, velocities of other draws of the task.
A draw counts only where its event is plain to see, a prediction wherever it shows one: a lawful prediction is not
blamed for what is hard to see. Scenes that cannot be shadowed, and lone orbits, have no such events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.interventions import Intervention
from physbench.dynamics.simulator import Trajectory
from physbench.scoring.free_segments import ContactInterval
from physbench.scoring.predictability import ensemble_states
from physbench.scoring.scorer_protocol import EVENT_KINDS
from physbench.shadowing.hypothesis import FREE, Hypothesis
from physbench.shadowing.shadow import Shadowing
from physbench.shadowing.tolerance_levels import EXCUSING
from physbench.tracks.finite_differences import runs
from physbench.tracks.visibility import HIDDEN_SHARE, MAX_GAP, POSITION_SHARE
from physbench.world.camera import PLANE_AXES

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_IMPACT = 0.1  # diameters/s by which a contact changes a velocity; what changes less lies or rolls on something
PLAIN_TIME = 0.2  # s for which a body of a draw is in sight after a contact, or hidden


@dataclass(frozen=True)
class DecidingEvents:
    """The kinds of event that lawful futures of an image may have."""

    chance: Mapping[
        str, float
    ]  #: by kind, how likely one more lawful draw shows it; kinds that no draw shows are left out
    seen: Mapping[str, bool]  #: by these kinds, whether the prediction shows it


def deciding_events(
    clip: Clip, context: int, shadowing: Shadowing | None, contacts: Mapping[int, tuple[ContactInterval, ...]]
) -> DecidingEvents | None:
    """The deciding events of a clip and what a prediction shows of them.

    Args:
        clip: The clip.
        context: Number of context frames.
        shadowing: Of the prediction.
        contacts: Of the prediction, by column of the tracks.

    Returns:
        None where the context is no single image, the scene has no forward model, or its task draws these bodies only
        once.
    """
    if context != 1 or shadowing is None or shadowing.problem.seen.velocity_prior is None:
        return None
    chance = event_chances(clip, context, shadowing.problem)
    if not chance:
        return DecidingEvents({}, {})
    found = _lawfully_shown(shadowing) | _otherwise_shown(clip, shadowing, contacts)
    return DecidingEvents(chance, {kind: kind in found for kind in chance})


def event_chances(clip: Clip, context: int, problem: Hypothesis) -> dict[str, float]:
    """By kind, the chance that a lawful future shows an event up to the last frame: (k + 1) / (M + 2) for k of M draws.

    That is Laplace's rule of succession, so that no future is taken for certain. Kinds that no draw shows are left out.
    problem: of any prediction for the clip; what it predicts plays no part.
    """
    seen, model = problem.seen, problem.forward
    if len(seen.times) <= context or seen.sight is None or (model.world is None and not seen.sight.nearer.any()):
        return {}
    axes = list(PLANE_AXES[clip.scene.camera.view])
    start = int(seen.steps[context - 1])
    pushes = [push for push in model.pushes if push.step > start]
    drawn = ensemble_states(clip, context)[:, list(model.index)]  # (M, N, 13)
    numbers = np.concatenate([drawn[..., :3][..., axes], drawn[..., 7:10][..., axes]], axis=-1)  # (M, N, 4)
    counts = dict.fromkeys(EVENT_KINDS, 0)
    for member in numbers:
        states = [
            Intervention(start, n, "state", problem.state(n, FREE, member[n][None])) for n in range(len(model.index))
        ]
        trajectory = problem.simulator.run([*pushes, *states], int(seen.steps[-1]))
        for kind in events_of(problem, trajectory, context, None):
            counts[kind] += 1
    return {kind: (count + 1) / (len(numbers) + 2) for kind, count in counts.items() if count}


def events_of(problem: Hypothesis, trajectory: Trajectory, context: int, shown: Mask | None) -> set[str]:
    """Kinds of event in the predicted frames of a simulated motion of all bodies.

    Args:
        problem: The scene and the times of its frames.
        trajectory: The motion; its first candidate counts.
        context: Number of context frames.
        shown: (T, N) frames that show a body, without which a contact does not count. None: only what is plain to see
            counts, with the body in sight, or hidden, for PLAIN_TIME.
    """
    seen = problem.seen
    assert seen.sight is not None
    frames = slice(context, len(seen.times))
    reach = 0 if shown is not None else round(PLAIN_TIME / float(seen.times[-1] - seen.times[-2]))
    position = trajectory.positions(seen.steps[frames])[0]  # (F, N, 2)
    share = seen.sight.visible_share(position[None], frames)[0]
    hidden = (share < HIDDEN_SHARE) & seen.sight.inside(position)
    found = set()
    if any(len(run) > reach for column in hidden.T for run in runs(column)):
        found.add("hiding")
    for step, one, other in trajectory.contacts:
        kind = "bounce" if other < 0 else "meeting"
        if kind in found or step <= seen.steps[context - 1] or _impact(problem, trajectory, step, one) < MIN_IMPACT:
            continue
        frame = int(np.searchsorted(seen.steps[frames], step))
        if shown is None:
            after = share[frame : frame + reach + 1, one]
            in_sight = len(after) > reach and bool((after >= POSITION_SHARE).all())
        else:
            in_sight = bool(shown[frames][max(frame - 1, 0) : frame + 2, one].any())
        if in_sight:
            found.add(kind)
    return found


def _impact(problem: Hypothesis, trajectory: Trajectory, step: int, disc: int) -> float:
    """Change of a body's velocity in one step, in diameters/s."""
    velocity = trajectory.at(np.array([step - 1.0, step]))[1][0, :, disc]
    return float(np.linalg.norm(velocity[1] - velocity[0]) / problem.seen.diameter[disc])


def _lawfully_shown(shadowing: Shadowing) -> set[str]:
    """Kinds of event on the lawful segments of a prediction, at the largest tolerance up to EXCUSING."""
    levels = [level for level in shadowing.levels if level.tolerance <= EXCUSING] or shadowing.levels
    problem, segments = shadowing.problem, levels[-1].segments
    if not segments.arcs:
        return set()
    trajectory = problem.simulate(segments.arcs, len(problem.seen.times) - 1)
    seen = problem.seen
    return events_of(problem, trajectory, int(np.searchsorted(seen.times, 1e-9)), seen.present | seen.known)


def _otherwise_shown(clip: Clip, shadowing: Shadowing, contacts: Mapping[int, tuple[ContactInterval, ...]]) -> set[str]:
    """Kinds of event in the motion of bodies that no unbroken lawful motion explains: near others, gone at a screen.

    What follows the event need not be lawful: a body that passes through another one has met it.
    """
    seen, strictest = shadowing.problem.seen, shadowing.levels[0]
    explained = {arc.disc for arc in strictest.segments.arcs} - {each.disc for each in strictest.breaks}
    found = set()
    for disc, index in enumerate(shadowing.problem.forward.index):
        if disc in explained and seen.judged[disc]:
            continue
        for contact in contacts.get(clip.tracked.index(index), ()):
            if contact.deepest > 1e-9:
                found.add("meeting" if clip.scene.bodies[contact.other].role == "moving" else "bounce")
        if _goes_behind(shadowing.problem, disc):
            found.add("hiding")
    return found


def _goes_behind(problem: Hypothesis, disc: int) -> bool:
    """Whether a body is gone where it would get hidden, had it moved straight on from its last two known positions."""
    seen = problem.seen
    known = np.flatnonzero(seen.known[:, disc])
    if seen.sight is None or len(known) < 2:
        return False
    dt = float(seen.times[1] - seen.times[0])
    for before, last, following in zip(known[:-1], known[1:], [*known[2:], len(seen.times)], strict=True):
        ahead = np.arange(last + 1, min(following, last + 1 + round(MAX_GAP / dt)))
        if not len(ahead):
            continue
        position = seen.position[ahead].copy()
        velocity = (seen.position[last, disc] - seen.position[before, disc]) / (last - before)
        position[:, disc] = seen.position[last, disc] + (ahead - last)[:, None] * velocity
        frames = slice(int(ahead[0]), int(ahead[-1]) + 1)
        share = seen.sight.visible_share(position[None], frames)[0, :, disc]
        if ((share < HIDDEN_SHARE) & seen.sight.inside(position)[:, disc]).any():
            return True
    return False
