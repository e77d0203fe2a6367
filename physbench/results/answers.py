"""What is asked of a model by what it answers with: frames, or states of bodies without a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physbench.results.number_format import AXIS_NAMES, joined
from physbench.scoring.scorer_protocol import AXES

UNASKED_OF_STATES = ("permanence",)  # axes that only a picture has
NOT_ASKED = "not asked: states show no picture"


def answers_states(card: Mapping[str, Any]) -> bool:
    """Whether a model answers with states, from its card in a manifest or a result."""
    return card.get("answers") == "states"


def unasked_axes(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Axes that a model is not asked about."""
    return UNASKED_OF_STATES if answers_states(card) else ()


def asked_axes(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Axes that overall skill is made of."""
    return tuple(axis for axis in AXES if axis not in unasked_axes(card))


def unasked_reasons(card: Mapping[str, Any]) -> dict[str, str]:
    """By axis that a model is not asked about, the reason and what overall skill is then; for result.json."""
    return {axis: f"{NOT_ASKED}; overall is {_made_of(card)}" for axis in unasked_axes(card)}


def overall_meaning(card: Mapping[str, Any]) -> str:
    """What overall skill is made of, where these are not all axes; else ""."""
    if not unasked_axes(card):
        return ""
    return f"{_made_of(card)}: the model answers with states"


def _made_of(card: Mapping[str, Any]) -> str:
    return f"made of {joined([AXIS_NAMES[axis] for axis in asked_axes(card)])}"
