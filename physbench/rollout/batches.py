"""Batches of clips: their prompts, plan and size, the jobs of the model's process, and what comes back."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.clips.action_space import ActionMap
from physbench.clips.clip import Clip, Row
from physbench.models.protocol import ModelCard
from physbench.rollout import messages
from physbench.rollout.answers import answers_of, every_action
from physbench.rollout.device_names import device_kind
from physbench.rollout.model_process import SharedMemory
from physbench.rollout.store import Rollout
from physbench.support.errors import PhysbenchError, UsageError, nearest
from physbench.support.files import file_sha256, user_text
from physbench.support.processes import thread_map

if TYPE_CHECKING:
    from physbench.rollout.engine import RolloutEngine

# Plans which clips share a batch, before the first is rolled out: a model's answer may depend on its batch.


@dataclass(frozen=True)
class BatchItem:
    """One sample of one clip."""

    row: Row
    sample: int = 0

    @property
    def id(self) -> str:
        """Name in plans: "falling.projectile-v1.test.3" for sample 0, else with "#1", "#2" ... after it."""
        return self.row.id if self.sample == 0 else f"{self.row.id}#{self.sample}"


@dataclass(frozen=True)
class Batch:
    """Items of one horizon that are given to the model together."""

    items: tuple[BatchItem, ...]
    horizon: int  # frames

    @property
    def rows(self) -> list[Row]:
        """The clips of the items, each once."""
        return list(dict.fromkeys(item.row for item in self.items))

    @property
    def ids(self) -> list[str]:
        """Ids of the items, for the manifest."""
        return [item.id for item in self.items]


def plan_batches(
    rows: Iterable[Row], batch_size: int, *, horizon: Callable[[Row], int], samples: int = 1
) -> tuple[Batch, ...]:
    """Divide rows into batches, in their order.

    Args:
        rows: Clips to roll out.
        batch_size: Items in a batch, at most.
        horizon: Number of frames to predict for a row. Clips of different horizons never share a batch.
        samples: Rollouts of each clip; they follow one another.
    """
    if batch_size < 1 or samples < 1:
        raise UsageError(f"Expected a batch size and a number of samples of at least 1, got {batch_size}, {samples}.")
    groups: dict[int, list[BatchItem]] = {}
    for row in rows:
        groups.setdefault(horizon(row), []).extend(BatchItem(row, sample) for sample in range(samples))
    return tuple(
        Batch(tuple(items[start : start + batch_size]), frames)
        for frames, items in groups.items()
        for start in range(0, len(items), batch_size)
    )


def item_seed(row: Row, sample: int, seed: int, salt: str = "") -> int:
    """Seed (63 bits) of the generator of one sample of one clip, independent of its batch.

    A clip and its changed versions share the seed, so that a stochastic model's answers differ by the change alone.
    Without a salt, a model could find out from its generators which clip it is shown.
    """
    text = f"{row.unchanged.id}\n{sample}\n{seed}" + (f"\n{salt}" if salt else "")
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


# A batch on its way through the model's process, and its result.


@dataclass(frozen=True, eq=False)
class BatchResult:
    """The rollouts of one batch of the plan, in its order."""

    index: int
    batch: Batch
    rollouts: tuple[Rollout, ...]
    seconds: float  # the model's own time
    events: tuple[messages.RolloutEvent, ...]
    together: tuple[int, ...] = ()  # by rollout: how many clips were computed at once; 0 where it failed

    def __iter__(self) -> Iterator[Rollout]:
        return iter(self.rollouts)


@dataclass
class BatchInFlight:
    """A batch that was sent to the model's process, or will be sent again."""

    index: int
    batch: Batch
    job: messages.RolloutJob
    results: dict[int, messages.PositionResult] = field(default_factory=dict)
    events: list[messages.RolloutEvent] = field(default_factory=list)
    started: messages.PartStarted | None = None
    was_lost: bool = False  # the process ended before it began this batch
    received: int = 0  # messages about this batch
    killed: set[tuple[int, ...]] = field(default_factory=set)  # parts in which the process was killed
    together: dict[int, int] = field(default_factory=dict)  # how many clips each position was computed with

    def fail(self, positions: Sequence[int], reason: str) -> None:
        for position in positions:
            self.results[position] = messages.PositionResult(position, 0, 0, 0.0, reason)

    def finish_part(self, message: messages.PartFinished) -> None:
        """Take the results of a part."""
        for result in message.results:
            self.results[result.position] = result
            self.together[result.position] = len(message.results)

    def missing(self) -> list[int]:
        return [position for position in range(self.job.batch_size) if position not in self.results]

    def contradiction(self, message: messages.Report) -> str:
        """Contradiction of a message to what was requested and reported so far; "" where there is none."""
        self.received += 1
        size, kind = self.job.batch_size, type(message).__name__
        # Eight a clip: a part of its own that is halved, tried again and finished needs fewer
        if self.received > 8 * size + 64:
            return "more messages than its batch has parts"
        wrong = f"a {kind} that does not fit its batch"
        started = () if self.started is None else self.started.positions
        match message:
            case messages.PartStarted(index, positions):
                fits = bool(positions) and set(positions) <= set(self.missing()) and _distinct(positions)
            case messages.PartFinished(index, results):
                fits = tuple(one.position for one in results) == started
                if fits and (odd := next((one for one in results if not self._counts(one)), None)):
                    return f"{odd.frames} frames of {self.job.stored} for a clip"
            case messages.RolloutEvent(batch=index, positions=positions):
                fits = message.kind in ("halved", "retried") and positions == started and not message.clips
                fits = fits and (message.part_size or 1) <= size
            case messages.DeviceFailure(index):
                fits = bool(started)
            case messages.JobDone(index):
                fits = not self.missing()
            case _:
                return f"a {kind} instead of frames"
        return "" if fits and index == self.index else wrong

    def _counts(self, one: messages.PositionResult) -> bool:
        """True if a result has as many frames as requested: fewer only of a video, none of a clip that failed."""
        if one.failure is not None:
            return one.frames == 0
        return one.frames <= self.job.stored if self.job.inputs.items else one.frames == self.job.stored

    def result(self, memory: SharedMemory, card: ModelCard, keep: bool = False) -> BatchResult:
        """Move the answers from the shared memory to rollouts, clip by clip; frames have their channels last.

        keep: the shared memory is not given back: to take it again costs as long as the copy itself.
        """
        job, kind = self.job, answers_of(card)
        answers = kind.view(memory.view, job.offset, job.batch_size, job.stored)
        share = kind.bytes_of(1, job.stored)

        def rollout_of(position: int) -> Rollout:
            item, outcome = self.batch.items[position], self.results[position]
            predicted = kind.predicted(answers[position, : outcome.frames], job.bodies[position])
            if not keep:
                memory.release(job.offset + position * share, share)
            return Rollout(
                item.row.id,
                item.sample,
                failure=outcome.failure,
                chained=outcome.chained,
                seconds=outcome.seconds,
                **predicted,
            )

        rollouts = tuple(thread_map(rollout_of, range(len(self.batch.items))))
        seconds = sum(rollout.seconds for rollout in rollouts)
        together = tuple(self.together.get(position, 0) for position in range(self.job.batch_size))
        return BatchResult(self.index, self.batch, rollouts, seconds, tuple(self.events), together)


