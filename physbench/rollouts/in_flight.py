"""A batch on its way through the model's process, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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

    def result(self, memory: NDArray[np.uint8], size: tuple[int, int]) -> BatchResult:
        """Copy the frames from the shared memory to rollouts, channels last."""
        job = self.job
        shape = (job.batch_size, job.stored, 3, *size)
        planes = memory[job.offset : job.offset + int(np.prod(shape))].reshape(shape)
        rollouts = []
        for position, item in enumerate(self.batch.items):
            outcome = self.results[position]
            frames = np.empty((outcome.frames, *size, 3), dtype=np.uint8)
            for channel in range(3):
                frames[..., channel] = planes[position, : outcome.frames, channel]
            rollouts.append(
                Rollout(item.row.id, item.sample, frames, outcome.failure, outcome.chained, outcome.seconds)
            )
        seconds = sum(rollout.seconds for rollout in rollouts)
        return BatchResult(self.index, self.batch, tuple(rollouts), seconds, tuple(self.events))
