"""What is blamed: large and sure, in words that need no expert."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from physbench.diagnosis.world_library import WORLDS
from physbench.results.blame import LOOK_OFF, blame, kept_lawful
from physbench.results.build_result import build_result
from physbench.results.law_phrases import builtin_phrases
from physbench.results.schema import FirstBreaks, ReadingValue, ResultDocument
from physbench.results.schema_parts import (
    EventFrequencyResult,
    ImpliedLawResult,
    ImpliedWorldResult,
    StrengthResult,
    StrengthValue,
)

LAWS = builtin_phrases()
FALL, ORBIT = "falling/projectile-v1", "orbits/kepler-v1"
NO_CONTACTS = ImpliedLawResult(
    id="no-contacts",
    short="no contacts",
    phrase="nothing touched anything",
    unit="",
    value=None,
    interval=None,
    true=None,
    seen="walls, floors and bodies stop nothing",
)
MASS = ImpliedLawResult(
    id="central-mass",
    short="central mass",
    phrase="central masses were 0.8 [0.7, 0.9] times as large",
    unit="",
    value=0.8,
    interval=(0.7, 0.9),
    true=1.0,
    seen="orbits are too wide",
)


@pytest.fixture
def document(make_run) -> ResultDocument:
    """A result with intervals of two families, no law named; `changed` alters it without another bootstrap."""
    return ResultDocument.model_validate(build_result(make_run(8, 0, tasks=(FALL, ORBIT)), resamples=50))


def changed(document: ResultDocument, kept: Mapping[str, float], **more: object) -> ResultDocument:
    """The document with other shares of lawful time by task, and other fields."""
    name = "consistency/shadowing.shadowing-time"
    timed = document.readings[name]
    tasks = {
        task: value.model_copy(update={"value": kept[task], "references": {**value.references, "truth": 1.0}})
        for task, value in timed.tasks.items()
    }
    readings = {name: timed.model_copy(update={"tasks": tasks})}
    return document.model_copy(update={"readings": readings, **more})


def world(*laws: ImpliedLawResult, **more: object) -> ImpliedWorldResult:
    """A changed world that explains most of a family's motion."""
    found = {"clips": 12, "unexplained": 0.6, "verdict": "named", "laws": list(laws), "share": 0.8}
    return ImpliedWorldResult.model_validate({**found, "interval": (0.7, 0.9), "alike": [], "ranking": {}, **more})


def gravity(value: float, interval: tuple[float, float] | None, departs: bool) -> ReadingValue:
    """A reading of gravity in eight clips."""
    return ReadingValue(
        value=value, interval=interval, clips=8, applicable=8, references={"truth": 9.81}, departs=departs
    )


def with_gravity(document: ResultDocument, kept: Mapping[str, float], value: ReadingValue) -> ResultDocument:
    """The document with a reading of gravity in the falling task."""
    found = changed(document, kept)
    reading = document.readings["laws/gravity"].model_copy(update={"tasks": {FALL: value}})
    return found.model_copy(update={"readings": {**found.readings, "laws/gravity": reading}})


def test_a_law_of_a_family_that_loses_as_much_is_named_before_a_worse_family_without_one(document) -> None:
    named = {"falling": world(NO_CONTACTS), "orbits": world(verdict="no simple law", share=0.2)}
    near = changed(document, {FALL: 0.3, ORBIT: 0.1}, implied_worlds=named)
    found = blame(near, LAWS)
    assert found.family == "falling"
    assert found.sentence == (
        "Clearest in falling: as if nothing touched anything, so that walls, floors and bodies stop nothing "
        "(explains 80 % of what the true laws do not)."
    )
    small = changed(document, {FALL: 0.8, ORBIT: 0.1}, implied_worlds=named)
    assert blame(small, LAWS).family == "orbits", "sure, but small beside what orbits lose"


def test_a_value_whose_interval_holds_the_true_one_is_not_named(document) -> None:
    kept = {FALL: 0.9, ORBIT: 0.1}
    sure = changed(document, kept, implied_worlds={"orbits": world(MASS)})
    assert blame(sure, LAWS).sentence.startswith(
        "Worst in orbits: as if central masses were 0.8 [0.7, 0.9] times as large, so that orbits are too wide ("
    )
    for unsure in (
        world(MASS.model_copy(update={"interval": (0.7, 1.1)})),
        world(MASS.model_copy(update={"interval": None})),
        world(MASS, interval=(-0.1, 0.9)),
        world(MASS, interval=None),
    ):
        said = blame(changed(document, kept, implied_worlds={"orbits": unsure}), LAWS).sentence
        assert "central masses" not in said


