"""Does a model that rolls out lawfully also notice what is not? Skill on the axes beside what surprises it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from physbench.clips.suite import EXPECTATION_SUITE
from physbench.errors import UsageError
from physbench.expectation.threshold_table import ThresholdColumn, shows_films, threshold_table
from physbench.results.number_format import AXIS_NAMES, ascii_minus, bracket, fixed
from physbench.results.read_run import read_manifest
from physbench.results.run_comparison import require_alike
from physbench.results.schema import ResultDocument, SkillValue, read_result
from physbench.results.schema_parts import Record
from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.console import Console

Key = tuple[str, str, tuple[tuple[str, str], ...]]  # of a model: target, hash, arguments
Found = TypeVar("Found")


class SkillBesideNotice(Record):
    """A model that was rolled out, and that was shown films."""

    name: str = Field(description="Name of the model.")
    skill_path: str = Field(description="Folder of the run on a suite with axes.")
    overall: SkillValue = Field(description="Overall skill.")
    axes: dict[str, SkillValue] = Field(description="Skill by axis.")
    noticed: ThresholdColumn = Field(description="What it notices.")


class SkillAndNotice(Record):
    """Some models with both."""

    schema_version: int = Field(default=1, description="Version of this document's layout.")
    suite: str = Field(description="Where they were rolled out.")
    models: list[SkillBesideNotice] = Field(description="By physical consistency, the best first.")
    said: str = Field(description="Whether more physical consistency goes with more that is noticed.")


def skill_and_notice(folders: Sequence[RunFolder]) -> SkillAndNotice:
    """Join runs with axes and runs of the suite expectation, model by model.

    Raises UsageError where a model has only one of both, or two of one, or where runs of a kind cannot be compared.
    """
    films = [folder for folder in folders if shows_films(folder)]
    rolled = [folder for folder in folders if folder not in films]
    manifests = [read_manifest(folder) for folder in rolled]
    for folder, manifest in zip(rolled[1:], manifests[1:], strict=True):
        require_alike(rolled[0], manifests[0], folder, manifest)
    table = threshold_table(films)
    columns: dict[Key, ThresholdColumn] = {}
    for folder, column in zip(films, table.runs, strict=True):
        _add(columns, _key(_finished(folder)), column, str(folder.path))
    results: dict[Key, tuple[str, ResultDocument]] = {}
    for folder in rolled:
        document = _finished(folder)
        _add(results, _key(document), (str(folder.path), document), str(folder.path))
    if alone := columns.keys() ^ results.keys():
        missed = next(columns[key].path if key in columns else results[key][0] for key in alone)
        raise UsageError(
            f"{missed}: this model, with these arguments, has no run of the other kind here. Give for each one of "
            f"{EXPECTATION_SUITE} and one with axes, such as core."
        )
    models = [
        SkillBesideNotice(
            name=columns[key].name,
            skill_path=rolled_out,
            overall=document.overall,
            axes={axis: _skill(document, axis) for axis in AXIS_NAMES},
            noticed=columns[key],
        )
        for key, (rolled_out, document) in results.items()
    ]
    models.sort(key=lambda each: -_value(each.axes["consistency"]))
    return SkillAndNotice(suite=str(manifests[0]["suite"]["name"]), models=models, said=agreement(models))


def agreement(models: Sequence[SkillBesideNotice]) -> str:
    """In how many pairs of models, whose intervals are apart in both, the same one is ahead in both.

    Models that were asked about other pairs of films (those of states are) are not compared.
    """
    if len(models) < 2:
        return "With runs of further models a sentence here says whether models that roll out lawfully also notice."
    same = other = pairs = 0
    for one, two in combinations(models, 2):
        if _asked(one.noticed) != _asked(two.noticed):
            continue
        pairs += 1
        skill = _ahead(one.axes["consistency"].interval, two.axes["consistency"].interval)
        notice = _ahead(one.noticed.everything.interval, two.noticed.everything.interval)
        same += skill * notice > 0
        other += skill * notice < 0
    if not same + other:
        return "No two models differ for sure both in physical consistency and in what they notice."
    return (
        f"{same + other} of {pairs} pairs of models differ for sure in both; in {same} of these the one with more "
        "physical consistency tells more films apart."
    )


def _asked(column: ThresholdColumn) -> tuple[int, tuple[str, ...]]:
    return column.everything.pairs, tuple(column.kinds)


def _ahead(one: Sequence[float] | None, other: Sequence[float] | None) -> int:
    """1 or -1 where the intervals are apart, 0 where they overlap or are not known."""
    if one is None or other is None:
        return 0
    return (one[0] > other[1]) - (other[0] > one[1])


def _finished(folder: RunFolder) -> ResultDocument:
    if not folder.result.is_file():
        raise UsageError(f"{folder.path} is not finished. Repeat its command with --resume.")
    return read_result(folder.result)


def _key(document: ResultDocument) -> Key:
    model = document.model
    args = {name: value for name, value in model.args.items() if name != "surprise"}
    return model.target, model.sha256 or "", tuple(sorted(args.items()))


def _add(found: dict[Key, Found], key: Key, value: Found, path: str) -> None:
    if key in found:
        raise UsageError(f"{path} is a second run of one model: give one of each kind.")
    found[key] = value


def _skill(document: ResultDocument, axis: str) -> SkillValue:
    found = document.axes.get(axis)
    if found is None:
        return SkillValue(skill=None, interval=None, reason="not in this run")
    return SkillValue(skill=found.skill, interval=found.interval, reason=found.reason)


def _value(skill: SkillValue) -> float:
    return float("-inf") if skill.skill is None else skill.skill


def print_skill_and_notice(table: SkillAndNotice, console: Console) -> None:
    """Print a row for each model."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in ("model", "overall", *AXIS_NAMES.values(), "told apart", "of what counts"):
        shown.add_column(name, justify="left" if name == "model" else "right")
    for each in table.models:
        skills = [f"{fixed(value.skill)} {bracket(value.interval)}" for value in (each.overall, *each.axes.values())]
        shares = [f"{fixed(s.accuracy)} {bracket(s.interval)}" for s in (each.noticed.everything, each.noticed.counted)]
        shown.add_row(*(Text(ascii_minus(cell.strip())) for cell in (each.name, *skills, *shares)))
    console.print()
    console.print(shown)
    console.print()
    console.print(Text(table.said))
    note = f"Skill on {table.suite}; shares of impossible films told apart on {EXPECTATION_SUITE}, guessing gives 0.50."
    console.print(Text(note, style="dim"))
