"""Compares runs on the same clips: is one model ahead of another, where most, and where is it uncertain?

Every run is placed between ground truth and freeze of its own size, rate and context, so that models with
other sizes and rates can be compared. The bootstrap draws the same clips in each run, so that differences are paired.
Two runs of one model in two looks say what the look changes: skill is never mixed between looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import bdtr

from physbench.clips.clip import Row
from physbench.clips.suite import GOLDEN_SUITES, PROMPT_MOTION_OPTION, split_name, without_prompt_motion
from physbench.result.bootstrap import MISS, RESAMPLES, Estimate, ends, estimate, one_model, rounded
from physbench.result.coverage import inapplicable_axes
from physbench.result.document import Interval, Record
from physbench.result.formats import counted
from physbench.result.manifest import Manifest
from physbench.result.read import failed_samples, key_of_manifest, read_run, same_weights
from physbench.result.readings import strength_of_run
from physbench.result.skill import Skills
from physbench.result.task_roles import fixed_kinds
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN

PHYSICIST_TARGET = "baseline:physicist"  # sees what a model sees and knows the laws


class SkillParts(Record):
    """Parts of a skill of a family on an axis."""

    gained: float | None = Field(description="Mean skill of its informative tasks; null where there is none.")
    lost: float | None = Field(description="What its guards take from the axis, at most 0; null where there is none.")


class SkillDifference(Record):
    """A skill of the first run, of another one, and the first minus the other, paired clip by clip."""

    first: float | None = Field(description="Skill of the first run; null where it does not exist.")
    other: float | None = Field(description="Skill of the other run.")
    ahead: float | None = Field(description="first minus other.")
    interval: Interval | None = Field(description="95 % interval of `ahead` [low, high]; null with the reason.")
    reason: str = Field(default="", description="Why a value or the interval is null.")
    parts: tuple[SkillParts, SkillParts] | None = Field(
        default=None, description="In a family on an axis: what both skills are made of, each the sum of two."
    )

    @property
    def sign(self) -> int:
        """1: ahead, -1: behind, 0: indistinguishable (the interval holds 0, or there is none)."""
        if self.interval is None:
            return 0
        return int(self.interval[0] > 0) - int(self.interval[1] < 0)


class ClipSigns(Record):
    """In how many clips the first run has the higher quality, mean over the axes that count there: a sign test."""

    ahead: int = Field(description="Clips in which the first run has the higher quality.")
    behind: int = Field(description="Clips in which the other one has.")
    equal: int = Field(description="Clips in which both have the same.")
    p: float = Field(description="Probability of as uneven a count, or a more uneven one, of runs that are alike.")

    @property
    def sign(self) -> int:
        """1: ahead, -1: behind, 0: that may be chance."""
        return 0 if self.p > MISS else int(np.sign(self.ahead - self.behind))


class StrengthPair(Record):
    """Median strength of both runs over their clips, in diameters; less is better."""

    first: float | None = Field(description="Of the first run; null where it was not read.")
    other: float | None = Field(description="Of the other run.")


class RunInfo(Record):
    """One of the runs."""

    path: str = Field(description="Its folder.")
    name: str = Field(description="Name of the model.")
    track: str = Field(description="zero-shot, trained or privileged.")
    render_spec: str = Field(description="Size and rate of its clips.")
    context: int = Field(description="Context frames that count as seen.")
    look: str = Field(default=PLAIN, description="How its clips were drawn.")
    failed: int = Field(default=0, description="Compared clips in which a sample failed; what failed counts as 0.")


class Against(Record):
    """The first run against another one."""

    other: RunInfo = Field(description="The other run.")
    sentence: str = Field(description="The difference in words.")
    clips: ClipSigns = Field(description="In how many clips it is ahead, and how sure that is.")
    overall: SkillDifference = Field(description="Mean of the axes.")
    axes: dict[str, SkillDifference] = Field(description="By axis.")
    strength: StrengthPair = Field(description="How strongly both break the laws.")
    families: dict[str, dict[str, SkillDifference]] = Field(description='By family, then axis; "overall": their mean.')


class Comparison(Record):
    """Paired differences of the first run and each other one."""

    schema_version: int = Field(default=1, description="Version of this document's layout.")
    suite: str = Field(description="Name of the suite.")
    version: int = Field(description="Its version.")
    provisional: bool = Field(default=False, description="True where its headline scorers may still change.")
    clips: int = Field(description="Clips that all runs hold, on which they are compared.")
    held: list[int] = Field(default=[], description="Clips that each run holds, in their order.")
    differs: Literal["model", "look"] = Field(
        default="model",
        description="What tells the runs apart. look: one model in two looks; the first run is then that in the look "
        f"other than {PLAIN}, so that `ahead` is what this look changes.",
    )
    first: RunInfo = Field(description="The first run.")
    against: list[Against] = Field(description="The first run against each other one, in their order.")

    @property
    def failures(self) -> list[str]:
        """ "half failed on 5 of 8 clips: what failed counts as 0.", of each run in which a clip failed."""
        runs = (self.first, *(each.other for each in self.against))
        of = counted(self.clips, "clip")
        return [f"{run.name} failed on {run.failed} of {of}: what failed counts as 0." for run in runs if run.failed]


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run, read and estimated."""

    manifest: Manifest
    info: RunInfo
    estimate: Estimate
    strength: float | None = None  # diameters, median over clips


