"""`physbench.evaluate`: an evaluation from Python, of a MODEL of the command line or of an object in this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from physbench.api.evaluation import Evaluation
from physbench.clips.suite import EXPECTATION_SUITE, find_suite
from physbench.models.protocol import Model, check_contract
from physbench.result.document import read_result
from physbench.run.evaluate import evaluate as run_evaluation
from physbench.run.interruption import Interrupted
from physbench.run.options import OPTIONS, Keep, Options
from physbench.run.remote_run import run_at, use_of_out
from physbench.run.state import default_folder, say_on_stderr
from physbench.support import plugins
from physbench.support.errors import ModelError, UsageError
from physbench.support.progress import silenced
from physbench.surprise.run import evaluate_expectation


def evaluate(
    model: str | os.PathLike[str] | Model,
    suite: str = "smoke",
    *,
    out: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    resume: bool = False,
    keep: bool | None = None,
    quick: bool = False,
    report: bool = True,
    progress: bool = False,
    model_arg: Mapping[str, object] | None = None,
    tasks: str | None = None,
    scorers: str | None = None,
    actions: str | None = None,
    prompts: str | None = None,
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
    view: str | None = None,
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
    the program, and `timeout` ends nothing. `device`, `dtype`, `autocast`, `compile`, `model_arg` and `trust_code` are
    for a MODEL only. With `resume` the run of an object goes on where its weights are those that it began with.

    `quick` is for the early steps of a training: one clip of each task, no diagnosis, no report, and no folder is left,
    so that overall, axes and `early` come in a fraction of the time; intervals need more clips.

    `fresh_seeds` draws so many seeds of each task now, or takes those of a run on fresh seeds, so that the clips are in
    no suite. `privileged` lets a model of yours with `rollout_clips` be handed the clips themselves.

    `look` is "plain" or "natural", how clips are drawn, `view` "far", "near" or "moving", from where they are seen; by
    default as the model's card says.

    `suite="expectation"` shows impossible films and asks whether they surprise the model: the answer is
    `result["expectation"]`; there are no axes, and overall is None. `untrained_copy` asks a MODEL with its weights
    drawn anew, too.

    With `prompt_motion` the prompt says in words how things move, for models that see one image: a track of its own.
    `prompts` is a file with a sentence for each clip in place of the task's.

    After `budget` ("30m") no rollout begins; with `until` (0.05) the run ends once half the interval of overall is at
    most that. `result["partial"]` then says what is missing.

    `out` is the run folder, or the URL of one in an object store, by default runs/MODEL-SUITE-N with MODEL as on the
    command line, of an object its card's name; `fresh` starts the run in it over. Without `keep` the folder is a
    temporary one, which goes with the result. `note` and `tags` are what
    `physbench runs` shows of it. `report=False` leaves out the page, which saves seconds; `diagnosis=False`
    leaves out the search for the laws that the model follows instead, which saves up to half a minute on `smoke`.
    Tracking and scoring use `workers` processes; with 0, or where this process may start none, as in a
    `multiprocessing.Pool` or a data loader, this process does that, one clip after the other.

    Raises UsageError or ModelError for what was asked wrongly, and for Ctrl-C and SIGTERM KeyboardInterrupt, which says
    how the run goes on; where the program has its own answer to these, that one is given. A rollout that raises, or
    whose frames break the contract, is no error: its clips count as 0, see `result["failures"]`.
    """
    chosen = {name: value for name, value in locals().items() if name in OPTIONS and value is not None}
    if keep is None:
        keep = not quick or out is not None
    if not keep and (out is not None or resume):
        raise UsageError("keep=False: the folder is a temporary one. Leave out `out` and `resume`.")
    live: Model | None = None
    of_loading = ("device", "dtype", "model_arg", "autocast", "compile")  # settings that an object has already
    if isinstance(model, str | os.PathLike):
        target = os.fspath(model)
    else:
        usual = Options("").document()
        if wrong := next((name for name in of_loading if chosen.get(name, usual[name]) != usual[name]), None):
            raise UsageError(f"{wrong} is for a MODEL to load; an object stays as it is: move it before.")
        live = check_contract(model, type(model).__name__, "clip" if privileged else "context")
        target = f"live:{live.card.name}"
    options = Options(target, **chosen)
    if quick:
        options = quick_options(options)
    temporary = None if keep else Path(tempfile.mkdtemp(prefix="physbench-"))
    place = out if temporary is None else default_folder(options.short_name, options.suite_name, False, temporary)
    say = say_on_stderr if progress else lambda message: None
    ask = evaluate_expectation if suite == EXPECTATION_SUITE else run_evaluation
    try:
        with (
            plugins.temporarily_registered(),
            contextlib.nullcontext() if progress else silenced(),
            run_at(None if place is None else os.fspath(place), use_of_out(resume, fresh), say) as at,
        ):
            written = report and not quick
            folder = ask(options, out=at.path, resume=resume, fresh=fresh, say=at.say, model=live, report=written)
    except (KeyboardInterrupt, Interrupted, UsageError, ModelError) as error:
        reason = str(error)
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
            reason = "Interrupted: nothing is kept of an evaluation with keep=False."
        if isinstance(error, Interrupted):  # after an Exception programs may go on
            raise KeyboardInterrupt(reason) from None
        raise
    return Evaluation(read_result(folder.result), folder, temporary)


def quick_options(options: Options) -> Options:
    """The options of an evaluation with one clip of each task, and no more than its scores."""
    if options.suite == EXPECTATION_SUITE:
        raise UsageError("quick: the suite expectation has pairs of films in the place of tasks. Give a limit.")
    limit = options.limit or len(find_suite(options.suite, None, options.tasks).tasks)
    return replace(options, limit=limit, diagnosis=False)
