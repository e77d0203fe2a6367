"""What a clip of `core` costs, stage by stage, and what the whole suite comes to.

    python benchmarks/core.py [--clips 2] [--tasks GLOB] [--size 64] [--fps 15] [--context 8] [--scorers]

Processor time in one process from empty caches, so that other programs on the machine do not count: a clip is made and
stored; the predictability time found; references and the model (as the cheapest there is, constant velocity) rolled
out, tracked and read by all scorers. The last line adds up for all clips of the suite; with caches only loading and the
model's own tracking and reading are left. Result and report of a run come on top (`physbench report`).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from fnmatch import fnmatchcase

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.protocol import ModelCard
from physbench.run import references
from physbench.score.predictability import predictability_time
from physbench.score.protocol import Observation
from physbench.score.score_clip import find_scorers, score_clip
from physbench.track.tracker import track

STAGES = ("make", "store", "load", "known", "roll", "track", "read")
TIMES = {"roll": 4, "track": 4, "read": 4}  # truth, freeze, constant velocity and the model
CACHED = {"load": 1, "roll": 1, "track": 1, "read": 1}


class Clock:
    """Processor seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last = time.process_time()

    def __call__(self, stage: str) -> None:
        """Count the time since the last call for `stage`."""
        now = time.process_time()
        self.seconds[stage] += now - self._last
        self._last = now


def one_clip(row: Row, card: ModelCard, store: ClipStore, clock: Clock, by_scorer: Clock) -> None:
    """Take a clip through all stages."""
    scorers = find_scorers()
    clock("")
    clip = make_clip(row, card.spec)
    clock("make")
    store.put(clip)
    clock("store")
    clip = store.get(row, card.spec)
    clock("load")
    predictability_time(clip, card.scored_context)
    clock("known")
    rollouts = [references.reference_rollout(name, clip, card) for name in references.REFERENCE_BASELINES]
    clock("roll")
    for rollout in rollouts:
        clock("")
        score_clip(clip, rollout, card.scored_context, [])
        clock("track")
        score_clip(clip, rollout, card.scored_context, scorers)
        clock("read")  # with tracking, which is taken off in the end
    by_scorer("")
    for rollout in rollouts[1:]:
        tracks = track(clip, card.scored_context, clip.frames[clip.window(card.scored_context)])
        by_scorer("")
        for scorer in scorers:
            scorer.read(Observation(clip, rollout, tracks))
            by_scorer(scorer.id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="per task and split")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8)
    parser.add_argument("--scorers", action="store_true", help="print what each scorer takes, too")
    arguments = parser.parse_args()
    card = ModelCard("bench", (arguments.size, arguments.size), arguments.fps, arguments.context)
    rows = [row for row in find_suite("core").rows if fnmatchcase(row.task, f"*{arguments.tasks}*")]
    tasks = sorted({row.task for row in rows})
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PHYSBENCH_CACHE"] = folder
        store, by_scorer = ClipStore(), Clock()
        one_clip(rows[0], card, store, Clock(), Clock())  # imports
        print(f"{'s a clip':27}" + "".join(f"{stage:>8}" for stage in STAGES) + f"{'first':>9}{'cached':>8}")
        first = cached = 0.0
        for task in tasks:
            of_task = [row for row in rows if row.task == task]
            chosen = [
                row
                for split in ("test", "ood")
                for row in [each for each in of_task if each.split == split][1 : 1 + arguments.clips]
            ]
            clock = Clock()
            for row in chosen:
                one_clip(row, card, store, clock, by_scorer)
            each = {stage: clock.seconds[stage] / len(chosen) for stage in STAGES}
            each["read"] -= each["track"]
            for stage in ("roll", "track", "read"):
                each[stage] /= len(references.REFERENCE_BASELINES)
            once = sum(TIMES.get(stage, 1) * each[stage] for stage in STAGES)
            again = sum(CACHED.get(stage, 0) * each[stage] for stage in STAGES)
            first, cached = first + once * len(of_task), cached + again * len(of_task)
            print(f"{task:27}" + "".join(f"{each[stage]:8.3f}" for stage in STAGES) + f"{once:9.3f}{again:8.3f}")
    print(f"{len(rows)} clips: {first:.0f} s of a processor the first time, {cached:.0f} s with caches")
    if arguments.scorers:
        clips = 2 * len(tasks) * 2 * arguments.clips
        for name, seconds in sorted(by_scorer.seconds.items(), key=lambda item: -item[1]):
            print(f"{name:35} {1e3 * seconds / clips:8.2f} ms a reading")


if __name__ == "__main__":
    main()
