"""Interruptions at random writes, and faults inside the workers: no row lost or doubled, no byte different."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from interruptions import Ask, Fault, Session, goes_on, is_whole, session

from physbench.results.read_run import read_manifest
from physbench.storage.run_folder import RunFolder

INTERRUPTIONS = int(os.environ.get("PHYSBENCH_TEST_INTERRUPTIONS", "300"))
OWN_WRITES = r"manifest\.json|rollouts/|scores\.parquet|result\.json"  # of the program
WORKER_WRITES = r"/(parts|tracks|traces)/"  # also of references


@pytest.mark.slow
def test_faults_inside_workers_are_named_and_lose_nothing(ask: Ask, whole: RunFolder, tmp_path: Path) -> None:
    """Each session goes on where the last one ended; the last has no fault and gives the bytes of a whole run."""
    out = RunFolder(tmp_path / "run")
    for number, (fault, words, code) in enumerate(
        (
            (Fault("ENOSPC", WORKER_WRITES, "worker", 2, lasting=True), "The disk is full", 1),
            (Fault("EIO", WORKER_WRITES, "worker", 2), "Input/output error", 1),
            (Fault("EROFS", WORKER_WRITES, "worker", 3), "Read-only file system", 1),
            (Fault("memory", WORKER_WRITES, "worker", 3), "Memory is full", 1),
            (Fault("kill", WORKER_WRITES, "worker", 3), "A worker process died unexpectedly", 1),
            (Fault("EIO", r"scores\.parquet", "program"), "Input/output error", 1),
            (Fault("EROFS", "result", "program"), "Read-only file system", 1),
        )
    ):
        ended = session(ask(out.path, *goes_on(out)), [fault], tmp_path / f"session-{number}")
        assert ended.code == code and words in ended.said, (fault, ended)
        assert "--resume" in ended.said and "rollouts are scored and kept in" in ended.said, ended.said
        assert "Traceback" not in ended.said and "should not happen" not in ended.said, ended.said
    ended = session(ask(out.path, "--resume"), [], tmp_path / "last")
    assert ended.code == 0, ended.said
    is_whole(out, whole)


def random_faults(rng: random.Random) -> list[Fault]:
    """One interruption of a session; every fourth time two."""
    kinds = (
        lambda: Fault("kill", OWN_WRITES, "program", rng.randint(1, 16), after=rng.random() < 0.5),
        lambda: Fault("group", OWN_WRITES, "program", rng.randint(1, 16), after=rng.random() < 0.5),
        lambda: Fault("kill", WORKER_WRITES, "worker", rng.randint(1, 20), after=rng.random() < 0.5),
        lambda: Fault("group", WORKER_WRITES, "worker", rng.randint(1, 20), after=rng.random() < 0.5),
        lambda: Fault("model", at=rng.randint(2, 7)),
    )
    return [rng.choice(kinds)() for _ in range(2 if rng.random() < 0.25 else 1)]


@pytest.mark.slow
def test_interruptions_at_random_writes_lose_and_change_nothing(
    ask: Ask, whole: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL of program, group, worker or model's process at random writes, over run after run."""
    rng = random.Random(int(os.environ.get("PHYSBENCH_TEST_SEED", "1")))
    seen: Counter[str] = Counter()
    finished, sessions, others = 0, 0, 0
    while seen.total() < INTERRUPTIONS or finished == 0:
        out, ended = RunFolder(tmp_path / f"run-{finished}"), Session(-9, "", ())
        for attempt in range(40):
            left = INTERRUPTIONS - seen.total()
            faults = random_faults(rng)[:left] if attempt < 8 else []
            ended = session(ask(out.path, *goes_on(out)), faults, tmp_path / f"session-{sessions}")
            sessions += 1
            seen.update(ended.struck)
            assert "Traceback" not in ended.said and "should not happen" not in ended.said, ended.said
            for part in out.path.glob("parts/[!.]*.json"):
                assert part.read_bytes() == (whole.path / "parts" / part.name).read_bytes(), "whole or not there"
            if ended.code == 0:
                break
            assert ended.code == -9 or "A worker process died" in ended.said or "was killed" in ended.said, ended
        assert ended.code == 0, ended.said
        if read_manifest(out).get("regrouped"):  # the model's process was killed twice on the same clips
            others += 1
        else:
            is_whole(out, whole)
        shutil.rmtree(out.path)
        finished += 1
    with capsys.disabled():
        print(f"{seen.total()} interruptions ({dict(seen)}) in {sessions} sessions of {finished} runs")
        print(f"{finished - others} have the same bytes, {others} name other batches")
