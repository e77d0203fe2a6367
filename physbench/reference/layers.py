"""Layers that several networks share: residual convolutions, attention, embeddings of numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def film_tensor(frames: Tensor, device: torch.device) -> Tensor:
    """Frames (B, T, H, W, 3) uint8 -> (B, T, 3, H, W) in [0, 1] on a device."""
    return frames.to(device).movedim(-1, 2).float() / 255


class ResidualBlock(nn.Module):
    """x + conv(gelu(conv(x))): begins as nothing but x. A condition (N, D) scales and shifts what is between (FiLM)."""

    def __init__(self, width: int, condition: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width) if condition else None
        silence(self.second)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (N, width, h, w), condition (N, D) -> (N, width, h, w)."""
        between = self.first(functional.gelu(x))
        if self.film is not None and condition is not None:
            scale, shift = self.film(condition)[..., None, None].chunk(2, 1)
            between = between * (1 + scale) + shift
        out: Tensor = x + self.second(functional.gelu(between))
        return out


class Attention(nn.Module):
    """Multi-head self-attention with torch's fused kernels, whole or in parts, for whoever caches keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (N, L, width) -> (N, L, width). mask: (N, 1, L or 1, L) bool, True where a row may look at a column."""
        return self.join(functional.scaled_dot_product_attention(*self.split(x), attn_mask=mask))

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (N, heads, L, width / heads) of x (N, L, width)."""
        batch, length, width = x.shape
        query, key, value = self.inputs(x).view(batch, length, 3, self.heads, width // self.heads).unbind(2)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def join(self, seen: Tensor) -> Tensor:
        """Values seen by all heads (N, heads, L, width / heads) -> (N, L, width)."""
        out: Tensor = self.output(seen.transpose(1, 2).flatten(2))
        return out


def unshuffle(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) -> (N, C side^2, H / side, W / side): pixel_unshuffle of torch, which older exporters get wrong."""
    count, channels, height, width = x.shape
    cells = x.reshape(count, channels, height // side, side, width // side, side)
    return cells.permute(0, 1, 3, 5, 2, 4).reshape(count, channels * side**2, height // side, width // side)


class Unshuffle(nn.Module):
    """`unshuffle` as a layer."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C side^2, H / side, W / side)."""
        return unshuffle(x, self.side)


def silence(layer: nn.Module) -> None:
    """Let a layer begin as zero, whatever it is given."""
    for each in layer.parameters():
        nn.init.zeros_(each)


def mlp(width: int, hidden: int | None = None, out: int | None = None) -> nn.Sequential:
    """Two linear layers, GELU between them; the hidden width is 4 times the first where none is given."""
    return nn.Sequential(nn.Linear(width, hidden or 4 * width), nn.GELU(), nn.Linear(hidden or 4 * width, out or width))


def sinusoids(numbers: Tensor, width: int) -> Tensor:
    """Sines and cosines (N, width) of numbers (N,), with periods from 1 to 1,000 (arXiv 1706.03762)."""
    half = width // 2
    rates = torch.exp(-math.log(1000.0) * torch.arange(half, device=numbers.device) / half) * 2 * math.pi
    angles = numbers[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], -1)
