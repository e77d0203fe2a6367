"""A run at work: its folder and lock, its shard, its settings, and what of it is done."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from physbench.clips.clip import Row
from physbench.clips.generate import frame_times, known_scene
from physbench.clips.suite import Suite
from physbench.models.http.connection import NO_ANSWER
from physbench.models.protocol import Model, ModelCard
from physbench.result.formats import counted
from physbench.result.manifest import Manifest, Stopped, write_manifest
from physbench.result.read import REFERENCE_MODELS
from physbench.rollout.batches import Batch, BatchItem
from physbench.rollout.store import drop_rollout, has_rollout, is_whole, stored_failure
from physbench.run.options import Options, is_spent, live_again, parse_shard
from physbench.score.protocol import ScoreRow, read_part
from physbench.support.errors import DISK_FULL, PhysbenchError, UsageError
from physbench.support.files import DRAFTS, locked_file, writer_lives
from physbench.support.printable import printable
from physbench.support.progress import duration
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import load_tracks

# The run folder: chosen, checked and locked, so that no two processes write into one.

PARTS = ("rollouts", "tracks", "traces", "parts", "pairs")
LOCK = ".lock"
MERGE_DRAFT = ".merging"  # in a folder into which shards are joined, until all files and the manifest are there
OURS = (
    *("manifest.json", "scores.parquet", "result.json", "diagnosis.json", "report"),
    *(*PARTS, "references", "clips", MERGE_DRAFT),  # the draft goes last: it says that the rest is unfinished
)


def default_folder(model_name: str, suite: str, resume: bool, parent: Path = Path("runs")) -> Path:
    """runs/<model>-<suite>-<n>: the next free n, or with `resume` the last one that exists."""
    signed = re.sub(r":-(?=[\d.])", "-minus-", model_name)  # a severity below 0 is another one
    stem = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{signed}-{suite}").strip("-.")
    taken = [
        int(match.group(1))
        for path in parent.glob(f"{stem}-*")
        if (match := re.fullmatch(re.escape(stem) + r"-(\d+)", path.name))
    ]
    if resume and taken:
        return parent / f"{stem}-{max(taken)}"
    return parent / f"{stem}-{max(taken, default=0) + 1}"


def claimed_folder(model_name: str, suite: str, parent: Path = Path("runs")) -> tuple[Path, tuple[Path, ...]]:
    """Make the next free default folder: runs that start at the same moment get one each.

    Returns it and all folders that were made for it, deepest first, for `opened`. Where none can be made, that says so.
    """
    for _ in range(100):  # others may make the same folder at the same moment
        path = default_folder(model_name, suite, False, parent)
        created = tuple(place for place in (path, *path.parents) if not place.exists())
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except (FileExistsError, FileNotFoundError):  # another run was first, or took its empty folders away
            continue
        except OSError:
            break
        return path, created
    return path, ()


def contents(path: Path) -> list[str]:
    """Names in a folder, without hidden ones."""
    return sorted(item.name for item in path.iterdir() if not item.name.startswith(".")) if path.is_dir() else []


@contextmanager
def opened(path: Path, *, resume: bool, fresh: bool, created: Sequence[Path] = ()) -> Iterator[RunFolder]:
    """Hold the run folder at `path`: made if need be, emptied with `fresh`, refused if it is in use or not a run.

    What a merge left that was killed before it wrote the manifest is removed.

    created: folders that were made for it already, deepest first. They go again if nothing comes into them.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file. Give a folder to --out.")
    try:
        files = contents(path)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}. Choose another folder with --out.") from error
    is_run = "manifest.json" in files
    half_merged = not is_run and (path / MERGE_DRAFT).is_dir()
    if files and not (is_run or half_merged):
        raise UsageError(f"{path} holds other files ({', '.join(files[:3])}) and no run. Choose another --out.")
    if is_run and not (resume or fresh):
        raise UsageError(
            f"{path} holds a run. Go on with it (--resume), start it over (--fresh) or choose another --out."
        )
    absent = list(created) or [place for place in (path, *path.parents) if not place.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = locked_file(path / LOCK)
    except BlockingIOError as error:
        elsewhere = "" if resume else ", or choose another --out"
        raise UsageError(f"Another process is working in {path}. Wait for it{elsewhere}.") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise UsageError(f"Cannot write into {path}: {error.strerror}. Choose another folder with --out.") from error
    try:
        if fresh or (half_merged and not (path / "manifest.json").exists()):  # a merge may have ended meanwhile
            remove(path, OURS)
        yield RunFolder(path)
    finally:
        # Remove the folders that were made, deepest first, if nothing came into them.
        with contextlib.suppress(OSError):
            if absent and [item.name for item in path.iterdir()] == [LOCK]:
                (path / LOCK).unlink()
                for folder in absent:
                    folder.rmdir()
        os.close(handle)  # gives the lock back, as the end of the process would


def remove(path: Path, names: Iterable[str]) -> None:
    """Remove files and folders of a run from its folder, one after the other; those that are not there are skipped.

    A report, which is only shown and is written again, may be a link or open elsewhere: it may stay.
    """
    for name in names:
        item = path / name
        if name == "report":
            shutil.rmtree(item, ignore_errors=True)
        elif item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink(missing_ok=True)


# Which part of a run a shard does: every N-th batch of the plan of the whole run.
#
# The plan is that of the whole run because a model's answer may depend on which clips share its batch; the parts joined
# are then the rollouts of one run. A clip with several samples may lie in two shards.


def batches_of_shard(batches: int, index: int, of: int) -> range:
    """Positions in the plan of the batches of shard `index`, from 1, of `of`.

    Raises UsageError: there are fewer batches than shards.
    """
    if of > batches:
        raise UsageError(
            f"--shard {index}/{of}: the run has {counted(batches, 'batch')}, so that a shard would be empty. Ask for "
            f"at most {counted(batches, 'shard')}, or for a smaller --batch-size."
        )
    return range(index - 1, batches, of)


def missing_shards(present: Sequence[int], of: int) -> list[int]:
    """Shards of `of` that are not among those that were found."""
    return [index for index in range(1, of + 1) if index not in present]


Say = Callable[[str], None]


def say_on_stderr(message: str) -> None:
    """Print a line of progress, without control characters."""
    print(printable(message, keep="\n\t"), file=sys.stderr, flush=True)


Stage = Literal["rollout", "score", "finish"]
RUN_STAGES: tuple[Stage, ...] = ("rollout", "score", "finish")
IN_WORKERS = ("clips", "references", "tracking", "shadowing", "scoring")  # what worker processes spend time on
LEAST_SHOWN = 0.5  # s


@dataclass
class Run:
    """One evaluation in its folder. `manifest` is complete once the model is loaded and the batches are planned."""

    folder: RunFolder
    options: Options
    suite: Suite
    manifest: Manifest
    say: Say
    workers: int
    debug: bool = False  # show the tracebacks of what the model raises
    model: Model | None = None  # one that lives in this process; None: it is loaded from options.model
    report: bool = True  # write the report, not only the result
    stages: tuple[Stage, ...] = RUN_STAGES  # that are done now
    leftovers: bool = False  # the folder holds the result of a part of the suite, on which the run goes on
    unanswered: int = 0  # scored rollouts to make again once the model agrees: its server had not answered
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._horizons: dict[Row, int] = {}
        self._counted = self.started  # until when the total holds the time of this session
        self._before = dict(self.manifest.speed)  # times of the sessions, or stages, before this one
        lock = self.folder.path / LOCK if self.folder else None
        self._lock = lock if lock and lock.exists() else None

    @cached_property
    def whole(self) -> tuple[BatchItem, ...]:
        """All samples of all clips in the order of the suite: that of the score table."""
        return tuple(item for row in self.suite.rows for item in self.samples_of(row))

    @property
    def items(self) -> tuple[BatchItem, ...]:
        """Items of these that are to be done here: in a shard its part, of a run that has ended early what it has."""
        if stopped := self.manifest.stopped:
            known = set(stopped.clips)
            return tuple(item for item in self.whole if item.row.id in known)
        if self.shard is None or not self.planned:
            return self.whole
        names = {name for index in self.own_batches() for name in self.plan[index]}
        return tuple(item for item in self.whole if item.id in names)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The clips of `items`."""
        return tuple(dict.fromkeys(item.row for item in self.items))

    @property
    def shard(self) -> tuple[int, int] | None:
        """Part that is done here, and the number of parts; None: all."""
        return None if self.options.shard is None else parse_shard(self.options.shard)

    def own_batches(self) -> Collection[int]:
        """Batches of the plan that are to be done here."""
        batches = len(self.plan)
        return range(batches) if self.shard is None else batches_of_shard(batches, *self.shard)

    @property
    def plan(self) -> list[list[str]]:
        """Ids of the rollouts in each batch; [] before they are planned."""
        return self.manifest.batches or []

    @property
    def planned(self) -> bool:
        return self.manifest.batches is not None

    @property
    def card(self) -> ModelCard:
        return self.manifest.card

    @property
    def salt(self) -> str:
        """Secret of the generators' seeds; "" where the clips are those of a suite."""
        return self.manifest.salt

    def horizon(self, row: Row) -> int:
        """Number of frames to predict."""
        if row not in self._horizons:
            self._horizons[row] = int((frame_times(known_scene(row), self.card.spec) > 1e-9).sum())
        return self._horizons[row]

    def batches(self) -> list[Batch]:
        """The plan in the manifest."""
        by_id = {item.id: item for item in self.whole}
        batches = [tuple(by_id[name] for name in names) for names in self.plan]
        return [Batch(items, self.horizon(items[0].row)) for items in batches]

    def scored(self, item: BatchItem) -> bool:
        return read_part(self.folder.part(item.row.id, item.sample)) is not None

    def rolled(self, item: BatchItem) -> bool:
        return has_rollout(self.folder, item.row.id, item.sample)

    def has(self, item: BatchItem) -> bool:
        """True if the item need not be rolled out any more."""
        return self.scored(item) or self.rolled(item)

    def samples_of(self, row: Row) -> tuple[BatchItem, ...]:
        return tuple(BatchItem(row, sample) for sample in range(self.options.samples))

    @property
    def budget_spent(self) -> bool:
        """True if no rollout may begin any more."""
        return is_spent(self.options.budget, self.started)

    def missing(self) -> list[int]:
        """Batches to be done with an item that is neither scored nor rolled out. They are rolled out as a whole."""
        batches = self.batches()
        return [index for index in self.own_batches() if not all(self.has(item) for item in batches[index].items)]

    def kept(self) -> str:
        """Progress of the run, for the message on an interruption."""
        if not self.planned:
            return "nothing was made yet"
        if "score" not in self.stages:
            done = sum(self.rolled(item) for item in self.items)
            return f"{done} of {len(self.items)} rollouts are made and kept in {self.folder.path}"
        done = sum(self.folder.part(item.row.id, item.sample).exists() for item in self.items)
        return f"{done} of {len(self.items)} rollouts are scored and kept in {self.folder.path}"

    def standing(self) -> str:
        """Progress of a run that is resumed, and what is left to do."""
        if "score" not in self.stages:
            done = sum(self.scored(item) or self.rolled(item) for item in self.items) - self.unanswered
            already = f"All {done} rollouts are made already."
            return already if done == len(self.items) else f"Resuming: {done} of {len(self.items)} rollouts are made."
        done = sum(self.scored(item) for item in self.items)
        done -= self.unanswered
        if done == len(self.items):
            rest = " only result and report are made again." if "finish" in self.stages else " nothing is left to do."
            return f"All {done} rollouts are scored already:{rest}"
        return f"Resuming: {done} of {len(self.items)} rollouts are scored."

    def refuse_other_clips(self, states: Mapping[Row, str]) -> None:
        """Raise PhysbenchError where clips here are others than those on which the model was rolled out.

        states: hash of the states of each clip here.
        """
        known = self.manifest.states
        other = [row.id for row, state in states.items() if known.get(row.id, state) != state]
        if other:
            shutil.rmtree(self.folder.path / "references", ignore_errors=True)  # they are of the clips here
            raise PhysbenchError(
                f"This machine simulates {len(other)} of {len(states)} clips differently from the one that rolled the "
                f"model out (the first is {other[0]}). Score there, or roll out on clips packed here: "
                "`physbench data pack`, then `physbench rollout --clips FILE`."
            )

    def note_states(self, states: Mapping[Row, str]) -> None:
        """Mark the run as local where this machine does not reproduce the suite's states.

        states: hash of the states of each clip here.
        """
        known = self.manifest.states
        states = {row: known[row.id] for row in self.suite.rows if row.id in known} | dict(states)
        golden = self.suite.golden
        other = [row for row, state in states.items() if row in golden and golden[row].state_hash != state]
        self.manifest.suite.local = bool(other) or self.suite.local
        if other:
            self.say(
                f"Warning: this machine simulates {len(other)} clips differently from the suite's golden states (the "
                f"first is {other[0].id}): the result is marked local. See `physbench data verify`."
            )

    def stop(self, by: Literal["budget", "until"], budget: str, rows: Sequence[Row], **fields: Any) -> None:
        """End the run with these clips, and write that down: its result is one of a part of the suite.

        fields: further fields of `Stopped`.
        """
        known = set(rows)
        kept = tuple(row for row in self.suite.rows if row in known)
        part = replace(self.suite, rows=kept)
        clips = [row.id for row in kept]
        self.manifest.stopped = Stopped(by=by, asked=budget, clips=clips, hash=part.hash, **fields)
        self.save_manifest()

    def ended(self) -> str:
        """With how much of the suite a run has ended early, and how it goes on."""
        return f"the result is that of {len(self.rows)} of {counted(len(self.suite.rows), 'clip')}. {self.further()}"

    def further(self) -> str:
        """The command that goes on to the whole suite; "" for a live model whose run cannot be resumed."""
        again = replace(self.options, budget=None, until=None).resume_command(self.folder.path)
        if self.model is not None:
            sha256 = self.manifest.model.sha256
            if sha256 is None:
                return ""
            again = live_again(self.folder.path, sha256)
        return f"For all of them:\n  {again}"

    def refuse_deleted(self, parts: bool = False) -> None:
        """Raise FileNotFoundError where the folder was deleted since the run began: what comes later is stored anew.

        parts: whether all scores must be there, too.
        """
        known = [self._lock] if self._lock else []
        known += [self.folder.part(item.row.id, item.sample) for item in self.items] if parts else []
        for path in known:
            if not path.exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    def save_manifest(self) -> None:
        write_manifest(self.folder, self.manifest)

    def note(self, text: str) -> None:
        """Add what a model assumes, or what was remarked of it, to the manifest; each sentence once."""
        if text not in self.manifest.notes:
            self.manifest.notes = [*self.manifest.notes, text]

    def count_time(self, name: str, seconds: float) -> None:
        """Add to a time in the manifest's `speed`, over all sessions of the run."""
        speed = self.manifest.speed
        speed[name] = round((speed.get(name) or 0.0) + seconds, 3)

    @property
    def session_seconds(self) -> float:
        """Time of this session, up to when it was last written down."""
        total = float(self.manifest.speed.get("total_seconds") or 0.0)
        return total - float(self._before.get("total_seconds") or 0.0)

    def times(self) -> str:
        """Time spent in this session, by part: "Model 17 s; in 2 workers clips 12 s, ...; report 5 s."."""
        after_them = ("diagnosis", "report")
        speed, names = self.manifest.speed, (*IN_WORKERS, *after_them, "model")
        keys = {name: f"{name}_seconds" for name in names}
        spent = {name: (speed.get(key) or 0.0) - (self._before.get(key) or 0.0) for name, key in keys.items()}
        inside = ", ".join(f"{name} {duration(spent[name])}" for name in IN_WORKERS if spent[name] >= LEAST_SHOWN)
        parts = [f"model {duration(spent['model'])}"] if spent["model"] >= LEAST_SHOWN else []
        parts += [f"in {counted(self.workers, 'worker')} {inside}" if self.workers else inside] if inside else []
        parts += [f"{name} {duration(spent[name])}" for name in after_them if spent[name] >= LEAST_SHOWN]
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}." if text else ""

    def close(self, peak_memory: int = 0, model_memory: int = 0) -> None:
        """Write down time and memory of this session up to now, also of one that ends early, if that is possible."""
        if not self.planned:
            return
        now = time.monotonic()
        self.count_time("total_seconds", now - self._counted)
        self._counted = now
        speed = self.manifest.speed
        total, model = speed["total_seconds"] or 0.0, speed.get("model_seconds") or 0.0
        speed["harness_share"] = round(1 - model / total, 4) if total > 0 else None
        speed["model_frames_per_s"] = round((speed.get("model_frames") or 0) / model, 1) if model > 0 else None
        for name, size in (("peak_memory_gb", peak_memory), ("device_memory_gb", model_memory)):
            if size:
                speed[name] = round(max(speed.get(name) or 0.0, size / 1e9), 3)
        with contextlib.suppress(OSError):
            self.save_manifest()


