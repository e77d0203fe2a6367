"""`token-ar-latent`: `token-ar` with the latent action model of Genie (arXiv 2402.15391, section 2.1).

    latent action    a_t = q(x_1 ... x_t, x_t+1)          one code of K: what the next tokens are told beside the past
    dynamics         x_t+1 ~ p(x_1 ... x_t, a_1 ... a_t)  the transformer of `token-ar`; actions are added to its slots
    prior            a_t ~ r(x_1 ... x_t)

x_t is the tokens of two frames. q sees the future, but K codes are all that it may tell of it. In an evaluation no
future is there: Genie leaves the choice of a_t to a player; here r chooses it, learned by cross entropy on the codes of
q. The actions of the context, which is shown, are those of q.

Departures from the paper: q looks at tokens, not at pixels, and is trained through the transformer itself, not through
a decoder of its own; a code is log2 K digits of two levels (FSQ, as tokens are rounded), not a vector of a codebook; a
GRU over pairs of frames stands for a transformer. Actions of tasks (pushes, commands) are not mapped to codes: its
card says `uses_actions=False`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.reference.layers import fsq
from physbench.reference.token_ar import TokenAutoregression, TokenTransformer, drawn
from physbench.support.errors import ModelError

CHANNELS = 40  # of the encoders of actions and prior


class CausalEncoder(nn.Module):
    """Convolutions over each pair of frames and the one before, and a GRU over pairs: each sees those up to its own."""

    def __init__(self, digits: int, height: int, width: int, numbers: int) -> None:
        super().__init__()
        self.grid = height, width
        self.convolutions = nn.Sequential(
            nn.Conv2d(2 * digits, CHANNELS, 3, padding=1), nn.GELU(), nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1), nn.GELU(),
            nn.Flatten(), nn.Linear(CHANNELS * -(-height // 2) * -(-width // 2), CHANNELS),
        )  # fmt: skip
        self.memory = nn.GRU(CHANNELS, CHANNELS, batch_first=True)
        self.output = nn.Linear(CHANNELS, numbers)

    def forward(self, values: Tensor) -> Tensor:
        """Values (B, P, 2 D, cells), cells row by row -> (B, P, numbers) float32."""
        older = torch.cat([values[:, :1], values[:, :-1]], 1)
        both = torch.unflatten(torch.cat([older, values], 2).flatten(0, 1), 2, self.grid)
        seen = torch.unflatten(self.convolutions(both), 0, values.shape[:2])
        with torch.autocast(values.device.type, enabled=False):
            out: Tensor = self.output(self.memory(seen.float())[0])
        return out


class LatentActionTransformer(TokenTransformer):
    """The transformer, told by one code of K what the step to the next tokens is."""

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__(shape, config)
        actions, (_, height, width) = config["actions"], shape
        self.bits = actions.bit_length() - 1
        self.temperature, self.action_temperature = 0.0, config["temperature"]  # what is open lies in the action
        self.inference = CausalEncoder(self.digits, height, width, self.bits)
        self.prior = CausalEncoder(self.digits, height, width, actions)
        self.balance = nn.BatchNorm1d(self.bits, affine=False)  # all codes are in use from the first step on
        self.action = nn.Linear(self.bits, config["width"])

    def encoded(self, encoder: CausalEncoder, values: Tensor) -> Tensor:
        """Output (B, P, numbers) for values (B, P, cells, 2 D), cells in the order in which they are drawn."""
        out: Tensor = encoder(values[:, :, self.back].transpose(2, 3))
        return out

    def infer(self, values: Tensor) -> Tensor:
        """Latent actions (B, P - 1, bits), each number -1 or 1, of the steps between pairs (B, P, cells, 2 D)."""
        numbers = self.encoded(self.inference, values)[:, 1:]
        many = torch.full((self.bits, 1, 1), 2, device=values.device)
        return fsq(self.balance(numbers.flatten(0, 1))[..., None, None], many).view_as(numbers)

    def expect(self, values: Tensor) -> Tensor:
        """Logits (B, P, K) of the latent action that follows each of the pairs (B, P, cells, 2 D)."""
        return self.encoded(self.prior, values)

    def codes(self, actions: Tensor) -> Tensor:
        """Numbers (...) from 0 to K - 1 of latent actions (..., bits)."""
        return ((actions > 0) * 2 ** torch.arange(self.bits, device=actions.device)).sum(-1)

    def actions_of(self, codes: Tensor) -> Tensor:
        """Inverse of `codes`, as the slots are told: (...) -> (..., width)."""
        ones = codes[..., None] // 2 ** torch.arange(self.bits, device=codes.device) % 2
        out: Tensor = self.action(ones * 2.0 - 1)
        return out

    def shown_actions(self, values: Tensor) -> Tensor:
        """As of `TokenTransformer`: the inferred ones."""
        out: Tensor = self.action(self.infer(values))
        return out

    def next_action(self, past: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """As of `TokenTransformer`: the likeliest of the prior, or drawn from it."""
        return self.actions_of(drawn(self.expect(past)[:, -1:], self.action_temperature, generators))

    def forward(  # type: ignore[override]
        self, windows: Tensor, digits: Tensor, wrong: Tensor, replaced: Tensor | None = None
    ) -> Tensor:
        """Cross entropy of the digits under the inferred actions, and of these under the prior."""
        truth = self.tokens(digits)
        inferred = self.infer(self.values(truth))
        actions = self.action(inferred)
        seen = self.seen(truth, self.tokens(wrong), replaced, actions)
        expected = self.expect(seen)[:, :-1]
        prior_loss = functional.cross_entropy(expected.flatten(0, 1), self.codes(inferred).flatten())
        return self.token_loss(windows, truth, seen, actions) + prior_loss


class LatentActions(TokenAutoregression):
    """`token-ar-latent` as the harness and the training use it."""

    name = "token-ar-latent"
    summary = "`token-ar`, told by one of a few latent actions what comes next; a prior chooses it (Genie)"
    defaults: Mapping[str, Any] = {**TokenAutoregression.defaults, "actions": 8}
    dynamics_class = LatentActionTransformer

    def checked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """As of `Architecture`. Raises ModelError where K is no power of two above one."""
        whole = super().checked(config)
        actions = whole["actions"]
        if type(actions) is not int or actions < 2 or actions & (actions - 1):
            raise ModelError(f"Expected a power of two from 2 to 4096 latent actions but got {actions!a:.60}.")
        return whole


architecture = LatentActions()
