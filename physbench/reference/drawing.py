"""From places to pictures: objects in the colours of their slots, behind what hides them, over the background."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from physbench.reference.backdrop import MovingScreen
from physbench.reference.learned_dynamics import exact_share, mlp
from physbench.reference.shapes import cut_images, shift_images
from physbench.reference.slots import Appearance, Slots

COVER_MARGIN = 0.02  # of a curtain: less is none, and as little less than all is all


@dataclass(frozen=True)
class ObjectImages:
    """Objects that are not round, cut out of the context: K of them in B clips."""

    clip: Tensor  # (K,)
    number: Tensor  # (K,) index of the object in its clip
    picture: Tensor  # (K, 4, H, W) see shapes.cut
    place: Tensor  # (K, 2) px, where they were cut out


class Painter(nn.Module):
    """Learned look of a disc (size, edge, shading, colour) and of what hides it."""

    def __init__(self, slots: int = 5) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.full((slots, 3), 0.5))
        self.size = nn.Parameter(torch.tensor([1.0, 0.0]))  # drawn radius = first x seen radius + second
        self.edge = nn.Parameter(torch.tensor(1.0))  # px over which a disc fades
        self.shade = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0]))  # brightness, in powers of the squared distance
        self.hides = mlp(2, 16, 1)

    def curtain(self, picture: Tensor) -> Tensor:
        """Background (B, 3, H, W) -> how much each pixel hides of what passes there (B, H, W), 0..1."""
        grey = picture.mean(1)
        commonest = grey.flatten(1).median(1).values[:, None, None]
        seen = torch.stack([(grey - 0.5) * 8, (grey - commonest) * 8], -1)
        return exact_share((1 + 2 * COVER_MARGIN) * torch.sigmoid(4 * self.hides(seen)[..., 0] - 2.0) - COVER_MARGIN)

    def forward(self, places: Tensor, slots: Slots, curtain: Tensor, pictures: ObjectImages | None = None) -> Tensor:
        """Places (B, T, N, 2) px of the objects of `slots` -> frames (B, T, 3, H, W)."""
        height, width = slots.picture.shape[-2:]
        y = torch.arange(height, device=places.device, dtype=places.dtype) + 0.5
        x = torch.arange(width, device=places.device, dtype=places.dtype) + 0.5
        frames = slots.picture[:, None].expand(-1, places.shape[1], -1, -1, -1)
        colours = self.colours[slots.slot]  # (B, N, 3)
        free = 1 - curtain[:, None]
        for n in range(places.shape[2]):
            across = (x - places[:, :, n, :1]).square()[:, :, None]  # (B, T, 1, W)
            down = (y - places[:, :, n, 1:]).square()[..., None]  # (B, T, H, 1)
            square = across + down + 1e-6
            drawn = (self.size[0] * slots.radius[:, n] + self.size[1]).clamp_min(0.5)[:, None, None, None]
            cover = ((drawn - square.sqrt()) / self.edge.clamp_min(0.3) + 0.5).clamp(0, 1)
            q = (square / drawn.square()).clamp_max(1.4)
            shade = self.shade[0] + q * (self.shade[1] + q * (self.shade[2] + q * self.shade[3]))
            colour = shade[:, :, None] * colours[:, n, None, :, None, None]
            if pictures is not None and bool((mine := pictures.number == n).any()):
                clip = pictures.clip[mine]
                shown = shift_images(pictures.picture[mine], places[clip, :, n] - pictures.place[mine][:, None])
                cover, colour = (
                    cover.index_put((clip,), shown[:, :, 3]),
                    colour.index_put((clip,), shown[:, :, :3] / shown[:, :, 3:].clamp_min(1e-3)),
                )
            share = cover * (free * slots.present[:, n, None, None, None])
            frames = torch.lerp(frames, colour, share[:, :, None])
        return frames


def cut_out_objects(frames: Tensor, slots: Slots, looks: Appearance, colours: Tensor) -> ObjectImages | None:
    """The objects in context frames (B, C, 3, H, W) that are not round; None if all are."""
    clip, number = ((slots.present > 0) & (slots.round < 0.5)).nonzero(as_tuple=True)
    if not len(clip):
        return None
    when = looks.when[clip, number]
    picture = cut_images(frames[clip, when], looks.masks[clip, number], colours[slots.slot[clip, number]])
    return ObjectImages(clip, number, picture, slots.centre[clip, when, number])


def draw_moving_screen(frames: Tensor, plate: MovingScreen, first: int) -> Tensor:
    """Frames (B, T, 3, H, W), the first of them `first` frames behind the context, with the plate before all."""
    there = (plate.cover.amax((1, 2)) > 0).nonzero()[:, 0]
    if not len(there):
        return frames
    plate = plate.take(there)
    ages = torch.arange(first, first + frames.shape[1], device=frames.device, dtype=frames.dtype)
    shift = ages[:, None] * plate.velocity[:, None]  # (K, T, 2)
    cover = shift_images(plate.cover[:, None].expand(-1, 4, -1, -1), shift)[:, :, :1]
    changed = torch.lerp(frames[there], plate.grey[:, None, None, None, None].expand_as(frames[there]), cover)
    return frames.index_put((there,), changed)
