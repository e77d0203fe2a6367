"""Write docs/findings.md, what each kind of model gets wrong, and its figures, from the entries of a board.

python docs/figures/findings.py [BOARD]                        the page and docs/images/findings-*.svg
python docs/figures/findings.py [BOARD] --pixels RUN [RUN ...]  first read what follows from frames alone of these runs
python docs/figures/findings.py [BOARD] --rollouts RUN [RUN ...] first read errors of pixels of runs with kept rollouts
python docs/figures/findings.py [BOARD] --samples RUN [RUN ...] first read runs with several samples a clip
python docs/figures/findings.py [BOARD] --surprise RUN [RUN ...] first read runs of the suite `expectation`
python docs/figures/findings.py [BOARD] --transfer RUN [RUN ...] first read runs on the tasks that `full` adds

All figures of the page are those of the entries, and its words follow from them. An entry keeps what follows from
tracks of one sample. In findings.json beside this file lie three readings of pixels of the same rollouts, errors of
pixels, what several samples cover, which impossible films surprise, and skill in tasks that `core` does not have; in
data_and_size.csv skill against data and size (benchmarks/data_and_size.py). Readings of models that no RUN is of stay.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from statistics import NormalDist, median
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pixel_errors import PIXEL_ERRORS, SABOTEURS, pixel_errors
from scipy.stats import rankdata

from physbench.clips.clip import Row
from physbench.clips.store import clip_store
from physbench.clips.suite import find_suite
from physbench.leaderboard.entries import Entry, present
from physbench.leaderboard.site import ResampledSkill, entry_skill
from physbench.result.document import ReadingValue, ResultDocument, SkillValue, read_result
from physbench.result.formats import AXIS_NAMES, joined, short
from physbench.score.visibility import hidden_intervals, true_trajectory
from physbench.world.scene import RenderSpec

HERE = Path(__file__).parent
PAGE, IMAGES, READ = HERE.parent / "findings.md", HERE.parent / "images", HERE / "findings.json"
CURVES = HERE / "data_and_size.csv"
BOARD, STATES = (HERE.parents[1] / name for name in ("board", "board-states"))  # of pictures, and of exact states
VELOCITY, MEMORY = "baseline:constant-velocity", "baseline:memory"
STATE_VELOCITY = "baseline:state-constant-velocity"
BESIDE = (VELOCITY, STATE_VELOCITY, MEMORY, "baseline:physicist")  # shown beside: the oracle is 1, a frozen frame 0
ARTICLES = {MEMORY: "a ", "baseline:physicist": "the "}
ONE_HIDDEN = ("occlusion/screen-pass-v1", "occlusion/screen-lift-v1")  # one body, hidden once, that has to return
PIXEL_READINGS = {
    "appearance/persistence-skill": "nearer to the recorded pixels than a frozen frame within 0.5 s, share",
    "drift/background": "mean change of static pixels since the hand-over, levels of 255",
    "drift/sharpness": "sharpness over that of ground truth, last quarter",
}
NEAR = 0.03  # of the unexplained motion; a law that explains less is not spoken of
DRAWS = 2000
FEWEST_MODELS = 4  # of a rank correlation
SURE = NormalDist().inv_cdf(0.975)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval, where it has one."""

    value: float
    interval: Interval | None

    def __str__(self) -> str:
        return f"{self.value:.2f}" + ("" if self.interval is None else " [{:.2f}, {:.2f}]".format(*self.interval))


@dataclass(frozen=True, eq=False)
class Model:
    """An entry of the board, as the page names it."""

    entry: Entry

    @cached_property
    def result(self) -> ResultDocument:
        return self.entry.result

    @property
    def target(self) -> str:
        return self.result.model.target

    @property
    def label(self) -> str:
        """Its name in a figure."""
        return label_of(self.result)

    @property
    def name(self) -> str:
        """Its name in a text: models as code, baselines as words."""
        if not self.target.startswith("baseline:"):
            return f"`{self.label}`"
        return ARTICLES.get(self.target, "") + self.label.replace("-", " ")

    @property
    def overall(self) -> float:
        assert self.result.overall.skill is not None  # or it would not be on a board
        return self.result.overall.skill

    @cached_property
    def resampled(self) -> ResampledSkill:
        return entry_skill(self.entry.tables(), self.result, DRAWS)

    def ahead_of(self, other: Model) -> Value:
        """Overall skill less that of another entry, paired over clips."""
        low, high = self.resampled.resampled.interval(self.resampled.rows, other.resampled.rows)
        return Value(self.overall - other.overall, (float(low), float(high)))


def label_of(result: ResultDocument) -> str:
    """The name of a model, and how much a memory holds."""
    clips = result.model.args.get("clips")
    return f"{result.model.name} of {int(clips):,} clips" if clips else result.model.name


@dataclass(frozen=True, eq=False)
class Board:
    """The entries that the page speaks of, best first."""

    models: tuple[Model, ...]
    beside: tuple[Model, ...]  # baselines
    untrained: Mapping[str, Model]  # by the name of the trained one

    @property
    def shown(self) -> list[Model]:
        """Models and baselines, best first."""
        return sorted((*self.models, *self.beside), key=lambda model: -model.overall)

    def baseline(self, target: str) -> Model | None:
        return next((model for model in self.beside if model.target == target), None)


def read_board(folder: Path) -> Board:
    """What a board holds of the models that come with physbench, and what they are compared with.

    Other entries of the same baseline than the best one are left out.
    """
    found = sorted(map(Model, present(folder)), key=lambda model: -model.overall)
    trained = tuple(model for model in found if model.target.startswith("reference:"))
    best = {model.target: model for model in reversed(found) if model.target in BESIDE}
    bare = {model.target.removeprefix("untrained:"): model for model in found if model.target.startswith("untrained:")}
    names = {model.target.removeprefix("reference:"): model.result.model.name for model in trained}
    return Board(trained, tuple(best.values()), {names[key]: model for key, model in bare.items() if key in names})


# Numbers


def mean_of(values: Sequence[Value]) -> Value:
    """Mean of independent numbers; its interval is made of theirs (Zou and Donner 2008, doi:10.1002/sim.3095)."""
    n, middle = len(values), sum(each.value for each in values) / len(values)
    spans = [each.interval for each in values]
    if any(span is None for span in spans):
        return Value(middle, None)
    low, high = (
        math.sqrt(sum((each.value - span[side]) ** 2 for each, span in zip(values, spans, strict=True) if span)) / n
        for side in (0, 1)
    )
    return Value(middle, (middle - low, middle + high))


