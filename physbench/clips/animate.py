"""A few clips of a task side by side as one small animation: history under a bar of its own colour, then the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Split
from physbench.clips.encode import Codec, encode
from physbench.clips.generate import render_spec
from physbench.clips.preview import make_clips
from physbench.clips.task import Task
from physbench.world.scene import PLAIN

CLIP_SIZE, CLIP_FPS = 160, 15.0  # px of a clip, frames/s
SHOWN_HISTORY = 1.0  # s of the history that are shown
TILE_GAP, TIME_BAR = 4, 4  # px between clips; of the bar that shows the time
END_PAUSE = 0.8  # s at the end
BLANK, BAR_EMPTY, BAR_HISTORY, BAR_FUTURE = (255, 255, 255), (222, 225, 230), (200, 69, 27), (29, 33, 41)
SUFFIXES = (".gif", ".webp", ".mp4")
SMALL_H264 = Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": "23", "preset": "medium", "movflags": "+faststart"})

Frames = NDArray[np.uint8]


def animate(task: Task, split: Split, seeds: Sequence[int], path: Path, look: str = PLAIN) -> None:
    """Write an animation of the clips with these seeds, as the suffix of `path` says: .gif, .webp or .mp4."""
    write(path, tile(make_clips(task, split, seeds, render_spec(CLIP_SIZE, CLIP_FPS, look))))


def tile(clips: Sequence[Clip]) -> Frames:
    """Frames (T, H, W, 3) of clips of one length, at most four in a row, from SEEN s before the hand-over on."""
    first = clips[0].handover - round(SHOWN_HISTORY * clips[0].spec.fps)
    count, size = len(clips[0].times) - first, clips[0].spec.height
    columns = min(4, len(clips))
    rows = -(-len(clips) // columns)
    wide, high = columns * (size + TILE_GAP) - TILE_GAP, rows * (size + TIME_BAR + TILE_GAP) - TILE_GAP
    # An even number of pixels: video with halved colours needs it.
    frames = np.full((count, high + high % 2, wide + wide % 2, 3), BLANK, dtype=np.uint8)
    for k, clip in enumerate(clips):
        top, left = (k // columns) * (size + TIME_BAR + TILE_GAP), (k % columns) * (size + TILE_GAP)
        frames[:, top + TIME_BAR : top + TIME_BAR + size, left : left + size] = clip.frames[first : first + count]
        frames[:, top : top + TIME_BAR, left : left + size] = BAR_EMPTY
        for t in range(count):
            done = round(size * (t + 1) / count)
            colour = BAR_HISTORY if clip.times[first + t] <= 0 else BAR_FUTURE
            frames[t, top : top + TIME_BAR, left : left + done] = colour
    return frames


def write(path: Path, frames: Frames) -> None:
    """Write frames (T, H, W, 3) as .gif, .webp or .mp4; the last one stays for PAUSE s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".mp4":
        still = np.repeat(frames[-1:], round(END_PAUSE * CLIP_FPS), axis=0)
        encode(path, np.concatenate([frames, still]), CLIP_FPS, SMALL_H264)
        return
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    # Hundredths of a second are what a .gif counts in: the steps are rounded so that the whole takes the right time.
    edges = np.rint(np.arange(len(frames) + 1) * 100 / CLIP_FPS) * 10
    durations = np.diff(edges).astype(int).tolist()
    durations[-1] += round(1000 * END_PAUSE)
    if path.suffix.lower() == ".gif":
        # One palette for all frames, without dither, so that what rests stays the same and costs nothing.
        sample = Image.fromarray(np.concatenate(list(frames[:: max(1, len(frames) // 6)]), axis=0))
        # Median cut alone merges the few pixels of a shaded ball with the many of the ground; k-means takes them apart.
        palette = sample.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False)
    else:
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=70, method=4
        )
