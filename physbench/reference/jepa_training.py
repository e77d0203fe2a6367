"""Losses and stages of `jepa`.

Latents: encoder and predictor together, on short windows. No gradient goes through the targets, and variance and
covariance of the latents are kept up as in VICReg (arXiv 2105.04906), so that they do not collapse. Both are taken over
time within a clip, of cells in which something moves: a background cannot stand for what happens before it.
Motion: the predictor alone, on long windows of latents that are made once, as V-JEPA 2-AC (arXiv 2506.09985) does.
Errors: how wrong it usually is, once it changes no more.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from physbench.reference.jepa import CELL_PX, JepaNet
from physbench.reference.training_loop import Episodes, TrainingStage, parameters_device

LATENT_RATE, LATENT_BATCH, LATENT_FRAMES = 2e-3, 16, 12
MOTION_RATE, MOTION_BATCH, MOTION_FRAMES = 2e-3, 8, 32
ERROR_RATE = 5e-3
OTHER_PART = 0.2  # steps of the first stage, and of the last, for each of the second
VARIANCE_COST, COVARIANCE_COST = 1.0, 0.04  # in the proportion of VICReg
LEAST_CHANGE = 0.05  # of white; a cell moves where a pixel of it changes by more
LEAST_MOVING = 1e-3  # of cells that move, in a loss


def moving_cells(video: Tensor) -> Tensor:
    """Frames (B, T, 3, H, W) in [0, 1] -> cells (B, h, w) 0 or 1 in which a pixel changes over time."""
    changes = (video.amax(1) - video.amin(1)).amax(1)
    return (functional.max_pool2d(changes, CELL_PX) > LEAST_CHANGE).to(video.dtype)


def spread_over_time(latents: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """How latents of moving cells differ from their mean over the frames of a clip.

    Args:
        latents: (B, T, D, h, w).
        moving: (B, h, w), see `moving_cells`.

    Returns:
        Standard deviation (D,) and covariance (D, D).
    """
    away = (latents - latents.mean(1, keepdim=True)) * moving[:, None, None]
    away = away.movedim(2, -1).flatten(0, -2)  # (N, D)
    covariance = away.T @ away / (moving.sum() * latents.shape[1]).clamp_min(1)
    return (covariance.diagonal() + 1e-6).sqrt(), covariance


class JepaLosses:
    """The losses of both stages, and what the last step was like."""

    def __init__(self, net: JepaNet, episodes: Episodes) -> None:
        self.net, self.episodes = net, episodes
        self.encoded: list[Tensor] = []  # latents (T, D, h, w) of episodes, and of their mirrors
        self.seen: dict[str, float] = {}

    def describe(self) -> str:
        """The last step in a line: a predictor that learns is less wrong than a latent that stays as it is."""
        return ", ".join(f"{name} {value:.3f}" for name, value in self.seen.items())

    def latents(self, progress: float, numbers: torch.Generator) -> Tensor:
        """Loss of encoder and predictor on windows of frames, mirrored or not, in any order of their colours."""
        windows = []
        for index in torch.randint(len(self.episodes), (LATENT_BATCH,), generator=numbers).tolist():
            window = cut_window(self.episodes.frames(index), LATENT_FRAMES, numbers)
            window = window[:, torch.randperm(3, generator=numbers)]
            windows.append(window.flip(-1) if int(torch.randint(2, (1,), generator=numbers)) else window)
        video = stack_windows(windows).to(parameters_device(self.net)).float() / 255
        latents, moving = self.net.encode(video), moving_cells(video)
        deviation, covariance = spread_over_time(latents, moving)
        alike = (covariance.square().sum() - covariance.diagonal().square().sum()) / len(covariance)
        loss = self.expectation(latents, float(moving.mean()))
        self.seen |= {"spread": float(deviation.detach().mean()), "alike": float(alike.detach())}
        return loss + VARIANCE_COST * functional.relu(1 - deviation).mean() + COVARIANCE_COST * alike

    def encode(self) -> None:
        """Make the latents of all episodes and of their mirrors, for `windows`."""
        device = parameters_device(self.net)
        self.seen = {}
        if self.encoded:
            return
        with torch.no_grad():
            for index in range(len(self.episodes)):
                video = self.episodes.frames(index).to(device).float()[None] / 255
                self.encoded += [self.net.encode(each)[0].half() for each in (video, video.flip(-1))]

    def windows(self, numbers: torch.Generator) -> Tensor:
        """Some windows of latents (B, T, D, h, w)."""
        chosen = torch.randint(len(self.encoded), (MOTION_BATCH,), generator=numbers).tolist()
        return stack_windows([cut_window(self.encoded[index], MOTION_FRAMES, numbers) for index in chosen]).float()

    def motion(self, progress: float, numbers: torch.Generator) -> Tensor:
        """Loss of the predictor on windows of latents."""
        latents = self.windows(numbers)
        changes = (latents.amax(1) - latents.amin(1)).amax(1)
        return self.expectation(latents, float((changes > 10 * LEAST_CHANGE).float().mean()))

    def errors(self, progress: float, numbers: torch.Generator) -> Tensor:
        """Loss of the usual error, which is least where that is the mean of the errors: an exponential distribution."""
        found = [(wrong.detach().abs().mean(2), usual) for wrong, usual in self.net.compare(self.windows(numbers))]
        sizes, usual = (torch.cat([pair[i].flatten() for pair in found]) for i in (0, 1))
        self.seen = {"error": float(sizes.mean()), "usual error": float(usual.detach().mean())}
        return (sizes / usual + usual.log()).mean()

    def expectation(self, latents: Tensor, share: float) -> Tensor:
        """Loss of what is expected of latents (B, T, D, h, w), a `share` of whose cells moves.

        What stands still costs nothing, so that the mean over cells is divided by that share.
        """
        share = max(share, LEAST_MOVING)
        expected, still = latents.new_zeros(()), latents.new_zeros(())
        for k, (wrong, _) in zip(self.net.ahead, self.net.compare(latents), strict=True):
            expected = expected + functional.smooth_l1_loss(wrong, torch.zeros_like(wrong))
            still = still + functional.smooth_l1_loss(latents[:, k:].detach(), latents[:, :-k].detach())
        many = len(self.net.ahead)
        expected, still = expected / (many * share), still / (many * share)
        self.seen = {"error": float(expected.detach()), "of a latent that stays": float(still)}
        return expected


def cut_window(episode: Tensor, length: int, numbers: torch.Generator) -> Tensor:
    """Part of an episode (T, ...) that begins anywhere, `length` long where it is so long."""
    first = int(torch.randint(max(1, len(episode) - length + 1), (1,), generator=numbers))
    return episode[first : first + length]


def stack_windows(windows: list[Tensor]) -> Tensor:
    """Windows (T, ...) as one tensor (B, T, ...), T that of the shortest."""
    shortest = min(map(len, windows))
    return torch.stack([window[:shortest] for window in windows])


def jepa_stages(net: JepaNet, episodes: Episodes, steps: int) -> list[TrainingStage]:
    """The three stages; `steps` is the number of the second."""
    losses = JepaLosses(net, episodes)
    parts = net.memory, net.body, net.change
    expecting = [parameter for part in parts for parameter in part.parameters()]
    others = max(1, round(OTHER_PART * steps))
    learning = [*net.encoder.parameters(), *expecting]
    usual = list(net.usual.parameters())
    say, encode = losses.describe, losses.encode
    return [
        TrainingStage("latents", others, LATENT_RATE, learning, losses.latents, describe=say),
        TrainingStage("motion", steps, MOTION_RATE, expecting, losses.motion, prepare=encode, describe=say),
        TrainingStage("errors", others, ERROR_RATE, usual, losses.errors, prepare=encode, describe=say),
    ]
