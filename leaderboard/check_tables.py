"""Checks of score tables and documents that need no clip, with the verdicts that all checks give."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from physbench import __version__
from physbench.clips.suite import suite_label
from physbench.leaderboard.claim import Claim
from physbench.result.build import build_result
from physbench.result.coverage import applicable_axes
from physbench.result.document import ResultDocument, read_result
from physbench.result.formats import joined
from physbench.result.read import REFERENCE_MODELS, ROW_KEY, read_scores
from physbench.score.protocol import EVENT_KINDS, Reading, Scorer, Status
from physbench.score.score_clip import builtin_scorers, quality_of, reading_name
from physbench.support.errors import UsageError
from physbench.support.files import atomic_path, write_json
from physbench.support.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# What the checks of a submission found: one verdict each, and the badge that they earn together.

Outcome = Literal["passed", "failed", "refused", "not possible"]
Badge = Literal["verified on fresh seeds", "re-scored", "self-reported"]
BADGES: dict[Badge, str] = {
    "verified on fresh seeds": "The board ran the model itself, on stored clips and on clips that were drawn for it "
    "alone, and read all tracks again.",
    "re-scored": "The board made the references and read all tracks again; it did not run the model.",
    "self-reported": "The board computed aggregates again from the readings as they were sent.",
}


@dataclass(frozen=True)
class Verdict:
    """Result of one check."""

    check: str  # "rows", "qualities"
    outcome: Outcome
    detail: str  # what was found, or the first difference
    figures: dict[str, Any] = field(default_factory=dict)  # numbers behind it

    def document(self) -> dict[str, Any]:
        return {"check": self.check, "outcome": self.outcome, "detail": self.detail, **self.figures}


def passed(check: str, detail: str, **figures: Any) -> Verdict:
    return Verdict(check, "passed", detail, figures)


def failed(check: str, detail: str, **figures: Any) -> Verdict:
    return Verdict(check, "failed", detail, figures)


def not_possible(check: str, why: str) -> Verdict:
    return Verdict(check, "not possible", why)


def refused(check: str, detail: str, **figures: Any) -> Verdict:
    """The model is not what it is said to be."""
    return Verdict(check, "refused", detail, figures)


@dataclass(frozen=True)
class Verification:
    """All verdicts on one submission, in the order of their cost."""

    verdicts: tuple[Verdict, ...]

    @property
    def problems(self) -> tuple[Verdict, ...]:
        """Checks that failed, or for which the model is refused."""
        return tuple(each for each in self.verdicts if each.outcome in ("failed", "refused"))

    @property
    def badge(self) -> Badge | None:
        """Badge that a board may give an entry; None where a check failed."""
        return None if self.problems else earned([each.check for each in self.verdicts if each.outcome == "passed"])

    def document(self) -> dict[str, Any]:
        return {
            "accepted": not self.problems,
            "badge": self.badge,
            "checks": [each.document() for each in self.verdicts],
        }


def earned(checks: Sequence[str]) -> Badge:
    """The badge for checks that passed."""
    rescored = ("references", "tracks")  # checks behind "re-scored"
    if not set(rescored) <= set(checks):
        return "self-reported"
    fresh_checks = ("stored clips again", "fresh seeds")  # and those that "verified on fresh seeds" needs besides
    return "verified on fresh seeds" if set(fresh_checks) <= set(checks) else "re-scored"


# Two score tables beside each other: which rows only one of them has, and which differ.

CLOSE = 1e-6  # of a reading or a quality: absolute, and relative where it is larger than 1


@dataclass(frozen=True)
class TableDifference:
    """Difference between two tables of the same clips."""

    rows: int  # that are compared
    different: int  # rows that one of them lacks, or that differ
    first: str  # in words; "" where there is none
    largest: float  # difference of numbers in rows that agree


def compare_tables(sent: pd.DataFrame, remade: pd.DataFrame, whose: str = "") -> TableDifference:
    """Compare a table that was sent with one that was made here. Both have the fields of ScoreRow, each row once."""
    a, b = (table.set_index(ROW_KEY).sort_index() for table in (sent, remade))
    missing, extra = b.index.difference(a.index), a.index.difference(b.index)
    both = a.index.intersection(b.index)
    a, b = a.loc[both], b.loc[both]
    wrong, largest = np.zeros(len(both), dtype=bool), 0.0
    first_field = np.full(len(both), "", dtype=object)
    compared_words = ("task", "split", "seed", "axis", "unit", "status", "reason")
    compared_numbers = ("value", "quality")
    for name in (*compared_words, *compared_numbers):
        if name in compared_numbers:
            x, y = (table[name].to_numpy(dtype=np.float64) for table in (a, b))
            with np.errstate(invalid="ignore"):
                gap = np.abs(x - y)
                off = (gap > CLOSE * np.maximum(1.0, np.abs(y))) | (np.isnan(x) != np.isnan(y))
            largest = max(largest, float(np.nanmax(np.where(off, 0.0, gap), initial=0.0)))
        else:
            x, y = (table[name].astype(object).where(table[name].notna(), None).to_numpy() for table in (a, b))
            off = np.array([p != q for p, q in zip(x, y, strict=True)], dtype=bool)
        first_field[off & ~wrong] = name
        wrong |= off
    first = ""
    if len(extra):
        first = f"{_name(extra[0], whose)} should not be there"
    elif len(missing):
        first = f"{_name(missing[0], whose)} is missing"
    elif wrong.any():
        at = int(wrong.argmax())
        field = str(first_field[at])
        claimed, right = a[field].iloc[at], b[field].iloc[at]
        first = f"{_name(both[at], whose)}: {field} {_text(claimed)} was sent, and {_text(right)} is right"
    return TableDifference(len(both), len(extra) + len(missing) + int(wrong.sum()), first, largest)


def _name(key: tuple[object, ...], whose: str) -> str:
    clip, sample, reading = key
    of = f" of {whose}" if whose else ""
    return f"{reading}{of} on {clip}" + (f", sample {sample}" if sample else "")


def _text(value: object) -> str:
    if isinstance(value, float):
        return "none" if np.isnan(value) else f"{value:.9g}"
    return "none" if value is None else repr(str(value)[:120])


Tables = dict[str, "pd.DataFrame"]


@dataclass(frozen=True)
class TableBounds:
    """Bounds of what a submission may hold."""

    rows: int = 200  # of one sample of a clip; there are about 80
    scores: int = 256 << 20  # bytes of a table in memory, as its file states them
    cell: int = 2000  # of a text in a table
    name: int = 120  # of a name in a message
    result: int = 64 << 20  # bytes; that of core has 1 MB


MOST = TableBounds()


PICTURES_CHECK = "pictures"
MODEL_SOURCE = "model"
WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@cache
def own_scorers() -> dict[str, Scorer]:
    """The scorers of physbench by id, costly ones too."""
    return {scorer.id: scorer for scorer in builtin_scorers()}


def sources(folder: RunFolder) -> Iterator[tuple[str, RunFolder]]:
    """The model and the references, with their folders."""
    yield MODEL_SOURCE, folder
    for name in REFERENCE_MODELS:
        yield name, folder.reference(name)


def read_tables(folder: RunFolder, claim: Claim) -> Tables:
    """Score tables of the model and of the references, without rows of scorers that do not come with physbench.

    Raises UsageError where one is missing, cannot be read, or is larger than its clips allow.
    """
    tables = {}
    texts = ("clip", "task", "split", "reading", "unit", "status", "reason")
    for name, place in sources(folder):
        _refuse_large(place.scores, len(claim.suite.rows) * (claim.samples if name == MODEL_SOURCE else 1) * MOST.rows)
        table = read_scores(place)
        for column in texts:
            if not table[column].map(lambda value: isinstance(value, str) and len(value) <= MOST.cell).all():
                raise UsageError(f"the scores of {name}: {column} holds what is no text, or is too long")
        tables[name] = table[base_of(table).isin(own_scorers())].reset_index(drop=True)
    return tables


def base_of(table: pd.DataFrame) -> pd.Series[str]:
    """Id of the scorer of each row."""
    return table["reading"].str.partition(".")[0]


def _refuse_large(path: Path, rows: int) -> None:
    """Refuse a file whose head states more than a table of so many rows can hold, before anything is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UsageError(f"{path} is missing. Write the submission again: physbench leaderboard submit RUN --commit")
    try:
        head = pq.ParquetFile(path).metadata
        size = sum(head.row_group(i).total_byte_size for i in range(head.num_row_groups))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{path.name} cannot be read ({error})") from error
    if head.num_rows > rows or size > MOST.scores:
        raise UsageError(f"{path.name} holds {head.num_rows} rows and {size >> 20} MB, more than its clips allow")


