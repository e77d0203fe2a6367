"""What `physbench.evaluate` returns: the result document, with the figures that a program asks for first."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from physbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

    from physbench.results.run_comparison import Comparison
    from physbench.results.schema import ResultDocument
    from physbench.storage.run_folder import RunFolder

Detail = Literal["axes", "all"]


class Evaluation(Mapping[str, Any]):
    """A read-only mapping with the fields of result.json, such as result["axes"]["drift"]["interval"].

    `str(result)` is the summary that the command line prints.
    """

    def __init__(self, document: Mapping[str, Any], folder: RunFolder, temporary: Path | None = None) -> None:
        """temporary: a folder that is removed with this result, or at the end of the program."""
        self._document = dict(document)
        self._folder = folder
        if temporary is not None:
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)

    def __getitem__(self, name: str) -> Any:
        return self._document[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document)

    def __len__(self) -> int:
        return len(self._document)

    @property
    def overall(self) -> float | None:
        """Overall skill: 1 is ground truth, 0 the frozen last frame; None where an axis has none."""
        skill: float | None = self["overall"]["skill"]
        return skill

    @property
    def axes(self) -> dict[str, float | None]:
        """Skill by axis: consistency, permanence, drift (shown as long-horizon drift; higher is better)."""
        return {name: found["skill"] for name, found in self["axes"].items()}

    @property
    def tasks(self) -> dict[str, dict[str, float | None]]:
        """Skill by task, then axis; for a guard its cost, at most 0."""
        return {task: {name: found["skill"] for name, found in axes.items()} for task, axes in self["tasks"].items()}

    @property
    def told_apart(self) -> float | None:
        """Share told apart of the pairs of films that no pixel baseline solves; None but on `expectation`."""
        found = self["expectation"]
        return None if found is None else found["counted"]["accuracy"]

    @property
    def lawful_seconds(self) -> float | None:
        """How long a prediction stays physical, s."""
        return None if self["lawful"] is None else self["lawful"]["seconds"]

    @property
    def failed(self) -> int:
        """Clips in which a sample failed; they count as 0."""
        return int(self["counts"]["failed"])

    @property
    def _result(self) -> ResultDocument:
        from physbench.results.schema import ResultDocument

        return ResultDocument.model_validate(self._document)

    @property
    def sentences(self) -> list[str]:
        """The answer in words."""
        return list(self["sentences"])

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
        """How much nearer than a frozen frame the first 0.5 s are to ground truth, -1 to 1, mean over families.

        It moves from the first steps of a training on, and is no physics.
        """
        from physbench.results.early_sign import early_sign

        return early_sign(self["readings"])

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
        from physbench.scoring.scorer_protocol import LAWS

        for axis, found in self["axes"].items():
            yield f"{axis}/quality", found["quality"]
        for level, short in ((self["families"], str), (self["tasks"], _without_version)):
            for name, axes in level.items():
                for axis, found in axes.items():
                    yield f"{short(name)}/{axis}", found["skill"]
                    yield f"{short(name)}/{axis}/quality", found["quality"]
        for reading, found in self["readings"].items():
            if reading.startswith(f"{LAWS}/"):
                for task, row in found["tasks"].items():
                    yield f"{_without_version(task)}/{reading}", row["value"]

    def to_pandas(self) -> pd.DataFrame:
        """One row per task and axis: kind, skill and quality with the ends of their intervals, references, clips.

        On the suite `expectation` one row a kind.
        """
        if self["expectation"] is not None:
            from physbench.expectation.kinds_figure import kinds_table

            return kinds_table(self._result)
        import io

        import pandas as pd

        from physbench.report.markdown_csv import csv_of_tasks

        return pd.read_csv(io.StringIO(csv_of_tasks(self._document)))

    def plot(self) -> Figure:
        """Skill of each family and of all on each axis with 95 % intervals, as a figure of matplotlib.

        On the suite `expectation` what is told apart of each kind.
        """
        if self["expectation"] is not None:
            from physbench.expectation.kinds_figure import kinds_figure

            return kinds_figure(self._result)
        from physbench.report.skill_plot import skill_plot

        return skill_plot(self._document)

    def compare(self, *others: Evaluation) -> EvaluationComparison:
        """This run beside others on the same clips, with paired differences. Raises UsageError where clips differ."""
        from physbench.results.run_comparison import compare

        if wrong := next((other for other in others if not isinstance(other, Evaluation)), None):
            raise UsageError(f"compare: expected what physbench.evaluate returns, got {type(wrong).__name__}.")
        return EvaluationComparison(compare(self._folder, *(other._folder for other in others)))

    def __str__(self) -> str:
        if self["expectation"] is not None:
            from physbench.expectation.expectation_text import print_expectation

            return _printed(lambda console: print_expectation(self._result, console))
        from physbench.report.terminal_summary import print_summary

        return _printed(lambda console: print_summary(self._document, console))

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={value:.3f}" for name, value in self.scalars("", detail="axes").items())
        return f"<Evaluation of {self['model']['name']} on {self['suite']['name']}: {figures}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: the answer in words, and the table of skills or of kinds."""
        if self["expectation"] is not None:
            from html import escape

            return f"<pre>{escape(str(self))}</pre>"
        from physbench.report.notebook import notebook_html

        return notebook_html(self._document, self.report)


def load(run: str | os.PathLike[str]) -> Evaluation:
    """The result of a finished run: of its folder, or of the URL of one in an object store.

    Raises UsageError where that holds no run, or one that is not finished.
    """
    from physbench.results.read_run import read_manifest
    from physbench.results.schema import read_result
    from physbench.run.evaluate import say_on_stderr
    from physbench.run.remote_run import run_at

    with run_at(os.fspath(run), "glance", say_on_stderr) as at:
        read_manifest(at.folder)
        if not at.folder.result.is_file():
            raise UsageError(
                f"{at.name}: the run is not finished: it holds no result.json. `physbench status {at.name}` says how "
                "far it is; what has begun it goes on with --resume, or resume=True."
            )
        return Evaluation(read_result(at.folder.result).model_dump(mode="json"), at.folder)


class EvaluationComparison:
    """One evaluation against others. `str` is what `physbench compare` prints, `document` has the figures."""

    def __init__(self, document: Comparison) -> None:
        self.document = document

    @property
    def sentences(self) -> list[str]:
        """The difference from each other run in words."""
        return [against.sentence for against in self.document.against]

    def __str__(self) -> str:
        from physbench.report.comparison_table import print_comparison

        return _printed(lambda console: print_comparison(self.document, console))

    def __repr__(self) -> str:
        return f"<EvaluationComparison: {' '.join(self.sentences)}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def _printed(say: Callable[[Console], None]) -> str:
    """What a terminal of 80 columns would show."""
    import io

    from rich.console import Console

    target = io.StringIO()
    say(Console(file=target, width=80, highlight=False))
    return target.getvalue().strip("\n")


def _without_version(task: str) -> str:
    """ "falling/projectile-v1" -> "falling/projectile"."""
    from physbench.results.number_format import short

    return f"{task.rpartition('/')[0]}/{short(task)}".removeprefix("/")
