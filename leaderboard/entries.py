"""The entries of a board: what is kept of a run, and the checks before a page is made of them.

Hashes find damage. Who makes them again on purpose is found where a number does not follow from the qualities of the
clips, or these are not measured on what everybody was measured on. Not found: qualities of a model that fit together,
and what is no skill (intervals, strength, speed, readings, badge): the worth of these is that of who keeps the board.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from dataclasses import replace as with_fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physbench.leaderboard import eligibility
from physbench.leaderboard.check_tables import BADGES, Badge, Verification
from physbench.leaderboard.commitment import changing
from physbench.leaderboard.submission import Submission
from physbench.result.bootstrap import RESAMPLES
from physbench.result.build import build_result
from physbench.result.coverage import applicable_axes
from physbench.result.document import ResultDocument, read_result
from physbench.result.read import read_run
from physbench.result.readings import with_free_constants
from physbench.result.report.page import write_report
from physbench.result.skill import Kind, Qualities, clip_qualities, event_rows, kinds, skills, task_means
from physbench.result.task_roles import kinds_of
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import (
    PACKED,
    file_sha256,
    read_packed,
    read_sealed_json,
    write_packed,
    write_sealed_json,
    write_text,
)
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN, RenderSpec

if TYPE_CHECKING:
    import pandas as pd

# An entry: what a board keeps of a run. Every figure and every page of it is made by the board.
#
# A board is a folder:
#
#     entries/NAME-1a2b3c4d/result.json.gz      the result document, built again when the entry was added
#                           headlines.parquet   quality of every clip, sample and axis, of the model, truth and freeze,
#                                               and the events that each shows behind one image
#                           unseen.parquet      that of consistency with unseen constants free, where there are any
#                           report.html.gz      a report, made from what was checked, with small pictures
#                           about.json          when and on what it was run, what was checked, what its submitter says,
#                                               and the SHA-256 of the other files
#                           report.html, result.json    the same unpacked, for readers; made again with the page
#     history/NAME-1a2b3c4d/001/                the entry that another one of the same model has replaced
#     note.txt                                  what who keeps the board says on its first screen, if anything
#     challenges/HASH.json                      which rollouts were asked for, see physbench.leaderboard.commitment
#                HASH.round.json                whom, and what became of it, see physbench.leaderboard.commitment
#     index.html, compare.html                  the pages, see physbench.leaderboard.site and compare_page
#     board.csv, board.json, board.bib          its figures, and what to cite

PACKED_FILES = ("result.json", "report.html")  # of an entry, that its board unpacks
KEPT_SOURCES = ("model", "truth", "freeze")
SCORE_COLUMNS = ("clip", "task", "split", "seed", "sample", "reading", "axis", "value", "quality")


@dataclass(frozen=True)
class About:
    """Details that an entry shows beside its scores."""

    date: str  # on which the run started, "2026-11-22"; "" where its manifest does not say
    hardware: str  # that the model ran on
    submission: Submission
    badge: Badge = "self-reported"
    checks: tuple[Mapping[str, Any], ...] = ()  # documents of verdicts
    archive: str = ""  # SHA-256 of that which pictures came from, of another look than the plain one
    files: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of the other files

    def checked(self, check: str) -> str:
        """Finding of one check, in words; "" where it did not pass."""
        passed = (str(each["detail"]) for each in self.checks if (each["check"], each["outcome"]) == (check, "passed"))
        return next(passed, "")

    @property
    def rollouts(self) -> int:
        """Number of rollouts that the board has tracked again."""
        return next((int(each.get("rollouts", 0)) for each in self.checks if each["check"] == "rollouts"), 0)


@dataclass(frozen=True)
class Entry:
    """One model on a board."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @cached_property
    def result(self) -> ResultDocument:
        return read_result(self.path / f"result.json{PACKED}")

    @property
    def candidate(self) -> eligibility.Candidate:
        """Properties of the entry in which others of its board must be alike."""
        return eligibility.of_result(self.result, "" if self.result.model.card.look == PLAIN else self.about.archive)

    @cached_property
    def about(self) -> About:
        """Date, hardware, submitter and checks of the run. Raises UsageError where the file is damaged."""
        path = self.path / "about.json"
        try:
            document = read_sealed_json(path)
            submission = Submission(**document.pop("submission"))
            submission.check()
            checks = tuple(dict(each) for each in document.pop("checks", ()))
            about = About(**document, submission=submission, checks=checks)
            texts = [
                about.date,
                about.hardware,
                about.archive,
                *(each[name] for each in checks for name in ("check", "outcome", "detail")),  # of a verdict
                *about.files.values(),
            ]
            plain = all(isinstance(text, str) and text.isprintable() for text in texts) and about.rollouts >= 0
            plain = plain and all(name == Path(name).name for name in about.files)
            if not plain or about.badge not in BADGES:
                raise ValueError("date, hardware and checks are texts, and the badge is one of a board's")
            return about
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError) as error:
            raise UsageError(f"{path}: cannot be read ({error}). Add the run again, or remove {self.path}.") from error

    def tables(self) -> dict[str, pd.DataFrame]:
        """Headline qualities and events per source of SOURCES. Raises UsageError where the file is damaged."""
        return self._tables("headlines.parquet")

    def unseen_tables(self) -> dict[str, pd.DataFrame]:
        """The same of consistency with unseen constants free, where the result has any; raises likewise."""
        return self._tables("unseen.parquet")

    def _tables(self, name: str) -> dict[str, pd.DataFrame]:
        import pandas as pd

        path = self.path / name
        try:
            table = pd.read_parquet(path)
            return {source: table.loc[table["source"] == source, list(SCORE_COLUMNS)] for source in KEPT_SOURCES}
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{path}: cannot be read ({error}). Add the run again, or remove {self.path}.") from error


