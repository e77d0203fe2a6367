"""States in the columns, units and layout of a model's card, and back to 13 columns in SI units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.state_card import PLACE, SPEED, STATE_COLUMNS, StateCard
from physbench.rollouts.state_inputs import StateInputs

Array = NDArray[np.float64]


def to_model(states: Array, card: StateCard, given: StateInputs) -> Array:
    """States (B, T, N, 13) -> (B, T, N, S), or (B, T, N * S), as the card has them."""
    if card.columns == "all":
        found = states
    else:
        parts = [_shown(states[..., PLACE], card, given, moves=False)]
        if card.columns == "positions+velocities":
            parts.append(_shown(states[..., SPEED], card, given, moves=True))
        found = np.concatenate(parts, axis=-1) * given.mask[:, None, :, None]
    return found.reshape(*found.shape[:2], -1) if card.layout == "flat" else found


def from_model(answer: Array, card: StateCard, given: StateInputs, last: Array) -> Array:
    """Answers (B, T, N, S) or positions alone (B, T, N, axes) -> (B, T, N, 13), NaN where a column is unknown.

    last: states (B, N, 13) before the answer. A model of the plane of motion leaves each body at its depth.
    """
    if answer.shape[-1] == len(STATE_COLUMNS):
        return answer
    found = np.full((*answer.shape[:3], len(STATE_COLUMNS)), np.nan)
    axes = card.axes
    found[..., PLACE] = _placed(answer[..., :axes], card, given, last[:, None, :, PLACE], moves=False)
    if answer.shape[-1] == 2 * axes:
        still = np.zeros((len(last), 1, last.shape[1], 3))
        found[..., SPEED] = _placed(answer[..., axes:], card, given, still, moves=True)
    return found


def _shown(vectors: Array, card: StateCard, given: StateInputs, moves: bool) -> Array:
    """Places or velocities (B, T, N, 3) of the world in the card's space and units (B, T, N, axes)."""
    if card.space == "world":
        return vectors
    index = given.axes[:, None, None, :]
    flat = np.take_along_axis(vectors, np.broadcast_to(index, (*vectors.shape[:3], 2)), axis=-1)
    if card.units == "m":
        return flat
    scale, centre = _image(card, given, moves)
    return (flat - centre) * scale + (0.0 if moves else card.window_px / 2)


def _placed(values: Array, card: StateCard, given: StateInputs, depth: Array, moves: bool) -> Array:
    """The way back: (B, T, N, axes) -> (B, T, N, 3). depth: (B, 1, N, 3), of which the third axis is used."""
    if card.space == "world":
        return values
    if card.units == "px":
        scale, centre = _image(card, given, moves)
        values = (values - (0.0 if moves else card.window_px / 2)) / scale + centre
    found = np.array(np.broadcast_to(depth, (*values.shape[:3], 3)))
    index = np.broadcast_to(given.axes[:, None, None, :], values.shape)
    np.put_along_axis(found, index, values, axis=-1)
    return found


def _image(card: StateCard, given: StateInputs, moves: bool) -> tuple[Array, Array]:
    """px per m of both axes (B, 1, 1, 2), y downwards, and the middle of the image (B, 1, 1, 2) m; 0 for velocities."""
    scale = np.array([1.0, -1.0]) * (card.window_px / given.window)[:, None, None, None]
    centre = given.center[:, None, None, :]
    return scale, np.zeros_like(centre) if moves else centre


def completed(states: Array, before: Array) -> Array:
    """States (T, N, 13) with unknown turns and spins as they were `before` (N, 13); for a context and for pictures."""
    return np.where(np.isnan(states), before, states)
