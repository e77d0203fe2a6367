"""`physbench.load` and `Evaluation`: the result of a run in Python, its tables, tracks and frames."""

from __future__ import annotations

import difflib
import io
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.task import match_tasks
from physbench.result.document import FamilyResult, ResultDocument, TaskResult, read_result
from physbench.result.formats import short
from physbench.result.manifest import Manifest, read_manifest
from physbench.result.read import clips_of, read_run
from physbench.rollout.store import has_rollout, load_rollout
from physbench.run.remote_run import run_at
from physbench.run.state import say_on_stderr
from physbench.score.protocol import LAWS
from physbench.support import plugins
from physbench.support.errors import UsageError, nearest
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, load_tracks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

    from physbench.result.compare import Comparison

Detail = Literal["axes", "all"]
Rows = Literal["tasks", "clips", "readings"]
Source = Literal["model", "truth", "freeze", "constant-velocity"]


class Evaluation(Mapping[str, Any]):
    """A read-only mapping with the fields of result.json, such as result["axes"]["drift"]["interval"].

    `str(result)` is the summary that the command line prints. Tables, tracks and frames are read when asked for.
    """

    def __init__(
        self, result: ResultDocument, folder: RunFolder, temporary: Path | None = None, url: str | None = None
    ) -> None:
        """temporary: a folder removed with this result, or at the end of the program; url: what it is a copy of."""
        self._result = result
        self._folder = folder
        self._url = url
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
    def document(self) -> ResultDocument:
        """The same fields as typed objects: `document.axes["drift"].interval`."""
        return self._result

    @property
    def overall(self) -> float | None:
        """Overall skill: 1 is ground truth, 0 the frozen last frame; None where an axis has none."""
        return self._result.overall.skill

    @property
    def axes(self) -> dict[str, float | None]:
        """Skill by axis: consistency, permanence, drift (shown as long-horizon drift; higher is better)."""
        return {name: axis.skill for name, axis in self._result.axes.items()}

    @property
    def tasks(self) -> dict[str, dict[str, float | None]]:
        """Skill by task, then axis; for a guard its cost, at most 0."""
        return {task: {a: reading.skill for a, reading in axes.items()} for task, axes in self._result.tasks.items()}

    @property
    def told_apart(self) -> float | None:
        """Share told apart of the pairs of films that no pixel baseline solves; None but on `expectation`."""
        result = self._result.expectation
        return None if result is None else result.counted.accuracy

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
        from physbench.result.coverage import pixel_progress

        return pixel_progress(self._result.readings)

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
        result = self._result
        for axis, whole in result.axes.items():
            yield f"{axis}/quality", whole.quality
        levels: dict[str, Mapping[str, FamilyResult | TaskResult]] = {**result.families}
        levels |= {_without_version(task): axes for task, axes in result.tasks.items()}
        for level, axes in levels.items():
            for axis, cell in axes.items():
                yield f"{level}/{axis}", cell.skill
                yield f"{level}/{axis}/quality", cell.quality
        for name, reading in result.readings.items():
            if name.startswith(f"{LAWS}/"):
                for task, row in reading.tasks.items():
                    yield f"{_without_version(task)}/{name}", row.value

    def to_pandas(self, rows: Rows = "tasks", *, of: Source = "model") -> pd.DataFrame:
        """A table of skills, qualities or readings.

        Args:
            rows: "tasks": one row per task and axis, with kind, skill and quality, the ends of their intervals,
                references, clips; on the suite `expectation` one row a kind. "clips": one row a clip, indexed by its
                id, with the quality on each axis, mean over samples, NaN where the clip does not count, and `failed`,
                the reason, or "". "readings": the rows of scores.parquet, one a clip, sample and reading.
            of: Whose clips or readings: those of the model, or of a reference on the same clips.

        Raises:
            UsageError: Other words; clips of `expectation`; a table that is missing or damaged.
        """
        if rows not in get_args(Rows):
            raise UsageError(f"rows: expected {', '.join(get_args(Rows))}, got {rows!r}.")
        if of not in get_args(Source) or (of != "model" and rows == "tasks"):
            raise UsageError(f"of: expected {', '.join(get_args(Source))}, of clips or readings; got {of!r} of {rows}.")
        if rows != "tasks":
            if self._result.expectation is not None:
                raise UsageError(f"rows: the suite expectation has pairs of films, no {rows}. Leave `rows` out.")
            return self._clip_table(of) if rows == "clips" else self._scores[of].copy()
        if self._result.expectation is not None:
            from physbench.surprise.report import kinds_frame

            return kinds_frame(self._result)

        import pandas as pd

        from physbench.result.report.markdown import csv_of_tasks

        return pd.read_csv(io.StringIO(csv_of_tasks(self._result)))

    @cached_property
    def _scores(self) -> dict[str, pd.DataFrame]:
        """Score tables by source."""
        return read_run(self._folder)[1]

    def _clip_table(self, source: Source) -> pd.DataFrame:
        """Quality by clip and axis, as the means of the result have it."""
        import pandas as pd

        from physbench.result.skill import clip_qualities

        scores = self._scores[source]
        qualities = clip_qualities({source: scores}, self._scores["truth"], self._scores["freeze"])
        row = qualities.sources.index(source)
        blocks = [
            pd.DataFrame(block[row].T, index=list(qualities.clips[stratum]), columns=list(qualities.axes))
            for stratum, block in qualities.values.items()
        ]
        heads = scores.drop_duplicates("clip").set_index("clip")[["task", "split", "seed"]]
        failed = scores[scores["status"] == "failed"].groupby("clip")["reason"].first()
        table = heads.join(pd.concat(blocks)).sort_values(["task", "split", "seed"])
        table["failed"] = failed.reindex(table.index).fillna("")
        return table

    @cached_property
    def _manifest(self) -> Manifest:
        return read_manifest(self._folder)

    def _row(self, clip: str) -> Row:
        """The row of a clip of this run, by its id."""
        rows = {row.id: row for row in self._manifest.rows}
        if clip not in rows:
            close = difflib.get_close_matches(str(clip), rows)
            hint = nearest(str(clip), close) if close else ' The index of to_pandas("clips") lists them.'
            raise UsageError(f"clip: the run has no {clip!r}.{hint}")
        return rows[clip]

    def clip(self, clip: str) -> Clip:
        """Ground truth of a clip of this run, by its id: scene, states, frames, at the model's size and rate.

        Tasks of a file of one's own are read from that file. Raises UsageError for a clip that is not in the run.
        """
        row, tasks = self._row(clip), self._manifest.options.tasks
        with plugins.temporarily_registered():
            if tasks is not None:
                match_tasks(tasks)  # registers them
            return clips_of(self._folder, self._manifest).get(row, self._manifest.spec)

    def prediction(self, clip: str, sample: int = 0) -> NDArray[Any]:
        """Predicted frames (T, H, W, 3) uint8, or states (T, K, 13) of a model that answers with these.

        Of a run behind a URL the videos are fetched at the first call.

        Raises:
            UsageError: No such clip or sample; one that failed, or was not kept (`--keep-rollouts`), or is damaged.
        """
        name, samples = self._row(clip).id, self._result.counts.samples
        if not 0 <= sample < samples:
            raise UsageError(f"sample: expected 0 to {samples - 1}, got {sample}.")
        kept = has_rollout(self._folder, name, sample)
        rollout = load_rollout(self._folder, name, sample)
        if rollout is None and kept and self._url is not None:
            with run_at(self._url, "read", say_on_stderr):
                rollout = load_rollout(self._folder, name, sample)
        if rollout is None and kept:
            unfetched = ", or not fetched yet, as another process is at work" if self._url is not None else ""
            raise UsageError(f"{name}: the rollout of sample {sample} is damaged{unfetched}. Roll the clip out again.")
        if rollout is None:
            raise UsageError(f"{name}: the rollout of sample {sample} was not kept: --keep-rollouts all keeps each.")
        if rollout.failure:
            raise UsageError(f"{name}: sample {sample} failed: {rollout.failure}")
        return rollout.answer

    def tracks(self, clip: str, sample: int = 0, *, of: Source = "model") -> Tracks:
        """Positions, areas and visibility of the objects, context included, by frame.

        Raises UsageError for a clip that is not in the run, and where it was not tracked, as where it failed.
        """
        if of not in get_args(Source):
            raise UsageError(f"of: expected {', '.join(get_args(Source))}, got {of!r}.")
        place = self._folder if of == "model" else self._folder.reference(of)
        path = place.tracks(self._row(clip).id, sample)
        if not path.is_file():
            raise UsageError(f"{clip}: the run has no tracks of sample {sample} of {of}.")
        return load_tracks(path)

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
            return f"<pre>{escape(str(self))}</pre>"
        from physbench.result.report.markdown import notebook_html

        return notebook_html(self._result, self.report)


