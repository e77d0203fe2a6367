"""Changed worlds: one law each that a model may follow instead of the true one, and those that come with physbench."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from physbench.laws.changes import WorldChange, altered_law, joined_change
from physbench.laws.scene_law import LawConstant, SceneLaw, find_laws, scene_law_or_none
from physbench.support import plugins
from physbench.support.errors import UsageError
from physbench.support.plugins import entries, load
from physbench.world.scene import PHYSICS_HZ, Scene

# A changed world: one law that a model may follow instead of the true one, with at most one free number.
#
# Changed worlds are found as scorers are: those that come with physbench, those of installed packages through entry
# points, and those in the files with tasks that a user names.

WORLD_GROUP = "physbench.changed_worlds"
MAX_VALUES = 15  # of a world that are tried in one family of tasks


@dataclass(frozen=True)
class ChangedWorld:
    """One law that may differ from the true one."""

    id: str
    phrase: str  # what is then so, in the subjunctive, with {value}: "gravity were {value} times as strong"
    short: str  # the same for a table, without the value: "gravity"
    unit: str  # of the value, "" for a factor
    change: Callable[[Scene, float], WorldChange | Scene]  # what differs; another scene where that is easier to say
    condition: Callable[[SceneLaw], bool]  # on which it applies, beside that the law of the scene can be changed so
    values: tuple[float, ...]  # first ones that are tried, without `neutral`; empty where there is no free number
    neutral: float = 0.0  # the value that changes nothing
    range: tuple[float, float] = (float("-inf"), float("inf"))
    step: float = 1e-3  # by which the value is changed for derivatives
    resolution: float = 0.0  # below which the physics steps of the simulator blur the value
    function: Callable[..., object] | None = field(default=None, repr=False)  # where it is declared
    seen: tuple[str, str] = ("", "")  # what one would see below and above `neutral`

    @property
    def free(self) -> int:
        """Number of free numbers."""
        return 1 if self.values else 0

    def applies(self, law: SceneLaw) -> bool:
        """True where it changes anything in a scene."""
        if not self.condition(law):
            return False
        change = self.change(law.scene, self.values[0] if self.values else self.neutral)
        return isinstance(change, Scene) or law.can_alter(change)

    def sight(self, value: float | None) -> str:
        """Appearance at a value: "things fall too slowly"; "" where none is declared."""
        return self.seen[0 if value is None else int(value > self.neutral)]


def changed_world(
    *,
    id: str,
    phrase: str,
    short: str,
    values: tuple[float, ...] = (),
    neutral: float = 0.0,
    unit: str = "",
    range: tuple[float, float] = (float("-inf"), float("inf")),
    step: float = 1e-3,
    resolution: float = 0.0,
    applies: Callable[[SceneLaw], bool] = lambda law: True,
    seen: str | tuple[str, str] = "",
) -> Callable[[Callable[[Scene, float], WorldChange | Scene]], ChangedWorld]:
    """Declare a changed world by a function of the scene and a value.

    Args:
        id: Unique name, such as "gravity".
        phrase: What is then so, in the subjunctive, with {value}: "gravity were {value} times as strong".
        short: The same for a table, without the value.
        values: First values that are tried, at most 8, from one end to the other; none where nothing is free.
        neutral: The value that changes nothing.
        range: In which the value may lie.
        step: By which the value is changed for derivatives.
        resolution: Below which the physics steps of the simulator blur the value; intervals are wider by it.
        applies: Whether the world changes anything in a scene, given its law; beside that the law can be changed so.
        seen: What somebody who watches would see, below `neutral` and above it: "things fall too slowly". One text for
            both. Without it a sentence names the law alone.

    Returns a decorator. The function gives a `WorldChange`, or another scene with the same bodies.
    """

    def declare(function: Callable[[Scene, float], WorldChange | Scene]) -> ChangedWorld:
        both = (seen, seen) if isinstance(seen, str) else seen
        return ChangedWorld(
            id, phrase, short, unit, function, applies, values, neutral, range, step, resolution, function, both
        )

    return declare


def find_changed_worlds() -> tuple[ChangedWorld, ...]:
    """All changed worlds: of physbench, of installed packages, of the files with tasks that the user names, of laws.

    Raises UsageError where two of them have one name, or a constant of somebody's law that of another change.
    """
    reserved = {each.name for each in fields(WorldChange)}  # no constant of a user's law has these names
    worlds, known = {world.id: world for world in WORLDS}, list[LawConstant]()
    for law in find_laws():
        for constant in law.constants:
            if constant.id in reserved and not law.__module__.startswith("physbench."):
                raise UsageError(
                    f"The law '{law.name}': '{constant.id}' is the name of another change of the laws. Give its "
                    "LawConstant another id."
                )
            if constant.phrase and constant not in known:
                known.append(constant)  # of two laws
                _add(worlds, _world_of(constant), f"The law '{law.name}'")
    for name in entries(WORLD_GROUP):
        _add(worlds, load(WORLD_GROUP, name), f"Entry point '{name}' in {WORLD_GROUP}")
    for file in plugins.registered_files():
        for _, world in plugins.public_members(file, lambda value: isinstance(value, ChangedWorld)):
            _add(worlds, world, str(file.path))
    return tuple(worlds.values())


def _world_of(constant: LawConstant) -> ChangedWorld:
    """The world in which a constant of a law is another one."""
    return changed_world(
        id=constant.id,
        phrase=constant.phrase,
        short=constant.short,
        values=constant.values,
        neutral=1.0,
        range=constant.range,
        seen=constant.seen,
    )(lambda scene, value: WorldChange(constants=((constant.id, value),)))


def _add(worlds: dict[str, ChangedWorld], world: object, place: str) -> None:
    if not isinstance(world, ChangedWorld):
        raise UsageError(f"{place}: expected a changed world but got {world!r:.80}.")
    if world.id in worlds:
        raise UsageError(f"{place}: there is a changed world '{world.id}' already. Give this one another id.")
    worlds[world.id] = world


def change_of(
    law: SceneLaw, worlds: tuple[ChangedWorld, ...], values: tuple[float, ...]
) -> tuple[WorldChange | None, Scene]:
    """Change where all of some worlds hold, None: nothing, and the scene then, as `altered_by` takes them."""
    changes, later = [], law.scene
    for world, value in zip(worlds, values, strict=True):
        if not world.applies(law):
            continue
        change = world.change(later, value)
        if isinstance(change, Scene):
            later = change
        else:
            changes.append(change)
    return (None if later is law.scene and not changes else joined_change(changes)), later


def altered_by(law: SceneLaw, worlds: tuple[ChangedWorld, ...], values: tuple[float, ...]) -> SceneLaw:
    """The law of a scene in which all of some worlds are so, from the hand-over on.

    Args:
        law: Of the true scene.
        worlds: Those that do not apply to the scene change nothing.
        values: One each.
    """
    change, later = change_of(law, worlds, values)
    return law if change is None else altered_law(law, change, later=_later_law(law, later))


def _later_law(law: SceneLaw, later: Scene) -> SceneLaw | None:
    """The law of a changed scene; None where it is the true one, or where no law of this kind can move it."""
    if later is law.scene:
        return None
    later_law = scene_law_or_none(later, law.since)
    return later_law if type(later_law) is type(law) and later_law.index == law.index else None


FACTORS = (0.0, 0.4, 0.7, 0.9, 1.1, 1.4, 2.0)

WORLDS: tuple[ChangedWorld, ...] = (
    changed_world(
        id="gravity",
        phrase="gravity were {value} times as strong",
        short="gravity",
        seen=("things hang in the air or fall too slowly", "things fall too fast"),
        values=FACTORS,
        neutral=1.0,
        range=(-1.0, 4.0),
    )(lambda scene, value: WorldChange(gravity=value)),
    # In the plane of motion, counter-clockwise.
    changed_world(
        id="gravity-direction",
        phrase="gravity were turned by {value} degrees",
        short="direction of gravity",
        seen="things fall at a slant",
        unit="deg",
        values=(-20.0, -8.0, -3.0, 3.0, 8.0, 20.0),
        range=(-90.0, 90.0),
        step=0.05,
    )(lambda scene, value: WorldChange(gravity_angle=math.radians(value))),
    changed_world(
        id="gravity-trend",
        phrase="all attraction grew by {value} of itself a second",
        short="growth of gravity",
        seen=("things are pulled less and less", "things are pulled more and more"),
        unit="1/s",
        values=(-0.3, -0.12, -0.04, 0.04, 0.12, 0.3),
        range=(-1.0, 2.0),
    )(lambda scene, value: WorldChange(gravity_trend=value)),
    changed_world(
        id="pull-right",
        phrase="everything were pulled to the right with {value} m/s2",
        short="pull to the right",
        seen=("things drift to the left", "things drift to the right"),
        unit="m/s2",
        values=(-0.5, -0.15, 0.15, 0.5),
        range=(-10.0, 10.0),
        applies=lambda law: "gravity" not in law.alterable,
    )(lambda scene, value: WorldChange(wind=(value, 0.0))),
    changed_world(
        id="pull-up",
        phrase="everything were pulled upwards in the picture with {value} m/s2",
        short="pull upwards",
        seen=("things drift downwards", "things drift upwards"),
        unit="m/s2",
        values=(-0.5, -0.15, 0.15, 0.5),
        range=(-10.0, 10.0),
        applies=lambda law: "gravity" not in law.alterable,
    )(lambda scene, value: WorldChange(wind=(0.0, value))),
    # Below 0 everything gains speed.
    changed_world(
        id="drag",
        phrase="everything lost {value} of its speed a second",
        short="drag",
        seen=("things speed up by themselves", "things slow down by themselves"),
        unit="1/s",
        values=(-0.4, -0.15, -0.05, 0.05, 0.15, 0.4, 1.0),
        range=(-2.0, 6.0),
    )(lambda scene, value: WorldChange(drag=value)),
    # As that of Magnus on a ball that spins.
    changed_world(
        id="lateral-force",
        phrase="a force across the motion turned everything by {value} degrees a second",
        short="force across the motion",
        seen="straight ways bend",
        unit="deg/s",
        values=(-40.0, -12.0, -4.0, 4.0, 12.0, 40.0),
        range=(-360.0, 360.0),
        step=0.05,
    )(lambda scene, value: WorldChange(turn=math.radians(value))),
    changed_world(
        id="restitution",
        phrase="things parted at {value} times the true speed",
        short="restitution",
        seen=("bounces are too weak", "bounces are too lively"),
        values=(0.0, 0.4, 0.7, 0.9, 1.1, 1.25),
        neutral=1.0,
        range=(0.0, 2.0),
    )(lambda scene, value: WorldChange(restitution=max(value, 0.0))),
    changed_world(
        id="friction",
        phrase="friction were {value} times as strong",
        short="friction",
        seen=("things slide on for too long", "sliding things stop too soon"),
        values=(0.0, 0.3, 0.6, 0.85, 1.2, 1.6, 2.5),
        neutral=1.0,
        range=(0.0, 6.0),
    )(lambda scene, value: WorldChange(friction=max(value, 0.0))),
    changed_world(
        id="mass-ratio",
        phrase="the heaviest body had {value} times its mass",
        short="mass of the heaviest",
        seen="collisions share out the motion wrongly",
        values=(0.2, 0.4, 0.7, 1.4, 2.0, 4.0),
        neutral=1.0,
        range=(0.02, 50.0),
    )(lambda scene, value: WorldChange(mass=value)),
    changed_world(
        id="rebound-angle",
        phrase="every rebound were turned by {value} degrees",
        short="angle of rebound",
        seen="things bounce off on wrong ways",
        unit="deg",
        values=(-25.0, -10.0, -4.0, 4.0, 10.0, 25.0),
        range=(-80.0, 80.0),
        step=0.05,
    )(lambda scene, value: WorldChange(twist=math.radians(value))),
    # Below 0 things sink in before they bounce.
    changed_world(
        id="contact-distance",
        phrase="things touched where their surfaces are {value} diameters apart",
        short="distance of contacts",
        seen=("things sink in before they bounce", "things bounce before they touch"),
        unit="diameters",
        values=(-0.12, -0.05, 0.05, 0.15, 0.3, 0.5),
        range=(-0.4, 1.5),
        resolution=0.002,
    )(lambda scene, value: WorldChange(gap=value)),
    # Below 0 after it.
    changed_world(
        id="contact-time",
        phrase="every contact came {value} s too early",
        short="time of contacts",
        seen=("things bounce too late", "things bounce before they touch"),
        unit="s",
        values=(-0.12, -0.05, 0.05, 0.1, 0.2),
        range=(-0.5, 1.0),
        resolution=1 / PHYSICS_HZ,
    )(lambda scene, value: WorldChange(lead=value)),
    changed_world(
        id="pass-through",
        phrase="moving bodies went through each other",
        short="bodies go through each other",
    )(lambda scene, value: WorldChange(solid=False)),
    changed_world(
        id="no-contacts",
        phrase="nothing touched anything",
        short="no contacts",
        seen="walls, floors and bodies stop nothing",
    )(lambda scene, value: WorldChange(contacts=False)),
    # The first two that meet, or of which one passes before the other.
    changed_world(
        id="exchange",
        phrase="two bodies went on as each other where they meet",
        short="exchanged identities",
    )(lambda scene, value: WorldChange(exchanged=True)),
    changed_world(
        id="central-mass",
        phrase="central masses were {value} times as large",
        short="central mass",
        seen=("orbits are too wide", "orbits are too tight"),
        values=FACTORS,
        neutral=1.0,
        range=(0.0, 4.0),
    )(lambda scene, value: WorldChange(central_mass=max(value, 1e-6))),
    # At the hand-over the force is the true one.
    changed_world(
        id="force-exponent",
        phrase="central forces fell with the distance to the power of {value}",
        short="exponent of the force",
        seen="orbits do not close",
        values=(0.5, 1.2, 1.6, 1.85, 2.15, 2.4, 3.0),
        neutral=2.0,
        range=(-2.0, 5.0),
    )(lambda scene, value: WorldChange(exponent=value)),
    # As of a centre that is spread out.
    changed_world(
        id="softening",
        phrase="central forces were softened within {value} m",
        short="softened force",
        seen="close passes bend too little",
        unit="m",
        values=(0.1, 0.2, 0.4, 0.8),
        range=(0.0, 3.0),
    )(lambda scene, value: WorldChange(softening=max(value, 0.0))),
    # Below 0 against the motion.
    changed_world(
        id="precession",
        phrase="the axes of orbits turned by {value} degrees a revolution",
        short="precession",
        seen="orbits turn instead of closing",
        unit="deg",
        values=(-40.0, -15.0, -5.0, 5.0, 15.0, 40.0),
        range=(-120.0, 300.0),
        step=0.05,
    )(lambda scene, value: WorldChange(precession=value / 360)),
    # Speeds times a factor, accelerations times its square.
    changed_world(
        id="speed-of-time",
        phrase="everything happened {value} times as fast",
        short="speed of time",
        seen=("everything happens too slowly", "everything happens too fast"),
        values=(0.25, 0.5, 0.75, 0.92, 1.08, 1.3, 1.7),
        neutral=1.0,
        range=(0.02, 4.0),
    )(lambda scene, value: WorldChange(time=value)),
)
