"""The answer in words."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_runs import built_once

from physbench.result.findings import builtin_phrases, findings
from physbench.result.sentences import sentences
from physbench.score.score_clip import find_scorers
from physbench.support.run_folder import RunFolder

FEW = {"resamples": 400}


def alter(folder: RunFolder, reading: str, value: float | None, source: str = "model") -> None:
    """Set a reading (and its quality) in every clip."""
    place = folder if source == "model" else folder.reference(source)
    table = pd.read_parquet(place.scores)
    here = table["reading"] == reading
    table.loc[here, "value"] = value
    table.loc[here & table["axis"].notna(), "quality"] = value
    table.to_parquet(place.scores)


def drop(folder: RunFolder, reading: str) -> None:
    table = pd.read_parquet(folder.scores)
    table[~table["reading"].str.startswith(reading)].to_parquet(folder.scores)


def test_with_intervals(make_run) -> None:
    folder = make_run()
    table = pd.read_parquet(folder.scores)
    first = (table["reading"] == "consistency/shadowing.shadowing-time") & (table["task"] == "falling/projectile-v1")
    table.loc[first, "value"] = 0.2
    table.to_parquet(folder.scores)
    lawful, broken, lost = built_once(folder, **FEW).sentences
    assert re.fullmatch(r"Physical for 2\.\d s \[2\.\d, 2\.\d\] of 5 s \(freeze 0\.5, truth 5\.0\)\.", lawful)
    assert re.fullmatch(
        r"Worst in falling: gravity 6\.2 m/s² \[6\.\d, 6\.\d\] where the truth has 9\.8, so that things fall "
        r"too slowly\.",
        broken,
    )
    assert re.fullmatch(r"Loses 4\d % \[3\d, 4\d\] of objects behind screens and \d+ % in view\.", lost)


def test_a_look_gives_point_values(make_run) -> None:
    result = built_once(make_run(4, 0, suite="smoke"), **FEW)
    assert result.note == "a look, not a score: 4 clips a task"
    assert not any("[" in sentence for sentence in result.sentences)


def test_ground_truth_breaks_nothing(make_run) -> None:
    folder = make_run()
    folder.scores.write_bytes(folder.reference("truth").scores.read_bytes())
    lawful, broken, lost = built_once(folder, **FEW).sentences
    assert lawful.startswith("Physical for 5.0 s")
    assert broken == "No law breaks before the end."
    assert lost == "Loses no object behind screens."


def test_without_a_law_reading_the_explained_share_is_said(make_run) -> None:
    folder = make_run()
    drop(folder, "laws/")
    assert re.search(
        r"Worst in \w+: \d\d % of its motion is explained by the laws", built_once(folder, **FEW).sentences[1]
    )


def test_a_law_that_does_not_depart_is_not_named(make_run) -> None:
    """Gravity reads as in ground truth: another reading has to say what breaks."""
    folder = make_run(tasks=("falling/projectile-v1",))
    for source in ("model", "truth"):
        alter(folder, "laws/gravity", 9.81, source)
    assert "gravity" not in built_once(folder, **FEW).sentences[1]


def test_the_law_that_is_broken_most_is_named_and_not_the_one_that_is_small(make_run) -> None:
    """Friction .12 for .10 is off by a fifth, gravity 8.8 for 9.8 by a tenth: it is gravity that is broken."""
    folder = make_run(tasks=("falling/projectile-v1",))
    for place, gravity, friction in ((folder, 8.83, 0.12), (folder.reference("truth"), 9.81, 0.10)):
        table = pd.read_parquet(place.scores)
        rows = table[table["reading"] == "laws/gravity"]
        others = rows.assign(reading="laws/friction", value=friction, unit="1")
        table.loc[rows.index, "value"] = gravity
        pd.concat([table, others], ignore_index=True).to_parquet(place.scores)
    assert "gravity 8.8 m/s²" in built_once(folder, **FEW).sentences[1]


def test_what_breaks_at_the_hand_over_is_said_where_no_law_is_named(make_run) -> None:
    folder = make_run(tasks=("falling/projectile-v1",))
    for place, first in ((folder, 0.1), (folder.reference("truth"), 4.0)):
        table = pd.read_parquet(place.scores)
        table = table[~table["reading"].str.startswith("laws/")]
        rows = table[table["reading"] == "consistency/shadowing"]
        first_break = rows.assign(reading="consistency/shadowing.first-break", axis=None, quality=None, value=first)
        pd.concat([table, first_break], ignore_index=True).to_parquet(place.scores)
    result = built_once(folder, **FEW)
    assert result.first_breaks["falling"].model_dump() == {"clips": 32, "broken": 32, "at_handover": 32, "median": 0.1}
    assert result.sentences[1] == ("Worst in falling: motion is unlawful from 0.1 s on in 32 of 32 clips (medians).")


def test_only_readings_that_exist_are_said(make_run) -> None:
    folder = make_run()
    drop(folder, "consistency/shadowing.")
    drop(folder, "permanence/")
    sentences = built_once(folder, **FEW).sentences
    assert len(sentences) == 1
    assert sentences[0].startswith("Clearest in falling: gravity")


def test_where_most_objects_are_gone_that_is_said_before_any_law(make_run) -> None:
    """An untrained model showed nothing at all, and the second sentence spoke of the paths that things leave."""
    folder = make_run()
    first = built_once(folder, **FEW).sentences
    alter(folder, "permanence/intact.survival", 0.4)
    second = built_once(folder, **FEW).sentences
    assert "gravity" in first[1] and first[2].startswith("Loses")
    assert re.search(r"and 60 % .*in view\.", second[1]) and len(second) == 2, "too little is there to read a motion"


def test_objects_lost_in_view_only(make_run) -> None:
    folder = make_run()
    for source in ("model", "truth"):
        alter(folder, "permanence/intact.reemergence", 1.0, source)
    lost = built_once(folder, **FEW).sentences[2]
    assert re.fullmatch(r"Loses no object behind screens, but \d+ % in view\.", lost)


@pytest.mark.parametrize("count", [4, 24])
def test_nothing_scored(make_run, count: int) -> None:
    folder = make_run(count, 0)
    table = pd.read_parquet(folder.scores)
    failed = make_run(count, 0, failed=frozenset(table["clip"]), name="failed")
    result = built_once(failed, **FEW)
    assert result.sentences == [f"No clip could be scored: all {4 * count} failed."]
    assert result.overall.skill < 0


def test_what_failed_is_not_called_kept(make_run) -> None:
    """Nothing is lost in the clips that were seen, but not in all of them could anything be."""
    failed = frozenset(f"falling.projectile-v1.test.{seed}" for seed in range(3))
    folder = make_run(8, 0, failed=failed, tasks=("falling/projectile-v1",))
    for source in ("model", "truth"):
        table = pd.read_parquet((folder if source == "model" else folder.reference(source)).scores)
        here = (table["reading"] == "permanence/intact.survival") & (table["status"] == "ok")
        table.loc[here, "value"] = 1.0
        table.to_parquet((folder if source == "model" else folder.reference(source)).scores)
    assert built_once(folder, **FEW).sentences[2] == (
        "Loses no object in view where it could be seen: 3 of 8 clips failed."
    )


def test_readings_that_only_help_others_are_not_said(make_run) -> None:
    folder = make_run(tasks=("falling/projectile-v1",))
    for place in (folder, folder.reference("truth")):
        table = pd.read_parquet(place.scores)
        table.loc[table["reading"] == "laws/gravity", "reading"] = "laws/restitution.contacts"
        table.to_parquet(place.scores)
    assert "% of its motion is explained by the laws" in built_once(folder, **FEW).sentences[1]


def test_every_phrase_is_of_a_reading_that_there_is() -> None:
    laws, others = ({each.id for each in find_scorers(names)} for names in ("laws/*", "drift/camera"))
    expert = {"laws/areal-velocity", "laws/orbit-energy", "laws/period"}  # that a headline should not need
    assert {name.partition(".")[0] for name in builtin_phrases()} == laws - expert | others


def test_a_family_that_failed_is_not_called_unlawful_alone(make_run) -> None:
    failed = frozenset(f"falling.projectile-v1.test.{seed}" for seed in range(8))
    assert built_once(make_run(8, 0, failed=failed), **FEW).sentences[1] == (
        "Worst in falling: 0 % of its motion is explained by the laws; 8 of its clips failed."
    )


def with_pairs(folder: RunFolder, values: dict[str, float], part: str = "", spread: float = 0.1) -> None:
    """Give the model and ground truth a reading of pairs in every clip of some tasks, spread around a mean."""
    for place in (folder, folder.reference("truth")):
        table = pd.read_parquet(place.scores)
        name = f"consistency/counterfactual{part}"
        rows = table[
            (table["reading"] == "consistency/shadowing") & table["task"].isin(values) & (table["sample"] == 0)
        ]
        mean = rows["task"].map(values) if place is folder else 1.0
        found = mean + spread * np.resize([-1.0, 1.0], len(rows))
        others = rows.assign(reading=name, value=found, axis=None, quality=None, unit="1", status="ok", reason="")
        pd.concat([table, others], ignore_index=True).to_parquet(place.scores)


def test_what_a_push_changes(make_run) -> None:
    """One task: its own interval. Two: the mean over pairs, and the independent distances to its ends."""
    folder = make_run()
    one, two = sorted(set(pd.read_parquet(folder.scores)["task"]))[:2]
    with_pairs(folder, {one: 0.6})
    said = built_once(folder, **FEW)
    low, high = said.readings["consistency/counterfactual"].tasks[one].interval
    value = said.readings["consistency/counterfactual"].tasks[one].value
    assert said.sentences[-1] == f"A push does {value:.2f} [{low:.2f}, {high:.2f}] of what it should (truth 1)."
    folder = make_run(name="two")
    with_pairs(folder, {one: 0.6, two: -0.8})
    with_pairs(folder, {two: -0.5}, ".others")
    said = built_once(folder, **FEW)
    ends = [value.interval for value in said.readings["consistency/counterfactual"].tasks.values()]
    found = [value.value for value in said.readings["consistency/counterfactual"].tasks.values()]
    down = np.hypot(*[(v - e[0]) / 2 for v, e in zip(found, ends, strict=True)])
    start = f"A push does {np.mean(found):.2f} [{np.mean(found) - down:.2f}, ".replace("-", "−")
    assert said.sentences[-1].startswith(start)
    others = r"in objects that it does not push itself −0\.\d\d \[−0\.\d\d, −0\.\d\d\]\.$"
    assert re.search(rf" \(truth 1\); {others}", said.sentences[-1])


def test_a_push_that_does_too_much_or_the_contrary_is_no_share(make_run) -> None:
    for factor, start in ((1.69, "A push does 1."), (-0.25, "A push does −0.")):
        folder = make_run(name=f"push{factor}")
        with_pairs(folder, {"falling/projectile-v1": factor})
        assert built_once(folder, **FEW).sentences[-1].startswith(start)


@pytest.mark.slow
def test_a_push_that_does_what_it_should_is_not_said(make_run) -> None:
    """Neither where the interval holds ground truth, nor where it excludes it by next to nothing."""
    folder = make_run()
    with_pairs(folder, {"falling/projectile-v1": 1.0, "orbits/kepler-v1": 1.0})
    assert not [sentence for sentence in built_once(folder, **FEW).sentences if "push" in sentence]
    with_pairs(folder, {"orbits/kepler-v1": 0.7}, ".others")
    said = built_once(folder, **FEW).sentences[-1]
    assert re.search(r"\] of what it should in objects that it does not push itself \(truth 1\)\.$", said)
    folder = make_run(name="near")
    with_pairs(folder, {"falling/projectile-v1": 0.985}, spread=0.001)
    assert not [sentence for sentence in built_once(folder, **FEW).sentences if "push" in sentence]


@pytest.mark.slow
def test_tasks_that_failed_whole_count_among_the_pairs(make_run) -> None:
    """Of three tasks one was read: nothing is said. Of three tasks two: how many pairs stands there."""
    names = ("collisions/head-on-v1", "falling/projectile-v1", "orbits/kepler-v1")
    for failed in (names[:2], names[:1]):
        folder = make_run(name=f"failed{len(failed)}")
        with_pairs(folder, dict.fromkeys(names, 0.5))
        table = pd.read_parquet(folder.scores)
        lost = (table["reading"] == "consistency/counterfactual") & table["task"].isin(failed)
        table.loc[lost, "value"], table.loc[lost, "status"] = None, "failed"
        table.to_parquet(folder.scores)
        said = [sentence for sentence in built_once(folder, **FEW).sentences if "push" in sentence]
        if len(failed) == 2:
            assert said == []
        else:
            assert re.search(r"\] of what it should \(truth 1; read in 64 of 96 pairs\)\.$", said[0])


def with_turns(folder: RunFolder, share: float, reading: str = "drift/camera.followed") -> None:
    """Give the model a reading of how much of the camera's path it turns, or of another, and ground truth 1."""
    for place, value in ((folder, share), (folder.reference("truth"), 1.0)):
        table = pd.read_parquet(place.scores)
        rows = table[(table["reading"] == "consistency/shadowing") & (table["sample"] == 0)]
        found = value + 0.01 * np.resize([-1.0, 1.0], len(rows))
        others = rows.assign(reading=reading, value=found, axis=None, quality=None, unit="1", reason="")
        pd.concat([table, others], ignore_index=True).to_parquet(place.scores)


