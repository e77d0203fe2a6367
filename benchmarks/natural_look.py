"""The natural look in figures: against a full path trace, and what the tracker reads off ground truth in it.

    python benchmarks/natural_look.py traced [--tasks GLOB] [--size 256] [--samples 256] [--out DIR]
    python benchmarks/natural_look.py tracked [--tasks GLOB] [--clips 2] [--size 256] [--fps 16] [--look natural]
    python benchmarks/natural_look.py situations [--tasks GLOB] [--clips 2] [--size 256] [--fps 16] [--look natural]
    python benchmarks/natural_look.py drawn [--tasks GLOB] [--seed 1] [--clips 2] [--size 256 | 704x1280] [--fps 16]
                                           [--look natural]

`traced` draws one frame of each task three ways (plain, composited, path-traced), writes them side by side and prints
the rms difference of the last two in levels: of the picture, and within two radii of what moves. `tracked` prints bias
and standard deviation of tracked centres (px, the worse axis), how many places of bodies in full view are lost, and the
largest strength of a violation (diameters) that shadowing reads off ground truth. `situations` prints the errors of
tracked centres (px) over all tasks by what a body is and what is around it: the median and the largest bias of a body
in a clip, the standard deviation around it, by how much the bias of one changes most from the first half of a clip to
the second (10 frames or more each), in which clips these are, and how many places are lost. `drawn` prints the CPU
seconds a frame of whole clips whose static light is in the cache, the least of three times, seeds from `--seed` on.
"""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import frame_times, make_clip, make_scene
from physbench.clips.suite import find_suite
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.track.tracker import track
from physbench.world.bullet import simulate
from physbench.world.camera import in_view, pixels_per_metre, px_from_world
from physbench.world.scene import RenderSpec
from physbench.world.styles.catalogue import draw
from physbench.world.styles.natural.mitsuba_scene import traced as path_trace
from physbench.world.styles.natural.mitsuba_scene import whole_scene
from physbench.world.styles.natural.movers import drawable, movers_at
from physbench.world.styles.natural.stage import displayed, floor_out_of_sight, stage_of

CONTEXT = 8
FULL_VIEW, LEAST_VIEW = 0.98, 0.3  # share of a body that is seen: of all of it, and of what can be placed
CLOSE = 0.3  # radii up to which something is near
SITUATIONS = ("free", "on the floor", "near another", "partly hidden", "box")
SHORTEST, HALF = 5, 10  # frames that a bias is a mean of


def tasks_like(pattern: str) -> list[str]:
    return sorted({row.task for row in find_suite("core").rows if fnmatch.fnmatch(row.task, pattern)})


def traced(options: argparse.Namespace) -> None:
    print(f"{'task':30} {'rms':>6} {'near':>6}  CPU s: composited, traced")
    for task in tasks_like(options.tasks):
        scene = in_view(make_scene(Row(task, "test", options.seed)), options.view)
        at = np.array([options.time])
        states = simulate(scene, at).states
        plain = draw(scene, at, states, RenderSpec(options.size, options.size, 15.0)).frames[0]
        spec = RenderSpec(options.size, options.size, 15.0, "natural:shutter=0")
        started = time.process_time()
        composited = draw(scene, at, states, spec).frames[0]
        middle = time.process_time()
        stage = floor_out_of_sight(stage_of(scene), scene, spec)
        if stage.kind == "sky":
            continue  # has no light to trace
        movers = movers_at(scene, stage, drawable(scene), options.time, states[0])
        whole_stage = whole_scene(stage, movers, scene.camera, spec, options.samples // 2)
        halves = [path_trace(whole_stage, seed) for seed in (1, 2)]
        whole = displayed((halves[0] + halves[1]) / 2)
        # The noise of the path trace is known from its two halves, and taken off.
        noise = (displayed(halves[0]).astype(float) - displayed(halves[1])) ** 2 / 4
        ended = time.process_time()
        square = ((composited.astype(float) - whole) ** 2 - noise).mean(axis=-1)
        near = np.zeros(square.shape, dtype=bool)
        rows, columns = np.mgrid[: options.size, : options.size] + 0.5
        for mover in movers:
            x, y = px_from_world(scene.camera, spec, mover.centre)
            reach = 2 * max(mover.half) * pixels_per_metre(scene.camera, spec)
            near |= (columns - x) ** 2 + (rows - y) ** 2 < reach**2
        rms = np.sqrt(np.maximum([square.mean(), square[near].mean()], 0.0))
        print(f"{task:30} {rms[0]:6.2f} {rms[1]:6.2f}  {middle - started:.2f}, {ended - middle:.2f}", flush=True)
        if options.out:
            save(options.out / f"{task.partition('/')[2]}.png", np.concatenate([plain, composited, whole], axis=1))


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    from physbench.clips.video import png

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(np.ascontiguousarray(picture)))


def tracked(options: argparse.Namespace) -> None:
    print(f"{'task':28} {'bias':>6} {'sd':>6} {'worst':>6} {'lost %':>6} {'strength':>9} {'s/frame':>8}")
    spec = RenderSpec(options.size, options.size, options.fps, options.look, options.view)
    for task in tasks_like(options.tasks):
        errors, lost, strengths, took, frames = [], [], [], 0.0, 0
        for seed in range(options.clips):
            started = time.process_time()
            clip = make_clip(Row(task, "test", seed), spec)
            took, frames = took + time.process_time() - started, frames + len(clip.times)
            window = clip.window(CONTEXT)
            found = track(clip, CONTEXT, clip.frames[window])
            error = found.position - clip.px_positions()[window]
            whole = clip.visible_share()[window] > FULL_VIEW
            there = np.isfinite(error).all(axis=-1)
            lost.append((whole & ~there).sum() / max(whole.sum(), 1))
            errors.append(error[whole & there])
            rows, _ = score_clip(
                clip, Rollout(clip.id, 0, clip.future()), CONTEXT, find_scorers("consistency/strength")
            )
            strengths += [row.value for row in rows if row.value is not None]
        every = np.concatenate(errors)
        bias, off = every.mean(axis=0), every - every.mean(axis=0)
        strength = max(strengths, default=float("nan"))
        print(
            f"{task:28} {np.abs(bias).max():6.3f} {off.std(axis=0).max():6.3f} {np.abs(off).max():6.2f} "
            f"{100 * np.mean(lost):6.1f} {strength:9.4f} {took / frames:8.3f}",
            flush=True,
        )


