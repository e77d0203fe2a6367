"""`objects`: an object-centric interaction model for scenes of saturated objects over a grey background.

Frames become slots (segmentation.py, slots.py), slots move (initial_state.py, learned_dynamics.py), and are drawn
(drawing.py). It sees pixels only, and nothing in it depends on a task.
After Battaglia et al. 2016 (arXiv 1612.00222) and Greff et al. 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.models.protocol import ModelCard
from physbench.reference import objects_slots
from physbench.reference.architecture import CHUNK_FRAMES, Architecture
from physbench.reference.objects_dynamics import (
    Dynamics,
    estimate_initial_state,
    exact_share,
    mlp,
    scene_parameters,
    simulate_frames,
)
from physbench.reference.training_loop import Episodes, TrainingStage

# Draws frames from positions: objects in the colours of their slots, behind occluders, over the background.

COVER_MARGIN = 0.02  # opacities nearer to 0 or 1 are rounded to them


@dataclass(frozen=True)
class ObjectImages:
    """Images of the K objects in B clips that are not round, cut out of the context."""

    clip: Tensor  # (K,)
    index: Tensor  # (K,) of the object in its clip
    image: Tensor  # (K, 4, H, W) see shapes.cut_images
    position: Tensor  # (K, 2) px, where it was cut out


class Painter(nn.Module):
    """Learned appearance of a disc (size, edge, shading, colour), and which greys occlude it."""

    def __init__(self, slots: int = 5) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.full((slots, 3), 0.5))
        self.size = nn.Parameter(torch.tensor([1.0, 0.0]))  # drawn radius = first x seen radius + second
        self.edge = nn.Parameter(torch.tensor(1.0))  # px over which a disc fades
        self.shade = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0]))  # brightness, in powers of the squared distance
        self.hides = mlp(2, 16, 1)

    def opacity(self, background: Tensor) -> Tensor:
        """Background (B, 3, H, W) -> opacity (B, H, W) 0..1 of each pixel for objects that pass behind it."""
        grey = background.mean(1)
        commonest = grey.flatten(1).median(1).values[:, None, None]
        seen = torch.stack([(grey - 0.5) * 8, (grey - commonest) * 8], -1)
        return exact_share((1 + 2 * COVER_MARGIN) * torch.sigmoid(4 * self.hides(seen)[..., 0] - 2.0) - COVER_MARGIN)

    def forward(
        self, positions: Tensor, slots: objects_slots.Slots, opacity: Tensor, object_images: ObjectImages | None = None
    ) -> Tensor:
        """Positions (B, T, N, 2) in px of the objects of `slots` -> frames (B, T, 3, H, W)."""
        height, width = slots.background.shape[-2:]
        y = torch.arange(height, device=positions.device, dtype=positions.dtype) + 0.5
        x = torch.arange(width, device=positions.device, dtype=positions.dtype) + 0.5
        frames = slots.background[:, None].expand(-1, positions.shape[1], -1, -1, -1)
        colours = self.colours[slots.slot]  # (B, N, 3)
        free = 1 - opacity[:, None]
        for n in range(positions.shape[2]):
            across = (x - positions[:, :, n, :1]).square()[:, :, None]  # (B, T, 1, W)
            down = (y - positions[:, :, n, 1:]).square()[..., None]  # (B, T, H, 1)
            square = across + down + 1e-6
            drawn = (self.size[0] * slots.radius[:, n] + self.size[1]).clamp_min(0.5)[:, None, None, None]
            cover = ((drawn - square.sqrt()) / self.edge.clamp_min(0.3) + 0.5).clamp(0, 1)
            q = (square / drawn.square()).clamp_max(1.4)
            shade = self.shade[0] + q * (self.shade[1] + q * (self.shade[2] + q * self.shade[3]))
            colour = shade[:, :, None] * colours[:, n, None, :, None, None]
            if object_images is not None and bool((selected := object_images.index == n).any()):
                clip = object_images.clip[selected]
                shown = objects_slots.shift_images(
                    object_images.image[selected], positions[clip, :, n] - object_images.position[selected][:, None]
                )
                cover, colour = (
                    cover.index_put((clip,), shown[:, :, 3]),
                    colour.index_put((clip,), shown[:, :, :3] / shown[:, :, 3:].clamp_min(1e-3)),
                )
            share = cover * (free * slots.present[:, n, None, None, None])
            frames = torch.lerp(frames, colour, share[:, :, None])
        return frames


def cut_out_objects(
    frames: Tensor, slots: objects_slots.Slots, appearance: objects_slots.Appearance, colours: Tensor
) -> ObjectImages | None:
    """Cut the objects that are not round out of context frames (B, C, 3, H, W); None if all are round."""
    clip, index = ((slots.present > 0) & (slots.round < 0.5)).nonzero(as_tuple=True)
    if not len(clip):
        return None
    frame = appearance.frame[clip, index]
    image = objects_slots.cut_images(
        frames[clip, frame], appearance.masks[clip, index], colours[slots.slot[clip, index]]
    )
    return ObjectImages(clip, index, image, slots.centre[clip, frame, index])


def draw_moving_screen(frames: Tensor, screen: objects_slots.MovingScreen, first: int) -> Tensor:
    """Draw the moving screen over frames (B, T, 3, H, W), the first of which lies `first` frames after the context."""
    with_screen = (screen.cover.amax((1, 2)) > 0).nonzero()[:, 0]
    if not len(with_screen):
        return frames
    screen = screen.select(with_screen)
    ages = torch.arange(first, first + frames.shape[1], device=frames.device, dtype=frames.dtype)
    shift = ages[:, None] * screen.velocity[:, None]  # (K, T, 2)
    cover = objects_slots.shift_images(screen.cover[:, None].expand(-1, 4, -1, -1), shift)[:, :, :1]
    changed = torch.lerp(
        frames[with_screen], screen.grey[:, None, None, None, None].expand_as(frames[with_screen]), cover
    )
    return frames.index_put((with_screen,), changed)


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
        self.segmenter = objects_slots.Segmenter(config["slots"])
        self.dynamics = Dynamics(config["substeps"], config["regimes"], config["hidden"])
        self.painter = Painter(config["slots"])


class ObjectsModel:
    """The FrameModel. It computes in float32 whatever the dtype of the frames; clips of a batch are independent."""

    def __init__(self, net: ObjectsNet, card: ModelCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype

    @torch.no_grad()
    def predict_positions(self, slots: objects_slots.Slots, horizon: int, pushes: Tensor | None) -> Tensor:
        """Predicted positions (B, horizon, N, 2) in px after the context."""
        dynamics, context = self.net.dynamics, self.card.context_frames
        scenes = scene_parameters(dynamics, slots, context)
        seen, weight = slots.centre[:, :context], slots.weight[:, :context]
        position, velocity, _ = estimate_initial_state(dynamics, scenes, seen, weight, pushes)
        return simulate_frames(dynamics, position, velocity, scenes, context + horizon, pushes)[0][:, context:]

    @torch.no_grad()
    def rollout(self, context: Tensor, *, horizon: int, actions: Tensor | None, **given: object) -> Iterator[Tensor]:
        """Chunks (B, t, 3, H, W). Deterministic: prompts and generators are not used."""
        frames, net = context.to(self.device, torch.float32), self.net
        slots, appearance = objects_slots.read_slots(
            net.segmenter, frames, self.card.context_frames, occluders=net.painter.opacity
        )
        pushes = None
        if actions is not None:
            pushes = objects_slots.pushes_by_object(
                actions.to(self.device, torch.float32), net.segmenter.colours, slots.slot
            )
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
    model_class = ObjectsModel
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}, "M": {"regimes": 12, "hidden": 128}}

    def card(self, config: Mapping[str, Any]) -> ModelCard:
        return ModelCard(self.name, (config["size"],) * 2, config["fps"], config["context"], track="trained")

    def net(self, config: Mapping[str, Any]) -> ObjectsNet:
        return ObjectsNet(config)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """Segmentation, then drawing, then motion."""
        from physbench.reference.objects_training import stages

        assert isinstance(net, ObjectsNet)
        return stages(net, config, episodes, folder, steps)


architecture = Objects()
