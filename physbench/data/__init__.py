"""Clips as training data: `clips` makes data sets for PyTorch, `collate` their batches.

`training_rows` and `ClipEpisodes` are what `physbench train` reads; `export` writes clips for other libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.data.clip_dataset import ClipDataset as ClipDataset
    from physbench.data.clip_dataset import ClipEpisodes as ClipEpisodes
    from physbench.data.clip_dataset import ClipStream as ClipStream
    from physbench.data.clip_dataset import Episode as Episode
    from physbench.data.clip_dataset import clips as clips
    from physbench.data.clip_dataset import collate as collate
    from physbench.data.clip_dataset import training_rows as training_rows

__all__ = [
    "ClipDataset",
    "ClipEpisodes",
    "ClipStream",
    "Episode",
    "clips",
    "collate",
    "training_rows",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("physbench.data.clip_dataset"), name)
