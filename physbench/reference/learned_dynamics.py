"""How objects move: learned forces between pairs, from the scene as a whole, and at touches; a state is (x, v, w).

What is built in: objects have a place, a velocity and, if they are round, the speed of their rim; a pair acts along the
line between its centres and touches as discs do; something new happens when an outline touches a surface, along and
across its normal, and what happens across is bounded by what happens along; one instant of touch inside a frame is
located. What is learned: every force, its size, sign, range and dependence on distance and radii, whether a thing moves
at all, what a touch does to a velocity, which kinds of surface can be touched, and how rough they are.
Lengths in px of the trained image size, times in frames, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.reference.shapes import reach_towards
from physbench.reference.slots import Slots
from physbench.reference.surfaces import FAR

NEAREST_POINTS = 20  # surface points looked at around an object
MAX_OVERLAP = 1.0  # px; what overlaps a surface by more is in front of it or behind it, and does not touch it
MAX_ASIDE = 2.5  # px along a surface from an object to the end of it, beyond which it is not touched
ROLLING_DISTANCE = 1.0  # px from a surface within which a round object rolls on it
PAIR_DISTANCE_UNIT = 16.0  # px, unit of distance in the pair force
LOG_PAIR_DISTANCE_UNIT = math.log(PAIR_DISTANCE_UNIT)
CLAMP_SLACK = 0.2
LAYOUT_BLOCKS = 4  # along a side of the layout of a scene
LAYOUT_CONTRAST = 0.02  # grey by which a thing leaves the backdrop
LAYOUT_GAIN = 6.0  # a block with a line of one px through it already counts as filled by a third
CONTRAST_KINDS, MAX_CONTRAST = 25, 0.48  # kinds of surface by contrast, and the largest of those
THICK_DEPTH = 7.5  # px
MAX_EXTRA_EXPONENT = (
    2.5  # how much steeper than 1 / distance a pair force may be: a touch is not to be learned as a force
)


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
    """See Clamp."""
    clamped: Tensor = LeavableClamp.apply(value, low, high)  # type: ignore[no-untyped-call]
    return clamped


def exact_share(score: Tensor) -> Tensor:
    """A share that reaches 0 and 1 exactly."""
    return leavable_clamp(score, 0, 1)


def exact_zero(value: Tensor, width: float) -> Tensor:
    """Values within `width` of zero become zero: most pairs of things do not act on each other at all."""
    return functional.softshrink(value.detach(), width) + (value - value.detach())


def perpendicular(normal: Tensor) -> Tensor:
    """Unit vectors (2, ...) turned by a quarter: along a surface, the same way round everywhere."""
    return torch.stack([-normal[1], normal[0]])


def scene_layout(background: Tensor) -> Tensor:
    """Backgrounds (B, H, W) -> (B, BLOCKS^2 + 1): where something is in front of the plain part, and the grey of that.

    All are of the size of 1: a kind of scene is told by its layout, not by how dark its things are.
    """
    plain = background.flatten(1).median(1).values
    there = ((background - plain[:, None, None]).abs() > LAYOUT_CONTRAST).to(background.dtype)
    shares = functional.adaptive_avg_pool2d(there[:, None], LAYOUT_BLOCKS).flatten(1)
    return torch.cat([torch.tanh(LAYOUT_GAIN * shares), 30 * (plain[:, None] - 0.46)], 1)


def surface_kinds(contrast: Tensor, depth: Tensor) -> Tensor:
    """Contrasts (...) and depths (...) px of surfaces -> shares (..., 2 GREYS) of kinds that are learned apart.

    Else what a floor does would be learned of every surface, and a screen that stops a ball by a fifth stops it as
    well as one that stops it altogether: nothing would lead back from there.
    """
    middles = torch.linspace(-MAX_CONTRAST, MAX_CONTRAST, CONTRAST_KINDS, device=contrast.device, dtype=contrast.dtype)
    apart = (contrast[..., None] - middles) * ((CONTRAST_KINDS - 1) / (2 * MAX_CONTRAST))
    grey = (-3 * apart.square()).softmax(-1)
    thick = torch.sigmoid(2 * (depth - THICK_DEPTH))[..., None]
    return torch.cat([thick * grey, (1 - thick) * grey], -1)


@dataclass(frozen=True)
class SceneParameters:
    """What stays the same during a rollout. B clips, N objects, P surface points, R regimes."""

    radius: Tensor  # (B, N) px
    mobile: Tensor  # (B, N) 0 for what never moves
    regime: Tensor  # (B, R) what kind of scene it is, -1..1
    falls: Tensor  # (B,) share of the pull, 0..1
    field: Tensor  # (2, B, 1) px / frame^2, acts on everything that moves
    pair_gain: Tensor  # (B, N, N) px / frame^2 at distance REACH, of j on i; positive towards j
    pair_slope: Tensor  # (B, N, N) d log force / d log distance
    bounce: Tensor  # (B, N, N) share of the closing velocity that a touch with j takes from i
    distance: Tensor  # (B, N, N) px, distance of the centres at which i and j touch
    points: Tensor  # (B, P, 6) see surfaces.outline
    reach: Tensor  # (B, N, DIRECTIONS) px from the centre to the outline
    round: Tensor  # (B, N) 0 or 1
    stick: Tensor  # (B, N) share of its slip by which an object slows down until it has none; the spin takes the rest

    def first(self, count: int) -> SceneParameters:
        """That of the first clips."""
        return SceneParameters(
            **{name: value[:, :count] if name == "field" else value[:count] for name, value in vars(self).items()}
        )


@dataclass(frozen=True)
class NearbySurfaces:
    """The two surfaces nearest to each object, as lines; looked up once a frame."""

    normal: Tensor  # (2, B, N, 2)
    level: Tensor  # (B, N, 2) px along the normal at which a disc of this radius touches
    bounce: Tensor  # (B, N, 2) share of the closing velocity that a touch takes
    rough: Tensor  # (B, N, 2) how large a change along the surface may be, over that across it


class Dynamics(nn.Module):
    """Learned motion of a set of discs over a background. Vectors have their two components first: (2, B, N)."""

    def __init__(self, substeps: int = 4, regimes: int = 4, hidden: int = 32) -> None:
        super().__init__()
        self.substeps = substeps
        self.regimes = regimes
        self.scene = nn.Sequential(  # layout -> kind of scene, share of the pull
            nn.Linear(LAYOUT_BLOCKS * LAYOUT_BLOCKS + 1, hidden), nn.Tanh(), nn.Linear(hidden, regimes + 1)
        )
        self.pull = nn.Parameter(torch.zeros(2))  # px / frame^2 over 4, of every scene that has one
        self.moves = mlp(1, hidden, 1)
        self.pair = mlp(2 + regimes, hidden, 3)
        self.profile = mlp(1, 16, 1)
        self.surface = mlp(3 + regimes, hidden, 2 * 2 * CONTRAST_KINDS)
        last = self.surface[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)  # nothing stops anything, until it is learned of its kind
        self.fit = nn.Parameter(torch.tensor([1.0, 1.0]))  # touching distance over sum of radii: pair, surface
        self.margin = nn.Parameter(torch.zeros(2))  # px
        self.push_out = nn.Parameter(torch.tensor(-1.5))
        self.rolls = mlp(1, 8, 1)  # shade of a round object -> its share of a slip
        self.push = nn.Linear(3, 2, bias=False)  # impulse in N s -> velocity of a disc of 5 px; zero until trained
        self.push_size = mlp(1, 8, 1)
        nn.init.zeros_(self.push.weight)

    def setting(self, slots: Slots, speed: Tensor) -> SceneParameters:
        """Read the scene from slots and the speed of objects (B, N) px / frame in the context."""
        background, radius, present = slots.picture.mean(1), slots.radius, slots.present
        regime, share = self.scene(scene_layout(background)).split([self.regimes, 1], -1)
        regime, falls = torch.tanh(regime), exact_share(0.5 + share)
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
            falls=falls[:, 0],
            field=4 * self.pull[:, None, None] * falls[None],
            pair_gain=exact_zero(pair[..., 0], 0.02) * both,
            pair_slope=MAX_EXTRA_EXPONENT * torch.tanh(pair[..., 1] / MAX_EXTRA_EXPONENT) - 1.0,
            bounce=2 * exact_share(0.5 + pair[..., 2]) * both,
            distance=self.fit[0] * (radius[:, :, None] + radius[:, None]) + self.margin[0] - (1 - both) * FAR,
            points=slots.points,
            reach=slots.reach,
            round=slots.round,
            stick=torch.where(slots.round > 0.5, rolling, 1.0),
        )

    def force(self, x: Tensor, s: SceneParameters) -> Tensor:
        """Acceleration (2, B, N) px / frame^2 apart from touches."""
        pull = s.field.expand_as(x)
        if x.shape[2] > 1:
            apart = x[:, :, None] - x[..., None]  # (2, B, N, N), from i to j
            square = (apart * apart).sum(0).clamp_min(4.0)
            log_distance = 0.5 * square.log() - LOG_PAIR_DISTANCE_UNIT
            fine = 0.5 * torch.tanh(self.profile(log_distance[..., None])[..., 0])
            size = s.pair_gain * torch.exp(((s.pair_slope + fine) * log_distance).clamp(-6, 6)) * square.rsqrt()
            pull = pull + (size * apart).sum(3)
        return s.mobile * pull

    def ground(self, x: Tensor, v: Tensor, s: SceneParameters, copies: int = 1) -> NearbySurfaces:
        """The two surfaces near each object, from its nearest surface points; where they are has no gradient."""
        if copies > 1:
            count = x.shape[1] // copies
            first = self.ground(x[:, :count], v[:, :count], s.first(count))
            return NearbySurfaces(
                normal=first.normal.repeat(1, copies, 1, 1),
                level=first.level.repeat(copies, 1, 1),
                bounce=first.bounce.repeat(copies, 1, 1),
                rough=first.rough.repeat(copies, 1, 1),
            )
        with torch.no_grad():
            place = x.permute(1, 2, 0)
            # cdist is slow in two dimensions.
            across_x, across_y = (place[..., k, None] - s.points[:, None, :, k] for k in (0, 1))
            square = across_x * across_x + across_y * across_y
            # What an object is deep in is in front of it or behind it: what may stop it is looked for elsewhere.
            ahead = across_x * s.points[:, None, :, 2] + across_y * s.points[:, None, :, 3]
            deep = ahead < torch.where(s.round > 0.5, s.radius - 2 * MAX_OVERLAP, s.radius / 2)[..., None]
            square, order = torch.where(deep, FAR * FAR, square).topk(NEAREST_POINTS, -1, largest=False, sorted=False)
            distance = square.sqrt()
            flat = order.flatten(1)[..., None].expand(-1, -1, s.points.shape[-1])
            near = s.points.gather(1, flat).view(*order.shape, -1)  # (B, N, NEAREST, 6)
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
                # A line goes on for ever and a surface does not: its nearest point is in front of the object.
                aside = chief[..., 0, :2] - place
                beside = (aside[..., 0] * plane[..., 3] - aside[..., 1] * plane[..., 2]).abs() > MAX_ASIDE
                plane[..., :2] += FAR * (beside | ~alike.any(-1))[..., None]
                planes.append(plane)
                free &= ~alike
            mean = torch.stack(planes, 2)  # (B, N, 2, 6)
            normal = functional.normalize(mean[..., 2:4], dim=-1)
            level = (mean[..., :2] * normal).sum(-1)
            # An object whose middle is behind the outline is in front of that thing, or hidden by it.
            level = torch.where((place[:, :, None] * normal).sum(-1) > level, level, -FAR)
            level = torch.where(mean[..., 0] > FAR / 2, -FAR, level)
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
            level=level + self.fit[1] * reach_towards(s.reach, -normal) + self.margin[1],
            bounce=2 * exact_share(touch[..., 0]) * s.mobile[..., None],
            rough=leavable_clamp(touch[..., 1] - 0.03, 0),
        )

    def rim_speed(self, x: Tensor, v: Tensor, s: SceneParameters, copies: int = 1) -> Tensor:
        """The speed of the rim w (B, N) of what starts at x, v: that of rolling, where a surface is close."""
        g = self.ground(x, v, s, copies)
        close = ((x[..., None] * g.normal).sum(0) - g.level < ROLLING_DISTANCE).to(x.dtype)
        along = (v[..., None] * perpendicular(g.normal)).sum(0)
        first = close[..., 0] * along[..., 0] + (1 - close[..., 0]) * close[..., 1] * along[..., 1]
        return s.round * first

    def surface_touch(
        self, x: Tensor, v: Tensor, w: Tensor, a: Tensor, step: float, g: NearbySurfaces, s: SceneParameters
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What surfaces do within one substep: change of velocity and of place (2, B, N), of the rim's speed (B, N)."""
        x, v, a = x[..., None], v[..., None], a[..., None]
        gap = (x * g.normal).sum(0) - g.level
        inward = -(v * g.normal).sum(0)
        pressing = -(a * g.normal).sum(0)
        closing = inward + pressing * (step / 2)
        moment = (gap / (closing * step).clamp_min(1e-4)).clamp(0, 1) * step
        event = ((closing > 0) & (gap < closing * step) & (gap > -MAX_OVERLAP)).to(x.dtype)
        inward = (inward + pressing * moment).clamp_min(0)
        impact = event * g.bounce * inward
        tangent = perpendicular(g.normal)
        slip = ((v + a * step) * tangent).sum(0) - w[..., None]
        most = g.rough * impact
        needed = s.stick[..., None] * slip * event * s.mobile[..., None]
        drag = torch.minimum(torch.maximum(needed, -most), most)
        hit, brake = impact * g.normal, drag * tangent  # at one moment; during the whole substep
        lift = torch.sigmoid(self.push_out) * event * g.bounce * (-gap).clamp_min(0)
        spin = drag.sum(2) * (1 / s.stick - 1) * s.round
        shift = hit * (step - moment) + lift * g.normal - brake * (step / 2)
        return (hit - brake).sum(3), shift.sum(3), spin

    def pair_touch(self, x: Tensor, v: Tensor, step: float, s: SceneParameters) -> tuple[Tensor, Tensor]:
        """What touches between objects do within one substep: change of velocity and of place (2, B, N)."""
        apart = x[:, :, None] - x[..., None]
        distance = ((apart * apart).sum(0) + 1e-6).sqrt()
        normal = apart / distance
        relative = v[..., None] - v[:, :, None]  # of i as seen from j
        closing = (relative * normal).sum(0)
        gap = distance - s.distance
        moment = (gap / (closing * step).clamp_min(1e-4)).clamp(0, 1) * step
        event = ((closing > 0) & (gap < closing * step)).to(x.dtype) * s.mobile[..., None]
        change = -(event * s.bounce * closing) * normal
        return change.sum(3), (change * (step - moment)).sum(3)

    def advance(
        self, x: Tensor, v: Tensor, w: Tensor, s: SceneParameters, push: Tensor | None = None, copies: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One frame on: places and velocities (2, B, N), rims' speeds (B, N); impulses (B, N, 3) N s at its start.

        copies: the batch is that many times nearly the same, so that all are near the surfaces of the first.
        """
        step = 1 / self.substeps
        if push is not None:
            size = self.push_size((s.radius[..., None].clamp_min(1) / 5).log())
            v = v + s.mobile * (self.push(push) * size.exp()).permute(2, 0, 1)
        ground = self.ground(x, v, s, copies)
        a = self.force(x, s)
        for _ in range(self.substeps):
            kick, shift, spin = self.surface_touch(x, v, w, a, step, ground, s)
            if x.shape[2] > 1:
                more = self.pair_touch(x, v + a * (step / 2), step, s)
                kick, shift = kick + more[0], shift + more[1]
            x = x + s.mobile * v * step + a * (step * step / 2) + shift
            v, w = v + a * (step / 2) + kick, w + spin
            a = self.force(x, s)
            v = v + a * (step / 2)
        return x, v, w
