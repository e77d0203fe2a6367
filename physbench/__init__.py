"""physbench: has this world model learned physics, and if not, which law breaks, where, and how far ahead?

The public names are imported when they are first used, so that `import physbench` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from physbench import links

if TYPE_CHECKING:
    from physbench.adapters.model_protocol import FrameModel as FrameModel
    from physbench.adapters.model_protocol import ModelCard as ModelCard
    from physbench.adapters.model_protocol import PrivilegedModel as PrivilegedModel
    from physbench.clips.clip import Clip as Clip
    from physbench.errors import PhysbenchError as PhysbenchError
    from physbench.rollouts.rollout import Rollout as Rollout
    from physbench.run.api import evaluate as evaluate
    from physbench.run.evaluation import Evaluation as Evaluation
    from physbench.scoring.scorer_protocol import Reading as Reading
    from physbench.scoring.scorer_protocol import scorer as scorer
    from physbench.tracks.tracks import Tracks as Tracks
    from physbench.world.scene import Scene as Scene

__version__ = "0.1.0"

_HOMES = {
    "Clip": "physbench.clips.clip",
    "Evaluation": "physbench.run.evaluation",
    "FrameModel": "physbench.adapters.model_protocol",
    "ModelCard": "physbench.adapters.model_protocol",
    "PhysbenchError": "physbench.errors",
    "PrivilegedModel": "physbench.adapters.model_protocol",
    "Reading": "physbench.scoring.scorer_protocol",
    "Rollout": "physbench.rollouts.rollout",
    "Scene": "physbench.world.scene",
    "Tracks": "physbench.tracks.tracks",
    "evaluate": "physbench.run.api",
    "scorer": "physbench.scoring.scorer_protocol",
}


links.install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'physbench' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
