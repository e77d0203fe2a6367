"""Which clips share a batch is fixed before the first one, because a model's answer may depend on its batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from physbench.clips.clip import Row
from physbench.errors import UsageError


@dataclass(frozen=True)
class BatchItem:
    """One sample of one clip."""

    row: Row
    sample: int = 0

    @property
    def id(self) -> str:
        """Name in plans: "falling.projectile-v1.test.3" for sample 0, else with "#1" behind it."""
        return self.row.id if self.sample == 0 else f"{self.row.id}#{self.sample}"


@dataclass(frozen=True)
class Batch:
    """Items that the model gets together, with one horizon."""

    items: tuple[BatchItem, ...]
    horizon: int  # frames

    @property
    def ids(self) -> list[str]:
        """For the manifest."""
        return [item.id for item in self.items]


def plan_batches(
    rows: Iterable[Row], batch_size: int, *, horizon: Callable[[Row], int], samples: int = 1
) -> tuple[Batch, ...]:
    """Cut the rows into batches of at most `batch_size` items, in their order; clips of another horizon stand apart.

    `horizon` tells the number of frames to predict. All samples of a clip follow one another.
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


def item_seed(row: Row, sample: int, seed: int) -> int:
    """Seed of the generator of one sample of one clip (63 bits), whatever batch it stands in.

    A clip and its changes share it, so that a stochastic model's answers to both differ by the change alone.
    """
    digest = hashlib.sha256(f"{row.unchanged.id}\n{sample}\n{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
