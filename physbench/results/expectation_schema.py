"""The field `expectation` of result.json: is the model more surprised by impossible films than by possible ones?"""

from __future__ import annotations

from pydantic import Field

from physbench.results.schema_parts import INTERVAL_MEANING, Interval, Record


class PairShare(Record):
    """How many of some pairs are told apart: the impossible film has the higher surprise; a tie counts half."""

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