def over_families(tasks: Mapping[str, ReadingValue | Value]) -> Value | None:
    """Mean over families of the mean over their tasks; None where no task has a value."""
    known: dict[str, list[Value]] = {}
    for task, each in tasks.items():
        if each.value is not None:
            known.setdefault(task.split("/")[0], []).append(Value(each.value, each.interval))
    return mean_of([mean_of(values) for values in known.values()]) if known else None


def wilson(hits: int, n: int) -> Value:
    """A share with its interval (Wilson 1927)."""
    share, z2 = hits / n, SURE**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = SURE / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Value(share, (middle - half, middle + half))


def less(a: Value, b: Value) -> Value:
    """Difference of two independent numbers, as of shares; of shares that of Newcombe (1998, Statist. Med. 17, 873)."""
    assert a.interval is not None and b.interval is not None
    gap = a.value - b.value
    low = math.hypot(a.value - a.interval[0], b.interval[1] - b.value)
    high = math.hypot(a.interval[1] - a.value, b.value - b.interval[0])
    return Value(gap, (gap - low, gap + high))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Value:
    """Spearman's rho, with a percentile interval of a bootstrap over models."""

    n = len(x)
    index = np.vstack([np.arange(n), np.random.default_rng(0).integers(0, n, (DRAWS, n))])  # row 0: the models
    a, b = (rankdata(np.asarray(values)[index], axis=1) - (n + 1) / 2 for values in (x, y))
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    rho = np.divide((a * b).sum(axis=1), spread, out=np.full(len(index), np.nan), where=spread > 0)
    low, high = np.nanpercentile(rho[1:], [2.5, 97.5])
    return Value(float(rho[0]), (float(low), float(high)))


def sign(found: Value) -> int:
    """1 or -1 where an interval lies above or below 0, 0 where it does neither."""
    assert found.interval is not None
    return (found.interval[0] > 0) - (found.interval[1] < 0)


# What the page shows


@cache
def kept_values() -> dict[str, dict]:
    """What is kept beside this script of runs that are not on the board, and of clips, which take a second each."""
    return dict(json.loads(READ.read_text(encoding="utf-8"))) if READ.is_file() else {}


def hidden_seconds(row: Row, spec: RenderSpec, context: int) -> float:
    """As `true_hidden_seconds`, once for each clip."""
    kept, name = kept_values().setdefault("hidden", {}), f"{row.id} {spec} {context}"
    if name not in kept:
        kept[name] = round(true_hidden_seconds(row, spec, context), 6)
    return float(kept[name])


def true_hidden_seconds(row: Row, spec: RenderSpec, context: int) -> float:
    """Time s in which ground truth hides the body of a clip, as the reading of permanence has it."""
    clip = clip_store().get(row, spec)
    (interval,) = hidden_intervals(true_trajectory(clip, context, 0), 0, context)
    times = clip.times[clip.window(context)]
    return float(times[interval.last] - times[interval.first] + 1 / spec.fps)


@dataclass(frozen=True)
class Hidings:
    """Clips of one hidden body: how long ground truth hides it, and whether a model brings it back."""

    seconds: Mapping[str, np.ndarray]  # (n,) by task
    right: Mapping[str, np.ndarray]  # (n,) by task

    def bins(self, task: str, parts: int = 3) -> list[tuple[float, Value]]:
        """Mean time and share that comes back, in parts with as many clips."""
        order = np.argsort(self.seconds[task], kind="stable")
        return [
            (float(self.seconds[task][part].mean()), wilson(int(self.right[task][part].sum()), len(part)))
            for part in np.array_split(order, parts)
        ]

    def short_less_long(self) -> Value:
        """Share that comes back in the shorter half of the hidings of each task, less that in the longer half."""
        halves = [np.array_split(np.argsort(self.seconds[task], kind="stable"), 2) for task in self.seconds]
        hits = [
            [self.right[task][part].sum() for task, part in zip(self.seconds, half, strict=True)]
            for half in zip(*halves, strict=True)
        ]
        sizes = [sum(map(len, half)) for half in zip(*halves, strict=True)]
        return less(*(wilson(int(sum(hit)), size) for hit, size in zip(hits, sizes, strict=True)))


def hidings(model: Model) -> Hidings:
    """A body is brought back where the quality of permanence is above 0: its return is a factor of it, 0 or 1."""
    from physbench.clips.generate import render_spec

    card, table = model.result.model.card, model.entry.tables()["model"]
    spec, context = render_spec(card.image_size, card.fps), model.result.context
    seconds, right = {}, {}
    for task in ONE_HIDDEN:
        rows = table[(table["task"] == task) & (table["reading"] == "permanence/intact") & (table["sample"] == 0)]
        clips = [Row(task, split, int(seed)) for split, seed in zip(rows["split"], rows["seed"], strict=True)]
        seconds[task] = np.array([hidden_seconds(row, spec, context) for row in clips])
        right[task] = rows["quality"].to_numpy() > 0
    return Hidings(seconds, right)


def returns(model: Model) -> dict[str, Value]:
    """Share of the hidden bodies that come back as they should, by task."""
    found = model.result.readings.get("permanence/intact.reemergence")
    tasks = {} if found is None else found.tasks
    return {task: Value(each.value, each.interval) for task, each in tasks.items() if each.value is not None}


def pixels(model: Model, stored: Sequence[Mapping[str, dict]]) -> dict[str, Value]:
    """Readings and errors of pixels by name, of the entry or else of runs of its model: same weights, same skill."""
    found = {name: model.result.readings[name].tasks for name in PIXEL_READINGS if name in model.result.readings}
    values = {name: over_families(tasks) for name, tasks in found.items()}
    for runs in stored:
        run = runs.get(model.label, {})
        if run.get("target") == model.target and run.get("overall") == model.overall:
            values = {name: Value(each, None) for name, each in run["readings"].items()} | values
    return {name: value for name, value in values.items() if value is not None}


