"""The world model of DreamerV3, and its sizes from the shapes of its tensors.

After Hafner et al. 2023 (arXiv 2301.04104), in the form of NM512/dreamerv3-torch and Eclectic-Sheep/sheeprl, whose
checkpoints it is loaded from. Heads that predict no frames (reward, end of the episode) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from physbench.models.layouts.layout_adapter import their_name
from physbench.support.errors import ModelError

EPSILON = 1e-3  # of all layer normalisations
MEAN_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "tanh5": lambda x: 5 * torch.tanh(x / 5)}
SPREAD_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": F.softplus,
    "abs": lambda x: torch.abs(x + 1),
    "sigmoid": torch.sigmoid,
    "sigmoid2": lambda x: 2 * torch.sigmoid(x / 2),
}


@dataclass(frozen=True)
class DreamerSizes:
    """Sizes read from the shapes of the tensors."""

    encoder: tuple[int, ...]  # channels, from the picture on
    decoder: tuple[int, ...]  # channels, up to the picture
    side: int  # px of the smallest map; each stage doubles it
    encoder_kernel: int
    decoder_kernel: int
    deter: int  # numbers in the deterministic state
    stoch: int  # numbers in the stochastic state, over all its variables
    discrete: bool  # categorical variables, else normal ones
    actions: int
    hidden: tuple[int, int, int]  # widths before the recurrent cell, the prior and the posterior
    learned_start: tuple[int, ...] | None  # shape of the learned first state
    normed: bool  # layer normalisation in the state-space model
    encoder_normed: bool
    decoder_normed: bool

    @property
    def image(self) -> int:
        """Width and height of a frame in px."""
        return int(self.side * 2 ** (len(self.encoder) - 1))

    @property
    def embed(self) -> int:
        """Numbers that the encoder makes of a frame."""
        return self.encoder[-1] * self.side**2


@dataclass(frozen=True)
class DreamerSettings:
    """Settings that the shapes do not give."""

    classes: int  # of each categorical variable
    act: str  # activation, by its name in torch.nn
    unimix: float  # share of the uniform distribution in each categorical one
    mean_act: str
    std_act: str
    min_std: float
    sigmoid: bool  # at the end of the decoder
    state_first: bool  # order of state and input in the recurrent cell
    spread_channels_last: bool  # order of the decoder's first map


class ConvBlock(nn.Module):
    """Convolution, normalisation over channels, activation; channels come first."""

    def __init__(self, conv: nn.Module, channels: int, normed: bool, act: str, pad: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.conv, self.pad = conv, pad
        self.norm = nn.LayerNorm(channels, eps=EPSILON) if normed else None
        self.act = getattr(nn, act)()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.pad(x, (*self.pad, *self.pad)))
        if self.norm is not None:
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out: Tensor = self.act(x)
        return out


class DenseBlock(nn.Module):
    """Linear layer, normalisation, activation."""

    def __init__(self, before: int, after: int, normed: bool, act: str) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after, bias=False)
        self.norm = nn.LayerNorm(after, eps=EPSILON) if normed else None
        self.act = getattr(nn, act)() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        out: Tensor = self.act(x if self.norm is None else self.norm(x))
        return out


class FrameDecoder(nn.Module):
    """State -> frame (B, 3, H, W), nominally in [0, 1]."""

    def __init__(self, sizes: DreamerSizes, settings: DreamerSettings) -> None:
        super().__init__()
        self.first, self.side = sizes.decoder[0], sizes.side
        self.channels_last, self.sigmoid = settings.spread_channels_last, settings.sigmoid
        self.spread = nn.Linear(sizes.stoch + sizes.deter, self.first * self.side**2)
        kernel = sizes.decoder_kernel
        pad = (kernel - 1) // 2  # so that each stage doubles the size
        layers = []
        last = len(sizes.decoder) - 2
        for i, (before, after) in enumerate(pairwise(sizes.decoder)):
            conv = nn.ConvTranspose2d(before, after, kernel, 2, pad, 2 * pad - kernel + 2, bias=i == last)
            layers.append(
                ConvBlock(conv, after, sizes.decoder_normed and i < last, settings.act if i < last else "Identity")
            )
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        x = self.spread(features)
        if self.channels_last:
            x = x.view(-1, self.side, self.side, self.first).permute(0, 3, 1, 2)
        else:
            x = x.view(-1, self.first, self.side, self.side)
        x = self.layers(x)
        return torch.sigmoid(x) if self.sigmoid else x + 0.5


class StateSpaceModel(nn.Module):
    """Deterministic state (B, D) and stochastic state (B, S), which is drawn from the former."""

    def __init__(self, sizes: DreamerSizes, settings: DreamerSettings) -> None:
        super().__init__()
        self.sizes, self.settings = sizes, settings
        into, prior, post = sizes.hidden
        deter, stats = sizes.deter, sizes.stoch * (1 if sizes.discrete else 2)
        act, normed = settings.act, sizes.normed
        self.step_in = DenseBlock(sizes.stoch + sizes.actions, into, normed, act)
        self.gru = DenseBlock(into + deter, 3 * deter, normed, "")
        self.prior_hidden = DenseBlock(deter, prior, normed, act)
        self.prior_stats = nn.Linear(prior, stats)
        self.post_hidden = DenseBlock(deter + sizes.embed, post, normed, act)
        self.post_stats = nn.Linear(post, stats)
        self.start = nn.Parameter(torch.zeros(sizes.learned_start)) if sizes.learned_start else None

    def first_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """State before the first frame."""
        if self.start is None:
            weight = self.prior_stats.weight
            return weight.new_zeros(batch, self.sizes.deter), weight.new_zeros(batch, self.sizes.stoch)
        deter = torch.tanh(self.start).reshape(1, -1).expand(batch, -1)
        return deter, self.draw(self.prior(deter), None)

    def advance(self, deter: Tensor, stoch: Tensor, action: Tensor) -> Tensor:
        """Deterministic state after an action."""
        x = self.step_in(torch.cat([stoch, action], -1))
        x = self.gru(torch.cat([deter, x] if self.settings.state_first else [x, deter], -1))
        reset, candidate, update = x.chunk(3, -1)
        update = torch.sigmoid(update - 1.0)  # so that a new network remembers
        return update * torch.tanh(torch.sigmoid(reset) * candidate) + (1 - update) * deter

    def prior(self, deter: Tensor) -> Tensor:
        """Expectation of the model, as parameters of a distribution."""
        stats: Tensor = self.prior_stats(self.prior_hidden(deter))
        return stats

    def posterior(self, deter: Tensor, embed: Tensor) -> Tensor:
        """Belief of the model after it has seen the frame."""
        stats: Tensor = self.post_stats(self.post_hidden(torch.cat([deter, embed], -1)))
        return stats

    def draw(self, stats: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
        """Draw a state (B, S) from B distributions, each with its own generator; without them, the mode."""
        settings = self.settings
        if not self.sizes.discrete:
            mean, spread = stats.chunk(2, -1)
            mean = MEAN_FUNCTIONS[settings.mean_act](mean)
            if generators is None:
                return mean
            spread = SPREAD_FUNCTIONS[settings.std_act](spread) + settings.min_std
            noise = [torch.randn(mean.shape[1:], generator=g, device=g.device) for g in generators]
            return mean + spread * torch.stack(noise).to(mean)
        logits = stats.view(len(stats), -1, settings.classes).float()
        probabilities = logits.softmax(-1) * (1 - settings.unimix) + settings.unimix / settings.classes
        if generators is None:
            chosen = probabilities.argmax(-1)
        else:  # the smallest of exponential times with these rates
            times = [torch.empty(logits.shape[1:], device=g.device).exponential_(generator=g) for g in generators]
            chosen = (probabilities / torch.stack(times).to(probabilities)).argmax(-1)
        return F.one_hot(chosen, settings.classes).flatten(1).to(stats)


class DreamerNet(nn.Module):
    """The whole network."""

    def __init__(self, sizes: DreamerSizes, settings: DreamerSettings) -> None:
        super().__init__()
        kernel = sizes.encoder_kernel
        pad = ((kernel - 2) // 2, (kernel - 1) // 2)  # so that each stage halves the size
        self.encoder = nn.Sequential(
            *(
                ConvBlock(
                    nn.Conv2d(before, after, kernel, 2, bias=False), after, sizes.encoder_normed, settings.act, pad
                )
                for before, after in pairwise(sizes.encoder)
            )
        )
        self.rssm = StateSpaceModel(sizes, settings)
        self.decoder = FrameDecoder(sizes, settings)

    def observe(
        self, frames: Tensor, actions: Tensor, generators: Sequence[torch.Generator] | None
    ) -> tuple[Tensor, Tensor]:
        """State after frames (B, C, 3, H, W) in [0, 1] and actions (B, C, A) that led to them, the first for none."""
        batch, count = frames.shape[:2]
        embeds = self.encoder(frames.flatten(0, 1) - 0.5).flatten(1).view(batch, count, -1)
        deter, stoch = self.rssm.first_state(batch)
        for k in range(count):
            deter = self.rssm.advance(deter, stoch, actions[:, k] if k else torch.zeros_like(actions[:, k]))
            stoch = self.rssm.draw(self.rssm.posterior(deter, embeds[:, k]), generators)
        return deter, stoch

    def imagine(
        self, deter: Tensor, stoch: Tensor, action: Tensor, generators: Sequence[torch.Generator] | None
    ) -> tuple[Tensor, Tensor]:
        """State one step later, without a frame."""
        deter = self.rssm.advance(deter, stoch, action)
        return deter, self.rssm.draw(self.rssm.prior(deter), generators)

    def decode(self, deter: Tensor, stoch: Tensor) -> Tensor:
        """Frame (B, 3, H, W) of a state."""
        frame: Tensor = self.decoder(torch.cat([stoch, deter], -1))
        return frame


# Reads the sizes of a DreamerV3 world model from the shapes of its tensors.


def read_sizes(shapes: Mapping[str, tuple[int, ...]], names: Mapping[str, str], where: str) -> DreamerSizes:
    """The sizes of a world model.

    Args:
        shapes: Shapes by their names, all tensors of the world model.
        names: Their name of each of our modules and parameters.
        where: Start of a message.

    Raises ModelError: A tensor that decides a size is missing, or the sizes contradict one another.
    """

    picture_channels = 3

    def shape(own: str, dimensions: int) -> tuple[int, ...]:
        name = their_name(own, names) if own.rpartition(".")[0] in names else own
        if name not in shapes:
            raise ModelError(f"{where} lacks {name}.")
        if len(shapes[name]) != dimensions:
            raise ModelError(f"{where} has {name} {shapes[name]}, where {dimensions} dimensions belong.")
        return shapes[name]

    def stages(part: str) -> int:
        return len([own for own in names if own.startswith(f"{part}.") and own.endswith(".conv")])

    def has(own: str) -> bool:
        return own.rpartition(".")[0] in names and their_name(own, names) in shapes

    encoder = [shape(f"encoder.{i}.conv.weight", 4) for i in range(stages("encoder"))]
    decoder = [shape(f"decoder.layers.{i}.conv.weight", 4) for i in range(stages("decoder.layers"))]
    into, step_in = shape("rssm.step_in.linear.weight", 2)
    deter = shape("rssm.gru.linear.weight", 2)[0] // 3
    prior = shape("rssm.prior_hidden.linear.weight", 2)[0]
    post, seen = shape("rssm.post_hidden.linear.weight", 2)
    features = shape("decoder.spread.weight", 2)[1]
    stats = shape("rssm.prior_stats.weight", 2)[0]
    stoch, embed = features - deter, seen - deter
    start = names["rssm.start"]
    if not encoder or not decoder:
        raise ModelError(f"{where} lacks the convolutions of its {'decoder' if encoder else 'encoder'}.")
    if stats not in (stoch, 2 * stoch):
        raise ModelError(f"{where} draws states from {stats} numbers, but its decoder takes {stoch}.")
    for colours, what in ((encoder[0][1], "observes"), (decoder[-1][1], "predicts")):
        if colours != picture_channels:
            raise ModelError(
                f"{where} {what} pictures of {colours} channels; objects are recognised by their colour, so that "
                f"{picture_channels} are needed."
            )
    side = isqrt(max(embed, 0) // encoder[-1][0])
    if side < 1 or side**2 * encoder[-1][0] != embed:
        raise ModelError(
            f"{where} takes {embed} numbers from its encoder, which no square map of {encoder[-1][0]} channels has: "
            "it may be the decoupled model, which is not read."
        )
    if len(encoder) != len(decoder):
        raise ModelError(f"{where} halves pictures {len(encoder)} times but doubles them {len(decoder)} times.")
    return DreamerSizes(
        encoder=(picture_channels, *(weight[0] for weight in encoder)),
        decoder=(decoder[0][0], *(weight[1] for weight in decoder)),
        side=side,
        encoder_kernel=encoder[0][2],
        decoder_kernel=decoder[0][2],
        deter=deter,
        stoch=stoch,
        discrete=stats == stoch,
        actions=step_in - stoch,
        hidden=(into, prior, post),
        learned_start=(*shapes[start][:-1], deter) if start in shapes else None,
        normed=has("rssm.gru.norm.weight"),
        encoder_normed=has("encoder.0.norm.weight"),
        decoder_normed=has("decoder.layers.0.norm.weight"),
    )
