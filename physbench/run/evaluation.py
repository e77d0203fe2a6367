"""What `physbench.evaluate` returns: the result document, with the figures that a program asks for first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.storage.run_folder import RunFolder


class Evaluation(Mapping[str, Any]):
    """A read-only mapping with the fields of result.json, such as result["axes"]["drift"]["interval"].

    `str(result)` is the summary that the command line prints.
    """

    def __init__(self, document: Mapping[str, Any], folder: RunFolder) -> None:
        self._document = dict(document)
        self._folder = folder

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
    def lawful_seconds(self) -> float | None:
        """How long a prediction stays physical, s."""
        return None if self["lawful"] is None else self["lawful"]["seconds"]

    @property
    def failed(self) -> int:
        """Clips in which a sample failed; they count as 0."""
        return int(self["counts"]["failed"])

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

    def scalars(self, prefix: str = "physbench/") -> dict[str, float]:
        """Overall and axes that exist, for a logger: {"physbench/overall": 0.41, ...}."""
        values = {"overall": self.overall, **self.axes, "lawful_seconds": self.lawful_seconds}
        return {prefix + name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        import io

        from rich.console import Console

        from physbench.report.terminal_summary import print_summary

        target = io.StringIO()
        print_summary(self._document, Console(file=target, width=80, highlight=False))
        return target.getvalue().strip("\n")

    def __repr__(self) -> str:
        figures = ", ".join(f"{name.split('/')[-1]}={value:.3f}" for name, value in self.scalars().items())
        return f"<Evaluation of {self['model']['name']} on {self['suite']['name']}: {figures}>"