def read_pixels(runs: Sequence[Path]) -> dict[str, dict]:
    """Readings of pixels of finished runs, by label."""
    made = {}
    for run in runs:
        result = read_result(run / "result.json")
        values = {
            name: over_families(result.readings[name].tasks) for name in PIXEL_READINGS if name in result.readings
        }
        made[label_of(result)] = {
            "target": result.model.target,
            "overall": result.overall.skill,
            "readings": {name: round(each.value, 6) for name, each in values.items() if each is not None},
        }
    return made


def read_rollouts(runs: Sequence[Path], board: Board) -> dict[str, dict]:
    """Errors of pixels of the rollouts that finished runs have kept, by label, beside the overall skill of the entry.

    Raises ValueError where runs are of different clips.
    """
    made, overall = {}, {model.label: model.overall for model in board.shown}
    results = {run: read_result(run / "result.json") for run in runs}
    if len(suites := {(result.suite.name, result.suite.hash, result.suite.clips) for result in results.values()}) > 1:
        raise ValueError(f"--rollouts: expected runs of the same clips, got {suites}")
    for run, result in results.items():
        made[label_of(result)] = {
            "target": result.model.target,
            "overall": overall.get(label_of(result)),
            "suite": f"{result.suite.name} {result.suite.version}",
            "clips": result.suite.clips,
            "readings": {name: round(each, 4) for name, each in pixel_errors(run).items()},
        }
    return made


TRANSFER = ("consistency", "drift")  # axes; permanence can be lost alone in most of these tasks


@dataclass(frozen=True)
class Transfer:
    """A model on tasks that it was not trained on: those of `full` that `core` does not have."""

    model: str
    suite: str
    clips: int
    lawful: float  # s to the first break
    skills: Mapping[str, Mapping[str, float]]  # by axis and task, where these are informative


def task_skills(result: ResultDocument) -> dict[str, dict[str, float]]:
    """Skill by axis and task, where a task is informative."""
    return {
        axis: {
            task: axes[axis].skill
            for task, axes in result.tasks.items()
            if axis in axes and axes[axis].kind == "informative" and axes[axis].skill is not None
        }
        for axis in TRANSFER
    }


def read_transfer(runs: Sequence[Path]) -> dict[str, dict]:
    """What runs on the tasks that `full` adds say, by label. Raises ValueError where a run has tasks of core."""
    core, made = {row.task for row in find_suite("core").rows}, {}
    for run in runs:
        result = read_result(run / "result.json")
        if core & set(result.tasks) or result.lawful is None:
            raise ValueError(f"{run}: expected a run on tasks that core does not have")
        made[label_of(result)] = {
            "suite": f"{result.suite.name} {result.suite.version}",
            "clips": result.suite.clips,
            "lawful": result.lawful.seconds,
            "skills": task_skills(result),
        }
    return made


