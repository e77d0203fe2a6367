"""Centre of a partly hidden ball: a shaded disc of known radius fitted to the pixels that show it.

A near camera sees an ellipse instead of a circle. Its axes follow from its place, as the radius and the depth of the
centre are known there; what is fitted is the same four numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from physbench.track.colour import AMBIENT_SHARE, DIFFUSE_SHARE
from physbench.track.patches import BATCH_PIXELS, STEPS_PER_LEVEL, Patches, dilate
from physbench.world.camera import LARGEST, BallSight, MovingSight

FIRST_ITERATIONS, ITERATIONS = 2, 3  # before and after it is known how blurred a ball is


@dataclass(frozen=True)
class DiscModel:
    """The picture of a ball, and the pixels round it that are fitted."""

    still: float = 0.05  # px; the last step of a centre that stands still
    pixel_variance: float = 1 / 12  # px^2 of a square pixel
    edge_variance: float = 1 / 7  # of the edge's kernel (1 - u^2)^2, in squared half widths
    hidden_reach: int = 1  # px around other hues and screens that are mixed and left out
    reach: float = 3.5  # px beyond the radius that are fitted
    mean_height: float = 2 / 3  # of a half ball over its disc, in radii
    most_light: float = 1.0  # of each of its numbers


DISC = DiscModel()


LEAST_WIDTH, MOST_WIDTH = 0.77, 8.0  # px; half width of the edge: blur of 0 and of 3 px
FROM_CAMERA = (0.0, 0.0, DIFFUSE_SHARE)

# Columns of `fit`.
FIT = ("x", "y", "blur", "amplitude", "rms", "step", "share", "sd", "stray")


@dataclass(frozen=True, eq=False)
class DiscFitJob:
    """Patches of one ball."""

    patches: Patches  # M > 0 of them
    reference: Tensor  # (M,) float64 levels of chroma of a pixel of it
    radius: float  # px
    light: tuple[float, ...] | None = None  # on it (3,), see `find_light`; None: as from the camera
    #: in px of the frames, where its outline is an ellipse; of one kind for all jobs
    sight: BallSight | MovingSight | None = None

    @property
    def reach(self) -> float:
        """Distance from the centre in px that is fitted."""
        return self.radius * (1.0 if self.sight is None else LARGEST) + DISC.reach

    def select(self, chosen: NDArray[np.bool_]) -> DiscFitJob:
        """Some of the patches (M,)."""
        frames = np.flatnonzero(chosen)
        index = torch.from_numpy(frames).to(self.reference.device)
        sight = None if self.sight is None else self.sight.select(frames)
        return replace(self, patches=self.patches.select(index), reference=self.reference[index], sight=sight)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """The Q pixels around the first guess of each of M balls. Those that do not count fill up where there are fewer."""

    value: Tensor  # (M, Q) float32, chroma over the object's own
    x: Tensor  # (M, Q) float32 px within the patch
    y: Tensor  # (M, Q)
    bits: Tensor  # (M, Q) u8: 1 valid, 2 valid where the picture is blurred, 4 core
    radius: Tensor  # (M, 1) float32 px
    start: Tensor  # (M, 2) float64 px within the patch
    core: Tensor  # (M,) float32 px, valid core pixels of the whole patch
    light: Tensor | None = None  # (M, 3) float32, of their jobs; None: all are lit from the camera
    sight: Tensor | None = None  # (M, 6) float64, see `_sight`; None: all are circles, or as follows
    outline: Tensor | None = None  # (M, 6) float64, see `_outline`, before an eye that moves

    def part(self, where: slice | Tensor) -> _Pixels:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return _Pixels(**{name: part[where] for name, part in parts.items() if part is not None})

    def mask(self, bit: int) -> Tensor:
        return (self.bits & bit).clamp_(max=1).to(torch.float32)


def fit(jobs: Sequence[DiscFitJob]) -> list[Tensor]:
    """Fit every patch of every job: float64 (M, 9) each, see FIT; centres in px of the frame.

    Gauss-Newton over centre, edge width and amplitude. The edge is a polynomial: products, sums, quotients and square
    roots round alike everywhere, which functions like erf do not. sd is that of the centre for the rms that is left;
    share is that of the disc's area on valid pixels; stray is the share of the object's pixels outside the disc.
    """
    offsets = _offsets(max(job.reach for job in jobs)).to(jobs[0].patches.along.device)
    prepared = [_prepare(job, offsets) for job in jobs]
    parts = {field.name: [getattr(part, field.name) for part in prepared] for field in fields(_Pixels)}
    pixels = _Pixels(**{name: torch.cat(each) for name, each in parts.items() if each[0] is not None})
    if any(job.light is not None for job in jobs):
        pixels = replace(pixels, light=torch.cat([_light(job) for job in jobs]))
    count = len(pixels.value)
    step = max(1, BATCH_PIXELS // len(offsets)) if pixels.value.device.type == "cpu" else count
    result = torch.cat([_solve(pixels.part(slice(i, i + step))) for i in range(0, count, step)])
    result[:, :2] += torch.cat([job.patches.origin for job in jobs])
    return list(torch.split(result, [len(job.patches.core) for job in jobs]))


def _offsets(reach: float) -> Tensor:
    """Whole steps (Q, 2) within `reach` px."""
    side = torch.arange(-int(reach), int(reach) + 1)
    x, y = torch.meshgrid(side, side, indexing="xy")
    near = x * x + y * y <= reach * reach
    return torch.stack([x[near], y[near]], dim=1)


def _prepare(job: DiscFitJob, offsets: Tensor) -> _Pixels:
    patches, count = job.patches, len(job.patches.core)
    tall, wide = patches.core.shape[1:]
    mixed = dilate(_without_specks(patches.other) | patches.screen, DISC.hidden_reach)
    more = dilate(mixed, 3 - DISC.hidden_reach)  # px, of a blurred one
    own = patches.region | (patches.core ^ 1)  # chroma far from the object belongs to another one
    valid = mixed.bitwise_xor_(1).bitwise_and_(own)
    scale = (1 / (STEPS_PER_LEVEL * job.reference)).to(torch.float32)
    # the rim that sharpening leaves is deeper than noise
    value = (patches.along * scale[:, None, None]).clamp_(min=-0.15)
    start = _start(value, valid & patches.region, patches.stats[:, 1:3] - patches.origin, job.radius)

    bits = valid | more.bitwise_xor_(1).bitwise_and_(own).bitwise_left_shift_(1) | (patches.core << 2)
    corner = torch.maximum(start, -torch.full_like(start, job.radius)).clamp_(max=max(tall, wide) + job.radius)
    columns = corner[:, :1].floor().to(torch.int64) + offsets[:, 0]
    rows = corner[:, 1:].floor().to(torch.int64) + offsets[:, 1]
    inside = (columns >= 0) & (columns < wide) & (rows >= 0) & (rows < tall)
    inside &= (offsets * offsets).sum(1) <= job.reach**2
    at = rows.clamp(0, tall - 1) * wide + columns.clamp(0, wide - 1)
    pixels = _Pixels(
        value.flatten(1).gather(1, at),
        columns.to(torch.float32) + 0.5,
        rows.to(torch.float32) + 0.5,
        bits.flatten(1).gather(1, at) * inside,
        value.new_full((count, 1), job.radius),
        start,
        (patches.core & valid).to(torch.float32).sum((1, 2)),
    )
    if isinstance(job.sight, MovingSight):
        return replace(pixels, outline=_outline(job.sight, patches, start))
    return pixels if job.sight is None else replace(pixels, sight=_sight(job.sight, patches))


def _light(job: DiscFitJob) -> Tensor:
    """The light of a job for each of its patches (M, 3)."""
    return job.patches.along.new_tensor(job.light or FROM_CAMERA).expand(len(job.patches.core), 3)


def _outline(sight: MovingSight, patches: Patches, start: Tensor) -> Tensor:
    """Inverse half axes of outlines at first guesses (M, 2) within patches, and the light along these (M, 6)."""
    half, shade = sight.axes(sight.centre((start + patches.origin).cpu().numpy()))
    return patches.origin.new_tensor(np.concatenate([np.linalg.inv(half).reshape(-1, 4), shade], axis=1))


def _sight(sight: BallSight, patches: Patches) -> Tensor:
    """Middle and focal length in px within each patch, and what tells depth and radius there (M, 6)."""
    origin = patches.origin
    middle = origin.new_tensor(sight.middle) - origin
    rest = origin.new_tensor([sight.focal, sight.nearness, sight.down, sight.radius]).expand(len(origin), 4)
    return torch.cat([middle, rest], dim=1)


def _ellipse(pixels: _Pixels, state: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Outlines with the centres of a state, float32: rows (M, 2) that take an offset in px to its parts along the ray
    from the middle of the picture and across it, in half axes; the product (M, 1) of these, px2; and the parts (M, 1)
    or (M, 2) of the light along them. None of circles.

    Closed forms as in `BallSight`, at the image of the ball's centre.
    """
    sight = pixels.sight
    if pixels.outline is not None:
        one, other, light = (pixels.outline[:, i : i + 2] for i in (0, 2, 4))
        area = 1 / (one[:, :1] * other[:, 1:] - one[:, 1:] * other[:, :1]).abs()
        return one.float(), other.float(), area.float(), light.float()
    if sight is None:
        return None
    middle, (focal, nearness, down, radius) = sight[:, :2], sight[:, 2:, None].unbind(1)
    away = state[:, :2] - middle
    square = (radius * (nearness + down * away[:, 1:])) ** 2
    square = (radius * (nearness + down * away[:, 1:] * (1 - square))) ** 2
    oblique = (away * (1 - square) / focal).square().sum(1, keepdim=True)
    across = focal * (square / (1 - square)).sqrt()
    along = focal * (square * (1 + oblique - square)).sqrt() / (1 - square)
    far = away.square().sum(1, keepdim=True).sqrt().clamp(min=1e-9)
    area, light = (along * across).float(), -(oblique / (1 + oblique)).sqrt().float()  # it falls along the axis
    ray, along, across = (away / far).float(), along.float(), across.float()
    return ray / along, torch.cat([-ray[:, 1:], ray[:, :1]], dim=1) / across, area, light


