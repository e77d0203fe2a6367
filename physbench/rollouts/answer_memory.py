"""Answers in the memory that both processes share: frames as bytes, states as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.state_card import STATE_COLUMNS, StateCard
from physbench.adapters.surprise_card import SurpriseCard
from physbench.rollouts.state_inputs import MOST_ROWS


def answer_step(card: ModelCard) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of one moment: a frame (3, H, W) uint8, states (MOST_ROWS, 13) or a surprise (1,) float64."""
    if isinstance(card, SurpriseCard):
        return (1,), np.dtype(np.float64)
    if isinstance(card, StateCard):
        return (MOST_ROWS, len(STATE_COLUMNS)), np.dtype(np.float64)
    return (3, *card.image_size), np.dtype(np.uint8)


def answer_bytes(card: ModelCard, clips: int, stored: int) -> int:
    """Bytes of the answers to a batch."""
    shape, kind = answer_step(card)
    return clips * stored * int(np.prod(shape)) * kind.itemsize


def answer_view(memory: NDArray[np.uint8], offset: int, card: ModelCard, clips: int, stored: int) -> NDArray[Any]:
    """The answers to a batch (clips, stored, ...) that lie in a memory from `offset` bytes on."""
    shape, kind = answer_step(card)
    return memory[offset : offset + answer_bytes(card, clips, stored)].view(kind).reshape(clips, stored, *shape)
