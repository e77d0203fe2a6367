"""physbench: has this world model learned physics, and if not, which law breaks, where, and how far ahead?

The public names are imported when they are first used, so that `import physbench` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physbench.adapters.protocol import FrameModel as FrameModel
    from physbench.adapters.protocol import ModelCard as ModelCard
    from physbench.adapters.protocol import PrivilegedModel as PrivilegedModel
    from physbench.clips.clip import Clip as Clip
    from physbench.errors import PhysbenchError as PhysbenchError
    from physbench.results.evaluation import Evaluation as Evaluation
    from physbench.rollouts.rollout import Rollout as Rollout
    from physbench.run.api import evaluate as evaluate
    from physbench.scoring.protocol import Reading as Reading
    from physbench.scoring.protocol import scorer as scorer
    from physbench.tracks.tracks import Tracks as Tracks
    from physbench.world.scene import Scene as Scene

__version__ = "0.1.0"

_HOMES = {
    "Clip": "physbench.clips.clip",
    "Evaluation": "physbench.results.evaluation",
    "FrameModel": "physbench.adapters.protocol",
    "ModelCard": "physbench.adapters.protocol",
    "PhysbenchError": "physbench.errors",
    "PrivilegedModel": "physbench.adapters.protocol",
    "Reading": "physbench.scoring.protocol",
    "Rollout": "physbench.rollouts.rollout",
    "Scene": "physbench.world.scene",
    "Tracks": "physbench.tracks.tracks",
    "evaluate": "physbench.run.api",
    "scorer": "physbench.scoring.protocol",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'physbench' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
