"""`objects`: an object-centric interaction model for scenes of saturated objects over a grey background.

Frames become slots (segmentation.py, slots.py), slots move (initial_state.py, learned_dynamics.py), and are drawn
(drawing.py). It sees pixels only, and nothing in it depends on a task.
After Battaglia et al. 2016 (arXiv 1612.00222) and Greff et al. 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.adapters.model_protocol import ModelCard
from physbench.adapters.untrained_copy import take_weights
from physbench.reference.architecture import CHUNK_FRAMES, Architecture
from physbench.reference.drawing import Painter, cut_out_objects, draw_moving_screen
from physbench.reference.initial_state import estimate_initial_state, simulate_frames
from physbench.reference.learned_dynamics import Dynamics
from physbench.reference.motion_training import scene_parameters
from physbench.reference.segmentation import Segmenter
from physbench.reference.slots import Slots, pushes_by_object, read_slots
from physbench.reference.training_loop import Episodes, TrainingStage

OBJECTS_DEFAULTS: Mapping[str, Any] = {
    "size": 64,  # px
    "fps": 15,
    "context": 8,  # frames
    "slots": 5,
    "substeps": 4,  # of a frame
    "regimes": 6,
    "hidden": 32,
}


class ObjectsNet(nn.Module):
    """The network: segmenter, dynamics and painter."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.segmenter = Segmenter(config["slots"])
        self.dynamics = Dynamics(config["substeps"], config["regimes"], config["hidden"])
        self.painter = Painter(config["slots"])


class ObjectsModel:
    """The FrameModel. It computes in float32 whatever the dtype of the frames; clips of a batch are independent."""

    def __init__(self, net: ObjectsNet, card: ModelCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype

    def redraw(self) -> None:
        """Forget what was learned."""
        take_weights(self.net, ObjectsNet(self.net.config), self.card.name)

    @torch.no_grad()
    def predict_positions(self, slots: Slots, horizon: int, pushes: Tensor | None) -> Tensor:
        """Predicted positions (B, horizon, N, 2) in px after the context."""
        dynamics, context = self.net.dynamics, self.card.context_frames
        scenes = scene_parameters(dynamics, slots, context)
        seen, weight = slots.centre[:, :context], slots.weight[:, :context]
        position, velocity, _ = estimate_initial_state(dynamics, scenes, seen, weight, pushes)
        return simulate_frames(dynamics, position, velocity, scenes, context + horizon, pushes)[0][:, context:]

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
        """Chunks (B, t, 3, H, W). Deterministic: prompts and generators are not used."""
        frames, net = context.to(self.device, torch.float32), self.net
        slots, appearance = read_slots(net.segmenter, frames, self.card.context_frames, occluders=net.painter.opacity)
        pushes = None
        if actions is not None:
            pushes = pushes_by_object(actions.to(self.device, torch.float32), net.segmenter.colours, slots.slot)
        positions = self.predict_positions(slots, horizon, pushes)
        opacity = net.painter.opacity(slots.background)
        images = cut_out_objects(frames, slots, appearance, net.painter.colours)
        for first in range(0, horizon, CHUNK_FRAMES):
            drawn = net.painter(positions[:, first : first + CHUNK_FRAMES], slots, opacity, images)
            yield draw_moving_screen(drawn, appearance.screen, first + 1).clamp(0, 1).to(self.dtype)


class Objects(Architecture):
    """`objects` as the harness and the training use it."""

    name = "objects"
    summary = "slots with position and velocity, learned interactions; two CPU cores, minutes"
    steps = 1300  # of its motion stage
    threads = 1  # with tensors this small, a second thread costs time
    exact = True
    defaults = OBJECTS_DEFAULTS
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}, "M": {"regimes": 12, "hidden": 128}}

    def card(self, config: Mapping[str, Any]) -> ModelCard:
        """The card of a model that `physbench train` makes."""
        return ModelCard(self.name, (config["size"],) * 2, config["fps"], config["context"], track="trained")

    def net(self, config: Mapping[str, Any]) -> ObjectsNet:
        """The network, with its initial weights."""
        return ObjectsNet(config)

    def wrap(self, net: nn.Module, card: ModelCard, device: torch.device, dtype: torch.dtype) -> ObjectsModel:
        """Make a model of a network."""
        assert isinstance(net, ObjectsNet)
        return ObjectsModel(net.eval(), card, device, dtype)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """Segmentation, then drawing, then motion."""
        from physbench.reference.objects_training import stages

        assert isinstance(net, ObjectsNet)
        return stages(net, config, episodes, folder, steps)


architecture = Objects()
