"""How the motion is learned: rollouts from seen states are pulled to what was seen later."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from physbench.reference.dynamics import Dynamics, Setting
from physbench.reference.slots import Slots
from physbench.reference.start import estimate, roll

HALF_WIDTH = 3  # frames on either side that a smoothed state looks at


def speed_of(slots: Slots, context: int) -> Tensor:
    """How far an object moves in a context frame (B, N) px, from its first to its last place."""
    seen, weight = slots.centre[:, :context], slots.weight[:, :context]
    steps = (seen[:, 1:] - seen[:, :-1]).square().sum(-1).add(1e-8).sqrt()
    both = weight[:, 1:] * weight[:, :-1]
    return (steps * both).sum(1) / both.sum(1).clamp_min(1e-3)


def setting_of(dynamics: Dynamics, slots: Slots, context: int) -> Setting:
    """The setting of a rollout, from the context."""
    grey = slots.picture.mean(1)
    return dynamics.setting(grey, slots.points, slots.radius, speed_of(slots, context), slots.present)


@dataclass(frozen=True)
class Starts:
    """States to roll out from, for each frame of each clip."""

    place: Tensor  # (B, T, N, 2) px
    speed: Tensor  # (B, T, N, 2) px / frame
    trust: Tensor  # (B, T, N) 0..1


def smooth(slots: Slots) -> Starts:
    """Local cubics through what was seen: states that need no model yet. Untrusted where they fit badly."""
    t = torch.arange(-HALF_WIDTH, HALF_WIDTH + 1.0)
    basis = torch.stack([torch.ones_like(t), t, t**2 / 4, t**3 / 8], -1)  # (7, 4)
    solve = torch.linalg.pinv(basis)
    seen = slots.centre.unfold(1, len(t), 1)  # (B, T - 6, N, 2, 7)
    factors = torch.einsum("btndk,ik->btndi", seen, solve)
    misfit = (seen - torch.einsum("btndi,ki->btndk", factors, basis)).square().sum(3).mean(-1).sqrt()
    complete = (slots.weight.unfold(1, len(t), 1) > 0.5).all(-1)
    trust = complete / (1 + (misfit / 0.05) ** 2)
    edge = [HALF_WIDTH, HALF_WIDTH]

    def padded(value: Tensor) -> Tensor:
        side = [value.new_zeros(value.shape[0], n, *value.shape[2:]) for n in edge]
        return torch.cat([side[0], value, side[1]], 1)

    return Starts(padded(factors[..., 0]), padded(factors[..., 1]), padded(trust))


def eventful(starts: Starts, slots: Slots, ahead: int) -> Tensor:
    """Windows (K, 2), clip and first frame: smooth where they begin, not smooth within `ahead` frames.

    Touches are rare and short; half of what is learned from begins before something of the kind.
    """
    good = (starts.trust > 0.3) & (slots.present[:, None] > 0)
    rough = ((starts.trust < 0.3) & (slots.weight > 0.5)).to(starts.trust.dtype)
    soon = functional.max_pool1d(functional.pad(rough[:, 1:].transpose(1, 2), (0, ahead)), ahead, stride=1)
    soon = soon.transpose(1, 2)[:, : good.shape[1]] > 0
    return (good & soon).any(-1)[:, HALF_WIDTH : -ahead - HALF_WIDTH].nonzero() + torch.tensor(
        [0, HALF_WIDTH], device=good.device
    )


def rollout_error(
    dynamics: Dynamics,
    slots: Slots,
    context: int,
    place: Tensor,
    speed: Tensor,
    trust: Tensor,
    first: Tensor,
    frames: int,
) -> Tensor:
    """Loss of rolling `frames` frames from the states (B, N, 2) at frame `first` (B,).

    log(1 + e / px) + 0.3 e / px of every object that is seen: the log asks for precision where it can be had.
    """
    window = first[:, None] + torch.arange(frames, device=first.device)
    rows = torch.arange(len(first), device=first.device)[:, None]
    inside = (window < slots.frames[:, None]).to(place.dtype)
    window = window.clamp_max(slots.centre.shape[1] - 1)
    seen, weight = slots.centre[rows, window], slots.weight[rows, window] * inside[..., None]
    setting = setting_of(dynamics, slots, context)
    moving = setting.mobile[..., None]
    places, _, _ = roll(dynamics, place, speed * moving, setting, frames, pushes_of(slots, rows, window))
    error = ((places - seen).square().sum(-1) + 1e-4).sqrt()
    weight = weight * trust[:, None]
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1.0) * (weight.sum(1, keepdim=True) > 3)
    return ((torch.log1p(error) + 0.3 * error) * weight).sum() / weight.sum().clamp_min(1e-6)


def pushes_of(slots: Slots, rows: Tensor, window: Tensor) -> Tensor | None:
    """Pushes of a window (B, T, N, 3), or None where nobody is ever pushed."""
    return slots.push[rows, window] if bool(slots.push.any()) else None


def fitted(
    dynamics: Dynamics, slots: Slots, context: int, first: Tensor, rounds: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """States at frame `first` (B,) fitted to the `context` frames from there on, as a rollout does; and their trust."""
    window = first[:, None] + torch.arange(context, device=first.device)
    rows = torch.arange(len(first), device=first.device)[:, None]
    with torch.no_grad():
        setting = setting_of(dynamics, slots, context)
        place, speed, misfit = estimate(
            dynamics,
            setting,
            slots.centre[rows, window],
            slots.weight[rows, window],
            pushes_of(slots, rows, window),
            rounds,
        )
    return place, speed, 1 / (1 + misfit**2)
