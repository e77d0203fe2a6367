"""`jepa`: a joint-embedding predictive architecture that draws no frames and answers with its surprise.

An encoder makes a grid of latents of each frame, a recurrent predictor expects those of later frames from frames up to
now, and says how far off it usually is. After V-JEPA (arXiv 2404.08471): the targets are latents without gradient, here
of the same encoder. `JepaLosses` has the losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.models.protocol import SurpriseCard
from physbench.reference.architecture import Architecture, Validation, skill_of_errors, validation_clips
from physbench.reference.layers import film_tensor
from physbench.reference.training_loop import Episodes, TrainingStage, parameters_device
from physbench.support.errors import ModelError

# Losses and stages of `jepa`.
#
# Latents: encoder and predictor together, on short windows. No gradient goes through the targets, and variance and
# covariance of the latents are kept up as in VICReg (arXiv 2105.04906), so that they do not collapse. Both are taken
# over time within a clip, of cells in which something moves: a background cannot stand for what happens before it.
# Motion: the predictor alone, on long windows of latents that are made once, as V-JEPA 2-AC (arXiv 2506.09985) does.
# Errors: how wrong it usually is, once it changes no more.

LATENT_RATE, LATENT_BATCH, LATENT_FRAMES = 2e-3, 16, 12
MOTION_BATCH, MOTION_FRAMES = 8, 32
VARIANCE_COST, COVARIANCE_COST = 1.0, 0.04  # in the proportion of VICReg
LEAST_CHANGE = 0.05  # of white; a cell moves where a pixel of it changes by more
LEAST_MOVING = 1e-3  # of cells that move, in a loss


def moving_cells(video: Tensor) -> Tensor:
    """Frames (B, T, 3, H, W) in [0, 1] -> cells (B, h, w) 0 or 1 in which a pixel changes over time."""
    changes = (video.amax(1) - video.amin(1)).amax(1)
    return (functional.max_pool2d(changes, CELL_PX) > LEAST_CHANGE).to(video.dtype)


def spread_over_time(latents: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """Spread of latents of moving cells about their mean over the frames of a clip.

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
        errors = [(wrong.detach().abs().mean(2), usual) for wrong, usual in self.net.compare(self.windows(numbers))]
        sizes, usual = (torch.cat([pair[i].flatten() for pair in errors]) for i in (0, 1))
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
    others = max(1, round(0.2 * steps))  # steps of the first stage, and of the last, for each of the second
    learning = [*net.encoder.parameters(), *expecting]
    usual = list(net.usual.parameters())
    say, encode = losses.describe, losses.encode
    return [
        TrainingStage("latents", others, LATENT_RATE, learning, losses.latents, describe=say),
        TrainingStage("motion", steps, 2e-3, expecting, losses.motion, prepare=encode, describe=say, watched=True),
        TrainingStage("errors", others, 5e-3, usual, losses.errors, prepare=encode, describe=say),
    ]


CELL_PX = 8
LEAST_SCALE = 0.05  # of the latents' spread over time: errors much smaller than that surprise nobody
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
        nn.init.constant_(last.bias, -3.0)  # before training: most cells stand still
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

    def surprise(self, video: Tensor, **given: object) -> Tensor:
        """Surprise (B, T): mean over cells of their maps. Deterministic; actions and prompts are not used."""
        return self.surprise_maps(video).mean((2, 3))

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents of each frame and the state of the predictor (B, T, D + H, h, w) of frames (B, T, H, W, 3) uint8."""
        latents = self.net.encode(film_tensor(frames, self.device))
        return torch.cat([latents, self.net.memory(latents)], 2)


class Jepa(Architecture):
    """`jepa` as the harness and the training use it."""

    name = "jepa"
    summary = "predicts latents and states its surprise, on --suite expectation alone; minutes of one core"
    steps = 500  # of its motion stage
    threads = 1
    exact = True
    defaults: Mapping[str, Any] = {
        "size": 64,  # px
        "fps": 15,
        "context": 15,  # frames that are seen before surprise is read: 1 s
        "width": 12,  # channels of the first layer
        "latent": 24,  # numbers of a cell
        "hidden": 48,
        "ahead": (1, 3),  # frames; 3 are the 0.2 s in which models of frames are asked
    }
    model_class = JepaModel
    validation_of = "expected latents"
    sample_of = "the surprise in its cells, white where it is large"

    def card(self, config: Mapping[str, Any]) -> SurpriseCard:
        return SurpriseCard(
            self.name, (config["size"],) * 2, config["fps"], config["context"], track="trained",
            unit="errors of latents above the usual, over the usual",
        )  # fmt: skip

    def net(self, config: Mapping[str, Any]) -> JepaNet:
        return JepaNet(config)

    def validation(self, model: Any, episodes: Episodes) -> Validation:
        """Mean absolute error of the latents that are expected each number of frames ahead."""
        clips = [episodes.frames(index) for index in validation_clips(episodes)]
        shortest = min(map(len, clips))
        videos = torch.stack([frames[:shortest] for frames in clips])
        net = model.net

        def skills() -> list[float]:
            latents = net.encode(videos.to(model.device).float() / 255)
            wrong = [wrong for wrong, _ in net.compare(latents)]
            still = [latents[:, :-k] - latents[:, k:] for k in net.ahead]
            return [
                skill_of_errors(each.abs().mean((1, 2, 3, 4)), same.abs().mean((1, 2, 3, 4)), 1e-9)
                for each, same in zip(wrong, still, strict=True)
            ]

        return Validation(tuple(f"{k / model.card.fps:.2g} s ahead" for k in net.ahead), skills)

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

        assert isinstance(net, JepaNet)
        return jepa_stages(net, episodes, steps or self.steps)


architecture = Jepa()
