"""The pages of a board, one file each with everything inline; its entries for a list of references; ranks of entries.

Ranks have intervals, paired over clips. All entries are resampled with the same draws of clips, each with its own
references (it may have another size and rate); one that never failed in some task may fail there where another does
not. The interval of a rank counts the entries that are surely ahead and surely behind (Mogstad, Romano, Shaikh and
Wilhelm 2024, Inference for Ranks, doi:10.1093/restud/rdad006): with K entries, a difference is sure where its interval
at level 1 - 0.05 / (K - 1) excludes 0, so that with 95 % confidence the true rank lies between 1 + those ahead and
K - those behind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote

import numpy as np

from physbench.leaderboard.check_tables import BADGES
from physbench.leaderboard.eligibility import COMPARISON, UNTRAINED, of_result
from physbench.leaderboard.entries import Entry, check_entries, describe, entries, present, unpack, unpublished
from physbench.leaderboard.submission import LINKS, short_count
from physbench.result import formats
from physbench.result.bootstrap import MISS, RESAMPLES, Resampled, resample
from physbench.result.coverage import applicable_axes
from physbench.result.document import GapValue, ResultDocument, SkillValue
from physbench.result.formats import csv_text
from physbench.result.read import key_of_result
from physbench.result.readings import AXIS, strength_text
from physbench.result.report.page import page_environment
from physbench.result.report.runs import LoopbackServer, is_for_loopback
from physbench.result.report.summary import family_factors
from physbench.result.sentences import LEAST_VIDEO_SIDE, small_videos
from physbench.result.skill import Kind, Stratum, clip_qualities, kinds, skills, task_means
from physbench.score.protocol import AXES
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.files import write_json, write_text
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN, VIEWS, RenderSpec
from physbench.world.styles.look_options import LOOKS, base_look

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rank:
    """Rank of an entry, 1 is best, and its 95 % interval."""

    rank: int
    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low}–{self.high}"


@dataclass(frozen=True, eq=False)
class ResampledSkill:
    """Mean skill of an entry over some axes, by which it is ranked."""

    skill: float
    rows: Array  # (L,) as in `resampled`
    resampled: Resampled[Stratum]
    families: Mapping[str, Array] = field(default_factory=dict)  # (L,) each, of what overall is the mean of


def resampled_skill(
    tables: dict[str, pd.DataFrame],
    *,
    resamples: int = RESAMPLES,
    fixed: Mapping[str, Mapping[str, Kind]] | None = None,
    axes: tuple[str, ...] = AXES,
) -> ResampledSkill:
    """Mean skill of one entry over axes, by default its overall skill, resampled.

    tables: "model", "truth" and "freeze". fixed: kinds of its tasks, as its result has them.
    """
    qualities = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"], axes)
    counts, kind = qualities.counts(), kinds(qualities, fixed)
    width = len(axes)
    flat = {key: block.reshape(3 * width, -1) for key, block in qualities.values.items()}
    drawn = resample(flat, resamples=resamples, bounded=range(width))
    means = {key: values.reshape(-1, 3, width) for key, values in drawn.means.items()}
    skill = skills(task_means(means, counts), kind, 0, slice(1, 3))
    drawn = replace(drawn, means={})  # 50 entries of them would fill the memory
    return ResampledSkill(float(skill.overall[0]), skill.overall, drawn, skill.family)


def entry_skill(tables: dict[str, pd.DataFrame], result: ResultDocument, resamples: int) -> ResampledSkill:
    """Overall skill of an entry, resampled. tables: as of `resampled_skill`."""
    axes = applicable_axes(result.model.card)
    return resampled_skill(tables, resamples=resamples, fixed=kinds_of(result), axes=axes)


def kinds_of(result: ResultDocument) -> dict[str, dict[str, Kind]]:
    """Kinds of the tasks, by axis."""
    return {task: {axis: skill.kind for axis, skill in axes.items()} for task, axes in result.tasks.items()}


def rank(entries: Sequence[ResampledSkill]) -> tuple[Rank, ...]:
    """Ranks of K entries that were run on the same clips."""
    count = len(entries)
    ahead, behind = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)  # of each: who surely is
    miss = MISS / max(count - 1, 1)  # so that one of an entry's comparisons is wrong that often
    for i, entry in enumerate(entries[:-1]):
        others = np.stack([other.rows for other in entries[i + 1 :]], axis=-1)  # (L, K - i - 1)
        mine = np.broadcast_to(entry.rows[:, None], others.shape)
        low, high = entry.resampled.interval(mine, others, miss=miss)
        ahead[i] += np.count_nonzero(high < 0)
        behind[i] += np.count_nonzero(low > 0)
        ahead[i + 1 :] += low > 0
        behind[i + 1 :] += high < 0
    return tuple(
        Rank(1 + sum(other.skill > entry.skill for other in entries), 1 + int(ahead[i]), count - int(behind[i]))
        for i, entry in enumerate(entries)
    )


# What a look costs a model: its overall skill in that look less the one in the plain look, paired over clips.
#
# A clip has the same motion in every look, so that the bootstrap draws the same clips. Each skill lies between ground
# truth and the frozen frame in its own look. `physbench compare` says the same of two runs, by axis, too.


@dataclass(frozen=True)
class LookDifference:
    """One model in two looks."""

    entry: str  # name of the entry in the other look
    model: str
    seen: str  # size, rate and context
    look: str  # the other one
    plain: SkillValue
    other: SkillValue
    value: float  # overall skill in the other look less that in the plain one
    interval: tuple[float, float]  # 95 %


def look_differences(entries: Sequence[Entry], resamples: int) -> tuple[LookDifference, ...]:
    """The differences of all models of which a board has runs in both looks, alike in all else; largest loss first.

    Models that are given states see no look.
    """
    plain = {
        key_of_result(entry.result): entry
        for entry in entries
        if entry.result.look == PLAIN and entry.result.model.card.sees_pictures
    }
    differences = []
    for entry in entries:
        beside = plain.get(key_of_result(entry.result))
        if entry.result.look != PLAIN and beside is not None:
            differences.append(_difference(entry, beside, resamples))
    return tuple(sorted(differences, key=lambda each: (each.value, each.model)))


def _difference(entry: Entry, beside: Entry, resamples: int) -> LookDifference:
    result = entry.result
    here, there = (entry_skill(each.tables(), each.result, resamples) for each in (entry, beside))
    low, high = here.resampled.interval(here.rows[:, None], there.rows[:, None])
    settings = describe(beside.result)
    return LookDifference(
        entry.name,
        result.model.name,
        f"{settings['frames']}, {settings['context']}",
        result.look,
        beside.result.overall,
        result.overall,
        here.skill - there.skill,
        (float(low[0]), float(high[0])),
    )


# Entries of a board for a list of references: BibTeX, one item an entry.

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",  # BibTeX counts braces, whatever stands before them
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "#$%&_"},
}


def bibtex(entry: Entry, rank: Rank | None) -> str:
    """Citation of an entry: model, submitter, year, suite, overall skill with its interval, rank if any, and link."""
    result, about = entry.result, entry.about
    suite = result.suite_label
    skill = f"overall skill {formats.fixed(result.overall.skill)} {formats.bracket(result.overall.interval)}"
    place = "without a rank" if rank is None else f"rank {rank}"
    links = about.submission.links
    fields = {
        "title": f"{{{_escaped(result.model.name)} on physbench {_escaped(suite)}}}",
        "author": f"{{{_escaped(about.submission.submitter)}}}" if about.submission.submitter else "",
        "year": about.date[:4] if re.fullmatch(r"\d{4}-\d\d-\d\d", about.date) else "",
        "howpublished": "{physbench board, entry " + entry.name + "}",
        "note": _escaped(f"{skill}, {place}, {about.badge}"),
        "url": (links.get("paper") or links.get("code") or "").replace("{", "%7B").replace("}", "%7D"),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{physbench:{entry.name},", *lines, "}\n"])


def _escaped(text: str) -> str:
    """The text for TeX, in one line: its own signs escaped, in ASCII dashes."""
    text = " ".join(text.split())
    return re.sub(r"[\\{}~^#$%&_]", lambda sign: SPECIAL[sign[0]], text.replace("–", "--").replace("−", "-"))


# The page on which any entries of a board are compared: their skills side by side, and paired differences of them.

OVERALL = "overall"
DIGITS = 4  # of a figure on the page


def compare_page(
    published: Sequence[Entry],
    resampled: Mapping[str, ResampledSkill],
    report: Callable[[Entry], str],
    chosen: Collection[Entry],
) -> str:
    """The page: a table of the chosen models, made in the browser from the figures that it holds.

    Args:
        resampled: Of each by its name, as `entry_skill` gives it.
        report: Link to the report of an entry.
        chosen: Entries that are shown before a reader chooses.
    """
    entries = sorted(published, key=lambda entry: -(entry.result.overall.skill or 0.0))
    first = entries[0].result
    axes = {axis: formats.AXIS_NAMES[axis] for axis in applicable_axes(first.model.card)}
    document = {
        "models": [_model(entry, axes, report(entry)) | {"chosen": entry in chosen} for entry in entries],
        "differences": differences([resampled[entry.name] for entry in entries]),
        "axes": list(axes.items()),  # in this order
        "families": list(first.by_family),
        "tasks": list(first.tasks),
    }
    environment = page_environment("physbench.leaderboard")
    return environment.get_template("compare.html.j2").render(
        document=document, suite_words=first.suite_label, clips=first.suite.clips
    )


def differences(entries: Sequence[ResampledSkill]) -> dict[str, list[list[list[float] | None]]]:
    """Skill of each entry less that of each later one, with its 95 % interval, paired over clips.

    Returns:
        By level (overall, then families): for entry i, of entries i + 1, i + 2, ...: [difference, low, high], or None
        where one of the two has none.
    """
    levels: dict[str, list[Array | None]] = {OVERALL: [entry.rows for entry in entries]}
    for family in dict.fromkeys(family for entry in entries for family in entry.families):
        levels[family] = [entry.families.get(family) for entry in entries]
    return {level: [_of(entries[i], rows, i) for i in range(len(rows) - 1)] for level, rows in levels.items()}


def _of(entry: ResampledSkill, rows: Sequence[Array | None], i: int) -> list[list[float] | None]:
    mine = rows[i]
    points: list[list[float] | None] = []
    for other in rows[i + 1 :]:
        if mine is None or other is None or mine.shape != other.shape or not np.isfinite(mine[0] - other[0]):
            points.append(None)
            continue
        low, high = entry.resampled.interval(mine[:, None], other[:, None])[:, 0]
        points.append([round(float(value), DIGITS) for value in (mine[0] - other[0], low, high)])
    return points


def _model(entry: Entry, axes: Mapping[str, str], link: str) -> dict[str, Any]:
    result = entry.result
    return {
        "name": result.model.name,
        "look": result.look,
        "seen": f"{describe(result)['frames']}, {describe(result)['context']}",
        "report": link,
        "sentence": result.sentences[0] if result.sentences else "",
        OVERALL: _figure(result.overall.skill, result.overall.interval),
        "families": {name: _figure(each.skill, each.interval) for name, each in result.by_family.items()},
        "axes": {axis: _figure(result.axes[axis].skill, result.axes[axis].interval) for axis in axes},
        "tasks": {
            axis: {task: _figure(each[axis].skill, each[axis].skill_interval) for task, each in result.tasks.items()}
            for axis in axes
        },
    }


def _figure(skill: float | None, interval: tuple[float, float] | None) -> list[float] | None:
    """[skill, low, high], with as many of them as there are."""
    if skill is None:
        return None
    return [round(value, DIGITS) for value in (skill, *(interval or ()))]


PREVIEW = "preview"
COMPARE, BIBTEX, NOTE = "compare.html", "board.bib", "note.txt"
TRACK_TITLES = {
    "zero-shot": ("Zero-shot", "Models that were not trained on clips of physbench."),
    "trained": ("Trained", "Models that were trained on its train split."),
    "comparison": (
        "For comparison",
        "Baselines, models that see hidden states, and small videos. They have no rank.",
    ),
    "untrained": ("Untrained copies", "Networks with their weights drawn anew. They have no rank."),
    PREVIEW: ("Your run", "It is not on the board."),
}

PICTURES = tuple(RenderSpec(1, 1, 1, look, view).picture for look in LOOKS for view in VIEWS)  # what comes first


class RankedTable(NamedTuple):
    """Table of entries that are ranked with each other."""

    look: str  # and view: one of PICTURES, or one with options of the look
    track: str
    image: bool = False  # whether one image is all that was shown: other futures are lawful then

    @property
    def title(self) -> str:
        name = TRACK_TITLES[self.track][0] + (", from one image" if self.image else "")
        words = () if self.look == PLAIN else self.look.split("-")  # no option of a look is written with a minus
        return ", ".join([name, *(f"{'look' if base_look(word) in LOOKS else 'view'} {word}" for word in words)])

    @property
    def meaning(self) -> str:
        return TRACK_TITLES[self.track][1]


@dataclass(frozen=True)
class BoardRow:
    """One row of a table."""

    entry: Entry
    rank: Rank | None  # None: for comparison
    report: str  # link
    mine: bool = False  # a run that is not on the board
    problem: str = ""  # why the board would not take it

    @property
    def result(self) -> ResultDocument:
        return self.entry.result

    @property
    def about(self) -> dict[str, str]:
        """Properties to compare the entry by, see `describe`."""
        return dict(describe(self.result))

    @property
    def unranked(self) -> str:
        """Reason that it has no rank, where that does not show by itself."""
        if self.problem:
            return "not rankable"
        small = too_small(self.result)
        return f"no rank: {small}" if small else ""

    def axis(self, axis: str, family: str = "") -> SkillValue:
        """Skill on an axis, or in one family of it. A run that is not on the board may lack one."""
        if not family:
            return self.result.axes[axis]
        skill = self.result.families.get(family, {}).get(axis)
        if skill is None:
            return SkillValue(skill=None, interval=None, reason="the family was not run")
        return SkillValue(skill=skill.skill, interval=skill.skill_interval, reason=skill.reason)

    @property
    def beyond_memory(self) -> SkillValue:
        """Overall skill minus that of the memory of as many training clips."""
        beyond = self.result.beyond_memory
        if beyond is None or beyond.overall is None:
            reason = "the result is of an older program" if beyond is None else beyond.reason
            return SkillValue(skill=None, interval=None, reason=reason)
        return beyond.overall

    @property
    def gap(self) -> GapValue:
        """Consistency that is lost where parameters leave the ranges of `test`."""
        gap = self.result.gaps.get("all", {}).get(AXIS)
        return gap or GapValue(test=None, ood=None, gap=None, truth=None, interval=None, reason="one split alone")

    @property
    def strength(self) -> float | None:
        """Median strength over all clips in diameters; None where it was not read."""
        return None if self.result.strength is None else self.result.strength.all.median

    @property
    def factors(self) -> dict[str, str]:
        """By family: the median factor on what the context does not show."""
        return family_factors(self.result)


Report = Callable[[Entry], str]
Tables = dict[RankedTable, list[BoardRow]]


def compares(result: ResultDocument) -> bool:
    """True if an entry is there to compare with, and takes no rank."""
    return result.model.target.startswith(COMPARISON) or result.model.track == "privileged" or bool(too_small(result))


def too_small(result: ResultDocument) -> str:
    """The limit of an entry of videos that are too small to be ranked; "" of others."""
    return small_videos(result.model.target, min(result.model.card.image_size))


def report_in_board(entry: Entry) -> str:
    """Link from the page of a board to an entry's report."""
    return f"entries/{quote(entry.name)}/report.html"


