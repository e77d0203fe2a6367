"""Measures whether videos that begin with the one conditioning image, or after it, are told apart.

    python benchmarks/alignment.py [--clips 14] [--only WORD]

The first 0.8 s of ground truth are written as videos, with the image in front and without, at other rates, sizes, fits
and codecs, and are read back as `videos:DIR`. A line a configuration: what was decided in either case (videos that
tell), the mean lead in steps, and the log of the likelihood ratio (taken from 6.9 on).
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from physbench.clips.clip import Row
from physbench.clips.conditioning import Asked, Fit
from physbench.clips.export import export
from physbench.clips.generate import frame_times, make_scene
from physbench.clips.suite import Suite, find_suite
from physbench.clips.video import FFV1, Codec, encode
from physbench.models.videos.adapter import export_folders, open_target
from physbench.models.videos.model import RecordedVideos
from physbench.models.videos.start import StartDecision, decide_start
from physbench.world.bullet import simulate
from physbench.world.drawing import render
from physbench.world.scene import RenderSpec

SECONDS = 0.8  # of each video
SIDE = 128  # px of the export

Frames = NDArray[np.uint8]
H264_18 = Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": "18"})
H264_28 = Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": "28"})
VP9 = Codec(".webm", "webm", "libvpx-vp9", "yuv420p", {"crf": "32", "b": "0", "cpu-used": "8", "deadline": "realtime"})
MJPEG = Codec(".avi", "avi", "mjpeg", "yuvj420p")
GIF_FIXED = Codec(".gif", "gif", "gif", "rgb8")  # 256 fixed colours, the worst there is
GIF = "gif of Pillow"  # a palette a frame, as most programs write it


@dataclass(frozen=True)
class Configuration:
    """How videos are made from ground truth."""

    name: str
    fps: float = 24.0
    size: tuple[int, int] = (SIDE, SIDE)  # (width, height) px
    fit: Fit | None = None
    codec: Codec | str = H264_18
    change: Callable[[Frames], Frames] = lambda frames: frames  # of the video, the image first where it is in front
    slow: float = 1.0  # of the true speed
    first: float = 1.0  # by how much of a step the first new frame is ahead of the image


def redrawn(frames: Frames) -> Frames:
    """The first frame drawn anew: noise of 3 levels and all colours 5 levels off."""
    noise = np.random.default_rng(0).normal(0, 3, frames[0].shape) + np.array([5.0, -5.0, 5.0])
    first = np.clip(np.rint(frames[0] + noise), 0, 255).astype(np.uint8)
    return np.concatenate([first[None], frames[1:]])


def shifted(frames: Frames) -> Frames:
    """All frames 5 levels off, with noise of 3 levels."""
    noise = np.random.default_rng(0).normal(0, 3, frames.shape) + np.array([5.0, -5.0, 5.0])
    return np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8)


def brighter(frames: Frames) -> Frames:
    return np.clip(np.rint(frames * 1.15 + 8), 0, 255).astype(np.uint8)


def flickering(frames: Frames) -> Frames:
    """Each frame has a brightness of its own, up to 10 % off."""
    gain = np.random.default_rng(1).uniform(0.9, 1.1, (len(frames), 1, 1, 1))
    return np.clip(np.rint(frames * gain), 0, 255).astype(np.uint8)


def backwards(frames: Frames) -> Frames:
    return frames[::-1]


def cut(frames: Frames) -> Frames:
    """Without the first two frames."""
    return frames[2:]


def noise(frames: Frames) -> Frames:
    return np.random.default_rng(2).integers(0, 256, frames.shape, dtype=np.uint8)


BASE = Configuration("H.264 crf 18, 24 frames/s, same size")
CONFIGURATIONS = (
    BASE,
    replace(BASE, name="lossless (FFV1)", codec=FFV1),
    replace(BASE, name="16 frames/s", fps=16.0),
    replace(BASE, name="30 frames/s", fps=30.0),
    replace(BASE, name="8 frames/s", fps=8.0),
    replace(BASE, name="half size", size=(64, 64)),
    replace(BASE, name="double size", size=(256, 256)),
    replace(BASE, name="stretch to 208x120", size=(208, 120), fit="stretch"),
    replace(BASE, name="contain in 208x120", size=(208, 120), fit="contain"),
    replace(BASE, name="cover 208x120", size=(208, 120), fit="cover"),
    replace(BASE, name="stretch to 104x60, 16 frames/s", size=(104, 60), fit="stretch", fps=16.0),
    replace(BASE, name="H.264 crf 28", codec=H264_28),
    replace(BASE, name="H.264 crf 28, half size, 16 frames/s", codec=H264_28, size=(64, 64), fps=16.0),
    replace(BASE, name="H.264 crf 28, half size, 30 frames/s", codec=H264_28, size=(64, 64), fps=30.0),
    replace(BASE, name="VP9 crf 32", codec=VP9),
    replace(BASE, name="VP9 crf 32, double size, 16 frames/s", codec=VP9, size=(256, 256), fps=16.0),
    replace(BASE, name="MJPEG", codec=MJPEG),
    replace(BASE, name="MJPEG, half size, 30 frames/s", codec=MJPEG, size=(64, 64), fps=30.0),
    replace(BASE, name="GIF, a palette a frame", codec=GIF),
    replace(BASE, name="GIF, 256 fixed colours", codec=GIF_FIXED),
    replace(BASE, name="GIF, a palette a frame, half size, 16 frames/s", codec=GIF, size=(64, 64), fps=16.0),
    replace(BASE, name="first frame redrawn: noise of 3, colours 5 levels off", change=redrawn),
    replace(BASE, name="the same, 16 frames/s, half size", change=redrawn, fps=16.0, size=(64, 64)),
    replace(BASE, name="all frames: noise of 3, colours 5 levels off", change=shifted),
    replace(BASE, name="brightness x 1.15 + 8", change=brighter),
    replace(BASE, name="brightness flickers by 10 %", change=flickering),
    replace(BASE, name="half as fast", slow=0.5),
    replace(BASE, name="a fifth as fast", slow=0.2),
    replace(BASE, name="a fifth as fast, half size, crf 28", slow=0.2, size=(64, 64), codec=H264_28),
    replace(BASE, name="standing still", slow=0.0),
    replace(BASE, name="first step 0.5 of the next", first=0.5),
    replace(BASE, name="first step 0.3 of the next", first=0.3),
    replace(BASE, name="first step 0.2 of the next", first=0.2),
    replace(BASE, name="first step 0.1 of the next", first=0.1),
    replace(BASE, name="first step 0.02 of the next", first=0.02),
    replace(BASE, name="cut: the first two frames", change=cut),
    replace(BASE, name="backwards", change=backwards),
    replace(BASE, name="noise and nothing else", change=noise),
)


@cache
def truth(row: Row, fps: float, slow: float, first: float) -> Frames:
    """Ground truth from time 0 on (T, SIDE, SIDE, 3), slowed down, its first step changed."""
    scene, spec = make_scene(row), RenderSpec(SIDE, SIDE, fps)
    count = round(SECONDS * fps)
    steps = np.concatenate([[0.0], np.arange(count) + first]) * slow / fps
    earlier = frame_times(scene, spec)
    times = np.unique(np.rint(np.concatenate([earlier[earlier <= 0], steps]) * 1200)) / 1200
    states = simulate(scene, times).states
    shown = [int(np.abs(times - step).argmin()) for step in steps]
    unique, back = np.unique(shown, return_inverse=True)
    frames: Frames = render(scene, times[unique], states[unique], spec).frames[back]
    return frames


def fitted(frame: Frames, size: tuple[int, int], fit: Fit | None) -> Frames:
    """What a model with pictures of another size or shape does, by another library (Pillow)."""
    picture, (width, height) = Image.fromarray(frame), size
    if picture.size == size:
        return frame
    if fit in (None, "stretch"):
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    scales = width / picture.width, height / picture.height
    scale = min(scales) if fit == "contain" else max(scales)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", size)
    canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return np.asarray(canvas)


def write(folder: Path, name: str, frames: Frames, configuration: Configuration) -> None:
    """One video."""
    if isinstance(configuration.codec, Codec):
        encode(folder / f"{name}{configuration.codec.suffix}", frames, configuration.fps, configuration.codec)
        return
    pictures, file = [Image.fromarray(frame) for frame in frames], io.BytesIO()
    pictures[0].save(
        file, "gif", save_all=True, append_images=pictures[1:], duration=round(100 / configuration.fps) * 10
    )
    (folder / f"{name}.gif").write_bytes(file.getvalue())


def decide(cond: Path, asked: Asked, configuration: Configuration, with_image: bool) -> StartDecision:
    """Write the videos of a configuration as answers to an export, and read them back."""
    answers = cond / "answers"
    for clip in asked.clips:
        frames = truth(clip.row, configuration.fps, configuration.slow, configuration.first)
        fit = np.stack([fitted(frame, configuration.size, configuration.fit) for frame in frames[not with_image :]])
        write(answers, clip.id, configuration.change(fit), configuration)
    target = f"videos:{answers}"
    arguments = {"fit": configuration.fit} if configuration.fit else {}
    model = RecordedVideos(*open_target(target, arguments), export_folders(answers, arguments))
    decision = decide_start(model.first_steps())
    for path in answers.iterdir():
        if path.name != "answer.json":
            path.unlink()
    return decision


def table(
    configurations: tuple[Configuration, ...], clips: int, cond: Path
) -> Iterator[tuple[str, list[StartDecision]]]:
    """(name, decision with the image in front, decision without) of each configuration."""
    suite = find_suite("smoke")
    tasks = list(suite.tasks)
    rows = tuple(Row(tasks[k % len(tasks)], "test", k // len(tasks)) for k in range(clips))
    asked = export(Suite("smoke", 1, rows, partial=True), RenderSpec(SIDE, SIDE, 24.0), 1, cond)
    for configuration in configurations:
        yield configuration.name, [decide(cond, asked, configuration, with_image) for with_image in (True, False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=14)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    cond = Path(tempfile.mkdtemp()) / "cond"
    wanted = tuple(each for each in CONFIGURATIONS if chosen.only in each.name)
    print("| videos | begin with the image: read as | lead | log ratio | begin after it: read as | lead | log ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, decisions in table(wanted, chosen.clips, cond):
        cells = [
            f"{d.reading} ({len(d.telling)}) | {d.lead:.2f} ± {d.error:.2f} | {d.log_ratio:+.0f}" for d in decisions
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    shutil.rmtree(cond.parent)


if __name__ == "__main__":
    main()
