"""Output of `physbench scorers check`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from physbench import __version__
from physbench.clips.suite import find_suite
from physbench.result.task_roles import kinds_of
from physbench.score.protocol import AXES, Scorer
from physbench.score.score_clip import reading_name
from physbench.support import plugins
from physbench.support.errors import PhysbenchError
from physbench.validity.measure import (
    FIRST_SEED,
    MeasuredPart,
    Settings,
    key,
    measure,
    measured_with,
    parts_of,
    scorers_of,
)
from physbench.validity.sources import LOW_RATE, sets_in
from physbench.validity.table import (
    COLUMNS,
    LEVEL,
    LOCATING,
    SKILL,
    TABLE_VERSION,
    TableHeader,
    records,
    validity_table,
    write_table,
)
from physbench.validity.thresholds import is_strength, last_part, measure_of

if TYPE_CHECKING:
    from rich.table import Table

# What `physbench scorers check` prints of a validity table.

SEEN, LIKELY = 0.95, 0.75  # AUROC from which a violation counts as seen, and as more than guessed
MOST_SKILL = 0.05  # that a gaming baseline may have
TITLES = {
    "violation": "Violations: chance that a reading finds one worse than a lawful clip (0.5 is blind), 95 % interval",
    "timing": "Frames at wrong times: no law is broken, and readings of physics lose by it",
    "picture": "Pictures that suffer: no law is broken, 0.5 is right for readings of physics",
    "stranger": "Lawful alternatives: 0.5 is right. A far one makes one declared jump at the hand-over; waived: its "
    "context is one frame, which shows no velocity, and only its quality (Q) is given",
    "cheat": "Gaming baselines: skill, overall at most 0.10 above constant velocity (cheat-straight)",
    LEVEL: "False breaks: clips whose ground truth or near alternatives have a larger strength, or ground truth a "
    "lower quality, with upper 95 % bound",
}
BEST = "best other (of half the clips or more)"
# Of a row with a bar, by what the bar is about.
FIGURES = {
    "auroc": "{auroc:.3f}{between}, bar {bar:.2f}.",
    "located": "{located:.0%} located (at least {located_low:.0%}), bar {bar:.0%}.",
    "broken": "{broken:.0%} broken at 0.2 diameters too, bar {bar:.0%}.",
    "quality": "quality {quality:.2f}, bar {bar:.2f}.",
    "skill": "{value:.3f}{between}, at most {bar:.2f}.",
    LEVEL: "{value:.2%} of {clips:.0f} clips (at most {high:.2%}), bar {bar:.2%}.",
}


def sentences(table: pd.DataFrame, readings: list[str]) -> list[str]:
    """Sentences on the table: what no headline reading sees, gaming baselines with skill, alternatives, bars."""
    lines = seen(table, readings)
    weak = table[(table["level"] == "skill") & (table["kind"] == "cheat") & (table["value"] > MOST_SKILL)]
    for row in records(weak.sort_values("value", ascending=False)):
        lines.append(f"{row['source']} has skill {row['value']:.2f}{between(row)} on {_axis(row['reading'])}.")
    for row in records(at_low_rate(table).dropna(subset="usual")):
        skill, gain = f"skill {row['value']:.2f} on {_axis(row['reading'])}", row["value"] - row["usual"]
        lines.append(f"{row['source']}: {skill}, {gain:+.2f} against the rate of the table.")
    alternatives = table[(table["level"] == "family") & (table["kind"] == "stranger")]
    distances = {(row["source"], row["family"]): row["distance"] for row in records(alternatives)}
    near = [f"{source} in {family} ({value:.1f})" for (source, family), value in distances.items() if value < 1]
    if near:
        lines.append(f"Near only, less than a diameter from ground truth: {', '.join(near)}.")
    barred = table[table["bar"].notna()]
    if len(barred):
        met, unknown = int((barred["met"] == 1).sum()), int(barred["met"].isna().sum())
        lines.append(f"Bars: {met} of {len(barred)} are met; {unknown} have too few clips to tell.")
    for row in records(barred[barred["met"] == 0]):
        lines.append(f"  not met: {row['source']}, {row['reading']} in {where(row)}: {figures(row)}")
    return lines


def seen(table: pd.DataFrame, readings: list[str]) -> list[str]:
    """Number of violations that one of these readings sees, and the unseen ones."""
    cells = table[(table["level"] == "all") & (table["kind"] == "violation") & table["reading"].isin(readings)]
    best = cells.groupby("source")["auroc"].max()
    blind = [f"{source} ({value:.2f})" for source, value in best.items() if value < LIKELY]
    count = int((best >= SEEN).sum())
    many = f"{len(best)} violation{'' if len(best) == 1 else 's'}"
    few = " These are point values: fewer than 8 clips a task give no interval." if cells["low"].isna().all() else ""
    are = "is" if count == 1 else "are"
    lines = [f"{many}; {count} {are} seen (AUROC {SEEN:g}) by a headline reading or strength.{few}"]
    if blind:
        lines.append(f"Hardly seen by any of them (below {LIKELY:g}): {', '.join(blind)}.")
    return lines


def at_low_rate(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of skill where few frames are shown, with `usual`: the skill at the rate of the table, NaN for none."""
    skill = table[table["level"] == "skill"]
    usual = dict(zip(zip(skill["source"], skill["reading"], strict=True), skill["value"], strict=True))
    low = skill[skill["source"].str.endswith(LOW_RATE)]
    shown = low["source"].str.removesuffix(LOW_RATE)
    keys = zip(shown, low["reading"], strict=True)
    return low.assign(shown=shown, usual=pd.Series([usual.get(key, np.nan) for key in keys], low.index, dtype=float))


