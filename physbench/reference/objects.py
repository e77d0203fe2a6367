"""`objects`: an object-centric interaction model for scenes of saturated objects over a grey background.

Frames become slots (objects_slots.py), slots move (objects_dynamics.py), and are drawn. It sees pixels only, and
nothing in it depends on a task.
After Battaglia et al. 2016 (arXiv 1612.00222) and Greff et al. 2017.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.models.protocol import ModelCard
from physbench.reference import objects_dynamics, objects_slots
from physbench.reference.architecture import CHUNK_FRAMES, Architecture
from physbench.reference.training_loop import Episodes, TrainingStage, parameters_device
from physbench.support.files import atomic_path
from physbench.support.progress import Progress

# Draws frames from positions: objects in the colours of their slots, behind occluders, over the background.

COVER_MARGIN = 0.02  # opacities nearer to 0 or 1 are rounded to them


@dataclass(frozen=True)
class ObjectImages:
    """Images of the K objects in B clips that are not round, cut out of the context."""

    clip: Tensor  # (K,)
    index: Tensor  # (K,) of the object in its clip
    image: Tensor  # (K, 4, H, W) see shapes.cut_images
    position: Tensor  # (K, 2) px, where it was cut out


class Painter(nn.Module):
    """Learned appearance of a disc (size, edge, shading, colour), and which greys occlude it."""

    def __init__(self, slots: int = 5) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.full((slots, 3), 0.5))
        self.size = nn.Parameter(torch.tensor([1.0, 0.0]))  # drawn radius = first x seen radius + second
        self.edge = nn.Parameter(torch.tensor(1.0))  # px over which a disc fades
        self.shade = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0]))  # brightness, in powers of the squared distance
        self.hides = objects_dynamics.mlp(2, 16, 1)

    def opacity(self, background: Tensor) -> Tensor:
        """Background (B, 3, H, W) -> opacity (B, H, W) 0..1 of each pixel for objects that pass behind it."""
        grey = background.mean(1)
        commonest = grey.flatten(1).median(1).values[:, None, None]
        seen = torch.stack([(grey - 0.5) * 8, (grey - commonest) * 8], -1)
        return objects_dynamics.exact_share(
            (1 + 2 * COVER_MARGIN) * torch.sigmoid(4 * self.hides(seen)[..., 0] - 2.0) - COVER_MARGIN
        )

    def forward(
        self, positions: Tensor, slots: objects_slots.Slots, opacity: Tensor, object_images: ObjectImages | None = None
    ) -> Tensor:
        """Positions (B, T, N, 2) in px of the objects of `slots` -> frames (B, T, 3, H, W)."""
        height, width = slots.background.shape[-2:]
        y = torch.arange(height, device=positions.device, dtype=positions.dtype) + 0.5
        x = torch.arange(width, device=positions.device, dtype=positions.dtype) + 0.5
        frames = slots.background[:, None].expand(-1, positions.shape[1], -1, -1, -1)
        colours = self.colours[slots.slot]  # (B, N, 3)
        free = 1 - opacity[:, None]
        for n in range(positions.shape[2]):
            across = (x - positions[:, :, n, :1]).square()[:, :, None]  # (B, T, 1, W)
            down = (y - positions[:, :, n, 1:]).square()[..., None]  # (B, T, H, 1)
            square = across + down + 1e-6
            drawn = (self.size[0] * slots.radius[:, n] + self.size[1]).clamp_min(0.5)[:, None, None, None]
            cover = ((drawn - square.sqrt()) / self.edge.clamp_min(0.3) + 0.5).clamp(0, 1)
            q = (square / drawn.square()).clamp_max(1.4)
            shade = self.shade[0] + q * (self.shade[1] + q * (self.shade[2] + q * self.shade[3]))
            colour = shade[:, :, None] * colours[:, n, None, :, None, None]
            if object_images is not None and bool((selected := object_images.index == n).any()):
                clip = object_images.clip[selected]
                shown = objects_slots.shift_images(
                    object_images.image[selected], positions[clip, :, n] - object_images.position[selected][:, None]
                )
                cover, colour = (
                    cover.index_put((clip,), shown[:, :, 3]),
                    colour.index_put((clip,), shown[:, :, :3] / shown[:, :, 3:].clamp_min(1e-3)),
                )
            share = cover * (free * slots.present[:, n, None, None, None])
            frames = torch.lerp(frames, colour, share[:, :, None])
        return frames


def cut_out_objects(
    frames: Tensor, slots: objects_slots.Slots, appearance: objects_slots.Appearance, colours: Tensor
) -> ObjectImages | None:
    """Cut the objects that are not round out of context frames (B, C, 3, H, W); None if all are round."""
    clip, index = ((slots.present > 0) & (slots.round < 0.5)).nonzero(as_tuple=True)
    if not len(clip):
        return None
    frame = appearance.frame[clip, index]
    image = objects_slots.cut_images(
        frames[clip, frame], appearance.masks[clip, index], colours[slots.slot[clip, index]]
    )
    return ObjectImages(clip, index, image, slots.centre[clip, frame, index])


def draw_moving_screen(frames: Tensor, screen: objects_slots.MovingScreen, first: int) -> Tensor:
    """Draw the moving screen over frames (B, T, 3, H, W), the first of which lies `first` frames after the context."""
    with_screen = (screen.cover.amax((1, 2)) > 0).nonzero()[:, 0]
    if not len(with_screen):
        return frames
    screen = screen.select(with_screen)
    ages = torch.arange(first, first + frames.shape[1], device=frames.device, dtype=frames.dtype)
    shift = ages[:, None] * screen.velocity[:, None]  # (K, T, 2)
    cover = objects_slots.shift_images(screen.cover[:, None].expand(-1, 4, -1, -1), shift)[:, :, :1]
    changed = torch.lerp(
        frames[with_screen], screen.grey[:, None, None, None, None].expand_as(frames[with_screen]), cover
    )
    return frames.index_put((with_screen,), changed)


class ObjectsNet(nn.Module):
    """The network: segmenter, dynamics and painter."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.segmenter = objects_slots.Segmenter(config["slots"])
        self.dynamics = objects_dynamics.Dynamics(config["substeps"], config["regimes"], config["hidden"])
        self.painter = Painter(config["slots"])


