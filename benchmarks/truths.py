"""Reads ground truth as if a model had predicted it, on fresh clips, and lists what reads below 1.00 and why.

    python benchmarks/truths.py [--clips 4] [--first 900000] [--settings 64@15,128@30,256@30] [--contexts 2,4,8,16]
                                [--crf none,28] [--tasks GLOB] [--kept FILE]

Every clip of `core`'s tasks from seed --first on is read at each size and rate after each number of context frames, as
drawn and out of an H.264 video. Printed is each video with an axis below 0.995 or a strength above 0.03 diameters, with
its readings; then, by task and by setting, how many there are, and how many are not judged on an axis. --kept keeps the
readings of each video, a line each, and goes on from there; they hold for one state of the sources.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.clips.video import h264, round_trip
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.validity.thresholds import is_strength
from physbench.world.scene import RenderSpec

LEAST = 0.995  # quality of ground truth on an axis
MOST = 0.03  # diameters: strength above it is a false break
BESIDE = ("survival", "scenery", "reemergence", "undetermined", "first-break", "time-to-failure", "offset", "jitter")

Video = dict[str, object]


def read(clip: Clip, context: int, crf: int | None) -> Video:
    """The readings of ground truth: qualities by reading, strength, and what may tell why one is low."""
    frames = clip.future() if crf is None else round_trip(clip.future(), clip.spec.fps, h264(crf))
    scorers = [each for each in find_scorers() if each.headline or each.id == "consistency/strength"]
    rows, _ = score_clip(clip, Rollout(clip.id, 0, frames), context, scorers)
    return {
        "quality": {row.reading: row.quality for row in rows if row.axis is not None},
        "strength": next((row.value for row in rows if is_strength(row.reading)), None),
        "beside": {row.reading: row.value for row in rows if row.reading.partition(".")[2] in BESIDE},
        "reasons": {row.reading: row.reason for row in rows if row.axis is not None and row.quality is None},
    }


def videos(options: argparse.Namespace, known: set[tuple[object, ...]]) -> Iterator[Video]:
    """Readings of all videos that are not known yet."""
    store, tasks = ClipStore(), fnmatch.filter(sorted({row.task for row in find_suite("core").rows}), options.tasks)
    codecs = [None if each == "none" else int(each) for each in options.crf.split(",")]
    contexts = [int(each) for each in options.contexts.split(",")]
    for seed in range(options.first, options.first + options.clips):
        for task, setting in product(tasks, options.settings.split(",")):
            size, _, fps = setting.partition("@")
            row, clip = Row(task, "test", seed), None
            for context, crf in product(contexts, codecs):
                name = {"clip": row.id, "task": task, "setting": setting, "context": context, "crf": crf}
                if tuple(name.values()) in known:
                    continue
                clip = clip or store.get(row, RenderSpec(int(size), int(size), float(fps)))
                yield {**name, **read(clip, context, crf)}


def faults(video: Video) -> list[str]:
    """What of a video of ground truth does not read as it should."""
    low = [f"{name} {value:.3f}" for name, value in video["quality"].items() if value is not None and value < LEAST]
    strength = video["strength"]
    return low + ([f"strength {strength:.3f}"] if strength is not None and strength > MOST else [])


def where(video: Video) -> str:
    """Size, rate, context and codec of a video."""
    codec = "" if video["crf"] is None else f" crf {video['crf']}"
    return f"{video['setting']} context {video['context']}{codec}"


def show(video: Video) -> None:
    """Print a video with its faults, if there are any."""
    if found := faults(video):
        beside = [
            f"{name.partition('.')[2]} {value:.3g}" for name, value in video["beside"].items() if value is not None
        ]
        print(f"{video['clip']} {where(video)}: {', '.join(found)} ({', '.join(beside)})", flush=True)


def table(read_ones: list[Video]) -> None:
    """Print how many videos have faults, and how many are not judged, by setting and by task."""
    for title, group in (("setting", where), ("task", lambda video: str(video["task"]))):
        videos, wrong, out = Counter(map(group, read_ones)), Counter(), Counter()
        for video in read_ones:
            wrong[group(video)] += bool(faults(video))
            out.update((group(video), name) for name, reason in video["reasons"].items() if "briefly" in str(reason))
        print(f"\n{title:32}{'videos':>8}{'faults':>8}  not judged")
        for name, count in videos.items():
            unjudged = ", ".join(f"{reading} {n}" for (own, reading), n in out.items() if own == name)
            print(f"{name:32}{count:8}{wrong[name]:8}  {unjudged}")


def main() -> None:
    """Read, keep and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4, help="of each task")
    parser.add_argument("--first", type=int, default=900_000, help="seed of the first clip")
    parser.add_argument("--settings", default="64@15,128@30,256@30", help="px@frames a second, separated by commas")
    parser.add_argument("--contexts", default="2,4,8,16", help="context frames, separated by commas")
    parser.add_argument("--crf", default="none,28", help="of H.264, none: as drawn, separated by commas")
    parser.add_argument("--tasks", default="*", help="id or glob")
    parser.add_argument("--kept", type=Path, help="file of readings to go on from")
    options = parser.parse_args()
    lines = options.kept.read_text().splitlines() if options.kept and options.kept.exists() else []
    found: list[Video] = [json.loads(line) for line in lines]
    for video in found:
        show(video)
    for video in videos(
        options, {tuple(each[k] for k in ("clip", "task", "setting", "context", "crf")) for each in found}
    ):
        show(video)
        found.append(video)
        if options.kept:
            with options.kept.open("a") as file:
                file.write(json.dumps(video) + "\n")
    table(found)
    sys.exit(any(map(faults, found)))


if __name__ == "__main__":
    main()
