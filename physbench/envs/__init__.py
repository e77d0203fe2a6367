"""Every task as an environment of Gymnasium: `import physbench.envs`, then `gymnasium.make("physbench/NAME")`.

Importing this package registers them. Gymnasium 1.0 and later calls no entry points, so that it has to be imported, or
named in the id: `gymnasium.make("physbench.envs:physbench/NAME")`.
"""

from __future__ import annotations

from physbench.support.errors import PhysbenchError

try:
    import gymnasium
except ImportError as error:
    raise PhysbenchError("physbench.envs needs Gymnasium: pip install 'physbench[envs]'.") from error

from physbench.clips.task import short_names, task_ids
from physbench.envs.task_env import TaskEnv

NAMESPACE = "physbench"


def register_tasks() -> None:
    """Register every installed task under its name without its family, or with it where another task has that name."""
    for task in task_ids():
        name = f"{NAMESPACE}/{short_names(task)[0]}"
        if name in gymnasium.registry and gymnasium.registry[name].kwargs["task"] != task:
            name = f"{NAMESPACE}/{task.replace('/', '-')}"
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="physbench.envs.task_env:TaskEnv", kwargs={"task": task})


register_tasks()

__all__ = ["TaskEnv", "register_tasks"]
