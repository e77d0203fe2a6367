"""The diagnosis beside a run: written, read, refused when it is old, and said in words."""

from __future__ import annotations

import pandas as pd
import pytest
from made_runs import built_once

from physbench.result.document import ImpliedLawResult, ImpliedWorldResult, TimingFault, TimingResult
from physbench.result.findings import (
    bounds,
    implied_sentence,
    is_diagnosed,
    read_diagnosis,
    read_timing,
    write_diagnosis,
)
from physbench.result.sentences import worded_timing
from physbench.support.errors import UsageError

GRAVITY = ImpliedLawResult(
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
    laws=[GRAVITY],
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
    assert read_diagnosis(folder) == {"falling": NAMED, "orbits": LAWFUL}
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
    assert read_timing(folder) == timing and read_diagnosis(folder) == {"falling": NAMED}
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
    assert read_diagnosis(folder) == {}


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
