"""How `eval`, `rollout` and `score` begin."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest


def test_sigterm_while_the_command_begins_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork server of the workers is there before the run is, and has a temporary folder."""
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # is short enough for names of sockets
    monkeypatch.setenv("TMPDIR", str(temporary))
    words = ("eval", "baseline:freeze", "--suite", "smoke", "--out", str(tmp_path / "run"))
    command = (sys.executable, "-c", "from physbench.cli.main import main; main()", *words)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not any(temporary.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)  # while the server is started, signals are ignored
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Interrupted" in said, said
    assert not any(temporary.iterdir())
    temporary.rmdir()
