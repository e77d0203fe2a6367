"""A scene in PyBullet at 1200 Hz, and its states over time. The only module that imports PyBullet."""

from __future__ import annotations

import math
import os
import sys
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from physbench.support.arrays import Array
from physbench.support.errors import PhysbenchError
from physbench.world.ballistic import Forces, flies, fly, glide, touchable
from physbench.world.camera import depth_axis
from physbench.world.geometry import rotate, unrotate
from physbench.world.links import Guide, guides, moments
from physbench.world.scene import (
    HISTORY,
    PHYSICS_HZ,
    PHYSICS_STEP,
    Actuator,
    Body,
    Contact,
    ForceField,
    Hinge,
    Impulse,
    Scene,
    Slider,
    Vector,
)

# The only module that imports PyBullet: late, without its messages, and with a remedy where it is missing.


@contextmanager
def _silence() -> Iterator[None]:
    """Discard what native code prints: PyBullet prints its build time, and standard output holds data."""
    saved = {}
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        if stream is not None:
            stream.flush()
        with suppress(OSError):  # already closed
            saved[descriptor] = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in saved:
            os.dup2(nowhere, descriptor)
        yield
    finally:
        os.close(nowhere)
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)


@cache
def bullet() -> Any:
    """Return the module `pybullet`, or raise PhysbenchError with the way to install it."""
    try:
        with _silence():
            import pybullet
    except ImportError as error:
        raise PhysbenchError(
            f"PyBullet cannot be imported ({error}): pip install 'pybullet>=3.2.6'. Its wheel is for CPython 3.11 on "
            "Linux; other Pythons compile it for minutes and need a C++ compiler."
        ) from error
    return pybullet


class Client:
    """A DIRECT physics client, as a context manager.

    It may be one that was closed before: connecting takes 12 ms, emptying .2 ms. An emptied world keeps only parameters
    of the engine, which `World` sets: what is simulated is the same to the last bit.
    """

    _emptied: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.api = bullet()
        self.id: int = self._emptied.pop() if self._emptied else self._connect()
        if not self.api.isConnected(self.id) or self.api.getNumBodies(physicsClientId=self.id):
            self.id = self._connect()  # other code of the process closed it, or has taken its number

    def _connect(self) -> int:
        """Number of a new client, not 0: that one is meant where other code of the process names none."""
        number = self.api.connect(self.api.DIRECT)
        if number == 0:
            number = self.api.connect(self.api.DIRECT)
            self.api.disconnect(physicsClientId=0)
        if number < 0:
            raise PhysbenchError("PyBullet gave no physics client: more than 1,000 are open in this process.")
        return int(number)

    def close(self) -> None:
        if self.id < 0:
            return
        if len(self._emptied) < 4:  # empty ones of a process
            self.api.resetSimulation(physicsClientId=self.id)
            self._emptied.append(self.id)
        else:
            self.api.disconnect(physicsClientId=self.id)
        self.id = -1

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def collision_shape(client: Client, body: Body, place: Sequence[float] = (0.0, 0.0, 0.0)) -> int:
    """Create the collision shape of a body, its middle at `place` m in its link's frame, and return its number."""
    api = client.api
    if body.shape == "sphere":
        options = {"shapeType": api.GEOM_SPHERE, "radius": body.size[0]}
    elif body.shape == "box":
        options = {"shapeType": api.GEOM_BOX, "halfExtents": body.size}
    elif body.shape == "cylinder":
        options = {"shapeType": api.GEOM_CYLINDER, "radius": body.size[0], "height": body.size[1]}
    else:
        options = {"shapeType": api.GEOM_PLANE, "planeNormal": (0, 0, 1)}
    return int(api.createCollisionShape(**options, collisionFramePosition=place, physicsClientId=client.id))


# A scene in PyBullet at 1200 Hz with the settings that make it ground truth.
#
# PyBullet's defaults lose or gain energy at every bounce. Two settings prevent it: no position correction (contactERP
# 0) and no speculative contacts (contactProcessingThreshold 0). Restitution and friction of a pair are the product of
# both.


def initial_states(scene: Scene) -> Array:
    """States (N, 13) that the scene declares; a held body stands still until its release."""
    states = np.zeros((len(scene.bodies), 13))
    for row, body in zip(states, scene.bodies, strict=True):
        row[:3], row[3:7] = body.position, body.orientation
        if body.role == "moving" and body.release is None:
            row[7:10], row[10:] = body.velocity, body.spin
    return states


