"""Lines in a log while a run is at work."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from made_manifests import made_manifest

from physbench.run.jobs import SCORING_PRELOAD, Jobs
from physbench.run.progress import Announced, Outlook, StatusLines
from physbench.run.state import Run
from physbench.support.progress import Progress, silenced


def test_a_log_gets_lines_until_the_end() -> None:
    said: list[str] = []
    enough = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            enough.set()

    with StatusLines(say, lambda: f"line {len(said)}", every=0.01):
        assert enough.wait(60)
    many = len(said)
    assert said[:3] == ["line 0", "line 1", "line 2"]
    assert not enough.wait(0) or len(said) == many, "none after the end"


def test_a_terminal_and_a_silent_program_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with silenced(), StatusLines(said.append, lambda: "line", every=0.01):
        threading.Event().wait(0.05)
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: True))
    with StatusLines(said.append, lambda: "line", every=0.01):
        threading.Event().wait(0.05)
    assert said == []


def outlook(said: list[str], clock: list[float], **settings: Any) -> tuple[Outlook, Jobs]:
    """How far a run with 56 rollouts is, and its jobs; `clock` is the time."""
    jobs = Jobs(Progress("jobs"), workers=2, expected={"score": 56, "references": settings.pop("references", 0)})
    chosen = {"rolls": True, "scores": True, **settings}
    return Outlook(SimpleNamespace(say=said.append), Progress("bar"), jobs, 56, **chosen), jobs  # type: ignore[arg-type]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("physbench.run.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_the_line_says_what_is_done_and_left(clock: list[float]) -> None:
    far, jobs = outlook([], clock)
    clock[0] = 120.0
    assert far.status() == "After 2 min: 0 of 56 rollouts scored, time left not known yet."
    jobs._done["references"] = 7
    assert "0 of 56 rollouts scored, ground truth and baselines scored on 7 clips, time left" in far.status()
    for _ in range(14):
        jobs._done["score"] += 1
        jobs._left["score"] -= 1
        jobs._seconds["score"].append(10.0)
    far.rolling = 0.0
    assert far.status() == "After 2 min: 14 of 56 rollouts scored, 7.0 a minute, about 4 min left."
    far.rolling = 7200.0  # a slow model
    assert far.status().endswith("about 2.0 h left.")


def test_rollouts_alone_are_counted_as_made(clock: list[float]) -> None:
    far, jobs = outlook([], clock, scores=False)
    jobs._left.clear()
    far.rolled, far.rolling, clock[0] = 28, 60.0, 60.0
    assert far.status() == "After 60 s: 28 of 56 rollouts made, 28.0 a minute, about 60 s left."


def test_what_begins_is_said_once_and_only_then() -> None:
    said: list[str] = []
    known, never, begins = threading.Event(), threading.Event(), threading.Event()
    known.set()
    with Announced(said.append, "known", known), Announced(said.append, "never", never):
        pass
    assert said == []
    told = threading.Event()
    with Announced(lambda line: (said.append(line), told.set())[0], "begins", begins):
        begins.set()
        assert told.wait(60)
    assert said == ["begins"]


def test_the_line_says_that_it_compiles(clock: list[float]) -> None:
    noticed = threading.Event()
    far, _ = outlook([], clock, references=56, noticed=noticed)
    clock[0] = 60.0
    assert "compiling" not in far.status()
    noticed.set()
    assert far.status() == (
        "After 60 s: 0 of 56 rollouts scored, compiling (once on this machine), time left not known yet."
    )


def test_a_worker_of_a_run_tells_that_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fork server imports for the workers of a run has compiled functions tell the pool."""
    import numba

    from physbench.run import preload
    from physbench.support import processes

    assert preload.__name__ in SCORING_PRELOAD
    event = threading.Event()
    monkeypatch.setattr(processes, "_notice", [event])
    twice = numba.njit(lambda value: 2 * value)
    assert not event.is_set() and twice(4) == 8 and event.is_set()
    event.clear()
    assert twice(5) == 10 and not event.is_set(), "it was compiled before"


def test_the_last_line_says_where_the_time_went() -> None:
    run = Run(None, None, None, made_manifest(), print, 2)  # type: ignore[arg-type]
    assert run.times() == ""
    run.manifest.speed = {"model_seconds": 17.2, "clips_seconds": 12.0, "shadowing_seconds": 31, "report_seconds": 5}
    assert run.times() == "Model 17 s; in 2 workers clips 12 s, shadowing 31 s; report 5 s."


def test_a_stage_says_its_own_time_and_adds_it_to_that_of_the_others() -> None:
    speed = {"model_seconds": 17.2, "clips_seconds": 12.0}
    run = Run(None, None, None, made_manifest(speed=speed), print, 2)  # type: ignore[arg-type]
    run.count_time("scoring_seconds", 31.0)
    run.count_time("clips_seconds", 2.0)
    assert run.times() == "In 2 workers clips 2 s, scoring 31 s."
    assert run.manifest.speed == {"model_seconds": 17.2, "clips_seconds": 14.0, "scoring_seconds": 31.0}


@pytest.mark.parametrize(
    ("rolls", "scores", "subject"),
    [(True, True, "Rollouts and scores"), (False, True, "Scores"), (True, False, "Rollouts")],
)
def test_an_estimate_says_what_it_is_of(rolls: bool, scores: bool, subject: str, clock: list[float]) -> None:
    said: list[str] = []
    far, jobs = outlook(said, clock, rolls=rolls, scores=scores)
    if rolls:
        far.estimate()
        assert said == [], "nothing is known of the model yet"
    jobs._left.clear()
    far.rolling = 8.0
    far.estimate()
    far.estimate()
    assert said == [f"{subject}: about 8 s left."]
