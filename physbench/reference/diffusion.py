"""`diffusion`: a denoiser draws the next latents from noise, given the last ones, in a few steps.

After DIAMOND (arXiv 2405.12399): next-frame diffusion with the preconditioning of EDM (arXiv 2206.00364), so that few
steps suffice. What is drawn is the change from the last latent, as most of a picture rests; the last context frame
stays in view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from physbench.reference.latent_model import Dynamics, LatentArchitecture, cell_weights, clip_noise
from physbench.reference.layers import ResidualBlock, mlp, silence, sinusoids

SEEN = 6  # frames that a step sees
AHEAD = 2  # frames that a step draws
FARTHEST = 32  # frames behind the context from which is learned


@dataclass(frozen=True)
class NoiseLevels:
    """Levels of noise, as EDM has them."""

    data_spread: float = 0.5  # of the changes that are drawn; sigma_data of EDM
    log_training: tuple[float, float] = (-1.2, 1.4)  # mean and spread of ln sigma in training
    steps: tuple[float, float] = (0.01, 5.0)  # of the last and of the first step
    rho: float = 7.0  # how steps are spaced
    embedding: int = 128  # numbers of the embedding of a level
    most_weight: float = 40.0  # of a noise level in the loss


SIGMA = NoiseLevels()


class Denoiser(Dynamics):
    """Noisy changes, the last SEEN latents, that of the last context frame and a noise level -> the changes."""

    batch = 128
    deterministic = False

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__()
        depth, height, width = shape
        wide = config["width"]
        self.context, self.steps = config["context"], config["steps"]
        self.place = nn.Parameter(torch.zeros(1, wide, height, width))
        self.embed = mlp(SIGMA.embedding, SIGMA.embedding)
        self.inputs = nn.Conv2d((SEEN + AHEAD + 1) * depth, wide, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(wide, SIGMA.embedding) for _ in range(config["blocks"]))
        self.outputs = nn.Conv2d(wide, AHEAD * depth, 3, padding=1)
        silence(self.outputs)

    def denoise(self, noisy: Tensor, seen: Tensor, anchor: Tensor, sigma: Tensor) -> Tensor:
        """EDM's D: noisy (B, AHEAD, D, h, w), seen (B, SEEN, D, h, w), anchor (B, D, h, w), sigma (B,) -> changes."""
        spread = sigma.view(-1, 1, 1, 1, 1)
        total = (spread.square() + SIGMA.data_spread**2).sqrt()
        x = self.inputs(torch.cat([(noisy / total).flatten(1, 2), seen.flatten(1, 2), anchor], 1)) + self.place
        condition = self.embed(sinusoids(sigma.log() / 4, SIGMA.embedding))
        for block in self.blocks:
            x = block(x, condition)
        raw = self.outputs(x).float().unflatten(1, (AHEAD, -1))
        clean: Tensor = noisy * (SIGMA.data_spread / total) ** 2 + raw * spread * SIGMA.data_spread / total
        return clean

    def window(self, progress: float) -> int:
        """As of `Dynamics`: the context, and FARTHEST frames in which the frames to draw lie."""
        return int(self.context + FARTHEST)

    def draws(self, windows: Tensor, progress: float, numbers: torch.Generator) -> tuple[Tensor, ...]:
        """Indices of frames seen and drawn, noise levels, noise of the changes, noise of what is seen."""
        count, device = len(windows), windows.device
        normal = partial(torch.randn, generator=numbers, device=device)
        last = windows.shape[1] - SEEN - AHEAD
        first = torch.randint(self.context - SEEN, last + 1, (count, 1), generator=numbers, device=device)
        rows = first + torch.arange(SEEN + AHEAD, device=device)
        sigma = torch.exp(SIGMA.log_training[0] + SIGMA.log_training[1] * normal(count))
        noise = normal((count, AHEAD, *windows.shape[2:]))
        # At most 0.1 of the latents' spread on what is seen in training: its own frames will not be perfect (GameNGen).
        blur = 0.1 * torch.rand((count, 1, 1, 1, 1), generator=numbers, device=device)
        return rows, sigma, noise, blur * normal((count, SEEN, *windows.shape[2:]))

    def forward(  # type: ignore[override]
        self, windows: Tensor, rows: Tensor, sigma: Tensor, noise: Tensor, blur: Tensor
    ) -> Tensor:
        """EDM's loss of the changes behind some rows (B, SEEN + AHEAD) of windows (B, L, D, h, w)."""
        anchor = windows[:, self.context - 1]
        each = torch.arange(len(windows), device=windows.device)[:, None]
        windows = windows[each, rows]
        seen = windows[:, :SEEN] + blur
        change = windows[:, SEEN:] - seen[:, -1:]
        spread = sigma.view(-1, 1, 1, 1, 1)
        error = (self.denoise(change + spread * noise, seen, anchor, sigma) - change).square()
        level = ((spread.square() + SIGMA.data_spread**2) / (spread * SIGMA.data_spread) ** 2).clamp(
            max=SIGMA.most_weight
        )
        weight = cell_weights(windows, SEEN)[:, SEEN:]
        return (level * weight * error).sum() / (weight.sum() * windows.shape[2])

    def sample(self, seen: Tensor, anchor: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Seen latents (B, SEEN, D, h, w), anchor (B, D, h, w) -> the next (B, AHEAD, D, h, w), by Euler's method."""
        ramp = torch.linspace(0, 1, self.steps, device=seen.device)
        least, most = (level ** (1 / SIGMA.rho) for level in SIGMA.steps)
        sigmas = (most + ramp * (least - most)) ** SIGMA.rho
        change = sigmas[0] * clip_noise(generators, seen[:, :AHEAD])
        for k in range(self.steps):
            clean = self.denoise(change, seen, anchor, sigmas[k].expand(len(seen)))
            after = sigmas[k + 1] if k + 1 < self.steps else torch.zeros_like(sigmas[k])
            change = clean + (change - clean) * after / sigmas[k]
        ahead: Tensor = seen[:, -1:] + change
        return ahead

    def imagine(self, context: Tensor, horizon: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
        seen = context[:, -SEEN:]
        for _ in range(0, horizon, AHEAD):
            ahead = self.sample(seen, context[:, -1], generators)
            seen = torch.cat([seen, ahead], 1)[:, -SEEN:]
            yield ahead


class Diffusion(LatentArchitecture):
    """`diffusion` as the harness and the training use it."""

    name = "diffusion"
    summary = "a denoiser draws the next latents in four steps; stochastic"
    steps = 20_000
    defaults: Mapping[str, Any] = {
        "size": 64, "fps": 15, "context": 8, "pictures": 64, "width": 112, "blocks": 6, "steps": 4,
    }  # fmt: skip
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}, "M": {"width": 224, "blocks": 8}}
    dynamics_class = Denoiser


architecture = Diffusion()