def ranked_entries(
    entries: Sequence[Entry], resamples: int, report: Report = report_in_board, mine: Entry | None = None
) -> Tables:
    """The entries of every look, track and kind of context, ranked within it by overall skill, best first.

    What has no rank comes last. mine: one of them that is not on the board, and is marked.
    """
    return _ranked(entries, lambda entry: entry_skill(entry.tables(), entry.result, resamples), report, mine)


def ranked_with_free_constants(
    entries: Sequence[Entry], resamples: int, report: Report = report_in_board, mine: Entry | None = None
) -> Tables:
    """The entries whose context does not show every constant, ranked likewise by consistency where these are free."""

    def unseen(entry: Entry) -> ResampledSkill:
        tables, fixed = entry.unseen_tables(), unseen_kinds_of(entry.result)
        return resampled_skill(tables, resamples=resamples, fixed=fixed, axes=(AXIS,))

    return _ranked([entry for entry in entries if _unseen_skill(entry.result) is not None], unseen, report, mine)


def _ranked(
    entries: Sequence[Entry], by: Callable[[Entry], ResampledSkill], report: Report, mine: Entry | None
) -> Tables:
    tables: dict[RankedTable, list[tuple[float, BoardRow]]] = {}
    tracks = [track for track in TRACK_TITLES if track != PREVIEW]
    # Pictures that differ are ranked apart
    pictures = dict.fromkeys([*PICTURES, *sorted({entry.result.look for entry in entries})])
    for table in (RankedTable(*each) for each in product(pictures, tracks, (False, True))):
        members = [entry for entry in entries if _table_of(entry.result) == table]
        skills = [by(entry) for entry in members]
        ranks = [None] * len(members) if table.track in ("comparison", "untrained") else rank(skills)
        rows = [
            (skill.skill, BoardRow(entry, place, report(entry), entry is mine))
            for entry, skill, place in zip(members, skills, ranks, strict=True)
        ]
        if rows:
            tables[table] = sorted(rows, key=lambda row: (-row[0], row[1].result.model.name))
    return {table: [row for _, row in rows] for table, rows in tables.items()}