def find_light(job: DiscFitJob) -> Tensor:
    """Light on a ball, from each of its patches, which show all of it: (M, 3) float64.

    The first two are by how much its shade grows over a radius, to the right and down, the third by how much it falls
    from the middle to the outline, all of the mean. A surface is as bright as the cosine of the angle between its
    normal and the light, so that light from one side makes a shade that changes evenly along the picture; what it has
    of the sky does, too. The fit is that of `fit` with these numbers more.
    """
    pixels = _prepare(job, _offsets(job.reach).to(job.patches.along.device))
    valid = pixels.mask(1)
    value = pixels.value * valid
    ones = torch.ones_like(pixels.radius, dtype=torch.float64)
    state = torch.cat([pixels.start, 2.0 * ones, ones], dim=1)
    light = torch.tensor(FROM_CAMERA, dtype=torch.float64, device=state.device).repeat(len(state), 1)
    limit = torch.cat([0.1 * job.radius * ones, 0.1 * job.radius * ones, ones, *4 * [0.3 * ones]], dim=1)
    for _ in range(12):  # iterations of a fit that finds the light, too
        pixels = replace(pixels, light=light.to(torch.float32))
        rows, rest = _derivatives(pixels, valid, value, state)
        _, cover, _, _, distance, dx, dy = _model(pixels, state)
        strength = (cover * valid).mul_(state[:, 3:4].to(torch.float32))
        height = (1 - (distance / pixels.radius).square_()).clamp_(min=0.0).sqrt_() - DISC.mean_height
        by_light = (part * strength for part in (dx / pixels.radius, dy / pixels.radius, height))
        rows = torch.cat([rows, torch.stack(list(by_light), dim=1)], dim=1)
        normal = (rows @ rows.transpose(1, 2)).to(torch.float64) + 1e-2 * torch.eye(
            7, dtype=torch.float64, device=rows.device
        )
        step = torch.linalg.solve(normal, (rows * rest[:, None]).sum(2).to(torch.float64)).clamp(-limit, limit)
        state = state + step[:, :4]
        state[:, 2].clamp_(min=LEAST_WIDTH, max=MOST_WIDTH)
        light = (light + step[:, 4:]).clamp(-DISC.most_light, DISC.most_light)
    return light


