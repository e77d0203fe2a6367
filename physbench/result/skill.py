"""From qualities of clips to skill: 1 is ground truth, 0 the frozen last frame, both through the same measuring chain.

A task is *informative* on an axis where mean qualities differ, Q_truth - Q_freeze >= 0.25:
s = (Q - Q_freeze) / (Q_truth - Q_freeze). Elsewhere it is a *guard*, which can only cost:
Q / min(Q_truth, Q_freeze) - 1, at most 0 after averaging a family's guards. Where truth and freeze both lie below 0.5
the task is not scored. In suites that come with physbench all this is fixed for a version and a class of sizes.
Axis skill = mean over families of their informative tasks + what their guards cost, at least -1; a guard weighs at most
as much as the axis's lightest informative task (`task_weights`).
Overall = mean over families of G (1 - L): G is the mean over a family's tasks of the mean over the axes on which the
task is informative, L what is lost on its guards. Guards take a share of what a family has gained, where it has gained
anything, so that none of them ranks a frozen frame above motion that is wrong. It exists if all axes that are asked do:
permanence is not asked of states.

Everything works on the last axes of its arrays, so that a point estimate and 10,000 resamples take the same path.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from physbench.result.document import EventFrequencyResult
from physbench.score.protocol import AXES, EVENT_KINDS
from physbench.score.score_clip import reading_name, reading_of, scorer_of
from physbench.support.arrays import Array
from physbench.support.errors import PhysbenchError

if TYPE_CHECKING:
    import pandas as pd

# How far each task can move an axis, and overall.
#
# An informative task moves its axis by its weight between a frozen frame and ground truth. A guard moves it by its
# weight where it loses all that ground truth keeps. A guard weighs at most as much as the lightest informative task, so
# that none moves anything further than an informative task does.

COUNTED = ("informative", "guard")  # kinds that enter an axis


def task_weights(kinds: Mapping[str, tuple[str, ...]]) -> dict[str, Array]:
    """The weight (A,) with which each task enters an axis, 0 where it does not.

    Families weigh the same among those that have a task of the kind, and tasks the same in their family.

    kinds: Kind of each task on each axis (A,); a task's name begins with its family.
    """
    weights = {task: np.zeros(len(row)) for task, row in kinds.items()}
    for axis in range(max((len(row) for row in kinds.values()), default=0)):
        informative, saturated = (
            _shares([task for task, row in kinds.items() if row[axis] == kind]) for kind in COUNTED
        )
        most = min(informative.values(), default=1.0)
        for task, share in (*informative.items(), *((task, min(share, most)) for task, share in saturated.items())):
            weights[task][axis] = share
    return weights


def overall_weights(kinds: Mapping[str, tuple[str, ...]], axes: Sequence[int] | None = None) -> dict[str, Array]:
    """The weight (A,) with which each task enters overall by each axis, 0 where it does not.

    Families weigh the same. In a family, tasks weigh the same, and in a task the axes on which it is informative. A
    guard has the weight of the lightest of these, at most its part of 1 / (guards of the family): it says what share of
    the family's gain is lost with it (`physbench.result.skill`).

    Args:
        kinds: Kind of each task on each axis (A,); a task's name begins with its family.
        axes: Axes that count; None: all.
    """
    weights = {task: np.zeros(len(row)) for task, row in kinds.items()}
    families: dict[str, list[str]] = {}
    for task, row in kinds.items():
        if cells_of(row, "informative", axes):
            families.setdefault(task.split("/")[0], []).append(task)
    for family, tasks in families.items():
        for task in tasks:
            own = cells_of(kinds[task], "informative", axes)
            weights[task][own] = 1 / (len(families) * len(tasks) * len(own))
        least = min(weights[task][a] for task in tasks for a in cells_of(kinds[task], "informative", axes))
        saturated = [(t, a) for t in kinds if t.split("/")[0] == family for a in cells_of(kinds[t], "guard", axes)]
        for task, a in saturated:
            weights[task][a] = min(least, 1 / (len(families) * len(saturated)))
    return weights


def cells_of(row: Sequence[str], kind: str, axes: Sequence[int] | None = None) -> list[int]:
    """The axes on which a task is of a kind, among `axes` (None: all)."""
    return [a for a, role in enumerate(row) if role == kind and (axes is None or a in axes)]


def _shares(tasks: list[str]) -> dict[str, float]:
    """The weight of each task in the mean over families of the mean over their tasks."""
    families = [task.split("/")[0] for task in tasks]
    total = len(set(families))
    return {task: 1 / (total * families.count(family)) for task, family in zip(tasks, families, strict=True)}


# How often deciding events happen behind one image, beside how often they lawfully do: what dodging them costs.
#
# Each clip gives the chance p that a lawful future of its image shows a kind of event. The number X of clips that show
# it is then a sum of independent Bernoulli variables, which is Poisson binomial (Wang 1993, Statistica Sinica 3:295);
# its distribution is made by convolution, exactly. Where P(X <= number shown) is below TOO_RARE, the task loses the
# share 1 - number shown / sum of p of its consistency: of what each clip has above the frozen frame, which shows no
# event.
#
# The short-fall is relative to the mean, since that is the best estimate of the share of events that was avoided; it
# is charged only where chance is out of question, since the same number would else be charged to lawful draws.
#
# Several samples of a clip count as their mean. That is fair whether samples are independent or all alike: a mean
# spreads no wider than one of them. A clip without a reading, such as one that failed, shows nothing.

TOO_RARE = 0.001  # probability below which a number of events is not that of lawful draws
MIN_CLIPS = 24  # of a task that may show a kind of event


@dataclass(frozen=True)
class EventFrequency:
    """Frequency of one kind of event in the clips of a task."""

    clips: int  # in which a lawful future may show it
    seen: float  # clips that show it, each the mean of its samples
    expected: float  # sum of the chances
    fewest: int  # the smallest number that is not too rare
    probability: float  # of so few in lawful futures

    @property
    def lost(self) -> float:
        """Share of the task's consistency that is lost, 0..1."""
        if self.clips < MIN_CLIPS or self.probability >= TOO_RARE:
            return 0.0
        return 1 - self.seen / self.expected


