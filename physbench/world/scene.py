"""A scene as frozen data: bodies, camera, forces, impulses, and the rates at which frames fall on physics steps."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, SupportsIndex

from physbench.support import plugins
from physbench.support.errors import nearest
from physbench.support.plugins import sources_hash

if TYPE_CHECKING:
    from physbench.support.arrays import Array

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]  # x, y, z, w
Shape = Literal["sphere", "box", "cylinder", "plane"]
Role = Literal["moving", "fixed", "kinematic"]

PHYSICS_HZ = 1200
PHYSICS_STEP = 1.0 / PHYSICS_HZ  # s
HISTORY = 2.0  # s before the hand-over
HORIZON = 4.0  # s after it, of a scene that does not say another one
WINDOW = 5.12  # m, side of the square window in the plane of motion
DRIVE_TIME = 0.02  # s, in which a motor would reach the velocity that it is told if its force had no limit
DENSITY = 100.0  # kg/m3 of every moving body, so that mass is seen in the size

# Five hues 72 degrees apart in the opponent plane: the most that 64 px tells apart under blur and noise.
PALETTE: tuple[Vector, ...] = (
    (0.9, 0.135, 0.135),
    (0.747, 0.9, 0.135),
    (0.135, 0.9, 0.441),
    (0.135, 0.441, 0.9),
    (0.747, 0.135, 0.9),
)
HUE_NAMES = ("red", "lime", "mint", "blue", "purple")  # of PALETTE, in prompts and in reports
SHAPE_SIZES: Mapping[str, tuple[str, ...]] = {  # what the size of each shape says
    "sphere": ("radius",),
    "box": ("half_x", "half_y", "half_z"),
    "cylinder": ("radius", "length"),
    "plane": (),
}
ROUND: tuple[Shape, ...] = ("sphere", "cylinder")  # shapes that roll
ROLES: tuple[Role, ...] = ("moving", "fixed", "kinematic")
FORCES = (
    "What acts in a scene: gravity=(x, y, z), fields=(CentralGravity(source, mu), RadialField(...), Drag(...), "
    "Spring(anchor, body, ...), Rod(...), String(...), Hinge(body, point), Slider(...), ...) or of your own, "
    "impulses=(Impulse(...), ...), contacts with restitution and friction, and the paths of kinematic bodies."
)
BACKGROUND_GREY = 0.50
FLOOR_GREY = 0.45
SCREEN_GREY = 0.30
PLAIN = "plain"  # the look of flat greys, on which everything is calibrated
FAR = "far"  # the view of the task's own camera, on which everything is calibrated
MOVING = "moving"  # the view of a camera that turns
VIEWS = (FAR, "near", MOVING)


@dataclass(frozen=True)
class Waypoint:
    """A point on the path of a kinematic body; between two points it moves on a straight line."""

    time: float  # s
    position: Vector  # m


@dataclass(frozen=True)
class Body:
    """One body. Position, orientation, velocity and spin are those at the start, or at the release of a held body.

    size: sphere (radius,); box half extents (x, y, z); cylinder (radius, length) along its own z; plane () with
    normal +z through `position`, drawn as a slab below it.
    """

    name: str
    shape: Shape
    size: tuple[float, ...]  # m
    role: Role
    position: Vector  # m
    orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    velocity: Vector = (0.0, 0.0, 0.0)  # m/s
    spin: Vector = (0.0, 0.0, 0.0)  # rad/s
    hue: int | None = None  # index into PALETTE; only bodies with a hue are tracked
    grey: float = BACKGROUND_GREY  # of a body without hue
    mass: float = None  # type: ignore[assignment]  # kg; where it is left out, of a moving body that of its size
    restitution: float = 1.0  # a pair has the product of both
    friction: float = 0.0  # a pair has the product of both
    collides: bool = True
    drawn: bool = True
    flat: bool = False  # moves in the plane of motion only: a box or cylinder is drawn as a thin plate there
    release: float | None = None  # s; a moving body is held at its pose until then
    until: float | None = None  # s; the body (a holder) vanishes then
    path: tuple[Waypoint, ...] = ()  # of a kinematic body
    surface: Vector = (0.0, 0.0, 0.0)  # m/s of the surface of a fixed one, as of a belt; `bodies.belt` shows it
    turns: bool = True  # False: a moving one keeps its orientation, as on rails, whatever hits it
    bore: float = 0.0  # of a cylinder: radius of the hole along its axis, over its own

    def __post_init__(self) -> None:
        """Give it the mass of its size. Raises ValueError where the engine knows no such shape, size, role, surface."""
        if self.shape not in SHAPE_SIZES:
            raise ValueError(f"{self.name} has the shape {self.shape!r}.{nearest(str(self.shape), SHAPE_SIZES)}")
        if self.role not in ROLES:
            raise ValueError(f"{self.name} has the role {self.role!r}.{nearest(str(self.role), ROLES)}")
        if len(self.size) != len(SHAPE_SIZES[self.shape]):
            expected = f"({', '.join(SHAPE_SIZES[self.shape])}{',' * (len(SHAPE_SIZES[self.shape]) == 1)})"
            raise ValueError(f"The size of {self.name}, a {self.shape}, is {expected} in m, got {self.size}.")
        if any(self.surface) and (self.role != "fixed" or self.shape != "box"):
            raise ValueError(
                f"{self.name} has a surface that moves: expected a fixed box, got a {self.role} {self.shape}."
            )
        if not 0 <= self.bore < 1 or (self.bore and (self.shape != "cylinder" or not self.flat)):
            raise ValueError(
                f"{self.name} has a bore of {self.bore:g}: expected 0 to below 1, of a cylinder with flat=True."
            )
        if self.mass is None:
            moves = self.role == "moving" and self.shape != "plane"
            object.__setattr__(self, "mass", mass_of_size(self) if moves else 1.0)

    @property
    def stays(self) -> bool:
        """True if it never moves nor vanishes."""
        return self.role == "fixed" and self.until is None

    @property
    def radius(self) -> float:
        """Radius in m of a sphere or a cylinder; of any shape as it appears: `drawing.apparent_radius`."""
        if self.shape not in ROUND:
            raise AttributeError(f"A {self.shape} has no radius; drawing.apparent_radius has that of its silhouette.")
        return self.size[0]

    @property
    def inertia(self) -> float:
        """As `rolling_inertia`. Raises AttributeError for shapes that do not roll."""
        if self.shape not in ROUND:
            raise AttributeError(f"A {self.shape} does not roll.")
        return rolling_inertia(self.shape, self.bore)


class ForceField:
    """A force that acts on moving bodies at every physics step. Derive a frozen dataclass from it for one of your own.

    Its repr is in the keys of clips; that of a class outside of physbench holds the hash of the file of the class, too.
    """

    _source: ClassVar[str]  # hash of the file of the class

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if not cls.__module__.startswith("physbench."):
            file = getattr(sys.modules.get(cls.__module__), "__file__", None)
            cls._source = sources_hash(Path(file)) if file else ""
            cls.__repr__ = _field_with_source  # type: ignore[method-assign] # a dataclass keeps the one that is there

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """A field of a user's file travels to other processes as that file and its values."""
        kind = type(self)
        if not plugins.owns(kind.__module__):
            return super().__reduce_ex__(protocol)
        values = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]
        place = sys.modules[kind.__module__].__file__, kind.__module__, kind.__qualname__
        return plugins.instance_from_file, (*place, values)

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        """Accelerations (..., N, 3) m/s2 of all N bodies at `time` s; those of moving ones count.

        position, velocity: (..., N, 3) m and m/s of all bodies of the scene.
        """
        raise NotImplementedError(f"{type(self).__name__} has no accelerations()")

    def energy(self, scene: Scene, position: Array) -> Array | None:
        """Potential energy (...) J of bodies at positions (..., N, 3) m; None where it tells none."""
        return None

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of bodies from which it comes, which must be seen; it ends where a violation takes one of them away."""
        return ()


def _field_with_source(own: Any) -> str:
    values = "".join(f"{each.name}={getattr(own, each.name)!r}, " for each in fields(own))
    return f"{type(own).__qualname__}({values}source={own._source[:16]!r})"


@dataclass(frozen=True)
class CentralGravity(ForceField):
    """Every moving body is drawn towards body `source` with acceleration mu / r^2, at every physics step."""

    source: str
    mu: float  # m3/s2
    power: ClassVar[float] = -2.0

    @property
    def strength(self) -> float:
        """As of a `RadialField`: mu."""
        return self.mu

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        source = scene.index(self.source)
        away = position[..., source : source + 1, :] - position
        square = (away**2).sum(axis=-1, keepdims=True)
        square[..., source, :] = math.inf
        pull: Array = self.mu * away / square**1.5
        return pull

    def energy(self, scene: Scene, position: Array) -> Array:
        return _pair_energy(scene, self.source, {each.source for each in scene.central}, position, self._potential)

    def _potential(self, distance: Array) -> Array:
        return -self.mu / distance


@dataclass(frozen=True)
class RadialField(ForceField):
    """Every moving body is drawn towards body `source` with acceleration strength r^power; away from it if below 0."""

    source: str
    strength: float  # m^(1 - power)/s2
    power: float  # 1: as by a spring; -2: as by a charge

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        source = scene.index(self.source)
        away = position[..., source : source + 1, :] - position
        distance = (away**2).sum(axis=-1, keepdims=True) ** 0.5
        distance[..., source, :] = 1.0  # where `away` is 0
        pull: Array = self.strength * distance ** (self.power - 1) * away
        return pull

    def energy(self, scene: Scene, position: Array) -> Array:
        alike = {each.source for each in scene.fields if isinstance(each, RadialField) and each.power == self.power}
        return _pair_energy(scene, self.source, alike, position, self._potential)

    def _potential(self, distance: Array) -> Array:
        if self.power == -1:
            import numpy as np

            return np.asarray(self.strength * np.log(distance))
        return self.strength * distance ** (self.power + 1) / (self.power + 1)


def _pair_energy(
    scene: Scene, source: str, sources: set[str], position: Array, potential: Callable[[Array], Array]
) -> Array:
    """Energy (...) J of all moving bodies in the field of one; two that are sources of each other count half each.

    potential: J/kg at distances m.
    """
    centre = scene.index(source)
    total = 0.0 * position[..., 0, 0]
    for i, body in enumerate(scene.bodies):
        if body.role == "moving" and i != centre:
            both = scene.bodies[centre].role == "moving" and body.name in sources  # each of the two is counted once
            distance = ((position[..., i, :] - position[..., centre, :]) ** 2).sum(axis=-1) ** 0.5
            total = total + body.mass * potential(distance) * (0.5 if both else 1.0)
    return total


@dataclass(frozen=True)
class Drag(ForceField):
    """Every moving body is slowed by a medium, with acceleration -rate x velocity (Stokes 1851, slow flow)."""

    medium: str  # the body that shows it, such as a plane
    rate: float  # 1/s

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.medium,)

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        return -self.rate * velocity

    def energy(self, scene: Scene, position: Array) -> Array:
        return 0.0 * position[..., 0, 0]  # it stores none


@dataclass(frozen=True)
class Spring(ForceField):
    """A spring without mass or damping between the middles of two bodies: stiffness (distance - length) (Hooke 1678).

    Where both bodies move, both are pulled. It is drawn as a zigzag.
    """

    anchor: str  # a body, as a rule a fixed one
    body: str  # another one, which moves
    stiffness: float  # N/m
    length: float  # m, at rest

    def __post_init__(self) -> None:
        if self.anchor == self.body or not (0 < self.stiffness < math.inf and 0 <= self.length < math.inf):
            raise ValueError(f"{self} is no spring: expected two bodies, a stiffness above 0 N/m and a length in m.")

    @property
    def sources(self) -> tuple[str, ...]:
        return self.anchor, self.body

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        total, (anchor, body) = 0.0 * position, map(scene.index, self.sources)
        away = position[..., anchor, :] - position[..., body, :]
        distance = (away**2).sum(axis=-1, keepdims=True) ** 0.5
        distance[distance == 0] = 1.0  # where it has no direction
        force = self.stiffness * (1 - self.length / distance) * away
        total[..., body, :] = force / scene.bodies[body].mass
        total[..., anchor, :] = -force / scene.bodies[anchor].mass
        return total

    def energy(self, scene: Scene, position: Array) -> Array:
        anchor, body = map(scene.index, self.sources)
        distance: Array = ((position[..., anchor, :] - position[..., body, :]) ** 2).sum(axis=-1) ** 0.5
        return 0.5 * self.stiffness * (distance - self.length) ** 2


class Joint(ForceField):
    """A hold on bodies without friction. Its force follows from all others; it stores no energy."""

    def energy(self, scene: Scene, position: Array) -> Array:
        return 0.0 * position[..., 0, 0]


@dataclass(frozen=True)
class Rod(Joint):
    """A rod without mass keeps the middles of two bodies at its length; it turns about both without friction.

    It does not turn the bodies. It is drawn as a line. Its force follows from all others: `ballistic` has it.
    """

    anchor: str  # a body, as a rule a fixed one
    body: str  # another one, which moves
    length: float  # m

    def __post_init__(self) -> None:
        if self.anchor == self.body or not 0 < self.length < math.inf:
            raise ValueError(f"{self} is no rod: expected two bodies and a length above 0 m.")

    @property
    def sources(self) -> tuple[str, ...]:
        return self.anchor, self.body


@dataclass(frozen=True)
class String(Joint):
    """A string without mass and stretch from the middle of one body to that of another: it pulls and never pushes.

    Where `over` names one or more other bodies, pulleys without mass and friction, it runs over their middles in that
    order. It does not turn the bodies. While it is slack it has no force, and is drawn sagging; where it becomes taut
    its ends lose the velocity with which they part along it, and their momentum stays. `ballistic` has its tension.
    """

    anchor: str  # a body, as a rule a fixed one where there is no pulley
    body: str  # another one, which moves
    length: float  # m
    over: str | tuple[str, ...] = ()  # bodies, as a rule fixed ones

    def __post_init__(self) -> None:
        if isinstance(self.over, str | list):
            object.__setattr__(self, "over", (self.over,) if isinstance(self.over, str) else tuple(self.over))
        if not isinstance(self.over, tuple) or not all(isinstance(name, str) for name in self.sources):
            raise ValueError(f"{self} is no string: expected names of bodies.")
        if len(set(self.sources)) < len(self.sources):
            raise ValueError(f"{self} is no string: expected that it comes to each body once.")
        if isinstance(self.length, bool) or not isinstance(self.length, Real) or not 0 < self.length < math.inf:
            raise ValueError(f"{self} is no string: expected a length above 0 m, got {self.length!r}.")

    @property
    def sources(self) -> tuple[str, ...]:
        """Its bodies in the order in which it runs."""
        return self.anchor, *self.over, self.body


@dataclass(frozen=True)
class Hinge(Joint):
    """A body turns about a fixed axis through `point` of it, perpendicular to the plane of motion, and about no other.

    It is drawn as a disc behind the body, whose rim is seen.
    """

    body: str  # one that moves
    point: Vector  # m

    def __post_init__(self) -> None:
        if len(self.point) != 3 or not all(map(math.isfinite, self.point)):
            raise ValueError(f"{self} is no hinge: expected a point (x, y, z) in m.")

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.body,)


@dataclass(frozen=True)
class Slider(Joint):
    """The middle of a body moves on the straight line through two points, and the body does not turn.

    It is drawn as a rail from point to point, behind the body. Nothing stops the body at its ends.
    """

    body: str  # one that moves
    begin: Vector  # m
    end: Vector  # m

    def __post_init__(self) -> None:
        ends = (self.begin, self.end)
        known = all(len(each) == 3 and all(map(math.isfinite, each)) for each in ends)
        if not known or math.dist(*ends) < 0.01:
            raise ValueError(
                f"{self} is no slider: expected two points (x, y, z) in m, 0.01 m apart or more, of the line on which "
                "it moves."
            )

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.body,)


@dataclass(frozen=True)
class Command:
    """An action: from `time` on a driven body is to have `velocity`, until the next command."""

    time: float  # s
    velocity: Vector  # m/s, world axes


def motor_share(demand: float, most: float) -> float:
    """Share of a demanded force that a motor gives whose force is `most`; of accelerations as of forces."""
    return most / max(demand, most)


class Actuator(ForceField):
    """A force on one body, as the last order before a moment commands it."""

    body: str

    @property
    def orders(self) -> tuple[tuple[float, Vector], ...]:
        """Times s and what is commanded from then on."""
        raise NotImplementedError

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.body,)

    def command(self, time: float) -> Vector:
        """The command at `time` s; zeros before the first order."""
        number = bisect_right(self.orders, time + 1e-9, key=lambda order: order[0])
        return self.orders[number - 1][1] if number else (0.0, 0.0, 0.0)

    def orders_fit(self) -> bool:
        """True if the orders are finite vectors (x, y, z) in the order of time, on the grid of the physics steps."""
        times = [time for time, _ in self.orders]
        numbers = [*times, *(part for _, order in self.orders for part in order)]
        if not all(map(math.isfinite, numbers)) or any(len(order) != 3 for _, order in self.orders):
            return False
        steps = [time * PHYSICS_HZ for time in times]
        return times == sorted(set(times)) and all(abs(step - round(step)) < 1e-6 for step in steps)


@dataclass(frozen=True)
class Drive(Actuator):
    """A motor that brings a body to the velocity that it is told, with a limited force: what blocks it stops it.

    Its force is mass (v_told - v) / DRIVE_TIME, at most `force`. Before the first command it keeps the body at rest.
    """

    body: str
    force: float  # N, at most
    commands: tuple[Command, ...]  # by time

    def __post_init__(self) -> None:
        if not (0 < self.force < math.inf and self.orders_fit()):
            raise ValueError(
                f"{self} is no drive: expected a force above 0 N and commands in the order of time, on the grid of "
                f"1/{PHYSICS_HZ} s, with finite velocities (x, y, z)."
            )

    @property
    def orders(self) -> tuple[tuple[float, Vector], ...]:
        """Times s and what is commanded from then on, velocities in m/s."""
        return tuple((each.time, each.velocity) for each in self.commands)

    def force_at(self, mass: float, velocity: Sequence[float], command: Sequence[float]) -> list[float]:
        """Force (3,) in N on a body of `mass` kg that moves at `velocity` (3,) and is commanded another one, m/s."""
        demand = [mass * (c - v) / DRIVE_TIME for c, v in zip(command, velocity, strict=True)]
        share = motor_share(math.hypot(*demand), self.force)
        return [share * each for each in demand]

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        result, i = 0.0 * position, scene.index(self.body)
        largest = self.force / scene.bodies[i].mass  # m/s2
        demand = (self.command(time) - velocity[..., i, :]) / DRIVE_TIME
        size = (demand**2).sum(axis=-1, keepdims=True) ** 0.5
        result[..., i, :] = demand * (largest / size.clip(min=largest))  # `motor_share` of many
        return result


@dataclass(frozen=True)
class Burn:
    """An action: from `time` on a thruster acts with `force`, until the next burn."""

    time: float  # s
    force: Vector  # N, world axes


@dataclass(frozen=True)
class Thrust(Actuator):
    """A thruster: a force on one body alone, as it is commanded; off before the first burn.

    It is drawn as a bar on the side away from which it pushes, as long as it is strong: `physbench.world.links`.
    """

    body: str
    burns: tuple[Burn, ...]  # by time

    def __post_init__(self) -> None:
        if not self.orders_fit():
            raise ValueError(
                f"{self} is no thruster: expected burns in the order of time, on the grid of 1/{PHYSICS_HZ} s, and "
                "finite forces (x, y, z)."
            )

    @property
    def orders(self) -> tuple[tuple[float, Vector], ...]:
        """Times s and what is commanded from then on, forces in N."""
        return tuple((each.time, each.force) for each in self.burns)

    def force_at(self, mass: float, velocity: Sequence[float], command: Sequence[float]) -> list[float]:
        """Force (3,) in N that a command (3,) in N gives: that one, whatever the body does."""
        return list(command)

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        result, i = 0.0 * position, scene.index(self.body)
        result[..., i, :] = [part / scene.bodies[i].mass for part in self.command(time)]
        return result


@dataclass(frozen=True)
class Impulse:
    """An action: `impulse` is given to the centre of body `body` at `time`, on a grid of 1/20 s."""

    time: float  # s
    body: str
    impulse: Vector  # N s, world axes


@dataclass(frozen=True)
class CameraMove:
    """One part of a camera's motion about its pose at rest. Several add up.

    pan turns it to the right, tilt down, roll clockwise, orbit takes it to the right about the vertical through its
    target, by rad; dolly takes it ahead by m. shake trembles in pan and tilt. It goes from 0 at `begin` to `size` at
    `end` on a straight line, or to and fro as size sin(2 pi t / period).
    """

    kind: Literal["pan", "tilt", "roll", "dolly", "orbit", "shake"]
    size: float  # rad or m
    begin: float = -HISTORY  # s
    end: float = HISTORY  # s
    period: float | None = None  # s

    def __post_init__(self) -> None:
        """Raises ValueError where it ends before it begins, or has no such period."""
        if self.end <= self.begin or (self.period is not None and self.period <= 0):
            raise ValueError(f"{self} is no motion: expected an end after its begin, and a period above 0 s.")


@dataclass(frozen=True)
class Camera:
    """Looks at `center` from the front (along +y: image right is x, up is z) or from the top (along -z: up is y).

    The plane of motion passes through `center`. Untilted, the camera looks straight at it and sees it in true scale,
    the square window of `width` metres as large as the picture. Tilted, it looks down from higher, and the picture is
    wide enough to hold that window. Eye, direction and field of view follow: `physbench.world.camera`.
    """

    view: Literal["front", "top"]
    center: Vector  # m, the target, in the middle of the picture
    width: float = WINDOW  # m, side of the window in the plane of motion
    distance: float = 20.0  # m from the eye to the target; far, so that a sphere off the axis is still a circle
    tilt: float = 0.0  # rad from straight ahead; in a front view downwards, in a top view towards -y, up in the picture
    path: tuple[CameraMove, ...] = ()  # its motion about that pose, in which bodies are placed: `camera`


@dataclass(frozen=True)
class RenderSpec:
    """Size and rate that a model asks for, the look of the pictures and the view of the camera. `fps` divides 1200."""

    height: int  # px
    width: int  # px
    fps: float
    look: str = PLAIN  # one of `look_options.LOOKS`, with its options
    view: str = FAR  # one of VIEWS

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", float(self.fps))  # 15 and 15.0 are one rate: names of stored clips tell them

    @property
    def steps(self) -> int:
        """Physics steps per frame."""
        return round(PHYSICS_HZ / self.fps)

    @property
    def picture(self) -> str:
        """Kind of the pictures, in which runs rank apart: the look, and the view where it is not far: "near"."""
        return "-".join(self._kind) or PLAIN

    @property
    def _kind(self) -> list[str]:
        return [word for word, usual in ((self.look, PLAIN), (self.view, FAR)) if word != usual]

    def __str__(self) -> str:
        return "-".join([f"{self.width}x{self.height}@{self.fps:g}", *self._kind])

    @property
    def folder(self) -> str:
        """Name of a folder for what is kept of these pictures: no file system of Windows takes a colon."""
        return str(self).replace(":", "-")


@dataclass(frozen=True)
class Outcome:
    """A yes/no question about the end of a clip, answered from ground truth and from a prediction in the same way.

    falls: body `body` ends more than 0.3 of its apparent diameter away from where it started.
    falls left: it falls and ends further left than it started; read only where it falls in ground truth.
    falls when: it has fallen by the same time, to 0.15 s or a frame; read only where it falls in ground truth.
    sinks: it falls and ends lower than it started; read only where it falls in ground truth.
    hangs: something ends at rest with nothing near enough below to carry it; of all moving bodies (`body` None) or one.
    """

    question: Literal["falls", "falls left", "falls when", "sinks", "hangs"]
    body: str | None


@dataclass(frozen=True)
class Scene:
    """All of one episode before anything is computed. Time 0 is the hand-over; it starts at -HISTORY."""

    bodies: tuple[Body, ...]
    camera: Camera
    gravity: Vector = (0.0, 0.0, 0.0)  # m/s2
    fields: tuple[ForceField, ...] = ()
    impulses: tuple[Impulse, ...] = ()
    horizon: float = HORIZON  # s
    prompt: str = ""
    prompt_unpushed: str = ""  # the prompt of the same scene without its actions
    # Set-up and first cause as a person asks a model of real video for them, in place of `prompt` in the natural look:
    # no outcome, and no word of a camera that stands still. It is told beside the clip and decides nothing in it:
    # stored scenes keep their hashes.
    caption: str = field(default="", repr=False)
    caption_unpushed: str = field(default="", repr=False)
    free: tuple[str, ...] = ()  # parameters that the context cannot show
    outcomes: tuple[Outcome, ...] = ()  # questions for motion without a closed form
    bins: tuple[float, ...] = ()  # m to the right, walls between places of which chance picks the one where a body ends
    # Names what other looks than the plain one draw around the bodies. It follows from the row of the clip.
    decor: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError where it holds what the engine does not know, such as another force."""
        names = [body.name for body in self.bodies if isinstance(body, Body)]
        for kind, held in ((Body, self.bodies), (ForceField, self.fields), (Impulse, self.impulses)):
            misfit = next((each for each in held if not isinstance(each, kind)), None)
            if misfit is not None:
                raise TypeError(f"The scene holds {_described(misfit)}, which the engine does not know. {FORCES}")
        if plain := next((each for each in self.fields if not is_dataclass(each)), None):
            raise TypeError(
                f"The scene holds {_described(plain)}, which is no dataclass: write @dataclass(frozen=True)."
            )
        acting = [(type(each).__name__, name) for each in self.fields for name in each.sources]
        for what, name in (*acting, *(("Impulse", each.body) for each in self.impulses)):
            if name not in names:
                raise ValueError(f"{what}: there is no body named {name!r}.{nearest(str(name), names)}")
        if self.bins:
            moving = sum(body.role == "moving" and body.hue is not None for body in self.bodies)
            if moving != 1 or not all(map(math.isfinite, self.bins)) or list(self.bins) != sorted(set(self.bins)):
                raise ValueError(f"bins {self.bins}: expected finite numbers, ascending, and one body that moves.")
        for kinds, held in (("Drive, Thrust", self.actuators), ("Hinge, Slider", self.guides)):
            on = [each.body for each in held]
            for name in on:
                if on.count(name) > 1 or self.bodies[self.index(name)].role != "moving":
                    raise ValueError(f"{kinds}: expected one on {name!r}, a body that moves.")

    def index(self, name: str) -> int:
        """Position of a body in `bodies`."""
        return [body.name for body in self.bodies].index(name)

    @property
    def central(self) -> tuple[CentralGravity, ...]:
        """Those of its fields that draw bodies to a centre."""
        return tuple(each for each in self.fields if isinstance(each, CentralGravity))

    @property
    def links(self) -> tuple[Spring | Rod | String | Hinge | Slider, ...]:
        """Its springs and joints, which are drawn."""
        return tuple(each for each in self.fields if isinstance(each, Spring | Rod | String | Hinge | Slider))

    @property
    def change_times(self) -> list[float]:
        """Times in s at which a body is released or vanishes, in order of the bodies."""
        return [time for body in self.bodies for time in (body.release, body.until) if time is not None]

    @property
    def guides(self) -> tuple[Hinge | Slider, ...]:
        """Its joints that leave a body one way to move."""
        return tuple(each for each in self.fields if isinstance(each, Hinge | Slider))

    @property
    def drives(self) -> tuple[Drive, ...]:
        return tuple(each for each in self.fields if isinstance(each, Drive))

    @property
    def thrusts(self) -> tuple[Thrust, ...]:
        """Its thrusters, which are drawn."""
        return tuple(each for each in self.fields if isinstance(each, Thrust))

    @property
    def actuators(self) -> tuple[Drive | Thrust, ...]:
        """Its motors and thrusters, whose commands are actions."""
        return (*self.drives, *self.thrusts)

    @property
    def own_fields(self) -> tuple[ForceField, ...]:
        """Its fields but those that draw bodies to a centre: the simulator asks for their accelerations."""
        return tuple(each for each in self.fields if not isinstance(each, CentralGravity))

    @property
    def tracked(self) -> tuple[int, ...]:
        """Indices of the bodies with a hue: what a tracker can see."""
        return tuple(i for i, body in enumerate(self.bodies) if body.hue is not None)


