"""Plans which clips share a batch, before the first is rolled out: a model's answer may depend on its batch."""

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
