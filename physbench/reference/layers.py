"""Parts that several networks share: residual convolutions, attention, embeddings, autoencoders and their loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


PATCH_PX = 4  # side of what one latent cell shows, before packing
CELL_PX = 2 * PATCH_PX  # of a packed cell


class Autoencoder(nn.Module):
    """Common part of both kinds: latents of zero mean and unit spread, once `standardise` was called."""

    mean: Tensor
    spread: Tensor
    shape: tuple[int, ...]  # of the latent of a frame
    rounded = False  # whether latents have a few levels: no distribution to be near to

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        per_channel = (shape[0], *[1] * (len(shape) - 1))
        self.register_buffer("mean", torch.zeros(per_channel))
        self.register_buffer("spread", torch.ones(per_channel))

    def moments(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (N, 3, H, W) in [0, 1] -> mean and log variance (N, *shape) of their raw latents."""
        raise NotImplementedError

    def draw(self, raw: Tensor) -> Tensor:
        """Raw latents (N, *shape) -> frames (N, 3, H, W)."""
        raise NotImplementedError

    def latent_shape(self, size: Sequence[int]) -> tuple[int, ...]:
        """Shape of the latent of a picture of (height, width) px; a flat one has that of a frame."""
        return (self.shape[0], *(side // CELL_PX for side in size)) if len(self.shape) > 1 else self.shape

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [0, 1] -> latents (N, *shape)."""
        return (self.moments(frames)[0] - self.mean) / self.spread

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, *shape) -> frames (N, 3, H, W), about in [0, 1]."""
        return self.draw(latents * self.spread + self.mean)

    @torch.no_grad()
    def standardise(self, frames: Tensor) -> None:
        """Set mean and spread of the latents by those of frames (N, 3, H, W) in [0, 1]."""
        raw = self.moments(frames)[0]
        axes = [0, *range(2, raw.ndim)]
        self.mean.copy_(raw.mean(axes).view_as(self.mean))
        self.spread.copy_(raw.std(axes).clamp_min(1e-3).view_as(self.spread))

    def forward(self, frames: Tensor, noise: Tensor, focus: Tensor) -> Tensor:
        """The loss of frames (N, 3, H, W) in [0, 1] with normal noise (N, *raw shape), see `picture_loss`."""
        mean, log_variance = self.moments(frames)
        raw = mean + noise * torch.exp(0.5 * log_variance)
        loss = picture_loss(self.draw(raw), frames, focus)
        if self.rounded:
            return loss
        return loss + 1e-4 * 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


class SpatialAutoencoder(Autoencoder):
    """Frames (N, 3, H, W) <-> latents (N, 4 * channels, H / 8, W / 8): cells of 4 px, packed two by two.

    Args:
        width: Channels of its layers.
        channels: Numbers of a cell of 4 x 4 px.
        levels: Of each of the `channels`, to which latents are rounded; empty: they are continuous.
        size: Of a frame, px.
    """

    many: Tensor

    def __init__(self, width: int = 64, channels: int = 4, levels: Sequence[int] = (), size: int = 64) -> None:
        super().__init__((4 * channels, size // CELL_PX, size // CELL_PX))
        self.levels, self.rounded = tuple(levels), bool(levels)
        many = torch.tensor(self.levels or (2,) * channels)[:, None, None]
        self.register_buffer("many", many, persistent=False)  # levels of each number of a cell
        colours = 3 * PATCH_PX**2
        self.encoder = nn.Sequential(
            Unshuffle(PATCH_PX), nn.Conv2d(colours, width, 3, padding=1), ResidualBlock(width),
            ResidualBlock(width), nn.Conv2d(width, channels if levels else 2 * channels, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), ResidualBlock(width), ResidualBlock(width),
            nn.Conv2d(width, colours, 3, padding=1), nn.PixelShuffle(PATCH_PX),
        )  # fmt: skip

    def moments(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """As of `Autoencoder`; rounded latents have no variance."""
        moments = self.encoder(frames - 0.5).float()
        if self.levels:
            mean, log_variance = fsq(moments, self.many), moments.new_full((1, 1, 1, 1), -30.0).expand_as(moments)
        else:
            mean, log_variance = moments.chunk(2, 1)
        return unshuffle(mean, 2), unshuffle(log_variance.clamp(-30, 10), 2)

    def draw(self, raw: Tensor) -> Tensor:
        drawn: Tensor = self.decoder(functional.pixel_shuffle(raw, 2)).float()
        return drawn + 0.5

    def digits(self, latents: Tensor) -> Tensor:
        """Rounded latents (N, 4 * channels, h, w) as whole numbers, 0 to levels - 1 of each channel."""
        raw = functional.pixel_shuffle(latents * self.spread + self.mean, 2)
        whole = ((raw + 1) / 2 * (self.many - 1)).round().clamp(torch.zeros_like(self.many), self.many - 1)
        return unshuffle(whole, 2).long()

    def latents_of(self, digits: Tensor) -> Tensor:
        """Latents of the whole numbers of `digits`."""
        raw = unshuffle(functional.pixel_shuffle(digits.float(), 2) / (self.many - 1) * 2 - 1, 2)
        return (raw - self.mean) / self.spread


class FlatAutoencoder(Autoencoder):
    """The VAE of World Models: four strided convolutions to a vector and back, 64 px."""

    def __init__(self, latent: int = 64, width: int = 24) -> None:
        super().__init__((latent,))
        w = width
        self.encoder = nn.Sequential(
            nn.Conv2d(3, w, 4, 2, 1), nn.ReLU(), nn.Conv2d(w, 2 * w, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(2 * w, 4 * w, 4, 2, 1), nn.ReLU(), nn.Conv2d(4 * w, 4 * w, 4, 2, 1), nn.ReLU(), nn.Flatten(),
            nn.Linear(64 * w, 2 * latent),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(latent, 64 * w), nn.Unflatten(1, (4 * w, 4, 4)),
            nn.ConvTranspose2d(4 * w, 4 * w, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(w, 3, 4, 2, 1),
        )  # fmt: skip

    def moments(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encoder(frames - 0.5).float().chunk(2, 1)
        return mean, log_variance.clamp(-30, 10)

    def draw(self, raw: Tensor) -> Tensor:
        drawn: Tensor = self.decoder(raw).float()
        return drawn + 0.5


def fsq(numbers: Tensor, many: Tensor) -> Tensor:
    """Numbers (N, K, h, w) bounded and rounded to as many evenly spaced values from -1 to 1 as `many` (K, 1, 1) says.

    The gradient passes through the rounding (arXiv 2309.15505; an even number of levels is not shifted here, as both
    ends are levels).
    """
    steps = many - 1
    bounded = (torch.tanh(numbers) + 1) / 2 * steps
    rounded = bounded + (bounded.round() - bounded).detach()
    return rounded / steps * 2 - 1


def picture_loss(drawn: Tensor, frames: Tensor, focus: Tensor) -> Tensor:
    """Mean of e + 4 e^2 over pixels (N, 3, H, W); those at or beside an object count 1 + focus times as much.

    A loss in which all pixels count alike drops small objects first.
    """
    chroma = frames.amax(1, keepdim=True) - frames.amin(1, keepdim=True)
    # What has more chroma than 0.08 of white is an object
    near = functional.max_pool2d((chroma > 0.08).to(frames.dtype), 3, 1, 1)
    weight = 1 + focus * near
    error = (drawn - frames).abs()
    return ((error + 4.0 * error.square()) * weight).sum() / (3 * weight.sum())  # squared errors beside absolute ones