def check_pictures(claim: Claim, opened: bool) -> Verdict:
    """Check that pictures of another look than the plain one are those of the board's archive.

    opened: True if the archive is needed. Raises UsageError where it is, and none was given.
    """
    look, claimed = claim.card.look, claim.archive_hash
    if not claimed:
        return failed(
            PICTURES_CHECK, f"those of the look {look} were drawn by the machine of the run: see eval --clips"
        )
    if claim.archive is None and opened:
        raise UsageError(needs_archive(claim))
    if claim.archive is None:
        return not_possible(PICTURES_CHECK, f"they are said to be of the archive {claimed[:12]}, which was not given")
    theirs, ours = claim.archive.sha256, claim.archive.spec
    if theirs != claimed:
        return failed(PICTURES_CHECK, f"they are of the archive {claimed[:12]}, and the board's is {theirs[:12]}")
    if ours != claim.card.spec:
        return failed(PICTURES_CHECK, f"the archive holds {ours}, and the card says {claim.card.spec}")
    return passed(PICTURES_CHECK, f"they are of the board's archive {claimed[:12]}, {ours}", archive=claimed)


def needs_archive(claim: Claim) -> str:
    """Message where the archive of a claim's pictures was not given."""
    return (
        f"The run was shown pictures of the look {claim.card.look}, of the archive {claim.archive_hash[:12]}. Give the "
        "one that the board publishes: --clips FILE."
    )


