"""result.json: what one evaluation found. Every field has a description; `result.schema.json` is generated from here.

A new field has a default, so that older files of the same schema version can be read. Removing a field, or changing its
meaning, raises the version. A file with fields that this program does not know is refused, and both versions are named.

python -m physbench.results.schema     writes the published schema again
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from physbench import __version__
from physbench.clips.suite import suite_label
from physbench.errors import UsageError
from physbench.results.expectation_schema import ExpectationResult
from physbench.results.schema_parts import (
    INTERVAL_MEANING,
    EventFrequencyResult,
    Finding,
    ImpliedWorldResult,
    Interval,
    ModelInfo,
    PartialRun,
    Record,
    Speed,
    StrengthResult,
    TimingResult,
)
from physbench.storage.sealed_file import SEAL, SEAL_SCHEMA, DamagedFileError, read_sealed_json
from physbench.world.scene import PLAIN

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
    """How much of a quality is lost outside the ranges of training: that of `test` minus that of `ood`."""

    test: float | None = Field(description="Mean quality of the test clips, 0..1.")
    ood: float | None = Field(description="Mean quality of the ood clips of the same tasks, 0..1.")
    gap: float | None = Field(description="test minus ood: above 0 where the model does worse out of range.")
    truth: float | None = Field(description="The same of ground truth: what the clips themselves make of it.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    reason: str = Field(default="", description="Why the gap or its interval is null.")


class BestOf(Record):
    """Skill where of each clip's samples the best counts, chosen after the fact: never the score."""

    samples: int = Field(description="K, samples a clip.")
    overall: float | None = Field(description="Overall skill of the best of K.")
    axes: dict[str, float | None] = Field(description="The same on each axis; the best sample is that of the axis.")


class FreedFactor(Record):
    """What was found for gravity or central masses where the context does not show them, over that of the scene."""

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
    """What the model shows too little of to be called lawful or not: it counts as unexplained."""

    clips: int = Field(description="Clips in which no segment is long enough to count: consistency 0.")
    of: int = Field(description="Clips that are shadowed.")
    share: float = Field(
        description="Share of the time in which objects should be visible that lies in segments too short to count, "
        "mean over the clips that are shadowed."
    )
    tasks: dict[str, int] = Field(description="`clips` by task.")


class AxisCounts(Record):
    """How many clips count on one axis, and why others do not."""

    counted: int = Field(description="Clips that count: ground truth has a quality in a reading of the axis.")
    left_out: list[LeftOut] = Field(description="Clips that do not count, by reason.")
    readings: dict[str, ReadingCounts] = Field(description="By reading; quality is the mean of those that are valid.")
    undetermined: Undetermined | None = Field(description="Null on axes that do not ask for it.")


class Counts(Record):
    """How many clips; a failed one has quality 0 and stays in every mean."""

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
    """How long a prediction stays physical, in seconds from the hand-over."""

    seconds: float | None = Field(description="Mean over families of the mean over clips.")
    interval: Interval | None = Field(description=INTERVAL_MEANING)
    horizon: float = Field(description="What was asked for, s.")
    references: dict[str, float | None] = Field(description="The same of truth, freeze and constant-velocity.")
    reason: str = Field(default="", description="Why seconds or the interval is null.")


class FirstBreaks(Record):
    """When the clips of a family first break, at the smallest tolerance."""

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
    """What one evaluation found."""

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
        """The suite with its version."""
        return suite_label(self.suite.name, self.suite.version, self.provisional)

    @property
    def look(self) -> str:
        """In which the clips were shown."""
        return str(self.model.card.get("look", PLAIN))


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
        raise UsageError(f"{path} is damaged: {error}. In a run, `physbench report` writes it again.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not JSON ({error}).") from error
    check_version(document, str(path))
    try:
        return ResultDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        theirs = document.get("physbench_version")
        if first["type"] == "extra_forbidden" and isinstance(theirs, str) and theirs != __version__:
            raise UsageError(
                f"{path} was written by physbench {theirs}; physbench {__version__} does not know its {place}. "
                "Read it with that version, or a later one."
            ) from error
        raise UsageError(f"{path}: {place}: {first['msg']} (and {error.error_count() - 1} more).") from error


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the published schema."""
    path.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schema()
