"""Writes the conditioning of a suite for external models: image, video, prompt and actions of each clip."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import itertools
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench import __version__
from physbench.clips.action_space import CAMERA_POSE, read_action_map
from physbench.clips.clip import Row, action_table, pose_table, pushes_and_poses, velocities_in_prompt
from physbench.clips.conditioning import (
    ANSWER,
    MANIFEST,
    Answer,
    Asked,
    ClipAsked,
    ClipFiles,
    ClipKey,
    ExportKey,
    SuiteAsked,
    key_for,
    key_path,
    sorted_by_id,
    without_key,
)
from physbench.clips.generate import CLIP_PRELOAD, frame_times, make_scene
from physbench.clips.suite import Suite
from physbench.clips.video import FFV1, H264, encode, png
from physbench.support.errors import UsageError
from physbench.support.files import write_bytes
from physbench.support.processes import scheduled
from physbench.world.bullet import simulate
from physbench.world.scene import FAR, HISTORY, MOVING, PLAIN, RenderSpec, Scene, wrong_rate
from physbench.world.styles.catalogue import check_drawn, draw
from physbench.world.styles.prompt import scene_prompt

# The README of an export: what the files are, what to return, and instructions to copy.

README_TITLE = "# Conditioning for physbench"


def readme(asked: Asked, folder: Path) -> str:
    """Markdown for the folder of an export."""
    first = asked.clips[0]
    shown = "1 frame (an image)" if asked.context_frames == 1 else f"{asked.context_frames} frames"
    videos = (
        ""
        if asked.context_frames == 1
        else "| `videos/ID.mp4` | the context as H.264, for whatever reads video |\n"
        "| `videos/ID.mkv` | the same, lossless (FFV1) |\n"
    )
    numbers = (
        "hue of the pushed body as RGB, impulse, velocity or force as the columns say, and pose of a moving camera"
    )
    if asked.action_names is not None:
        numbers = f"actions: {', '.join(asked.action_names)}"
    actions = (
        f"| `actions/ID.csv` | {numbers}; one row a frame, from the first context frame on |\n"
        if any(clip.files.actions for clip in asked.clips)
        else ""
    )
    used = "- `uses_actions`: `true` if the model was given the files in `actions/`.\n" if actions else ""
    camera = "the camera of its prompt" if asked.view == MOVING else "a fixed camera"
    return f"""{README_TITLE}: {asked.suite.name}, {len(asked.clips)} clips

Each clip shows {shown} of {asked.width}x{asked.height} px at {asked.fps:g} frames/s, the last one at time 0.
A model continues it. Nothing in this folder lies after time 0.

| file | what it is |
| --- | --- |
| `images/ID.png` | the frame at time 0, the last one that is known |
{videos}| `prompts/ID.txt` | a description of the scene |
{actions}| `{MANIFEST}` | all of it with sizes, lengths and SHA-256 |
| `answers/{ANSWER}` | goes back with your videos |

## What to hand back

One video per clip, named after it, in `answers/`. Copy this to whoever runs the model:

> For each file `images/ID.png`, continue the scene with {camera} and no cuts, as it would really go on.
> Prompt: `prompts/ID.txt`. Wanted: {lengths(asked)}, at {asked.fps:g} frames/s or any other rate.
> Save it as `answers/ID.mp4`, for example `answers/{first.answer}`. Do not rename, trim, speed up or pick the best.
> .webm, .mkv, .mov, .gif, .avi or a folder `answers/ID/` of numbered PNG files will do as well. Further samples of a
> clip are `ID.s1.mp4`, `ID.s2.mp4` and so on.

Then say in `answers/{ANSWER}`, above the part `asked`, which is to stay as it is:

- `name`: the model's.
- `fit`: if the videos have another shape than {asked.width}x{asked.height}: `"stretch"` (squeezed), `"contain"` (whole
  picture, with bars) or `"cover"` (filled, edges cut off). It is undone before anything is measured.
- `includes_context`: `true` if the videos begin with the conditioning frames, `false` if with the first new one, a
  number if with so many of them; `"auto"` looks at the pictures.
- `fps`: only if the files do not say it (PNG folders) or say it wrongly.
- `track`: `"trained"` if the model was trained on the suite `train`, and `training_clips`, the number of its clips.
{used}
## Score them

    physbench models check {shlex.quote(f"videos:{folder}/answers")}
    physbench eval {shlex.quote(f"videos:{folder}/answers")} {asked.suite.options}

The first lists every missing, extra, short or damaged file. A clip without a good video counts as failed.