def check_clips(claim: Claim) -> Verdict:
    """Check that the clips are exactly those of the suite, in this version."""
    try:
        suite = claim.suite
    except UsageError as error:
        return failed("clips", str(error))
    claimed = claim.manifest.suite
    if claimed.version != suite.version:
        ran = suite_label(claimed.name, claimed.version, claimed.in_development)
        return failed("clips", f"{ran} was run; this physbench has {suite.label}")
    if claim.rows != suite.rows:
        extra, missing = set(claim.rows) - set(suite.rows), set(suite.rows) - set(claim.rows)
        one = next(iter(sorted(extra or missing)), None)
        word = "is not one of them" if extra else "is missing" if missing else "or another order"
        name = one.id if one else "a clip twice"
        wanted = f"expected the {len(suite.rows)} clips of {suite.name}"
        return failed("clips", f"{wanted}, got {len(claim.rows)}: {name} {word}")
    if claimed.hash != suite.hash:
        return failed("clips", f"the hash of the suite is {claimed.hash[:12]}, and {suite.hash[:12]} is right")
    if claimed.local:
        return failed("clips", "the run is marked local: its machine does not reproduce the states of the suite")
    part = ", a part of it" if suite.partial else ""
    return passed("clips", f"{len(suite.rows)} clips of {suite.label}{part}", clips=len(suite.rows))


def check_ranges(tables: Tables) -> Verdict:
    """Check that every number and every word of the tables is one that a scorer can give."""
    optional = {scorer.id for scorer in own_scorers().values() if scorer.packages}  # others need no package
    for name, table in tables.items():
        value, quality = (table[column].to_numpy(dtype=np.float64) for column in ("value", "quality"))
        unavailable = (table["status"] == "unavailable") & ~base_of(table).isin(optional)
        ok = table["status"].to_numpy() == "ok"
        problems = {
            "a status that there is not": ~table["status"].isin(get_args(Status)).to_numpy(),
            "a quality outside 0..1": (quality < 0) | (quality > 1),
            "a value that is not finite": np.isinf(value) | np.isinf(quality),
            "a value without status ok, or ok without a value": ok == np.isnan(value),
            "the status unavailable, and needs no package": unavailable.to_numpy(dtype=bool),
        }
        for what, wrong in problems.items():
            if wrong.any():
                row = table.iloc[int(wrong.argmax())].to_dict()  # a column may be called as a method of pandas
                numbers = f"value {row['value']}, quality {row['quality']}, {row['status'][: MOST.name]}"
                where = f"{row['reading'][: MOST.name]} of {name} on {row['clip'][: MOST.name]}"
                return failed("ranges", f"{where} has {what} ({numbers})")
    return passed("ranges", f"{sum(len(table) for table in tables.values())} rows")


