"""Clips as long tables, the plan of their files, and the README of an export."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from physbench import __version__
from physbench.clips.action_space import CAMERA_POSE
from physbench.clips.clip import ACTION_WIDTH, Clip, Row
from physbench.clips.generate import frame_times, make_params, make_scene
from physbench.clips.store import clip_key
from physbench.clips.suite import Suite
from physbench.clips.task import find_task
from physbench.clips.video import H264, H264_RGB, Codec
from physbench.support.errors import UsageError, nearest
from physbench.support.files import atomic_path
from physbench.world.camera import homographies
from physbench.world.scene import RenderSpec, hue_name
from physbench.world.styles.prompt import scene_prompt

# What an export of clips as a data set holds: which clips, in which files, with which settings.

DATASET_VERSION = 2  # of the layout of all formats; rises with any change that a reader has to know
CLIPS_PER_FILE = 50  # by default: 1.3 MB of video at 64 px, and work of under a minute that an interruption costs
DATASET_VIDEOS: dict[str, Codec] = {"lossless": H264_RGB, "h264": H264}
# What each format needs beyond what physbench itself installs.
DATASET_NEEDS: dict[str, tuple[str, ...]] = {
    "parquet+video": (),
    "hdf5": ("h5py",),
    "webdataset": ("webdataset",),
    "lerobot": (),
}
WRITERS = ("av", "h5py", "numpy", "pandas", "pyarrow", "webdataset")  # libraries on which bytes may depend
HELD_OUT = (
    "A model that has seen them must not be submitted to a board: its card says track=trained only of what learned "
    "from train alone."
)


@dataclass(frozen=True)
class DatasetSettings:
    """Settings that decide every file of an export, besides its clips."""

    format: str  # of DATASET_NEEDS
    video: str  # of DATASET_VIDEOS
    spec: RenderSpec
    bodies: int  # the most that a clip of the export has
    words: int  # bytes of the longest prompt or name of a task

    @property
    def codec(self) -> Codec:
        return DATASET_VIDEOS[self.video]


@dataclass(frozen=True)
class Place:
    """A clip and where it stands in the export."""

    index: int  # of the clip
    row: Row
    first_frame: int  # number of frames before it in the export
    frames: int
    prompt: int  # index of its prompt among the different ones


@dataclass(frozen=True)
class Part:
    """Clips that are written together, by one process, into files of their own."""

    number: int
    places: tuple[Place, ...]
    settings: DatasetSettings

    @property
    def first_frame(self) -> int:
        """Number of frames before it in the export."""
        return self.places[0].first_frame

    @property
    def frames(self) -> int:
        return sum(place.frames for place in self.places)


@dataclass(frozen=True)
class DatasetPlan:
    """A whole export. `key` is what two calls must agree on, so that one may continue the other."""

    parts: tuple[Part, ...]
    settings: DatasetSettings
    prompts: tuple[str, ...]
    splits: dict[str, tuple[int, int]]  # first clip, and the one after the last
    key: dict[str, Any]

    @property
    def clips(self) -> int:
        return sum(len(part.places) for part in self.parts)

    @property
    def frames(self) -> int:
        return sum(part.frames for part in self.parts)


def check_dataset(format_name: str, video: str | None, spec: RenderSpec, suite: Suite, held_out: bool) -> str:
    """Refuse what cannot be exported; return how frames become videos, `lossless` where nothing was asked for.

    Raises:
        UsageError: Unknown format or codec, a library that is missing, a size or rate that the format cannot have, or
            clips that models are judged on, without `held_out`.
    """
    if format_name not in DATASET_NEEDS:
        raise UsageError(f"--format: there is no format '{format_name}'.{nearest(format_name, DATASET_NEEDS)}")
    if video is not None and video not in DATASET_VIDEOS:
        raise UsageError(f"--video: expected lossless or h264, got '{video}'.")
    if format_name == "hdf5" and video == "h264":
        raise UsageError("--video: hdf5 holds frames as they are, compressed without loss. Leave --video out.")
    missing = [name for name in DATASET_NEEDS[format_name] if find_spec(name) is None]
    if missing:
        raise UsageError(f"--format {format_name} needs {' and '.join(missing)}: pip install 'physbench[export]'")
    if video == "h264" and (spec.height % 2 or spec.width % 2):
        even = f"{spec.width & ~1}x{spec.height & ~1}"
        raise UsageError(f"--size: H.264 wants even sides, got {spec.width}x{spec.height}. Use {even}, or no --video.")
    if format_name == "lerobot" and spec.fps != int(spec.fps):
        raise UsageError(f"--fps: LeRobot counts whole frames a second, not {spec.fps:g}.")
    judged = sorted({row.split for row in suite.rows} - {"train"})
    if judged and not held_out:
        raise UsageError(
            f"The suite {suite.name} has clips of {' and '.join(judged)}, which models are judged on: training on them "
            "makes a result worthless. Use --suite train, or, to look at the clips, --held-out."
        )
    return video or "lossless"


def plan_dataset(
    suite: Suite,
    spec: RenderSpec,
    format_name: str,
    *,
    video: str | None = None,
    clips_per_file: int = CLIPS_PER_FILE,
    held_out: bool = False,
    done: Callable[[], None] = lambda: None,
) -> DatasetPlan:
    """Decide what an export holds. Describes every scene once, a few milliseconds each; `done` is called after each.

    Clips are ordered by split and seed, so that every file has clips of all tasks. Raises like `check_dataset`.
    """
    video = check_dataset(format_name, video, spec, suite, held_out)
    most_clips_per_file = 1_000_000
    if not 1 <= clips_per_file <= most_clips_per_file:
        raise UsageError(f"--clips-per-file: expected 1 to {most_clips_per_file:,}, got {clips_per_file}.")
    rows = sorted(suite.rows, key=lambda row: (row.split, row.seed, row.task, row.change))
    places, prompts, bodies, first = [], dict[str, int](), 0, 0
    whole = hashlib.sha256()
    for index, row in enumerate(rows):
        scene = make_scene(row, spec.view)
        frames = len(frame_times(scene, spec))
        prompt = prompts.setdefault(scene_prompt(scene, spec.look), len(prompts))
        places.append(Place(index, row, first, frames, prompt))
        bodies, first = max(bodies, len(scene.bodies)), first + frames
        whole.update(clip_key(row, spec, scene).encode())
        done()
    words = max(len(text.encode()) for text in (*prompts, *suite.tasks))
    settings = DatasetSettings(format_name, video, spec, bodies, words)
    starts = range(0, len(places), clips_per_file)
    names = [str(row.split) for row in rows]
    splits = {name: _span(names, name) for name in sorted({*names})}
    key = {
        "dataset_version": DATASET_VERSION,
        "format": format_name,
        "video": video,
        "suite": suite.name,
        "suite_version": suite.version,
        "splits": {split: list(span) for split, span in splits.items()},
        "height": spec.height,
        "width": spec.width,
        "fps": spec.fps,
        "clips": len(places),
        "frames": first,
        "clips_per_file": clips_per_file,
        "physbench_version": __version__,
        "libraries": {name: version for name in WRITERS if (version := _version(name)) is not None},
        "clips_sha256": whole.hexdigest(),
    }
    parts = tuple(
        Part(number, tuple(places[start : start + clips_per_file]), settings) for number, start in enumerate(starts)
    )
    return DatasetPlan(parts, settings, tuple(prompts), splits, key)


def _span(names: Sequence[str], name: str) -> tuple[int, int]:
    """Range (begin, end) of a name among sorted names."""
    first = names.index(name)
    return first, first + names.count(name)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


# Clips as long tables: one row for each clip, body, contact, parameter, frame, or body in a frame.

STATE_NAMES = ("x", "y", "z", "qx", "qy", "qz", "qw", "vx", "vy", "vz", "wx", "wy", "wz")  # m, -, m/s, rad/s
ACTION_NAMES = ("red", "green", "blue", "impulse_x", "impulse_y", "impulse_z")  # hue of the body; N s
_EPISODE = ("episode_index", pa.int64())
_FRAME = ("frame_index", pa.int32())
SCHEMAS: Mapping[str, pa.Schema] = {
    "episodes": pa.schema(
        [
            _EPISODE,
            ("id", pa.string()),
            ("family", pa.string()),
            ("task", pa.string()),
            ("split", pa.string()),
            ("seed", pa.int64()),
            ("change", pa.string()),
            ("prompt", pa.string()),
            ("fps", pa.float64()),
            ("frames", pa.int32()),
            ("handover", pa.int32()),
            ("file", pa.string()),
            ("file_first_frame", pa.int64()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("camera_view", pa.string()),
            ("camera_center", pa.list_(pa.float64(), 3)),
            ("camera_distance", pa.float64()),
            ("camera_tilt", pa.float64()),
            ("camera_framing", pa.list_(pa.float64())),
            ("pixels_per_metre", pa.float64()),
            ("gravity", pa.list_(pa.float64(), 3)),
        ]
    ),
    "bodies": pa.schema(
        [
            _EPISODE,
            ("body", pa.int32()),
            ("name", pa.string()),
            ("shape", pa.string()),
            ("size", pa.list_(pa.float64())),
            ("role", pa.string()),
            ("hue", pa.string()),
            ("mass", pa.float64()),
            ("restitution", pa.float64()),
            ("friction", pa.float64()),
        ]
    ),
    "contacts": pa.schema([_EPISODE, ("time", pa.float64()), ("a", pa.string()), ("b", pa.string())]),
    "parameters": pa.schema([_EPISODE, ("name", pa.string()), ("value", pa.float64()), ("unit", pa.string())]),
    "steps": pa.schema(
        [
            _EPISODE,
            _FRAME,
            ("time", pa.float64()),
            *((name, pa.float32()) for name in (*ACTION_NAMES, *CAMERA_POSE.names)),
        ]
    ),
    "states": pa.schema(
        [
            _EPISODE,
            _FRAME,
            ("body", pa.int32()),
            *((name, pa.float64()) for name in STATE_NAMES),
            ("visible_area", pa.float32()),
            ("full_area", pa.float32()),
        ]
    ),
}
SMALL_TABLES = ("episodes", "bodies", "contacts", "parameters")  # of every format


def table_path(name: str, number: int) -> str:
    """Path of a part of a table in the folder of an export."""
    return f"tables/{name}/part-{number:05d}.parquet"


@contextmanager
def table_writer(
    folder: Path, part: Part, names: tuple[str, ...], file_of: Callable[[Place], tuple[str, int]]
) -> Iterator[Callable[[Place, Clip], None]]:
    """Yield a function that adds a clip to the tables of a part. They appear whole, or not at all.

    Args:
        folder: Of the export.
        part: Its number names the files.
        names: Of the tables, from SCHEMAS.
        file_of: Where the frames of a clip lie: file, and its first frame there.
    """
    with ExitStack() as stack:
        writers = {}
        for name in names:
            draft = stack.enter_context(atomic_path(folder / table_path(name, part.number)))
            writers[name] = stack.enter_context(pq.ParquetWriter(draft, SCHEMAS[name], compression="zstd"))
        kept: dict[str, list[pa.RecordBatch]] = {name: [] for name in names if name in SMALL_TABLES}

        def add(place: Place, clip: Clip) -> None:
            for name, writer in writers.items():
                batch = pa.RecordBatch.from_pydict(_columns(name, place, clip, file_of), SCHEMAS[name])
                if name in kept:
                    kept[name].append(batch)
                else:
                    writer.write_batch(batch)  # a row group for each clip, which readers can skip

        yield add
        for name, batches in kept.items():
            writers[name].write_table(pa.Table.from_batches(batches, SCHEMAS[name]).combine_chunks())


def actions_of(clip: Clip) -> NDArray[np.float32]:
    """Actions (T, 6), each in the row of the first frame that shows its effect; 0 where nothing is pushed."""
    actions = clip.actions(clip.handover + 1)
    return np.zeros((len(clip.times), ACTION_WIDTH), np.float32) if actions is None else actions


def actions_ahead(clip: Clip) -> NDArray[np.float32]:
    """Actions (T, 6), each in the row of the frame before its effect: what is done there leads to the next frame.

    This is how readers of pairs of observation and action understand a row.
    """
    actions = actions_of(clip)
    return np.concatenate([actions[1:], np.zeros_like(actions[:1])])


def poses_of(clip: Clip) -> NDArray[np.float32]:
    """Poses (T, 6) of the camera in each frame, `CAMERA_POSE`; 0 where it stands still."""
    return clip.camera_poses(clip.handover + 1)


def parameters_of(clip: Clip) -> dict[str, tuple[float, str]]:
    """Value and unit of each parameter that the scene was drawn with."""
    declared = find_task(clip.row.task).parameters
    return {
        name: (float(value), declared[name].unit if name in declared else "")
        for name, value in make_params(clip.row).items()
    }


def body_of(clip: Clip, index: int) -> dict[str, Any]:
    """Properties of a body, in the columns of the table `bodies`."""
    body = clip.scene.bodies[index]
    return {
        "body": index,
        "name": body.name,
        "shape": body.shape,
        "size": list(body.size),
        "role": body.role,
        "hue": None if body.hue is None else hue_name(body.hue),
        "mass": body.mass if body.role == "moving" else None,
        "restitution": body.restitution,
        "friction": body.friction,
    }


def episode_of(place: Place, clip: Clip) -> dict[str, Any]:
    """Properties of a clip as a whole, in the columns of the table `episodes` without its files."""
    row, camera = clip.row, clip.scene.camera
    return {
        "episode_index": place.index,
        "id": clip.id,
        "family": row.family,
        "task": row.task,
        "split": row.split,
        "seed": row.seed,
        "change": row.change,
        "prompt": clip.prompt,
        "fps": clip.spec.fps,
        "frames": len(clip.times),
        "handover": clip.handover,
        "height": clip.spec.height,
        "width": clip.spec.width,
        "camera_view": camera.view,
        "camera_center": list(camera.center),
        "camera_distance": camera.distance,
        "camera_tilt": camera.tilt,
        "camera_framing": homographies(camera, clip.spec, clip.times).ravel().tolist() if camera.path else [],
        "pixels_per_metre": float(clip.pixels_per_metre),
        "gravity": list(clip.scene.gravity),
    }


def _columns(name: str, place: Place, clip: Clip, file_of: Callable[[Place], tuple[str, int]]) -> dict[str, Any]:
    """One clip in the columns of a table."""
    if name == "episodes":
        file, first = file_of(place)
        whole = {**episode_of(place, clip), "file": file, "file_first_frame": first}
        return {column: [value] for column, value in whole.items()}
    if name == "bodies":
        bodies = [body_of(clip, index) for index in range(len(clip.scene.bodies))]
        return {
            "episode_index": [place.index] * len(bodies),
            **{column: [body[column] for body in bodies] for column in SCHEMAS["bodies"].names[1:]},
        }
    if name == "contacts":
        return {
            "episode_index": [place.index] * len(clip.contacts),
            **{column: [getattr(each, column) for each in clip.contacts] for column in ("time", "a", "b")},
        }
    if name == "parameters":
        values = parameters_of(clip)
        return {
            "episode_index": [place.index] * len(values),
            "name": list(values),
            "value": [value for value, _ in values.values()],
            "unit": [unit for _, unit in values.values()],
        }
    steps, bodies_each = clip.states.shape[:2]
    if name == "steps":
        actions, poses = actions_of(clip), poses_of(clip)
        return {
            "episode_index": np.full(steps, place.index),
            "frame_index": np.arange(steps, dtype=np.int32),
            "time": clip.times,
            **{column: np.ascontiguousarray(actions[:, i]) for i, column in enumerate(ACTION_NAMES)},
            **{column: np.ascontiguousarray(poses[:, i]) for i, column in enumerate(CAMERA_POSE.names)},
        }
    states = clip.states.reshape(steps * bodies_each, -1)
    return {
        "episode_index": np.full(len(states), place.index),
        "frame_index": np.repeat(np.arange(steps, dtype=np.int32), bodies_each),
        "body": np.tile(np.arange(bodies_each, dtype=np.int32), steps),
        **{column: np.ascontiguousarray(states[:, i]) for i, column in enumerate(STATE_NAMES)},
        "visible_area": clip.visible_area.ravel(),
        "full_area": clip.full_area.ravel(),
    }


CARD_TABLES = {
    "parquet+video": tuple(SCHEMAS),
    "hdf5": SMALL_TABLES,
    "webdataset": SMALL_TABLES,
    "lerobot": tuple(name for name in SCHEMAS if name != "steps"),
}
# What each column means; those that two tables share mean the same in both.
TABLE_TEXT = {
    "episodes": (
        "one row a clip: `id`, `family`, `task`, `split`, `seed`, `change` (of the task's scene, or empty), `prompt`, "
        "`fps`, `frames`, `handover` (frame at time 0: an evaluated model has seen it and predicts those after it), "
        "`file` with its frames and `file_first_frame` there, `height`, `width` px, `camera_view` (`front`: image "
        "right is x, up is z; `top`: up is y), `camera_center` m (in the middle of the image), "
        "`camera_distance` m (of the eye from there), `camera_tilt` rad (by which it looks down; 0 in the view far), "
        "`camera_framing` (of a camera that moves: nine numbers a frame, the homography from px of the camera at rest "
        "to px of the frame; else empty), "
        "`pixels_per_metre` (at that distance), `gravity` m/s2. In the view far a centre lies at column `width` / 2 + "
        "(x - `camera_center[0]`) `pixels_per_metre` of the image, and upwards alike, to a few hundredths of a px"
    ),
    "bodies": (
        "one row a body: `body` (its index), `name`, `shape`, `size` m (sphere: radius; box: half extents; cylinder: "
        "radius and length), `role` (moving, fixed, kinematic), `hue` (of what can be tracked), `mass` kg (of moving "
        "bodies), `restitution` and `friction` (a pair has the product of both)"
    ),
    "contacts": "one row whenever two bodies begin to touch: `time` s, `a`, `b` (names)",
    "parameters": "one row a parameter that the scene was drawn with: `name`, `value`, `unit`",
    "steps": (
        "one row a frame: `frame_index`, `time` s, and the push: `red`, `green`, `blue` (hue of the pushed body), "
        "`impulse_x`, `impulse_y`, `impulse_z` N s, in the row of the first frame that shows its effect; else 0; and "
        "the pose of the camera in the frame, against that at time 0: `pan_deg`, `tilt_deg`, `roll_deg`, turned to the "
        "right, down and clockwise, `right_m`, `down_m`, `ahead_m`, moved; 0 where it stands still"
    ),
    "states": (
        "one row a body and frame: position `x`, `y`, `z` m, quaternion `qx`, `qy`, `qz`, `qw`, velocity `vx`, `vy`, "
        "`vz` m/s, spin `wx`, `wy`, `wz` rad/s, `visible_area` and `full_area` px (after and without occlusion)"
    ),
}
LOAD = {
    "parquet+video": """\
