"""`token-ar`: a transformer that predicts discrete tokens one after the other, as GAIA-1 (arXiv 2309.17080) does.

The autoregressive Cosmos (arXiv 2501.03575) is of the kind; Genie (arXiv 2402.15391) fills masked tokens in. A token
is a cell of 8 x 8 px in two frames: 32 digits of a latent rounded to a few levels (FSQ, arXiv 2309.15505), each with a
softmax of its own. The 64 tokens of two frames follow in four groups of 16, one from every block of 2 x 2 cells: cells
of a group lie apart and hardly depend on each other (arXiv 2412.15119), and four steps of a cached transformer replace
64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.models.protocol import ModelCard
from physbench.reference.latent_model import Dynamics, LatentArchitecture, LatentNet, cell_weights
from physbench.reference.layers import Attention, SpatialAutoencoder, mlp

PAIR = 2  # frames of a token
GROUPS = ((0, 0), (1, 1), (0, 1), (1, 0))  # row and column in its block of 2 x 2 cells of the token that comes in turn
WRONG = 0.03  # share of the digits seen in training that are a level too high or too low

Cache = list[tuple[Tensor, Tensor]]  # keys and values (B, heads, L, width / heads) of each block


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864): x (B, heads, L, n) turned by cosines and sines (2, L, n / 2)."""
    first, second = x.float().chunk(2, -1)
    cos, sin = turns
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1).to(x.dtype)


