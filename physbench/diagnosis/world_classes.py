"""Classes of changed worlds that explain each other's clips: what is named is the class, and what fits best of it.

The classes were found by measurement (docs/design/diagnosis.md).
"""

from __future__ import annotations

WORLD_CLASSES: tuple[frozenset[str], ...] = ()


def same_class(one: str, other: str) -> bool:
    """Whether two changed worlds, by their ids, are one or explain each other's clips."""
    return one == other or any({one, other} <= each for each in WORLD_CLASSES)
