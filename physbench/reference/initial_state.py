"""Estimates positions and velocities at the first context frame: the state whose simulation fits what was seen.

Gauss-Newton through the learned dynamics, with finite differences and Cauchy weights: a context frame that no motion
explains (still held, half hidden) gets a small weight. Deterministic; clips of a batch are independent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physbench.reference.learned_dynamics import Dynamics, SceneParameters

DIFFERENCES = (0.1, 0.1, 0.02, 0.02)  # px, px, px / frame, px / frame
# Round by round: number of frames used, and the residual in px at which the weight is one half. First few frames with
# full weight, then more, then robust: outlying frames show only when the motion is nearly right.
FIT_ROUNDS = ((4, 1e3), (5, 1e3), (6, 1e3), (1000, 2.0), (1000, 0.5), (1000, 0.15))


def fit_parabolas(seen: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Fit parabolas to positions (B, C, N, 2) with weights (B, C, N) -> x, v (B, N, 2) at the first frame."""
    count = seen.shape[1]
    t = torch.arange(count, device=seen.device, dtype=seen.dtype)
    basis = torch.stack([torch.ones_like(t), t, t * t / count], -1)  # (C, 3)
    normal = torch.einsum("bcn,ci,cj->bnij", weight, basis, basis)
    ridge = torch.diag(seen.new_tensor([1e-4, 1e-4, 1e-1]))  # with few frames, a straight line
    right = torch.einsum("bcn,ci,bcnd->bnid", weight, basis, seen)
    solution = torch.linalg.solve(normal + ridge, right)
    return solution[:, :, 0], solution[:, :, 1]


def initial_guess(dynamics: Dynamics, s: SceneParameters, seen: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Guess x, v (B, N, 2) at the first frame from the second and third frame and the force at the second.

    On strongly curved trajectories this converges where a parabola through all frames would not. The parabola is used
    only where these frames do not show the object.
    """
    far_x, far_v = fit_parabolas(seen, weight)
    if seen.shape[1] < 3:
        return far_x, far_v
    at = seen[:, 1]
    force = dynamics.force(at.permute(2, 0, 1), s).permute(1, 2, 0)
    v = seen[:, 2] - at - force / 2
    near = (weight[:, 1:3] > 0.5).all(1)[..., None]
    return torch.where(near, at - v + force / 2, far_x), torch.where(near, v - force, far_v)


def simulate_frames(
    dynamics: Dynamics,
    x: Tensor,
    v: Tensor,
    s: SceneParameters,
    frames: int,
    pushes: Tensor | None = None,
    copies: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Simulate a number of frames.

    Args:
        dynamics: The learned dynamics.
        x: Positions (B, N, 2) in px at the first frame.
        v: Velocities (B, N, 2) in px / frame.
        s: The scenes.
        frames: Number of frames, the first included.
        pushes: Impulses (B, frames, N, 3) in N s, or None.
        copies: The batch consists of that many nearly equal copies, which then share the search for surfaces.

    Returns:
        Positions (B, frames, N, 2), and x, v (B, N, 2) at the last frame.
    """
    position, velocity = x.permute(2, 0, 1), v.permute(2, 0, 1)
    rim = dynamics.rim_speed(position, velocity, s, copies)
    positions = [position]
    for k in range(1, frames):
        push = None if pushes is None else pushes[:, k]
        position, velocity, rim = dynamics.advance(position, velocity, rim, s, push, copies)
        positions.append(position)
    return torch.stack(positions, 1).permute(2, 1, 3, 0), position.permute(1, 2, 0), velocity.permute(1, 2, 0)


def repeat_scenes(s: SceneParameters, times: int) -> SceneParameters:
    """Repeat scenes `times` times along the batch."""
    batch_axis = {"gravity": 1}
    return SceneParameters(
        **{
            name: value.repeat(*[times if i == batch_axis.get(name, 0) else 1 for i in range(value.dim())])
            for name, value in vars(s).items()
        }
    )


@torch.no_grad()
def estimate_initial_state(
    dynamics: Dynamics,
    s: SceneParameters,
    seen: Tensor,
    weight: Tensor,
    pushes: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit the state at the first frame to tracked positions.

    Args:
        dynamics: The learned dynamics.
        s: The scenes.
        seen: Positions (B, C, N, 2) in px.
        weight: Weights (B, C, N), 0..1.
        pushes: Impulses (B, at least C, N, 3) in N s, or None.

    Returns:
        x in px and v in px / frame, (B, N, 2) each, and the rms residual (B, N) in px.
    """
    batch, count = seen.shape[:2]
    # The first frame may show an object that is still held: it is used when the others agree.
    ages = torch.arange(count, device=seen.device)
    x, v = initial_guess(dynamics, s, seen, weight)
    total = weight.sum(1).clamp_min(1e-3)
    mean = (weight[..., None] * seen).sum(1) / total[..., None]
    mobile = s.mobile[..., None]
    x, v = mobile * x + (1 - mobile) * mean, v * mobile
    many = repeat_scenes(s, 5)
    more_pushes = None if pushes is None else pushes[:, :count].repeat(5, 1, 1, 1)
    misfit = torch.zeros_like(total)
    for step in range(len(FIT_ROUNDS) + 1):
        xs, vs = x.repeat(5, 1, 1), v.repeat(5, 1, 1)
        for i, size in enumerate(DIFFERENCES):
            (xs if i < 2 else vs)[(i + 1) * batch : (i + 2) * batch, :, i % 2] += size
        positions = simulate_frames(dynamics, xs, vs, many, count, more_pushes, 5)[0].view(5, batch, count, -1, 2)
        base = positions[0]
        residual = seen - base  # (B, C, N, 2)
        squares = residual.square().sum(-1)
        misfit = ((weight * squares).sum(1) / total).sqrt()
        if step == len(FIT_ROUNDS):
            break
        slope = (positions[1:] - base).permute(1, 3, 2, 4, 0) / seen.new_tensor(DIFFERENCES)  # (B, N, C, 2, 4)
        most, spread = FIT_ROUNDS[step]
        used = weight * ((ages < most) & ((ages > 0) | (step > 3)))[:, None]
        robust = (used / (1 + squares / spread**2)).transpose(1, 2)[..., None, None]
        j, r = slope.flatten(2, 3), residual.transpose(1, 2).flatten(2, 3)[..., None]
        w = robust.expand_as(slope).flatten(2, 3)
        normal = torch.einsum("bnki,bnkj->bnij", w * j, j) + 1e-3 * torch.eye(4, device=seen.device)
        change = torch.linalg.solve(normal, torch.einsum("bnki,bnkj->bnij", w * j, r))[..., 0]
        x = x + change[..., :2].clamp(-2, 2)
        v = v + (change[..., 2:].clamp(-2, 2)) * mobile
    return x, v, misfit
