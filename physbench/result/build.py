"""Builds result.json from the manifest, the scores and the references in a run folder; samples as a distribution."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from physbench import __version__
from physbench.clips.clip import Row
from physbench.clips.suite import FRESH, OWN, SUITE_VERSION, chosen_suite, split_name
from physbench.result import levels, readings
from physbench.result.beyond_memory import beyond_memory
from physbench.result.bootstrap import (
    ANCHORS,
    MODELS,
    RESAMPLES,
    Fixed,
    ends,
    estimate,
    pooled,
    resample,
    rounded,
    too_few,
)
from physbench.result.coverage import at_interim, axis_counts, inapplicable_axes, inapplicable_reasons, partial_run
from physbench.result.document import (
    BestOf,
    Counts,
    Distribution,
    DistributionValue,
    Failure,
    ModelInfo,
    ResultDocument,
    Speed,
    SuiteInfo,
    read_result,
    write_document,
)
from physbench.result.findings import Diagnosis, findings, law_phrases, read_diagnosis
from physbench.result.levels import combination_gaps, skill_by_part
from physbench.result.manifest import Manifest, read_manifest, renew
from physbench.result.read import failed_samples, read_run
from physbench.result.readings import over_families
from physbench.result.sentences import note, sentences
from physbench.result.skill import Stratum, clip_qualities, event_results, kinds, skills, task_means, valued_rows
from physbench.result.task_roles import fixed_kinds
from physbench.score.protocol import ReadingRole
from physbench.score.score_clip import reading_of
from physbench.support.arrays import Array
from physbench.support.errors import PhysbenchError
from physbench.support.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


# Skill of the best of K samples: reported beside the score, never in its place.


def best_of(
    tables: Mapping[str, pd.DataFrame], incomplete: str, fixed: Fixed | None = None, inapplicable: Collection[str] = ()
) -> BestOf | None:
    """Skill of the best sample of each clip and axis; None for one sample a clip.

    incomplete: why there is no overall skill; "" where there is one. inapplicable: axes that are no part of it.
    """
    import pandas as pd

    model = tables["model"]
    samples = int(model["sample"].nunique())
    if samples < 2:
        return None
    rows = model[model["axis"].notna()].sort_values(["quality", "sample"], ascending=[False, True], na_position="last")
    best = rows.drop_duplicates(["clip", "axis"])
    # Other readings, such as events, are those of all samples: a chosen one may be right because nothing happens in it.
    sources = {
        "model": pd.concat([best, model[model["axis"].isna()]]),
        "constant-velocity": tables["constant-velocity"],
    }
    qualities = clip_qualities(sources, tables["truth"], tables["freeze"])
    counted = [a for a, axis in enumerate(qualities.axes) if axis not in inapplicable] if inapplicable else None
    skill = skills(task_means(qualities.means(), qualities.counts()), kinds(qualities, fixed), 0, ANCHORS, counted)
    return BestOf(
        samples=samples,
        overall=None if incomplete else rounded(skill.overall),
        axes={axis: rounded(skill.axis[a]) for a, axis in enumerate(qualities.axes)},
    )


FINAL_FROM = 2  # version of a suite whose headline scorers are no longer provisional


def build_result(folder: RunFolder, *, resamples: int = RESAMPLES, own_laws: bool = True) -> ResultDocument:
    """The result of a finished run.

    Args:
        resamples: Draws of the bootstrap.
        own_laws: Whether a sentence may name what scorers that do not come with physbench declare.

    Raises UsageError: the folder is no finished run.
    """
    manifest, tables = read_run(folder)
    rows = manifest.rows
    wanted = {row.id for row in rows}
    tables = {name: table[table["clip"].isin(wanted)] for name, table in tables.items()}
    fixed = fixed_kinds(manifest)
    inapplicable = inapplicable_axes(manifest.card)
    e = estimate(tables, resamples=resamples, fixed=fixed, inapplicable=inapplicable)
    ended = partial_run(manifest)
    p = e if ended is None else estimate(pooled(tables), resamples=resamples, fixed=fixed, inapplicable=inapplicable)
    suite = _suite(manifest, rows, "run" if fixed is None else "suite")
    incomplete = _incomplete(suite, manifest, rows)
    axes = dict(enumerate(e.qualities.axes))
    families = tuple(dict.fromkeys(task.split("/")[0] for task in e.tasks))
    failures = _failures(tables["model"])
    diagnosis = read_diagnosis(folder) or Diagnosis()
    whole = at_interim(levels.overall(p, 0, incomplete), manifest)
    by_axis = {name: levels.axis_result(p, a) for a, name in axes.items()}
    document = ResultDocument(
        schema_version=1,
        physbench_version=__version__,
        provisional=suite.version < FINAL_FROM or manifest.suite.in_development,
        note=note(
            rows,
            manifest.spec,
            fixed is not None,
            manifest.suite.is_fresh,
            ended,
            suite.version if FINAL_FROM <= suite.version < SUITE_VERSION else None,  # weighed by a newer one
            manifest.model.target,
        ),
        partial=ended,
        model=model_info(manifest, int(manifest.speed.get("chained") or 1)),
        suite=suite,
        render_spec=str(manifest.spec),
        context=manifest.scored_context,
        sentences=[],
        overall=whole,
        by_family={family: levels.family_skill(p, family) for family in families},
        axes=by_axis,
        families={
            family: {name: levels.family_result(p, family, a) for a, name in axes.items()} for family in families
        },
        tasks={task: {name: levels.task_result(e, task, a) for a, name in axes.items()} for task in e.tasks},
        splits={
            split: {name: levels.split_result(e, split, a) for a, name in axes.items()}
            for split in dict.fromkeys(row.split for row in rows)
        },
        gaps=levels.gaps(e),
        references={MODELS[1]: levels.reference_result(p, incomplete)},
        beyond_memory=beyond_memory(manifest, whole, by_axis),
        best_of=best_of(tables, incomplete, fixed, inapplicable),
        distribution=distribution(tables, resamples),
        unseen_constants=readings.unseen_constants(tables, resamples=resamples, fixed=fixed),
        first_breaks=readings.first_breaks(tables),
        strength=readings.strength_of_run(tables),
        lawful=readings.lawful_time(tables, resamples),
        implied_worlds=diagnosis.worlds,
        timing=diagnosis.timing,
        event_frequency=event_results(tables["model"], tables["truth"]),
        by_part=skill_by_part(tables, rows, e, resamples, inapplicable),
        velocity_errors=readings.velocity_errors(tables, e, resamples),
        combinations=combination_gaps(tables, e, resamples),
        readings=readings.reading_results(tables, resamples),
        counts=_counts(tables["model"], rows, failures, manifest),
        axis_counts=axis_counts(tables),
        failures=failures,
        unavailable={**readings.unavailable(tables["model"]), **inapplicable_reasons(manifest.card)},
        speed=_speed(manifest),
    )
    named = findings(document, law_phrases(manifest.own_laws if own_laws else {}))
    document = document.model_copy(update={"findings": named})
    return document.model_copy(update={"sentences": sentences(document)})


def write_result(folder: RunFolder) -> ResultDocument:
    """Build the result and write result.json."""
    result = build_result(folder)
    write_document(folder.result, result)
    renew(folder, folder.result)
    return result


def write_speed(folder: RunFolder) -> Speed:
    """Write into result.json what the manifest says of times and memory now, and return it; all else stays."""
    speed = _speed(read_manifest(folder))
    write_document(folder.result, read_result(folder.result).model_copy(update={"speed": speed}))
    renew(folder, folder.result)
    return speed


def model_info(manifest: Manifest, chained: int) -> ModelInfo:
    """The model of a run. chained: most calls along time that a clip needed."""
    model, card = manifest.model, manifest.card
    return ModelInfo(
        name=model.name or card.name,
        target=model.target,
        sha256=model.sha256,
        track=card.track,
        chained=chained,
        card=card,
        args={key: str(value) for key, value in (model.args or {}).items()},
    )


def _suite(manifest: Manifest, rows: tuple[Row, ...], kinds: Literal["suite", "run"]) -> SuiteInfo:
    suite = manifest.suite
    whole = _whole(manifest)
    return SuiteInfo(
        name=suite.name,
        version=suite.version,
        hash=(manifest.stopped or suite).hash,
        local=suite.local,
        clips=len(rows),
        of=None if whole is None or manifest.suite.is_fresh else len(whole),
        tasks=sorted({row.task for row in rows}),
        complete=whole is not None and set(rows) == set(whole) and not manifest.suite.is_fresh,
        kinds=kinds,
    )


def _whole(manifest: Manifest) -> tuple[Row, ...] | None:
    """The clips of the suite: only --tasks and --limit can leave some out. None where it is unknown."""
    if manifest.options.tasks is None and manifest.options.limit is None:
        return manifest.requested_rows
    name, prompt_motion = split_name(manifest.suite.name.removeprefix(FRESH))
    try:
        whole = chosen_suite(name, None, None, prompt_motion)
    except PhysbenchError:
        return None  # a suite with the user's own tasks
    return whole.rows if whole.version == manifest.suite.version else None


def _incomplete(suite: SuiteInfo, manifest: Manifest, rows: tuple[Row, ...]) -> str:
    """Reason for no overall skill, or "": it needs every task of the suite, though not every clip."""
    whole = _whole(manifest)
    if whole is None and suite.name.removeprefix(FRESH).startswith(OWN):
        return "tasks outside the suite were run"
    tasks = {row.task for row in whole} if whole is not None else set()
    return "" if tasks and tasks <= set(suite.tasks) else "not every task of the suite was run"


def _failures(table: pd.DataFrame) -> list[Failure]:
    """Samples whose headline readings failed, each once."""
    rows = failed_samples(table).itertuples()
    return [Failure(clip=str(r.clip), sample=int(str(r.sample)), reason=str(r.reason)) for r in rows]


def _counts(table: pd.DataFrame, rows: tuple[Row, ...], failures: list[Failure], manifest: Manifest) -> Counts:
    failed = {(item.clip, item.sample) for item in failures}
    samples = {(str(r.clip), int(str(r.sample))) for r in table[["clip", "sample"]].drop_duplicates().itertuples()}
    return Counts(
        clips=len(rows),
        samples=manifest.options.samples,
        scored=len({clip for clip, _ in samples - failed}),
        failed=len({clip for clip, _ in failed}),
    )


def _speed(manifest: Manifest) -> Speed:
    return Speed(**{name: manifest.speed.get(name) for name in Speed.model_fields})


def distribution(tables: Mapping[str, pd.DataFrame], resamples: int) -> Distribution | None:
    """The distribution of a model's samples; None for one sample a clip.

    Each value is a mean over families of the mean over their clips, as that of lawful time is.
    """
    model = tables["model"]
    samples = int(model["sample"].nunique())
    if samples < 2:
        return None
    scores = _blocks(_by_clip(model, role) for role in ("samples-score", "open-score"))
    spread = _by_clip(model, "samples-spread")
    there = _by_clip(model, "samples-apart")  # also of samples that lose an object, or failed
    no_spread = 1e-12  # diameters squared
    equal = bool(len(spread)) and bool((spread**2 < no_spread).all()) and bool((there < no_spread).all())
    squares = {} if equal else _blocks((spread**2, _by_clip(model, "samples-error") ** 2))
    unspread = "all samples of a clip are equal" if equal else "no frame shows an object in two samples"
    lawful = _blocks(_lawful(tables[name]) for name in ("model", "truth"))
    chance = _blocks(_by_clip(model, role) for role in ("chance-distance", "open-chance"))
    return Distribution(
        samples=samples,
        crps=_value(scores, lambda means: means[..., 0], resamples, "no clip has a CRPS"),
        open=_point(scores, lambda means: means[..., 1]),
        spread_over_error=_value(squares, _root_of_ratio, resamples, unspread),
        lawful=_value(lawful, lambda means: means[..., 0], resamples, "no motion is compared with the laws", 1.0),
        lawful_truth=_point(lawful, lambda means: means[..., 1]),
        bins=_value(chance, lambda means: means[..., 0], resamples, "", 1.0) if chance else None,
        open_bins=_point(chance, lambda means: means[..., 1]),
        equal=equal,
    )


def _root_of_ratio(means: Array) -> Array:
    """Mean squares (..., 2) of spread and error -> spread over error (...)."""
    return np.sqrt(means[..., 0] / np.maximum(means[..., 1], 1e-9))  # diameters squared


def _by_clip(table: pd.DataFrame, role: ReadingRole) -> pd.Series[float]:
    """Value of each clip, by (task, split, clip)."""
    return valued_rows(table, reading_of(role)).groupby(["task", "split", "clip"])["value"].mean().astype(float)


def _lawful(table: pd.DataFrame) -> pd.Series[float]:
    """Share of the samples of each clip that laws explain throughout, at the smallest tolerance.

    One that failed is not lawful, and neither is one that loses an object, which has no break.
    """
    read = table[(table["reading"] == reading_of("lawfulness")) & (table["status"] != "not applicable")]
    # ground truth through a tracker loses less
    whole = table[(table["reading"] == reading_of("strict-lawfulness")) & (table["value"] >= 1 - 0.005)]
    explained = set(zip(whole["clip"], whole["sample"], strict=True))
    held = [each in explained for each in zip(read["clip"], read["sample"], strict=True)]
    return read.assign(held=held).groupby(["task", "split", "clip"])["held"].mean().astype(float)


def _blocks(columns: Iterable[pd.Series[float]]) -> dict[Stratum, Array]:
    """Values (V, n) of the clips that have all of V columns, by task and split."""
    import pandas as pd

    whole = pd.concat(list(columns), axis=1, join="inner").dropna()
    return {
        Stratum(str(task), str(split)): np.ascontiguousarray(group.to_numpy(dtype=np.float64).T)
        for (task, split), group in whole.groupby(level=["task", "split"], sort=True)
    }


def _point(blocks: Mapping[Stratum, Array], statistic: Callable[[Array], Array]) -> float | None:
    if not blocks:
        return None
    clips = {key: block.shape[1] for key, block in blocks.items()}
    return rounded(statistic(over_families({key: block.mean(axis=1) for key, block in blocks.items()}, clips)))


def _value(
    blocks: Mapping[Stratum, Array],
    statistic: Callable[[Array], Array],
    resamples: int,
    missing: str,
    high: float = np.inf,
) -> DistributionValue:
    """A statistic of means over families (..., V) -> (...), with its interval. missing: reason for none at all."""
    if not blocks:
        return DistributionValue(value=None, interval=None, clips=0, reason=missing)
    clips = {key: block.shape[1] for key, block in blocks.items()}
    reason = too_few(min(clips.values()))
    interval = None
    if not reason:
        drawn = resample(blocks, resamples=resamples)
        interval = ends(drawn.interval(statistic(over_families(drawn.means, clips))), 0.0, high)
    return DistributionValue(
        value=_point(blocks, statistic), interval=interval, clips=sum(clips.values()), reason=reason
    )