def sum_distribution(chances: Array) -> Array:
    """Probabilities (n + 1,) of the sums 0..n of independent events with chances (n,).

    >>> sum_distribution(np.array([0.5, 0.5]))
    array([0.25, 0.5 , 0.25])
    """
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, [1 - chance, chance])
    return distribution


def event_frequencies(table: pd.DataFrame, truth: pd.DataFrame) -> dict[str, dict[str, EventFrequency]]:
    """By task and kind, what a score table shows in its clips; empty behind a video.

    truth: the score table of ground truth on these clips, which has the chances.
    """
    frequencies: dict[str, dict[str, EventFrequency]] = {}
    truth = event_rows(truth)
    if truth.empty:
        return frequencies
    samples, table = table.groupby("clip")["sample"].nunique(), event_rows(table)
    for kind in EVENT_KINDS:
        chances = valued_rows(truth, _reading(f"{kind}-chance"))
        chances = chances[chances["clip"].isin(samples.index)].drop_duplicates("clip").set_index("clip")
        shown = valued_rows(table, _reading(kind)).groupby("clip")["value"].sum()
        for task, own in chances.groupby("task"):
            share = shown.reindex(own.index, fill_value=0.0) / samples.reindex(own.index)
            frequencies.setdefault(str(task), {})[kind] = frequency(
                own["value"].to_numpy(dtype=np.float64), share.to_numpy(dtype=np.float64)
            )
    return frequencies


def valued_rows(table: pd.DataFrame, reading: str) -> pd.DataFrame:
    """Rows of a reading that have a value."""
    return table[(table["reading"] == reading) & table["value"].notna()]


