"""`rssm`: a recurrent state space model with discrete latents, after DreamerV3 (arXiv 2301.04104), on a grid of cells.

    deterministic state   h_t = f(h_t-1, z_t-1)      a convolutional GRU
    posterior             z_t ~ q(z | h_t, x_t)      categoricals of each cell
    prior                 z_t ~ p(z | h_t)
    decoder               x_t = x_t-1 + g(h_t, z_t, x_t-1)

x is the stored latents of two frames. h and z are imagined without pictures, as in the paper, whose two costs of the
divergence are kept. Departures from the paper: all is convolutional; the decoder draws changes of the last
pictures; what is decoded from the prior is compared with the truth too (as the latent overshooting of PlaNet, arXiv
1811.04551, does with states); free bits are counted for each cell (FREE_NATS), as most cells have nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.reference import latent_model
from physbench.reference.layers import ResidualBlock, silence

PACKED = 2  # frames of a step
FREE_NATS = 0.05  # of a cell and step: 3.2 for a picture of 64 cells. The paper's is 1 for a flat latent.


def mixed(logits: Tensor, classes: int) -> Tensor:
    """Logits (B, G * classes, h, w) -> probabilities (B, G, classes, h, w), none of them near zero."""
    uniform_mix = 0.01  # of the probabilities
    batch, drawn, height, width = logits.shape
    chances = torch.softmax(logits.float().reshape(batch, drawn // classes, classes, height, width), 2)
    return (1 - uniform_mix) * chances + uniform_mix / classes


def one_hot(chances: Tensor, uniform: Tensor) -> Tensor:
    """Draw by uniform numbers (B, G, h, w): (B, G, classes, h, w), with straight-through gradients."""
    chosen = (uniform[:, :, None] > chances.cumsum(2)[:, :, :-1]).sum(2, keepdim=True)
    return _straight_through(chosen, chances)


def most_probable(chances: Tensor) -> Tensor:
    """As `one_hot` without drawing."""
    return _straight_through(chances.argmax(2, keepdim=True), chances)


def _straight_through(chosen: Tensor, chances: Tensor) -> Tensor:
    hot = torch.zeros_like(chances).scatter(2, chosen, 1.0)
    return hot + chances - chances.detach()


def divergence(q: Tensor, p: Tensor) -> Tensor:
    """KL(q || p) of cells (..., h, w), nats, of probabilities (..., G, classes, h, w)."""
    return (q * (q.log() - p.log())).sum((-4, -3))


def balanced(posterior: Tensor, prior: Tensor) -> Tensor:
    """Cost (..., h, w) of the divergence: mostly the prior comes to the posterior."""
    to_prior = divergence(posterior.detach(), prior).clamp_min(FREE_NATS)
    to_posterior = divergence(posterior, prior.detach()).clamp_min(FREE_NATS)
    return to_prior + 0.1 * to_posterior


class RssmDynamics(latent_model.Dynamics):
    """The state space model of packed latents x (B, 2 D, h, w)."""

    batch = 64
    deterministic = False

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__()
        depth, height, width = shape
        hidden, embedding = config["hidden"], config["embedding"]
        self.context, self.unrolled, self.mode = config["context"], config["unrolled"], config["mode"]
        self.hidden, self.groups, self.classes = hidden, config["groups"], config["classes"]
        drawn, packed = self.groups * self.classes, PACKED * depth
        self.place = nn.Parameter(torch.zeros(1, hidden, height, width))  # where a cell lies in the picture
        self.inputs = nn.Conv2d(hidden + drawn, hidden, 3, padding=1)
        self.gates = nn.Conv2d(2 * hidden, 3 * hidden, 3, padding=1)
        self.embed = nn.Sequential(nn.Conv2d(packed, embedding, 3, padding=1), nn.GELU())
        self.prior = _logits(hidden, embedding, drawn)
        self.posterior = _logits(hidden + embedding, embedding, drawn)
        self.decoder = nn.Sequential(
            nn.Conv2d(hidden + drawn + packed, hidden, 3, padding=1),
            *(ResidualBlock(hidden) for _ in range(config["blocks"])),
            nn.Conv2d(hidden, packed, 3, padding=1),
        )
        silence(self.decoder[-1])  # at first the pictures stay as they are

    def window(self, progress: float) -> int:
        """As of `Dynamics`: unrolls grow."""
        return int(self.context + PACKED * latent_model.growing([*latent_model.UNROLLS, self.unrolled], progress))

    def draws(self, windows: Tensor, progress: float, numbers: torch.Generator) -> tuple[Tensor, ...]:
        """Noise on what is seen; uniform numbers (B, steps, G, h, w) of posteriors and of imagined priors."""
        device, count = windows.device, 2 * (windows.shape[1] // PACKED) - self.context // PACKED
        # Noise of 0.05 of the latents' spread on what is seen.
        noise = 0.05 * torch.randn(windows.shape, generator=numbers, device=device)
        shape = len(windows), count, self.groups, *windows.shape[3:]
        return noise, torch.rand(shape, generator=numbers, device=device)

    def first(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """State h and z before anything was seen."""
        batch, (height, width) = len(like), like.shape[-2:]
        h = like.new_zeros(batch, self.hidden, height, width)
        return h, like.new_zeros(batch, self.groups, self.classes, height, width)

    def advance(self, h: Tensor, z: Tensor) -> Tensor:
        """h (B, H, h, w), z (B, G, classes, h, w) -> the next h: f of the docstring."""
        x = functional.gelu(self.inputs(torch.cat([h, z.flatten(1, 2)], 1)) + self.place)
        reset, candidate, update = self.gates(torch.cat([h, x.to(h.dtype)], 1)).float().chunk(3, 1)
        fresh = torch.tanh(torch.sigmoid(reset) * candidate)
        return h + torch.sigmoid(update - 1) * (fresh - h)  # begins slow, as in the paper

    def decode(self, h: Tensor, z: Tensor, last: Tensor) -> Tensor:
        """h, z and the last latents (B, 2 D, h, w) -> the latents of now: the later of the last two, and a change."""
        change = self.decoder(torch.cat([h, z.flatten(1, 2), last], 1))
        decoded: Tensor = last.chunk(PACKED, 1)[-1].repeat(1, PACKED, 1, 1) + change.float()
        return decoded

    def observe(
        self, packed: Tensor, choose: Callable[[Tensor, int], Tensor]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Latents (B, K, 2 D, h, w) in turn -> h, z and the posterior's probabilities of each of K steps.

        Args:
            choose: Of probabilities and the number of the step, z.
        """
        embedded = self.embed(packed.flatten(0, 1)).unflatten(0, packed.shape[:2]).float()
        h, z = self.first(packed)
        states, drawn, posteriors = [], [], []
        for step, each in enumerate(embedded.unbind(1)):
            h = self.advance(h, z)
            chances = mixed(self.posterior(torch.cat([h, each], 1)), self.classes)
            z = choose(chances, step)
            states.append(h)
            drawn.append(z)
            posteriors.append(chances)
        return states, drawn, posteriors

    def forward(self, windows: Tensor, noise: Tensor, uniform: Tensor) -> Tensor:  # type: ignore[override]
        """Errors with the posterior and with the prior behind the context, and the divergence of the two.

        The first step is left out: what it shows was not to be known.
        """
        packed = _packed(windows + noise)
        begin, steps = self.context // PACKED, packed.shape[1]
        states, drawn, posteriors = self.observe(packed, lambda chances, step: one_hot(chances, uniform[:, step]))
        h, z = torch.stack(states[1:], 1), torch.stack(drawn[1:], 1)  # (B, K - 1, ...)
        seen = self.decode(h.flatten(0, 1), z.flatten(0, 1), packed[:, :-1].flatten(0, 1))
        prior = mixed(self.prior(h.flatten(0, 1)), self.classes)
        prior = prior.reshape(*h.shape[:2], *prior.shape[1:])
        cost = balanced(torch.stack(posteriors[1:], 1), prior)  # (B, K - 1, h, w)

        h, z, last = states[begin - 1], drawn[begin - 1], packed[:, begin - 1]
        imagined: list[Tensor] = []
        for step in range(steps, uniform.shape[1]):
            h = self.advance(h, z)
            z = one_hot(mixed(self.prior(h), self.classes), uniform[:, step])
            last = self.decode(h, z, last)
            imagined.append(last)

        weight = latent_model.cell_weights(windows, self.context)
        ever = weight.amax(1)  # (B, 1, h, w)
        nats = (cost * ever).sum() / (ever.sum() * cost.shape[1])
        error = latent_model.weighted_error(
            _frames(seen.reshape(packed[:, 1:].shape)), windows[:, PACKED:], weight[:, PACKED:]
        )
        ahead = latent_model.weighted_error(
            _frames(torch.stack(imagined, 1)), windows[:, self.context :], weight[:, self.context :]
        )
        return error + ahead + nats / packed.shape[2]  # errors are means over the numbers of a cell

    def imagine(self, context: Tensor, horizon: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
        """As of `Dynamics`: posterior over the context, prior behind it."""

        def choose(chances: Tensor, step: int) -> Tensor:
            if self.mode:
                return most_probable(chances)
            return one_hot(
                chances, torch.special.ndtr(latent_model.clip_noise(generators, chances[:, :, 0]))
            )  # uniform

        packed = _packed(context[:, context.shape[1] % PACKED :])
        states, drawn, _ = self.observe(packed, choose)
        h, z, last = states[-1], drawn[-1], packed[:, -1]
        for step in range(0, horizon, PACKED):
            h = self.advance(h, z)
            z = choose(mixed(self.prior(h), self.classes), step)
            last = self.decode(h, z, last)
            yield _frames(last[:, None])

    def carried(self, latents: Tensor) -> Tensor:
        """As of `Dynamics`: h and the most probable posterior z of each pair of frames (B, T // 2, H + Z, h, w)."""
        packed = _packed(latents[:, latents.shape[1] % PACKED :])
        states, drawn, _ = self.observe(packed, lambda chances, step: most_probable(chances))
        return torch.cat([torch.stack(states, 1), torch.stack(drawn, 1).flatten(2, 3)], 2)


def _logits(inputs: int, between: int, drawn: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, between, 3, padding=1), nn.GELU(), nn.Conv2d(between, drawn, 1))


def _packed(latents: Tensor) -> Tensor:
    """Latents of frames (B, 2 K, D, h, w) -> packed (B, K, 2 D, h, w)."""
    batch, frames, depth, *grid = latents.shape
    return latents.reshape(batch, frames // PACKED, PACKED * depth, *grid)


def _frames(packed: Tensor) -> Tensor:
    """Inverse of `_packed`."""
    batch, steps, depth, *grid = packed.shape
    return packed.reshape(batch, PACKED * steps, depth // PACKED, *grid)


class Rssm(latent_model.LatentArchitecture):
    """`rssm` as the harness and the training use it."""

    name = "rssm"
    summary = "DreamerV3's state space model over a grid: a GRU and discrete latents; draws its answers"
    steps = 6_000
    defaults: Mapping[str, Any] = {
        "size": 64, "fps": 15, "context": 8, "pictures": 64, "hidden": 112, "blocks": 2, "embedding": 64, "groups": 4,
        "classes": 8, "unrolled": 14, "mode": False,
    }  # fmt: skip
    dynamics_class = RssmDynamics


architecture = Rssm()
