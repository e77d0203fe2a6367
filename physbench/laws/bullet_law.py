"""The law of last resort: a scene is simulated again by PyBullet, from other states and with other constants.

It moves what no faster law covers: forces of one's own, beside contacts too, kinematic bodies, boxes that turn. Steps,
solver and forces are those of the simulator itself (`world.bullet`). What begins with the states of the scene's own
motion goes on as that, to the last bit; other states are simulated, and a contact in whose middle that begins is
another one. A scene that declares `outcomes` is never asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count, groupby, takewhile

import numpy as np

from physbench.laws.changes import AlteredField, WorldChange, changed_gravity
from physbench.laws.field_law import FIELD_STRENGTH
from physbench.laws.planar_law import PlanarLaw
from physbench.laws.planar_motion import BODY, KIND, PUSH, STATE, STEP
from physbench.laws.planar_scene import Face, PlanarScene, assembled, box_axes, box_in_plane, check_depths, is_obstacle
from physbench.laws.scene_law import FREE, LawConstant, SceneLaw, Simulator, States
from physbench.laws.support_check import ALIGNMENT, TOUCH_GAP, Unsupported
from physbench.support.arrays import Array, Mask, Whole
from physbench.support.cache import RecentlyUsed
from physbench.world.ballistic import accelerations, flies, fly, glide, touchable
from physbench.world.bullet import World, initial_states, simulate, simulate_batch
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.geometry import product, rotate
from physbench.world.scene import (
    HISTORY,
    PHYSICS_HZ,
    Body,
    CentralGravity,
    Contact,
    Drag,
    Drive,
    ForceField,
    RadialField,
    Rod,
    Scene,
    Vector,
)

AFTER = 0.1  # s beyond the horizon for which the own motion is known: retimed frames lie up to half a frame there
PROBES = 16  # random places by which it is told whether bodies act on each other at a distance
_strides = RecentlyUsed[str, int](64)  # of scenes


@dataclass(frozen=True)
class Resistance(ForceField):
    """Velocities in the plane of motion fall by a share of themselves and are turned counter-clockwise."""

    drag: float  # 1/s
    turn: float  # rad/s

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        x, y = PLANE_AXES[scene.camera.view]
        acceleration = -self.drag * velocity
        acceleration[..., x] -= self.turn * velocity[..., y]
        acceleration[..., y] += self.turn * velocity[..., x]
        return acceleration


def scaled(each: ForceField, factor: float) -> ForceField:
    """A field that is `factor` times as strong; a medium, and what has no accelerations of its own, as it is."""
    if isinstance(each, CentralGravity):
        return replace(each, mu=factor * each.mu)
    if isinstance(each, RadialField):
        return replace(each, strength=factor * each.strength)
    if isinstance(each, Drive):
        return replace(each, force=factor * each.force)
    if isinstance(each, Drag) or type(each).accelerations is ForceField.accelerations:
        return each
    return AlteredField(each, factor)


class BulletLaw(PlanarLaw):
    """Bodies in a plane of motion, simulated by PyBullet.

    The last two columns of a state are the spin, clockwise as it is seen, and the angle by which a body that is no ball
    has turned so from its declared orientation, both times its size, in m/s and m. NaN: as in the scene's own motion
    at that time, for no track of a centre shows them.
    """

    name = "bullet"
    constants = (LawConstant("forces"), FIELD_STRENGTH)
    removable = False  # bodies that act on each other continue to do so
    last_resort = True

    @classmethod
    def covers(cls, scene: Scene) -> bool:
        # The tension of a rod corrects its length within a step: noise of a track would become force.
        return not (scene.outcomes or any(isinstance(each, Rod) for each in scene.fields))

    def check(self) -> None:
        """Raises Unsupported where bodies may leave their plane of motion, or turn in a way that is not seen."""
        scene, across = self.scene, depth_axis(self.scene.camera)
        moving = [scene.bodies[i] for i in self.index]
        if abs(scene.gravity[across]) > ALIGNMENT:
            raise Unsupported("gravity acts along the view")
        for body in moving:
            if body.shape != "sphere" and np.abs(box_axes(body)[:, across]).max() < 1 - ALIGNMENT:
                raise Unsupported(f"{body.name} stands askew to the plane of motion")
            if body.shape == "cylinder" and abs(box_axes(body)[2, across]) < 1 - ALIGNMENT:
                raise Unsupported(f"{body.name} is a cylinder that is not seen from its end")
            if np.abs(np.delete(body.spin, across)).max() > ALIGNMENT:
                raise Unsupported(f"{body.name} spins about an axis that lies in the picture")
        check_depths(moving, across)
        if scene.guides and not self._has_positions:
            raise Unsupported("where on its joint a body is, no declared place says")
        self.world  # noqa: B018 - it is made once
        position, velocity = self._probes
        acceleration = accelerations(scene, scene.fields, _states(position, velocity), self.since)[:, list(self.index)]
        if not np.isfinite(acceleration).all() or np.abs(acceleration[..., across]).max(initial=0.0) > 1e-6:
            raise Unsupported("a force acts along the view")

    @cached_property
    def world(self) -> PlanarScene:
        """The moving bodies, and the faces on which they may lie or roll; corners are not asked for."""
        scene, axes, across = self.scene, list(PLANE_AXES[self.scene.camera.view]), depth_axis(self.scene.camera)
        bodies = [scene.bodies[i] for i in self.index]
        faces: list[Face] = []
        for body in scene.bodies:
            if body.role != "moving" and body.collides and (body.until is None or body.until > self.since):
                lasts = body.role == "fixed" and body.until is None
                faces += [face for face in _faces(body, bodies, axes, across) if lasts]
        radius = np.array([_size(body, scene.gravity) for body in bodies])
        turns = [0.0 if body.shape == "box" else 1 / body.inertia for body in bodies]
        return assembled(scene, self.index, radius, turns, faces, (), np.zeros(len(bodies)))

    # Forces at a distance

    @cached_property
    def _probes(self) -> tuple[Array, Array]:
        """Random positions m and velocities m/s (PROBES, bodies of the scene, 3) of what moves, in its plane."""
        scene, axes = self.scene, list(PLANE_AXES[self.scene.camera.view])
        rng, states = np.random.default_rng(0), np.repeat(initial_states(scene)[None], PROBES, axis=0)
        shape, middle = (PROBES, len(self.index), 2), np.asarray(scene.camera.center, dtype=np.float64)[axes]
        for k, axis in enumerate(axes):
            reach = 0.4 * scene.camera.width
            states[:, list(self.index), axis] = middle[k] + rng.uniform(-reach, reach, shape)[..., k]
            states[:, list(self.index), 7 + axis] = rng.normal(size=shape)[..., k]
        return states[..., :3], states[..., 7:10]

    @cached_property
    def linked(self) -> Mask:
        """Bodies of which one changes the force on the other, in any of some random places."""
        coupled = np.zeros((len(self.index),) * 2, dtype=bool)
        if not self.scene.fields:
            return coupled
        position, velocity = self._probes
        before = accelerations(self.scene, self.scene.fields, _states(position, velocity), self.since)
        for n, i in enumerate(self.index):
            moved = position.copy()
            moved[:, i] = np.roll(moved[:, i], 1, axis=0)
            after = accelerations(self.scene, self.scene.fields, _states(moved, velocity), self.since)
            coupled[n] = (np.abs(after - before)[:, list(self.index)] > 1e-9).any(axis=(0, 2))  # m/s2
        return (coupled | coupled.T) & ~np.eye(len(coupled), dtype=bool)

    def acceleration(self, position: Array) -> Array:
        """As `SceneLaw.acceleration`: at rest, at the hand-over; what depends on more is left to fits."""
        if not self.scene.fields:
            return super().acceleration(position)
        axes, index = list(PLANE_AXES[self.scene.camera.view]), list(self.index)
        states = self._base.copy()
        states[np.ix_(index, axes)] = position
        pull = accelerations(self.scene, self.scene.fields, states, 0.0)[index][:, axes]
        return np.asarray(np.nan_to_num(pull) + self.world.gravity)

    @cached_property
    def _base(self) -> Array:
        """States (bodies of the scene, 13) in which moving bodies are still to be put."""
        states = initial_states(self.scene)
        states[:, 7:] = 0.0
        return states

    def before(self, body: int, start: Array, times: Array, others: Array) -> tuple[Array, Array]:
        return SceneLaw.before(self, body, start, times, others)

    def first_acceleration(self, body: int, chart: int, positions: Array) -> Array:
        return (
            self.acceleration(positions)[body] if chart == FREE else super().first_acceleration(body, chart, positions)
        )

    # States

    def set_states(self, state: Array, body: int, chart: int, numbers: Array) -> None:
        """As `SceneLaw.set_states`. On a rough face a ball begins with the spin of rolling."""
        super().set_states(state, body, chart, numbers)
        if not self._has_positions:
            return
        if chart == FREE:
            state[:, 4:] = np.nan
            return
        if self.world.friction[body] * self.world.face_friction[chart] == 0 or self.world.inverse_inertia[body] == 0:
            state[:, 4] = np.nan
        state[:, 5] = np.nan

    def turning(self, step: int) -> Array:
        """Spins m/s and angles m (N, 2), as in a state, of the scene's own motion at a step; 0 where it is unknown."""
        if not self._turns:
            return np.zeros((len(self.index), 2))
        return self._own.before(step)[:, 4:]

    def own_motion(self, step: int) -> Array | None:
        if self.alteration is not None or not self._has_positions or not self._meets or self.stride > 1:
            return None
        return self._own.before(step)

    def knows_own_motion(self, step: int) -> bool:
        """True if the scene's own motion is known up to a step: to a little after the horizon."""
        return step <= math.ceil((self.scene.horizon + AFTER) * PHYSICS_HZ)

    def own_path(self, steps: Whole) -> Array:
        """States (F, N, 6) of the scene's own motion at steps (F,), before the impulses of these."""
        return self._own.before(steps)

    def own_contacts(self, first: int, last: int) -> list[Contact]:
        """Contacts of the scene's own motion from step `first` to `last`; those that last at `first` begin there."""
        return self._own.contacts(first, last)

    @cached_property
    def _has_positions(self) -> bool:
        """True where the scene says where its bodies begin, which the physicist does not know."""
        return all(bool(np.isfinite(self.scene.bodies[i].position).all()) for i in self.index)

    @cached_property
    def _turns(self) -> bool:
        """False where nothing can turn, or where it is unknown how it does."""
        moving = [self.scene.bodies[i] for i in self.index]
        rough = any(body.friction > 0 and body.collides for body in moving)
        return self._has_positions and (rough or any(body.shape != "sphere" or any(body.spin) for body in moving))

    @cached_property
    def _own(self) -> OwnMotion:
        """The scene's own motion; laws of one scene, altered ones too, share it."""
        key = repr(self.scene)
        known = _own_motions.get(key)
        return _own_motions.put(key, OwnMotion(self)) if known is None else known

    def planar_states(self, states: Array) -> Array:
        """States (..., N, 6) of the moving bodies from states (..., bodies of the scene, 13)."""
        axes, (axis, sign) = list(PLANE_AXES[self.scene.camera.view]), self._clockwise
        part, size = states[..., list(self.index), :], self.world.radius
        planar = np.empty((*part.shape[:-1], 6))
        planar[..., :2], planar[..., 2:4] = part[..., axes], part[..., [7 + a for a in axes]]
        planar[..., 4] = sign * part[..., 10 + axis] * size
        for n, i in enumerate(self.index):
            if self.scene.bodies[i].shape == "sphere":
                planar[..., n, 5] = 0.0
            else:  # the turn q of q q0, about one axis
                x, y, z, w = self.scene.bodies[i].orientation
                turn = product(part[..., n, 3:7], np.array([-x, -y, -z, w]))
                angle = 2 * np.arctan2(sign * turn[..., axis], turn[..., 3])
                planar[..., n, 5] = size[n] * np.mod(angle + np.pi, 2 * np.pi) - size[n] * np.pi
        return planar

    def full_states(self, states: Array) -> Array:
        """States (K, bodies of the scene, 13) from states (K, N, 6) of the moving bodies."""
        axes, (axis, sign) = list(PLANE_AXES[self.scene.camera.view]), self._clockwise
        full = np.repeat(self._base[None], len(states), axis=0)
        for n, i in enumerate(self.index):
            size = self.world.radius[n]
            full[:, i, axes] = states[:, n, :2]
            full[:, i, [7 + a for a in axes]] = states[:, n, 2:4]
            full[:, i, 10 + axis] = sign * states[:, n, 4] / size
            if self.scene.bodies[i].shape != "sphere":
                turn, half = np.zeros((len(states), 4)), states[:, n, 5] / size / 2
                turn[:, axis], turn[:, 3] = sign * np.sin(half), np.cos(half)
                full[:, i, 3:7] = product(turn, np.asarray(self.scene.bodies[i].orientation))
        return full

    @cached_property
    def _clockwise(self) -> tuple[int, float]:
        """Axis about which bodies turn, and the sign with which that is clockwise as it is seen."""
        return depth_axis(self.scene.camera), 1.0 if self.scene.camera.view == "front" else -1.0

    # Simulation

    @cached_property
    def stride(self) -> int:
        """Physics steps that may be taken at once where nothing can touch: the scene's own motion stays what it is."""
        scene = self._changed(WorldChange(), 1.0, 1.0)
        if touchable(scene) or not flies(scene, self.since):
            return 1
        key = f"{self.scene!r} {self.since!r}"
        known = _strides.get(key)
        return _strides.put(key, self._longest(scene)) if known is None else known

    @property
    def cost(self) -> int:
        """As of any law: a search is 200 simulations of 4 s of one ball, or 1,000 flights."""
        return 20 if self.stride > 1 else 100  # in flight, and near contacts

    def _longest(self, scene: Scene) -> int:
        first = round(self.since * PHYSICS_HZ)
        if self._has_positions:
            states = simulate(self.scene, [first / PHYSICS_HZ], log=False).states
        else:
            states = _states(*self._probes)[:2]
        # 40 physics steps between the places at which that is seen
        steps = np.arange(0, round(scene.horizon * PHYSICS_HZ) - first, 40)
        true = fly(scene, states, steps, first / PHYSICS_HZ)[0][..., list(self.index), :3]
        for stride in (20, 10, 5, 2):  # physics steps at once
            path = glide(scene, states, steps, first / PHYSICS_HZ, stride)[..., list(self.index), :3]
            # 1e-3 diameters: what strides may move a body by in all
            if np.abs(path - true).max() <= 1e-3 * 2 * self.world.radius.min():
                return stride
        return 1

    @cached_property
    def alterable(self) -> frozenset[str]:
        scene, world = self.scene, self.world
        solid = [body for body in scene.bodies if body.collides]
        names = set(super(PlanarLaw, self).alterable) - {"forces", FIELD_STRENGTH.id} | {"wind", "drag", "turn"}
        if np.any(world.gravity):
            names |= {"gravity", "gravity_angle"}
        if self._has_fields:
            names.add(FIELD_STRENGTH.id)
        if np.any(world.gravity) or self._has_fields:
            names.add("forces")
        if self._meets:
            names |= {"contacts", "restitution"}
            names |= {"friction"} if sum(body.friction > 0 for body in solid) > 1 else set()
            names |= {"mass"} if world.collides.sum() > 1 else set()
        return frozenset(names)

    @cached_property
    def _meets(self) -> bool:
        """True where a moving body can touch another one."""
        return bool(self.world.collides.any()) and sum(body.collides for body in self.scene.bodies) > 1

    @cached_property
    def _has_fields(self) -> bool:
        return any(scaled(each, 2.0) is not each for each in self.scene.fields)

    def own_simulator(self, constants: Array | None) -> Simulator:
        return self._simulator(WorldChange(), constants)

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        return self._simulator(change, constants)

    def _simulator(self, change: WorldChange, constants: Array | None) -> Simulator:
        """constants: (K or 1, C); columns are factors on all forces, and on fields besides."""
        rows = np.ones((1, len(self.constants))) if constants is None else constants
        factors = dict(change.constants)
        scenes = []
        for forces, fields in rows.tolist():
            key = (change, forces * factors.get("forces", 1.0), fields * factors.get(FIELD_STRENGTH.id, 1.0))
            if key not in self._scenes:
                self._scenes[key] = self._changed(*key)
            scenes.append(self._scenes[key])
        unchanged = self.alteration is None and change == WorldChange() and len(rows) == 1
        return BulletSimulator(self, scenes, unchanged and bool((rows == 1.0).all()))

    @cached_property
    def _scenes(self) -> dict[tuple[WorldChange, float, float], Scene]:
        """Changed scenes so far: a client is kept for a scene object."""
        return {}

    def _changed(self, change: WorldChange, forces: float, strength: float) -> Scene:
        """The scene from `since` on in another world, with pushes left to interventions."""
        scene, factor = self.scene, forces * strength
        fields = tuple(each if factor == 1.0 else scaled(each, factor) for each in scene.fields)
        if change.drag != 0 or change.turn != 0:
            fields = (*fields, Resistance(change.drag, change.turn))
        heaviest = max(self.index, key=lambda i: scene.bodies[i].mass) if change.mass != 1.0 else -1
        bodies = tuple(
            replace(
                body,
                restitution=body.restitution * math.sqrt(change.restitution),
                friction=body.friction * math.sqrt(change.friction),
                mass=body.mass * (change.mass if i == heaviest else 1.0),
                collides=body.collides and change.contacts and (body.until is None or body.until > self.since),
                release=None,
            )
            for i, body in enumerate(scene.bodies)
        )
        return replace(
            scene,
            bodies=bodies,
            gravity=changed_gravity(scene, change, forces),
            fields=fields,
            impulses=(),
        )