def event_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a score table that event frequencies are made of: what is shown, and in ground truth the chances."""
    return table[table["reading"].isin([_reading(f"{kind}{end}") for kind in EVENT_KINDS for end in ("", "-chance")])]


def frequency(chances: Array, shown: Array) -> EventFrequency:
    """The frequency of an event in n clips with chances (n,), of which each shows it in a share (n,) of its samples."""
    below = np.minimum(np.cumsum(sum_distribution(chances)), 1.0)  # (n + 1,) P(X <= k)
    seen = float(shown.sum())
    return EventFrequency(
        clips=len(chances),
        seen=seen,
        expected=float(chances.sum()),
        fewest=int(np.argmax(below >= TOO_RARE)),
        probability=float(below[int(seen + 1e-9)]),
    )


def event_losses(table: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """By task, the share of its consistency that is lost: the largest of its kinds. Only tasks that lose any."""
    lost_by_task = {
        task: max(each.lost for each in kinds.values()) for task, kinds in event_frequencies(table, truth).items()
    }
    return {task: lost for task, lost in lost_by_task.items() if lost > 0}


def with_loss(quality: Array, frozen: Array, lost: float) -> Array:
    """Qualities of clips (n,) without a share of what they have above those of the frozen frame (n,)."""
    return np.asarray(quality - lost * np.maximum(quality - frozen, 0.0))


def axis_of_events() -> str:
    """The axis that loses."""
    return str(scorer_of("event-balance").axis)


def event_results(table: pd.DataFrame, truth: pd.DataFrame) -> dict[str, dict[str, EventFrequencyResult]]:
    """The frequencies of a run for its result, by task and kind."""
    return {
        task: {
            kind: EventFrequencyResult(
                clips=each.clips,
                seen=round(each.seen, 6),
                expected=round(each.expected, 6),
                fewest=each.fewest,
                probability=round(each.probability, 9),
                lost=round(each.lost, 6),
                reason="" if each.clips >= MIN_CLIPS else f"{each.clips} clips, {MIN_CLIPS} are needed",
            )
            for kind, each in kinds.items()
        }
        for task, kinds in event_frequencies(table, truth).items()
    }


def _reading(key: str) -> str:
    return reading_name(reading_of("event-balance"), key)


LARGEST_STRENGTH = 2.0  # diameters, of what breaks at every tolerance that is tried


def strength_by_clip(table: pd.DataFrame, above: float | None = None) -> pd.Series[float]:
    """Strength of each clip, mean over its samples, LARGEST_STRENGTH for one that failed, indexed by (task, clip).

    With `above`, diameters, the share of its samples whose strength is larger.
    """
    rows = table[
        (table["reading"] == reading_of("strength")) & (table["value"].notna() | (table["status"] == "failed"))
    ]
    values = rows["value"].astype(float).fillna(LARGEST_STRENGTH)
    if above is not None:
        values = (values > above).astype(float)
    return values.groupby([rows["task"], rows["clip"]]).mean()


Kind = Literal["informative", "guard", "unscored", "absent"]  # absent: no clip of the task counts on the axis


@dataclass(frozen=True)
class SkillLimits:
    """Qualities that decide what a task tells, and how low its skill counts."""

    informative_from: float = 0.25  # Q_truth - Q_freeze
    telling: float = 0.1  # least Q_truth - Q_freeze in a run's own clips of an informative task
    unscored_below: float = 0.5  # of both Q_truth and Q_freeze
    floor: float = -1.0  # of an axis, and of an informative task on it


SKILL = SkillLimits()


SCALE = ("truth", "freeze")  # skill 1 and 0


@dataclass(frozen=True, order=True)
class Stratum:
    """The clips of one task and split, which are resampled together."""

    task: str
    split: str

    @property
    def family(self) -> str:
        return self.task.split("/")[0]


@dataclass(frozen=True, eq=False)
class Qualities:
    """Qualities of the same clips for several sources: one or more models, then truth and freeze.

    values: per stratum (S, A, n), NaN where a clip does not count on an axis. A clip counts where ground truth has a
    quality. A source without one there (a failed clip, a missing row) has quality 0: missing is a failure.
    """

    sources: tuple[str, ...]  # (S,)
    axes: tuple[str, ...]  # (A,)
    values: dict[Stratum, Array]
    clips: dict[Stratum, tuple[str, ...]] = field(default_factory=dict)  # (n,) ids

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(stratum.task for stratum in self.values))

    def counts(self) -> dict[Stratum, NDArray[np.int64]]:
        """Number of clips that count (A,)."""
        return {key: np.isfinite(block[0]).sum(axis=-1) for key, block in self.values.items()}

    def means(self) -> dict[Stratum, Array]:
        """Mean quality per stratum (S, A); NaN where no clip counts."""
        return {key: _mean(block) for key, block in self.values.items()}


def _mean(values: Array) -> Array:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    good = np.isfinite(values)
    count = good.sum(axis=-1)
    return np.where(count > 0, np.where(good, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def _clip_qualities(table: pd.DataFrame) -> pd.DataFrame:
    """Headline rows of a score table -> one row per clip, one column per axis: mean over the clip's samples."""
    rows = table[table["axis"].notna()]
    quality = rows["quality"].astype(float)
    wide = quality.groupby([rows["clip"], rows["axis"]]).mean().unstack("axis")
    return wide.astype(float)