def drop_damaged(folder: RunFolder, rows: Sequence[Row], samples: int) -> int:
    """Drop every sample of which a file is damaged or lost, of the model and of the references, with what it shares.

    It is then scored again from its stored rollout, or rolled out again where that is damaged or was not kept. Returns
    the number of samples.
    """
    broken, lost = find_damaged(folder, rows, samples)
    for row, sample in broken:
        drop_rollout(folder, row.id, sample)
    for place, row, sample in lost:
        _drop(place, rows, row, sample)
    return len(lost)


def find_damaged(
    folder: RunFolder, rows: Sequence[Row], samples: int
) -> tuple[set[tuple[Row, int]], list[tuple[RunFolder, Row, int]]]:
    """The samples whose rollout cannot be read, and all that are to be scored again, each with its place."""
    _refuse_unreadable(folder, rows, samples)
    broken = {
        (row, sample)
        for row in rows
        for sample in range(samples)
        if has_rollout(folder, row.id, sample) and not is_whole(folder, row.id, sample)
    }
    model = [(folder, row, sample) for row in rows for sample in range(samples)]
    references = [(folder.reference(name), row, 0) for name in REFERENCE_MODELS for row in rows]
    lost = [each for each in (*model, *references) if _is_lost(*each) or (each[0] is folder and each[1:] in broken)]
    return broken, lost


