"""Faults of every kind: kills at any moment, damaged files, a model that fails late, two processes on one folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quick_runs import quick_finish

from physbench.cli.main import run
from physbench.result.manifest import read_manifest
from physbench.rollout.batches import BatchItem
from physbench.rollout.store import load_rollout
from physbench.run.interruption import processes_of
from physbench.support.files import read_sealed_json
from physbench.support.run_folder import RunFolder, other_contents

Eval = Callable[..., tuple[str, ...]]
Start = Callable[..., "subprocess.Popen[str]"]

KILLS = int(os.environ.get("PHYSBENCH_TEST_KILLS", "200"))
MOST_KILLS = 12  # of one run; then it is let go on to its end

LATE = """\
import time
from physbench.models.protocol import ModelCard

class Late:
    card = ModelCard("late", (64, 64), 15, 4)
    calls = 0

    def __init__(self, kind):
        self.kind = kind

    def rollout(self, context, *, horizon, actions, prompts, generators):
        Late.calls += 1
        frames = context[:, -1:].repeat(1, horizon, 1, 1, 1)
        if Late.calls == 3 + 1:  # one call finds the batch size or checks the shape
            if self.kind == "raises":
                raise RuntimeError("no more")
            if self.kind == "hangs":
                time.sleep(600)
            if self.kind == "nan":
                frames[:] = float("nan")
        return frames

def factory(*, device, dtype, kind):
    return Late(kind)
"""


@pytest.fixture(scope="module")
def long_eval(toy_eval: Eval) -> Eval:
    """Makes the command that evaluates the toy on 4 clips, in batches of 3, 3 and 2."""
    return lambda out, *more: toy_eval(out, *more, clips=4)


@pytest.fixture(scope="module")
def long_run(long_eval: Eval, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Such a run without faults. Nobody may change it."""
    out = tmp_path_factory.mktemp("long") / "run"
    with quick_finish():
        assert run(long_eval(out, "--workers", "2")) == 0
    return RunFolder(out)


def wait_until_gone(pids: list[int], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in status(pid) for pid in pids):
        assert time.monotonic() < deadline, "processes of a killed run go on"
        time.sleep(0.05)


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "\nState:\tZ"


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def kill_one(process: subprocess.Popen[str], victim: str, rng: random.Random) -> bool:
    """SIGKILL the program, its group, its model's process or one of its workers. Whether the program is ended by it."""
    family = [each.pid for each in processes_of(process.pid)]
    words = {"model": "physbench.rollout.server", "worker": "multiprocessing"}
    chosen = [pid for pid in family if pid != process.pid and words.get(victim, "-") in command_of(pid)]
    if victim in words and chosen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(chosen), signal.SIGKILL)
        return False
    if victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)  # its children must end by themselves
    process.communicate()
    wait_until_gone(family)
    return True


def same_rollouts(out: RunFolder, whole: RunFolder) -> bool:
    """Whether all rollouts are those of a whole run; the manifest names those that are not."""
    manifest = read_manifest(out)
    named = set(manifest.regrouped)
    for event in manifest.events:
        named |= set(event.clips) if event.kind == "died" else set()
    other = set()
    for row in manifest.rows:
        for item in (BatchItem(row, 0), BatchItem(row, 1)):
            found, expected = (load_rollout(each, row.id, item.sample) for each in (out, whole))
            assert found is not None and expected is not None
            if found.failure or not np.array_equal(found.frames, expected.frames):
                other.add(item.id)
    assert other <= named, (other, named)
    return not other


