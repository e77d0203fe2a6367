"""How far each task can move an axis, and overall.

An informative task moves its axis by its weight between a frozen frame and ground truth. A guard moves it by its weight
where it loses all that ground truth keeps. A guard weighs at most as much as the lightest informative task, so that
none moves anything further than an informative task does.

python -m physbench.results.task_weights     the tables of docs/design/weights.md, for the published version
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def overall_weights(kinds: Mapping[str, tuple[str, ...]], asked: Sequence[int] | None = None) -> dict[str, Array]:
    """The weight (A,) with which each task enters overall by each axis, 0 where it does not.

    Families weigh the same. In a family, tasks weigh the same, and in a task the axes on which it is informative. A
    guard has the weight of the lightest of these, at most its part of 1 / (guards of the family): it says what share of
    the family's gain is lost with it (`physbench.results.skill`).

    Args:
        kinds: Kind of each task on each axis (A,); a task's name begins with its family.
        asked: Axes that count; None: all.
    """
    weights = {task: np.zeros(len(row)) for task, row in kinds.items()}
    families: dict[str, list[str]] = {}
    for task, row in kinds.items():
        if cells_of(row, "informative", asked):
            families.setdefault(task.split("/")[0], []).append(task)
    for family, tasks in families.items():
        for task in tasks:
            own = cells_of(kinds[task], "informative", asked)
            weights[task][own] = 1 / (len(families) * len(tasks) * len(own))
        least = min(weights[task][a] for task in tasks for a in cells_of(kinds[task], "informative", asked))
        guards = [(t, a) for t in kinds if t.split("/")[0] == family for a in cells_of(kinds[t], "guard", asked)]
        for task, a in guards:
            weights[task][a] = min(least, 1 / (len(families) * len(guards)))
    return weights


def cells_of(row: Sequence[str], kind: str, asked: Sequence[int] | None = None) -> list[int]:
    """The axes on which a task is of a kind, among those that are asked (None: all)."""
    return [a for a, found in enumerate(row) if found == kind and (asked is None or a in asked)]


def _shares(tasks: list[str]) -> dict[str, float]:
    """The weight of each task in the mean over families of the mean over their tasks."""
    families = [task.split("/")[0] for task in tasks]
    total = len(set(families))
    return {task: 1 / (total * families.count(family)) for task, family in zip(tasks, families, strict=True)}


def weight_table(
    kinds: Mapping[str, tuple[str, ...]], weights: Mapping[str, Array], axes: tuple[str, ...]
) -> list[str]:
    """Lines of a Markdown table: weights by task and axis; those of guards are negative, as they can only cost."""
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
            both = (task_weights(rows), "its axis"), (overall_weights(rows), "overall")
            text = "\n\n".join(f"{what}:\n\n" + "\n".join(weight_table(rows, found, AXES)) for found, what in both)
            tables.setdefault(text, []).append(f"{size}")
    for table, sizes in tables.items():
        print(f"Suite version {PUBLISHED_VERSION}, {' and '.join(sizes)} px:\n\n{table}\n")


if __name__ == "__main__":
    main()
