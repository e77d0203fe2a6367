"""Runs of the suite `expectation` side by side: from which size on each model notices each kind of impossible event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from physbench.clips.suite import EXPECTATION_SUITE, suite_label
from physbench.errors import UsageError
from physbench.expectation.expectation_text import noticed
from physbench.results.difference_text import told_apart
from physbench.results.expectation_schema import ExpectationResult, NoticedFrom, PairShare
from physbench.results.number_format import ascii_minus, bracket, fixed
from physbench.results.read_run import read_manifest
from physbench.results.schema import read_result
from physbench.results.schema_parts import Record
from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.console import Console


class KindNoticed(Record):
    """What one model notices of one kind."""

    noun: str = Field(description='What is noticed: "jumps".')
    said: str = Field(description='The threshold in words; "yes" or "no" where there is no size; "" if undecided.')
    threshold: NoticedFrom | None = Field(description="Null for a kind without sizes.")
    accuracy: float | None = Field(description="Share of the pairs told apart.")


class ThresholdColumn(Record):
    """One run."""

    path: str = Field(description="Its folder.")
    name: str = Field(description="Name of the model.")
    unit: str = Field(description="What its surprise is measured in.")
    baseline: str = Field(description='What a baseline without physics is called: "pixel baseline".')
    counted: PairShare = Field(description="Mean over kinds of what no baseline without physics notices.")
    everything: PairShare = Field(description="Mean over kinds of all sizes.")
    auroc: float | None = Field(description="Impossible films against lawful ones of any clip.")
    kinds: dict[str, KindNoticed] = Field(description="By kind; a kind that it was not asked about is missing.")


class ThresholdTable(Record):
    """Some runs on the same pairs."""

    schema_version: int = Field(default=1, description="Version of this document's layout.")
    version: int = Field(description="Version of the suite.")
    provisional: bool = Field(default=False, description="True where its headline scorers may still change.")
    runs: list[ThresholdColumn] = Field(description="In the order in which they were given.")


def shows_films(folder: RunFolder) -> bool:
    """Whether a folder holds a run of this suite. Raises UsageError where it holds no run."""
    return bool(read_manifest(folder)["suite"]["name"] == EXPECTATION_SUITE)


def threshold_table(folders: Sequence[RunFolder]) -> ThresholdTable:
    """What some runs notice. Raises UsageError where one is of another suite, is not finished, or shows other pairs."""
    manifests: list[dict[str, Any]] = [read_manifest(folder) for folder in folders]
    for folder, manifest in zip(folders, manifests, strict=True):
        if manifest["suite"]["name"] != EXPECTATION_SUITE:
            raise UsageError(
                f"{folder.path} is a run of {manifest['suite']['name']}, and {folders[0].path} of {EXPECTATION_SUITE}: "
                "compare runs of one suite."
            )
        if not folder.result.is_file():
            raise UsageError(f"{folder.path} is not finished. Repeat its command with --resume.")
        if manifest["suite"]["hash"] != manifests[0]["suite"]["hash"]:
            raise UsageError(
                f"{folder.path} shows other pairs than {folders[0].path}: give both the same --limit and --tasks, and "
                "the same version of the suite."
            )
    names = told_apart([(str(m["model"]["name"]), str(f.path)) for f, m in zip(folders, manifests, strict=True)])
    results = [read_result(folder.result).expectation for folder in folders]
    columns = [
        _column(folder, name, result)
        for folder, name, result in zip(folders, names, results, strict=True)
        if result is not None
    ]
    suite = manifests[0]["suite"]
    provisional = bool(suite.get("in_development"))
    return ThresholdTable(version=int(suite["version"]), provisional=provisional, runs=columns)


def _column(folder: RunFolder, name: str, result: ExpectationResult) -> ThresholdColumn:
    kinds = {}
    for key, kind in result.kinds.items():
        sizeless = "" if kind.unit or kind.interval is None else "yes" if noticed(kind) else "no"
        kinds[key] = KindNoticed(
            noun=kind.noun, said=kind.said or sizeless, threshold=kind.threshold, accuracy=kind.accuracy
        )
    return ThresholdColumn(
        path=str(folder.path),
        name=name,
        unit=result.unit,
        baseline=result.baseline,
        counted=result.counted,
        everything=result.everything,
        auroc=result.auroc,
        kinds=kinds,
    )


def print_thresholds(table: ThresholdTable, console: Console) -> None:
    """Print a row for each kind and a column for each run."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in ("impossible", *(run.name for run in table.runs)):
        shown.add_column(Text(name), overflow="fold")
    nouns = {key: kind.noun for run in table.runs for key, kind in run.kinds.items()}
    for key, noun in nouns.items():
        cells = []
        for run in table.runs:
            kind = run.kinds.get(key)
            cells.append("not asked" if kind is None else f"{kind.said or 'too few clips'} ({fixed(kind.accuracy)})")
        shown.add_row(noun, *(Text(ascii_minus(cell)) for cell in cells))
    for noun, shares in (
        ("mean of what counts", [run.counted for run in table.runs]),
        ("mean of all", [run.everything for run in table.runs]),
    ):
        cells = [f"{fixed(share.accuracy)} {bracket(share.interval)}".rstrip() for share in shares]
        shown.add_row(noun, *(Text(ascii_minus(cell)) for cell in cells), style="bold")
    console.print()
    console.print(shown)
    console.print()
    note = "Noticed in 75 % of the pairs; in brackets the share of all sizes told apart, guessing gives 0.50."
    console.print(Text(f"{suite_label(EXPECTATION_SUITE, table.version, table.provisional)}. {note}", style="dim"))
    first, *others = ((tuple(run.kinds), run.baseline, run.counted.pairs, run.everything.pairs) for run in table.runs)
    if any(other != first for other in others):
        note = "Their means are not of the same pairs: other kinds were asked, or other pairs were left out."
        console.print(Text(note, style="yellow"))