def _distinct(positions: Sequence[int]) -> bool:
    return len(set(positions)) == len(positions)


# Turns a batch of clips into the job that is sent to the model's process.


def stored_frames(card: ModelCard, horizon: int, chain: bool) -> int:
    """Number of frames that are kept: less than the horizon only if the model is shorter and not chained."""
    return horizon if chain or card.max_horizon is None else min(horizon, card.max_horizon)


def make_job(
    index: int,
    batch: Batch,
    clips: Sequence[Clip],
    card: ModelCard,
    *,
    privileged: bool,
    recorded: bool = False,
    chain: bool,
    seed: int,
    salt: str = "",
    action_map: ActionMap | None = None,
    prompts: Mapping[str, str] | None = None,
    part_size: int | None,
    memory: int,
    offset: int,
) -> messages.RolloutJob:
    """Make the job of a whole batch. Raises PhysbenchError where a clip has another horizon or size than planned."""
    for clip in clips:
        if clip.horizon != batch.horizon or clip.spec != card.spec:
            raise PhysbenchError(
                f"Clip {clip.id}: expected {batch.horizon} frames to predict at {card.spec}, got {clip.horizon} at "
                f"{clip.spec}. The clip cache may be stale: remove it and try again."
            )
    size = len(batch.items)
    inputs = answers_of(card).inputs(
        clips,
        seeds=[item_seed(item.row, item.sample, seed, salt) for item in batch.items],
        privileged=privileged,
        items=tuple((item.row.id, item.sample) for item in batch.items) if recorded else (),
    )
    if action_map is not None:
        inputs = replace(inputs, actions=action_map.table(every_action(clips, card), card.fps))
    if prompts is not None:
        inputs = replace(inputs, prompts=tuple(prompts[item.row.id] for item in batch.items))
    return messages.RolloutJob(
        index=index,
        positions=tuple(range(size)),
        part_size=min(part_size or size, size),
        batch_size=size,
        stored=stored_frames(card, batch.horizon, chain),
        inputs=inputs,
        bodies=tuple(len(clip.tracked) for clip in clips),
        memory=memory,
        offset=offset,
    )