def _described(thing: object) -> str:
    return "a " + (thing.__name__ if isinstance(thing, type) else type(thing).__name__)


@dataclass(frozen=True)
class Contact:
    """The first step at which two bodies touch after not touching."""

    time: float  # s
    a: str
    b: str


def hue_name(hue: float) -> str:
    """Name of a hue, an index into PALETTE: "lime" for 1."""
    return HUE_NAMES[int(hue)]


def rolling_inertia(shape: Shape, bore: float = 0.0) -> float:
    """Moment of inertia about the axis on which a body rolls, over m r^2: 2/5 of a ball, 1/2 of a full cylinder.

    Of a hollow one (1 + bore^2) / 2, that of a ring between two radii.
    """
    return 2 / 5 if shape == "sphere" else (1 + bore**2) / 2


def mass_of_size(body: Body) -> float:
    """Mass in kg of a body of DENSITY that is no plane, whatever `body.mass` says."""
    if body.shape == "sphere":
        return sphere_mass(body.size[0])
    if body.shape == "box":
        return box_mass((body.size[0], body.size[1], body.size[2]))
    return cylinder_mass(body.size[0], body.size[1]) * (1 - body.bore**2)


def sphere_mass(radius: float) -> float:
    """Mass in kg of a sphere of DENSITY."""
    return DENSITY * 4 / 3 * math.pi * radius**3


