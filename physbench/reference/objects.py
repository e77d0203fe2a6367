"""`objects`: an object-centric interaction model for scenes of round, saturated balls over a grey background.

Frames become slots (segmentation.py, slots.py), slots move (start.py, dynamics.py), and are drawn again (drawing.py).
It sees pixels only and knows no task. After Battaglia et al. 2016 (arXiv 1612.00222) and Greff et al. 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.adapters.protocol import ModelCard
from physbench.reference.drawing import Painter
from physbench.reference.dynamics import Dynamics
from physbench.reference.motion import setting_of
from physbench.reference.segmentation import Segmenter
from physbench.reference.slots import Slots, read_slots, route
from physbench.reference.start import estimate, roll
from physbench.reference.training import Episodes, Stage, fill

CHUNK = 15  # frames drawn at a time
DEFAULTS: Mapping[str, Any] = {
    "size": 64,
    "fps": 15,
    "context": 8,
    "slots": 5,
    "substeps": 4,
    "regimes": 4,
    "hidden": 32,
}


class ObjectsNet(nn.Module):
    """The learned parts."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.segmenter = Segmenter(config["slots"])
        self.dynamics = Dynamics(config["substeps"], config["regimes"], config["hidden"])
        self.painter = Painter(config["slots"])


class ObjectsModel:
    """A FrameModel. Arithmetic is float32 whatever the dtype of the frames, and each clip is for itself."""

    def __init__(self, net: ObjectsNet, card: ModelCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype

    @torch.no_grad()
    def places(self, slots: Slots, horizon: int, pushes: Tensor | None) -> Tensor:
        """Predicted places (B, horizon, N, 2) px behind the context."""
        dynamics, context = self.net.dynamics, self.card.context_frames
        setting = setting_of(dynamics, slots, context)
        seen, weight = slots.centre[:, :context], slots.weight[:, :context]
        place, speed, _ = estimate(dynamics, setting, seen, weight, pushes)
        return roll(dynamics, place, speed, setting, context + horizon, pushes)[0][:, context:]

    @torch.no_grad()
    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        """Chunks (B, t, 3, H, W); deterministic, so prompts and generators are not looked at."""
        frames = context.to(self.device, torch.float32)
        slots = read_slots(self.net.segmenter, frames, self.card.context_frames)
        pushes = None
        if actions is not None:
            pushes = route(actions.to(self.device, torch.float32), self.net.segmenter.colours, slots.slot)
        places = self.places(slots, horizon, pushes)
        painter = self.net.painter
        curtain = painter.curtain(slots.picture)
        for chunk in torch.split(places, CHUNK, dim=1):
            drawn = painter(chunk, slots.radius, slots.present, slots.slot, slots.picture, curtain)
            yield drawn.clamp(0, 1).to(self.dtype)


class Architecture:
    """`objects` as the harness and the training know it."""

    name = "objects"
    summary = "slots with place and velocity, learned interactions; two CPU cores, minutes"
    threads = 1  # of training: its tensors are so small that a second thread only waits for the first

    def config(self) -> dict[str, Any]:
        """The default configuration."""
        return dict(DEFAULTS)

    def card(self, config: Mapping[str, Any]) -> ModelCard:
        """The card of a model that `physbench train` makes. Actions are wired but no task has any yet."""
        return ModelCard(self.name, (config["size"],) * 2, config["fps"], config["context"], track="trained")

    def net(self, config: Mapping[str, Any]) -> ObjectsNet:
        """The learned parts, with their first weights."""
        return ObjectsNet(config)

    def wrap(self, net: nn.Module, card: ModelCard, device: torch.device, dtype: torch.dtype) -> ObjectsModel:
        """A model from its learned parts."""
        assert isinstance(net, ObjectsNet)
        return ObjectsModel(net.eval(), card, device, dtype)

    def build(self, config: Mapping[str, Any]) -> ObjectsModel:
        """An untrained model."""
        config = {**DEFAULTS, **config}
        return self.wrap(self.net(config), self.card(config), torch.device("cpu"), torch.float32)

    def load(
        self, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: ModelCard, device: torch.device,
        dtype: torch.dtype,
    ) -> ObjectsModel:  # fmt: skip
        """A model from the tensors of a checkpoint."""
        net = self.net({**DEFAULTS, **config})
        fill(net, tensors, device, torch.float32)
        return self.wrap(net, card, device, dtype)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[Stage]:
        """Look, then motion, then drawing."""
        from physbench.reference.objects_training import stages

        assert isinstance(net, ObjectsNet)
        return stages(net, config, episodes, folder, steps)


architecture = Architecture()
