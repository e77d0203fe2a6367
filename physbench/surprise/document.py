"""result.json of a run on the suite `expectation`, and whether lawful rollouts and surprise go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import Field

from physbench import __version__
from physbench.clips.clip import Row
from physbench.clips.suite import EXPECTATION_SUITE
from physbench.result.build import model_info
from physbench.result.compare import require_alike
from physbench.result.document import (
    Counts,
    ExpectationResult,
    Failure,
    Record,
    ResultDocument,
    SkillValue,
    Speed,
    SuiteInfo,
    read_result,
    write_document,
)
from physbench.result.formats import AXIS_NAMES, ascii_minus, bracket, fixed
from physbench.result.manifest import Manifest, read_manifest
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder
from physbench.surprise.ask import IN_TRACKS, UNTRAINED, FrameObserver, PairReading, observer_of, read_pair, read_part
from physbench.surprise.pairs import IMPOSSIBLE_KINDS, FilmPair, find_pairs, pairs_hash
from physbench.surprise.physicist import NOT_PUBLISHED, PHYSICIST_NAME, published_readings
from physbench.surprise.readings import expectation_result, fixed_solved
from physbench.surprise.report import ThresholdColumn, expectation_sentences, shows_films, threshold_table

if TYPE_CHECKING:
    from rich.console import Console

# Does a model that rolls out lawfully also notice what is not? Skill on the axes beside what surprises it.

Key = tuple[str, str, tuple[tuple[str, str], ...]]  # of a model: target, hash, arguments
Value = TypeVar("Value")


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
    return SkillAndNotice(suite=manifests[0].suite.name, models=models, said=agreement(models))


def agreement(models: Sequence[SkillBesideNotice]) -> str:
    """In how many pairs of models, whose intervals are apart in both, the same one is ahead in both.

    Models that were asked about other pairs of films (those of states are) are not compared.
    """
    if len(models) < 2:
        return "With runs of further models a sentence here says whether models that roll out lawfully also notice."
    same = other = pairs = 0
    for one, two in combinations(models, 2):
        if _question_of(one.noticed) != _question_of(two.noticed):
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


def _question_of(column: ThresholdColumn) -> tuple[int, tuple[str, ...]]:
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


def _add(values: dict[Key, Value], key: Key, value: Value, path: str) -> None:
    if key in values:
        raise UsageError(f"{path} is a second run of one model: give one of each kind.")
    values[key] = value


def _skill(document: ResultDocument, axis: str) -> SkillValue:
    skill = document.axes.get(axis)
    if skill is None:
        return SkillValue(skill=None, interval=None, reason="not in this run")
    return SkillValue(skill=skill.skill, interval=skill.interval, reason=skill.reason)


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


MODEL_FILMS = "films"  # of a part: what the model makes of the films


def write_expectation(
    folder: RunFolder, pairs: Sequence[FilmPair], manifest: Manifest, *, report: bool = True
) -> ResultDocument:
    """Write result.json and the report of a run all of whose films were shown; the result alone with report=False."""
    from physbench.surprise.report import write_expectation_page

    document, model, parts = expectation_document(folder, pairs, manifest)
    write_document(folder.result, document)
    if report:
        write_expectation_page(folder, document, model, parts, manifest.spec)
    return document


def pairs_of(manifest: Manifest) -> tuple[FilmPair, ...]:
    """The pairs of a stored run."""
    return find_pairs(manifest.options.limit, manifest.options.tasks)


def rewrite_expectation(folder: RunFolder) -> None:
    """Make result and report of a run again. Raises UsageError where it is not finished, or of another suite."""
    write_expectation(folder, *_stored_run(folder))


def expectation_of(folder: RunFolder) -> ResultDocument:
    """The same result without writing it. Raises UsageError as `rewrite_expectation` does."""
    return expectation_document(folder, *_stored_run(folder))[0]


def _stored_run(folder: RunFolder) -> tuple[tuple[FilmPair, ...], Manifest]:
    """Pairs and manifest of a run of this suite, as this version has it."""
    manifest = read_manifest(folder)
    if manifest.suite.name != EXPECTATION_SUITE:
        raise UsageError(f"{folder.path} is no run of the suite {EXPECTATION_SUITE}.")
    pairs = pairs_of(manifest)
    if manifest.suite.hash != pairs_hash(pairs):
        raise UsageError(
            f"{folder.path} shows other pairs than this version of the suite has. Run it again with --fresh."
        )
    return pairs, manifest


def expectation_document(
    folder: RunFolder, pairs: Sequence[FilmPair], manifest: Manifest
) -> tuple[ResultDocument, list[PairReading], dict[Row, dict[str, Any]]]:
    """The result document of a run, what the model makes of each pair, and what the parts hold, by clip."""
    card = manifest.card
    left_out = {pair.kind for pair in pairs if not pair.control}
    observer = observer_of(card)
    pairs = observer.pairs(pairs)
    left_out -= {pair.kind for pair in pairs}
    parts: dict[Row, dict[str, Any]] = {}
    for row in dict.fromkeys(pair.row for pair in pairs):
        part = read_part(folder.part(row.id))
        if part is None:
            raise UsageError(f"{folder.path} is not finished: films of {row.id} were not shown. Use --resume.")
        parts[row] = part
    pairs = [pair for pair in pairs if not {pair.possible, pair.impossible} & parts[pair.row]["absent"].keys()]
    model = readings(pairs, parts)
    beside, missing = _beside(manifest, pairs, parts, observer)
    result = expectation_result(
        model,
        {name: readings(pairs, parts, name) for name in observer.baselines},
        **observer.manner(manifest.notes),
        beside=beside,
        absent=missing,
        solved=fixed_solved(card.spec) if card.sees_pictures else None,
        not_shown=sorted({IMPOSSIBLE_KINDS[kind].noun for kind in left_out}),
    )
    failures = [
        Failure(clip=f"{row.id}|{film}", sample=0, reason=reason)
        for row, part in parts.items()
        for film, reason in part["failures"].items()
    ]
    absent = {f"{row.id}|{film}": reason for row, part in parts.items() for film, reason in part["absent"].items()}
    return _document(manifest, parts, result, failures, absent), model, parts


def _beside(
    manifest: Manifest,
    pairs: Sequence[FilmPair],
    parts: Mapping[Row, Mapping[str, Any]],
    observer: FrameObserver,
) -> tuple[dict[str, list[PairReading]], dict[str, str]]:
    """Readings of pairs by physicist, model in tracks and untrained copy, and why one of them has none."""
    beside: dict[str, list[PairReading]] = {}
    reasons: dict[str, str] = {}
    card = observer.card
    published = published_readings(pairs, card.spec) if card.sees_pictures else []
    if published:
        beside[PHYSICIST_NAME] = published
    else:
        reasons[PHYSICIST_NAME] = NOT_PUBLISHED
    if all(IN_TRACKS in part for part in parts.values()):
        beside["in tracks"] = readings(pairs, parts, IN_TRACKS)
    untrained_copy = "untrained copy"
    if all(UNTRAINED in part for part in parts.values()):
        beside[untrained_copy] = readings(pairs, parts, UNTRAINED)
    else:
        reasons[untrained_copy] = str(manifest.untrained or "not asked: --untrained-copy")
    return beside, reasons


def readings(
    pairs: Sequence[FilmPair], parts: Mapping[Row, Mapping[str, Any]], observer: str = MODEL_FILMS
) -> list[PairReading]:
    """Readings of each pair by the model (in pixels or tracks), its untrained copy or a pixel baseline."""
    pairs_read = []
    series = {row: _series(part, observer) for row, part in parts.items()}
    for pair in pairs:
        times, films = series[pair.row]
        event = parts[pair.row].get("events", {}).get(pair.impossible)
        shown = pair if event is None else replace(pair, event=event, seen=None)  # nothing is hidden in states
        pairs_read.append(read_pair(shown, films, times))
    return pairs_read


def _series(part: Mapping[str, Any], observer: str) -> tuple[Array, dict[str, Array]]:
    """Times (N,) and surprise (N,) by film."""
    answers = observer in (MODEL_FILMS, IN_TRACKS, UNTRAINED)
    times = part["times" if answers else "baseline_times"]
    films = part[observer] if answers else part["baselines"][observer]
    return np.array(times, dtype=np.float64), {
        name: np.array([np.nan if value is None else value for value in values]) for name, values in films.items()
    }


def _document(
    manifest: Manifest,
    parts: Mapping[Row, Mapping[str, Any]],
    result: ExpectationResult,
    failures: list[Failure],
    absent: dict[str, str],
) -> ResultDocument:
    suite = manifest.suite
    failed = {failure.clip.partition("|")[0] for failure in failures}
    return ResultDocument(
        schema_version=1,
        physbench_version=__version__,
        provisional=suite.in_development,
        note=f"a look, not a score: {result.everything.pairs} pairs" if suite.partial else "",
        model=model_info(manifest, chained=1),
        suite=SuiteInfo(
            name=suite.name,
            version=suite.version,
            hash=suite.hash,
            local=suite.local,
            clips=len(parts),
            of=len({pair.row for pair in find_pairs()}),
            tasks=sorted({row.task for row in parts}),
            complete=not suite.partial,
        ),
        render_spec=manifest.render_spec,
        context=manifest.scored_context,
        sentences=expectation_sentences(result),
        overall=SkillValue(skill=None, interval=None, reason="the suite expectation asks for surprise and has no axes"),
        axes={},
        families={},
        tasks={},
        splits={},
        references={},
        first_breaks={},
        lawful=None,
        readings={},
        counts=Counts(
            clips=len(parts),
            samples=manifest.options.samples,
            scored=len(parts) - len(failed),
            failed=len(failed),
        ),
        failures=failures,
        unavailable=absent,  # films that could not be made
        expectation=result,
        speed=Speed(**{name: manifest.speed.get(name) for name in Speed.model_fields}),
    )
