"""Clips as data sets of PyTorch: frames, actions, camera, states, prompts, parameters, for training on `train`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from physbench.clips.clip import ACTION_WIDTH, Clip, Row, Split
from physbench.clips.generate import frame_times, make_clip, make_params, make_scene, render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import TRAIN, Suite, find_suite, suite_hash
from physbench.clips.task import builtin_task_ids, match_tasks
from physbench.support.errors import UsageError
from physbench.support.processes import worker_count
from physbench.world.scene import FAR, PLAIN, RenderSpec


class Episode(TypedDict):
    """A clip, or a window of one. T frames, N bodies in the order of the scene."""

    frames: Tensor  # (T, 3, H, W) uint8
    actions: Tensor  # (T, 6) float32: hue of the pushed body as RGB, impulse in N s; 0 where nothing is pushed
    camera_poses: Tensor  # (T, 6) float32, `physbench.CAMERA_POSE` against that at time 0; 0 of a camera that stands
    states: Tensor  # (T, N, 13) float64: position m, quaternion xyzw, velocity m/s, spin rad/s
    times: Tensor  # (T,) float64 s; the hand-over of an evaluation is at 0
    prompt: str
    task: str  # "falling/projectile-v1"
    seed: int
    bodies: tuple[str, ...]  # N names
    parameters: dict[str, float]  # that the scene was drawn with, in the units of the task's page


class ClipDataset(Dataset[Episode]):
    """A map-style data set: one item for each clip. Every item is a function of its index and of the epoch.

    Args:
        rows: Clips.
        spec: Size and rate.
        window: Frames of an item; None: all of the clip. Where in the clip a window begins is drawn anew each epoch.
        store: Where clips are kept once they are made; None: they are made each time.
        seed: Of the windows, and of the order of `stream`.
    """

    def __init__(
        self, rows: Sequence[Row], spec: RenderSpec, window: int | None, store: ClipStore | None, seed: int = 0
    ) -> None:
        self.rows, self.spec, self.window, self.store, self.seed = tuple(rows), spec, window, store, seed
        self.epoch = 0
        if window is not None:
            self._check_window(window)

    def __len__(self) -> int:
        return len(self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Draw other windows, and another order of `stream`. Workers of a loader get it when they start."""
        self.epoch = epoch

    def length(self, index: int) -> int:
        """Number of frames of a clip, without making it."""
        return len(frame_times(make_scene(self.rows[index], self.spec.view), self.spec))

    def clip(self, index: int) -> Clip:
        """A clip with all that is known of it."""
        row = self.rows[index]
        return make_clip(row, self.spec) if self.store is None else self.store.get(row, self.spec)

    def __getitem__(self, index: int) -> Episode:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index} of {len(self)} clips")
        clip = self.clip(index)
        shown = self._window(clip)
        actions = clip.actions(clip.handover + 1)
        if actions is None:
            actions = np.zeros((len(clip.times), ACTION_WIDTH), dtype=np.float32)
        return Episode(
            frames=torch.from_numpy(np.ascontiguousarray(clip.frames[shown].transpose(0, 3, 1, 2))),
            actions=torch.from_numpy(np.ascontiguousarray(actions[shown])),
            camera_poses=torch.from_numpy(np.ascontiguousarray(clip.camera_poses(clip.handover + 1)[shown])),
            states=torch.from_numpy(np.ascontiguousarray(clip.states[shown])),
            times=torch.from_numpy(np.ascontiguousarray(clip.times[shown])),
            prompt=clip.prompt,
            task=clip.row.task,
            seed=clip.row.seed,
            bodies=tuple(body.name for body in clip.scene.bodies),
            parameters=dict(make_params(clip.row)),
        )

    def _check_window(self, window: int) -> None:
        """Refuse a window that is longer than clips. A task whose clips differ in length is judged by its first one."""
        first = {row.task: index for index, row in reversed([*enumerate(self.rows)])}
        most, task = min((self.length(index), task) for task, index in first.items())
        if not 1 <= window <= most:
            raise UsageError(
                f"window: expected 1 to {most} frames, all that clips of {task} have at {self.spec.fps:g} frames/s, "
                f"got {window}."
            )

    def _window(self, clip: Clip) -> slice:
        total = len(clip.times)
        if self.window is None:
            return slice(0, total)
        if self.window > total:
            raise UsageError(f"window: {clip.id} has {total} frames at {self.spec.fps:g} frames/s, not {self.window}.")
        first = _number(self.seed, self.epoch, clip.id) % (total - self.window + 1)
        return slice(first, first + self.window)

    def prepare(self, workers: int | None = None) -> int:
        """Make all clips that the store lacks, with `workers` processes; 0: in this one. Returns how many were made."""
        if self.store is None:
            return 0
        return self.store.ensure(self.rows, self.spec, min(worker_count(None), 8) if workers is None else workers)

    def stream(self, shuffle: bool = True) -> ClipStream:
        """The same clips as an iterable data set, which its loader's workers share out."""
        return ClipStream(self, shuffle)


