"""Runs on seeds that are drawn when they begin: others each time, kept for the run and for those that repeat it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quick_runs import quick_finish

from physbench.cli.main import run
from physbench.clips.clip import Row
from physbench.clips.suite import FRESH_SEEDS, SUITE_VERSION, find_suite
from physbench.leaderboard.entries import add
from physbench.result.compare import compare
from physbench.run.manifest import left_out, requested_suite
from physbench.run.options import Options
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

TASKS = ("--suite", "smoke", "--tasks", "falling/projectile*")
WORDS = (*TASKS, "--scorers", "drift/sharpness", "--workers", "1", "--device", "cpu", "--samples", "2")


def manifest_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())


@pytest.fixture(scope="module")
def fresh_run(toys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip, two samples of a model that draws from its generators. Nobody may change it."""
    out = tmp_path_factory.mktemp("fresh") / "run"
    words = ("eval", f"{toys / 'toy.py'}:factory", *WORDS, "--keep-rollouts", "all")
    with quick_finish():
        assert run([*words, "--fresh-seeds", "1", "--out", str(out)]) == 0
    return out


def test_a_limit_that_leaves_out_tasks_says_so() -> None:
    """Users expect one clip of each task."""

    def told(**options: Any) -> str:
        asked = Options("baseline:freeze", suite="smoke", **options)
        return left_out(requested_suite(asked)[0], asked)

    assert told(limit=1) == (
        "--limit 1 is 1 clip in all, not of each task: 13 of 14 tasks have none. With --limit 14 each has one."
    )
    assert told(limit=13).startswith("--limit 13 is 13 clips in all, not of each task: 1 of 14 tasks have none.")
    assert told(limit=14) == told() == told(limit=1, tasks="falling/stack") == ""
    assert "1 of 2 tasks" in told(limit=1, tasks="falling/stack,orbits/kepler", fresh_seeds=2)


def test_the_run_says_that_its_clips_are_in_no_suite(fresh_run: Path) -> None:
    result = json.loads(RunFolder(fresh_run).result.read_text())
    assert result["suite"]["name"] == "fresh-smoke" and result["suite"]["local"] and not result["suite"]["complete"]
    assert "fresh seeds" in result["note"], "the first lines of terminal and report"
    [row] = manifest_of(fresh_run)["suite"]["rows"]
    assert row["seed"] in FRESH_SEEDS
    assert len(manifest_of(fresh_run)["suite"]["fresh"]["salt"]) == 32


def test_no_board_takes_it_and_an_ordinary_run_is_not_compared(
    fresh_run: Path, toy_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"ran on fresh seeds\. The board ranks models on the same clips"):
        add(RunFolder(fresh_run), tmp_path / "board")
    for pair in ((RunFolder(fresh_run), toy_run), (toy_run, RunFolder(fresh_run))):
        with pytest.raises(UsageError, match=f"drawn for each run: give the other one --fresh-seeds {fresh_run}"):
            compare(*pair)


