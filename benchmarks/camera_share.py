"""Share of random cameras from which ground truth has a strength of .03 or less, by distance, tilt and pan.

    python benchmarks/camera_share.py FILE [--cameras 65] [--seed 0] [--size 128] [--fps 10] [--context 8]

Each camera is drawn from 4 to 20 m, 0 to 35 degrees down and a pan to and fro of 0 to 20 degrees/s at most, and films
one clip; the tasks of `core` that have a strength take turns. FILE keeps a line for each, and the run goes on from
there; with --cameras 0 the table of FILE is printed alone. Intervals are those of Wilson (1927), 95 %.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from cameras import seen_by

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.suite import find_suite
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.world.camera import picture_width
from physbench.world.scene import Camera, CameraMove

STRENGTH, MOST = "consistency/strength", 0.03  # diameters
DISTANCE, TILT, PAN = (4.0, 20.0), (0.0, 35.0), (0.0, 20.0)  # m, degrees, degrees/s
PERIOD = (0.9, 4.0)  # s; shorter where the pan would take in more than half of a half field of view
THIRDS = {"distance": (4, 8, 14, 20), "tilt": (0, 12, 24, 35), "pan": (0, 7, 14, 20)}
UNITS = {"distance": "m", "tilt": "degrees", "pan": "degrees/s"}


def random_camera(camera: Camera, random: np.random.Generator) -> tuple[Camera, dict[str, float]]:
    """A camera about the target of a task's own, and its distance, tilt and fastest pan."""
    distance, tilt, pan, period = (float(random.uniform(*each)) for each in (DISTANCE, TILT, PAN, PERIOD))
    still = replace(camera, distance=distance, tilt=math.radians(tilt), path=())
    field = 2 * math.atan(picture_width(still) / 2 / still.distance)  # rad
    size = min(math.radians(pan) * period / (2 * math.pi), field / 4)
    move = CameraMove("pan", size, period=2 * math.pi * size / math.radians(pan))
    return replace(still, path=(move,)), {"distance": distance, "tilt": tilt, "pan": pan}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--cameras", type=int, default=65)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--context", type=int, default=8, help="frames")
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.file.read_text().splitlines()] if options.file.exists() else []
    chosen = {name: getattr(options, name) for name in ("seed", "size", "fps", "context")}
    done = {line["n"] for line in lines if chosen.items() <= line.items()}
    (scorer,) = [scorer for scorer in find_scorers() if scorer.id == STRENGTH]
    tasks = [task for task in find_suite("core").tasks if task != "falling/stack-v1"]  # towers have no law
    for n in range(options.cameras):
        if n in done:
            continue
        row = Row(tasks[n % len(tasks)], "test", n + 1000 * options.seed)
        camera, drawn = random_camera(make_scene(row).camera, np.random.default_rng([options.seed, n]))
        clip = seen_by(make_clip(row, render_spec(options.size, options.fps)), camera)
        rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), options.context, [scorer])
        strength = next(each.value for each in rows if each.reading == STRENGTH)
        line = {"n": n, **chosen, "task": row.task, **drawn, "strength": strength}
        lines.append(line)
        with options.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
    if lines:
        report(pd.DataFrame(lines))


def report(table: pd.DataFrame) -> None:
    """Print shares of cameras by size, distance, tilt, pan and task, and the three worst."""
    for size, part in table.groupby("size"):
        print(f"\n{size} px{'':24}{'cameras':>8}  strength <= {MOST:g}")
        print(_line("all", part))
        for name, edges in THIRDS.items():
            for low, high in itertools.pairwise(edges):
                print(_line(f"{name} {low} to {high} {UNITS[name]}", part[part[name].between(low, high)]))
        worst = part.sort_values("strength", ascending=False, na_position="first").head(3)
        print(worst.to_string(index=False, float_format="{:.3f}".format))


def _line(name: str, part: pd.DataFrame) -> str:
    good = int((part["strength"] <= MOST).sum())
    low, high = wilson(good, len(part))
    return f"{name:30}{len(part):8d}  {good}, {good / max(len(part), 1):.2f} [{low:.2f}, {high:.2f}]"


def wilson(good: int, count: int) -> tuple[float, float]:
    """Interval of a share at 95 % (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if not count:
        return 0.0, 1.0
    z, share = 1.959964, good / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


if __name__ == "__main__":
    main()
