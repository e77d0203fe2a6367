"""Finds tasks, scorers and adapters through entry points, the built-in ones in the same way as anybody's."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from physbench.errors import UsageError, nearest


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of `group` ("physbench.tasks", ...) by name, sorted."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda p: p.name)}


def load(group: str, name: str) -> Any:
    """Import the object registered as `name` in `group`; an unknown name offers the nearest ones."""
    known = entries(group)
    if name not in known:
        kind = group.rsplit(".", 1)[-1].rstrip("s")
        raise UsageError(f"There is no {kind} named '{name}'.{nearest(name, known)}")
    return known[name].load()
