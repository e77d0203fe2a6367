"""An entry: what a board keeps of a run. Every figure and every page of it is made by the board.

A board is a folder:

    entries/NAME-1a2b3c4d/result.json         the result document, built again when the entry was added
                          headlines.parquet   quality of every clip, sample and axis, of the model, truth and freeze,
                                              and the events that each shows behind one image
                          unseen.parquet      that of consistency with unseen constants free, where there are any
                          report.html         a report, made from what was checked
                          about.json          when and on what it was run, what was checked, what its submitter says
    history/NAME-1a2b3c4d/001/                the entry that another one of the same model has replaced
    challenges/HASH.json                      which rollouts were asked for, see physbench.leaderboard.commitment
    index.html                                the page, see physbench.leaderboard.site
    board.csv, board.json                     its figures
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from dataclasses import replace as with_fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.clips.suite import FRESH, Suite, find_suite
from physbench.errors import UsageError
from physbench.leaderboard.measurable import why_not_ranked
from physbench.leaderboard.submission import Submission
from physbench.leaderboard.verdicts import BADGES, Badge, Verification
from physbench.report.report_page import write_report
from physbench.results.answers import answers_states
from physbench.results.bootstrap import RESAMPLES
from physbench.results.build_result import build_result
from physbench.results.event_losses import event_rows
from physbench.results.free_constant_skill import with_free_constants
from physbench.results.number_format import suite_name
from physbench.results.read_run import read_run, spec_of
from physbench.results.schema import ResultDocument, read_result
from physbench.storage.atomic_write import write_json
from physbench.storage.run_folder import RunFolder
from physbench.world.scene import PLAIN

if TYPE_CHECKING:
    import pandas as pd

SUITE = "core"
CHECK_TEXTS = ("check", "outcome", "detail")  # of a verdict
KEPT_SOURCES = ("model", "truth", "freeze")
SCORE_COLUMNS = ("clip", "task", "split", "seed", "sample", "reading", "axis", "value", "quality")


@dataclass(frozen=True)
class About:
    """What an entry shows beside its scores."""

    date: str  # on which the run started, "2026-11-22"; "" where its manifest does not say
    hardware: str  # that the model ran on
    submission: Submission
    badge: Badge = "self-reported"
    checks: tuple[Mapping[str, Any], ...] = ()  # documents of verdicts

    def checked(self, check: str) -> str:
        """What one check has found, in words; "" where it did not pass."""
        passed = (str(each["detail"]) for each in self.checks if (each["check"], each["outcome"]) == (check, "passed"))
        return next(passed, "")

    @property
    def rollouts(self) -> int:
        """How many rollouts the board has tracked again."""
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
        return read_result(self.path / "result.json")

    @cached_property
    def about(self) -> About:
        """When and on what it was run, and by whom. Raises UsageError where the file is damaged."""
        path = self.path / "about.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            said = Submission(**document.pop("submission"))
            said.check()
            checks = tuple(dict(each) for each in document.pop("checks", ()))
            found = About(**document, submission=said, checks=checks)
            texts = [found.date, found.hardware, *(each[name] for each in checks for name in CHECK_TEXTS)]
            plain = all(isinstance(text, str) and text.isprintable() for text in texts) and found.rollouts >= 0
            if not plain or found.badge not in BADGES:
                raise ValueError("date, hardware and checks are texts, and the badge is one of a board's")
            return found
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
    found = present(board)
    if not found:
        raise UsageError(f"{board}: holds no entries. Add runs first: physbench leaderboard add RUN --board {board}")
    return found


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
        run: The finished run.
        board: Folder of the board, created if it does not exist.
        submission: What its submitter says of it; None: what was said of the entry that is replaced, if anything.
        resamples: Draws of the bootstrap.
        replace: Whether an entry of the same model at the same size may be replaced; it is kept in the history.
        verification: What checks have found of the run (`admission.admit`); None: nothing was checked.
        source: For messages; None: the run's own folder.

    Raises:
        UsageError: The run is not finished, is not all of `core`, does not reproduce the suite's states, ran another
            version of the suite than the rest of the board, or had a size at which ground truth itself breaks laws;
            its model is on the board already; or what is said of it cannot be shown.
    """
    with _made(run, board, submission or Submission(), resamples, verification, source or run.path) as (new, result):
        path = board / "entries" / entry_name(result)
        if path.exists() and not replace:
            raise UsageError(
                f"{board} has an entry of this model already: {path.name}. Give --replace to put this one in its "
                "place; the old one is kept in the history of the board."
            )
        if submission is None and (path / "about.json").is_file():
            about = with_fields(Entry(new).about, submission=Entry(path).about.submission)
            write_json(new / "about.json", asdict(about))
        write_report(run, new / "report.html", result.model_dump(mode="json"))
        _replace(path, new, board / "history" / path.name)
    return Entry(path)


@contextmanager
def unpublished(run: RunFolder, board: Path, *, resamples: int = RESAMPLES) -> Iterator[Entry]:
    """The entry that `add` would make, while the block lasts; the board stays as it is. Raises as `add`."""
    with (
        tempfile.TemporaryDirectory() as place,
        _made(run, board, Submission(), resamples, None, run.path, Path(place)) as (new, _),
    ):
        yield Entry(new)


