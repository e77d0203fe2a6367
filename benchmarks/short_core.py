"""Which few tasks rank models as all of `full` do: agreement, redundancy, and short lists chosen without a model.

    python benchmarks/short_core.py BOARD [RUN ...] [--untrained]

BOARD holds entries of `core`; a RUN is of the same model on the tasks that `full` adds (`physbench eval MODEL --suite
full --tasks ... --limit 100`). Without a RUN the tasks are those of `core`. Models are matched by target; those with
one of both are left out, and untrained copies unless asked for: they spread a ranking that nobody asks about. Skill
of a task is the mean over its informative axes, overall the mean over families of the mean over tasks.

Printed: Kendall's tau between overall in `core`, in the added tasks and in all; of each task with overall in all
others; pairs of tasks that rank alike; and short lists of K tasks, at least one of each family of `core`, built task by
task so that overall in the list is nearest to overall in all (least squares over models). Each list is chosen without
one model and read on it, for each model in turn: what is printed is the error of these readings and tau of them.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from physbench.support.arrays import Array

ALIKE = 0.97  # Spearman's rho of two tasks over models, from which on they are named as redundant


def task_skills(result: Mapping[str, Any]) -> dict[str, float]:
    """Skill of each task with an informative axis, mean over these axes."""
    found = {}
    for task, axes in result["tasks"].items():
        skills = [
            axis["skill"] for axis in axes.values() if axis["kind"] == "informative" and axis["skill"] is not None
        ]
        if skills:
            found[task] = float(np.mean(skills))
    return found


def read_models(board: Path, runs: Sequence[Path], untrained: bool) -> dict[str, dict[str, float]]:
    """Skill by task of each model that has all of `full`."""
    core, added = {}, {}
    for path in sorted(board.glob("entries/*/result.json.gz")):
        result = json.loads(gzip.decompress(path.read_bytes()))
        core[result["model"]["target"]] = task_skills(result)
    for run in runs:
        result = json.loads((run / "result.json").read_text())
        added[result["model"]["target"]] = task_skills(result)
    models = [name for name in core if untrained or not name.startswith("untrained:")]
    models = [name for name in models if name in added] if runs else [n for n in models if n != "baseline:oracle"]
    return {name: core[name] | added.get(name, {}) for name in models}


def overall(skills: Array, tasks: Sequence[str]) -> Array:
    """Mean over families (M,) of the mean over tasks, from skills (M, T)."""
    families = [task.partition("/")[0] for task in tasks]
    members = [np.flatnonzero([each == family for each in families]) for family in dict.fromkeys(families)]
    return np.mean([skills[:, own].mean(axis=1) for own in members], axis=0)


def short_list(skills: Array, tasks: Sequence[str], target: Array, count: int, families: Sequence[str]) -> list[int]:
    """Tasks, added one by one, whose overall is nearest to the target (M,); first one of each family."""
    chosen: list[int] = []
    while len(chosen) < count:
        due = families[len(chosen)] if len(chosen) < len(families) else ""
        able = [k for k in range(len(tasks)) if k not in chosen and tasks[k].startswith(due)]
        chosen.append(min(able, key=lambda k: float(((of_list(skills, tasks, [*chosen, k]) - target) ** 2).sum())))
    return chosen


def of_list(skills: Array, tasks: Sequence[str], chosen: Sequence[int]) -> Array:
    """Overall (M,) in some of the tasks."""
    return overall(skills[:, list(chosen)], [tasks[k] for k in chosen])


def tau(a: Array, b: Array) -> float:
    return float(kendalltau(a, b).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 5, 6, 8, 10, 14])
    options = parser.parse_args()
    models = read_models(options.board, options.runs, options.untrained)
    tasks = sorted(set.intersection(*(set(each) for each in models.values())))
    skills = np.array([[each[task] for task in tasks] for each in models.values()])
    whole = overall(skills, tasks)
    first = next(iter(options.board.glob("entries/*/result.json.gz")))
    in_core = set(json.loads(gzip.decompress(first.read_bytes()))["tasks"])
    core, added = ([k for k, task in enumerate(tasks) if (task in in_core) == inside] for inside in (True, False))
    families = list(dict.fromkeys(tasks[k].partition("/")[0] for k in core))
    print(f"{len(models)} models, {len(tasks)} tasks of which {len(core)} are in core: {', '.join(models)}\n")
    sides = {"core": of_list(skills, tasks, core), "all": whole}
    if added:
        sides["the added tasks"] = of_list(skills, tasks, added)
    for (a, x), (b, y) in itertools.combinations(sides.items(), 2):
        print(f"tau of {a} and {b}: {tau(x, y):.2f}, mean difference of overall {np.abs(x - y).mean():.3f}")
    print("\n| task | tau with overall in all others | spread of skill over models |\n| --- | ---: | ---: |")
    for k in sorted(range(len(tasks)), key=lambda k: -_alone(skills, tasks, k)):
        print(f"| {tasks[k]} | {_alone(skills, tasks, k):.2f} | {skills[:, k].std():.2f} |")
    rho = spearmanr(skills).statistic
    pairs = [(rho[a, b], tasks[a], tasks[b]) for a, b in itertools.combinations(range(len(tasks)), 2)]
    alike = sorted((pair for pair in pairs if pair[0] >= ALIKE), reverse=True)
    print(f"\n{len(alike)} of {len(pairs)} pairs of tasks rank alike (rho {ALIKE:g} or more):")
    print("\n".join(f"- {a}, {b}: {value:.2f}" for value, a, b in alike[:12]))
    print("\n| tasks | error of overall, left-out models | tau of these | chosen on all models |")
    print("| ---: | ---: | ---: | --- |")
    for count in options.counts:
        read = np.empty(len(whole))
        for left in range(len(whole)):
            others = np.arange(len(whole)) != left
            chosen = short_list(skills[others], tasks, whole[others], count, families)
            read[left] = of_list(skills[[left]], tasks, chosen)[0]
        named = ", ".join(tasks[k].partition("/")[2] for k in short_list(skills, tasks, whole, count, families))
        print(f"| {count} | {np.abs(read - whole).mean():.3f} | {tau(read, whole):.2f} | {named} |")


def _alone(skills: Array, tasks: Sequence[str], k: int) -> float:
    """Tau of one task with overall in all others."""
    others = [other for other in range(len(tasks)) if other != k]
    return tau(skills[:, k], of_list(skills, tasks, others))


if __name__ == "__main__":
    main()
