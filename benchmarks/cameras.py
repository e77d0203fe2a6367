"""What ground truth, and answers whose camera pans by itself, read from cameras of known paths.

    python benchmarks/cameras.py [--tasks A,B] [--size 128] [--fps 10] [--context 8] [--cameras GLOB] [--kept FILE]

Printed are, for each task and camera: the strength of ground truth; the consistency of ground truth and of the same
motion in an answer whose camera also pans by 2 degrees/s from the hand-over on; and by how much its pan is misread.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.world.camera import NEAR_DISTANCE, NEAR_TILT, SWAY, lens
from physbench.world.drawing import render
from physbench.world.scene import Camera, CameraMove

READINGS = ("consistency/strength", "consistency/shadowing", "permanence/intact", "drift/camera")
PAN = math.radians(2.0)  # rad/s


def sway(kind: str, size: float, period: float) -> tuple[CameraMove, ...]:
    return (CameraMove(kind, size, period=period),)  # type: ignore[arg-type]


RAPID = sway("pan", math.radians(3.0), 0.94)  # 20 degrees/s at most
CAMERAS: dict[str, tuple[float, float, tuple[CameraMove, ...]]] = {  # m, rad from straight ahead, path
    "moving": (NEAR_DISTANCE, NEAR_TILT, SWAY),
    "4 m, 0 degrees": (4.0, 0.0, SWAY),
    "4 m, 35 degrees": (4.0, math.radians(35), SWAY),
    "20 m, 0 degrees": (20.0, 0.0, SWAY[2:]),
    "20 m, 35 degrees": (20.0, math.radians(35), SWAY[2:]),
    "5 m, pan 20 degrees/s": (NEAR_DISTANCE, NEAR_TILT, RAPID),
    "5 m, shake": (NEAR_DISTANCE, NEAR_TILT, (CameraMove("shake", math.radians(0.5)),)),
    "5 m, dolly 1 m": (NEAR_DISTANCE, NEAR_TILT, (CameraMove("dolly", -1.0, 0.0, 4.0),)),
    "5 m, orbit 10 degrees": (NEAR_DISTANCE, NEAR_TILT, (CameraMove("orbit", math.radians(10), 0.0, 4.0),)),
}


def seen_by(clip: Clip, camera: Camera) -> Clip:
    """The clip as another camera shows it."""
    scene = replace(clip.scene, camera=camera)
    picture = render(scene, clip.times, clip.states, clip.spec)
    return replace(
        clip, scene=scene, frames=picture.frames, visible_area=picture.visible_area, full_area=picture.full_area
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="falling/projectile-v1,collisions/billiards-v1,occlusion/screen-pass-v1")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--context", type=int, default=8, help="frames")
    parser.add_argument("--cameras", default="*")
    parser.add_argument("--kept", help="file of lines to add to")
    options = parser.parse_args()
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS]
    print(f"{'task':28}{'camera':24}{'strength':>10}{'consistency':>13}{'panned':>8}{'intact':>8}{'pan off':>9}")
    for task in options.tasks.split(","):
        row = Row(task, "test", 0)
        plain = make_clip(row, render_spec(options.size, options.fps))
        for name, (distance, tilt, path) in CAMERAS.items():
            if not fnmatch.fnmatchcase(name, options.cameras):
                continue
            camera = replace(make_scene(row).camera, distance=distance, tilt=tilt, path=path)
            clip = seen_by(plain, camera)
            end = float(clip.times[-1])
            also = replace(camera, path=(*path, CameraMove("pan", PAN * end, 0.0, end)))
            found = []
            for future in (clip.future(), seen_by(plain, also).future()):
                rows, _ = score_clip(clip, Rollout(clip.id, 0, future), options.context, scorers)
                found.append({each.reading: each.value for each in rows})
            focal = lens(camera, clip.spec)[0, 0]
            times = np.linspace(0, end, 50)
            told = (
                np.polyfit(times, np.tan(PAN * times), 1)[0] * focal / options.size * 100
            )  # % of the picture a second
            one, two = found
            line = {
                "task": task,
                "camera": name,
                "strength": one["consistency/strength"],
                "consistency": one["consistency/shadowing"],
                "panned": two["consistency/shadowing"],
                "intact": two["permanence/intact"],
                "pan off": two["drift/camera"] / told - 1,
            }
            cells = [f"{line[key]:{wide}.3f}" for key, wide in (("strength", 10), ("consistency", 13), ("panned", 8))]
            print(f"{task:28}{name:24}{''.join(cells)}{line['intact']:8.3f}{line['pan off']:+9.3f}", flush=True)
            if options.kept:
                with Path(options.kept).open("a") as file:
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