def entries(board: Path) -> tuple[Entry, ...]:
    """The entries of a board, by name. Raises UsageError where it is no board."""
    whole = present(board)
    if not whole:
        raise UsageError(f"{board}: holds no entries. Add runs first: physbench leaderboard add RUN --board {board}")
    return whole


def add(
    run: RunFolder,
    board: Path,
    *,
    submission: Submission | None = None,
    resamples: int = RESAMPLES,
    replace: bool = False,
    verification: Verification | None = None,
    source: Path | None = None,
) -> Entry:
    """Add a finished run to a board and return its entry.

    Args:
        board: Folder of the board, created if it does not exist.
        submission: What its submitter says of it; None: what was said of the entry that is replaced, if anything.
        resamples: Draws of the bootstrap.
        replace: Whether an entry of the same model at the same size may be replaced; it is kept in the history.
        verification: What checks have found of the run (`verify.admit`); None: nothing was checked.
        source: For messages; None: the run's own folder.

    Raises:
        UsageError: The run is not finished, is not all of `core`, does not reproduce the suite's states, ran another
            version of the suite than the rest of the board, or had a size at which ground truth itself breaks laws;
            its model is on the board already; or what is said of it cannot be shown.
    """
    with _new_entry(run, board, submission or Submission(), resamples, verification, source or run.path) as (
        new,
        result,
        _,
    ):
        path = entry_place(board, eligibility.of_result(result).name)
        if not replace:
            eligibility.refuse_present(path, board)
        about = Entry(new).about
        if submission is None and (path / "about.json").is_file():
            about = with_fields(about, submission=Entry(path).about.submission)
        report = new / "report.html"
        # WebP of quality 60 at most: nothing else is to be seen in the report, which has a third of the bytes
        write_report(run, report, result, quality=60)
        write_packed(new / f"report.html{PACKED}", report.read_text(encoding="utf-8"))
        report.unlink()
        _write_about(new, about)
        unpack(Entry(new))
        with changing(board):
            if not replace:
                eligibility.refuse_present(path, board)  # another process may have added it in the meantime
            _replace(path, new, board / "history" / path.name)
    return Entry(path)


@contextmanager
def unpublished(run: RunFolder, board: Path, *, resamples: int = RESAMPLES) -> Iterator[tuple[Entry, str]]:
    """The entry that `add` would make, while the block lasts, and why it would not; "" where it would.

    The board stays as it is. Raises UsageError where the run is not finished.
    """
    with (
        tempfile.TemporaryDirectory() as place,
        _new_entry(run, board, Submission(), resamples, None, run.path, Path(place)) as (new, _, problem),
    ):
        yield Entry(new), problem


