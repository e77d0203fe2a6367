"""Plan of a violation: its declaration, where and when a scene has something to violate, and what is done to it.

Events are looked for on a grid after the hand-over, in ground truth alone. Nothing here depends on a render spec, so
that a violation is the same one at every size and rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from physbench.support.arrays import Array, Image, Mask
from physbench.support.errors import PhysbenchError, UsageError
from physbench.world.bullet import simulate
from physbench.world.camera import PLANE_AXES, depth_axis, eye, normal, picture_width, plane_from_world, poses_at
from physbench.world.drawing import apparent_radius, shown
from physbench.world.geometry import gap, rotate
from physbench.world.scene import PHYSICS_HZ, Contact, Scene, Shape, Vector

if TYPE_CHECKING:
    from physbench.validity.violations.violation_apply import HookedWorld

Clock = Callable[[Array], Array]  # shown times (T,) s -> times (T,) s of the simulation that are shown then
Bend = Callable[[Array, Array], Array]  # times (T,) s and states (T, 13) of a body -> the states that are shown
# frames (T, H, W, 3) after the hand-over and their times (T,) s -> the same with something done to the picture
Treatment = Callable[[Image, Array, np.random.Generator], Image]


class Inapplicable(PhysbenchError):
    """A violation has nothing to violate in a scene; the message says why."""


class Unseen(Inapplicable):
    """A violation is there and moves things by less than can be seen."""


@dataclass
class StepHook:
    """Changes a simulation while it runs. It leaves everything as it is before `start`."""

    start: float  # s, a multiple of 1/1200; it acts from this step on, after that step's states are read

    def before(self, world: HookedWorld) -> None:
        """Called before every step from `start` on."""

    def after(self, world: HookedWorld) -> None:
        """Called after every step from `start` on."""


@dataclass(frozen=True)
class Appearance:
    """Appearance of a body after `since`, up to and with `until`. Its states stay."""

    since: float  # s
    body: str
    until: float = np.inf  # s
    hidden: bool = False
    colour: Vector | None = None  # RGB, 0..1
    size: float = 1.0  # factor on all its measures
    shape: tuple[Shape, tuple[float, ...]] | None = None  # another one with its measures in m, upright and thin
    lift: float = 0.0  # m upwards that it is drawn off its place, so that what lies on something still does
    shift: Vector | None = None  # m; a second one of it is drawn there, beside the first

    def active(self, times: Array) -> NDArray[np.bool_]:
        """Mask (T,) of times (T,) s to which it applies."""
        return np.asarray((times > self.since + 1e-9) & (times <= self.until + 1e-9))


@dataclass(frozen=True)
class ViolationEvent:
    """Time and body at which a violation is first to be seen. Frames up to and at `time` are lawful."""

    time: float  # s
    body: str | None  # None: all of the world, or the picture
    hidden_since: float | None = None  # s; the last lawful state, where the body is out of sight until `time`
    other: str | None = None  # a second body that may show it first

    @property
    def onset(self) -> float:
        """Time in s of the last lawful state."""
        return self.time if self.hidden_since is None else self.hidden_since


@dataclass(frozen=True)
class ViolationPlan:
    """Effects of a violation on one scene. Simulation, then clocks, then bends, then appearances, then treatments."""

    events: tuple[ViolationEvent, ...]
    hooks: tuple[StepHook, ...] = ()
    clocks: tuple[tuple[str | None, Clock], ...] = ()  # of one body, or of all the world
    bends: tuple[tuple[str, Bend], ...] = ()
    appearances: tuple[Appearance, ...] = ()
    treatments: tuple[Treatment, ...] = ()

    def __add__(self, other: ViolationPlan) -> ViolationPlan:
        """Both at once, this one first where they meet."""
        return ViolationPlan(
            self.events + other.events,
            self.hooks + other.hooks,
            self.clocks + other.clocks,
            self.bends + other.bends,
            self.appearances + other.appearances,
            self.treatments + other.treatments,
        )


# (candidate events, severity, random numbers) -> plan; raises Inapplicable. Every severity gets the same numbers.
Planner = Callable[["CandidateEvents", float, np.random.Generator], ViolationPlan]


@dataclass(frozen=True)
class Violation:
    """One kind of violation with its degrees of severity."""

    name: str
    unit: str  # of the severity; "" for a pure number
    meaning: str  # what a severity of s does, in a phrase with s
    severities: tuple[float, ...]
    main: float  # the one of them that tables and tests state first
    plan: Planner
    group: str  # forces, motion, contacts, time, looks, return, picture
    allowed: tuple[float, float]  # least and largest severity that has a meaning; both 1: it is there or not
    lawful: bool = False  # the world is right and only its picture suffers

    @property
    def acts(self) -> tuple[Act, ...]:
        """One for each severity."""
        return tuple(Act(self, severity) for severity in self.severities)

    @property
    def doc(self) -> str:
        """The docstring of the planner."""
        return self.plan.__doc__ or ""

    def act(self, severity: float) -> Act:
        """This violation at a severity. Raises UsageError for one that has no meaning."""
        low, high = self.allowed
        if not low <= severity <= high:  # NaN neither
            unit = f" {self.unit}" if self.unit else ""
            wanted = f"a severity from {low:g} to {high:g}{unit}" if low < high else "no severity: it is there or not"
            raise UsageError(f"{self.name}:{severity:g}: expected {wanted} ({self.meaning}).")
        return Act(self, severity)


@dataclass(frozen=True)
class Act:
    """A violation at one severity."""

    violation: Violation
    severity: float

    @property
    def id(self) -> str:
        """ "teleport:0.25"."""
        return f"{self.violation.name}:{self.severity:g}"


REGISTRY: dict[str, Violation] = {}


def violation(
    name: str,
    *,
    group: str,
    meaning: str,
    unit: str = "",
    severities: tuple[float, ...] = (1.0,),
    main: float = 1.0,
    allowed: tuple[float, float] = (1.0, 1.0),
    lawful: bool = False,
) -> Callable[[Planner], Violation]:
    """Declare a violation beside its planner; by default one that is there wholly or not at all.

    Raises ValueError for a name given twice, a `main` that is none of the severities, or severities outside `allowed`.
    """
    if name in REGISTRY or main not in severities or not allowed[0] <= min(severities) <= max(severities) <= allowed[1]:
        raise ValueError(f"@violation {name}: the name is taken, or main={main}, {severities} and {allowed} disagree")

    def declare(plan: Planner) -> Violation:
        declared = Violation(name, unit, meaning, severities, main, plan, group, allowed, lawful)
        REGISTRY[name] = declared
        return declared

    return declare


GRID_HZ = 60


@dataclass(frozen=True)
class EventLimits:
    """Events that a violation may change."""

    earliest: float = 0.2  # s; events lie from here on
    latest: float = 0.75  # of the horizon; and up to here
    quiet: float = 0.15  # s on both sides of an event without a contact or a push
    after: float = 0.3  # s after an event in which the body stays in full view
    nearer: float = 0.3  # m; what is nearer to the camera than that can hide a body
    clear: float = 0.02  # m that stay free around a body that is put elsewhere


EVENT = EventLimits()


@dataclass(frozen=True, eq=False)
class CandidateEvents:
    """The lawful motion of a scene from the hand-over to the end of its horizon."""

    scene: Scene
    times: Array  # (T,) s, a grid of 60 Hz from 0 on
    states: Array  # (T, N, 13)
    contacts: tuple[Contact, ...]  # all, those of the history too

    @property
    def moving(self) -> tuple[int, ...]:
        """Indices of the bodies that are tracked and move by themselves."""
        return tuple(i for i in self.scene.tracked if self.scene.bodies[i].role == "moving")

    def name(self, index: int) -> str:
        return self.scene.bodies[index].name

    @property
    def axes(self) -> tuple[int, int]:
        """World axes of the plane of motion."""
        return PLANE_AXES[self.scene.camera.view]

    def diameter(self, index: int) -> float:
        """Apparent diameter of a body in m."""
        return 2 * apparent_radius(self.scene.bodies[index], self.scene.camera)

    def speed(self, index: int) -> Array:
        """Speed (T,) m/s."""
        return np.asarray(np.linalg.norm(self.states[:, index, 7:10], axis=1))

    @cached_property
    def _flat(self) -> Array:
        """Places (T, N, 2) m in the plane of motion."""
        return plane_from_world(self.scene.camera, self.states[..., :3])

    def in_view(self, index: int, places: Array | None = None) -> Mask:
        """Mask (...): all of a body lies in the window; places (..., 2) m in the plane, or its own."""
        camera, radius = self.scene.camera, self.diameter(index) / 2
        middle = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
        flat = self._flat[:, index] if places is None else places
        return np.asarray((np.abs(flat - middle) <= camera.width / 2 - radius).all(axis=-1))

    def screens(self, index: int) -> list[int]:
        """Boxes that stand between the camera and a body."""
        across = normal(self.scene.camera)
        depth = (np.asarray([body.position for body in self.scene.bodies]) - eye(self.scene.camera)) @ across
        own = float((self.states[0, index, :3] - eye(self.scene.camera)) @ across)
        return [
            i
            for i, body in enumerate(self.scene.bodies)
            if i != index and body.drawn and body.shape == "box" and depth[i] < own - EVENT.nearer
        ]

    def cover(self, index: int, other: int) -> tuple[Mask, Mask]:
        """Masks (T,): a body's outline is touched by a screen's, and it lies wholly behind it."""
        radius = self.diameter(index) / 2
        half = np.asarray(self.scene.bodies[other].size)[list(self.axes)]
        there = np.array([shown(self.scene.bodies[other], float(t)) for t in self.times])
        offset = np.abs(self._flat[:, index] - self._flat[:, other])
        # m: a screen before a body covers that much more than its own outline
        return (offset < half + radius).all(axis=1) & there, (offset <= half - radius + 0.01).all(axis=1) & there

    def seen(self, index: int) -> Mask:
        """Mask (T,): a body is in full view, inside the window and the picture, and behind nothing."""
        mask = self.in_view(index) & self._pictured(index, 1.0)[0]
        for other in self.screens(index):
            mask &= ~self.cover(index, other)[0]
        across = depth_axis(self.scene.camera)
        for other in self.moving:  # one that rolls past in front; in the same plane they only touch
            if other != index and abs(self.states[0, index, across] - self.states[0, other, across]) > EVENT.nearer:
                reach = (self.diameter(index) + self.diameter(other)) / 2 - 0.01
                mask &= np.linalg.norm(self._flat[:, index] - self._flat[:, other], axis=1) > reach
        return mask

    def hidden(self, index: int, widest: float = 2.0) -> Mask:
        """Mask (T,): a body lies wholly behind a screen, or out of a picture whose sides are up to `widest` to 1.

        The widest pictures out of which a body is hidden, that a camera turns away from, are 2 to 1.
        """
        mask = self._pictured(index, widest)[1]
        for other in self.screens(index):
            mask |= self.cover(index, other)[1]
        return mask

    def _pictured(self, index: int, widest: float) -> tuple[Mask, Mask]:
        """Masks (T,): a body lies wholly in a picture whose sides are `widest` to 1, and wholly out of it.

        A camera without a path shows the window throughout.
        """
        camera, none = self.scene.camera, np.zeros(len(self.times), dtype=bool)
        if not camera.path:
            return ~none, none
        poses = zip(poses_at(camera, self.times), self.states[:, index, :3], strict=True)
        away = np.stack([pose.axes @ (place - pose.eye) for pose, place in poses])
        slope = widest * picture_width(camera) / 2 / camera.distance  # of the four planes that bound the picture
        beyond = (np.abs(away[:, :2]) - slope * away[:, 2:]).max(axis=1) / math.hypot(1.0, slope)
        radius = self.diameter(index) / 2
        return beyond <= -radius, beyond >= radius

    def jolts(self, index: int) -> Array:
        """Times in s of the contacts of a body and of the pushes that it gets."""
        name = self.name(index)
        times = [c.time for c in self.contacts if name in (c.a, c.b)]
        return np.array(times + [action.time for action in self.scene.impulses if action.body == name])

    def moments(self, index: int, *, least_speed: float = 0.0, most_speed: float = np.inf) -> NDArray[np.intp]:
        """Grid indices at which something may befall a body: that fast (m/s), in full view, and no contact near."""
        dt = 1 / GRID_HZ
        good = self.seen(index)
        ahead = round(EVENT.after / dt)
        kept = good.copy()
        for k in range(1, ahead + 1):
            kept[:-k] &= good[k:]
            kept[-k:] = False
        kept &= (self.times >= EVENT.earliest - 1e-9) & (self.times <= EVENT.latest * self.scene.horizon + 1e-9)
        speed = self.speed(index)
        kept &= speed >= least_speed
        if np.isfinite(most_speed):  # at rest for a while: at the top of its path a body is slow for a moment
            kept &= maximum_filter1d(speed, 2 * round(EVENT.quiet * GRID_HZ) + 1) <= most_speed
        for time in self.jolts(index):
            kept &= np.abs(self.times - time) >= EVENT.quiet
        return np.flatnonzero(kept)

    def choices(
        self, rng: np.random.Generator, least_speed: float = 0.0, *, most_speed: float = np.inf
    ) -> list[tuple[int, int]]:
        """(body, grid index) pairs at which something may befall one of the bodies, at random. Raises Inapplicable."""
        draws = rng.random((16, 2))  # places and times that are looked at for one that leaves room
        moments = partial(self.moments, least_speed=least_speed, most_speed=most_speed)
        moments_of_bodies = [(i, at) for i in self.moving if len(at := moments(i))]
        if not moments_of_bodies:
            fast = f"at {least_speed:g} m/s or faster " if least_speed else ""
            fast += "at rest " if np.isfinite(most_speed) else ""
            raise Inapplicable(f"no body is ever in full view {fast}and {EVENT.quiet:g} s from any contact")
        pairs = [(moments_of_bodies[int(a * len(moments_of_bodies))], b) for a, b in draws]
        return [(index, int(at[int(b * len(at))])) for (index, at), b in pairs]

    def height(self, index: int) -> Array:
        """Room (T,) m between the lowest point of a body and what carries things below; infinity without gravity."""
        size = float(np.linalg.norm(self.scene.gravity))
        if not size or self.scene.camera.view != "front":
            return np.full(len(self.times), np.inf)
        lowest = self.states[:, index, 2] - self.reach_down(index)
        room = np.full(len(self.times), np.inf)
        for i, body in enumerate(self.scene.bodies):
            if i == index or not body.collides:
                continue
            if body.shape == "plane":
                room = np.minimum(room, lowest - self.states[:, i, 2])
            elif self.scene.bodies[index].shape == "sphere" or body.shape == "sphere":
                room = np.minimum(
                    room, gap(self.scene.bodies[index], self.states[:, index, :3], body, self.states[:, i, :3])
                )
            else:
                reach = float(np.linalg.norm(body.size[:1] + body.size[-1:]))
                apart = np.abs(self.states[:, index, 0] - self.states[:, i, 0]) > reach + self.diameter(index)
                room = np.where(apart, room, np.minimum(room, lowest - self.states[:, i, 2] - self.reach_down(i)))
        return room

    def lies(self, index: int, at: int) -> bool:
        """True if a body lies on something at a grid index."""
        return bool(self.height(index)[at] < EVENT.clear)

    def reach_down(self, index: int) -> Array:
        """Reach (T,) m of a body below its centre."""
        body, turn = self.scene.bodies[index], self.states[:, index, 3:7]
        if body.shape == "sphere":
            return np.full(len(turn), body.size[0])
        if body.shape == "plane":
            return np.zeros(len(turn))
        half = np.asarray(body.size if body.shape == "box" else (body.size[0], body.size[0], body.size[1] / 2))
        axes = np.stack([rotate(turn, np.eye(3)[k])[..., 2] for k in range(3)], axis=-1)
        return np.asarray(np.abs(axes) @ half)

    def directions(self, index: int, at: int, distance: float, rng: np.random.Generator) -> Array:
        """Unit vectors (D, 3) in the plane of motion, in random order, in which a body can go `distance` m freely."""
        screen_directions = 24
        angles = rng.permutation(screen_directions) * (2 * np.pi / screen_directions)
        directions = np.zeros((screen_directions, 3))
        directions[:, self.axes[0]], directions[:, self.axes[1]] = (
            np.round(np.cos(angles), 12),
            np.round(np.sin(angles), 12),
        )
        return np.asarray(directions[[self.fits(index, at, distance * way) for way in directions]])

    def fits(self, index: int, at: int, shift: Array) -> bool:
        """True if a body, put `shift` (3,) m from where it is, stays in view and clear of all others and of screens."""
        scene, state = self.scene, self.states[at]
        new = state[index, :3] + shift
        flat = plane_from_world(scene.camera, new)
        if not self.in_view(index, flat):
            return False
        for other in self.screens(index):
            half = np.asarray(scene.bodies[other].size)[list(self.axes)] + self.diameter(index) / 2
            if (np.abs(flat - self._flat[at, other]) < half).all():
                return False
        for i, body in enumerate(scene.bodies):
            if i != index and body.collides and shown(body, float(self.times[at])):
                before = float(gap(scene.bodies[index], state[index, :3], body, state[i, :3]))
                after = float(gap(scene.bodies[index], new, body, state[i, :3]))
                if after < min(EVENT.clear, before - 1e-3):
                    return False
        return True

    def rolls_on(self, index: int, at: int) -> Array | None:
        """Unit vector (3,) away from a plane on which a ball rolls without slipping; None where it does not."""
        body, state = self.scene.bodies[index], self.states[at, index]
        if body.shape != "sphere":
            return None
        for i, other in enumerate(self.scene.bodies):
            if other.shape == "plane" and other.collides:
                up = rotate(other.orientation, np.array([0.0, 0.0, 1.0]))
                near = float(gap(body, state[:3], other, self.states[at, i, :3])) < EVENT.clear
                slip = state[7:10] - np.cross(state[10:], body.size[0] * up)
                if near and np.linalg.norm(slip) < 0.02 * np.linalg.norm(state[7:10]) + 1e-3:
                    return up
        return None


@lru_cache(maxsize=4)
def candidate_events(scene: Scene) -> CandidateEvents:
    """Simulate a scene on the grid. The last few are kept: every violation of a clip asks for the same one."""
    count = round(scene.horizon * GRID_HZ)
    steps = np.arange(count + 1, dtype=np.int64) * (PHYSICS_HZ // GRID_HZ)
    simulation = simulate(scene, steps / PHYSICS_HZ)
    return CandidateEvents(scene, steps / PHYSICS_HZ, simulation.states, simulation.contacts)


# Places that are off by chance: noise in every frame of its own, and its sum.

WANDERING_HZ = 60.0  # draws a second, the same at every rate of frames that divides it


def frame_noise(candidates: CandidateEvents, rng: np.random.Generator) -> Array:
    """Independent Gaussian noise (M, G, 2) of sd 1 of the moving bodies, on a grid of GRID_HZ from the hand-over on."""
    grid = round(candidates.scene.horizon * WANDERING_HZ) + 1
    return rng.normal(size=(len(candidates.moving), grid, 2))


def shifted(candidates: CandidateEvents, off: Array) -> tuple[tuple[str, Bend], ...]:
    """Bends that show moving bodies off their places after the hand-over, by (M, G, 2) diameters in the plane."""
    bends = []
    for index, diameters in zip(candidates.moving, off, strict=True):
        metres = diameters * candidates.diameter(index)

        def bend(times: Array, states: Array, path: Array = metres) -> Array:
            at = np.minimum(np.ceil(times * WANDERING_HZ - 1e-6).astype(np.int64), len(path) - 1)
            states = states.copy()
            later = times > 1e-9
            for k, axis in enumerate(candidates.axes):
                states[later, axis] += path[at[later], k]
            return states

        bends.append((candidates.name(index), bend))
    return tuple(bends)