def compare(first: RunFolder, *others: RunFolder, resamples: int = RESAMPLES) -> Comparison:
    """Lead of `first` over each of `others`: paired differences of skill with intervals.

    They are compared on the clips of the suite that all of them hold, which must be simulated to the same states and
    read by the same code, else UsageError says what differs and what to do. Of two runs of one model in two looks the
    one that is not in the plain look is the first, in whichever order they are given.
    """
    from physbench.result.sentences import distinct_names, sentence

    if not others:
        raise UsageError("Expected at least two runs to compare.")
    folders = [first, *others]
    runs = [read_run(folder) for folder in folders]
    looks = [manifest.spec.picture for manifest, _ in runs]
    two_looks = len(folders) == 2 and looks[0] != looks[1]
    if looks[0] == PLAIN and two_looks:
        for each in (folders, runs, looks):
            each.reverse()
    for folder, (manifest, _) in zip(folders[1:], runs[1:], strict=True):
        require_alike(folders[0], runs[0][0], folder, manifest, two_looks=two_looks, shared=True)
    shared = set.intersection(*(set(manifest.rows) for manifest, _ in runs))
    if not shared:
        raise UsageError(f"{', '.join(str(each.path) for each in folders)}: no clip is held by all of them.")
    models = [str(manifest.model.name) for manifest, _ in runs]
    if two_looks:
        names = [f"{model} ({look})" for model, look in zip(models, looks, strict=True)]
    else:
        names = distinct_names([(model, str(folder.path)) for model, folder in zip(models, folders, strict=True)])
    sides = []
    for folder, name, (manifest, tables) in zip(folders, names, runs, strict=True):
        wanted = {row.id for row in shared}
        kept = {source: table[table["clip"].isin(wanted)] for source, table in tables.items()}
        info = RunInfo(
            path=str(folder.path),
            name=name,
            track=manifest.card.track,
            render_spec=str(manifest.spec),
            context=manifest.scored_context,
            look=manifest.spec.picture,
            failed=failed_samples(kept["model"])["clip"].nunique(),
        )
        inapplicable = inapplicable_axes(manifest.card)
        own_estimate = estimate(kept, resamples=resamples, fixed=fixed_kinds(manifest), inapplicable=inapplicable)
        size = strength_of_run(kept)
        sides.append(ComparedRun(manifest, info, own_estimate, None if size is None else size.all.median))
    left = sides[0]
    against = []
    for right in sides[1:]:
        part = _against(left, right)
        against.append(part.model_copy(update={"sentence": sentence(left.info.name, part)}))
    suite = left.manifest.suite
    return Comparison(
        suite=suite.name,
        version=suite.version,
        provisional=any(each.manifest.suite.in_development for each in sides),
        clips=len(shared),
        held=[len(each.manifest.rows) for each in sides],
        differs="look" if two_looks else "model",
        first=left.info,
        against=against,
    )


