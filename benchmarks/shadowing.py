"""What shadowing costs and how lawful it finds ground truth, task by task.

    python benchmarks/shadowing.py [--clips 10] [--tasks GLOB] [--split test] [--exact] [--size 128] [--fps 30]
                                   [--context 8] [--frozen SECONDS]

Frames, rendered or from the clip store, go through the tracker. With --exact the tracker is left out: positions have
0.05 px of noise per coordinate at 128 px where ground truth shows enough of a body to place it, and are missing
elsewhere; presence and hiding are read as usual. --frozen stops every body that many seconds after the hand-over (exact
positions) and so measures what a badly broken clip costs.

Printed are processor seconds of the pass over the tolerances (median and largest), the share of clips with a
break at each, and median and largest strength; then all clips pooled with upper 95 % bounds (Clopper and Pearson, one
side), cost by number of bodies, and the machine's load. Targets for a clip of 4 s on one quiet core: 0.2 s for two
bodies, 0.6 s for three, 1.2 s for four, 2 s for two that are badly broken; at most 2 % of clips above 0.03, 0.5 %
above 0.08.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.shadowing import TOLERANCES, Shadowing, shadow
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, Visibility

NOISE_PX, SIZE = 0.05, 128  # sd of positions, at this size of the image
PLACED_SHARE = 0.6  # visible share from which a body's centre is known


@dataclass(frozen=True)
class Clipped:
    """One clip's figures."""

    bodies: int
    seconds: float
    broken: tuple[bool, ...]  # at each tolerance
    strength: float


def exact(clip: Clip, context: int, frozen: float | None = None) -> Tracks:
    """Tracks of ground truth where it is shown, with nothing but noise; frozen: s at which all stops."""
    window = clip.window(context)
    times, share = clip.times[window], clip.visible_share()[window]
    position = clip.px_positions()[window].copy()
    area = clip.visible_area[window][:, list(clip.tracked)].astype(np.float64)
    if frozen is not None:
        last = int(np.searchsorted(times, frozen + 1e-9)) - 1
        for part in (position, area, share):
            part[last:] = part[last]
    noise = NOISE_PX * clip.spec.width / SIZE
    position += np.random.default_rng(clip.row.seed).normal(0, noise, position.shape)
    position[share < PLACED_SHARE] = np.nan
    hidden = share < 0.05
    return Tracks(
        names=tuple(body.name for body in clip.tracked_bodies),
        times=times,
        context=context,
        position=position,
        position_sd=np.where(np.isfinite(position[..., 0]), noise, np.nan),
        area=area,
        hue=np.where(hidden, np.nan, 0.0),
        state=np.where(hidden, Visibility.OCCLUDED, Visibility.VISIBLE).astype(np.uint8),
        duplicates=np.zeros(share.shape, np.uint8),
        hallucinations=np.zeros(len(times), np.uint8),
    )


def measure(clip: Clip, tracks: Tracks) -> Clipped | None:
    """Shadow one clip; None where no law moves its scene."""
    begin = time.process_time()
    found: Shadowing | None = shadow(clip, tracks)
    seconds = time.process_time() - begin
    if found is None:
        return None
    bodies = sum(body.role == "moving" for body in clip.scene.bodies)
    return Clipped(bodies, seconds, tuple(bool(level.breaks) for level in found.levels), found.strength)


def upper(hits: int, count: int) -> float:
    """Upper 95 % bound of a share of which `hits` of `count` were seen."""
    return 1.0 if hits == count else float(beta.ppf(0.95, hits + 1, count - hits))


def table(name: str, clips: list[Clipped]) -> None:
    """One line for each number of bodies."""
    for bodies in sorted({clip.bodies for clip in clips}):
        part = [clip for clip in clips if clip.bodies == bodies]
        seconds, strength = (np.array([getattr(clip, key) for clip in part]) for key in ("seconds", "strength"))
        shares = " ".join(f"{np.mean([clip.broken[k] for clip in part]):.3f}" for k in range(len(TOLERANCES)))
        print(
            f"{name:32s}{bodies:4d} x {len(part):<4d}{np.median(seconds):7.2f} {seconds.max():5.2f}  {shares}  "
            f"{np.median(strength):.3f} {strength.max():.3f}",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Cost of shadowing, and how lawful it finds ground truth.")
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first clip")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--split", default="test")
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--frozen", type=float, default=None)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--context", type=int, default=8)
    options = parser.parse_args()
    if options.clips < 1:
        parser.error("--clips: at least one")
    names = sorted({row.task for suite in ("core", "actions") for row in find_suite(suite).rows})
    pooled: dict[int, list[Clipped]] = defaultdict(list)
    print(f"{'task':32s}{'bodies':>7s}{'':5s}{'cpu s':>11s}  broken at {TOLERANCES}  strength: median, largest")
    store, spec = ClipStore(), render_spec(options.size, options.fps)
    for task in fnmatch.filter(names, options.tasks):
        found: list[Clipped] = []
        for seed in range(options.first, options.first + options.clips):
            clip = store.get(Row(task, options.split, seed), spec)
            if options.exact or options.frozen is not None:
                tracks = exact(clip, options.context, options.frozen)
            else:
                tracks = track(clip, options.context, clip.frames[clip.window(options.context)])
            one = measure(clip, tracks)
            if one is None:
                print(f"{task:32s} no law")
                break
            found.append(one)
            pooled[one.bodies].append(one)
        table(task, found)
    every = [clip for clips in pooled.values() for clip in clips]
    for bodies, clips in sorted(pooled.items()):
        table(f"all with {bodies}", clips)
    for level in TOLERANCES[:2]:
        hits = sum(clip.strength > level + 1e-3 for clip in every)
        if every:
            print(f"strength above {level}: {hits} of {len(every)} clips, at most {upper(hits, len(every)):.4f} (95 %)")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
