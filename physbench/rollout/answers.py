"""The three kinds of answer of a model: frames, states of bodies, surprise at films.

A kind says what a model is given of clips, as which numbers its answer lies in shared memory, which rollout that
becomes, in which file it is kept, and how far two answers are apart. How a model is asked, and its answer checked, is
in `predict`. Nothing else asks which kind a card is of; what a card alone tells is on the card.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import ACTION_WIDTH, Clip, pushes_and_poses
from physbench.clips.generate import frames_before
from physbench.clips.task import CHANGES
from physbench.models.protocol import STATE_COLUMNS, ModelCard, StateCard
from physbench.rollout.states import MOST_ROWS, StateInputs, state_inputs
from physbench.rollout.store import Rollout, fill_frames, fill_planes
from physbench.support.arrays import Image
from physbench.support.processes import thread_map
from physbench.support.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of a model for B clips at once. C context frames, T = horizon."""

    horizon: int
    seeds: Sequence[int]  # (B,)
    prompts: Sequence[str]  # (B,)
    context: Image | None = None  # (B, C, 3, H, W), whole films for surprise
    actions: NDArray[np.float32] | None = None  # (B, C + T, numbers of an action)
    clips: Sequence[Clip] | None = None  # (B,) for a privileged model only
    items: Sequence[tuple[str, int]] = ()  # (B,) clip id and sample, for a recorded model only
    states: StateInputs | None = None  # for a model of states only

    def select(self, rows: Sequence[int]) -> Inputs:
        """The same for some of the clips, as they are where these are all of them."""
        chosen = list(rows)
        if chosen == list(range(len(self.seeds))):
            return self
        return Inputs(
            horizon=self.horizon,
            seeds=[self.seeds[row] for row in chosen],
            prompts=[self.prompts[row] for row in chosen],
            context=None if self.context is None else self.context[chosen],
            actions=None if self.actions is None else self.actions[chosen],
            clips=None if self.clips is None else [self.clips[row] for row in chosen],
            items=[self.items[row] for row in chosen] if self.items else (),
            states=None if self.states is None else self.states.select(chosen),
        )


