"""Models of states: the data, the training and the model that the harness asks, whatever the network.

A network is a `StateNet`: from a few moments and the constants of a scene it predicts the moments after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.data.clip_dataset import ClipEpisodes
from physbench.models.protocol import BODY_COLUMNS, STATE_COLUMNS, STATIC_COLUMNS, Columns, StateCard
from physbench.reference.architecture import Architecture, Validation, skill_of_errors, span_frames, validation_clips
from physbench.reference.training_loop import Episodes, TrainingStage, generator, parameters_device
from physbench.rollout.states import NO_SHAPE, draw_states, from_model, state_inputs, to_model
from physbench.world.scene import RenderSpec

JUMP = 0.25  # m/s; a velocity that changes otherwise than before by more within 1/fps tells of a contact
NEAR_JUMPS = 0.5  # of windows, in which a jump lies
SAVED_EVERY = 100  # steps


@dataclass(frozen=True)
class StateScene:
    """Constants of B clips; see `StateModel.rollout_states`."""

    bodies: Tensor  # (B, N, len(BODY_COLUMNS))
    statics: Tensor  # (B, M, len(STATIC_COLUMNS))
    mask: Tensor  # (B, N) bool
    gravity: Tensor  # (B, 3) m/s2

    def body(self, column: str) -> Tensor:
        """A column of the bodies (B, N)."""
        return self.bodies[..., BODY_COLUMNS.index(column)]

    def static(self, column: str) -> Tensor:
        """A column of the statics (B, M)."""
        return self.statics[..., STATIC_COLUMNS.index(column)]

    def select(self, rows: Tensor, bodies: int) -> StateScene:
        """Some clips, and their first rows of bodies."""
        return StateScene(self.bodies[rows, :bodies], self.statics[rows], self.mask[rows, :bodies], self.gravity[rows])


class StateNet(nn.Module):
    """Predicts moments from those before them. A subclass is a kind of model of states.

    Attributes:
        columns: Of a state that it is given: "all" 13, or "positions".
        context: Moments that it is given.
        rate, batch: Of its training.
        unrolls: Moments that are predicted in training, by the share of it from which they are.
        noise: Standard deviation in m and m/s of what is added to the states of a context in training.
        precise: m; smaller errors count in proportion in training, larger ones by their logarithm.
        own_gradient_norms: Whether the gradient norm of each of its networks is clipped by itself in training.
        symmetric: Whether it treats all directions alike by itself; else windows are turned and mirrored.
        config: From which it was made.
    """

    columns: Columns = "all"
    context = 1
    rate = 1e-3
    batch = 64
    unrolls: Mapping[float, int] = {0.0: 1, 0.1: 2, 0.2: 4, 0.4: 8, 0.65: 16, 0.9: 32}
    noise = 1e-3
    precise = 0.02
    own_gradient_norms = False
    symmetric = False

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)

    def unroll(self, states: Tensor, scene: StateScene, held: Tensor) -> Iterator[Tensor]:
        """States (B, C, N, S), the last at the hand-over -> one (B, N, S) after the other, without end.

        held: (B, C, N) 1 where a body was not yet let go.
        """
        raise NotImplementedError


class StateEpisodes(ClipEpisodes):
    """Episodes of stored clips for models of states, which learn from `clip`; their frames are for people."""

    def __init__(self, rows: Sequence[Row], card: StateCard, store: ClipStore) -> None:
        super().__init__(rows, training_spec(card), card.context_frames, store)
        self.card = card


def training_spec(card: StateCard) -> RenderSpec:
    """The clips that a model of states learns from."""
    clip_px = 64  # of the clips whose states are learned from: those of the models of frames
    return RenderSpec(clip_px, clip_px, float(card.fps))


class StateBank:
    """States of all episodes on a device, and windows of them."""

    def __init__(self, episodes: StateEpisodes, device: torch.device) -> None:
        clips = [episodes.clip(index) for index in range(len(episodes))]
        given = [state_inputs([clip], episodes.card) for clip in clips]
        moments, many = max(len(clip.times) for clip in clips), max(int(each.many[0]) for each in given)
        statics = max(each.statics.shape[1] for each in given)
        self.states = torch.zeros(len(clips), moments, many, len(STATE_COLUMNS))
        self.lengths = torch.tensor([len(clip.times) for clip in clips])
        bodies = torch.zeros(len(clips), many, len(BODY_COLUMNS))
        fixed = torch.zeros(len(clips), statics, len(STATIC_COLUMNS))
        fixed[..., STATIC_COLUMNS.index("shape")] = NO_SHAPE
        mask = torch.zeros(len(clips), many, dtype=torch.bool)
        free = torch.zeros(len(clips), many, dtype=torch.long)
        for i, (clip, each) in enumerate(zip(clips, given, strict=True)):
            own = clip.states[:, list(clip.tracked)]
            self.states[i, : len(own), : own.shape[1]] = torch.from_numpy(own)
            bodies[i, : own.shape[1]] = torch.from_numpy(each.bodies[0])
            fixed[i, : each.statics.shape[1]] = torch.from_numpy(each.statics[0])
            mask[i, : own.shape[1]] = True
            release = each.bodies[0, :, BODY_COLUMNS.index("release")]
            free[i, : own.shape[1]] = torch.from_numpy(np.searchsorted(clip.times, release - 1e-6))
        gravity = torch.from_numpy(np.concatenate([each.gravity for each in given])).float()
        self.free = free  # (E, N) first moment at which a body is free
        self.jumps = _jumps(self.states, self.lengths, free.amax(1)).to(device)
        self.scene = StateScene(bodies.to(device), fixed.to(device).nan_to_num(), mask.to(device), gravity.to(device))
        self.states, self.lengths, self.free = (part.to(device) for part in (self.states, self.lengths, free))

    def windows(
        self, count: int, context: int, ahead: int, numbers: torch.Generator
    ) -> tuple[Tensor, StateScene, Tensor]:
        """Windows that begin anywhere after the release, NEAR_JUMPS of them shortly before a contact.

        Returns:
            States (count, context + ahead, N, 13), their scenes, and where bodies were held (count, context, N).
        """
        device = self.states.device
        near = int(NEAR_JUMPS * count) if len(self.jumps) else 0
        anywhere = torch.randint(len(self.states), (count - near,), generator=numbers).to(device)
        share = torch.rand(count, generator=numbers).to(device)
        jump = self.jumps[torch.randint(max(1, len(self.jumps)), (near,), generator=numbers).to(device)]
        clip = torch.cat([anywhere, jump[:, 0]])
        first = self.free[clip].amax(1).clamp_min(context - 1)  # the last moment of the context lies between these
        last = (self.lengths[clip] - 1 - ahead).clamp_min(first)
        now = first + (share * (last - first + 1)).long()
        back = (share[count - near :] * ahead).long() + 1  # moments before the jump
        now[count - near :] = torch.minimum((jump[:, 1] - back).clamp_min(first[count - near :]), last[count - near :])
        moments = now[:, None] + torch.arange(1 - context, ahead + 1, device=device)
        many = int(self.scene.mask[clip].sum(1).max())
        held = (moments[:, :context, None] < self.free[clip][:, None, :many]).float()
        return self.states[clip[:, None], moments, :many], self.scene.select(clip, many), held


def _jumps(states: Tensor, lengths: Tensor, free: Tensor) -> Tensor:
    """Clips and moments (J, 2) at which the velocity of a body changed otherwise than one moment before."""
    step = states[..., 7:10].diff(dim=1)
    jump = step.diff(dim=1).norm(dim=-1).amax(-1) > JUMP  # (E, T - 2), of moments 2 ..
    moments = torch.arange(2, states.shape[1])
    inside = (moments < lengths[:, None]) & (moments > free[:, None] + 1)
    jumps: Tensor = (jump & inside).nonzero() + torch.tensor([0, 2])
    return jumps


def moving_axes(places: Tensor, gravity: Tensor) -> Tensor:
    """Axes (B, 3) 0 or 1 along which anything of places (B, C, N, 3) m moves or is drawn by gravity (B, 3).

    Along any other nothing will move: nothing tells one side of the plane of motion from the other.
    """
    # An axis along which nothing moves within a context lies across the plane of motion
    moved = (places.amax(1) - places.amin(1)).amax(1) > 1e-4
    axes: Tensor = (moved | (gravity.abs() > 0)).to(places.dtype)
    return axes


def turned(states: Tensor, scene: StateScene, numbers: torch.Generator) -> tuple[Tensor, StateScene]:
    """States (B, T, N, 13) and scenes turned about the vertical by quarters of a circle and mirrored, or not."""
    angle = torch.randint(4, (len(states),), generator=numbers).to(states.device) * (torch.pi / 2)
    mirror = 1 - 2.0 * torch.randint(2, (len(states),), generator=numbers).to(states)  # -1: x is reversed
    same = torch.ones_like(mirror)

    def mirrored(values: Tensor, axial: bool = False) -> Tensor:  # a spin is an axial vector
        signs = torch.stack([same, mirror, mirror] if axial else [mirror, same, same], 1)
        return values * signs.view(-1, *[1] * (values.ndim - 2), 3)

    def rotated(values: Tensor) -> Tensor:
        c, s = (part.view(-1, *[1] * (values.ndim - 2)) for part in (angle.cos().round(), angle.sin().round()))
        x, y, z = values.unbind(-1)
        return torch.stack([c * x - s * y, s * x + c * y, z], -1)

    def turns(values: Tensor) -> Tensor:  # of bodies that are their own mirror images
        c, s = (part.view(-1, *[1] * (values.ndim - 2)) for part in ((angle / 2).cos(), (angle / 2).sin()))
        x, y, z = mirrored(values[..., :3], axial=True).unbind(-1)
        w = values[..., 3]
        return torch.stack([c * x - s * y, c * y + s * x, c * z + s * w, c * w - s * z], -1)

    def vectors(values: Tensor, axial: bool = False) -> Tensor:
        return rotated(mirrored(values, axial))

    place, turn, velocity, spin = states.split_with_sizes([3, 4, 3, 3], -1)
    moved = torch.cat([vectors(place), turns(turn), vectors(velocity), vectors(spin, axial=True)], -1)
    statics = scene.statics
    fixed = [statics[..., :4], vectors(statics[..., 4:7]), turns(statics[..., 7:11]), statics[..., 11:]]
    return moved, StateScene(scene.bodies, torch.cat(fixed, -1), scene.mask, vectors(scene.gravity))


def state_error(expected: Tensor, truth: Tensor, mask: Tensor, precise: float) -> Tensor:
    """Mean of log(1 + e / precise) over moments and bodies, e (m) the error of a position.

    Where the state has velocities and spins, e is that of the position after 0.1 s more on a straight line, too.

    Args:
        expected: (B, T, N, S), positions or all columns.
        truth: (B, T, N, 13).
        mask: (B, N) which bodies there are.
        precise: m.
    """

    def size(error: Tensor) -> Tensor:
        return (error.square().sum(-1) + 1e-8).sqrt()

    error = size(expected[..., :3] - truth[..., :3])
    if expected.shape[-1] == len(STATE_COLUMNS):
        error = error + 0.1 * size(expected[..., 7:10] - truth[..., 7:10])
        error = error + 0.02 * size(expected[..., 10:] - truth[..., 10:])
    weight = mask[:, None].float().expand_as(error)
    return (torch.log1p(error / precise) * weight).sum() / weight.sum().clamp_min(1)


def dynamics_stage(net: StateNet, episodes: StateEpisodes, steps: int) -> TrainingStage:
    """The only stage: unrolls that grow, of noisy states."""
    banks: list[StateBank] = []
    seen: dict[str, float] = {}

    def prepare() -> None:
        banks.append(StateBank(episodes, parameters_device(net)))

    def loss(progress: float, numbers: torch.Generator) -> Tensor:
        ahead = max(length for since, length in net.unrolls.items() if progress >= since)
        windows, scene, held = banks[-1].windows(net.batch, net.context, ahead, numbers)
        if not net.symmetric:
            windows, scene = turned(windows, scene, numbers)
        context = windows[:, : net.context]
        moves = scene.body("moves")[:, None, :, None]
        noise = net.noise * torch.randn(*context.shape[:3], 6, generator=numbers).to(context) * moves
        noise = noise * moving_axes(windows[..., :3], scene.gravity).repeat(1, 2)[:, None, None]
        places, speeds = noise.chunk(2, -1)
        context = context + torch.cat([places, context.new_zeros(*places.shape[:3], 4), speeds, 0 * speeds], -1)
        if net.columns == "positions":
            context = context[..., :3]
        expected = torch.stack([*islice(net.unroll(context, scene, held), ahead)], 1)
        truth = windows[:, net.context :]
        off = (expected[:, -1, :, :3] - truth[:, -1, :, :3]).detach().norm(dim=-1)[scene.mask]
        seen.update(ahead=ahead, median=1e3 * float(off.median()))
        return state_error(expected, truth, scene.mask & (moves[:, 0, :, 0] > 0), net.precise)

    def describe() -> str:
        return f"{seen['median']:.1f} mm off {seen['ahead'] / net.config['fps']:.2g} s ahead (median)" if seen else ""

    return TrainingStage(
        "states", steps, net.rate, list(net.parameters()), loss, prepare, every=SAVED_EVERY, describe=describe,
        watched=True,
        clipped_together=[list(each.parameters()) for each in net.children()] if net.own_gradient_norms else (),
    )  # fmt: skip


class TrainedStateModel:
    """The StateModel. It computes in float32 and is deterministic."""

    def __init__(self, net: StateNet, card: StateCard, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.card, self.device, self.dtype = net, card, device, dtype

    @torch.no_grad()
    def rollout_states(
        self,
        states: Tensor,
        *,
        bodies: Tensor,
        statics: Tensor,
        mask: Tensor,
        gravity: Tensor,
        horizon: int,
        **given: object,
    ) -> Tensor:
        """States (B, horizon, N, S). Actions and prompts are not used; a hidden constant is read as 0."""
        bodies, statics, gravity = (part.float().nan_to_num() for part in (bodies, statics, gravity))
        scene = StateScene(bodies, statics, mask, gravity)
        lag = torch.arange(1 - states.shape[1], 1, device=states.device) / self.card.fps  # s
        held = (lag[:, None] < scene.body("release")[:, None] - 1e-6).float()
        moments = islice(self.net.unroll(states.float(), scene, held), horizon)
        return torch.stack([*moments], 1).to(states.dtype)


def answered(
    model: Any, clips: Sequence[Clip], horizon: int, generators: Sequence[torch.Generator]
) -> list[NDArray[np.float64]]:
    """States (horizon, K, 13) of the K tracked bodies that a model predicts of each clip."""
    card = model.card
    given = state_inputs(clips, card)

    def tensor(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).to(model.device, torch.float32)

    answer = model.rollout_states(
        tensor(to_model(given.states, card, given)),
        bodies=tensor(given.bodies),
        statics=tensor(given.statics),
        mask=torch.from_numpy(given.mask).to(model.device),
        gravity=tensor(given.gravity),
        horizon=horizon,
        actions=None,
        prompts=[""] * len(clips),
        generators=list(generators),
    )
    states = from_model(answer.cpu().double().numpy(), card, given, given.states[:, -1])
    return [each[:, : len(clip.tracked)] for each, clip in zip(states, clips, strict=True)]


class StateArchitecture(Architecture):
    """Common part of the kinds of model of states as the harness and the training use them."""

    threads = 1
    exact = True
    net_class: type[StateNet]
    model_class = TrainedStateModel
    validation_of = "places"
    keeps_nearest = True  # steps with long unrolls can undo what was learned

    def card(self, config: Mapping[str, Any]) -> StateCard:
        columns = self.net_class.columns
        return StateCard(
            self.name, fps=config["fps"], context_frames=config["context"], track="trained", columns=columns
        )

    def episodes(self, rows: Sequence[Row], card: Any, store: ClipStore) -> StateEpisodes:
        """Training episodes."""
        return StateEpisodes(rows, card, store)

    def clip_spec(self, card: Any) -> RenderSpec:
        """The clips whose states it learns from."""
        return training_spec(card)

    def net(self, config: Mapping[str, Any]) -> StateNet:
        return self.net_class(config)

    def sample_episode(self, model: Any, episodes: ClipEpisodes, index: int, numbers: torch.Generator) -> Tensor:
        """Frames (horizon, 3, H, W) uint8 of what a model makes of an episode, drawn as a report draws states."""
        clip = episodes.clip(index)
        states = answered(model, [clip], clip.horizon, [numbers])[0]
        return torch.from_numpy(draw_states(clip, states)).movedim(-1, 1)

    def validation(self, model: Any, episodes: Episodes) -> Validation:
        """Root mean square distance m of moving bodies from their true places within each of SPANS."""
        assert isinstance(episodes, ClipEpisodes)
        clips = [episodes.clip(index) for index in validation_clips(episodes)]
        horizon = min(clip.horizon for clip in clips)
        spans = span_frames(model.card.fps, horizon)
        most = max(spans.values())
        moves = [[clip.scene.bodies[i].role == "moving" for i in clip.tracked] for clip in clips]
        truth = [clip.states[clip.handover :][: most + 1, list(clip.tracked), :3] for clip in clips]

        def distance(places: Sequence[NDArray[np.float64]], frames: int) -> Tensor:
            off = [
                np.square(each[:frames] - true[1 : frames + 1])[:, moving].sum(-1).mean()
                for each, true, moving in zip(places, truth, moves, strict=True)
            ]
            return torch.tensor(off, dtype=torch.float64).sqrt()

        def skills() -> list[float]:
            generators = [generator("validation", index) for index in range(len(clips))]
            places = [states[..., :3] for states in answered(model, clips, most, generators)]
            still = [true[:1].repeat(most, 0) for true in truth]
            # What moves by less than a centimetre, a hundredth of a diameter, stands still
            return [skill_of_errors(distance(places, n), distance(still, n), 0.01) for n in spans.values()]

        return Validation(tuple(spans), skills)

    def stages(
        self, net: nn.Module, config: Mapping[str, Any], episodes: Episodes, folder: Path, steps: int | None
    ) -> list[TrainingStage]:
        """One stage: unrolls that grow."""
        assert isinstance(net, StateNet) and isinstance(episodes, StateEpisodes)
        return [dynamics_stage(net, episodes, steps or self.steps)]
