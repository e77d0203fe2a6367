"""What shadowing costs and how lawful it finds ground truth, task by task.

    python benchmarks/shadowing.py [--clips 10] [--tasks GLOB] [--split test] [--rendered] [--size 128] [--fps 30]

Without --rendered: exact places with 0.05 px of noise per coordinate at 128 px. With it: pictures, rendered or from the
clip store, through the tracker. Printed are processor seconds of the pass over the three rungs (median and largest),
the share of clips with a break at each rung, and median and largest strength. Targets for a clip of 4 s on one quiet
core: 0.2 s for two bodies, 0.6 s for three, 1.2 s for four; at most 2 % of clips above 0.03, 0.5 % above 0.08.
"""

from __future__ import annotations

import argparse
import fnmatch
import time

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene, render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.scoring.shadowing import RUNGS
from physbench.scoring.shadowing.forward import forward
from physbench.scoring.shadowing.problem import Problem
from physbench.scoring.shadowing.readings import ladder, strength
from physbench.scoring.shadowing.seen import CONTEXT, NOISE, Seen, from_tracks
from physbench.scoring.shadowing.shadow import model_of
from physbench.tracks.tracker import track
from physbench.world.camera import PLANE_AXES
from physbench.world.outlines import apparent_radius
from physbench.world.scene import HISTORY, PHYSICS_HZ, WINDOW
from physbench.world.stepping import simulate

NOISE_PX, SIZE = 0.05, 128
FRAMES = 8  # of context, of rendered clips


def exact(row: Row, fps: float) -> Problem | None:
    """Ground truth seen with nothing but noise."""
    scene = make_scene(row)
    times = np.arange(-round(HISTORY * fps), round(scene.horizon * fps) + 1) / fps
    times = times[times >= -CONTEXT - 1e-9]
    model = forward(scene, max([-CONTEXT, *(body.release for body in scene.bodies if body.release is not None)]))
    if model is None:
        return None
    index = list(model.index)
    noise = NOISE_PX * WINDOW / SIZE  # m
    place = simulate(scene, times).states[:, index][..., list(PLANE_AXES[scene.camera.view])]
    place = place + np.random.default_rng(row.seed).normal(0, noise, place.shape)
    diameter = np.array([2 * apparent_radius(scene.bodies[i], scene.camera) for i in index])
    every = np.ones(place.shape[:2], dtype=bool)
    since = [max(-CONTEXT, scene.bodies[i].release or -CONTEXT) for i in index]
    return Problem(
        model,
        Seen(
            times,
            np.round(times * PHYSICS_HZ),
            place,
            np.broadcast_to(np.maximum(noise / diameter, NOISE), every.shape),
            diameter,
            every & (times > 1e-9)[:, None],
            every,
            np.searchsorted(times, np.array(since) - 1e-9),
            ~every,
        ),
    )


def rendered(row: Row, size: int, fps: float) -> Problem | None:
    """Ground truth as the tracker sees it."""
    clip = ClipStore().get(row, render_spec(size, fps))
    model = model_of(clip)
    return (
        None
        if model is None
        else Problem(model, from_tracks(clip, track(clip, FRAMES, clip.frames[clip.window(FRAMES)]), model))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of shadowing, and how lawful it finds ground truth.")
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--split", default="test")
    parser.add_argument("--rendered", action="store_true")
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--fps", type=float, default=30.0)
    options = parser.parse_args()
    names = sorted({row.task for suite in ("core", "actions") for row in find_suite(suite).rows})
    pooled: list[float] = []
    rungs = " ".join(f">{rung:g}" for rung in RUNGS)
    print(f"{'task':32s}{'bodies':>7s}  {'cpu s':>12s}  share {rungs}  strength median, largest")
    for task in fnmatch.filter(names, options.tasks):
        for seed in range(options.clips):
            row = Row(task, options.split, seed)
            problem = rendered(row, options.size, options.fps) if options.rendered else exact(row, options.fps)
            if problem is None:
                print(f"{task:32s} no forward model")
                break
            begin = time.process_time()
            found = ladder(problem)
            seconds = time.process_time() - begin
            if seed == 0:
                values = []
            values.append(
                (len(problem.seen.diameter), seconds, *(bool(rung.breaks) for rung in found), strength(problem))
            )
        else:
            table = np.array(values, dtype=np.float64)
            pooled += table[:, -1].tolist()
            for bodies in np.unique(table[:, 0]):
                part = table[table[:, 0] == bodies]
                shares = " ".join(f"{share:.3f}" for share in part[:, 2:-1].mean(axis=0))
                cost = f"{np.median(part[:, 1]):.2f} {part[:, 1].max():.2f}"
                ends = f"{np.median(part[:, -1]):.3f} {part[:, -1].max():.3f}"
                print(f"{task:32s}{int(bodies):4d} x {len(part):<2d}  {cost:>11s}  {shares}  {ends}", flush=True)
    strong = np.array(pooled)
    print(
        f"pooled, {len(strong)} clips: "
        + ", ".join(f"{np.mean(strong > rung + 1e-3):.3f} above {rung}" for rung in RUNGS)
    )


if __name__ == "__main__":
    main()