def _table_of(result: ResultDocument) -> RankedTable:
    if result.model.target.startswith(UNTRAINED):
        return RankedTable(result.look, "untrained")
    if compares(result):
        return RankedTable(result.look, "comparison")
    image = result.context == 1 and result.model.card.sees_pictures
    return RankedTable(result.look, result.model.track, image)


def build(board: Path, *, resamples: int = RESAMPLES) -> Path:
    """Write BOARD/index.html, compare.html and the downloads from its entries, and return the path of the page.

    Raises UsageError where there are no entries, or one is not what was added.
    """
    ranked = entries(board)
    check_entries(board, ranked)
    note = note_of(board)
    resampled = {entry.name: entry_skill(entry.tables(), entry.result, resamples) for entry in ranked}
    tables = _ranked(ranked, lambda entry: resampled[entry.name], report_in_board, None)
    unseen = ranked_with_free_constants(ranked, resamples)
    differences = look_differences(ranked, resamples)
    lines = [line for rows in tables.values() for line in rows]
    # Three entries stand on the page that compares them, before a reader chooses
    chosen = [line.entry for line in sorted(lines, key=lambda line: line.rank is None)[:3]]
    write_text(board / BIBTEX, "\n".join(bibtex(line.entry, line.rank) for line in lines))
    write_text(board / COMPARE, compare_page(ranked, resampled, report_in_board, chosen))
    columns, rows = figures(tables, differences)
    write_text(board / "board.csv", csv_text(columns, rows))
    write_json(board / "board.json", [dict(zip(columns, row, strict=True)) for row in rows])
    path = board / "index.html"
    downloads = ("board.csv", "board.json", BIBTEX)
    write_text(path, _page(ranked, tables, unseen, differences, downloads, COMPARE, note))
    return path


