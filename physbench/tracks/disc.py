"""Where the centre of a partly hidden ball is: a shaded disc of known radius fitted to the pixels that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from physbench.tracks.colour import AMBIENT_SHARE, DIFFUSE_SHARE
from physbench.tracks.patches import BATCH_PIXELS, LEVELS, Patches, dilate

FIRST_ITERATIONS, ITERATIONS = 2, 3  # before and after it is known how blurred a ball is
PIXEL_VARIANCE = 1 / 12  # px^2 of a square pixel
EDGE_VARIANCE = 1 / 7  # of the edge's kernel (1 - u^2)^2, in squared half widths
LEAST_WIDTH, MOST_WIDTH = 0.77, 8.0  # px; half width of the edge: blur of 0 and of 3 px
HIDDEN_REACH = 1  # px around other hues and screens that are mixed and left out
BLURRED, BLURRED_REACH = 0.8, 3  # px; from this blur on, more is left out

# Columns of `fit`.
FIT = ("x", "y", "blur", "amplitude", "rms", "step", "share", "sd", "stray")


@dataclass(frozen=True, eq=False)
class Job:
    """Patches of one ball."""

    patches: Patches  # M > 0 of them
    reference: float  # levels of chroma of a pixel of it
    radius: float  # px


@dataclass(frozen=True, eq=False)
class _Pixels:
    """All balls together; smaller patches are filled up with pixels that do not count."""

    value: Tensor  # (M, P, P) float32, chroma over the object's own
    valid: Tensor  # (M, P, P) float32, 1 where the pixel counts
    blurred_valid: Tensor  # (M, P, P) float32, the same where the picture is blurred
    core: Tensor  # (M, P, P) float32
    radius: Tensor  # (M, 1, 1) float32 px
    start: Tensor  # (M, 2) float64 px within the patch

    @property
    def maps(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.value, self.valid, self.blurred_valid, self.core

    def part(self, where: slice) -> _Pixels:
        return _Pixels(*(part[where] for part in (*self.maps, self.radius, self.start)))


def fit(jobs: Sequence[Job]) -> list[Tensor]:
    """Fit every patch of every job: float64 (M, 9) each, see FIT; centres in px of the frame.

    Gauss-Newton over centre, edge width and amplitude. The edge is a polynomial: products, sums, quotients and square
    roots round alike everywhere, which functions like erf do not. sd is that of the centre for the rms that is left;
    share is that of the disc's area on valid pixels; stray is the share of the object's pixels outside the disc.
    """
    prepared = [_prepare(job) for job in jobs]
    tall, wide = max(p.value.shape[1] for p in prepared), max(p.value.shape[2] for p in prepared)
    filled = [[_fill(part, tall, wide) for part in p.maps] for p in prepared]
    value, valid, blurred_valid, core = (torch.cat([parts[i] for parts in filled]) for i in range(4))
    radius, start = torch.cat([p.radius for p in prepared]), torch.cat([p.start for p in prepared])
    pixels = _Pixels(value, valid, blurred_valid, core, radius, start)
    count = len(pixels.value)
    step = max(1, BATCH_PIXELS // (tall * wide)) if pixels.value.device.type == "cpu" else count
    result = torch.cat([_solve(pixels.part(slice(i, i + step))) for i in range(0, count, step)])
    result[:, :2] += torch.cat([job.patches.origin for job in jobs])
    return list(torch.split(result, [len(job.patches.core) for job in jobs]))


def _fill(part: Tensor, tall: int, wide: int) -> Tensor:
    return torch.nn.functional.pad(part, (0, wide - part.shape[2], 0, tall - part.shape[1]))


def _prepare(job: Job) -> _Pixels:
    patches, count = job.patches, len(job.patches.core)
    mixed = dilate(_without_specks(patches.other) | patches.screen, HIDDEN_REACH)
    more = dilate(mixed, BLURRED_REACH - HIDDEN_REACH)
    own = patches.region | (patches.core ^ 1)  # chroma far from the object is somebody else's
    valid = mixed.bitwise_xor_(1).bitwise_and_(own)
    value = patches.along * (1 / (LEVELS * job.reference))
    return _Pixels(
        value,
        valid.to(torch.float32),
        more.bitwise_xor_(1).bitwise_and_(own).to(torch.float32),
        patches.core.to(torch.float32),
        value.new_full((count, 1, 1), job.radius),
        _start(value, valid & patches.region, patches.stats[:, 1:3] - patches.origin, job.radius),
    )


def _solve(pixels: _Pixels) -> Tensor:
    radius = pixels.radius[:, 0].to(torch.float64)  # (M, 1)
    ones = torch.ones_like(radius)
    state = torch.cat([pixels.start, 2.0 * ones, ones], dim=1)  # x, y, width, amplitude
    limit = torch.cat([0.3 * radius, 0.3 * radius, 2.0 * ones, 0.5 * ones], dim=1)
    tall, wide = pixels.value.shape[1:]
    least = torch.cat([-radius, -radius, LEAST_WIDTH * ones, 0.2 * ones], dim=1)
    most = torch.cat([wide + radius, tall + radius, MOST_WIDTH * ones, 3.0 * ones], dim=1)
    step = torch.zeros_like(state)
    valid, value = pixels.valid, pixels.value * pixels.valid
    for i in range(FIRST_ITERATIONS + ITERATIONS):
        if i == FIRST_ITERATIONS:
            valid = torch.where((_blur(state) > BLURRED)[:, None, None], pixels.blurred_valid, valid)
            value = pixels.value * valid
        normal, gradient, _ = _normal_equations(pixels, valid, value, state)
        step = torch.maximum(torch.minimum(torch.linalg.solve(normal, gradient), limit), -limit)
        state = torch.minimum(torch.maximum(state + step, least), most)
    return _quality(pixels, valid, value, state, step)


def _blur(state: Tensor) -> Tensor:
    """Standard deviation (M,) px of the blur that an edge width stands for."""
    return (state[:, 2] ** 2 * EDGE_VARIANCE - PIXEL_VARIANCE).clamp(min=0).sqrt()


def _without_specks(mask: Tensor) -> Tensor:
    """Pixels of a mask (M, P, P) u8 with at least two neighbours in it; others are noise."""
    padded = torch.nn.functional.pad(mask, (1, 1, 1, 1))
    across = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    around = across[:, :-2] + across[:, 1:-1] + across[:, 2:]
    return mask & around.ge_(3)


def _start(value: Tensor, valid: Tensor, centre: Tensor, radius: float) -> Tensor:
    """First guess (M, 2): every visible edge pixel says that the centre lies one radius inwards along its gradient."""
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
    """Shade, coverage, its slope, place u in the edge, distance (M, P, P); dx (M, 1, P) and dy (M, P, 1) px."""
    state = state.to(torch.float32)
    width, radius = state[:, 2, None, None], pixels.radius
    tall, wide = pixels.value.shape[1:]
    dx = torch.arange(wide, device=state.device, dtype=torch.float32)[None, None] - (state[:, 0, None, None] - 0.5)
    dy = torch.arange(tall, device=state.device, dtype=torch.float32)[None, :, None] - (state[:, 1, None, None] - 0.5)
    distance2 = dx * dx + dy * dy
    distance = distance2.sqrt().clamp_(min=1e-3)
    # Fitted to blurred shaded discs this edge lies within 0.04 px of the radius (5 to 24 px, blur up to 3 px).
    u = (radius - distance).mul_(1 / width).clamp_(-1.0, 1.0)
    square = u * u
    cover = (square * 0.1875).sub_(0.625).mul_(square).add_(0.9375).mul_(u).add_(0.5)
    slope = square.neg_().add_(1.0).square_()  # to be multiplied with .9375 / width
    shade = distance2.mul_(-((DIFFUSE_SHARE / radius) ** 2)).add_(DIFFUSE_SHARE**2).clamp_(min=0.0).sqrt_()
    return shade.add_(AMBIENT_SHARE), cover, slope, u, distance, dx, dy


def _normal_equations(pixels: _Pixels, valid: Tensor, value: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """J'J with damping (M, 4, 4), J'r (M, 4), and the rest r (M, P, P). `value` holds 0 where `valid` does."""
    shade, cover, slope, u, distance, dx, dy = _model(pixels, state)
    width, amplitude = (state[:, i].to(torch.float32)[:, None, None] for i in (2, 3))
    shade = shade.mul_(valid)
    by_amplitude = cover.mul_(shade)
    rest = value - by_amplitude * amplitude
    edge = slope.mul_(shade).mul_(amplitude * (0.9375 / width))
    by_width = u.mul_(edge).neg_()
    inwards = edge.div_(distance)
    parts = (dx * inwards, inwards.mul_(dy), by_width, by_amplitude)
    # The matrix only steers the way, the gradient decides where it ends: that one is summed in a fixed order.
    rows = torch.stack(parts, dim=1).flatten(2)
    normal = (rows @ rows.transpose(1, 2)).to(torch.float64)
    gradient = (rows * rest.flatten(1)[:, None]).sum(2).to(torch.float64)
    damping = torch.tensor([1e-2, 1e-2, 0.1, 1e-2], dtype=torch.float64, device=state.device)
    return normal + torch.diag(damping), gradient, rest


def _quality(pixels: _Pixels, valid: Tensor, value: Tensor, state: Tensor, step: Tensor) -> Tensor:
    normal, _, rest = _normal_equations(pixels, valid, value, state)
    cover = _model(pixels, state)[1]
    inside = (cover > 0.02).to(torch.float32)
    on = inside * valid
    count = on.sum((1, 2)).clamp(min=1)
    rms = (rest.mul_(on).square_().sum((1, 2)) / count).sqrt().to(torch.float64)
    share = (cover.mul_(valid)).sum((1, 2)) / (torch.pi * pixels.radius[:, 0, 0] ** 2)
    own = pixels.core * valid
    stray = own.mul(1 - inside).sum((1, 2)) / own.sum((1, 2)).clamp(min=1)
    spread = torch.linalg.inv(normal)
    sd = (spread[:, 0, 0] + spread[:, 1, 1]).clamp(min=0).sqrt() * rms
    moved = step[:, :2].abs().amax(1)
    columns = [state[:, 0], state[:, 1], _blur(state), state[:, 3], rms, moved, share.double(), sd, stray.double()]
    return torch.stack(columns, dim=1)