def _solve(pixels: _Pixels) -> Tensor:
    radius = pixels.radius.to(torch.float64)  # (M, 1)
    ones = torch.ones_like(radius)
    state = torch.cat([pixels.start, 2.0 * ones, ones], dim=1)  # x, y, width, amplitude
    limit = torch.cat([0.3 * radius, 0.3 * radius, 2.0 * ones, 0.5 * ones], dim=1)
    far = radius + DISC.reach
    least = torch.cat([pixels.start - far, LEAST_WIDTH * ones, 0.2 * ones], dim=1)
    # Half of the edge's width may be 0.65 of the radius, if that is more: large pictures are blurred by more px.
    most = torch.cat([pixels.start + far, (0.65 * radius).clamp(min=MOST_WIDTH), 3.0 * ones], dim=1)
    step = torch.zeros_like(state)
    valid = pixels.mask(1)
    value = pixels.value * valid
    for i in range(FIRST_ITERATIONS + ITERATIONS):
        if i == FIRST_ITERATIONS:
            # From a blur of 0.8 px on, more is left out
            valid = torch.where((_blur(state) > 0.8)[:, None], pixels.mask(2), valid)
            value = pixels.value * valid
        normal, gradient, _ = _normal_equations(pixels, valid, value, state)
        step = torch.maximum(torch.minimum(torch.linalg.solve(normal, gradient), limit), -limit)
        state = torch.minimum(torch.maximum(state + step, least), most)
    # A ball that is lit from one side is approached slowly where the model takes its light from the camera.
    more = torch.nonzero((state[:, 2] > MOST_WIDTH) | (_moved(step) >= DISC.still))[:, 0]
    if len(more):
        parts = pixels.part(more), valid[more], value[more]
        for _ in range(4):  # more iterations
            normal, gradient, _ = _normal_equations(*parts, state[more])
            step[more] = torch.linalg.solve(normal, gradient).clamp(-limit[more], limit[more])
            state[more] = (state[more] + step[more]).clamp(least[more], most[more])
    return _quality(pixels, valid, value, state, step)


