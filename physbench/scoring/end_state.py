"""Yes/no questions about how a clip ends, answered by the same code for ground truth and for tracks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import detected, tracked_with_gaps, truth_visible
from physbench.world.camera import depth_axis, plane_from_px, plane_from_world
from physbench.world.geometry import gap
from physbench.world.scene import Body, Outcome
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

END_TIME = 0.3  # s at the end of the frames in which ground truth shows an object; questions are answered in them
FALLEN = 0.3  # diameters away from where it started
REST_MOTION = 0.1  # diameters within END_TIME; less is rest
CARRIED_GAP = 0.1  # diameters; a nearer body below may be a support
MIN_SEEN = 0.5  # of the frames of END_TIME


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
    """How an object ends: where, and whether at rest."""

    body: Body
    diameter: float  # m
    start: Array  # (2,) m in the plane of motion
    position: Array  # (2,) m
    rests: bool


def answer_questions(clip: Clip, tracks: Tracks) -> tuple[AnsweredQuestion, ...]:
    """Answer the scene's questions that apply: the direction of a fall only where the body truly falls."""
    window = clip.window(tracks.context)
    expected = truth_visible(clip, tracks.context)
    truth = _ends(clip, clip.plane_positions()[window], expected, expected, expected)
    shown = plane_from_px(clip.scene.camera, clip.spec, tracks.position)
    there = detected(clip, tracks)
    given = _ends(clip, shown, there & np.isfinite(shown[..., 0]), there | tracked_with_gaps(clip, tracks), expected)
    found = []
    for outcome in clip.scene.outcomes:
        true = _answer_of(clip, outcome, truth)
        if true is not None:
            found.append(AnsweredQuestion(outcome, true, _answer_of(clip, outcome, given)))
    return tuple(found)


def _ends(clip: Clip, position: Array, known: Mask, there: Mask, expected: Mask) -> dict[str, _End | None]:
    """How the moving bodies end that should be visible at some time; None for one that is not seen then.

    position (T, K, 2) m; known, there, expected (T, K): has a position, is seen, should be visible.
    """
    frames = max(1, round(END_TIME * clip.spec.fps))
    ends: dict[str, _End | None] = {}
    for column, body in enumerate(clip.tracked_bodies):
        at = np.flatnonzero(expected[:, column])[-frames:]
        if body.role != "moving" or not len(at):
            continue
        if np.mean(there[at, column]) < MIN_SEEN or not known[: at[-1] + 1, column].any():
            ends[body.name] = None
            continue
        usable = at[known[at, column]]
        if not len(usable):  # seen, but cut by the border: where it was last
            usable = np.flatnonzero(known[: at[-1] + 1, column])[-1:]
        path = position[usable, column]
        diameter = 2 * apparent_radius(body, clip.scene.camera)
        start = plane_from_world(clip.scene.camera, np.asarray(body.position, dtype=np.float64))
        moved = float(np.linalg.norm(path[-1] - path[0]))
        rests = len(usable) > 1 and moved < REST_MOTION * diameter
        ends[body.name] = _End(body, diameter, start, np.median(path, axis=0), rests)
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
    falls = bool(np.linalg.norm(moved) > FALLEN * end.diameter)
    if outcome.question == "falls":
        return falls
    if outcome.question == "falls left":
        return bool(moved[0] < 0) if falls else None
    return end.rests and not _carried(clip, end, ends, down)


def _carried(clip: Clip, end: _End, ends: dict[str, _End | None], down: Array) -> bool:
    """Whether a body lies so near below another that it may support it, however both are turned."""
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
            far = float(np.linalg.norm(offset)) - reach - _reach(clip, other)
            below = bool(offset @ down > -_reach(clip, other))
        else:
            around = Body("around", "sphere", (reach,), "moving", (0.0, 0.0, 0.0))
            place = np.array(other.position, dtype=np.float64)
            place[axes] = end.position
            far, below = float(gap(around, place, other, other.position)), True
        if below and far < CARRIED_GAP * end.diameter:
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
