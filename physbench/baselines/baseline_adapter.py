"""The adapter of models without weights: `baseline:freeze`, `constant-velocity`, `memory`, `physicist`, `oracle`, ...

Size, rate and context follow --model-arg size=64 (or 96x64, width x height), fps=15, context=8. Freeze, constant
velocity and memory see pixels only, the physicist the pixels of the context and the scene's data, and the oracle
everything. Memory also takes clips=1500, the number of training clips that it holds. The baselines of states have no
size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from physbench.models.adapter import Adapter
from physbench.models.protocol import (
    PLACE,
    SPEED,
    STATE_COLUMNS,
    Model,
    ModelCard,
    StateCard,
    Track,
    answer_parts,
    check_card,
)
from physbench.models.python_code import convert_argument
from physbench.support import plugins
from physbench.support.errors import ModelError, nearest
from physbench.world.scene import FAR

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from physbench.clips.clip import Clip


class Freeze:
    """The persistence baseline: the last context frame, repeated."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def rollout(self, context: Tensor, *, horizon: int, **given: object) -> Tensor:
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


class Oracle:
    """The true future: the best that tracker and scorers can measure. Privileged."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def rollout_clips(self, clips: Sequence[Clip], *, horizon: int, **given: object) -> Iterator[Tensor]:
        import numpy as np
        import torch

        for part in answer_parts(self.card, len(clips), horizon):
            chunk = np.stack([clip.future()[part] for clip in clips])
            yield torch.from_numpy(chunk).permute(0, 1, 4, 2, 3).float() / 255


# Baselines that answer with states: what the scores of models of states are read against.


class StateFreeze:
    """The persistence baseline: the last state of the context stays."""

    def __init__(self, card: StateCard) -> None:
        self.card = card

    def rollout_states(self, states: Tensor, *, horizon: int, **given: object) -> Tensor:
        return states[:, -1:].repeat(1, horizon, 1, 1)


class StateConstantVelocity(StateFreeze):
    """Every body moves on in a straight line, through everything."""

    def rollout_states(self, states: Tensor, *, horizon: int, **given: object) -> Tensor:
        import torch

        answer = super().rollout_states(states, horizon=horizon)
        seconds = torch.arange(1, horizon + 1, device=states.device, dtype=states.dtype) / self.card.fps
        answer[..., PLACE] += answer[..., SPEED] * seconds[:, None, None]
        return answer


class StateOracle:
    """The true states: the best that can be measured. Privileged."""

    def __init__(self, card: StateCard) -> None:
        self.card = card

    def rollout_clips(self, clips: Sequence[Clip], *, horizon: int, **given: object) -> Tensor:
        import numpy as np
        import torch

        answer = np.zeros((len(clips), horizon, max(len(clip.tracked) for clip in clips), len(STATE_COLUMNS)))
        for own, clip in zip(answer, clips, strict=True):
            own[:, : len(clip.tracked)] = clip.states[clip.handover + 1 :, list(clip.tracked)]
        return torch.from_numpy(answer)


def _constant_velocity(card: ModelCard) -> Model:
    from physbench.baselines.constant_velocity import ConstantVelocity

    return ConstantVelocity(card)


def _registered(name: str) -> Callable[[ModelCard], Model]:
    """Factory of a baseline that uses packages above the adapters, so that it is loaded through its entry point."""

    def make(card: ModelCard) -> Model:
        baseline: Model = plugins.load("physbench.baselines", name)(card)
        return baseline

    return make


OF_STATES = "state-"  # begins the names of baselines that answer with states
BASELINES: dict[str, tuple[Callable[[Any], Any], str]] = {  # what makes a model of a card, of its kind each
    "constant-velocity": (_constant_velocity, "what is coloured moves on in straight lines over the median background"),
    "freeze": (Freeze, "the last context frame stays"),
    "memory": (_registered("memory"), "the displacements of the nearest of --model-arg clips=1500 training clips"),
    "oracle": (Oracle, "the true future (privileged)"),
    "physicist": (
        _registered("physicist"),
        "tracks the context and simulates on from there by the scene's laws (privileged)",
    ),
    "state-constant-velocity": (StateConstantVelocity, "states: every body moves on in a straight line"),
    "state-freeze": (StateFreeze, "states: every body stays"),
    "state-oracle": (StateOracle, "states: the true ones (privileged)"),
}


def baseline_card(name: str, model_args: Mapping[str, str]) -> ModelCard:
    """The card of a baseline.

    Args:
        name: Of the baseline.
        model_args: Values of --model-arg: size, fps, context; of memory also clips.

    Raises:
        ModelError: An argument is unknown or out of bounds.
    """
    of_states = name.startswith(OF_STATES)
    defaults = {"size": "64", "fps": "15", "context": "8"}
    if name == "memory":
        defaults["clips"] = "1500"  # of the `train` split
    known = [key for key in defaults if not (of_states and key == "size")]
    for key in model_args:
        if key not in known:
            raise ModelError(f"--model-arg {key}: {name} has no argument of that name.{nearest(key, known)}")
    given = {**defaults, **model_args}
    fps = convert_argument(given["fps"], float, "fps")
    context = convert_argument(given["context"], int, "context")
    told_all = name in ("oracle", "physicist", "state-oracle")
    track: Track = "privileged" if told_all else "trained" if name == "memory" else "zero-shot"
    if of_states:
        return check_card(StateCard(name=name, fps=fps, context_frames=context, track=track))
    sides = given["size"].lower().split("x")
    if len(sides) not in (1, 2) or not all(side.isdigit() for side in sides):
        raise ModelError(f"--model-arg size={given['size']}: expected 64, or 96x64 for width x height, in px.")
    return check_card(
        ModelCard(
            name=name,
            image_size=(int(sides[-1]), int(sides[0])),
            fps=fps,
            context_frames=context,
            track=track,
            uses_actions=name == "memory",
            training_clips=convert_argument(given["clips"], int, "clips") if name == "memory" else None,
        )
    )


class BaselineAdapter(Adapter):
    """`baseline:NAME`. The version of physbench decides their answers, and no hash."""

    name = "baseline"
    summary = "baseline:NAME  no weights; --model-arg size=64 (fps=15, context=8 likewise)"

    def _name(self, target: str) -> str:
        name = target.partition(":")[2]
        if name not in BASELINES:
            raise ModelError(f"There is no baseline '{name}'.{nearest(name, BASELINES)}")
        return name

    def check(self, target: str) -> None:
        self._name(target)

    def check_arguments(self, target: str, model_args: Mapping[str, str]) -> None:
        baseline_card(self._name(target), model_args)

    def check_view(self, target: str, view: str) -> None:
        # These move things in the picture as the task's own camera shows them
        if view != FAR and self._name(target) in ("constant-velocity", "memory"):
            raise ModelError(
                f"In the view '{view}', {target} cannot be evaluated: it sees pixels, and knows no camera but the "
                f"task's own. Use --view far, or baseline:freeze, baseline:physicist or baseline:oracle."
            )

    def examples(self) -> list[tuple[str, ModelCard | None, str]]:
        return [(f"baseline:{name}", baseline_card(name, {}), text) for name, (_, text) in BASELINES.items()]

    def load(self, target: str, *, device: torch.device, dtype: torch.dtype, model_args: Mapping[str, str]) -> Model:
        name = self._name(target)
        make, _ = BASELINES[name]
        model: Model = make(baseline_card(name, model_args))
        return model


adapter = BaselineAdapter()
