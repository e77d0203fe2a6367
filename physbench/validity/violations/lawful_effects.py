"""Degraded pictures of a lawful world: blur, noise, flicker, drifting colours, trembling. No law is broken."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from physbench.support.arrays import Array, Image
from physbench.validity.violations.candidate_events import CandidateEvents, frame_noise, shifted
from physbench.validity.violations.violation_plan import ViolationEvent, ViolationPlan, violation

WHITE_LEVEL = 255.0


def _rounded(frames: Array) -> Image:
    return np.clip(np.rint(frames), 0, WHITE_LEVEL).astype(np.uint8)


@violation(
    "blur",
    group="picture",
    unit="px",
    meaning="every predicted frame is blurred by a Gaussian of sd s",
    severities=(0.5, 1.0, 2.0),
    main=1.0,
    allowed=(0.1, 50.0),
    lawful=True,
)
def blur(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Gaussian blur of the frames as they are, at any size."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        soft = [gaussian_filter(frame.astype(np.float64), (severity, severity, 0)) for frame in frames]
        return _rounded(np.stack(soft)) if soft else frames

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "noise",
    group="picture",
    unit="levels of 255",
    meaning="independent Gaussian noise of sd s on every value of every predicted frame",
    severities=(4.0, 8.0, 16.0),
    main=8.0,
    allowed=(0.5, 255.0),
    lawful=True,
)
def noise(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Noise without structure."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        return _rounded(frames + random.normal(0.0, severity, frames.shape))

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "flicker",
    group="picture",
    unit="%",
    meaning="the brightness of every predicted frame is off by a random s per cent (sd)",
    severities=(5.0, 10.0, 20.0),
    main=10.0,
    allowed=(0.1, 100.0),
    lawful=True,
)
def flicker(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """One factor a frame, independent of the next."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        factor = 1 + random.normal(0.0, severity / 100, len(frames))
        return _rounded(frames * factor[:, None, None, None])

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "colour-drift",
    group="picture",
    unit="deg/s",
    meaning="all hues of the picture turn at s",
    severities=(2.0, 5.0, 15.0),
    main=5.0,
    allowed=(-360.0, 360.0),
    lawful=True,
)
def colour_drift(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A slow turn about the grey axis; greys stay grey, and no object changes against another."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        angle = np.radians(severity * times)[:, None, None]
        r, g, b = np.moveaxis(frames.astype(np.float64), -1, 0)
        grey = (r + g + b) / 3
        x, y = r - grey, (g - b) / np.sqrt(3)  # in the plane across the grey axis
        x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        green, blue = (-x + np.sqrt(3) * y) / 2, (-x - np.sqrt(3) * y) / 2
        return _rounded(np.stack([grey + x, grey + green, grey + blue], axis=-1))

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "fade",
    group="picture",
    unit="%/s",
    meaning="the picture loses s per cent of its contrast in every second",
    severities=(5.0, 10.0, 20.0),
    main=10.0,
    allowed=(0.1, 100.0),
    lawful=True,
)
def fade(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Every value moves towards the grey of the background."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        kept = ((1 - severity / 100) ** np.maximum(times, 0.0))[:, None, None, None]
        return _rounded(127.5 + (frames - 127.5) * kept)

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "tremble",
    group="picture",
    unit="diameters",
    meaning="every moving body is drawn off its place by independent Gaussian noise of sd s in x and y in every frame",
    severities=(0.02, 0.05, 0.1),
    main=0.05,
    allowed=(0.001, 1.0),
    lawful=True,
)
def tremble(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """One frame tells nothing of the next: the bodies move as they should, and tremble about it."""
    noise = frame_noise(candidates, rng)
    return ViolationPlan((ViolationEvent(0.0, None),), bends=shifted(candidates, severity * noise))
