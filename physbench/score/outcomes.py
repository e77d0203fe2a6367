"""End of a clip, and events that decide a scene behind one image.

An event is a meeting of two moving bodies, a bounce off something that stands, or that a body gets hidden. The lawful
futures are those of the ensemble that predictability uses: positions as shown, velocities of other draws of the task.
A draw counts only where its event is plain to see, a prediction wherever it shows one: a lawful prediction is not
charged for what is hard to see. Scenes that cannot be shadowed, and lone orbits, have no such events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from physbench.clips.clip import Clip
from physbench.laws.scene_law import FREE, Intervention, Trajectory
from physbench.score.motion import ContactInterval
from physbench.score.predictability import ensemble_states
from physbench.score.protocol import EVENT_KINDS
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import HIDDEN_TOLERANCE
from physbench.shadowing.shadow import Shadowing
from physbench.support.arrays import Array, Mask
from physbench.track.tracks import Tracks, runs
from physbench.track.visibility import HIDDEN_SHARE, MAX_GAP, POSITION_SHARE, detected, tracked_with_gaps, truth_visible
from physbench.world.camera import PLANE_AXES, depth_axis, plane_from_px, plane_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.geometry import gap
from physbench.world.scene import Body, Outcome

# Yes/no questions about how a clip ends, answered by the same code for ground truth and for tracks.


@dataclass(frozen=True)
class EndLimits:
    """Objects at the end of the frames in which ground truth shows them."""

    time: float = 0.3  # s of these frames; questions are answered in them
    fallen: float = 0.3  # diameters away from where it started
    fall_time: float = 0.15  # s, or a frame, earlier or later; blocks of a row follow one another so soon
    rest_motion: float = 0.1  # diameters within `time`; less is rest
    carried_gap: float = 0.1  # diameters; a nearer body below may be a support
    below: float = 0.1  # cosine of the angle from straight down at which a body lies below, at least
    min_seen: float = 0.5  # of the frames


END = EndLimits()


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question with the answers of ground truth and of a prediction (None: there is none)."""

    outcome: Outcome
    true: bool
    given: bool | None

    @property
    def agrees(self) -> bool:
        return self.given == self.true


@dataclass(frozen=True, eq=False)
class _End:
    """End of an object: its position, and whether at rest."""

    body: Body
    diameter: float  # m
    start: Array  # (2,) m in the plane of motion
    position: Array  # (2,) m
    rests: bool
    fell: float  # s, when it was first `END.fallen` away from its start; NaN if never


def answer_questions(clip: Clip, tracks: Tracks) -> tuple[AnsweredQuestion, ...]:
    """Answer the scene's questions that apply: direction and time of a fall only where the body truly falls."""
    window = clip.window(tracks.context)
    expected = truth_visible(clip, tracks.context)
    truth = _ends(clip, tracks.context, clip.plane_positions()[window], expected, expected, expected)
    shown = plane_from_px(clip.scene.camera, clip.spec, tracks.position)
    there = detected(clip, tracks)
    given = _ends(
        clip,
        tracks.context,
        shown,
        there & np.isfinite(shown[..., 0]),
        there | tracked_with_gaps(clip, tracks),
        expected,
    )
    answers = []
    for outcome in clip.scene.outcomes:
        true = _answer_of(clip, outcome, truth)
        if true is None:
            continue
        if outcome.question == "falls when":
            if true:
                answers.append(AnsweredQuestion(outcome, True, _falls_in_time(clip, outcome, truth, given)))
        else:
            answers.append(AnsweredQuestion(outcome, true, _answer_of(clip, outcome, given)))
    return tuple(answers)


def _falls_in_time(
    clip: Clip, outcome: Outcome, truth: dict[str, _End | None], given: dict[str, _End | None]
) -> bool | None:
    """True if a body that falls in ground truth has fallen by the same time; None where it is not seen at the end."""
    true, own = (ends[outcome.body or ""] for ends in (truth, given))
    if true is None or own is None:
        return None
    return bool(abs(own.fell - true.fell) <= max(END.fall_time, 1 / clip.spec.fps) + 1e-9)


