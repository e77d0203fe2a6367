"""Code of the user's that does not come back is ended where that can be done."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from physbench.support import plugins
from physbench.support.errors import UsageError
from physbench.support.plugins import TookTooLong, interrupted_after


def test_a_loop_is_ended_although_it_catches_exceptions() -> None:
    begun = time.monotonic()
    with pytest.raises(TookTooLong), interrupted_after(0.2):
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue
    assert 0.15 < time.monotonic() - begun < 20


def test_what_is_in_time_is_left_alone_with_the_alarm_of_the_program() -> None:
    rang = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with interrupted_after(30):
            pass
        time.sleep(0.5)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rang == [signal.SIGALRM]


def test_other_threads_are_not_limited() -> None:
    done = []

    def work() -> None:
        with interrupted_after(0.01):
            time.sleep(0.1)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


LOOPS = ("while True:\n    pass\n", "still being imported after 0.2 s, in own.py, line")
EXITS = ("import sys\nsys.exit(3)\n", "SystemExit")


@pytest.mark.parametrize(("text", "words"), [LOOPS, EXITS], ids=["loops", "exits"])
def test_a_file_that_loops_or_exits_at_import_is_a_message(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "IMPORT_TIME", 0.2)
    (tmp_path / "own.py").write_text(text)
    [(file, _)] = plugins.open_files(str(tmp_path / "own.py"))
    with pytest.raises(UsageError, match=words):
        file.module  # noqa: B018
