"""Losses and training windows of the motion: simulations from observed states, compared with later frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from physbench.reference.initial_state import estimate_initial_state, simulate_frames
from physbench.reference.learned_dynamics import Dynamics, SceneParameters
from physbench.reference.slots import Slots

PAIR_FORCE_COST = 0.3  # loss per px / frame^2
PARTIAL_GRAVITY_COST, GRAVITY_TURNING_POINT = 0.2, 0.4  # weight of the loss; share of gravity at which it is largest
SMOOTHING_HALF_WIDTH = 3  # frames on either side of a smoothed state


def context_speed(slots: Slots, context: int) -> Tensor:
    """Mean distance (B, N) in px that an object moves from one context frame to the next."""
    seen, weight = slots.centre[:, :context], slots.weight[:, :context]
    steps = (seen[:, 1:] - seen[:, :-1]).square().sum(-1).add(1e-8).sqrt()
    both = weight[:, 1:] * weight[:, :-1]
    return (steps * both).sum(1) / both.sum(1).clamp_min(1e-3)


def scene_parameters(dynamics: Dynamics, slots: Slots, context: int) -> SceneParameters:
    """The parameters of scenes, from the context."""
    return dynamics.scene_parameters(slots, context_speed(slots, context))


@dataclass(frozen=True)
class StartStates:
    """States to start simulations from, for each frame of each clip."""

    position: Tensor  # (B, T, N, 2) px
    velocity: Tensor  # (B, T, N, 2) px / frame
    trust: Tensor  # (B, T, N) 0..1


def smoothed_states(slots: Slots) -> StartStates:
    """States from local cubic fits to the tracks, which need no model. They are not trusted where the fit is bad."""
    t = torch.arange(-SMOOTHING_HALF_WIDTH, SMOOTHING_HALF_WIDTH + 1.0)
    basis = torch.stack([torch.ones_like(t), t, t**2 / 4, t**3 / 8], -1)  # (7, 4)
    solve = torch.linalg.pinv(basis)
    seen = slots.centre.unfold(1, len(t), 1)  # (B, T - 6, N, 2, 7)
    factors = torch.einsum("btndk,ik->btndi", seen, solve)
    misfit = (seen - torch.einsum("btndi,ki->btndk", factors, basis)).square().sum(3).mean(-1).sqrt()
    complete = (slots.weight.unfold(1, len(t), 1) > 0.5).all(-1)
    trust = complete / (1 + (misfit / 0.06) ** 4)
    edge = [SMOOTHING_HALF_WIDTH, SMOOTHING_HALF_WIDTH]

    def padded(value: Tensor) -> Tensor:
        side = [value.new_zeros(value.shape[0], n, *value.shape[2:]) for n in edge]
        return torch.cat([side[0], value, side[1]], 1)

    return StartStates(padded(factors[..., 0]), padded(factors[..., 1]), padded(trust))


def event_windows(starts: StartStates, slots: Slots, ahead: int) -> Tensor:
    """Windows (K, 2), clip and first frame, that start in smooth motion which ends within `ahead` frames.

    Contacts are rare and short: half of the training windows start shortly before one.
    """
    good = (starts.trust > 0.3) & (slots.present[:, None] > 0)
    rough = ((starts.trust < 0.3) & (slots.weight > 0.5)).to(starts.trust.dtype)
    soon = functional.max_pool1d(functional.pad(rough[:, 1:].transpose(1, 2), (0, ahead)), ahead, stride=1)
    soon = soon.transpose(1, 2)[:, : good.shape[1]] > 0
    return (good & soon).any(-1)[:, SMOOTHING_HALF_WIDTH : -ahead - SMOOTHING_HALF_WIDTH].nonzero() + torch.tensor(
        [0, SMOOTHING_HALF_WIDTH], device=good.device
    )


@dataclass(frozen=True)
class RolloutWindows:
    """K windows to simulate: the slots of their clips and the states at their first frames."""

    slots: Slots
    first: Tensor  # (K,)
    position: Tensor  # (K, N, 2) px
    velocity: Tensor  # (K, N, 2) px / frame
    trust: Tensor  # (K, N)

    def select(self, index: Tensor) -> RolloutWindows:
        """Some of the windows, with as many objects as the fullest of them has."""
        slots = self.slots.select(index)
        most = max(1, int(slots.present.sum(1).max()))
        parts = (self.position, self.velocity, self.trust)
        return RolloutWindows(slots.first_objects(most), self.first[index], *(part[index][:, :most] for part in parts))


def rollout_error(
    dynamics: Dynamics, windows: RolloutWindows, context: int, frames: int, decide: bool = True
) -> Tensor:
    """Loss of simulating `frames` frames of each window.

    For every visible object with error e: log(1 + e / px) + 0.3 e / px; the logarithm rewards precision where it is
    possible. For every hidden object: log(1 + d / px), where d is the distance to the nearest pixel that would hide it.
    Pair forces cost a little, so that contacts are not learned as forces.

    Args:
        dynamics: The learned dynamics.
        windows: K windows.
        context: Number of context frames.
        frames: Number of frames to simulate.
        decide: Whether partial gravity costs, too: a scene has gravity or has none.
    """
    slots, first = windows.slots, windows.first
    window = first[:, None] + torch.arange(frames, device=first.device)
    rows = torch.arange(len(first), device=first.device)[:, None]
    inside = (window < slots.frames[:, None]).to(windows.position.dtype)
    window = window.clamp_max(slots.centre.shape[1] - 1)
    seen, weight = slots.centre[rows, window], slots.weight[rows, window] * inside[..., None]
    scenes = scene_parameters(dynamics, slots, context)
    positions, _, _ = simulate_frames(
        dynamics, windows.position, windows.velocity, scenes, frames, window_pushes(slots, rows, window)
    )
    error = ((positions - seen).square().sum(-1) + 1e-4).sqrt()
    weight = weight * windows.trust[:, None]
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1.0) * (weight.sum(1, keepdim=True) > 3)
    lost = slots.unseen[rows, window] * inside[..., None] * windows.trust[:, None]
    lost = lost / lost.sum(1, keepdim=True).clamp_min(1.0)
    height, width = slots.hiding_distance.shape[-2:]
    grid = positions * (2 / positions.new_tensor([width, height])) - 1
    distance = functional.grid_sample(slots.hiding_distance[:, None], grid, align_corners=False)[:, 0]
    loss = (torch.log1p(error) + 0.3 * error) * weight + torch.log1p(distance) * lost
    prior = PAIR_FORCE_COST * scenes.pair_strength.abs().mean()
    if decide:
        prior = (
            prior
            + PARTIAL_GRAVITY_COST * (scenes.gravity_share * (2 * GRAVITY_TURNING_POINT - scenes.gravity_share)).mean()
        )
    return loss.sum() / weight.sum().clamp_min(1e-6) + prior


def window_pushes(slots: Slots, rows: Tensor, window: Tensor) -> Tensor | None:
    """Pushes of windows (B, T, N, 3), or None where no object is ever pushed."""
    return slots.push[rows, window] if bool(slots.push.any()) else None


def fitted_windows(dynamics: Dynamics, slots: Slots, context: int, first: Tensor) -> RolloutWindows:
    """Windows from frame `first` (B,) on, with states fitted to `context` frames as in a rollout."""
    window = first[:, None] + torch.arange(context, device=first.device)
    rows = torch.arange(len(first), device=first.device)[:, None]
    with torch.no_grad():
        scenes = scene_parameters(dynamics, slots, context)
        seen, weight = slots.centre[rows, window], slots.weight[rows, window]
        position, velocity, misfit = estimate_initial_state(
            dynamics, scenes, seen, weight, window_pushes(slots, rows, window)
        )
    return RolloutWindows(slots, first, position, velocity, 1 / (1 + misfit**2))
