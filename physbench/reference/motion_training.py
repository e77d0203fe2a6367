"""How the motion is learned: rollouts from seen states are pulled to what was seen later."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from physbench.reference.initial_state import estimate_initial_state, simulate_frames
from physbench.reference.learned_dynamics import Dynamics, SceneParameters
from physbench.reference.slots import Slots

PAIR_FORCE_COST = 0.3  # loss per px / frame^2 of pair force
PARTIAL_GRAVITY_COST, GRAVITY_TURNING_POINT = 0.2, 0.4  # weight; from which share on a scene is taken to have all of it
SMOOTHING_HALF_WIDTH = 3  # frames on either side that a smoothed state looks at


def context_speed(slots: Slots, context: int) -> Tensor:
    """How far an object moves in a context frame (B, N) px, from its first to its last place."""
    seen, weight = slots.centre[:, :context], slots.weight[:, :context]
    steps = (seen[:, 1:] - seen[:, :-1]).square().sum(-1).add(1e-8).sqrt()
    both = weight[:, 1:] * weight[:, :-1]
    return (steps * both).sum(1) / both.sum(1).clamp_min(1e-3)


def scene_parameters(dynamics: Dynamics, slots: Slots, context: int) -> SceneParameters:
    """The setting of a rollout, from the context."""
    return dynamics.setting(slots, context_speed(slots, context))


@dataclass(frozen=True)
class StartStates:
    """States to roll out from, for each frame of each clip."""

    place: Tensor  # (B, T, N, 2) px
    speed: Tensor  # (B, T, N, 2) px / frame
    trust: Tensor  # (B, T, N) 0..1


def smoothed_states(slots: Slots) -> StartStates:
    """Local cubics through what was seen: states that need no model yet. Untrusted where they fit badly."""
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
    """Windows (K, 2), clip and first frame: smooth where they begin, not smooth within `ahead` frames.

    Touches are rare and short; half of what is learned from begins before something of the kind.
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
    """K windows to roll through: the slots of their clips and the states at their first frames."""

    slots: Slots
    first: Tensor  # (K,)
    place: Tensor  # (K, N, 2) px
    speed: Tensor  # (K, N, 2) px / frame
    trust: Tensor  # (K, N)

    def take(self, index: Tensor) -> RolloutWindows:
        """Some of them, without the places in the table that none of them needs."""
        slots = self.slots.take(index)
        most = max(1, int(slots.present.sum(1).max()))
        parts = (self.place, self.speed, self.trust)
        return RolloutWindows(slots.narrow(most), self.first[index], *(part[index][:, :most] for part in parts))


def rollout_error(
    dynamics: Dynamics, windows: RolloutWindows, context: int, frames: int, decide: bool = True
) -> Tensor:
    """Loss of rolling `frames` frames through windows.

    log(1 + e / px) + 0.3 e / px of every object that is seen: the log asks for precision where it can be had. Of what
    is not seen log(1 + d / px), d the distance to where it would not be: nothing comes out that was stopped.
    Forces at a distance cost a little, so that what a touch explains is learned as one. decide: so does a part of the
    pull, which a scene has or has not.
    """
    slots, first = windows.slots, windows.first
    window = first[:, None] + torch.arange(frames, device=first.device)
    rows = torch.arange(len(first), device=first.device)[:, None]
    inside = (window < slots.frames[:, None]).to(windows.place.dtype)
    window = window.clamp_max(slots.centre.shape[1] - 1)
    seen, weight = slots.centre[rows, window], slots.weight[rows, window] * inside[..., None]
    setting = scene_parameters(dynamics, slots, context)
    places, _, _ = simulate_frames(
        dynamics, windows.place, windows.speed, setting, frames, window_pushes(slots, rows, window)
    )
    error = ((places - seen).square().sum(-1) + 1e-4).sqrt()
    weight = weight * windows.trust[:, None]
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1.0) * (weight.sum(1, keepdim=True) > 3)
    lost = slots.unseen[rows, window] * inside[..., None] * windows.trust[:, None]
    lost = lost / lost.sum(1, keepdim=True).clamp_min(1.0)
    height, width = slots.clear.shape[-2:]
    grid = places * (2 / places.new_tensor([width, height])) - 1
    clear = functional.grid_sample(slots.clear[:, None], grid, align_corners=False)[:, 0]
    loss = (torch.log1p(error) + 0.3 * error) * weight + torch.log1p(clear) * lost
    prior = PAIR_FORCE_COST * setting.pair_gain.abs().mean()
    if decide:
        prior = prior + PARTIAL_GRAVITY_COST * (setting.falls * (2 * GRAVITY_TURNING_POINT - setting.falls)).mean()
    return loss.sum() / weight.sum().clamp_min(1e-6) + prior


def window_pushes(slots: Slots, rows: Tensor, window: Tensor) -> Tensor | None:
    """Pushes of a window (B, T, N, 3), or None where nobody is ever pushed."""
    return slots.push[rows, window] if bool(slots.push.any()) else None


def fitted_windows(dynamics: Dynamics, slots: Slots, context: int, first: Tensor) -> RolloutWindows:
    """Windows from frame `first` (B,) on, their states fitted to `context` frames as a rollout does it."""
    window = first[:, None] + torch.arange(context, device=first.device)
    rows = torch.arange(len(first), device=first.device)[:, None]
    with torch.no_grad():
        setting = scene_parameters(dynamics, slots, context)
        seen, weight = slots.centre[rows, window], slots.weight[rows, window]
        place, speed, misfit = estimate_initial_state(
            dynamics, setting, seen, weight, window_pushes(slots, rows, window)
        )
    return RolloutWindows(slots, first, place, speed, 1 / (1 + misfit**2))
