"""A batch on its way through the model's process, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import StateCard
from physbench.rollouts.answer_memory import answer_view
from physbench.rollouts.batch_plan import Batch
from physbench.rollouts.messages import PartStarted, PositionResult, RolloutEvent, RolloutJob
from physbench.rollouts.rollout import Rollout


@dataclass(frozen=True, eq=False)
class BatchResult:
    """The rollouts of one batch of the plan, in its order."""

    index: int
    batch: Batch
    rollouts: tuple[Rollout, ...]
    seconds: float  # the model's own time
    events: tuple[RolloutEvent, ...]

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

    def fail(self, positions: Sequence[int], reason: str) -> None:
        for position in positions:
            self.results[position] = PositionResult(position, 0, 0, 0.0, reason)

    def missing(self) -> list[int]:
        return [position for position in range(self.job.batch_size) if position not in self.results]

    def result(self, memory: NDArray[np.uint8], card: ModelCard) -> BatchResult:
        """Copy the answers from the shared memory to rollouts; frames have their channels last."""
        job, size = self.job, card.image_size
        answers = answer_view(memory, job.offset, card, job.batch_size, job.stored)
        rollouts = []
        for position, item in enumerate(self.batch.items):
            outcome = self.results[position]
            states = None
            if isinstance(card, StateCard):
                frames = np.empty((0, *size, 3), dtype=np.uint8)
                states = answers[position, : outcome.frames, : job.rows[position]].copy()
            else:
                frames = np.empty((outcome.frames, *size, 3), dtype=np.uint8)
                for channel in range(3):
                    frames[..., channel] = answers[position, : outcome.frames, channel]
            rollouts.append(
                Rollout(item.row.id, item.sample, frames, outcome.failure, outcome.chained, outcome.seconds, states)
            )
        seconds = sum(rollout.seconds for rollout in rollouts)
        return BatchResult(self.index, self.batch, tuple(rollouts), seconds, tuple(self.events))
