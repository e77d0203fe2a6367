"""Futures that break no law: lawful alternatives, and true frames at wrong times or under a moving camera.

Near alternatives are members of the clip's predictability ensemble: they start from states that the context frames
allow. Far ones start at the shown positions with the velocities of another draw of the task, in which the same bodies
take part. What lies on something moves along it and rolls if it rolled. So everything is lawful but the one declared
jump at the hand-over, in velocity and spin.

Under a moving camera (`filmed`) and at wrong times (`FRAME_SHIFTS`) every frame is one of the true world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_scene
from physbench.laws.closed_form import two_bodies
from physbench.score.predictability import ensemble_states
from physbench.shadowing.context import possible_scenes
from physbench.support.arrays import Array, Image, Mask
from physbench.support.errors import UsageError
from physbench.track.visibility import inside_view, moving, truth_visible
from physbench.validity.violations import Inapplicable
from physbench.validity.violations.violation_apply import Violated
from physbench.validity.violations.violation_plan import ViolationEvent, ViolationPlan
from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.camera import PLANE_AXES, plane_from_world
from physbench.world.geometry import gap
from physbench.world.scene import ROUND, Scene
from physbench.world.styles.catalogue import draw

SAME = 1e-6  # m/s


@dataclass(frozen=True, eq=False)
class LawfulAlternative:
    """A lawful future that is not the recorded one."""

    scene: Scene  # the clip's own, or with other free parameters
    states: Array  # (T, N, 13) in the predicted frames
    jumps: Array  # (N, 6): declared jumps at the hand-over, of velocities m/s and spins rad/s; zero for a near one
    distance: float  # diameters from ground truth, the most of a moving object while it should be visible


def near(clip: Clip, context: int, member: int = 0) -> LawfulAlternative:
    """A member (from 0 on) of the clip's predictability ensemble: what the context allows, to a tracker's noise.

    It goes on under the clip's own constants, also where the ensemble has others for parameters that are not shown.
    In scenes with fields (orbits, springs, rods) the next of every second member takes the place of one in which bodies
    meet or leave the view: no such task has that. Raises Inapplicable where all do.
    """
    ensemble, stays = ensemble_states(clip, context), _stays(clip, context)
    for start in ensemble[member % 2 :: 2] if clip.scene.fields else ensemble[[member % len(ensemble)]]:
        states = simulate_ensemble(clip.scene, 0.0, start[None], ahead(clip))[0]
        if not clip.scene.fields or _usual(clip, clip.scene, states, stays):
            jumps = np.zeros((states.shape[1], 6))
            return LawfulAlternative(clip.scene, states, jumps, _distance(clip, context, states))
    raise Inapplicable("in every future that the context allows the bodies meet or leave the view")


def far(clip: Clip, context: int) -> LawfulAlternative:
    """Every object goes on from where it is with the velocity of another draw of the task, and free parameters of one.

    Clips of other seeds take other draws. Raises Inapplicable where all draws begin alike, or none has the same bodies.
    """
    now, scene = clip.states[clip.handover], clip.scene
    possible = possible_scenes(clip, context)
    if possible:
        scene = possible[0]
    stays = _stays(clip, context)
    alike = kept = 0
    for number in range(60):  # draws, until one has the same bodies
        # Seeds of the draws that give far alternatives their velocities
        row = Row(clip.row.task, clip.row.split, 2_000_000 + clip.row.seed + 7919 * 101 * number)
        other = make_scene(row)
        if not _same_bodies(scene, other):
            continue
        alike += 1
        start = _carried_over(scene, now, other, _start(row))
        if np.abs(start[:, 7:10] - now[:, 7:10]).max() < SAME:
            continue
        kept += 1
        states = simulate_ensemble(scene, 0.0, start[None], ahead(clip))[0]
        alternative = LawfulAlternative(scene, states, start[:, 7:] - now[:, 7:], _distance(clip, context, states))
        # Six are simulated for one in which nothing leaves the view that truly stays
        if _usual(clip, scene, states, stays) or (kept >= 6 and not scene.fields):
            return alternative
    if kept and not scene.fields:
        return alternative
    if kept:
        raise Inapplicable("with the velocities of every other draw the bodies meet or leave the view")
    raise Inapplicable(
        "every draw of the task begins with the same velocities" if alike else "no other draw has the same bodies"
    )


def _stays(clip: Clip, context: int) -> Mask:
    """Mask (K,) of the objects that are in view in all predicted frames."""
    return np.asarray(inside_view(clip, context)[context:].all(axis=0))


def _usual(clip: Clip, scene: Scene, states: Array, stays: Mask) -> bool:
    """True if what `stays` (K,) in view does so here and, in scenes with fields, bodies never meet, as in the task."""
    in_view = bool((_inside(clip, states) | ~stays).all())
    return in_view and (not scene.fields or _apart(scene, states) > 0.05)  # m that stay free between bodies on orbits


def _same_bodies(scene: Scene, other: Scene) -> bool:
    """True if two scenes hold the same bodies, whatever their positions and sizes."""
    ours, theirs = ([(b.name, b.role, b.shape, b.flat) for b in each.bodies] for each in (scene, other))
    return ours == theirs and [*map(type, scene.fields)] == [*map(type, other.fields)]


def _carried_over(scene: Scene, here: Array, other: Scene, there: Array) -> Array:
    """The states (N, 13) of one scene with velocities and spins that correspond to those in another one."""
    start = here.copy()
    for i in scene.tracked:
        body = scene.bodies[i]
        if body.role != "moving":
            continue
        up = _support(scene, here, i)
        velocity = _on_orbit(scene, here, i, other, there)
        if up is not None:
            velocity = _along(velocity, up, _support(other, there, i), scene)
            if body.shape in ROUND and _rolls(scene, here, i, up):
                start[i, 10:] = np.cross(up, velocity) / body.size[0]
        start[i, 7:10] = velocity
    return start


def _on_orbit(scene: Scene, here: Array, index: int, other_scene: Scene, there: Array) -> Array:
    """The velocity (3,) m/s that body `index` has in another draw, or what corresponds to it on an orbit.

    Around a star the velocity is turned with the position and scaled by Kepler's third law, so that ellipses keep their
    shape. Two that attract each other share that velocity by their masses: their barycentre moves on as it did.
    """
    fields = zip(scene.central, other_scene.central, strict=True)
    sources = [(field.mu, theirs.mu, scene.index(field.source)) for field, theirs in fields]
    if two_bodies(scene) and two_bodies(other_scene):
        (first, _, a), (second, _, b) = sources
        mu, their_mu = (sum(each[k] for each in sources) for k in (0, 1))
        between = _turned(scene, here[a] - here[b], there[a] - there[b], mu / their_mu)
        drift = (first * here[a, 7:10] + second * here[b, 7:10]) / mu
        return np.asarray(drift + between * (second if index == a else -first) / mu)
    for mu, their_mu, source in sources:
        if source != index:
            return _turned(scene, here[index] - here[source], there[index] - there[source], mu / their_mu)
    return there[index, 7:10].copy()


def _turned(scene: Scene, here: Array, there: Array, ratio: float) -> Array:
    """The velocity (3,) of a state (13,) seen from a star, turned and scaled to the position of another state (13,).

    ratio: of the strengths of the fields here and there.
    """
    axes = list(PLANE_AXES[scene.camera.view])
    own, other, velocity = here[:3], there[:3], there[7:10].copy()
    turn = np.arctan2(*own[axes][::-1]) - np.arctan2(*other[axes][::-1])
    scale = np.sqrt(np.linalg.norm(other) / np.linalg.norm(own) * ratio)
    x, y = velocity[axes]
    velocity[axes] = scale * (np.cos(turn) * x - np.sin(turn) * y), scale * (np.sin(turn) * x + np.cos(turn) * y)
    return np.asarray(velocity)


def _support(scene: Scene, states: Array, index: int) -> Array | None:
    """Unit vector (3,) away from what a body lies on, or None where it lies on nothing."""
    body, size = scene.bodies[index], float(np.linalg.norm(scene.gravity))
    if not size or not body.collides:
        return None
    position, up = states[index, :3], -np.asarray(scene.gravity, dtype=np.float64) / size
    step = 1e-4 * np.eye(3)
    for i, other in enumerate(scene.bodies):
        if i == index or not other.collides or other.role == "moving":
            continue
        # it lies on what is nearer than 0.02 of its own size
        if float(gap(body, position, other, states[i, :3])) > 0.02 * body.size[0]:
            continue
        slope = gap(body, position + step, other, states[i, :3]) - gap(body, position - step, other, states[i, :3])
        length = float(np.linalg.norm(slope))
        # cosine of the angle between a support's normal and the vertical
        if length and float(slope @ up) / length > 0.5:
            return np.asarray(slope / length)
    return None


def _along(velocity: Array, up: Array, other_up: Array | None, scene: Scene) -> Array:
    """A velocity (3,) turned with the support, uphill where it was uphill, and without a part off the support."""
    if other_up is not None:
        across = PLANE_AXES[scene.camera.view][0]
        along = velocity - (velocity @ other_up) * other_up
        if up[across] * other_up[across] < 0:  # one rises to the left, the other to the right
            along, other_up = along.copy(), other_up.copy()
            along[across], other_up[across] = -along[across], -other_up[across]
        axis, cosine = np.cross(other_up, up), float(other_up @ up)
        velocity = along * cosine + np.cross(axis, along) + axis * (axis @ along) / (1 + cosine)  # Rodrigues
    return np.asarray(velocity - (velocity @ up) * up)


def _rolls(scene: Scene, states: Array, index: int, up: Array) -> bool:
    """True if a body rolls on what it lies on, or could: one at rest does where it is rough."""
    state, body = states[index], scene.bodies[index]
    slip = state[7:10] - np.cross(state[10:], body.size[0] * up)
    speed = float(np.linalg.norm(state[7:10]))
    rough = any(other.friction * body.friction > 0 for other in scene.bodies if other.role != "moving")
    # with more slip, as a share of its speed, it does not roll
    return rough and (bool(np.any(state[10:])) or float(np.linalg.norm(slip)) <= 0.05 * speed + SAME)


def frames_of(clip: Clip, states: Array, scene: Scene | None = None) -> Image:
    """Frames (T, H, W, 3) of states (T, N, 13) in the predicted frames."""
    return draw(scene or clip.scene, ahead(clip)[: len(states)], states, clip.spec).frames


def ahead(clip: Clip) -> Array:
    """Times (T,) s of the frames to predict."""
    return clip.times[clip.handover + 1 :]


def _inside(clip: Clip, states: Array) -> NDArray[np.bool_]:
    """Mask (K,) of tracked bodies that have their centres in view in all predicted frames."""
    camera = clip.scene.camera
    flat = plane_from_world(camera, states[:, list(clip.tracked), :3])
    middle = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    return np.asarray((np.abs(flat - middle) < camera.width / 2).all(axis=(0, 2)))


def _apart(scene: Scene, states: Array) -> float:
    """The least distance in m between surfaces of bodies that collide or are tracked (a comet can enter a star)."""
    solid = [i for i, body in enumerate(scene.bodies) if body.collides or i in scene.tracked]
    pairs = combinations([i for i in solid if scene.bodies[i].shape != "plane"], 2)
    gaps = [gap(scene.bodies[i], states[:, i, :3], scene.bodies[j], states[:, j, :3]).min() for i, j in pairs]
    return float(min(gaps, default=np.inf))


def _distance(clip: Clip, context: int, states: Array) -> float:
    """Largest distance in diameters of a moving object from ground truth while it should be visible."""
    flat = plane_from_world(clip.scene.camera, states[:, list(clip.tracked), :3])
    off = np.linalg.norm(flat - clip.plane_positions()[clip.handover + 1 :], axis=-1)
    expected = truth_visible(clip, context)[context:] & moving(clip)
    diameters = np.maximum(clip.diameters()[clip.handover + 1 :], 1e-9)
    return float((off / diameters)[expected].max(initial=0.0))


@lru_cache(maxsize=256)
def _start(row: Row) -> Array:
    """States (N, 13) at the hand-over of another draw of a task."""
    states: Array = simulate(make_scene(row), [0.0]).states[0]
    return states


def filmed(frames: Image, times: Array, *, pan: float = 0.0, zoom: float = 0.0, roll: float = 0.0) -> Image:
    """Frames (T, H, W, 3) as a camera shows them that moves since time 0.

    Beyond their border it shows what the border mostly showed: no body that is cut there goes on.
    """
    middle = (np.array(frames.shape[1:3]) - 1) / 2
    beyond = np.median(frames, axis=0)
    inside = np.ones(frames.shape[1:3])
    filmed_frames = np.empty_like(frames)
    for t, time in enumerate(times):
        angle, grow = np.radians(roll * time), 1 + zoom * time
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / grow
        offset = middle - matrix @ (middle - np.array([0.0, pan * time]))
        shown = affine_transform(inside, matrix, offset, order=1) > 1 - 1e-6
        for channel in range(3):
            part, rest = (
                affine_transform(each[..., channel].astype(np.float64), matrix, offset, order=1, mode="nearest")
                for each in (frames[t], beyond)
            )
            filmed_frames[t, ..., channel] = np.rint(np.where(shown, part, rest))
    return filmed_frames


CHUNK = 16  # frames before a stall or a skip


@dataclass(frozen=True)
class FrameShift:
    """One way in which frames are shown at a wrong time."""

    name: str
    meaning: str  # what a severity of s does
    severities: tuple[float, ...]
    main: float
    allowed: tuple[float, float]
    shown: Callable[[Array, float], Array]  # frames 1..T (T,) and severity -> the frames that are shown instead (T,)
    whole: bool = True  # severities are whole numbers

    def ids(self) -> tuple[str, ...]:
        """ "late:1" for each severity."""
        return tuple(f"{self.name}:{severity:g}" for severity in self.severities)


FRAME_SHIFTS = {
    each.name: each
    for each in (
        FrameShift("late", "everything is s frames late", (1, 2), 1, (1, 10), lambda k, s: k - s),
        FrameShift("early", "everything is s frames early", (1, 2), 1, (1, 10), lambda k, s: k + s),
        FrameShift(
            "hold", "every s-th frame repeats the one before", (2, 3, 5), 2, (2, 30), lambda k, s: k - (k % s == 0)
        ),
        FrameShift("drop", "every s-th frame is left out", (3, 8), 8, (3, 30), lambda k, s: k + (k - 1) // (s - 1)),
        FrameShift(
            "stall",
            "after 16 frames the last is shown s times more, and all later ones are late",
            (1, 3),
            1,
            (1, 10),
            lambda k, s: k - np.clip(k - CHUNK, 0, s),
        ),
        FrameShift(
            "skip",
            "after 16 frames s are left out, and all later ones are early",
            (1, 3),
            1,
            (1, 10),
            lambda k, s: k + s * (k > CHUNK),
        ),
        FrameShift(
            "rate",
            "everything runs at s times real time",
            (0.9, 0.95, 1.1),
            0.95,
            (0.25, 4.0),
            lambda k, s: k * s,
            whole=False,
        ),
        FrameShift(
            "blend",
            "each frame is a mean of itself, weight 1 - s, and the one before, weight s",
            (0.3, 0.5),
            0.5,
            (0.01, 0.99),
            lambda k, s: k,
            whole=False,
        ),
    )
}


def is_frame_shift(source: str) -> bool:
    """True if a source is one of these."""
    return source.partition(":")[0] in FRAME_SHIFTS


def find_frame_shift(source: str) -> tuple[FrameShift, float]:
    """Frame shift and severity of "late:1"; without a severity the main one. Raises UsageError where it means none."""
    name, _, text = source.partition(":")
    frame_shift = FRAME_SHIFTS[name]
    try:
        severity = float(text) if text else frame_shift.main
    except ValueError:
        severity = float("nan")
    low, high = frame_shift.allowed
    if not low <= severity <= high or (frame_shift.whole and severity != round(severity)):
        kind = "a whole number" if frame_shift.whole else "a number"
        raise UsageError(f"{source}: expected {kind} from {low:g} to {high:g} ({frame_shift.meaning}).")
    return frame_shift, severity


def timed_frames(clip: Clip, source: str) -> Image:
    """Frames (T, H, W, 3) of ground truth, timed wrongly as a source says."""
    shift, severity = find_frame_shift(source)
    k = np.arange(1, clip.horizon + 1, dtype=np.float64)
    shown = shift.shown(k, severity)
    if shift.name == "blend":
        own, before = clip.future().astype(np.float64), clip.frames[clip.handover : -1].astype(np.float64)
        return np.asarray(np.rint((1 - severity) * own + severity * before), dtype=np.uint8)
    there = (shown == np.round(shown)) & (shown <= clip.horizon)
    frames = np.empty((len(k), *clip.frames.shape[1:]), dtype=np.uint8)
    frames[there] = clip.frames[clip.handover + shown[there].astype(np.intp)]
    if not there.all():
        fps = float(clip.spec.fps)
        times, place = clip.times[clip.handover + 1 :], shown / fps
        plan = ViolationPlan((ViolationEvent(0.0, None),), clocks=((None, lambda at: np.interp(at, times, place)),))
        frames[~there] = Violated(clip.scene, (), (plan,), 0).frames(times[~there], clip.spec)
    return frames
