"""Clips of the `train` split as training data: `training_rows` names them, `ClipEpisodes` reads them as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.data.episodes import ClipEpisodes as ClipEpisodes
    from physbench.data.episodes import training_rows as training_rows

__all__ = ["ClipEpisodes", "training_rows"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from physbench.data import episodes

    return getattr(episodes, name)
