"""Analyses of a prediction are made once, on demand, and given to the scorers that declare them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest

import physbench.shadowing as engine
from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import ANALYSES, Analysis, Observation, Reading, Scorer, scorer
from physbench.score.score_clip import find_scorers, score_clip
from physbench.shadowing import Shadowing
from physbench.track.tracks import Tracks

Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]


def a_scorer(function: Callable[..., object], *needs: str, **more: Any) -> Scorer:
    return scorer(
        id="toy/toy",
        version=1,
        axis=None,
        unit="1",
        better="lower",
        quality=None,
        noise_floor="",
        source="",
        needs=needs or ("tracks",),
        **more,
    )(function)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip(clip_of: Clips) -> Clip:
    return clip_of("collisions/head-on-v1")


@pytest.fixture
def observation(clip: Clip, ideal: Ideal) -> Observation:
    return Observation(clip, Rollout(clip.id, 0, clip.future()), ideal(clip))


def counted(monkeypatch: pytest.MonkeyPatch, function: Callable[..., object]) -> list[object]:
    """Puts a function in the place of shadowing, and returns the list of its calls."""
    calls: list[object] = []

    def shadow(*arguments: object, **more: object) -> object:
        calls.append(arguments)
        return function(*arguments, **more)

    monkeypatch.setattr("physbench.score.protocol.shadow", shadow)
    return calls


def test_an_analysis_is_made_once_and_only_on_demand(observation: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, engine.shadow)
    assert observation.motions and observation.known("shadowing") is None and not calls
    first = observation.shadowing
    assert observation.shadowing is first is observation.known("shadowing") is not None
    assert observation.lawful_continuations is not None and len(calls) == 1


def test_an_error_is_not_paid_for_twice(clip: Clip, ideal: Ideal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("odd")

    calls = counted(monkeypatch, broken)
    tracks = ideal(clip)
    observation = Observation(clip, Rollout(clip.id, 0, clip.future()), tracks)
    for _ in range(2):
        for name in ("shadowing", "returns"):
            with pytest.raises(ValueError, match="odd"):
                getattr(observation, name)
    assert len(calls) == 1 and observation.known("shadowing") is None
    calls.clear()
    held = ref(tracks)
    del tracks, observation
    assert held() is None  # the error keeps nothing alive


def test_an_error_of_an_analysis_is_a_failed_row_of_each_scorer_that_needs_it(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise UnicodeDecodeError("utf-8", b"", 0, 1, "odd")  # takes other arguments than its words

    calls = counted(monkeypatch, broken)
    scorers = find_scorers("consistency/shadowing,drift/stability,permanence/*,laws/gravity")
    rows, observation = score_clip(clip, Rollout(clip.id, 0, clip.future()), 8, scorers)
    assert len(calls) == 1 and observation is not None and observation.known("shadowing") is None
    failed = {row.reading: row.reason for row in rows if row.status == "failed"}
    assert set(failed) == {"consistency/shadowing", "drift/stability", "permanence/intact", "permanence/return"}
    assert all(reason.startswith(f"{name} raised ") and "odd" in reason for name, reason in failed.items())


def failing(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """Makes analyses fail, and returns the list of those that are asked for."""
    asked: list[str] = []

    def broken(name: str) -> Callable[[Observation], None]:
        def make(observation: Observation) -> None:
            asked.append(name)
            raise ValueError("odd")

        return make

    for name in names:
        monkeypatch.setattr(getattr(Observation, name), "make", broken(name))
    return asked


def test_a_precheck_comes_before_the_analyses(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: object) -> Reading | None:
        assert motions is not None
        return Reading(None, "not applicable", "too few") if len(rollout.frames) < 5 else None

    def read(clip: Clip, rollout: Rollout, tracks: Tracks, *, shadowing: object) -> Reading:
        return Reading(1.0)

    asked = failing(monkeypatch, "shadowing")
    both = a_scorer(read, "shadowing", "motions", precheck=check)
    (row,), observation = score_clip(clip, Rollout(clip.id, 0, clip.future()[:4]), 8, [both])
    assert (row.status, row.reason) == ("not applicable", "too few") and not asked
    assert observation is not None and observation.known("motions") is not None
    (row,), _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), 8, [both])
    assert row.status == "failed" and asked == ["shadowing"]
    with pytest.raises(ValueError, match="toy/toy: the precheck takes 'motions', which is not in its needs"):
        a_scorer(read, "shadowing", precheck=check)


@pytest.mark.parametrize(
    ("task", "context", "scorers"),
    [
        ("orbits/kepler-v1", 8, "laws/gravity,laws/friction,laws/support,laws/energy,drift/momentum"),
        ("orbits/kepler-v1", 1, "drift/stability"),  # an image of an orbit does not tell the speed
        ("collisions/head-on-push-v1", 8, "drift/energy"),
    ],
)
def test_what_does_not_apply_needs_no_analysis(
    clip_of: Clips, monkeypatch: pytest.MonkeyPatch, task: str, context: int, scorers: str
) -> None:
    asked = failing(monkeypatch, "motions", "free_segments", "energies", "shadowing")
    clip, found = clip_of(task), find_scorers(scorers)
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), context, found)
    assert {row.reading: row.status for row in rows} == {each.id: "not applicable" for each in found}
    assert not asked


def test_where_nothing_should_be_visible_only_that_is_found_out(
    clip: Clip, ideal: Ideal, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = failing(monkeypatch, "returns", "predictability")
    monkeypatch.setattr("physbench.shadowing.context.PRIOR_DRAWS", 8)  # how fast things may be is not read
    dark = replace(clip, visible_area=np.zeros_like(clip.visible_area))
    nothing = ideal(dark, seen=np.zeros((8 + clip.horizon, len(clip.tracked)), bool))
    observation = Observation(dark, Rollout(clip.id, 0, clip.future()), nothing)
    intact, accuracy = find_scorers("permanence/intact,drift/accuracy")[::-1]
    assert accuracy.read(observation) == Reading(None, "not applicable", "no moving object should be visible")
    readings = intact.read(observation)
    assert isinstance(readings, dict) and readings[""].reason == "no object should be visible"
    assert readings["hallucinations"] == readings["duplicates"] == Reading(0.0)
    assert not asked


def test_the_reason_names_the_line_of_the_users_code_that_an_analysis_failed_in(
    clip: Clip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An analysis may run the task of a user's own; each scorer that needs it says where that went wrong."""
    scene: dict[str, Any] = {}
    exec(compile("\ndef scene(*_):\n    return 1 / 0\n", str(tmp_path / "my_task.py"), "exec"), scene)
    counted(monkeypatch, scene["scene"])
    rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), 8, find_scorers("drift/stability,permanence/*"))
    failed = {row.reading: row.reason for row in rows if row.status == "failed"}
    where = "raised ZeroDivisionError in my_task.py, line 3 (scene): division by zero"
    assert failed == {name: f"{name} {where}" for name in ("drift/stability", "permanence/intact", "permanence/return")}


