"""Actions of a diffusers pipeline: the user names the argument of its call that takes them.

Of the pipelines of diffusers 0.42 that continue a picture one takes actions of a body: Cosmos 3, of the robots that it
knows. Any other gets one row a frame, as numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from physbench.clips.clip import ACTION_WIDTH
from physbench.models.huggingface.diffusers_folder import PipelineFolder
from physbench.support.errors import ModelError, nearest

if TYPE_CHECKING:
    from torch import Tensor

COSMOS3 = "Cosmos3OmniPipeline"
COSMOS3_SIZES = {256: (192, 320), 480: (480, 832), 704: (704, 1280), 720: (720, 1280)}  # px, wide ones, by tier
COSMOS3_TIER = 480
ACTION_OPTIONS = {"actions": "str", "action_domain": "str", "action_tier": "int", "action_view": "str"}


@dataclass(frozen=True)
class ActionCall:
    """Argument of a pipeline's call that takes actions.

    Attributes:
        keyword: Its name.
        width: Numbers of one action; None: as many as it is given.
        condition: Of Cosmos 3, what its `CosmosActionCondition` has besides actions and picture.
    """

    keyword: str
    width: int | None = None
    condition: Mapping[str, Any] | None = None

    def arguments(self, actions: Tensor | None, image: Any, frames: int) -> dict[str, Any]:
        """The arguments of a call that asks for so many frames, the context included.

        Args:
            actions: (T, width), one row a frame; None: nothing is done.
            image: The last frame of the context.
            frames: Rows that are missing at the end, whose frames are cut off, repeat the last one.

        Raises:
            ModelError: They have another width.
        """
        import torch

        rows = torch.zeros(frames, self.width or ACTION_WIDTH) if actions is None else actions.float()
        if self.width not in (None, rows.shape[1]):
            raise ModelError(
                f"--model-arg actions={self.keyword}: expected actions of {self.width} numbers, got {rows.shape[1]}. "
                f"Give --actions MAP.py a space of {self.width}."
            )
        rows = torch.cat([rows, rows[-1:].expand(max(frames - len(rows), 0), -1)])[:frames]
        if self.condition is None:
            return {self.keyword: rows}
        condition = _cosmos3_condition(
            mode="forward_dynamics", chunk_size=frames - 1, raw_actions=rows[1:], image=image, **self.condition
        )
        return {self.keyword: condition}


def action_call(
    settings: Mapping[str, Any],
    parameters: Mapping[str, inspect.Parameter],
    class_name: str,
    folder: PipelineFolder,
    scalar: Callable[[inspect.Parameter], str],
    reserved: Mapping[str, str],
) -> ActionCall | None:
    """The argument that --model-arg actions=NAME names; None where it is not given.

    Args:
        settings: Options of the adapter.
        parameters: Of the call.
        class_name: Of the pipeline.
        folder: Its folder.
        scalar: The kind of a parameter that takes one number or word, else "".
        reserved: Arguments that the adapter sets itself, with the reason.

    Raises:
        ModelError: The call has no such argument, or the checkpoint takes no actions.
    """
    keyword = settings.get("actions")
    others = [name for name in ACTION_OPTIONS if name in settings and name != "actions"]
    if keyword is None:
        if others:
            raise ModelError(f"--model-arg {others[0]}: it goes with --model-arg actions=action.")
        return None
    if "surprise" in settings:
        raise ModelError("--model-arg actions: in the films of --model-arg surprise nothing is done. Give one of them.")
    if keyword not in parameters:
        arrays = [name for name, each in parameters.items() if not scalar(each)]
        raise ModelError(
            f"--model-arg actions={keyword}: the call of {class_name} has no argument of that name."
            f"{nearest(keyword, arrays)}"
        )
    if kind := scalar(parameters[keyword]):
        raise ModelError(f"--model-arg actions={keyword}: it takes one {kind}, not an array of actions.")
    if keyword in reserved:
        raise ModelError(f"--model-arg actions={keyword}: that argument is taken, {reserved[keyword]}.")
    if class_name != COSMOS3 or keyword != "action":
        if others:
            raise ModelError(f"--model-arg {others[0]}: it is for {COSMOS3} and actions=action.")
        return ActionCall(keyword)
    if not folder.config("transformer").get("action_gen"):
        raise ModelError(f"{folder.path}: its transformer was made without actions (action_gen of its config.json).")
    return _of_cosmos3(settings)


def _of_cosmos3(settings: Mapping[str, Any]) -> ActionCall:
    condition = {
        "domain_name": settings.get("action_domain", ""),
        "resolution_tier": settings.get("action_tier", COSMOS3_TIER),
        "view_point": settings.get("action_view", "third_person_view"),
    }
    try:
        probe = _cosmos3_condition(mode="policy", chunk_size=1, image="any", **condition)
    except ValueError as error:
        raise ModelError(f"--model-arg action_domain or action_tier: {error}") from None
    return ActionCall("action", probe.raw_action_dim, condition)


def _cosmos3_condition(**fields: Any) -> Any:
    """A `CosmosActionCondition`. Raises ValueError where it cannot be."""
    import diffusers

    kind: Any = diffusers.CosmosActionCondition
    return kind(**fields)
