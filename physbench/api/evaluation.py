"""`physbench.evaluate`: an evaluation from Python, and what it returns."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from physbench.clips.suite import EXPECTATION_SUITE, find_suite
from physbench.models.protocol import Model
from physbench.run.evaluate import evaluate as run_evaluation
from physbench.run.evaluate import say_on_stderr
from physbench.run.options import OPTIONS, Keep, Options
from physbench.run.process import Interrupted
from physbench.run.remote_run import run_at, use_of_out
from physbench.run.state import default_folder
from physbench.support import user_files
from physbench.support.errors import ModelError, UsageError
from physbench.support.progress import silenced
from physbench.surprise.run import evaluate_expectation

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

    from physbench.result.compare import Comparison
    from physbench.result.document import FamilyResult, ResultDocument, TaskResult
    from physbench.support.run_folder import RunFolder

Detail = Literal["axes", "all"]


class Evaluation(Mapping[str, Any]):
    """A read-only mapping with the fields of result.json, such as result["axes"]["drift"]["interval"].

    `str(result)` is the summary that the command line prints.
    """

    def __init__(self, result: ResultDocument, folder: RunFolder, temporary: Path | None = None) -> None:
        """temporary: a folder that is removed with this result, or at the end of the program."""
        self._result = result
        self._folder = folder
        if temporary is not None:
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return self._result.model_dump(mode="json")

    def __getitem__(self, name: str) -> Any:
        return self._document[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document)

    def __len__(self) -> int:
        return len(self._document)

    @property
    def overall(self) -> float | None:
        """Overall skill: 1 is ground truth, 0 the frozen last frame; None where an axis has none."""
        return self._result.overall.skill

    @property
    def axes(self) -> dict[str, float | None]:
        """Skill by axis: consistency, permanence, drift (shown as long-horizon drift; higher is better)."""
        return {name: found.skill for name, found in self._result.axes.items()}

    @property
    def tasks(self) -> dict[str, dict[str, float | None]]:
        """Skill by task, then axis; for a guard its cost, at most 0."""
        return {task: {a: found.skill for a, found in axes.items()} for task, axes in self._result.tasks.items()}

    @property
    def told_apart(self) -> float | None:
        """Share told apart of the pairs of films that no pixel baseline solves; None but on `expectation`."""
        found = self._result.expectation
        return None if found is None else found.counted.accuracy

    @property
    def lawful_seconds(self) -> float | None:
        """Time for which a prediction stays physical, s."""
        return None if self._result.lawful is None else self._result.lawful.seconds

    @property
    def failed(self) -> int:
        """Clips in which a sample failed; they count as 0."""
        return self._result.counts.failed

    @property
    def sentences(self) -> list[str]:
        """The answer in words."""
        return list(self._result.sentences)

    @property
    def folder(self) -> Path:
        """The run folder: scores.parquet, result.json and the rest."""
        return self._folder.path

    @property
    def report(self) -> Path | None:
        """report/index.html of the run; None where none was written."""
        return self._folder.report if self._folder.report.is_file() else None

    @property
    def early(self) -> float | None:
        """Pixel progress of the first 0.5 s from a frozen frame (0) to ground truth (1), -1 to 1, mean over families.

        It moves from the first steps of a training on, and is no physics.
        """
        from physbench.result.coverage import early_sign

        return early_sign(self._result.readings)

    def scalars(self, prefix: str = "physbench/", *, detail: Detail = "all") -> dict[str, float]:
        """Figures that exist, for a logger: {"physbench/overall": 0.41, "physbench/falling/consistency": 0.3, ...}.

        Args:
            prefix: Before each name.
            detail: "axes" for overall, axes, `lawful_seconds`, `early` and `told_apart` alone; "all" for families and
                tasks, too, the quality behind each skill (".../quality") and each law in its own unit, such as
                "falling/projectile/laws/gravity" in m/s2 (`self["readings"]` names the units).
        """
        if detail not in get_args(Detail):
            raise UsageError(f"detail: expected {' or '.join(get_args(Detail))}, got {detail!r}.")
        values: dict[str, float | None] = {
            "overall": self.overall,
            **self.axes,
            "lawful_seconds": self.lawful_seconds,
            "early": self.early,
            "told_apart": self.told_apart,
        }
        if detail == "all":
            values |= dict(self._levels())
        return {prefix + name: value for name, value in values.items() if value is not None}

    def _levels(self) -> Iterator[tuple[str, float | None]]:
        """Quality of axes, skill and quality of families and tasks, and laws."""
        from physbench.score.protocol import LAWS

        result = self._result
        for axis, whole in result.axes.items():
            yield f"{axis}/quality", whole.quality
        levels: dict[str, Mapping[str, FamilyResult | TaskResult]] = {**result.families}
        levels |= {_without_version(task): axes for task, axes in result.tasks.items()}
        for level, axes in levels.items():
            for axis, found in axes.items():
                yield f"{level}/{axis}", found.skill
                yield f"{level}/{axis}/quality", found.quality
        for name, reading in result.readings.items():
            if name.startswith(f"{LAWS}/"):
                for task, row in reading.tasks.items():
                    yield f"{_without_version(task)}/{name}", row.value

    def to_pandas(self) -> pd.DataFrame:
        """One row per task and axis: kind, skill and quality with the ends of their intervals, references, clips.

        On the suite `expectation` one row a kind.
        """
        if self._result.expectation is not None:
            from physbench.surprise.report import kinds_frame

            return kinds_frame(self._result)
        import io

        import pandas as pd

        from physbench.result.report.markdown import csv_of_tasks

        return pd.read_csv(io.StringIO(csv_of_tasks(self._result)))

    def plot(self) -> Figure:
        """Skill of each family and of all on each axis with 95 % intervals, as a figure of matplotlib.

        On the suite `expectation` what is told apart of each kind.
        """
        if self._result.expectation is not None:
            from physbench.surprise.report import kinds_figure

            return kinds_figure(self._result)
        from physbench.result.report.charts import skill_plot

        return skill_plot(self._result)

    def compare(self, *others: Evaluation) -> EvaluationComparison:
        """This run beside others on the same clips, with paired differences. Raises UsageError where clips differ."""
        from physbench.result.compare import compare

        if wrong := next((other for other in others if not isinstance(other, Evaluation)), None):
            raise UsageError(f"compare: expected what physbench.evaluate returns, got {type(wrong).__name__}.")
        return EvaluationComparison(compare(self._folder, *(other._folder for other in others)))

    def __str__(self) -> str:
        if self._result.expectation is not None:
            from physbench.surprise.report import print_expectation

            return _printed(lambda console: print_expectation(self._result, console))
        from physbench.result.report.terminal import print_summary

        return _printed(lambda console: print_summary(self._result, console))

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={value:.3f}" for name, value in self.scalars("", detail="axes").items())
        return f"<Evaluation of {self._result.model.name} on {self._result.suite.name}: {figures}>"

    def _repr_html_(self) -> str:
        """HTML for Jupyter: the answer in words, and the table of skills or of kinds."""
        if self._result.expectation is not None:
            from html import escape

            return f"<pre>{escape(str(self))}</pre>"
        from physbench.result.report.markdown import notebook_html

        return notebook_html(self._result, self.report)


def load(run: str | os.PathLike[str]) -> Evaluation:
    """The result of a finished run: of its folder, or of the URL of one in an object store.

    Raises UsageError where that holds no run, or one that is not finished.
    """
    from physbench.result.document import read_result
    from physbench.result.manifest import read_manifest

    with run_at(os.fspath(run), "glance", say_on_stderr) as at:
        read_manifest(at.folder)
        if not at.folder.result.is_file():
            raise UsageError(
                f"{at.name}: the run is not finished: it holds no result.json. `physbench status {at.name}` says how "
                "far it is; what has begun it goes on with --resume, or resume=True."
            )
        return Evaluation(read_result(at.folder.result), at.folder)


class EvaluationComparison:
    """One evaluation against others. `str` is what `physbench compare` prints, `document` has the figures."""

    def __init__(self, document: Comparison) -> None:
        self.document = document

    @property
    def sentences(self) -> list[str]:
        """The difference from each other run in words."""
        return [against.sentence for against in self.document.against]

    def __str__(self) -> str:
        from physbench.result.report.terminal import print_comparison

        return _printed(lambda console: print_comparison(self.document, console))

    def __repr__(self) -> str:
        return f"<EvaluationComparison: {' '.join(self.sentences)}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def _printed(say: Callable[[Console], None]) -> str:
    """Text that a terminal of 80 columns would show."""
    import io

    from rich.console import Console

    target = io.StringIO()
    say(Console(file=target, width=80, highlight=False))
    return target.getvalue().strip("\n")


def _without_version(task: str) -> str:
    """ "falling/projectile-v1" -> "falling/projectile"."""
    from physbench.result.formats import short

    return f"{task.rpartition('/')[0]}/{short(task)}".removeprefix("/")


# `physbench.evaluate`: an evaluation from Python, of a MODEL of the command line or of an object in this process.


OF_LOADING = ("device", "dtype", "model_arg", "autocast", "compile")  # settings that an object has already


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
    asked = {name: value for name, value in locals().items() if name in OPTIONS and value is not None}
    if keep is None:
        keep = not quick or out is not None
    if not keep and (out is not None or resume):
        raise UsageError("keep=False: the folder is a temporary one. Leave out `out` and `resume`.")
    live: Model | None = None
    if isinstance(model, str | os.PathLike):
        target = os.fspath(model)
    else:
        usual = Options("").document()
        if wrong := next((name for name in OF_LOADING if asked.get(name, usual[name]) != usual[name]), None):
            raise UsageError(f"{wrong} is for a MODEL to load; an object stays as it is: move it before.")
        from physbench.models.contract import check_contract

        live = check_contract(model, type(model).__name__, "clip" if privileged else "context")
        target = f"live:{live.card.name}"
    options = Options(target, **asked)
    if quick:
        options = quick_options(options)
    temporary = None if keep else Path(tempfile.mkdtemp(prefix="physbench-"))
    place = out if temporary is None else default_folder(options.short_name, options.suite_name, False, temporary)
    say = say_on_stderr if progress else _say_nothing
    ask = evaluate_expectation if suite == EXPECTATION_SUITE else run_evaluation
    try:
        with (
            user_files.temporarily_registered(),
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
    from physbench.result.document import read_result

    return Evaluation(read_result(folder.result), folder, temporary)


def quick_options(options: Options) -> Options:
    """The options of an evaluation with one clip of each task, and no more than its scores."""
    if options.suite == EXPECTATION_SUITE:
        raise UsageError("quick: the suite expectation has pairs of films in the place of tasks. Give a limit.")
    limit = options.limit or len(find_suite(options.suite, None, options.tasks).tasks)
    return replace(options, limit=limit, diagnosis=False)


def _say_nothing(message: str) -> None:
    pass
