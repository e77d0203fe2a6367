"""`physbench scorers check`: from options to the table and its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from physbench import __version__
from physbench.clips.suite import find_suite
from physbench.errors import PhysbenchError
from physbench.plugins import user_files
from physbench.results.task_roles import kinds_of
from physbench.scoring.reading_roles import reading_name
from physbench.scoring.scorer_protocol import AXES, Scorer
from physbench.validation.measure_sources import FIRST_SEED, Settings, key, measure, measured_with, parts_of, scorers_of
from physbench.validation.measured_parts import MeasuredPart
from physbench.validation.table_file import TABLE_VERSION, TableHeader, write_table
from physbench.validation.thresholds import is_strength
from physbench.validation.validity_table import COLUMNS, validity_table

if TYPE_CHECKING:
    import pandas as pd


def headlines(settings: Settings) -> list[str]:
    """Ids of the headline readings in the order of the axes, and of strengths."""
    found = scorers_of(settings.scorers)
    axes = [each.id for axis in AXES for each in found if each.axis == axis and each.headline]
    return axes + [each.id for each in found if is_strength(each.id)]


def own_readings(settings: Settings) -> list[str]:
    """Ids of the scorers that do not come with physbench."""
    return [s.id for s in scorers_of(settings.scorers) if not s.function.__module__.startswith("physbench.")]


def _broken_scorers(parts: Sequence[MeasuredPart]) -> Iterator[str]:
    """Scorers that raise on ground truth, once a task: there is nothing that their readings could be told from."""
    for part in (part for part in parts if part.source == "truth"):
        failed = [read for read in part.reads if read.status == "failed" and read.reason.startswith(f"{read.reading} ")]
        if failed:
            yield from (f"{read.reason} on {part.clip}" for read in failed)
            return


def unknown_phrases(scorers: Iterable[Scorer], given: Set[str]) -> Iterator[str]:
    """Sentences about scorers that declare a phrase for a further reading and never give that reading.

    Args:
        scorers: The scorers.
        given: Names of all readings with a value, of any clip. Scorers without one say nothing about their keys.
    """
    for each in scorers:
        own = sorted(name for name in given if name == each.id or name.startswith(f"{each.id}."))
        for further, _ in each.phrases:
            if own and reading_name(each.id, further) not in own:
                yield f"phrase of {each.id} names the reading '{further}', but it gave only {', '.join(own)}."


def check_scorers(
    settings: Settings, out: Path, workers: int, say: Callable[[str], None]
) -> tuple[pd.DataFrame, list[str]]:
    """Measure what is missing beside `out`, and write the table there.

    What was measured lies in the folder `out` + ".parts", one sub-folder for each version of the code, render spec and
    codec: the same command goes on where it was stopped, and one with more clips or sources adds to it.

    Returns:
        The table, and what went wrong on the way to it: "SOURCE on CLIP: reason".
    """
    scorers = scorers_of(settings.scorers)
    if not scorers:
        raise PhysbenchError("There is no scorer to check.")
    name = key(settings, scorers)
    folder = out.with_name(f"{out.name}.parts") / name
    measure(settings, folder, workers, say)
    failures: list[str] = []
    given: set[str] = set()

    def tasks() -> Iterator[tuple[str, list[MeasuredPart]]]:
        for task in settings.tasks:
            parts = parts_of(settings, folder, task)
            failures.extend(f"{p.source} on {p.clip}: {p.reason}" for p in parts if p.outcome == "failed")
            failures.extend(_broken_scorers(parts))
            given.update(read.reading for part in parts for read in part.reads if read.status == "ok")
            yield task, parts

    suite = find_suite("core").version
    fixed = kinds_of(suite, settings.spec, settings.context)
    table = validity_table(tasks(), scorers, fixed=fixed, lawful_before=FIRST_SEED + settings.lawful)
    header = TableHeader(
        table_version=TABLE_VERSION,
        physbench=__version__,
        suite=suite,
        versions=measured_with(settings, scorers),
        key=name,
        scorers={each.id: each.version for each in scorers},
        tasks=settings.tasks,
        own_tasks=tuple(file.sha256 for file in user_files.registered_files()),
        sources=settings.sources,
        clips=settings.clips,
        truths=settings.truths,
        first_seed=FIRST_SEED,
        spec=str(settings.spec),
        context=settings.context,
        crf=settings.crf,
        columns=dict(COLUMNS),
    )
    write_table(out, table, header)
    for sentence in unknown_phrases(scorers, given):
        say(sentence)
    return table, failures