@contextmanager
def _new_entry(
    run: RunFolder,
    board: Path,
    submission: Submission,
    resamples: int,
    verification: Verification | None,
    source: Path,
    place: Path | None = None,
) -> Iterator[tuple[Path, ResultDocument, str]]:
    """The files of an entry but its report in a new folder, its result, and why the board does not take it.

    place: where the folder is made; nothing is refused then. None: beside those of the board, for an entry that it
    takes.
    """
    import pandas as pd

    submission.check()
    manifest, tables = read_run(run)
    if place is None:
        eligibility.refuse_other_suite(source, manifest.suite.name)  # before what takes seconds
    result = build_result(run, resamples=resamples, own_laws=False)
    # SHA-256 of the archive that pictures of another look than the plain one came from; "" where there is none.
    archive = "" if manifest.spec.look == PLAIN or manifest.clips is None else manifest.clips.sha256
    problem = ""
    try:
        eligibility.refuse_ineligible(source, eligibility.of_result(result, archive), board, candidates(board))
        if result.overall.skill is None:
            raise UsageError(f"{source}: has no overall skill ({result.overall.reason}) and cannot be ranked.")
        eligibility.refuse_unmeasurable(source, result.render_spec, result.context, tables["truth"])
    except UsageError as error:
        if place is None:
            raise
        problem = str(error).removeprefix(f"{source}: ")
    kept = {"headlines.parquet": {source: _ranked_rows(tables[source]) for source in KEPT_SOURCES}}
    if result.unseen_constants is not None:
        kept["unseen.parquet"] = {source: with_free_constants(tables[source]) for source in KEPT_SOURCES}
    about = About(
        manifest.started[:10],
        manifest.device,
        submission,
        "self-reported" if verification is None else verification.badge or "self-reported",
        () if verification is None else tuple(each.document() for each in verification.verdicts),
        archive,
    )
    with _new_folder(place or board / "entries") as new:
        for name, parts in kept.items():
            table = pd.concat([part[list(SCORE_COLUMNS)].assign(source=source) for source, part in parts.items()])
            table.to_parquet(new / name, index=False)
        write_packed(new / f"result.json{PACKED}", json.dumps(result.model_dump(mode="json"), allow_nan=False))
        _write_about(new, about)
        yield new, result, problem


def _write_about(entry: Path, about: About) -> None:
    """Write about.json with the hashes of the other files of an entry."""
    others = sorted(path for path in entry.iterdir() if path.name != "about.json")
    hashes = {path.name: file_sha256(path) for path in others}
    write_sealed_json(entry / "about.json", asdict(with_fields(about, files=hashes)))


def unpack(entry: Entry) -> None:
    """Write report and result of an entry for readers. Raises UsageError where they are damaged."""
    for name in PACKED_FILES:
        path = entry.path / f"{name}{PACKED}"
        try:
            text = read_packed(path).decode("utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: cannot be read ({error}). Add the run again, or remove {entry.path}.") from error
        write_text(entry.path / name, text)