def test_full_memory_is_passed_on(observation: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object) -> None:
        raise MemoryError

    calls = counted(monkeypatch, hungry)
    for _ in range(2):
        with pytest.raises(MemoryError):
            a_scorer(lambda clip, rollout, tracks, *, returns: Reading(1.0), "returns").read(observation)
    assert len(calls) == 2


def test_a_scorer_is_given_what_it_needs_by_keyword(observation: Observation) -> None:
    def shadowed(clip: Clip, rollout: Rollout, tracks: Tracks, *, shadowing: Shadowing, motions: object) -> Reading:
        assert tracks is observation.tracks and rollout is observation.rollout
        assert motions is observation.motions
        return Reading(shadowing.quality)

    assert a_scorer(shadowed, "tracks", "shadowing", "motions").read(observation) == Reading(1.0)
    plain = a_scorer(lambda clip, rollout, tracks: Reading(float(tracks.context)))
    assert plain.read(observation) == Reading(8.0)
    every = a_scorer(lambda *given, **named: Reading(float(len(given) + len(named))), *ANALYSES)
    assert every.read(observation) == Reading(3.0 + len(ANALYSES))


def test_a_need_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"toy/toy: needs='colour', expected one of 'frames', .*'shadowing', .*"):
        a_scorer(lambda clip, rollout, tracks: Reading(1.0), "colour")
    with pytest.raises(ValueError, match="toy/toy: needs='shadowing', but the function has no parameter"):
        a_scorer(lambda clip, rollout, tracks: Reading(1.0), "shadowing")
    with pytest.raises(ValueError, match="toy/toy: the function takes 'shadowing', which is not in its needs"):
        a_scorer(lambda clip, rollout, tracks, *, shadowing: Reading(1.0))


def test_a_need_that_is_given_by_position_already_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter of that name after the first three"):
        a_scorer(lambda clip, rollout, motions: Reading(0.0), "motions")


def test_no_scorer_can_change_what_the_next_one_is_given(observation: Observation) -> None:
    with pytest.raises(ValueError, match="read-only"):
        observation.expected_visible[:] = False
    with pytest.raises(TypeError):
        observation.contacts[0] = ()  # type: ignore[index]


def test_every_analysis_says_what_it_is() -> None:
    for name in ANALYSES:
        analysis = getattr(Observation, name)
        assert isinstance(analysis, Analysis) and analysis.__doc__ and analysis.__doc__.strip().endswith(".")
