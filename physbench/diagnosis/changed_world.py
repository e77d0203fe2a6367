"""A changed world: one law that a model may follow instead of the true one, with at most one free number.

Changed worlds are found as scorers are: those that come with physbench, those of installed packages through entry
points, and those in the files with tasks that a user names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from physbench.dynamics.forward_model import ForwardModel, forward_model
from physbench.dynamics.support_check import Unsupported
from physbench.dynamics.world_change import ChangedModel, WorldChange, changed_model, joined_change
from physbench.errors import UsageError
from physbench.plugins import user_files
from physbench.plugins.entry_points import entries, load
from physbench.world.scene import Scene

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
    applies: Callable[[ForwardModel], bool]  # whether it changes anything in a scene
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

    def sight(self, value: float | None) -> str:
        """What one would see at a value: "things fall too slowly"; "" where nothing is declared."""
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
    applies: Callable[[ForwardModel], bool] = lambda model: True,
    seen: str | tuple[str, str] = "",
) -> Callable[[Callable[[Scene, float], WorldChange | Scene]], ChangedWorld]:
    """Declare a changed world by a function of the scene and a value.

    Args:
        id: Unique name, such as "gravity".
        phrase: What is then so, in the subjunctive, with {value}: "gravity were {value} times as strong".
        short: The same for a table, without the value.
        values: First values that are tried, at most 8, from one end to the other; none where nothing is free.
        neutral: The value that changes nothing.
        unit: Of the value.
        range: In which the value may lie.
        step: By which the value is changed for derivatives.
        resolution: Below which the physics steps of the simulator blur the value; intervals are wider by it.
        applies: Whether the world changes anything in a scene, given its forward model.
        seen: What somebody who watches would see, below `neutral` and above it: "things fall too slowly". One text for
            both. Without it a sentence names the law alone.

    Returns:
        A decorator. The function gives a `WorldChange`, or another scene with the same bodies.
    """

    def declare(function: Callable[[Scene, float], WorldChange | Scene]) -> ChangedWorld:
        both = (seen, seen) if isinstance(seen, str) else seen
        return ChangedWorld(
            id, phrase, short, unit, function, applies, values, neutral, range, step, resolution, function, both
        )

    return declare


def find_changed_worlds() -> tuple[ChangedWorld, ...]:
    """All changed worlds: of physbench, of installed packages, and of the files with tasks that the user names."""
    from physbench.diagnosis.world_library import WORLDS

    found = {world.id: world for world in WORLDS}
    for name in entries(WORLD_GROUP):
        _add(found, load(WORLD_GROUP, name), f"Entry point '{name}' in {WORLD_GROUP}")
    for file in user_files.registered_files():
        for _, world in user_files.public_members(file, lambda value: isinstance(value, ChangedWorld)):
            _add(found, world, str(file.path))
    return tuple(found.values())


def _add(found: dict[str, ChangedWorld], world: object, place: str) -> None:
    if not isinstance(world, ChangedWorld):
        raise UsageError(f"{place}: expected a changed world but got {world!r:.80}.")
    if world.id in found:
        raise UsageError(f"{place}: there is a changed world '{world.id}' already. Give this one another id.")
    found[world.id] = world


def laws_of(
    model: ForwardModel, worlds: tuple[ChangedWorld, ...], values: tuple[float, ...]
) -> tuple[WorldChange | None, Scene]:
    """What differs where all of some worlds are so, None: nothing, and the scene then, as `model_of` takes them."""
    changes, later = [], model.scene
    for world, value in zip(worlds, values, strict=True):
        if not world.applies(model):
            continue
        change = world.change(later, value)
        if isinstance(change, Scene):
            later = change
        else:
            changes.append(change)
    return (None if later is model.scene and not changes else joined_change(changes)), later


def model_of(
    model: ForwardModel, since: float, worlds: tuple[ChangedWorld, ...], values: tuple[float, ...]
) -> ForwardModel:
    """The forward model of a scene in which all of some worlds are so, from the hand-over on.

    Args:
        model: Of the true scene.
        since: s from which on `model` holds.
        worlds: Those that do not apply to the scene change nothing.
        values: One each.
    """
    change, later = laws_of(model, worlds, values)
    if change is None:
        return model
    return changed_model(model, change, later=_later_model(model, later, since))


def _later_model(model: ForwardModel, later: Scene, since: float) -> ForwardModel | None:
    """The forward model of a changed scene; None where it is the true one, or where it has none."""
    if later is model.scene:
        return None
    try:
        found = forward_model(later, since)
    except Unsupported:
        return None
    return found if found.index == model.index and (found.world is None) == (model.world is None) else None


__all__ = ["ChangedModel", "ChangedWorld", "WorldChange", "changed_world", "find_changed_worlds", "model_of"]