def require_alike(
    first: RunFolder,
    a: Manifest,
    second: RunFolder,
    b: Manifest,
    *,
    two_looks: bool = False,
    shared: bool = False,
) -> None:
    """Raise UsageError where two runs cannot be compared clip by clip, with what differs and the remedy.

    two_looks: What is asked is what a look changes, so that the model must be the same and the looks may differ.
    shared: Only the clips that both hold are compared.
    """
    ours, theirs = a.rows, b.rows
    start = f"{first.path} and {second.path} cannot be compared clip by clip"
    if set(ours) != set(theirs) and not (shared and _share_states(a, b)):
        same = len(set(ours) & set(theirs))
        drawn = next((run for run, manifest in ((first, a), (second, b)) if manifest.suite.is_fresh), None)
        if set(without_prompt_motion(ours)) == set(without_prompt_motion(theirs)):
            remedy = f"Only one was told in words how things move: run both with {PROMPT_MOTION_OPTION}, or none."
        elif drawn is None:
            remedy = "Run both with the same --suite, --tasks and --limit."
        else:
            remedy = f"Fresh seeds are drawn for each run: give the other one --fresh-seeds {drawn.path}."
        raise UsageError(
            f"{start}: the first holds {_held(a, ours)}, the second {_held(b, theirs)}, {same} of them the same. "
            f"{remedy}"
        )
    if a.spec.picture != b.spec.picture:
        _require_one_model(start, a, b, two_looks)
    elif a.model.drawn_by != b.model.drawn_by:
        raise UsageError(
            f"{start}: what drew the look (its code, the variant and version of Mitsuba) was not the same. Run both "
            "anew on one machine."
        )
    if a.card.sees_pictures != b.card.sees_pictures:
        raise UsageError(
            f"{start}: one model answers with states, the other with frames. Compare models of one kind: their overall "
            "skills are means of other axes."
        )
    if set(ours) == set(theirs) and a.suite.hash != b.suite.hash:
        raise UsageError(
            f"{start}: their clips were simulated to other states. Run both on one machine; "
            "`physbench data verify` says which one reproduces the suite."
        )
    if a.suite.version != b.suite.version:
        raise UsageError(
            f"{start}: they were read as in versions {a.suite.version} and {b.suite.version} of the suite. Run the "
            "older one again with --fresh."
        )
    codes = [manifest.versions.get("code") for manifest in (a, b)]
    if codes[0] != codes[1]:
        raise UsageError(
            f"{start}: they were scored by other code ({codes[0]}, {codes[1]}). Run the older one again with --fresh."
        )


def _share_states(a: Manifest, b: Manifest) -> bool:
    """True if two runs on parts of a published suite hold some clips with the same states.

    Both say that their machine reproduces the states of the suite, in one version.
    """
    suites = [manifest.suite for manifest in (a, b)]
    published = all(split_name(each.name)[0] in GOLDEN_SUITES for each in suites)
    return (
        published
        and suites[0].version == suites[1].version
        and not any(each.local for each in suites)
        and bool(set(a.rows) & set(b.rows))
    )


def _require_one_model(start: str, a: Manifest, b: Manifest, two_looks: bool) -> None:
    """Raise UsageError where more than the look tells two runs apart."""
    keys = [key_of_manifest(manifest) for manifest in (a, b)] if two_looks else []
    if not keys or not same_weights(*keys):
        raise UsageError(
            f"{start}: the first was shown the look {a.spec.picture}, the second the look {b.spec.picture}, off which "
            "other things are read. Run both with the same --look and --view. What a look changes is told by two runs "
            "of one model, with the same arguments."
        )
    if keys[0] != keys[1]:
        raise UsageError(
            f"{start}: the look is not all that differs: the first has {_shown(a)}, the second {_shown(b)}. Run both "
            "alike in all but --look or --view."
        )


def require_physicist(run: RunFolder, physicist: RunFolder) -> None:
    """Raise UsageError where `physicist` is no finished run of PHYSICIST_TARGET under the conditions of `run`."""
    (ours, _), (theirs, _) = read_run(run), read_run(physicist)
    prompt_option = f" and {PROMPT_MOTION_OPTION}" if ours.options.prompt_motion else ""
    again = f"Run physbench eval {PHYSICIST_TARGET} with the --suite, --tasks, --limit{prompt_option} of {run.path}."
    target = theirs.model.target
    if target != PHYSICIST_TARGET:
        raise UsageError(f"{physicist.path} is a run of {target}. {again}")
    require_alike(run, ours, physicist, theirs)
    for words, a, b in (
        ("size and rate", str(ours.spec), str(theirs.spec)),
        ("context frames", ours.scored_context, theirs.scored_context),
    ):
        if a != b:
            raise UsageError(f"{physicist.path} has other {words} than {run.path} ({b}, {a}). {again}")


