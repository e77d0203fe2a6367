"""Learned motion of slots: forces and contacts, initial states, losses of rollouts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.reference.objects_slots import FAR, Slots, reach_towards

# Learned dynamics: forces between pairs and of the scene as a whole, and contacts. A state is (x, v, w).
#
# Built in: objects have a position, a velocity and, if they are round, the speed of their rim. Pairs act along the line
# between their centres and touch as discs. Outlines touch surfaces; the impulse along a surface is bounded by the one
# across it. One contact within a substep is located in time.
# Learned: the size, sign and range of every force and its dependence on distance and radii, whether an object moves at
# all, what a contact does to a velocity, which kinds of surface can be touched, and their friction.
# Lengths are in px of the trained image size, times in frames, y points down.


@dataclass(frozen=True)
class Touch:
    """Surfaces that an object may touch."""

    points: int = 20  # surface points that are considered around an object
    max_overlap: float = 1.0  # px; an object that overlaps a surface by more is in front of it or behind it
    max_aside: float = 2.5  # px along a surface; an object that lies further from the nearest point does not touch it
    rolling: float = 1.0  # px from a surface; a nearer round object rolls on it


TOUCH = Touch()


PAIR_DISTANCE_UNIT = 16.0  # px, in the pair force
CLAMP_SLACK = 0.2  # see LeavableClamp


@dataclass(frozen=True)
class Layout:
    """Summary of the background of a clip."""

    blocks: int = 4  # along a side
    contrast: float = 0.02  # grey; what differs by more from the commonest grey is a thing in the scene
    gain: float = 6.0  # with a line of one px through it, a block counts as filled by a third


LAYOUT = Layout()


CONTRAST_KINDS, MAX_CONTRAST = 25, 0.48  # number of kinds of surface by contrast, and the largest contrast
MAX_EXTRA_EXPONENT = 2.5  # of a pair force over 1 / distance: contacts must not be learned as forces


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them; the last one starts small."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(sizes)):
        layers += [nn.SiLU()] if i else []
        layers.append(nn.Linear(before, after))
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
    return nn.Sequential(*layers)


class LeavableClamp(torch.autograd.Function):
    """A clamp that can be left again: beyond a bound, gradients that lead back to it are let through.

    Those that lead away from it are let through for SLACK: what belongs on a bound gets there, and rests there.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.bounds = low, high
        return value.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (value,), (low, high), (gradient,) = ctx.saved_tensors, ctx.bounds, gradients
        back = ((value >= low - CLAMP_SLACK) | (gradient < 0)) & ((value <= high + CLAMP_SLACK) | (gradient > 0))
        return gradient * back, None, None


def leavable_clamp(value: Tensor, low: float, high: float = math.inf) -> Tensor:
    """See LeavableClamp."""
    apply: Callable[..., Tensor] = LeavableClamp.apply  # which some versions of torch leave untyped
    return apply(value, low, high)


def exact_share(score: Tensor) -> Tensor:
    """Clamp to [0, 1] such that 0 and 1 are reached exactly."""
    return leavable_clamp(score, 0, 1)


def exact_zero(value: Tensor, width: float) -> Tensor:
    """Values within `width` of zero become zero, as most pairs do not act on each other."""
    return functional.softshrink(value.detach(), width) + (value - value.detach())


def perpendicular(normal: Tensor) -> Tensor:
    """Unit vectors (2, ...) rotated by a quarter turn: along a surface, with the same sense everywhere."""
    return torch.stack([-normal[1], normal[0]])


def scene_layout(background: Tensor) -> Tensor:
    """Backgrounds (B, H, W) -> (B, blocks^2 + 1): where they differ from the commonest grey, and that grey.

    All values are of the order of 1: the layout tells kinds of scenes apart, not the contrast.
    """
    plain = background.flatten(1).median(1).values
    there = ((background - plain[:, None, None]).abs() > LAYOUT.contrast).to(background.dtype)
    shares = functional.adaptive_avg_pool2d(there[:, None], LAYOUT.blocks).flatten(1)
    return torch.cat([torch.tanh(LAYOUT.gain * shares), 30 * (plain[:, None] - 0.46)], 1)


