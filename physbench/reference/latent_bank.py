"""Training data on the device: a pool of frames for autoencoders, the latents of all clips for what predicts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from physbench.progress import Progress
from physbench.reference.training_loop import Episodes, generator

POOL_FRAMES = 8192
CROP_PX = 32
COLOURED_SHARE = 0.7  # of crops, which lie round a coloured pixel
COLOURFUL = 20  # of 255
MOVED = 12  # of 255; a frame moves where a pixel changes by more from the one before
ENCODED_AT_ONCE = 1024  # frames
MIRRORED_BELOW = 800_000  # frames: with fewer each clip is kept a second time, mirrored and in other colours
STILL_SHARE = 8  # one in so many windows in which nothing moves is kept
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
        coloured = (frames.amax(1).int() - frames.amin(1).int() > COLOURFUL).flatten(1).float()
        anywhere = torch.rand((count, 1), generator=local, device=device) > COLOURED_SHARE
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
    """

    def __init__(
        self, encode: Callable[[Tensor], Tensor], episodes: Episodes, device: torch.device, context: int
    ) -> None:
        self.context, self.device = context, device
        self._starts: dict[int, Tensor] = {}
        some = torch.linspace(0, len(episodes) - 1, 16).long().tolist()
        few = sum(len(episodes.frames(index)) for index in some) / len(some) * len(episodes) < MIRRORED_BELOW
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

    def windows(self, count: int, length: int, numbers: torch.Generator) -> Tensor:
        """Windows (count, length, *shape) float32 in which something moves soon after the context, most of them."""
        starts = self.starts(length)
        chosen = starts[torch.randint(len(starts), (count,), generator=numbers)]
        rows = (chosen[:, None] + torch.arange(length)).to(self.device)
        return self.latents[rows].float()

    def starts(self, length: int) -> Tensor:
        """First frames of the windows of a length. Those in which nothing moves are mostly left out."""
        if length not in self._starts:
            many = torch.cat([torch.zeros(1, dtype=torch.long), self.moving.long().cumsum(0)])
            found = []
            for first, frames in zip(self.first.tolist(), self.length.tolist(), strict=True):
                begins = torch.arange(first, max(first + 1, first + frames - length + 1))
                soon = torch.clamp(begins + self.context + 15, max=first + frames)
                moves = many[soon] > many[begins + min(self.context, frames) - 1]
                found.append(begins[moves | (begins % STILL_SHARE == 0)])
            self._starts[length] = torch.cat(found)
        return self._starts[length]


def _batches(episodes: Episodes) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Frames (F, 3, H, W) uint8 of some whole clips, which of them begin one (F,), and the numbers of clips (F,)."""
    videos: list[Tensor] = []
    numbers: list[int] = []
    for index in range(len(episodes)):
        videos.append(episodes.frames(index))
        numbers.append(index)
        if sum(map(len, videos)) >= ENCODED_AT_ONCE or index == len(episodes) - 1:
            first = torch.cat([torch.arange(len(video)) == 0 for video in videos])
            clips = torch.tensor(numbers).repeat_interleave(torch.tensor([len(video) for video in videos]))
            yield torch.cat(videos), first, clips
            videos, numbers = [], []


def _moves(frames: Tensor, first: Tensor) -> Tensor:
    """Which frames (F, 3, H, W) uint8 differ from the one before: (F,) bool; those that begin a clip do not."""
    change = (frames[1:].short() - frames[:-1].short()).abs().amax((1, 2, 3)) > MOVED
    return torch.cat([torch.zeros_like(first[:1]), change]) & ~first
