"""`jepa-frames`: a joint-embedding predictive architecture that is made to draw.

Three stages, after V-JEPA 2-AC (arXiv 2506.09985) and DINO-WM (arXiv 2411.04983):
1. Encoder and predictor of `jepa`: latents that are predictable and spread over time. Here they spread over clips too,
   as colours do not change in a clip and would be lost. No pixel is drawn.
2. A decoder of latents that change no more, for pictures alone.
3. Dynamics of these latents: those of `simple`, so that a comparison with it is one of the representation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.reference import latent_model
from physbench.reference.jepa import (
    CELL_PX,
    COVARIANCE_COST,
    LEAST_MOVING,
    VARIANCE_COST,
    JepaNet,
    moving_cells,
    spread_over_time,
)
from physbench.reference.layers import Autoencoder, ResidualBlock, picture_loss
from physbench.reference.simple import SIMPLE_DEFAULTS, ConvDynamics
from physbench.reference.training_loop import Episodes, TrainingStage, generator, parameters_device

LATENT_RATE, LATENT_BATCH, LATENT_FRAMES = 2e-3, 32, 12
LATENT_SHARE, DECODER_SHARE = 0.2, 0.2  # steps for each of the dynamics
DECODER_BATCH = 32  # whole frames: the encoder has seen no crops
POOL_WINDOWS = 2048


class JepaAutoencoder(Autoencoder):
    """The encoder and predictor of `jepa`, and a decoder that they know nothing of."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        cells = config["size"] // CELL_PX
        super().__init__((config["latent"], cells, cells))
        jepa = {"width": config["encoder"], "hidden": config["predictor"]}
        self.jepa = JepaNet({**{key: config[key] for key in ("size", "latent", "ahead")}, **jepa})
        wide = config["pictures"]
        self.decoder = nn.Sequential(
            nn.Conv2d(config["latent"], 4 * wide, 3, padding=1), nn.PixelShuffle(2), ResidualBlock(wide),
            ResidualBlock(wide), nn.Conv2d(wide, 3 * (CELL_PX // 2) ** 2, 3, padding=1), nn.PixelShuffle(CELL_PX // 2),
        )  # fmt: skip

    def moments(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """As of `Autoencoder`, without variance."""
        mean = self.jepa.encode(frames[:, None])[:, 0].float()
        return mean, mean.new_full((1, 1, 1, 1), -30.0).expand_as(mean)

    def draw(self, raw: Tensor) -> Tensor:
        drawn: Tensor = self.decoder(raw).float()
        return drawn + 0.5

    def forward(self, frames: Tensor, noise: Tensor, focus: Tensor) -> Tensor:
        """The loss of the decoder alone, with normal numbers (N, D, h, w)."""
        with torch.no_grad():
            latents = self.encode(frames)
        # predicted latents are not exact: noise of a tenth of their spread
        return picture_loss(self.decode(latents + 0.1 * noise), frames, focus)


def spread_over_clips(latents: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """As `spread_over_time`, of the difference of moving cells from the mean of them all."""
    numbers = latents.movedim(2, -1)  # (B, T, h, w, D)
    chosen = moving[:, None, :, :, None]
    count = (chosen.sum() * latents.shape[1]).clamp_min(1)
    away = ((numbers - (numbers * chosen).sum((0, 1, 2, 3)) / count) * chosen).flatten(0, -2)  # (N, D)
    covariance = away.T @ away / count
    return (covariance.diagonal() + 1e-6).sqrt(), covariance


def vicreg(deviation: Tensor, covariance: Tensor) -> Tensor:
    """Variance and covariance terms of VICReg (arXiv 2105.04906)."""
    alike = (covariance.square().sum() - covariance.diagonal().square().sum()) / len(covariance)
    return VARIANCE_COST * functional.relu(1 - deviation).mean() + COVARIANCE_COST * alike


class Embedding(nn.Module):
    """The loss of encoder and predictor: errors of expected latents, and how little these spread."""

    def __init__(self, jepa: JepaNet) -> None:
        super().__init__()
        self.jepa = jepa

    def forward(self, video: Tensor) -> Tensor:
        """Loss of windows of frames (B, T, 3, H, W) in [0, 1]; what stands still costs nothing."""
        latents, moving = self.jepa.encode(video).float(), moving_cells(video)
        errors = [wrong.float() for wrong, _ in self.jepa.compare(latents)]
        wrong = torch.stack([functional.smooth_l1_loss(each, torch.zeros_like(each)) for each in errors]).mean()
        with torch.autocast(video.device.type, enabled=False):
            spread = vicreg(*spread_over_time(latents, moving))
            spread = spread + 0.5 * vicreg(*spread_over_clips(latents, moving))  # half as much over clips as over time
        return wrong / moving.mean().clamp_min(LEAST_MOVING) + spread


class WindowPool:
    """Windows of frames drawn evenly from all episodes (W, T, 3, H, W) uint8, mirrored and recoloured when drawn."""

    def __init__(self, episodes: Episodes, device: torch.device, count: int, length: int) -> None:
        numbers = generator("window pool", len(episodes))
        each = -(-count // len(episodes))
        windows = []
        for index in torch.randperm(len(episodes), generator=numbers)[: -(-count // each)].tolist():
            video = episodes.frames(index)
            starts = torch.randint(max(1, len(video) - length + 1), (each,), generator=numbers)
            windows += [video[start : start + length] for start in starts.tolist()]
        self.windows = torch.stack(windows).to(device)

    def sample(self, count: int, numbers: torch.Generator) -> Tensor:
        """Windows (count, T, 3, H, W) in [0, 1], mirrored and recoloured at random."""
        device = self.windows.device
        local = latent_model.on_device(numbers, device)
        chosen = torch.randint(len(self.windows), (count,), generator=local, device=device)
        return latent_model.varied(self.windows[chosen].transpose(1, 2), local).transpose(1, 2)


def embedding_stage(autoencoder: JepaAutoencoder, episodes: Episodes, steps: int) -> TrainingStage:
    """Train encoder and predictor together."""
    loss_of, pools = latent_model.FastLoss(Embedding(autoencoder.jepa)), []

    def prepare() -> None:
        pools.append(WindowPool(episodes, parameters_device(autoencoder), POOL_WINDOWS, LATENT_FRAMES))

    def loss(progress: float, numbers: torch.Generator) -> Tensor:
        return loss_of(pools[0].sample(LATENT_BATCH, numbers))

    parameters = [each for name, each in autoencoder.jepa.named_parameters() if not name.startswith("usual")]
    return TrainingStage("latents", steps, LATENT_RATE, parameters, loss, prepare, every=latent_model.SAVED_EVERY)


def decoder_stage(autoencoder: JepaAutoencoder, episodes: Episodes, steps: int) -> TrainingStage:
    """Train the decoder on latents that change no more."""
    loss_of, pools = latent_model.FastLoss(autoencoder), []

    def prepare() -> None:
        pools.append(latent_model.FramePool(episodes, parameters_device(autoencoder)))
        autoencoder.standardise(pools[0].sample(latent_model.STANDARDISED_ON))

    def loss(progress: float, numbers: torch.Generator) -> Tensor:
        frames = pools[0].whole(DECODER_BATCH, numbers)
        local = latent_model.on_device(numbers, frames.device)
        noise = torch.randn((len(frames), *autoencoder.shape), generator=local, device=frames.device)
        focus = torch.full(
            (1,),
            latent_model.FOCUS[0] + (latent_model.FOCUS[1] - latent_model.FOCUS[0]) * progress,
            device=frames.device,
        )
        return loss_of(frames, noise, focus)

    parameters = list(autoencoder.decoder.parameters())
    return TrainingStage(
        "decoder", steps, latent_model.PICTURE_RATE, parameters, loss, prepare, every=latent_model.SAVED_EVERY
    )


class JepaFrames(latent_model.LatentArchitecture):
    """`jepa-frames` as the harness and the training use it."""

    name = "jepa-frames"
    summary = "latents learned without drawing pixels, a decoder trained apart, dynamics as of `simple`"
    steps = 15_000
    defaults: Mapping[str, Any] = {
        **SIMPLE_DEFAULTS, "encoder": 24, "latent": 24, "predictor": 48, "ahead": [1, 3], "pictures": 64,
    }  # fmt: skip
    dynamics_class = ConvDynamics

    def autoencoder(self, config: Mapping[str, Any]) -> JepaAutoencoder:
        return JepaAutoencoder(config)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """Encoder and predictor, then the decoder, then the dynamics."""
        assert isinstance(net, latent_model.LatentNet)
        assert isinstance(net.autoencoder, JepaAutoencoder)
        main = steps or self.steps
        return [
            embedding_stage(net.autoencoder, episodes, max(1, round(LATENT_SHARE * main))),
            decoder_stage(net.autoencoder, episodes, max(1, round(DECODER_SHARE * main))),
            latent_model.dynamics_stage(net, episodes, main, config["context"]),
        ]


architecture = JepaFrames()