class ObjectsModel:
    """The FrameModel. It computes in float32 whatever the dtype of the frames; clips of a batch are independent."""

    def __init__(self, net: ObjectsNet, card: ModelCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype

    @torch.no_grad()
    def predict_positions(self, slots: objects_slots.Slots, horizon: int, pushes: Tensor | None) -> Tensor:
        """Predicted positions (B, horizon, N, 2) in px after the context."""
        dynamics, context = self.net.dynamics, self.card.context_frames
        scenes = objects_dynamics.scene_parameters(dynamics, slots, context)
        seen, weight = slots.centre[:, :context], slots.weight[:, :context]
        position, velocity, _ = objects_dynamics.estimate_initial_state(dynamics, scenes, seen, weight, pushes)
        return objects_dynamics.simulate_frames(dynamics, position, velocity, scenes, context + horizon, pushes)[0][
            :, context:
        ]

    @torch.no_grad()
    def rollout(self, context: Tensor, *, horizon: int, actions: Tensor | None, **given: object) -> Iterator[Tensor]:
        """Chunks (B, t, 3, H, W). Deterministic: prompts and generators are not used."""
        frames, net = context.to(self.device, torch.float32), self.net
        slots, appearance = objects_slots.read_slots(
            net.segmenter, frames, self.card.context_frames, occluders=net.painter.opacity
        )
        pushes = None
        if actions is not None:
            pushes = objects_slots.pushes_by_object(
                actions.to(self.device, torch.float32), net.segmenter.colours, slots.slot
            )
        positions = self.predict_positions(slots, horizon, pushes)
        opacity = net.painter.opacity(slots.background)
        images = cut_out_objects(frames, slots, appearance, net.painter.colours)
        for first in range(0, horizon, CHUNK_FRAMES):
            drawn = net.painter(positions[:, first : first + CHUNK_FRAMES], slots, opacity, images)
            yield draw_moving_screen(drawn, appearance.screen, first + 1).clamp(0, 1).to(self.dtype)


class Objects(Architecture):
    """`objects` as the harness and the training use it."""

    name = "objects"
    summary = "slots with position and velocity, learned interactions; two CPU cores, minutes"
    steps = 1300  # of its motion stage
    threads = 1  # with tensors this small, a second thread costs time
    exact = True
    defaults: Mapping[str, Any] = {
        "size": 64,  # px
        "fps": 15,
        "context": 8,  # frames
        "slots": 5,
        "substeps": 4,  # of a frame
        "regimes": 6,
        "hidden": 32,
    }
    model_class = ObjectsModel
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}, "M": {"regimes": 12, "hidden": 128}}

    def card(self, config: Mapping[str, Any]) -> ModelCard:
        return ModelCard(self.name, (config["size"],) * 2, config["fps"], config["context"], track="trained")

    def net(self, config: Mapping[str, Any]) -> ObjectsNet:
        return ObjectsNet(config)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """Segmentation, then drawing, then motion."""
        assert isinstance(net, ObjectsNet)
        return stages(net, config, episodes, folder, steps)


