"""In which order the clips of a run are worked on: the tasks in turn, so that what is done at any moment is balanced.

Only the order: which clips share a batch is planned before, and the order of the tables is that of the suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from physbench.clips.clip import Row
from physbench.rollouts.batch_plan import Batch


def in_turn(batches: Sequence[Batch], chosen: Iterable[int]) -> list[int]:
    """Positions of batches, the first batch of every task before the second of any.

    Args:
        batches: The plan. A batch counts as one of the task of its first clip.
        chosen: Positions in it that are to be ordered.
    """
    seen: Counter[str] = Counter()
    ranks = []
    for batch in batches:
        task = batch.items[0].row.task
        ranks.append(seen[task])
        seen[task] += 1
    return sorted(chosen, key=lambda index: (ranks[index], index))


def rows_in_turn(batches: Sequence[Batch], rows: Iterable[Row]) -> list[Row]:
    """Clips in the order in which the batches come that need them; clips of no batch are the last."""
    order = dict.fromkeys(item.row for index in in_turn(batches, range(len(batches))) for item in batches[index].items)
    places = {row: place for place, row in enumerate(order)}
    return sorted(rows, key=lambda row: places.get(row, len(places)))


def first_of_each_task(rows: Iterable[Row]) -> list[Row]:
    """The first clip of every task, of whatever plan."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.task, row)
    return list(found.values())
