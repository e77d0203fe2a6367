"""Parts of result.json that stand for themselves: what all records share, and the diagnosis of a run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Interval = tuple[float, float]
INTERVAL_MEANING = "95 % interval [low, high]; null with the reason beside it."


class Record(BaseModel):
    """What all parts share: no unknown fields, frozen, no NaN."""

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
    """What is wrong with the timing of frames, and how much of what physical consistency loses that explains."""

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
    """How strongly some clips break the laws, in diameters: the smallest tolerance without a break; lower is better."""

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
    """How often a kind of event happens in the clips of a task behind one image, beside lawful futures."""

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
    card: dict[str, Any] = Field(description="The model card: size, rate, context and what it uses.")
    args: dict[str, str] = Field(description="Arguments given with --model-arg.")


class PartialRun(Record):
    """Why a run has ended before its suite, and what is missing."""

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