def over_tasks(skills: Mapping[str, float]) -> Value:
    """Mean over tasks, with the interval of a bootstrap over tasks: what other tasks of this kind would say."""
    values = np.array([skills[task] for task in sorted(skills)])
    draws = values[np.random.default_rng(0).integers(len(values), size=(4000, len(values)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5]).tolist()
    return Value(float(values.mean()), (low, high))


@dataclass(frozen=True)
class Samples:
    """What several samples of each clip say of a stochastic model."""

    model: str
    suite: str
    clips: int
    samples: int
    overall: float  # of all samples alike
    best: float  # of the best of each clip, chosen after the fact
    crps: float  # diameters, mean over families of the mean over tasks of the median clip
    open: float  # the same of all that the context leaves open: what the simulations themselves would read
    spread: float  # of the samples over that of the simulations, likewise


def read_samples(runs: Sequence[Path]) -> dict[str, dict]:
    """What finished runs with several samples a clip say, by label, and the overall skill of constant velocity there.

    Raises ValueError where another run has one sample.
    """
    made: dict[str, dict] = {}
    for run in runs:
        result = read_result(run / "result.json")
        suite = {"suite": f"{result.suite.name} {result.suite.version}", "clips": result.suite.clips}
        if result.model.target == VELOCITY:
            made[label_of(result)] = {**suite, "overall": result.overall.skill}
            continue
        names = ("drift/crps", "drift/crps.best", "drift/crps.spread")
        crps = [None if name not in result.readings else over_families(result.readings[name].tasks) for name in names]
        if result.best_of is None or result.best_of.overall is None or result.overall.skill is None or None in crps:
            raise ValueError(f"{run}: holds no skill of several samples")
        made[label_of(result)] = {
            **suite,
            "samples": result.best_of.samples,
            "overall": result.overall.skill,
            "best": result.best_of.overall,
            **{name: round(each.value, 4) for name, each in zip(("crps", "open", "spread"), crps, strict=True) if each},
        }
    return made


VALUES = ("all", "counted", "untrained", "baseline")  # of Surprise


@dataclass(frozen=True)
class Surprise:
    """Which impossible films a model tells from the possible ones by its own errors of prediction."""

    model: str
    pairs: int
    all: Value  # accuracy, mean over kinds of all sizes
    counted: Value  # the same of what no pixel baseline notices
    untrained: Value | None  # all of its untrained copy
    baseline: Value  # all of the best pixel baseline


def value_of(stored: Sequence | None) -> Value | None:
    """A number and its interval as findings.json holds them."""
    return None if stored is None else Value(stored[0], stored[1] and tuple(stored[1]))


def read_surprise(runs: Sequence[Path]) -> dict[str, dict]:
    """What finished runs of the suite `expectation` say, by label.

    That of an untrained copy is in a run of its model with --untrained-copy, or in its own run beside one of its model.
    Raises ValueError where a run shows no films, or is of a copy alone.
    """
    made = {}
    for run in runs:
        result = read_result(run / "result.json")
        found = result.expectation
        if found is None or found.everything.accuracy is None or found.counted.accuracy is None:
            raise ValueError(f"{run}: holds no surprise")
        seen = {name: [each.all, each.interval] for name, each in found.observers.items() if each.all is not None}
        others = [seen[name] for name in found.baselines if name in seen]
        made[label_of(result)] = {
            "pairs": found.everything.pairs,
            "all": [found.everything.accuracy, found.everything.interval],
            "counted": [found.counted.accuracy, found.counted.interval],
            "untrained": seen.get("untrained copy"),
            "baseline": max(others, key=lambda each: each[0]),
        }
    for copy in [each for each in made if each.endswith(" untrained")]:
        read = made.pop(copy)["all"]
        if (model := copy.removesuffix(" untrained")) not in made:
            raise ValueError(f"{copy}: goes with a run of {model}")
        made[model]["untrained"] = read
    return made


def kept_surprise(board: Board) -> tuple[Surprise, ...]:
    """What was read of the models of a board, most pairs first."""
    kept, shown = kept_values().get("surprise", {}), {model.label for model in board.models}
    found = [
        Surprise(**{**values, "model": name, **{part: value_of(values[part]) for part in VALUES}})
        for name, values in kept.items()
        if name in shown
    ]
    return tuple(sorted(found, key=lambda each: -each.all.value))


@dataclass(frozen=True)
class Trained:
    """A kind of model after learning from so many clips, or a baseline: what a row of CURVES says of it."""

    kind: str
    size: str  # empty of a baseline
    clips: int  # 0 of a baseline that has none
    parameters: int
    suite: str
    overall: Value
    inside: Value  # error of velocity m/s within the ranges of training
    outside: Value
    gap: Value | None  # quality of consistency inside less outside
    # Errors on the same clips over those of the same network that learned from the fewest clips, and of the smallest
    # network that learned from as many: by "inside" and "outside"
    of_fewest: Mapping[str, Value]
    of_smallest: Mapping[str, Value]


def read_curves(path: Path) -> tuple[Trained, ...]:
    """The rows of a table that `benchmarks/data_and_size.py` wrote; none where there is no file."""
    if not path.is_file():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def value(row: Mapping[str, str], name: str) -> Value:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return Value(float(row[name]), (float(low), float(high)) if low else None)

    def ratios(row: Mapping[str, str], base: str) -> dict[str, Value]:
        named = {part: f"velocity_{split}_of_{base}" for part, split in (("inside", "test"), ("outside", "ood"))}
        return {part: value(row, name) for part, name in named.items() if row.get(name)}

    return tuple(
        Trained(
            of_fewest=ratios(row, "fewest"),
            of_smallest=ratios(row, "smallest"),
            kind=row["kind"],
            size=row["size"],
            clips=int(row["clips"] or 0),
            parameters=int(row["parameters"] or 0),
            suite=row["suite"],
            overall=value(row, "overall"),
            inside=value(row, "velocity_test"),
            outside=value(row, "velocity_ood"),
            gap=value(row, "consistency_gap") if row["consistency_gap"] else None,
        )
        for row in rows
    )


def change(before: Trained, after: Trained, part: str, ratios: Mapping[str, Value]) -> int:
    """-1 where an error falls for sure, 1 where it rises so, 0 else: by its ratio on the same clips, where one is told.

    Without, by intervals that do not overlap.
    """
    old, new = getattr(before, part), getattr(after, part)
    if part in ratios and (interval := ratios[part].interval):
        return (interval[0] > 1) - (interval[1] < 1)
    return apart(new, old) - apart(old, new)


def curves_by(curves: Sequence[Trained], by: str) -> list[list[Trained]]:
    """Each kind and size by the clips that it learns from, or each kind with the most clips by its size."""
    trained = [each for each in curves if each.size]
    most = max((each.clips for each in trained), default=0)
    lines: dict[tuple[str, str], list[Trained]] = {}
    for each in sorted(trained, key=lambda each: (each.clips, each.parameters)):
        if by == "data":
            lines.setdefault((each.kind, each.size), []).append(each)
        elif each.clips == most:
            lines.setdefault((each.kind, ""), []).append(each)
    return [rows for rows in lines.values() if len(rows) > 1]


# Words


def listed(items: Sequence[Model | str]) -> str:
    """ "a, b and c"."""
    return joined([item if isinstance(item, str) else item.name for item in items])


def counted(n: int, of: int, names: Sequence[Model | str] = ()) -> str:
    """ "2 of 9 (a and b)"; "none of 9", "all 9"."""
    if n in (0, of):
        return f"none of {of}" if n == 0 else f"all {of}"
    return f"{n} of {of}" + (f" ({listed(names)})" if names and n <= 4 else "")


def comparisons(board: Board) -> list[str]:
    """Sentences on which models are ahead of which baseline, and of their untrained copies."""
    made = []
    for target in BESIDE:
        other = board.baseline(target)
        if other is None or not board.models:
            continue
        gaps = {model: model.ahead_of(other) for model in board.models}
        ahead = [f"{model.name} by {gap}" for model, gap in gaps.items() if sign(gap) > 0]
        behind = [model for model, gap in gaps.items() if sign(gap) < 0]
        losers = counted(len(behind), len(gaps), behind)
        made.append(f"Ahead of {other.name} for sure: {listed(ahead) or 'none'}. Behind it: {losers}.")
    pairs = [model for model in board.models if model.result.model.name in board.untrained]
    if pairs:
        better = [m for m in pairs if sign(m.ahead_of(board.untrained[m.result.model.name])) > 0]
        worse = [m for m in pairs if m not in better]
        text = (
            f"Ahead of its own untrained copy for sure: {counted(len(better), len(pairs), better)} that have one here"
        )
        made.append(text + (f"; not {listed(worse)}." if 0 < len(worse) < len(pairs) else "."))
    unlearned = [text for model in pairs if (text := losses_text(model, board.untrained[model.result.model.name]))]
    if unlearned:
        made.append(f"Behind its own untrained copy for sure in a family: {listed(unlearned)}.")
    return made


def losses_text(model: Model, untrained: Model) -> str:
    """ "`a` in falling (0.79 to 0.34)": families in which an untrained copy is better for sure; "" where none is."""
    worse = []
    for family, skill in model.result.by_family.items():
        before = untrained.result.by_family[family]
        if None in (before.skill, skill.skill, before.interval, skill.interval):
            continue
        old, new = Value(before.skill, before.interval), Value(skill.skill, skill.interval)
        if apart(old, new):
            worse.append(f"{family} ({old.value:.2f} to {new.value:.2f})")
    return f"{model.name} in {listed(worse)}" if worse else ""


def margins(board: Board) -> str:
    """Mean skill by family, and which models are below a frozen frame on an axis."""
    families = list(board.models[0].result.by_family)
    level = {name: float(np.mean([m.result.by_family[name].skill or 0 for m in board.models])) for name in families}
    order = sorted(families, key=lambda name: -level[name])
    made = f"Mean skill of the models by family: {listed([f'{name} {level[name]:.2f}' for name in order])}."
    for axis, name in AXIS_NAMES.items():
        spans = {m: m.result.axes[axis].interval for m in board.models if axis in m.result.axes}
        below = [m for m, span in spans.items() if span is not None and span[1] < 0]
        if below:
            made += f" Below a frozen frame on {name} for sure: {counted(len(below), len(spans), below)}."
    return made


def laws_cell(model: Model, family: str) -> str:
    """What a model does instead in one family."""
    found = model.result.implied_worlds.get(family)
    if found is None:
        return "-"
    share, phrases = f"{100 * found.share:.0f}\N{NO-BREAK SPACE}%", " and ".join(law.phrase for law in found.laws)
    if found.verdict == "named":
        return f"**as if {phrases}** ({share})"
    if found.verdict == "unsure":
        return f"not sure: {phrases} ({share})"
    if found.verdict == "lawful":
        return "lawful"
    nearest = " and ".join(law.short for law in found.laws)
    return f"none; {nearest} {share}" if found.share >= 0.005 else "none"


def laws_text(board: Board) -> list[str]:
    """Sentences on the laws that models follow instead."""
    cells = [(m, f, w) for m in board.models for f, w in m.result.implied_worlds.items()]
    if not cells:
        return []
    none = [cell for cell in cells if cell[2].verdict == "no simple law"]
    named = [cell for cell in cells if cell[2].verdict == "named"]
    made = [
        f"In {counted(len(none), len(cells))} cases (models and families) **no simple law** explains half of the "
        "motion that the true laws do not."
    ]
    if named:
        made.append("A law is sure in " + listed([f"{f} of {m.name}" for m, f, _ in named]) + ".")
    else:
        made.append("A law is sure in no case: these models are wrong, but not as a world with one other constant is.")
    best = max(none, key=lambda cell: cell[2].share, default=None)
    if best is not None and best[2].laws:
        model, family, world = best
        made.append(
            f"The nearest: {world.laws[0].short} explains {100 * world.share:.0f} % in {family} of {model.name}."
        )
    nearest = [world.laws[0].short for _, _, world in none if world.laws and world.share >= NEAR]
    if nearest:
        most = max(sorted(set(nearest)), key=nearest.count)
        count = nearest.count(most)
        made.append(
            f"Of the {len(nearest)} that explain {100 * NEAR:.0f} % or more, {count} "
            f"{'is' if count == 1 else 'are'} {most}."
        )
    velocity = board.baseline(VELOCITY)
    if velocity is not None and velocity.result.implied_worlds:
        worlds = velocity.result.implied_worlds
        known = {family: laws_cell(velocity, family) for family, w in worlds.items() if w.verdict == "named"}
        said = f"{listed([*known])} alone: {', '.join(known.values())}" if known else "no family"
        made.append(
            f"The search has limits: of constant velocity, whose law is known, it is sure in {said}. A changed world "
            "explains no time in which a body is out of sight, unless the body is seen again."
        )
    return made


def hidden_text(board: Board, back: Mapping[Model, dict[str, Value]], found: Mapping[Model, Hidings]) -> list[str]:
    """Sentences on what comes back from behind screens."""
    ending = board.models[0].result.readings.get("permanence/return.returned")  # applies where something has to return
    if ending is None:
        return []
    level = {m: float(np.mean([v.value for t, v in back[m].items() if t in ending.tasks])) for m in board.models}
    best = max(level, key=lambda m: level[m])
    made = [
        f"The median model brings back {100 * median(level.values()):.0f} % of what has to return, as itself, in time "
        f"and in place; the best, {best.name}, {100 * level[best]:.0f} %."
    ]
    middle = {t: median(back[m][t].value for m in board.models) for t in back[best]}
    tasks = sorted(middle, key=lambda t: -middle[t])
    made.append(
        "Medians of the models by task: "
        + listed([f"`{short(t)}` {100 * middle[t]:.0f} %" for t in tasks if t in ending.tasks])
        + "."
    )
    made += [
        f"In `{short(t)}`, where it is right that nothing comes out, the median is {100 * middle[t]:.0f} %: there, to "
        "forget is right."
        for t in tasks
        if t not in ending.tasks
    ]
    gaps = {m: found[m].short_less_long() for m in board.models}
    worse = [m for m, gap in gaps.items() if sign(gap) > 0]
    low = [m for m in board.models if np.mean(np.concatenate([*found[m].right.values()])) < 0.1]
    text = f"That longer hidings are worse is sure in {counted(len(worse), len(gaps), worse)}"
    if worse:
        text += f" (shorter less longer half: {listed([f'{m.name} {gaps[m]}' for m in worse])})"
    made.append(f"{text}; {counted(len(low), len(gaps), low)} {lose(len(low))} more than nine of ten in all.")
    return made


def lose(n: int) -> str:
    return "loses" if n == 1 or not n else "lose"


def horizon_text(board: Board) -> list[str]:
    """Sentences on how far ahead motion is lawful."""
    lawful = {m: m.result.lawful for m in board.models if m.result.lawful is not None}
    known = {m: found.seconds for m, found in lawful.items() if found is not None and found.seconds is not None}
    if not known:
        return []
    best, horizon = max(known, key=lambda m: known[m]), next(iter(lawful.values())).horizon
    made = [
        f"The best, {best.name}, is physical for {known[best]:.1f} s of {horizon:.1f} s, the median model for "
        f"{median(known.values()):.1f} s."
    ]
    still = [m for m in known if m.result.lawful.references.get("constant-velocity")]
    if still:
        bound = still[0].result.lawful.references["constant-velocity"]
        straight = board.baseline(VELOCITY)
        own = None if straight is None or straight.result.lawful is None else straight.result.lawful.interval
        longer = [m for m in known if (lawful[m].interval or (0.0,))[0] > (own or (0.0, bound))[1]]
        made.append(
            f"Longer than constant velocity ({bound:.1f} s) for sure: {counted(len(longer), len(known), longer)}."
        )
    first: dict[str, list[float]] = {}
    for model in board.models:
        for family, found in model.result.first_breaks.items():
            if found.median is not None:
                first.setdefault(family, []).append(found.median)
    if first:
        spans = [f"{family} {median(values):.1f} s" for family, values in first.items()]
        made.append(
            f"Where a clip breaks at 0.03 diameters, it first does so after (median of the models) {listed(spans)}. A "
            "body that is lost has no break."
        )
    return made


def gaps_text(board: Board) -> list[str]:
    """Sentences on what is lost outside the ranges of training."""
    made = []
    for axis, name in AXIS_NAMES.items():
        found = {m: m.result.gaps["all"][axis] for m in board.models if axis in m.result.gaps.get("all", {})}
        known = {m: Value(g.gap, g.interval) for m, g in found.items() if g.gap is not None and g.interval is not None}
        worse = [m for m, gap in known.items() if sign(gap) > 0]
        if known:
            most = max(known, key=lambda m: known[m].value)
            made.append(
                f"On {name} {counted(len(worse), len(known), worse)} {lose(len(worse))} for sure, most {most.name}: "
                f"{known[most]} of quality."
            )
    return made


def correlation_text(what: str, rho: Value, models: int) -> str:
    """Sentence on the rank correlation of something with overall skill."""
    verdict = {1: "go together", -1: "go against each other", 0: "are not shown to go together"}[sign(rho)]
    return f"{what} and overall skill {verdict}: rank correlation {rho} over {models} models."


def pixels_text(correlations: Mapping[str, tuple[Value, int]]) -> list[str]:
    """Sentences on looks beside physics."""
    if not correlations:
        return []
    over = listed([f"{n}" for n in sorted({n for _, n in correlations.values()})])
    each = listed([f"`{name}` {rho}" for name, (rho, _) in correlations.items()])
    return [f"Rank correlation with overall skill over {over} models: {each}."]


def straight_on(found: Sequence[Samples]) -> float:
    """Overall skill of constant velocity on the clips of these samples. Raises ValueError where it was not read."""
    if not found:
        return 0.0
    for each in kept_values().get("samples", {}).values():
        if "best" not in each and all((each["suite"], each["clips"]) == (one.suite, one.clips) for one in found):
            return float(each["overall"])
    raise ValueError("--samples: give a run of baseline:constant-velocity on the same clips, too")


def samples_text(found: Sequence[Samples], bound: float) -> list[str]:
    """Sentences on what samples cover; `bound` is the overall skill of constant velocity."""
    if not found:
        return []
    most = max(found, key=lambda each: each.best - each.overall)
    over = [f"`{each.model}`" for each in found if round(each.best, 2) > round(bound, 2)]
    wide = [f"`{each.model}`" for each in found if each.spread > 1]
    spreading = counted(len(wide), len(found), wide)
    return [
        f"The choice after the fact adds most to `{most.model}`: {most.best - most.overall:.2f}. With it "
        f"{counted(len(over), len(found), over)} would be above constant velocity, which has no choice ({bound:.2f} on "
        "these clips).",
        f"Eight frames of context tell the motion: right samples are alike. Those of {spreading} "
        "spread by more than the context leaves open, so that their spread is error, not knowledge of what is open.",
    ]


def apart(higher: Value, lower: Value) -> bool:
    """Whether the interval of one number lies above that of another."""
    return higher.interval is not None and lower.interval is not None and higher.interval[0] > lower.interval[1]


def transfer_cells(board: Board, found: Sequence[Transfer]) -> list[list[str]]:
    """The rows of the table of tasks that none was trained on, best in `core` first."""
    made = []
    for model in board.shown:
        there = next((each for each in found if each.model == model.label), None)
        if there is None:
            continue
        before = over_tasks(task_skills(model.result)["consistency"])
        axes = (over_tasks(there.skills[axis]) for axis in TRANSFER)
        made.append([model.name, str(before), *map(str, axes), f"{there.lawful:.1f} s"])
    return made


def transfer_text(board: Board, found: Sequence[Transfer]) -> list[str]:
    """Sentences on tasks that none was trained on."""
    shown = {each.model: each for each in found}
    models = [model for model in board.models if model.label in shown]
    if not models:
        return []
    best = max(models, key=lambda m: over_tasks(shown[m.label].skills["consistency"]).value)
    there = shown[best.label].skills["consistency"]
    most = sorted(there, key=lambda task: -there[task])[:2]
    named = [f"`{task.partition('/')[2].rpartition('-v')[0]}` ({there[task]:.2f})" for task in most]
    before = over_tasks(task_skills(best.result)["consistency"])

    def both(model: Model) -> tuple[float, float]:
        """Physical consistency in `core` as the board has it, and as the mean over tasks of this part."""
        of_board = model.result.axes["consistency"].skill
        assert of_board is not None
        return of_board, over_tasks(task_skills(model.result)["consistency"]).value

    widest = max(models, key=lambda m: abs(both(m)[0] - both(m)[1]))
    of_board, here = both(widest)
    return [
        "A board has the mean over families, less what a model loses on "
        f"[guards](methodology.md#from-quality-to-skill): {widest.name} has {of_board:.2f} of consistency in "
        f"`core` there, {here:.2f} here.",
        f"Of physical consistency the best there, {best.name}, has {over_tasks(there)} instead of {before}; most in "
        f"{listed(named)}.",
        *(
            _above(AXIS_NAMES[axis], [(m, over_tasks(shown[m.label].skills[axis])) for m in models])
            for axis in TRANSFER
        ),
    ]


def _above(what: str, found: Sequence[tuple[Model, Value]]) -> str:
    """Sentence on who is above a frozen frame on an axis."""
    above = [(model, value) for model, value in found if sign(value) > 0]
    by = f", by {listed([str(value) for _, value in above])}" if above else ""
    return f"Above a frozen frame on {what} for sure: {counted(len(above), len(found), [m for m, _ in above])}{by}."


def saboteurs_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sentence on how often PSNR, SSIM, and consistency or permanence, put a poor picture above a broken law."""

    def physics(row: Mapping[str, Any]) -> float:
        return float(min(row["consistency"], row["permanence"]))

    pairs = [(good, bad) for good in rows if good["lawful"] for bad in rows if not bad["lawful"]]
    psnr, ssim = (sum(good[name] > bad[name] for good, bad in pairs) for name in ("PSNR", "SSIM"))
    by_physics = sum(physics(good) > physics(bad) for good, bad in pairs)
    return (
        f"Of {len(pairs)} pairs of a kind of picture that breaks no law and a broken law, PSNR puts the lawful one "
        f"above in {psnr}, SSIM in {ssim}, the lesser of consistency and permanence in {by_physics}."
    )


def surprise_text(found: Sequence[Surprise], skill: Mapping[str, float], of: str = "pixel") -> list[str]:
    """Sentences on surprise beside skill; `skill` is overall by model, `of` what baselines are of."""
    if not found:
        return []
    best = max(found, key=lambda each: each.all.value)
    above = [f"`{each.model}`" for each in found if apart(each.all, each.baseline)]
    copied = [each for each in found if each.untrained is not None]
    learned = [f"`{each.model}`" for each in copied if each.untrained and apart(each.all, each.untrained)]
    made = [
        f"`{best.model}` tells most pairs apart: {best.all}. Guessing gives 0.50, the best of the {of} baselines "
        f"{best.baseline}: above it for sure {counted(len(above), len(found), above)}.",
    ]
    if copied:
        made.append(f"Above its own untrained copy for sure: {counted(len(learned), len(copied), learned)}.")
    if len(found) >= FEWEST_MODELS:
        rho = rank_correlation([each.all.value for each in found], [skill[each.model] for each in found])
        made.append(correlation_text("Surprise", rho, len(found)))
    if left := [f"`{model}`" for model in skill if model not in {each.model for each in found}]:
        made.append(f"Not asked: {listed(left)}.")
    return made


CHANGES = {-1: "falls for sure", 0: "is not told apart", 1: "rises for sure"}


def errors_text(before: Trained, after: Trained, ratios: Mapping[str, Value]) -> str:
    """How the errors of velocity inside and outside of the ranges change."""
    parts = {}
    for part in ("inside", "outside"):
        old, new = getattr(before, part), getattr(after, part)
        parts[part] = f"{CHANGES[change(before, after, part, ratios)]} ({old.value:.2f} to {new.value:.2f} m/s"
        parts[part] += f", times {ratios[part]} on the same clips)" if part in ratios else ")"
    return f"the error of velocity inside {parts['inside']}, outside it {parts['outside']}"


def curve_cells(curves: Sequence[Trained]) -> list[list[str]]:
    """The rows of the table of data and size: networks by the clips they learned from, baselines after them.

    An error that differs for sure from that of the same network on the fewest clips is bold.
    """
    fewest = {(rows[0].kind, rows[0].size): rows[0] for rows in curves_by(curves, "data")}
    made = []
    for each in sorted(curves, key=lambda each: (not each.size, each.kind, each.parameters, each.clips or np.inf)):
        cells = [
            f"`{each.kind}` {each.size}".strip() if each.size else each.kind.replace("-", " "),
            f"{each.clips:,}" if each.clips else "–",
            str(each.overall),
        ]
        first = fewest.get((each.kind, each.size), each)
        for part in ("inside", "outside"):
            bold = "**" * bool(change(first, each, part, each.of_fewest))
            cells.append(f"{bold}{getattr(each, part)}{bold}")
        made.append(cells)
    return made


def curves_text(curves: Sequence[Trained]) -> list[str]:
    """Sentences on errors with the last step of data and with size, and on what PhyWorld says of both."""
    made, verdicts = [], []
    for by in ("data", "size"):
        lines = curves_by(curves, by)
        ends = [(rows[0], rows[-1], rows[-1].of_fewest if by == "data" else rows[-1].of_smallest) for rows in lines]
        longer = [rows for rows in lines if len(rows) > 2] if by == "data" else []
        if longer:
            steps = {part: sum(change(*rows[-2:], part, {}) < 0 for rows in longer) for part in ("inside", "outside")}
            made.append(
                f"From {longer[0][-2].clips:,} to {longer[0][-1].clips:,} clips alone the error falls for sure inside "
                f"in {counted(steps['inside'], len(longer))}, outside in {counted(steps['outside'], len(longer))}."
            )
        if by == "size":
            made += [
                f"`{small.kind}` on {small.clips:,} clips, {small.parameters:,} to {large.parameters:,} numbers: skill "
                f"{small.overall} to {large.overall}; {errors_text(small, large, ratios)}."
                for small, large, ratios in ends
            ]
        falls = sum(change(first, last, "outside", ratios) < 0 for first, last, ratios in ends)
        if lines:
            verdict = "refuted" if falls == len(lines) else "open"
            verdicts.append(f"**{verdict}** for {by} (they fall for sure in {counted(falls, len(lines))})")
    stored = sorted((row for row in curves if row.kind == "memory"), key=lambda row: row.clips)
    if len(stored) > 1:
        few, many = stored[0], stored[-1]
        made.append(
            f"A memory of {few.clips:,} to {many.clips:,} clips, which looks up and learns no law: skill "
            f"{few.overall} to {many.overall}; the error of velocity inside {few.inside.value:.2f} to "
            f"{many.inside.value:.2f} m/s, outside {few.outside.value:.2f} to {many.outside.value:.2f} m/s."
        )
    if verdicts:
        made.append(
            "PhyWorld's statement that errors outside the ranges do not fall is, of these networks and this training, "
            f"{listed(verdicts)}."
        )
    return made


def state_cells(board: Board) -> list[list[str]]:
    """The rows of the table of models of states, baselines among them, best first."""
    made = []
    for model in board.shown:
        result, numbers = model.result, None if model in board.beside else parameters(model)
        lawful = None if result.lawful is None else result.lawful.seconds
        untrained = board.untrained.get(result.model.name)
        made.append(
            [
                model.name,
                "–" if numbers is None else f"{numbers:,}",
                "–" if untrained is None else skill_text(untrained.result.overall),
                *(skill_text(each) for each in (result.overall, result.axes["consistency"], result.axes["drift"])),
                "–" if lawful is None else f"{lawful:.1f} s",
                *(laws_cell(model, family) for family in result.by_family),
            ]
        )
    return made


def skill_text(skill: SkillValue) -> str:
    """A skill that an entry has, with its interval."""
    assert skill.skill is not None
    return str(Value(skill.skill, skill.interval))


def parameters(model: Model) -> int | None:
    """How many numbers its submitter says that it has."""
    about = model.entry.path / "about.json"
    return model.entry.about.submission.parameters if about.is_file() else None


@dataclass(frozen=True)
class Findings:
    """All that page and figures show."""

    board: Board
    back: Mapping[Model, dict[str, Value]]
    hidings: Mapping[Model, Hidings]
    pixels: Mapping[Model, dict[str, Value]]
    samples: tuple[Samples, ...]  # best first
    surprise: tuple[Surprise, ...]  # most pairs first
    transfer: tuple[Transfer, ...]
    curves: tuple[Trained, ...]  # against data and size
    states: Board | None  # of the models that are given exact states
    states_surprise: tuple[Surprise, ...]  # of these, as `surprise`

    def seconds(self, model: Model, reading: str) -> Value | None:
        """A reading of a model, mean over families."""
        found = model.result.readings.get(reading)
        return None if found is None else over_families(found.tasks)

    @property
    def correlations(self) -> dict[str, tuple[Value, int]]:
        """Rank correlation with overall skill and the number of models, by reading."""
        made = {}
        for name in (*PIXEL_READINGS, *PIXEL_ERRORS):
            known = [m for m in self.board.models if name in self.pixels[m]]
            if len(known) >= FEWEST_MODELS:
                rho = rank_correlation([self.pixels[m][name].value for m in known], [m.overall for m in known])
                made[name] = rho, len(known)
        return made


def find(folder: Path, states: Path | None = None) -> Findings:
    """Read a board, and that of models of states. Raises ValueError where the first holds no model to speak of."""
    board = read_board(folder)
    if not board.models:
        raise ValueError(f"{folder}: holds no entry of a model")
    of_states = None if states is None or not present(states) else read_board(states)
    shown = {model.label for model in board.models}
    kept = kept_values()
    samples = [Samples(model=name, **values) for name, values in kept.get("samples", {}).items() if name in shown]
    back = {m: returns(m) for m in board.shown}
    return Findings(
        board,
        back,
        {m: hidings(m) for m in board.shown if m in board.models or m.target == MEMORY},
        {m: pixels(m, [kept.get(part, {}) for part in ("pixels", "rollouts")]) for m in board.shown},
        tuple(sorted(samples, key=lambda each: -each.overall)),
        kept_surprise(board),
        tuple(Transfer(model=name, **values) for name, values in kept.get("transfer", {}).items()),
        read_curves(CURVES),
        of_states,
        () if of_states is None else kept_surprise(of_states),
    )


def page(found: Findings) -> str:
    """The page as Markdown."""
    board = found.board
    results = [model.result for model in board.models]
    trained: dict[int | None, list[Model]] = {}
    for model in board.models:
        trained.setdefault(model.result.model.card.training_clips, []).append(model)
    most_first = sorted(trained.items(), key=lambda item: -len(item[1]))
    numbers = [n for m in board.models if (n := parameters(m)) is not None]
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made = environment.get_template("findings.md.j2").render(
        board=board,
        suites=listed(sorted({f"`{r.suite.name}` {r.suite.version}{'-dev' * r.provisional}" for r in results})),
        clips=listed(sorted({f"{r.suite.clips}" for r in results})),
        sizes=listed(sorted({r.render_spec.replace("@", " px at ") + " frames/s" for r in results})),
        contexts=listed(sorted({f"{r.context}" for r in results})),
        tasks=listed(sorted({f"{len(r.suite.tasks)}" for r in results})),
        budgets=[(listed(models), clips) for clips, models in most_first if clips],
        sizes_of_networks=listed([f"{n:,}" for n in (min(numbers), max(numbers))] if numbers else []),
        comparisons=comparisons(board),
        margins=margins(board),
        families=list(results[0].by_family),
        laws=laws_text(board),
        hidden=hidden_text(board, found.back, found.hidings),
        hidden_clips=sum(map(len, found.hidings[board.models[0]].seconds.values())),
        horizon=horizon_text(board),
        gaps=gaps_text(board),
        pixels=pixels_text(found.correlations),
        saboteurs=(saboteurs := json.loads(SABOTEURS.read_text(encoding="utf-8"))),
        saboteurs_text=saboteurs_text(saboteurs),
        errors=sorted(  # suites whose rollouts the errors of pixels are of
            {f"{each['clips']} clips of `{each['suite']}`" for each in kept_values().get("rollouts", {}).values()}
        ),
        has_pixels=bool(found.correlations),
        stochastic=[m for m in board.models if m.result.model.card.stochastic],
        samples=found.samples,
        samples_text=samples_text(found.samples, straight_on(found.samples)),
        transfer=found.transfer,
        transfer_cells=transfer_cells(board, found.transfer),
        transfer_text=transfer_text(board, found.transfer),
        surprise=found.surprise,
        skill={model.label: model.overall for model in board.models},
        surprise_text=surprise_text(found.surprise, {model.label: model.overall for model in board.models}),
        curves=found.curves,
        curves_part=found.curves[0].suite.partition(", ")[2] if found.curves else "",
        curves_clips=[f"{n:,}" for n in sorted({each.clips for each in found.curves if each.size})],
        curves_cells=curve_cells(found.curves),
        curves_text=curves_text(found.curves),
        states=[] if found.states is None else state_cells(found.states),
        states_surprise=found.states_surprise,
        states_surprise_text=surprise_text(
            found.states_surprise,
            {model.label: model.overall for model in found.states.models} if found.states else {},
            "state",
        ),
        states_text=[] if found.states is None else [*comparisons(found.states), margins(found.states)],
        listed=listed,
    )
    return "\n".join(line.rstrip() for line in made.strip().splitlines()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", type=Path, nargs="?", default=BOARD)
    parser.add_argument("--states", type=Path, default=STATES, help="board of models of states")
    parser.add_argument("--pixels", type=Path, nargs="+", default=[])
    parser.add_argument("--rollouts", type=Path, nargs="+", default=[])
    parser.add_argument("--samples", type=Path, nargs="+", default=[])
    parser.add_argument("--surprise", type=Path, nargs="+", default=[])
    parser.add_argument("--transfer", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    board = read_board(options.board)
    readers = {
        "pixels": read_pixels,
        "rollouts": partial(read_rollouts, board=board),
        "samples": read_samples,
        "surprise": read_surprise,
        "transfer": read_transfer,
    }
    for name, read in readers.items():
        if runs := getattr(options, name):
            kept_values()[name] = dict(sorted((kept_values().get(name, {}) | read(runs)).items()))
    from findings_draw import draw

    found = find(options.board, options.states)
    READ.write_text(json.dumps(kept_values(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")
    for path in draw(found, IMAGES):
        print(path)


if __name__ == "__main__":
    main()