@cache
def further_names(scorer: str) -> frozenset[str]:
    """Names that further readings of a scorer may have: those that its documentation lists."""
    own = own_scorers()[scorer]
    _, _, listed = own.doc.partition("Further reading")  # begins the list of them in the documentation of a scorer
    keys = {*WORD.findall(listed), *(key for key, _ in (*own.phrases, *own.roles))}
    if ("", "event-balance") in own.roles:  # "by kind"
        keys |= {f"{kind}{end}" for kind in EVENT_KINDS for end in ("", "-chance")}
    return frozenset(reading_name(scorer, key) for key in keys if key)


def check_rows(tables: Tables, claim: Claim) -> Verdict:
    """Check that each sample of each clip has exactly one own reading of every scorer, and nothing else is there."""
    families = {row.family for row in claim.suite.rows}
    wanted = [each.id for each in own_scorers().values() if not each.costly and any(map(each.reads, families))]
    known = {row.id: (row.task, row.split, row.seed) for row in claim.suite.rows}
    for name, table in tables.items():
        problem = _wrong_rows(table, known, range(claim.samples if name == MODEL_SOURCE else 1), wanted)
        if problem:
            return failed("rows", f"{name}: {problem}")
    problem = _withheld(tables, applicable_axes(claim.card))
    if problem:
        return failed("rows", problem)
    total = {name: len(table) for name, table in tables.items()}
    return passed("rows", f"{len(known)} clips x {claim.samples} x {len(wanted)} scorers", rows=total)


def _wrong_rows(
    table: pd.DataFrame, known: Mapping[str, tuple[str, str, int]], samples: range, wanted: Sequence[str]
) -> str:
    """The first clip, sample or reading that should not be there, or is not; "" where all is right."""
    for clip, *about in table[["clip", "task", "split", "seed"]].drop_duplicates().itertuples(index=False, name=None):
        if known.get(clip) != tuple(about):
            return f"{clip} is no clip of the suite with {', '.join(map(str, about))}"
    for reading, base in {*zip(table["reading"], base_of(table), strict=True)}:
        if reading != base and reading not in further_names(base):
            return f"{reading} is a reading that no scorer gives"
    outside = table[~table["sample"].isin(samples)]
    if len(outside):
        first = outside.iloc[0]
        return f"sample {first['sample']} of {first['clip']}, where {len(samples)} a clip were run"
    there = set(zip(table["clip"], table["sample"], table["reading"], strict=True))
    for key in ((clip, sample, scorer) for clip in known for sample in samples for scorer in wanted):
        if key not in there:
            return f"{key[2]} on {key[0]}, sample {key[1]}, is missing"
    return ""


def _withheld(tables: Tables, axes: Sequence[str]) -> str:
    """The first headline reading that a source does not have and ground truth has; "" where there is none.

    A clip decides which headline readings apply to it: one that is said not to apply would count on no axis.
    """
    that_apply = ("ok", "failed")  # of a headline reading that applies
    axis_of = {scorer.id: scorer.axis for scorer in own_scorers().values() if scorer.headline}
    key = ["clip", "reading"]
    truth = tables["truth"]
    truth = truth[truth["reading"].isin(axis_of) & truth["status"].isin(that_apply)]
    counted = set(truth[key].itertuples(index=False, name=None))
    for name, table in tables.items():
        rows = table[table["reading"].isin(axis_of) & ~table["status"].isin(that_apply)]
        for clip, reading, status in rows[[*key, "status"]].itertuples(index=False, name=None):
            if (clip, reading) in counted:
                return f"{reading} of {name} on {clip} is said to be {status}, and ground truth has it"
    seen = {axis_of[reading] for reading in truth["reading"].unique()}
    missing = [axis for axis in axes if axis not in seen]
    return f"no clip of ground truth has a reading of {joined(missing)}" if missing else ""


def check_qualities(tables: Tables) -> Verdict:
    """Check that every quality and every axis is what the scorer makes of the value."""
    count = 0
    row: Any  # a named tuple of the table's columns
    for name, table in tables.items():
        for row, base in zip(table.itertuples(), base_of(table), strict=True):
            scorer, own = own_scorers()[base], row.reading == base
            axis = scorer.axis if scorer.headline and own else None
            where = f"{row.reading} of {name} on {row.clip}"
            if (row.axis if isinstance(row.axis, str) else None) != axis:
                return failed("qualities", f"{where} counts on {row.axis}, and {axis} is right")
            claimed = _number(row.quality)
            right = quality_of(scorer, Reading(_number(row.value), row.status)) if own else None
            if not _agree(claimed, right):
                return failed("qualities", f"{where}: quality {claimed} was sent, and {right} is right")
            count += right is not None
    return passed("qualities", f"{count} qualities from their values")


