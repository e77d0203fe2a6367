"""`simple`: the textbook world model: a deterministic convolutional network predicts the next latents from the last.

After SimVP (arXiv 2206.05099) in its parts (encoder, convolutional translator, decoder) and ConvLSTM (arXiv 1506.04214)
in its memory: channels that a gate keeps or renews at each step, so that what a screen covers is not lost at once. The
last context frame stays in view, so that what rests can be drawn again as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from physbench.reference import latent_model
from physbench.reference.layers import ResidualBlock, silence

SIMPLE_DEFAULTS: Mapping[str, Any] = {
    "size": 64, "fps": 15, "context": 8, "pictures": 64, "width": 112, "blocks": 6, "memory": 32, "unrolled": 15,
}  # fmt: skip
SEEN = 4  # frames that a step sees
AHEAD = 2  # frames that a step predicts: half the steps of a rollout


class ConvDynamics(latent_model.Dynamics):
    """The last SEEN latents, that of the last context frame and a memory -> the next AHEAD latents and the memory."""

    batch = 64

    def __init__(self, shape: tuple[int, ...], config: Mapping[str, Any]) -> None:
        super().__init__()
        depth, height, width = shape
        self.context, self.unrolled, self.memory = config["context"], config["unrolled"], config["memory"]
        wide = config["width"]
        self.place = nn.Parameter(torch.zeros(1, wide, height, width))  # where a cell lies in the picture
        self.inputs = nn.Conv2d((SEEN + 1) * depth + self.memory, wide, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(wide) for _ in range(config["blocks"]))
        self.change = nn.Conv2d(wide, AHEAD * depth, 3, padding=1)
        self.remember = nn.Conv2d(wide, 2 * self.memory, 3, padding=1)
        silence(self.change)

    def window(self, progress: float) -> int:
        """As of `Dynamics`: unrolls grow."""
        return int(self.context + AHEAD * latent_model.growing([*latent_model.UNROLLS, self.unrolled], progress))

    def draws(self, windows: Tensor, progress: float, numbers: torch.Generator) -> tuple[Tensor, ...]:
        """Noise on the context."""
        # Noise of 0.05 of the latents' spread on what is seen.
        return (0.05 * torch.randn(windows[:, : self.context].shape, generator=numbers, device=windows.device),)

    def step(self, seen: Tensor, anchor: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Seen (B, SEEN, D, h, w), anchor (B, D, h, w), memory (B, M, h, w) -> latents (B, AHEAD, D, h, w), memory."""
        x = self.inputs(torch.cat([seen.flatten(1, 2), anchor, memory], 1)) + self.place
        for block in self.blocks:
            x = block(x)
        change = self.change(x).unflatten(1, (AHEAD, -1))
        gate, fresh = self.remember(x).chunk(2, 1)
        memory = memory + torch.sigmoid(gate.float() - 1) * (torch.tanh(fresh.float()) - memory)
        return seen[:, -1:] + change, memory

    def observe(self, context: Tensor) -> Tensor:
        """Memory (B, M, h, w) after the context (B, C, D, h, w), of which the last SEEN were not yet seen."""
        memory = context.new_zeros(context.shape[0], self.memory, *context.shape[3:])
        for last in range(SEEN + (context.shape[1] - SEEN) % AHEAD, context.shape[1], AHEAD):
            _, memory = self.step(context[:, last - SEEN : last], context[:, -1], memory)
        return memory

    def forward(self, windows: Tensor, noise: Tensor) -> Tensor:  # type: ignore[override]
        """Error of a free rollout behind the context, and of what is expected within it."""
        count = self.context
        noisy = windows[:, :count] + noise
        anchor = windows[:, count - 1]
        memory = windows.new_zeros(len(windows), self.memory, *windows.shape[3:])
        expected: list[Tensor] = []
        for last in range(SEEN, count, AHEAD):
            ahead, memory = self.step(noisy[:, last - SEEN : last], anchor, memory)
            expected.append(ahead)
        seen = noisy[:, -SEEN:]
        while sum(each.shape[1] for each in expected) < windows.shape[1] - SEEN:
            ahead, memory = self.step(seen, anchor, memory)
            expected.append(ahead)
            seen = torch.cat([seen, ahead], 1)[:, -SEEN:]
        weight = latent_model.cell_weights(windows, count)
        return latent_model.weighted_error(torch.cat(expected, 1), windows[:, SEEN:], weight[:, SEEN:])

    def imagine(self, context: Tensor, horizon: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
        memory, seen = self.observe(context), context[:, -SEEN:]
        for _ in range(0, horizon, AHEAD):
            ahead, memory = self.step(seen, context[:, -1], memory)
            seen = torch.cat([seen, ahead], 1)[:, -SEEN:]
            yield ahead


State = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class SimpleModel(latent_model.LatentModel):
    """The FrameModel; `init` and `step` give the same frames one by one, so that it can be written as a graph."""

    def init(self, context: Tensor) -> State:
        """The state for `step`: what is seen, anchor, memory, the latents of this step, and 1 at its second half.

        context: (B, C, 3, H, W).
        """
        latents = torch.unflatten(self.net.autoencoder.encode(context.flatten(0, 1)), 0, context.shape[:2])
        dynamics = self.net.dynamics
        assert isinstance(dynamics, ConvDynamics)
        half = latents.new_zeros(latents.shape[0], 1, 1, 1)
        return latents[:, -SEEN:], latents[:, -1], dynamics.observe(latents), latents[:, -AHEAD:], half

    def step(self, state: State) -> tuple[State, Tensor]:
        """The next state and frame (B, 3, H, W). What a network step predicts is shown in two turns."""
        seen, anchor, memory, ahead, half = state
        dynamics = self.net.dynamics
        assert isinstance(dynamics, ConvDynamics)
        fresh, after = dynamics.step(seen, anchor, memory)
        second = half[:, None] > 0.5
        seen = torch.where(second, seen, torch.cat([seen, fresh], 1)[:, -SEEN:])
        memory = torch.where(second[:, 0], memory, after)
        ahead = torch.where(second, ahead, fresh)
        shown = torch.where(second[:, 0], ahead[:, 1], ahead[:, 0])
        return (seen, anchor, memory, ahead, 1 - half), self.net.autoencoder.decode(shown).clamp(0, 1)


class Simple(latent_model.LatentArchitecture):
    """`simple` as the harness and the training use it."""

    name = "simple"
    summary = "convolutions with a memory predict the next latents; deterministic"
    steps = 20_000
    defaults = SIMPLE_DEFAULTS
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}, "M": {"width": 224, "blocks": 8, "memory": 64}}
    dynamics_class = ConvDynamics
    model_class = SimpleModel


architecture = Simple()
