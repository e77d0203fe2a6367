"""Pictures of a task: a contact sheet, and a small animation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.task import Task
from physbench.clips.video import Codec, encode
from physbench.support.progress import Progress
from physbench.world.camera import stopped
from physbench.world.scene import FAR, PLAIN, RenderSpec
from physbench.world.styles.catalogue import draw, draw_still
from physbench.world.styles.look_options import requested_effects
from physbench.world.styles.prompt import side_seen

SHEET_SIZE, SHEET_FPS = 192, 20.0  # px and frames/s of the pictures on the sheet
WITH_EFFECTS = 2  # times as large are pictures with blur or noise that was asked for: a few px and levels
TIMES_BEFORE = (-1.0, -0.5, 0.0)  # s, columns before the hand-over
EXPOSURE_STEP = 0.2  # s between the exposures of the last column
TEXT_COLOUR, FAINT_COLOUR, ACCENT = "#1d2129", "#7b828e", "#c8451b"

# Inches: a picture, the gaps, the labels at the left, the title, the times, the foot.
TILE, GAP, WIDE_GAP, LEFT, TITLE, HEADS, FOOT, SHEET_EDGE = 1.28, 0.07, 0.24, 1.95, 0.72, 0.30, 0.30, 0.28


def make_clips(task: Task, split: Split, seeds: Sequence[int], spec: RenderSpec) -> list[Clip]:
    """Make the clips with these seeds, in their order, with a progress bar."""
    clips = []
    with Progress("clips", len(seeds)) as progress:
        for seed in seeds:
            clips.append(make_clip(Row(task.id, split, seed), spec))
            progress.advance()
    return clips


def usual_size(size: int, look: str) -> int:
    """Side in px of pictures that are usually of a size, in a look."""
    return WITH_EFFECTS * size if requested_effects(look) else size


def drawn_as(look: str, view: str) -> list[str]:
    """Words for what is not the plain look and the far view."""
    return [f"look {look}"] * (look != PLAIN) + [f"view {view}"] * (view != FAR)


USUAL_CLIPS = 4  # of a preview


def default_name(
    task: str, split: Split, seed: int, look: str, view: str, clips: int = USUAL_CLIPS, size: int | None = None
) -> str:
    """Name of the file of a preview: each first seed, number of clips, size in px, look and view has its own."""
    ends = [f"seed-{seed}"] * (seed > 0) + [f"clips-{clips}"] * (clips != USUAL_CLIPS)
    ends += [] if size is None else [f"size-{size}"]
    ends += [re.sub(r"[^\w.-]+", "-", word) for word, usual in ((look, PLAIN), (view, FAR)) if word != usual]
    return "-".join(["preview", task, split, *ends]) + ".png"


def preview(
    task: Task,
    split: Split,
    seeds: Sequence[int],
    path: Path,
    look: str = PLAIN,
    view: str = FAR,
    size: int | None = None,
) -> None:
    """Write the clips with these seeds as the suffix of `path` says: .png, a contact sheet, or one of SUFFIXES.

    size: px of a picture; None: the usual one.
    """
    sheet = path.suffix.lower() == ".png"
    side, fps = (SHEET_SIZE, SHEET_FPS) if sheet else (CLIP_SIZE, CLIP_FPS)
    clips = make_clips(task, split, seeds, render_spec(size or usual_size(side, look), fps, look, view))
    path.parent.mkdir(parents=True, exist_ok=True)
    if sheet:
        draw_sheet(task, clips).savefig(path, dpi=150, facecolor="white")
    else:
        write(path, tile(clips))


def column_times(horizon: float) -> list[float]:
    """Times in s of the columns: closer together soon after the hand-over, where most happens."""
    columns_after = 6  # columns after it
    later = [horizon * ((k + 1) / columns_after) ** 1.4 for k in range(columns_after)]
    return [*TIMES_BEFORE, *(round(time * SHEET_FPS) / SHEET_FPS for time in later)]


def multiple_exposure(clip: Clip) -> NDArray[np.uint8]:
    """All of the prediction in one picture (H, W, 3) of a camera at rest: older exposures fade.

    One that moves stands where the last frame is taken. A later exposure covers earlier ones, but its shadows cover no
    body: bodies are where the plain look, which has no shadows, differs from its ground.
    """
    later = np.arange(clip.handover, len(clip.times), round(EXPOSURE_STEP * clip.spec.fps))
    frames, ground = _exposures(clip, later, clip.spec)
    moved = bodies = _moved(frames, ground)
    if clip.spec.look != PLAIN:
        bodies = _moved(*_exposures(clip, later, replace(clip.spec, look=PLAIN)))
    picture, covered = ground, np.zeros_like(bodies[0])
    for k, (frame, changed, body) in enumerate(zip(frames, moved, bodies, strict=True)):
        weight = np.float32(0.25 + 0.75 * ((k + 1) / len(frames)) ** 1.5)
        picture = np.where(changed & (body | ~covered), picture + weight * (frame - picture), picture)
        covered |= body
    exposed: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return exposed


def _exposures(
    clip: Clip, later: NDArray[np.int64], spec: RenderSpec
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Frames (K, H, W, 3) of a clip before a camera at rest, as `spec` draws them, and the picture (H, W, 3) without
    what moves."""
    scene, times, states = clip.scene, clip.times[later], clip.states[later]
    if scene.camera.path:
        scene = replace(scene, camera=stopped(scene.camera, float(clip.times[-1])))
        stay = (body.role == "fixed" and body.until is None for body in scene.bodies)
        bare = tuple(replace(body, drawn=body.drawn and own) for body, own in zip(scene.bodies, stay, strict=True))
        ground = draw(replace(scene, bodies=bare), times[-1:], states[-1:], spec).frames[0]
        frames = draw(scene, times, states, spec).frames
    else:
        ground = draw_still(scene, spec, hueless=False)
        frames = clip.frames[later] if spec == clip.spec else draw(scene, times, states, spec).frames
    return frames.astype(np.float32), ground.astype(np.float32)


