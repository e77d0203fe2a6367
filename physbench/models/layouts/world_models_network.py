"""VAE and MDN-RNN of "World Models", after Ha and Schmidhuber 2018 (arXiv 1803.10122).

In the form of ctallec/world-models, whose checkpoints they are loaded from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 64  # px of a frame
MAP = 2 * 2 * 256  # numbers in the encoder's last map
SPREAD = 1024  # numbers in the decoder's first one
END_OUTPUTS = 2  # reward and end of the episode, which the mixture's layer predicts too


@dataclass(frozen=True)
class WorldModelsSizes:
    """Sizes read from the shapes of the tensors."""

    latent: int
    hidden: int
    gaussians: int
    actions: int


class VaeEncoder(nn.Module):
    """Frames (B, 3, 64, 64) in [0, 1] -> means of their latents (B, Z)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 4, stride=2)
        self.conv2 = nn.Conv2d(32, 64, 4, stride=2)
        self.conv3 = nn.Conv2d(64, 128, 4, stride=2)
        self.conv4 = nn.Conv2d(128, 256, 4, stride=2)
        self.fc_mu = nn.Linear(MAP, latent)
        self.fc_logsigma = nn.Linear(MAP, latent)  # not used: as in the code's rollouts, a frame has its mean

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(layer(x))
        mean: Tensor = self.fc_mu(x.flatten(1))
        return mean


class VaeDecoder(nn.Module):
    """Latents (B, Z) -> frames (B, 3, 64, 64) in [0, 1]."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(latent, SPREAD)
        self.deconv1 = nn.ConvTranspose2d(SPREAD, 128, 5, stride=2)
        self.deconv2 = nn.ConvTranspose2d(128, 64, 5, stride=2)
        self.deconv3 = nn.ConvTranspose2d(64, 32, 6, stride=2)
        self.deconv4 = nn.ConvTranspose2d(32, 3, 6, stride=2)

    def forward(self, latent: Tensor) -> Tensor:
        x = F.relu(self.fc1(latent))[..., None, None]
        for layer in (self.deconv1, self.deconv2, self.deconv3):
            x = F.relu(layer(x))
        return torch.sigmoid(self.deconv4(x))


class FrameVae(nn.Module):
    """Both halves."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder = VaeEncoder(latent)
        self.decoder = VaeDecoder(latent)


State = tuple[Tensor, Tensor]  # hidden and cell of the LSTM, (B, R) each


class MixtureRnn(nn.Module):
    """LSTM whose output is a mixture of Gaussians for the next latent."""

    def __init__(self, sizes: WorldModelsSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.rnn = nn.LSTMCell(sizes.latent + sizes.actions, sizes.hidden)
        self.gmm_linear = nn.Linear(sizes.hidden, (2 * sizes.latent + 1) * sizes.gaussians + END_OUTPUTS)

    def advance(self, latent: Tensor, action: Tensor, state: State | None) -> State:
        """State after a latent (B, Z) and an action (B, A)."""
        next_state: State = self.rnn(torch.cat([action, latent], -1), state)
        return next_state

    def draw(self, hidden: Tensor, temperature: float, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw the next latent (B, Z) of each clip from its own generator; at temperature 0, the likeliest mean."""
        sizes = self.sizes
        means, spreads, weights = self.gmm_linear(hidden)[:, :-END_OUTPUTS].split(
            [sizes.gaussians * sizes.latent, sizes.gaussians * sizes.latent, sizes.gaussians], -1
        )
        means, spreads = (x.view(-1, sizes.gaussians, sizes.latent) for x in (means, spreads))
        rows = torch.arange(len(hidden), device=hidden.device)
        if temperature == 0:
            likeliest: Tensor = means[rows, weights.argmax(-1)]
            return likeliest
        # The smallest of exponential times with these rates.
        times = [torch.empty(sizes.gaussians, device=g.device).exponential_(generator=g) for g in generators]
        chosen = ((weights.float() / temperature).softmax(-1) / torch.stack(times).to(hidden.device)).argmax(-1)
        noise = [torch.randn(sizes.latent, generator=g, device=g.device) for g in generators]
        spread = spreads[rows, chosen].exp() * temperature**0.5
        drawn: Tensor = means[rows, chosen] + spread * torch.stack(noise).to(hidden)
        return drawn
