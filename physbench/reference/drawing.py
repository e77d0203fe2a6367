"""Draws frames from positions: objects in the colours of their slots, behind occluders, over the background."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from physbench.reference.backdrop import MovingScreen
from physbench.reference.learned_dynamics import exact_share, mlp
from physbench.reference.shapes import cut_images, shift_images
from physbench.reference.slots import Appearance, Slots

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
        self, positions: Tensor, slots: Slots, opacity: Tensor, object_images: ObjectImages | None = None
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
                shown = shift_images(
                    object_images.image[selected], positions[clip, :, n] - object_images.position[selected][:, None]
                )
                cover, colour = (
                    cover.index_put((clip,), shown[:, :, 3]),
                    colour.index_put((clip,), shown[:, :, :3] / shown[:, :, 3:].clamp_min(1e-3)),
                )
            share = cover * (free * slots.present[:, n, None, None, None])
            frames = torch.lerp(frames, colour, share[:, :, None])
        return frames


def cut_out_objects(frames: Tensor, slots: Slots, appearance: Appearance, colours: Tensor) -> ObjectImages | None:
    """Cut the objects that are not round out of context frames (B, C, 3, H, W); None if all are round."""
    clip, index = ((slots.present > 0) & (slots.round < 0.5)).nonzero(as_tuple=True)
    if not len(clip):
        return None
    frame = appearance.frame[clip, index]
    image = cut_images(frames[clip, frame], appearance.masks[clip, index], colours[slots.slot[clip, index]])
    return ObjectImages(clip, index, image, slots.centre[clip, frame, index])


def draw_moving_screen(frames: Tensor, screen: MovingScreen, first: int) -> Tensor:
    """Draw the moving screen over frames (B, T, 3, H, W), the first of which lies `first` frames after the context."""
    with_screen = (screen.cover.amax((1, 2)) > 0).nonzero()[:, 0]
    if not len(with_screen):
        return frames
    screen = screen.select(with_screen)
    ages = torch.arange(first, first + frames.shape[1], device=frames.device, dtype=frames.dtype)
    shift = ages[:, None] * screen.velocity[:, None]  # (K, T, 2)
    cover = shift_images(screen.cover[:, None].expand(-1, 4, -1, -1), shift)[:, :, :1]
    changed = torch.lerp(
        frames[with_screen], screen.grey[:, None, None, None, None].expand_as(frames[with_screen]), cover
    )
    return frames.index_put((with_screen,), changed)
