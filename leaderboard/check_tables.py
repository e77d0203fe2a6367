"""Checks of score tables that need no clip: ranges, the set of rows, and every quality from its value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from physbench.clips.suite import suite_label
from physbench.errors import UsageError
from physbench.leaderboard.claim import Claim
from physbench.leaderboard.table_differences import CLOSE
from physbench.leaderboard.verdicts import Verdict, failed, not_possible, passed
from physbench.results.answers import asked_axes
from physbench.results.number_format import joined
from physbench.results.read_run import REFERENCE_MODELS, read_scores
from physbench.run.run_manifest import card_document
from physbench.scoring.reading_roles import builtin_scorers, reading_name
from physbench.scoring.score_clip import quality_of
from physbench.scoring.scorer_protocol import EVENT_KINDS, Reading, Scorer, Status
from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

Tables = dict[str, "pd.DataFrame"]
MOST_SAMPLE_ROWS = 200  # of one sample of a clip; there are about 80
MOST_SCORES = 256 << 20  # bytes of a table in memory, as its file states them
MOST_CELL = 2000  # of a text in a table
LONGEST_NAME = 120  # of a name in a message
PICTURES_CHECK = "pictures"
MODEL_SOURCE = "model"
FURTHER = "Further reading"  # begins the list of them in the documentation of a scorer
WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
THAT_APPLY: tuple[Status, ...] = ("ok", "failed")  # of a headline reading that applies
TEXTS = ("clip", "task", "split", "reading", "unit", "status", "reason")


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
    for name, place in sources(folder):
        _refuse_large(
            place.scores, len(claim.suite.rows) * (claim.samples if name == MODEL_SOURCE else 1) * MOST_SAMPLE_ROWS
        )
        table = read_scores(place)
        for column in TEXTS:
            if not table[column].map(lambda value: isinstance(value, str) and len(value) <= MOST_CELL).all():
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
    if head.num_rows > rows or size > MOST_SCORES:
        raise UsageError(f"{path.name} holds {head.num_rows} rows and {size >> 20} MB, more than its clips allow")


def check_pictures(claim: Claim, opened: bool) -> Verdict:
    """Whether pictures of another look than the plain one are those of the board's archive.

    opened: whether the archive is needed. Raises UsageError where it is, and none was given.
    """
    look, said = claim.card.look, claim.archive_hash
    if not said:
        return failed(
            PICTURES_CHECK, f"those of the look {look} were drawn by the machine of the run: see eval --clips"
        )
    if claim.archive is None and opened:
        raise UsageError(needs_archive(claim))
    if claim.archive is None:
        return not_possible(PICTURES_CHECK, f"they are said to be of the archive {said[:12]}, which was not given")
    theirs, ours = claim.archive.sha256, claim.archive.spec
    if theirs != said:
        return failed(PICTURES_CHECK, f"they are of the archive {said[:12]}, and the board's is {theirs[:12]}")
    if ours != claim.card.spec:
        return failed(PICTURES_CHECK, f"the archive holds {ours}, and the card says {claim.card.spec}")
    return passed(PICTURES_CHECK, f"they are of the board's archive {said[:12]}, {ours}", archive=said)


def needs_archive(claim: Claim) -> str:
    """What to say where the archive of a claim's pictures was not given."""
    return (
        f"The run was shown pictures of the look {claim.card.look}, of the archive {claim.archive_hash[:12]}. Give the "
        "one that the board publishes: --clips FILE."
    )


def check_clips(claim: Claim) -> Verdict:
    """Whether the clips are exactly those of the suite, in this version."""
    try:
        suite = claim.suite
    except UsageError as error:
        return failed("clips", str(error))
    said = claim.manifest.suite
    if said.version != suite.version:
        ran = suite_label(said.name, said.version, said.in_development)
        return failed("clips", f"{ran} was run; this physbench has {suite.label}")
    if claim.rows != suite.rows:
        extra, missing = set(claim.rows) - set(suite.rows), set(suite.rows) - set(claim.rows)
        one = next(iter(sorted(extra or missing)), None)
        word = "is not one of them" if extra else "is missing" if missing else "or another order"
        name = one.id if one else "a clip twice"
        wanted = f"expected the {len(suite.rows)} clips of {suite.name}"
        return failed("clips", f"{wanted}, got {len(claim.rows)}: {name} {word}")
    if said.hash != suite.hash:
        return failed("clips", f"the hash of the suite is {said.hash[:12]}, and {suite.hash[:12]} is right")
    if said.local:
        return failed("clips", "the run is marked local: its machine does not reproduce the states of the suite")
    part = ", a part of it" if suite.partial else ""
    return passed("clips", f"{len(suite.rows)} clips of {suite.label}{part}", clips=len(suite.rows))


