"""Bodies, cameras, stepping and rendering. PyBullet lives here only, and is imported when a `World` is made."""

from __future__ import annotations

from typing import Any

__all__ = ["World", "render", "simulate", "simulate_ensemble"]


def __getattr__(name: str) -> Any:
    if name in ("World", "simulate", "simulate_ensemble"):
        from physbench.world import stepping

        return getattr(stepping, name)
    if name == "render":
        from physbench.world.rendering import render

        return render
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