def remaining_job(job: messages.RolloutJob, positions: Sequence[int], part_size: int) -> messages.RolloutJob:
    """The same job for some of its positions."""
    inputs = job.inputs.select([job.positions.index(position) for position in positions])
    return replace(job, positions=tuple(positions), part_size=part_size, inputs=inputs)


@dataclass(frozen=True)
class BatchLimits:
    """The most that a batch may take on a kind of device."""

    clips: int = 64
    memory: float = 0.8  # of what is free
    # Of its uint8 frames. Several times as much is at work at once, and on a processor small batches cost next to
    # nothing: there a run is to fit a laptop, and scoring needs some memory, too.
    frame_bytes: int = 256 * 2**20
    time: float = 0.25  # of the time-out


def find_batch_size(
    engine: RolloutEngine,
    rows: Sequence[Row],
    load: Callable[[Row], Clip],
    horizon: Callable[[Row], int],
    samples: int = 1,
) -> int:
    """The largest power of two that fits memory and a quarter of the time-out, and gives at least four batches."""
    if engine.info.recorded:
        return 1  # recorded answers are not computed
    kind = device_kind(engine.info.device)
    limits = BatchLimits(clips=16, memory=0.25, frame_bytes=64 * 2**20) if kind == "cpu" else BatchLimits()
    row = max(rows, key=horizon)
    frames = horizon(row)
    size = answers_of(engine.card).bytes_of(1, frames)
    most = min(limits.clips, -(-len(rows) * samples // 4), max(1, limits.frame_bytes // size))
    floor = size * 4 * 2  # the answer in float32, twice

    events, part_size = len(engine.events), engine.part_size
    try:
        single = _probe(engine, row, frames, load, 1)
        memory = _peak_memory(engine, kind)
        if single.rollouts[0].failure and single.events:  # the process timed out or died
            return 1
        seconds = single.seconds
        per_clip = floor
        if seconds < 5.0 and most > 1:  # a slower clip gets no second probe
            several = _probe(engine, row, frames, load, min(4, most))
            if several.events:
                sizes = [event.part_size or 1 for event in several.events]
                return min(sizes)
            count = len(several.rollouts)
            seconds = several.seconds / count
            per_clip = max(floor, (_peak_memory(engine, kind) - memory) // max(1, count - 1))
    finally:
        del engine.events[events:]
        engine.part_size = part_size
    by_time = int(engine.timeout * limits.time / max(seconds, 1e-6))
    fits = min(most, int(engine.free * limits.memory / per_clip), by_time)
    return 1 << (max(1, fits).bit_length() - 1)


def _peak_memory(engine: RolloutEngine, kind: str) -> int:
    return engine.peak_accelerator if kind == "cuda" else engine.peak_rss


def _probe(engine: RolloutEngine, row: Row, frames: int, load: Callable[[Row], Clip], count: int) -> BatchResult:
    plan = [Batch(tuple(BatchItem(row, sample) for sample in range(count)), frames)]
    return next(iter(list(engine.run(plan, load))))


OPTION = "--prompts"
COLUMNS = ("clip", "prompt")


def read_prompts(path: str) -> dict[str, str]:
    """The sentences of a file by the id of their clip. Raises UsageError, with the place, where it is none."""
    most_bytes = 1 << 26
    try:
        with Path(path).open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror or error}.") from None
    if len(content) > most_bytes:
        raise UsageError(f"{OPTION} {path}: expected a file of at most {most_bytes >> 20} MB.")
    try:
        text = user_text(content)
    except ValueError:
        raise UsageError(f"{OPTION} {path}: expected text in UTF-8.") from None
    prompts: dict[str, str] = {}
    most_characters = 10_000  # of a sentence
    for place, clip, prompt in _entries(text, path):
        if not isinstance(clip, str) or not isinstance(prompt, str) or not prompt.strip():
            raise UsageError(f"{OPTION} {path}, {place}: expected the id of a clip and a sentence of words.")
        if any("\ud800" <= each <= "\udfff" for each in prompt):
            raise UsageError(f"{OPTION} {path}, {place}: expected text, but got half of a surrogate pair.")
        if len(prompt) > most_characters:
            raise UsageError(f"{OPTION} {path}, {place}: expected at most {most_characters:,} characters.")
        if clip in prompts:
            raise UsageError(f"{OPTION} {path}, {place}: {clip} has a sentence already.")
        prompts[clip] = prompt.strip()
    return prompts


def _entries(text: str, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(place, clip, prompt) of each entry, by what the file begins with: an object, objects in lines, or a table."""
    form = f'{OPTION} {path}: expected JSON {{clip: prompt}}, lines of {{"clip": ..., "prompt": ...}}, or CSV'
    if not text.lstrip().startswith("{"):
        table = csv.DictReader(io.StringIO(text))
        if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
            raise UsageError(f"{form} with the columns clip and prompt; there is no column {missing[0]}.")
        try:
            yield from ((f"line {table.line_num}", row["clip"], row["prompt"]) for row in table)
        except csv.Error as error:
            raise UsageError(f"{form}; {error}.") from None
        return
    try:
        whole = json.loads(text, object_pairs_hook=partial(_object, path))
    except (ValueError, RecursionError):
        whole = None  # several objects
    if isinstance(whole, dict) and set(whole) != set(COLUMNS):
        yield from ((clip, clip, prompt) for clip, prompt in whole.items())
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or set(entry) != set(COLUMNS):
            raise UsageError(f"{form}; line {number} is none of these.")
        yield f"line {number}", entry["clip"], entry["prompt"]


def _object(path: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises UsageError where it names a clip twice, of which JSON would keep the last."""
    names = Counter(name for name, _ in pairs)
    if twice := [name for name, many in names.items() if many > 1]:
        raise UsageError(f"{OPTION} {path}: {twice[0]!a:.100} stands in it twice.")
    return dict(pairs)


def check_prompts(path: str, prompts: Mapping[str, str], rows: Iterable[Row], known: Iterable[Row]) -> None:
    """Refuse a file that lacks sentences of clips, or has some of others.

    Args:
        asked: Clips that are rolled out.
        known: Clips of the whole suite, of which only some may have been asked for.
    """
    wanted = [row.id for row in rows]
    if missing := [clip for clip in wanted if clip not in prompts]:
        raise UsageError(
            f"{OPTION} {path}: {len(missing)} of {len(wanted)} clips have no sentence, {missing[0]} first."
        )
    ids = {*wanted, *(row.id for row in known)}
    if other := [clip for clip in prompts if clip not in ids]:
        raise UsageError(
            f"{OPTION} {path}: {len(other)} of {len(prompts)} sentences are for clips that the suite does not have, "
            f"{other[0]!a:.100} first.{nearest(other[0], ids)}"
        )


def prompt_documents(path: str | None) -> list[dict[str, str]]:
    """Path and hash of the file, for manifest.json."""
    if path is None:
        return []
    try:
        return [{"path": path, "sha256": file_sha256(Path(path))}]
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror or error}.") from None