With PyAV and pandas (`pip install av pandas pyarrow`), which come with physbench:

```python
import av, numpy as np, pandas as pd

episodes = pd.read_parquet("tables/episodes")  # a folder of parts
states = pd.read_parquet("tables/states", filters=[("episode_index", "=", 0)])
with av.open(episodes.file[0]) as video:
    frames = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])  # (T, H, W, 3) uint8
```""",
    "hdf5": """\
With h5py (`pip install 'h5py>=3.16'`):

```python
import h5py

with h5py.File("clips.h5") as file:
    first, length = file["ep_offset"][0], file["ep_len"][0]
    frames = file["pixels"][first : first + length]  # (T, H, W, 3) uint8
    states = file["state"][first : first + length]  # (T, bodies, 13), NaN for bodies that the clip lacks
```

`clips.h5` is the layout of stable-worldmodel (`HDF5Dataset(path="clips.h5", num_steps=16)`): one row a frame, clips one
after the other, `ep_len` and `ep_offset` a clip. Columns: `pixels`, `action`, `camera_pose`, `state`, `visible_area`,
`time` s, `ep_idx`, `step_idx`, `is_first`, `is_last`, `is_terminal` (never true: the motion goes on after a clip),
`prompt`, `task`, `seed`. The `action` of a row is what is done between its frame and the next.""",
    "webdataset": """\
