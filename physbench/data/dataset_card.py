"""The README.md of an export: what is in it, how it was made, and how to load it."""

from __future__ import annotations

from collections import Counter

from physbench.data.dataset_plan import HELD_OUT, DatasetPlan
from physbench.data.dataset_tables import SCHEMAS, SMALL_TABLES, STATE_NAMES

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
        "right is x, up is z; `top`: up is y), `camera_center` m (in the middle of the image), `pixels_per_metre`, "
        "`gravity` m/s2. In the image a centre lies at column `width` / 2 + (x - `camera_center[0]`) "
        "`pixels_per_metre`, and upwards alike, to a few hundredths of a px"
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
        "`impulse_x`, `impulse_y`, `impulse_z` N s, in the row of the first frame that shows its effect; else 0"
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
after the other, `ep_len` and `ep_offset` a clip. Columns: `pixels`, `action`, `state`, `visible_area`, `time` s,
`ep_idx`, `step_idx`, `is_first`, `is_last`, `is_terminal` (never true: the motion goes on after a clip), `prompt`,
`task`, `seed`. The `action` of a row is what is done between its frame and the next.""",
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
(T, 6), each in the row of the first frame that shows its effect, `states` (T, bodies, 13), `visible_area` px and
`full_area` px.""",
    "lerobot": """\
With LeRobot (`pip install 'lerobot>=0.4'`; 0.4.0 is the first that reads this layout, 0.4.4 was tried):

```python
from lerobot.datasets.lerobot_dataset import LeRobotDataset

data = LeRobotDataset("physbench", root=".")
data[0]["observation.image"], data[0]["observation.environment_state"], data[0]["action"], data[0]["task"]
```

The layout is that of LeRobotDataset v3.0. `observation.environment_state` has 13 numbers a body, 0 for bodies that the
clip lacks; `task` is the prompt; `timestamp` begins at 0 in each clip. The `action` of a row is what is done
between its frame and the next. The tables hold the states unrounded.""",
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
        "m, quaternion, m/s, rad/s. The 6 of an action are the hue of the pushed body as RGB and the impulse in N s.",
        "",
        "`dataset.json` has the settings, and size and sha256 of every file. How clips are made: the documentation of "
        "physbench, *Training data*.",
    ]
    return "\n".join(lines) + "\n"