class OwnMotion:
    """Motion of a scene as it declares it, simulated as ground truth is, step by step.

    A simulation that begins in the middle of it is another one where bodies touch: how contacts were made is not in a
    state, and a ball that rests and is hit bounces or stays as rounding has it.
    """

    def __init__(self, law: BulletLaw) -> None:
        self._first, states = -round(HISTORY * PHYSICS_HZ), list[Array]()
        self._touching: list[frozenset[tuple[str, str]]] = []
        with World(law.scene) as world:
            for step in takewhile(law.knows_own_motion, count(self._first)):
                world.advance(step / PHYSICS_HZ)
                states.append(world.states()[0])
                self._touching.append(world.in_contact)
            self._contacts = world.contacts
        self._states = law.planar_states(np.stack(states))  # (steps, N, 6)
        if not law._turns:
            self._states[..., 4:] = 0.0

    def before(self, steps: int | Whole) -> Array:
        """States (..., N, 6) at steps (...), before their impulses; at the nearest ones that are known."""
        return np.asarray(self._states[np.clip(steps - self._first, 0, len(self._states) - 1)])

    def contacts(self, first: int, last: int) -> list[Contact]:
        """Contacts from step `first` to `last`; those that last at `first` begin there."""
        lasting = self._touching[min(max(first - self._first, 0), len(self._touching) - 1)]
        begun = [Contact(first / PHYSICS_HZ, *pair) for pair in sorted(lasting)]
        return begun + [each for each in self._contacts if first <= round(each.time * PHYSICS_HZ) < last]