def test_it_goes_on_with_the_seeds_that_were_drawn(fresh_run: Path, tmp_path: Path) -> None:
    """Rollouts and scores are lost: they are made again as they were, from the same clip and generators."""
    out = tmp_path / "run"
    shutil.copytree(fresh_run, out)
    scores = (out / "scores.parquet").read_bytes()
    for path in [*(out / "rollouts").glob("*"), *(out / "parts").glob("*"), out / "scores.parquet"]:
        path.unlink()
    words = ("eval", manifest_of(out)["model"]["target"], *WORDS, "--keep-rollouts", "all", "--out", str(out))
    assert run([*words, "--fresh-seeds", "1", "--resume"]) == 0
    assert manifest_of(out)["suite"] == manifest_of(fresh_run)["suite"]
    assert (out / "scores.parquet").read_bytes() == scores
    assert run([*words, "--fresh-seeds", "2", "--resume"]) == 2
    assert run([*words, "--resume"]) == 2


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A run folder of which nothing but the clips is known."""

    def write(
        name: str,
        seeds: list[int],
        salt: str | None = "secret",
        version: int = SUITE_VERSION,
        options: dict[str, Any] | None = None,
    ) -> Path:
        rows = [{"task": "falling/projectile-v1", "split": "test", "seed": seed} for seed in seeds]
        suite = {"name": name, "version": version, "rows": rows, **({"fresh": {"salt": salt}} if salt else {})}
        folder = tmp_path / "other"
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text(
            json.dumps({"schema_version": 1, "suite": suite, "model": {"target": "made"}, "options": options or {}})
        )
        return folder

    return write


def test_another_model_is_asked_for_the_same_clips(written: Callable[..., Path]) -> None:
    seeds = [FRESH_SEEDS[5], FRESH_SEEDS[6]]
    options = Options("baseline:freeze", suite="smoke", fresh_seeds=str(written("fresh-smoke", seeds)))
    suite, salt = requested_suite(options)
    assert suite.rows == tuple(Row("falling/projectile-v1", "test", seed) for seed in seeds)
    assert (suite.name, salt) == ("fresh-smoke", "secret")


def test_a_run_that_goes_on_keeps_its_clips(written: Callable[..., Path]) -> None:
    folder = written("fresh-smoke", [FRESH_SEEDS[5]])
    drawn, salt = requested_suite(Options("baseline:freeze", suite="smoke", fresh_seeds=1), resumed=folder)
    assert [row.seed for row in drawn.rows] == [FRESH_SEEDS[5]] and salt == "secret"


@pytest.mark.parametrize(
    ("stored", "asked", "words"),
    [
        ({"limit": 4}, {}, "--limit was 4, now it is not given"),
        ({}, {"limit": 1}, "--limit was not given, now it is 1"),
        ({}, {"tasks": "falling/*"}, r"--tasks was not given, now it is falling/\*"),
        (
            {"tasks": "falling/projectile*"},
            {"tasks": "orbits/*"},
            r"--tasks was falling/projectile\*, now it is orbits",
        ),
    ],
)
def test_a_run_does_not_go_on_with_another_choice_of_clips(
    written: Callable[..., Path], stored: dict[str, Any], asked: dict[str, Any], words: str
) -> None:
    folder = written("fresh-smoke", [FRESH_SEEDS[5]], options=stored)
    with pytest.raises(UsageError, match=rf"holds a run of other settings\. {words}"):
        requested_suite(Options("baseline:freeze", suite="smoke", fresh_seeds=1, **asked), resumed=folder)


def test_a_run_goes_on_where_the_same_tasks_are_named_otherwise(written: Callable[..., Path]) -> None:
    folder = written("fresh-smoke", [FRESH_SEEDS[5]], options={"tasks": "falling/projectile*", "limit": 1})
    options = Options("baseline:freeze", suite="smoke", fresh_seeds=1, tasks="falling/projectile-v1", limit=1)
    assert requested_suite(options, resumed=folder)[1] == "secret"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("smoke", [0], None), "is a run of smoke, not one on fresh seeds"),
        (
            ("fresh-core", [0]),
            f"holds clips of fresh-core {SUITE_VERSION}, and {find_suite('smoke').label} was asked for",
        ),
        (("fresh-smoke", [0], "secret", 1), "holds clips of fresh-smoke 1"),
    ],
)
def test_a_run_of_other_clips_is_refused(written: Callable[..., Path], settings: tuple[Any, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        requested_suite(Options("baseline:freeze", suite="smoke", fresh_seeds=str(written(*settings))))


def test_videos_cannot_answer_clips_that_were_not_exported() -> None:
    with pytest.raises(UsageError, match="videos answer the clips that were exported"):
        requested_suite(Options("videos:answers", suite="smoke", fresh_seeds=1))


def test_clips_and_salt_are_others_each_time() -> None:
    options = Options("baseline:freeze", suite="smoke", fresh_seeds=2, limit=3)
    (first, salt), (second, other) = requested_suite(options), requested_suite(options)
    assert len(first.rows) == len(second.rows) == 3 and first.partial
    assert not set(first.rows) & set(second.rows) and salt != other
    assert requested_suite(Options("baseline:freeze", suite="smoke")) == (find_suite("smoke"), "")