def surface_kinds(contrast: Tensor, depth: Tensor) -> Tensor:
    """Contrasts (...) and depths (...) px of surfaces -> shares (..., 2 CONTRAST_KINDS) of kinds of surface.

    The response of each kind is learned separately. With one common response, what a floor does would be learned for
    every surface, and no gradient would lead back from there.
    """
    middles = torch.linspace(-MAX_CONTRAST, MAX_CONTRAST, CONTRAST_KINDS, device=contrast.device, dtype=contrast.dtype)
    apart = (contrast[..., None] - middles) * ((CONTRAST_KINDS - 1) / (2 * MAX_CONTRAST))
    grey = (-3 * apart.square()).softmax(-1)
    thick = torch.sigmoid(2 * (depth - 7.5))[..., None]  # px; deeper surfaces are kinds of their own
    return torch.cat([thick * grey, (1 - thick) * grey], -1)


@dataclass(frozen=True)
class SceneParameters:
    """Constants of a rollout. B clips, N objects, P surface points, R regimes."""

    radius: Tensor  # (B, N) px
    mobile: Tensor  # (B, N) 0 for what never moves
    regime: Tensor  # (B, R) kind of scene, -1..1
    gravity_share: Tensor  # (B,) of the learned gravity, 0..1
    gravity: Tensor  # (2, B, 1) px / frame^2, acts on everything that moves
    pair_strength: Tensor  # (B, N, N) px / frame^2 at PAIR_DISTANCE_UNIT, of j on i; positive towards j
    pair_exponent: Tensor  # (B, N, N) d log force / d log distance
    pair_impulse: Tensor  # (B, N, N) velocity change of i at a contact with j, over the closing velocity
    touch_distance: Tensor  # (B, N, N) px, of the centres of i and j when they touch
    surface_points: Tensor  # (B, P, 6) see surfaces.outline
    reach: Tensor  # (B, N, DIRECTIONS) px from the centre to the outline
    round: Tensor  # (B, N) 0 or 1
    slip_share: (
        Tensor  # (B, N) share of the slip that the velocity takes up until the slip is zero; spin takes the rest
    )

    def first(self, count: int) -> SceneParameters:
        """The first `count` clips."""
        return SceneParameters(
            **{name: value[:, :count] if name == "gravity" else value[:count] for name, value in vars(self).items()}
        )


@dataclass(frozen=True)
class NearbySurfaces:
    """The two surfaces nearest to each object, as lines; found once a frame."""

    normal: Tensor  # (2, B, N, 2)
    offset: Tensor  # (B, N, 2) px along the normal at which a disc of this radius touches
    impulse: Tensor  # (B, N, 2) velocity change at a contact, over the closing velocity
    friction: Tensor  # (B, N, 2) largest velocity change along the surface, over that across it


