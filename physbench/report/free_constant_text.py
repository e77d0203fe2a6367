"""Consistency with unseen constants in words, for the summary, Markdown and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physbench.results.number_format import bracket, fixed, joined


def unseen_sentences(result: Mapping[str, Any]) -> list[str]:
    """Consistency with unseen constants free, and the factors found for them; [] where the context shows them all."""
    found = result.get("unseen_constants")
    if not found:
        return []
    who = "an image cannot" if result["context"] == 1 else "the context does not"
    own, axis = found["consistency"], result["axes"]["consistency"]
    free = f"With gravity and central masses left free ({who} show them):"
    if own["skill"] is None:
        return [f"{free} no skill in consistency ({own['reason']})."]
    if _with(own["skill"], own["interval"]) == _with(axis["skill"], axis["interval"]):
        return [f"{free} consistency {fixed(own['skill'])} as well."]
    sentences = [f"{free} consistency {_with(own['skill'], own['interval'])} instead of {fixed(axis['skill'])}."]
    if factors := family_factors(result):
        said = joined([f"{text} in {family}" for family, text in factors.items()])
        sentences.append(f"The best factor on them is {said} (medians; 1 where none is better).")
    return sentences


def family_factors(result: Mapping[str, Any]) -> dict[str, str]:
    """The median factor of each family that has one, with its interval."""
    found = {family: each["factor"] for family, each in result["unseen_constants"]["families"].items()}
    return {
        family: _with(factor["value"], factor["interval"])
        for family, factor in found.items()
        if factor["value"] is not None
    }


def _with(value: float, interval: tuple[float, float] | None) -> str:
    return f"{fixed(value)} {bracket(interval)}".rstrip()
