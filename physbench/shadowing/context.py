"""Velocities and constants that a context leaves open."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_params, make_scene, scene_with
from physbench.clips.task import find_task
from physbench.laws.closed_form import supports
from physbench.support.arrays import Array
from physbench.world.bullet import simulate
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import Contact, Scene
from physbench.world.styles.prompt import angle_bounds, speed_bounds

# Which velocities bodies may have at the hand-over where a context does not show them.
#
# It is what their task declares, and what the prompt says in words where it tells the motion.


PRIOR_DRAWS = 128  # of the task; one in about 300 further draws lies outside their range, widened by PRIOR_MARGIN
PRIOR_MARGIN = 0.1  # share of its width by which a range is widened on each side


@dataclass(frozen=True, eq=False)
class VelocityPrior:
    """Velocities in the plane of motion that N moving bodies may have at the hand-over, in m/s."""

    slowest: Array  # (N,)
    fastest: Array  # (N,)
    low: Array  # (N, 2) of each component
    high: Array  # (N, 2)
    toward: Array  # (N,) rad, the direction that the prompt tells
    beside: Array  # (N,) rad by which a direction may differ from it; pi or more: any

    def outside(self, body: int, velocity: Array) -> float:
        """By how many m/s a velocity (2,) m/s lies outside the range of a body; 0 inside."""
        speed = float(np.linalg.norm(velocity))
        beyond = np.maximum(np.maximum(self.low[body] - velocity, velocity - self.high[body]), 0.0)
        slow, fast = float(self.slowest[body]) - speed, speed - float(self.fastest[body])
        return max(slow, fast, float(np.linalg.norm(beyond)), self._aside(body, velocity, speed), 0.0)

    def _aside(self, body: int, velocity: Array, speed: float) -> float:
        """By how many m/s a velocity must change at least to point where the prompt says; 0 where it does."""
        turned = math.atan2(velocity[1], velocity[0]) - float(self.toward[body])
        excess = abs(math.remainder(turned, math.tau)) - float(self.beside[body])
        return speed * math.sin(min(excess, math.pi / 2)) if excess > 0 else 0.0


def velocity_prior(clip: Clip, index: tuple[int, ...]) -> VelocityPrior | None:
    """The velocities at the hand-over that a clip's task declares for bodies index (N,).

    They are read off up to PRIOR_DRAWS other draws with the same bodies, after all that happens before the hand-over.
    The clip's own velocities are always inside. Where the prompt tells the motion, they are also cut to what its words
    mean, likewise widened by PRIOR_MARGIN. None where the task does not draw these bodies again.
    """
    axes = [7 + axis for axis in PLANE_AXES[clip.scene.camera.view]]
    each = []
    for i in index:
        drawn = other_states(clip.row.task, clip.row.split, body_signature(clip.scene), i, PRIOR_DRAWS)
        if not len(drawn):
            return None
        each.append(np.concatenate([drawn, clip.states[clip.handover, i][None]])[:, axes])
    velocities = np.stack(each, axis=1)  # (M, N, 2)
    speeds = np.linalg.norm(velocities, axis=-1)
    slowest, fastest, low, high = speeds.min(0), speeds.max(0), velocities.min(0), velocities.max(0)
    room, rooms = PRIOR_MARGIN * (fastest - slowest), PRIOR_MARGIN * (high - low)
    slowest, fastest = np.maximum(slowest - room, 0.0), fastest + room
    toward, beside = np.zeros(len(index)), np.full(len(index), np.pi)
    names = [clip.scene.bodies[i].name for i in index]
    for stated in (each for each in clip.stated_velocities or () if each.body in names):
        n = names.index(stated.body)
        slow, fast = speed_bounds(clip.scene, stated)
        slowest[n] = max(slowest[n], (1 - PRIOR_MARGIN) * slow)
        fastest[n] = min(fastest[n], (1 + PRIOR_MARGIN) * fast)
        toward[n], angle = angle_bounds(stated)
        beside[n] = (1 + PRIOR_MARGIN) * angle
    return VelocityPrior(slowest, fastest, low - rooms, high + rooms, toward, beside)


BodySignature = tuple[tuple[str, str, str], ...]  # name, role and shape of every body, in the order of the scene

MEMBERS = 32


def body_signature(scene: Scene) -> BodySignature:
    """Name, role and shape of every body: draws of a task with other bodies say nothing about these."""
    return tuple((body.name, body.role, body.shape) for body in scene.bodies)


@lru_cache(maxsize=64)
def other_scenes(
    task: str, split: Split, bodies: BodySignature | None = None, members: int = MEMBERS
) -> tuple[Scene, ...]:
    """Other draws of a task and split.

    Args:
        task: Id of the task.
        split: Split of the draws.
        bodies: Only draws with these bodies; None: any. They serve for their states at the hand-over, which no change
            of a clip reaches.
        members: Number of draws.

    Returns the scenes; fewer, or none, where 40 draws for each hold no more.
    """
    scenes: list[Scene] = []
    for m in range(40 * MEMBERS):
        # Seeds of no suite: draws that show which velocities an image could have
        scene = make_scene(Row(task, split, 1_000_000 + m))
        if bodies is None or body_signature(scene) == bodies:
            scenes.append(scene)
            if len(scenes) == members:
                break
    return tuple(scenes)


@lru_cache(maxsize=64)
def other_states(task: str, split: Split, bodies: BodySignature, index: int, members: int = MEMBERS) -> Array:
    """States (members, 13) of body `index` at the hand-over in other draws; (0, 13) where there are none."""
    scenes = other_scenes(task, split, bodies, members)
    states = [_at_handover(scenes[m % len(scenes)])[index] for m in range(members if scenes else 0)]
    return np.stack(states) if states else np.zeros((0, 13))


def open_velocities(clip: Clip, index: int, members: int = MEMBERS) -> Array:
    """Velocities (M, 2) m/s in the plane of motion that body `index` may have at the hand-over of an image.

    Those of other draws. Where the prompt tells the motion, as many that are spread evenly over what its words and the
    range of the draws leave: few draws or none move in just that way. (0, 2) where there are no draws.
    """
    axes = [7 + axis for axis in PLANE_AXES[clip.scene.camera.view]]
    drawn = other_states(clip.row.task, clip.row.split, body_signature(clip.scene), index, members)[:, axes]
    stated = next((each for each in clip.stated_velocities or () if each.body == clip.scene.bodies[index].name), None)
    if stated is None or not len(drawn):
        return drawn
    known = np.concatenate([drawn, clip.states[clip.handover, index][None, axes]])
    speeds = np.linalg.norm(known, axis=1)
    slowest, fastest = speed_bounds(clip.scene, stated)
    toward, beside = angle_bounds(stated)
    rng = np.random.default_rng(list(f"{clip.id} {clip.scene.bodies[index].name} told".encode()))
    least, most = max(slowest, speeds.min()), min(fastest, speeds.max())
    if least > most:  # the draws have none of the speeds that are told, and who asks does not know the clip's own
        least, most = slowest, min(fastest, max(slowest, speeds.max()))
    speed = rng.uniform(least, most, len(drawn))
    angle = toward + rng.uniform(-beside, beside, len(drawn))
    spread = speed[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(np.clip(spread, known.min(axis=0), known.max(axis=0)))


def shows_events(clip: Clip, context: int) -> bool:
    """True if a context shows what determines `revealed` parameters.

    These are the contacts and pushes of the history, one of which must lie in the context. Where there are none, it is
    the motion itself, which two frames show. Permanent contacts do not count.
    """
    since = clip.times[clip.handover + 1 - context]
    events = [contact.time for contact in clip.contacts if contact.time <= 1e-9 and not _lasting(clip, contact)]
    events += [action.time for action in clip.scene.impulses if action.time <= 1e-9]
    return any(time > since + 1e-9 for time in events) if events else context > 1


def _lasting(clip: Clip, contact: Contact) -> bool:
    a, b = (clip.scene.index(name) for name in (contact.a, contact.b))
    return any(clip.scene.bodies[i].role == "moving" and j in supports(clip, i) for i, j in ((a, b), (b, a)))


def unknown_parameters(clip: Clip, context: int) -> tuple[str, ...]:
    """Names of the parameters of a clip's task that its context does not show and that could have other values.

    They are the `free` ones, and the `revealed` ones where the event that reveals them lies before the context.

    context: Number of context frames.
    """
    unknown = []
    shown: bool | None = None
    for name, parameter in find_task(clip.row.task).parameters.items():
        low, high = parameter.range(clip.row.split)
        if not (low < high or (parameter.signed and high > 0)):
            continue
        if parameter.kind == "revealed" and name not in clip.scene.free:
            shown = shows_events(clip, context) if shown is None else shown
            if not shown:
                unknown.append(name)
        elif parameter.kind == "free" or name in clip.scene.free:
            unknown.append(name)
    return tuple(unknown)


def possible_scenes(clip: Clip, context: int) -> tuple[Scene, ...]:
    """MEMBERS other scenes with the same context frames as the clip; none where no parameter is unknown."""
    names = unknown_parameters(clip, context)
    scenes = _possible(clip.row, names) if names else ()
    camera = clip.scene.camera  # of the clip's view
    return tuple(each if each.camera == camera else replace(each, camera=camera) for each in scenes)


@lru_cache(maxsize=64)
def _possible(row: Row, names: tuple[str, ...]) -> tuple[Scene, ...]:
    """Scenes with other values of some parameters; the clip's own values where the task refuses all draws."""
    task, own = find_task(row.task), make_params(row)
    rng = np.random.default_rng(list(f"{row.id} {names}".encode()))
    accepts = getattr(task, "accepts", lambda params: True)
    scenes = []
    for _ in range(MEMBERS):
        for _ in range(200):  # draws of parameters until a task accepts one
            params = {**own, **{name: task.parameters[name].draw(rng, row.split) for name in names}}
            if accepts(params):
                break
        else:
            params = dict(own)
        scenes.append(scene_with(row, params))
    return tuple(scenes)


