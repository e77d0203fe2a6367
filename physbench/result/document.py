"""result.json: what one evaluation found. Every field has a description; `result.schema.json` is generated from it.

A new field has a default, so that older files of the same schema version can be read. Removing a field, or changing its
meaning, raises the version. A file with fields that this program does not know is refused, and both versions are named.

python -m physbench.result.document     writes the published schema again
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from physbench import __version__
from physbench.clips.suite import suite_label
from physbench.models.protocol import ModelCard, card_document, card_from, check_card_types
from physbench.support.errors import ModelError, UsageError
from physbench.support.files import SEAL, SEAL_SCHEMA, DamagedFileError, read_sealed_json, write_sealed_json
from physbench.support.plugins import first_line


def _card(value: Any) -> ModelCard:
    """A card, or the one that its document holds."""
    if isinstance(value, ModelCard):
        return value
    try:
        return check_card_types(card_from(value), "the card")
    except (ModelError, TypeError, KeyError, AttributeError, OverflowError) as error:
        reason = first_line(str(error))[:300]
        raise PydanticCustomError("card", "expected the card of a model ({said})", {"said": reason}) from error


Card = Annotated[ModelCard, PlainValidator(_card), PlainSerializer(card_document, return_type=dict[str, Any])]

# Parts of result.json that stand for themselves: what all records share, and the diagnosis of a run.

Interval = tuple[float, float]
INTERVAL_MEANING = "95 % interval [low, high]; null with the reason beside it."


class Record(BaseModel):
    """Common base of all parts: no unknown fields, frozen, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class ImpliedLawResult(Record):
    """A law that the model follows instead of the true one."""

    id: str = Field(description="Id of the changed world.")
    short: str = Field(description='What differs: "gravity".')
    phrase: str = Field(description='What is then so, with its value: "gravity were 0.90 times as strong".')
    unit: str = Field(description='Unit of the value; "" for a factor on what is true.')
    value: float | None = Field(description="The value that explains most; null where nothing is free.")
    interval: Interval | None = Field(description="95 % interval [low, high]; null where too few clips tell it.")
    true: float | None = Field(description="The value in the true world.")
    seen: str = Field(
        default="", description='What one would see: "things fall too slowly"; "" where none is declared.'
    )


class ImpliedWorldResult(Record):
    """The world that would explain a family's motion better than the true laws do: a diagnosis by shadowing."""

    clips: int = Field(description="Clips that were read, at most 12.")
    unexplained: float = Field(
        description="Share of the time that the true laws do not explain: after each body's first break, mean over the "
        "tolerances."
    )
    verdict: Literal["lawful", "named", "unsure", "no simple law"] = Field(
        description="lawful: too little is unexplained; named: `laws` explain at least half of it; unsure: they do so "
        "in too few clips, or with an interval that holds what is true, or a value at an end of its range."
    )
    explained_clips: int | None = Field(
        default=None,
        description="Clips of which they explain more than the true laws do; null in files of older programs.",
    )
    laws: list[ImpliedLawResult] = Field(description="What explains most, at most two laws together.")
    share: float = Field(description="Share of the unexplained time that they explain, at most 1.")
    interval: Interval | None = Field(description="95 % interval [low, high]; null where too few clips tell it.")
    alike: list[str] = Field(description="Changed worlds that explain as much: ids.")
    ranking: dict[str, float] = Field(description="Share explained by each world that was tried on all clips.")
    tremble: float = Field(
        default=0.0,
        description="Sd per coordinate in diameters of positions from frame to frame, independent of each other and "
        "beyond what outlines tell of a codec: median over the clips. The laws are told apart in spite of it.",
    )


class Finding(Record):
    """One thing that a run does wrong, or does not, with what it rests on."""

    kind: Literal[
        "failed",
        "frozen",
        "objects lost",
        "objects kept",
        "spurious objects",
        "tremble",
        "timing",
        "changed world",
        "law",
        "unlawful",
        "too few clips",
        "avoided",
        "lawful",
    ] = Field(
        description="failed: no clip was scored; frozen: as a frozen frame; timing: of the frames; changed world, law: "
        "a law that is followed instead, or read; unlawful: none is sure; avoided: what is hard does not happen; "
        "tremble: positions are off independently in each frame, which is no physics."
    )
    family: str = Field(default="", description='Family in which it is worst or clearest; "" for all.')
    what: str = Field(default="", description="Id of the changed world or reading that it is about.")
    value: float | None = Field(default=None, description="Its size.")
    interval: Interval | None = Field(default=None, description="95 % interval [low, high] of the value.")
    unit: str = Field(default="1", description="Unit of the value.")
    clips: int = Field(description="Clips that it rests on.")
    share: float | None = Field(default=None, description="Share of what is lost that it explains.")
    sentence: str = Field(description="The same in words.")


