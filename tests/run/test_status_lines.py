"""Lines in a log while a run is at work."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from physbench.progress import Progress, silenced
from physbench.run.pipeline import Middle
from physbench.run.run_state import Run
from physbench.run.status_lines import StatusLines
from physbench.run.worker_jobs import Jobs


def test_a_log_gets_lines_until_the_end() -> None:
    said: list[str] = []
    enough = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            enough.set()

    with StatusLines(say, lambda: f"line {len(said)}", every=0.01):
        assert enough.wait(10)
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
    jobs = Jobs(Progress("jobs"), workers=2, expected={"score": 56})
    middle = Middle(SimpleNamespace(), None, None)  # type: ignore[arg-type]
    monkeypatch.setattr("physbench.run.pipeline.time", SimpleNamespace(monotonic=lambda: middle.begun + 120))
    assert middle.status(jobs, 56) == "After 2 min: 0 of 56 rollouts scored, time left not known yet."
    for _ in range(14):
        jobs._done["score"] += 1
        jobs._left["score"] -= 1
        jobs._seconds["score"].append(10.0)
    middle.rolling = 0.0
    assert middle.status(jobs, 56) == "After 2 min: 14 of 56 rollouts scored, 7.0 a minute, about 4 min left."
    middle.rolling = 7200.0  # a slow model
    assert middle.status(jobs, 56).endswith("about 2.0 h left.")


def test_the_last_line_says_where_the_time_went() -> None:
    run = Run(None, None, None, {}, print, 2)  # type: ignore[arg-type]
    assert run.times() == ""
    run.manifest["speed"] = {"model_seconds": 17.2, "clips_seconds": 12.0, "shadowing_seconds": 31, "report_seconds": 5}
    assert run.times() == "Model 17 s; in 2 workers clips 12 s, shadowing 31 s; report 5 s."