_own_motions = RecentlyUsed[str, OwnMotion](16)  # of scenes, those of trials too; 1 MB each


@dataclass(frozen=True, eq=False)
class BulletSimulator(Simulator):
    """Simulates a scene again, for all candidates that have the same constants at once."""

    law: BulletLaw
    scenes: Sequence[Scene]  # one of each candidate, or one of all
    unchanged: bool = False  # whether the scene is as declared, so that its own motion may be followed
    _without: dict[tuple[int, frozenset[int]], Scene] = field(default_factory=dict)

    def follow(self, rows: Whole, value: Array, end: int, smooth: bool = False) -> BulletTrajectory:
        """Simulate from the first intervention to step `end`. smooth: for derivatives, of simulated motion alone."""
        return BulletTrajectory(replace(self, unchanged=False) if smooth else self, rows, value, end)

    def moved(self, states: Array, first: int, steps: Whole, log: bool) -> tuple[Array, list[tuple[int, int, int]]]:
        """Move candidates that nobody touches.

        Args:
            states: (K, N, 6) at step `first`; NaN of what is absent.
            first: Step.
            steps: (F,) ascending, later ones.
            log: Whether contacts of the first candidate are asked for.

        Returns states (K, F, N, 6), and contacts: step, body and other body or -1.
        """
        law, paths = self.law, np.full((len(states), len(steps), *states.shape[1:]), np.nan)
        there: Mask = np.asarray(np.isfinite(states[..., :4]).all(axis=-1))  # (K, N)
        present: Mask = np.asarray(there.any(axis=0))
        far = np.abs(np.nan_to_num(states[..., :4])).reshape(len(states), -1).max(axis=1) >= FAR
        whole: Mask = there[:, present].all(axis=-1) & ~far
        contacts: list[tuple[int, int, int]] = []
        if not present.any():
            return paths, contacts
        on_own = self._on_own_motion(states, present, first, int(steps[-1]))
        if on_own.any():
            paths[on_own], whole = np.where(present[:, None], law.own_path(steps), np.nan), whole & ~on_own
            if log and on_own[0]:
                contacts += self._numbered(law.own_contacts(first, int(steps[-1])))
        absent = frozenset(np.flatnonzero(~present).tolist())
        for s, scene in enumerate(self.scenes):
            of_scene = np.full(len(states), True) if len(self.scenes) == 1 else np.arange(len(states)) == s
            chosen = np.flatnonzero(whole & of_scene)
            if len(chosen):
                full = law.full_states(np.nan_to_num(states[chosen]))
                with_contacts = log and chosen[0] == 0
                moved, met = simulate_batch(
                    self._scene(s, scene, absent),
                    first / PHYSICS_HZ,
                    full,
                    steps / PHYSICS_HZ,
                    log=with_contacts,
                    stride=law.stride,
                )
                part = law.planar_states(moved)
                part[:, :, ~present] = np.nan
                paths[chosen] = part
                contacts += self._numbered(met)
        return paths, contacts

    def _on_own_motion(self, states: Array, present: Mask, step: int, end: int) -> Mask:
        """Candidates (K,) whose present bodies (N,) have the states of the scene's own motion, to the last bit.

        What is absent has not been seen yet, and is where that motion has it. states: (K, N, 6) at a step, after its
        impulses. end: step up to which they are to be followed; none is on a motion that is not known so far.
        """
        own = self.law.own_motion(step) if self.unchanged and self.law.knows_own_motion(end) else None
        if own is None:
            return np.zeros(len(states), dtype=bool)
        own = own.copy()
        for push in self.law.pushes:
            if push.step == step and push.value is not None:
                own[push.body, 2:4] += push.value[:2]
        return np.asarray((states[:, present] == own[present]).all(axis=(1, 2)))

    def _scene(self, number: int, scene: Scene, absent: frozenset[int]) -> Scene:
        """A scene in which some of the moving bodies are not there."""
        if not absent:
            return scene
        if (number, absent) not in self._without:
            gone = {self.law.index[n] for n in absent}
            bodies = tuple(
                replace(body, role="fixed", collides=False) if i in gone else body
                for i, body in enumerate(scene.bodies)
            )
            names = {scene.bodies[i].name for i in gone}  # nor do forces come from them
            fields = tuple(each for each in scene.fields if names.isdisjoint(each.sources))
            self._without[number, absent] = replace(scene, bodies=bodies, fields=fields)
        return self._without[number, absent]

    def _numbered(self, contacts: Sequence[Contact]) -> list[tuple[int, int, int]]:
        number = {self.law.scene.bodies[i].name: n for n, i in enumerate(self.law.index)}
        numbered = []
        for each in contacts:
            pair = sorted((number.get(each.a, -1), number.get(each.b, -1)), reverse=True)
            if pair[0] >= 0:
                numbered.append((round(each.time * PHYSICS_HZ), pair[0], pair[1]))
        return numbered


