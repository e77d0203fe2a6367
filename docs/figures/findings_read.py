"""Read what the page on findings shows: the entries of a board, finished runs, and what is kept of them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import NormalDist

import numpy as np
from pixel_errors import PIXEL_ERRORS, pixel_errors
from scipy.stats import rankdata

from physbench.clips.clip import Row
from physbench.clips.store import clip_store
from physbench.clips.suite import find_suite
from physbench.leaderboard.entries import Entry, present
from physbench.leaderboard.site import ResampledSkill, entry_skill
from physbench.result.document import ReadingValue, ResultDocument, read_result
from physbench.result.formats import ascii_minus, bracket, fixed
from physbench.score.visibility import hidden_intervals, true_trajectory
from physbench.world.scene import RenderSpec

HERE = Path(__file__).parent
READ = HERE / "findings.json"
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
        return ascii_minus(f"{fixed(self.value)} {bracket(self.interval)}".rstrip())


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


def parameters(model: Model) -> int | None:
    """How many numbers its submitter says that it has."""
    about = model.entry.path / "about.json"
    return model.entry.about.submission.parameters if about.is_file() else None


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


def apart(higher: Value, lower: Value) -> bool:
    """Whether the interval of one number lies above that of another."""
    return higher.interval is not None and lower.interval is not None and higher.interval[0] > lower.interval[1]


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
    """Readings and errors of pixels by name, of the entry or else of runs of its model with the same weights."""
    found = {name: model.result.readings[name].tasks for name in PIXEL_READINGS if name in model.result.readings}
    values = {name: over_families(tasks) for name, tasks in found.items()}
    for runs in stored:
        run = runs.get(model.label, {})
        if run and (run["target"], run["sha256"]) == (model.target, model.result.model.sha256):
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
            "sha256": result.model.sha256,
            "readings": {name: round(each.value, 6) for name, each in values.items() if each is not None},
        }
    return made


def read_rollouts(runs: Sequence[Path]) -> dict[str, dict]:
    """Errors of pixels of the rollouts that finished runs have kept, by label.

    Raises ValueError where runs are of different clips.
    """
    made = {}
    results = {run: read_result(run / "result.json") for run in runs}
    if len(suites := {(result.suite.name, result.suite.hash, result.suite.clips) for result in results.values()}) > 1:
        raise ValueError(f"--rollouts: expected runs of the same clips, got {suites}")
    for run, result in results.items():
        made[label_of(result)] = {
            "target": result.model.target,
            "sha256": result.model.sha256,
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


def straight_on(found: Sequence[Samples]) -> float:
    """Overall skill of constant velocity on the clips of these samples. Raises ValueError where it was not read."""
    if not found:
        return 0.0
    for each in kept_values().get("samples", {}).values():
        if "best" not in each and all((each["suite"], each["clips"]) == (one.suite, one.clips) for one in found):
            return float(each["overall"])
    raise ValueError("--samples: give a run of baseline:constant-velocity on the same clips, too")


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
    """What was read of the models of a board, most accurate first."""
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
    unseen: float | None  # share of the bodies' frames outside in which it does not show them: they are in no error
    # Errors on the same clips over those of the same network that learned from the fewest clips, and of the smallest
    # network that learned from as many: by "inside" and "outside"
    of_fewest: Mapping[str, Value]
    of_smallest: Mapping[str, Value]

    @property
    def name(self) -> str:
        """Its name in a text: kinds as code, baselines as words."""
        return f"`{self.kind}`" if self.size else self.kind.replace("-", " ")


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
            unseen=float(row["lost_ood"]) if row["lost_ood"] else None,
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


@dataclass(frozen=True)
class Findings:
    """All that page and figures show."""

    board: Board
    back: Mapping[Model, dict[str, Value]]
    hidings: Mapping[Model, Hidings]
    pixels: Mapping[Model, dict[str, Value]]
    samples: tuple[Samples, ...]  # best first
    surprise: tuple[Surprise, ...]  # most accurate first
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
