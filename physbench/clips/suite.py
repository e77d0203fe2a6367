"""Suites: named, versioned lists of clips, also with prompts that say how things move."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.resources import files

from physbench.clips.clip import PROMPT_MOTION, Row, Split
from physbench.clips.task import GAP, Task, builtin_task_ids, find_task, match_tasks, splits_of
from physbench.support.errors import UsageError, nearest

SUITE_VERSION = 4  # rises with any change of rows or of a headline scorer
PUBLISHED_VERSION = 4  # the newest with published validity tables and kinds of tasks; a later one is in development
TRAIN = "train"  # what is learned from: of any size
EXPECTATION_SUITE = "expectation"  # pairs of films; it has no axes
# Seeds of each split in the suites that come with golden states.
GOLDEN_SUITES: Mapping[str, Mapping[Split, int]] = {
    "smoke": {"test": 4},
    "lite": {"test": 8},  # a part of core; `benchmarks/lite.py`: no choice of seeds agrees better with it
    "core": {"test": 24, "ood": 8},
    "full": {"test": 24, "ood": 8},
    "actions": {"test": 24, "ood": 8},
    "counterfactuals": {"test": 16},
    "phyworld": {"test": 16, "gap": 16, "ood": 16},
    "pusher": {"test": 24, "ood": 8},
    "thrust": {"test": 24, "ood": 8},
    "combo": {"test": 30, "ood": 30},
    EXPECTATION_SUITE: {"test": 6, "ood": 2},  # the clips that films are made of, see `physbench.surprise`
}
PUSHER = "pusher"  # the suite of the tasks in which a body is driven, whose actions are velocities
THRUST = "thrust"  # the suite of the tasks in which a body has a thruster, whose actions are forces
COMBO = "combo"  # the suite of combined elements: templates that are trained on, and others that are held out
SEPARATE_SUITES = ("phyworld", PUSHER, THRUST, COMBO)  # suites of tasks that no other suite has
PUSHED_SUITES = ("actions", "counterfactuals")  # suites of the tasks in which something is pushed
SUITE_CHANGES: Mapping[str, tuple[str, ...]] = {
    "counterfactuals": ("unpushed",)
}  # each clip comes with these changes of it
OWN = "own-"  # before the name of a suite to which other tasks were added: its scores are not those of the suite
FRESH = "fresh-"  # before the name of a suite whose seeds were drawn anew: no store and no training set holds its clips
FRESH_SEEDS = range(2**40, 2**52)  # far above those of all suites; whole numbers that any reader of JSON keeps
COMBO_LISTS = ("combo-6", "combo-30", "combo-60")  # the same, of nested sets of templates
TRAINING_LISTS = (TRAIN, *COMBO_LISTS)


@dataclass(frozen=True)
class Golden:
    """States of a clip on the machine on which the suite was made."""

    state_hash: str
    final: Mapping[str, tuple[float, float, float]]  # m, where each body of the scene is at the end


@dataclass(frozen=True)
class Suite:
    """A list of clips. `hash` covers the rows and their states, not frames, which depend on a model's size and rate."""

    name: str
    version: int
    rows: tuple[Row, ...]
    partial: bool = False  # not all rows of the named suite: its scores are not those of the suite
    golden: Mapping[Row, Golden] = field(default_factory=dict, repr=False, compare=False)

    @property
    def local(self) -> bool:
        """True if its clips are others than those that come with physbench."""
        return self.name.startswith((OWN, FRESH))

    @property
    def in_development(self) -> bool:
        """True if its headline scorers may still change: its scores are not for publication."""
        return self.version > PUBLISHED_VERSION

    @property
    def label(self) -> str:
        """Its name with its version, as it is shown: "core 3", "core 4-dev"."""
        return suite_label(self.name, self.version, self.in_development)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Ids of the tasks that it holds, sorted."""
        return tuple(sorted({row.task for row in self.rows}))

    @cached_property
    def hash(self) -> str:
        """sha256 over the rows and their state hashes; simulates the clips that have no golden states."""
        return suite_hash((row, self.state_hash(row)) for row in self.rows)

    def state_hash(self, row: Row) -> str:
        """The golden state hash of a row, or that of the states computed here."""
        if row in self.golden:
            return self.golden[row].state_hash
        from physbench.clips.generate import grid_states, make_scene, state_hash

        return state_hash(grid_states(make_scene(row)))


def suite_label(name: str, version: int, in_development: bool) -> str:
    """A suite with its version, as it is shown everywhere: "core 3", "core 4-dev" while headline scorers may change."""
    return f"{name} {version}{'-dev' if in_development else ''}"


def suite_hash(rows: Iterable[tuple[Row, str]]) -> str:
    """Hash of (row, state hash) pairs in their order."""
    digest = hashlib.sha256()
    for row, state in rows:
        change = f"|{row.change}" if row.change else ""
        digest.update(f"{row.task}|{row.split}|{row.seed}{change}|{state}\n".encode())
    return digest.hexdigest()


def suite_names() -> tuple[str, ...]:
    """Names: smoke (a look), lite (a quarter of core, for slow models), core (the leaderboard), full (core and
    more tasks), actions (pushes), counterfactuals (with and without), phyworld (its three scenes), pusher (a driven
    body), thrust (a thruster), combo (combined elements), expectation (films); to learn from train, combo-6, combo-30
    and combo-60."""
    return (*GOLDEN_SUITES, *TRAINING_LISTS)


def find_suite(name: str, limit: int | None = None, tasks: str | None = None) -> Suite:
    """Return a suite, or a part of it: the clips of the `tasks` that a glob selects, `limit` of them spread evenly.

    `smoke`, `lite`, `core` and `train` hold 14 tasks, `full` all in which nothing is pushed,
    `actions` those in which something is, `counterfactuals` these with the push and without, `phyworld` its three
    scenes, `pusher` those in which a body is driven, `thrust` those in which one has a thruster and `combo`
    combinations of elements. A part of a suite with golden states is marked `partial`. Tasks outside the suite,
    installed or from a file (`physbench.support.plugins`), get as many clips as those in it; the suite is then
    another one, "own-smoke" or "own-core". TRAINING_LISTS have any size: `limit` is the number of clips.
    Unknown suites and tasks raise UsageError and offer the nearest names.
    """
    if name not in suite_names():
        raise UsageError(f"There is no suite named '{name}'.{nearest(name, suite_names())}")
    if limit is not None and limit < 1:
        raise UsageError(f"Expected at least one clip but got --limit {limit}.")
    train_clips = 2000  # of the train suite, by default
    if name == TRAIN:
        ids = builtin_task_ids() if tasks is None else match_tasks(tasks)
        return Suite(name, SUITE_VERSION, train_rows(ids, limit or train_clips))
    if name in COMBO_LISTS:
        return Suite(name, SUITE_VERSION, combo_rows(name, tasks, limit or train_clips))
    whole = _golden_suite(name)
    rows, other = whole.rows, False
    if tasks is not None:
        chosen = match_tasks(tasks, whole.tasks)
        added = [task for task in chosen if task not in whole.tasks]
        rows, other = (*(row for row in rows if row.task in chosen), *golden_rows(name, added)), bool(added)
    if limit is not None:
        rows = spread(rows, limit)
    if rows == whole.rows:
        return whole
    return Suite(f"{OWN}{name}" if other else name, whole.version, rows, partial=True, golden=whole.golden)


def train_rows(task_ids: tuple[str, ...], count: int) -> tuple[Row, ...]:
    """`count` clips of the train split, the same number (or one more) of each task, in order of task and seed."""
    per_task, more = divmod(count, len(task_ids))
    return tuple(
        Row(task, "train", seed) for i, task in enumerate(task_ids) for seed in range(per_task + (1 if i < more else 0))
    )


def combo_rows(name: str, tasks: str | None, count: int) -> tuple[Row, ...]:
    """`count` clips of a list of COMBO_LISTS, the same number (or one more) of each template, in order of seed."""
    ids = golden_tasks(COMBO)
    if tasks is not None and match_tasks(tasks, ids) != ids:
        raise UsageError(f"{name} holds clips of {', '.join(ids)} alone. Leave --tasks out.")
    return tuple(Row(task, "train", seed) for task in ids for seed in seeds_of_templates(task, "train", name, count))


@cache
def seeds_of_templates(task_id: str, split: Split, name: str, count: int) -> tuple[int, ...]:
    """The lowest seeds of a split that give `count` clips, as many (or one more) of each of a task's templates `name`.

    Tasks without templates have the seeds from 0 on.
    """
    if not (every := templates_of(task_id)):
        return tuple(range(count))
    task, templates = find_task(task_id), every[name]
    per_template, more = divmod(count, len(templates))
    lacking = {template: per_template + (k < more) for k, template in enumerate(templates)}
    seeds: list[int] = []
    seed = 0
    while any(lacking.values()):
        template = template_of(task, Row(task_id, split, seed))
        if lacking.get(template):
            lacking[template] -= 1
            seeds.append(seed)
        seed += 1
    return tuple(seeds)


def _among_templates(task_id: str, split: Split, seed: int) -> bool:
    """True if a clip has one of the templates that are judged in its split; of a task without templates, always."""
    every = templates_of(task_id)
    return not every or template_of(find_task(task_id), Row(task_id, split, seed)) in every[split]


def templates_of(task_id: str) -> Mapping[str, range]:
    """Templates of a task of the suite combo, by split and by list to learn from; {} of other tasks."""
    if task_id not in golden_tasks(COMBO):
        return {}
    templates: Mapping[str, range] = find_task(task_id).templates  # type: ignore[attr-defined]
    return templates


def template_of(task: Task, row: Row) -> int:
    """The template of a clip, which its task draws first."""
    from physbench.clips.generate import random_stream

    template: int = task.template(random_stream(row), row.split)  # type: ignore[attr-defined]
    return template


def spread(rows: tuple[Row, ...], limit: int) -> tuple[Row, ...]:
    """`limit` of the rows, taken from the tasks and splits in turn, lowest seeds first, in their old order.

    A clip and its changes, which follow it, are taken together; of the last pair one may be left out.
    """
    ranks: dict[tuple[str, str], list[Row]] = {}
    order = []
    for position, row in enumerate(rows):
        seen = ranks.setdefault((row.task, row.split), [])
        if row.unchanged not in seen[-1:]:
            seen.append(row.unchanged)
        order.append((len(seen), row.split == "ood", position))
    kept = sorted(position for _, _, position in sorted(order)[:limit])
    return tuple(rows[position] for position in kept)


def random_seed(task: str, index: int) -> int:
    """A fresh seed from the randomness of the system."""
    return FRESH_SEEDS.start + secrets.randbelow(len(FRESH_SEEDS))


def fresh_suite(suite: Suite, per_task: int, draw: Callable[[str, int], int] = random_seed) -> Suite:
    """The suite with seeds drawn at this moment.

    Args:
        suite: Its tasks, splits and changes are kept.
        per_task: Seeds of each task; each is used in every split and with every change that the suite has of it.
        draw: Gives the seeds of a task one after the other.
    """
    kept: dict[str, dict[tuple[Split, str], None]] = {}
    for row in suite.rows:
        kept.setdefault(row.task, {})[row.split, row.change] = None
    rows = []
    for task, places in kept.items():
        seeds: set[int] = set()
        for index in itertools.count():
            if len(seeds) == per_task:
                break
            seed = draw(task, index)
            if all(_among_templates(task, split, seed) for split, _ in places):
                seeds.add(seed)
        for split in dict.fromkeys(split for split, _ in places):
            changes = [change for other, change in places if other == split]
            rows += [Row(task, split, seed, change) for seed in sorted(seeds) for change in changes]
    return replace(suite, name=f"{FRESH}{suite.name}", rows=tuple(rows), golden={})


def golden_tasks(name: str) -> tuple[str, ...]:
    """Ids of the tasks of a suite that comes with golden states."""
    if name in SEPARATE_SUITES:
        return builtin_task_ids(actions=name in (PUSHER, THRUST), suite=name, full=True)
    # `full`: all tasks in which nothing is pushed
    return builtin_task_ids(actions=name in PUSHED_SUITES, full=name == "full")


def _seeds_of(name: str, task: str) -> Mapping[Split, int]:
    beyond_core = name == "full" and task not in golden_tasks("core")
    # Of the tasks of `full` that `core` does not have
    return {"test": 12, "ood": 4} if beyond_core else GOLDEN_SUITES[name]


def golden_rows(name: str, task_ids: Iterable[str]) -> tuple[Row, ...]:
    """The rows of a suite that comes with golden states, for these tasks."""
    return tuple(
        Row(task, split, seed, change)
        for task in task_ids
        for split, count in _seeds_of(name, task).items()
        if split != GAP or split in splits_of(find_task(task))
        for seed in seeds_of_templates(task, split, split, count)
        for change in ("", *SUITE_CHANGES.get(name, ()))
    )


@cache
def _golden_suite(name: str) -> Suite:
    document = json.loads(files("physbench.clips").joinpath("golden", f"{name}.json").read_text())
    golden: dict[Row, Golden] = {}
    for task, split, seed, state, final, *change in document["clips"]:
        golden[Row(task, split, seed, *change)] = Golden(state, {body: (x, y, z) for body, (x, y, z) in final.items()})
    return Suite(name, document["version"], tuple(golden), golden=golden)


# Suites whose prompts say in words how things move: the clips of another suite, under a name of their own.
#
# Their results are a track of their own. A model that is told how things move is asked for more than one that sees only
# an image, so that no figure of the two can be set side by side; and as clips and suite have other names, none is.

PROMPT_MOTION_SUFFIX = "-prompt-motion"  # after the name of a suite with such prompts
PROMPT_MOTION_OPTION = "--prompt-motion"


def check_prompt_motion(suite: str, context: int = 1) -> None:
    """Refuse what cannot be told: pairs of clips, films, and contexts of several frames, which show how things move."""
    if suite == EXPECTATION_SUITE or suite in SUITE_CHANGES:
        raise UsageError(
            f"{PROMPT_MOTION_OPTION}: the suite {suite} compares clips with each other. Choose another --suite."
        )
    if context > 1:
        raise UsageError(
            f"{PROMPT_MOTION_OPTION}: {context} frames show already how things move. Leave it out, or --context 1."
        )


def with_prompt_motion(suite: Suite) -> Suite:
    """The suite with words for motion in its prompts; its states, and the golden ones, stay as they are."""
    golden = {_prompted(row): known for row, known in suite.golden.items()}
    return replace(
        suite,
        name=f"{suite.name}{PROMPT_MOTION_SUFFIX}",
        rows=tuple(_prompted(row) for row in suite.rows),
        golden=golden,
    )


def split_name(name: str) -> tuple[str, bool]:
    """The name of a suite without the mark of such prompts, and whether it has the mark."""
    return name.removesuffix(PROMPT_MOTION_SUFFIX), name.endswith(PROMPT_MOTION_SUFFIX)


def chosen_suite(name: str, limit: int | None, tasks: str | None, prompt_motion: bool) -> Suite:
    """As `find_suite`, with words for motion where `prompt_motion`."""
    if not prompt_motion:
        return find_suite(name, limit, tasks)
    check_prompt_motion(name)
    return with_prompt_motion(find_suite(name, limit, tasks))


def without_prompt_motion(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The same clips without the words."""
    return tuple(row.unchanged if row.change == PROMPT_MOTION else row for row in rows)


def _prompted(row: Row) -> Row:
    return replace(row, change=PROMPT_MOTION)
