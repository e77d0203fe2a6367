"""The model of a run, its clips and its rollouts.

The model is loaded with the run's settings into a process of its own, and compared with the manifest. Clips are made as
it goes, rollouts are stored, and the manifest learns what was remarkable of each batch.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_scene
from physbench.clips.store import ClipStore
from physbench.clips.suite import PROMPT_MOTION_OPTION
from physbench.models.protocol import Model, ModelCard
from physbench.result.formats import counted
from physbench.result.manifest import Event
from physbench.result.read import REFERENCE_MODELS, ClipSource
from physbench.rollout import store
from physbench.rollout.batches import Batch, BatchItem
from physbench.rollout.device_names import device_kind, split_devices
from physbench.rollout.engine import BatchResult, DeviceGroup, RolloutEngine
from physbench.run import worker
from physbench.run.jobs import ClipsReadAhead, Jobs
from physbench.run.manifest import other_settings
from physbench.run.options import Options
from physbench.run.ray_cluster import RayEngine, RayPool
from physbench.run.state import Run, drop_unanswered
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.processes import WorkerPool, cores, give_back, thread_map
from physbench.support.run_folder import RunFolder
from physbench.world.scene import HISTORY, PLAIN, RenderSpec
from physbench.world.styles.catalogue import check_camera, check_pair, look_hash


@contextmanager
def model_of(run: Run, pool: WorkerPool | None = None) -> Iterator[RolloutEngine | None]:
    """The model in its process, or in those of a pool on a cluster; None where no rollout is missing."""
    if "rollout" not in run.stages or (run.planned and not run.missing() and not run.unanswered):
        yield None
        return
    o = run.options
    run.say(f"Loading {o.model} ...")
    sizes = [event.part_size for event in run.manifest.events if event.part_size]
    if run.model is not None:
        with live_engine(run.model, o, run.salt) as live:
            agree(run, live)
            yield live
        return
    part_size = min(sizes, default=None)
    if isinstance(pool, RayPool):
        arguments = engine_arguments(o, run.salt, part_size=part_size, debug=run.debug)
        started: RolloutEngine = RayEngine(pool, arguments, run.manifest.model)
    else:
        started = engine_of(o, run.salt, part_size=part_size, debug=run.debug)
    with started as engine:
        agree(run, engine)
        if run.unanswered:
            drop_unanswered(run.folder, run.suite.rows, o.samples)
            run.say(f"{counted(run.unanswered, 'rollout')} failed as the server did not answer: made again.")
            run.unanswered = 0
        yield engine


def calls_along_time(card: ModelCard, frames: int) -> int:
    """Calls that a chained model needs for so many frames."""
    return -(-frames // (card.max_horizon or frames))


def live_engine(model: Model, options: Options, salt: str) -> RolloutEngine:
    """The engine for a model that lives in this process."""
    from physbench.rollout.in_process import InProcessEngine

    o = options
    conditioning = {"look": o.look, "view": o.view, "actions": o.actions, "prompts": o.prompts}
    return InProcessEngine(model, chain=o.chain, seed=o.seed, salt=salt, privileged=o.privileged, **conditioning)


def engine_of(
    options: Options, salt: str, *, part_size: int | None = None, debug: bool = False, untrained: bool = False
) -> RolloutEngine:
    """The engine for the settings of a run; other arguments as of `RolloutEngine`."""
    arguments = engine_arguments(options, salt, part_size=part_size, debug=debug, untrained=untrained)
    devices = split_devices(options.device)
    return RolloutEngine(**arguments) if len(devices) == 1 else DeviceGroup(devices, **arguments)


# Settings that reach the engine under their own names.
OF_ENGINE = (
    *("device", "dtype", "autocast", "compile", "trust_code", "privileged"),
    *("timeout", "chain", "seed", "look", "view", "actions", "prompts"),
)


def engine_arguments(
    options: Options, salt: str, *, part_size: int | None = None, debug: bool = False, untrained: bool = False
) -> dict[str, Any]:
    """The arguments of a `RolloutEngine` for the settings of a run."""
    return {
        "target": options.model,
        "model_args": dict(options.model_arg),
        **{name: getattr(options, name) for name in OF_ENGINE},
        "untrained": untrained,
        "salt": salt,
        "part_size": part_size,
        "debug": debug,
    }


def agree(run: Run, engine: RolloutEngine) -> None:
    """Complete the manifest with the model, or see that the model is the one of the stored manifest."""
    info = engine.info
    check_card(run.options, info.card, run.suite.rows)
    model: dict[str, Any] = {
        "name": info.card.name,
        "card": info.card,
        "device": info.device,
        "dtype": info.dtype,
        "reported_sha256": info.reported_sha256 or None,
        "drawn_by": None,
        "settings": dict(info.settings),
    }
    if info.card.look != PLAIN:
        model["drawn_by"] = (run.manifest.clips and run.manifest.clips.drawn_by) or look_hash(info.card.look)
    if run.planned:
        for name, value in model.items():
            before = getattr(run.manifest.model, name)
            if name == "device" and device_kind(str(before)) == device_kind(info.device):
                continue
            if before != value:
                raise other_settings(run.folder.path, _difference(name, before, value))
    for note in (*info.notes, *_input_notes(run.options, info.card)):
        run.say(note)
        run.note(note)
    if run.planned:
        return
    for name, value in model.items():
        if value or name in ("name", "device", "dtype"):
            setattr(run.manifest.model, name, value)
    run.manifest.render_spec = str(info.card.spec)
    run.manifest.context = info.card.scored_context
    run.manifest.device = f"{info.device} ({info.device_name})"


def check_card(options: Options, card: ModelCard, rows: Sequence[Row]) -> None:
    """Raise UsageError where a model of this card cannot be asked for what a run on these clips asks for."""
    if not card.continues:
        raise UsageError(f"{card.name} answers with its surprise at films. Ask it with --suite expectation.")
    _check_prompted_model(options, card)
    options.check_board_look(card.look)
    check_pair(card.look, card.view)
    if card.look != PLAIN:  # before the first clip, not in the middle of a run
        for task, row in {row.task: row for row in rows}.items():
            check_camera(card.look, make_scene(row), task)


def _check_prompted_model(options: Options, card: ModelCard) -> None:
    """Raise UsageError where words for motion are asked for and the model is shown it."""
    if not options.prompt_motion:
        return
    if not card.sees_pictures:
        raise UsageError(f"{PROMPT_MOTION_OPTION}: {card.name} is given states, velocities among them. Leave it out.")
    if card.scored_context > 1:
        raise UsageError(
            f"{PROMPT_MOTION_OPTION}: {card.name} sees {card.scored_context} frames, which show already how things "
            "move. Leave it out; it is for models with context_frames=1."
        )


def _input_notes(options: Options, card: ModelCard) -> Iterator[str]:
    """Notes on words that do not reach a model, on context from before the history, and on prompts of a file."""
    if options.prompt_motion and not card.uses_prompt and card.track != "privileged":
        yield f"{card.name} reads no prompt (uses_prompt of its card), so that the words for motion do not reach it."
    if (missing := card.context_frames - card.history_frames) > 0:
        yield (
            f"{missing} of the {card.context_frames} context frames lie before the history of {HISTORY:g} s. Where the "
            "motion before it cannot be told they repeat the first one."
        )
    if options.prompts is not None:
        yield f"The prompts are sentences of {options.prompts}, not the tasks' own."


def _difference(name: str, before: object, value: object) -> str:
    if name == "drawn_by":
        return "What draws the look (its code, the variant and version of Mitsuba) has changed"
    if name == "reported_sha256":
        return "The model's file (sha256 as the server reports it) has changed"
    return f"The {name} of the model was {before}, now it is {value}"


# Clips that a run makes as it goes: before the model sees them, of fresh seeds in no file; and those that it is
# shown.
#
# Scores wait behind what is on its way already. With a few batches in advance the model waits for no clip, and what
# is rolled out is scored soon, however many clips there are: a run that is looked at early, or ended, has scores.

# Clips of fresh seeds for a model: made when their turn comes, and in no file that its process could read.
#
# What follows a context is written down only when the model's process has ended: clips, references and scores come
# after the last rollout, into the folder of the run alone. What an earlier session has left there is removed before the
# first.


class UnseenClips:
    """Clips in memory, made by workers shortly before they are asked for.

    Args:
        pool: Makes them.
        spec: Size and rate.
        ahead: How many are made in advance, and how many are kept: memory stays flat.
    """

    def __init__(self, pool: WorkerPool, spec: RenderSpec, ahead: int) -> None:
        self._pool = pool
        self._spec = spec
        self._ahead = ahead
        self._order: Sequence[Row] = ()
        self._known: OrderedDict[Row, Future[Clip]] = OrderedDict()

    def expect(self, rows: Sequence[Row]) -> None:
        """Say in which order clips will be asked for."""
        self._order = tuple(dict.fromkeys(rows))

    def get(self, row: Row) -> Clip:
        """A clip, the same each time."""
        at = self._order.index(row) if row in self._order else 0
        for each in (row, *self._order[at + 1 : at + 1 + self._ahead]):
            if each not in self._known:
                self._known[each] = self._pool.submit(make_clip, each, self._spec)
        self._known.move_to_end(row)
        clip = self._known[row].result()
        while len(self._known) > 2 * self._ahead + 1:
            self._known.popitem(last=False)
        return clip


@contextmanager
def unseen(folder: RunFolder) -> Iterator[None]:
    """No file of a run tells of the future of its clips: they are removed, and so are references and report.

    Where the model cannot be loaded, is refused or fails, references and report come back: its process has ended then.
    Clips are made again.
    """
    folders = (*(folder.reference(name).path for name in REFERENCE_MODELS), folder.report.parent)
    kept = io.BytesIO()  # a file could be opened by the model
    with tarfile.open(fileobj=kept, mode="w") as archive:
        for path in folders:
            if path.is_dir():
                archive.add(path, path.relative_to(folder.path))
    for path in (*folders, folder.clips):
        shutil.rmtree(path, ignore_errors=True)
    try:
        yield
    except BaseException:
        kept.seek(0)
        with tarfile.open(fileobj=kept) as archive:
            # Python before 3.11.4 has no filters; the archive is this process's own.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder.path)
        raise


# Clips for each worker that are begun between a clip and its references: it is mostly made by then. Where it is not,
# the references make it again.
CLIPS_BEFORE_REFERENCES = 4


@dataclass
class ClipPreparation:
    """Jobs for the clips of a run, each begun once."""

    run: Run
    pool: WorkerPool | None
    jobs: Jobs
    source: ClipSource | None  # where they are put; None: nothing is absent
    absent: Set[Row]  # clips that are not stored
    references: bool  # whether they are needed, too
    futures: dict[Row, Future[Any]] = field(default_factory=dict)
    brought: dict[Row, Future[Any]] = field(default_factory=dict)
    _order: Sequence[Row] = ()
    _places: dict[Row, int] = field(default_factory=dict)
    _ahead: int = 0  # clips that are on their way after the one that is asked for
    _begun: int = 0  # clips of the order that are on their way

    def make(self, rows: Iterable[Row]) -> None:
        """Have clips made that are not stored."""
        for row in rows:
            if row in self.absent and row not in self.futures:
                assert self.pool is not None and isinstance(self.source, ClipStore), "an archive lacks none"
                self.futures[row] = self.pool.submit(worker.make, self.source.directory, row, self.run.card.spec)
                self.jobs.add("clip", self.futures[row])

    def bring(self, rows: Iterable[Row]) -> None:
        """Have ground truth and baselines read on clips, where references are needed."""
        run = self.run
        for row in rows:
            if self.references and row not in self.brought:
                assert self.pool is not None
                self.brought[row] = self.pool.submit(
                    worker.references, run.folder.path, row, run.card, run.options.scorers, not run.salt
                )
                self.jobs.add("references", self.brought[row])

    def is_ready(self, row: Row) -> bool:
        """True if a clip can be read now."""
        if row not in self.absent:
            return True
        future = self.futures.get(row)
        return future is not None and future.done() and not future.cancelled() and future.exception() is None

    def expect(self, order: Sequence[Row], ahead: int) -> None:
        """Say in which order the clips will be needed, before any of them is asked for by `up_to`.

        ahead: how many after that one are to be on their way. Its own references always are.
        """
        self._order, self._places, self._begun = order, {row: place for place, row in enumerate(order)}, 0
        self._ahead = ahead

    def up_to(self, row: Row) -> None:
        """Have all up to a clip, and some after it, on their way. A clip that nobody expects changes nothing."""
        if row in self._places:
            self._reach(self._places[row] + 1 + self._ahead)

    def rest(self) -> None:
        """Have all of them on their way."""
        self._reach(len(self._order))

    def _reach(self, end: int) -> None:
        lag = min(CLIPS_BEFORE_REFERENCES * self.run.workers, self._ahead)
        for place in range(self._begun, min(end, len(self._order))):
            row = self._order[place]
            self.make([row])
            if row not in self.absent:
                self.bring([row])
            if place >= lag:
                self.bring([self._order[place - lag]])
            self._begun = place + 1
        if self._begun == len(self._order):
            self.bring(self._order[max(0, len(self._order) - lag) :])

    def give_up_all_but(self, rows: Set[Row]) -> None:
        """Prepare these clips, and no other where that has not begun."""
        needed = [row for row in self._order if row in rows]
        self.make(needed)
        self.bring(needed)
        given_up = [row for row in self._order if row not in rows]
        for kind, futures, wanted in (
            ("clip", self.futures, self.absent),
            ("references", self.brought, self._places if self.references else {}),
        ):
            if many := sum(row in wanted and row not in futures for row in given_up):
                self.jobs.expect_fewer(kind, many)
            for row in given_up:
                if row in futures:
                    self.jobs.give_up(kind, futures[row])


class ShownClips:
    """Clips for the model, each as soon as it is made: those in no file from memory, stored ones read in advance.

    Args:
        read: Reads what the model needs of a stored clip, in any thread.
        made: Makes clips before they are read, or those in no file.
    """

    def __init__(self, read: Callable[[Row], Clip], made: ClipPreparation | UnseenClips) -> None:
        self.states: dict[Row, str] = {}  # hashes of those of the clips that were shown
        self._read, self._preparation = read, made
        self._ahead: ClipsReadAhead | None = None

    def get(self, row: Row) -> Clip:
        """A clip, once it is made; the error of what made it is raised here."""
        if isinstance(self._preparation, UnseenClips):
            clip = self._preparation.get(row)
        else:
            self._preparation.up_to(row)
            if row in self._preparation.futures:
                self._preparation.futures[row].result()
            clip = self._ahead.get(row) if self._ahead else self._read(row)
        self.states[row] = clip.state_hash
        return clip

    @contextmanager
    def read_ahead(self, batches: Sequence[Batch], devices: int) -> Iterator[None]:
        """Stored clips of the next batches are read while the model works."""
        if isinstance(self._preparation, UnseenClips):
            yield
            return
        order = [item.row for batch in batches for item in batch.items]
        most = max((len(batch.items) for batch in batches), default=0) * devices
        with ClipsReadAhead(self._read, self._preparation.is_ready, order, most) as self._ahead:
            yield
        self._ahead = None


# Who stores a rollout: the worker that scores it, and need not read it then. As long as workers have enough, others.
#
# The model must not wait for files. To encode is a call into a library for each frame, and in those the threads of one
# process wait for one another: where there are many cores, processes of their own do it. Where the workers have all of
# a few cores, whoever encodes takes them from the workers, which then have to read the file, too: there the model waits
# for a while.


@dataclass(frozen=True)
class WaitLimits:
    """Work that may wait for the workers while the model goes on."""

    jobs: int = 4  # jobs that wait for each worker
    frame_bytes: int = 16_000_000  # that wait in memory for each worker, or so many jobs
    batches: int = 2  # that they are at work on while the model goes on
    patience: float = 10.0  # s that the model waits for workers, each batch
    stall: float = 1.0  # s without a score after which it does not: they make clips and references first


WAITING = WaitLimits()


LEAST_CORES = 4  # for encoders

Kept = store.SharedRollout | Future[None] | None


@contextmanager
def encoders(workers: int) -> Generator[WorkerPool | None, None, None]:
    """Processes that store rollouts; None with few cores, one worker, or no room for them: then threads do.

    They start with the first rollout that they get.
    """
    pool = None
    if workers > 1 and cores() >= LEAST_CORES and store.can_share():
        with suppress(PhysbenchError):  # no room for semaphores
            pool = WorkerPool(min(16, cores()), ("physbench.rollout.store", "av"))
    with nullcontext() if pool is None else pool:
        yield pool


def patience(workers: int) -> float:
    """Seconds that the model may wait for workers: only where they have all cores, and no encoders help them."""
    return WAITING.patience if cores() <= workers and cores() < LEAST_CORES else 0.0


class RolloutKeeping:
    """Keeps the rollouts of a run, a batch at a time. While workers have enough to do, encoders or this process store
    them; before that it waits for `patience`.

    While workers want more it only copies their frames, so that it keeps many workers busy. As these come to them soon,
    little lies in memory, or is lost with the program: a rollout that is neither stored nor scored is made again, with
    its batch.

    Args:
        folder: Of the run.
        fps: Frames per second.
        jobs: Of the workers.
        shares: Whether the workers see the memory of this process, and score what it keeps.
        encoders: See the function of that name.
        patience: s that it waits for workers, each batch, before somebody else stores rollouts.
    """

    def __init__(
        self,
        folder: RunFolder,
        fps: float,
        jobs: Jobs,
        shares: bool,
        encoders: WorkerPool | None,
        patience: float = 0.0,
    ) -> None:
        self._folder, self._fps, self._jobs = folder, fps, jobs
        self._shares, self._encoders, self._patience = shares, encoders, patience
        self._tried = False  # whether it is known that encoders see the memory of this process
        self._shared = 0  # bytes of frames that wait for workers
        self._lock = threading.Lock()

    def kept(self, rollouts: Sequence[store.Rollout]) -> Generator[Kept, None, None]:
        """Keep the rollouts of a batch.

        Yields:
            For each rollout, as soon as its job may begin, what the worker has to store; None where it is stored. Or a
            future: it is being stored, and its job may begin then.
        """
        give_back()  # what was free before these came
        if self._shares and self._workers_want_more(self._patience):
            yield from self._shared_or_stored(rollouts)
        elif self._encoders is not None and self._are_seen(rollouts, self._encoders):
            for shared in self._shared_or_stored(rollouts):
                yield None if shared is None else self._stored_by(self._encoders, shared)
        else:
            for _ in store.store_rollouts(self._folder, rollouts, self._fps):
                yield None

    def _shared_or_stored(self, rollouts: Sequence[store.Rollout]) -> Generator[store.SharedRollout | None, None, None]:
        """Rollouts in shared memory; None for one that does not go there, and is stored."""
        for rollout, shared in zip(rollouts, thread_map(store.share, rollouts), strict=True):
            if shared is None:
                store.store_rollout(self._folder, rollout, self._fps)
            yield shared

    def _stored_by(self, encoders: WorkerPool, shared: store.SharedRollout) -> Future[None]:
        """Have an encoder store a rollout; its memory is let go then."""
        storing = encoders.submit(store_shared, self._folder.path, shared, self._fps)
        storing.add_done_callback(lambda _: shared.close())
        return storing

    def _are_seen(self, rollouts: Sequence[store.Rollout], encoders: WorkerPool) -> bool:
        """True if encoders can store these: some have frames here, and the system lets another process map them."""
        framed = [rollout for rollout in rollouts if len(rollout.frames)]
        if not framed or any(isinstance(rollout, store.FiledRollout) for rollout in rollouts):
            return False
        if not self._tried and (shared := store.share(framed[0])) is not None:
            self._tried = True
            try:
                if not encoders.submit(is_seen, shared).result():
                    self._encoders = None
            finally:
                shared.close()
        return self._encoders is not None

    def _workers_want_more(self, patience: float) -> bool:
        """True if the workers want more, now or within `patience` s.

        A job that fails and a time without scores end the wait: then the rollouts are stored here.
        """
        jobs, workers = self._jobs, self._jobs.workers
        scored, last = jobs.done("score"), time.monotonic()  # scores so far, and when the last one came
        until = last + patience
        while jobs.waiting() > WAITING.jobs * workers and self._shared > WAITING.frame_bytes * workers:
            now = time.monotonic()
            if jobs.done("score") > scored:
                scored, last = jobs.done("score"), now
            left = min(until, last + WAITING.stall) - now
            if left <= 0 or not jobs.wait_for_one(min(left, 0.25)):  # s
                return False
        return True

    def scoring(self, shared: store.SharedRollout, future: Future[Any]) -> None:
        """A worker has what was yielded until `future` is done."""
        self._count(shared.bytes)

        def let_go(_: Future[Any]) -> None:
            shared.close()
            self._count(-shared.bytes)

        future.add_done_callback(let_go)

    def _count(self, more: int) -> None:
        with self._lock:
            self._shared += more


def is_seen(shared: store.SharedRollout) -> bool:
    """In an encoder: whether it can map the frames."""
    return worker.mapped(shared) is not None


def store_shared(folder: Path, shared: store.SharedRollout, fps: float) -> None:
    """In an encoder: store a rollout."""
    store.store_rollout(RunFolder(folder), shared.load(), fps)


class BeingStored:
    """Rollouts that encoders are at work on, by batch. Where the block of its `with` fails, they are stored first."""

    def __init__(self) -> None:
        self._batches: deque[Sequence[tuple[BatchItem, Future[None]]]] = deque()

    def __enter__(self) -> BeingStored:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Exception):  # who presses Ctrl-C does not wait
            wait([future for batch in self._batches for _, future in batch])

    def add(self, batch: Sequence[tuple[BatchItem, Future[None]]], patience: float) -> None:
        """Add a batch, and wait for it for at most so many seconds."""
        self._batches.append(batch)
        wait([future for _, future in batch], timeout=patience)

    def stored(self, besides: int) -> Iterator[BatchItem]:
        """Stored items, in order; raises why one was not. All but `besides` of the last batches are waited for."""
        while self._batches and (len(self._batches) > besides or all(each.done() for _, each in self._batches[0])):
            for item, future in self._batches.popleft():
                future.result()
                yield item


MOST_NOTES = 5  # events and notes


class RolloutNotes:
    """Writes into the manifest of a run and says the first of what is remarkable."""

    def __init__(self, run: Run, engine: RolloutEngine) -> None:
        self.run, self.engine = run, engine
        self.count = 0  # events and notes
        self.noted = 0  # of the engine's notes

    def write_down(self, result: BatchResult, new: Sequence[BatchItem], states: Mapping[Row, str]) -> None:
        """Times and events of a batch go into the manifest, and which of its new rollouts were made in other batches.

        `regrouped` holds by rollout with how many clips together it was computed, where that are not those of the plan.
        """
        manifest = self.run.manifest
        before = manifest.regrouped
        after = {name: number for name, number in before.items() if name not in {item.id for item in new}}
        for item, number in zip(result.batch.items, result.together, strict=False):
            if item in new and number not in (0, len(result.batch.items)):
                after[item.id] = number
        states_here = {item.row.id: states[item.row] for item in result.batch.items if item.row in states}
        if after != before or not states_here.items() <= manifest.states.items():
            manifest.states = {**manifest.states, **states_here}
            manifest.regrouped = after
            self.run.save_manifest()
        self.run.count_time("model_seconds", result.seconds / self.engine.devices)
        frames = sum(one.steps for one in result.rollouts)
        manifest.speed["model_frames"] = (manifest.speed.get("model_frames") or 0) + frames
        if result.events:
            manifest.events = [*manifest.events, *(Event.model_validate(event.document()) for event in result.events)]
            self.run.save_manifest()
            for event in result.events:
                self.say_once(f"Batch {event.batch + 1}: {event.detail}")

    def note_down(self) -> None:
        """Record in the manifest what the model's process remarked since the last batch."""
        for note in self.engine.notes[self.noted :]:
            self.say_once(note)
            self.run.note(note)
        if self.noted < len(self.engine.notes):
            self.noted = len(self.engine.notes)
            self.run.save_manifest()

    def say_once(self, message: str) -> None:
        """Print the first few events and notes of a model; all of them are in the manifest."""
        self.count += 1
        if self.count <= MOST_NOTES:
            self.run.say(message)
        elif self.count == MOST_NOTES + 1:
            self.run.say(f"Further events and notes are in {self.run.folder.manifest}.")
