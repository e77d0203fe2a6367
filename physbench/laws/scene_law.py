"""The law of a scene: the one protocol by which shadowing, predictability, the physicist and diagnosis move bodies.

`scene_law` gives a scene the first law that can move it: planar discs and central fields come with physbench, others
are found as tasks are. A law of one's own says which fields it covers and moves states (`simulate`); what else the
protocol asks has an answer for bodies that touch nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from physbench.laws.simulator import Intervention, PiecewiseSimulator, Simulator
from physbench.laws.support_check import Unsupported, check_motion
from physbench.support import user_files
from physbench.support.arrays import Array, Mask
from physbench.support.errors import LAW_FAULT, LawError, PhysbenchError, UsageError
from physbench.support.plugins import describe_error_in_file, entries, load
from physbench.support.user_files import UserFile
from physbench.world.camera import PLANE_AXES, depth_axis
from physbench.world.scene import PHYSICS_HZ, Scene

if TYPE_CHECKING:
    from physbench.laws.changes import Alteration, WorldChange

LAW_GROUP = "physbench.laws"
FREE = -1  # the chart of free motion


@dataclass(frozen=True)
class LawConstant:
    """A number of a law, as a factor on its value in the scene: 1 changes nothing.

    A factor on the first one is free where a context shows no forces. With a phrase it is also a changed world that
    diagnosis tries (`physbench.result.diagnosis.changed_world` says what each of these is).
    """

    id: str  # "stiffness"
    phrase: str = ""  # in the subjunctive, with {value}: "the spring were {value} times as stiff"
    short: str = ""  # "stiffness"
    seen: str | tuple[str, str] = ""
    values: tuple[float, ...] = (0.4, 0.7, 0.9, 1.1, 1.4, 2.0)  # first ones that are tried
    range: tuple[float, float] = (0.05, 4.0)

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"LawConstant '{self.id}': expected factors to try in `values`, but got none")


@dataclass(eq=False)
class SceneLaw:
    """Motion of the N moving bodies of a scene in its plane of motion.

    A state is position m and velocity m/s (4,), in interventions followed by the velocity m/s that a spin stands for.
    A chart is what a body's motion begins with, as numbers: FREE takes x, y m and vx, vy m/s; on a face there are less.
    Bodies are numbered from 0 to N - 1, frames and candidates come first in arrays.
    """

    scene: Scene
    index: tuple[int, ...]  # (N,) of the moving bodies in the scene
    depth: Array  # (N,) m along the view
    pushes: tuple[Intervention, ...]  # impulses of the scene
    since: float  # s from which on the scene is simulated
    alteration: Alteration | None = None  # by which the world is another one, see `changes.altered_law`

    name: ClassVar[str] = ""
    fields: ClassVar[tuple[type, ...]] = ()  # kinds of fields that it covers; scenes with none where it is empty
    constants: ClassVar[tuple[LawConstant, ...]] = ()  # (C,) what is free in it
    has_contacts: ClassVar[bool] = False  # whether it lets bodies touch anything
    continuous: ClassVar[bool] = True  # whether velocities are those of the moment, not of half a physics step before
    removable: ClassVar[bool] = True  # whether bodies that are no longer followed may be left out
    last_resort: ClassVar[bool] = False  # whether it is asked after those of users, and says nothing where it cannot

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Let what a user's law raises in a method of the protocol be a LawError: any reading may call it."""
        super().__init_subclass__(**arguments)
        if comes_with_physbench(cls):
            return
        for name in (each for each in vars(SceneLaw) if not each.startswith("__")):
            owner = next(kind for kind in cls.__mro__ if name in vars(kind))
            value = vars(owner)[name]
            if owner is not cls and issubclass(owner, SceneLaw):
                continue  # what is inherited from a class that is no law is the law's own
            if isinstance(value, (classmethod, staticmethod)):
                setattr(cls, name, type(value)(_blamed(cls, value.__func__)))
            elif isinstance(value, cached_property):
                again = cached_property(_blamed(cls, value.func))
                again.__set_name__(cls, name)
                setattr(cls, name, again)
            elif isinstance(value, property) and value.fget:
                setattr(cls, name, property(_blamed(cls, value.fget)))
            elif isinstance(value, FunctionType):
                setattr(cls, name, _blamed(cls, value))

    @classmethod
    def covers(cls, scene: Scene) -> bool:
        """True where it has all kinds of fields that act in a scene; else it is not asked."""
        return bool(scene.fields) == bool(cls.fields) and all(isinstance(each, cls.fields) for each in scene.fields)

    def check(self) -> None:
        """Scenes with these fields that it cannot move: raise `Unsupported`, with the reason."""

    # Motion

    def simulate(self, states: Array, times: Array, constants: Array) -> Array:
        """Move all candidates.

        Args:
            states: (K, N, 4) at the first of the times; NaN of a body that is absent.
            times: (F,) s, ascending; the first two may be the same.
            constants: (K or 1, C) factors.

        Returns states (K, F, N, 4).
        """
        raise NotImplementedError(f"{type(self).__name__} has no simulate()")

    def contacts(self, states: Array, times: Array, constants: Array) -> Sequence[tuple[float, int, int]]:
        """Contacts of one candidate, states (N, 4), between two times: s, body and other body or -1."""
        return ()

    def moved(self, states: Array, times: Array, constants: Array) -> Array:
        """As `simulate`, which cannot change what a user's law is given.

        Raises LawError where that returns another shape.
        """
        given = (states, times, constants)
        moved = self.simulate(*(given if comes_with_physbench(type(self)) else map(_read_only, given)))
        size, count, columns = states.shape
        if np.shape(moved) != (size, len(times), count, columns):
            raise _law_error(
                type(self),
                f"simulate() was given states {states.shape} and {len(times)} times: expected states "
                f"{(size, len(times), count, columns)} but got {np.shape(moved)}",
            )
        return moved

    def own_simulator(self, constants: Array | None) -> Simulator:
        """The simulator of the scene as it is. constants: (K or 1, C) factors; None: all are 1."""
        constants = np.ones((1, len(self.constants))) if constants is None else constants
        return PiecewiseSimulator(self.moved, self.contacts, len(self.index), constants)

    def altered_simulator(self, change: WorldChange, since: int, end: int, constants: Array | None) -> Simulator:
        """The simulator of the scene under a change at step `since`, as far as `alterable` says; up to step `end`."""
        factors = dict(change.constants)
        own = np.ones((1, len(self.constants))) if constants is None else constants
        return self.own_simulator(own * np.array([factors.get(each.id, 1.0) for each in self.constants]))

    def simulator(self, constants: Array | None = None) -> Simulator:
        """The simulator of the scene, or of the altered world. constants: (K or 1, C) factors; None: all are 1."""
        if self.alteration is None:
            return self.own_simulator(constants)
        return self.alteration.simulator(self, constants)

    def acceleration(self, position: Array) -> Array:
        """Acceleration (N, 2) m/s2 of bodies in free motion at positions (N, 2) m; as `simulate` has it."""
        step = 1 / PHYSICS_HZ
        states = np.concatenate([position, np.zeros_like(position)], axis=-1)
        moved = self.moved(states[None], np.array([0.0, step]), np.ones((1, len(self.constants))))
        return np.asarray(moved[0, 1, :, 2:] / step)

    @cached_property
    def linked(self) -> Mask:
        """Bodies (N, N) that act on each other at a distance: they are fitted together."""
        return np.zeros((len(self.index),) * 2, dtype=bool)

    @cached_property
    def reach(self) -> Array:
        """Distances (N, N) m of the centres at which two bodies touch; 0 where they cannot."""
        return np.zeros((len(self.index),) * 2)

    @property
    def cost(self) -> int:
        """Cost of one body of one candidate in a step; a search may have `max_work` of it at one tolerance."""
        return 1

    # What may differ

    @cached_property
    def alterable(self) -> frozenset[str]:
        """Names of all that a change can alter with effect: constants, and fields of a `WorldChange`."""
        company = {"exchanged"} if len(self.index) > 1 else set()
        return frozenset({"time", *company, *(each.id for each in self.constants)})

    def can_alter(self, change: WorldChange) -> bool:
        """True of a change that has a meaning here."""
        return change.altered <= self.alterable

    @property
    def has_free_constant(self) -> bool:
        """True where a factor on the first constant changes anything that can be seen."""
        return bool(self.constants) and self.constants[0].id in self.alterable

    # First guesses of initial states

    def set_states(self, state: Array, body: int, chart: int, numbers: Array) -> None:
        """Set in states (K, 6) what depends on numbers (K, p); the rest is 0."""
        state[:, :4] = numbers

    def directions(self, chart: int) -> Array:
        """Unit vectors (2, m) along which a body may move."""
        return np.eye(2)

    def numbers(self, chart: int, position: Array, velocity: Array) -> Array:
        """Numbers (p,) of a position (2,) m and a velocity (2,) m/s."""
        if chart == FREE:
            return np.concatenate([position, velocity])
        (along,) = self.directions(chart).T
        return np.array([along @ position, along @ velocity])

    def charts(self, body: int, position: Array, size: float) -> tuple[int, ...]:
        """Charts, FREE first, with which a body of diameter `size` m at positions (n, 2) m may begin."""
        return (FREE,)

    def gaps(self, body: int, charts: Sequence[int], position: Array) -> Array:
        """Distances (m,) m of a body at a position (2,) m from lying on other charts than FREE; below 0 inside."""
        return np.zeros(len(charts))

    def first_acceleration(self, body: int, chart: int, positions: Array) -> Array:
        """Acceleration (2,) m/s2 of a body that begins with a chart while bodies are at positions (N, 2) m."""
        return np.asarray(self.acceleration(positions)[body])

    def guess(self, body: int, chart: int, dt: Array, position: Array, positions: Array) -> Array:
        """Numbers (p,) with which a body may begin, by least squares; here under the acceleration at its begin.

        Args:
            chart: With which it begins.
            dt: (n,) s from its begin.
            position: (n, 2) m where it is then.
            positions: (N, 2) m of all bodies at its begin.
        """
        target = position - 0.5 * self.first_acceleration(body, chart, positions) * dt[:, None] ** 2
        at, velocity = np.linalg.lstsq(np.stack([np.ones_like(dt), dt], axis=-1), target, rcond=None)[0]
        return self.numbers(chart, at, velocity)

    def before(self, body: int, start: Array, times: Array, others: Array) -> tuple[Array, Array]:
        """Free motion that leads to a state (4,): positions m and velocities m/s (B, 2) at all times but the last.

        By leapfrog steps backwards, as far as `acceleration` knows.

        Args:
            start: Its state at the last time.
            times: (B + 1,) s, ascending.
            others: (B + 1, N, 4) m and m/s, states of the other bodies; 0 of those that are absent.
        """
        count = len(times) - 1
        positions, velocities = np.empty((count, 2)), np.empty((count, 2))
        at, velocity, around = start[:2], start[2:], others[..., :2].copy()
        around[-1, body] = at
        acceleration = self.acceleration(around[-1])[body]
        for f in range(count - 1, -1, -1):
            dt = float(times[f] - times[f + 1])
            half = velocity + 0.5 * dt * acceleration
            at = at + dt * half
            around[f, body] = at
            acceleration = self.acceleration(around[f])[body]
            velocity = half + 0.5 * dt * acceleration
            positions[f], velocities[f] = at, velocity
        return positions, velocities