FAR = 1e3  # m and m/s; candidates that are further away are given up


@dataclass(eq=False)
class BulletTrajectory:
    """Motion of K candidates, simulated when it is first asked for, and again for other steps."""

    simulator: BulletSimulator
    rows: Whole  # (M, 3)
    value: Array  # (M, K, 6)
    end: int
    _steps: Whole = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _states: Array = field(default_factory=lambda: np.zeros((0, 0, 0, 6)))
    _contacts: list[tuple[int, int, int]] | None = None

    @property
    def contacts(self) -> list[tuple[int, int, int]]:
        """Contacts of the first candidate: step, body and other body or -1."""
        if self._contacts is None:
            self._contacts = BulletTrajectory(self.simulator, self.rows, self.value[:, :1], self.end).contacts_now()
        return self._contacts

    def contacts_now(self) -> list[tuple[int, int, int]]:
        self._simulate(np.array([self.end], dtype=np.int64))
        return self._contacts or []

    def at(self, steps: Array) -> States:
        """Positions m, velocities and spins m/s (K, F, N, 2) at steps (F,); NaN where a body is absent."""
        whole = np.floor(np.asarray(steps) + 1e-9).astype(np.int64)
        if not np.isin(whole, self._steps).all():
            self._simulate(np.union1d(whole, self._steps[self._steps <= max(self.end, int(whole.max()))]))
        states = self._states[:, np.searchsorted(self._steps, whole)]
        ahead = (np.asarray(steps) - whole)[:, None, None] / PHYSICS_HZ
        return states[..., :2] + ahead * states[..., 2:4], states[..., 2:4], states[..., 4:]

    def positions(self, steps: Array) -> Array:
        return self.at(steps)[0]

    def _simulate(self, steps: Whole) -> None:
        """Keep the states at steps (F,), ascending."""
        size, law = self.value.shape[1], self.simulator.law
        now = np.full((size, len(law.index), 6), np.nan)
        self._states, self._steps = np.full((size, len(steps), len(law.index), 6), np.nan), steps
        log, last = size == 1, int(steps[-1])
        contacts: list[tuple[int, int, int]] = []
        groups = [
            (step, list(group)) for step, group in groupby(range(len(self.rows)), lambda m: int(self.rows[m, STEP]))
        ]
        for (begin, group), end in zip(groups, [*(step for step, _ in groups[1:]), last + 1], strict=True):
            if begin > last:
                break
            for m in group:
                self._intervene(now, m, begin)
            until = min(end, last + 1)
            inside = np.flatnonzero((steps >= begin) & (steps < until))
            self._states[:, inside[steps[inside] == begin]] = now[:, None]
            later = inside[steps[inside] > begin]
            stops = steps[later]
            if end <= last:
                stops = np.append(stops, end)  # where the next interventions act
            if len(stops):
                moved, met = self.simulator.moved(now, begin, stops, log)
                self._states[:, later] = moved[:, : len(later)]
                now = moved[:, -1].copy()
                contacts += met
        if log and last >= self.end:
            self._contacts = contacts

    def _intervene(self, now: Array, m: int, step: int) -> None:
        """Apply an intervention to states (K, N, 6)."""
        body, kind, value = int(self.rows[m, BODY]), int(self.rows[m, KIND]), self.value[m]
        if kind == STATE:
            given = value.copy()
            if np.isnan(given[:, 4:]).any():
                given[:, 4:] = np.where(np.isnan(given[:, 4:]), self.simulator.law.turning(step)[body], given[:, 4:])
            now[:, body] = given
        elif kind == PUSH:
            now[:, body, 2:4] += value[:, :2]
        else:
            now[:, body] = np.nan


