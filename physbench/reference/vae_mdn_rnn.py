"""`vae-mdn-rnn`: World Models (arXiv 1803.10122): a VAE with one vector a frame, an LSTM, a mixture of Gaussians.

`vae-mdn-rnn-spatial` is the same idea on a grid: latents of cells, a convolutional LSTM (arXiv 1506.04214), a mixture
for each number of each cell. The pair compares a flat latent with a spatial one.

Four departures from the paper in both. Means of the mixtures count from the last latent. Latents that are seen in
training carry noise of one size in place of samples of the posterior of the VAE. No Gaussian is narrower than
LEAST_SCALE. The end of a window is trained on the model's own draws: else their errors add up without bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from physbench.reference.latent_model import Dynamics, LatentArchitecture, cell_weights, clip_noise, growing
from physbench.reference.layers import Autoencoder, FlatAutoencoder, ResidualBlock

FORCED = 20  # frames of a window that are seen as they are
FREE = (1, 2, 4, 8, 12)  # frames behind them that are drawn, more as training goes on
LEAST_SCALE = 0.03  # of a Gaussian; what is at rest has no density otherwise
State = tuple[Tensor, Tensor]  # of an LSTM: hidden, cell
Mixture = tuple[Tensor, Tensor, Tensor]  # logits, means, scales of K Gaussians (..., K)


def mixture_nll(mixture: Mixture, targets: Tensor) -> Tensor:
    """Negative log-likelihood (...) of numbers (...), each under its own mixture."""
    logits, means, scales = mixture
    away = (targets[..., None] - means) / scales
    density = -0.5 * away.square() - scales.log() - 0.5 * math.log(2 * math.pi)
    return -torch.logsumexp(torch.log_softmax(logits, -1) + density, -1)


def mixture_sample(mixture: Mixture, pick: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """A number (...) from each mixture by standard normal numbers (...): one picks the Gaussian, one lies in it.

    Temperature divides logits and multiplies variances, as in the paper; at 0 the most probable Gaussian has its mean.
    """
    logits, means, scales = mixture
    shares = torch.softmax(logits / max(temperature, 1e-6), -1).cumsum(-1)[..., :-1]
    chosen = (torch.special.ndtr(pick)[..., None] > shares).sum(-1, keepdim=True)  # ndtr: normal -> uniform
    mean, scale = (each.gather(-1, chosen)[..., 0] for each in (means, scales))
    return mean + math.sqrt(temperature) * scale * noise


class MixtureDynamics(Dynamics):
    """A recurrent network and the mixture that it expects the next latents from."""

    deterministic = False

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.context, self.temperature = config["context"], config["temperature"]
        self.gaussians = config["gaussians"]

    def remember(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Latents (B, T, *shape) in turn -> what is known after each (B, T, ...), and the state after the last."""
        raise NotImplementedError

    def numbers(self, known: Tensor) -> Tensor:
        """Known inputs (B, T, ...) -> (B, T, 3 * K, *shape) that make a mixture."""
        raise NotImplementedError

    def weights(self, windows: Tensor) -> Tensor:
        """Weights of the loss, that broadcast to windows (B, L, *shape)."""
        raise NotImplementedError

    def window(self, progress: float) -> int:
        """As of `Dynamics`: the free part grows."""
        return FORCED + growing(FREE, progress)

    def draws(self, windows: Tensor, progress: float, numbers: torch.Generator) -> tuple[Tensor, ...]:
        """Noise on what is seen, and two normal numbers for each that is drawn."""
        device, free = windows.device, windows[:, FORCED:-1].shape
        # Noise of 0.05 of the latents' spread on what is seen.
        seen = windows[:, :-1][:, :FORCED].shape  # fewer than FORCED where clips are short
        noise = 0.05 * torch.randn(seen, generator=numbers, device=device)
        return noise, *(torch.randn(free, generator=numbers, device=device) for _ in range(2))

    def mixture(self, known: Tensor, last: Tensor) -> Mixture:
        """The mixtures of the latents that follow `last` (B, T, *shape)."""
        numbers = self.numbers(known).float().reshape(*last.shape[:2], 3, self.gaussians, *last.shape[2:])
        logits, changes, log_scales = numbers.movedim(3, -1).unbind(2)  # each (B, T, *shape, K)
        # Scales begin at exp(-1.5): latents change little from frame to frame.
        return logits, last[..., None] + changes, LEAST_SCALE + (log_scales - 1.5).clamp(-8.0, 3.0).exp()

    def forward(  # type: ignore[override]
        self, windows: Tensor, noise: Tensor, pick: Tensor, away: Tensor
    ) -> Tensor:
        """Negative log-likelihood of a number of each latent but the first, given those before it or draws of them."""
        seen = windows[:, : noise.shape[1]] + noise
        known, state = self.remember(seen, None)
        mixtures = self.mixture(known, seen)
        costs = [mixture_nll(mixtures, windows[:, 1 : noise.shape[1] + 1])]
        now: Mixture = mixtures[0][:, -1:], mixtures[1][:, -1:], mixtures[2][:, -1:]
        for step in range(pick.shape[1]):
            last = mixture_sample(now, pick[:, step : step + 1], away[:, step : step + 1], self.temperature)
            known, state = self.remember(last, state)
            now = self.mixture(known, last)
            target = noise.shape[1] + 1 + step
            costs.append(mixture_nll(now, windows[:, target : target + 1]))
        weight = self.weights(windows).expand_as(windows)[:, 1:]
        return (torch.cat(costs, 1) * weight).sum() / weight.sum()

    def imagine(self, context: Tensor, horizon: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
        """As of `Dynamics`: one frame after the other, each drawn and then seen."""
        known, state = self.remember(context, None)
        known, last = known[:, -1:], context[:, -1:]
        for _ in range(horizon):
            pick, noise = clip_noise(generators, last), clip_noise(generators, last)
            last = mixture_sample(self.mixture(known, last), pick, noise, self.temperature)
            yield last
            known, state = self.remember(last, state)

    def carried(self, latents: Tensor) -> Tensor:
        """As of `Dynamics`: the latents of a frame, and what is known after it."""
        return torch.cat([latents, self.remember(latents, None)[0]], 2)


class LstmDynamics(MixtureDynamics):
    """That of the paper: one LSTM, latents (D,)."""

    batch = 128

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.lstm = nn.LSTM(shape[0], config["hidden"], batch_first=True)
        self.head = nn.Linear(config["hidden"], 3 * self.gaussians * shape[0])

    def remember(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        """As of `MixtureDynamics`, in float32."""
        with torch.autocast(latents.device.type, enabled=False):
            known, state = self.lstm(latents, state)
        assert state is not None
        return known, state

    def numbers(self, known: Tensor) -> Tensor:
        numbers: Tensor = self.head(known)
        return numbers.view(*known.shape[:2], 3 * self.gaussians, -1)

    def weights(self, windows: Tensor) -> Tensor:
        """As of `MixtureDynamics`: all count alike."""
        return windows.new_ones(1, 1, 1)


class ConvLstmDynamics(MixtureDynamics):
    """The same on a grid: latents (D, h, w)."""

    batch = 64

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__(config)
        depth, height, width = shape
        hidden = config["hidden"]
        self.place = nn.Parameter(torch.zeros(1, 4 * hidden, height, width))  # where a cell lies in the picture
        self.seen = nn.Conv2d(depth, 4 * hidden, 3, padding=1)
        self.kept = nn.Conv2d(hidden, 4 * hidden, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(ResidualBlock(hidden) for _ in range(config["blocks"])))
        self.head = nn.Conv2d(hidden, 3 * self.gaussians * depth, 3, padding=1)

    def remember(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        fresh = (self.seen(latents.flatten(0, 1)) + self.place).unflatten(0, latents.shape[:2])  # (B, T, 4 H, h, w)
        if state is None:
            zero = latents.new_zeros(len(latents), self.kept.in_channels, *latents.shape[3:])
            state = zero, zero
        hidden, cell = state
        known: list[Tensor] = []
        for each in fresh.unbind(1):
            keep, put, show, new = (each + self.kept(hidden)).float().chunk(4, 1)
            cell = torch.sigmoid(keep + 1) * cell + torch.sigmoid(put) * torch.tanh(new)
            hidden = torch.sigmoid(show) * torch.tanh(cell)
            known.append(hidden)
        return torch.stack(known, 1), (hidden, cell)

    def numbers(self, known: Tensor) -> Tensor:
        numbers: Tensor = self.head(self.blocks(known.flatten(0, 1)))  # (B T, 3 K D, h, w)
        return numbers.reshape(*known.shape[:2], 3 * self.gaussians, -1, *known.shape[3:])

    def weights(self, windows: Tensor) -> Tensor:
        """As of `MixtureDynamics`: a cell that changes at any time counts more at all times.

        Weights of single frames would bias the density towards change.
        """
        return cell_weights(windows, self.context).amax(1, keepdim=True)


class VaeMdnRnn(LatentArchitecture):
    """`vae-mdn-rnn` as the harness and the training use it."""

    name = "vae-mdn-rnn"
    summary = "World Models: a vector for a frame, an LSTM and a mixture of Gaussians; draws its answers"
    steps = 10_000
    defaults: Mapping[str, Any] = {
        "size": 64, "fps": 15, "context": 8, "latent": 64, "pictures": 24, "hidden": 480, "gaussians": 5,
        "temperature": 0.1,
    }  # fmt: skip
    dynamics_class = LstmDynamics

    def autoencoder(self, config: Mapping[str, Any]) -> Autoencoder:
        return FlatAutoencoder(config["latent"], config["pictures"])


class VaeMdnRnnSpatial(LatentArchitecture):
    """`vae-mdn-rnn-spatial` as the harness and the training use it."""

    name = "vae-mdn-rnn-spatial"
    summary = "World Models on a grid of latents: a convolutional LSTM and mixtures of Gaussians; draws its answers"
    steps = 5_000
    defaults: Mapping[str, Any] = {
        "size": 64, "fps": 15, "context": 8, "pictures": 64, "hidden": 128, "blocks": 2, "gaussians": 5,
        "temperature": 0.1,
    }  # fmt: skip
    dynamics_class = ConvLstmDynamics


architecture = VaeMdnRnn()
spatial = VaeMdnRnnSpatial()