def middle_scene(clip: Clip, context: int) -> Scene:
    """The scene of a clip with each unknown parameter in the middle of its range.

    A parameter whose sign is drawn too is taken as positive. The clip's own scene where nothing is unknown.
    """
    names = unknown_parameters(clip, context)
    if not names:
        return clip.scene
    task = find_task(clip.row.task)
    middles = {}
    for name in names:
        parameter = task.parameters[name]
        low, high = parameter.range(clip.row.split)
        middle = (low + high) / 2
        if parameter.grid is not None:
            middle = low + parameter.grid * round((middle - low) / parameter.grid)
        middles[name] = middle
    return replace(scene_with(clip.row, {**make_params(clip.row), **middles}), camera=clip.scene.camera)


def unseen_states(clip: Clip, scenes: tuple[Scene, ...]) -> Array:
    """The unseen parts of the states at the hand-over in M other scenes, as changes (M, N, 13) of the clip's states.

    These are the spin, and position and velocity along the view. A video shows the rest, which is therefore the same.
    """
    depth = depth_axis(clip.scene.camera)
    parts = [depth, 7 + depth, 10, 11, 12]
    now = clip.states[clip.handover]
    change = np.zeros((len(scenes), *now.shape))
    for m, scene in enumerate(scenes):
        change[m][:, parts] = (_at_handover(scene) - now)[:, parts]
    change[:, [body.role != "moving" for body in clip.scene.bodies]] = 0.0
    return change


@lru_cache(maxsize=256)
def _at_handover(scene: Scene) -> Array:
    state: Array = simulate(scene, [0.0]).states[0]
    return state