def _shown(manifest: Manifest) -> str:
    context, samples = counted(manifest.scored_context, "context frame"), counted(manifest.options.samples, "sample")
    return f"{manifest.spec}, {context} and {samples} a clip"


def _held(manifest: Manifest, rows: Sequence[Row]) -> str:
    return f"{len(rows)} clips of {manifest.suite.label}"


def _against(left: ComparedRun, right: ComparedRun) -> Against:
    a, b = left.estimate, right.estimate
    axes = {name: k for k, name in enumerate(a.qualities.axes)}
    families = dict.fromkeys(task.split("/")[0] for task in a.tasks)
    every = [difference(a, b, None, family) for family in families]
    return Against(
        other=right.info,
        sentence="",
        clips=clip_signs(a, b),
        overall=difference(a, b),
        axes={name: difference(a, b, k) for name, k in axes.items()},
        strength=StrengthPair(first=left.strength, other=right.strength),
        families={
            family: {"overall": whole, **{name: difference(a, b, k, family) for name, k in axes.items()}}
            for family, whole in zip(families, every, strict=True)
        },
    )


def clip_signs(a: Estimate, b: Estimate) -> ClipSigns:
    """The sign test of two models on the same clips: of the differing ones, half lie on either side by chance."""
    ours, theirs = (
        np.concatenate([_mean(block[0].T) for _, block in sorted(each.qualities.values.items())]) for each in (a, b)
    )
    apart = np.round(ours - theirs, 9)  # NaN where a clip counts on no axis
    ahead, behind = int((apart > 0).sum()), int((apart < 0).sum())
    return ClipSigns(ahead=ahead, behind=behind, equal=int((apart == 0).sum()), p=sign_test(ahead, behind))


def sign_test(ahead: int, behind: int) -> float:
    """Probability that fair coins fall as unevenly as this, or more so."""
    return round(min(1.0, 2 * float(bdtr(min(ahead, behind), ahead + behind, 0.5))), 6)


def difference(a: Estimate, b: Estimate, axis: int | None = None, family: str | None = None) -> SkillDifference:
    """First minus other on one axis or over all, in one family or over all."""
    ours, theirs = (value(e.point[0], axis, family) for e in (a, b))
    axes = range(len(a.qualities.axes)) if axis is None else (axis,)
    parts = None if axis is None or family is None else (_parts(a, axis, family), _parts(b, axis, family))
    reasons = [
        e.too_few(k, scored)
        for e in (a, b)
        for k in axes
        if (scored := e.scored(k, e.family(family) if family else None))
    ]
    reason = next((reason for reason in reasons if reason), "")
    if not np.isfinite(ours - theirs):
        reason = "no skill" if axis is not None else "no informative task" if family else "no skill on every axis"
        return SkillDifference(
            first=rounded(ours), other=rounded(theirs), ahead=None, interval=None, reason=reason, parts=parts
        )
    ours_drawn, theirs_drawn = (value(e.draws[0], axis, family) for e in (a, b))
    interval = a.resampled.interval(ours_drawn, theirs_drawn, one_model=one_model(a, b))
    return SkillDifference(
        first=rounded(ours),
        other=rounded(theirs),
        ahead=rounded(ours - theirs),
        interval=None if reason else ends(interval),
        reason=reason,
        parts=parts,
    )


def _parts(e: Estimate, axis: int, family: str) -> SkillParts:
    point = e.point[0]
    return SkillParts(gained=rounded(point.informative[family][axis]), lost=rounded(point.guard[family][axis]))


def value(skills: Skills, axis: int | None, family: str | None) -> Array:
    """Skill (...) on an axis (None: the mean over axes), over all or in one family.

    In a family and on an axis it is that of its informative tasks plus what its guards cost; with guards alone it is
    their cost. Over all axes it is what the family adds to overall; NaN where it adds nothing.
    """
    if family is None:
        return skills.overall if axis is None else skills.axis[..., axis]
    gain, cost = skills.informative[family], skills.guard[family]
    if axis is None:
        return skills.family.get(family, np.full(gain.shape[:-1], np.nan))
    both = np.where(np.isfinite(gain), gain + np.nan_to_num(cost, nan=0.0), cost)  # (..., A)
    return np.asarray(both[..., axis], dtype=np.float64)


def _mean(values: Array) -> Array:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    count = np.isfinite(values).sum(axis=-1)
    return np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)
