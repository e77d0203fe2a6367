"""What an export of clips as a data set holds: which clips, in which files, with which settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from physbench import __version__
from physbench.clips.archive import clip_key
from physbench.clips.clip import Row
from physbench.clips.encode import H264, H264_RGB, Codec
from physbench.clips.generate import frame_times, make_scene
from physbench.clips.suite import Suite
from physbench.errors import UsageError, nearest
from physbench.looks.scene_prompt import scene_prompt
from physbench.world.scene import RenderSpec

DATASET_VERSION = 1  # of the layout of all formats; rises with any change that a reader has to know
CLIPS_PER_FILE = 50  # by default: 1.3 MB of video at 64 px, and work of under a minute that an interruption costs
MOST_CLIPS_PER_FILE = 1_000_000
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
    """What every file of an export depends on besides its clips."""

    format: str  # of DATASET_NEEDS
    video: str  # of DATASET_VIDEOS
    spec: RenderSpec
    bodies: int  # the most that a clip of the export has
    words: int  # bytes of the longest prompt or name of a task

    @property
    def codec(self) -> Codec:
        """How frames become videos."""
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
    if not 1 <= clips_per_file <= MOST_CLIPS_PER_FILE:
        raise UsageError(f"--clips-per-file: expected 1 to {MOST_CLIPS_PER_FILE:,}, got {clips_per_file}.")
    rows = sorted(suite.rows, key=lambda row: (row.split, row.seed, row.task, row.change))
    places, prompts, bodies, first = [], dict[str, int](), 0, 0
    whole = hashlib.sha256()
    for index, row in enumerate(rows):
        scene = make_scene(row)
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
        "libraries": {name: found for name in WRITERS if (found := _version(name)) is not None},
        "clips_sha256": whole.hexdigest(),
    }
    parts = tuple(
        Part(number, tuple(places[start : start + clips_per_file]), settings) for number, start in enumerate(starts)
    )
    return DatasetPlan(parts, settings, tuple(prompts), splits, key)


def _span(names: Sequence[str], name: str) -> tuple[int, int]:
    """Where a name begins and ends among sorted names."""
    first = names.index(name)
    return first, first + names.count(name)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
