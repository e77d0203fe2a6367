"""Ground truth and violations in the tasks whose camera moves by itself.

    python benchmarks/camera_tasks.py [--tasks look-away] [--clips 4] [--size 128] [--fps 10] [--context 8]
                                      [--sources truth,return-never,..] [--kept FILE]

Printed are, for each task and source, the number of clips and the means of what the clips read. --kept keeps a line for
each clip and source, and goes on from there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from physbench.clips.clip import Row
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.task import match_tasks
from physbench.score.score_clip import find_scorers
from physbench.validity.measure import measure_one

READINGS = {
    "consistency": "consistency/shadowing",
    "strength": "consistency/strength",
    "permanence": "permanence/intact",
    "stability": "drift/stability",
    "camera": "drift/camera",
}
SOURCES = "truth,return-never,return-late:1.0,return-late:0.2,return-early:0.2,return-hue:72,return-size:0.75,freeze"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="look-away")
    parser.add_argument("--clips", type=int, default=4, help="of each task")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--context", type=int, default=8, help="frames")
    parser.add_argument("--sources", default=SOURCES)
    parser.add_argument("--kept", help="file of readings to go on from")
    options = parser.parse_args()
    path = Path(options.kept) if options.kept else None
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []
    done = {(line["clip"], line["source"]) for line in lines}
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS.values()]
    store = ClipStore()
    for task in match_tasks(options.tasks):
        for seed in range(options.clips):
            clip = store.get(Row(task, "test", seed), render_spec(options.size, options.fps))
            for source in options.sources.split(","):
                if (clip.id, source) in done:
                    continue
                part = measure_one(clip, options.context, source, scorers)
                known = {read.reading: read.value for read in part.reads}
                line = {"clip": clip.id, "task": task, "source": source, "outcome": part.outcome, "reason": part.reason}
                lines.append({**line, **{name: known.get(id) for name, id in READINGS.items()}})
                if path:
                    with path.open("a") as file:
                        file.write(json.dumps(lines[-1]) + "\n")
    table = pd.DataFrame(lines)
    shown = table[table["outcome"] == "shown"].groupby(["task", "source"], sort=False)[list(READINGS)]
    print(shown.agg("mean").assign(clips=shown.size()).round(3).to_string())
    for row in table[table["outcome"] != "shown"].itertuples():
        print(f"{row.outcome}: {row.clip} {row.source}: {row.reason}")


if __name__ == "__main__":
    main()