def drop_drafts(folder: RunFolder) -> int:
    """Remove files that a process which was killed has begun and not put in their place. Returns their number."""
    left = [path for path in folder.path.rglob(DRAFTS) if path.is_file() and not writer_lives(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _refuse_unreadable(folder: RunFolder, rows: Sequence[Row], samples: int) -> None:
    """Raise PhysbenchError where a file is there and the system does not hand it out: that is no damage to mend."""
    for row in rows:
        for sample in range(samples):
            video = folder.rollout(row.id, sample)
            for path in (video, video.with_suffix(".json"), folder.tracks(row.id, sample), folder.part(row.id, sample)):
                try:
                    with path.open("rb") as file:
                        file.read(1)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise PhysbenchError(
                        f"{path} cannot be read ({error.strerror or error}). Nothing was dropped: mend that first."
                    ) from error


def unanswered(folder: RunFolder, rows: Sequence[Row], samples: int) -> list[tuple[Row, int]]:
    """The samples that failed because a model's server did not answer: the model is not to blame."""
    gaps = []
    for row in rows:
        for sample in range(samples):
            part = read_part(folder.part(row.id, sample)) or []
            reasons = [each.reason for each in part if each.status == "failed"]
            reasons += [] if part else [stored_failure(folder, row.id, sample)]
            if any(NO_ANSWER in reason for reason in reasons):
                gaps.append((row, sample))
    return gaps


def drop_unanswered(folder: RunFolder, rows: Sequence[Row], samples: int) -> int:
    """Drop what failed because a model's server did not answer, with its rollout. Returns the number of samples."""
    lost = unanswered(folder, rows, samples)
    for row, sample in lost:
        drop_rollout(folder, row.id, sample)
        _drop(folder, rows, row, sample)
    return len(lost)


def _drop(place: RunFolder, rows: Sequence[Row], row: Row, sample: int) -> None:
    """Drop the readings of a sample and those that it shares with others."""
    beside = [place.pair(each.id, sample) for each in rows if row in (each, each.unchanged)]
    # The part goes last: as long as it is there, a run that is killed here finds the damage again.
    files = (place.tracks(row.id, sample), place.trace(row.id, sample), place.part(row.id, sample))
    for path in (*beside, place.together(row.id), *files):
        path.unlink(missing_ok=True)


def _is_lost(place: RunFolder, row: Row, sample: int) -> bool:
    """True if a sample is scored and a file of it is damaged, or its tracks are gone though it did not fail."""
    from physbench.shadowing.shadow import load_trace

    shared = (place.pair(row.id, sample), *([place.together(row.id)] if sample == 0 else []))
    if any(path.exists() and read_part(path) is None for path in shared):
        return True
    if not place.part(row.id, sample).exists():
        return False
    part = read_part(place.part(row.id, sample))
    if part is None or not _loads(load_trace, place.trace(row.id, sample)):
        return True
    if any((each.clip, each.sample) != (row.id, sample) for each in part):  # whole, and in the place of another
        return True
    path = place.tracks(row.id, sample)
    return not _loads(load_tracks, path) if path.exists() else not _failed(part)


def _failed(part: Sequence[ScoreRow]) -> bool:
    """True if these are the rows of a rollout that failed, which has no tracks and no readings."""
    states = {row.status for row in part}
    return "failed" in states and "ok" not in states


def _loads(load: Callable[[Path], object], path: Path) -> bool:
    try:
        load(path)
    except UsageError:
        return False
    return True