@contextmanager
def _made(
    run: RunFolder,
    board: Path,
    submission: Submission,
    resamples: int,
    verification: Verification | None,
    source: Path,
    place: Path | None = None,
) -> Iterator[tuple[Path, ResultDocument]]:
    """The files of an entry but its report in a new folder, beside those of the board or in `place`, and its result."""
    import pandas as pd

    submission.check()
    manifest, tables = read_run(run)
    _refuse_other_suite(source, str(manifest["suite"]["name"]))  # before what takes seconds
    document = build_result(run, resamples=resamples, own_laws=False)
    result = ResultDocument.model_validate(document)
    _check(source, result, board)
    look = spec_of(manifest).look
    if look != PLAIN:
        raise UsageError(f"{source}: is a run of the look {look}, and boards rank the look {PLAIN} alone.")
    reason = why_not_ranked(tables["truth"])
    if reason:
        raise UsageError(
            f"{source}: {result.render_spec} with {result.context} context frames is not ranked: {reason}. "
            "Use larger frames, or a higher rate."
        )
    kept = {"headlines.parquet": {source: _ranked_rows(tables[source]) for source in KEPT_SOURCES}}
    if result.unseen_constants is not None:
        kept["unseen.parquet"] = {source: with_free_constants(tables[source]) for source in KEPT_SOURCES}
    about = About(
        str(manifest.get("started", ""))[:10],
        str(manifest.get("device", "")),
        submission,
        "self-reported" if verification is None else verification.badge or "self-reported",
        () if verification is None else tuple(each.document() for each in verification.verdicts),
    )
    with _new_folder(place or board / "entries") as new:
        for name, parts in kept.items():
            table = pd.concat([part[list(SCORE_COLUMNS)].assign(source=source) for source, part in parts.items()])
            table.to_parquet(new / name, index=False)
        write_json(new / "about.json", asdict(about))
        write_json(new / "result.json", document)
        yield new, result


def _ranked_rows(table: pd.DataFrame) -> pd.DataFrame:
    """What ranks are made of: headline rows, and those of events, of which too few cost a share of consistency."""
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


def entry_name(result: ResultDocument) -> str:
    """ "objects-1a2b3c4d": the model's name and a hash of what was run: model, arguments, size, context, samples."""
    identity = (
        result.model.target if result.model.sha256 is None else result.model.sha256,
        sorted(result.model.args.items()),
        result.render_spec,
        result.context,
        result.counts.samples,
    )
    short = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^a-z0-9]+', '-', result.model.name.lower()).strip('-')[:40] or 'model'}-{short}"


def _refuse_other_suite(source: Path, name: str) -> None:
    if name.startswith(FRESH):
        raise UsageError(
            f"{source}: ran on fresh seeds. The board ranks models on the same clips: run eval --suite {SUITE} "
            "without --fresh-seeds."
        )
    if name != SUITE:
        raise UsageError(f"{source}: ran the suite {name}; the board ranks {SUITE}. Run eval --suite {SUITE}.")


def board_suite() -> Suite:
    """The clips that a board ranks models on."""
    return find_suite(SUITE)


def _check(source: Path, result: ResultDocument, board: Path) -> None:
    suite, whole = result.suite, board_suite()
    if (suite.version, suite.hash, suite.clips) != (whole.version, whole.hash, len(whole.rows)):
        raise UsageError(
            f"{source}: ran {suite.clips} clips of {SUITE} {suite.version} ({suite.hash[:12]}); the board ranks all "
            f"{len(whole.rows)} clips of {SUITE} {whole.version} ({whole.hash[:12]}). Run it again without --limit "
            "and --tasks."
        )
    if result.provisional:
        raise UsageError(
            f"{source}: ran {suite_name(result.model_dump())}, whose scorers may still change. Boards rank published "
            "versions of a suite alone."
        )
    if suite.local:
        raise UsageError(
            f"{source}: its clips were made on a machine that does not reproduce the suite's states. Check it "
            "with: physbench data verify"
        )
    if result.overall.skill is None:
        raise UsageError(f"{source}: has no overall skill ({result.overall.reason}) and cannot be ranked.")
    kinds = {answers_states(entry.result.model.card) for entry in present(board)}
    if kinds - {answers_states(result.model.card)}:
        ours, theirs = ("states", "frames") if answers_states(result.model.card) else ("frames", "states")
        raise UsageError(
            f"{source}: the model answers with {ours}, and {board} ranks models that answer with {theirs}. Their "
            f"overall skills are means of other axes. Put it on a board of its own: --board DIR."
        )
    others = {(entry.result.suite.version, entry.result.suite.hash) for entry in present(board)}
    if others - {(suite.version, suite.hash)}:
        raise UsageError(f"{board}: holds results of another version of {SUITE}. Start a new board: --board DIR.")


def present(board: Path) -> tuple[Entry, ...]:
    """Entries that were added completely."""
    found = sorted((board / "entries").glob("[!.]*"))  # a name with a dot is still being written
    return tuple(Entry(path) for path in found if (path / "result.json").is_file())


def describe(result: ResultDocument) -> Mapping[str, str]:
    """What a reader needs in order to compare two entries."""
    card = result.model.card
    states = answers_states(card)
    thing, context = ("state", int(card["context_frames"])) if states else ("frame", result.context)
    return {
        "frames": f"{card['columns']} in {card['units']}, {card['fps']:g}/s" if states else result.render_spec,
        "context": f"{context} {thing}{'s' if context > 1 else ''}",
        "uses": ", ".join(word for word in ("actions", "prompt") if card.get(f"uses_{word}")) or f"{thing}s only",
        "samples": str(result.counts.samples),
        "chained": str(result.model.chained),
    }