def drawn(logits: Tensor, temperature: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Numbers (B, ...) from 0 to K - 1 of logits (B, ..., K), each row by the generator of its clip (Gumbel-max trick);
    the likeliest ones at temperature 0."""
    if temperature:
        chance = torch.stack([torch.rand(logits.shape[1:], generator=each, device=each.device) for each in generators])
        logits = logits / temperature - torch.log(-torch.log(chance.to(logits).clamp(1e-20, 1 - 1e-7)))
    return logits.argmax(-1)


class Block(nn.Module):
    """Attention and an MLP, with residuals that begin as nothing."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = Attention(width, heads), mlp(width)
        nn.init.zeros_(self.attention.output.weight)
        nn.init.zeros_(self.mlp[2].weight)  # type: ignore[arg-type]

    def forward(
        self, x: Tensor, turns: Tensor, mask: Tensor | None, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x (B, L, width), after the keys and values of what came before -> x, keys and values with those of x."""
        query, key, value = self.attention.split(self.norm_attention(x))
        query, key = rotate(query, turns), rotate(key, turns)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        x = x + self.attention.join(functional.scaled_dot_product_attention(query, key, value, attn_mask=mask))
        return x + self.mlp(self.norm_mlp(x)), (key, value)


class TokenTransformer(Dynamics):
    """The tokens of all frames before and of the groups before -> the digits of the tokens of a group.

    A slot of the sequence stands for a token to be predicted. It is given the token of the group before in its block of
    cells, the last token of its own cell, and convolutions of what lay round it in the last four frames; it attends to
    slots of its group and of those before, `span` pairs of frames back. Positions in time are relative: what was cached
    stays valid as the window slides.
    """

    rate = 1e-3
    batch = 64
    codec: tuple[SpatialAutoencoder]  # a tuple, as its parameters are not trained here
    order: Tensor
    back: Tensor
    tops: Tensor
    exists: Tensor
    rates: Tensor
    place_angles: Tensor
    mask: Tensor

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__()
        depth, height, width = shape
        wide, levels = config["width"], config["levels"]
        self.context, self.span, self.trained_on = config["context"], config["span"], config["trained_on"]
        self.temperature, self.digits = config["temperature"], PAIR * depth
        self.cells, self.group = height * width, height * width // len(GROUPS)
        self.around = nn.Sequential(
            nn.Conv2d(2 * self.digits, 96, 3, padding=1), nn.GELU(), nn.Conv2d(96, wide, 3, padding=1)
        )
        self.own, self.before = nn.Linear(self.digits, wide), nn.Linear(self.digits, wide)
        self.place = nn.Parameter(0.02 * torch.randn(self.cells, wide))
        self.blocks = nn.ModuleList(Block(wide, config["heads"]) for _ in range(config["blocks"]))
        self.norm = nn.LayerNorm(wide)
        self.output = nn.Linear(wide, self.digits * max(levels))

        cells = torch.arange(self.cells).view(height, width)
        order = torch.cat([cells[row::2, column::2].flatten() for row, column in GROUPS])
        many = torch.tensor(levels).repeat_interleave(depth // len(levels)).repeat(PAIR)  # levels of each digit
        exists = torch.arange(max(levels)) < many[:, None]
        rotations = wide // config["heads"] // 2  # half of them by time, a quarter each by row and column
        rates = 2.0 ** -torch.linspace(0, 5, rotations // 2)
        angles = 1.5 * 2.0 ** -torch.linspace(0, 4, rotations // 4)
        places = torch.cat([(order // width)[:, None] * angles, (order % width)[:, None] * angles], 1)
        pairs = config["trained_on"] // PAIR
        turn = torch.arange(pairs * len(GROUPS)).repeat_interleave(self.group)  # of each slot
        earlier = turn[:, None] - turn
        pair = turn // len(GROUPS)
        mask = (earlier >= 0) & (pair[:, None] - pair < self.span)
        for name, table in {
            "order": order, "back": order.argsort(), "tops": (many - 1).float(), "rates": rates,
            "exists": torch.zeros(exists.shape).masked_fill(~exists, -torch.inf), "place_angles": places, "mask": mask,
        }.items():  # fmt: skip
            self.register_buffer(name, table, persistent=False)

    def window(self, progress: float) -> int:
        return int(self.trained_on)

    def draws(self, windows: Tensor, progress: float, numbers: torch.Generator) -> tuple[Tensor, ...]:
        """Digits of the windows (B, L, D, h, w), errors of those that are seen, and later which tokens are its own."""
        digits = self.codec[0].digits(windows.flatten(0, 1)).view(windows.shape)
        chance = torch.rand(digits.shape, generator=numbers, device=windows.device)
        wrong = (chance < WRONG / 2).long() - (chance > 1 - WRONG / 2).long()
        if progress < 0.15:  # thereafter a growing share of the tokens seen are the model's own
            return digits, wrong
        share = torch.rand((len(windows), 1, 1), generator=numbers, device=windows.device) * min(1.0, 1.5 * progress)
        many = (len(windows), windows.shape[1] // PAIR, self.cells)
        return digits, wrong, torch.rand(many, generator=numbers, device=windows.device) < share

    def tokens(self, digits: Tensor) -> Tensor:
        """Digits (B, L, D, h, w) -> those of tokens (B, P, cells, 2 D), cells in the order in which they are drawn."""
        flat = torch.unflatten(digits.flatten(3), 1, (-1, PAIR)).flatten(2, 3)  # (B, P, 2 D, cells)
        return flat.transpose(2, 3).index_select(2, self.order)

    def pictures(self, tokens: Tensor, height: int) -> Tensor:
        """Inverse of `tokens`."""
        frames = torch.unflatten(tokens.index_select(2, self.back).transpose(2, 3), 2, (PAIR, -1)).flatten(1, 2)
        return torch.unflatten(frames, 3, (height, -1))

    def values(self, tokens: Tensor) -> Tensor:
        """Digits (..., 2 D) -> numbers from -1 to 1."""
        values: Tensor = tokens / self.tops * 2 - 1
        return values

    def turns(self, first: int, pairs: int) -> Tensor:
        """Cosines and sines (2, L, head width / 2) of the positions of the slots of some pairs."""
        times = torch.arange(first, first + pairs, device=self.rates.device)[:, None, None] * self.rates
        angles = [times.expand(-1, self.cells, -1), self.place_angles.expand(pairs, -1, -1)]
        both = torch.cat(angles, -1).flatten(0, 1)
        return torch.stack([both.cos(), both.sin()])

    def scene(self, older: Tensor, last: Tensor) -> Tensor:
        """Features (N, cells, width) of slots, from the two pairs before (N, cells, 2 D, as values)."""
        height = int(self.cells**0.5)
        both = torch.unflatten(torch.cat([older, last], -1)[:, self.back].transpose(1, 2), 2, (height, -1))
        around = self.around(both).flatten(2).transpose(1, 2).index_select(1, self.order)
        out: Tensor = around + self.own(last) + self.place
        return out

    def slots(self, values: Tensor) -> Tensor:
        """Inputs (B, (P - 1) cells, width) of the slots of all pairs but the first; values (B, P, cells, 2 D)."""
        last = values[:, :-1]
        older = torch.cat([values[:, :1], values[:, :-2]], 1)
        scene = self.scene(older.flatten(0, 1), last.flatten(0, 1)).view(len(values), -1, self.place.shape[1])
        before = values.flatten(1, 2)[:, self.cells - self.group : -self.group]
        out: Tensor = scene + self.before(before)
        return out

    def logits(self, x: Tensor) -> Tensor:
        """x (B, L, width) -> (B, L, 2 D, levels) float32; minus infinity at levels that a digit does not have."""
        numbers: Tensor = self.output(self.norm(x)).float()
        return torch.unflatten(numbers, -1, (self.digits, -1)) + self.exists

    def shown_actions(self, values: Tensor) -> Tensor:
        """Codes of the step to their pair, in the slots of all pairs but the first: here none.

        Args:
            values: Of the tokens (B, P, cells, 2 D).

        Returns:
            (B, P - 1, width), or 1 in place of the width.
        """
        return values.new_zeros(len(values), values.shape[1] - 1, 1)

    def next_action(self, past: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """The same (B, 1, width) of the step that follows the pairs `past`, values (B, P, cells, 2 D): here nothing."""
        return past.new_zeros(len(past), 1, 1)

    def run(self, values: Tensor, actions: Tensor) -> tuple[Tensor, Cache]:
        """Values (B, P, cells, 2 D) -> logits of the slots of all pairs but the first, keys and values.

        Args:
            values: Of the tokens.
            actions: As `shown_actions` gives them.
        """
        x = self.slots(values) + actions.repeat_interleave(self.cells, 1)
        length = x.shape[1]
        turns, kept = self.turns(1, length // self.cells), []
        for block in self.blocks:
            x, past = block(x, turns, self.mask[:length, :length], None)
            kept.append(past)
        return self.logits(x), kept

    def forward(  # type: ignore[override]
        self, windows: Tensor, digits: Tensor, wrong: Tensor, replaced: Tensor | None = None
    ) -> Tensor:
        """Cross entropy of the digits."""
        truth = self.tokens(digits)
        actions = self.shown_actions(self.values(truth))
        return self.token_loss(windows, truth, self.seen(truth, self.tokens(wrong), replaced, actions), actions)

    def seen(self, truth: Tensor, wrong: Tensor, replaced: Tensor | None, actions: Tensor) -> Tensor:
        """Values of what a training sees: tokens with errors, and its own guesses in a second pass (arXiv 1906.04331).

        Args:
            truth, wrong: Digits of tokens (B, P, cells, 2 D), and what is added to them.
            replaced: Where tokens are its own (B, P, cells); None: nowhere.
            actions: As `shown_actions` gives them.
        """
        seen = self.values((truth + wrong).clamp_min(0).minimum(self.tops))
        if replaced is None:
            return seen
        with torch.no_grad():
            guess = self.values(self.run(seen, actions)[0].argmax(-1)).view_as(seen[:, 1:])
        known = self.context // PAIR
        own = torch.where(replaced[:, known:, :, None], guess[:, known - 1 :], seen[:, known:])
        return torch.cat([seen[:, :known], own], 1)

    def token_loss(self, windows: Tensor, truth: Tensor, seen: Tensor, actions: Tensor) -> Tensor:
        """Mean cross entropy of the digits `truth`, with the weights of cells, where values `seen` are what is seen."""
        logits, _ = self.run(seen, actions)
        error = functional.cross_entropy(logits.flatten(0, 2), truth[:, 1:].flatten(), reduction="none")
        weight = cell_weights(windows, self.context).expand(-1, -1, windows.shape[2], -1, -1)
        weight = self.tokens(weight)[:, 1:]
        return (error.view_as(weight) * weight).sum() / weight.sum()

    def choose(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Digits (B, L, 2 D) as `drawn` has them."""
        return drawn(logits, self.temperature, generators)

    def imagine(self, context: Tensor, horizon: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
        codec, height = self.codec[0], context.shape[3]
        context = context[:, context.shape[1] % PAIR :]
        digits = codec.digits(context.flatten(0, 1)).view(context.shape)
        values = self.values(self.tokens(digits)).to(context)
        pairs, past = values.shape[1], values
        _, cache = self.run(values, self.shown_actions(values))
        for pair in range(pairs, pairs + -(-horizon // PAIR)):
            last = past[:, -1]
            scene = self.scene(past[:, -2], last) + self.next_action(past, generators)
            turns, groups = self.turns(pair, 1), []
            held = (self.span - 1) * self.cells
            cache = [(key[:, :, -held:], value[:, :, -held:]) for key, value in cache]
            before = last[:, -self.group :]
            for begin in range(0, self.cells, self.group):
                here = slice(begin, begin + self.group)
                x = scene[:, here] + self.before(before)
                for index, block in enumerate(self.blocks):
                    x, cache[index] = block(x, turns[:, here], None, cache[index])
                groups.append(self.choose(self.logits(x), generators))
                before = self.values(groups[-1]).to(context)
            tokens = torch.cat(groups, 1)
            past = torch.cat([past, self.values(tokens)[:, None].to(context)], 1)[:, -max(2, self.span) :]
            frames = self.pictures(tokens[:, None], height)
            yield codec.latents_of(frames.flatten(0, 1)).view(frames.shape).to(context)


class TokenAutoregression(LatentArchitecture):
    """`token-ar` as the harness and the training use it."""

    name = "token-ar"
    summary = "a causal transformer predicts discrete tokens one group after the other (GAIA-1, Cosmos)"
    steps = 6_000
    defaults: Mapping[str, Any] = {
        "size": 64, "fps": 15, "context": 8, "pictures": 48, "levels": [8, 5, 5, 5], "width": 160, "blocks": 6,
        "heads": 5, "span": 8, "trained_on": 24, "temperature": 0.0,
    }  # fmt: skip
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}, "M": {"width": 256, "blocks": 8, "heads": 8}}
    dynamics_class = TokenTransformer

    def autoencoder(self, config: Mapping[str, Any]) -> SpatialAutoencoder:
        levels = config["levels"]
        return SpatialAutoencoder(config["pictures"], len(levels), levels, config["size"])

    def card(self, config: Mapping[str, Any]) -> ModelCard:
        return replace(super().card(config), stochastic=config["temperature"] > 0)

    def net(self, config: Mapping[str, Any]) -> LatentNet:
        """As of `LatentArchitecture`; the dynamics know how latents are rounded."""
        net = super().net(config)
        assert isinstance(net.dynamics, TokenTransformer) and isinstance(net.autoencoder, SpatialAutoencoder)
        net.dynamics.codec = (net.autoencoder,)
        return net


architecture = TokenAutoregression()
