"""Tasks: parameters with ranges per split, the scene that follows, what many share, and changes of a scene."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from physbench.clips.clip import PROMPT_MOTION, Split
from physbench.support import plugins
from physbench.support.errors import PhysbenchError, UsageError, nearest
from physbench.support.plugins import UserFile, entries, load
from physbench.world.scene import HORIZON, WINDOW, Scene

TASK_GROUP = "physbench.tasks"
SPLITS: tuple[Split, ...] = ("train", "test", "ood")  # that every task has
GAP: Split = "gap"  # the split of tasks that leave the middle of a range out of train and test
MAX_DRAWS = 20_000
ID = r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*-v[0-9]+"  # of a task


class NothingAccepted(PhysbenchError):
    """A task's `accepts` is true for no parameters that its ranges hold."""

    remedy = (
        "Its conditions contradict each other, or the ranges leave them no room: print in `accepts` which of them are "
        "false. As a rule it is the time of the event or the view."
    )


Kind = Literal["fixed", "visible", "revealed", "free"]
Params = Mapping[str, float]


@dataclass(frozen=True)
class Parameter:
    """One number of a task: where each split draws it from, and how a viewer can know it.

    kind: `fixed` (one value in all splits), `visible` (a function of what is seen), `revealed` (the context shows an
    event that determines it) or `free` (cannot be known). `test` draws from the range of `train`; `ood` from its own
    range, which only visible and revealed parameters may have, and from a second one below that of `train`, if there is
    one. A `gap` is a part of the range that `train` and `test` leave out, and from which the split `gap` draws.
    """

    unit: str  # SI; "" for a pure number
    kind: Kind
    train: tuple[float, float]  # lowest, highest
    doc: str
    ood: tuple[float, float] | None = None  # None: as train
    signed: bool = False  # the range is that of the size; the sign is drawn too
    grid: float | None = None  # the value is lowest + a whole number of these
    below: tuple[float, float] | None = None  # of ood, too; without a grid
    gap: tuple[float, float] | None = None  # inside of train; without a grid

    @classmethod
    def fixed(cls, value: float, unit: str, doc: str) -> Parameter:
        """One value in all splits."""
        return cls(unit, "fixed", (value, value), doc)

    def ranges(self, split: Split) -> tuple[tuple[float, float], ...]:
        """The ranges (lowest, highest) that `split` draws from, ascending (of the size, if signed)."""
        if split == "ood" and self.ood is not None:
            return (self.ood,) if self.below is None else (self.below, self.ood)
        if self.gap is None:
            return (self.train,)
        return (self.gap,) if split == GAP else ((self.train[0], self.gap[0]), (self.gap[1], self.train[1]))

    def range(self, split: Split) -> tuple[float, float]:
        """Lowest and highest value in `split` (of the size, if signed)."""
        span = self.ranges(split)
        return span[0][0], span[-1][1]

    def span(self, split: Split) -> str:
        """The ranges in words: "9.81", "0.4 .. 0.52", "+-0.25 .. 0.6", "0, 1 .. 4", "0 .. 1 and 4 .. 6"."""
        return " and ".join(self._words(low, high) for low, high in self.ranges(split))

    def _words(self, low: float, high: float) -> str:
        sign = "+-" if self.signed else ""
        if low == high:
            return f"{sign}{low:g}"
        step = "" if self.grid is None else f"{low + self.grid:g} .. "
        return f"{sign}{low:g}, {step}{high:g}" if step else f"{sign}{low:g} .. {high:g}"

    def contains(self, value: float, split: Split) -> bool:
        """True if `split` can draw `value`."""
        size = abs(value) if self.signed else value
        return any(low - 1e-9 <= size <= high + 1e-9 for low, high in self.ranges(split))

    def draw(self, rng: np.random.Generator, split: Split) -> float:
        """One value, each as likely as any other, rounded to 1e-4 so that it prints in full."""
        ranges = self.ranges(split)
        low, high = ranges[-1]
        if self.grid is not None:
            value = low + self.grid * int(rng.integers(round((high - low) / self.grid) + 1))
        else:  # a place on the ranges laid end to end
            way = sum(end - start for start, end in ranges) * rng.random()
            for low, high in ranges[:-1]:
                if way < high - low:
                    break
                way -= high - low
            else:
                low = ranges[-1][0]
            value = low + way
        return round(-value if self.signed and rng.integers(2) else value, 4)


def declare(**parameters: Parameter) -> Mapping[str, Parameter]:
    """The parameters of a task by name, in the order in which they are drawn."""
    return MappingProxyType(parameters)


PARAMETER_COLUMNS = ("parameter", "unit", "class", "train and test", "ood", "meaning")


