"""Lines in a log while a run is at work."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from physbench.run.jobs import SCORING_PRELOAD, Jobs
from physbench.run.pipeline import Middle
from physbench.run.progress import Announced, StatusLines
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


def test_the_line_says_what_is_done_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(Progress("jobs"), workers=2, expected={"score": 56, "references": 0})
    middle = Middle(SimpleNamespace(stages=("score",)), None, None)  # type: ignore[arg-type]
    monkeypatch.setattr("physbench.run.pipeline.time", SimpleNamespace(monotonic=lambda: middle.begun + 120))
    assert middle.status(jobs, 56) == "After 2 min: 0 of 56 rollouts scored, time left not known yet."
    jobs._done["references"] = 7
    assert "0 of 56 rollouts scored, ground truth and baselines scored on 7 clips, time left" in middle.status(jobs, 56)
    for _ in range(14):
        jobs._done["score"] += 1
        jobs._left["score"] -= 1
        jobs._seconds["score"].append(10.0)
    middle.rolling = 0.0
    assert middle.status(jobs, 56) == "After 2 min: 14 of 56 rollouts scored, 7.0 a minute, about 4 min left."
    middle.rolling = 7200.0  # a slow model
    assert middle.status(jobs, 56).endswith("about 2.0 h left.")


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


def test_the_line_says_that_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SimpleNamespace(noticed=threading.Event())
    jobs = Jobs(Progress("jobs"), workers=2, expected={"score": 56, "references": 56})
    middle = Middle(SimpleNamespace(stages=("score",)), pool, None)  # type: ignore[arg-type]
    monkeypatch.setattr("physbench.run.pipeline.time", SimpleNamespace(monotonic=lambda: middle.begun + 60))
    assert "compiling" not in middle.status(jobs, 56)
    pool.noticed.set()
    assert middle.status(jobs, 56) == (
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
    run = Run(None, None, None, {}, print, 2)  # type: ignore[arg-type]
    assert run.times() == ""
    run.manifest["speed"] = {"model_seconds": 17.2, "clips_seconds": 12.0, "shadowing_seconds": 31, "report_seconds": 5}
    assert run.times() == "Model 17 s; in 2 workers clips 12 s, shadowing 31 s; report 5 s."


def test_a_stage_says_its_own_time_and_adds_it_to_that_of_the_others() -> None:
    run = Run(None, None, None, {"speed": {"model_seconds": 17.2, "clips_seconds": 12.0}}, print, 2)  # type: ignore[arg-type]
    run.count_time("scoring_seconds", 31.0)
    run.count_time("clips_seconds", 2.0)
    assert run.times() == "In 2 workers clips 2 s, scoring 31 s."
    assert run.manifest["speed"] == {"model_seconds": 17.2, "clips_seconds": 14.0, "scoring_seconds": 31.0}


@pytest.mark.parametrize(
    ("engine", "stages", "subject"),
    [(object(), ("rollout", "score"), "Rollouts and scores"), (None, ("score",), "Scores"), (object(), (), "Rollouts")],
)
def test_an_estimate_says_what_it_is_of(engine: object, stages: tuple[str, ...], subject: str) -> None:
    said: list[str] = []
    stage = SimpleNamespace(
        progress=None,
        estimated=False,
        engine=engine,
        seconds_left=lambda jobs: 8.0,
        run=SimpleNamespace(say=said.append, stages=stages),
    )
    Middle.estimate(stage, None)
    Middle.estimate(stage, None)
    assert said == [f"{subject}: about 8 s left."] and stage.estimated