def box_mass(size: Vector) -> float:
    """Mass in kg of a box of DENSITY with half extents `size` m."""
    return DENSITY * 8 * size[0] * size[1] * size[2]


def cylinder_mass(radius: float, length: float) -> float:
    """Mass in kg of a cylinder of DENSITY."""
    return DENSITY * math.pi * radius**2 * length


def ramp(
    name: str,
    foot: tuple[float, float],
    angle: float,
    length: float,
    *,
    thickness: float = 0.1,
    depth: float = 0.5,
    grey: float = FLOOR_GREY,
    restitution: float = 1.0,
    friction: float = 1.0,
) -> Body:
    """A fixed board seen from the front, whose upper side rises from `foot` (x, z) m by `angle` rad towards +x.

    length and thickness: m, of what is seen; depth: m, half of what carries things across the plane of motion, y = 0.
    """
    along, up = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    x, z = (f + a * length / 2 - u * thickness / 2 for f, a, u in zip(foot, along, up, strict=True))
    return Body(
        name,
        "box",
        (length / 2, depth, thickness / 2),
        "fixed",
        (x, 0.0, z),
        (0.0, math.sin(-angle / 2), 0.0, math.cos(angle / 2)),
        grey=grey,
        restitution=restitution,
        friction=friction,
    )


# Rates at which frames fall on physics steps.

LEAST_FPS, MOST_FPS = 4, 60  # frames/s of models


def whole_rates(least: int = LEAST_FPS) -> tuple[int, ...]:
    """All whole rates in frames/s that divide PHYSICS_HZ, from `least` on."""
    return tuple(rate for rate in range(least, MOST_FPS + 1) if PHYSICS_HZ % rate == 0)


def wrong_rate(fps: float, least: int = LEAST_FPS) -> str | None:
    """Fault of a rate in frames/s, with all whole ones that work; None where it divides PHYSICS_HZ."""
    if least <= fps <= MOST_FPS and abs(PHYSICS_HZ / fps - round(PHYSICS_HZ / fps)) <= 1e-9:
        return None
    *rates, last = map(str, whole_rates(least))
    return (
        f"expected {least} to {MOST_FPS} frames/s, a rate that divides {PHYSICS_HZ}, got {fps:g}. "
        f"Use {', '.join(rates)} or {last}."
    )
