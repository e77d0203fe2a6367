"""What is said of the timing of frames: on ground truth timed wrongly by known amounts, and on wrong laws.

    python benchmarks/timing.py [--clips 1] [--size 64] [--fps 15] [--context 8] [--tasks GLOB] [--sources NAME,..]

Each source (`physbench scorers check` names them) is shown on one clip, or more, of each task of `core` that can be
shadowed, as a model would be. Printed are, for each, the mean quality of its motion, what the clips agree to be wrong
with its timing, and, where that explains any of what is lost, the share, the quality with it undone and whether it is
said. Nothing may be said of sources that are timed rightly.
"""

from __future__ import annotations

import argparse
import fnmatch
import time

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.result.diagnosis.diagnose_run import Part, explained_timing, faults_of
from physbench.rollout.store import Rollout
from physbench.score.frame_timing import frame_timing, smear
from physbench.score.score_clip import observed
from physbench.shadowing import shadow
from physbench.validity.lawful_alternatives import FRAME_SHIFTS
from physbench.validity.sources import find_sources, show
from physbench.validity.violations import Inapplicable
from physbench.world.scene import RenderSpec

SOURCES = ",".join(f"{name}:*" for name in FRAME_SHIFTS)
LAWFUL = ("truth", "freeze", "stranger-near")
WRONG = (
    "stranger-far,gravity:0.9,gravity:0.8,kick:0.5,teleport:0.25,speed-gain,slow-time,freeze,cheat-straight,cheat-turn"
)


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1)
    parser.add_argument("--first", type=int, default=6000, help="seed of the first clip")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8)
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--sources", default="")
    return parser.parse_args()


def main() -> None:
    """Print a line for each source."""
    options = parse()
    spec, store = RenderSpec(options.size, options.size, float(options.fps)), ClipStore()
    names = fnmatch.filter(sorted({row.task for row in find_suite("core").rows}), f"*{options.tasks}*")
    seeds = range(options.first, options.first + options.clips)
    clips = [store.get(Row(task, "test", seed), spec) for seed in seeds for task in names]
    sources = find_sources(options.sources) if options.sources else (*LAWFUL, *find_sources(f"{SOURCES},{WRONG}"))
    print(f"{options.size} px, {options.fps:g} frames/s, {options.context} context frames, {len(clips)} clips")
    for source in sources:
        parts, quality, smears, seconds = [], {}, [], 0.0
        for clip in clips:
            try:
                frames = show(clip, options.context, source).frames
            except Inapplicable:
                continue
            tracks = observed(clip, Rollout(clip.id, 0, frames), options.context)
            motion = shadow(clip, tracks)
            if motion is None:
                continue
            quality[clip.id], begun = motion.quality, time.process_time()
            parts.append(Part(clip, tracks, frame_timing(clip, tracks)))
            told = smear(clip, frames, tracks)
            smears += [] if told is None else [told]
            seconds += time.process_time() - begun
        mean, drawn = float(np.mean(list(quality.values()))), float(np.median(smears)) if smears else float("nan")
        faults = [f"{fault.kind} {fault.value:.3g}" for fault, _ in faults_of(parts, drawn)]
        cost = 1000 * seconds / len(parts)
        line = f"{source:14} {len(parts):3} clips, quality {mean:.3f}, smear {drawn:.2f}, {cost:.0f} ms a clip"
        begun = time.process_time()
        found = (
            explained_timing(parts, quality, dict.fromkeys(quality, 1.0), drawn, options.fps) if mean < 0.97 else None
        )
        line += f" + {time.process_time() - begun:.2f} s: {', '.join(faults) or 'nothing'}"
        if found is not None:
            share = f"{found.explained:.2f} {tuple(round(end, 2) for end in found.interval or ())}"
            line += (
                f"; explains {share}, {found.quality:.2f} -> {found.undone:.2f}, {'' if found.named else 'not '}named"
            )
        print(line, flush=True)


if __name__ == "__main__":
    main()
