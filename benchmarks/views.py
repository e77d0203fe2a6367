"""Readings of one view beside those of another one: ground truth and violations of the same clips, in both.

    python benchmarks/views.py [--clips 2] [--size 128] [--fps 15] [--context 8] [--tasks GLOB,..]
                               [--sources truth,teleport:0.25,..] [--views far,near] [--look natural]
                               [--kept FILE]

Printed are, for each task and source, the size of the violation that consistency finds (its strength), consistency,
permanence and drift in both views, and last by how much the views differ. --kept keeps a line for each reading, and
goes on from there.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
from pathlib import Path

import pandas as pd

from physbench.clips.clip import Row
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.score.score_clip import find_scorers
from physbench.validity.measure import measure_one

READINGS = {
    "strength": "consistency/strength",
    "consistency": "consistency/shadowing",
    "permanence": "permanence/intact",
    "stability": "drift/stability",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="of each task")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8, help="frames")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--sources", default="truth,teleport:0.25,gravity:0.9,kick:0.5")
    parser.add_argument("--views", default="far,near", help="two of them")
    parser.add_argument("--look", default="plain")
    parser.add_argument("--kept", help="file of readings to go on from")
    options = parser.parse_args()
    views = options.views.split(",")
    path = Path(options.kept) if options.kept else None
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []
    done = {(row["clip"], row["view"], row["source"]) for row in rows}
    tasks = sorted({row.task for row in find_suite("core").rows})
    chosen = [task for task in tasks if any(fnmatch.fnmatchcase(task, glob) for glob in options.tasks.split(","))]
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS.values()]
    store = ClipStore()
    for seed in range(options.clips):
        for task in chosen:
            for view in views:
                clip = store.get(Row(task, "test", seed), render_spec(options.size, options.fps, options.look, view))
                for source in options.sources.split(","):
                    if (clip.id, view, source) in done:
                        continue
                    part = measure_one(clip, options.context, source, scorers)
                    known = {read.reading: read.value for read in part.reads}
                    found = {name: known.get(id) for name, id in READINGS.items()}
                    row = {"clip": clip.id, "task": task, "view": view, "source": source, "outcome": part.outcome}
                    rows.append({**row, "reason": part.reason, **found})
                    if path:
                        with path.open("a") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    report(pd.DataFrame(rows), *views)


def report(table: pd.DataFrame, one: str, other: str) -> None:
    """Print the means of each task, and the difference of the views over all clips that both tell."""
    shown = table[table["outcome"] == "shown"]
    wide = shown.pivot_table(index=["source", "task", "clip"], columns="view", values=list(READINGS))
    for source, part in wide.groupby(level="source", sort=False):
        print(f"\n{source}")
        print(f"{'task':28}{'clips':>6}  " + "".join(f"{f'{name} {one}, {other}':>30}" for name in READINGS))
        for task, mine in part.groupby(level="task"):
            cells = [f"{mine[name, one].mean():.3f}, {mine[name, other].mean():.3f}" for name in READINGS]
            print(f"{task:28}{len(mine):6d}  " + "".join(f"{cell:>30}" for cell in cells))
        off = [(part[name, other] - part[name, one]).dropna() for name in READINGS]
        cells = [f"{each.mean():+.3f}, most {each.abs().max():.3f}" for each in off]
        print(f"{f'{other} less {one}':28}{len(part):6d}  " + "".join(f"{cell:>30}" for cell in cells))
    for row in table[table["outcome"].isin(["failed", "refused"])].itertuples():
        print(f"{row.outcome}: {row.clip} {row.view} {row.source}: {row.reason}")


if __name__ == "__main__":
    main()
