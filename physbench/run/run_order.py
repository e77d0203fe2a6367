"""In which order the clips of a run are worked on: the tasks in turn, so that what is done at any moment is balanced.

Of a task its splits in turn, each as often as it has clips. Only the order: which clips share a batch is planned
before, and the order of the tables is that of the suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from physbench.clips.clip import Row
from physbench.rollouts.batch_plan import Batch


def in_turn(batches: Sequence[Batch], chosen: Iterable[int]) -> list[int]:
    """Positions of batches, the first batch of every task before the second of any.

    Args:
        batches: The plan. A batch counts as one of the task and split of its first clip.
        chosen: Positions in it that are to be ordered.
    """
    first = [batch.items[0].row for batch in batches]
    seen: Counter[str] = Counter()
    ranks = {}
    for index in _mixed(first):
        ranks[index] = seen[first[index].task]
        seen[first[index].task] += 1
    return sorted(chosen, key=lambda index: (ranks[index], index))


def splits_mixed(rows: Sequence[Row]) -> list[Row]:
    """Clips task by task, the splits of each mixed: every part of a task holds about as much of each as the whole."""
    return [rows[index] for index in _mixed(rows)]


def done_after(batches: Sequence[Batch], order: Iterable[int]) -> list[list[Row]]:
    """Clips of which all samples are rolled out after each of these batches, all that are done by then."""
    left = Counter(item.row for batch in batches for item in batch.items)
    done: list[list[Row]] = []
    for index in order:
        left.subtract(item.row for item in batches[index].items)
        now = [row for row in dict.fromkeys(item.row for item in batches[index].items) if left[row] == 0]
        done.append([*(done[-1] if done else []), *now])
    return done


def _mixed(rows: Sequence[Row]) -> list[int]:
    """Positions of rows, task by task: the k-th of n of a split comes at (k - 1/2) / n of its task."""
    whole = Counter((row.task, row.split) for row in rows)
    tasks = {task: place for place, task in enumerate(dict.fromkeys(row.task for row in rows))}
    seen: Counter[tuple[str, str]] = Counter()
    places = []
    for index, row in enumerate(rows):
        key = (row.task, row.split)
        places.append((tasks[row.task], (seen[key] + 0.5) / whole[key], index))
        seen[key] += 1
    return [index for _, _, index in sorted(places)]


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