class BoardServer(LoopbackServer):
    """A server of the files of a built board, with their own names."""

    def __init__(self, board: Path, port: int) -> None:
        super().__init__(port, partial(_BoardHandler, directory=str(board)))


class _BoardHandler(SimpleHTTPRequestHandler):
    """Answers GET and HEAD with a file of the board, no hidden one; no folder is listed, no link leads out."""

    timeout = 30  # s for a request to arrive

    def send_head(self) -> BytesIO | BinaryIO | None:
        if not is_for_loopback(self):
            self.send_error(HTTPStatus.FORBIDDEN, "Only for this machine")
            return None
        try:
            path, board = Path(self.translate_path(self.path)).resolve(), Path(self.directory).resolve()
            if not any(part.startswith(".") for part in path.relative_to(board).parts):
                return super().send_head()
        except ValueError:  # a link out of the board, or a NUL
            pass
        self.send_error(HTTPStatus.NOT_FOUND, "There is no such page")
        return None

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """Nothing: pages link to files."""
        self.send_error(HTTPStatus.NOT_FOUND, "There is no such page")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line a request would hide what matters."""


def note_of(board: Path) -> str:
    """Note of a board's keeper for its first screen: BOARD/note.txt, plain text. Raises UsageError."""
    path = board / NOTE
    try:
        return " ".join(path.read_text(encoding="utf-8").split()) if path.is_file() else ""
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}). Write it as plain text in UTF-8.") from error


