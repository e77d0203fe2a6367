"""Where the centre of a partly hidden ball is: a shaded disc of known radius fitted to the pixels that show it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from physbench.tracks.colour import AMBIENT_SHARE, DIFFUSE_SHARE
from physbench.tracks.patches import Patches, dilate

ITERATIONS = 6
PIXEL_VARIANCE = 1 / 12  # px^2 of a square pixel
EDGE_VARIANCE = 1 / 7  # of the edge's kernel (1 - u^2)^2, in squared half widths
LEAST_WIDTH, MOST_WIDTH = 0.77, 8.0  # px; half width of the edge: blur of 0 and of 3 px
HIDDEN_REACH = 1  # px around other hues and screens that are mixed and left out
BLURRED, BLURRED_REACH = 0.8, 3  # px; from this blur on, more is left out

# Columns of `fit`.
FIT = ("x", "y", "blur", "amplitude", "rms", "step", "share", "sd", "stray")


@dataclass(frozen=True, eq=False)
class _Pixels:
    value: Tensor  # (M, P, P) float32, chroma over the object's own
    valid: Tensor  # (M, P, P) bool
    x: Tensor  # (P,) float32 px within the patch
    y: Tensor


def fit(patches: Patches, reference: float, radius: float) -> Tensor:
    """Fit every patch (M): float64 (M, 9), see FIT; centres in px of the frame.

    Gauss-Newton over centre, edge width and amplitude. The edge is a polynomial: products, sums, quotients and square
    roots round alike everywhere, which functions like erf do not. sd is that of the centre for the rms that is left;
    share is that of the disc's area on valid pixels; stray is the share of the object's pixels outside the disc.
    """
    result = _fit(patches, reference, radius, HIDDEN_REACH)
    blurred = (result[:, FIT.index("blur")] > BLURRED).nonzero()[:, 0]
    if len(blurred):
        result[blurred] = _fit(patches.select(blurred), reference, radius, BLURRED_REACH)
    return result


def _fit(patches: Patches, reference: float, radius: float, reach: int) -> Tensor:
    wide, tall = patches.along.shape[2], patches.along.shape[1]
    device = patches.along.device
    hidden = dilate(_without_specks(patches.other) | patches.screen, reach)
    pixels = _Pixels(
        patches.along / reference,
        ~hidden & (patches.region | ~patches.core),  # chroma far from the object is somebody else's
        torch.arange(wide, device=device, dtype=torch.float32) + 0.5,
        torch.arange(tall, device=device, dtype=torch.float32) + 0.5,
    )
    centre = patches.stats[:, 1:3] - patches.origin
    start = _start(pixels, patches.region, centre, radius)
    ones = torch.ones(len(start), dtype=torch.float64, device=device)
    state = torch.cat([start, torch.stack([2.0 * ones, ones], dim=1)], dim=1)  # x, y, width, amplitude
    step = torch.zeros_like(state)
    limit = torch.tensor([0.3 * radius, 0.3 * radius, 1.5, 0.5], dtype=torch.float64, device=device)
    least = torch.tensor([-radius, -radius, LEAST_WIDTH, 0.2], dtype=torch.float64, device=device)
    most = torch.tensor([wide + radius, tall + radius, MOST_WIDTH, 3.0], dtype=torch.float64, device=device)
    for _ in range(ITERATIONS):
        normal, gradient, _ = _normal_equations(pixels, state, radius)
        step = torch.linalg.solve(normal, gradient).clamp(-limit, limit)
        state = torch.minimum(torch.maximum(state + step, least), most)
    return _quality(pixels, patches, state, step, radius)


def _without_specks(mask: Tensor) -> Tensor:
    """Pixels of a mask (M, P, P) with at least two neighbours in it; others are noise."""
    around = torch.nn.functional.avg_pool2d(mask[:, None].to(torch.float32), 3, 1, 1, divisor_override=1)[:, 0]
    return mask & (around > 2.5)


def _start(pixels: _Pixels, region: Tensor, centre: Tensor, radius: float) -> Tensor:
    """First guess (M, 2): every visible edge pixel says that the centre lies one radius inwards along its gradient."""
    value, valid = pixels.value, pixels.valid & region
    across = value[:, 1:-1, 2:] - value[:, 1:-1, :-2]
    down = value[:, 2:, 1:-1] - value[:, :-2, 1:-1]
    inside = ~dilate(~valid, 1)[:, 1:-1, 1:-1]
    square = across * across + down * down
    weight = square * (inside & (square > 0.09))
    pull = radius / square.clamp(min=1e-6).sqrt()
    total = weight.sum((1, 2), dtype=torch.float64)
    x = ((pixels.x[1:-1] + across * pull) * weight).sum((1, 2), dtype=torch.float64)
    y = ((pixels.y[1:-1, None] + down * pull) * weight).sum((1, 2), dtype=torch.float64)
    guess = torch.stack([x, y], dim=1) / total.clamp(min=1e-6)[:, None]
    return torch.where((total > 0.5)[:, None], guess, centre)


def _model(pixels: _Pixels, state: Tensor, radius: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Shade, coverage, its slope, place u in the edge, unit vectors from the centre; all (M, P, P) float32."""
    state = state.to(torch.float32)
    width = state[:, 2, None, None]
    dx = pixels.x - state[:, :1]
    dy = pixels.y - state[:, 1:2]
    distance2 = (dx * dx)[:, None, :] + (dy * dy)[:, :, None]
    distance = distance2.sqrt().clamp(min=1e-3)
    # Blur moves the edge of a disc inwards, by half its variance over the radius.
    edge = radius - (width * width * EDGE_VARIANCE - PIXEL_VARIANCE).clamp(min=0) / (2 * radius)
    u = ((edge - distance) / width).clamp(-1.0, 1.0)
    square = u * u
    cover = u * (0.9375 + square * (square * 0.1875 - 0.625)) + 0.5
    slope = (1 - square) * (1 - square) * 0.9375 / width
    shade = (1 - distance2 / (radius * radius)).clamp(min=0.0).sqrt() * DIFFUSE_SHARE + AMBIENT_SHARE
    return shade, cover, slope, u, dx[:, None, :] / distance, dy[:, :, None] / distance


