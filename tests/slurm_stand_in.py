"""Stands in for `sbatch`, `srun` and `scontrol`: runs jobs at once, one after the other, and interrupts some of them.

It does what the manual says: array variables, `--dependency`, `--requeue`, `--signal=B:...`, and SIGTERM to the step
and the batch shell on preemption and cancellation. `SLURM_EVENTS` says what happens to which job, the first time that
it runs: {"3_2": "preempt"}; the numbers of jobs are 1, 2, ...
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 120.0  # s


def wait_until_begun(marker: Path) -> None:
    """Until the step says that it is at work."""
    deadline = time.monotonic() + PATIENCE
    while not marker.exists():
        assert time.monotonic() < deadline, f"{marker} never came"
        time.sleep(0.02)


def run_once(job: str, arguments: list[str], environment: dict[str, str], event: str | None, state: Path) -> int:
    """Run a batch script, with what happens to it. Returns its exit code."""
    marker = state / f"begun-{job}"
    marker.unlink(missing_ok=True)
    environment = {**environment, "STEP_BEGUN": str(marker)}
    number, _, index = job.partition("_")
    name = environment["STAND_IN_OUTPUT"].replace("%x", "physbench").replace("%A", number).replace("%a", index or "0")
    with Path(name).open("a") as output:
        script = subprocess.Popen(
            ["bash", *arguments], env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    if event is not None:
        wait_until_begun(marker)
        if event == "limit":
            text = Path(arguments[0]).read_text()
            assert re.search(r"^#SBATCH --signal=B:USR1@\d+$", text, re.MULTILINE), "no warning was asked for"
            script.send_signal(signal.SIGUSR1)  # B: the batch shell alone
        else:
            os.killpg(script.pid, signal.SIGTERM)
    return script.wait(PATIENCE)


def run_job(job: str, arguments: list[str], environment: dict[str, str], state: Path) -> bool:
    """Run a job until it ends for good. Returns whether it succeeded."""
    event = json.loads(os.environ.get("SLURM_EVENTS", "{}")).get(job)
    requeued = state / f"requeued-{job}"
    for attempt in range(5):
        more = {"SLURM_RESTART_COUNT": str(attempt)} if attempt else {}
        code = run_once(job, arguments, {**environment, **more}, event if attempt == 0 else None, state)
        with (state / "log").open("a") as log:
            print(job, attempt, code, file=log)
        again = requeued.exists()
        requeued.unlink(missing_ok=True)
        if event == "preempt" and attempt == 0:
            again = "#SBATCH --requeue\n" in Path(arguments[0]).read_text()
        if not again:
            return code == 0
    return False


def options_of(words: list[str]) -> dict[str, str]:
    """Take the options from the begin of a command."""
    options = {}
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0)[2:].partition("=")
        options[name] = value
    return options


def sbatch(words: list[str], state: Path) -> int:
    options = options_of(words)
    number = len(list(state.glob("job-*"))) + 1
    record = state / f"job-{number}"
    kind, _, before = options.get("dependency", "").partition(":")
    if kind:
        assert kind in ("afterok", "aftercorr"), kind
        assert (state / f"job-{before}").read_text() == "done", f"{before} has not succeeded"
    assert options["kill-on-invalid-dep"] == "yes", "what waits for a failed job would wait for ever"
    environment = {**os.environ, "SLURM_JOB_ID": str(number), "STAND_IN_OUTPUT": options["output"]}
    environment.pop("SLURM_CPUS_PER_TASK", None)
    if "cpus-per-task" in options:
        environment["SLURM_CPUS_PER_TASK"] = options["cpus-per-task"]
    succeeded = True
    if "array" in options:
        first, last = map(int, options["array"].split("-"))
        for index in range(first, last + 1):
            array = {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(index)}
            succeeded &= run_job(f"{number}_{index}", list(words), environment | array, state)
    else:
        succeeded = run_job(f"{number}", list(words), environment, state)
    record.write_text("done" if succeeded else "failed")
    assert "parsable" in options
    print(number)
    return 0


def main() -> int:
    program, words, state = Path(sys.argv[0]).name, sys.argv[1:], Path(os.environ["SLURM_STATE"])
    if program == "sbatch":
        return sbatch(words, state)
    if program == "srun":
        options = options_of(words)
        with (state / "cores").open("a") as cores:  # a step has one, whatever its job has, unless srun is told
            print(options.get("cpus-per-task", "1"), file=cores)
        os.execvp(words[0], words)
    assert (program, words[0]) == ("scontrol", "requeue")
    (state / f"requeued-{words[1]}").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
