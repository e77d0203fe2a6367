"""From places to pictures: soft discs in the colours of the slots, behind what hides them, over the background."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from physbench.reference.dynamics import mlp


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
        return torch.sigmoid(self.hides(torch.stack([(grey - 0.5) * 8, (grey - commonest) * 8], -1))[..., 0] - 2.0)

    def forward(
        self, places: Tensor, radius: Tensor, present: Tensor, slot: Tensor, picture: Tensor, curtain: Tensor
    ) -> Tensor:
        """Places (B, T, N, 2) px of objects with radius, present, slot (B, N) -> frames (B, T, 3, H, W)."""
        height, width = picture.shape[-2:]
        y = torch.arange(height, device=places.device, dtype=places.dtype) + 0.5
        x = torch.arange(width, device=places.device, dtype=places.dtype) + 0.5
        frames = picture[:, None].expand(-1, places.shape[1], -1, -1, -1)
        colours = self.colours[slot]  # (B, N, 3)
        free = 1 - curtain[:, None]
        for n in range(places.shape[2]):
            across = (x - places[:, :, n, :1]).square()[:, :, None]  # (B, T, 1, W)
            down = (y - places[:, :, n, 1:]).square()[..., None]  # (B, T, H, 1)
            square = across + down + 1e-6
            drawn = (self.size[0] * radius[:, n] + self.size[1]).clamp_min(0.5)[:, None, None, None]
            cover = ((drawn - square.sqrt()) / self.edge.clamp_min(0.3) + 0.5).clamp(0, 1)
            share = cover * (free * present[:, n, None, None, None])
            q = (square / drawn.square()).clamp_max(1.4)
            shade = self.shade[0] + q * (self.shade[1] + q * (self.shade[2] + q * self.shade[3]))
            colour = shade[:, :, None] * colours[:, n, None, :, None, None]
            frames = torch.lerp(frames, colour, share[:, :, None])
        return frames
