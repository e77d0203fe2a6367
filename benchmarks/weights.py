"""What other ways to bring tasks, axes and families together would make of the same runs.

    python benchmarks/weights.py RUN [RUN ...]

A row for each run, and for made ones from their references: ground truth in one family and a frozen frame elsewhere,
ground truth in `occlusion` and constant velocity elsewhere, and the best of the runs named cheat-* in each task
(chosen on these clips: rather too good). Columns:

- mean of axes: suite version 3. Mean over axes of the mean over families, plus what guards cost, at least -1.
- families: mean over families of the mean over tasks and their informative axes.
- plus guards: the same plus what the family's guards cost, each with the weight of the lightest informative cell.
- share: suite version 4. Guards take a share of what the family has gained (`physbench.result.skill`).
- product: mean over families and their tasks of the product over axes of skill, or of what is kept on a guard.
- worst axis: mean over families and their tasks of the smallest skill on an informative axis.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from physbench.result.bootstrap import ANCHORS, Estimate, estimate
from physbench.result.read import read_run
from physbench.result.skill import Array, cells_of, overall_weights, skills
from physbench.result.task_roles import fixed_kinds
from physbench.support.run_folder import RunFolder

MODEL, BASELINE, FREEZE = 0, 1, 3  # sources of an estimate
WAYS = ("mean of axes", "families", "plus guards", "share", "product", "worst axis")


def ways(e: Estimate, means: dict[str, Array]) -> list[float]:
    """Overall skill by WAYS from task means (S, A), the model's own first."""
    found = skills(means, e.kinds, MODEL, ANCHORS)
    raw = found.task
    weights, families = overall_weights(e.kinds), dict.fromkeys(task.split("/")[0] for task in e.tasks)
    gains, costs, products, worst = [], [], [], []
    for family in families:
        tasks = [task for task in e.family(family) if cells_of(e.kinds[task], "informative")]
        own = {task: raw[task][cells_of(e.kinds[task], "informative")] for task in tasks}
        gains.append(np.mean([row.mean() for row in own.values()]))
        guards = [(task, a) for task in e.family(family) for a in cells_of(e.kinds[task], "guard")]
        costs.append(len(families) * sum(weights[task][a] * raw[task][a] for task, a in guards))
        kept = {task: np.prod([1 + raw[task][a] for a in cells_of(e.kinds[task], "guard")]) for task in tasks}
        products.append(np.mean([np.maximum(row, 0).prod() * kept[task] for task, row in own.items()]))
        worst.append(np.mean([row.min() for row in own.values()]))
    both = np.mean([max(gain + cost, -1) for gain, cost in zip(gains, costs, strict=True)])
    return [found.axis.mean(), np.mean(gains), both, float(found.overall), np.mean(products), np.mean(worst)]


def replaced(e: Estimate, chosen: dict[str, Array]) -> dict[str, Array]:
    """Task means in which the model's row is another one (A,)."""
    return {task: np.concatenate([chosen[task][None], means[1:]]) for task, means in e.means.items()}


def main(names: list[str]) -> None:
    """Print the table."""
    estimates = {}
    for name in names:
        manifest, tables = read_run(RunFolder(Path(name)))
        estimates[Path(name).name] = estimate(tables, resamples=1, fixed=fixed_kinds(manifest))
    rows = {name: ways(e, e.means) for name, e in estimates.items()}
    e = next(iter(estimates.values()))
    truth, freeze, straight = ({task: means[k] for task, means in e.means.items()} for k in (2, FREEZE, BASELINE))
    for family in dict.fromkeys(task.split("/")[0] for task in e.tasks):
        chosen = {task: (truth if task.startswith(family) else freeze)[task] for task in e.tasks}
        rows[f"truth in {family}, else frozen"] = ways(e, replaced(e, chosen))
    chosen = {task: (truth if task.startswith("occlusion") else straight)[task] for task in e.tasks}
    rows["truth in occlusion, else straight"] = ways(e, replaced(e, chosen))
    cheats = [each for name, each in estimates.items() if name.startswith("cheat-") and "truth" not in name]
    if cheats:
        best = {}
        for task in e.tasks:
            alone = [ways(e, replaced(e, {**freeze, task: each.means[task][MODEL]}))[3] for each in cheats]
            best[task] = cheats[int(np.argmax(alone))].means[task][MODEL]
        rows[f"best of {len(cheats)} cheats in each task"] = ways(e, replaced(e, best))
    print(f"| | {' | '.join(WAYS)} |\n| --- |{' ---: |' * len(WAYS)}")
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