def test_a_reading_is_named_where_its_interval_excludes_the_truth_and_in_a_look_where_it_is_far_off(document) -> None:
    kept = {FALL: 0.1, ORBIT: 0.9}
    sentences = {
        name: blame(with_gravity(document, kept, value), LAWS).sentence
        for name, value in {
            "sure": gravity(8.0, (7.5, 8.5), True),
            "unsure": gravity(8.0, (5.0, 10.0), False),
            "far": gravity(3.0, None, False),
            "near": gravity(9.81 - 0.9 * LOOK_OFF * LAWS["laws/gravity"].breaks_at, None, False),
            "above": gravity(12.0, (11.0, 13.0), True),
        }.items()
    }
    assert sentences["sure"] == (
        "Worst in falling: gravity 8.0 m/s² [7.5, 8.5] where the truth has 9.8, so that things fall too slowly."
    )
    assert sentences["above"].endswith("so that things fall too fast.")
    assert "gravity 3.0 m/s² where the truth has 9.8" in sentences["far"]
    assert "gravity" not in sentences["unsure"] + sentences["near"]


def test_without_a_law_the_size_the_time_and_the_sight_are_said(document) -> None:
    first = FirstBreaks(clips=8, broken=7, at_handover=2, median=0.42)
    strength = StrengthResult.model_validate(
        {"all": None, "families": {}, "tasks": {}, "references": {}}
        | {"all": StrengthValue(median=0.6, quartiles=(0.4, 0.9), clips=8).model_dump()}
        | {"families": {"orbits": StrengthValue(median=0.61, quartiles=(0.4, 0.9), clips=8).model_dump()}}
    )
    found = changed(
        document, {FALL: 0.9, ORBIT: 0.1}, first_breaks={"orbits": first}, strength=strength,
        implied_worlds={"orbits": world(verdict="no simple law", share=0.1)},
    )  # fmt: skip
    assert blame(found, LAWS).sentence == (
        "Worst in orbits: in 7 of 8 clips things leave every path that the laws allow by 0.61 diameters, from 0.4 s on "
        "(medians); no one wrong law explains it."
    )


def test_truth_is_not_blamed_and_shares_are_those_of_truth(document) -> None:
    found = changed(document, {FALL: 1.0, ORBIT: 0.96})
    assert kept_lawful(found) == {"falling": 1.0, "orbits": pytest.approx(0.96)}
    assert blame(found, LAWS).family == "" and blame(found, LAWS).sentence == "No law breaks before the end."
    assert blame(document.model_copy(update={"tasks": {}}), LAWS) is None


def test_every_law_that_is_named_says_what_one_would_see() -> None:
    """An expert's reading (areal velocity, energy of an orbit, squared period) has no phrase at all."""
    assert all(any(law.seen) for law in LAWS.values())
    assert not {"laws/areal-velocity", "laws/orbit-energy", "laws/period"} & set(LAWS)
    says = {each.id: each.seen for each in WORLDS}
    assert {name for name, seen in says.items() if not all(seen)} == {"pass-through", "exchange"}, (
        "their law is a sight"
    )


def test_who_dodges_what_is_hard_is_told_so_where_no_law_breaks(document: ResultDocument) -> None:
    figures = {"clips": 32, "expected": 6.9, "fewest": 1, "reason": ""}
    dodged = EventFrequencyResult(**figures, seen=0, probability=1e-4, lost=1.0)
    met = EventFrequencyResult(**figures, seen=7, probability=0.6, lost=0.0)
    whole = {FALL: 1.0, ORBIT: 1.0}
    found = blame(changed(document, whole, event_frequency={FALL: {"meeting": dodged, "hiding": met}}), LAWS)
    assert found is not None and found.family == "falling"
    assert found.sentence == (
        "No law breaks before the end, since what is hard is avoided: a meeting in 0 of 32 clips of projectile, where "
        "lawful futures have 6.9."
    )
    found = blame(changed(document, whole, event_frequency={FALL: {"meeting": met}}), LAWS)
    assert found is not None and found.sentence == "No law breaks before the end."
