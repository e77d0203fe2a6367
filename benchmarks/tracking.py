"""Tracking speed, and what it gains over labelling every frame with scikit-image, in one run.

    python benchmarks/tracking.py [--sizes 64 128 256] [--frames 120] [--repeats 7]

Four balls, once in the open and once with a screen that two of them pass, so that discs are fitted. The plain method is
what anybody would write: hue of every pixel, components of every hue, weighted centroid of the largest, frame by frame;
it knows nothing of noise, of hidden parts or of duplicates. Processor time of one thread counts, so that other programs
on the machine disturb little; the best of the repeats. Targets at 128 px: 2,000 frames/s in the open, 1,400 with fits,
and noise at most 5 times slower than balls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from skimage import measure

from physbench.clips.clip import Clip, Row
from physbench.track import disc_fit
from physbench.track.colour import HUES, opponent
from physbench.track.tracker import track
from physbench.world.drawing import render
from physbench.world.scene import PALETTE, SCREEN_GREY, Body, Camera, RenderSpec, Scene

CONTEXT = 8
TARGETS = {"open": 2000.0, "screen": 1400.0}  # frames/s at 128 px
HEIGHTS = (1.8, 0.55, -0.65, -1.85)  # m, of the balls' ways
RADII = (0.40, 0.44, 0.48, 0.42)  # m


def four_balls(size: int, count: int, screen: bool) -> Clip:
    """Four balls of four hues on straight lines, there and back; a screen 1 m wide before two of them, or none."""
    times = (np.arange(count) - CONTEXT + 1) / 30
    balls = [
        Body(f"ball {k}", "sphere", (radius,), "moving", (0.0, 0.0, height), hue=k)
        for k, (radius, height) in enumerate(zip(RADII, HEIGHTS, strict=True))
    ]
    if screen:
        balls.append(Body("screen", "box", (0.5, 0.05, 1.25), "fixed", (0.0, -1.0, -1.25), grey=SCREEN_GREY))
    scene = Scene(tuple(balls), Camera("front", (0.0, 0.0, 0.0)))
    states = np.zeros((count, len(balls), 13))
    states[..., 6] = 1.0
    phase = np.arange(count)[:, None] / count + np.arange(4) / 4
    states[:, :4, 0] = 2.0 * np.abs(4 * (phase % 1) - 2) - 2.0
    states[:, :4, 2] = HEIGHTS
    if screen:
        states[:, 4, :3] = balls[4].position
    spec = RenderSpec(size, size, 30.0)
    picture = render(scene, times, states, spec)
    row = Row("benchmark/four-balls-v1", "test", 0)
    return Clip(row, scene, spec, times, picture.frames, states, picture.visible_area, picture.full_area, ())


def plain(frames: np.ndarray) -> np.ndarray:
    """Centroids (N, 4, 2) px by the plain method."""
    hues = opponent(np.array(PALETTE[:4]))
    hues /= np.linalg.norm(hues, axis=-1, keepdims=True)
    centres = np.full((len(frames), 4, 2), np.nan)
    for t, frame in enumerate(frames):
        plane = opponent(frame.astype(np.float64))
        along = plane @ hues.T
        best = along.argmax(-1)
        chroma = np.linalg.norm(plane, axis=-1)
        for k in range(4):
            regions = measure.regionprops(measure.label((best == k) & (chroma > HUES.least)), along[..., k])
            if regions:
                y, x = max(regions, key=lambda region: region.area).centroid_weighted
                centres[t, k] = x + 0.5, y + 0.5
    return centres


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Best processor seconds of some calls."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def fitted(clip: Clip) -> int:
    """How many discs are fitted in a clip."""
    many = 0
    fit = disc_fit.fit

    def counting(jobs: list[disc_fit.DiscFitJob]) -> list[torch.Tensor]:
        nonlocal many
        many += sum(len(job.patches.core) for job in jobs)
        return fit(jobs)

    disc_fit.fit = counting
    try:
        track(clip, CONTEXT, clip.frames)
    finally:
        disc_fit.fit = fit
    return many


def main() -> None:
    parser = argparse.ArgumentParser(description="Tracking speed.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for size in options.sizes:
        clips = {name: four_balls(size, options.frames, name == "screen") for name in TARGETS}
        count = len(clips["open"].frames)
        base = count / fastest(lambda clip=clips["open"]: plain(clip.frames), 2)
        print(f"{size} px, four balls, {count} frames; plain method {base:.0f} frames/s")
        rates = {}
        for name, clip in clips.items():
            rates[name] = count / fastest(lambda clip=clip: track(clip, CONTEXT, clip.frames), options.repeats)
            goal = f", target {TARGETS[name]:.0f}" if size == 128 else ""
            gain, fits = rates[name] / base, fitted(clip) / count
            print(f"  {name:8s}{rates[name]:7.0f} frames/s, {gain:5.1f} x plain, {fits:.2f} fits a frame{goal}")
        clip = clips["open"]
        noise = clip.frames.copy()
        noise[CONTEXT:] = np.random.default_rng(0).integers(0, 256, noise[CONTEXT:].shape)
        rate = count / fastest(lambda clip=clip, noise=noise: track(clip, CONTEXT, noise), options.repeats)
        print(f"  {'noise':8s}{rate:7.0f} frames/s, {rates['open'] / rate:.1f} x slower than balls")


if __name__ == "__main__":
    main()
