"""Processor time of `full` over that of `core`: clips, ground truth and baselines, scored; by task and in all.

python benchmarks/suite_cost.py [--clips 2] [--tasks GLOB]

Each task's mean of so many clips, after one that loads what is compiled, times its number of clips in the suite.
"""

from __future__ import annotations

import argparse
import fnmatch
import time

from physbench.clips.generate import make_clip, render_spec
from physbench.clips.suite import find_suite
from physbench.models.protocol import ModelCard
from physbench.run.references import REFERENCE_BASELINES, reference_rollout
from physbench.score.score_clip import find_scorers, score_clip

CARD = ModelCard("references", image_size=(64, 64), fps=15.0, context_frames=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="of each task")
    parser.add_argument("--tasks", default="*", help="glob")
    options = parser.parse_args()
    rows, core, scorers = find_suite("full").rows, set(find_suite("core").tasks), find_scorers()
    total = {True: 0.0, False: 0.0}  # CPU s of tasks in core, and of others
    print(f"{'CPU s a clip':28}{'clip':>8}" + "".join(f"{name:>20}" for name in REFERENCE_BASELINES))
    for task in fnmatch.filter(sorted({row.task for row in rows}), options.tasks):
        own = [row for row in rows if row.task == task]
        spent = [0.0] * (1 + len(REFERENCE_BASELINES))
        for number, row in enumerate(own[: options.clips + 1]):
            moments = [time.process_time()]
            clip = make_clip(row, render_spec(64, 15.0))
            moments.append(time.process_time())
            for name in REFERENCE_BASELINES:
                score_clip(clip, reference_rollout(name, clip, CARD), CARD.context_frames, scorers, store=False)
                moments.append(time.process_time())
            if number:
                parts = zip(spent, moments, moments[1:], strict=False)
                spent = [mean + (end - begin) / min(options.clips, len(own) - 1) for mean, begin, end in parts]
        total[task in core] += sum(spent) * len(own)
        print(f"{task:28}{spent[0]:8.2f}" + "".join(f"{each:20.2f}" for each in spent[1:]), flush=True)
    if total[True]:
        every = sum(total.values())
        print(f"core {total[True]:.0f} CPU s, full {every:.0f} CPU s: {every / total[True]:.2f} times")


if __name__ == "__main__":
    main()
