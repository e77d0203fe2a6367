"""Parts of a violation: its declaration, and the plan of what it does to one scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Image
from physbench.support.errors import PhysbenchError, UsageError
from physbench.world.scene import Shape, Vector

if TYPE_CHECKING:
    from physbench.validity.violations.candidate_events import CandidateEvents
    from physbench.validity.violations.hooks import HookedWorld


Clock = Callable[[Array], Array]  # shown times (T,) s -> times (T,) s of the simulation that are shown then
Bend = Callable[[Array, Array], Array]  # times (T,) s and states (T, 13) of a body -> the states that are shown
# frames (T, H, W, 3) after the hand-over and their times (T,) s -> the same with something done to the picture
Treatment = Callable[[Image, Array, np.random.Generator], Image]


class Inapplicable(PhysbenchError):
    """A violation has nothing to violate in a scene; the message says why."""


class Unseen(Inapplicable):
    """A violation is there and moves things by less than can be seen."""


class StepHook(Protocol):
    """Changes a simulation while it runs. It leaves everything as it is before `start`."""

    start: float  # s, a multiple of 1/1200; it acts from this step on, after that step's states are read

    def before(self, world: HookedWorld) -> None:
        """Called before every step from `start` on."""
        ...

    def after(self, world: HookedWorld) -> None:
        """Called after every step from `start` on."""
        ...


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