def _ranked_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that make ranks: headline rows, and those of events, of which too few cost a share of consistency."""
    import pandas as pd

    return pd.concat([table[table["axis"].notna()], event_rows(table)])


@contextmanager
def _new_folder(parent: Path) -> Iterator[Path]:
    """A new folder, which is removed unless it was renamed."""
    parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new.", dir=parent))
    new.chmod(0o755)  # a board is public
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _replace(path: Path, new: Path, history: Path) -> None:
    """Put a complete folder in the place of another, which goes into the history; until then the old one stays."""
    if not path.exists():
        new.rename(path)
        return
    history.mkdir(parents=True, exist_ok=True)
    numbers = [int(each.name) for each in history.iterdir() if each.name.isdecimal()]
    old = history / f"{max(numbers, default=0) + 1:03d}"
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise


def present(board: Path) -> tuple[Entry, ...]:
    """Entries that were added completely."""
    paths = sorted((board / "entries").glob("[!.]*"))  # a name with a dot is still being written
    return tuple(Entry(path) for path in paths if (path / f"result.json{PACKED}").is_file())


def candidates(board: Path) -> tuple[eligibility.Candidate, ...]:
    """Properties of the entries of a board, in which others must be alike."""
    return tuple(each.candidate for each in present(board))


def entry_place(board: Path, name: str) -> Path:
    """Folder of the entry of a name."""
    return board / "entries" / name


def describe(result: ResultDocument) -> Mapping[str, str]:
    """Properties that a reader needs to compare two entries."""
    card = result.model.card
    thing, context = card.moment, result.context if card.sees_pictures else card.context_frames
    uses = [word for word in ("actions", "camera", "prompt") if getattr(card, f"uses_{word}")]
    return {
        "frames": card.shown(result.render_spec),
        "context": f"{context} {thing}{'s' if context > 1 else ''}",
        "uses": ", ".join(uses) or f"{thing}s only",
        "samples": str(result.counts.samples),
        "chained": str(result.model.chained),
    }


SAME = 1e-6  # of a skill or a quality
ABOUT, HEADLINES, UNSEEN = "about.json", "headlines.parquet", "unseen.parquet"
ROW = ["clip", "sample", "reading"]


def check_entries(board: Path, entries: Sequence[Entry]) -> None:
    """Unpack the entries of a board for readers, and raise UsageError with the first that is not what was added."""
    whole = [path for path in (board / "entries").iterdir() if not path.name.startswith(".")]
    for path in sorted(set(whole) - {entry.path for entry in entries}):
        raise UsageError(f"{path}: holds no result.json{PACKED}. Add the run again, or remove it.")
    references: dict[tuple[str, int, str], tuple[Entry, Mapping[str, pd.DataFrame]]] = {}
    others = [_candidate(entry) for entry in entries]
    for entry, candidate in zip(entries, others, strict=True):
        _refuse_other_files(entry)
        eligibility.refuse_ineligible(entry.path, candidate, board, others)
        if candidate.name != entry.name:
            raise _refusal(entry, f"is a result of {candidate.name}")
        unpack(entry)
        try:
            tables = entry.tables()
            problem = _other_references(entry, tables, references) or next(_problems(entry.result, tables), "")
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            problem = f"its tables and its result do not belong together ({type(error).__name__}: {error})"
        except PhysbenchError as error:
            problem = str(error)
        if problem:
            raise _refusal(entry, problem)


def _refusal(entry: Entry, problem: str) -> UsageError:
    return UsageError(f"{entry.path}: {problem}. Add the run again, or remove it.")


def _candidate(entry: Entry) -> eligibility.Candidate:
    try:
        return entry.candidate
    except (KeyError, ValueError, TypeError) as error:
        raise _refusal(entry, f"its card cannot be read ({type(error).__name__}: {error})") from error


def _refuse_other_files(entry: Entry) -> None:
    """Raise UsageError where the files are not those that were added."""
    packed = [f"{name}{PACKED}" for name in PACKED_FILES]
    kept = {*packed, HEADLINES, *([UNSEEN] if entry.result.unseen_constants is not None else [])}
    there = {path.name for path in entry.path.iterdir()}
    if entry.path.is_symlink() or any(path.is_symlink() for path in entry.path.iterdir()):
        raise _refusal(entry, "is a link, or holds one")
    for name in sorted(set(entry.about.files) ^ kept):
        raise _refusal(entry, f"{ABOUT} names other files than an entry has: {name}")
    for name in sorted(there - kept - {ABOUT, *PACKED_FILES}):
        raise _refusal(entry, f"holds {name}, which no entry has")
    for name, known in entry.about.files.items():
        path = entry.path / name
        if not path.is_file() or file_sha256(path) != known:
            raise _refusal(entry, f"{name} is not the file that was added")


def _problems(result: ResultDocument, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Parts of a result that do not follow from the clips, in words."""
    if not result.model.name.isprintable():
        yield "the name of its model is not printable"
    clips = {row.id for row in eligibility.board_suite().rows}
    for source in KEPT_SOURCES:
        table = tables[source]
        if set(table["clip"]) != clips:
            yield f"{source} has {table['clip'].nunique()} clips, the suite {len(clips)}"
        if table.duplicated(ROW).any():
            yield f"{source} has a reading twice"
        quality = table["quality"].to_numpy(float)
        if np.any((quality < 0) | (quality > 1)):
            yield f"{source} has a quality outside of 0 to 1"
    axes = applicable_axes(result.model.card)
    qualities = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"], axes)
    # Kinds of each task by axis, as the suite says.
    size, _, rest = result.render_spec.partition("@")
    height, width = (int(side) for side in size.split("x"))
    spec = RenderSpec(height, width, float(rest.partition("-")[0]), result.model.card.look, result.model.card.view)
    right = kinds(qualities, kinds_of(result.suite.version, spec, result.context))
    yield from _other_kinds(qualities, right, result)
    yield from _other_skills(qualities, right, result)


