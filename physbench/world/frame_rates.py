"""Rates at which frames fall on physics steps."""

from __future__ import annotations

from physbench.world.scene import PHYSICS_HZ

LEAST_FPS, MOST_FPS = 4, 60  # frames/s of models


def whole_rates(least: int = LEAST_FPS) -> tuple[int, ...]:
    """All whole rates in frames/s that divide PHYSICS_HZ, from `least` on."""
    return tuple(rate for rate in range(least, MOST_FPS + 1) if PHYSICS_HZ % rate == 0)


def wrong_rate(fps: float, least: int = LEAST_FPS) -> str | None:
    """What is wrong with a rate in frames/s, with all whole ones that work; None where it divides PHYSICS_HZ."""
    if least <= fps <= MOST_FPS and abs(PHYSICS_HZ / fps - round(PHYSICS_HZ / fps)) <= 1e-9:
        return None
    *rates, last = map(str, whole_rates(least))
    return (
        f"expected {least} to {MOST_FPS} frames/s, a rate that divides {PHYSICS_HZ}, got {fps:g}. "
        f"Use {', '.join(rates)} or {last}."
    )