def _states(position: Array, velocity: Array) -> Array:
    """States (..., 13) of positions and velocities (..., 3), upright and without spin."""
    states = np.zeros((*position.shape[:-1], 13))
    states[..., :3], states[..., 6], states[..., 7:10] = position, 1.0, velocity
    return states


def _size(body: Body, gravity: Vector) -> float:
    """Size in m by which a turn is measured; of a box, half of its height as it was declared, if anything is down."""
    if body.shape != "box":
        return body.size[0]
    down = np.asarray(gravity) / max(float(np.linalg.norm(gravity)), ALIGNMENT)
    return float(np.abs(box_axes(body) @ down) @ np.asarray(body.size)) or min(body.size)


def _faces(body: Body, moving: list[Body], axes: list[int], across: int) -> list[Face]:
    """Faces of a body that stands or is moved on rails. Raises Unsupported where it may push bodies off their plane."""
    if body.shape == "plane":
        normal = rotate(body.orientation, (0.0, 0.0, 1.0))
        if abs(normal[across]) > 1 - ALIGNMENT:
            gaps = [abs(each.position[across] - body.position[across]) - max(each.size) for each in moving]
            if min(gaps) < TOUCH_GAP:
                raise Unsupported(f"something lies on {body.name}, across the view")
            return []
        if abs(normal[across]) > ALIGNMENT:
            raise Unsupported(f"{body.name} stands askew to the plane of motion")
        return [Face(normal[axes], float(normal[axes] @ np.asarray(body.position)[axes]), -math.inf, math.inf, body)]
    if body.shape == "cylinder":
        if abs(box_axes(body)[2, across]) < 1 - ALIGNMENT:
            raise Unsupported(f"{body.name} is an obstacle and a cylinder that is not seen from its end")
        return []
    if not is_obstacle(body, moving, across) or body.shape == "sphere":
        return []
    return box_in_plane(body, axes, across, 0.0)[0]
