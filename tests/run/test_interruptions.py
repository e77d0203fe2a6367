"""Interruptions at random writes, and full memory: no row lost or doubled, no byte different but where it is named."""

from __future__ import annotations

import itertools
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from full_counts import SEED, asked, repeatable
from interruptions import Ask, Fault, Session, goes_on, is_whole, session

from physbench.result.manifest import read_manifest
from physbench.rollout.store import load_rollout
from physbench.support.run_folder import RunFolder

INTERRUPTIONS = asked("INTERRUPTIONS", 300)
OWN_WRITES = r"manifest\.json|rollouts/|scores\.parquet|result\.json"  # of the program
WORKER_WRITES = r"/(parts|rollouts|tracks|traces)/"  # also of references


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


def interrupted_run(seed: int, ask: Ask, whole: RunFolder, place: Path) -> tuple[Counter[str], int, bool]:
    """One run with interruptions that follow from a seed, which goes on until it is finished.

    Returns the interruptions that came to pass, the number of sessions, and whether it names other batches.
    """
    rng, out, seen = random.Random(seed), RunFolder(place / "run"), Counter[str]()
    sessions, ended = 0, Session(-9, "", ())
    while ended.code != 0:
        assert sessions < 40, ended.said
        faults = random_faults(rng) if sessions < 8 else []
        ended = session(ask(out.path, *goes_on(out)), faults, place / f"session-{sessions}")
        sessions += 1
        seen.update(ended.struck)
        assert "Traceback" not in ended.said and "should not happen" not in ended.said, ended.said
        for part in out.path.glob("parts/[!.]*.json"):
            assert part.read_bytes() == (whole.path / "parts" / part.name).read_bytes(), "whole or not there"
        told = "was killed" in ended.said
        assert ended.code in (0, -9) or told, ended
    regrouped = bool(read_manifest(out).regrouped)  # the model's process was killed twice on the same clips
    if not regrouped:
        is_whole(out, whole)
    return seen, sessions, regrouped


@pytest.mark.slow
def test_interruptions_at_random_writes_lose_and_change_nothing(
    ask: Ask, staged_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL of program, group, worker or model's process at random writes, over run after run, a seed each."""
    seen: Counter[str] = Counter()
    for seed in itertools.count(SEED):
        place = tmp_path / f"{seed}"
        with repeatable("INTERRUPTIONS", seed):
            struck, sessions, regrouped = interrupted_run(seed, ask, staged_run, place)
        shutil.rmtree(place)
        seen.update(struck)
        result = "names other batches" if regrouped else "has the same bytes"
        with capsys.disabled():  # what a slice that is ended early has done
            print(f"seed {seed}: {struck.total()} interruptions in {sessions} sessions, {result}; {dict(seen)}")
        if seen.total() >= INTERRUPTIONS:
            break


@pytest.mark.slow
def test_full_memory_halves_batches_and_the_manifest_names_what_that_changed(
    ask: Ask, staged_run: RunFolder, tmp_path: Path
) -> None:
    """The system ends the model's process as memory is full: all rollouts are made, in batches that are named."""
    out = RunFolder(tmp_path / "run")
    fault = Fault("full", at=4)
    ended = session(ask(out.path), [fault], tmp_path / "session")
    assert ended.code == 0 and ended.struck == ("full",), ended
    manifest = read_manifest(out)
    named = set(manifest.regrouped)
    for row in {tuple(sorted(each.items())) for each in manifest.document()["suite"]["rows"]}:
        about = dict(row)
        clip = f"{about['task'].replace('/', '.')}.{about['split']}.{about['seed']}"
        for sample in range(2):
            found, expected = (load_rollout(each, clip, sample) for each in (out, staged_run))
            assert found is not None and expected is not None and found.failure is None
            same = (found.frames == expected.frames).all()
            assert same or any(name.startswith(clip) for name in named), (clip, named)
    assert named and manifest.events, "a batch was interrupted"