def check_ranges(tables: Tables) -> Verdict:
    """Whether every number and every word of the tables is one that a scorer can give."""
    for name, table in tables.items():
        value, quality = (table[column].to_numpy(dtype=np.float64) for column in ("value", "quality"))
        ok = table["status"].to_numpy() == "ok"
        problems = {
            "a status that there is not": ~table["status"].isin(get_args(Status)).to_numpy(),
            "a quality outside 0..1": (quality < 0) | (quality > 1),
            "a value that is not finite": np.isinf(value) | np.isinf(quality),
            "a value without status ok, or ok without a value": ok == np.isnan(value),
            "the status unavailable, and needs no package": _never_unavailable(table),
        }
        for what, wrong in problems.items():
            if wrong.any():
                row = table.iloc[int(wrong.argmax())].to_dict()  # a column may be called as a method of pandas
                numbers = f"value {row['value']}, quality {row['quality']}, {row['status'][:LONGEST_NAME]}"
                where = f"{row['reading'][:LONGEST_NAME]} of {name} on {row['clip'][:LONGEST_NAME]}"
                return failed("ranges", f"{where} has {what} ({numbers})")
    return passed("ranges", f"{sum(len(table) for table in tables.values())} rows")


def _never_unavailable(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows that say that a package is missing, of scorers that need none."""
    optional = {scorer.id for scorer in own_scorers().values() if scorer.packages}
    return ((table["status"] == "unavailable") & ~base_of(table).isin(optional)).to_numpy(dtype=bool)


@cache
def further_names(scorer: str) -> frozenset[str]:
    """Names that further readings of a scorer may have: those that its documentation lists."""
    own = own_scorers()[scorer]
    _, _, listed = own.doc.partition(FURTHER)
    keys = {*WORD.findall(listed), *(key for key, _ in (*own.phrases, *own.roles))}
    if ("", "event-balance") in own.roles:  # "by kind"
        keys |= {f"{kind}{end}" for kind in EVENT_KINDS for end in ("", "-chance")}
    return frozenset(reading_name(scorer, key) for key in keys if key)


def check_rows(tables: Tables, claim: Claim) -> Verdict:
    """Whether each sample of each clip has exactly one own reading of every scorer, and nothing else is there."""
    wanted = [scorer.id for scorer in own_scorers().values() if not scorer.costly]
    known = {row.id: (row.task, row.split, row.seed) for row in claim.suite.rows}
    for name, table in tables.items():
        problem = _wrong_rows(table, known, range(claim.samples if name == MODEL_SOURCE else 1), wanted)
        if problem:
            return failed("rows", f"{name}: {problem}")
    problem = _withheld(tables, asked_axes(card_document(claim.card)))
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
    axis_of = {scorer.id: scorer.axis for scorer in own_scorers().values() if scorer.headline}
    key = ["clip", "reading"]
    truth = tables["truth"]
    truth = truth[truth["reading"].isin(axis_of) & truth["status"].isin(THAT_APPLY)]
    counted = set(truth[key].itertuples(index=False, name=None))
    for name, table in tables.items():
        rows = table[table["reading"].isin(axis_of) & ~table["status"].isin(THAT_APPLY)]
        for clip, reading, status in rows[[*key, "status"]].itertuples(index=False, name=None):
            if (clip, reading) in counted:
                return f"{reading} of {name} on {clip} is said to be {status}, and ground truth has it"
    seen = {axis_of[reading] for reading in truth["reading"].unique()}
    missing = [axis for axis in axes if axis not in seen]
    return f"no clip of ground truth has a reading of {joined(missing)}" if missing else ""


def check_qualities(tables: Tables) -> Verdict:
    """Whether every quality and every axis is what the scorer makes of the value."""
    count = 0
    for name, table in tables.items():
        for row, base in zip(table.itertuples(), base_of(table), strict=True):
            scorer, own = own_scorers()[base], row.reading == base
            axis = scorer.axis if scorer.headline and own else None
            where = f"{row.reading} of {name} on {row.clip}"
            if (row.axis if isinstance(row.axis, str) else None) != axis:
                return failed("qualities", f"{where} counts on {row.axis}, and {axis} is right")
            said, right = _number(row.quality), _quality(scorer, row) if own else None
            if not _agree(said, right):
                return failed("qualities", f"{where}: quality {said} was sent, and {right} is right")
            count += right is not None
    return passed("qualities", f"{count} qualities from their values")


def _number(value: Any) -> float | None:
    return None if value is None or np.isnan(float(value)) else float(value)


def _agree(said: float | None, right: float | None) -> bool:
    if said is None or right is None:
        return said is right
    return abs(said - right) <= CLOSE


def _quality(scorer: Scorer, row: Any) -> float | None:
    return quality_of(scorer, Reading(_number(row.value), row.status))