def _normal_equations(pixels: _Pixels, state: Tensor, radius: float) -> tuple[Tensor, Tensor, Tensor]:
    shade, cover, slope, u, unit_x, unit_y = _model(pixels, state, radius)
    amplitude = state[:, 3].to(torch.float32)[:, None, None]
    by_amplitude = shade * cover
    rest = (pixels.value - amplitude * by_amplitude) * pixels.valid
    edge = amplitude * shade * slope * pixels.valid
    width = state[:, 2].to(torch.float32)[:, None, None]
    slopes = [edge * unit_x, edge * unit_y, -edge * (u + width * (EDGE_VARIANCE / radius)), by_amplitude * pixels.valid]
    count = len(state)
    normal = torch.empty((count, 4, 4), dtype=torch.float64, device=state.device)
    gradient = torch.empty((count, 4), dtype=torch.float64, device=state.device)
    for i in range(4):
        gradient[:, i] = (slopes[i] * rest).sum((1, 2), dtype=torch.float64)
        for j in range(i + 1):
            normal[:, i, j] = normal[:, j, i] = (slopes[i] * slopes[j]).sum((1, 2), dtype=torch.float64)
    damping = torch.tensor([1e-2, 1e-2, 1.0, 1e-2], dtype=torch.float64, device=state.device)
    return normal + torch.diag(damping), gradient, rest


def _quality(pixels: _Pixels, patches: Patches, state: Tensor, step: Tensor, radius: float) -> Tensor:
    normal, _, rest = _normal_equations(pixels, state, radius)
    _, cover, _, _, _, _ = _model(pixels, state, radius)
    on = pixels.valid & (cover > 0.02)
    count = on.sum((1, 2)).clamp(min=1)
    rms = ((rest * rest * on).sum((1, 2), dtype=torch.float64) / count).sqrt()
    share = (cover * pixels.valid).sum((1, 2), dtype=torch.float64) / (torch.pi * radius * radius)
    own = (patches.core & pixels.valid).sum((1, 2)).clamp(min=1)
    stray = (patches.core & pixels.valid & (cover <= 0.02)).sum((1, 2)) / own
    spread = torch.linalg.inv(normal)
    sd = (spread[:, 0, 0] + spread[:, 1, 1]).clamp(min=0).sqrt() * rms
    blur = (state[:, 2] ** 2 * EDGE_VARIANCE - PIXEL_VARIANCE).clamp(min=0).sqrt()
    place = state[:, :2] + patches.origin
    moved = step[:, :2].abs().amax(1)
    return torch.stack([place[:, 0], place[:, 1], blur, state[:, 3], rms, moved, share, sd, stray.to(sd.dtype)], dim=1)