def _ends(
    clip: Clip, context: int, position: Array, known: Mask, there: Mask, expected: Mask
) -> dict[str, _End | None]:
    """Ends of the moving bodies that should be visible at some time; None for one that is not seen then.

    position (T, K, 2) m; known, there, expected (T, K): has a position, is seen, should be visible.
    """
    frames = max(1, round(END.time * clip.spec.fps))
    ends: dict[str, _End | None] = {}
    for column, body in enumerate(clip.tracked_bodies):
        at = np.flatnonzero(expected[:, column])[-frames:]
        if body.role != "moving" or not len(at):
            continue
        if np.mean(there[at, column]) < END.min_seen or not known[: at[-1] + 1, column].any():
            ends[body.name] = None
            continue
        usable = at[known[at, column]]
        if not len(usable):  # seen, but cut by the border: where it was last
            usable = np.flatnonzero(known[: at[-1] + 1, column])[-1:]
        path = position[usable, column]
        diameter = 2 * apparent_radius(body, clip.scene.camera)
        start = plane_from_world(clip.scene.camera, np.asarray(body.position, dtype=np.float64))
        moved = float(np.linalg.norm(path[-1] - path[0]))
        rests = len(usable) > 1 and moved < END.rest_motion * diameter
        with np.errstate(invalid="ignore"):
            away = np.linalg.norm(position[:, column] - start, axis=-1) > END.fallen * diameter
        seen = np.flatnonzero(known[:, column])
        near = np.flatnonzero(~away[seen])
        fallen = seen[near[-1] + 1 if len(near) else 0 :]  # from then on it stays away
        fell = float(clip.times[clip.window(context)][fallen[0]]) if len(fallen) else math.nan
        ends[body.name] = _End(body, diameter, start, np.median(path, axis=0), rests, fell)
    return ends


def _answer_of(clip: Clip, outcome: Outcome, ends: dict[str, _End | None]) -> bool | None:
    """The answer; None where its body is not seen or never expected, or, of a direction of fall, does not fall."""
    if outcome.body is None:
        each = [_answer_of(clip, replace(outcome, body=name), ends) for name in ends]
        return None if None in each or not each else any(each)
    end = ends.get(outcome.body)
    if end is None:
        return None
    pull = plane_from_world(clip.scene.camera, np.asarray(clip.scene.gravity, dtype=np.float64))
    down = pull / np.linalg.norm(pull)
    moved = end.position - end.start
    falls = bool(np.linalg.norm(moved) > END.fallen * end.diameter)
    if outcome.question in ("falls", "falls when"):
        return falls
    if outcome.question == "falls left":
        return bool(moved[0] < 0) if falls else None
    if outcome.question == "sinks":
        return bool(moved @ down > 0) if falls else None
    return end.rests and not _carried(clip, end, ends, down)


def _carried(clip: Clip, end: _End, ends: dict[str, _End | None], down: Array) -> bool:
    """True if another body lies so near below this one that it may carry it, however both are turned."""
    reach = _reach(clip, end.body)
    axes = [axis for axis in range(3) if axis != depth_axis(clip.scene.camera)]
    for other in clip.scene.bodies:
        if other.name == end.body.name or not other.collides or other.until is not None:
            continue
        if other.role == "moving":
            under = ends.get(other.name)
            if under is None:
                continue
            offset = under.position - end.position
            apart = float(np.linalg.norm(offset))
            far, below = apart - reach - _reach(clip, other), bool(offset @ down > END.below * apart)
        else:
            around = Body("around", "sphere", (reach,), "moving", (0.0, 0.0, 0.0))
            places = np.tile(np.array(other.position, dtype=np.float64), (2, 1))
            descent = 1e-3  # m, in which what lies beside comes no nearer
            places[:, axes] = [end.position, end.position + descent * down]
            far, lower = gap(around, places, other, other.position)
            below = bool(far - lower > END.below * descent)
        if below and far < END.carried_gap * end.diameter:
            return True
    return False