def situations_of(clip: Clip) -> NDArray[np.str_]:
    """What each tracked body (T, B) is: hidden, partly hidden, in full view a box (or cylinder), or a ball that is near
    another, on the floor or free."""
    bodies, places = clip.tracked_bodies, clip.states[:, list(clip.tracked), :3]
    share = clip.visible_share()
    found = np.full(share.shape, "free", dtype="U16")
    floors = [body.position[2] for body in clip.scene.bodies if body.shape == "plane" and body.drawn]
    for i, body in enumerate(bodies):
        if body.shape != "sphere":
            found[:, i] = "box"
        else:
            radius = body.size[0]
            if floors:
                found[places[:, i, 2] - radius - floors[0] < CLOSE * radius, i] = "on the floor"
            for k, other in enumerate(bodies):
                apart = np.linalg.norm(places[:, i] - places[:, k], axis=-1)
                if k != i:
                    found[apart < radius + max(other.size) + CLOSE * radius, i] = "near another"
        found[share[:, i] <= FULL_VIEW, i] = "partly hidden"
        found[share[:, i] < LEAST_VIEW, i] = "hidden"
    return found


def situations(options: argparse.Namespace) -> None:
    spec = RenderSpec(options.size, options.size, options.fps, options.look, options.view)
    biases: dict[str, list[tuple[float, str]]] = {}
    changes: dict[str, list[tuple[float, str]]] = {}
    squares: dict[str, list[NDArray[np.floating]]] = {}
    places: dict[str, list[int]] = {}  # asked for, lost
    for task in tasks_like(options.tasks):
        for seed in range(options.clips):
            clip = make_clip(Row(task, "test", seed), spec)
            window = clip.window(CONTEXT)
            found = track(clip, CONTEXT, clip.frames[window])
            error = found.position - clip.px_positions()[window]
            kinds = situations_of(clip)[window]
            for body, kind in itertools.product(range(error.shape[1]), SITUATIONS):
                here = kinds[:, body] == kind
                there = here & np.isfinite(error[:, body]).all(axis=-1)
                count = places.setdefault(kind, [0, 0])
                count[0] += int(here.sum())
                count[1] += int(here.sum() - there.sum())
                off = error[there, body]
                if len(off) < SHORTEST:
                    continue
                biases.setdefault(kind, []).append((float(np.abs(off.mean(axis=0)).max()), clip.id))
                squares.setdefault(kind, []).append((off - off.mean(axis=0)) ** 2)
                if len(off) >= 2 * HALF:
                    first, last = off[: len(off) // 2].mean(axis=0), off[len(off) // 2 :].mean(axis=0)
                    changes.setdefault(kind, []).append((float(np.abs(last - first).max()), clip.id))
    heads = "".join(f"{head:>8}" for head in ("places", "lost %", "bias", "largest", "sd", "change"))
    print(f"{'situation':16}{heads}  clips of largest, change")
    for kind in SITUATIONS:
        asked, lost = places[kind]
        if asked:
            sd = np.sqrt(np.concatenate(squares[kind]).mean(axis=0)).max() if kind in squares else float("nan")
            unread = [(float("nan"), "-")]
            (largest, of_bias), (change, of_change) = (max(each.get(kind, unread)) for each in (biases, changes))
            median = np.median([bias for bias, _ in biases.get(kind, unread)])
            print(
                f"{kind:16}{asked:8}{100 * lost / asked:8.1f}{median:8.3f}{largest:8.3f}{sd:8.3f}{change:8.3f}"
                f"  {of_bias}, {of_change}"
            )


def drawn(options: argparse.Namespace) -> None:
    print(f"{'task':28} CPU s a frame, seeds {options.seed} to {options.seed + options.clips - 1}")
    height, _, width = options.size.partition("x")
    spec = RenderSpec(int(height), int(width or height), options.fps, options.look, options.view)
    for task in tasks_like(options.tasks):
        found = []
        for seed in range(options.seed, options.seed + options.clips):
            scene = in_view(make_scene(Row(task, "test", seed)), options.view)
            times = frame_times(scene, spec)
            states = simulate(scene, times).states
            draw(scene, times[:1], states[:1], spec)  # static light, compiled functions
            took = []
            for _ in range(3):
                started = time.process_time()
                draw(scene, times, states, spec)
                took.append((time.process_time() - started) / len(times))
            found.append(min(took))
        print(f"{task:28} {' '.join(f'{each:.4f}' for each in found)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("traced", "tracked", "situations", "drawn"))
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--size", default="256", help="px of a side; of drawn HEIGHTxWIDTH, too")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time", type=float, default=0.2)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--fps", type=float, default=16.0)
    parser.add_argument("--look", default="natural")
    parser.add_argument("--view", default="far")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what != "drawn":
        options.size = int(options.size)
    {"traced": traced, "tracked": tracked, "situations": situations, "drawn": drawn}[options.what](options)


if __name__ == "__main__":
    main()
