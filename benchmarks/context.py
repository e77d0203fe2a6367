"""What the number of context frames changes about the reading of the same wrong future.

    python benchmarks/context.py [--clips 4] [--first 70000] [--sources kick:0.5,gravity:0.9,momentum:0.5,freeze:0.5]

Printed is the mean quality of consistency behind 2, 4, 8 and 16 context frames, over the same clips of `core` (64 px,
15 frames/s), and the task in which it changes most. The context of all clips determines the motion from two frames on.
"""

from __future__ import annotations

import argparse

import pandas as pd

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.progress import Progress
from physbench.validity.sources import find_sources, show
from physbench.validity.violations import Inapplicable
from physbench.world.scene import RenderSpec

CONTEXTS = (2, 4, 8, 16)  # frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4, help="of each task")
    parser.add_argument("--first", type=int, default=70_000, help="seed of the first clip")
    parser.add_argument("--sources", default="kick:0.5,gravity:0.9,momentum:0.5,freeze:0.5")
    options = parser.parse_args()
    tasks = sorted({row.task for row in find_suite("core").rows})
    wanted = [Row(task, "test", options.first + k) for k in range(options.clips) for task in tasks]
    shadowing = [scorer for scorer in find_scorers() if scorer.headline and scorer.axis == "consistency"]
    store, rows = ClipStore(), []
    with Progress("clips", len(wanted)) as progress:
        for row in wanted:
            clip = store.get(row, RenderSpec(64, 64, 15))
            for source in ("truth", *find_sources(options.sources)):
                try:
                    shown = show(clip, max(CONTEXTS), source)
                except Inapplicable:
                    continue
                if shown.unseen:
                    continue
                for context in CONTEXTS:
                    read, _ = score_clip(clip, Rollout(clip.id, 0, shown.frames), context, shadowing)
                    rows += [
                        {
                            "source": source,
                            "clip": row.id,
                            "task": row.task,
                            "context": context,
                            "quality": each.quality,
                        }
                        for each in read
                        if each.axis == "consistency"
                    ]
            progress.advance(1)
    table = pd.DataFrame(rows)
    table = table[table.groupby(["source", "clip"])["quality"].transform("count") == len(CONTEXTS)]
    print(f"{'frames':14}" + "  ".join(f"{context:5}" for context in CONTEXTS))
    by_task = table.groupby(["source", "task", "context"])["quality"].mean().unstack()
    for source, means in table.groupby(["source", "context"])["quality"].mean().unstack().iterrows():
        spread = by_task.loc[source].max(axis=1) - by_task.loc[source].min(axis=1)
        words = "  ".join(f"{value:.3f}" for value in means)
        print(f"{source:14}{words}  most {spread.max():.3f} in {spread.idxmax()}")


if __name__ == "__main__":
    main()