def _moved(step: Tensor) -> Tensor:
    """By how many px at most along an axis a step moves the centre (M,)."""
    return step[:, :2].abs().amax(1)


def _blur(state: Tensor) -> Tensor:
    """Standard deviation (M,) px of the blur that an edge width stands for."""
    return (state[:, 2] ** 2 * DISC.edge_variance - DISC.pixel_variance).clamp(min=0).sqrt()


def _without_specks(mask: Tensor) -> Tensor:
    """Pixels of a mask (M, P, P) u8 with at least two neighbours in it; others are noise."""
    padded = torch.nn.functional.pad(mask, (1, 1, 1, 1))
    across = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    around = across[:, :-2] + across[:, 1:-1] + across[:, 2:]
    return mask & around.ge_(3)


def _start(value: Tensor, valid: Tensor, centre: Tensor, radius: float) -> Tensor:
    """First guess (M, 2): by every visible edge pixel the centre lies one radius inwards along its gradient."""
    across = value[:, 1:-1, 2:] - value[:, 1:-1, :-2]
    down = value[:, 2:, 1:-1] - value[:, :-2, 1:-1]
    inside = dilate(valid ^ 1, 1)[:, 1:-1, 1:-1].bitwise_xor(1)
    square = across * across + down * down
    weight = square * (square > 0.09) * inside
    pull = radius / square.clamp(min=1e-6).sqrt()
    x = torch.arange(value.shape[2] - 2, device=value.device, dtype=torch.float32) + 1.5
    y = torch.arange(value.shape[1] - 2, device=value.device, dtype=torch.float32) + 1.5
    total = weight.sum((1, 2), dtype=torch.float64)
    guess_x = ((x + across * pull) * weight).sum((1, 2), dtype=torch.float64)
    guess_y = ((y[:, None] + down * pull) * weight).sum((1, 2), dtype=torch.float64)
    guess = torch.stack([guess_x, guess_y], dim=1) / total.clamp(min=1e-6)[:, None]
    return torch.where((total > 0.5)[:, None], guess, centre)