@dataclass(frozen=True)
class Answers(ABC):
    """The answers of a model with this card, and what it is given for them."""

    card: ModelCard

    unit = ""  # of the distance between two answers
    rounding = 0.0  # a distance that a batch may bring about by rounding

    @property
    @abstractmethod
    def step(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of one moment in shared memory."""

    @abstractmethod
    def given(self, clips: Sequence[Clip]) -> dict[str, Any]:
        """Fields of `Inputs` that a model without privileges is given of clips of one horizon."""

    @abstractmethod
    def predicted(self, moments: NDArray[Any], bodies: int) -> dict[str, Any]:
        """Fields of the Rollout of a clip with so many bodies, copied from its moments (T, *step) in shared memory."""

    @abstractmethod
    def compared(self, rollout: Rollout) -> NDArray[Any]:
        """The numbers of a rollout that are judged."""

    def apart(self, one: Rollout, other: Rollout) -> NDArray[Any]:
        """Distances of two answers to one clip, in `unit`."""
        distances: NDArray[Any] = np.abs(self.compared(one) - self.compared(other))
        return distances

    def inputs(
        self,
        clips: Sequence[Clip],
        *,
        seeds: Sequence[int],
        privileged: bool = False,
        items: Sequence[tuple[str, int]] = (),
    ) -> Inputs:
        """Inputs for clips of one horizon.

        Args:
            clips: B clips.
            seeds: B seeds of its generators.
            privileged: Whether it is handed the clips themselves.
            items: B pairs of clip id and sample, for a recorded model alone.
        """
        prompts = tuple(clip.prompt if self.card.uses_prompt else "" for clip in clips)
        fields = {"clips": tuple(clips)} if privileged else self.given(clips)
        return Inputs(clips[0].horizon, tuple(seeds), prompts, items=items, **fields)

    def needed(self, clip: Clip, privileged: bool) -> Clip:
        """A clip for a job. Where the model is not handed clips or films, it is without its future frames."""
        past = clip.handover + 1
        without_future = "frames" in vars(clip) and len(clip.frames) == past  # of a lazy clip they need not be unpacked
        if privileged or without_future:
            return clip
        return replace(clip, frames=clip.context(past).copy())

    def bytes_of(self, clips: int, moments: int) -> int:
        """Bytes of the answers to a batch."""
        shape, kind = self.step
        return clips * moments * int(np.prod(shape)) * kind.itemsize

    def view(self, memory: Image, offset: int, clips: int, moments: int) -> NDArray[Any]:
        """The answers to a batch (clips, moments, *step) that lie in a memory from `offset` bytes on."""
        shape, kind = self.step
        return memory[offset : offset + self.bytes_of(clips, moments)].view(kind).reshape(clips, moments, *shape)

    def file(self, folder: RunFolder, clip_id: str, sample: int) -> Path:
        return folder.rollout(clip_id, sample)

    def _no_frames(self) -> Image:
        return np.empty((0, *self.card.image_size, 3), dtype=np.uint8)


class FrameAnswers(Answers):
    """Frames, of a context of frames. One moment: (3, H, W) uint8."""

    unit, rounding = "grey levels", 2.0

    @property
    def step(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        return (3, *self.card.image_size), np.dtype(np.uint8)

    def given(self, clips: Sequence[Clip]) -> dict[str, Any]:
        context = planes([model_context(clip, self.card) for clip in clips])
        return {"context": context, "actions": model_actions(clips, self.card)}

    def predicted(self, moments: NDArray[Any], bodies: int) -> dict[str, Any]:
        frames = np.empty((len(moments), *self.card.image_size, 3), dtype=np.uint8)
        fill_frames(frames, moments)
        return {"frames": frames}

    def compared(self, rollout: Rollout) -> NDArray[Any]:
        return rollout.frames.astype(np.int16)


class StateAnswers(Answers):
    """States of bodies, of states. One moment: (MOST_ROWS, 13) float64, NaN where the model does not say."""

    card: StateCard

    unit, rounding = "m", 1e-4  # float32 may grow so far over a clip

    @property
    def step(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        return (MOST_ROWS, len(STATE_COLUMNS)), np.dtype(np.float64)

    def given(self, clips: Sequence[Clip]) -> dict[str, Any]:
        return {"states": state_inputs(clips, self.card)}

    def inputs(self, clips: Sequence[Clip], **given: Any) -> Inputs:
        inputs = super().inputs(clips, **given)  # a privileged model answers for as many rows
        return inputs if inputs.states is not None else replace(inputs, states=state_inputs(clips, self.card))

    def predicted(self, moments: NDArray[Any], bodies: int) -> dict[str, Any]:
        return {"frames": self._no_frames(), "states": moments[:, :bodies].copy()}

    def compared(self, rollout: Rollout) -> NDArray[Any]:
        """Places (T, K, 3): nothing else is judged."""
        return np.asarray(rollout.answer[..., :3])

    def file(self, folder: RunFolder, clip_id: str, sample: int) -> Path:
        return folder.states(clip_id, sample)


class SurpriseAnswers(Answers):
    """Surprise at the frames of whole films. One moment: (1,) float64."""

    unit, rounding = "of the largest surprise", 1e-4

    @property
    def step(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        return (1,), np.dtype(np.float64)

    def given(self, clips: Sequence[Clip]) -> dict[str, Any]:
        return {"context": planes([clip.frames for clip in clips]), "actions": model_actions(clips, self.card)}

    def needed(self, clip: Clip, privileged: bool) -> Clip:
        return clip

    def predicted(self, moments: NDArray[Any], bodies: int) -> dict[str, Any]:
        return {"frames": self._no_frames(), "surprise": moments[:, 0].copy()}

    def compared(self, rollout: Rollout) -> NDArray[Any]:
        return rollout.answer

    def apart(self, one: Rollout, other: Rollout) -> NDArray[Any]:
        largest = max(float(np.abs(one.answer).max()), np.finfo(float).tiny)
        return super().apart(one, other) / largest


KINDS: Mapping[str, type[Answers]] = {"frames": FrameAnswers, "states": StateAnswers, "surprise": SurpriseAnswers}


def answers_of(card: ModelCard) -> Answers:
    """The kind of answer of a card."""
    return KINDS[card.answers](card)


def model_context(clip: Clip, card: ModelCard) -> Image:
    """The context (C, H, W, 3) of a clip; where C reaches further back than the history, with `frames_before` it."""
    frames = clip.context(card.scored_context)
    missing = card.context_frames - len(frames)
    return np.concatenate([frames_before(clip, missing), frames]) if missing else frames


def model_actions(clips: Sequence[Clip], card: ModelCard) -> NDArray[np.float32] | None:
    """Actions that a card asks for: pushes, poses of the camera or, in rows of 12, both; None if it asks for none.

    Also None where it asks for pushes alone and no clip has any."""
    pushes = _pushes(clips, card) if card.uses_actions else None
    if not card.uses_camera:
        return pushes
    if card.uses_actions:
        return every_action(clips, card)
    return _poses(clips, card)


def every_action(clips: Sequence[Clip], card: ModelCard) -> NDArray[np.float32]:
    """Actions (B, C + horizon, 12): pushes and poses of the camera; zeros where a clip has, or a card takes, none."""
    poses, pushes = _poses(clips, card), _pushes(clips, card) if card.uses_actions else None
    return pushes_and_poses(pushes, poses if card.uses_camera else np.zeros_like(poses))


def _poses(clips: Sequence[Clip], card: ModelCard) -> NDArray[np.float32]:
    """Poses (B, C + horizon, 6) of the camera, which stands before the history."""
    tables = [clip.camera_poses(card.scored_context) for clip in clips]
    missing = card.context_frames + clips[0].horizon - len(tables[0])
    return np.stack([np.concatenate([np.repeat(table[:1], missing, axis=0), table]) for table in tables])


def _pushes(clips: Sequence[Clip], card: ModelCard) -> NDArray[np.float32] | None:
    """Actions (B, C + horizon, 6) of pushes and driven bodies, zeros for clips without; None if no clip has any.

    A clip whose pushes were removed has actions that are all zero, so that what a model is given of a pair does not
    depend on whether both clips share a batch.
    """
    tables = [clip.actions(card.scored_context) for clip in clips]
    pushes_removed = any(clip.row.change and CHANGES[clip.row.change].by_actions for clip in clips)
    if all(table is None for table in tables) and not pushes_removed:
        return None
    batch = np.zeros((len(clips), card.context_frames + clips[0].horizon, ACTION_WIDTH), dtype=np.float32)
    for row, table in zip(batch, tables, strict=True):
        if table is not None:
            row[len(row) - len(table) :] = table
    return batch


def planes(clips: Sequence[Image]) -> Image:
    """B of (C, H, W, 3) -> (B, C, 3, H, W)."""
    count, height, width, channels = clips[0].shape
    planar = np.empty((len(clips), count, channels, height, width), dtype=np.uint8)
    for _ in thread_map(lambda each: fill_planes(*each), [*zip(planar, clips, strict=True)]):
        pass
    return planar
