"""How far each object has moved from the conditioning image to the first frame of a video, beside its motion a frame.

Objects are found by their hue: the mean over the pixels of an object, weighted by chroma, is its place. Blur, noise,
brightness and a shift of all colours leave that place where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from physbench.world.scene import PALETTE

LEAST_HUE_SHARE = 0.4  # of the object's in the image; weaker pixels are its blurred rim, or noise
LEAST_LEVELS = 40.0  # levels of chroma of an object's pixels in the image
LEAST_PIXELS = 9  # of an object
AREA_TOLERANCE = 0.25  # relative; an object whose area changes by more is being hidden, or is no longer the same
WINDOW_S = 0.3  # s of the video in which motion is measured
FRAMES_MEASURED = (5, 16)  # least and most of the frames in which it is measured
MEDIAN_STRIDE = 7  # of the pixels, one in so many is enough for the cast of all
PLACE_NOISE_PX = 0.02  # least standard deviation of a place: that of 8-bit frames without compression

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
Chroma = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Step:
    """One object at the start of a video. Vectors are (x, y) in px of the scored frames."""

    lead: Float  # (2,) from its place in the image to that in the first frame
    step: Float  # (2,) in the frame before the first one, extrapolated from the frames after it
    step_error: float  # standard deviation of `step` along either axis for places with a noise of 1 px
    noise: float | None  # standard deviation of a place, from what a parabola leaves; None: too few frames
    place: Float  # (2,) in the image, from its centre


def frames_needed(rate: float) -> int:
    """Number of first frames in which motion is measured at a rate in frames/s."""
    least, most = FRAMES_MEASURED
    return min(max(math.ceil(WINDOW_S * rate) + 1, least), most)


def measure_steps(
    image: NDArray[np.uint8], frames: Sequence[NDArray[np.uint8]], times: Sequence[float], inside: Mask
) -> list[Step]:
    """Measure every object that is seen whole in the image and in the first frames.

    The step before the first frame follows from a parabola through the places in all frames: with p(t) = a + b t +
    c t^2, p(0) - p(-1) = b - c. An object falls or turns little else within 0.3 s; where it bounces, the parabola
    leaves much, which counts as noise.

    Args:
        image: The conditioning image (H, W, 3).
        frames: The first frames of the video, resampled to the same size.
        times: Their times in frame intervals from the first one.
        inside: (H, W) what the video shows; beyond, frames hold no picture.
    """
    if len(frames) < 4:
        return []
    shown = [_chroma(frame, inside) for frame in (image, *frames)]
    strengths = [np.sqrt(np.einsum("hwc,hwc->hw", each, each)) for each in shown]
    centre = np.array([inside.shape[1] / 2, inside.shape[0] / 2])
    edge = ~ndimage.binary_erosion(inside, iterations=2, border_value=0)
    steps = []
    for direction in _HUES:
        found = _places(direction, shown, strengths, edge)
        if found is None:
            continue
        first, places = found[0], found[1:]
        seen = np.isfinite(places[:, 0])
        count = len(seen) if seen.all() else int(seen.argmin())
        if count >= 4:
            steps.append(_step(first, places[:count], np.asarray(times[:count], dtype=np.float64), centre))
    return steps


def _step(first: Float, places: Float, times: Float, centre: Float) -> Step:
    design = np.stack([np.ones_like(times), times, times**2], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ places  # (3, 2)
    backward = np.array([0.0, 1.0, -1.0])
    free = 2 * (len(times) - 3)
    rest = float(((places - design @ coefficients) ** 2).sum())
    return Step(
        lead=places[0] - first,
        step=backward @ coefficients,
        step_error=math.sqrt(float(backward @ inverse @ backward)),
        noise=math.sqrt(rest / free) if free >= 2 else None,
        place=first - centre,
    )


def _directions() -> Chroma:
    """Unit vectors (5, 3) of the palette in the plane perpendicular to grey."""
    palette = np.asarray(PALETTE, dtype=np.float64)
    chroma = palette - palette.mean(1, keepdims=True)
    return np.asarray(chroma / np.linalg.norm(chroma, axis=1, keepdims=True), dtype=np.float32)


_HUES = _directions()
_COS_HALF_GAP = math.cos(math.pi / len(PALETTE))  # of the angle from a hue to half way to the next one


def _chroma(frame: NDArray[np.uint8], inside: Mask) -> Chroma:
    """(H, W, 3) levels by which each channel differs from the mean of the three, less what most pixels have of it."""
    light = frame.astype(np.float32)
    mean = (light[..., 0] + light[..., 1] + light[..., 2]) * np.float32(1 / 3)
    chroma: Chroma = light - mean[..., None]
    chroma -= np.median(chroma[inside][::MEDIAN_STRIDE], axis=0)
    chroma[~inside] = 0.0
    return chroma


def _places(direction: Chroma, chroma: Sequence[Chroma], strength: Sequence[Chroma], edge: Mask) -> Float | None:
    """Places (1 + T, 2) px of the object of one hue, NaN from where it is not seen whole; None: not in the image.

    Args:
        direction: Unit vector (3,) of the hue.
        chroma: The pictures (H, W, 3); the conditioning image comes first.
        strength: Their lengths (H, W).
        edge: (H, W) the rim of what is shown, beyond which an object may go on.
    """
    places = np.full((len(chroma), 2), np.nan)
    gate = area = 0.0
    for number, (picture, length) in enumerate(zip(chroma, strength, strict=True)):
        along = picture @ direction
        of_hue = along > _COS_HALF_GAP * length
        if not number:
            sure = along[of_hue & (along > LEAST_LEVELS)]
            if len(sure) < LEAST_PIXELS:
                return None
            gate = LEAST_HUE_SHARE * float(np.median(sure))
        labels, count = ndimage.label(of_hue & (along > gate))
        if not count:
            break
        sizes = np.bincount(labels.ravel())[1:]
        body = labels == int(sizes.argmax()) + 1
        size = float(sizes.max())
        area = area or size
        if size < LEAST_PIXELS or (body & edge).any() or abs(size / area - 1) > AREA_TOLERANCE:
            break
        places[number] = _centre(np.where(body, along, 0.0))
    return places if np.isfinite(places[0, 0]) else None


def _centre(weight: NDArray[np.floating]) -> Float:
    """(x, y) px of the centre of weights (H, W)."""
    rows, columns = weight.sum(1, dtype=np.float64), weight.sum(0, dtype=np.float64)
    x, y = columns @ (np.arange(len(columns)) + 0.5), rows @ (np.arange(len(rows)) + 0.5)
    centre: Float = np.array([x, y]) / rows.sum()
    return centre