class WaypointPath:
    """Motion of a kinematic body: straight from waypoint to waypoint, else at rest. A belt stays; its surface moves."""

    def __init__(self, body: Body) -> None:
        points = [point.position for point in body.path] or [body.position]
        self._times = [point.time for point in body.path]
        self._points = [points[0], *points]  # where each part begins: before, between and after the waypoints
        steps = zip(pairwise(points), pairwise(self._times), strict=False)
        velocities = [
            [(q - p) / ((end - start) or 1.0) for p, q in zip(a, b, strict=True)] for (a, b), (start, end) in steps
        ]
        still = list(body.surface)
        self._velocities = [still, *velocities, still]

    def at(self, time: float) -> tuple[list[float], list[float]]:
        """Position m and velocity m/s at `time` s."""
        part = bisect_right(self._times, time)
        point, velocity = self._points[part], self._velocities[part]
        if 0 < part < len(self._times):
            ahead = time - self._times[part - 1]
            return [x + v * ahead for x, v in zip(point, velocity, strict=True)], velocity
        return list(point), velocity


def step_of(time: float) -> int:
    """Number of the physics step at `time` s, which lies on the grid of 1/1200 s."""
    step = round(time * PHYSICS_HZ)
    if abs(step - time * PHYSICS_HZ) > 1e-6:
        raise PhysbenchError(
            f"Expected times that are multiples of 1/{PHYSICS_HZ} s, got {time!r}. A parameter with grid=0.05 is "
            "drawn on such times; what follows from parameters is rounded: round(20 * t) / 20."
        )
    return step