class Dynamics(nn.Module):
    """Learned motion of a set of discs over a background. Vectors have their two components first: (2, B, N)."""

    def __init__(self, substeps: int = 4, regimes: int = 4, hidden: int = 32) -> None:
        super().__init__()
        self.substeps = substeps
        self.regimes = regimes
        self.scene = nn.Sequential(  # layout -> kind of scene, share of gravity
            nn.Linear(LAYOUT.blocks * LAYOUT.blocks + 1, hidden), nn.Tanh(), nn.Linear(hidden, regimes + 1)
        )
        self.pull = nn.Parameter(torch.zeros(2))  # gravity of every scene that has any, px / frame^2 over 4
        self.moves = mlp(1, hidden, 1)
        self.pair = mlp(2 + regimes, hidden, 3)
        self.profile = mlp(1, 16, 1)
        self.surface = mlp(3 + regimes, hidden, 2 * 2 * CONTRAST_KINDS)
        last = self.surface[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)  # at first no surface has any effect
        self.fit = nn.Parameter(torch.tensor([1.0, 1.0]))  # touching distance over sum of radii: pair, surface
        self.margin = nn.Parameter(torch.zeros(2))  # px
        self.push_out = nn.Parameter(torch.tensor(-1.5))
        self.rolls = mlp(1, 8, 1)  # shade of a round object -> its share of a slip
        self.push = nn.Linear(3, 2, bias=False)  # impulse in N s -> velocity of a disc of 5 px; zero until trained
        self.push_size = mlp(1, 8, 1)
        nn.init.zeros_(self.push.weight)

    def scene_parameters(self, slots: Slots, speed: Tensor) -> SceneParameters:
        """Parameters of scenes from slots and the speed (B, N) in px / frame of objects in the context."""
        background, radius, present = slots.background.mean(1), slots.radius, slots.present
        regime, share = self.scene(scene_layout(background)).split([self.regimes, 1], -1)
        regime, gravity_share = torch.tanh(regime), exact_share(0.5 + share)
        log_radius = (radius.clamp_min(1) / 5).log()
        count = radius.shape[1]
        mobile = exact_share(1.15 + self.moves((speed + 0.03).log()[..., None])[..., 0])
        rolling = torch.sigmoid(self.rolls(slots.shade.clamp(-1, 1)[..., None] * 3)[..., 0] - 0.8)
        mine, other = log_radius[:, :, None].expand(-1, -1, count), log_radius[:, None].expand(-1, count, -1)
        kinds = regime[:, None, None].expand(-1, count, count, -1)
        pair = self.pair(torch.cat([mine[..., None], other[..., None], kinds], -1))
        both = (present[:, :, None] * present[:, None]) * (1 - torch.eye(count, device=radius.device))
        return SceneParameters(
            radius=radius,
            mobile=mobile * present,
            regime=regime,
            gravity_share=gravity_share[:, 0],
            gravity=4 * self.pull[:, None, None] * gravity_share[None],
            pair_strength=exact_zero(pair[..., 0], 0.02) * both,
            pair_exponent=MAX_EXTRA_EXPONENT * torch.tanh(pair[..., 1] / MAX_EXTRA_EXPONENT) - 1.0,
            pair_impulse=2 * exact_share(0.5 + pair[..., 2]) * both,
            touch_distance=self.fit[0] * (radius[:, :, None] + radius[:, None]) + self.margin[0] - (1 - both) * FAR,
            surface_points=slots.surface_points,
            reach=slots.reach,
            round=slots.round,
            slip_share=torch.where(slots.round > 0.5, rolling, 1.0),
        )

    def force(self, x: Tensor, s: SceneParameters) -> Tensor:
        """Acceleration (2, B, N) in px / frame^2 without contacts."""
        acceleration = s.gravity.expand_as(x)
        if x.shape[2] > 1:
            apart = x[:, :, None] - x[..., None]  # (2, B, N, N), from i to j
            square = (apart * apart).sum(0).clamp_min(4.0)
            log_distance = 0.5 * square.log() - math.log(PAIR_DISTANCE_UNIT)
            fine = 0.5 * torch.tanh(self.profile(log_distance[..., None])[..., 0])
            size = s.pair_strength * torch.exp(((s.pair_exponent + fine) * log_distance).clamp(-6, 6)) * square.rsqrt()
            acceleration = acceleration + (size * apart).sum(3)
        return s.mobile * acceleration

    def nearby_surfaces(self, x: Tensor, v: Tensor, s: SceneParameters, copies: int = 1) -> NearbySurfaces:
        """The two surfaces near each object, from its nearest surface points. Their positions have no gradient."""
        if copies > 1:
            count = x.shape[1] // copies
            first = self.nearby_surfaces(x[:, :count], v[:, :count], s.first(count))
            return NearbySurfaces(
                normal=first.normal.repeat(1, copies, 1, 1),
                offset=first.offset.repeat(copies, 1, 1),
                impulse=first.impulse.repeat(copies, 1, 1),
                friction=first.friction.repeat(copies, 1, 1),
            )
        with torch.no_grad():
            position = x.permute(1, 2, 0)
            # cdist is slow in two dimensions.
            across_x, across_y = (position[..., k, None] - s.surface_points[:, None, :, k] for k in (0, 1))
            square = across_x * across_x + across_y * across_y
            # Surfaces deep inside an object are in front of it or behind it, and are left out.
            ahead = across_x * s.surface_points[:, None, :, 2] + across_y * s.surface_points[:, None, :, 3]
            deep = ahead < torch.where(s.round > 0.5, s.radius - 2 * TOUCH.max_overlap, s.radius / 2)[..., None]
            square, order = torch.where(deep, FAR * FAR, square).topk(TOUCH.points, -1, largest=False, sorted=False)
            distance = square.sqrt()
            flat = order.flatten(1)[..., None].expand(-1, -1, s.surface_points.shape[-1])
            near = s.surface_points.gather(1, flat).view(*order.shape, -1)  # (B, N, NEAREST, 6)
            free = torch.ones_like(distance, dtype=torch.bool)
            planes = []
            for _ in range(2):
                nearest = torch.where(free, distance, 2 * FAR).argmin(-1, keepdim=True)
                chief = near.gather(2, nearest[..., None].expand(-1, -1, -1, near.shape[-1]))
                alike = free & ((near[..., 2:4] * chief[..., 2:4]).sum(-1) > 0.95)
                alike &= (near[..., 4] - chief[..., 4]).abs() < 0.06
                closer = square.gather(2, nearest) - square
                weight = torch.where(alike, closer / 4.5, -FAR).softmax(-1)
                plane = (weight[..., None] * near).sum(2)
                # A line is infinite and a surface is not: its nearest point must lie in front of the object.
                aside = chief[..., 0, :2] - position
                beside = (aside[..., 0] * plane[..., 3] - aside[..., 1] * plane[..., 2]).abs() > TOUCH.max_aside
                plane[..., :2] += FAR * (beside | ~alike.any(-1))[..., None]
                planes.append(plane)
                free &= ~alike
            mean = torch.stack(planes, 2)  # (B, N, 2, 6)
            normal = functional.normalize(mean[..., 2:4], dim=-1)
            offset = (mean[..., :2] * normal).sum(-1)
            # An object whose centre is inside an outline is in front of that thing, or hidden by it.
            offset = torch.where((position[:, :, None] * normal).sum(-1) > offset, offset, -FAR)
            offset = torch.where(mean[..., 0] > FAR / 2, -FAR, offset)
            normal = normal.permute(3, 0, 1, 2)
            inward = -(v[..., None] * normal).sum(0)
            glide = (v[..., None] + inward * normal).square().sum(0).sqrt()
        kinds = s.regime[:, None, None].expand(-1, x.shape[2], 2, -1)
        size = (s.radius.clamp_min(1) / 5).log()[..., None].expand(-1, -1, 2)
        own = torch.stack([size, inward.clamp(0, 6) / 3, glide / 3], -1)
        of_kinds = self.surface(torch.cat([own, kinds], -1)).unflatten(-1, (2, 2 * CONTRAST_KINDS))
        touch = (of_kinds * surface_kinds(mean[..., 4], mean[..., 5])[..., None, :]).sum(-1)
        return NearbySurfaces(
            normal=normal,
            offset=offset + self.fit[1] * reach_towards(s.reach, -normal) + self.margin[1],
            impulse=2 * exact_share(touch[..., 0]) * s.mobile[..., None],
            friction=leavable_clamp(touch[..., 1] - 0.03, 0),
        )

    def rim_speed(self, x: Tensor, v: Tensor, s: SceneParameters, copies: int = 1) -> Tensor:
        """Speed of the rim w (B, N) of objects that start at x, v: that of rolling where a surface is close."""
        g = self.nearby_surfaces(x, v, s, copies)
        close = ((x[..., None] * g.normal).sum(0) - g.offset < TOUCH.rolling).to(x.dtype)
        along = (v[..., None] * perpendicular(g.normal)).sum(0)
        first = close[..., 0] * along[..., 0] + (1 - close[..., 0]) * close[..., 1] * along[..., 1]
        return s.round * first

    def surface_touch(
        self, x: Tensor, v: Tensor, w: Tensor, a: Tensor, step: float, g: NearbySurfaces, s: SceneParameters
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Contacts with surfaces in one substep: changes of velocity and position (2, B, N) and of rim speed (B, N)."""
        x, v, a = x[..., None], v[..., None], a[..., None]
        gap = (x * g.normal).sum(0) - g.offset
        inward = -(v * g.normal).sum(0)
        pressing = -(a * g.normal).sum(0)
        closing = inward + pressing * (step / 2)
        moment = (gap / (closing * step).clamp_min(1e-4)).clamp(0, 1) * step
        event = ((closing > 0) & (gap < closing * step) & (gap > -TOUCH.max_overlap)).to(x.dtype)
        inward = (inward + pressing * moment).clamp_min(0)
        impact = event * g.impulse * inward
        tangent = perpendicular(g.normal)
        slip = ((v + a * step) * tangent).sum(0) - w[..., None]
        most = g.friction * impact
        needed = s.slip_share[..., None] * slip * event * s.mobile[..., None]
        drag = torch.minimum(torch.maximum(needed, -most), most)
        hit, brake = impact * g.normal, drag * tangent  # at the moment of contact; during the whole substep
        lift = torch.sigmoid(self.push_out) * event * g.impulse * (-gap).clamp_min(0)
        spin = drag.sum(2) * (1 / s.slip_share - 1) * s.round
        shift = hit * (step - moment) + lift * g.normal - brake * (step / 2)
        return (hit - brake).sum(3), shift.sum(3), spin

    def pair_touch(self, x: Tensor, v: Tensor, step: float, s: SceneParameters) -> tuple[Tensor, Tensor]:
        """Contacts between objects in one substep: changes of velocity and position (2, B, N)."""
        apart = x[:, :, None] - x[..., None]
        distance = ((apart * apart).sum(0) + 1e-6).sqrt()
        normal = apart / distance
        relative = v[..., None] - v[:, :, None]  # of i as seen from j
        closing = (relative * normal).sum(0)
        gap = distance - s.touch_distance
        moment = (gap / (closing * step).clamp_min(1e-4)).clamp(0, 1) * step
        event = ((closing > 0) & (gap < closing * step)).to(x.dtype) * s.mobile[..., None]
        change = -(event * s.pair_impulse * closing) * normal
        return change.sum(3), (change * (step - moment)).sum(3)

    def advance(
        self, x: Tensor, v: Tensor, w: Tensor, s: SceneParameters, push: Tensor | None = None, copies: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance by one frame.

        Args:
            x: Positions (2, B, N) in px.
            v: Velocities (2, B, N) in px / frame.
            w: Rim speeds (B, N) in px / frame.
            s: The scenes.
            push: Impulses (B, N, 3) in N s at the start of the frame, or None.
            copies: The batch consists of that many nearly equal copies, which share the surfaces of the first.
        """
        step = 1 / self.substeps
        if push is not None:
            size = self.push_size((s.radius[..., None].clamp_min(1) / 5).log())
            v = v + s.mobile * (self.push(push) * size.exp()).permute(2, 0, 1)
        surfaces = self.nearby_surfaces(x, v, s, copies)
        a = self.force(x, s)
        for _ in range(self.substeps):
            velocity_change, shift, spin = self.surface_touch(x, v, w, a, step, surfaces, s)
            if x.shape[2] > 1:
                more = self.pair_touch(x, v + a * (step / 2), step, s)
                velocity_change, shift = velocity_change + more[0], shift + more[1]
            x = x + s.mobile * v * step + a * (step * step / 2) + shift
            v, w = v + a * (step / 2) + velocity_change, w + spin
            a = self.force(x, s)
            v = v + a * (step / 2)
        return x, v, w


# Estimates positions and velocities at the first context frame: the state whose simulation fits what was seen.
#
# Gauss-Newton through the learned dynamics, with finite differences and Cauchy weights: a context frame that no motion
# explains (still held, half hidden) gets a small weight. Deterministic; clips of a batch are independent.

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
    differences = (0.1, 0.1, 0.02, 0.02)  # px, px, px / frame, px / frame
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
        for i, size in enumerate(differences):
            (xs if i < 2 else vs)[(i + 1) * batch : (i + 2) * batch, :, i % 2] += size
        positions = simulate_frames(dynamics, xs, vs, many, count, more_pushes, 5)[0].view(5, batch, count, -1, 2)
        base = positions[0]
        residual = seen - base  # (B, C, N, 2)
        squares = residual.square().sum(-1)
        misfit = ((weight * squares).sum(1) / total).sqrt()
        if step == len(FIT_ROUNDS):
            break
        slope = (positions[1:] - base).permute(1, 3, 2, 4, 0) / seen.new_tensor(differences)  # (B, N, C, 2, 4)
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
    prior = 0.3 * scenes.pair_strength.abs().mean()  # loss per px / frame^2
    if decide:
        prior = (
            prior
            # Weight of the loss 0.2, largest at a share of gravity of 0.4
            + 0.2 * (scenes.gravity_share * (2 * 0.4 - scenes.gravity_share)).mean()
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
