"""Turns a batch of clips into the job that is sent to the model's process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import StateCard
from physbench.adapters.surprise_card import SurpriseCard
from physbench.clips.clip import ACTION_WIDTH, Clip
from physbench.clips.scene_changes import CHANGES
from physbench.errors import PhysbenchError
from physbench.rollouts.batch_plan import Batch, item_seed
from physbench.rollouts.colour_planes import fill_planes
from physbench.rollouts.messages import RolloutJob
from physbench.rollouts.state_inputs import state_inputs
from physbench.thread_map import thread_map


def stored_frames(card: ModelCard, horizon: int, chain: bool) -> int:
    """Number of frames that are kept: less than the horizon only if the model is shorter and not chained."""
    return horizon if chain or card.max_horizon is None else min(horizon, card.max_horizon)


def model_context(clip: Clip, card: ModelCard) -> NDArray[np.uint8]:
    """The context (C, H, W, 3) of a clip; its first frame is repeated where C reaches further back than the history."""
    frames = clip.context(card.scored_context)
    missing = card.context_frames - len(frames)
    return np.concatenate([np.repeat(frames[:1], missing, axis=0), frames]) if missing else frames


def _shown(clip: Clip, card: ModelCard) -> NDArray[np.uint8]:
    """What a model is shown of a clip: its context, or all of it where the answer is surprise at it."""
    return clip.frames if isinstance(card, SurpriseCard) else model_context(clip, card)


def _planar(clips: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """B of (C, H, W, 3) -> (B, C, 3, H, W)."""
    count, height, width, channels = clips[0].shape
    planar = np.empty((len(clips), count, channels, height, width), dtype=np.uint8)
    for _ in thread_map(lambda each: fill_planes(*each), [*zip(planar, clips, strict=True)]):
        pass
    return planar


def needed_of(clip: Clip, card: ModelCard, privileged: bool) -> Clip:
    """A clip for a job. Where the model is not handed clips or films, it is without its future frames."""
    past = clip.handover + 1
    without_future = "frames" in vars(clip) and len(clip.frames) == past  # of a lazy clip they need not be unpacked
    if privileged or isinstance(card, SurpriseCard) or without_future:
        return clip
    return replace(clip, frames=clip.context(past).copy())


def model_actions(clips: Sequence[Clip], card: ModelCard) -> NDArray[np.float32] | None:
    """Actions (B, C + horizon, 6), zeros for clips without; None if no clip has any or the model takes none.

    A clip whose pushes were removed has actions that are all zero, so that what a model is given of a pair does not
    depend on whether both clips share a batch.
    """
    tables = [clip.actions(card.scored_context) for clip in clips] if card.uses_actions else []
    pushes_removed = any(clip.row.change and CHANGES[clip.row.change].by_actions for clip in clips)
    if all(table is None for table in tables) and not (card.uses_actions and pushes_removed):
        return None
    batch = np.zeros((len(clips), card.context_frames + clips[0].horizon, ACTION_WIDTH), dtype=np.float32)
    for row, table in zip(batch, tables, strict=True):
        if table is not None:
            row[len(row) - len(table) :] = table
    return batch


def make_job(
    index: int,
    batch: Batch,
    clips: Sequence[Clip],
    card: ModelCard,
    *,
    privileged: bool,
    recorded: bool = False,
    chain: bool,
    seed: int,
    salt: str = "",
    part_size: int | None,
    memory: int,
    offset: int,
) -> RolloutJob:
    """Make the job of a whole batch. Raises PhysbenchError where a clip has another horizon or size than planned."""
    for clip in clips:
        if clip.horizon != batch.horizon or clip.spec != card.spec:
            raise PhysbenchError(
                f"Clip {clip.id}: expected {batch.horizon} frames to predict at {card.spec}, got {clip.horizon} at "
                f"{clip.spec}. The clip cache may be stale: remove it and try again."
            )
    size = len(batch.items)
    states = state_inputs(clips, card) if isinstance(card, StateCard) else None
    frames = states is None and not privileged
    return RolloutJob(
        index=index,
        positions=tuple(range(size)),
        part_size=min(part_size or size, size),
        batch_size=size,
        horizon=batch.horizon,
        stored=stored_frames(card, batch.horizon, chain),
        chain=chain,
        seeds=tuple(item_seed(item.row, item.sample, seed, salt) for item in batch.items),
        prompts=tuple(clip.prompt if card.uses_prompt else "" for clip in clips),
        context=_planar([_shown(clip, card) for clip in clips]) if frames else None,
        actions=model_actions(clips, card) if frames else None,
        clips=tuple(clips) if privileged else None,
        memory=memory,
        offset=offset,
        items=tuple((item.row.id, item.sample) for item in batch.items) if recorded else (),
        states=states,
        rows=tuple(len(clip.tracked) for clip in clips) if states else (),
    )


def remaining_job(job: RolloutJob, positions: Sequence[int], part_size: int) -> RolloutJob:
    """The same job for some of its positions."""
    rows = [job.positions.index(position) for position in positions]
    return RolloutJob(
        **{
            **vars(job),
            "positions": tuple(positions),
            "part_size": part_size,
            "seeds": tuple(job.seeds[row] for row in rows),
            "prompts": tuple(job.prompts[row] for row in rows),
            "context": None if job.context is None else job.context[rows],
            "actions": None if job.actions is None else job.actions[rows],
            "clips": None if job.clips is None else tuple(job.clips[row] for row in rows),
            "items": tuple(job.items[row] for row in rows) if job.items else (),
            "states": None if job.states is None else job.states.select(rows),
        }
    )
