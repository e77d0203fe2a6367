"""An entry: what a board keeps of a run. The board computes every figure again from the scores.

A board is a folder:

    entries/NAME-1a2b3c4d/result.json         the result document, built again when the entry was added
                          headlines.parquet   quality of every clip, sample and axis, of the model, truth and freeze,
                                              and the events that each shows behind one image
                          unseen.parquet      that of consistency with unseen constants free, where there are any
                          report.html         the run's report
                          about.json          when and on what it was run, and what its submitter says
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
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.clips.suite import FRESH, find_suite
from physbench.errors import UsageError
from physbench.leaderboard.measurable import why_not_ranked
from physbench.leaderboard.submission import Submission
from physbench.report.report_page import INLINE_ONLY, write_report
from physbench.results.answers import answers_states
from physbench.results.bootstrap import RESAMPLES
from physbench.results.build_result import build_result
from physbench.results.event_losses import event_rows
from physbench.results.free_constant_skill import with_free_constants
from physbench.results.number_format import suite_name
from physbench.results.read_run import read_run
from physbench.results.schema import ResultDocument, read_result
from physbench.storage.atomic_write import write_json
from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

SUITE = "core"
KEPT_SOURCES = ("model", "truth", "freeze")
SCORE_COLUMNS = ("clip", "task", "split", "seed", "sample", "reading", "axis", "value", "quality")
# Before a page that comes with a run: it can run no script but that of reports, and load nothing.
SEALED = f'<!doctype html>\n<meta http-equiv="Content-Security-Policy" content="{INLINE_ONLY}">\n'.encode()


@dataclass(frozen=True)
class About:
    """What an entry shows beside its scores."""

    date: str  # on which the run started, "2026-11-22"; "" where its manifest does not say
    hardware: str  # that the model ran on
    submission: Submission


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
            found = About(**document, submission=said)
            if not all(isinstance(text, str) and text.isprintable() for text in (found.date, found.hardware)):
                raise ValueError("date and hardware are texts")
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


def add(run: RunFolder, board: Path, *, submission: Submission | None = None, resamples: int = RESAMPLES) -> Entry:
    """Add a finished run to a board and return its entry. An entry of the same model at the same size is replaced.

    Args:
        run: The finished run.
        board: Folder of the board, created if it does not exist.
        submission: What its submitter says of it; None: what was said of the entry that is replaced, if anything.
        resamples: Draws of the bootstrap.

    Raises:
        UsageError: The run is not finished, is not all of `core`, does not reproduce the suite's states, ran another
            version of the suite than the rest of the board, or had a size at which ground truth itself breaks laws; or
            what is said of it cannot be shown.
    """
    with _made(run, board, submission or Submission(), resamples) as (new, result):
        path = board / "entries" / entry_name(result)
        if submission is None and (path / "about.json").is_file():
            about = replace(Entry(new).about, submission=Entry(path).about.submission)
            write_json(new / "about.json", asdict(about))
        _replace(path, new)
    return Entry(path)


@contextmanager
def unpublished(run: RunFolder, board: Path, *, resamples: int = RESAMPLES) -> Iterator[Entry]:
    """The entry that `add` would make, while the block lasts; the board stays as it is. Raises as `add`."""
    with tempfile.TemporaryDirectory() as place, _made(run, board, Submission(), resamples, Path(place)) as (new, _):
        yield Entry(new)


@contextmanager
def _made(
    run: RunFolder, board: Path, submission: Submission, resamples: int, place: Path | None = None
) -> Iterator[tuple[Path, ResultDocument]]:
    """The files of an entry in a folder of their own, beside those of the board or in `place`, and its result."""
    import pandas as pd

    submission.check()
    manifest, tables = read_run(run)
    _refuse_other_suite(run, str(manifest["suite"]["name"]))  # before what takes seconds
    document = build_result(run, resamples=resamples, own_laws=False)
    result = ResultDocument.model_validate(document)
    _check(run, result, board)
    reason = why_not_ranked(tables["truth"])
    if reason:
        raise UsageError(
            f"{run.path}: {result.render_spec} with {result.context} context frames is not ranked: {reason}. "
            "Use larger frames, or a higher rate."
        )
    kept = {"headlines.parquet": {source: _ranked_rows(tables[source]) for source in KEPT_SOURCES}}
    if result.unseen_constants is not None:
        kept["unseen.parquet"] = {source: with_free_constants(tables[source]) for source in KEPT_SOURCES}
    about = About(str(manifest.get("started", ""))[:10], str(manifest.get("device", "")), submission)
    with _new_folder(place or board / "entries") as new:
        if run.report.is_file():
            (new / "report.html").write_bytes(SEALED + run.report.read_bytes())
        else:
            write_report(run, new / "report.html", document)
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


def _replace(path: Path, new: Path) -> None:
    """Put a complete folder in the place of another; until then the old one stays."""
    old = new.with_name(f"{new.name}.old")
    try:
        if path.exists():
            path.rename(old)
        new.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


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


def _refuse_other_suite(run: RunFolder, name: str) -> None:
    if name.startswith(FRESH):
        raise UsageError(
            f"{run.path}: ran on fresh seeds. The board ranks models on the same clips: run eval --suite {SUITE} "
            "without --fresh-seeds."
        )
    if name != SUITE:
        raise UsageError(f"{run.path}: ran the suite {name}; the board ranks {SUITE}. Run eval --suite {SUITE}.")


def _check(run: RunFolder, result: ResultDocument, board: Path) -> None:
    suite, whole = result.suite, find_suite(SUITE)
    if (suite.version, suite.hash, suite.clips) != (whole.version, whole.hash, len(whole.rows)):
        raise UsageError(
            f"{run.path}: ran {suite.clips} clips of {SUITE} {suite.version} ({suite.hash[:12]}); the board ranks all "
            f"{len(whole.rows)} clips of {SUITE} {whole.version} ({whole.hash[:12]}). Run it again without --limit "
            "and --tasks."
        )
    if result.provisional:
        raise UsageError(
            f"{run.path}: ran {suite_name(result.model_dump())}, whose scorers may still change. Boards rank published "
            "versions of a suite alone."
        )
    if suite.local:
        raise UsageError(
            f"{run.path}: its clips were made on a machine that does not reproduce the suite's states. Check it "
            "with: physbench data verify"
        )
    if result.overall.skill is None:
        raise UsageError(f"{run.path}: has no overall skill ({result.overall.reason}) and cannot be ranked.")
    kinds = {answers_states(entry.result.model.card) for entry in present(board)}
    if kinds - {answers_states(result.model.card)}:
        ours, theirs = ("states", "frames") if answers_states(result.model.card) else ("frames", "states")
        raise UsageError(
            f"{run.path}: the model answers with {ours}, and {board} ranks models that answer with {theirs}. Their "
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