@pytest.mark.slow
def test_kills_at_random_times_lose_and_change_nothing(
    long_run: RunFolder, long_eval: Eval, start: Start, tmp_path: Path
) -> None:
    """SIGKILL at random moments over run after run, each resumed until it is done: no row lost, doubled or changed.

    The program, its whole group, the model's process or a worker is killed.
    """
    rng = random.Random(int(os.environ.get("PHYSBENCH_TEST_SEED", "20")))
    whole = long_run.scores.read_bytes()
    kills, finished, others, left, out = 0, 0, 0, rng.randint(1, MOST_KILLS), RunFolder(tmp_path / "run-0")
    longest = 60.0  # s, until a run has shown how long one takes
    while kills < KILLS or finished == 0:
        begun = time.monotonic()
        process = start(*long_eval(out.path), *(["--resume"] if out.manifest.exists() else ["--fresh"]))
        ended, said = False, ""
        while not ended:
            try:
                said = process.communicate(timeout=rng.uniform(0.2, longest) if left else None)[1]
                break
            except subprocess.TimeoutExpired:
                victim = rng.choice(("program", "group", "model", "model", "worker"))
                ended = kill_one(process, victim, rng)
                print(f"kill {kills}: {victim}", flush=True)
                kills, left = kills + 1, left - 1
                for part in out.path.glob("parts/*.json"):
                    assert read_sealed_json(part)["rows"], "a part is whole or not there"
        if process.returncode != 0:
            assert ended or "A worker process" in said or "that loads it was killed" in said, said
            continue
        longest = max(3.0, 1.1 * (time.monotonic() - begun))
        table = pd.read_parquet(out.scores)
        assert not table.duplicated(["clip", "sample", "reading"]).any()
        assert len(table[["clip", "sample"]].drop_duplicates()) == len(all_rows(long_run))
        if same_rollouts(out, long_run):
            assert out.scores.read_bytes() == whole
        else:
            others += 1
        assert other_contents(out, read_manifest(out).contents) == []
        shutil.rmtree(out.path)
        finished, left = finished + 1, rng.randint(1, MOST_KILLS)
        print(f"{kills} kills, {finished} runs finished in between, {others} with other batches", flush=True)
        out = RunFolder(tmp_path / f"run-{finished}")
    assert run(long_eval(out.path, *(["--resume"] if out.manifest.exists() else ["--fresh"]))) == 0
    assert same_rollouts(out, long_run) <= (out.scores.read_bytes() == whole)


def all_rows(long_run: RunFolder) -> pd.DataFrame:
    """Clip and sample of all rollouts of the toy's run."""
    return pd.read_parquet(long_run.scores)[["clip", "sample"]].drop_duplicates()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("raises", "no more"),
        pytest.param("hangs", "8 s", marks=pytest.mark.slow),
        pytest.param("nan", "holds NaN", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_fails_in_its_third_batch_costs_that_batch(tmp_path: Path, kind: str, words: str) -> None:
    (tmp_path / "late.py").write_text(LATE)
    out = RunFolder(tmp_path / kind)
    model = (f"{tmp_path / 'late.py'}:factory", "--model-arg", f"kind={kind}", "--device", "cpu")
    what = ("--suite", "smoke", "--tasks", "projectile", "--batch-size", "1", "--scorers", "drift/accuracy")
    limit = "8" if kind == "hangs" else "300"  # s; a busy machine takes seconds for a batch
    assert run(["eval", *model, *what, "--workers", "1", "--timeout", limit, "--out", str(out.path)]) == 0
    result = json.loads(out.result.read_text())
    assert result["counts"] == {"clips": 4, "samples": 1, "scored": 3, "failed": 1}
    assert [words in failure["reason"] for failure in result["failures"]] == [True], result["failures"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_at_any_write_of_the_program_loses_nothing(
    number: int,
    long_run: RunFolder,
    long_eval: Eval,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every session fails at one of its first writes and says so in a few lines; the last one gives the same bytes."""
    rng, out = random.Random(number), RunFolder(tmp_path / "faulty")
    plain, left = Path.replace, 0

    def replace(draft: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(number, os.strerror(number), str(target))
        return plain(draft, target)

    monkeypatch.setattr(Path, "replace", replace)
    for session in range(8):
        left = rng.randint(1, 6) if session < 7 else 0
        code = run(long_eval(out.path, *(["--resume"] if out.manifest.exists() else ["--fresh"] * out.path.exists())))
        said = capsys.readouterr().err
        assert "Traceback" not in said
        if code == 0:
            break
        assert session < 7 and code in (1, 2), said
        assert "disk is full" in said or os.strerror(number).lower() in said.lower(), said
    assert code == 0 and session > 0
    assert out.scores.read_bytes() == long_run.scores.read_bytes()
    assert other_contents(out, read_manifest(out).contents) == []