class ClipStream(IterableDataset[Episode]):
    """Every clip once an epoch, in an order that seed and epoch decide. Workers of a loader, and processes of a
    distributed training, take clips in turn. Each process has as many; those of the drawn order that are left over are
    seen in another epoch.

    Args:
        clips: The data set.
        shuffle: Whether the order is drawn; without, it is that of the data set.
    """

    def __init__(self, clips: ClipDataset, shuffle: bool = True) -> None:
        self.clips, self.shuffle = clips, shuffle

    def __len__(self) -> int:
        return len(self.clips) // _processes()[1]

    def set_epoch(self, epoch: int) -> None:
        """As of `ClipDataset`."""
        self.clips.set_epoch(epoch)

    def __iter__(self) -> Iterator[Episode]:
        order = np.arange(len(self.clips))
        if self.shuffle:
            np.random.default_rng(_number(self.clips.seed, self.clips.epoch, "order")).shuffle(order)
        rank, processes = _processes()
        order = order[: len(order) - len(order) % processes]  # as many for each process, or the slowest would wait
        worker = get_worker_info()
        part, parts = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for index in order[rank::processes][part::parts]:
            yield self.clips[int(index)]


def clips(
    split: Split = "train",
    *,
    size: int | tuple[int, int] = 64,
    fps: float = 15.0,
    look: str = PLAIN,
    view: str = FAR,
    seeds: Sequence[int] = range(1000),
    tasks: str | None = None,
    window: int | None = None,
    store: bool | str | os.PathLike[str] = True,
    seed: int = 0,
    held_out: bool = False,
) -> ClipDataset:
    """Clips for training, made from their seeds as they are asked for.

    Args:
        split: "train". The others are what models are judged on.
        size: Side of the frames in px, or (height, width).
        fps: Frames a second; divides 1200.
        look: "plain" or "natural".
        view: "far", "near" or "moving".
        seeds: Of each task; the first clips are those of the first seed, of every task one.
        tasks: Ids, short names or globs, separated by commas; None: all in which nothing is pushed. "*" has all.
        window: Frames of an item, somewhere in its clip, at most as many as the shortest has; None: the whole clip.
        store: Whether clips are kept in the cache once they are made, or the folder to keep them in.
        seed: Of windows and order.
        held_out: Clips of "test" or "ood" with all that is known of them. A model that has seen them must not be
            submitted to a board: its card says `track="trained"` only of what learned from "train" alone.

    Raises:
        UsageError: No such split, task, size, rate, look, view or window; or a split that models are judged on, without
            `held_out`.
    """
    if split not in ("train", "test", "ood"):
        raise UsageError(f"split: expected train, test or ood, got '{split}'.")
    if split != "train" and not held_out:
        raise UsageError(
            f"'{split}' is what models are judged on: training on it makes a result worthless. Use 'train', or, to "
            "look at the clips, held_out=True."
        )
    if not len(seeds) or min(seeds) < 0:
        raise UsageError("seeds: expected at least one, and none below 0.")
    ids = builtin_task_ids() if tasks is None else match_tasks(tasks)
    rows = [Row(task, split, int(number)) for number in seeds for task in ids]
    kept = None if store is False else ClipStore(None if store is True else Path(os.fspath(store)))
    return ClipDataset(rows, render_spec(size, fps, look, view), window, kept, seed)


