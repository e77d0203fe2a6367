"""What answers read whose camera should stand still, near the scene, and pans by itself.

    python benchmarks/near_pan.py [--tasks A,B] [--speeds 0,0.5,1,2] [--size 128] [--fps 10] [--context 8]

Ground truth is turned: its eye stays in its place, so that a homography shows it as a camera would that pans to the
right from the hand-over on. Printed are, for each task and speed in degrees/s: the speed at which the middle of the
picture slides, as it is and as `drift/camera` reads it, in % of the picture a second; consistency, strength and
permanence.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.arrays import Image
from physbench.track.moving_camera import warped
from physbench.world.camera import camera_turn, lens

READINGS = ("drift/camera", "consistency/shadowing", "consistency/strength", "permanence/intact")
TASKS = (
    "collisions/billiards-v1",
    "collisions/wall-bounce-v1",
    "falling/stack-v1",
    "occlusion/screen-pass-v1",
    "falling/projectile-v1",
    "falling/drop-bounce-v1",
)


def panned(clip: Clip, speed: float) -> Image:
    """The future (T, H, W, 3) of a still clip, of a camera that pans to the right by `speed` rad/s from 0 s on.

    What comes into view repeats the border.
    """
    camera, times = lens(clip.scene.camera, clip.spec), clip.times[clip.handover + 1 :]
    back = [camera @ camera_turn(-speed * time, 0.0, 0.0) @ np.linalg.inv(camera) for time in times]
    return np.asarray(warped(torch.from_numpy(clip.future()), np.array(back), clip.spec)[0].numpy())


def sliding(clip: Clip, speed: float) -> float:
    """Speed of the middle of that picture, % of its shorter side a second: of a straight line through its places."""
    times = clip.times[clip.handover :]
    places = lens(clip.scene.camera, clip.spec)[0, 0] * np.tan(speed * times)
    return float(np.polyfit(times, places, 1)[0] / min(clip.spec.width, clip.spec.height) * 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--speeds", default="0,0.5,1,2", help="degrees/s")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--context", type=int, default=8, help="frames")
    options = parser.parse_args()
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS]
    print(f"{'task':28}{'degrees/s':>10}{'slides':>8}" + "".join(f"{name.split('/')[1]:>12}" for name in READINGS))
    for task in options.tasks.split(","):
        clip = make_clip(Row(task, "test", 0), render_spec(options.size, options.fps, view="near"))
        for degrees in map(float, options.speeds.split(",")):
            speed = math.radians(degrees)
            rows, _ = score_clip(clip, Rollout(clip.id, 0, panned(clip, speed)), options.context, scorers)
            found = {row.reading: row.value for row in rows}
            cells = "".join(f"{'-' if found[name] is None else f'{found[name]:.3f}':>12}" for name in READINGS)
            print(f"{task:28}{degrees:10.1f}{sliding(clip, speed):8.2f}{cells}", flush=True)


if __name__ == "__main__":
    main()