def _number(value: Any) -> float | None:
    return None if value is None or np.isnan(float(value)) else float(value)


def _agree(claimed: float | None, right: float | None) -> bool:
    if claimed is None or right is None:
        return claimed is right
    return abs(claimed - right) <= CLOSE


# Checks of documents: every aggregate of result.json from the rows.


def write_checked(checked: RunFolder, claim: Claim, tables: Tables) -> None:
    """A run folder that holds nothing but what was checked: the manifest made again, and the tables."""
    write_json(checked.manifest, claim.checked_manifest().document())
    for name, place in sources(checked):
        with atomic_path(place.scores) as draft:
            tables[name].to_parquet(draft, index=False)


def check_aggregates(sent: RunFolder, checked: RunFolder, resamples: int) -> Verdict:
    """Check that result.json is what the rows make, from a folder of `write_checked`."""
    try:
        if sent.result.stat().st_size > MOST.result:
            return failed("aggregates", f"result.json is larger than {MOST.result >> 20} MB")
        claimed = read_result(sent.result)
    except FileNotFoundError:
        return not_possible("aggregates", "no result.json was sent; the board computes its own")
    except UsageError as error:
        return failed("aggregates", str(error).replace(f"{sent.path}/", ""))
    right = build_result(checked, resamples=resamples, own_laws=False)
    if "by_part" not in claimed.model_fields_set:  # written before there were parts
        right = right.model_copy(update={"by_part": {}})
    count, first = first_difference(_comparable(claimed), _comparable(right))
    if first:
        other = claimed.physbench_version
        hint = f" It was written by physbench {other}, this is {__version__}." if other != __version__ else ""
        return failed("aggregates", f"{first}{hint}")
    return passed("aggregates", f"{count} figures of result.json from the rows", figures=count)


def _comparable(result: ResultDocument) -> dict[str, Any]:
    """A result without words, and without readings of scorers that do not come with physbench."""

    def shipped(readings: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in readings.items() if name.partition(".")[0] in own_scorers()}

    # The board makes words itself from checked figures, and the search for other laws again; memories may have been
    # published since the run.
    kept = {"readings": shipped(result.readings), "unavailable": shipped(result.unavailable)}
    return result.model_copy(update=kept).model_dump(
        mode="json", exclude={"physbench_version", "sentences", "findings", "implied_worlds", "beyond_memory"}
    )


def first_difference(claimed: Any, right: Any, place: str = "") -> tuple[int, str]:
    """Number of values that were compared, and where two documents first differ, in words; "" where they agree."""
    if isinstance(claimed, dict) and isinstance(right, dict):
        for name in right:
            if name not in claimed:
                return 0, f"{place}{name} is missing"
        extra = next((name for name in claimed if name not in right), None)
        if extra is not None:
            return 0, f"{place}{extra} should not be there"
        parts = [(claimed[name], right[name], f"{place}{name}.") for name in right]
    elif isinstance(claimed, list) and isinstance(right, list):
        if len(claimed) != len(right):
            return 0, f"{place.rstrip('.')}: {len(claimed)} values were sent, and {len(right)} are right"
        parts = [(a, b, f"{place}{number}.") for number, (a, b) in enumerate(zip(claimed, right, strict=True))]
    else:
        same = claimed == right and type(claimed) is type(right)
        numbers = [isinstance(each, int | float) and not isinstance(each, bool) for each in (claimed, right)]
        if all(numbers):
            same = math.isclose(claimed, right, rel_tol=1e-9, abs_tol=2e-6)  # results are rounded to 1e-6
        sent, wanted = (repr(str(each)[:120]) for each in (claimed, right))
        return 1, "" if same else f"{place.rstrip('.')}: {sent} was sent, and {wanted} is right"
    count = 0
    for a, b, where in parts:
        more, inside = first_difference(a, b, where)
        count += more
        if inside:
            return count, inside
    return count, ""