def load(run: str | os.PathLike[str]) -> Evaluation:
    """The result of a finished run: of its folder, or of the URL of one in an object store.

    Raises UsageError where that holds no run, or one that is not finished.
    """
    with run_at(os.fspath(run), "glance", say_on_stderr) as at:
        read_manifest(at.folder)
        if not at.folder.result.is_file():
            raise UsageError(
                f"{at.name}: the run is not finished: it holds no result.json. `physbench status {at.name}` says how "
                "far it is; what has begun it goes on with --resume, or resume=True."
            )
        return Evaluation(read_result(at.folder.result), at.folder, url=at.url)


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
        return f"<pre>{escape(str(self))}</pre>"


def _printed(say: Callable[[Console], None]) -> str:
    """Text that a terminal of 80 columns would show."""
    from rich.console import Console

    target = io.StringIO()
    say(Console(file=target, width=80, highlight=False))
    return target.getvalue().strip("\n")


def _without_version(task: str) -> str:
    """ "falling/projectile-v1" -> "falling/projectile"."""
    return f"{task.rpartition('/')[0]}/{short(task)}".removeprefix("/")


def to_tensorboard(writer: Any, result: Evaluation, step: int) -> None:
    """Write scalars, the figure of skills and the answer in words.

    Args:
        writer: A SummaryWriter, of torch.utils.tensorboard or of tensorboardX.
        result: What `physbench.evaluate` returned.
        step: Of the training.
    """
    for name, value in result.scalars().items():
        writer.add_scalar(name, value, step)
    writer.add_figure("physbench", result.plot(), step)
    writer.add_text("physbench", "\n\n".join(result.sentences), step)


def to_wandb(run: Any, result: Evaluation, step: int) -> None:
    """Log scalars, the table of tasks and the figure of skills.

    They join what else is logged at this step, before or after them, and are drawn over `physbench/step`. A run takes
    nothing for a step before its last one: there they join that.

    Args:
        run: What wandb.init returned.
        result: What `physbench.evaluate` returned.
        step: Of the training.
    """
    import wandb

    run.define_metric("physbench/*", step_metric="physbench/step")
    record: dict[str, Any] = {"physbench/step": step, **result.scalars()}
    record |= {"physbench/tasks": wandb.Table(dataframe=result.to_pandas())}
    record |= {"physbench/figure": wandb.Image(result.plot())}
    run.log(record, step=max(step, run.step))
