"""`video-dit`: a diffusion transformer that denoises a window of frames all at once, as Sora-like models of video do.

PhyWorld (arXiv 2411.02385) asked of such a model whether it learns laws of motion. Its blocks are those of DiT with
adaLN-zero (arXiv 2212.09748), their modulation shared by all blocks (adaLN-single, arXiv 2310.00426); the flow from
noise to latents is rectified (arXiv 2209.03003). The network predicts the clean window, and its velocity follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.reference.latent_model import Dynamics, LatentArchitecture, cell_weights, clip_noise
from physbench.reference.layers import Attention, mlp, silence, sinusoids

PATCH = (2, 2, 2)  # frames, rows, columns of cells that a token holds
SHIFT = 3.0  # noise levels lie nearer to 1, where motion is decided: u -> SHIFT u / (1 + (SHIFT - 1) u)


def shifted(numbers: Tensor) -> Tensor:
    """Noise levels of numbers in [0, 1], as of arXiv 2403.03206."""
    return SHIFT * numbers / (1 + (SHIFT - 1) * numbers)


def patches(latents: Tensor) -> Tensor:
    """Latents (B, L, D, h, w) -> tokens (B, L / 2, h w / 4, 8 D)."""
    pairs = torch.unflatten(latents, 1, (-1, PATCH[0])).flatten(2, 3)  # (B, L / 2, 2 D, h, w)
    return functional.pixel_unshuffle(pairs, PATCH[1]).flatten(3).transpose(2, 3)


def pictures(tokens: Tensor, rows: int) -> Tensor:
    """Inverse of `patches`: (B, L, D, h, w), `rows` tokens high."""
    cells = torch.unflatten(tokens.transpose(2, 3), 3, (rows, -1))
    return torch.unflatten(functional.pixel_shuffle(cells, PATCH[1]), 2, (PATCH[0], -1)).flatten(1, 2)


class DiTBlock(nn.Module):
    """Attention over all tokens and an MLP, each shifted, scaled and gated by the noise level (adaLN-zero)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Attention(width, heads)
        self.mlp = mlp(width)
        self.table = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """x (B, T, S, width), modulation (B, T, 1, 6, width) -> (B, T, S, width)."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (modulation + self.table).unbind(-2)
        tokens = (self.norm(x) * (1 + scale_a) + shift_a).flatten(1, 2)  # (B, T S, width)
        x = x + gate_a * self.attention(tokens).view_as(x)
        out: Tensor = x + gate_m * self.mlp(self.norm(x) * (1 + scale_m) + shift_m)
        return out


class VideoDiT(Dynamics):
    """Clean context latents and noisy latents after them -> the clean ones."""

    rate = 1e-3
    batch = 128
    deterministic = False

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__()
        self.context, self.ahead, self.steps = config["context"], config["max_horizon"], config["denoising_steps"]
        depth, wide = shape[0], config["width"]
        self.rows = shape[1] // PATCH[1]
        cells = self.rows * (shape[2] // PATCH[2])
        numbers = PATCH[0] * PATCH[1] * PATCH[2] * depth  # of a token
        self.inputs = nn.Linear(numbers + numbers // PATCH[0], wide)
        self.space = nn.Parameter(0.02 * torch.randn(1, 1, cells, wide))
        self.time = nn.Parameter(0.02 * torch.randn(1, (self.context + self.ahead) // PATCH[0], 1, wide))
        self.level = mlp(wide, wide)
        self.modulation = nn.Linear(wide, 6 * wide)
        self.blocks = nn.ModuleList(DiTBlock(wide, config["heads"]) for _ in range(config["blocks"]))
        self.norm = nn.LayerNorm(wide, elementwise_affine=False)
        self.final = nn.Linear(wide, 2 * wide)
        self.output = nn.Linear(wide, numbers)
        for zero in (self.modulation, self.final, self.output):
            silence(zero)

    def window(self, progress: float) -> int:
        """As of `Dynamics`. Shorter windows take the first of the places in time."""
        return int(self.context + self.ahead)

    def draws(self, windows: Tensor, progress: float, numbers: torch.Generator) -> tuple[Tensor, ...]:
        """Noise of the whole window and a noise level for each."""
        noise = torch.randn(windows.shape, generator=numbers, device=windows.device)
        return noise, shifted(torch.rand(len(windows), generator=numbers, device=windows.device))

    def clean(self, context: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
        """Expected differences, without the noise.

        Args:
            context: Latents (B, C, D, h, w).
            noisy: Differences (B, F, D, h, w) to the last of them, and noise; F is even, `ahead` at most.
            level: Share (B,) of noise in `noisy`.

        Returns:
            Differences (B, F, D, h, w).
        """
        last = context[:, -1:]
        tokens = patches(torch.cat([context - last, noisy], 1))  # (B, T, S, 8 D)
        scene = functional.pixel_unshuffle(last, PATCH[1]).flatten(3).transpose(2, 3)  # (B, 1, S, 4 D)
        x = self.inputs(torch.cat([tokens, scene.expand(-1, tokens.shape[1], -1, -1)], -1))
        x = x + self.space + self.time[:, : tokens.shape[1]]
        levels = torch.stack([torch.zeros_like(level), level], 1)  # of the context and of what follows
        known = self.level(sinusoids(30 * levels.flatten(), x.shape[-1])).unflatten(0, levels.shape)  # (B, 2, width)
        before = self.context // PATCH[0]
        known = torch.cat(
            [known[:, :1].expand(-1, before, -1), known[:, 1:].expand(-1, tokens.shape[1] - before, -1)], 1
        )
        known = functional.silu(known)[:, :, None]  # (B, T, 1, width)
        modulation = self.modulation(known).unflatten(-1, (6, -1))
        for block in self.blocks:
            x = block(x, modulation)
        shift, scale = self.final(known).chunk(2, -1)
        return pictures(self.output(self.norm(x) * (1 + scale) + shift), self.rows)[:, self.context :].float()

    def forward(self, windows: Tensor, noise: Tensor, level: Tensor) -> Tensor:  # type: ignore[override]
        """Squared error of the velocity from noise to latents."""
        count = self.context
        change = windows[:, count:] - windows[:, count - 1 : count]
        share = level[:, None, None, None, None]
        noisy = (1 - share) * change + share * noise[:, count:]
        # Noise of 0.05 of the latents' spread on the context, in training.
        expected = self.clean(windows[:, :count] + 0.05 * noise[:, :count], noisy, level)
        weight = cell_weights(windows, count)[:, count:]
        # Low levels would rule the loss otherwise
        error = ((expected - change) / share.clamp_min(0.3)).square()
        return (error * weight).sum() / (weight.sum() * windows.shape[2])

    def imagine(self, context: Tensor, horizon: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
        """As of `Dynamics`; behind `max_horizon` frames it goes on from its own last ones."""
        levels = shifted(torch.linspace(1, 0, self.steps + 1, device=context.device))
        for _ in range(0, horizon, self.ahead):
            last = context[:, -1:]
            change = clip_noise(generators, last.expand(-1, self.ahead, -1, -1, -1))
            for now, after in pairwise(levels):
                expected = self.clean(context, change, now.expand(len(context)))
                change = expected + after / now * (change - expected)  # an Euler step along the velocity
            latents = last + change.to(context)
            yield latents
            context = latents[:, -self.context :]


class VideoDiffusion(LatentArchitecture):
    """`video-dit` as the harness and the training use it."""

    name = "video-dit"
    summary = "a diffusion transformer denoises 24 frames at once (Sora-like, PhyWorld)"
    steps = 10_000
    defaults: Mapping[str, Any] = {
        "size": 64, "fps": 15, "context": 8, "max_horizon": 24, "pictures": 48, "width": 160, "blocks": 6, "heads": 5,
        "denoising_steps": 12,
    }  # fmt: skip
    dynamics_class = VideoDiT


architecture = VideoDiffusion()