def _model(pixels: _Pixels, state: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Shade, coverage, its slope, place u in the edge, distance, dx and dy from the centre; all (M, Q) float32."""
    ellipse = _ellipse(pixels, state)
    state = state.to(torch.float32)
    width, radius = state[:, 2:3], pixels.radius
    dx, dy = pixels.x - state[:, :1], pixels.y - state[:, 1:2]
    distance2 = (dx * dx).add_(dy * dy)
    distance = distance2.sqrt().clamp_(min=1e-3)
    tilted = None
    if ellipse is not None:  # the radius is that of the outline in the direction of each pixel
        one, other, _, light = ellipse
        outwards = dx * one[:, :1] + dy * one[:, 1:]
        aside = dy * other[:, 1:] + dx * other[:, :1]
        share2 = (outwards * outwards).add_(aside * aside)
        radius = distance / share2.sqrt().clamp_(min=1e-4)
        distance2 = share2 * pixels.radius**2
        tilted = outwards.mul_(DIFFUSE_SHARE * light[:, :1])  # what faces the camera's axis faces its light
        if light.shape[1] > 1:
            tilted.add_(aside.mul_(DIFFUSE_SHARE * light[:, 1:]))
    # Fitted to blurred shaded discs this edge lies within 0.04 px of the radius (5 to 24 px, blur up to 3 px).
    u = (radius - distance).mul_(1 / width).clamp_(-1.0, 1.0)
    square = u * u
    cover = (square * 0.1875).sub_(0.625).mul_(square).add_(0.9375).mul_(u).add_(0.5)
    slope = square.neg_().add_(1.0).square_()  # to be multiplied with .9375 / width
    if pixels.light is None:
        shade = distance2.mul_(-((DIFFUSE_SHARE / pixels.radius) ** 2)).add_(DIFFUSE_SHARE**2).clamp_(min=1e-9).sqrt_()
        shade.add_(AMBIENT_SHARE)
        if tilted is not None:
            shade.add_(tilted)
    else:
        right, down, falls = pixels.light[:, :, None].unbind(1)
        shade = distance2.div_(-(pixels.radius**2)).add_(1).clamp_(min=0.0).sqrt_().sub_(DISC.mean_height).mul_(falls)
        shade.add_((right * dx).add_(down * dy).div_(pixels.radius)).add_(1).clamp_(min=0.0)
    return shade, cover, slope, u, distance, dx, dy


def _derivatives(pixels: _Pixels, valid: Tensor, value: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives J' (M, 4, Q) by the state, and the rest r (M, Q). `value` holds 0 where `valid` does."""
    shade, cover, slope, u, distance, dx, dy = _model(pixels, state)
    width, amplitude = (state[:, i : i + 1].to(torch.float32) for i in (2, 3))
    rows = value.new_empty((len(value), 4, value.shape[1]))
    shade = shade.mul_(valid)
    by_amplitude = torch.mul(cover, shade, out=rows[:, 3])
    rest = value - by_amplitude * amplitude
    edge = slope.mul_(shade).mul_(amplitude * (0.9375 / width))
    torch.mul(u.neg_(), edge, out=rows[:, 2])
    inwards = edge.div_(distance)
    torch.mul(dx, inwards, out=rows[:, 0])
    torch.mul(dy, inwards, out=rows[:, 1])
    return rows, rest


def _normal_equations(pixels: _Pixels, valid: Tensor, value: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """J'J with damping (M, 4, 4), J'r (M, 4), and the rest r (M, Q)."""
    rows, rest = _derivatives(pixels, valid, value, state)
    # The matrix decides only the steps, the gradient decides the result: the gradient is summed in a fixed order.
    normal = (rows @ rows.transpose(1, 2)).to(torch.float64)
    gradient = (rows * rest[:, None]).sum(2).to(torch.float64)
    damping = torch.tensor([1e-2, 1e-2, 0.1, 1e-2], dtype=torch.float64, device=state.device)
    return normal + torch.diag(damping), gradient, rest


def _quality(pixels: _Pixels, valid: Tensor, value: Tensor, state: Tensor, step: Tensor) -> Tensor:
    normal, _, rest = _normal_equations(pixels, valid, value, state)
    cover = _model(pixels, state)[1]
    on = (cover > 0.02).to(torch.float32).mul_(valid)
    count = on.sum(1).clamp(min=1)
    rms = (rest.mul_(on).square_().sum(1) / count).sqrt().to(torch.float64)
    ellipse = _ellipse(pixels, state)
    square = pixels.radius[:, 0] ** 2 if ellipse is None else ellipse[2][:, 0]
    share = cover.mul_(valid).sum(1) / (torch.pi * square)
    core = pixels.mask(4)
    beyond = pixels.core - (core * pixels.mask(1)).sum(1)  # not looked at, far from the first guess
    stray = ((core * valid).sum(1) - (core * on).sum(1) + beyond) / pixels.core.clamp(min=1)
    spread = torch.linalg.inv(normal)
    sd = (spread[:, 0, 0] + spread[:, 1, 1]).clamp(min=0).sqrt() * rms
    columns = [
        state[:, 0],
        state[:, 1],
        _blur(state),
        state[:, 3],
        rms,
        _moved(step),
        share.double(),
        sd,
        stray.double(),
    ]
    return torch.stack(columns, dim=1)
