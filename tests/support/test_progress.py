"""Progress: a bar on a terminal, lines in a log, and nothing where it is silenced."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from physbench.support import progress
from physbench.support.progress import Progress, duration, silenced

LONGEST = 60.0  # s; only a test that fails takes so long


class Written(io.StringIO):
    """A stream that says when something was written to it."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal, self.is_written = terminal, threading.Event()

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.is_written.set()
        return super().write(text)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BAR_AFTER", "FIRST_LINE"):
        monkeypatch.setattr(progress, name, 0.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "log"])
def test_it_appears_before_anything_has_advanced(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of a data set are made in processes, the first of which may take a minute on a busy machine."""
    stream = Written(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("clips", 1260) as shown:
        assert stream.is_written.wait(LONGEST)
        assert shown.is_shown is terminal
    assert not shown.is_shown
    if not terminal:
        assert "clips: 0 of 1,260 after 1 s, time left not known yet" in stream.getvalue()


@pytest.mark.usefixtures("at_once")
def test_who_prints_lines_or_is_silenced_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Written(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("clips", 3, lines=False) as shown:
        shown.advance()
    with silenced(), Progress("clips", 3) as shown:
        shown.advance(3)
    assert stream.getvalue() == "" and shown.done == 3


def test_a_line_says_how_long_the_rest_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Progress("clips", 12)
    shown.advance(4)
    monkeypatch.setattr(progress.time, "monotonic", lambda: shown._started + 60.0)
    assert shown.line() == "clips: 4 of 12 after 60 s, about 2 min left"
    shown.advance(0, "scenes")
    assert shown.line() == "clips: 4 of 12 after 60 s, about 2 min left; scenes"
    assert Progress("files").line().startswith("files: 0 after ")
    assert (duration(0.2), duration(150), duration(9000)) == ("1 s", "2 min", "2.5 h")


def test_a_stream_that_is_no_terminal_or_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, object(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert not progress.on_terminal()
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert not progress.on_terminal()
