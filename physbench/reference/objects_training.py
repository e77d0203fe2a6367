"""How `objects` is learned, in three stages: to see, to draw (reconstruction), to move (rollouts)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.progress import Progress
from physbench.reference.motion_training import (
    SMOOTHING_HALF_WIDTH,
    RolloutWindows,
    StartStates,
    event_windows,
    fitted_windows,
    rollout_error,
    smoothed_states,
)
from physbench.reference.objects import ObjectsNet, architecture
from physbench.reference.segmentation import MIN_CHROMA, SATURATED_CHROMA, coloured_pixels, k_means
from physbench.reference.slots import Appearance, OccluderMap, Slots, concatenate, read_slots
from physbench.reference.training_loop import Episodes, TrainingStage, parameters_device

LOOK_SHARE, DRAW_SHARE = 0.5, 0.15  # of the steps of the motion
SAMPLED_EPISODES = 160  # episodes that seeing and drawing are learned from
PIXEL_BATCH = 4096
WINDOW_BATCH = 256
POOL_SIZE = 768  # windows whose starts are fitted together
POOL_LIFETIME = 100  # steps for which they are used
SMOOTH_UNTIL = 0.5  # share of the motion stage that starts from smoothed states
UNDECIDED_UNTIL = 0.5  # share of the motion stage in which a scene may have a part of the pull
SHORTEST, USUAL, LONGER, LONGEST = 7, 16, 30, 45  # frames of a rollout
LONG_SHARE, LONG_FROM = 0.2, 0.05  # of the steps; progress
LONGER_SHARE = 0.35  # of the steps from fitted starts; what is hidden comes out again within such a stretch
DRAWING_FRAMES = 10  # frames kept of an episode to learn drawing from


@dataclass
class TrainingData:
    """What the stages hand on to each other."""

    net: ObjectsNet
    config: Mapping[str, Any]
    episodes: Episodes
    folder: Path
    pixels: Tensor | None = None  # (P, 3)
    slots: Slots | None = None
    smooth: StartStates | None = None
    events: Tensor = field(default_factory=lambda: torch.empty(0, 2, dtype=torch.long))
    pool: RolloutWindows | None = None
    pictures: tuple[Tensor, Slots, Tensor] | None = None  # frames (E, D, 3, H, W), their slots, places (E, D, N, 2)

    @property
    def context(self) -> int:
        return int(self.config["context"])

    def sample(self) -> list[int]:
        """Indices of LOOKED_AT episodes, spread evenly."""
        count = len(self.episodes)
        return sorted({round(i * (count - 1) / (SAMPLED_EPISODES - 1)) for i in range(SAMPLED_EPISODES)})

    def gather_pixels(self) -> None:
        """Coloured pixels of every fifth frame of some episodes."""
        parts = [coloured_pixels(self.episodes.frames(i)[::5].float() / 255, MIN_CHROMA) for i in self.sample()]
        self.pixels = torch.cat(parts).to(parameters_device(self.net))

    def choose_colours(self) -> None:
        """Slot colours: the centres of the saturated pixels."""
        assert self.pixels is not None
        strong = self.pixels[self.pixels.amax(1) - self.pixels.amin(1) > SATURATED_CHROMA]
        strong = strong[:: max(1, len(strong) // 50_000)]
        colours = k_means(strong, int(self.config["slots"]))
        with torch.no_grad():
            self.net.segmenter.colours.copy_(colours)
            self.net.painter.colours.copy_(colours)

    def seeing(self) -> tuple[nn.Module, nn.Module]:
        """What the slots depend on."""
        return self.net.segmenter, self.net.painter

    @torch.no_grad()
    def read(self, index: int, curtain: OccluderMap | None = None) -> tuple[Slots, Appearance]:
        """The slots of all frames of an episode."""
        frames = self.episodes.frames(index).to(parameters_device(self.net)).float() / 255
        actions = self.episodes.actions(index)
        pushes = None if actions is None else actions[None].to(frames.device)
        return read_slots(self.net.segmenter, frames[None], self.context, pushes, curtain)

    def gather_slots(self) -> None:
        """Slots of all episodes; read once and kept in the folder."""
        path = self.folder / "slots.safetensors"
        stamp = json.dumps(
            [
                len(self.episodes),
                *(sum(float(p.detach().double().sum()) for p in part.parameters()) for part in self.seeing()),
            ]
        )
        self.slots = load_slots(path, stamp)
        if self.slots is None:
            parts: list[Slots] = []
            with Progress("slots", len(self.episodes)) as progress:
                for index in range(len(self.episodes)):
                    parts.append(self.read(index, self.net.painter.curtain)[0])
                    progress.advance()
            self.slots = concatenate(parts)
            save_slots(path, self.slots, stamp)
        sure = self.slots.surely_seen()
        self.slots = concatenate([sure, sure.mirrored()])
        self.smooth = smoothed_states(self.slots)
        self.events = event_windows(self.smooth, self.slots, SHORTEST)

    def fit_starts(self, progress: float, numbers: torch.Generator) -> None:
        """Choose POOL windows, half of them at the hand-over, and fit their first states with the present dynamics."""
        assert self.slots is not None
        if progress < SMOOTH_UNTIL:
            return
        chosen = torch.randint(len(self.slots.frames), (POOL_SIZE,), generator=numbers).to(self.slots.frames.device)
        late = torch.rand(POOL_SIZE, generator=numbers).to(chosen.device).square()
        room = (self.slots.frames[chosen] - USUAL).clamp_min(0)
        first = (late * room).long() * (torch.arange(POOL_SIZE, device=chosen.device) % 2)
        self.pool = fitted_windows(self.net.dynamics, self.slots.take(chosen), self.context, first)

    def motion_loss(self, progress: float, numbers: torch.Generator) -> Tensor:
        """Rollouts from smoothed states first, from fitted states later; short ones, and now and then a long one."""
        assert self.slots is not None and self.smooth is not None
        lot = float(torch.rand(1, generator=numbers))
        long = progress > LONG_FROM and lot < LONG_SHARE
        grown = SHORTEST + round(min(1.0, progress / SMOOTH_UNTIL) * 5)
        if self.pool is not None:
            grown = LONGER if lot < LONG_SHARE + LONGER_SHARE else USUAL
        horizon, batch = (LONGEST, WINDOW_BATCH // 2) if long else (grown, WINDOW_BATCH)
        device = self.slots.frames.device
        if self.pool is not None:
            chosen = torch.randint(len(self.pool.first), (batch,), generator=numbers).to(device)
            return rollout_error(self.net.dynamics, self.pool.take(chosen), self.context, horizon)
        chosen = torch.randint(len(self.slots.frames), (batch,), generator=numbers).to(device)
        late = torch.rand(batch, generator=numbers).to(device)
        room = (self.slots.frames[chosen] - min(horizon, USUAL) - SMOOTHING_HALF_WIDTH).clamp_min(1)
        first = SMOOTHING_HALF_WIDTH + ((late.square() if long else late) * room).long()
        if len(self.events) and not long:
            half = self.events[torch.randint(len(self.events), (batch // 2,), generator=numbers).to(device)]
            chosen = torch.cat([chosen[len(half) :], half[:, 0]])
            first = torch.cat([first[len(half) :], half[:, 1]])
        at = (chosen, first)
        states = (self.smooth.place[at], self.smooth.speed[at], self.smooth.trust[at])
        windows = RolloutWindows(self.slots.take(chosen), first, *states)
        return rollout_error(self.net.dynamics, windows, self.context, horizon, progress > UNDECIDED_UNTIL)

    def gather_pictures(self) -> None:
        """Frames to learn drawing from, with the places of what is in them; hidden places are interpolated.

        Of episodes in which all is round and no plate is in the way: the rest is drawn as it was seen.
        """
        frames, places, kept = [], [], []
        for index in self.sample():
            slots, looks = self.read(index)
            if bool(((slots.round < 0.5) & (slots.present > 0)).any()) or bool(looks.plate.cover.any()):
                continue
            count = int(slots.frames[0])
            when = torch.linspace(0, count - 1, DRAWING_FRAMES).round().long()
            frames.append(self.episodes.frames(index)[when].float() / 255)
            most = slots.centre.shape[2]
            where = interpolate_hidden(slots.centre[0], slots.weight[0])[when]
            places.append(functional.pad(where, (0, 0, 0, int(self.config["slots"]) - most)))
            kept.append(slots)
        slots = concatenate(kept)
        most = slots.centre.shape[2]
        self.pictures = (torch.stack(frames), slots, torch.stack(places)[:, :, :most])

    def drawing_loss(self, progress: float, numbers: torch.Generator) -> Tensor:
        """Error of the pictures of objects where they were seen to be."""
        assert self.pictures is not None
        frames, slots, places = self.pictures
        chosen = torch.randint(len(frames), (24,), generator=numbers)
        part, painter = slots.take(chosen), self.net.painter
        drawn = painter(places[chosen], part, painter.curtain(part.picture))
        error: Tensor = (drawn - frames[chosen].to(drawn.device)).abs().mean() * 100
        return error


def stages(
    net: ObjectsNet, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
) -> list[TrainingStage]:
    """The three stages; `steps` are those of the motion."""
    steps = steps or architecture.steps
    m = TrainingData(net, config, episodes, folder)

    def look_loss(progress: float, numbers: torch.Generator) -> Tensor:
        assert m.pixels is not None
        return net.segmenter.loss(m.pixels[torch.randint(len(m.pixels), (PIXEL_BATCH,), generator=numbers)])

    look, draw = max(1, round(steps * LOOK_SHARE)), max(1, round(steps * DRAW_SHARE))
    return [
        TrainingStage(
            "look", look, 1e-2, list(net.segmenter.parameters()), look_loss, m.gather_pixels, m.choose_colours,
            every=200,
        ),
        TrainingStage("draw", draw, 1e-2, list(net.painter.parameters()), m.drawing_loss, m.gather_pictures, every=100),
        TrainingStage(
            "motion", steps, 1e-2, list(net.dynamics.parameters()), m.motion_loss, m.gather_slots, refresh=m.fit_starts,
            every=POOL_LIFETIME,
        ),
    ]  # fmt: skip


def interpolate_hidden(centre: Tensor, weight: Tensor) -> Tensor:
    """Places (T, N, 2) with those of weight below 0.9 interpolated between, or extrapolated from, trusted ones."""
    places = centre.clone()
    for n in range(centre.shape[1]):
        good = torch.nonzero(weight[:, n] > 0.9)[:, 0]
        if len(good) < 2:
            continue
        t = torch.arange(len(centre), dtype=centre.dtype)
        right = torch.searchsorted(good, torch.arange(len(centre))).clamp(1, len(good) - 1)
        a, b = good[right - 1], good[right]
        share = (t - a) / (b - a)
        places[:, n] = torch.lerp(centre[a, n], centre[b, n], share[:, None])
    return places


def save_slots(path: Path, slots: Slots, stamp: str) -> None:
    """Write slots, whole or not at all."""
    from safetensors.torch import save_file

    part = path.with_name(f".{os.getpid()}.{path.name}")
    whole = {one.name: getattr(slots, one.name).cpu().contiguous().clone() for one in fields(slots)}
    save_file(whole, str(part), metadata={"stamp": stamp})
    part.replace(path)


def load_slots(path: Path, stamp: str) -> Slots | None:
    """Read slots; None where there are none of this stamp."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            if file.metadata().get("stamp") != stamp:
                return None
            return Slots(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, AttributeError):
        return None