def test_whether_the_camera_goes_where_it_should(make_run) -> None:
    """Said of a model that is given the poses in any case; of another where it does not, and that it takes none."""
    for share, start in ((0.0, "The camera turns 0.0"), (2.0, "The camera turns 2.0"), (1.0, "")):
        folder = make_run(name=f"turns{share}", tasks=("falling/projectile-v1",))
        with_turns(folder, share)
        document = built_once(folder, **FEW)
        said = [sentence for sentence in document.sentences if "camera" in sentence]
        assert [each.startswith(start) for each in said] == ([True] if start else [])
        assert all(each.endswith("of what it should (truth 1): the model takes no poses of it.") for each in said)
        card = replace(document.model.card, uses_camera=True)
        informed = document.model_copy(update={"model": document.model.model_copy(update={"card": card})})
        said = [sentence for sentence in sentences(informed) if "camera" in sentence]
        assert len(said) == 1 and "poses" not in said[0]
        assert said[0].startswith(start) if start else said[0] == "The camera turns as it should."


def test_how_far_what_is_driven_goes_as_it_is_told(make_run) -> None:
    """Said of a model that was told, in suites in which something is driven, and where it departs from ground truth."""
    for share, text in ((0.5, "What is driven does 0.50 ["), (1.0, None)):
        folder = make_run(name=f"driven{share}", tasks=("falling/projectile-v1",))
        with_turns(folder, share, "consistency/push-followed")
        document = built_once(folder, **FEW)
        told = document.model.model_copy(update={"card": replace(document.model.card, uses_actions=True)})
        for suite, model, shown in (
            ("thrust", told, text),
            ("own-pusher", told, text),
            ("thrust", document.model, None),
        ):
            named = document.suite.model_copy(update={"name": suite})
            said = [
                each
                for each in sentences(document.model_copy(update={"suite": named, "model": model}))
                if each.startswith("What is driven")
            ]
            assert len(said) == (shown is not None)
            assert shown is None or (said[0].startswith(shown) and said[0].endswith("of what it is told (truth 1)."))


def test_what_was_not_shown_is_not_held_against_a_model(make_run) -> None:
    """How strongly things are pulled, behind one image; and pushes, of which it was not told."""
    folder = make_run(tasks=("falling/projectile-v1",))
    document = built_once(folder, **FEW)
    assert "gravity" in sentences(document)[1]
    image = document.model_copy(update={"unseen_constants": True})
    assert "gravity" not in " ".join(each.sentence for each in findings(image, builtin_phrases()))
    pushed = document.model_copy(update={"suite": document.suite.model_copy(update={"name": "own-actions"})})
    assert sentences(pushed)[-1].startswith("The model takes no actions")
    for suite, what in (("thrust", "thruster"), ("pusher", "pusher")):
        driven = document.model_copy(update={"suite": document.suite.model_copy(update={"name": suite})})
        assert f"it was not told how the {what} is to" in sentences(driven)[-1]
    told = document.model.model_copy(update={"card": replace(document.model.card, uses_actions=True)})
    assert sentences(pushed.model_copy(update={"model": told})) == sentences(document)