With webdataset and PyAV (`pip install 'webdataset>=1.0.2' av`):

```python
import io, av, numpy as np, webdataset as wds

def frames(key, data):  # (T, H, W, 3) uint8
    if key.endswith("mp4"):
        with av.open(io.BytesIO(data)) as video:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])

shards = "clips-{{000000..{last:06d}}}.tar"
data = wds.WebDataset(shards, shardshuffle=100).shuffle(100).decode(frames).to_tuple("mp4", "npz", "json")
video, arrays, described = next(iter(data))
arrays["states"], described["prompt"]
```

A sample has `.mp4`, `.npz` and `.json` (all that the tables below say of the clip). The arrays are `times` s, `actions`
(T, 6), each in the row of the first frame that shows its effect, `camera_poses` (T, 6), `states` (T, bodies, 13),
`visible_area` px and `full_area` px.""",
    "lerobot": """\
With LeRobot (`pip install 'lerobot>=0.4'`; 0.4.0 is the first that reads this layout, 0.4.4 was tried):

```python
from lerobot.datasets.lerobot_dataset import LeRobotDataset

data = LeRobotDataset("physbench", root=".")
data[0]["observation.image"], data[0]["observation.environment_state"], data[0]["action"], data[0]["task"]
```

The layout is that of LeRobotDataset v3.0. `observation.environment_state` has 13 numbers a body, 0 for bodies that the
clip lacks; `observation.camera_pose` is that of its frame; `task` is the prompt; `timestamp` begins at 0 in each clip.
The `action` of a row is what is done between its frame and the next. The tables hold the states unrounded.""",
}


def dataset_card(plan: DatasetPlan) -> str:
    """The text of README.md, with the header that the Hugging Face Hub reads."""
    key, settings = plan.key, plan.settings
    tasks = Counter(place.row.task for part in plan.parts for place in part.places)
    splits = Counter(place.row.split for part in plan.parts for place in part.places)
    if settings.format == "hdf5":
        exact = "as they were drawn (gzip)"
    elif settings.video == "lossless":
        exact = (
            "exact: H.264 of the RGB values (libx264rgb, qp 0), which ffmpeg and what is built on it, such as PyAV, "
            "read and browsers do not play"
        )
    else:
        exact = (
            "lossy: H.264, 4:2:0, crf 10. At 64 px errors are 3.6 levels of 255 (root mean square), and colours bleed "
            "by a pixel at edges, by up to half of the range"
        )
    lines = [
        "---",
        "license: apache-2.0",
        "tags: [physbench, physics, world-model, video]",
        "---",
        "",
        f"# physbench: {plan.clips} clips of {key['suite']}, {settings.spec}",
        "",
        f"Simulated scenes of rigid bodies with exact states, made by physbench {key['physbench_version']} "
        "(Apache-2.0, as is this data) with PyBullet at 1200 Hz. Every clip is a function of task, split and seed.",
        "",
        f"- {plan.clips} clips, {plan.frames} frames of {settings.spec.width} x {settings.spec.height} px at "
        f"{settings.spec.fps:g} frames/s; a clip has 2 s before time 0, and what follows",
        f"- frames are {exact}",
        f"- splits: {', '.join(f'{name} {count}' for name, count in splits.items())}",
        f"- tasks: {', '.join(f'{name} {count}' for name, count in sorted(tasks.items()))}",
        "- `train` draws from the same ranges as `test`, with other seeds; `ood` from outside of them",
    ]
    if set(splits) - {"train"}:
        lines += [f"- **Clips on which models are judged are in it.** {HELD_OUT}"]
    loading = LOAD[settings.format]
    if settings.format == "webdataset":
        loading = loading.format(last=len(plan.parts) - 1).replace("{{", "{").replace("}}", "}")
    lines += [
        "",
        "## Load",
        "",
        loading,
        "",
        "## Tables",
        "",
        "Parquet, in folders of parts; `episode_index` counts the clips. World axes: x right, y away from the camera "
        "of a front view, z up.",
        "",
        "| table | rows and columns |",
        "| --- | --- |",
        *(f"| `tables/{name}` | {TABLE_TEXT[name]} |" for name in CARD_TABLES[settings.format]),
        "",
        f"The 13 numbers of a state are {', '.join(STATE_NAMES)} in the units of the table `states`: "
        "m, quaternion, m/s, rad/s. The 6 of an action are the hue of the pushed body as RGB and the impulse in N s, "
        "or the velocity in m/s that a driven one is told. The 6 of a pose of the camera are "
        f"{', '.join(CAMERA_POSE.names)}: how far it is turned and moved in the frame against time 0.",
        "",
        "`dataset.json` has the settings, and size and sha256 of every file. How clips are made: the documentation of "
        "physbench, *Training data*.",
    ]
    return "\n".join(lines) + "\n"