@dataclass(frozen=True, eq=False)
class ScoredClips:
    """Score tables of several sources lined up on the clips of the first: read once for any part of these clips.

    A source without a clip there (a failed clip, a missing row) has NaN.
    """

    axes: tuple[str, ...]  # (A,)
    models: tuple[str, ...]  # sources without truth and freeze
    tables: Mapping[str, pd.DataFrame]  # by source, of which events are counted
    clips: pd.DataFrame  # clip, task and split of n clips
    quality: dict[str, Array]  # by source (n, A), the mean over a clip's samples
    measured: NDArray[np.bool_]  # (A,) axes that every model was scored on

    def qualities(
        self, clips: Collection[str] | None = None, *, split: str | None = None, events: bool = True
    ) -> Qualities:
        """Qualities in some of the clips, default all; `split` stands for the split of each of them.

        An axis that one of the models was not scored on in these clips counts nowhere. Behind one image a source whose
        events are too rare loses a share of a task's consistency (`event_losses`); with events=False, for tables
        that hold headline readings alone, none does.
        """
        tables, about, quality, measured = self.tables, self.clips, self.quality, self.measured
        if clips is not None:
            chosen = about["clip"].isin(list(clips)).to_numpy()
            about, quality = about[chosen], {name: rows[chosen] for name, rows in quality.items()}
            measured = np.all([np.isfinite(quality[name]).any(axis=0) for name in self.models], axis=0)
        paying = self.axes.index(axis_of_events()) if events and axis_of_events() in self.axes else None
        if paying is not None and event_rows(tables["truth"]).empty:
            paying = None
        if paying is not None and clips is not None:
            tables = {name: table[table["clip"].isin(about["clip"])] for name, table in tables.items()}
        lost = [{} if paying is None else event_losses(table, tables["truth"]) for table in tables.values()]
        names, tasks = (about[column].to_numpy(dtype=object) for column in ("clip", "task"))
        splits = about["split"].to_numpy(dtype=object) if split is None else [split] * len(about)
        places: dict[Stratum, list[int]] = {}
        for place, (task, own) in enumerate(zip(tasks, splits, strict=True)):
            places.setdefault(Stratum(str(task), str(own)), []).append(place)
        values, ids = {}, {}
        for key in sorted(places):
            block = np.stack([quality[name][places[key]].T for name in tables])  # (S, A, n)
            for source, losses in zip(block, lost, strict=True):
                if paying is not None and key.task in losses:
                    frozen = np.nan_to_num(block[list(tables).index("freeze"), paying])
                    source[paying] = with_loss(source[paying], frozen, losses[key.task])
            counts = np.isfinite(block[list(tables).index("truth")]) & measured[:, None]  # (A, n)
            values[key] = np.where(counts, np.nan_to_num(block, nan=0.0), np.nan)
            ids[key] = tuple(names[places[key]])
        return Qualities(tuple(tables), self.axes, values, ids)