def _reach(clip: Clip, body: Body) -> float:
    """Radius in m of the circle around all of a body in the plane of motion."""
    if body.shape == "sphere":
        return body.size[0]
    if body.shape == "cylinder":
        return math.hypot(body.size[0], body.size[1] / 2) if not body.flat else body.size[0]
    across = depth_axis(clip.scene.camera) if body.flat else None
    return math.sqrt(sum(half**2 for axis, half in enumerate(body.size) if axis != across))


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
        context: Number of context frames.
        contacts: Of the prediction, by column of the tracks.

    Returns:
        None where the context is no single image, no law moves the scene, or its task draws these bodies only
        once.
    """
    if context != 1 or shadowing is None or shadowing.problem.seen.velocity_prior is None:
        return None
    chance = event_chances(clip, context, shadowing.problem)
    if not chance:
        return DecidingEvents({}, {})
    kinds = _lawfully_shown(shadowing) | _otherwise_shown(clip, shadowing, contacts)
    return DecidingEvents(chance, {kind: kind in kinds for kind in chance})


def event_chances(clip: Clip, context: int, problem: Hypothesis) -> dict[str, float]:
    """By kind, the chance that a lawful future shows an event up to the last frame: (k + 1) / (M + 2) for k of M draws.

    That is Laplace's rule of succession, so that no future is taken for certain. Kinds that no draw shows are left out.
    problem: of any prediction for the clip; what it predicts plays no part.
    """
    seen, law = problem.seen, problem.law
    if len(seen.times) <= context or seen.sight is None or (not law.has_contacts and not seen.sight.nearer.any()):
        return {}
    axes = list(PLANE_AXES[clip.scene.camera.view])
    start = int(seen.steps[context - 1])
    pushes = [push for push in law.pushes if push.step > start]
    drawn = ensemble_states(clip, context)[:, list(law.index)]  # (M, N, 13)
    numbers = np.concatenate([drawn[..., :3][..., axes], drawn[..., 7:10][..., axes]], axis=-1)  # (M, N, 4)
    counts = dict.fromkeys(EVENT_KINDS, 0)
    for member in numbers:
        states = [
            Intervention(start, n, "state", problem.state(n, FREE, member[n][None])) for n in range(len(law.index))
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
            counts, with the body in sight, or hidden, for 0.2 s.
    """
    seen = problem.seen
    assert seen.sight is not None
    frames = slice(context, len(seen.times))
    reach = 0 if shown is not None else round(0.2 / float(seen.times[-1] - seen.times[-2]))
    position = trajectory.positions(seen.steps[frames])[0]  # (F, N, 2)
    share = seen.sight.visible_share(position[None], frames)[0]
    hidden = (share < HIDDEN_SHARE) & seen.sight.inside(position, frames)
    kinds = set()
    if any(len(run) > reach for column in hidden.T for run in runs(column)):
        kinds.add("hiding")
    for step, one, other in trajectory.contacts:
        kind = "bounce" if other < 0 else "meeting"
        # What a contact changes by less than 0.1 diameters/s lies or rolls on something
        if kind in kinds or step <= seen.steps[context - 1] or _impact(problem, trajectory, step, one) < 0.1:
            continue
        frame = int(np.searchsorted(seen.steps[frames], step))
        if shown is None:
            after = share[frame : frame + reach + 1, one]
            in_sight = len(after) > reach and bool((after >= POSITION_SHARE).all())
        else:
            in_sight = bool(shown[frames][max(frame - 1, 0) : frame + 2, one].any())
        if in_sight:
            kinds.add(kind)
    return kinds


def _impact(problem: Hypothesis, trajectory: Trajectory, step: int, body: int) -> float:
    """Change of a body's velocity in one step, in diameters/s."""
    velocity = trajectory.at(np.array([step - 1.0, step]))[1][0, :, body]
    return float(np.linalg.norm(velocity[1] - velocity[0]) / problem.seen.diameter[body])


def _lawfully_shown(shadowing: Shadowing) -> set[str]:
    """Kinds of event on the lawful segments of a prediction, at the largest tolerance up to HIDDEN_TOLERANCE."""
    levels = [level for level in shadowing.levels if level.tolerance <= HIDDEN_TOLERANCE] or shadowing.levels
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
    explained = {arc.body for arc in strictest.segments.arcs} - {each.body for each in strictest.breaks}
    kinds = set()
    for body, index in enumerate(shadowing.problem.law.index):
        if body in explained and seen.judged[body]:
            continue
        for contact in contacts.get(clip.tracked.index(index), ()):
            if contact.deepest > 1e-9:
                kinds.add("meeting" if clip.scene.bodies[contact.other].role == "moving" else "bounce")
        if _goes_behind(shadowing.problem, body):
            kinds.add("hiding")
    return kinds


def _goes_behind(problem: Hypothesis, body: int) -> bool:
    """True if a body is gone where it would get hidden, had it moved straight on from its last two known positions."""
    seen = problem.seen
    known = np.flatnonzero(seen.known[:, body])
    if seen.sight is None or len(known) < 2:
        return False
    dt = float(seen.times[1] - seen.times[0])
    for before, last, following in zip(known[:-1], known[1:], [*known[2:], len(seen.times)], strict=True):
        ahead = np.arange(last + 1, min(following, last + 1 + round(MAX_GAP / dt)))
        if not len(ahead):
            continue
        position = seen.position[ahead].copy()
        velocity = (seen.position[last, body] - seen.position[before, body]) / (last - before)
        position[:, body] = seen.position[last, body] + (ahead - last)[:, None] * velocity
        frames = slice(int(ahead[0]), int(ahead[-1]) + 1)
        share = seen.sight.visible_share(position[None], frames)[0, :, body]
        if ((share < HIDDEN_SHARE) & seen.sight.inside(position, frames)[:, body]).any():
            return True
    return False