class Preview(NamedTuple):
    """The page that a board would have."""

    path: Path
    problem: str  # why the run could not be ranked there; "" where it could


def preview(run: RunFolder, board: Path, out: Path, *, resamples: int = RESAMPLES) -> Preview:
    """Write the page that a board would have with a run that is not on it.

    The board stays as it is, and may not exist yet. A run that it would not take stands in a table of its own, without
    a rank and with the reason. Raises UsageError where the run is not finished.
    """
    with unpublished(run, board, resamples=resamples) as (mine, problem):
        own = of_result(mine.result).name
        others = [entry for entry in present(board) if problem or entry.name != own]
        shown = others if problem else [*others, mine]
        for entry in others:
            if not entry.report.is_file():  # as after a clone
                with suppress(OSError):
                    unpack(entry)

        def report(entry: Entry) -> str:
            target = run.report if entry is mine else entry.report
            if not target.is_file():
                return ""
            return quote(Path(os.path.relpath(target, out.parent)).as_posix())

        tables = ranked_entries(shown, resamples, report, mine)
        unseen = ranked_with_free_constants(shown, resamples, report, mine)
        if problem:
            row = BoardRow(mine, None, report(mine), mine=True, problem=problem)
            tables = {RankedTable(mine.result.look, PREVIEW): [row], **tables}
        differences = look_differences(shown, resamples)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, _page(shown or [mine], tables, unseen, differences))
    return Preview(out, problem)