def figures(row: Mapping[str, Any]) -> str:
    """The estimate that the bar of a row is about, with its interval, and the bar."""
    return FIGURES[measure_of(row)].format(**row, between=between(row))


def where(row: Mapping[str, Any]) -> str:
    """The family or the task that a row is about; * for all."""
    return str(row["family"] if row["task"] == "*" else row["task"])


def between(row: Mapping[str, Any], form: str = ".2f") -> str:
    """The 95 % interval of a row in brackets; "" where it has none."""
    low, high = row["low"], row["high"]
    return f" [{low:{form}}, {high:{form}}]" if np.isfinite(low) and np.isfinite(high) else ""


def _axis(reading: object) -> str:
    return str(reading).removeprefix(SKILL)


def printed(table: pd.DataFrame, readings: list[str], extra: list[str], level: str) -> list[Table]:
    """One table for each kind of source, and one of false breaks.

    Columns are the readings `extra`, whoever runs this is after them, then the headline ones, and the best of all
    others. level: all, family or task.
    """
    views = [
        _view(TITLES[kind], *_of_kind(own, kind, [*extra, *readings], level), ("", level))
        for kind in TITLES
        if kind != LEVEL and not (own := table[(table["kind"] == kind) & table["level"].isin((level, "skill"))]).empty
    ]
    lawful = table[table["level"] == LEVEL]
    return views if lawful.empty else [*views, _view(TITLES[LEVEL], *_false_breaks(lawful))]


def _view(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], whole: Collection[str] = ()) -> Table:
    """A table for the console; the columns `whole` are never wrapped."""
    from rich.table import Table

    view = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    text_columns = ("family", "task", "reading", BEST)  # columns of text, beside the first one
    for k, name in enumerate(head):
        view.add_column(name, justify="left" if not k or name in text_columns else "right", no_wrap=name in whole)
    for row in rows:
        view.add_row(*row)
    return view


def _of_kind(own: pd.DataFrame, kind: str, readings: list[str], level: str) -> tuple[list[str], list[list[str]]]:
    """Names of columns, and a row for each source of a kind (and each family or task)."""
    cells, skill = (own[own["level"] == name] for name in (level, "skill"))
    key = ["source"] if level == "all" else ["source", level]
    axes, last = list(dict.fromkeys(skill["reading"])), "diameters" if kind == "stranger" else "located"
    names = [name.partition("/")[2] for name in readings]
    head = ["", *key[1:], "clips", *names, BEST, *(f"skill {_axis(each)}" for each in axes), last]
    rows = []
    for place, group in cells.groupby(key, sort=False):
        source = str(place[0])
        chances = {row["reading"]: _auroc(row) for row in records(group)}
        skills = {row["reading"]: f"{row['value']:.2f}" for row in records(skill[skill["source"] == source])}
        texts = [chances.get(name, "") for name in readings]
        texts += [_best(group, readings), *(skills.get(name, "") for name in axes), _last(kind, source, group)]
        rows.append([*map(str, place), f"{group['clips'].max():.0f}", *texts])
    return head, rows


def _auroc(row: Mapping[str, Any]) -> str:
    if np.isfinite(row["auroc"]):
        return f"{row['auroc']:.2f}{between(row)}"
    compared = row["negatives"] > 0 or not np.isfinite(row["quality"])
    return "" if compared else f"Q {row['quality']:.2f}"


def _best(group: pd.DataFrame, readings: list[str]) -> str:
    """The largest AUROC of all but these readings and further ones, of those with enough clips."""
    names = group["reading"]
    others = group[~names.isin(readings) & ~names.str.contains(".", regex=False) & group["auroc"].notna()]
    others = others[others["clips"] >= group["clips"].max() / 2].set_index("reading")["auroc"]
    return f"{others.max():.2f} {others.idxmax()}" if len(others) else ""


def _last(kind: str, source: str, group: pd.DataFrame) -> str:
    """Distance of an alternative from ground truth; of what happens at a moment, the share located."""
    distance = group["distance"].max()
    if kind != "violation":
        return f"{distance:.1f}{' near only' if distance < 1 else ''}" if np.isfinite(distance) else ""
    located = group[group["reading"].map(last_part) == LOCATING]["located"].dropna()
    return f"{located.iloc[0]:.0%}" if len(located) and sets_in(source) else ""


def _false_breaks(lawful: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    head = ["reading", "beyond", "task", "clips", "share", "at most", "bar", ""]
    rows = []
    for row in records(lawful):
        met = {1.0: "met", 0.0: "not met"}.get(row["met"], "" if np.isnan(row["bar"]) else "too few")
        shares = ("" if np.isnan(row[name]) else f"{row[name]:.2%}" for name in ("value", "high", "bar"))
        beyond = row["source"].removeprefix("lawful ")
        rows.append([row["reading"], beyond, row["task"], f"{row['clips']:.0f}", *shares, met])
    return head, rows


def headlines(settings: Settings) -> list[str]:
    """Ids of the headline readings in the order of the axes, and of strengths."""
    scorers = scorers_of(settings.scorers)
    axes = [each.id for axis in AXES for each in scorers if each.axis == axis and each.headline]
    return axes + [each.id for each in scorers if is_strength(each.id)]


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

    Returns the table, and what went wrong on the way to it: "SOURCE on CLIP: reason".
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
        own_tasks=tuple(file.sha256 for file in plugins.registered_files()),
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
