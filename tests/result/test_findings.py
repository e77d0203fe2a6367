"""What is found to be wrong, and the diagnosis beside a run: written, read, refused when it is old, said in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_runs import SOURCES, built_once, make_manifest, make_rows, make_table, write_tables

from physbench.result.build import build_result
from physbench.result.diagnosis.worlds import WORLDS
from physbench.result.document import (
    EventFrequencyResult,
    Finding,
    FirstBreaks,
    ImpliedLawResult,
    ImpliedWorldResult,
    ReadingResult,
    ReadingValue,
    ResultDocument,
    StrengthResult,
    StrengthValue,
    TimingFault,
    TimingResult,
)
from physbench.result.findings import (
    FEWEST_CLIPS,
    SAID,
    Diagnosis,
    bounds,
    builtin_phrases,
    findings,
    implied_sentence,
    is_diagnosed,
    kept_lawful,
    read_diagnosis,
    write_diagnosis,
)
from physbench.result.sentences import worded_timing
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

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


def motion(document: ResultDocument) -> Finding:
    """The finding on the motion."""
    kinds = ("changed world", "law", "unlawful", "too few clips", "avoided", "lawful")
    (found,) = (each for each in findings(document, LAWS) if each.kind in kinds)
    return found


def changed(document: ResultDocument, kept: Mapping[str, float], **more: object) -> ResultDocument:
    """The document with other shares of lawful time by task, and other fields."""
    name = "consistency/shadowing.shadowing-time"
    timed = document.readings[name]
    tasks = {
        task: value.model_copy(update={"value": kept[task], "references": {**value.references, "truth": 1.0}})
        for task, value in timed.tasks.items()
    }
    readings = {name: timed.model_copy(update={"tasks": tasks})}
    kept_readings = {key: value for key, value in document.readings.items() if key.startswith("permanence/")}
    return document.model_copy(update={"readings": {**kept_readings, **readings}, **more})


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
    found = motion(near)
    assert found.family == "falling"
    assert found.sentence == (
        "Clearest in falling: as if nothing touched anything, so that walls, floors and bodies stop nothing "
        "(explains 80 % of what the true laws do not)."
    )
    small = changed(document, {FALL: 0.8, ORBIT: 0.1}, implied_worlds=named)
    assert motion(small).family == "orbits", "sure, but small beside what orbits lose"


def test_what_the_diagnosis_is_not_sure_of_is_not_named(document) -> None:
    kept = {FALL: 0.9, ORBIT: 0.1}
    sure = changed(document, kept, implied_worlds={"orbits": world(MASS)})
    assert motion(sure).sentence.startswith(
        "Worst in orbits: as if central masses were 0.8 [0.7, 0.9] times as large, so that orbits are too wide ("
    )
    found = motion(sure)
    assert (found.what, found.value, found.interval, found.share) == ("central-mass", 0.8, (0.7, 0.9), 0.8)
    for verdict in ("unsure", "no simple law"):
        unsure = changed(document, kept, implied_worlds={"orbits": world(MASS, verdict=verdict)})
        assert "central masses" not in motion(unsure).sentence


def test_a_reading_is_named_where_its_interval_excludes_the_truth_and_in_a_look_where_it_is_far_off(document) -> None:
    kept = {FALL: 0.1, ORBIT: 0.9}
    sentences = {
        name: motion(with_gravity(document, kept, value)).sentence
        for name, value in {
            "sure": gravity(8.0, (7.5, 8.5), True),
            "unsure": gravity(8.0, (5.0, 10.0), False),
            "far": gravity(3.0, None, False),
            "near": gravity(9.81 - 0.9 * SAID.many_thresholds * LAWS["laws/gravity"].breaks_at, None, False),
            "above": gravity(12.0, (11.0, 13.0), True),
        }.items()
    }
    assert sentences["sure"] == (
        "Worst in falling: gravity 8.0 m/s² [7.5, 8.5] where the truth has 9.8, so that things fall too slowly."
    )
    assert sentences["above"].endswith("so that things fall too fast.")
    assert "gravity 3.0 m/s² where the truth has 9.8" in sentences["far"]
    assert "gravity" not in sentences["unsure"] + sentences["near"]


def test_no_law_is_named_by_a_reading_of_a_task_whose_objects_are_mostly_lost(document) -> None:
    there = with_gravity(document, {FALL: 0.1, ORBIT: 0.9}, gravity(8.0, (7.5, 8.5), True))
    assert motion(there).kind == "law"
    name = "permanence/intact.survival"
    survival = there.readings[name]
    for task, kind in ((FALL, "unlawful"), (ORBIT, "law")):
        value = survival.tasks[task].model_copy(update={"value": 0.3, "clips": 8, "applicable": 8})
        lost = survival.model_copy(update={"tasks": {**survival.tasks, task: value}})
        assert motion(there.model_copy(update={"readings": {**there.readings, name: lost}})).kind == kind


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
    assert motion(found).sentence == (
        "Worst in orbits: motion is unlawful from 0.4 s on in 7 of 8 clips, 0.61 diameters off the nearest lawful path "
        "(medians). No single changed law explains it."
    )


def test_truth_is_lawful_and_shares_are_those_of_truth(document) -> None:
    found = changed(document, {FALL: 1.0, ORBIT: 0.96})
    assert kept_lawful(found) == {"falling": 1.0, "orbits": pytest.approx(0.96)}
    assert motion(found).family == "" and motion(found).sentence == "No law breaks before the end."
    assert {each.kind for each in findings(document.model_copy(update={"tasks": {}}), LAWS)} == {"objects kept"}


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
    found = motion(changed(document, whole, event_frequency={FALL: {"meeting": dodged, "hiding": met}}))
    assert found.family == "falling"
    assert found.sentence == (
        "No law breaks before the end, since what is hard is avoided: a meeting in 0 of 32 clips of projectile, where "
        "lawful futures have 6.9."
    )
    found = motion(changed(document, whole, event_frequency={FALL: {"meeting": met}}))
    assert found.sentence == "No law breaks before the end."


# Broken models: what is read of each, what has to be said first, and what must not be said at all.
HIDES, MEETS = "occlusion/screen-pass-v1", "collisions/head-on-v1"
FAMILIES = ("collisions", "falling", "occlusion", "orbits")
NO_LAW = {family: {"verdict": "no simple law", "share": 0.2} for family in ("collisions", "falling", "orbits")}
GRAVITY = {"id": "gravity", "short": "gravity", "phrase": "gravity were 0.80 [0.79, 0.81] times as strong"}
TIME = {"id": "speed-of-time", "short": "speed of time", "phrase": "time ran 0.02 [0.01, 0.03] times as fast"}
BOUNCE = {"id": "restitution", "short": "restitution", "phrase": "bounces kept 0.60 [0.5, 0.7] of what they should"}
ANY_LAW = r"as if|where the truth has"
BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "ground truth": ({}, r"No law breaks before the end\.", rf"{ANY_LAW}|Worst|% of"),
    "frozen": ({"skill": 0.0}, "Cannot be told from a frozen last frame", "law|Loses"),
    "black": (
        {"lawful": 0, "survival": 0, "reemergence": 0, "worlds": NO_LAW},
        "Loses 100 % .* 100 % in view",
        ANY_LAW,
    ),
    "noise": ({"lawful": 0, "survival": 0, "reemergence": 0, "unknown": 1}, "Loses 100 %", ANY_LAW),
    "dissolving": (
        {"lawful": 0.2, "survival": 0.44, "reemergence": 0, "gravity": (0.019, 1), "worlds": NO_LAW},
        "Loses 100 % of objects behind screens and 56 % in view",
        ANY_LAW,
    ),
    "dissolving, not diagnosed": (
        {"lawful": 0.2, "survival": 0.44, "reemergence": 0, "gravity": (0.019, 8)},
        "Loses 100 % .* and 56 % in view",
        ANY_LAW,
    ),
    "lost behind screens": (
        {"lawful": {HIDES: 0.4}, "reemergence": 0, "worlds": {"occlusion": {"laws": [TIME]}}},
        "Loses 100 % of objects behind screens",
        ANY_LAW,
    ),
    "gravity": (
        {"lawful": {FALL: 0.4}, "worlds": {"falling": {"laws": [GRAVITY]}}},
        "Worst in falling: as if gravity",
        "",
    ),
    "gravity, and lost behind screens": (
        {"lawful": {FALL: 0.4, HIDES: 0.5}, "reemergence": 0, "worlds": {"falling": {"laws": [GRAVITY]}}},
        "Clearest in falling: as if gravity|Worst in falling: as if gravity",
        "occlusion: as if",
    ),
    "gravity in two clips": (
        {"lawful": {FALL: 0.4}, "worlds": {"falling": {"laws": [GRAVITY], "verdict": "unsure", "explained_clips": 2}}},
        "Worst in falling: ",
        ANY_LAW,
    ),
    "gravity, read only": ({"lawful": {FALL: 0.4}, "gravity": (6.2, 8)}, "Worst in falling: gravity 6.2", "as if"),
    "gravity, read in one clip": ({"lawful": {FALL: 0.4}, "gravity": (6.2, 1)}, "Worst in falling: ", ANY_LAW),
    "gravity, read against the diagnosis": (
        {"lawful": {FALL: 0.4}, "gravity": (6.2, 8), "worlds": NO_LAW},
        "Worst in falling: .*No single changed law explains it",
        ANY_LAW,
    ),
    "restitution": (
        {"lawful": {MEETS: 0.5}, "worlds": {"collisions": {"laws": [BOUNCE]}}},
        "Worst in collisions: as if bou",
        "",
    ),
    "all constants": (
        {"lawful": 0.7, "worlds": {"falling": {"laws": [GRAVITY, BOUNCE]}}},
        ".*in falling: as if gravity were .* and bounces kept",
        "",
    ),
    "kicks": ({"lawful": 0.6, "worlds": NO_LAW}, "Worst in .*No single changed law", ANY_LAW),
    "jitter": ({"lawful": 0.9, "worlds": NO_LAW}, "Worst in .*No single changed law", ANY_LAW),
    "trembling": (
        {"lawful": 0.97, "jitter": 0.05, "worlds": {key: {"verdict": "lawful", "tremble": 0.05} for key in FAMILIES}},
        r"No law breaks.*\nLoses no.*\nPositions tremble by 0\.05 diameters, in each frame anew: that is no physics "
        r"and costs little\.",
        f"{ANY_LAW}|Worst",
    ),
    "trembling, which costs, and nothing else": (
        {"lawful": 0.8, "jitter": 0.1, "worlds": {key: {"verdict": "lawful", "tremble": 0.1} for key in FAMILIES}},
        r"Positions tremble by 0\.10 diameters, .*costs little up to 0\.06 diameters\.\nLoses no",
        f"{ANY_LAW}|Worst",
    ),
    "trembling, and gravity": (
        {
            "lawful": {FALL: 0.4},
            "jitter": 0.05,
            "worlds": {"falling": {"laws": [GRAVITY], "tremble": 0.05}, "orbits": {"verdict": "lawful"}},
        },
        r"Worst in falling: as if gravity.*\nLoses no.*\nPositions tremble by 0\.05 diameters in falling, in each",
        "",
    ),
    "out of a codec": (
        {"lawful": 0.97, "jitter": 0.03, "worlds": {key: {"verdict": "lawful", "tremble": 0.01} for key in FAMILIES}},
        "No law breaks",
        "tremble",
    ),
    "trembling in two clips": (
        {"jitter": 0.05, "clips": 2, "worlds": {"falling": {"verdict": "lawful", "tremble": 0.05}}},
        "No law breaks",
        "tremble",
    ),
    "mirrored": ({"lawful": 0.05, "worlds": NO_LAW}, "Worst in .*No single changed law", ANY_LAW),
    "reversed": ({"lawful": 0.1, "worlds": {"falling": {"laws": [TIME], "verdict": "unsure"}}}, "Worst in ", ANY_LAW),
    "constant velocity": (
        {"lawful": 0.3, "worlds": {**NO_LAW, "collisions": {"laws": [NO_CONTACTS.model_dump()]}}},
        ".*in collisions: as if nothing touched anything",
        "falling: as if",
    ),
    "slow time": ({"lawful": 0.5, "worlds": {"orbits": {"laws": [TIME]}}}, ".*in orbits: as if time ran", ""),
    "recoloured": (
        {"lawful": 0, "survival": 0.0, "reemergence": 0, "unknown": 1, "worlds": NO_LAW},
        "Loses 100 %.*\n100 % of the frames show .* in other colours",
        ANY_LAW,
    ),
    "extra objects": ({"doubled": 0.9}, r"No law breaks.*\n.*\n90 % of the frames show an object twice", ANY_LAW),
    "some vanish": ({"survival": 0.8, "lawful": 0.8, "worlds": NO_LAW}, "Loses .*20 % in view", f"{ANY_LAW}|Worst"),
    "some vanish, the others are kicked": (
        {"survival": 0.85, "lawful": 0.4, "worlds": NO_LAW},
        "Worst in .*\n.*15 % in view",
        ANY_LAW,
    ),
    "doubled, so that places are not known": (
        {"doubled": 0.4, "lawful": 0.8, "worlds": {key: {"verdict": "lawful"} for key in FAMILIES}},
        "Loses no object.*\n40 % of the frames show an object twice",
        f"{ANY_LAW}|Worst",
    ),
    "one clip a family": ({"lawful": 0.1, "clips": 1, "gravity": (6.2, 1)}, ".*too few of a family to say", ANY_LAW),
}


def like(document: ResultDocument, read: Mapping[str, Any]) -> ResultDocument:
    """The document with the readings of a broken model; by default those of ground truth."""
    lawful, clips = read.get("lawful", 1.0), read.get("clips", 8)
    shares = {task: lawful.get(task, 1.0) if isinstance(lawful, dict) else lawful for task in document.tasks}
    value = document.readings["permanence/intact.survival"].tasks[FALL]

    def reading(values: Mapping[str, float], truth: float, number: int = clips, unit: str = "1") -> ReadingResult:
        tasks = {
            task: value.model_copy(
                update={"value": own, "clips": number, "applicable": number, "interval": None, "departs": False}
                | {"references": {**value.references, "truth": truth}}
            )
            for task, own in values.items()
        }
        return ReadingResult(unit=unit, axis=None, statistic="mean", tasks=tasks)

    readings = {
        "consistency/shadowing.shadowing-time": reading(shares, 1.0),
        "consistency/shadowing.explained": reading(shares, 1.0),
        "permanence/intact.survival": reading(dict.fromkeys(shares, read.get("survival", 1.0)), 1.0),
        "permanence/intact.reemergence": reading({HIDES: read.get("reemergence", 1.0)}, 1.0),
        "permanence/intact.hallucinations": reading(dict.fromkeys(shares, read.get("unknown", 0.0)), 0.0),
        "permanence/intact.duplicates": reading(dict.fromkeys(shares, read.get("doubled", 0.0)), 0.0),
    }
    if "jitter" in read:
        readings["consistency/shadowing.jitter"] = reading(dict.fromkeys(shares, read["jitter"]), 0.002)
    if "gravity" in read:
        readings["laws/gravity"] = reading({FALL: read["gravity"][0]}, 9.81, read["gravity"][1], "m/s2")
    known = {"unit": "", "value": 0.8, "interval": (0.7, 0.9), "true": 1.0}
    worlds = {
        family: world(*(ImpliedLawResult.model_validate(known | law) for law in more.pop("laws", ())), **more)
        for family, more in ((family, dict(own)) for family, own in read.get("worlds", {}).items())
    }
    axes = document.axes
    if "skill" in read:
        axes = {name: axis.model_copy(update={"skill": read["skill"], "interval": None}) for name, axis in axes.items()}
    tasks = {
        task: {name: axis.model_copy(update={"clips": clips}) for name, axis in own.items()}
        for task, own in document.tasks.items()
    }
    return document.model_copy(
        update={"readings": readings, "implied_worlds": worlds, "axes": axes, "tasks": tasks, "first_breaks": {}}
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ResultDocument:
    """A result of four families."""
    folder = RunFolder(tmp_path_factory.mktemp("findings") / "run")
    rows = make_rows(8, 0)
    write_tables(folder, {source: make_table(rows, source, np.random.default_rng(1)) for source in SOURCES})
    write_json(folder.manifest, make_manifest(rows))
    return ResultDocument.model_validate(build_result(folder, resamples=50))


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_said_of_a_broken_model(whole: ResultDocument, name: str) -> None:
    read, first, never = BROKEN[name]
    document = like(whole, read)
    found = findings(document, LAWS)
    said = "\n".join(each.sentence for each in found)
    assert re.match(first, said), said
    assert not never or not re.search(never, said), said
    for each in found:
        if each.kind == "changed world":
            assert document.implied_worlds[each.family].verdict == "named"
        if each.kind in ("changed world", "law"):
            assert each.clips >= FEWEST_CLIPS and each.what and each.family


WEAK_GRAVITY = ImpliedLawResult(
    id="gravity",
    short="gravity",
    phrase="gravity were 0.630 [0.61, 0.65] times as strong",
    unit="",
    value=0.63,
    interval=(0.61, 0.65),
    true=1.0,
    seen="things fall too slowly",
)
NAMED = ImpliedWorldResult(
    clips=12,
    unexplained=0.6,
    verdict="named",
    laws=[WEAK_GRAVITY],
    share=0.81,
    interval=(0.7, 0.9),
    alike=[],
    ranking={"gravity": 0.81, "drag": 0.2},
)
UNNAMED = NAMED.model_copy(update={"verdict": "no simple law", "share": 0.2})
UNSURE = NAMED.model_copy(update={"verdict": "unsure", "explained_clips": 2})
LAWFUL = NAMED.model_copy(update={"verdict": "lawful", "laws": [], "share": 0.0, "unexplained": 0.01})


def test_it_is_part_of_the_result(make_run) -> None:
    folder = make_run(2, 0)
    assert built_once(folder, resamples=100).implied_worlds == {}
    write_diagnosis(folder, {"falling": NAMED, "orbits": LAWFUL})
    assert read_diagnosis(folder) == Diagnosis({"falling": NAMED, "orbits": LAWFUL})
    found = built_once(folder, resamples=100).implied_worlds
    assert found["falling"].laws[0].value == 0.63
    assert found["orbits"].verdict == "lawful"


LATE = TimingFault(kind="shift", value=-1.0, interval=(-1.02, -0.98), unit="frames", clips=11)
TIMING = TimingResult(
    clips=12,
    faults=[LATE],
    explained=0.9,
    interval=(0.8, 1.0),
    quality=0.62,
    undone=0.98,
    named=True,
    sentence="",
    remedy="",
)


def test_timing_that_explains_most_takes_the_place_of_a_law(make_run) -> None:
    folder = make_run(4, 0)
    write_diagnosis(folder, {"falling": NAMED})
    before = built_once(folder, resamples=100)
    assert before.timing is None and before.sentences[1].startswith("Clearest in falling: as if gravity")
    timing = worded_timing(TIMING, 15.0)
    write_diagnosis(folder, {"falling": NAMED}, timing)
    assert read_diagnosis(folder) == Diagnosis({"falling": NAMED}, timing)
    found = built_once(folder, resamples=100)
    assert found.timing.faults[0].kind == "shift"
    assert found.sentences[1].startswith(
        "Timing: predictions begin one frame late; with that undone, the laws explain 98 % of its motion instead of "
        "62 %. If the answer begins with the last context frame, leave it out"
    )
    assert len(found.sentences) == len(before.sentences)
    write_diagnosis(folder, {"falling": NAMED}, timing.model_copy(update={"named": False}))
    assert built_once(folder, resamples=100).sentences == before.sentences


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "shift", "value": 2.0}, "begin 2 frames early; with that undone"),
        ({"kind": "repeats", "value": 0.5, "period": 2}, "every second frame repeats the one before; with these taken"),
        ({"kind": "repeats", "value": 0.12}, "12 % of the frames repeat the one before"),
        ({"kind": "rate", "value": 0.8, "interval": (0.79, 0.81)}, "at 0.8 x real time [0.790, 0.810]"),
        ({"kind": "rate", "value": 0.8}, "If the model draws 18.8 frames/s, say so: fps=1200 / 64 of its card"),
        ({"kind": "rate", "value": 0.75}, "If the model draws 20 frames/s, say so: fps=20 of its card"),
        ({"kind": "rate", "value": 0.1}, "resample its answer to 15."),
    ],
)
def test_timing_in_words(fault: dict[str, object], words: str) -> None:
    own = TimingFault.model_validate(LATE.model_dump() | fault)
    assert words in worded_timing(TIMING.model_copy(update={"faults": [own]}), 15.0).sentence


def test_a_diagnosis_of_other_scores_is_not_read(make_run) -> None:
    folder = make_run(2, 0)
    write_diagnosis(folder, {"falling": NAMED})
    table = pd.read_parquet(folder.scores)
    table["value"] = 0.1
    table.to_parquet(folder.scores)
    assert read_diagnosis(folder) is None


def test_a_diagnosis_whose_hash_cannot_be_found_is_damaged(make_run) -> None:
    """One bit of the mark before the hash: without a hash, and no text any more."""
    folder = make_run(1, 0)
    write_diagnosis(folder, {"falling": NAMED})
    content = folder.diagnosis.read_bytes()
    for damaged in (content.replace(b"physbench-sha256:", b"physbench-sha2\xb56:"), b"{}"):
        folder.diagnosis.write_bytes(damaged)
        with pytest.raises(UsageError, match=r"is damaged .*physbench diagnose"):
            read_diagnosis(folder)
        assert not is_diagnosed(folder)


def test_the_first_law_to_break_is_what_explains_the_motion(make_run) -> None:
    folder = make_run()
    table = pd.read_parquet(folder.scores)
    first = (table["reading"] == "consistency/shadowing.shadowing-time") & (table["task"] == "falling/projectile-v1")
    table.loc[first, "value"] = 0.2
    table.to_parquet(folder.scores)
    read = "Worst in falling: gravity 6.2 m/s² "
    assert built_once(folder, resamples=100).sentences[1].startswith(read)
    for world, words in (
        (
            NAMED,
            "Worst in falling: as if gravity were 0.630 [0.61, 0.65] times as strong, so that things fall too slowly",
        ),
        (LAWFUL, read),  # of its own clips: what is read is of others
        (UNNAMED, "Worst in falling: 61 % of its motion is explained by the laws. No single changed law explains it."),
        (UNSURE, "Worst in falling: 61 % of its motion is explained by the laws."),
    ):
        write_diagnosis(folder, {"falling": world})
        assert built_once(folder, resamples=100).sentences[1].startswith(words)


def test_words() -> None:
    assert implied_sentence(LAWFUL) == "the true laws explain 99 % of the time; there is nothing to name"
    nothing = UNNAMED.model_copy(update={"laws": []})
    assert implied_sentence(nothing) == "no simple law explains it"
    assert implied_sentence(UNSURE) == "no law is sure: gravity would explain most, told by 2 clips"


def test_ends_of_intervals_differ() -> None:
    assert bounds(None) == ""
    assert bounds((0.61, 0.65)) == "[0.61, 0.65]"
    assert bounds((0.8996, 0.9004)) == "[0.8996, 0.9004]"
    assert bounds((3.0, 5.2)) == "[3.0, 5.2]"


def test_frames_that_come_twice_are_mended_by_leaving_them_out() -> None:
    """The rate follows from the repeats: another `fps` would be wrong with them and without."""
    twice = TimingFault(kind="repeats", value=0.5, interval=(0.48, 0.51), unit="1", clips=11, period=2)
    half = TimingFault(kind="rate", value=0.5, interval=(0.49, 0.51), unit="1", clips=11)
    remedy = worded_timing(TIMING.model_copy(update={"faults": [twice, half]}), 15.0).remedy
    assert remedy == "Leave the repeats out: what is left runs in real time at the same `fps`."
    slow = half.model_copy(update={"value": 0.8})
    assert "lower rate" in (apart := worded_timing(TIMING.model_copy(update={"faults": [twice, slow]}), 15.0).remedy)
    assert "18.8" in apart