architecture = Objects()


# The training of `objects` in three stages: segmentation, drawing (both by reconstruction), motion (by rollouts).

SAMPLED_EPISODES = 160  # for segmentation and drawing
WINDOW_BATCH = 256
POOL_SIZE = 768  # windows whose initial states are fitted together
POOL_LIFETIME = 100  # steps for which a pool is used
SMOOTH_UNTIL = 0.5  # share of the motion stage in which windows start from smoothed states
SHORTEST, USUAL, LONGER, LONGEST = 7, 16, 30, 45  # frames of a rollout
LONG_SHARE, LONG_FROM = 0.2, 0.05  # of the steps; progress
DRAWING_FRAMES = 10  # of an episode, to learn drawing from


@dataclass
class TrainingData:
    """The data of the stages, made when a stage begins."""

    net: ObjectsNet
    config: Mapping[str, Any]
    episodes: Episodes
    folder: Path
    pixels: Tensor | None = None  # (P, 3)
    slots: objects_slots.Slots | None = None
    start_states: objects_dynamics.StartStates | None = None
    events: Tensor = field(default_factory=lambda: torch.empty(0, 2, dtype=torch.long))
    pool: objects_dynamics.RolloutWindows | None = None
    drawing_examples: tuple[Tensor, objects_slots.Slots, Tensor] | None = None  # see gather_drawing_examples

    @property
    def context(self) -> int:
        return int(self.config["context"])

    def sample(self) -> list[int]:
        """Indices of SAMPLED_EPISODES episodes, spread evenly."""
        count = len(self.episodes)
        return sorted({round(i * (count - 1) / (SAMPLED_EPISODES - 1)) for i in range(SAMPLED_EPISODES)})

    def gather_pixels(self) -> None:
        """Collect the coloured pixels of every fifth frame of the sampled episodes."""
        parts = [
            objects_slots.coloured_pixels(self.episodes.frames(i)[::5].float() / 255, objects_slots.MIN_CHROMA)
            for i in self.sample()
        ]
        self.pixels = torch.cat(parts).to(parameters_device(self.net))

    def choose_colours(self) -> None:
        """Set the colours of the slots to the cluster centres of saturated pixels."""
        assert self.pixels is not None
        strong = self.pixels[self.pixels.amax(1) - self.pixels.amin(1) > objects_slots.SATURATED_CHROMA]
        strong = strong[:: max(1, len(strong) // 50_000)]
        colours = objects_slots.k_means(strong, int(self.config["slots"]))
        with torch.no_grad():
            self.net.segmenter.colours.copy_(colours)
            self.net.painter.colours.copy_(colours)

    def perception(self) -> tuple[nn.Module, nn.Module]:
        """The networks that the slots depend on."""
        return self.net.segmenter, self.net.painter

    @torch.no_grad()
    def read(
        self, index: int, occluders: objects_slots.OccluderMap | None = None
    ) -> tuple[objects_slots.Slots, objects_slots.Appearance]:
        """Read the slots of an episode."""
        frames = self.episodes.frames(index).to(parameters_device(self.net)).float() / 255
        actions = self.episodes.actions(index)
        pushes = None if actions is None else actions[None].to(frames.device)
        return objects_slots.read_slots(self.net.segmenter, frames[None], self.context, pushes, occluders)

    def gather_slots(self) -> None:
        """Read the slots of all episodes, or load them from the folder."""
        path = self.folder / "slots.safetensors"
        stamp = json.dumps(
            [
                len(self.episodes),
                *(sum(float(p.detach().double().sum()) for p in part.parameters()) for part in self.perception()),
            ]
        )
        self.slots = load_slots(path, stamp)
        if self.slots is None:
            parts: list[objects_slots.Slots] = []
            with Progress("slots", len(self.episodes)) as progress:
                for index in range(len(self.episodes)):
                    parts.append(self.read(index, self.net.painter.opacity)[0])
                    progress.advance()
            self.slots = objects_slots.concatenate(parts)
            save_slots(path, self.slots, stamp)
        sure = self.slots.surely_seen()
        self.slots = objects_slots.concatenate([sure, sure.mirrored()])
        self.start_states = objects_dynamics.smoothed_states(self.slots)
        self.events = objects_dynamics.event_windows(self.start_states, self.slots, SHORTEST)

    def fit_starts(self, progress: float, numbers: torch.Generator) -> None:
        """Choose POOL_SIZE windows, half of them at the hand-over, and fit their states with the current dynamics."""
        assert self.slots is not None
        if progress < SMOOTH_UNTIL:
            return
        chosen = torch.randint(len(self.slots.frames), (POOL_SIZE,), generator=numbers).to(self.slots.frames.device)
        late = torch.rand(POOL_SIZE, generator=numbers).to(chosen.device).square()
        room = (self.slots.frames[chosen] - USUAL).clamp_min(0)
        first = (late * room).long() * (torch.arange(POOL_SIZE, device=chosen.device) % 2)
        self.pool = objects_dynamics.fitted_windows(self.net.dynamics, self.slots.select(chosen), self.context, first)

    def motion_loss(self, progress: float, numbers: torch.Generator) -> Tensor:
        """Error of rollouts, first from smoothed and later from fitted states; most are short, some long."""
        assert self.slots is not None and self.start_states is not None
        draw_number = float(torch.rand(1, generator=numbers))
        long = progress > LONG_FROM and draw_number < LONG_SHARE
        grown = SHORTEST + round(min(1.0, progress / SMOOTH_UNTIL) * 5)
        if self.pool is not None:
            # A share of 0.35 of the steps from fitted states is long enough for hidden objects to reappear.
            grown = LONGER if draw_number < LONG_SHARE + 0.35 else USUAL
        horizon, batch = (LONGEST, WINDOW_BATCH // 2) if long else (grown, WINDOW_BATCH)
        device = self.slots.frames.device
        if self.pool is not None:
            chosen = torch.randint(len(self.pool.first), (batch,), generator=numbers).to(device)
            return objects_dynamics.rollout_error(self.net.dynamics, self.pool.select(chosen), self.context, horizon)
        chosen = torch.randint(len(self.slots.frames), (batch,), generator=numbers).to(device)
        late = torch.rand(batch, generator=numbers).to(device)
        room = (self.slots.frames[chosen] - min(horizon, USUAL) - objects_dynamics.SMOOTHING_HALF_WIDTH).clamp_min(1)
        first = objects_dynamics.SMOOTHING_HALF_WIDTH + ((late.square() if long else late) * room).long()
        if len(self.events) and not long:
            half = self.events[torch.randint(len(self.events), (batch // 2,), generator=numbers).to(device)]
            chosen = torch.cat([chosen[len(half) :], half[:, 0]])
            first = torch.cat([first[len(half) :], half[:, 1]])
        at = (chosen, first)
        states = (self.start_states.position[at], self.start_states.velocity[at], self.start_states.trust[at])
        windows = objects_dynamics.RolloutWindows(self.slots.select(chosen), first, *states)
        # until then partial gravity costs nothing
        return objects_dynamics.rollout_error(self.net.dynamics, windows, self.context, horizon, progress > 0.5)

    def gather_drawing_examples(self) -> None:
        """Collect frames (E, D, 3, H, W) to learn drawing from, their slots, and positions of objects (E, D, N, 2).

        Positions of hidden objects are interpolated. Episodes with a moving screen or with objects that are not round
        are left out, as those are drawn from images.
        """
        frames, positions, kept = [], [], []
        for index in self.sample():
            slots, appearance = self.read(index)
            if bool(((slots.round < 0.5) & (slots.present > 0)).any()) or bool(appearance.screen.cover.any()):
                continue
            count = int(slots.frames[0])
            when = torch.linspace(0, count - 1, DRAWING_FRAMES).round().long()
            frames.append(self.episodes.frames(index)[when].float() / 255)
            most = slots.centre.shape[2]
            path = interpolate_hidden(slots.centre[0], slots.weight[0])[when]
            positions.append(functional.pad(path, (0, 0, 0, int(self.config["slots"]) - most)))
            kept.append(slots)
        slots = objects_slots.concatenate(kept)
        most = slots.centre.shape[2]
        self.drawing_examples = (torch.stack(frames), slots, torch.stack(positions)[:, :, :most])

    def drawing_loss(self, progress: float, numbers: torch.Generator) -> Tensor:
        """Error of frames that are drawn with the objects at their observed positions."""
        assert self.drawing_examples is not None
        frames, slots, positions = self.drawing_examples
        chosen = torch.randint(len(frames), (24,), generator=numbers)
        part, painter = slots.select(chosen), self.net.painter
        drawn = painter(positions[chosen], part, painter.opacity(part.background))
        error: Tensor = (drawn - frames[chosen].to(drawn.device)).abs().mean() * 100
        return error


def stages(
    net: ObjectsNet, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
) -> list[TrainingStage]:
    """The three stages; `steps` is the number of the motion stage."""
    steps = steps or architecture.steps
    data = TrainingData(net, config, episodes, folder)

    def appearance_loss(progress: float, numbers: torch.Generator) -> Tensor:
        assert data.pixels is not None
        return net.segmenter.loss(data.pixels[torch.randint(len(data.pixels), (4096,), generator=numbers)])

    # Shares of the steps of the motion stage
    look, draw = max(1, round(steps * 0.5)), max(1, round(steps * 0.15))
    seen, drawn, moved = (list(part.parameters()) for part in (net.segmenter, net.painter, net.dynamics))
    return [
        TrainingStage("look", look, 1e-2, seen, appearance_loss, data.gather_pixels, data.choose_colours, every=200),
        TrainingStage("draw", draw, 1e-2, drawn, data.drawing_loss, data.gather_drawing_examples, every=100),
        TrainingStage(
            "motion", steps, 1e-2, moved, data.motion_loss, data.gather_slots, refresh=data.fit_starts,
            every=POOL_LIFETIME, watched=True,
        ),
    ]  # fmt: skip


def interpolate_hidden(centre: Tensor, weight: Tensor) -> Tensor:
    """Positions (T, N, 2), interpolated or extrapolated from those of weight above 0.9 where the weight is lower."""
    positions = centre.clone()
    for n in range(centre.shape[1]):
        good = torch.nonzero(weight[:, n] > 0.9)[:, 0]
        if len(good) < 2:
            continue
        t = torch.arange(len(centre), dtype=centre.dtype)
        right = torch.searchsorted(good, torch.arange(len(centre))).clamp(1, len(good) - 1)
        a, b = good[right - 1], good[right]
        share = (t - a) / (b - a)
        positions[:, n] = torch.lerp(centre[a, n], centre[b, n], share[:, None])
    return positions


def save_slots(path: Path, slots: objects_slots.Slots, stamp: str) -> None:
    """Write slots to a file, which is complete or does not exist."""
    from safetensors.torch import save_file

    whole = {one.name: getattr(slots, one.name).cpu().contiguous().clone() for one in fields(slots)}
    with atomic_path(path) as draft:
        save_file(whole, str(draft), metadata={"stamp": stamp})


def load_slots(path: Path, stamp: str) -> objects_slots.Slots | None:
    """Load slots; None if the file does not exist or has another stamp."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            if file.metadata().get("stamp") != stamp:
                return None
            return objects_slots.Slots(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, AttributeError):
        return None
