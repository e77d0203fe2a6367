"""Scenes as frozen data, their simulation and their pictures.

- `scene`: what a scene holds; `bodies`: balls, floors, walls and holders for it; `camera`: from metres to pixels.
- `stepping`: `World`, `simulate` and `simulate_ensemble` step a scene with PyBullet, which is imported in this package
  only, and when a `World` is made; `engine`, `_bullet` and `ballistic` are what they use.
- `geometry`: distances between the surfaces of bodies; `silhouettes`: where they appear in the image.
- `rendering`: `render` makes frames and areas of all bodies; `render_batching`, `tiny_renderer` and `meshes` are what
  it uses.
"""

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