def scored_clips(
    models: Mapping[str, pd.DataFrame], truth: pd.DataFrame, freeze: pd.DataFrame, axes: tuple[str, ...] = AXES
) -> ScoredClips:
    """Line up score tables (fields of ScoreRow) of one or more models with truth and freeze.

    Raises PhysbenchError where a table lacks a clip of the first model.
    """
    tables = {**models, "truth": truth, "freeze": freeze}
    first = next(iter(models.values()))
    clips = first.drop_duplicates("clip")[["clip", "task", "split", "seed"]].sort_values(["task", "split", "seed"])
    wide = {}
    for name, table in tables.items():
        missing = set(clips["clip"]) - set(table["clip"].unique())
        if missing:
            raise PhysbenchError(
                f"The scores of {name} lack {len(missing)} of {len(clips)} clips, the first {min(missing)}. "
                "Run the same command with --resume, or start afresh with --fresh."
            )
        wide[name] = _clip_qualities(table).reindex(columns=list(axes))
    measured = np.array([all(wide[name][axis].notna().any() for name in models) for axis in axes])
    quality = {name: wide[name].reindex(clips["clip"]).to_numpy(dtype=np.float64) for name in tables}
    return ScoredClips(axes, tuple(models), tables, clips[["clip", "task", "split"]], quality, measured)


def clip_qualities(
    models: Mapping[str, pd.DataFrame],
    truth: pd.DataFrame,
    freeze: pd.DataFrame,
    axes: tuple[str, ...] = AXES,
    *,
    events: bool = True,
) -> Qualities:
    """Qualities of all clips of the first model, see `scored_clips` and `ScoredClips.qualities`."""
    return scored_clips(models, truth, freeze, axes).qualities(events=events)


def task_means(means: Mapping[Stratum, Array], counts: Mapping[Stratum, NDArray[np.int64]]) -> dict[str, Array]:
    """Stratum means (..., S, A) -> task means (..., S, A), each clip with the same weight; NaN where none counts."""
    result: dict[str, Array] = {}
    for task in dict.fromkeys(stratum.task for stratum in means):
        keys = [stratum for stratum in means if stratum.task == task]
        total = np.sum([counts[key] for key in keys], axis=0)
        sums = sum(np.where(counts[key] > 0, means[key], 0.0) * counts[key] for key in keys)
        result[task] = np.where(total > 0, sums / np.maximum(total, 1), np.nan)
    return result


def kind(truth: float, freeze: float) -> Kind:
    """Kind of a task on an axis, from the mean qualities of ground truth and of the frozen last frame."""
    if not np.isfinite(truth) or not np.isfinite(freeze):
        return "absent"
    if truth < SKILL.unscored_below and freeze < SKILL.unscored_below:
        return "unscored"
    return "informative" if truth - freeze >= SKILL.informative_from - 1e-12 else "guard"


def kinds(qualities: Qualities, fixed: Mapping[str, Mapping[str, Kind]] | None = None) -> dict[str, tuple[Kind, ...]]:
    """Kind of every task on every axis (A,): the `fixed` one by task and axis, else that of the point estimates.

    A fixed kind does not hold where none of these clips counts, nor where a task is informative but truth is less than
    `SKILL.telling` ahead of freeze in these clips: the skill would be a quotient of noise.
    """
    means = task_means(qualities.means(), qualities.counts())
    truth, freeze = (qualities.sources.index(name) for name in SCALE)
    roles = {}
    for task, q in means.items():
        row = []
        for a, axis in enumerate(qualities.axes):
            here = kind(float(q[truth, a]), float(q[freeze, a]))
            wanted = (fixed or {}).get(task, {}).get(axis, here)
            silent = here == "absent" or (wanted == "informative" and q[truth, a] - q[freeze, a] < SKILL.telling)
            row.append(here if silent or wanted == "absent" else wanted)
        roles[task] = tuple(row)
    return roles


