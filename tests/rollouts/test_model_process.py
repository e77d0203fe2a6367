"""No process stays behind, however the parent ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from physbench.rollouts.model_process import ModelProcess, ReceiveTimeout, SharedMemory

TOYS = Path(__file__).with_name("toys.py")
PARENT = f"""
import sys, time
from physbench.rollouts.rollout_engine import RolloutEngine
engine = RolloutEngine({str(TOYS)!r} + ":coded", threads=1)
print(engine.start() and engine.pid, flush=True)
time.sleep(60)
"""


def start_parent() -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pid: int, within: float = 10) -> bool:
    deadline = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


def test_the_process_ends_when_its_parent_is_killed() -> None:
    parent, child = start_parent()
    assert is_alive(child)
    parent.kill()
    parent.wait()
    assert gone(child)


def test_ctrl_c_ends_both_without_a_word_from_the_model() -> None:
    parent, child = start_parent()
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate(timeout=20)
    assert gone(child)
    assert "child.py" not in errors


def test_a_process_that_does_not_read_does_not_hold_the_parent_up() -> None:
    """A `send` that waited for its reader would never come back."""
    memory = SharedMemory()
    process = ModelProcess(memory)
    os.kill(process.pid, signal.SIGSTOP)
    process.send(bytes(50_000_000))
    with pytest.raises(ReceiveTimeout):
        process.receive(time.monotonic() + 0.1)
    process.kill()
    assert not is_alive(process.pid)
    with pytest.raises(OSError):
        process.receive(time.monotonic() + 0.1)
    memory.close()
