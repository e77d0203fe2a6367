"""Clip generation against a bare loop of stepping and full pictures, in one run.

    python benchmarks/clips.py [--size 128] [--fps 30] [--clips 2] [--workers 2]

The bare loop steps the same scene without a contact log and calls getCameraImage once per frame with all bodies as
whole meshes, at 2x supersampling; its frames must be the same, but for one level in one of a million values: poses are
rounded differently where bodies are drawn at other places of a list. Processor time of one process is compared,
so that other programs on the machine do not count. The speed-up by further processes is elapsed time and needs an
otherwise idle machine. Targets: 3 times as fast as the bare loop, 1.8 times with two processes.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.generate import frame_times, make_clip, make_scene, render_spec
from physbench.clips.store import ClipStore
from physbench.clips.task import task_ids
from physbench.world.bullet import World
from physbench.world.drawing import shown
from physbench.world.renderer import TinyRenderer, downsample, paint_background
from physbench.world.scene import RenderSpec

MOST_OFF = 1e-6  # share of values that may differ by one level


def bare_loop(row: Row, spec: RenderSpec) -> np.ndarray:
    """Frames (T, H, W, 3) of a clip, one step and one full picture after the other."""
    scene = make_scene(row)
    drawn = {i: body for i, body in enumerate(scene.bodies) if body.drawn}
    frames = []
    whole = dict.fromkeys(drawn, math.pi)
    with World(scene, log=False) as world, TinyRenderer(drawn, scene.camera, spec, widest=whole) as stage:
        for now in frame_times(scene, spec).tolist():
            world.advance(now)
            states = world.states()[0]
            for i in drawn:
                if not shown(scene.bodies[i], now):
                    stage.hide(i, 0)
                elif scene.bodies[i].role != "fixed":
                    stage.show(i, 0, states[i])
            frames.append(downsample(paint_background(stage.picture())))
    return np.stack(frames)


def compare(rows: list[Row], spec: RenderSpec) -> tuple[float, float]:
    """Processor seconds of clip generation and of the bare loop; the frames must agree."""
    fast = slow = 0.0
    for row in rows:
        begin = time.process_time()
        clip = make_clip(row, spec)
        middle = time.process_time()
        frames = bare_loop(row, spec)
        end = time.process_time()
        off = np.abs(frames.astype(np.int16) - clip.frames)
        if off.max() > 1 or np.count_nonzero(off) > MOST_OFF * off.size:
            raise SystemExit(
                f"{row.id}: {np.count_nonzero(off)} values differ from the bare loop, by up to {off.max()}."
            )
        fast, slow = fast + middle - begin, slow + end - middle
    return fast, slow


def fill(rows: list[Row], spec: RenderSpec, workers: int) -> tuple[float, float]:
    """Seconds in which `workers` processes fill an empty store: elapsed, and of processor time of all of them."""
    with tempfile.TemporaryDirectory() as folder:
        begin, before = time.perf_counter(), _processor_time()
        ClipStore(folder).ensure(rows, spec, workers=workers)
        return time.perf_counter() - begin, _processor_time() - before


def _processor_time() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--clips", type=int, default=2, help="per task")
    parser.add_argument("--workers", type=int, default=2, help="processes to compare with one; 1 skips that part")
    arguments = parser.parse_args()
    spec = render_spec(arguments.size, arguments.fps)
    make_clip(Row(task_ids()[0], "train", 0), spec)  # imports
    total_fast = total_slow = 0.0
    for task in task_ids():
        rows = [Row(task, "test", seed) for seed in range(arguments.clips)]
        fast, slow = compare(rows, spec)
        total_fast, total_slow = total_fast + fast, total_slow + slow
        print(
            f"{task:26} {fast / len(rows):6.2f} s a clip, bare loop {slow / len(rows):6.2f} s: {slow / fast:.1f} times"
        )
    print(f"{'all, same pixels':26} {total_slow / total_fast:.1f} times as fast as the bare loop (target 3)")
    if arguments.workers > 1:
        rows = [Row(task, "train", seed) for task in task_ids() for seed in range(4 * arguments.clips)]
        one, one_time = fill(rows, spec, 1)
        several, several_time = fill(rows, spec, arguments.workers)
        print(
            f"{len(rows)} clips into a store: {one:.1f} s with 1 process, {several:.1f} s with {arguments.workers}: "
            f"{one / several:.2f} times (target 1.8 with 2); processor time {one_time:.1f} and {several_time:.1f} s, "
            f"so {arguments.workers * one_time / several_time:.2f} times on processors of their own"
        )


if __name__ == "__main__":
    main()
