"""A batch on its way through the model's process, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import StateCard
from physbench.adapters.surprise_card import SurpriseCard
from physbench.rollouts.answer_memory import answer_bytes, answer_view
from physbench.rollouts.batch_plan import Batch
from physbench.rollouts.colour_planes import fill_frames
from physbench.rollouts.messages import (
    DeviceFailure,
    JobDone,
    PartFinished,
    PartStarted,
    PositionResult,
    Report,
    RolloutEvent,
    RolloutJob,
)
from physbench.rollouts.model_process import SharedMemory
from physbench.rollouts.rollout import Rollout
from physbench.thread_map import thread_map

MESSAGES_PER_CLIP = 8  # of a batch: a part of its own that is halved, tried again and finished needs fewer
SPARE_MESSAGES = 64


@dataclass(frozen=True, eq=False)
class BatchResult:
    """The rollouts of one batch of the plan, in its order."""

    index: int
    batch: Batch
    rollouts: tuple[Rollout, ...]
    seconds: float  # the model's own time
    events: tuple[RolloutEvent, ...]
    together: tuple[int, ...] = ()  # by rollout: how many clips were computed at once; 0 where it failed

    def __iter__(self) -> Iterator[Rollout]:
        return iter(self.rollouts)


@dataclass
class BatchInFlight:
    """A batch that was sent to the model's process, or will be sent again."""

    index: int
    batch: Batch
    job: RolloutJob
    results: dict[int, PositionResult] = field(default_factory=dict)
    events: list[RolloutEvent] = field(default_factory=list)
    started: PartStarted | None = None
    was_lost: bool = False  # the process ended before it began this batch
    received: int = 0  # messages about this batch
    killed: set[tuple[int, ...]] = field(default_factory=set)  # parts in which the process was killed
    together: dict[int, int] = field(default_factory=dict)  # how many clips each position was computed with

    def fail(self, positions: Sequence[int], reason: str) -> None:
        for position in positions:
            self.results[position] = PositionResult(position, 0, 0, 0.0, reason)

    def finish_part(self, message: PartFinished) -> None:
        """Take the results of a part."""
        for result in message.results:
            self.results[result.position] = result
            self.together[result.position] = len(message.results)

    def missing(self) -> list[int]:
        return [position for position in range(self.job.batch_size) if position not in self.results]

    def contradiction(self, message: Report) -> str:
        """How a message contradicts what was asked for and was reported so far; "" where it does not."""
        self.received += 1
        size, kind = self.job.batch_size, type(message).__name__
        if self.received > MESSAGES_PER_CLIP * size + SPARE_MESSAGES:
            return "more messages than its batch has parts"
        wrong = f"a {kind} that does not fit its batch"
        started = () if self.started is None else self.started.positions
        match message:
            case PartStarted(index, positions):
                fits = bool(positions) and set(positions) <= set(self.missing()) and _distinct(positions)
            case PartFinished(index, results):
                fits = tuple(one.position for one in results) == started
                if fits and (odd := next((one for one in results if not self._counts(one)), None)):
                    return f"{odd.frames} frames of {self.job.stored} for a clip"
            case RolloutEvent(batch=index, positions=positions):
                fits = message.kind in ("halved", "retried") and positions == started and not message.clips
                fits = fits and (message.part_size or 1) <= size
            case DeviceFailure(index):
                fits = bool(started)
            case JobDone(index):
                fits = not self.missing()
            case _:
                return f"a {kind} instead of frames"
        return "" if fits and index == self.index else wrong

    def _counts(self, one: PositionResult) -> bool:
        """Whether a result has as many frames as were asked for: fewer only of a video, none of a clip that failed."""
        if one.failure is not None:
            return one.frames == 0
        return one.frames <= self.job.stored if self.job.items else one.frames == self.job.stored

    def result(self, memory: SharedMemory, card: ModelCard, keep: bool = False) -> BatchResult:
        """Move the answers from the shared memory to rollouts, clip by clip; frames have their channels last.

        keep: the shared memory is not given back: to take it again costs as long as the copy itself.
        """
        job, size = self.job, card.image_size
        answers = answer_view(memory.view, job.offset, card, job.batch_size, job.stored)
        share = answer_bytes(card, 1, job.stored)

        def rollout_of(position: int) -> Rollout:
            item, outcome = self.batch.items[position], self.results[position]
            states = surprise = None
            if isinstance(card, SurpriseCard):
                frames = np.empty((0, *size, 3), dtype=np.uint8)
                surprise = answers[position, : outcome.frames, 0].copy()
            elif isinstance(card, StateCard):
                frames = np.empty((0, *size, 3), dtype=np.uint8)
                states = answers[position, : outcome.frames, : job.rows[position]].copy()
            else:
                frames = np.empty((outcome.frames, *size, 3), dtype=np.uint8)
                fill_frames(frames, answers[position])
            if not keep:
                memory.release(job.offset + position * share, share)
            shown = item.row.id, item.sample, frames, outcome.failure, outcome.chained, outcome.seconds
            return Rollout(*shown, states, surprise)

        rollouts = tuple(thread_map(rollout_of, range(len(self.batch.items))))
        seconds = sum(rollout.seconds for rollout in rollouts)
        together = tuple(self.together.get(position, 0) for position in range(self.job.batch_size))
        return BatchResult(self.index, self.batch, rollouts, seconds, tuple(self.events), together)


def _distinct(positions: Sequence[int]) -> bool:
    return len(set(positions)) == len(positions)