@dataclass(frozen=True, eq=False)
class Skills:
    """Skill of one source at every level; arrays (..., A), NaN where it does not exist."""

    quality: dict[str, Array]  # per task
    task: dict[str, Array]  # per task; a guard at most 0
    family_quality: dict[str, Array]
    informative: dict[str, Array]  # per family: mean of its informative tasks
    guard: dict[str, Array]  # per family: what its guards take from the axis, at most 0
    family: dict[str, Array]  # (...) per family: what overall is the mean of
    axis_quality: Array
    axis: Array
    overall: Array  # (...)


def skills(
    means: Mapping[str, Array],
    kinds: Mapping[str, tuple[Kind, ...]],
    model: int,
    references: slice,
    counted: Sequence[int] | None = None,
) -> Skills:
    """Skill at every level from task means (..., S, A).

    `model` and `references` (truth, freeze) index the sources, `counted` the axes of the overall skill; None: all.
    """
    quality, task_skill, raw = {}, {}, {}
    for task, q in means.items():
        own = q[..., model, :]
        truth, freeze = np.moveaxis(q[..., references, :], -2, 0)
        quality[task] = own
        raw[task] = _raw(own, truth, freeze, kinds[task])
        task_skill[task] = np.where(_is(kinds[task], "guard"), np.minimum(raw[task], 0.0), raw[task])
    families = tuple(dict.fromkeys(task.split("/")[0] for task in means))
    family_quality, informative = {}, {}
    for family in families:
        members = [task for task in means if task.split("/")[0] == family]
        family_quality[family] = _mean_of([np.where(_scored(kinds[t]), quality[t], np.nan) for t in members])
        informative[family] = _mean_of([np.where(_is(kinds[t], "informative"), raw[t], np.nan) for t in members])
    weights = task_weights(kinds)
    guard = {family: _cost(raw, kinds, weights, family) for family in families}
    lost = np.asarray(sum(np.nan_to_num(cost, nan=0.0) for cost in guard.values()), dtype=np.float64)
    axis = np.maximum(_mean_of(list(informative.values())) + lost, SKILL.floor)
    by_family = _by_family(raw, kinds, counted)
    whole = np.isfinite(axis if counted is None else axis[..., list(counted)]).all(axis=-1)
    return Skills(
        quality,
        task_skill,
        family_quality,
        informative,
        guard,
        {family: np.asarray(by_family[family]) for family in families if family in by_family},
        _mean_of(list(family_quality.values())),
        axis,
        np.where(whole, _mean_of(list(by_family.values())) if by_family else np.nan, np.nan),
    )


