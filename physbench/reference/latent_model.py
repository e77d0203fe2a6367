"""World models of latents: an autoencoder that is trained first, and dynamics that predict its stored latents.

Kinds of model differ in their dynamics and share everything here: the stages of training, the model that the harness
asks, and how a loss is computed fast (bfloat16 where that is faster, and on a GPU as a CUDA graph).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physbench.models.protocol import ModelCard
from physbench.reference.architecture import Architecture
from physbench.reference.layers import CELL_PX, Autoencoder, SpatialAutoencoder, film_tensor
from physbench.reference.training_loop import Episodes, TrainingStage, generator, parameters_device
from physbench.support.errors import ModelError, UsageError
from physbench.support.progress import Progress

# Training data on the device: a pool of frames for autoencoders, the latents of all clips for what predicts them.

POOL_FRAMES = 8192
CROP_PX = 32
PERMUTATIONS = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])  # of the colours


def on_device(numbers: torch.Generator, device: torch.device) -> torch.Generator:
    """Random numbers on a device that depend on those given alone."""
    if numbers.device.type == device.type:
        return numbers
    seed = int(torch.randint(2**62, (1,), generator=numbers))
    return torch.Generator(device).manual_seed(seed)


class FramePool:
    """Frames drawn evenly from all episodes (F, 3, H, W) uint8."""

    def __init__(self, episodes: Episodes, device: torch.device) -> None:
        numbers = generator("frame pool", len(episodes))
        per_clip = -(-POOL_FRAMES // len(episodes))
        chosen = torch.randperm(len(episodes), generator=numbers)[: -(-POOL_FRAMES // per_clip)].tolist()
        frames = []
        for index in chosen:
            video = episodes.frames(index)
            frames.append(video[torch.randint(len(video), (per_clip,), generator=numbers)])
        self.frames = torch.cat(frames).to(device)

    def sample(self, count: int) -> Tensor:
        """The first `count` frames, in [0, 1]: they lie in any order."""
        return self.frames[:count].float() / 255

    def whole(self, count: int, numbers: torch.Generator) -> Tensor:
        """Frames (count, 3, H, W) in [0, 1], mirrored and recoloured at random."""
        local = on_device(numbers, self.frames.device)
        chosen = torch.randint(len(self.frames), (count,), generator=local, device=self.frames.device)
        return varied(self.frames[chosen], local)

    def crops(self, count: int, numbers: torch.Generator) -> Tensor:
        """Crops (count, 3, CROP_PX, CROP_PX) in [0, 1], most of them round a coloured pixel, varied like `whole`."""
        device = self.frames.device
        local = on_device(numbers, device)
        chosen = torch.randint(len(self.frames), (count,), generator=local, device=device)
        frames = self.frames[chosen]
        height, width = frames.shape[2:]
        coloured = (frames.amax(1).int() - frames.amin(1).int() > 20).flatten(1).float()  # of 255
        # other crops lie round a coloured pixel
        anywhere = torch.rand((count, 1), generator=local, device=device) > 0.7
        centre = torch.multinomial(torch.where(anywhere, 1.0, coloured + 1e-6), 1, generator=local)[:, 0]
        away = torch.randint(CROP_PX, (2, count), generator=local, device=device)
        top = (centre // width - away[0]).clamp(0, height - CROP_PX)
        left = (centre % width - away[1]).clamp(0, width - CROP_PX)
        span = torch.arange(CROP_PX, device=device)
        rows, columns = top[:, None] + span, left[:, None] + span
        each = torch.arange(count, device=device)[:, None, None]
        return varied(frames[each, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1), local)


def varied(frames: Tensor, numbers: torch.Generator) -> Tensor:
    """Pictures (N, 3, ..., H, W) uint8 -> [0, 1], each of N mirrored or not and with its colours in any order."""
    device, count = frames.device, len(frames)
    order = PERMUTATIONS.to(device)[torch.randint(6, (count,), generator=numbers, device=device)]
    frames = frames[torch.arange(count, device=device)[:, None], order]
    mirrored = torch.rand((count, *[1] * (frames.ndim - 1)), generator=numbers, device=device) < 0.5
    return torch.where(mirrored, frames.flip(-1), frames).float() / 255


class LatentBank:
    """Latents of all episodes, made once, and windows of them in which something moves.

    Attributes:
        latents: (F, *shape) float16, clip after clip; with few frames all clips come twice, the second time mirrored
            and in other colours.
        moving: (F,) bool, whether a frame differs from the one before.
        first: (N,) the first frame of each clip. length: (N,) its number of frames.
        longest: Number of frames of the longest window: those of the longest clip, less one if that is odd, as some
            kinds take two frames a step.
    """

    def __init__(
        self, encode: Callable[[Tensor], Tensor], episodes: Episodes, device: torch.device, context: int
    ) -> None:
        self.context, self.device = context, device
        self._starts: dict[int, Tensor] = {}
        some = torch.linspace(0, len(episodes) - 1, 16).long().tolist()
        # With fewer frames each clip is kept a second time, mirrored and in other colours
        few = sum(len(episodes.frames(index)) for index in some) / len(some) * len(episodes) < 800_000
        orders = torch.randint(6, (len(episodes),), generator=generator("colours", len(episodes)))
        plain: list[Tensor] = []
        mirrored: list[Tensor] = []
        moving: list[Tensor] = []
        lengths: list[int] = []
        with Progress("encode clips", len(episodes)) as progress, torch.no_grad():
            for frames, first, clips in _batches(episodes):
                lengths += torch.unique_consecutive(clips, return_counts=True)[1].tolist()
                frames, first, clips = (each.to(device) for each in (frames, first, clips))
                moving.append(_moves(frames, first).cpu())
                plain.append(encode(frames.float() / 255).half())
                if few:
                    order = PERMUTATIONS.to(device)[orders.to(device)[clips]]
                    other = frames[torch.arange(len(frames), device=device)[:, None], order].flip(-1)
                    mirrored.append(encode(other.float() / 255).half())
                progress.advance(len(lengths) - progress.done)
        copies = 2 if mirrored else 1
        self.latents = torch.cat(plain + mirrored)
        self.moving = torch.cat(moving * copies)
        self.length = torch.tensor(lengths * copies)
        self.first = self.length.cumsum(0) - self.length
        self.longest = int(self.length.max()) // 2 * 2
        if self.longest < context + 2:
            raise UsageError(
                f"Expected clips of at least {(context + 3) // 2 * 2} frames, {context} of context and two to predict, "
                f"but the longest has {int(self.length.max())}."
            )

    def windows(self, count: int, length: int, numbers: torch.Generator) -> Tensor:
        """Windows (count, L, *shape) float32 in which something moves soon after the context, most of them.

        L is `length`, or `longest` where that is less.
        """
        length = min(length, self.longest)
        starts = self.starts(length)
        chosen = starts[torch.randint(len(starts), (count,), generator=numbers)]
        rows = (chosen[:, None] + torch.arange(length)).to(self.device)
        return self.latents[rows].float()

    def starts(self, length: int) -> Tensor:
        """First frames of the windows of a length, `longest` at most, each within one clip.

        Those in which nothing moves are mostly left out.
        """
        if length not in self._starts:
            many = torch.cat([torch.zeros(1, dtype=torch.long), self.moving.long().cumsum(0)])
            starts = []
            for first, frames in zip(self.first.tolist(), self.length.tolist(), strict=True):
                begins = torch.arange(first, max(first, first + frames - length + 1))
                soon = torch.clamp(begins + self.context + 15, max=first + frames)
                moves = many[soon] > many[begins + min(self.context, frames) - 1]
                starts.append(begins[moves | (begins % 8 == 0)])  # one in eight windows in which nothing moves is kept
            self._starts[length] = torch.cat(starts)
        return self._starts[length]


def _batches(episodes: Episodes) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Frames (F, 3, H, W) uint8 of some whole clips, which of them begin one (F,), and the numbers of clips (F,)."""
    videos: list[Tensor] = []
    numbers: list[int] = []
    for index in range(len(episodes)):
        videos.append(episodes.frames(index))
        numbers.append(index)
        if sum(map(len, videos)) >= 1024 or index == len(episodes) - 1:
            first = torch.cat([torch.arange(len(video)) == 0 for video in videos])
            clips = torch.tensor(numbers).repeat_interleave(torch.tensor([len(video) for video in videos]))
            yield torch.cat(videos), first, clips
            videos, numbers = [], []