def comes_with_physbench(kind: type[SceneLaw]) -> bool:
    """True of a law that no user has brought, in a file or a package."""
    return kind.__module__.startswith("physbench.")


@contextmanager
def blaming(kind: type[SceneLaw], method: str) -> Iterator[None]:
    """Turn what a user's law raises in a method into a LawError that names law, file and line."""
    try:
        yield
    except (MemoryError, PhysbenchError, Unsupported):
        raise
    except Exception as error:
        if comes_with_physbench(kind):
            raise
        raise _law_error(kind, f"{method} raised {describe_error_in_file(error, source_of(kind))}") from error


def _blamed(kind: type[SceneLaw], method: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose errors are blamed on a law."""

    @wraps(method)
    def called(*arguments: Any, **named: Any) -> Any:
        with blaming(kind, f"{method.__name__}()"):
            return method(*arguments, **named)

    return called


def source_of(kind: type[SceneLaw]) -> Path:
    """The file of a law."""
    return Path(inspect.getfile(kind))


def _read_only(array: Array) -> Array:
    """A view in which nothing can be changed."""
    view = array.view()
    view.flags.writeable = False
    return view


def _law_error(kind: type[SceneLaw], what: str) -> LawError:
    return LawError(f"The law {kind.name} ({source_of(kind).name}) {LAW_FAULT}{what}.")


def find_laws() -> tuple[type[SceneLaw], ...]:
    """All laws in the order in which they are asked.

    Those of physbench, of installed packages, and of the files with tasks that the user names.
    """
    return _laws(user_files.registered_files())


@lru_cache(maxsize=8)
def _laws(files: tuple[UserFile, ...]) -> tuple[type[SceneLaw], ...]:
    points = sorted(entries(LAW_GROUP).values(), key=lambda point: not point.value.startswith("physbench."))
    places = [(load(LAW_GROUP, point.name), f"Entry point '{point.name}' in {LAW_GROUP}") for point in points]
    for file in files:
        places += [(law, str(file.path)) for _, law in user_files.public_members(file, _is_law)]
    laws: dict[str, type[SceneLaw]] = {}
    for law, place in places:
        if not _is_law(law) or not law.name:
            raise UsageError(f"{place}: expected a class derived from SceneLaw with a `name`, but got {law!r:.80}.")
        if law.name in laws:
            raise UsageError(f"{place}: there is a law '{law.name}' already. Give this one another name.")
        laws[law.name] = law
    return tuple(sorted(laws.values(), key=lambda law: law.last_resort))


def _is_law(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, SceneLaw) and value is not SceneLaw


def scene_law(scene: Scene, since: float) -> SceneLaw:
    """The first law that can move the bodies of a scene.

    Args:
        scene: The scene; its moving bodies must stay in the camera's plane of motion.
        since: s from which on it is simulated; bodies must be free by then.

    Raises Unsupported, which says why no law can move it.
    """
    index = tuple(i for i, body in enumerate(scene.bodies) if body.role == "moving")
    if not index:
        raise Unsupported("nothing moves")
    check_motion(scene, [scene.bodies[i] for i in index], since)
    axes, across = list(PLANE_AXES[scene.camera.view]), depth_axis(scene.camera)
    pushes = []
    for action in scene.impulses:
        if action.time >= since - 1e-9:
            body = scene.index(action.body)
            velocity_change = np.asarray(action.impulse, dtype=np.float64)[axes] / scene.bodies[body].mass
            pushes.append(Intervention(round(action.time * PHYSICS_HZ), index.index(body), "push", velocity_change))
    depth = np.array([scene.bodies[i].position[across] for i in index])
    reasons: dict[str, str] = {}
    for kind in find_laws():
        if kind.covers(scene):
            with blaming(kind, "__init__()"):
                law = kind(scene, index, depth, tuple(pushes), since)
            try:
                law.check()
            except Unsupported as error:
                if not (kind.last_resort and reasons):
                    reasons[kind.name] = str(error)
            else:
                return law
    if not reasons:
        kinds = sorted({type(each).__name__ for each in scene.fields})
        raise Unsupported(f"no law covers a scene with {' and '.join(kinds)}")
    if len(reasons) == 1:
        raise Unsupported(*reasons.values())
    raise Unsupported("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))


def scene_law_or_none(scene: Scene, since: float) -> SceneLaw | None:
    """As `scene_law`; None where there is none."""
    try:
        return scene_law(scene, since)
    except Unsupported:
        return None
