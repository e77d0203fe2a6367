"""Deciding events behind one image in words: what happens too seldom, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from physbench.results.number_format import joined


def event_sentences(result: Mapping[str, Any]) -> list[str]:
    """What a model shows too seldom behind one image, task by task, and what it loses by that; [] where nothing is."""
    said = [
        f"{kind} in {each['seen']:.3g} of {each['clips']} clips of {task.split('/')[-1]}, where lawful futures have "
        f"{each['expected']:.1f} (costs {100 * each['lost']:.0f} %)"
        for task, kind, each in event_counts(result)
        if each["lost"] > 0
    ]
    if not said:
        return []
    return [
        f"Avoids what decides a scene: {joined(said)}. Tasks lose that share of their consistency above a frozen "
        "frame. Futures that are much slower than those of the task pay, too."
    ]


def event_counts(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Task, kind and figures of all events that were counted."""
    for task, kinds in (result.get("event_frequency") or {}).items():
        for kind, each in kinds.items():
            yield task, kind, each
