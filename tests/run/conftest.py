"""Toy models, and runs of them that several tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interruptions import Ask
from quick_runs import quick_finish

from physbench.cli.main import run
from physbench.support.run_folder import RunFolder

# Four tasks of which 32 simulations of a clip take less than half a second: billiards take four.
QUICK_TASKS = "falling/projectile*,falling/drop-bounce*,collisions/head-on-v1,collisions/wall-bounce*"
CHEAP = ("--scorers", "drift/accuracy,drift/crps")  # scorers that take little time

# Draws from its generators, and its answer depends on who shares its batch: a mix of both would show in any score.
# It is called twice along time; with TOY_GATE it waits in its second batch until that file is there. TOY_DIES="N:FILE":
# its process is killed in its N-th call, once, in which it makes FILE.
TOY = """\
import os, signal, time
from pathlib import Path
import torch
from physbench.models.protocol import ModelCard

class Toy:
    card = ModelCard("toy", (64, 64), 5, 4, max_horizon=14, stochastic=True)
    calls = 0
    assumptions = ("Its file names no rate: 15 frames/s <were> assumed.",)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        Toy.calls += 1
        gate = os.environ.get("TOY_GATE")
        while gate and Toy.calls > 2 and not Path(gate).exists():
            time.sleep(0.05)
        call, _, done = os.environ.get("TOY_DIES", "").partition(":")
        if call and Toy.calls == int(call) and not Path(done).exists():
            Path(done).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        noise = torch.stack([torch.randn(horizon, 3, 1, 1, generator=g) for g in generators])
        spread = context.std() if len(context) > 1 else 0
        frames = context[:, -1:].expand(-1, horizon, -1, -1, -1) + 0.02 * noise + 0.1 * spread
        return frames.clamp(0, 1)

def factory(*, device, dtype, **arguments):
    return Toy()
"""

BROKEN = """\
import torch
from physbench.models.protocol import ModelCard

class Broken:
    card = ModelCard("broken", (64, 64), 15, 4)

    def __init__(self, kind):
        self.kind = kind

    def rollout(self, context, *, horizon, actions, prompts, generators):
        frames = context[:, -1:].repeat(1, horizon, 1, 1, 1)
        if self.kind == "raises":
            raise RuntimeError("no weights for this")
        elif self.kind == "some":
            frames[context.mean((1, 2, 3, 4)) > context.mean()] = float("inf")
        return frames

def factory(*, device, dtype, kind):
    return Broken(kind)
"""


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with toy.py and broken.py."""
    folder = tmp_path_factory.mktemp("toys")
    (folder / "toy.py").write_text(TOY)
    (folder / "broken.py").write_text(BROKEN)
    return folder


@pytest.fixture(autouse=True)
def _warm_models(warm_models: None) -> None:
    """Every run here has a model."""


@pytest.fixture(autouse=True)
def no_report() -> Iterator[pytest.MonkeyPatch]:
    """A report and a diagnosis take seconds and have tests of their own: runs in this process make none, until `undo`.

    The report of `toy_run` is whole, and so are those of runs in processes of their own.
    """
    with quick_finish() as patch:
        yield patch


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the program as a user would, in a process group of its own."""
    started = []

    def program(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "from physbench.cli.main import main; main()", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield program
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def toy_eval(toys: Path) -> Callable[..., tuple[str, ...]]:
    """Makes the command that evaluates the toy: 2 clips, 2 samples, in batches of 3 and 1; on 4 clips 3, 3 and 2."""

    def arguments(out: Path, *more: str, clips: int = 2) -> tuple[str, ...]:
        model = f"{toys / 'toy.py'}:factory"
        suite = ("--suite", "smoke", "--tasks", QUICK_TASKS, "--limit", str(clips))
        how = ("--batch-size", "3", "--samples", "2", "--device", "cpu", "--keep-rollouts", "all", "--no-diagnosis")
        return ("eval", model, *suite, *how, "--out", str(out), *more)

    return arguments


@pytest.fixture(scope="session")
def stage_words(toy_eval: Callable[..., tuple[str, ...]]) -> Callable[..., tuple[str, ...]]:
    """Makes commands that roll the toy out on 4 clips, or evaluate it, read by two scorers that take little time."""

    def words(command: str, out: Path, *more: str) -> tuple[str, ...]:
        return (command, *toy_eval(out, *CHEAP, "--workers", "2", *more, clips=4)[1:])

    return words


@pytest.fixture(scope="session")
def staged_run(stage_words: Callable[..., tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What one `eval` makes of these words: the run whose bytes all others must have, whatever happens to them.

    Nobody may change it.
    """
    out = tmp_path_factory.mktemp("runs") / "staged"
    with quick_finish():
        assert run(stage_words("eval", out)) == 0
    return RunFolder(out)


@pytest.fixture(scope="session")
def toy_run(toy_eval: Callable[..., tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A whole run of the toy with two workers. Nobody may change it."""
    out = tmp_path_factory.mktemp("runs") / "toy"
    assert run(toy_eval(out, "--workers", "2")) == 0
    return RunFolder(out)


@pytest.fixture(scope="session")
def ask(toys: Path) -> Ask:
    """Makes the command of a short run for a `session`: what `stage_words` says, options of the suite first."""

    def arguments(out: Path, *more: str) -> tuple[str, ...]:
        suite = ("--suite", "smoke", "--tasks", QUICK_TASKS, "--limit", "4")
        scorers = (*CHEAP, "--no-diagnosis", "--workers", "2")
        how = ("--batch-size", "3", "--samples", "2", "--device", "cpu", "--keep-rollouts", "all")
        return ("eval", f"{toys / 'toy.py'}:factory", *suite, *scorers, *how, "--out", str(out), *more)

    return arguments