class TimingFault(Record):
    """One thing that is wrong with the timing of all frames alike."""

    kind: Literal["shift", "repeats", "left-out", "rate", "blend"] = Field(
        description="shift: predictions begin early (above 0) or late; repeats: frames repeat the one before; "
        "left-out: frames are skipped; rate: everything runs slowly (below 1) or fast; blend: frames are means of "
        "neighbouring ones, so much behind their time."
    )
    value: float = Field(description="frames; of repeats and frames left out the share; of a rate the factor.")
    interval: Interval = Field(description="95 % interval [low, high] of the median over clips.")
    unit: str = Field(description='Unit of the value; "1" for a share or a factor.')
    clips: int = Field(description="Clips that tell.")
    frame: int | None = Field(default=None, description="The first frame that all clips repeat, or skip, from 1.")
    period: int | None = Field(default=None, description="Frames from one repeat, or gap, to the next.")


class TimingResult(Record):
    """Faults in the timing of frames, and the share of what physical consistency loses that they explain."""

    clips: int = Field(description="Clips whose tracks were read again with the timing undone, at most 12.")
    faults: list[TimingFault] = Field(description="What all clips agree on.")
    explained: float = Field(description="Share of the quality of consistency lost in these clips that is regained.")
    interval: Interval | None = Field(description="95 % interval [low, high]; null where too few clips tell it.")
    quality: float = Field(description="Mean quality of consistency in these clips.")
    undone: float = Field(description="The same with the timing undone.")
    named: bool = Field(description="Whether it explains at least half of what is lost, in 3 clips or more.")
    sentence: str = Field(description="The finding in words.")
    remedy: str = Field(description="What mends it, if it is a matter of an adapter.")


class StrengthValue(Record):
    """Violation size of some clips, in diameters: the smallest tolerance without a break; lower is better."""

    median: float | None = Field(description="Over clips, each the mean over its samples; null where none has a value.")
    quartiles: Interval | None = Field(description="A quarter of the clips lies below the first, one above the second.")
    clips: int = Field(description="Clips with a value; one that failed counts with the largest, 2.")


class StrengthResult(Record):
    """Strength beside skill: a size where skill is a share."""

    all: StrengthValue = Field(description="Over all clips that are shadowed.")
    families: dict[str, StrengthValue] = Field(description="By family.")
    tasks: dict[str, StrengthValue] = Field(description="By task.")
    references: dict[str, float | None] = Field(
        description="Median over all clips of truth, freeze and constant-velocity."
    )


class EventFrequencyResult(Record):
    """Frequency of a kind of event in the clips of a task behind one image, beside lawful futures."""

    clips: int = Field(description="Clips in which a lawful future may show it.")
    seen: float = Field(description="How many of them show it; of several samples of a clip, the mean.")
    expected: float = Field(description="How many lawful futures show on average: the sum of the clips' chances.")
    fewest: int = Field(description="Fewer than this are shown by less than one of 1,000 sets of lawful futures.")
    probability: float = Field(description="Probability that lawful futures show so few.")
    lost: float = Field(
        description="Share of the task's consistency above a frozen frame that is lost: 1 - seen / expected where the "
        "probability is below 0.001, else 0."
    )
    reason: str = Field(default="", description="Why nothing can be lost here: too few clips.")


class Speed(Record):
    """Outside every guarantee of reproducibility."""

    model_frames_per_s: float | None = Field(
        default=None, description="Predicted frames per second of model time, on all devices."
    )
    model_seconds: float | None = Field(
        default=None, description="Time inside the model, s; of several devices the mean."
    )
    total_seconds: float | None = Field(default=None, description="Time of the whole run, s.")
    harness_share: float | None = Field(default=None, description="Share of the run's time not spent in the model.")
    peak_memory_gb: float | None = Field(default=None, description="Peak resident memory of all processes, GB.")
    device_memory_gb: float | None = Field(default=None, description="Peak memory of the accelerator, GB.")


class ModelInfo(Record):
    """The model as it was run."""

    name: str = Field(description="Name on the model's card.")
    target: str = Field(description="What was given on the command line: a path or scheme:rest.")
    sha256: str | None = Field(description="Hash of the model's files; null where there are none to hash.")
    track: Literal["zero-shot", "trained", "privileged"] = Field(
        description="zero-shot; trained: on the `train` split; privileged: it sees the clips' hidden states."
    )
    chained: int = Field(description="Most calls along time that a clip needed; above 1 the model's horizon is short.")
    card: Card = Field(description="The model card: size, rate, context and what it uses.")
    args: dict[str, str] = Field(description="Arguments given with --model-arg.")