def _raw(own: Array, truth: Array, freeze: Array, row: tuple[Kind, ...]) -> Array:
    """Skill (..., A) of qualities (..., A), of a guard what it loses, which may lie above 0; NaN where none counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # A task takes no more than it can give: where a frozen frame is half right, a quotient falls without end.
        gain = np.maximum((own - freeze) / np.maximum(truth - freeze, 1e-6), SKILL.floor)
        floor = np.minimum(truth, freeze)
        loss = np.where(floor > 1e-6, own / floor - 1, 0.0)  # where truth reads 0 there is nothing to lose
    return np.where(_is(row, "informative"), gain, np.where(_is(row, "guard"), loss, np.nan))


def clip_skills(
    qualities: Qualities, kinds: Mapping[str, tuple[Kind, ...]], axes: Sequence[int] | None = None
) -> dict[str, float]:
    """By clip, what it adds to overall for the first source, on the scale of its task; NaN where nothing counts.

    Mean skill on the axes on which its task is informative, plus what it loses on the others, with their weights in
    overall where the family has gained all. It lies between the references of the task, not those of the clip alone.
    """
    means, weights = task_means(qualities.means(), qualities.counts()), overall_weights(kinds, axes)
    truth, freeze = (qualities.sources.index(name) for name in SCALE)
    skills_by_clip: dict[str, float] = {}
    for stratum, block in qualities.values.items():
        row = kinds[stratum.task]
        gains, saturated = (cells_of(row, kind, axes) for kind in COUNTED)
        raw = _raw(block[0].T, means[stratum.task][truth], means[stratum.task][freeze], row)  # (n, A)
        whole = weights[stratum.task][gains].sum()
        gained = _mean(raw[:, gains])
        lost = np.nan_to_num(np.minimum(raw[:, saturated], 0.0), nan=0.0)
        share = (
            weights[stratum.task][saturated] / whole if gains else np.full(len(saturated), 1 / max(len(saturated), 1))
        )
        skill = (lost @ share) + (gained if gains else 0.0)
        known = np.isfinite(raw[:, gains + saturated]).any(axis=-1)
        skills_by_clip |= zip(qualities.clips[stratum], np.where(known, skill, np.nan).tolist(), strict=True)
    return skills_by_clip


def _cost(
    raw: Mapping[str, Array], kinds: Mapping[str, tuple[Kind, ...]], weights: Mapping[str, Array], family: str
) -> Array:
    """Cost of the guards of a family on each axis (..., A), together at most 0; NaN where it has none."""
    tasks = [task for task in raw if task.split("/")[0] == family]
    has = np.any([_is(kinds[task], "guard") for task in tasks], axis=0)
    losses = (np.nan_to_num(np.where(_is(kinds[t], "guard"), raw[t], 0.0), nan=0.0) * weights[t] for t in tasks)
    return np.where(has, np.minimum(np.asarray(sum(losses), dtype=np.float64), 0.0), np.nan)


def _by_family(
    raw: Mapping[str, Array], kinds: Mapping[str, tuple[Kind, ...]], axes: Sequence[int] | None
) -> dict[str, Array]:
    """Gain of each family that has an informative task (...), less the share of it that guards take."""
    weights = overall_weights(kinds, axes)
    gains: dict[str, list[Array]] = {}
    losses: dict[str, list[Array]] = {}
    for task, task_gains in raw.items():
        family = task.split("/")[0]
        if own := cells_of(kinds[task], "informative", axes):
            gains.setdefault(family, []).append(_mean_of([task_gains[..., a] for a in own]))
        for a in cells_of(kinds[task], "guard", axes):
            losses.setdefault(family, []).append(np.nan_to_num(task_gains[..., a], nan=0.0) * weights[task][a])
    result = {}
    for family, members in gains.items():
        gain = _mean_of(members)
        lost = np.minimum(np.asarray(sum(losses.get(family, []), np.zeros(())), dtype=np.float64) * len(gains), 0.0)
        result[family] = np.where(gain > 0, gain * (1 + lost), gain)
    return result


def _is(kinds: tuple[Kind, ...], wanted: Kind) -> NDArray[np.bool_]:
    return np.array([kind == wanted for kind in kinds])


def _scored(kinds: tuple[Kind, ...]) -> NDArray[np.bool_]:
    return np.array([kind in COUNTED for kind in kinds])


def _mean_of(arrays: list[Array]) -> Array:
    """Mean over a list of (..., A), leaving out NaN; NaN where nothing is left."""
    known = [np.isfinite(array) for array in arrays]
    count = sum(good.astype(np.float64) for good in known)
    total = sum(np.where(good, array, 0.0) for good, array in zip(known, arrays, strict=True))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1.0), np.nan), dtype=np.float64)
