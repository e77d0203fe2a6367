"""How objects move: learned forces between pairs, from the scene as a whole, and at touches; a state is (x, v).

What is built in: objects are discs with a place and a velocity; a pair acts along the line between its centres;
something new happens when two outlines touch, along and across the normal of the touch; one instant of touch inside a
frame is located. What is learned: every force, its size, sign, range and dependence on distance and radii, whether a
thing moves at all, what a touch does to a velocity, which kinds of surface can be touched.
Lengths in px of the trained image size, times in frames, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.reference.surfaces import FAR

NEAREST = 20  # surface points looked at around an object
DEEP = 0.3  # px; what overlaps a surface by more is in front of it or behind it, and does not touch it
REACH = 16.0  # px, unit of distance in the pair force
LOG_REACH = math.log(REACH)


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


def through(value: Tensor, gradient_of: Tensor) -> Tensor:
    """`value` forward, the gradient of `gradient_of` backward: a clamp that can be left again."""
    return gradient_of + (value - gradient_of).detach()


def exact_share(score: Tensor) -> Tensor:
    """A share that reaches 0 and 1 exactly."""
    return through(score.clamp(0, 1), score)


def exact_zero(value: Tensor, width: float) -> Tensor:
    """Values within `width` of zero become zero: most pairs of things do not act on each other at all."""
    return through(functional.softshrink(value, width), value)


@dataclass(frozen=True)
class Setting:
    """What stays the same during a rollout. B clips, N objects, P surface points, R regimes."""

    radius: Tensor  # (B, N) px
    mobile: Tensor  # (B, N) 0 for what never moves
    regime: Tensor  # (B, R) what kind of scene it is, -1..1
    field: Tensor  # (2, B, 1) px / frame^2, acts on everything that moves
    drag: Tensor  # (B, 1) per frame
    pair_gain: Tensor  # (B, N, N) px / frame^2 at distance REACH, of j on i; positive towards j
    pair_slope: Tensor  # (B, N, N) d log force / d log distance
    bounce: Tensor  # (B, N, N) share of the closing velocity that a touch with j takes from i
    grip: Tensor  # (B, N, N) share of the sliding velocity that a touch with j takes from i
    reach: Tensor  # (B, N, N) px, distance of the centres at which i and j touch
    points: Tensor  # (B, P, 5) see surfaces.outline


@dataclass(frozen=True)
class Ground:
    """The two surfaces nearest to each object, as lines; looked up once a frame."""

    normal: Tensor  # (2, B, N, 2)
    level: Tensor  # (B, N, 2) px along the normal at which a disc of this radius touches
    bounce: Tensor  # (B, N, 2) share of the closing velocity that a touch takes
    grip: Tensor  # (B, N, 2) share of the sliding velocity that a touch takes


class Dynamics(nn.Module):
    """Learned motion of a set of discs over a background. Vectors have their two components first: (2, B, N)."""

    def __init__(self, substeps: int = 4, regimes: int = 4, hidden: int = 32) -> None:
        super().__init__()
        self.substeps = substeps
        self.regimes = regimes
        self.scene = nn.Sequential(  # 16 x 16 grey -> kind of scene, field, drag
            nn.Conv2d(1, 8, 3, 2, 1), nn.SiLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.SiLU(), nn.Flatten(),
            nn.Linear(128, hidden), nn.SiLU(), nn.Linear(hidden, regimes + 3),
        )  # fmt: skip
        self.moves = mlp(2, hidden, 1)
        self.pair = mlp(2 + regimes, hidden, 4)
        self.profile = mlp(1, 16, 1)
        self.surface = mlp(4 + regimes, hidden, 2)
        self.fit = nn.Parameter(torch.tensor([1.0, 1.0]))  # touching distance over sum of radii: pair, surface
        self.margin = nn.Parameter(torch.zeros(2))  # px
        self.push_out = nn.Parameter(torch.tensor(-1.5))
        self.push = nn.Linear(3, 2, bias=False)  # impulse in N s -> velocity of a disc of 5 px; zero until trained
        self.push_size = mlp(1, 8, 1)
        nn.init.zeros_(self.push.weight)
        with torch.no_grad():  # no force until one is seen
            head = self.scene[-1]
            assert isinstance(head, nn.Linear)
            head.weight[regimes:].zero_()
            head.bias[regimes:].zero_()

    def setting(self, background: Tensor, points: Tensor, radius: Tensor, speed: Tensor, present: Tensor) -> Setting:
        """Read the scene: grey background (B, H, W), points (B, P, 5), radius and speed (B, N) px, present (B, N)."""
        small = functional.adaptive_avg_pool2d(background[:, None] - 0.5, 16) * 12
        regime, field, drag = self.scene(small).split([self.regimes, 2, 1], -1)
        regime = torch.tanh(regime)
        log_radius = (radius.clamp_min(1) / 5).log()
        mobile = exact_share(0.8 + self.moves(torch.stack([log_radius, (speed + 0.03).log()], -1))[..., 0])
        count = radius.shape[1]
        mine, other = log_radius[:, :, None].expand(-1, -1, count), log_radius[:, None].expand(-1, count, -1)
        kinds = regime[:, None, None].expand(-1, count, count, -1)
        pair = self.pair(torch.cat([mine[..., None], other[..., None], kinds], -1))
        both = (present[:, :, None] * present[:, None]) * (1 - torch.eye(count, device=radius.device))
        return Setting(
            radius=radius,
            mobile=mobile * present,
            regime=regime,
            field=exact_zero(field, 0.01).T[..., None],
            drag=exact_zero(0.05 * drag, 4e-3),
            pair_gain=exact_zero(pair[..., 0], 0.02) * both,
            pair_slope=pair[..., 1] - 1.0,
            bounce=2 * torch.sigmoid(pair[..., 2]) * both,
            grip=exact_zero(pair[..., 3], 0.05) * both,
            reach=self.fit[0] * (radius[:, :, None] + radius[:, None]) + self.margin[0] - (1 - both) * FAR,
            points=points,
        )

    def force(self, x: Tensor, v: Tensor, s: Setting) -> Tensor:
        """Acceleration (2, B, N) px / frame^2 apart from touches."""
        pull = s.field - s.drag * v
        if x.shape[2] > 1:
            apart = x[:, :, None] - x[..., None]  # (2, B, N, N), from i to j
            square = (apart * apart).sum(0).clamp_min(4.0)
            log_distance = 0.5 * square.log() - LOG_REACH
            fine = self.profile(log_distance[..., None])[..., 0]
            size = s.pair_gain * torch.exp(((s.pair_slope + fine) * log_distance).clamp(-6, 6)) * square.rsqrt()
            pull = pull + (size * apart).sum(3)
        return s.mobile * pull

    def ground(self, x: Tensor, v: Tensor, s: Setting) -> Ground:
        """The two surfaces near each object, from its nearest surface points; where they are has no gradient."""
        with torch.no_grad():
            place = x.permute(1, 2, 0)
            far = torch.cdist(place, s.points[..., :2])
            distance, order = far.topk(NEAREST, dim=-1, largest=False)
            flat = order.flatten(1)[..., None].expand(-1, -1, s.points.shape[-1])
            near = s.points.gather(1, flat).view(*order.shape, -1)  # (B, N, NEAREST, 5)
            free = torch.ones_like(distance, dtype=torch.bool)
            planes = []
            for _ in range(2):
                nearest = torch.where(free, distance, 2 * FAR).argmin(-1, keepdim=True)
                chief = near.gather(2, nearest[..., None].expand(-1, -1, -1, near.shape[-1]))
                alike = free & ((near[..., 2:4] * chief[..., 2:4]).sum(-1) > 0.95)
                alike &= (near[..., 4] - chief[..., 4]).abs() < 0.06
                closer = distance.gather(2, nearest).square() - distance.square()
                weight = torch.where(alike, closer / 4.5, -FAR).softmax(-1)
                planes.append((weight[..., None] * near).sum(2))
                planes[-1][..., :2] += FAR * (~alike.any(-1))[..., None]  # there is no second one
                free &= ~alike
            mean = torch.stack(planes, 2)  # (B, N, 2, 5)
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
        own = torch.stack([(mean[..., 4] - 0.1) * 20, size, inward.clamp(0, 6) / 3, glide / 3], -1)
        touch = self.surface(torch.cat([own, kinds], -1))
        return Ground(
            normal=normal,
            level=level + (self.fit[1] * s.radius + self.margin[1])[..., None],
            bounce=2 * exact_share(touch[..., 0]) * s.mobile[..., None],
            grip=exact_zero(touch[..., 1], 0.02) * s.mobile[..., None],
        )

    def surface_touch(self, x: Tensor, v: Tensor, a: Tensor, step: float, g: Ground) -> tuple[Tensor, Tensor]:
        """What surfaces do within one substep: change of velocity and of place (2, B, N)."""
        x, v, a = x[..., None], v[..., None], a[..., None]
        gap = (x * g.normal).sum(0) - g.level
        inward = -(v * g.normal).sum(0)
        pressing = -(a * g.normal).sum(0)
        closing = inward + pressing * (step / 2)
        moment = (gap / (closing * step).clamp_min(1e-4)).clamp(0, 1) * step
        event = ((closing > 0) & (gap < closing * step) & (gap > -DEEP)).to(x.dtype)
        inward = (inward + pressing * moment).clamp_min(0)
        bounce, grip = event * g.bounce, event * g.grip
        change = (bounce - grip) * inward * g.normal - grip * (v + a * moment)
        lift = torch.sigmoid(self.push_out) * bounce * (-gap).clamp_min(0)
        return change.sum(3), (change * (step - moment) + lift * g.normal).sum(3)

    def pair_touch(self, x: Tensor, v: Tensor, step: float, s: Setting) -> tuple[Tensor, Tensor]:
        """What touches between objects do within one substep: change of velocity and of place (2, B, N)."""
        apart = x[:, :, None] - x[..., None]
        distance = ((apart * apart).sum(0) + 1e-6).sqrt()
        normal = apart / distance
        relative = v[..., None] - v[:, :, None]  # of i as seen from j
        closing = (relative * normal).sum(0)
        gap = distance - s.reach
        moment = (gap / (closing * step).clamp_min(1e-4)).clamp(0, 1) * step
        event = ((closing > 0) & (gap < closing * step)).to(x.dtype) * s.mobile[..., None]
        change = -(event * (s.bounce - s.grip) * closing) * normal - (event * s.grip) * relative
        return change.sum(3), (change * (step - moment)).sum(3)

    def advance(self, x: Tensor, v: Tensor, s: Setting, push: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One frame on: places and velocities (2, B, N), impulses (B, N, 3) in N s given at its start."""
        step = 1 / self.substeps
        if push is not None:
            size = self.push_size((s.radius[..., None].clamp_min(1) / 5).log())
            v = v + s.mobile * (self.push(push) * size.exp()).permute(2, 0, 1)
        ground = self.ground(x, v, s)
        a = self.force(x, v, s)
        for _ in range(self.substeps):
            kick, shift = self.surface_touch(x, v, a, step, ground)
            if x.shape[2] > 1:
                more = self.pair_touch(x, v + a * (step / 2), step, s)
                kick, shift = kick + more[0], shift + more[1]
            x = x + s.mobile * v * step + a * (step * step / 2) + shift
            v = v + a * (step / 2) + kick
            a = self.force(x, v, s)
            v = v + a * (step / 2)
        return x, v