def collate(episodes: Sequence[Episode]) -> dict[str, Any]:
    """A batch of B episodes; shorter ones are filled up with 0 in time, states with NaN in bodies.

    Returns:
        frames (B, T, 3, H, W) uint8, actions and camera_poses (B, T, 6), states (B, T, N, 13), times (B, T), length
        (B,) in frames, and lists of what else an episode has.
    """
    steps = max(len(each["frames"]) for each in episodes)
    bodies = max(each["states"].shape[1] for each in episodes)
    batch: dict[str, Any] = {"length": torch.tensor([len(each["frames"]) for each in episodes])}
    for name in ("frames", "actions", "camera_poses", "times"):
        batch[name] = torch.stack([_filled(each[name], steps) for each in episodes])
    padded = []
    for each in episodes:
        states = each["states"]
        nobody = states.new_full((len(states), bodies - states.shape[1], states.shape[2]), torch.nan)
        padded.append(_filled(torch.cat([states, nobody], 1), steps))
    batch["states"] = torch.stack(padded)
    for name in ("prompt", "task", "seed", "bodies", "parameters"):
        batch[name] = [each[name] for each in episodes]  # type: ignore[literal-required]
    return batch


def _filled(values: Tensor, steps: int) -> Tensor:
    """Values (T, ...) with zeros after them, up to so many steps."""
    return torch.cat([values, values.new_zeros((steps - len(values), *values.shape[1:]))])


def _number(*parts: object) -> int:
    """A number that its parts decide, the same in all processes."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:8], "big")


def _processes() -> tuple[int, int]:
    """Rank and number of the processes of a distributed training."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def training_rows(clips: int, suite: str = TRAIN) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows to learn from and one in ten to look at, of a list of `suite.TRAINING_LISTS`: all of the train split."""
    rows = find_suite(suite, limit=clips).rows
    held_out = tuple(row for i, row in enumerate(rows) if i % 10 == 9)
    return tuple(row for i, row in enumerate(rows) if i % 10 != 9), held_out


def training_hash(suite: Suite, store: ClipStore, spec: RenderSpec) -> str:
    """Hash of the list of clips of a training, as `Suite.hash`: stored clips know that of their states."""

    def state_hash(row: Row) -> str:
        stored = store.stored(row, spec)
        return suite.state_hash(row) if stored is None else stored.state_hash

    return suite_hash((row, state_hash(row)) for row in suite.rows)


class ClipEpisodes:
    """Episodes of stored clips, from the first context frame to the end of the horizon."""

    def __init__(self, rows: Sequence[Row], spec: RenderSpec, context: int, store: ClipStore) -> None:
        self.rows, self.spec, self.context, self.store = rows, spec, context, store
        self._load = lru_cache(maxsize=256)(self._read)

    def __len__(self) -> int:
        return len(self.rows)

    def clip(self, index: int) -> Clip:
        return self.store.get(self.rows[index], self.spec)

    def _read(self, index: int) -> tuple[Tensor, Tensor | None]:
        clip = self.clip(index)
        frames = np.ascontiguousarray(clip.frames[clip.window(self.context)].transpose(0, 3, 1, 2))
        actions = clip.actions(self.context)
        return torch.from_numpy(frames), None if actions is None else torch.from_numpy(actions)

    def frames(self, index: int) -> Tensor:
        """Frames (context + horizon, 3, H, W) uint8."""
        return self._load(index)[0]

    def actions(self, index: int) -> Tensor | None:
        """Actions (context + horizon, 6), or None."""
        return self._load(index)[1]
