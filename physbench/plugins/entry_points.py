"""Finds tasks, scorers, adapters and architectures through entry points, built-in and third-party ones alike."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from physbench.errors import BrokenLinkError, PhysbenchError, UsageError, nearest


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of `group` ("physbench.tasks", ...) by name, sorted."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda p: p.name)}


def load(group: str, name: str) -> Any:
    """Import the object that is registered as `name` in `group`.

    Args:
        group: Entry-point group, such as "physbench.tasks".
        name: Name in the group, such as "falling/projectile-v1".

    Returns:
        The object that the entry point names.

    Raises:
        UsageError: The group has no such name. The message offers the nearest names.
        PhysbenchError: The object cannot be imported. The message names the package.
    """
    known = entries(group)
    kind = group.rsplit(".", 1)[-1].rstrip("s")
    if name not in known:
        raise UsageError(f"There is no {kind} named '{name}'.{nearest(name, known)}")
    try:
        return known[name].load()
    except BrokenLinkError:  # says what to do
        raise
    except Exception as error:
        distribution = known[name].dist
        package = distribution.name if distribution else known[name].value
        own = package == "physbench"
        remedy = (
            "What is installed is of another version than the code: install physbench again (pip install -e .)."
            if own
            else "Repair or uninstall that package."
        )
        raise PhysbenchError(
            f"The {kind} '{name}' of {package} cannot be imported ({type(error).__name__}: {error}). {remedy}"
        ) from error
