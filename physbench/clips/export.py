"""Writes the conditioning of a suite for external models: image, video, prompt and actions of each clip, no future."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench import __version__
from physbench.clips import export_readme
from physbench.clips.clip import Row, action_table, told_of
from physbench.clips.conditioning import ANSWER, MANIFEST, Answer, Asked, ClipAsked, ClipFiles, SuiteAsked
from physbench.clips.encode import FFV1, H264, encode
from physbench.clips.export_key import ClipKey, ExportKey, key_for, key_path, sorted_by_id, without_key
from physbench.clips.generate import CLIP_PRELOAD, frame_times, make_scene
from physbench.clips.suite import Suite
from physbench.errors import UsageError
from physbench.looks.known_looks import check_look
from physbench.looks.scene_prompt import scene_prompt
from physbench.storage.atomic_write import atomic_path
from physbench.worker_pool import ordered, worker_pool
from physbench.world.frame_rates import wrong_rate
from physbench.world.scene import HISTORY, PLAIN, RenderSpec

README = "README.md"
ANSWERS = "answers"  # folder for what comes back
EXPORT_FOLDERS = ("images", "videos", "prompts", "actions", ANSWERS)
ACTION_COLUMNS = ("frame", "time_s", "red", "green", "blue", "impulse_x_Ns", "impulse_y_Ns", "impulse_z_Ns")


def check_export(width: int, height: int, fps: float, context: int, look: str = PLAIN) -> RenderSpec:
    """The render spec of an export, or UsageError with values that work."""
    if not 32 <= min(width, height) <= max(width, height) <= 2048:
        raise UsageError(f"--size: expected 32 to 2048 px a side, got {width}x{height}.")
    if width % 2 or height % 2:
        raise UsageError(f"--size: H.264 wants even sides, got {width}x{height}. Use {width & ~1}x{height & ~1}.")
    if wrong := wrong_rate(fps):
        raise UsageError(f"--fps: {wrong}")
    most = int(HISTORY * fps + 1e-9) + 1
    if not 1 <= context <= most:
        raise UsageError(f"--context: expected 1 to {most} frames ({HISTORY:g} s at {fps:g} frames/s), got {context}.")
    return RenderSpec(height, width, float(fps), check_look(look))


def export(
    suite: Suite,
    spec: RenderSpec,
    context: int,
    folder: Path,
    *,
    tasks: str | None = None,
    limit: int | None = None,
    workers: int = 1,
    done: Callable[[], None] = lambda: None,
) -> Asked:
    """Write the conditioning of every clip of a suite into `folder`; `done` is called after each clip.

    `tasks` and `limit` are those that the suite was chosen with, for the instructions how to evaluate.
    The manifest comes last, so that an export that was interrupted has none, and is made again by the same command.
    Names and order say nothing of tasks and seeds: the key, beside the folder, does (see `export_key`). What is
    returned holds both.
    """
    _refuse_foreign(folder)
    key = key_for(folder)
    (folder / ANSWERS).mkdir(parents=True, exist_ok=True)
    _write(key_path(folder), _json(key.model_dump(mode="json")))
    clips = []
    with worker_pool(workers, len(suite.rows), CLIP_PRELOAD) as pool:
        for clip in ordered(pool, functools.partial(_export_clip, folder, spec, context, key), suite.rows):
            clips.append(clip)
            done()
    golden = tuple(
        clip.model_copy(update={"state_hash": suite.state_hash(row)})
        for clip, row in zip(clips, suite.rows, strict=True)
    )
    asked = Asked(
        physbench_version=__version__,
        suite=SuiteAsked(
            name=suite.name,
            version=suite.version,
            hash=suite.hash,
            partial=suite.partial,
            tasks=tasks,
            limit=limit,
        ),
        width=spec.width,
        height=spec.height,
        fps=spec.fps,
        look=spec.look,
        context_frames=context,
        clips=golden,
    )
    asked = sorted_by_id(asked)
    held = {clip.id: ClipKey(**{name: getattr(clip, name) for name in ClipKey.model_fields}) for clip in asked.clips}
    _write(key_path(folder), _json(key.model_copy(update={"clips": held}).model_dump(mode="json")))
    _write(folder / README, export_readme.readme(asked, folder).encode())
    _write(folder / ANSWERS / ANSWER, _json(without_key(Answer(asked=asked).model_dump(mode="json"))))
    _write(folder / MANIFEST, _json(without_key(asked.model_dump(mode="json"))))
    return asked


def _refuse_foreign(folder: Path) -> None:
    """Raise UsageError where the folder holds anything but an interrupted export."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: '{folder}' is a file. Name a folder, which is made if it does not exist.")
    if (folder / MANIFEST).exists():
        raise UsageError(f"--out: {folder} holds an export already. Name another folder, or remove it.")
    kept = (*EXPORT_FOLDERS, README) if _ours(folder / README) else EXPORT_FOLDERS
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in kept) if folder.exists() else []
    if others:
        raise UsageError(f"--out: {folder} is not empty ('{others[0]}'). Name a folder of its own.")


def _ours(readme: Path) -> bool:
    """Whether it is the README of an export."""
    try:
        return readme.read_bytes().startswith(export_readme.README_TITLE.encode())
    except OSError:
        return False


def _export_clip(folder: Path, spec: RenderSpec, context: int, key: ExportKey, row: Row) -> ClipAsked:
    """In a worker: the files of one clip."""
    from physbench.looks.known_looks import draw
    from physbench.world.stepping import simulate

    name = key.id(row)
    scene = make_scene(row)
    times = frame_times(scene, spec)
    handover = int(np.argmin(np.abs(times)))
    start = handover + 1 - context
    states = simulate(scene, times[start : handover + 1]).states  # nothing after the hand-over is simulated or drawn
    frames = draw(scene, times[start : handover + 1], states, spec).frames
    prompt = scene_prompt(scene, spec.look, told_of(row, scene, states[-1]))
    files = {"image": f"images/{name}.png", "prompt": f"prompts/{name}.txt"}
    _write(folder / files["image"], png(frames[-1]))
    _write(folder / files["prompt"], prompt.encode() + b"\n")
    if context > 1:
        for kind, codec in (("video", H264), ("video_lossless", FFV1)):
            files[kind] = f"videos/{name}{codec.suffix}"
            encode(folder / files[kind], frames, spec.fps, codec)
    actions = action_table(scene, times, start)
    if actions is not None:
        files["actions"] = f"actions/{name}.csv"
        _write(folder / files["actions"], _table(actions, times[start:]))
    return ClipAsked(
        id=name,
        task=row.task,
        split=row.split,
        seed=row.seed,
        change=row.change,
        state_hash="",
        prompt=prompt,
        answer=f"{name}.mp4",
        seconds=scene.horizon,
        frames=len(times) - 1 - handover,
        files=ClipFiles(**files),
        sha256={kind: hashlib.sha256((folder / path).read_bytes()).hexdigest() for kind, path in files.items()},
    )


def png(frame: NDArray[np.uint8]) -> bytes:
    """A frame (H, W, 3) as the content of a PNG file."""
    import av

    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt = frame.shape[0], frame.shape[1], "rgb24"
    encoder.time_base = Fraction(1)
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def _table(actions: NDArray[np.float32], times: NDArray[np.float64]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ACTION_COLUMNS)
    for number, (time, values) in enumerate(zip(times, actions.tolist(), strict=True)):
        writer.writerow([number, f"{time:.6f}", *(f"{value:.6g}" for value in values)])
    return text.getvalue().encode()


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as draft:
        draft.write_bytes(content)
