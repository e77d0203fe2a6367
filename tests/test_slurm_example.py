"""The job scripts for Slurm: the commands that they run, and jobs that are preempted, out of time or cancelled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from physbench.support.files import write_sealed_json

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "examples" / "slurm"
# Says what it was asked. In a job that will be interrupted it works until SIGTERM the first time.
PHYSBENCH = """\
#!/bin/bash
echo "$@" >> "$SLURM_STATE/commands"
job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
if [ -z "${SLURM_RESTART_COUNT:-}" ] && grep -q "\\"$job\\"" <<< "$SLURM_EVENTS"; then
    trap 'sleep 0.3; exit 130' TERM
    touch "$STEP_BEGUN"
    while true; do sleep 0.05; done
fi
"""
REAL = """\
#!/bin/bash
echo "$@" >> "$SLURM_STATE/commands"
begun() {
    until ls "$RUN.shards"/*/rollouts/*.json; do sleep 0.05; done
    touch "$STEP_BEGUN"
}
if [ -z "${SLURM_RESTART_COUNT:-}" ]; then begun > /dev/null 2>&1 & fi
exec PYTHON -c "from physbench.cli.main import main; main()" "$@"
"""


def commands_in(folder: Path, physbench: str) -> Path:
    """A folder for the path with the stand-ins and a program `physbench`."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    for name in ("sbatch", "srun", "scontrol"):
        (place / name).write_text(f"#!{sys.executable}\n" + (ROOT / "tests" / "slurm_stand_in.py").read_text())
    (place / "physbench").write_text(physbench)
    for path in place.iterdir():
        path.chmod(0o755)
    return place


def submitted(
    folder: Path, events: dict[str, str], *words: str, physbench: str = PHYSBENCH, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `submit.sh` with the stand-ins."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        **settings,
        "PATH": f"{commands_in(folder, physbench)}{os.pathsep}{os.environ['PATH']}",
        "SLURM_STATE": str(state),
        "SLURM_EVENTS": json.dumps(events),
        "RUN": str(folder / "run"),
    }
    command = ["bash", str(SCRIPTS / "submit.sh"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)


def log_of(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "state" / "log").read_text().splitlines()]


def test_the_commands_of_a_whole_evaluation(tmp_path: Path) -> None:
    run = f"{tmp_path / 'my run'}"
    done = submitted(tmp_path, {}, "m.py:make", run, "--timeout", "9", SHARDS="2", BATCH="16", SIZE="128", FPS="30")
    assert done.returncode == 0 and f"the report will be {run}/report/index.html" in done.stdout, done.stderr
    asked = (tmp_path / "state" / "commands").read_text().splitlines()
    clips = f"{run}.shards/clips"
    rollout = f"rollout m.py:make --suite core --clips {clips} --batch-size 16"
    assert asked == [
        f"data pack core --size 128 --fps 30 --out {clips} --replace",
        *(f"{rollout} --shard {i}/2 --out {run}.shards/{i} --resume --timeout 9" for i in (1, 2)),
        *(f"score {run}.shards/{i}" for i in (1, 2)),
        f"merge {run}.shards/1 {run}.shards/2 --out {run}",
    ]


def test_a_step_has_the_cores_of_its_job(tmp_path: Path) -> None:
    """srun does not take them over by itself, and a job that asks for none leaves the choice to Slurm."""
    done = submitted(tmp_path, {}, "m", str(tmp_path / "run"), SHARDS="1", CORES="6")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "state" / "cores").read_text().split() == ["6", "1", "6", "6"]


@pytest.mark.slow
def test_more_options_of_packing(tmp_path: Path) -> None:
    look = ("--look", "natural")
    done = submitted(tmp_path, {}, "m", str(tmp_path / "run"), *look, SHARDS="1", PACK="--look natural --limit 4")
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "state" / "commands").read_text().splitlines()
    assert asked[0].endswith("--replace --look natural --limit 4") and asked[1].endswith("--resume --look natural")


@pytest.mark.parametrize(
    ("contents", "joined", "words"),
    [
        ({"a": "b"}, True, "holds a finished run. Choose another RUN, or remove"),
        ({"a": "b"}, False, "holds a finished run. Choose another RUN, or remove"),
        (None, False, "holds a run that is not of the shards in"),
        (None, True, ""),
    ],
)
def test_nothing_is_queued_for_a_run_that_is_there(
    tmp_path: Path, contents: dict[str, str] | None, joined: bool, words: str
) -> None:
    """Unless it is an unfinished one of the shards beside it: that goes on."""
    run = tmp_path / "run"
    run.mkdir()
    options = {"model_arg": {"contents": "1"}}
    write_sealed_json(run / "manifest.json", {"options": options} | ({"contents": contents} if contents else {}))
    for index in (1, 2) if joined else (1,):
        shard = tmp_path / "run.shards" / str(index)
        shard.mkdir(parents=True)
        (shard / "manifest.json").write_text("{}")
    done = submitted(tmp_path, {}, "m", str(run), SHARDS="2")
    assert words in done.stderr and done.returncode == (2 if words else 0), done.stderr
    assert (tmp_path / "state" / "commands").exists() == (not words)


def test_jobs_that_are_interrupted_go_on(tmp_path: Path) -> None:
    """Preempted in one shard, out of time in the other: both run again with the same command."""
    done = submitted(tmp_path, {"2_1": "preempt", "2_2": "limit"}, "m", str(tmp_path / "run"), SHARDS="2")
    assert done.returncode == 0, done.stderr
    assert [each for each in log_of(tmp_path) if each[0].startswith("2_")] == [
        ["2_1", "0", "130"],
        ["2_1", "1", "0"],
        ["2_2", "0", "130"],
        ["2_2", "1", "0"],
    ]
    asked = (tmp_path / "state" / "commands").read_text().splitlines()
    assert asked[1] == asked[2] and asked[3] == asked[4] and "--resume" in asked[1]


def test_a_job_that_is_cancelled_stays_cancelled(tmp_path: Path) -> None:
    """What waits for it is never started."""
    done = submitted(tmp_path, {"2_1": "cancel"}, "m", str(tmp_path / "run"), SHARDS="1")
    assert done.returncode != 0 and "2 has not succeeded" in done.stderr
    assert log_of(tmp_path) == [["1", "0", "0"], ["2_1", "0", "130"]]


@pytest.mark.slow
def test_a_cluster_makes_the_run_of_one_machine(tmp_path: Path) -> None:
    """The program itself, a shard of which is preempted once it has rolled out its first clip."""
    from physbench.cli.main import run

    words = ("--suite", "smoke", "--tasks", "falling/projectile", "--scorers", "drift/accuracy", "--no-diagnosis")
    model = "baseline:constant-velocity"
    whole = tmp_path / "whole"
    assert run(("eval", model, *words, "--batch-size", "2", "--out", str(whole))) == 0
    settings = {"SUITE": "smoke", "SHARDS": "2", "BATCH": "2", "PYTHONPATH": f"{ROOT}"}
    program = REAL.replace("PYTHON", sys.executable)
    done = submitted(
        tmp_path, {"2_1": "preempt"}, model, str(tmp_path / "run"), *words[2:], physbench=program, **settings
    )
    assert done.returncode == 0, done.stderr
    for name in ("scores.parquet", "references/truth/scores.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()
    again = submitted(tmp_path, {}, model, str(tmp_path / "run"), *words[2:], physbench=program, **settings)
    assert again.returncode == 2 and "holds a finished run" in again.stderr