Both read `{key_path(folder).name}`, which lies beside this folder and says which clip each name stands for. Keep it
from the model and from whoever runs it: with it, a clip and its future can be made again.
"""


def lengths(asked: Asked) -> str:
    """ "4 s (96 frames)", or "4 to 8 s (96 to 192 frames), as `manifest.json` says for each clip"."""
    pairs = {(clip.seconds, clip.frames) for clip in asked.clips}
    low, high = min(pairs), max(pairs)
    if low == high:
        return f"{low[0]:g} s ({low[1]} frames)"
    return f"{low[0]:g} to {high[0]:g} s ({low[1]} to {high[1]} frames), as `{MANIFEST}` says for each clip"


README = "README.md"
ANSWERS = "answers"  # folder for what comes back
TIME_COLUMNS = ("frame", "time_s")


def check_export(width: int, height: int, fps: float, context: int, look: str = PLAIN, view: str = FAR) -> RenderSpec:
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
    check_drawn(look, view)
    return RenderSpec(height, width, float(fps), look, view)


def export(
    suite: Suite,
    spec: RenderSpec,
    context: int,
    folder: Path,
    *,
    tasks: str | None = None,
    limit: int | None = None,
    actions: str | None = None,
    workers: int = 1,
    done: Callable[[], None] = lambda: None,
) -> Asked:
    """Write the conditioning of every clip of a suite into `folder`; `done` is called after each clip.

    `tasks` and `limit` are those that the suite was chosen with, for the instructions how to evaluate. `actions` is a
    file of `--actions`, which puts the actions of each clip, also of one without, into a model's own.
    The manifest comes last, so that an export that was interrupted has none, and is made again by the same command.
    Names and order say nothing of tasks and seeds: the key, beside the folder, does (see `ExportKey`). What is
    returned holds both.
    """
    names = None if actions is None else read_action_map(actions).space.names
    _refuse_foreign(folder)
    key = key_for(folder)
    (folder / ANSWERS).mkdir(parents=True, exist_ok=True)
    write_bytes(key_path(folder), _json(key.model_dump(mode="json")))
    clips = []
    export = functools.partial(_export_clip, folder, spec, context, key, actions)
    with scheduled(export, suite.rows, workers=workers, preload=CLIP_PRELOAD) as exported:
        for clip in exported:
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
        view=spec.view,
        context_frames=context,
        action_names=names,
        clips=golden,
    )
    asked = sorted_by_id(asked)
    held = {clip.id: ClipKey(**{name: getattr(clip, name) for name in ClipKey.model_fields}) for clip in asked.clips}
    write_bytes(key_path(folder), _json(key.model_copy(update={"clips": held}).model_dump(mode="json")))
    write_bytes(folder / README, readme(asked, folder).encode())
    write_bytes(folder / ANSWERS / ANSWER, _json(without_key(Answer(asked=asked).model_dump(mode="json"))))
    write_bytes(folder / MANIFEST, _json(without_key(asked.model_dump(mode="json"))))
    return asked


def _refuse_foreign(folder: Path) -> None:
    """Raise UsageError where the folder holds anything but an interrupted export."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: '{folder}' is a file. Name a folder, which is made if it does not exist.")
    if (folder / MANIFEST).exists():
        raise UsageError(f"--out: {folder} holds an export already. Name another folder, or remove it.")
    export_folders = ("images", "videos", "prompts", "actions", ANSWERS)
    kept = (*export_folders, README) if _ours(folder / README) else export_folders
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in kept) if folder.exists() else []
    if others:
        raise UsageError(f"--out: {folder} is not empty ('{others[0]}'). Name a folder of its own.")


def _ours(readme: Path) -> bool:
    """True if it is the README of an export."""
    try:
        return readme.read_bytes().startswith(README_TITLE.encode())
    except OSError:
        return False


def _export_clip(
    folder: Path, spec: RenderSpec, context: int, key: ExportKey, actions: str | None, row: Row
) -> ClipAsked:
    """In a worker: the files of one clip."""
    name = key.id(row)
    scene = make_scene(row, spec.view)
    times = frame_times(scene, spec)
    handover = int(np.argmin(np.abs(times)))
    start = handover + 1 - context
    states = simulate(scene, times[start : handover + 1]).states  # nothing after the hand-over is simulated or drawn
    frames = draw(scene, times[start : handover + 1], states, spec).frames
    prompt = scene_prompt(scene, spec.look, velocities_in_prompt(row, scene, states[-1]))
    files = {"image": f"images/{name}.png", "prompt": f"prompts/{name}.txt"}
    write_bytes(folder / files["image"], png(frames[-1]))
    write_bytes(folder / files["prompt"], prompt.encode() + b"\n")
    if context > 1:
        for kind, codec in (("video", H264), ("video_lossless", FFV1)):
            files[kind] = f"videos/{name}{codec.suffix}"
            encode(folder / files[kind], frames, spec.fps, codec)
    pushes, poses = action_table(scene, times, start), pose_table(scene, times[start:])
    parts: list[tuple[Sequence[str], NDArray[np.float32]]] = [] if pushes is None else [(push_columns(scene), pushes)]
    parts += [(CAMERA_POSE.names, poses)] if scene.camera.path else []
    if actions is not None:
        mapped = read_action_map(actions)
        parts = [(mapped.space.names, mapped.table(pushes_and_poses(pushes, poses)[None], spec.fps)[0])]
    if parts:
        files["actions"] = f"actions/{name}.csv"
        columns = [*TIME_COLUMNS, *itertools.chain.from_iterable(names for names, _ in parts)]
        write_bytes(
            folder / files["actions"], _table(np.concatenate([part for _, part in parts], 1), times[start:], columns)
        )
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


def push_columns(scene: Scene) -> tuple[str, ...]:
    """Names of the numbers of a push, of a command of a motor or of a thruster."""
    what = "force_{}_N" if scene.thrusts else "velocity_{}_m_s" if scene.drives else "impulse_{}_Ns"
    hue_columns = ("red", "green", "blue")
    return (*hue_columns, *(what.format(axis) for axis in "xyz"))


def _table(actions: NDArray[np.float32], times: NDArray[np.float64], columns: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for number, (time, values) in enumerate(zip(times, actions.tolist(), strict=True)):
        writer.writerow([number, f"{time:.6f}", *(f"{value:.6g}" for value in values)])
    return text.getvalue().encode()


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