class PartialRun(Record):
    """Reason that a run has ended before its suite, and what is missing."""

    by: Literal["budget", "until", "now"] = Field(
        description="budget: the time of `--budget` was spent; until: the interval was as narrow as `--until` asked; "
        "now: the run goes on, this is what it has found so far."
    )
    asked: str = Field(default="", description='What was asked for: "2h", "0.05".')
    clips: int = Field(description="Clips that the result rests on.")
    of: int = Field(description="Clips that were asked for.")
    missing: list[str] = Field(description="Ids of the others.")
    look: int | None = Field(default=None, description="Number of the look at which `--until` ended it, from 1.")
    looks: int | None = Field(default=None, description="Looks that the run would have had in all.")
    level: float | None = Field(
        default=None,
        description="Level of the interval of overall: with it, those of all looks contain the skill 95 % of the time.",
    )


# The field `expectation` of result.json: is the model more surprised by impossible films than by possible ones?


class PairShare(Record):
    """Share of some pairs that are told apart: the impossible film has the higher surprise; a tie counts half."""

    accuracy: float | None = Field(description="Share of the pairs, 0..1; chance is 0.5; null where there is no pair.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    pairs: int = Field(description="Number of pairs.")
    reason: str = Field(default="", description="Why the accuracy or its interval is null.")


class SizeResult(Record):
    """One size of one kind."""

    size: float = Field(description="Severity of the violation, in the unit of the kind.")
    accuracy: float | None = Field(description="Share of the pairs that are told apart by the mean over time.")
    accuracy_maximum: float | None = Field(description="The same by the maximum over time.")
    curve: float | None = Field(description="The fitted psychometric curve at this size; null where none is fitted.")
    pairs: int = Field(description="Pairs whose evidence the model can see.")
    counts: bool = Field(
        description="Whether it is in the mean: no baseline that knows no physics notices it in more than 60 %."
    )
    solved_by: list[str] = Field(description="Baselines that do.")
    baselines: dict[str, float | None] = Field(description="Accuracy of each baseline that knows no physics, by name.")
    beside: dict[str, float | None] = Field(
        default_factory=dict, description="The same of physicist, model in tracks and untrained copy, where known."
    )


class NoticedFrom(Record):
    """The size of a violation that is noticed in 75 % of the pairs."""

    size: float | None = Field(description="In the unit of the kind; null where it is not reached, see `reason`.")
    interval: tuple[float | None, float | None] | None = Field(
        description="95 % interval over clips, in the order of what is larger; null for an end beyond the largest size."
    )
    below_smallest: bool = Field(default=False, description="Whether even the smallest size is noticed: at most this.")
    reason: str = Field(default="", description="Why there is no size.")


class ExpectationKindResult(PairShare):
    """One kind of impossible event."""

    noun: str = Field(description='What is noticed: "jumps".')
    unit: str = Field(description='Unit of its sizes; "" where it is there or not.')
    said: str = Field(description='The threshold in words: "from 0.4 diameters on"; "never"; "" where there is none.')
    threshold: NoticedFrom | None = Field(description="Null for a kind without sizes.")
    baseline_thresholds: dict[str, NoticedFrom] = Field(description="The same of each baseline that knows no physics.")
    beside_thresholds: dict[str, NoticedFrom] = Field(
        default_factory=dict, description="The same of physicist, model in tracks and untrained copy, where known."
    )
    counted: float | None = Field(description="Accuracy over the sizes that are in the mean; null where none is.")
    peak: float | None = Field(
        description="Median time from the event to the largest surprise, s; negative before it; null without a pair, "
        "and where surprise depends on what comes."
    )
    sizes: list[SizeResult] = Field(description="By size, from small to large.")


class ControlResult(Record):
    """Films that are lawful and new."""

    shows: str = Field(description="What is new in them.")
    films: int = Field(description="How many.")
    alarms: float | None = Field(description="Share with an alarm: a false one.")


class ObserverResult(Record):
    """Somebody else on the same pairs: a baseline that knows no physics, the physicist, the untrained network.

    "in tracks" is the model itself, by the places of bodies in its frames instead of their pixels.
    """

    counted: float | None = Field(description="Mean accuracy over what is in the mean.")
    all: float | None = Field(description="Mean accuracy over all kinds.")
    auroc: float | None = Field(description="Area under the curve, controls among the negatives.")
    interval: Interval | None = Field(default=None, description="Of the mean over all kinds. " + INTERVAL_MEANING)
    pairs: int = Field(default=0, description="How many of the pairs it judges.")
    reason: str = Field(default="", description="Why it judges none.")


class ExpectationResult(Record):
    """Violation of expectation: which impossible events the model notices, and from which size on."""

    unit: str = Field(description="What a surprise is measured in, before it is divided by its usual level.")
    way: str = Field(description="How the surprise was read off the model.")
    settings: dict[str, str] = Field(description="What was fixed beforehand: span, stride, levels.")
    counted: PairShare = Field(description="Mean over kinds of the sizes that no baseline without physics notices.")
    everything: PairShare = Field(description="Mean over kinds of all sizes.")
    everything_maximum: PairShare = Field(description="The same by the maximum over time.")
    auroc: float | None = Field(
        description="Probability that an impossible film has a higher mean surprise than a lawful one, of any clip; "
        "possible films and controls are the negatives."
    )
    auroc_maximum: float | None = Field(description="The same by the maximum over time.")
    hits: float | None = Field(description="Share of impossible films with an alarm.")
    alarm_level: float | None = Field(
        description="Surprise, over its usual level, that 95 % of the possible films stay below: more is an alarm."
    )
    controls: dict[str, ControlResult] = Field(description="By control: false alarms.")
    beyond_memory: PairShare = Field(
        description="Pairs whose evidence lies further back than the model sees; in no other figure."
    )
    kinds: dict[str, ExpectationKindResult] = Field(description="By kind.")
    observers: dict[str, ObserverResult] = Field(
        description="Baselines that know no physics, physicist, the model in tracks, untrained copy; by name."
    )
    baselines: list[str] = Field(
        default=["frozen frame", "frame difference", "optical flow", "constant velocity"],
        description="Names of those observers that know no physics.",
    )
    baseline: str = Field(
        default="pixel baseline",
        description='What one of those is called: "pixel baseline"; "state baseline" where states were predicted.',
    )
    not_shown: list[str] = Field(
        default=[], description="Kinds of impossible events that the model is not asked about: states show no looks."
    )
    failed: int = Field(description="Pairs in which the model failed; they count as not told apart.")
    ahead: float = Field(
        default=0.0,
        description="How far ahead (s) surprise may depend on what comes, as the model says: whole films are compared.",
    )
    looks_ahead: str = Field(
        default="", description="Where surprise differs before two films do, so that the model saw what comes: how."
    )


SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("result.schema.json")


class SuiteInfo(Record):
    """The clips."""

    name: str = Field(description="Name of the suite.")
    version: int = Field(description="Rises with any change of its clips or of a headline scorer.")
    hash: str = Field(description="Hash of the rows that were run and of their simulated states.")
    local: bool = Field(
        description="True where this machine does not reproduce the suite's golden states, or tasks were added to it."
    )
    clips: int = Field(description="Number of clips that were run.")
    of: int | None = Field(default=None, description="Number of clips in the suite; null where that is not known.")
    tasks: list[str] = Field(description="Tasks that were run.")
    complete: bool = Field(description="Whether every clip of the suite was run, and no other.")
    kinds: Literal["suite", "run"] = Field(
        default="run",
        description="Where it comes from which tasks are informative: fixed for the suite's version and a class of "
        "sizes (suite), or found in the clips of this run (run).",
    )


class SkillValue(Record):
    """A skill: 1 is ground truth, 0 the frozen last frame."""

    skill: float | None = Field(description="Skill; null with the reason.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    reason: str = Field(default="", description="Why the skill or its interval is null.")


class QualityValue(Record):
    """A mean quality, 0..1."""

    quality: float | None = Field(description="Mean quality over clips, 0..1; null where no clip counts.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    clips: int = Field(description="Clips that count: those in which ground truth has a quality.")
    reason: str = Field(default="", description="Why the quality or its interval is null.")


class AxisResult(SkillValue):
    """One axis over all families."""

    quality: float | None = Field(description="Mean quality over families, 0..1.")
    quality_interval: Interval | None = Field(description=INTERVAL_MEANING)
    informative: int = Field(description="Number of informative tasks.")
    guards: int = Field(description="Number of guard tasks, which can only cost.")
    unscored: int = Field(description="Number of tasks that are not scored on this axis.")


class FamilyResult(QualityValue):
    """One family on one axis."""

    skill: float | None = Field(description="Mean skill of the informative tasks; null where there is none.")
    skill_interval: Interval | None = Field(description=INTERVAL_MEANING)
    tasks_interval: Interval | None = Field(
        default=None,
        description="95 % interval of the skill on tasks like these: tasks are resampled, not clips; null for fewer "
        "than 3 informative tasks.",
    )
    guard: float | None = Field(
        description="What its guard tasks take from the axis, at most 0; null where there is none. An axis is the mean "
        "of the families' skills plus the sum of these, at least -1."
    )


class TaskResult(QualityValue):
    """One task on one axis."""

    kind: Literal["informative", "guard", "unscored", "absent"] = Field(
        description="informative: quality of truth exceeds that of freeze by 0.25; guard: it does not, and can only "
        "cost; unscored: truth and freeze are both below 0.5; absent: no clip counts."
    )
    why: str = Field(description="The kind in words, with the two qualities.")
    skill: float | None = Field(description="Skill of an informative task, or the (negative) cost of a guard.")
    skill_interval: Interval | None = Field(description=INTERVAL_MEANING)
    references: dict[str, float | None] = Field(
        description="Mean quality of truth, freeze and constant-velocity on the same clips."
    )
    splits: dict[str, QualityValue] = Field(description="Each split alone.")


class GapValue(Record):
    """Quality lost outside the ranges of training: that of `test` minus that of `ood`."""

    test: float | None = Field(description="Mean quality of the test clips, 0..1.")
    ood: float | None = Field(description="Mean quality of the ood clips of the same tasks, 0..1.")
    gap: float | None = Field(description="test minus ood: above 0 where the model does worse out of range.")
    truth: float | None = Field(description="The same of ground truth: what the clips themselves make of it.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    reason: str = Field(default="", description="Why the gap or its interval is null.")


class PartSkill(Record):
    """Skill in a part of the clips, between ground truth and the frozen frame in these clips."""

    clips: int = Field(description="Clips of the part.")
    tasks: int = Field(description="Tasks that have any.")
    mean: float | None = Field(description="Mean time of their deciding events, s; null of difficulty.")
    overall: SkillValue = Field(description="Overall skill.")
    axes: dict[str, SkillValue] = Field(description="Skill by axis.")
    constant_velocity: float | None = Field(description="Overall skill of constant velocity in these clips.")


class VelocityErrors(Record):
    """PhyWorld's errors of velocity in one task and split, in its units of length (0.512 m) a second; low is good."""

    paper: float | None = Field(description="By its paper: mean over balls and frames of |v - v'|, mean over clips.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    code: float | None = Field(
        description="By its code: |mean v - mean v'| along x, in a collision after the hit; mean over clips."
    )
    code_before: float | None = Field(description="The same before the hit; null where there is none.")
    missing: float | None = Field(description="Share of balls and frames in which a ball is not seen, 0..1.")
    clips: int = Field(description="Clips with a value.")
    of: int = Field(description="Clips in which ground truth has one: what failed is missing here.")
    references: dict[str, dict[str, float | None]] = Field(
        description="paper and code of truth, freeze and constant-velocity."
    )
    skill: SkillValue = Field(description="Skill in these clips, on the axes on which they are informative.")
    reason: str = Field(default="", description="Why the interval is null.")


class CombinationGap(Record):
    """A measure in templates that all training sets hold and in templates that none holds."""

    trained: float | None = Field(description="Mean over clips of trained templates (`test`), 0..1.")
    held_out: float | None = Field(description="The same of held-out templates (`ood`).")
    gap: float | None = Field(
        description="What held-out templates cost: quality that is lost, or by how much more clips are abnormal."
    )
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    references: dict[str, dict[str, float | None]] = Field(
        description="The measure of truth, freeze and constant-velocity by split, on the same clips."
    )
    reason: str = Field(default="", description="Why gap or interval are null.")


class BestOf(Record):
    """Skill where of each clip's samples the best counts, chosen after the fact: never the score."""

    samples: int = Field(description="K, samples a clip.")
    overall: float | None = Field(description="Overall skill of the best of K.")
    axes: dict[str, float | None] = Field(description="The same on each axis; the best sample is that of the axis.")


class DistributionValue(Record):
    """A property of the samples: mean over families of the mean over their clips."""

    value: float | None = Field(description="Null where no clip tells it.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    clips: int = Field(description="Clips that tell it.")
    reason: str = Field(default="", description="Why value or interval are null.")


class Distribution(Record):
    """Samples of each clip as a forecast of what its context leaves open: beside the score, never part of it."""

    samples: int = Field(description="K, samples a clip.")
    crps: DistributionValue = Field(description="CRPS of positions, in apparent diameters; less is better.")
    open: float | None = Field(description="CRPS of what the context leaves open: the least that can be expected.")
    spread_over_error: DistributionValue = Field(
        description="Error that the samples' spread stands for, over that of their mean: 1 is calibrated, less is too "
        "sure."
    )
    lawful: DistributionValue = Field(
        description="Share of samples that laws explain throughout, at the smallest tolerance."
    )
    lawful_truth: float | None = Field(description="The same of ground truth.")
    bins: DistributionValue | None = Field(
        default=None,
        description="Total variation between the bins in which samples end and those that chance picks; null where no "
        "clip has bins.",
    )
    open_bins: float | None = Field(default=None, description="The same of as many simulations.")
    equal: bool = Field(
        default=False, description="Samples of each clip are the same: of a deterministic model, one tells all."
    )


class FreedFactor(Record):
    """Fitted gravity or central masses where the context does not show them, over those of the scene."""

    value: float | None = Field(description="Median over the clips that have one; null where there is none.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    clips: int = Field(description="Clips that have one.")
    reason: str = Field(default="", description="Why the value or its interval is null.")


class UnseenFamily(FamilyResult):
    """One family on consistency where unseen constants are free."""

    applies: int = Field(description="Clips of the family in which the context does not show every constant.")
    factor: FreedFactor = Field(description="What was found in them.")


class UnseenTask(TaskResult):
    """One task on consistency where unseen constants are free."""

    applies: int = Field(description="Clips of the task in which the context does not show every constant.")
    factor: FreedFactor = Field(description="What was found in them.")


class UnseenConstants(Record):
    """Consistency where constants that the context does not show are free: never in an axis or overall."""

    clips: int = Field(description="Clips in which the context does not show every constant; the others are as ever.")
    consistency: AxisResult = Field(description="Over all families.")
    families: dict[str, UnseenFamily] = Field(description="By family.")
    tasks: dict[str, UnseenTask] = Field(description="By task.")
    factor: FreedFactor = Field(description="What was found in these clips, whatever pulls in them.")


class ReadingValue(Record):
    """A reading on one task: its mean or median over clips, in the reading's unit."""

    value: float | None = Field(description="Over the clips that have a value, each the mean over its samples.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    clips: int = Field(description="Clips with a value.")
    applicable: int = Field(description="Clips in which ground truth has a value.")
    references: dict[str, float | None] = Field(description="The same of truth, freeze and constant-velocity.")
    departs: bool = Field(description="Whether the interval lies outside that of ground truth.")
    reason: str = Field(default="", description="Why the value or its interval is null.")


class ReadingResult(Record):
    """One reading, by task."""

    unit: str = Field(description="Unit of the values.")
    axis: str | None = Field(description="The axis whose quality it is; null: a diagnostic outside every mean.")
    statistic: Literal["mean", "median"] = Field(
        description="How clips are brought together: mean for the parts of an axis, median for other diagnostics."
    )
    tasks: dict[str, ReadingValue] = Field(description="Values by task, where it applies.")


class LeftOut(Record):
    """Clips that are left out for one reason."""

    reason: str = Field(description="Why; of a number that differs from clip to clip the least and the largest.")
    clips: int = Field(description="How many.")
    tasks: dict[str, int] = Field(description="How many of each task.")


class ReadingCounts(Record):
    """In how many clips one of an axis's readings is valid."""

    valid: int = Field(description="Clips in which ground truth has a value.")
    not_valid: list[LeftOut] = Field(description="The others; where another reading of the axis is valid, they count.")


class Undetermined(Record):
    """Motion of which the model shows too little to be called lawful or not: it counts as unexplained."""

    clips: int = Field(description="Clips in which no segment is long enough to count: consistency 0.")
    of: int = Field(description="Clips that are shadowed.")
    share: float = Field(
        description="Share of the time in which objects should be visible that lies in segments too short to count, "
        "mean over the clips that are shadowed."
    )
    tasks: dict[str, int] = Field(description="`clips` by task.")


class AxisCounts(Record):
    """Number of clips that count on one axis, and reasons that others do not."""

    counted: int = Field(description="Clips that count: ground truth has a quality in a reading of the axis.")
    left_out: list[LeftOut] = Field(description="Clips that do not count, by reason.")
    readings: dict[str, ReadingCounts] = Field(description="By reading; quality is the mean of those that are valid.")
    undetermined: Undetermined | None = Field(description="Null on axes that do not ask for it.")


class Counts(Record):
    """Number of clips; a failed one has quality 0 and stays in every mean."""

    clips: int = Field(description="Clips asked for.")
    samples: int = Field(description="Samples a clip.")
    scored: int = Field(description="Clips with at least one scored sample.")
    failed: int = Field(description="Clips in which a sample failed.")


class Failure(Record):
    """A clip that failed."""

    clip: str = Field(description="Id of the clip.")
    sample: int = Field(description="Sample, from 0.")
    reason: str = Field(description="What went wrong.")


class Lawful(Record):
    """Time for which a prediction stays physical, in seconds from the hand-over."""

    seconds: float | None = Field(description="Mean over families of the mean over clips.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    horizon: float = Field(description="What was asked for, s.")
    references: dict[str, float | None] = Field(description="The same of truth, freeze and constant-velocity.")
    reason: str = Field(default="", description="Why seconds or the interval is null.")


class FirstBreaks(Record):
    """First breaks of the clips of a family, at the smallest tolerance."""

    clips: int = Field(description="Clips that are shadowed.")
    broken: int = Field(description="How many of them break.")
    at_handover: int = Field(description="How many break within 0.2 s of the hand-over.")
    median: float | None = Field(description="Median time of the first break, s, of those that break.")


class ReferenceResult(Record):
    """A reference model on the same clips, and how the model compares, clip by clip."""

    overall: SkillValue = Field(description="Its own overall skill.")
    axes: dict[str, SkillValue] = Field(description="Its own skill on each axis.")
    ahead: SkillValue = Field(description="Overall skill of the model minus that of the reference, paired.")
    ahead_axes: dict[str, SkillValue] = Field(description="The same on each axis.")


class BeyondMemory(Record):
    """The skill that a table of training clips does not explain: that of the model minus that of `baseline:memory`."""

    stated: int | None = Field(description="Training clips that the card states; 1,500 for a zero-shot model.")
    clips: int | None = Field(
        default=None, description="Clips of the memory compared with: the smallest published one with as many or more."
    )
    memory: SkillValue | None = Field(default=None, description="Published overall skill of that memory.")
    memory_axes: dict[str, SkillValue] = Field(default_factory=dict, description="The same on each axis.")
    overall: SkillValue | None = Field(default=None, description="Overall skill of the model minus that of the memory.")
    axes: dict[str, SkillValue] = Field(default_factory=dict, description="The same on each axis.")
    reason: str = Field(default="", description="Why there is no comparison.")


class ResultDocument(Record):
    """Result of one evaluation."""

    schema_version: Literal[1] = Field(description="Version of this document's layout.")
    physbench_version: str = Field(description="Version of the program that wrote it.")
    provisional: bool = Field(
        description="True while headline scorers may still change: not for publication; its version is shown with -dev."
    )
    note: str = Field(default="", description='What limits the figures: "a look, not a score: 4 clips a task".')
    partial: PartialRun | None = Field(
        default=None, description="Where it is the result of a part of what was asked for; null for all of it."
    )
    model: ModelInfo = Field(description="Which model it was, and how it was run.")
    suite: SuiteInfo = Field(description="Which clips it was run on.")
    render_spec: str = Field(description='Size and rate of the clips, "64x64@15": width x height @ frames/s.')
    context: int = Field(description="Context frames that the model was given and that count as seen.")
    sentences: list[str] = Field(description="The answer in words.")
    findings: list[Finding] = Field(
        default_factory=list, description="What is wrong, most explaining first: the sentences are made from it."
    )
    overall: SkillValue = Field(description="Mean of what the families add.")
    by_family: dict[str, SkillValue] = Field(
        default_factory=dict,
        description="What each family adds: the mean over its tasks of their skill on the axes on which they are "
        "informative, less the share of it that its guards take; empty in files of older programs.",
    )
    axes: dict[str, AxisResult] = Field(description="By axis: consistency, permanence, drift (higher is better).")
    families: dict[str, dict[str, FamilyResult]] = Field(description="By family, then axis.")
    tasks: dict[str, dict[str, TaskResult]] = Field(description="By task, then axis.")
    splits: dict[str, dict[str, QualityValue]] = Field(description="By split, then axis: mean over families.")
    gaps: dict[str, dict[str, GapValue]] = Field(
        default_factory=dict,
        description='Generalisation gap by level, then axis: "all" (mean over families), each family, each task.',
    )
    references: dict[str, ReferenceResult] = Field(description="Reference models, by name.")
    beyond_memory: BeyondMemory | None = Field(
        default=None, description="Beside the memory of as many training clips; null in files of older programs."
    )
    best_of: BestOf | None = Field(default=None, description="Best of K samples; null for one sample a clip.")
    distribution: Distribution | None = Field(
        default=None, description="The samples of each clip together; null for one sample a clip."
    )
    unseen_constants: UnseenConstants | None = Field(
        default=None,
        description="Consistency with unseen constants free; null where every context shows every constant.",
    )
    first_breaks: dict[str, FirstBreaks] = Field(description="By family; {} where shadowing was not read.")
    strength: StrengthResult | None = Field(
        default=None, description="The smallest tolerance without a break; null where it was not read."
    )
    lawful: Lawful | None = Field(description="How long a prediction stays physical; null where it was not read.")
    implied_worlds: dict[str, ImpliedWorldResult] = Field(
        default_factory=dict,
        description="By family: which other laws would explain its motion; {} where `--no-diagnosis` was asked for.",
    )
    timing: TimingResult | None = Field(
        default=None,
        description="What is wrong with the timing of frames; null where nothing is, where nothing is lost, and where "
        "`--no-diagnosis` was asked for.",
    )
    event_frequency: dict[str, dict[str, EventFrequencyResult]] = Field(
        default_factory=dict,
        description="By task and kind (meeting, bounce, hiding): how often what decides a scene happens behind one "
        "image; the largest share lost is taken off the consistency of the task. {} behind a video.",
    )
    by_part: dict[str, dict[str, PartSkill]] = Field(
        default_factory=dict,
        description="Where it breaks: by difficulty and by event (the time of what decides a clip), each by third of "
        "every task's clips, as the tasks declare them; {} where none does, and in files of older programs.",
    )
    velocity_errors: dict[str, dict[str, VelocityErrors]] = Field(
        default_factory=dict, description="By task of the suite `phyworld` and split; {} on every other suite."
    )
    combinations: dict[str, CombinationGap] = Field(
        default_factory=dict,
        description="By measure (consistency, permanence, abnormal) on the suite `combo`; {} on every other suite.",
    )
    readings: dict[str, ReadingResult] = Field(description="Every reading that has a value, by id.")
    counts: Counts = Field(description="How many clips.")
    axis_counts: dict[str, AxisCounts] = Field(
        default_factory=dict, description="By axis: how many clips count, are left out and why, and show too little."
    )
    failures: list[Failure] = Field(description="Clips that failed.")
    unavailable: dict[str, str] = Field(description="Readings that could not be computed here, with the reason.")
    expectation: ExpectationResult | None = Field(
        default=None, description="Surprise at impossible events; null on every suite but `expectation`."
    )
    speed: Speed = Field(description="Speed and memory.")

    @property
    def suite_label(self) -> str:
        return suite_label(self.suite.name, self.suite.version, self.provisional)

    @property
    def look(self) -> str:
        """In which the clips were shown: the look, and the view where it is not far."""
        return self.model.card.spec.picture


def json_schema() -> dict[str, Any]:
    """The JSON Schema of result.json, also of files of older programs: fields with a default are not required."""
    schema = ResultDocument.model_json_schema(mode="serialization")
    schema["properties"][SEAL] = SEAL_SCHEMA
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "physbench result", **schema}


def check_version(document: Any, where: str) -> None:
    """Raise UsageError for a document of a newer physbench, naming both versions, and for one that is no result."""
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise UsageError(f"{where}: expected a result of physbench with a schema_version, got none.")
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{where} has schema version {version}; this physbench reads up to {SCHEMA_VERSION}. Update physbench."
        )


def read_result(path: Path) -> ResultDocument:
    """Read a result.json of this version or an older one. Raises UsageError with what is wrong with the file."""
    try:
        document = read_sealed_json(path, required=False)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    except DamagedFileError as error:
        raise UsageError(
            f"{path} is damaged: {error}. In a run, `physbench report {path.parent}` writes it again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not JSON ({error}).") from error
    check_version(document, str(path))
    try:
        return ResultDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        theirs = document.get("physbench_version")
        if first["type"] in ("extra_forbidden", "card") and isinstance(theirs, str) and theirs != __version__:
            raise UsageError(
                f"{path} was written by physbench {theirs}; physbench {__version__} does not know its {place}. "
                "Read it with that version, or a later one."
            ) from error
        raise UsageError(f"{path}: {place}: {first['msg']} (and {error.error_count() - 1} more).") from error


def write_document(path: Path, result: ResultDocument) -> None:
    """Write a result.json that `read_result` reads."""
    write_sealed_json(path, result.model_dump(mode="json"))


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