def _moves(frames: Tensor, first: Tensor) -> Tensor:
    """Mask (F,) of frames (F, 3, H, W) uint8 that differ from the one before; False where a clip begins."""
    # of 255; a frame moves where a pixel changes by more from the one before
    change = (frames[1:].short() - frames[:-1].short()).abs().amax((1, 2, 3)) > 12
    return torch.cat([torch.zeros_like(first[:1]), change]) & ~first


CHANGE_WEIGHT, NEW_WEIGHT = 10.0, 5.0  # in the loss, of cells that change and of those unlike the last context frame
PICTURE_RATE, PICTURE_SHARE = 3e-3, 0.2  # of the training of the autoencoder; steps for each of the dynamics
PICTURE_BATCH = 64  # crops; whole frames where the latent is flat
FOCUS = (10.0, 3.0)  # weight of coloured pixels at the beginning and at the end
STANDARDISED_ON = 1024  # frames
SAVED_EVERY = 500  # steps
UNROLLS = (1, 2, 4, 8)  # steps of an unroll, then the most of a kind; the next when this share of the training is done:
GROWS_AT = (0.15, 0.3, 0.5, 0.7)


class Dynamics(nn.Module):
    """Predicts latents of frames from those before them. A subclass is a kind of world model.

    Attributes:
        rate, batch: Of its training.
        deterministic: Whether it draws nothing from the generators.
    """

    rate = 1e-3
    batch = 64
    deterministic = True

    def window(self, progress: float) -> int:
        """Number of frames of a window of training, context included, as training goes on from 0 to 1."""
        raise NotImplementedError

    def draws(self, windows: Tensor, progress: float, numbers: torch.Generator) -> tuple[Tensor, ...]:
        """Random draws of the loss for windows (B, L, *shape), with a generator on their device."""
        return ()

    def forward(self, windows: Tensor, *drawn: Tensor) -> Tensor:
        """The loss of windows of latents (B, L, *shape)."""
        raise NotImplementedError

    def imagine(self, context: Tensor, horizon: int, generators: Sequence[torch.Generator]) -> Iterator[Tensor]:
        """Latents of the context (B, C, *shape) -> chunks (B, t, *shape) of those after it, at least `horizon` of them.

        Args:
            context: Of the context frames.
            horizon: Number of frames.
            generators: One for each clip, on any device.
        """
        raise NotImplementedError

    def carried(self, latents: Tensor) -> Tensor:
        """Latents of frames (B, T, *shape) -> what the model has in hand after each, for probes: (B, T', ...).

        By default the latents of the frame alone. A model with a recurrent state adds that.
        """
        return latents


