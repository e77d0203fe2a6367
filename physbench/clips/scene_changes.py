"""Changes of a scene. Two clips from one context, with and without a change, are a pair, whose difference is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from physbench.support.errors import UsageError, nearest
from physbench.world.scene import Scene


@dataclass(frozen=True)
class SceneChange:
    """Difference of a scene from that of its task; none up to the hand-over."""

    apply: Callable[[Scene], Scene]  # raises ValueError, saying why, where a scene has nothing to change
    by_actions: bool  # only the actions tell of it: a model without actions cannot know it


def unpushed(scene: Scene) -> Scene:
    """The scene without its pushes, which all come after the hand-over, and with a prompt that mentions none."""
    if not scene.impulses:
        raise ValueError("nothing is pushed")
    if any(push.time <= 0 for push in scene.impulses):
        raise ValueError("something is pushed before the hand-over, which the context shows")
    if not scene.prompt_unpushed:
        raise ValueError("the scene has no `prompt_unpushed`, the prompt where nothing is pushed")
    quiet = replace(scene, impulses=(), prompt=scene.prompt_unpushed, caption=scene.caption_unpushed)
    return replace(quiet, prompt_unpushed="", caption_unpushed="")


PROMPT_MOTION = (
    "told"  # nothing but the prompt is changed: it says in words how things move, see `Clip.stated_velocities`
)
CHANGES: Mapping[str, SceneChange] = {
    "unpushed": SceneChange(unpushed, by_actions=True),
    PROMPT_MOTION: SceneChange(lambda scene: scene, by_actions=False),
}


def changed(scene: Scene, change: str, task: str) -> Scene:
    """The scene of a task with one of CHANGES; as it is for "".

    Raises UsageError for an unknown change, and for a scene that does not allow it.
    """
    if not change:
        return scene
    if change not in CHANGES:
        raise UsageError(f"There is no change named '{change}'.{nearest(change, CHANGES)}")
    try:
        return CHANGES[change].apply(scene)
    except ValueError as error:
        raise UsageError(f"{task} cannot be {change}: {error}. Leave it out with --tasks.") from None