def _other_kinds(qualities: Qualities, right: Mapping[str, tuple[Kind, ...]], result: ResultDocument) -> Iterator[str]:
    """Tasks that count otherwise than the suite says."""
    if set(right) != set(result.tasks):
        yield f"it has {len(result.tasks)} tasks, the suite {len(right)}"
    for task, row in right.items():
        for axis, kind in zip(qualities.axes, row, strict=True):
            if result.tasks[task][axis].kind != kind:
                yield f"{axis} of {task} counts as {result.tasks[task][axis].kind}, and is {kind}"


def _other_skills(qualities: Qualities, right: Mapping[str, tuple[Kind, ...]], result: ResultDocument) -> Iterator[str]:
    """Skills that do not follow from the qualities: overall, of families, axes and tasks."""
    means = task_means(qualities.means(), qualities.counts())
    here = skills(means, right, 0, slice(1, 3))
    if set(here.family) != set(result.by_family):
        yield f"overall is made of {sorted(here.family)}, not of {sorted(result.by_family)}"
    pairs = [("overall", result.overall.skill, float(here.overall))]
    pairs += [(f"overall of {name}", each.skill, float(here.family[name])) for name, each in result.by_family.items()]
    for a, axis in enumerate(qualities.axes):
        pairs.append((axis, result.axes[axis].skill, float(here.axis[a])))
        pairs += [
            (f"{axis} of {task}", stated[axis].skill, float(here.task[task][a]))
            for task, stated in result.tasks.items()
        ]
        for family, stated in result.families.items():
            pairs.append((f"{axis} of {family}", stated[axis].skill, float(here.informative[family][a])))
    for name, skill, recomputed in pairs:
        if (skill is None) != math.isnan(recomputed) or (skill is not None and abs(skill - recomputed) > SAME):
            yield f"{name} is {skill}, and {recomputed:.6f} from the clips"


def _other_references(
    entry: Entry,
    tables: Mapping[str, pd.DataFrame],
    known: dict[tuple[str, int, str], tuple[Entry, Mapping[str, pd.DataFrame]]],
) -> str:
    """Difference of ground truth or frozen frame from another entry that was shown the same, in words; "" if none.

    Processors round differently, and a search through motion that breaks laws may end elsewhere then: of a frozen frame
    18 of 448 clips differed by up to .08 between two machines, means of a task by up to .005, and none of ground truth.
    """
    result = entry.result
    first, theirs = known.setdefault((result.render_spec, result.context, result.look), (entry, tables))
    for source in KEPT_SOURCES[1:]:
        mine, other = (each[source].set_index([*ROW, "task"])["quality"].sort_index() for each in (tables, theirs))
        alike = mine.index.equals(other.index) and np.array_equal(mine.isna(), other.isna())
        if alike and source == "freeze":
            # Up to 0.01 of a frozen frame's quality apart, mean over a task's clips
            alike = (mine - other).groupby(["task", "reading"]).mean().abs().max() <= 0.01
        elif alike:
            alike = np.allclose(mine, other, rtol=0, atol=SAME, equal_nan=True)
        if not alike:
            return f"its {source} is not that of {first.name}"
    return ""
