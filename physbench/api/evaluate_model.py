"""`physbench.evaluate`: an evaluation from Python, of a MODEL of the command line or of an object in this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from physbench.adapters.model_protocol import Model
from physbench.api.evaluation import Evaluation
from physbench.clips.suite import EXPECTATION_SUITE
from physbench.errors import UsageError
from physbench.expectation.expectation_run import evaluate_expectation
from physbench.plugins import user_files
from physbench.progress import silenced
from physbench.run.evaluate import evaluate as run_evaluation
from physbench.run.evaluate import say_on_stderr
from physbench.run.options import Keep, Options
from physbench.run.remote_run import run_at, use_of_out
from physbench.storage.sealed_file import read_sealed_json


def evaluate(
    model: str | os.PathLike[str] | Model,
    suite: str = "smoke",
    *,
    out: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    resume: bool = False,
    report: bool = True,
    progress: bool = False,
    model_arg: Mapping[str, object] | None = None,
    tasks: str | None = None,
    scorers: str | None = None,
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    autocast: str | None = None,
    compile: bool = False,
    batch_size: int | None = None,
    samples: int = 1,
    seed: int = 0,
    timeout: float = 600.0,
    chain: bool = True,
    keep_rollouts: Keep = "shown",
    diagnosis: bool = True,
    untrained_copy: bool = False,
    workers: int | None = None,
    trust_code: bool = False,
    privileged: bool = False,
    fresh_seeds: int | str | os.PathLike[str] | None = None,
    look: str | None = None,
    prompt_motion: bool = False,
    budget: str | None = None,
    until: float | None = None,
    note: str = "",
    tags: Sequence[str] = (),
) -> Evaluation:
    """Evaluate a model and return its result; quiet unless `progress`. The options are those of `physbench eval`.

    `model` is a MODEL as on the command line ("reference:objects", "net.safetensors", "my_model.py:make"), which runs
    in a process of its own, or an object with a `card` and a `rollout` (FrameModel), as a training loop has one. An
    object is rolled out in this process, on its own device and in its own type, in evaluation mode, and the modes and
    random states of the training are put back. It loses the isolation of a process of its own: a crash is the crash of
    the program, and `timeout` ends nothing. `device`, `dtype`, `autocast`, `compile`, `model_arg`, `trust_code` and `resume` are for a
    MODEL only.

    `fresh_seeds` draws so many seeds of each task now, or takes those of a run on fresh seeds, so that the clips are in
    no suite. `privileged` lets a model of yours with `rollout_clips` be handed the clips themselves.

    `look` is "plain" or "natural", how clips are drawn; by default as the model's card says.

    `suite="expectation"` shows impossible films and asks whether they surprise the model: the answer is
    `result["expectation"]`; there are no axes, and overall is None. `untrained_copy` asks a MODEL with its weights
    drawn anew, too.

    With `prompt_motion` the prompt says in words how things move, for models that see one image: a track of its own.

    After `budget` ("30m") no rollout begins; with `until` (0.05) the run ends once half the interval of overall is at
    most that. `result["partial"]` then says what is missing.

    `out` is the run folder, or the URL of one in an object store, by default runs/MODEL-SUITE-N with MODEL as on the
    command line, of an object its card's name; `fresh` starts the run in it over. `note` and `tags` are what
    `physbench runs` shows of it. `report=False` leaves out the page, which saves seconds; `diagnosis=False`
    leaves out the search for the laws that the model follows instead, which saves up to half a minute on `smoke`.
    Tracking and scoring use `workers` processes.

    Raises UsageError or ModelError for what was asked wrongly. A rollout that raises, or whose frames break the
    contract, is no error: its clips count as 0, see `result["failures"]`.
    """
    live: Model | None = None
    if isinstance(model, str | os.PathLike):
        target = os.fspath(model)
    else:
        foreign = {"device": device != "auto", "dtype": dtype != "float32", "model_arg": bool(model_arg)}
        foreign |= {"autocast": autocast is not None, "compile": compile}
        if wrong := [name for name, given in foreign.items() if given]:
            raise UsageError(f"{wrong[0]} is for a MODEL to load; an object stays as it is: move it before.")
        from physbench.adapters.model_contract import check_contract

        live = check_contract(model, type(model).__name__, "clip" if privileged else "context")
        target = f"live:{live.card.name}"
    options = Options(
        model=target,
        suite=suite,
        model_arg={key: str(value) for key, value in (model_arg or {}).items()},
        tasks=tasks,
        scorers=scorers,
        limit=limit,
        device=device,
        batch_size=batch_size,
        samples=samples,
        seed=seed,
        dtype=dtype,
        autocast=autocast,
        compile=compile,
        timeout=timeout,
        chain=chain,
        keep_rollouts=keep_rollouts,
        diagnosis=diagnosis,
        untrained_copy=untrained_copy,
        workers=workers,
        trust_code=trust_code,
        privileged=privileged,
        look=look,
        prompt_motion=prompt_motion,
        budget=budget,
        until=until,
        note=note,
        tags=tuple(tags),
        fresh_seeds=fresh_seeds if fresh_seeds is None or isinstance(fresh_seeds, int) else os.fspath(fresh_seeds),
    )
    with user_files.temporarily_registered(), contextlib.nullcontext() if progress else silenced():
        place = None if out is None else os.fspath(out)
        with run_at(place, use_of_out(resume, fresh), say_on_stderr if progress else _say_nothing) as at:
            ask = evaluate_expectation if suite == EXPECTATION_SUITE else run_evaluation
            folder = ask(options, out=at.path, resume=resume, fresh=fresh, say=at.say, model=live, report=report)
    return Evaluation(read_sealed_json(folder.result), folder)


def _say_nothing(message: str) -> None:
    pass