def _page(
    entries: Sequence[Entry],
    tables: Tables,
    unseen: Tables,
    differences: Sequence[LookDifference],
    downloads: Sequence[str] = (),
    compare: str = "",
    note: str = "",
) -> str:
    result = entries[0].result
    axes = applicable_axes(result.model.card)
    names = {axis: name for axis, name in formats.AXIS_NAMES.items() if axis in axes}
    environment = page_environment(
        "physbench.leaderboard",
        fixed=formats.fixed,
        bracket=formats.bracket,
        count=short_count,
        strength=strength_text,
    )
    return environment.get_template("board.html.j2").render(
        tables=tables,
        unseen=unseen,
        differences=differences,
        badges=BADGES,
        axis_names=names,
        families=list(result.families),
        states=not result.model.card.sees_pictures,
        suite=result.suite,
        suite_words=result.suite_label,
        provisional=result.provisional,
        percent=percent,
        least_video_side=LEAST_VIDEO_SIDE,
        downloads=downloads,
        compare=compare,
        note=note,
    )


def figures(tables: Tables, differences: Sequence[LookDifference] = ()) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of all that the page shows as numbers; None where there is none."""
    by_entry = {each.entry: each for each in differences}
    records = [_record(table, row, by_entry.get(row.entry.name)) for table, rows in tables.items() for row in rows]
    return list(records[0]), [list(record.values()) for record in records]


def _record(table: RankedTable, row: BoardRow, difference: LookDifference | None) -> dict[str, object]:
    result, about = row.result, row.entry.about
    low, high = (None, None) if row.rank is None else (row.rank.low, row.rank.high)
    record: dict[str, object] = {
        "look": table.look,
        "track": table.track,
        "image": table.image,
        "model": result.model.name,
    }
    record |= {"rank_low": low, "rank_high": high}
    skills = {"overall": result.overall, **{axis: row.axis(axis) for axis in applicable_axes(result.model.card)}}
    for name, skill in {**skills, "beyond_memory": row.beyond_memory}.items():
        record |= {name: skill.skill} | _ends(name, skill.interval)
    record |= {"consistency_gap": row.gap.gap} | _ends("consistency_gap", row.gap.interval)
    record["strength_diameters"] = row.strength
    record |= {"less_plain": None if difference is None else difference.value}
    record |= _ends("less_plain", None if difference is None else difference.interval)
    for family, by_axis in result.families.items():
        for axis in applicable_axes(result.model.card):
            name = f"{family}_{axis}"
            record |= {name: by_axis[axis].skill} | _ends(name, by_axis[axis].skill_interval)
    submission = about.submission
    return record | {
        "frames_per_s": result.speed.model_frames_per_s,
        "frames": row.about["frames"],
        "context": row.about["context"],
        "uses": row.about["uses"],
        "samples": result.counts.samples,
        "chained": result.model.chained,
        "clips": result.counts.clips,
        "failed": result.counts.failed,
        "suite": result.suite_label,
        "badge": about.badge,
        "rollouts_seen": about.rollouts,
        "date": about.date or None,
        "hardware": about.hardware or None,
        "parameters": submission.parameters,
        "submitter": submission.submitter or None,
        **{name: submission.links.get(name) for name in LINKS},
        "report": row.report,
    }


def _ends(name: str, interval: tuple[float, float] | None) -> dict[str, object]:
    low, high = (None, None) if interval is None else interval
    return {f"{name}_low": low, f"{name}_high": high}


def unseen_kinds_of(result: ResultDocument) -> dict[str, dict[str, Kind]]:
    """The same of consistency with unseen constants free."""
    tasks = {} if result.unseen_constants is None else result.unseen_constants.tasks
    return {task: {AXIS: skill.kind} for task, skill in tasks.items()}


def _unseen_skill(result: ResultDocument) -> float | None:
    return None if result.unseen_constants is None else result.unseen_constants.consistency.skill


def percent(skill: float) -> float:
    """Place of a skill from -0.25 to 1 on its bar, in percent of the bar's width."""
    return round(100 * (min(max(skill, -0.25), 1.0) + 0.25) / 1.25, 2)
