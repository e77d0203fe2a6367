"""Which part of a run a shard does: every N-th batch of the plan of the whole run.

The plan is that of the whole run because a model's answer may depend on which clips share its batch; the parts joined
are then the rollouts of one run. A clip with several samples may lie in two shards.
"""

from __future__ import annotations

from collections.abc import Sequence

from physbench.errors import UsageError
from physbench.results.number_format import counted


def batches_of_shard(batches: int, index: int, of: int) -> range:
    """Positions in the plan of the batches of shard `index`, from 1, of `of`.

    Raises:
        UsageError: There are fewer batches than shards.
    """
    if of > batches:
        raise UsageError(
            f"--shard {index}/{of}: the run has {counted(batches, 'batch')}, so that a shard would be empty. Ask for "
            f"at most {counted(batches, 'shard')}, or for a smaller --batch-size."
        )
    return range(index - 1, batches, of)


def missing_shards(found: Sequence[int], of: int) -> list[int]:
    """Shards of `of` that are not among those that were found."""
    return [index for index in range(1, of + 1) if index not in found]