class LatentNet(nn.Module):
    """An autoencoder and the dynamics of its latents."""

    def __init__(self, autoencoder: Autoencoder, dynamics: Dynamics) -> None:
        super().__init__()
        self.autoencoder, self.dynamics = autoencoder, dynamics


class LatentModel:
    """The FrameModel."""

    def __init__(self, net: LatentNet, card: ModelCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype  # it computes in float32 all the same

    @torch.no_grad()
    def rollout(
        self, context: Tensor, *, horizon: int, generators: Sequence[torch.Generator], **given: object
    ) -> Iterator[Tensor]:
        """Chunks (B, t, 3, H, W). Actions and prompts are not used."""
        frames = context.to(self.device, torch.float32)
        latents = torch.unflatten(self.net.autoencoder.encode(frames.flatten(0, 1)), 0, frames.shape[:2])
        left = horizon
        for chunk in self.net.dynamics.imagine(latents, horizon, generators):
            kept = chunk[:, : min(left, chunk.shape[1])]
            drawn = self.net.autoencoder.decode(kept.flatten(0, 1))
            yield torch.unflatten(drawn, 0, kept.shape[:2]).clamp(0, 1)
            left -= kept.shape[1]
            if left <= 0:
                return

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents of frames (B, T, H, W, 3) uint8, with the state of the dynamics where they have one."""
        video = film_tensor(frames, self.device)
        latents = torch.unflatten(self.net.autoencoder.encode(video.flatten(0, 1)), 0, video.shape[:2])
        return self.net.dynamics.carried(latents)


class FastLoss:
    """A module whose forward is a loss: bfloat16 where that is faster, on a GPU a CUDA graph for each set of shapes."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._graphs: dict[tuple[torch.Size, ...], Any] = {}

    def __call__(self, *batch: Tensor) -> Tensor:
        if batch[0].device.type != "cuda":
            loss: Tensor = _Cast(self.module)(*batch)
            return loss
        key = tuple(each.shape for each in batch)
        if key not in self._graphs:
            samples = tuple(each.clone() for each in batch)
            with torch.cuda.device(batch[0].device):
                graph = torch.cuda.make_graphed_callables(_Cast(self.module), samples, allow_unused_input=True)
            self._graphs[key] = graph
        graphed: Tensor = self._graphs[key](*batch)
        return graphed


def _has_fast_bfloat16() -> bool:
    """True if layers are faster in bfloat16 on this processor: by matrix units (AMX). AVX-512 alone takes 1.7 times as
    long as in float32."""
    has_units = getattr(torch.cpu, "_is_amx_tile_supported", None)
    used: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return used and has_units is not None and bool(has_units())


class _Cast(nn.Module):
    """A module whose layers compute in bfloat16 where that is faster."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *batch: Tensor) -> Tensor:
        kind = batch[0].device.type
        fast = kind == "cuda" or (kind == "cpu" and _has_fast_bfloat16())
        with torch.autocast(kind, torch.bfloat16, enabled=fast, cache_enabled=False):
            loss: Tensor = self.module(*batch)
        return loss


class LatentArchitecture(Architecture):
    """Common part of the kinds of model as the harness and the training use them."""

    threads = None
    exact = True
    model_class: type[Any] = LatentModel
    dynamics_class: type[Dynamics]  # made of the shape of a latent and a configuration

    def autoencoder(self, config: Mapping[str, Any]) -> Autoencoder:
        """The untrained autoencoder: the spatial one, unless a kind has its own."""
        return SpatialAutoencoder(config["pictures"], size=config["size"])

    def dynamics(self, config: Mapping[str, Any]) -> Dynamics:
        """The untrained dynamics."""
        make: Callable[[tuple[int, ...], Mapping[str, Any]], Dynamics] = self.dynamics_class
        return make(self.autoencoder(config).shape, config)

    def card(self, config: Mapping[str, Any]) -> ModelCard:
        stochastic = not self.dynamics_class.deterministic
        return ModelCard(
            self.name, (config["size"],) * 2, config["fps"], config["context"], config.get("max_horizon"),
            stochastic=stochastic, track="trained",
        )  # fmt: skip

    def checked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        whole = super().checked(config)
        if whole["size"] % CELL_PX:
            raise ModelError(f"Expected a size that {CELL_PX} divides but got {whole['size']}.")
        return whole

    def net(self, config: Mapping[str, Any]) -> LatentNet:
        net = LatentNet(self.autoencoder(config), self.dynamics(config))
        return net.to(memory_format=torch.channels_last)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """The autoencoder, then the dynamics on its latents."""
        assert isinstance(net, LatentNet)
        main = steps or self.steps
        return [
            picture_stage(net.autoencoder, episodes, max(1, round(PICTURE_SHARE * main))),
            dynamics_stage(net, episodes, main, config["context"]),
        ]


def picture_stage(autoencoder: Autoencoder, episodes: Episodes, steps: int) -> TrainingStage:
    """Train an autoencoder on crops of frames, or on whole frames where its latent is flat."""
    loss_of, pools = FastLoss(autoencoder), []

    def prepare() -> None:
        pools.append(FramePool(episodes, parameters_device(autoencoder)))

    def loss(progress: float, numbers: torch.Generator) -> Tensor:
        draw = pools[0].crops if len(autoencoder.shape) > 1 else pools[0].whole
        frames = draw(PICTURE_BATCH, numbers)
        shape = autoencoder.latent_shape(frames.shape[2:])
        local = on_device(numbers, frames.device)
        noise = torch.randn((len(frames), *shape), generator=local, device=frames.device)
        focus = torch.full((1,), FOCUS[0] + (FOCUS[1] - FOCUS[0]) * progress, device=frames.device)
        return loss_of(frames, noise, focus)

    return TrainingStage(
        "pictures", steps, PICTURE_RATE, list(autoencoder.parameters()), loss, prepare, every=SAVED_EVERY
    )


def dynamics_stage(net: LatentNet, episodes: Episodes, steps: int, context: int) -> TrainingStage:
    """Train dynamics on the latents of an autoencoder that changes no more."""
    loss_of, banks = FastLoss(net.dynamics), []

    def prepare() -> None:
        device = parameters_device(net)
        net.autoencoder.standardise(FramePool(episodes, device).sample(STANDARDISED_ON))
        banks.append(LatentBank(net.autoencoder.encode, episodes, device, context))

    def loss(progress: float, numbers: torch.Generator) -> Tensor:
        windows = banks[0].windows(net.dynamics.batch, net.dynamics.window(progress), numbers)
        return loss_of(windows, *net.dynamics.draws(windows, progress, on_device(numbers, windows.device)))

    return TrainingStage(
        "dynamics", steps, net.dynamics.rate, list(net.dynamics.parameters()), loss, prepare, every=SAVED_EVERY,
        watched=True,
    )  # fmt: skip


def growing(lengths: Sequence[int], progress: float) -> int:
    """The one of len(GROWS_AT) + 1 lengths that is unrolled as training goes on from 0 to 1."""
    return lengths[sum(progress >= share for share in GROWS_AT)]


def cell_weights(latents: Tensor, context: int) -> Tensor:
    """Weights (B, L, 1, h, w) of cells in a loss: more where they change, and where they differ from the last of
    `context` frames.

    Args:
        latents: (B, L, D, h, w).
        context: Number of context frames at their beginning.
    """
    changed = 0.15  # of a latent's spread; a cell changes where one of its numbers differs by more
    change = (latents[:, 1:] - latents[:, :-1]).abs().amax(2, keepdim=True) > changed
    change = torch.cat([change[:, :1], change], 1)
    new = (latents - latents[:, context - 1 : context]).abs().amax(2, keepdim=True) > changed
    return 1 + CHANGE_WEIGHT * change.to(latents.dtype) + NEW_WEIGHT * new.to(latents.dtype)


def weighted_error(expected: Tensor, latents: Tensor, weight: Tensor) -> Tensor:
    """Mean of e + e^2 with weights, of tensors (B, L, D, h, w); weights (B, L, 1, h, w)."""
    error = (expected.float() - latents).abs()
    return ((error + error.square()) * weight).sum() / (weight.sum() * latents.shape[2])


def clip_noise(generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Standard normal numbers of the shape of `like` (B, ...), each row from the generator of its clip."""
    rows = [torch.randn(like.shape[1:], generator=each, device=each.device) for each in generators]
    return torch.stack(rows).to(like)
