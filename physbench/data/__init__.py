"""Clips as training data: `clips` makes data sets for PyTorch, `collate` their batches.

`plan_dataset` and `export_dataset` write them for other libraries (`physbench data export --format`).

`training_rows` and `ClipEpisodes` are what `physbench train` reads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.data.clip_dataset import ClipDataset as ClipDataset
    from physbench.data.clip_dataset import ClipStream as ClipStream
    from physbench.data.clip_dataset import Episode as Episode
    from physbench.data.clip_dataset import clips as clips
    from physbench.data.clip_dataset import collate as collate
    from physbench.data.episodes import ClipEpisodes as ClipEpisodes
    from physbench.data.episodes import training_rows as training_rows
    from physbench.data.export import Exported as Exported
    from physbench.data.export import export_dataset as export_dataset
    from physbench.data.tables import DatasetPlan as DatasetPlan
    from physbench.data.tables import plan_dataset as plan_dataset

_PLACES = {
    **dict.fromkeys(("clips", "collate", "ClipDataset", "ClipStream", "Episode"), "clip_dataset"),
    **dict.fromkeys(("ClipEpisodes", "training_rows"), "episodes"),
    **dict.fromkeys(("Exported", "export_dataset"), "export"),
    **dict.fromkeys(("DatasetPlan", "plan_dataset"), "tables"),
}
__all__ = [
    "ClipDataset",
    "ClipEpisodes",
    "ClipStream",
    "DatasetPlan",
    "Episode",
    "Exported",
    "clips",
    "collate",
    "export_dataset",
    "plan_dataset",
    "training_rows",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"physbench.data.{_PLACES[name]}"), name)