def other_spans(parameter: Parameter) -> str:
    """The ranges of the splits besides train and test: that of ood, and that of the gap under its name."""
    spans = [] if parameter.ood is None else [parameter.span("ood")]
    return "; ".join(spans + ([] if parameter.gap is None else [f"{GAP} {parameter.span(GAP)}"]))


def parameter_table(parameters: Mapping[str, Parameter]) -> list[str]:
    """Lines of the Markdown table that `{parameters}` in a task's docstring stands for."""
    rows: list[tuple[str, ...]] = [PARAMETER_COLUMNS]
    for name, parameter in parameters.items():
        rows.append(
            (name, parameter.unit, parameter.kind, parameter.span("train"), other_spans(parameter), parameter.doc)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    return [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in rows]


def draw(
    parameters: Mapping[str, Parameter],
    rng: np.random.Generator,
    split: Split,
    accepts: Callable[[Params], bool],
) -> dict[str, float]:
    """Draw all parameters, again and again, until `accepts` is true of them.

    Raises NothingAccepted where it never does.
    """
    for _ in range(MAX_DRAWS):
        values = {name: parameter.draw(rng, split) for name, parameter in parameters.items()}
        if accepts(values):
            return values
    raise NothingAccepted(
        f"`accepts` refused all of {MAX_DRAWS:,} draws of the split {split}, the last one with "
        + ", ".join(f"{name} {values[name]:g}" for name in parameters if parameters[name].kind != "fixed")
        + f". {NothingAccepted.remedy}"
    )


@runtime_checkable
class Task(Protocol):
    """A task: parameters, and the scene that follows from them. The docstring of the class is its specification.

    Derive a task from this class: it then needs `id`, `parameters`, `accepts` and `scene` only, and a line
    `{parameters}` in its docstring is replaced by the table of its parameters. Any other class with all members is a
    task, too. Instances are made without arguments.

    A class may say `static_history = True`, where nothing moves before the hand-over, and `straight_motion = True`,
    where constant velocity is right and persistence is asked: `tasks check` refuses neither then.
    """

    id: str  # "falling/projectile-v1"
    parameters: Mapping[str, Parameter]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        doc = cls.__doc__ or ""  # an empty docstring, so that none is inherited
        table = parameter_table(getattr(cls, "parameters", {})) if "{parameters}" in doc else []
        cls.__doc__ = re.sub(
            r"^( *)\{parameters\}$", lambda line: "\n".join(line[1] + row for row in table), doc, flags=re.MULTILINE
        )

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        """Draw the parameters of one clip: all of them, until the method `accepts` is true (always, without one).

        A class may name a parameter as `evenly`: each of its values is as frequent, however seldom it is accepted.
        """
        accepts: Callable[[Params], bool] = getattr(self, "accepts", lambda params: True)
        if (name := getattr(self, "evenly", None)) is None:
            return draw(self.parameters, rng, split, accepts)
        value = self.parameters[name].draw(rng, split)
        return draw(self.parameters, rng, split, lambda p: p[name] == value and accepts(p))

    def scene(self, params: Params) -> Scene:
        """Describe the clip with these parameters, as frozen data."""
        ...


def splits_of(task: Task) -> tuple[Split, ...]:
    """The splits of a task: SPLITS, and GAP where a parameter has a gap."""
    return (*SPLITS, GAP) if any(each.gap is not None for each in task.parameters.values()) else SPLITS


# What says how hard a clip is: a parameter of its task, or a function of the parameters; more is harder, or later.
Level = str | Callable[[Params], float]
LEVELS = ("difficulty", "event")  # kinds of levels; event: s, when what decides the clip happens


def level_of(task: Task, kind: str, params: Params) -> float | None:
    """The value that a task declares for a kind of level in `levels`, as in {"difficulty": "speed"}; None for none."""
    declared: Level | None = getattr(task, "levels", {}).get(kind)
    if declared is None:
        return None
    return float(params[declared] if isinstance(declared, str) else declared(params))


def task_ids() -> tuple[str, ...]:
    """Ids of all installed tasks and of those in files that were named, sorted."""
    return tuple(sorted({*entries(TASK_GROUP), *own_tasks()}))


def own_tasks() -> Mapping[str, type[Task]]:
    """Classes of the tasks in files that were named (`physbench.support.plugins`), by id."""
    return _classes(plugins.registered_files())


@lru_cache(maxsize=8)
def _classes(files: tuple[UserFile, ...]) -> Mapping[str, type[Task]]:
    classes: dict[str, type[Task]] = {}
    for file in files:
        for task in _tasks_in(file).values():
            if task.id in classes or task.id in entries(TASK_GROUP):
                raise UsageError(
                    f"{file.path}: there is a task with the id '{task.id}' already. Give this one another."
                )
            classes[task.id] = task
    return MappingProxyType(classes)


def own_ids(part: str) -> tuple[str, ...]:
    """Register the tasks of `FILE.py`, `FILE.py:Class` or a glob of files, and return the ids that this part names.

    Raises UsageError where a file is missing, cannot be imported or holds no such task.
    """
    chosen: list[str] = []
    for file, name in plugins.open_files(part):
        chosen += [task.id for task in plugins.select_members(file, name, _tasks_in(file), "task").values()]
        _classes((*(known for known in plugins.registered_files() if known.path != file.path), file))
        plugins.register_file(file)
    return tuple(chosen)


def _tasks_in(file: UserFile) -> dict[str, type[Task]]:
    """The classes of a file that are tasks, by name; an incomplete one raises UsageError with what it lacks."""
    classes: dict[str, type[Task]] = {}
    for name, each in plugins.public_members(file, lambda value: isinstance(value, type) and hasattr(value, "id")):
        missing = [word for word in ("parameters", "sample", "scene") if not hasattr(each, word)]
        if getattr(each, "scene", None) is Task.scene:  # it derives from Task and describes no scene
            missing.append("scene")
        if missing:
            raise UsageError(f"{file.path}: the class {name} has an id but no {', no '.join(missing)}.")
        if not isinstance(each.id, str) or not re.fullmatch(ID, each.id):
            raise UsageError(
                f"{file.path}: the id of {name} is {each.id!r}. Expected a family, a slash and a name with a version "
                "in small letters, digits and hyphens, such as falling/my-task-v1."
            )
        classes[name] = each
    return classes


def builtin_task_ids(actions: bool = False, full: bool = False, suite: str = "") -> tuple[str, ...]:
    """Ids of the tasks that come with physbench and that its suites are made of.

    actions: those in which something is pushed (their class says `actions = True`), else those in which nothing is.
    full: all of these, else without those that came later than core: their class says `core = False`.
    suite: those of a suite that has tasks of its own, which no other has (their class says `suite = NAME`).
    """
    names = [name for name, point in entries(TASK_GROUP).items() if point.value.startswith(f"{TASK_GROUP}.")]
    tasks = {name: task for name in names if getattr(task := load(TASK_GROUP, name), "suite", "") == suite}
    chosen = {name: task for name, task in tasks.items() if getattr(task, "actions", False) is actions}
    return tuple(name for name, task in chosen.items() if full or getattr(task, "core", True))


def short_names(task_id: str) -> tuple[str, str, str]:
    """ "falling/projectile-v1" -> ("projectile-v1", "projectile", "falling/projectile")."""
    short = task_id.split("/")[-1]
    return short, short.rpartition("-v")[0] or short, task_id.rpartition("-v")[0] or task_id


def find_task(name: str) -> Task:
    """Return the task with this id or short name ("projectile-v1", "projectile": the newest version).

    `FILE.py` and `FILE.py:Class` name the one task of a file, or one of several. An unknown name raises UsageError and
    offers the nearest ones.
    """
    if plugins.names_files(name):
        ids = own_ids(name)
        if len(ids) > 1:
            raise UsageError(f"{name} holds {len(ids)} tasks: {', '.join(ids)}. Name one, as in {name}:Class.")
        return own_tasks()[ids[0]]()
    matches = [task_id for task_id in task_ids() if name in (task_id, *short_names(task_id))]
    if not matches:
        raise UsageError(f"There is no task named '{name}'.{_nearest(name, task_ids())}")
    if len(kinds := sorted({each.rpartition("-v")[0] for each in matches})) > 1:
        raise UsageError(f"'{name}' names several tasks: {', '.join(kinds)}. Give one of these names.")
    newest = max(matches, key=_version)
    task: Task = (own_tasks()[newest] if newest in own_tasks() else load(TASK_GROUP, newest))()
    return task


def match_tasks(pattern: str, ids: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the ids that a pattern selects: ids, short names, families, globs of them or files, separated by commas.

    A name is looked for among `ids`, then among all tasks; a file gives its own (see
    `physbench.support.plugins`). A part that selects nothing raises UsageError and offers the nearest names.
    """
    patterns = plugins.split_pattern(pattern)
    named = [task_id for part in patterns if plugins.names_files(part) for task_id in own_ids(part)]
    known = tuple(sorted(task_ids() if ids is None else ids))
    matches: set[str] = set(named)
    for part in (part for part in patterns if not plugins.names_files(part)):
        hits = _hits(part, known) or _hits(part, task_ids())
        if not hits:
            raise UsageError(f"No task matches '{part}'.{_nearest(part, known)}")
        matches |= hits
    if not matches:
        raise UsageError(f"No task is named in '{pattern}'.{nearest('', known)}")
    return tuple(sorted(matches))


def _hits(part: str, ids: Iterable[str]) -> set[str]:
    return {
        task_id
        for task_id in ids
        if any(fnmatchcase(name, part) for name in (task_id, task_id.split("/")[0], *short_names(task_id)))
    }


def _version(task_id: str) -> int:
    number = task_id.rpartition("-v")[2]
    return int(number) if number.isdigit() else 0


def _nearest(name: str, ids: Iterable[str]) -> str:
    """Offer full ids, also where a short name or a family is what was nearly hit."""
    aliases = {alias: task_id for task_id in ids for alias in (task_id.split("/")[0], *short_names(task_id), task_id)}
    hint = nearest(name, aliases)
    if not hint.startswith(" Did you mean"):
        return nearest(name, set(aliases.values()))
    close = hint.removeprefix(" Did you mean ").rstrip("?").split(" or ")
    return f" Did you mean {' or '.join(dict.fromkeys(aliases[alias] for alias in close))}?"


# What the parameters and conditions of many tasks share: hues, numbers, releases, the view, the event's time.

HALF_WINDOW = WINDOW / 2  # m, half of the window
FREE_BORDER = 0.04  # m that stay free at the border of the window
EVENT_FROM, EVENT_UNTIL = 0.2, 0.6  # s, share of the horizon: between them lies the event that decides a clip

RELEASE = Parameter("s", "visible", (-1.0, -0.4), "when the holders vanish", grid=0.05)


def hues(*names: str) -> Mapping[str, Parameter]:
    """One hue for each name, drawn from the palette in all splits; a task's `accepts` keeps them apart."""
    return {name: Parameter("", "visible", (0, 4), "index into the palette", grid=1) for name in names}


def numbered(numbers: Iterable[int], **parameters: Parameter) -> Mapping[str, Parameter]:
    """The same parameters for each of several bodies, in the order of the numbers; {nth} in a meaning is the ordinal.

    >>> numbered((1, 2), mass=Parameter("kg", "visible", (1, 2), "of the {nth} ball"))["mass_2"].doc
    'of the second ball'
    """
    ordinals = ("first", "second", "third", "fourth")
    return {
        f"{name}_{k}": replace(parameter, doc=parameter.doc.replace("{nth}", ordinals[k - 1]))
        for k in numbers
        for name, parameter in parameters.items()
    }


def inside(centre: Sequence[float], radius: float, border: float = FREE_BORDER, width: float = WINDOW) -> bool:
    """True if a disc lies in the window. centre: m from the middle of the window, any number of coordinates.

    width: m, of the window, the `width` of the camera.

    >>> inside((2.0, -1.0), 0.5), inside((2.0, -2.1), 0.5)
    (True, False)
    """
    return max(map(abs, centre)) + radius <= width / 2 - border


def event_in(time: float, horizon: float = HORIZON, spare: float = 0.0) -> bool:
    """True if the event that decides a clip lies in [0.2 s, 0.6 horizon], at least `spare` s from both ends.

    >>> event_in(0.3), event_in(2.5)
    (True, False)
    """
    return EVENT_FROM + spare <= time <= EVENT_UNTIL * horizon - spare


@dataclass(frozen=True)
class SceneChange:
    """Difference of a scene from that of its task; none up to the hand-over."""

    apply: Callable[[Scene], Scene]  # raises ValueError, saying why, where a scene has nothing to change
    by_actions: bool  # only the actions tell of it: a model without actions cannot know it


def unpushed(scene: Scene) -> Scene:
    """The scene without its pushes, which all come after the hand-over, and with a prompt that mentions none."""
    if not scene.impulses:
        raise ValueError("nothing is pushed")
    if any(push.time <= 0 for push in scene.impulses):
        raise ValueError("something is pushed before the hand-over, which the context shows")
    if not scene.prompt_unpushed:
        raise ValueError("the scene has no `prompt_unpushed`, the prompt where nothing is pushed")
    quiet = replace(scene, impulses=(), prompt=scene.prompt_unpushed, caption=scene.caption_unpushed)
    return replace(quiet, prompt_unpushed="", caption_unpushed="")


CHANGES: Mapping[str, SceneChange] = {
    "unpushed": SceneChange(unpushed, by_actions=True),
    PROMPT_MOTION: SceneChange(lambda scene: scene, by_actions=False),
}


def changed(scene: Scene, change: str, task: str) -> Scene:
    """The scene of a task with one of CHANGES; as it is for "".

    Raises UsageError for an unknown change, and for a scene that does not allow it.
    """
    if not change:
        return scene
    if change not in CHANGES:
        raise UsageError(f"There is no change named '{change}'.{nearest(change, CHANGES)}")
    try:
        return CHANGES[change].apply(scene)
    except ValueError as error:
        raise UsageError(f"{task} cannot be {change}: {error}. Leave it out with --tasks.") from None
