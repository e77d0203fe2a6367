"""`simple`: the textbook world model: convolutional encoder, recurrent flat latent, convolutional decoder.

It takes a GPU: in minutes of CPU it learns little but the background. After Ha and Schmidhuber 2018 (arXiv
1803.10122), trained end to end on the error of its own rollouts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.adapters.model_protocol import ModelCard
from physbench.errors import ModelError
from physbench.reference.architecture import CHUNK_FRAMES, Architecture
from physbench.reference.training_loop import Episodes, TrainingStage, parameters_device

SIMPLE_DEFAULTS: Mapping[str, Any] = {"size": 64, "fps": 15, "context": 8, "latent": 256, "hidden": 512, "width": 32}
LEARNING_RATE, BATCH, FRAMES = 5e-4, 16, 32


class SimpleNet(nn.Module):
    """Encoder 64 -> 4 px, GRU, decoder 4 -> 64 px. The decoder adds to the last context frame."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        size, width, latent, hidden = config["size"], config["width"], config["latent"], config["hidden"]
        if size % 16:
            raise ModelError(f"Expected a size that 16 divides but got {size}.")
        self.side, self.wide = size // 16, 4 * width
        channels = [3, width, 2 * width, 4 * width, 4 * width]
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []
        for before, after in pairwise(channels):
            encoder += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
            decoder = [nn.ConvTranspose2d(after, before, 4, 2, 1), *([nn.SiLU(), *decoder] if decoder else [])]
        self.encoder = nn.Sequential(*encoder, nn.Flatten(), nn.Linear(self.wide * self.side**2, latent))
        self.cell = nn.GRUCell(latent + 6, hidden)
        self.ahead = nn.Linear(hidden, latent)  # the predicted latent of the next frame
        self.spread = nn.Linear(latent, self.wide * self.side**2)
        self.decoder = nn.Sequential(*decoder)

    def decode(self, latent: Tensor, base: Tensor) -> Tensor:
        """Latents (B, T, D) and the last context frame (B, 3, H, W) -> frames (B, T, 3, H, W)."""
        batch, count = latent.shape[:2]
        maps = self.spread(latent.flatten(0, 1)).view(-1, self.wide, self.side, self.side)
        change: Tensor = self.decoder(maps)
        return base[:, None] + change.view(batch, count, *base.shape[1:])

    def observe(self, context: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Context (B, C, 3, H, W) and its actions (B, C, 6) -> hidden state (B, N), latent of the last frame (B, D)."""
        batch, count = context.shape[:2]
        seen = self.encoder(context.flatten(0, 1) - 0.5).view(batch, count, -1)
        hidden = context.new_zeros(batch, self.cell.hidden_size)
        for k in range(count - 1):
            hidden = self.cell(torch.cat([seen[:, k], actions[:, k + 1]], -1), hidden)
        return hidden, seen[:, -1]

    def advance(self, hidden: Tensor, latent: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden state and latent of the next frame, which takes the action of its row (B, 6)."""
        hidden = self.cell(torch.cat([latent, action], -1), hidden)
        return hidden, self.ahead(hidden)

    def predict(self, context: Tensor, horizon: int, actions: Tensor | None) -> Tensor:
        """Context (B, C, 3, H, W), actions (B, C + horizon, 6) -> predicted latents (B, horizon, D)."""
        batch, count = context.shape[:2]
        if actions is None:
            actions = context.new_zeros(batch, count + horizon, 6)
        actions = actions.to(context)
        hidden, latent = self.observe(context, actions[:, :count])
        latents: list[Tensor] = []
        for k in range(count, count + horizon):
            hidden, latent = self.advance(hidden, latent, actions[:, k])
            latents.append(latent)
        return torch.stack(latents, 1)


class SimpleModel:
    """The FrameModel. It is deterministic."""

    def __init__(self, net: SimpleNet, card: ModelCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype

    @torch.no_grad()
    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Iterator[Tensor]:
        """Chunks (B, t, 3, H, W)."""
        frames = context.to(self.device, self.dtype)
        for latent in torch.split(self.net.predict(frames, horizon, actions), CHUNK_FRAMES, dim=1):
            yield self.net.decode(latent, frames[:, -1]).clamp(0, 1)

    def init(self, context: Tensor, context_actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The state for `step`: hidden state, latent and the last context frame."""
        return *self.net.observe(context, context_actions), context[:, -1]

    def step(
        self, state: tuple[Tensor, Tensor, Tensor], action: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """The next state and frame (B, 3, H, W). `rollout` gives the same frames, several at a time."""
        hidden, latent, base = state
        hidden, latent = self.net.advance(hidden, latent, action)
        return (hidden, latent, base), self.net.decode(latent[:, None], base)[:, 0].clamp(0, 1)


class Simple(Architecture):
    """`simple` as the harness and the training use it."""

    name = "simple"
    summary = "convolutional encoder, recurrent dynamics, convolutional decoder; needs a GPU"
    steps = 20_000
    threads = None
    defaults = SIMPLE_DEFAULTS

    def card(self, config: Mapping[str, Any]) -> ModelCard:
        """The card of a model that `physbench train` makes."""
        side = config["size"]
        return ModelCard(self.name, (side, side), config["fps"], config["context"], uses_actions=True, track="trained")

    def net(self, config: Mapping[str, Any]) -> SimpleNet:
        """The network, with its initial weights."""
        return SimpleNet(config)

    def wrap(self, net: nn.Module, card: ModelCard, device: torch.device, dtype: torch.dtype) -> SimpleModel:
        """Make a model of a network."""
        assert isinstance(net, SimpleNet)
        return SimpleModel(net.eval(), card, device, dtype)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """One stage: rollouts that grow from 4 to FRAMES frames."""
        assert isinstance(net, SimpleNet)
        context = config["context"]

        def loss(progress: float, numbers: torch.Generator) -> Tensor:
            device = parameters_device(net)
            chosen = torch.randint(len(episodes), (BATCH,), generator=numbers).tolist()
            horizon = 4 + round(min(1.0, 2 * progress) * (FRAMES - 4))
            clips, pushes = [], []
            for index in chosen:
                frames, actions = episodes.frames(index), episodes.actions(index)
                most = max(1, len(frames) - context - horizon + 1)
                first = int(torch.randint(most, (1,), generator=numbers))
                window = slice(first, first + context + horizon)
                clips.append(frames[window])
                pushes.append(torch.zeros(context + horizon, 6) if actions is None else actions[window])
            shortest = min(map(len, clips))
            video = torch.stack([clip[:shortest] for clip in clips]).to(device).float() / 255
            push = torch.stack([push[:shortest] for push in pushes]).to(device)
            drawn = net.decode(net.predict(video[:, :context], shortest - context, push), video[:, context - 1])
            error = (drawn - video[:, context:]).abs()
            return 20 * (error + 2 * error.square()).mean()

        return [TrainingStage("frames", steps or self.steps, LEARNING_RATE, list(net.parameters()), loss, every=100)]


architecture = Simple()
