"""Conditions under which a run leaves the bytes of one to which nothing happens: tables, parts, tracks and rollouts.

A row is a condition: the sessions of its run in order, how each ends and what it says. The first one runs by default.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from interruptions import Ask, Fault, can_mount, goes_on, in_own_mounts, is_whole, read_only, session

from physbench.result.manifest import read_manifest
from physbench.rollout.store import drop_rollout
from physbench.run import rollouts, state
from physbench.support.files import read_sealed_json
from physbench.support.run_folder import RunFolder

WORKER_FILES = r"/(parts|tracks|traces)/"
WORKER_WRITES = r"/(parts|rollouts|tracks|traces)/"  # also of references
GOES_ON = r"of 8 rollouts are scored and kept in[\s\S]*--resume"


@dataclass(frozen=True)
class Place:
    """Folders of a condition: `out` of its run, and an empty one of its own."""

    out: RunFolder
    own: Path


Prepare = Callable[[Place], object]


@dataclass(frozen=True)
class Step:
    """One session: the program with `more` words, to which `faults` happen."""

    faults: tuple[Fault, ...] = ()
    prepare: Prepare = lambda place: None  # in the process of the session, before it
    conclude: Prepare = lambda place: None  # there, after it
    more: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)
    said: str = ""  # a pattern
    leaves: bool = False  # the run as it was


@dataclass(frozen=True)
class Condition:
    """Sessions of one run, the last of which ends it."""

    name: str
    steps: tuple[Step, ...] = (Step(),)
    finished: bool = False  # it begins with a finished run
    mounts: bool = False
    manifest: dict[str, Any] = field(default_factory=dict)  # fields in the end


def fault(kind: str, match: str, at: int, words: str) -> Step:
    """A session that ends with code 1 at a write of a worker, or of the program where it writes the results."""
    role = "worker" if match == WORKER_WRITES else "program"
    lasting = kind == "ENOSPC"  # a full disk stays full
    return Step((Fault(kind, match, role, at, lasting=lasting),), codes=(1,), said=f"{words}[\\s\\S]*{GOES_ON}")


KILLED = Step((Fault("group", WORKER_FILES, "worker", 6),), codes=(-9,))


def without_tracks(place: Place) -> None:
    """Tracks cut short and gone, with the rollout and without it, and those of a reference."""
    out = place.out
    first, second, third, fourth = (row.id for row in read_manifest(out).rows)
    content = out.tracks(first, 1).read_bytes()
    out.tracks(first, 1).write_bytes(content[: len(content) // 2])
    out.tracks(second).unlink()
    out.tracks(third).unlink()
    drop_rollout(out, third, 0)
    out.reference("truth").tracks(fourth).write_bytes(b"")


def own_cache(place: Place) -> None:
    os.environ["PHYSBENCH_CACHE"] = str(place.own / "cache")


def copied_cache(place: Place) -> None:
    shutil.copytree(os.environ["PHYSBENCH_CACHE"], place.own / "cache")
    own_cache(place)


def damaged(place: Place) -> None:
    """Tables of the run and of a reference cut short, and every second clip and reference in the cache."""
    own_cache(place)
    cache = place.own / "cache"
    clips, references = (
        sorted(path for path in (cache / name).rglob("*.*") if path.is_file()) for name in ("clips", "references")
    )
    assert clips and references
    for table in (place.out.scores, place.out.reference("truth").scores):
        table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
    for path in [*clips[::2], *references[::2]]:
        path.write_bytes(path.read_bytes()[:100])


def read_only_cache(place: Place) -> None:
    own_cache(place)
    (place.own / "cache").mkdir()
    read_only(place.own / "cache")


def nothing_was_cached(place: Place) -> None:
    assert not any((place.own / "cache").iterdir())


def small_disk(place: Place) -> None:
    place.out.path.mkdir()
    in_own_mounts("-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place.out.path))


def copied_off(place: Place) -> None:
    shutil.copytree(place.out.path, place.own / "copy")


def copied_back(place: Place) -> None:
    shutil.rmtree(place.out.path)
    shutil.copytree(place.own / "copy", place.out.path)


def jumping_clock(place: Place) -> None:
    """Every look at the clock of the day is up to ten days off, back or ahead; file ages with it."""
    plain, rng = time.time, random.Random(1)
    time.time = lambda: plain() + rng.uniform(-10, 10) * 86400


def time_is_spent(place: Place) -> None:
    """Once the first batch of three rollouts is kept."""
    kept, batches = rollouts.RolloutKeeping.kept, []

    def noted(*arguments: Any) -> Any:
        batches.append(arguments)
        return kept(*arguments)

    rollouts.RolloutKeeping.kept = noted  # type: ignore[method-assign]
    state.is_spent = lambda budget, started: bool(budget) and bool(batches)


ENDED = Step(prepare=time_is_spent, more=("--budget", "2h"), said="Partial|For all of them")
DEFAULT = ("a disk that is full, with one worker",)
CONDITIONS = (
    Condition(
        "a disk that is full, with one worker",
        (
            Step(
                (Fault("ENOSPC", "/rollouts/", at=7),),
                more=("--workers", "1"),
                codes=(1,),
                said=f"The disk is full[\\s\\S]*{GOES_ON}",
            ),
            Step(more=("--workers", "1")),
        ),
    ),
    Condition(
        "tracks that are lost",
        (
            Step(
                prepare=without_tracks,
                said=r"Files of 4 samples are damaged or lost: scored again[\s\S]*5 of 8 rollouts are scored",
            ),
        ),
        finished=True,
    ),
    Condition("damaged tables, clips and references", (Step(prepare=own_cache), Step(prepare=damaged))),
    Condition(
        "a folder that is read-only by then",
        (
            KILLED,
            Step(
                prepare=lambda place: read_only(place.out.path),
                codes=(1, 2),
                said="No permission|Read-only",
                leaves=True,
            ),
            Step(),
        ),
        mounts=True,
    ),
    Condition(
        "a cache that is read-only",
        (Step(prepare=read_only_cache, conclude=nothing_was_cached, said="Read-only file system. Going on without"),),
        mounts=True,
    ),
    Condition("a cache that is deleted", (Step((Fault("delete", WORKER_FILES, "worker", 3),), copied_cache),)),
    Condition(
        "a disk of 400 kilobytes",
        (
            Step(prepare=small_disk, conclude=copied_off, codes=(1,), said=r"The disk is full[\s\S]*--resume"),
            Step(prepare=copied_back, more=("--resume",)),  # the folder is empty until then
        ),
        mounts=True,
    ),
    Condition(
        "a clock that jumps",
        (
            Step((Fault("kill", WORKER_FILES, "worker", 5),), jumping_clock, codes=(1,), said="A worker process"),
            Step(prepare=jumping_clock),
        ),
    ),
    Condition(
        "faults inside workers and at the end",
        (
            fault("ENOSPC", WORKER_WRITES, 2, "The disk is full"),
            fault("EIO", WORKER_WRITES, 2, "Input/output error"),
            fault("EROFS", WORKER_WRITES, 2, "Read-only file system"),
            fault("memory", WORKER_WRITES, 1, "Memory is full"),
            fault("kill", WORKER_WRITES, 1, "A worker process was killed by SIGKILL"),
            fault("EIO", r"scores\.parquet", 1, "Input/output error"),
            fault("EROFS", "result", 1, "Read-only file system"),
            Step(),
        ),
    ),
    Condition("time that is spent, and more of it", (ENDED, Step(more=("--budget", "3h"))), manifest={"stopped": None}),
    Condition("time that is spent, and no end", (ENDED, Step()), manifest={"stopped": None}),
)


def content(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "condition",
    [pytest.param(each, id=each.name, marks=() if each.name in DEFAULT else pytest.mark.slow) for each in CONDITIONS],
)
def test_a_run_leaves_the_same_bytes(condition: Condition, ask: Ask, staged_run: RunFolder, tmp_path: Path) -> None:
    if condition.mounts and not can_mount():
        pytest.skip("mounts need root")
    place = Place(RunFolder(tmp_path / "run"), tmp_path / "own")
    place.own.mkdir()
    if condition.finished:
        shutil.copytree(staged_run.path, place.out.path)
    for number, step in enumerate(condition.steps):
        before = content(place.out.path)
        words = ask(place.out.path, *(() if "--resume" in step.more else goes_on(place.out)), *step.more)
        ended = session(
            words,
            step.faults,
            tmp_path / f"session-{number}",
            lambda step=step: step.prepare(place),  # type: ignore[misc]
            lambda step=step: step.conclude(place),  # type: ignore[misc]
            warm=True,
        )
        assert ended.code in step.codes and re.search(step.said, ended.said), (number, ended)
        assert set(ended.struck) == {each.kind for each in step.faults}, (number, ended)
        assert "Traceback" not in ended.said and "should not happen" not in ended.said, ended.said
        assert not re.search(r"-\d+(\.\d+)? (s|min|h)\b|\d{3,} h", ended.said), ended.said
        assert not step.leaves or content(place.out.path) == before
    is_whole(place.out, staged_run)
    ours, theirs = (read_sealed_json(each.result) for each in (place.out, staged_run))
    assert {**ours, "speed": 0} == {**theirs, "speed": 0}
    document = read_manifest(place.out).document()
    assert {name: document.get(name) for name in condition.manifest} == condition.manifest
    seconds = {name: value for name, value in document["speed"].items() if name.endswith("_seconds")}
    assert seconds and all(0 <= value < 3600 for value in seconds.values()), seconds