def _moved(frames: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(K, H, W, 1): where frames (K, H, W, 3) differ from the ground by more than noise."""
    return np.asarray(np.abs(frames - ground).max(axis=-1, keepdims=True) > 10)


def first_sentence(task: Task, clip: Clip) -> str:
    """First sentence of a task's docstring, with the camera of the clip where that looks aslant."""
    sentence, camera = (task.__doc__ or "").strip().splitlines()[0], clip.scene.camera
    return sentence.replace("seen from straight above", side_seen(camera)) if camera.tilt else sentence


def draw_sheet(task: Task, clips: Sequence[Clip]) -> Any:
    """The matplotlib figure with one row per clip."""
    from matplotlib.figure import Figure

    times = column_times(clips[0].scene.horizon)
    side = TILE * max(1.0, clips[0].spec.height / SHEET_SIZE)  # a pixel of the clip is one of the sheet, or larger
    columns = [LEFT + k * (side + GAP) + (WIDE_GAP if k >= len(TIMES_BEFORE) else 0) for k in range(len(times))]
    columns.append(columns[-1] + side + GAP + WIDE_GAP)
    width = columns[-1] + side + SHEET_EDGE
    height = TITLE + HEADS + len(clips) * (side + GAP) + FOOT
    figure = Figure(figsize=(width, height))

    def say(x: float, y: float, text: str, **style: Any) -> None:
        """Write at x, y inches from the top left."""
        figure.text(x / width, 1 - y / height, text, **{"color": TEXT_COLOUR, "va": "baseline", **style})

    drawn = drawn_as(clips[0].spec.look, clips[0].spec.view)
    say(SHEET_EDGE, 0.40, ", ".join([task.id, *drawn]), fontsize=15, fontweight="bold")
    say(SHEET_EDGE, 0.64, first_sentence(task, clips[0]), fontsize=10, color=FAINT_COLOUR)
    for x, time in zip(columns, times, strict=False):
        label = "hand-over" if time == 0 else f"{time:+.2f}".rstrip("0").rstrip(".").replace("-", "−") + " s"
        colour, weight = (ACCENT, "bold") if time == 0 else (FAINT_COLOUR if time < 0 else TEXT_COLOUR, "normal")
        say(x + side / 2, TITLE + HEADS - 0.08, label, fontsize=9, ha="center", color=colour, fontweight=weight)
    say(columns[-1] + side / 2, TITLE + HEADS - 0.08, f"0 to {times[-1]:g} s", fontsize=9, ha="center")

    for i, clip in enumerate(clips):
        top = TITLE + HEADS + i * (side + GAP)
        say(SHEET_EDGE, top + 0.16, f"{clip.row.split} {clip.row.seed}", fontsize=10, fontweight="bold")
        for j, line in enumerate(_drawn(task, clip.row)):
            say(SHEET_EDGE, top + 0.34 + 0.145 * j, line, fontsize=7, color=FAINT_COLOUR)
        pictures = [clip.frames[int(np.argmin(np.abs(clip.times - time)))] for time in times]
        for x, picture in zip(columns, [*pictures, multiple_exposure(clip)], strict=True):
            axes = figure.add_axes((x / width, 1 - (top + side) / height, side / width, side / height))
            axes.imshow(picture, interpolation="lanczos", vmin=0, vmax=255)
            axes.set_axis_off()
    between = (columns[len(TIMES_BEFORE)] - (GAP + WIDE_GAP) / 2) / width
    figure.add_artist(_line(between, 1 - (TITLE + 0.08) / height, FOOT / height))
    say(
        SHEET_EDGE,
        height - 0.11,
        "Left of the line: history that a model may see. Right of it: what it has to predict. "
        f"Last column: exposures every {EXPOSURE_STEP:g} s"
        + (", as the camera stands at the end." if clips[0].scene.camera.path else "."),
        fontsize=7.5,
        color=FAINT_COLOUR,
    )
    return figure


def _line(x: float, top: float, bottom: float) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([x, x], [bottom, top], color=ACCENT, linewidth=1.2)


def _drawn(task: Task, row: Row) -> list[str]:
    """The drawn numbers of a clip, without hues, which the pictures show."""
    params = make_params(row)
    shown = [name for name in params if task.parameters[name].kind != "fixed" and not name.startswith("hue")]
    return [f"{name} {params[name]:.3g} {task.parameters[name].unit}".strip() for name in shown[:7]]


# A few clips of a task side by side as one small animation: history under a bar of its own colour, then the rest.

CLIP_SIZE, CLIP_FPS = 160, 15.0  # px of a clip, frames/s
TILE_GAP, TIME_BAR = 4, 4  # px between clips; of the bar that shows the time
SUFFIXES = (".gif", ".webp", ".mp4")  # of animations

Frames = NDArray[np.uint8]


def tile(clips: Sequence[Clip]) -> Frames:
    """Frames (T, H, W, 3) of clips of one length, at most four in a row, from SEEN s before the hand-over on."""
    first = clips[0].handover - round(clips[0].spec.fps)  # 1 s of the history is shown
    count, size = len(clips[0].times) - first, clips[0].spec.height
    columns = min(4, len(clips))
    rows = -(-len(clips) // columns)
    wide, high = columns * (size + TILE_GAP) - TILE_GAP, rows * (size + TIME_BAR + TILE_GAP) - TILE_GAP
    # An even number of pixels: video with halved colours needs it.
    frames = np.full((count, high + high % 2, wide + wide % 2, 3), (255, 255, 255), dtype=np.uint8)  # white
    for k, clip in enumerate(clips):
        top, left = (k // columns) * (size + TIME_BAR + TILE_GAP), (k % columns) * (size + TILE_GAP)
        frames[:, top + TIME_BAR : top + TIME_BAR + size, left : left + size] = clip.frames[first : first + count]
        frames[:, top : top + TIME_BAR, left : left + size] = (222, 225, 230)  # an empty bar
        for t in range(count):
            done = round(size * (t + 1) / count)
            colour = (200, 69, 27) if clip.times[first + t] <= 0 else (29, 33, 41)  # history, future
            frames[t, top : top + TIME_BAR, left : left + done] = colour
    return frames


def write(path: Path, frames: Frames) -> None:
    """Write frames (T, H, W, 3) as .gif, .webp or .mp4; the last one stays for PAUSE s."""
    end_pause = 0.8  # s at the end
    small_h264 = Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": "23", "preset": "medium", "movflags": "+faststart"})
    if path.suffix.lower() == ".mp4":
        still = np.repeat(frames[-1:], round(end_pause * CLIP_FPS), axis=0)
        encode(path, np.concatenate([frames, still]), CLIP_FPS, small_h264)
        return
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    # Hundredths of a second are what a .gif counts in: the steps are rounded so that the whole takes the right time.
    edges = np.rint(np.arange(len(frames) + 1) * 100 / CLIP_FPS) * 10
    durations = np.diff(edges).astype(int).tolist()
    durations[-1] += round(1000 * end_pause)
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
