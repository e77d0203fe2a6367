"""Segments frames into slots, one for each colour. Learned by reconstruction alone.

The colours of slots are the k-means centres of saturated pixels. A small network predicts, for each coloured pixel,
the shares of the slots and of a grey background, so that the mixture reproduces the pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_CHROMA = 0.05  # largest - smallest channel; a pixel above it may belong to an object
SATURATED_CHROMA = 0.45  # of pixels that define the colours of slots


def chroma(pixels: Tensor, dim: int = -1) -> Tensor:
    """Largest minus smallest channel."""
    return pixels.amax(dim) - pixels.amin(dim)


def opponent_colours(pixels: Tensor) -> Tensor:
    """Opponent colours (..., 2) of pixels (..., 3): their direction is the hue, their length the chroma."""
    red, green, blue = pixels.unbind(-1)
    return torch.stack([red - (green + blue) / 2, 0.866 * (green - blue)], -1)


class Segmenter(nn.Module):
    """Predicts the shares of K slots in each pixel."""

    colours: Tensor

    def __init__(self, slots: int = 5, hidden: int = 24) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, hidden), nn.SiLU(), nn.Linear(hidden, slots + 2))
        self.register_buffer("colours", torch.zeros(slots, 3))

    def shares(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (P, 3) -> shares (P, K + 1), the last of the background, and its grey (P, 1)."""
        plane = opponent_colours(pixels)
        length = plane.square().sum(-1, keepdim=True).add(1e-8).sqrt()
        own = torch.cat([plane / length, length * 2, pixels.mean(-1, keepdim=True) * 4 - 2], -1)
        out = self.net(own * 2)
        return out[:, :-1].softmax(-1), torch.sigmoid(out[:, -1:])

    def loss(self, pixels: Tensor) -> Tensor:
        """Error of reproducing pixels (P, 3) as mixtures, plus a small entropy term against mixing of hues."""
        share, grey = self.shares(pixels)
        again = share[:, :-1] @ self.colours + share[:, -1:] * grey
        hue = share[:, :-1] / (share[:, :-1].sum(-1, keepdim=True) + 1e-3)
        entropy = -(hue * (hue + 1e-6).log()).sum(-1).mean()
        return (again - pixels).abs().mean() * 10 + 0.1 * entropy

    @torch.no_grad()
    def maps(self, frames: Tensor, allowed: Tensor | None = None, pure: float = -1.0) -> Tensor:
        """Frames (T, 3, H, W) -> how much of each pixel belongs to each slot (T, H, W, K).

        allowed: (T, K), the slots that exist; pure: pixels whose cosine to the hue of their slot is lower are left out.
        """
        count, _, height, width = frames.shape
        pixels = frames.permute(0, 2, 3, 1).reshape(-1, 3)
        chosen = (chroma(pixels) > MIN_CHROMA).nonzero()[:, 0]
        share = self.shares(pixels[chosen])[0]
        # The slot of the nearest hue takes all of a pixel's colour: small shares of distant pixels would shift the
        # centre most.
        hue, own = opponent_colours(pixels[chosen]), opponent_colours(self.colours)
        closeness = functional.normalize(hue, dim=-1) @ functional.normalize(own, dim=-1).T
        if allowed is not None:
            closeness = closeness - 4 * (1 - allowed.to(closeness.dtype)[chosen // (height * width)])
        nearest = closeness.argmax(-1)
        near = closeness.gather(1, nearest[:, None]) > max(pure, -2.0)
        share = functional.one_hot(nearest, len(own)) * (1 - share[:, -1:]) * near
        dense = torch.zeros(len(pixels), share.shape[1], dtype=share.dtype, device=share.device)
        dense[chosen] = share
        return dense.view(count, height, width, -1)


def mass_and_centres(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (T, H, W, K) -> mass (T, K) px and centre (T, K, 2) px (NaN where there is no mass)."""
    rows, columns = maps.sum(2), maps.sum(1)  # (T, H, K), (T, W, K)
    mass = rows.sum(1)
    y = torch.arange(maps.shape[1], device=maps.device, dtype=maps.dtype) + 0.5
    x = torch.arange(maps.shape[2], device=maps.device, dtype=maps.dtype) + 0.5
    centre = torch.stack([torch.einsum("twk,w->tk", columns, x), torch.einsum("thk,h->tk", rows, y)], -1)
    return mass, centre / torch.where(mass > 0.5, mass, torch.nan)[..., None]


def k_means(points: Tensor, count: int, rounds: int = 20) -> Tensor:
    """k-means of points (P, D), started from the farthest ones: centres (count, D). Deterministic."""
    centres = points[:1]
    for _ in range(count - 1):
        centres = torch.cat([centres, points[torch.cdist(points, centres).amin(1).argmax()][None]])
    for _ in range(rounds):
        nearest = functional.one_hot(torch.cdist(points, centres).argmin(1), count).to(points.dtype)
        centres = (nearest.T @ points) / nearest.sum(0).clamp_min(1)[:, None]
    return centres


def coloured_pixels(frames: Tensor, least: float) -> Tensor:
    """Pixels (P, 3) of frames (T, 3, H, W) with a chroma above `least`."""
    pixels = frames.permute(0, 2, 3, 1).reshape(-1, 3)
    return pixels[chroma(pixels) > least]