def _checked(scene: Scene, action: Impulse) -> int:
    """The step of an impulse, which must lie on the grid of 1/20 s and act on a body that is free to move."""
    action_hz = 20
    step, body = step_of(action.time), scene.bodies[scene.index(action.body)]
    since = -HISTORY if body.release is None else body.release
    until = np.inf if body.until is None else body.until
    if step % (PHYSICS_HZ // action_hz) or body.role != "moving" or not since <= action.time < until:
        raise PhysbenchError(
            f"Expected an impulse on the grid of 1/{action_hz} s (a parameter with grid={1 / action_hz:g}) that meets "
            f"a free body, but got one at {action.time:g} s on {body.name!r}."
        )
    return step


# Group and mask that Bullet gives what has a mass and what has none, by which fixed bodies do not meet each other.
FREE_FILTER, FIXED_FILTER = (1, -1), (2, -3)
MOST_LINKED = 32  # fixed bodies of a scene that are multibodies to PyBullet: each costs 2 us a step, a rigid body .5 us


class World:
    """A scene in a PyBullet client of its own, with one or more copies of its bodies.

    Copies stand far apart along an axis in which nothing moves or collides. At time t: bodies with `release` <= t move,
    those with `until` <= t are gone, kinematic ones stand on their path, and an impulse at t is about to act.

    scene: what is simulated. start: s. states: (copies, N, 13) at `start`; None: one copy of the declared states.
    log: whether contacts are recorded (of the first copy), which takes a query at every step.
    refine: into how many smaller steps each step is divided, to see how results depend on the step.
    exact: whether steps are the same to the last bit however many are asked for at once.
    """

    def __init__(
        self,
        scene: Scene,
        start: float = -HISTORY,
        states: Array | None = None,
        *,
        log: bool = True,
        refine: int = 1,
        exact: bool = False,
    ) -> None:
        self.scene = scene
        self._exact = exact
        self._masses = np.array([body.mass for body in scene.bodies])[:, None]
        self._guides, self._guided = guides(scene), set[int]()  # bodies with a joint, and those that it guides by now
        self._drives, self._commands = scene.actuators, dict[str, Vector]()
        self._refine = refine
        self._act(each for each in scene.own_fields if not isinstance(each, Actuator | Hinge | Slider))
        self.step = step_of(start)
        self.contacts: list[Contact] = []
        touch = sum(body.collides for body in scene.bodies) > 1
        self._log = log and touch
        self._client = Client()
        given = states is not None
        self._states = np.array(initial_states(scene)[None] if states is None else states, dtype=np.float64)
        self._offset = np.zeros((len(self._states), 3))
        if len(self._states) > 1:
            axis = free_axis(scene)
            if axis is None:
                raise ValueError("The planes of this scene leave no axis on which copies can stand apart.")
            self._offset[:, axis] = 100.0 * np.arange(len(self._states))  # m between copies that share a client
        self._ids: list[list[int]] = [[-1] * len(scene.bodies) for _ in self._states]
        self._names: dict[int, int] = {}
        self._touching: set[tuple[int, int]] = set()
        self._impulses = [(_checked(scene, action), action) for action in scene.impulses]
        self._paths = [
            i for i, body in enumerate(scene.bodies) if (body.role == "kinematic" and body.path) or any(body.surface)
        ]
        self._moved = [i for i in self._paths if scene.bodies[i].collides]  # others need no place in PyBullet
        self._motions = {i: WaypointPath(scene.bodies[i]) for i in self._paths}
        for i, motion in self._motions.items():
            self._states[:, i, :3], self._states[:, i, 7:10] = motion.at(self.time)
        self._changes = sorted({step_of(time) for time in scene.change_times} | {step for step, _ in self._impulses})
        self._shared: dict[tuple[str, tuple[float, ...]], int] = {}
        still = [i for i, body in enumerate(scene.bodies) if body.role == "fixed" and not any(body.surface)]
        self._rows = frozenset(still) if len(still) > MOST_LINKED else frozenset()
        try:
            self._configure()
            for i in range(len(scene.bodies)):
                self._place_all(i, keep=given)
            self._free = self._find_free()
            self._pulls = self._find_pulls()
            self.whole = True  # no body has come or gone since the beginning
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    @property
    def time(self) -> float:
        """Time in s of the current step."""
        return self.step / PHYSICS_HZ

    @property
    def in_contact(self) -> frozenset[tuple[str, str]]:
        """Names of the bodies of each pair whose contact is recorded and lasts."""
        bodies = self.scene.bodies
        return frozenset((bodies[a].name, bodies[b].name) for a, b in self._touching)

    def restart(self, start: float, states: Array) -> None:
        """Begin again at `start` s from other states (copies, N, 13), with the bodies of the first beginning.

        What follows is the same to the last bit, whatever was simulated before: PyBullet's own `restoreState` keeps
        contact points, and a ball that lands where another lay goes another way, by up to .24 m in 3 s. Here every body
        leaves the broad phase and enters it again in the order of its creation, which drops all pairs and contacts.
        """
        api, client, bodies = self._client.api, self._client.id, self.scene.bodies
        self.step, self.contacts, self._touching = step_of(start), [], set()
        self._commands.clear()
        self._free = self._find_free()
        self._states = np.array(states, dtype=np.float64)
        solid = [
            (ids[index], index)
            for index, body in enumerate(bodies)
            for ids in self._ids
            if body.collides and ids[index] >= 0
        ]
        for number, index in solid:
            api.setCollisionFilterGroupMask(number, self._link(index), 0, 0, physicsClientId=client)
        api.performCollisionDetection(physicsClientId=client)  # without a pair its clean-up begins at the first again
        for copy, ids in enumerate(self._ids):
            for index, body in enumerate(bodies):
                if body.role == "moving" and ids[index] >= 0:
                    self._set(copy, index, self._states[copy, index])
        for index in self._moved:
            self._move(index, 0.0)
        for number, index in solid:
            group, mask = FREE_FILTER if index in self._free else FIXED_FILTER
            api.setCollisionFilterGroupMask(number, self._link(index), group, mask, physicsClientId=client)

    def _set(self, copy: int, index: int, state: Array) -> None:
        """Put a body that is free to move into a state (13,); a guided one into the nearest that its joint allows."""
        api, client, number = self._client.api, self._client.id, self._ids[copy][index]
        if self._link(index) == 0:
            coordinate, rate = (float(each) for each in self._guides[index].coordinates(state))
            api.resetJointState(number, 0, coordinate, rate, physicsClientId=client)
            return
        place = (state[:3] + self._offset[copy]).tolist()
        api.resetBasePositionAndOrientation(number, place, state[3:7].tolist(), physicsClientId=client)
        api.resetBaseVelocity(number, state[7:10].tolist(), state[10:].tolist(), physicsClientId=client)

    def _link(self, index: int) -> int:
        """Number of the link of its multibody that a body is: 0 where a joint guides it, else -1, the base."""
        return 0 if index in self._guided else -1

    # Building

    def _configure(self) -> None:
        api, client = self._client.api, self._client.id
        api.setPhysicsEngineParameter(
            fixedTimeStep=PHYSICS_STEP / self._refine,
            contactERP=0,
            restitutionVelocityThreshold=0.01,
            deterministicOverlappingPairs=1,
            physicsClientId=client,
        )
        api.setGravity(*self.scene.gravity, physicsClientId=client)

    def _held(self, body: Body) -> bool:
        return body.release is not None and step_of(body.release) > self.step

    def _gone(self, body: Body) -> bool:
        return body.until is not None and step_of(body.until) <= self.step

    def _place_all(self, index: int, keep: bool = False) -> None:
        """Put body `index` into every copy; keep=False: a body that is released now gets its declared motion."""
        body = self.scene.bodies[index]
        if body.role == "moving" and not keep and not self._held(body):
            self._states[:, index, 7:10], self._states[:, index, 10:] = body.velocity, body.spin
        if self._gone(body) or (not body.collides and body.role != "moving"):
            return
        # A plane is endless along the axis on which copies stand apart: one serves all.
        for copy in range(1 if body.shape == "plane" else len(self._states)):
            self._place(copy, index)

    def _place(self, copy: int, index: int) -> None:
        api, client, body = self._client.api, self._client.id, self.scene.bodies[index]
        state, moves = self._states[copy, index], body.role == "moving" and not self._held(body)
        if moves and index in self._guides:
            self._guided.add(index)
        if (link := self._link(index)) == 0:
            number = self._on_joint(copy, self._guides[index])
        else:
            key = (body.shape, body.size)
            if key not in self._shared:
                self._shared[key] = collision_shape(self._client, body)
            number = api.createMultiBody(
                baseMass=body.mass if moves else 0,
                baseCollisionShapeIndex=self._shared[key],
                basePosition=(state[:3] + self._offset[copy]).tolist(),
                baseOrientation=state[3:7].tolist(),
                useMaximalCoordinates=index in self._rows,
                physicsClientId=client,
            )
        api.changeDynamics(
            number,
            link,
            restitution=body.restitution,
            lateralFriction=body.friction,
            contactProcessingThreshold=0,
            linearDamping=0,
            angularDamping=0,
            physicsClientId=client,
        )
        if body.bore:
            inertia = moments(body).tolist()
            api.changeDynamics(number, link, localInertiaDiagonal=inertia, physicsClientId=client)
        if not body.turns:
            # kg m2: it is not to turn
            api.changeDynamics(number, link, localInertiaDiagonal=(1e9,) * 3, physicsClientId=client)
        if not body.collides:
            api.setCollisionFilterGroupMask(number, link, 0, 0, physicsClientId=client)
        self._ids[copy][index] = number
        self._names[number] = index
        if link == 0:
            self._set(copy, index, state)
        elif moves:
            api.resetBaseVelocity(number, state[7:10].tolist(), state[10:].tolist(), physicsClientId=client)

    def _on_joint(self, copy: int, guide: Guide) -> int:
        """A multibody whose one link is a guided body; its joint is 0 where the body is as declared."""
        api, client, body = self._client.api, self._client.id, guide.body
        arm, axis = (unrotate(body.orientation, each).tolist() for each in (guide.arm, guide.axis))
        number = api.createMultiBody(
            baseMass=0,
            basePosition=(guide.point + self._offset[copy]).tolist(),
            linkMasses=[body.mass],
            linkCollisionShapeIndices=[collision_shape(self._client, body, arm)],
            linkVisualShapeIndices=[-1],
            linkPositions=[(0, 0, 0)],
            linkOrientations=[body.orientation],
            linkInertialFramePositions=[arm],
            linkInertialFrameOrientations=[(0, 0, 0, 1)],
            linkParentIndices=[0],
            linkJointTypes=[api.JOINT_REVOLUTE if guide.turns else api.JOINT_PRISMATIC],
            linkJointAxis=[axis],
            physicsClientId=client,
        )
        api.changeDynamics(
            number, 0, localInertiaDiagonal=moments(body).tolist(), jointDamping=0, physicsClientId=client
        )
        api.changeDynamics(number, -1, linearDamping=0, angularDamping=0, physicsClientId=client)
        api.setJointMotorControl2(number, 0, api.VELOCITY_CONTROL, force=0, physicsClientId=client)  # it brakes
        return int(number)

    def _remove(self, index: int) -> None:
        self._read(index)
        for ids in self._ids:
            if ids[index] >= 0:
                self._client.api.removeBody(ids[index], physicsClientId=self._client.id)
                ids[index] = -1
        self._states[:, index, 7:] = 0.0

    # Stepping

    def advance(self, time: float) -> None:
        """Simulate up to `time` s, a multiple of 1/1200 s that is not in the past."""
        last = step_of(time)
        while self.step < last:
            self._push()
            if self._log or self._paths or len(self.scene.fields) > len(self._guides):
                self._single()
            else:
                self._several(min([last, *(step for step in self._changes if step > self.step)]) - self.step)
            if self.step in self._changes:
                self._change()

    def _single(self) -> None:
        for part in range(self._refine):
            for index in self._moved:
                self._move(index, part / self._refine)
            if self._pulls:
                self._attract()
            if self._drives:
                self._drive()
            if self._forces is not None:
                self._exert(self._forces, self.time + part / self._refine * PHYSICS_STEP)
            self._client.api.stepSimulation(physicsClientId=self._client.id)
            if self._log:
                self._record()
        self.step += 1

    def _several(self, count: int) -> None:
        """As `count` single steps and cheaper; forces would be held, so only where there are none.

        PyBullet divides the time by the number of steps, and then by the result. Rounding may leave a step out, or make
        another step of it: fewer are taken then, of the latter only if `exact`, for ground truth keeps its bytes.
        """
        while not self._takes(count):
            count -= 1
        api, client, parts = self._client.api, self._client.id, count * self._refine
        api.setPhysicsEngineParameter(fixedTimeStep=PHYSICS_STEP * count, numSubSteps=parts, physicsClientId=client)
        api.stepSimulation(physicsClientId=client)
        api.setPhysicsEngineParameter(fixedTimeStep=PHYSICS_STEP / self._refine, numSubSteps=0, physicsClientId=client)
        self.step += count

    def _takes(self, count: int) -> bool:
        """True if one call of PyBullet makes `count` steps and, if `exact`, each as long as a single one."""
        parts = count * self._refine
        step = PHYSICS_STEP * count / parts
        return int(PHYSICS_STEP * count / step) == parts and (not self._exact or step == PHYSICS_STEP / self._refine)

    def _push(self) -> None:
        """Apply the impulses of this step."""
        for step, action in self._impulses:
            if step == self.step:
                self.push(action.body, action.impulse)

    def push(self, name: str, impulse: Sequence[float]) -> None:
        """Give an impulse (3,) in N s to the centre of a body that is free to move: its velocity changes by J / m.

        That of a guided body changes by as much as its joint lets it.
        """
        api, client, body = self._client.api, self._client.id, self.scene.bodies[index := self.scene.index(name)]
        if body.role != "moving" or self._held(body) or self._gone(body):
            raise PhysbenchError(f"Expected a push on a body that is free to move, got {name!r} at {self.time:g} s.")
        for ids in self._ids:
            if self._link(index) == 0:
                guide, number = self._guides[index], ids[index]
                coordinate, rate, *_ = api.getJointState(number, 0, physicsClientId=client)
                rate += float(guide.effect(coordinate) @ np.asarray(impulse)) / guide.inertia
                api.resetJointState(number, 0, coordinate, rate, physicsClientId=client)
                continue
            velocity, spin = api.getBaseVelocity(ids[index], physicsClientId=client)
            pushed = [v + j / body.mass for v, j in zip(velocity, impulse, strict=True)]
            api.resetBaseVelocity(ids[index], pushed, spin, physicsClientId=client)

    def _find_free(self) -> list[int]:
        """Until the next change: the bodies that are there and free to move."""
        return [
            index
            for index, body in enumerate(self.scene.bodies)
            if body.role == "moving" and not self._held(body) and not self._gone(body)
        ]

    def _find_pulls(self) -> list[tuple[int, list[tuple[int, float]]]]:
        """Until the next change: the source of each field, and the bodies that it draws with mass x mu in N m2."""
        centres = [(self.scene.index(field.source), field.mu) for field in self.scene.central]
        return [(c, [(i, self.scene.bodies[i].mass * mu) for i in self._free if i != c]) for c, mu in centres]

    def _attract(self) -> None:
        api, client = self._client.api, self._client.id
        for copy, ids in enumerate(self._ids):
            taking_part = {index for centre, drawn in self._pulls for index in (centre, *(i for i, _ in drawn))}
            positions = {index: self._position(copy, index) for index in taking_part}
            for centre, drawn in self._pulls:
                a, b, c = positions[centre]
                for index, strength in drawn:
                    x, y, z = position = positions[index]
                    d = (a - x, b - y, c - z)
                    square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
                    scale = strength / (square * square**0.5)
                    force = (scale * d[0], scale * d[1], scale * d[2])
                    link = self._link(index)
                    api.applyExternalForce(ids[index], link, force, position, api.WORLD_FRAME, physicsClientId=client)

    def _act(self, fields: Iterable[ForceField]) -> None:
        """Let these of the task's own fields act from now on."""
        self._own_fields = tuple(fields)
        step = PHYSICS_STEP / self._refine
        self._forces = Forces(self.scene, self._own_fields, step) if self._own_fields else None

    def _exert(self, forces: Forces, time: float) -> None:
        """Apply the forces of the task's own fields at `time` s."""
        api, client, states = self._client.api, self._client.id, self.states()
        exerted = (self._masses * forces.at(states, time)).tolist()
        places = (states[..., :3] + self._offset[:, None]).tolist()
        for ids, force, place in zip(self._ids, exerted, places, strict=True):
            for index in self._free:
                if ids[index] >= 0:
                    link = self._link(index)
                    api.applyExternalForce(
                        ids[index], link, force[index], place[index], api.WORLD_FRAME, physicsClientId=client
                    )

    def command(self, name: str, command: Vector) -> None:
        """Tell a motor another velocity (3,) m/s, or a thruster a force N, in place of what the scene commands."""
        self._commands[name] = command

    def _drive(self) -> None:
        """Apply the forces of motors and thrusters for this step."""
        api, client = self._client.api, self._client.id
        for drive in self._drives:
            body = self.scene.bodies[index := self.scene.index(drive.body)]
            if body.role != "moving" or self._held(body) or self._gone(body):
                continue
            command = self._commands.get(drive.body) or drive.command(self.time)
            for copy, ids in enumerate(self._ids):
                if ids[index] < 0:
                    continue
                force = drive.force_at(body.mass, self._velocity(copy, index), command)
                place, link = self._position(copy, index), self._link(index)
                api.applyExternalForce(ids[index], link, force, place, api.WORLD_FRAME, physicsClientId=client)

    def _move(self, index: int, part: float) -> None:
        """Put a kinematic body where its path is `part` of a step after now, with the velocity that it has there.

        A belt, which is fixed, is put back: contacts see the velocity of a body, and PyBullet moves the body with it.
        """
        body, api, client = self.scene.bodies[index], self._client.api, self._client.id
        if self._gone(body):
            return
        here, velocity = self._motions[index].at(self.time + part * PHYSICS_STEP)
        for offset, ids in zip(self._offset.tolist(), self._ids, strict=True):
            if ids[index] >= 0:
                position = [x + shift for x, shift in zip(here, offset, strict=True)]
                api.resetBasePositionAndOrientation(ids[index], position, body.orientation, physicsClientId=client)
                api.resetBaseVelocity(ids[index], velocity, (0, 0, 0), physicsClientId=client)

    def _change(self) -> None:
        """Release what is released and take away what vanishes at this step."""
        self.whole = False
        for index, body in enumerate(self.scene.bodies):
            if body.until is not None and step_of(body.until) == self.step:
                self._remove(index)
            elif body.release is not None and step_of(body.release) == self.step and body.role == "moving":
                self._remove(index)
                self._place_all(index)
        self._free = self._find_free()
        self._pulls = self._find_pulls()

    def _record(self) -> None:
        points = self._client.api.getContactPoints(physicsClientId=self._client.id)
        if not points and not self._touching:
            return
        names, touching = self._names, self._touching
        nearest: dict[tuple[int, int], float] = {}
        for point in points:
            a, b, distance = names[point[1]], names[point[2]], point[8]
            pair = (a, b) if a < b else (b, a)
            if distance < nearest.get(pair, np.inf):
                nearest[pair] = distance
        for pair in sorted([pair for pair, gap in nearest.items() if gap <= 0.0 and pair not in touching]):
            touching.add(pair)
            self.contacts.append(Contact(self.time, *(self.scene.bodies[index].name for index in pair)))
        if touching:
            # 1e-3 m; bodies closer than this after a touch are still in the same contact
            self._touching = {pair for pair in touching if nearest.get(pair, np.inf) <= 1e-3}

    # Reading

    def _read(self, index: int) -> None:
        api, client, body = self._client.api, self._client.id, self.scene.bodies[index]
        if body.role != "moving" or self._held(body):
            return
        if self._ids[0][index] < 0:  # it is in all copies or in none
            return
        if self._link(index) == 0:
            moved = [api.getJointState(ids[index], 0, physicsClientId=client)[:2] for ids in self._ids]
            self._states[:, index] = self._guides[index].states(*np.array(moved).T)
            return
        for copy, ids in enumerate(self._ids):
            place, turn = api.getBasePositionAndOrientation(ids[index], physicsClientId=client)
            velocity, spin = api.getBaseVelocity(ids[index], physicsClientId=client)
            self._states[copy, index] = (*place, *turn, *velocity, *spin)
        if len(self._ids) > 1:
            self._states[:, index, :3] -= self._offset

    def _position(self, copy: int, index: int) -> Sequence[float]:
        """Position (3,) m of a body now, with the offset of its copy."""
        number = self._ids[copy][index]
        if number >= 0 and self._link(index) < 0:
            api, client = self._client.api, self._client.id
            position: Vector = api.getBasePositionAndOrientation(number, physicsClientId=client)[0]
            return position
        state = self._states[copy, index] if number < 0 else self._guided_state(number, index)
        return list(map(float, state[:3] + self._offset[copy]))

    def _velocity(self, copy: int, index: int) -> Sequence[float]:
        """Velocity (3,) m/s now of a body that is in the client."""
        number = self._ids[copy][index]
        if self._link(index) == 0:
            return list(map(float, self._guided_state(number, index)[7:10]))
        velocity: Vector = self._client.api.getBaseVelocity(number, physicsClientId=self._client.id)[0]
        return velocity

    def _guided_state(self, number: int, index: int) -> Array:
        """State (13,) of a guided body without the offset of its copy."""
        coordinate, rate, *_ = self._client.api.getJointState(number, 0, physicsClientId=self._client.id)
        return self._guides[index].states(coordinate, rate)

    def states(self) -> Array:
        """States of every copy now (copies, N, 13). A body that is gone keeps its last pose at rest."""
        for index in self._free:
            self._read(index)
        for index in self._paths:
            if not self._gone(self.scene.bodies[index]):
                self._states[:, index, :3], self._states[:, index, 7:10] = self._motions[index].at(self.time)
        return self._states.copy()


def free_axis(scene: Scene) -> int | None:
    """Axis along which copies can stand apart, best the one across the plane of motion; None if planes cut them all."""
    across = depth_axis(scene.camera)
    planes = [body for body in scene.bodies if body.shape == "plane" and body.collides]
    normals = [rotate(body.orientation, (0.0, 0.0, 1.0)) for body in planes]
    for axis in (across, 1, 0, 2):
        if all(abs(normal[axis]) < 1e-12 for normal in normals):
            return axis
    return None


@dataclass(frozen=True, eq=False)
class Simulation:
    """States at the requested times and every contact up to the last of them."""

    states: Array  # (T, N, 13) position m, quaternion xyzw, velocity m/s, spin rad/s
    contacts: tuple[Contact, ...]


def simulate(scene: Scene, times: Sequence[float] | Array, *, refine: int = 1, log: bool = True) -> Simulation:
    """Simulate a scene from -HISTORY.

    times: ascending, in s, multiples of 1/1200. refine: into how many smaller steps each is divided. log: whether
    contacts are asked for.
    Returns states (T, N, 13) at these times and the contacts in between.
    """
    with World(scene, log=log, refine=refine) as world:
        states = []
        for time in times:
            world.advance(float(time))
            states.append(world.states()[0])
        return Simulation(np.stack(states), tuple(world.contacts))


def simulate_ensemble(scene: Scene, start: float, states: Array, times: Sequence[float] | Array) -> Array:
    """Simulate copies of a scene from given states.

    start: s. states: (M, N, 13) at `start`. times: ascending, s. Returns (M, T, N, 13).
    Fields without contacts are computed in numpy, everything else in Bullet.
    """
    states = np.asarray(states, dtype=np.float64)
    if not scene.fields or not flies(scene, start):
        return _ensemble(scene, start, states, times)
    steps = np.array([step_of(float(time)) for time in times]) - step_of(start)
    result, touched = fly(scene, states, steps, start)
    if touched.any():
        result[touched] = _ensemble(scene, start, states[touched], times)
    return result


def _ensemble(scene: Scene, start: float, states: Array, times: Sequence[float] | Array) -> Array:
    """The members in one client, where its planes leave room for them."""
    if len(states) > 1 and free_axis(scene) is None:
        return np.concatenate([_ensemble(scene, start, member[None], times) for member in states])
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving"]
    settled_time = 0.5  # s at rest, after which an ensemble is not stepped any more
    settled, since = max(_last_change(scene), start) + settled_time, None
    with World(scene, start, states, log=False) as world:
        result: list[Array] = []
        for time in times:
            if since is not None and time - since >= settled_time and time >= settled:
                result.append(result[-1])  # all rests, and nothing is left that could move it
                continue
            world.advance(float(time))
            result.append(world.states())
            rests = bool((np.abs(result[-1][:, moving, 7:]) < 5e-3).all())  # m/s and rad/s; slower is rest
            since = (time if since is None else since) if rests else None
        return np.stack(result, axis=1)


BATCH = 10  # copies in a client; more cost as much each, and round otherwise the further out they stand
_kept: OrderedDict[tuple[int, int, bool, int], World] = OrderedDict()


def simulate_batch(
    scene: Scene,
    start: float,
    states: Array,
    times: Sequence[float] | Array,
    *,
    log: bool = False,
    stride: int = 1,
) -> tuple[Array, tuple[Contact, ...]]:
    """As `simulate_ensemble`, for searches that ask for many short simulations of one scene object.

    Where nothing can touch anything it is a flight; else clients are kept, since making one takes as long as 2 s of a
    ball. log: whether contacts of the first member are asked for. stride: by how many times longer steps may be in
    flights.

    Returns states (M, T, N, 13) and the contacts.
    """
    if flies(scene, start) and not touchable(scene):
        steps = np.array([step_of(float(time)) for time in times]) - step_of(start)
        return (glide(scene, states, steps, start, stride) if stride > 1 else fly(scene, states, steps, start)[0]), ()
    size = BATCH if free_axis(scene) is not None else 1
    parts, contacts = list[Array](), tuple[Contact, ...]()
    for first in range(0, len(states), size):
        logged = log and first == 0
        world, key = _lent(scene, start, states[first : first + size], logged)
        try:
            by_time = []
            for time in times:
                world.advance(float(time))
                by_time.append(world.states())
            parts.append(np.stack(by_time, axis=1))
            contacts = tuple(world.contacts) if logged else contacts
        except BaseException:
            world.close()
            raise
        if world.whole and key not in _kept:
            _kept[key] = world
            if len(_kept) > 8:  # clients of a process that wait for other states of the same scene
                _kept.popitem(last=False)[1].close()
        else:
            world.close()
    return np.concatenate(parts), contacts


def _lent(scene: Scene, start: float, states: Array, log: bool) -> tuple[World, tuple[int, int, bool, int]]:
    """A world that begins at `start` from states (M, N, 13), and the key under which it may be kept."""
    passed = sum(step_of(time) <= step_of(start) for time in scene.change_times)  # bodies that are free, or gone
    key = (id(scene), len(states), log, passed)
    world = _kept.pop(key, None)
    if world is not None and world.scene is not scene:
        world.close()
        world = None
    if world is None:
        world = World(scene, start, states, log=log, exact=True)
    world.restart(start, states)  # a new one, too: it sets turned bodies otherwise in the last bit
    return world, key


def _last_change(scene: Scene) -> float:
    """Time in s of the last event that is not due to the motion of bodies; infinity where forces never end."""
    if scene.fields:
        return math.inf
    times = [*scene.change_times, *(action.time for action in scene.impulses)]
    times += [point.time for body in scene.bodies for point in body.path]
    return max(times, default=-math.inf)
