"""How far each task can move an axis.

An informative task moves its axis by its weight between a frozen frame and ground truth. A guard moves it by its weight
where it loses all that ground truth keeps. A guard weighs at most as much as the axis's lightest informative task, so
that none moves an axis further than an informative task does.

python -m physbench.results.task_weights     the table of docs/design/guards.md, for the published version
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
COUNTED = ("informative", "guard")  # kinds that enter an axis


def task_weights(kinds: Mapping[str, tuple[str, ...]]) -> dict[str, Array]:
    """The weight (A,) with which each task enters an axis, 0 where it does not.

    Families weigh the same among those that have a task of the kind, and tasks the same in their family.

    Args:
        kinds: Kind of each task on each axis (A,); a task's name begins with its family.
    """
    weights = {task: np.zeros(len(row)) for task, row in kinds.items()}
    for axis in range(max((len(row) for row in kinds.values()), default=0)):
        informative, guards = (_shares([task for task, row in kinds.items() if row[axis] == kind]) for kind in COUNTED)
        most = min(informative.values(), default=1.0)
        for task, share in (*informative.items(), *((task, min(share, most)) for task, share in guards.items())):
            weights[task][axis] = share
    return weights


def _shares(tasks: list[str]) -> dict[str, float]:
    """The weight of each task in the mean over families of the mean over their tasks."""
    families = [task.split("/")[0] for task in tasks]
    total = len(set(families))
    return {task: 1 / (total * families.count(family)) for task, family in zip(tasks, families, strict=True)}


def weight_table(kinds: Mapping[str, tuple[str, ...]], axes: tuple[str, ...]) -> list[str]:
    """Lines of a Markdown table: weights by task and axis; those of guards are negative, as they can only cost."""
    weights = task_weights(kinds)
    lines = [f"| task | {' | '.join(axes)} |", f"| --- |{' --- |' * len(axes)}"]
    for task, row in kinds.items():
        cells = [
            f"−{weight:.3f}" if kind == "guard" else f"{weight:.3f}" if kind == "informative" else ""
            for weight, kind in zip(weights[task], row, strict=True)
        ]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    from physbench.clips.suite import PUBLISHED_VERSION
    from physbench.results.task_roles import CLASSES, kinds_of
    from physbench.scoring.scorer_protocol import AXES
    from physbench.world.scene import RenderSpec

    tables: dict[str, list[str]] = {}  # sizes with the same table
    for size in CLASSES:
        found = kinds_of(PUBLISHED_VERSION, RenderSpec(size, size, 15.0), 8)
        if found is not None:
            rows = {task: tuple(row[axis] for axis in AXES) for task, row in found.items()}
            tables.setdefault("\n".join(weight_table(rows, AXES)), []).append(f"{size}")
    for table, sizes in tables.items():
        print(f"Suite version {PUBLISHED_VERSION}, {' and '.join(sizes)} px:\n\n{table}\n")


if __name__ == "__main__":
    main()
