"""`jepa`: a joint-embedding predictive architecture that draws no frames and answers with its surprise.

An encoder makes a grid of latents of each frame, a recurrent predictor expects those of later frames from frames up to
now, and says how far off it usually is. After V-JEPA (arXiv 2404.08471): the targets are latents without gradient, here
of the same encoder. `jepa_training` has the losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.adapters.surprise_card import SurpriseCard
from physbench.errors import ModelError
from physbench.reference.architecture import Architecture
from physbench.reference.training_loop import Episodes, TrainingStage

JEPA_DEFAULTS: Mapping[str, Any] = {
    "size": 64,  # px
    "fps": 15,
    "context": 15,  # frames that are seen before surprise is read: 1 s
    "width": 12,  # channels of the first layer
    "latent": 24,  # numbers of a cell
    "hidden": 48,
    "ahead": (1, 3),  # frames; 3 are the 0.2 s in which models of frames are asked
}
CELL_PX = 8
MOST_OF_ANY = 1024  # px, channels, frames ahead
LEAST_SCALE = 0.05  # of the latents' spread over time: errors much smaller than that surprise nobody
FIRST_LOG_ERROR = -3.0  # before training: most cells stand still
LOG_ERRORS = (-9.0, 3.0)  # within which the logarithm of a usual error lies
WHITE_SURPRISE = 10.0  # of a cell, in a sheet of samples


class LatentMemory(nn.Module):
    """A convolutional GRU over the grid of latents."""

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.seen = nn.Conv2d(latent, 3 * hidden, 3, padding=1)
        self.kept = nn.Conv2d(hidden, 3 * hidden, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (B, T, D, h, w) -> states (B, T, H, h, w); the state at t depends on latents up to t."""
        fresh = self.seen(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
        state = fresh.new_zeros(len(fresh), self.kept.in_channels, *fresh.shape[3:])
        states: list[Tensor] = []
        for each in fresh.unbind(1):
            reset, update, new = each.chunk(3, 1)
            reset_kept, update_kept, new_kept = self.kept(state).chunk(3, 1)
            candidate = torch.tanh(new + torch.sigmoid(reset + reset_kept) * new_kept)
            state = torch.lerp(candidate, state, torch.sigmoid(update + update_kept))
            states.append(state)
        return torch.stack(states, 1)


class JepaNet(nn.Module):
    """Encoder 64 -> 8 x 8 cells, memory, and for each step ahead the expected latents and their usual error."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        size, width, latent, hidden = config["size"], config["width"], config["latent"], config["hidden"]
        self.ahead = tuple(config["ahead"])
        numbers = (size, width, latent, hidden, *self.ahead)
        if not all(isinstance(each, int) and 0 < each <= MOST_OF_ANY for each in numbers):
            raise ModelError(f"Expected whole numbers from 1 to {MOST_OF_ANY} in the configuration but got {numbers}.")
        if size % CELL_PX:
            raise ModelError(f"Expected a size that {CELL_PX} divides but got {size}.")
        if not self.ahead:
            raise ModelError(f"Expected numbers of frames ahead, 1 or more, but got {self.ahead}.")
        self.size = size
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, width, 4, 2, 1), nn.ReLU()),
            *(nn.Conv2d(width, 2 * width, 4, 2, 1), nn.ReLU()),
            *(nn.Conv2d(2 * width, 4 * width, 4, 2, 1), nn.ReLU()),
            nn.Conv2d(4 * width, latent, 1),
        )
        self.memory = LatentMemory(latent, hidden)
        self.body = nn.Sequential(nn.ReLU(), nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU())
        self.change = nn.Conv2d(hidden, len(self.ahead) * latent, 3, padding=1)
        last = nn.Conv2d(hidden, len(self.ahead), 1)
        assert last.bias is not None
        nn.init.constant_(last.bias, FIRST_LOG_ERROR)
        self.usual = nn.Sequential(nn.Conv2d(hidden, hidden, 1), nn.ReLU(), last)

    def encode(self, video: Tensor) -> Tensor:
        """Frames (B, T, 3, H, W) in [0, 1] -> latents (B, T, D, h, w), each of its own frame alone."""
        latents: Tensor = self.encoder(2 * video.flatten(0, 1) - 1)
        return latents.view(*video.shape[:2], *latents.shape[1:])

    def predict(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, T, D, h, w) -> what is expected K times ahead.

        Returns:
            Latents (B, T, K, D, h, w) expected `ahead` frames after t from those up to t, and the mean absolute error
            (B, T, K, h, w) that these usually have.
        """
        body = self.body(self.memory(latents).flatten(0, 1))
        change = self.change(body).unflatten(1, (len(self.ahead), -1)).unflatten(0, latents.shape[:2])
        usual = self.usual(body.detach()).clamp(*LOG_ERRORS).exp().unflatten(0, latents.shape[:2])
        return latents[:, :, None] + change, usual

    def compare(self, latents: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each step ahead k: what is wrong about the T - k latents from the k-th on, and by how much it usually is.

        The first is (B, T - k, D, h, w), without gradient through the targets; the second (B, T - k, h, w).
        """
        expected, usual = self.predict(latents)
        target = latents.detach()
        return [(expected[:, :-k, i] - target[:, k:], usual[:, :-k, i]) for i, k in enumerate(self.ahead)]


class JepaModel:
    """The SurpriseModel. It computes in float32 whatever the dtype of the frames; films of a batch are independent."""

    def __init__(self, net: JepaNet, card: SurpriseCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype

    @torch.no_grad()
    def surprise_maps(self, video: Tensor) -> Tensor:
        """Surprise (B, T, h, w) of the cells of frames (B, T, 3, H, W) in [0, 1]; 0 where nothing was expected yet.

        How far an error exceeds the usual one, over that. Where the usual error is large beside LEAST_SCALE, this is
        the negative log-likelihood of a Laplace distribution less its entropy, for each number of a latent. What is
        expected as well as usual has 0 on average: things that move are no more surprising than things that rest.
        """
        if video.ndim != 5 or video.shape[2:] != (3, self.net.size, self.net.size):
            raise ModelError(
                f"{self.card.name}: expected films (B, T, 3, {self.net.size}, {self.net.size}), got "
                f"{tuple(video.shape)}."
            )
        latents = self.net.encode(video.to(self.device, torch.float32))
        maps = latents.new_zeros(*latents.shape[:2], *latents.shape[3:])
        for k, (wrong, usual) in zip(self.net.ahead, self.net.compare(latents), strict=True):
            maps[:, k:] += (wrong.abs().mean(2) - usual) / (usual + LEAST_SCALE) / len(self.net.ahead)
        return maps

    def surprise(
        self,
        video: Tensor,
        *,
        context: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Surprise (B, T): mean over cells of their maps. Deterministic; actions and prompts are not used."""
        return self.surprise_maps(video).mean((2, 3))


class Jepa(Architecture):
    """`jepa` as the harness and the training use it."""

    name = "jepa"
    summary = "predicts latents and states its surprise, on --suite expectation alone; minutes of one core"
    steps = 500  # of its motion stage
    threads = 1
    exact = True
    defaults = JEPA_DEFAULTS

    def card(self, config: Mapping[str, Any]) -> SurpriseCard:
        """The card of a model that `physbench train` makes."""
        return SurpriseCard(
            self.name, (config["size"],) * 2, config["fps"], config["context"], track="trained",
            unit="errors of latents above the usual, over the usual",
        )  # fmt: skip

    def net(self, config: Mapping[str, Any]) -> JepaNet:
        """The network, with its initial weights."""
        return JepaNet(config)

    def wrap(self, net: nn.Module, card: Any, device: torch.device, dtype: torch.dtype) -> JepaModel:
        """Make a model of a network."""
        assert isinstance(net, JepaNet)
        return JepaModel(net.eval(), card, device, dtype)

    def sample(self, model: Any, frames: Tensor, actions: Tensor | None, numbers: torch.Generator) -> Tensor:
        """Surprise in the cells of the frames of an episode: white is WHITE_SURPRISE or more."""
        assert isinstance(model, JepaModel)
        maps = model.surprise_maps(frames[None].float() / 255)[0, model.card.context_frames :, None]
        pictures = functional.interpolate(maps / WHITE_SURPRISE, scale_factor=CELL_PX).clamp(0, 1)
        return (pictures * 255).round().to(torch.uint8).cpu().expand(-1, 3, -1, -1)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """Latents together with what is expected of them, expectations alone, then how wrong these usually are."""
        from physbench.reference.jepa_training import jepa_stages

        assert isinstance(net, JepaNet)
        return jepa_stages(net, episodes, steps or self.steps)


architecture = Jepa()
